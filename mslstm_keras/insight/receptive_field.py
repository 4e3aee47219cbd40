"""What a layer sees: its receptive field in theory and by gradients, and the maps that it puts out."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from mslstm_keras.insight.maps import cell_maps, checked_clips, zero_states
from mslstm_keras.layers.attention import BlockAttention, LocalAttention
from mslstm_keras.layers.gates import GateConv
from mslstm_keras.layers.patch import SpaceToDepth
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.models.symbolic import origin

VISIBLE = 0.0455  # of the maximum: what a Gaussian has left two standard deviations away, by Luo et al.

# Operations whose output at a pixel depends on their inputs at that pixel alone, if height and width stay.
POINTWISE = {
    "Absolute", "Add", "Cast", "Clip", "Concatenate", "Divide", "Elu", "Exp", "Floor", "Gelu", "GetItem",
    "GreaterEqual", "HardSigmoid", "LeakyRelu", "Less", "Log", "LogicalAnd", "Maximum", "Minimum", "Multiply",
    "Negative", "Power", "Relu", "Reshape", "Selu", "Sigmoid", "Silu", "Softplus", "Split", "Sqrt", "Square",
    "Subtract", "Tanh", "TrueDivide", "Where",
}  # fmt: skip
CONSTANT = {"OnesLike", "ZerosLike"}
WHOLE_MAP = "the whole map, by attention"
ALONG_FLOWS = "without bound: maps are sampled along flows, which depend on the data"
STATES_ALONG_FLOWS = "over time without bound: states are sampled along flows, which depend on the data"


@dataclasses.dataclass(frozen=True)
class CellField:
    """What one cell of the encoder sees of the frame.

    Attributes:
        name: str. "cell 1" is the lowest.
        scale: int. How many times smaller than the frame its map is.
        kernel_size: int. Side of its largest convolution over the inputs.
        paper: int. Side by the paper's count, in pixels of the frame.
        span: pixels before and behind the one that its pixel lies on, along every path; None where that has no bound.
    """

    name: str
    scale: int
    kernel_size: int
    paper: int
    span: tuple[int, int] | None

    @property
    def side(self) -> int | None:
        """Side of what it sees along every path, in pixels of the frame."""
        return self.span and sum(self.span) + 1

    def box(self, height: int, width: int) -> tuple[int, int, int] | None:
        """Returns (top, left, side) of what the centre of its map sees of a frame; it may reach beyond the frame."""
        if self.span is None or self.side is None:
            return None
        top, left = (side // self.scale // 2 * self.scale - self.span[0] for side in (height, width))
        return top, left, self.side


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """What the encoder of a model sees of the frame within one time step.

    Attributes:
        cells: one `CellField` for each of its cells; the last is that of the encoder.
        note: str. Why a side has no bound, or what it leaves out; empty if there is nothing to say.
    """

    cells: tuple[CellField, ...]
    note: str

    @property
    def paper(self) -> int:
        """Side by the paper's count."""
        return self.cells[-1].paper

    @property
    def side(self) -> int | None:
        """Side along every path, None where it has no bound."""
        return self.cells[-1].side


def theoretical_receptive_field(model: keras.Model) -> ReceptiveField:
    """Returns what the encoder of a model sees of the frame within one time step, by the sizes of its kernels.

    The encoder is the first half of the stack: of the cells at the largest scale the first half, and all below.

    The paper counts a cell as one convolution over its inputs, and of a pooling that it multiplies what comes after:

        r = patch_size (1 + sum_n (k_n - 1) s_n)

    with s_n the scale of cell n over the patched frame and k_n its largest kernel over the inputs: 7 for the plain
    stack of 3x3 kernels, 15 for its pyramid, 29 for MS-LSTM, whose larger kernel is 5x5. States and attention do not
    count.

    Along every path it is more: a gate that reads a new memory is a second convolution over the inputs, a zigzag state
    comes from below, and a 2x2 pooling sees two pixels itself. That side is read off the graph of the step: an
    operation with kernel k and stride s over a map of scale j adds (k - 1) j to the side and makes j s of the scale.

    Args:
        model: model of `create_model`.

    Returns:
        `ReceptiveField`, both counts for each cell. What attends to the whole map or moves maps along flows has no
        bound; `note` says so.

    Raises:
        ValueError: if the model has no roll-out, or no cells.

    Reference: Ma, Zhang & Liu, "MS-LSTM", Applied Soft Computing 147 (2023), section 4.3.2.
    """
    step = find_layer(model, Rollout).step
    frame = step.inputs[0]
    walk = _Walk({id(frame): _Reach()} | {id(state): None for state in step.inputs[1:]})
    patch, paper, fields = frame.shape[1] // cell_maps(step)[0].shape[1], 1, []
    for number, output in enumerate(cell_maps(step)[: encoder_cells(model)], 1):
        cell, _ = origin(output)
        scale = frame.shape[1] // output.shape[1]
        kernel_size = _kernel_over_inputs(cell)
        paper += (kernel_size - 1) * scale // patch
        reach = walk.reach(output)
        span = (reach.before, reach.behind) if isinstance(reach, _Reach) else None
        fields.append(CellField(f"cell {number}", scale, kernel_size, patch * paper, span))
    return ReceptiveField(tuple(fields), reach if isinstance(reach, str) else "; ".join(sorted(walk.notes)))


def encoder_cells(model: keras.Model) -> int:
    """Returns how many cells make up the encoder of a model.

    Args:
        model: model of `create_model`.

    Raises:
        ValueError: if the model has no roll-out, or no cells.
    """
    heights = [output.shape[1] for output in cell_maps(find_layer(model, Rollout).step)]
    return heights.index(min(heights)) + (heights.count(min(heights)) + 1) // 2


def effective_receptive_field(
    model: keras.Model, clips: np.ndarray | Sequence[np.ndarray], cell: int | None = None
) -> np.ndarray:
    """Returns how much the centre of a cell's output depends on each pixel of each frame.

        E[t, i, j] = mean over clips of sum_c | d (sum_k y_T[centre, k]) / d x_t[i, j, c] |

    where y_T is the output at the last frame T. The centre is at half the height and half the width.

    Args:
        model: model of `create_model`.
        clips: floats in [0, 1], (time, height, width, channels) or (batch, time, height, width, channels), of any
            length; the model is fed with every frame.
        cell: int. Number of the cell, 1 for the lowest. Default: the last of the encoder.

    Returns:
        float32 (time, height, width). The last frame is that of the cell's own time step.

    Raises:
        ValueError: if the model has no roll-out, `clips` has another shape or `cell` is no cell of the model, or if the
            backend is not TensorFlow.

    Reference: Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
    NeurIPS 2016.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "`effective_receptive_field` must be asked on the TensorFlow backend. Received: "
            f"{keras.backend.backend()!r}"
        )
    step = find_layer(model, Rollout).step
    clips = checked_clips(clips, step)
    cells = cell_maps(step)
    cell = encoder_cells(model) if cell is None else cell
    if cell not in range(1, len(cells) + 1):
        raise ValueError(f"`cell` must be from 1 to {len(cells)}. Received: cell={cell!r}")
    probe = keras.Model(step.inputs, [cells[cell - 1], *step.outputs[1:]])
    # Clip by clip: a gradient keeps every map of every frame.
    return np.mean([_dependence_of_the_centre(probe, clip[None]) for clip in clips], axis=0)


def effective_side(dependence: np.ndarray) -> float:
    """Returns the side of an effective receptive field: of the square of as many pixels as count.

        side = sqrt( number of pixels above 4.55% of the largest )

    Args:
        dependence: (height, width), a frame of `effective_receptive_field`.

    Raises:
        ValueError: if it is not a map.

    Reference: Luo et al., NeurIPS 2016: the part of a Gaussian within two standard deviations.
    """
    if np.ndim(dependence) != 2:
        raise ValueError(
            f"`dependence` must be (height, width). Received: dependence.shape={np.shape(dependence)}"
        )
    return float(np.sqrt(np.count_nonzero(dependence > VISIBLE * np.max(dependence))))


@dataclasses.dataclass(frozen=True)
class _Reach:
    """A pixel p of a map sees the pixels p scale - before .. p scale + behind of the frame."""

    scale: int = 1
    before: int = 0
    behind: int = 0

    def through(self, kernel_size: int, stride: int, left: int) -> "_Reach":
        before = self.before + left * self.scale
        behind = self.behind + (kernel_size - 1 - left) * self.scale
        return _Reach(self.scale * stride, before, behind)

    def __or__(self, other: "_Reach") -> "_Reach":
        return _Reach(self.scale, max(self.before, other.before), max(self.behind, other.behind))


class _Walk:
    """Follows a graph backwards from a tensor to those whose reach is known.

    A reach is a `_Reach`; None for what does not depend on the frame; or a str that says why it has no bound.

    Args:
        known: id of a tensor -> its reach.
    """

    def __init__(self, known: dict[int, _Reach | str | None]):
        self.known = known
        self.notes: set[str] = set()
        self.first_kernels = {1}  # sides of convolutions over what sees one pixel

    def reach(self, tensor: keras.KerasTensor) -> _Reach | str | None:
        if id(tensor) not in self.known:
            operation, node = origin(tensor)
            reaches = [self.reach(each) for each in node.input_tensors]
            results = self._after(operation, node, reaches)
            self.known.update(zip(map(id, node.outputs), results, strict=True))
        return self.known[id(tensor)]

    def _after(self, operation, node, reaches):
        """Returns the reaches of all outputs of a node."""
        kind, found = type(operation).__name__, [each for each in reaches if each is not None]
        unbounded = [each for each in found if isinstance(each, str)]
        window = _window(operation)
        if not found or kind in CONSTANT:
            result = None
        elif kind == "Take":
            result = self._sampled(*reaches)
        elif isinstance(operation, BlockAttention):
            result = WHOLE_MAP
        elif unbounded:
            result = unbounded[0]
        elif window:
            result = self._through(operation, _union(found), window)
        elif kind in POINTWISE and _keeps_pixels(operation, node, reaches):
            result = _union(found)
        elif isinstance(operation, keras.layers.Layer):
            return self._inside(operation, node, reaches)
        else:
            result = f"without bound: {kind} may mix any pixels"
        return [result] * len(node.outputs)

    def _sampled(self, maps, places):
        if maps is not None:
            return ALONG_FLOWS
        self.notes.add(STATES_ALONG_FLOWS)
        return places

    def _through(self, operation, reach, window):
        if isinstance(operation, LocalAttention):
            self.notes.add(f"attention sees windows of {operation.window} pixels of each map")
        elif reach.before == reach.behind == 0:
            self.first_kernels.add(window[0])
        return reach.through(*window)

    def _inside(self, layer, node, reaches):
        """Returns the reaches of the outputs of a layer by the graph of its `call`."""
        inputs = [keras.KerasTensor(each.shape, each.dtype) for each in node.input_tensors]
        fresh = dict(zip(map(id, node.input_tensors), inputs, strict=True))
        args, kwargs = keras.tree.map_structure(
            lambda each: fresh.get(id(each), each), (node.arguments.args, node.arguments.kwargs)
        )
        walk = _Walk(dict(zip(map(id, inputs), reaches, strict=True)))
        walk.notes, walk.first_kernels = self.notes, self.first_kernels
        return [walk.reach(output) for output in keras.tree.flatten(layer.call(*args, **kwargs))]


def _window(operation):
    """Returns (kernel size, stride, pixels of the kernel before its place) of what sees a window, else None."""
    if isinstance(operation, GateConv):
        operation = operation.conv
    if isinstance(operation, LocalAttention):
        return operation.window, 1, operation.window // 2
    if isinstance(operation, SpaceToDepth):
        return operation.patch_size, operation.patch_size, 0
    if isinstance(operation, keras.layers.Conv2D) and not isinstance(operation, keras.layers.Conv2DTranspose):
        spread = (max(operation.kernel_size) - 1) * max(operation.dilation_rate) + 1
        return _padded(spread, max(operation.strides), operation.padding)
    if isinstance(operation, (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)):
        return _padded(max(operation.pool_size), max(operation.strides), operation.padding)
    return None


def _padded(kernel_size, stride, padding):
    return kernel_size, stride, max(kernel_size - stride, 0) // 2 if padding == "same" else 0


def _keeps_pixels(operation, node, reaches):
    reached = [each for each, reach in zip(node.input_tensors, reaches, strict=True) if reach is not None]
    rank = len(reached[0].shape)
    return getattr(operation, "axis", -1) in (-1, rank - 1) and all(
        each.shape[1:3] == output.shape[1:3] for each in reached for output in node.outputs
    )


def _union(reaches):
    first, *others = reaches
    for other in others:
        first |= other
    return first


def _kernel_over_inputs(cell):
    """Returns the side of a cell's largest convolution over its inputs."""
    inputs = keras.KerasTensor(cell.inputs_shape, cell.compute_dtype)
    states = [keras.KerasTensor(shape, cell.compute_dtype) for shape in cell.state_shapes(cell.inputs_shape)]
    walk = _Walk({id(inputs): _Reach()} | {id(state): None for state in states})
    walk.reach(cell.call(inputs, states)[0])
    return max(walk.first_kernels)


def _dependence_of_the_centre(probe, clip):
    import tensorflow as tf

    clip, *states = map(tf.convert_to_tensor, (clip, *zero_states(probe)))
    with tf.GradientTape() as tape:
        tape.watch(clip)
        for time in range(clip.shape[1]):
            output, *states = probe([clip[:, time], *states])
        height, width = output.shape[1:3]
        centre = tf.reduce_sum(tf.cast(output[:, height // 2, width // 2], "float32"))
    return np.abs(tape.gradient(centre, clip).numpy()).sum(axis=(0, -1))
