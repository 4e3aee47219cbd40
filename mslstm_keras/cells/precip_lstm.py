"""PrecipLSTM: memories of what is near in space and of what changes in time."""

from typing import Any

from keras import ops, saving

from mslstm_keras.cells.base import SpatiotemporalCell, require_positive_integers
from mslstm_keras.cells.registry import architecture
from mslstm_keras.layers.attention import LocalAttention
from mslstm_keras.layers.gates import memory
from mslstm_keras.layers.parts import options_of_parts
from mslstm_keras.typing import Shape, Tensor


@saving.register_keras_serializable(package="mslstm_keras")
class PrecipLSTMCell(SpatiotemporalCell):
    """PrecipLSTM cell: an ST-LSTM with two meteorological memories, of space and of time.

        x_a        = x + V * attention(x) + b_a
        i, f, g, o = W * [x_a, h] + b,           c'  = sigmoid(f) . c + sigmoid(i) . tanh(g)
        i, f, g    = W_m * [x_a, m] + b_m,       m'  likewise
        i, f, g    = W_s * [x_a, ms] + b_s,      ms' likewise
        i, f, g    = W_t * [x - x_prev, mt] + b_t,  mt' likewise
        o          = sigmoid(o + V_c * c' + V_s * ms' + V_t * mt' + V_m * m')
        h'         = o . tanh(W_1x1 * [c', ms', mt', m'] + b_h)

    where * is convolution, . the elementwise product, x_prev the input of the step before, and attention that of
    `mslstm_keras.layers.attention.LocalAttention`. The memory m goes up the stack within a step, and from its top to
    its bottom between steps.

    Args:
        filters: int. Channels of the hidden state and of each memory.
        kernel_size: int. Side of the kernels.
        window: int. Side of the attention's window, in pixels of the cell's map.

    Call arguments:
        inputs: tensor (batch, height, width, filters).
        states: [h, c, ms, mt, x, m], each (batch, height, width, filters).

    Returns:
        h' and [h', c', ms', mt', inputs, m'], shapes as above.

    Raises:
        ValueError: if `window` is not a positive integer, or `inputs` has other than `filters` channels or an unknown
            size.

    Differs from the reference code: one bias per gate, the sum of its two or more; attention in plain operations,
    with windows of any side.

    Reference: Ma, Zhang & Liu, "PrecipLSTM", IEEE Transactions on Geoscience and Remote Sensing, 2022.
    """

    state_names = ("h", "c", "ms", "mt", "x", "m")
    zigzag_states = ("m",)

    def __init__(self, filters: int, kernel_size: int = 3, window: int = 30, **kwargs: Any):
        super().__init__(filters, kernel_size, **kwargs)
        require_positive_integers(window=window)
        self.window = window
        self.attention = LocalAttention(filters, window, **options_of_parts(self))
        self.attended = self.conv()
        self.temporal = self.gates(4)
        self.spatial = self.gates(3)
        self.meteorological_spatial = self.gates(3)
        self.meteorological_temporal = self.gates(3)
        self.c_to_o = self.conv(use_bias=False)
        self.ms_to_o = self.conv(use_bias=False)
        self.mt_to_o = self.conv(use_bias=False)
        self.m_to_o = self.conv(use_bias=False)
        self.fuse = self.conv(kernel_size=1)

    def state_shapes(self, inputs_shape: Shape) -> list[Shape]:
        self.require_filters_channels(inputs_shape)
        return super().state_shapes(inputs_shape)

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, c, ms, mt, x, m = states
        attended = inputs + self.attended(self.attention(inputs))
        i, f, g, o = self.temporal([attended, h])
        c = memory(c, i, f, g)
        m = memory(m, *self.spatial([attended, m]))
        ms = memory(ms, *self.meteorological_spatial([attended, ms]))
        mt = memory(mt, *self.meteorological_temporal([inputs - x, mt]))
        o = ops.sigmoid(o + self.c_to_o(c) + self.ms_to_o(ms) + self.mt_to_o(mt) + self.m_to_o(m))
        h = o * ops.tanh(self.fuse(ops.concatenate([c, ms, mt, m], axis=-1)))
        return h, [h, c, ms, mt, inputs, m]


@architecture
def precip_lstm(filters: int, layers: int, **options: Any) -> list[PrecipLSTMCell]:
    """A stack of PrecipLSTM cells."""
    return [PrecipLSTMCell(filters, **options) for _ in range(layers)]
