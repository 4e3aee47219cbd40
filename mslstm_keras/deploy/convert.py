"""Weights of the public PyTorch implementation in our models."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import keras
import numpy as np

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cells.conv_lstm import ConvLSTMCell
from mslstm_keras.cells.mk_lstm import MKLSTMCell
from mslstm_keras.models.rollout import Rollout, find_layer


@dataclass(frozen=True)
class Source:
    """Where the parameters of one of our convolutions stand in the reference.

    Attributes:
        convolutions: names of the reference's convolutions that ours is the sum of: their kernels stand side
            by side along the input channels, their biases add up.
        gate_biases: for gates whose bias stands for further ones: index of the gate -> name of the convolution.
    """

    convolutions: tuple[str, ...]
    gate_biases: Mapping[int, str] = field(default_factory=dict)


CELLS: dict[type[SpatiotemporalCell], dict[str, Source]] = {
    ConvLSTMCell: {"temporal": Source(("_conv_x2h", "_conv_h2h"))},
    MKLSTMCell: {
        "gates_3": Source(("_conv_x2h_3", "_conv_h2h_3"), {3: "_conv_c2o_3"}),
        "gates_5": Source(("_conv_x2h_5", "_conv_h2h_5"), {3: "_conv_c2o_5"}),
        "c3_to_o": Source(("_conv_c2o_3",)),
        "c5_to_o": Source(("_conv_c2o_5",)),
        "fuse": Source(("_conv_out",)),
    },
}
"""For every cell: its convolutional sub-layers and their parameters in the reference's cell."""


@dataclass(frozen=True)
class Placement:
    """One of our variables and the reference's tensors it is made of.

    Attributes:
        variable: kernel (height, width, in, out) or bias (out,).
        tensors: (name, part of our variable) of the tensors; in a bias, parts that overlap add up.
    """

    variable: keras.Variable
    tensors: tuple[tuple[str, slice], ...]


def cell_placements(cell: SpatiotemporalCell, prefix: str = "") -> Iterator[Placement]:
    """Yields the placements of every variable of a built cell; tensor names start with `prefix`.

    Raises:
        ValueError: if the reference has no such cell.
    """
    if type(cell) not in CELLS:
        raise ValueError(
            f"`model` must be made of cells that the reference code has: "
            f"{', '.join(kind.__name__ for kind in CELLS)}. Received: {type(cell).__name__}"
        )
    for attribute, source in CELLS[type(cell)].items():
        layer = getattr(cell, attribute)
        yield from _conv_placements(getattr(layer, "conv", layer), source, prefix, cell.filters)


def model_placements(model: keras.Model) -> Iterator[Placement]:
    """Yields the placements of every trained variable of a model of `create_model`."""
    step = find_layer(model, Rollout).step
    cells = [layer for layer in step.layers if isinstance(layer, SpatiotemporalCell)]
    yield from _conv_placements(step.get_layer("embed"), Source(("embed.conv_embed",)))
    for index, cell in enumerate(cells):
        yield from cell_placements(cell, f"rnns.lstm.{index}.")
    yield from _conv_placements(step.get_layer("head"), Source(("fc.conv_fc",)))


def load_reference_parameters(model: keras.Model, parameters: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of a model from parameters of the public PyTorch implementation.

    Kernels are turned from (out, in, height, width) to (height, width, in, out), those that are added before
    the same gate are joined, and the biases of a gate are summed.

    Args:
        model: model of `create_model`, with the architecture, filters and layers of the parameters.
        parameters: name -> array, as in the reference's state dict.

    Raises:
        ValueError: if tensors are missing, unexpected or wrongly shaped (all are named), or if the reference
            has no such cell. The model is then unchanged.
    """
    assign_parameters(list(model_placements(model)), parameters)


def assign_parameters(placements: list[Placement], parameters: Mapping[str, np.ndarray]) -> None:
    """Sets the variables of placements; see `load_reference_parameters`."""
    expected = {name for placement in placements for name, _ in placement.tensors}
    missing, unexpected = sorted(expected - set(parameters)), sorted(set(parameters) - expected)
    if missing or unexpected:
        raise ValueError(
            "`parameters` must hold exactly the tensors of the model. Received: "
            f"missing={missing}, unexpected={unexpected}"
        )
    values = [_assemble(placement, parameters) for placement in placements]
    for placement, value in zip(placements, values, strict=True):
        placement.variable.assign(value)


def to_keras_layout(tensor: np.ndarray) -> np.ndarray:
    """Turns a kernel (out, in, height, width) to (height, width, in, out); leaves a bias as it is."""
    return np.transpose(tensor, (2, 3, 1, 0)) if np.ndim(tensor) == 4 else np.asarray(tensor)


def _conv_placements(conv, source, prefix="", filters=None):
    inputs = conv.kernel.shape[2] // len(source.convolutions)
    if len(source.convolutions) > 1:
        # The input's kernel comes first; the others read hidden states and memories of `filters` channels.
        inputs = conv.kernel.shape[2] - filters * (len(source.convolutions) - 1)
    parts, start = [], 0
    for name in source.convolutions:
        parts.append((f"{prefix}{name}.weight", slice(start, start + inputs)))
        start, inputs = start + inputs, filters
    yield Placement(conv.kernel, tuple(parts))
    if conv.use_bias:
        biases = [(f"{prefix}{name}.bias", slice(None)) for name in source.convolutions]
        for gate, name in source.gate_biases.items():
            biases.append((f"{prefix}{name}.bias", slice(gate * filters, (gate + 1) * filters)))
        yield Placement(conv.bias, tuple(biases))


def _assemble(placement, parameters):
    value = np.zeros(placement.variable.shape, "float32")
    for name, part in placement.tensors:
        target = value[:, :, part] if value.ndim == 4 else value[part]
        tensor = to_keras_layout(parameters[name])
        if tensor.shape != target.shape:
            raise ValueError(
                f"`parameters` must have the shapes of the model: {name!r} as {target.shape} (height, width, in, "
                f"out; or out). Received: {tensor.shape}"
            )
        target += tensor
    return value
