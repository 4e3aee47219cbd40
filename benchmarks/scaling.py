"""Growth of time and memory with frames, pixels, filters, batch and layers, beside that of the convolutions.

Fits y = a x^e along each axis, the others held, by least squares on logarithms.
"""

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from benchmarks import command
from benchmarks.measure import Sample, in_fresh_process, progress, time_in_turns
from benchmarks.memory import training_samples
from benchmarks.report import Report, draw_curves, number
from benchmarks.workload import VARIANTS, Workload


@dataclasses.dataclass(frozen=True)
class Axis:
    """What grows.

    Attributes:
        label: str. Name of the quantity x.
        values: ints. Values of the option by default.
        change: function of (workload, value) that returns the workload with this value.
        quantity: function of a workload that returns x.
    """

    label: str
    values: tuple[int, ...]
    change: Callable[[Workload, int], Workload]
    quantity: Callable[[Workload], int]


def _frames(workload, value):
    context = max(value // 2, 1)
    return dataclasses.replace(workload, context_frames=context, forecast_frames=value - context)


def _field(name):
    return lambda workload, value: dataclasses.replace(workload, **{name: value})


AXES = {
    "frames": Axis("steps in time", (6, 10, 20, 40), _frames, lambda workload: workload.steps),
    "side": Axis("pixels", (16, 32, 64), _field("side"), lambda workload: workload.side**2),
    "filters": Axis("filters", (8, 16, 32, 64), _field("filters"), lambda workload: workload.filters),
    "batch_size": Axis("clips", (1, 2, 4, 8), _field("batch_size"), lambda workload: workload.batch_size),
    "layers": Axis("layers", (2, 4, 6), _field("layers"), lambda workload: workload.layers),
}
KINDS = ("time", "memory", "convolutions")
NOTES = (
    "Exponents e of y = a x^e, over all sizes and over the last two: of the time of a training step, of its activation "
    "memory and of its convolutions' arithmetic. What is fixed lowers them, least over the last two.",
    "Times are medians, all sizes of a model measured in turns (A B C A B C ...) in one process; memory is that of a "
    "fresh process each: the most in use behind the first step, less what was in use before it.",
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this benchmark."""
    parser = command.make_parser(
        "scaling",
        "Growth of time and memory of a training step with frames, pixels, filters, batch and layers.",
        "--models conv_lstm --axis filters=4,8,16 --axis batch_size=1,2 --json scaling.json --figure scaling.png",
        repetitions=3,
    )
    command.add_workload(parser, models=["ms_lstm"], batch_size=2, side=32, filters=16)
    parser.add_argument("--variant", choices=VARIANTS, default="fast", help="default: %(default)s")
    defaults = "; ".join(f"{name}={','.join(map(str, axis.values))}" for name, axis in AXES.items())
    parser.add_argument(
        "--axis",
        type=axis_values,
        action="append",
        metavar="NAME=VALUES",
        help=f"measure along this axis only; may be repeated (default: {defaults})",
    )
    return parser


def axis_values(text: str) -> tuple[str, tuple[int, ...]]:
    """Reads an axis and its values, "filters=8,16".

    Raises:
        argparse.ArgumentTypeError: if the axis is unknown or there are not two different values.
    """
    name, _, values = text.partition("=")
    if name not in AXES:
        raise argparse.ArgumentTypeError(f"must name one of {', '.join(AXES)}. Received: {text!r}")
    numbers = tuple(sorted({command.positive(value) for value in values.split(",")}))
    if len(numbers) < 2 or (name == "frames" and numbers[0] < 3):
        rule = "two different values, of frames three or more each"
        raise argparse.ArgumentTypeError(f"must hold at least {rule}. Received: {text!r}")
    return name, numbers


def measure(options: argparse.Namespace) -> Report:
    """Measures what the options ask for."""
    axes = dict(options.axis or ((name, axis.values) for name, axis in AXES.items()))
    report = Report("scaling", notes=list(NOTES), columns=len(axes))
    grids = {
        base: {name: [AXES[name].change(base, value) for value in values] for name, values in axes.items()}
        for base in command.workloads(options)
    }
    sizes = {base: list(dict.fromkeys(itertools.chain(*grid.values()))) for base, grid in grids.items()}
    command.check(list(itertools.chain(*sizes.values())))
    for base, grid in grids.items():
        progress(str(base))
        found = _measured(sizes[base], options)
        entries = [_entry(name, points, found) for name, points in grid.items()]
        report.results += [
            {"workload": base.to_dict(), "variant": options.variant, **entry} for entry in entries
        ]
        report.tables[f"sizes: {base}"] = [row for entry in entries for row in _size_rows(entry)]
        report.tables[f"exponents: {base}"] = [_exponent_row(entry) for entry in entries]
        report.drawings += [
            partial(_draw_growth, entry=entry, title=f"{base.model}, {options.variant}") for entry in entries
        ]
    return report


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Returns e of the fit y = a x^e by least squares on logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def _measured(points: Sequence[Workload], options: argparse.Namespace) -> dict[Workload, dict[str, Sample]]:
    """Returns for each size what `KINDS` names: of a training step, and of its convolutions."""
    from benchmarks.convolutions import find_convolutions, gigaflops
    from benchmarks.networks import compiled, training_step

    found = {}
    for index, point in enumerate(points, 1):
        progress(f"size {index} of {len(points)}: {point}")
        probe = in_fresh_process(
            "training_memory", workload=point.to_dict(), variant=options.variant, steps=1
        )
        work = gigaflops(find_convolutions(point), point, "training")
        found[point] = {"memory": training_samples([probe])["later"], "convolutions": Sample((work,))}
    steps = {point: training_step(compiled(point, options.variant), point) for point in points}
    for point, sample in time_in_turns(steps, options.repetitions).items():
        found[point]["time"] = sample
    return found


def _entry(name, points, found):
    """What was found along an axis, as plain data."""
    axis = AXES[name]
    x = [axis.quantity(point) for point in points]
    samples = {kind: [found[point][kind] for point in points] for kind in KINDS}
    medians = {kind: [sample.median for sample in row] for kind, row in samples.items()}
    return {
        "axis": name,
        "quantity": axis.label,
        "x": x,
        **{kind: [sample.to_dict() for sample in row] for kind, row in samples.items()},
        "exponents": {kind: exponent(x, row) for kind, row in medians.items()},
        "last_exponents": {kind: exponent(x[-2:], row[-2:]) for kind, row in medians.items()},
    }


def _size_rows(entry):
    for index, x in enumerate(entry["x"]):
        time = entry["time"][index]
        yield {
            "along": entry["quantity"],
            "x": str(x),
            "median s": number(time["median"]),
            "range s": f"{number(time['min'])} .. {number(time['max'])}",
            "memory MiB": number(entry["memory"][index]["median"]),
            "convolutions GFLOP": number(entry["convolutions"][index]["median"]),
        }


def _exponent_row(entry):
    row = {"along": entry["quantity"]} | {kind: f"{e:.2f}" for kind, e in entry["exponents"].items()}
    return row | {f"{kind}, last two": f"{e:.2f}" for kind, e in entry["last_exponents"].items()}


def _draw_growth(axes, entry, title):
    """Draws what grows by its first value, so that the slopes can be compared."""
    curves = {}
    for kind, e in entry["exponents"].items():
        values = [sample["median"] for sample in entry[kind]]
        curves[f"{kind}, exponent {e:.2f}"] = (entry["x"], [value / values[0] for value in values])
    draw_curves(axes, curves, title=title, x=entry["quantity"], y="times the first")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see `benchmarks.command.run`."""
    return command.run(make_parser(), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
