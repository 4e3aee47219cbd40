"""Training step on a GPU by Keras' JAX backend, which needs no TensorFlow: precision, XLA's flags, batch, unrolling.

Each case has a process of its own. Several are compiled at once, then timed one after the other while the others wait.
The time is limited, and what has been found by then is kept. It runs on a processor too, which shows that it works.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any
from unittest import mock

from benchmarks import command
from benchmarks.measure import Sample, Worker, progress, seconds
from benchmarks.report import Report, cells, draw_bars, number
from benchmarks.workload import Workload

PARTS = ("precision", "flags", "batch", "unroll")  # what takes longest to compile comes last
DTYPES = ("float32", "mixed_bfloat16")
PATCHES_AND_BATCHES = ((2, 4), (2, 32), (1, 16))
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
UNROLL = (1, 2, 4)  # and all steps
COMMAND_BUFFER = "--xla_gpu_enable_command_buffer="
FLAGS = (f"{COMMAND_BUFFER}FUSION,CUBLAS,CUDNN,CONDITIONAL,WHILE", COMMAND_BUFFER)
"""Loops as one CUDA graph, and no CUDA graphs at all; by default XLA records what stands in a row, without loops."""

NOTES = (
    "Seconds of a step of `fit`, with batches from the memory of the host. First: from the call of `fit` to the end of "
    "its first step, traced and compiled on the way, while as many as --at-once compile.",
    "unroll N: the loop over time copies its step N times; all of them is `create_model(..., unroll=True)`.",
)


@dataclasses.dataclass(frozen=True)
class Case:
    """What is measured in one process.

    Attributes:
        workload: network and batch.
        flags: str. XLA's, behind those of the environment.
        unroll: int. Steps that the loop over time copies.
    """

    workload: Workload
    flags: str = ""
    unroll: int = 1


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this benchmark."""
    parser = command.make_parser(
        "gpu",
        "Training step by the JAX backend, without TensorFlow: precision, XLA's flags, batch, unrolling.",
        "--parts unroll --side 16 --filters 2 --layers 3 --context-frames 2 --forecast-frames 2 --seconds 120",
        repetitions=3,
    )
    parser.add_argument("--model", default="ms_lstm", metavar="MODEL", help="default: %(default)s")
    sizes = ("side", "context_frames", "forecast_frames", "filters", "layers")
    defaults = {field.name: field.default for field in dataclasses.fields(Workload)}
    command.add_sizes(parser, {name: defaults[name] for name in sizes})
    command.add_names(parser, "parts", PARTS, PARTS, "what to measure, in this order")
    parser.add_argument(
        "--flags",
        action="append",
        metavar="FLAGS",
        help="XLA's flags to compare with none, written --flags=--xla_...; may be given several times "
        f"(default: {' and '.join(FLAGS)})",
    )
    for name, default, purpose in (
        ("steps", 10, "training steps that are timed together"),
        ("at-once", 4, "cases that are compiled at the same time"),
        ("case-seconds", 150, "limit for compiling, and for timing a case"),
        ("seconds", 240, "limit for all cases together"),
    ):
        parser.add_argument(
            f"--{name}",
            type=command.positive,
            default=default,
            metavar="N",
            help=f"{purpose} (default: {default})",
        )
    return parser


def measure(options: argparse.Namespace) -> Report:
    """Measures what the options ask for, until the time is over."""
    from benchmarks.machine import describe_machine

    deadline = monotonic() + options.seconds
    parts = _parts(options)
    command.check([Workload(**_sizes(options), patch_size=patch) for patch in (1, 2)])
    cases = list(dict.fromkeys(case for part in parts.values() for case in part.values()))
    report, found = Report("gpu", notes=list(NOTES)), {}
    machine = describe_machine()
    while cases and monotonic() < deadline:
        wave, cases = cases[: options.at_once], cases[options.at_once :]
        for case, result in _measured(wave, options, deadline):
            found[case] = result
            report.results.append({**dataclasses.asdict(case), **_plain(result)})
            print(json.dumps(report.results[-1]), flush=True)
            report.save_results(options, machine)
    if all(isinstance(result, str) for result in found.values()):
        failed = "".join(f"; {text}" for text in dict.fromkeys(found.values()))
        raise ValueError(
            "`--seconds` and `--case-seconds` must let one case be measured. Received: "
            f"{options.seconds} and {options.case_seconds}{failed}"
        )
    if cases:
        report.notes.append(f"Left out, as the {options.seconds} s were over: {len(cases)} cases.")
    for name, part in parts.items():
        _tabulate(report, name, {label: found[case] for label, case in part.items() if case in found})
    return report


def _sizes(options):
    sizes = ("model", "side", "context_frames", "forecast_frames", "filters", "layers")
    return {name: getattr(options, name) for name in sizes}


def _parts(options: argparse.Namespace) -> dict[str, dict[str, Case]]:
    """Returns part -> label -> case; a case may be in several parts."""
    workload = partial(Workload, **_sizes(options))
    base = Case(workload(patch_size=2, batch_size=32, dtype=DTYPES[-1]))
    steps = base.workload.steps
    parts = {
        "precision": {
            f"patch {patch}, batch {batch}, {dtype}": Case(
                workload(patch_size=patch, batch_size=batch, dtype=dtype)
            )
            for patch, batch in PATCHES_AND_BATCHES
            for dtype in DTYPES
        },
        "flags": {
            flags or "default": dataclasses.replace(base, flags=flags)
            for flags in ("", *(options.flags or FLAGS))
        },
        "unroll": {
            f"unroll {count}": dataclasses.replace(base, unroll=count)
            for count in (*(count for count in UNROLL if count < steps), steps)
        },
        "batch": {
            f"batch {batch}": Case(dataclasses.replace(base.workload, batch_size=batch)) for batch in BATCHES
        },
    }
    return {name: parts[name] for name in PARTS if name in options.parts}


def _measured(wave, options, deadline):
    """Yields (case, result) of cases that are compiled at once; a result is a dict of numbers, or says what failed."""
    end = min(deadline, monotonic() + options.case_seconds)
    workers = {}
    try:
        for case in wave:
            progress(f"compiling {case}")
            flags = " ".join(filter(None, (os.environ.get("XLA_FLAGS"), case.flags)))
            environment = {"KERAS_BACKEND": "jax", "XLA_FLAGS": flags}
            workers[case] = Worker(_functions, case, options.steps, environment=environment)
            workers[case].begin("first")
        compiled = {}
        for case, worker in workers.items():
            try:
                worker.result(end - monotonic())  # the names of its functions
                compiled[case] = worker.result(end - monotonic())
            except ChildProcessError as error:
                worker.kill()  # it would disturb those that are timed
                yield case, str(error)
        for case, first in compiled.items():
            progress(f"timing {case}")
            end = min(deadline, monotonic() + options.case_seconds)
            try:
                values = []
                for name in [*["step"] * options.repetitions, "peak"]:
                    workers[case].begin(name)
                    values.append(workers[case].result(end - monotonic()))
                yield case, {"first": first, "sample": Sample(tuple(values[:-1])), "peak": values[-1]}
            except ChildProcessError as error:
                yield case, str(error)
    finally:
        for worker in workers.values():
            worker.kill()


def _functions(case: Case, steps: int) -> Mapping[str, Callable[[], float | None]]:
    """Returns what a case's process does: the `first` step and a later `step`, in seconds, `peak` memory in bytes."""
    import jax

    from benchmarks.machine import has_gpu
    from benchmarks.networks import clips, compiled
    from benchmarks.peak import PeakMemory

    workload, whole = case.workload, case.unroll == case.workload.steps
    model = compiled(workload, "unroll" if whole else "fast")
    x = clips(workload, workload.steps)
    y = x[::-1].copy()

    def fit(count):
        batches = ((x, y) for _ in range(count))
        # Keras' loop of a recurrent layer has no argument for it on JAX.
        with mock.patch("jax.lax.scan", partial(jax.lax.scan, unroll=1 if whole else case.unroll)):
            model.fit(batches, steps_per_epoch=count, shuffle=False, verbose=0)

    def first():
        taken = seconds(partial(fit, 1))
        fit(2)  # should a second step compile anything more
        return taken

    return {
        "first": first,
        "step": lambda: seconds(partial(fit, steps)) / steps,
        # On a processor that would be the memory of compiling.
        "peak": lambda: PeakMemory().peak() if has_gpu() else None,
    }


def _plain(result: Mapping[str, Any] | str) -> dict[str, Any]:
    if isinstance(result, str):
        return {"failed": result}
    return {
        "first_seconds": result["first"],
        "seconds": result["sample"].to_dict(),
        "peak_bytes": result["peak"],
    }


def _tabulate(report, name, part):
    rows, samples = [], {}
    for label, result in part.items():
        if isinstance(result, str):
            rows.append({name: label, "failed": result})
            continue
        samples[label] = result["sample"]
        row = {name: label, **cells(result["sample"], "s"), "first s": number(result["first"])}
        if result["peak"] is not None:
            row["peak MiB"] = number(result["peak"] / 2**20)
        rows.append(row)
    if rows:
        report.tables[name] = rows
    if samples:
        report.drawings.append(partial(draw_bars, samples=samples, title=name, unit="s"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark on the JAX backend; see `benchmarks.command.run`."""
    os.environ["KERAS_BACKEND"] = "jax"
    return command.run(make_parser(), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
