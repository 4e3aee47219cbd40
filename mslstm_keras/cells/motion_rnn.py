"""MotionRNN: a motion that varies around a trend, and a highway for it, around the cells of MIM."""

from typing import Any

import keras
from keras import ops, saving

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cells.mim import MIMCell, mim
from mslstm_keras.cells.pred_rnn import PredRNNCell
from mslstm_keras.cells.registry import architecture
from mslstm_keras.layers.gates import Conv, GateConv
from mslstm_keras.layers.parts import options_of_parts
from mslstm_keras.layers.warp import warp
from mslstm_keras.typing import Shape, Tensor

CELLS = {"pred_rnn": PredRNNCell, "mim": MIMCell}
FLOWS = 9  # every pixel is put together from as many places as a 3x3 kernel has
TREND_RATE = 0.5


@saving.register_keras_serializable(package="mslstm_keras")
class MotionGRU(keras.layers.Layer):
    """MotionGRU: moves a map along flows of its own, at half the resolution.

        e    = E * h + b_e                                      2x2, stride 2
        u, r = sigmoid(W * [e, F] + b)
        z    = tanh(W_z * [e, r . F] + b_z)
        D'   = D + alpha (F - D)
        F'   = u . z + (1 - u) . F + D'
        w_k  = sigmoid(V * e + b_v)_k . warp(e, F'_k)           k = 1 .. 9
        d    = T * (U [w_1, ..., w_9] + b_u) + b_t              4x4, transposed, stride 2
        g    = sigmoid(G [d, h] + b_g)
        y    = g . h + (1 - g) . d

    where alpha = 0.5 and W, W_z, V, U and G act on each pixel.

    Args:
        filters: int. Channels of the map; divides by 4.
        half_pixel_offset: bool. Warps as the reference code does; see `mslstm_keras.layers.warp.warp`.

    Call arguments:
        h: tensor (batch, height, width, filters) of even height and width.
        motion: tensor F, (batch, height / 2, width / 2, 18): pairs along the width and along the height, in pixels.
        trend: tensor D, shaped as F.

    Returns:
        y, shaped as h, F' and D'.

    Reference: Wu et al., "MotionRNN", CVPR 2021, in the form of the reference code: behind the cell, not before it.
    """

    def __init__(self, filters: int, half_pixel_offset: bool = False, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)  # it would round motion and trend
        self.filters = filters
        self.half_pixel_offset = half_pixel_offset
        options = options_of_parts(self)
        self.encode = Conv(filters // 4, 2, strides=2, **options)
        self.gates = GateConv(2 * FLOWS, 2, kernel_size=1, **options)
        self.candidate = Conv(2 * FLOWS, 1, **options)
        self.weigh = Conv(FLOWS, 1, **options)
        self.decode = Conv(filters // 4, 1, **options)
        self.enlarge = keras.layers.Conv2DTranspose(
            filters, 4, strides=2, padding="same", data_format="channels_last", **options
        )
        self.blend = Conv(filters, 1, **options)

    def build(self, h_shape: Shape, motion_shape: Shape, trend_shape: Shape) -> None:
        maps = [keras.KerasTensor((None, *s[1:]), self.compute_dtype) for s in (h_shape, motion_shape)]
        self.call(maps[0], maps[1], maps[1])

    def call(self, h: Tensor, motion: Tensor, trend: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        e = self.encode(h)
        u, r = self.gates([e, motion])
        u, r = ops.sigmoid(u), ops.sigmoid(r)
        z = ops.tanh(self.candidate(ops.concatenate([e, r * motion], axis=-1)))
        trend = trend + TREND_RATE * (motion - trend)
        motion = u * z + (1 - u) * motion + trend
        warped = ops.sigmoid(self.weigh(e))[..., None] * warp(e, motion, self.half_pixel_offset)
        # Channel by channel, each along all flows: the order that the reference code's parameters have.
        warped = ops.reshape(ops.swapaxes(warped, -1, -2), (-1, *e.shape[1:3], FLOWS * e.shape[-1]))
        d = ops.cast(self.enlarge(self.decode(warped)), h.dtype)
        g = ops.sigmoid(self.blend(ops.concatenate([d, h], axis=-1)))
        return g * h + (1 - g) * d, motion, trend

    def compute_output_shape(
        self, h_shape: Shape, motion_shape: Shape, trend_shape: Shape
    ) -> tuple[Shape, Shape, Shape]:
        return h_shape, motion_shape, trend_shape


@saving.register_keras_serializable(package="mslstm_keras")
class MotionCell(SpatiotemporalCell):
    """A cell of MotionRNN: another cell, MotionGRU behind it, and the motion highway.

        h, s', o = cell(x, s)
        y, F', D' = MotionGRU(h, F, D)
        h' = y + (1 - o) . x

    where o is the output gate of the cell, and the cell's next hidden state is h'.

    Args:
        filters: int. Channels of the hidden state and of each memory; divides by 4.
        kernel_size: int. Side of the kernels of the cell.
        cell: "pred_rnn" or "mim". The kind of the cell.
        half_pixel_offset: bool. Warps as the reference code does; see `mslstm_keras.layers.warp.warp`.

    Call arguments:
        inputs: tensor (batch, height, width, filters) of even height and width.
        states: those of the cell, then motion F and trend D, (batch, height / 2, width / 2, 18).

    Returns:
        h' and the new states, the first of which is h'.

    Raises:
        ValueError: if `cell` is unknown or `filters` does not divide by 4, or if `inputs` has an odd height or width,
            other than `filters` channels or an unknown size.

    Differs from the reference code: no mixing of samples and flows in the warp; a flow of zeros is the identity unless
    `half_pixel_offset`.

    Reference: Wu et al., "MotionRNN", CVPR 2021, in the form of the reference code, whose hidden state is the output
    behind the highway.
    """

    zigzag_states = ("m",)

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        cell: str = "mim",
        half_pixel_offset: bool = False,
        **kwargs: Any,
    ):
        super().__init__(filters, kernel_size, **kwargs)
        if cell not in CELLS:
            raise ValueError(f"`cell` must be one of {sorted(CELLS)}. Received: cell={cell!r}")
        if filters % 4:
            raise ValueError(f"`filters` must divide by 4. Received: filters={filters}")
        options = options_of_parts(self)
        self.cell = CELLS[cell](filters, kernel_size, **options)
        self.motion_gru = MotionGRU(filters, half_pixel_offset, **options)
        self.state_names = (*self.cell.state_names, "motion", "trend")

    def state_shapes(self, inputs_shape: Shape) -> list[Shape]:
        self.require_filters_channels(inputs_shape)
        batch, height, width, _ = inputs_shape
        if height % 2 or width % 2:
            raise ValueError(
                "`inputs` must have an even height and width at every scale. Received: "
                f"inputs.shape={tuple(inputs_shape)}"
            )
        motion_shape = batch, height // 2, width // 2, 2 * FLOWS
        return [*self.cell.state_shapes(inputs_shape), motion_shape, motion_shape]

    def build(self, inputs_shape: Shape, states_shape: list[Shape] | None = None) -> None:
        self.cell.build(inputs_shape)  # `recur`, unlike a call, does not
        super().build(inputs_shape, states_shape)

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        *states, motion, trend = states
        h, states, o = self.cell.recur(inputs, states)
        y, motion, trend = self.motion_gru(h, motion, trend)
        h = y + (1 - o) * inputs
        return h, [h, *states[1:], motion, trend]


@architecture
def motion_rnn(
    filters: int, layers: int, *, half_pixel_offset: bool = False, **options: Any
) -> list[SpatiotemporalCell]:
    """A stack of MIM's cells in MotionRNN's, but for the top: that is MIM's alone."""
    kinds = ["pred_rnn", *["mim"] * (layers - 2)] if layers > 1 else []
    moving = [
        MotionCell(filters, cell=kind, half_pixel_offset=half_pixel_offset, **options) for kind in kinds
    ]
    return [*moving, mim(filters, layers, **options)[-1]]
