"""Seconds and peak memory of a forecast as the grid grows, each in a process of its own."""

import argparse
import sys
from collections.abc import Sequence

from benchmarks import command
from benchmarks.measure import in_fresh_process, progress
from benchmarks.report import Report, number

SIZES = ((64, 64), (256, 256), (768, 704), (1200, 1100), (4400, 3800))
NOTES = (
    "A context of 10 frames and a horizon of 10, by a model with random weights. A part of each grid holds rain, the "
    "rest is zero.",
    "Seconds are those of the second forecast, so without tracing; memory is the most that the process has used, libraries "
    "included.",
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this benchmark."""
    parser = command.make_parser(
        "grids",
        "Growth of the time and memory of a forecast with the grid.",
        "--sizes 64x64 768x704 --wet 0.1",
        repetitions=1,
    )
    command.add_workload(parser, models=["ms_lstm"], batch_size=1, side=64, filters=16)
    parser.add_argument(
        "--sizes", nargs="+", type=_size, default=list(SIZES), metavar="HxW", help="grids to forecast"
    )
    parser.add_argument(
        "--wet", type=float, default=0.1, help="part of the grid with rain (default: %(default)s)"
    )
    return parser


def measure(options: argparse.Namespace) -> Report:
    """Measures what the options ask for."""
    report = Report("grids", notes=list(NOTES))
    for workload in command.workloads(options):
        rows = []
        for height, width in options.sizes:
            progress(f"{workload.model}, {height} x {width}")
            found = in_fresh_process(
                "grid_forecast", workload=workload.to_dict(), height=height, width=width, wet=options.wet
            )
            report.results.append({"workload": workload.to_dict(), "height": height, "width": width, **found})
            rows.append(
                {
                    "grid": f"{height} x {width}",
                    "first s": number(found["first"]),
                    "seconds": number(found["seconds"]),
                    "peak MiB": number(found["peak"] / 2**20),
                    "tiles": found["tiles"] or "-",
                }
            )
        report.tables[str(workload)] = rows
    return report


def _size(text):
    height, _, width = text.partition("x")
    return command.positive(height), command.positive(width)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see `benchmarks.command.run`."""
    return command.run(make_parser(), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
