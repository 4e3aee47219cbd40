"""PredRNN: an LSTM with a memory of time and one that travels through the stack."""

from typing import Any

from keras import ops, saving

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cells.registry import architecture
from mslstm_keras.layers.gates import increment
from mslstm_keras.typing import Tensor


@saving.register_keras_serializable(package="mslstm_keras")
class PredRNNCell(SpatiotemporalCell):
    """ST-LSTM, the cell of PredRNN and PredRNN-V2.

        i, f, g, o = W * [x, h] + b
        i', f', g' = U * [x, m] + b'
        delta_c    = sigmoid(i) . tanh(g),      c' = sigmoid(f) . c + delta_c
        delta_m    = sigmoid(i') . tanh(g'),    m' = sigmoid(f') . m + delta_m
        o          = sigmoid(o + V_c * c' + V_m * m')
        h'         = o . tanh(W_1x1 * [c', m'] + b'')

    where * is convolution and . the elementwise product. The memory m goes up the stack within a step, and from its
    top to its bottom between steps.

    Args:
        filters: int. Channels of the hidden state and of each memory.
        kernel_size: int. Side of the kernels.
        increments: bool. Whether delta_c and delta_m are states too, for `Decoupling` to read.

    Call arguments:
        inputs: tensor (batch, height, width, channels).
        states: [h, c, m], with `increments` [h, c, m, delta_c, delta_m], each (batch, height, width, filters). Old
            increments have no effect.

    Returns:
        h' and [h', c', m'], with `increments` [h', c', m', delta_c, delta_m], shapes as above.

    Raises:
        ValueError: if height, width or channels of `inputs` is unknown.

    Differs from the reference code: one bias per gate, the sum of its two to four.

    Reference: Wang et al., "PredRNN", NeurIPS 2017; Wang et al., "PredRNN: A Recurrent Neural Network for
    Spatiotemporal Predictive Learning", TPAMI 2022.
    """

    state_names: tuple[str, ...] = ("h", "c", "m")
    zigzag_states = ("m",)
    half_states = ("h", "delta_c", "delta_m")

    def __init__(self, filters: int, kernel_size: int = 3, increments: bool = False, **kwargs: Any):
        super().__init__(filters, kernel_size, **kwargs)
        self.increments = increments
        if increments:
            self.state_names = (*type(self).state_names, "delta_c", "delta_m")
        self.temporal = self.gates(4)
        self.spatial = self.gates(3)
        self.c_to_o = self.conv(use_bias=False)
        self.m_to_o = self.conv(use_bias=False)
        self.fuse = self.conv(kernel_size=1)

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, states, _ = self.recur(inputs, states)
        return h, states

    def recur(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor], Tensor]:
        """Returns what `call` does, and the output gate behind it."""
        h, c, m = states[:3]
        i, f, g, o = self.temporal([inputs, h])
        delta_c = increment(i, g)
        c = ops.sigmoid(f) * c + delta_c
        i, f, g = self.spatial([inputs, m])
        delta_m = increment(i, g)
        m = ops.sigmoid(f) * m + delta_m
        o = ops.sigmoid(o + self.c_to_o(c) + self.m_to_o(m))
        h = o * ops.tanh(self.fuse(ops.concatenate([c, m], axis=-1)))
        return h, [h, c, m, *((delta_c, delta_m) if self.increments else ())], o


@architecture
def pred_rnn(filters: int, layers: int, **options: Any) -> list[PredRNNCell]:
    """A stack of ST-LSTMs."""
    return [PredRNNCell(filters, **options) for _ in range(layers)]
