"""The command line that all benchmarks share."""

import argparse
import dataclasses
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Report
from benchmarks.workload import AUTOMATIC, Workload

WORKLOAD_HELP = {
    "batch_size": "clips in a batch",
    "side": "height and width of a frame, in pixels",
    "channels": "channels of a frame",
    "context_frames": "frames given",
    "forecast_frames": "frames to forecast",
    "filters": "channels of every cell",
    "layers": "number of levels",
    "patch_size": "side, in pixels, of the patches that become channels",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def make_parser(name: str, purpose: str, example: str, *, repetitions: int) -> argparse.ArgumentParser:
    """Returns the parser of a benchmark, with the options that all of them have.

    Args:
        name: module of the benchmark.
        purpose: what it measures; the description.
        example: arguments of a quick run.
        repetitions: default of `--repetitions`.
    """
    program = f"python -m benchmarks.{name}"
    parser = _Parser(prog=program, description=purpose, epilog=f"example: {program} {example}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results and the machine as JSON")
    parser.add_argument("--figure", type=Path, metavar="FILE.png", help="draw the results")
    parser.add_argument(
        "--repetitions",
        type=positive,
        default=repetitions,
        help="how often each is measured (default: %(default)s)",
    )
    return parser


def positive(text: str) -> int:
    """Reads a positive integer.

    Raises:
        argparse.ArgumentTypeError: if it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer. Received: {text!r}")
    return int(text)


def threads(text: str) -> str:
    """Reads "auto" or numbers of threads, "2x1".

    Raises:
        argparse.ArgumentTypeError: if it is neither.
    """
    if text != AUTOMATIC and not re.fullmatch(r"[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(
            f"must be {AUTOMATIC} or two numbers, such as 2x1. Received: {text!r}"
        )
    return text


def add_workload(parser: argparse.ArgumentParser, *, several_threads: bool = False, **defaults: Any) -> None:
    """Adds the options that say what is measured.

    Args:
        parser: of `make_parser`.
        several_threads: bool. Whether `--threads` takes several settings.
        **defaults: in place of those of `Workload`; with `jit_compile`, the option is left out.
    """
    models = defaults.pop("models", ["conv_lstm", "ms_lstm"])
    fields = {field.name: field.default for field in dataclasses.fields(Workload)} | defaults
    parser.add_argument(
        "--models", nargs="+", default=models, metavar="MODEL", help=f"default: {' '.join(models)}"
    )
    add_sizes(parser, fields)
    parser.add_argument("--dtype", default=fields["dtype"], help="Keras dtype policy (default: %(default)s)")
    parser.add_argument(
        "--threads",
        type=threads,
        nargs="+" if several_threads else None,
        default=[AUTOMATIC] if several_threads else AUTOMATIC,
        metavar="AxB",
        help=f"TensorFlow's threads: A for each operation, B operations at once, or {AUTOMATIC} (default)"
        + (
            "; several settings are compared in turns, each in a process of its own"
            if several_threads
            else ""
        ),
    )
    if "jit_compile" not in defaults:
        parser.add_argument(
            "--jit-compile", action="store_true", help="let XLA compile the steps, as JAX always does"
        )


def add_sizes(parser: argparse.ArgumentParser, sizes: Mapping[str, Any]) -> None:
    """Adds an option for each of the sizes of a `Workload` that a mapping has, with its value as the default."""
    for name in [name for name in WORKLOAD_HELP if name in sizes]:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=positive,
            default=sizes[name],
            metavar="N",
            help=f"{WORKLOAD_HELP[name]} (default: %(default)s)",
        )


def add_names(
    parser: argparse.ArgumentParser, name: str, known: Sequence[str], default: Sequence[str], purpose: str
) -> None:
    """Adds an option that takes some of the known names."""
    parser.add_argument(
        f"--{name}",
        nargs="+",
        choices=known,
        default=list(default),
        metavar="NAME",
        help=f"{purpose}, of {', '.join(known)} (default: {' '.join(default)})",
    )


def workloads(options: argparse.Namespace, **changes: Any) -> list[Workload]:
    """Returns what the options ask for, one workload for each model, once it is known that each can be built.

    Args:
        options: parsed options.
        **changes: fields of `Workload` that do not come from the options.

    Raises:
        ValueError: if a model is unknown or does not fit its options.
    """
    names = [field.name for field in dataclasses.fields(Workload) if hasattr(options, field.name)]
    common = {name: getattr(options, name) for name in names} | changes
    found = [Workload(model, **common) for model in dict.fromkeys(options.models)]
    check(found)
    return found


def check(found: Sequence[Workload]) -> None:
    """Builds each network once.

    Raises:
        ValueError: if one cannot be built.
    """
    from benchmarks.networks import create

    for workload in found:
        create(workload, "plain")


def run(
    parser: argparse.ArgumentParser,
    measure: Callable[[argparse.Namespace], Report],
    arguments: Sequence[str] | None = None,
) -> int:
    """Runs a benchmark and publishes its report.

    Args:
        parser: of `make_parser`.
        measure: function of the parsed options, which also hold the whole `command`.
        arguments: words behind the module's name; those of the process by default.

    Returns:
        Exit status: 0, or 2 if an argument or a file was at fault (one line on stderr says which).
    """
    options = parser.parse_args(arguments)
    words = sys.argv[1:] if arguments is None else arguments
    options.command = shlex.join([*parser.prog.split(), *words])
    try:
        for path in filter(None, (options.json, options.figure)):
            if not path.parent.is_dir():
                raise ValueError(f"the folder of a file to write must exist. Received: {path}")
        report = measure(options)
        if not report.results:
            raise ValueError(
                f"`--models` must hold one that there is something to measure of. Received: {options.models}"
            )
        report.publish(options)
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    return 0
