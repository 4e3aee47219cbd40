"""What a model costs: parameters, multiply-accumulates, memory of training; beside the paper's figures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import keras

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cost.counting import count
from mslstm_keras.cost.measurement import Measurement, measure_training
from mslstm_keras.cost.memory import training_memory
from mslstm_keras.cost.published import FILTERS, Excess, Printed, excesses, find_printed
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import Rollout, find_layer

BYTES = 4  # of a parameter, in float32


@dataclass(frozen=True)
class Cost:
    """What a model costs. Multiply-accumulates (MACs) are of one clip's forward pass, bytes of a batch.

    Attributes:
        name: of the model.
        frame_shape: (height, width, channels) of a frame.
        context_frames: frames given.
        forecast_frames: frames to forecast.
        filters: channels of every cell.
        batch_size: clips in a step of training.
        parameters: number of weights.
        macs: kind of operation -> MACs, as `mslstm_keras.cost.counting.Count` has them.
        paper_macs: MACs by the paper's rule: convolutions, 11 for each value of an up-sampling, and nothing else.
        excesses: what the public code has besides, with MACs of the whole clip; None if it has no such cells.
        paper_memory: bytes by the paper's rule, 4 M_par + 2 M_out of the parameters and of all outputs.
        training_memory: bytes as `training_memory` predicts them.
        printed: the paper's figures; None where it has none for such frames, filters and cells.
        measured: what a training step took; None where it was not asked for or would not have fitted into memory.
    """

    name: str
    frame_shape: tuple[int, int, int]
    context_frames: int
    forecast_frames: int
    filters: int
    batch_size: int
    parameters: int
    macs: Mapping[str, int]
    paper_macs: int
    excesses: tuple[Excess, ...] | None
    paper_memory: int
    training_memory: int
    printed: Printed | None = None
    measured: Measurement | None = None

    @property
    def total_macs(self) -> int:
        """MACs of all operations."""
        return sum(self.macs.values())

    @property
    def public_parameters(self) -> int | None:
        """Parameters of the public code."""
        return self._with_excesses(self.parameters, "parameters")

    @property
    def public_macs(self) -> int | None:
        """MACs of the public code, by the paper's rule."""
        return self._with_excesses(self.paper_macs, "macs")

    def _with_excesses(self, own, field):
        return None if self.excesses is None else own + sum(getattr(each, field) for each in self.excesses)

    def remarks(self) -> Iterator[str]:
        """Yields, in words, why the public code's figures are not ours, and where those of the paper are not its."""
        for each in self.excesses or ():
            counts = [f"+{each.parameters:,} parameters"] * bool(each.parameters)
            counts += [f"+{each.macs / 1e9:.2f}G MACs"] * bool(each.macs)
            yield f"{', '.join(counts)}: {each.what}"
        parameters, macs = self.public_parameters, self.public_macs
        if self.printed and parameters is not None and macs is not None:
            yield from _misprint(parameters / 1e6, self.printed.parameters, "M", "parameters")
            yield from _misprint(macs / 1e9, self.printed.macs, "G", "MACs")

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        derived = {name: getattr(self, name) for name in ("total_macs", "public_parameters", "public_macs")}
        return {**asdict(self), **derived, "remarks": list(self.remarks())}


def count_cost(
    name: str,
    frame_shape: Sequence[int],
    context_frames: int,
    forecast_frames: int,
    filters: int = 32,
    batch_size: int = 1,
    *,
    measure: bool = False,
    **options: Any,
) -> Cost:
    """Counts what a model costs, on its own graph.

    Args:
        name: str. One of `list_models()`.
        frame_shape: (height, width, channels).
        context_frames: int. Frames given.
        forecast_frames: int. Frames to forecast.
        filters: int. Channels of every cell.
        batch_size: int. Clips in a step of training, for the memory.
        measure: bool. Also runs a forward and a training step in a process of its own, where they fit into memory.
        **options: further arguments of `create_model`.

    Returns:
        A `Cost`.

    Raises:
        ValueError: if `create_model` or `training_memory` does.
    """
    arguments = {"filters": filters, **options}
    model = create_model(name, frame_shape, context_frames, forecast_frames, **arguments)
    rollout = find_layer(model, Rollout)
    step = count(rollout.step, rollout.step.inputs)
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_variables)
    needed = training_memory(model, batch_size, options.get("checkpoint"))
    height, width, channels = frame_shape
    clip = (height, width, channels), context_frames, forecast_frames
    return Cost(
        name,
        *clip,
        filters,
        batch_size,
        parameters,
        {kind: rollout.steps * macs for kind, macs in step.macs.items()},
        rollout.steps * step.paper_macs,
        _excesses(rollout),
        4 * BYTES * parameters + 2 * rollout.steps * batch_size * step.output_bytes,
        needed,
        None if options or filters != FILTERS else find_printed(name, *clip),
        measure_training(name, *clip, batch_size, needed, **arguments) if measure else None,
    )


@dataclass(frozen=True)
class ModelCost:
    """What a model and its forecast of one clip cost.

    Attributes:
        parameters: number of trained weights.
        macs: multiply-accumulates of a forecast.
    """

    parameters: int
    macs: int


def model_cost(model: keras.Model) -> ModelCost:
    """Counts what a model that is there costs.

    Raises:
        ValueError: if the model has no roll-out.
    """
    rollout = find_layer(model, Rollout)
    macs = sum(count(rollout.step, rollout.step.inputs).macs.values())
    return ModelCost(
        sum(math.prod(weight.shape) for weight in model.trainable_variables),
        rollout.steps * macs,
    )


def _excesses(rollout):
    """Returns the excesses of a model over all steps."""
    found = excesses([layer for layer in rollout.step.layers if isinstance(layer, SpatiotemporalCell)])
    return found and tuple(replace(each, macs=rollout.steps * each.macs) for each in found)


def _misprint(counted, printed, unit, what):
    if f"{counted:.1f}" != f"{printed:.1f}":
        yield f"the paper prints {printed:.1f}{unit} {what}, its rule gives {counted:.1f}{unit}"


def _number(value, unit, digits):
    return "-" if value is None else f"{value / unit:,.{digits}f}"


# Group, heading, value of a `Cost`, unit and digits.
COLUMNS = (
    ("parameters, millions", "ours", lambda each: each.parameters, 1e6, 3),
    ("parameters, millions", "public code", lambda each: each.public_parameters, 1e6, 3),
    ("parameters, millions", "paper", lambda each: each.printed and each.printed.parameters, 1, 1),
    ("multiply-accumulates, 10^9", "all", lambda each: each.total_macs, 1e9, 2),
    ("multiply-accumulates, 10^9", "by the rule", lambda each: each.paper_macs, 1e9, 2),
    ("multiply-accumulates, 10^9", "public code", lambda each: each.public_macs, 1e9, 2),
    ("multiply-accumulates, 10^9", "paper", lambda each: each.printed and each.printed.macs, 1, 1),
    ("memory of training, GB", "by the rule", lambda each: each.paper_memory, 1e9, 2),
    ("memory of training, GB", "predicted", lambda each: each.training_memory, 1e9, 2),
    ("memory of training, GB", "paper", lambda each: each.printed and each.printed.memory, 1, 1),
)
MEASURED = (
    ("measured", "memory, GB", lambda each: each.measured and each.measured.peak_bytes, 1e9, 2),
    ("measured", "training, s", lambda each: each.measured and each.measured.training_seconds, 1, 2),
    ("measured", "forward, s", lambda each: each.measured and each.measured.forward_seconds, 1, 2),
)
LEGEND = """
all          (transposed) convolutions, matrix products, warps and up-samplings of our graph, for one clip
by the rule  multiply-accumulates: convolutions, transposed ones over their output, and 11 for a value of up-sampling;
             memory: 4 M_par + 2 M_out, of parameters and of outputs of convolutions, activations and products
predicted    what a process grows by in a step of training, without the libraries and the weights
public code  the PyTorch code that the paper measured, by the rule
paper        as printed; memory with all that the libraries take on a GPU
"""


def cost_table(costs: Sequence[Cost]) -> Iterator[str]:
    """Yields the lines of a table of costs, and below it what the figures are and why they differ."""
    columns = COLUMNS + (MEASURED if any(each.measured for each in costs) else ())
    names = [each.name for each in costs]
    left = max(map(len, names))
    cells = [[_number(value(each), unit, digits) for _, _, value, unit, digits in columns] for each in costs]
    widths = [max(map(len, column)) for column in zip([each[1] for each in columns], *cells, strict=True)]
    groups = (
        f"  {group:<{sum(widths[i] for i in members) + 2 * (len(members) - 1)}}"
        for group, members in _groups(columns)
    )
    yield (" " * left + "".join(groups)).rstrip()
    for name, row in zip(("", *names), ([each[1] for each in columns], *cells), strict=True):
        yield f"{name:<{left}}" + "".join(
            f"  {text:>{width}}" for text, width in zip(row, widths, strict=True)
        )
    yield from LEGEND.splitlines()
    yield ""
    yield "where they differ: what the public code has besides, and figures of the paper that its rule does not give"
    for each in costs:
        for number, remark in enumerate(each.remarks()):
            yield f"{'' if number else each.name:<{left}}  {remark}"


def _groups(columns):
    """Yields each group of columns and the numbers of its columns."""
    for group in dict.fromkeys(each[0] for each in columns):
        yield group, [number for number, each in enumerate(columns) if each[0] == group]
