"""Forecasts of radar maps by the command, as a user makes them: seconds and peak memory of the whole process."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import command
from benchmarks.measure import Sample, progress
from benchmarks.report import Report, draw_bars, number

NOTES = (
    "Seconds and memory are those of `mslstm forecast --input PATH`, from start to end: Python and TensorFlow begin, "
    "the model is loaded and traced, maps are read, the forecast is written.",
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this benchmark."""
    parser = command.make_parser(
        "forecasts",
        "What a forecast of folders of radar maps takes, as a user makes it.",
        "maps/knmi --model ms_lstm_moving_mnist --output pictures",
        repetitions=1,
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="folders, files or globs of one product each"
    )
    parser.add_argument("--model", required=True, help="model, as `mslstm forecast` takes it")
    parser.add_argument("--output", type=Path, help="folder for the forecasts; by default they are not kept")
    parser.add_argument("--suffix", default=".nc", help="kind of the forecasts (default: %(default)s)")
    return parser


def measure(options: argparse.Namespace) -> Report:
    """Measures what the options ask for."""
    report = Report("forecasts", notes=list(NOTES))
    rows, samples = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.output or Path(scratch)
        for path in options.paths:
            progress(path)
            name = Path(path).name.replace("*", "")[:32]
            words = ["mslstm", "forecast", "--model", options.model, "--input", path]
            words += ["--output", str(folder / f"{name}{options.suffix}")]
            runs = [_run(words) for _ in range(options.repetitions)]
            grid = _grid(path)
            found = {
                "seconds": [run[0] for run in runs],
                "peak": max(run[1] for run in runs),
                "said": runs[-1][2],
            }
            report.results.append({"path": path, "grid": grid, **found})
            samples[name] = Sample(tuple(found["seconds"]))
            rows.append(
                {
                    "maps": name,
                    "grid": grid,
                    "seconds": number(samples[name].median),
                    "peak MiB": number(found["peak"] / 2**20),
                }
            )
    report.tables[options.model] = rows
    report.drawings.append(partial(draw_bars, samples=samples, title="one forecast", unit="s"))
    return report


def _run(words: Sequence[str]) -> tuple[float, int, str]:
    """Runs a command; returns its seconds, the most bytes that it used, and what it said on stderr.

    Raises:
        ValueError: if it fails.
    """
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "mslstm_keras", *words[1:]], stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise ValueError(f"{' '.join(words)} must succeed. Received: {text.strip().splitlines()[-1]}")
    return seconds, usage.ru_maxrss * 1024, text


def _grid(path: str) -> str:
    from mslstm_keras.radar.read import open_maps

    height, width = open_maps(path).said.grid.shape
    return f"{height} x {width}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see `benchmarks.command.run`."""
    return command.run(make_parser(), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
