"""Waiting times: until the first training step, the first forecast of a model of the zoo, the end of small commands."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from functools import partial

from benchmarks import command
from benchmarks.measure import Sample, in_fresh_process, in_turns, progress
from benchmarks.report import Report, cells, draw_bars, number
from benchmarks.workload import Workload

WAYS = {
    "loop": ("fast", False),
    "unroll": ("unroll", False),
    "plain_loop": ("plain", False),
    "loop_jit": ("fast", True),
    "unroll_jit": ("unroll", True),
}
"""The ways to compile a training: name -> (one of `VARIANTS`, whether XLA compiles)."""

PARTS = ("start", "training")
NOTES = (
    "Each is measured in a fresh process, the processes in turns (A B C A B C ...).",
    "first: from the call of `fit` to the end of its one step, traced and compiled on the way; later: the same again.",
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this benchmark."""
    parser = command.make_parser(
        "compile",
        "Time until the first training step, the first forecast, the end of small commands.",
        "--models ms_lstm --ways loop unroll --repetitions 2 --json compile.json --figure compile.png",
        repetitions=3,
    )
    command.add_workload(parser, models=["ms_lstm"], jit_compile=None)
    command.add_names(parser, "parts", PARTS, PARTS, "what to measure")
    command.add_names(parser, "ways", tuple(WAYS), tuple(WAYS), "ways to compile a training")
    parser.add_argument(
        "--pretrained",
        default="ms_lstm_moving_mnist",
        metavar="NAME",
        help="model of the zoo that forecasts first (default: %(default)s)",
    )
    return parser


def measure(options: argparse.Namespace) -> Report:
    """Measures what the options ask for."""
    report = Report("compile", notes=list(NOTES))
    found = command.workloads(options)
    if "start" in options.parts:
        _start(report, options)
    if "training" in options.parts:
        for workload in found:
            _training(report, workload, options)
    return report


def _start(report: Report, options: argparse.Namespace) -> None:
    """Adds to the report the waiting times without a training."""
    probes = {
        "imports": partial(in_fresh_process, "import_times"),
        "commands": partial(in_fresh_process, "command_times"),
        "first forecast": partial(in_fresh_process, "first_forecast", name=options.pretrained),
    }
    samples = {}
    for results in in_turns(probes, options.repetitions).values():
        for name in results[0]:
            samples[name] = Sample(tuple(result[name] for result in results))
    title = "start"
    report.tables[title] = [{"wait": name, **cells(sample, "s")} for name, sample in samples.items()]
    report.results += [{"wait": name, "seconds": sample.to_dict()} for name, sample in samples.items()]
    report.drawings.append(partial(draw_bars, samples=samples, title=title, unit="s"))


def _training(report: Report, workload: Workload, options: argparse.Namespace) -> None:
    """Adds to the report the waiting times until a first training step."""
    progress(str(workload))
    probes = {}
    for way in dict.fromkeys(options.ways):
        variant, jit_compile = WAYS[way]
        fields = dataclasses.replace(workload, jit_compile=jit_compile).to_dict()
        probes[way] = partial(in_fresh_process, "first_step", workload=fields, variant=variant)
    samples, rows = {}, []
    for way, results in in_turns(probes, options.repetitions).items():
        samples[way] = Sample(tuple(result["first"] for result in results))
        later = Sample(tuple(result["later"] for result in results))
        rows.append({"training": way, **cells(samples[way], "s"), "later s": number(later.median)})
        report.results.append(
            {
                "workload": workload.to_dict() | {"jit_compile": WAYS[way][1]},
                "way": way,
                "first_seconds": samples[way].to_dict(),
                "later_seconds": later.to_dict(),
            }
        )
    title = f"first training step: {workload}"
    report.tables[title] = rows
    report.drawings.append(partial(draw_bars, samples=samples, title=title, unit="s"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see `benchmarks.command.run`."""
    return command.run(make_parser(), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
