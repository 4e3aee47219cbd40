"""MIM: memory in memory, of what changes from frame to frame."""

from typing import Any

from keras import ops, saving

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cells.pred_rnn import PredRNNCell
from mslstm_keras.cells.registry import architecture
from mslstm_keras.layers.gates import increment, memory
from mslstm_keras.typing import Shape, Tensor


@saving.register_keras_serializable(package="mslstm_keras")
class MIMCell(SpatiotemporalCell):
    """MIM cell: an ST-LSTM whose forget gate is two LSTMs, of the non-stationary and of the stationary part.

        i, f, g    = W_n * [x - x_prev, n] + b_n
        n'         = sigmoid(f) . n + sigmoid(i) . tanh(g)
        d          = sigmoid(U_n * [x - x_prev, n'] + b) . tanh(n')
        i, f, g, o = W_s * [d, c] + b_s
        s'         = sigmoid(f) . s + sigmoid(i) . tanh(g)
        t          = sigmoid(o + U_s * s') . tanh(s')
        i, g, o    = W * [x, h] + b_c
        c'         = t + sigmoid(i) . tanh(g)
        i', f', g' = U * [x, m] + b_m
        m'         = sigmoid(f') . m + sigmoid(i') . tanh(g')
        o          = sigmoid(o + V_c * c' + V_m * m')
        h'         = o . tanh(W_1x1 * [c', m'] + b_h)

    where * is convolution and . the elementwise product, and x_prev the input of the step before: the output of the
    layer below. The memory m goes up the stack within a step, and from its top to its bottom between steps.

    Args:
        filters: int. Channels of the hidden state and of each memory.
        kernel_size: int. Side of the kernels.

    Call arguments:
        inputs: tensor (batch, height, width, channels).
        states: [h, c, n, s, x, m], x shaped as `inputs`, the others (batch, height, width, filters).

    Returns:
        h' and [h', c', n', s', inputs, m'], shapes as above.

    Raises:
        ValueError: if height, width or channels of `inputs` is unknown.

    Differs from the reference code: one bias per gate, the sum of its two or more; no forget gate beside t, which it
    builds and never uses; in a pyramid the previous input is the whole one, skip included.

    Reference: Wang et al., "Memory In Memory", CVPR 2019.
    """

    state_names = ("h", "c", "n", "s", "x", "m")
    zigzag_states = ("m",)

    def __init__(self, filters: int, kernel_size: int = 3, **kwargs: Any):
        super().__init__(filters, kernel_size, **kwargs)
        self.non_stationary = self.gates(3)
        self.non_stationary_output = self.gates(1)
        self.stationary = self.gates(4)
        self.s_to_o = self.conv(use_bias=False)
        self.temporal = self.gates(3)
        self.spatial = self.gates(3)
        self.c_to_o = self.conv(use_bias=False)
        self.m_to_o = self.conv(use_bias=False)
        self.fuse = self.conv(kernel_size=1)

    def state_shapes(self, inputs_shape: Shape) -> list[Shape]:
        map_shape = (*inputs_shape[:-1], self.filters)
        return [tuple(inputs_shape) if name == "x" else map_shape for name in self.state_names]

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, states, _ = self.recur(inputs, states)
        return h, states

    def recur(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor], Tensor]:
        """Returns what `call` does, and the output gate behind it."""
        h, c, n, s, x, m = states
        difference = inputs - x
        i, f, g = self.non_stationary([difference, n])
        n = memory(n, i, f, g)
        (o,) = self.non_stationary_output([difference, n])
        d = ops.sigmoid(o) * ops.tanh(n)
        i, f, g, o = self.stationary([d, c])
        s = memory(s, i, f, g)
        t = ops.sigmoid(o + self.s_to_o(s)) * ops.tanh(s)
        i, g, o = self.temporal([inputs, h])
        c = t + increment(i, g)
        i, f, g = self.spatial([inputs, m])
        m = memory(m, i, f, g)
        o = ops.sigmoid(o + self.c_to_o(c) + self.m_to_o(m))
        h = o * ops.tanh(self.fuse(ops.concatenate([c, m], axis=-1)))
        return h, [h, c, n, s, inputs, m], o


@architecture
def mim(filters: int, layers: int, **options: Any) -> list[PredRNNCell | MIMCell]:
    """A stack of MIM cells on one ST-LSTM."""
    first = PredRNNCell(filters, **options)
    return [first, *(MIMCell(filters, **options) for _ in range(layers - 1))]
