"""Weights of the public PyTorch implementation in our models."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cells.cms_lstm import CMSLSTMCell
from mslstm_keras.cells.conv_lstm import ConvLSTMCell
from mslstm_keras.cells.mim import MIMCell
from mslstm_keras.cells.mk_lstm import MKLSTMCell
from mslstm_keras.cells.mode_rnn import MoDeRNNCell
from mslstm_keras.cells.motion_rnn import MotionCell, MotionGRU
from mslstm_keras.cells.precip_lstm import PrecipLSTMCell
from mslstm_keras.cells.pred_rnn import PredRNNCell
from mslstm_keras.cells.pred_rnn_plus_plus import CausalLSTMCell, GradientHighwayUnit
from mslstm_keras.cells.pred_rnn_v2 import Decoupling
from mslstm_keras.cells.traj_gru import TrajGRUCell
from mslstm_keras.importing import needed
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import Rollout, find_layer


@dataclass(frozen=True)
class Source:
    """Where the parameters of one of our convolutions stand in the reference.

    Attributes:
        convolutions: names of the reference's convolutions that ours is the sum of: their kernels stand side
            by side along the input channels, their biases add up.
        gates: which of their gates ours are, in our order; all of them if empty.
        biases: (our gate, name, its gate) of further convolutions whose bias our gate's stands for.
    """

    convolutions: tuple[str, ...]
    gates: tuple[int, ...] = ()
    biases: tuple[tuple[int, str, int], ...] = ()


def _one(*names, **options):
    return (Source(names, **options),)


_ST_LSTM = {
    "spatial": _one("_conv_x2h_m", "_conv_m2h_m"),
    "c_to_o": _one("_conv_c2o"),
    "m_to_o": _one("_conv_m2o"),
    "fuse": _one("_conv_c_m"),
}
_CONV_LSTM = {"temporal": _one("_conv_x2h", "_conv_h2h")}

SOURCES: dict[type[keras.layers.Layer], dict[str, tuple[Source, ...]]] = {
    ConvLSTMCell: _CONV_LSTM,
    MKLSTMCell: {
        "gates_3": _one("_conv_x2h_3", "_conv_h2h_3", biases=((3, "_conv_c2o_3", 0),)),
        "gates_5": _one("_conv_x2h_5", "_conv_h2h_5", biases=((3, "_conv_c2o_5", 0),)),
        "c3_to_o": _one("_conv_c2o_3"),
        "c5_to_o": _one("_conv_c2o_5"),
        "fuse": _one("_conv_out"),
    },
    TrajGRUCell: {
        "from_inputs": _one("_conv_x2h", biases=((0, "project", 0), (1, "project", 1))),
        "flow_features": _one("_conv_x2f", "_conv_h2f"),
        "flow": _one("_conv_flow"),
        "warped_to_gates": _one("project", gates=(0, 1)),
        "warped_to_n": _one("project", gates=(2,)),
    },
    PredRNNCell: {
        "temporal": _one("_conv_x2h", "_conv_h2h", biases=((3, "_conv_c2o", 0), (3, "_conv_m2o", 0))),
        **_ST_LSTM,
    },
    CausalLSTMCell: {
        "temporal": _one("_conv_x_h_c"),
        "spatial": _one("_conv_x_c_m"),
        "mix": _one("_conv_m"),
        "output_gate": _one("_conv_o"),
        "fuse": _one("_conv_c_m"),
    },
    GradientHighwayUnit: {"highway": _one("_conv_x", "_conv_z")},
    MIMCell: {
        "non_stationary": _one("_conv_x2h_n", "_conv_n2h_n"),
        "non_stationary_output": _one("_conv_diff2o", "_conv_n2o"),
        "stationary": _one("_conv_x2h_s", "_conv_c2h_s", biases=((3, "_conv_s2o", 0),)),
        "s_to_o": _one("_conv_s2o"),
        "temporal": _one(
            "_conv_x2h", "_conv_h2h", gates=(0, 2, 3), biases=((2, "_conv_c2o", 0), (2, "_conv_m2o", 0))
        ),
        **_ST_LSTM,
    },
    MotionGRU: {
        "encode": _one("_conv_enc"),
        "gates": (Source(("_conv_u",)), Source(("_conv_r",))),
        "candidate": _one("_conv_z"),
        "weigh": _one("_conv_hm"),
        "decode": _one("_conv_dec"),
        "enlarge": _one("_deconv_dec"),
        "blend": _one("_conv_g"),
    },
    MotionCell: {"cell": (), "motion_gru": ()},
    PrecipLSTMCell: {
        "attention.query": _one("LA.conv1"),
        "attention.key": _one("LA.conv2"),
        "attention.value": _one("LA.conv3"),
        "attended": _one("_conv_x_x_att"),
        "temporal": _one(
            "_conv_x2h",
            "_conv_h2h",
            biases=tuple((3, name, 0) for name in ("_conv_c2o", "_conv_ms2o", "_conv_mt2o", "_conv_m2o")),
        ),
        "meteorological_spatial": _one("_conv_x2h_ms", "_conv_ms2h_ms"),
        "meteorological_temporal": _one("_conv_x2h_mt", "_conv_mt2h_mt"),
        "ms_to_o": _one("_conv_ms2o"),
        "mt_to_o": _one("_conv_mt2o"),
        **_ST_LSTM,
        "fuse": _one("c_m_ms_mt"),
    },
    CMSLSTMCell: {
        "h_to_x": _one("convQ"),
        "x_to_h": _one("convR"),
        **_CONV_LSTM,
        **{
            f"attentions.{stage}.{role}": _one(f"SEBlock.stages.{stage}.f_{role}")
            for stage in range(3)
            for role in ("query", "key", "value")
        },
        "join": _one("SEBlock.conv_bn"),
        "squeeze": _one("SEBlock.w_z"),
        "expression": _one("SEBlock.w_h2h", "SEBlock.w_z2h"),
    },
    MoDeRNNCell: {
        **{
            f"{ours}.{number}": _one(
                f"conv{size}{size}_{theirs}",
                biases=((0, f"conv55_{theirs}", 0), (0, f"conv77_{theirs}", 0)) if size == 3 else (),
            )
            for ours, theirs in (("h_to_x", "H"), ("x_to_h", "X"))
            for number, size in enumerate((3, 5, 7))
        },
        **_CONV_LSTM,
    },
}
"""For every kind of layer: its convolutions, and their parameters in the reference's cell; several sources stand side
by side along the output channels, a layer without sources is in this table itself."""


@dataclass(frozen=True)
class Unused:
    """Tensors that the reference builds in a cell and never uses.

    Attributes:
        beside: kind of cell that a model must hold for it to be so; None for any model.
        tensors: their names, or beginnings of them.
    """

    beside: type[SpatiotemporalCell] | None
    tensors: tuple[str, ...]


def _convolutions(kind):
    return tuple(
        f"{name}." for sources in SOURCES[kind].values() for each in sources for name in each.convolutions
    )


UNUSED: dict[type[SpatiotemporalCell], Unused] = {
    CausalLSTMCell: Unused(GradientHighwayUnit, _convolutions(GradientHighwayUnit)),
    PredRNNCell: Unused(
        MIMCell, tuple(name for name in _convolutions(MIMCell) if name not in _convolutions(PredRNNCell))
    ),
    MIMCell: Unused(MotionCell, _convolutions(MotionGRU)),
    CMSLSTMCell: Unused(None, tuple(f"SEBlock.stages.{stage}.f_key.bias" for stage in range(3))),
}


def _all():
    return slice(None)


@dataclass(frozen=True)
class Part:
    """A tensor of the reference, or some gates of it, as a part of one of our variables.

    Attributes:
        name: of the tensor.
        inputs: where it stands along the input channels of our kernel.
        outputs: where it stands along the output channels of ours.
        cut: which of its own output channels these are.
    """

    name: str
    inputs: slice = field(default_factory=_all)
    outputs: slice = field(default_factory=_all)
    cut: slice = field(default_factory=_all)

    def of_ours(self, value: np.ndarray) -> np.ndarray:
        """The part of a variable, or of its gradient."""
        return value[:, :, self.inputs, self.outputs] if len(value.shape) == 4 else value[self.outputs]

    def of_theirs(self, tensor: np.ndarray) -> np.ndarray:
        """What stands there, in our layout: of the tensor, or of its gradient."""
        return to_keras_layout(tensor)[..., self.cut]


@dataclass(frozen=True)
class Placement:
    """One of our variables and the reference's tensors it is made of.

    Attributes:
        variable: kernel (height, width, in, out) or bias (out,).
        parts: of a kernel side by side; in a bias, parts that overlap add up.
    """

    variable: keras.Variable
    parts: tuple[Part, ...]


def placements_of(layer: keras.layers.Layer, prefix: str = "") -> Iterator[Placement]:
    """Yields the placements of every variable of a built cell, or other layer of `SOURCES`.

    Args:
        layer: the cell.
        prefix: str. What the names of its tensors begin with.

    Raises:
        ValueError: if the reference has no such cell, or warps otherwise.
    """
    if type(layer) not in SOURCES:
        raise ValueError(
            f"`model` must be made of cells that the reference code has: "
            f"{', '.join(kind.__name__ for kind in SOURCES)}. Received: {type(layer).__name__}"
        )
    if not getattr(layer, "half_pixel_offset", True):
        raise ValueError(
            "`model` must warp as the reference code does, half_pixel_offset=True. Received: "
            f"half_pixel_offset=False in {layer.name!r}"
        )
    for path, sources in SOURCES[type(layer)].items():
        part = _at(layer, path)
        if part is None:
            continue
        if sources:
            yield from _conv_placements(part, sources, prefix, layer.filters)
        else:
            yield from placements_of(part, prefix)


def model_placements(model: keras.Model) -> Iterator[Placement]:
    """Yields the placements of every trained variable of a model of `create_model`."""
    step = find_layer(model, Rollout).step
    yield from _conv_placements(step.get_layer("embed"), _one("conv_embed"), "embed.")
    for cell, prefix in _prefixes(step):
        yield from placements_of(cell, prefix)
    for layer in step.layers:
        if isinstance(layer, Decoupling):
            yield from _conv_placements(layer.adapter, _one("adapter"), "rnns.")
    yield from _conv_placements(step.get_layer("head"), _one("conv_fc"), "fc.")


def load_reference_parameters(model: keras.Model, parameters: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of a model from parameters of the public PyTorch implementation.

    Kernels are turned from (out, in, height, width) to (height, width, in, out), those that are added before
    the same gate are joined, and the biases of a gate are summed. Tensors that the reference never uses are left out.

    Args:
        model: model of `create_model`, with the architecture, filters and layers of the parameters, and
            `half_pixel_offset=True` if it warps.
        parameters: name -> array, as in the reference's state dict, with or without "module." before all names.

    Raises:
        ValueError: if tensors are missing, unexpected or wrongly shaped (all are named), if the model warps otherwise,
            or if the reference has no such cell. The model is then unchanged.
    """
    parameters = {name.removeprefix("module."): value for name, value in parameters.items()}
    placements, unused = list(model_placements(model)), _unused(find_layer(model, Rollout).step)
    assign_parameters(
        placements, {name: value for name, value in parameters.items() if not name.startswith(unused)}
    )


def assign_parameters(placements: list[Placement], parameters: Mapping[str, np.ndarray]) -> None:
    """Sets the variables of placements; see `load_reference_parameters`."""
    expected = {part.name for placement in placements for part in placement.parts}
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
    """Turns a kernel (out, in, height, width) to (height, width, in, out); leaves a bias as it is.

    A transposed convolution's (in, out, height, width) becomes (height, width, out, in), which is Keras' layout of it.
    """
    return np.transpose(tensor, (2, 3, 1, 0)) if np.ndim(tensor) == 4 else np.asarray(tensor)


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a state dict that PyTorch has saved. Nothing in the file is run.

    Args:
        path: file written by `torch.save(model.state_dict(), path)`.

    Returns:
        Name -> array.

    Raises:
        ValueError: if the file is no state dict, or would need more than tensors to be unpickled.
        ImportError: if PyTorch is not installed.
    """
    with needed("A file of PyTorch", "torch"):
        import torch
    import pickle

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError):
        # What PyTorch says advises to let the file run its code.
        raise ValueError(
            "`path` must be a state dict saved by PyTorch, with nothing in it but tensors. Received: "
            f"{os.fspath(path)!r}"
        ) from None
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(
            "`path` must be a state dict: a mapping of names to tensors. Received: "
            f"{os.fspath(path)!r}, which holds {type(state).__name__}"
        )
    return {name: value.float().numpy() for name, value in state.items()}


def convert(
    parameters: Mapping[str, np.ndarray],
    name: str,
    frame_size: Sequence[int],
    context_frames: int,
    forecast_frames: int,
    **options: Any,
) -> keras.Model:
    """Builds a named model with parameters of the public PyTorch implementation.

    Channels, filters and layers are read off the parameters.

    Args:
        parameters: name -> array, as `read_checkpoint` returns them.
        name: str. One of `list_models()`.
        frame_size: (height, width) of a frame, in pixels.
        context_frames: int. Frames given.
        forecast_frames: int. Frames to forecast.
        **options: further arguments of `create_model`, for example `links`.

    Returns:
        A `keras.Model`; it warps as the reference does.

    Raises:
        ValueError: if the parameters are not those of such a model, or an argument breaks its rule.
    """
    names = {key.removeprefix("module."): key for key in parameters}
    embed = names.get("embed.conv_embed.weight")
    if embed is None or np.ndim(parameters[embed]) != 4:
        raise ValueError(
            "`parameters` must be those of a model of the reference code, with a tensor 'embed.conv_embed.weight'. "
            f"Received: {sorted(names)[:3]} and others, {len(names)} in all"
        )
    filters, channels = parameters[embed].shape[:2]
    levels = {key.split(".")[2] for key in names if key.startswith("rnns.lstm.")}
    sizes = {"filters": int(filters), "layers": len(levels), **options}
    arguments = name, (*frame_size, int(channels)), context_frames, forecast_frames
    model = create_model(*arguments, **sizes)
    layers = find_layer(model, Rollout).step._flatten_layers()
    if any(hasattr(layer, "half_pixel_offset") for layer in layers):
        model = create_model(*arguments, **{**sizes, "half_pixel_offset": True})
    load_reference_parameters(model, parameters)
    return model


def _at(layer, path):
    """Returns a sub-layer by its path, None where the cell is built without it."""
    for step in path.split("."):
        layer = layer[int(step)] if step.isdigit() else getattr(layer, step, None)
        if layer is None:
            return None
    return layer


def _prefixes(step):
    """Yields every cell of a step, and what its tensors' names begin with: a gradient highway is part of the next."""
    level = 0
    for layer in step.layers:
        if isinstance(layer, SpatiotemporalCell):
            yield layer, f"rnns.lstm.{level}."
            level += not isinstance(layer, GradientHighwayUnit)


def _unused(step):
    """Returns beginnings of the names of all tensors that a model has no use for."""
    kinds = {type(layer) for cell, _ in _prefixes(step) for layer in cell._flatten_layers()}
    names, used = [], []
    for cell, prefix in _prefixes(step):
        for layer in cell._flatten_layers():
            unused = UNUSED.get(type(layer))
            if unused and (unused.beside is None or unused.beside in kinds):
                names += [prefix + name for name in unused.tensors]
        used += [part.name for placement in placements_of(cell, prefix) for part in placement.parts]
    return tuple(name for name in names if not any(each.startswith(name) for each in used))


def _conv_placements(layer, sources, prefix, filters=None):
    conv = getattr(layer, "conv", layer)
    outputs = conv.filters // len(sources)
    kernel, bias = [], []
    for number, source in enumerate(sources):
        width = outputs // (len(source.gates) or getattr(layer, "gates", 1) // len(sources))
        whole = slice(number * outputs, (number + 1) * outputs) if len(sources) > 1 else slice(None)
        cuts = [(whole, slice(None))]
        if source.gates:
            cuts = [(_gate(ours, width), _gate(theirs, width)) for ours, theirs in enumerate(source.gates)]
        for name, inputs in zip(source.convolutions, _input_channels(conv, source, filters), strict=True):
            kernel += [Part(f"{prefix}{name}.weight", inputs, *cut) for cut in cuts]
            bias += [Part(f"{prefix}{name}.bias", slice(None), *cut) for cut in cuts]
        bias += [
            Part(f"{prefix}{name}.bias", slice(None), _gate(ours, width), _gate(theirs, width))
            for ours, name, theirs in source.biases
        ]
    yield Placement(conv.kernel, tuple(kernel))
    if conv.use_bias:
        yield Placement(conv.bias, tuple(bias))


def _gate(number, width):
    return slice(number * width, (number + 1) * width)


def _input_channels(conv, source, filters):
    """Yields where the kernels of a source stand along our input channels.

    The input's comes first; the others read hidden states and memories of `filters` channels.
    """
    if len(source.convolutions) == 1:
        yield slice(None)
        return
    start = conv.kernel.shape[2] - filters * (len(source.convolutions) - 1)
    yield slice(0, start)
    for _ in source.convolutions[1:]:
        yield slice(start, start + filters)
        start += filters


def _assemble(placement, parameters):
    value = np.zeros(placement.variable.shape, "float32")
    for part in placement.parts:
        target, tensor = part.of_ours(value), part.of_theirs(parameters[part.name])
        if tensor.shape != target.shape:
            raise ValueError(
                f"`parameters` must have the shapes of the model: {part.name!r} as {target.shape} (height, width, in, "
                f"out; or out). Received: {tensor.shape}"
            )
        target += tensor
    return value
