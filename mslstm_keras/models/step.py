"""One time step of a model as a functional graph."""

import itertools
from collections.abc import Sequence

import keras

from mslstm_keras.cells.registry import Level
from mslstm_keras.integers import is_whole
from mslstm_keras.layers.advection import Advection
from mslstm_keras.layers.patch import DepthToSpace, SpaceToDepth

PENALTY = "penalty"  # name of the state that sums it
MAPS = {"data_format": "channels_last"}  # whatever Keras' own setting is


def build_step(
    frame_shape: Sequence[int],
    filters: int,
    levels: Sequence[Level],
    scales: Sequence[int],
    *,
    patch_size: int = 1,
    motion: bool = False,
    penalty: keras.layers.Layer | None = None,
) -> keras.Model:
    """Draws one time step: embed, the cells at their scales, head.

    Embed and head are 1x1 convolutions. Walking up the levels, where the scale doubles, the map and the
    zigzag states are max-pooled 2x2; where it halves, both are enlarged bilinearly by two, and the map of
    the way down at the same scale is added to the map (not to the zigzag states). A plain stack is a
    pyramid whose scales are all one.

    Args:
        frame_shape: (height, width, channels) of a frame.
        filters: int. Channels of the embedding.
        levels: list of cells or of tuples of cells, which run one after the other.
        scales: ints, one for each level: how many times smaller its maps are than the patched frame.
        patch_size: int. Side, in pixels, of the square patches that become channels before the embedding.
        motion: bool. The step tells where things move, and what changes on their way: the next frame is this one along
            a flow, one vector for each patch, plus the output of the head (`Advection`). Both begin at zero, which is
            persistence. False, as in the papers, leaves the whole next frame to the head.
        penalty: layer whose `reads` names states; called with a list of them, over all cells that have them, for
            each name, it returns what a step adds to the loss of a sample: (batch, 1, 1, 1).

    Returns:
        `keras.Model` with inputs [frame, *states] and outputs [next_frame, *new_states]. Each state is a
        named input: `cell_2_c` is state "c" of the second cell; a zigzag state, of which there is one for
        the whole stack, carries its own name. With a penalty the last state is "penalty", its sum so far.

    Raises:
        ValueError: if an argument breaks its rule; the message names the argument and the value received.
    """
    frame_shape, scales = tuple(frame_shape), tuple(scales)
    _check_levels(levels, scales)
    _check_frame_shape(frame_shape, patch_size, max(scales))
    # Cells alone compute in half precision: it rounds grey levels together, and the gradients of embed and head, sums
    # over all pixels, to one digit.
    single = keras.config.dtype_policy().variable_dtype
    frame = keras.Input(frame_shape, name="frame")
    x = SpaceToDepth(patch_size, name="patch", dtype=single)(frame) if patch_size > 1 else frame
    x = keras.layers.Conv2D(filters, 1, name="embed", dtype=single, **MAPS)(x)
    states, skips = _States(penalty.reads if penalty else ()), []
    for level, scale, scale_below in zip(levels, scales, (1, *scales), strict=False):
        if scale > scale_below:
            skips.append(x)
            x = keras.layers.MaxPooling2D(2, **MAPS)(x)
            states.resize_zigzag(_shrink)
        elif scale < scale_below:
            x = keras.layers.Add()([_enlarge(x), skips.pop()])
            states.resize_zigzag(_enlarge)
        for cell in level if isinstance(level, (tuple, list)) else (level,):
            x = states.through(cell, x)
    states.check_zigzag()
    if penalty:
        states.add_penalty(penalty)
    start = {"kernel_initializer": "zeros"} if motion else {}
    head = keras.layers.Conv2D(frame_shape[-1] * patch_size**2, 1, name="head", dtype=single, **start, **MAPS)
    next_frame = head(x)
    if patch_size > 1:
        next_frame = DepthToSpace(patch_size, name="unpatch", dtype=single)(next_frame)
    if motion:
        flow = keras.layers.Conv2D(2, 1, name="motion", dtype=single, **start, **MAPS)(x)
        if patch_size > 1:
            flow = keras.layers.UpSampling2D(
                patch_size, interpolation="bilinear", name="flow", dtype=single, **MAPS
            )(flow)
        moved = Advection(name="moved", dtype=single)(frame, flow)
        next_frame = keras.layers.Add(name="next_frame", dtype=single)([moved, next_frame])
    return keras.Model([frame, *states.inputs.values()], [next_frame, *states.now.values()], name="step")


class _States:
    """The states of a step while it is drawn, from the bottom of the stack to the top.

    Args:
        read: names of the states that a penalty reads.

    Attributes:
        inputs: name -> the state as it comes in.
        now: name -> the state as it stands.
    """

    def __init__(self, read: Sequence[str]):
        self.inputs: dict[str, keras.KerasTensor] = {}
        self.now: dict[str, keras.KerasTensor] = {}
        self._read: dict[str, list[keras.KerasTensor]] = {name: [] for name in read}  # of all cells so far
        self._zigzag: set[str] = set()
        self._cells = 0

    def through(self, cell, x):
        """Calls the next cell on a map and its states. Returns its output, and keeps the new states."""
        self._cells += 1
        self._zigzag.update(cell.zigzag_states)
        names = [
            name if name in cell.zigzag_states else f"cell_{self._cells}_{name}" for name in cell.state_names
        ]
        for name, shape, dtype in zip(names, cell.state_shapes(x.shape), cell.state_dtypes, strict=True):
            if name not in self.inputs:
                self.inputs[name] = self.now[name] = keras.Input(shape[1:], dtype=dtype, name=name)
        x, states = cell(x, [self.now[name] for name in names])
        self.now.update(zip(names, states, strict=True))
        for name, state in zip(cell.state_names, states, strict=True):
            if name in self._read:
                self._read[name].append(state)
        return x

    def resize_zigzag(self, resize):
        """Brings the states that go up the stack to the scale of the next level."""
        self.now.update({name: resize(self.now[name]) for name in self._zigzag})

    def check_zigzag(self):
        """Makes sure that what leaves the top can enter the bottom."""
        for name in sorted(self._zigzag):
            below, above = self.inputs[name].shape[1:], self.now[name].shape[1:]
            if below != above:
                raise ValueError(
                    "`levels` must hand up a zigzag state that leaves the top as it enters the bottom. Received: "
                    f"{name!r} of shape {below} below and {above} above"
                )

    def add_penalty(self, penalty):
        """Adds the state that sums a penalty over the steps."""
        dtype = penalty.variable_dtype
        self.inputs[PENALTY] = keras.Input((1, 1, 1), dtype=dtype, name=PENALTY)
        self.now[PENALTY] = keras.layers.Add(dtype=dtype)(
            [self.inputs[PENALTY], penalty(*self._read.values())]
        )


def _shrink(state):
    return keras.layers.MaxPooling2D(2, dtype=state.dtype, **MAPS)(state)


def _enlarge(x):
    # In half precision XLA cannot compile its gradient (keras issue 20931).
    dtype = keras.backend.result_type(keras.config.dtype_policy().variable_dtype, "float32")
    return keras.layers.UpSampling2D(2, interpolation="bilinear", dtype=dtype, **MAPS)(x)


def _check_levels(levels, scales):
    if len(levels) == 0 or len(levels) != len(scales):
        raise ValueError(
            f"`scales` must hold one integer for each of `levels`. Received: scales={scales} for "
            f"{len(levels)} levels"
        )
    if scales[0] != 1:
        raise ValueError(f"`scales` must start at 1. Received: scales={scales}")
    for below, scale in itertools.pairwise(scales):
        if scale < 1 or scale not in (below, 2 * below, below / 2):
            raise ValueError(
                f"`scales` must stay, double or halve from one level to the next. Received: scales={scales}"
            )
    if scales[-1] != scales[0]:
        raise ValueError(
            f"`scales` must return to its first value so that ups match downs. Received: scales={scales}"
        )


def _check_frame_shape(frame_shape, patch_size, largest_scale):
    if len(frame_shape) != 3 or not all(is_whole(side) for side in frame_shape):
        raise ValueError(
            "`frame_shape` must be three positive integers (height, width, channels). "
            f"Received: frame_shape={frame_shape}"
        )
    if not is_whole(patch_size):
        raise ValueError(f"`patch_size` must be a positive integer. Received: patch_size={patch_size!r}")
    divisor = patch_size * largest_scale
    if frame_shape[0] % divisor or frame_shape[1] % divisor:
        raise ValueError(
            f"`frame_shape` must have a height and width that divide by patch_size x the largest scale = "
            f"{patch_size} x {largest_scale} = {divisor}. Received: frame_shape={frame_shape}"
        )
