"""Seconds and peak memory of a forecast as the grid grows, each in a process of its own."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from benchmarks import command
from benchmarks.measure import in_fresh_process, progress
from benchmarks.report import Report, draw_curves, number

SIZES = ((64, 64), (256, 256), (768, 704), (1200, 1100), (4400, 3800))
NOTES = (
    "A context of 10 frames and a horizon of 10, by a model with random weights. A part of each grid holds rain, the "
    "rest is zero.",
    "Seconds are those of the second forecast, so without tracing; memory is the most that the process has used, with "
    "all libraries.",
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this benchmark."""
    parser = command.make_parser(
        "grids",
        "Growth of the time and memory of a forecast with the grid.",
        "--sizes 64x64 768x704 --patch-size 4",
        repetitions=1,
    )
    command.add_workload(parser, models=["ms_lstm"], batch_size=1, side=64, filters=16, patch_size=4)
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
        for height, width in dict.fromkeys(options.sizes):
            progress(f"{workload.model}, {height} x {width}")
            found = in_fresh_process(
                "grid_forecast", workload=workload.to_dict(), height=height, width=width, wet=options.wet
            )
            rows.append({"height": height, "width": width, "pixels": height * width, **found})
        report.results += [{"workload": workload.to_dict(), **row} for row in rows]
        report.tables[str(workload)] = list(map(_row, rows))
        report.drawings.append(partial(_draw_growth, rows=rows, title=workload.model))
    return report


def _row(found):
    return {
        "grid": f"{found['height']} x {found['width']}",
        "first s": number(found["first"]),
        "seconds": number(found["seconds"]),
        "peak MiB": number(found["peak"] / 2**20),
        "tiles": found["tiles"] or "-",
    }


def _draw_growth(axes, rows, title):
    """Draws seconds and memory by their first values."""
    pixels = [row["pixels"] for row in rows]
    curves = {name: (pixels, [row[name] / rows[0][name] for row in rows]) for name in ("seconds", "peak")}
    draw_curves(axes, curves, title=title, x="pixels", y="times the first")


def _size(text):
    height, _, width = text.partition("x")
    return command.positive(height), command.positive(width)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see `benchmarks.command.run`."""
    return command.run(make_parser(), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
