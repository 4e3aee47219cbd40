"""Speed of the training step and of the forward pass.

In turns: our network with its fast paths, the same without them ("plain"), with them in mixed_bfloat16 ("bfloat16"),
where there is one the stack of stock `keras.layers.ConvLSTM2D`, and the roofline: the network's convolutions alone.
"""

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from benchmarks import command
from benchmarks.account import account_for, check_profiler
from benchmarks.measure import Worker, progress, seconds, speeds, time_in_turns
from benchmarks.report import Report, cells, draw_bars
from benchmarks.workload import STOCK, STOCK_MODELS, VARIANTS, Workload

ROOFLINE = "roofline"
HALF = "bfloat16"
REFERENCES = ("plain", STOCK, ROOFLINE)
CONTESTANTS = (*VARIANTS, HALF, STOCK, ROOFLINE)
PASSES = ("training", "forward")
NOTES = (
    "x NAME: how many times as fast as NAME, by the ratio of medians; measured in turns (A B C A B C ...).",
    "GFLOP/s: the arithmetic of the plain network's convolutions by the median time.",
    "roofline: the plain network's convolutions alone, back to back, by the backend's own kernels; training adds "
    "their gradients of input and kernel. A network that computes with fewer or faster ones can beat it.",
)
STOCK_NOTE = (
    f"{STOCK}: ConvLSTM2D layers feed nothing back; they read a true frame at each step, forward too."
)

THREADS_NOTE = (
    "AxB: A threads for each operation, B operations at once. Each setting has a process of its own; all of them are "
    "measured in turns as if they were one."
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this benchmark."""
    parser = command.make_parser(
        "step",
        "Speed of training step and forward pass, beside stock Keras and the machine's limit.",
        "--models ms_lstm --side 64 --patch-size 4 --repetitions 5 --json step.json --figure step.png",
        repetitions=7,
    )
    command.add_workload(parser, several_threads=True)
    command.add_names(
        parser, "contestants", CONTESTANTS, ("fast", "plain", STOCK, ROOFLINE), "networks to compare"
    )
    command.add_names(parser, "passes", PASSES, PASSES, "what to measure of them")
    parser.add_argument(
        "--account",
        action="store_true",
        help="say instead in which operations the time is spent (TensorFlow backend)",
    )
    return parser


def measure(options: argparse.Namespace) -> Report:
    """Measures what the options ask for."""
    if options.account:
        check_profiler(options.jit_compile)
        if len(options.threads) > 1:
            raise ValueError(f"`--account` takes one setting of `--threads`. Received: {options.threads}")
    report = Report("account" if options.account else "step")
    settings = list(dict.fromkeys(options.threads))
    for workload in command.workloads(options, threads=settings[0]):
        progress(str(workload))
        with contextlib.ExitStack() as stack:
            for name, contestants in _functions(workload, settings, options, stack).items():
                if options.account:
                    account_for(report, workload, name, contestants)
                else:
                    _compare(report, workload, name, contestants, options.repetitions)
    report.notes += () if options.account else NOTES
    if any(entry["contestant"] == STOCK for entry in report.results):
        report.notes.append(STOCK_NOTE)
    if len(settings) > 1:
        report.notes.append(THREADS_NOTE)
    return report


def _functions(
    workload: Workload, settings: Sequence[str], options: argparse.Namespace, stack: contextlib.ExitStack
) -> dict[str, dict[str, Callable]]:
    """Returns pass -> contestant -> function that makes it once; names end in their threads if there are several."""
    if len(settings) == 1:
        built = {"": _contestants(workload, options.contestants, options.passes)}
    else:
        built = {}
        for setting in settings:
            progress(f"process with threads {setting}")
            own = dataclasses.replace(workload, threads=setting)
            worker = Worker(_timed_contestants, own, options.contestants, options.passes)
            built[f" {setting}"] = stack.enter_context(contextlib.closing(worker)).functions
    found = {name: {} for name in options.passes}
    for suffix, functions in built.items():
        for (name, contestant), function in functions.items():
            found[name][contestant + suffix] = function
    return {name: contestants for name, contestants in found.items() if contestants}


def _contestants(
    workload: Workload, names: Sequence[str], passes: Sequence[str]
) -> dict[tuple[str, str], Callable]:
    """Returns (pass, contestant) -> function that makes it once."""
    from benchmarks.convolutions import find_convolutions, roofline
    from benchmarks.networks import compiled, forward_pass, training_step

    found = {}
    for contestant in dict.fromkeys(names):
        if contestant == STOCK and workload.model not in STOCK_MODELS:
            continue
        if contestant == ROOFLINE:
            convolutions = find_convolutions(workload)
            found |= {(name, ROOFLINE): roofline(convolutions, workload, name) for name in passes}
            continue
        variant, made = contestant, workload
        if contestant == HALF:
            variant, made = "fast", dataclasses.replace(workload, dtype="mixed_bfloat16")
        model = compiled(made, variant)
        if "training" in passes:
            found["training", contestant] = training_step(model, workload)
        keeps_all = "checkpoint" not in VARIANTS.get(variant, {})  # of no account without a backward pass
        if "forward" in passes and keeps_all:
            found["forward", contestant] = forward_pass(model, workload, variant)
    return found


def _timed_contestants(*arguments) -> dict[tuple[str, str], Callable[[], float]]:
    """Returns the same of functions that return seconds: what a process sends of each call is small."""
    return {key: partial(seconds, function) for key, function in _contestants(*arguments).items()}


def _compare(
    report: Report, workload: Workload, name: str, contestants: Mapping[str, Callable], repetitions: int
) -> None:
    """Adds to the report how long each contestant takes for a pass."""
    from benchmarks.convolutions import find_convolutions, gigaflops

    work = gigaflops(find_convolutions(workload), workload, name)
    samples = time_in_turns(contestants, repetitions)
    ratios = speeds(samples, [label for label in samples if label.split()[0] in REFERENCES])
    title, rows = f"{name}: {workload}", []
    for label, sample in samples.items():
        contestant, _, threads = label.partition(" ")
        rate = work / sample.median
        row = {name: label, **cells(sample, "s"), "GFLOP/s": f"{rate:.0f}"}
        rows.append(row | {f"x {reference}": f"{x:.2f}" for reference, x in ratios[label].items()})
        report.results.append(
            {
                "workload": workload.to_dict() | {"threads": threads or workload.threads},
                "pass": name,
                "contestant": contestant,
                "seconds": sample.to_dict(),
                "gigaflops": work,
                "gigaflops_per_second": rate,
                "times_as_fast_as": ratios[label],
            }
        )
    report.tables[title] = rows
    report.drawings.append(partial(draw_bars, samples=samples, title=title, unit="s"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see `benchmarks.command.run`."""
    return command.run(make_parser(), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
