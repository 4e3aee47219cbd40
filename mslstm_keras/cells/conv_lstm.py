"""ConvLSTM: an LSTM whose products are convolutions."""

from typing import Any

from keras import ops, saving

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cells.registry import architecture
from mslstm_keras.layers.gates import memory
from mslstm_keras.typing import Tensor


@saving.register_keras_serializable(package="mslstm_keras")
class ConvLSTMCell(SpatiotemporalCell):
    """ConvLSTM cell, without peepholes.

        i, f, g, o = W * [x, h] + b
        c' = sigmoid(f) . c + sigmoid(i) . tanh(g)
        h' = sigmoid(o) . tanh(c')

    where * is convolution and . the elementwise product.

    Args:
        filters: int. Channels of the hidden state and of the memory.
        kernel_size: int. Side of the kernel W.

    Call arguments:
        inputs: tensor (batch, height, width, channels).
        states: [h, c], each (batch, height, width, filters).

    Returns:
        h' and [h', c'], shapes as above.

    Raises:
        ValueError: if height, width or channels of `inputs` is unknown.

    Differs from the reference code: one bias per gate, not two (their sum is the same function).

    Reference: Shi et al., "Convolutional LSTM Network", NeurIPS 2015, in the form of Ma, Zhang & Liu,
    "MS-LSTM", Applied Soft Computing 147 (2023), eq. (2).
    """

    state_names = ("h", "c")

    def __init__(self, filters: int, kernel_size: int = 3, **kwargs: Any):
        super().__init__(filters, kernel_size, **kwargs)
        self.temporal = self.gates(4)

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        i, f, g, o = self.temporal([inputs, h])
        c = memory(c, i, f, g)
        h = ops.sigmoid(o) * ops.tanh(c)
        return h, [h, c]


@architecture(pyramid="sms_lstm")
def conv_lstm(filters: int, layers: int, **options: Any) -> list[ConvLSTMCell]:
    """A stack of ConvLSTM cells; its pyramid is the paper's SMS-LSTM."""
    return [ConvLSTMCell(filters, **options) for _ in range(layers)]
