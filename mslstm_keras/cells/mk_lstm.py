"""MK-LSTM: a ConvLSTM with one memory per kernel size."""

from keras import ops, saving

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.layers.gates import memory
from mslstm_keras.models.registry import architecture


@saving.register_keras_serializable(package="mslstm_keras")
class MKLSTMCell(SpatiotemporalCell):
    """MK-LSTM cell: ConvLSTM with one memory per kernel size.

        i_k, f_k, g_k, o_k = W_k * [x, h] + b_k                     k in {3, 5}
        c_k' = sigmoid(f_k) . c_k + sigmoid(i_k) . tanh(g_k)
        o    = sigmoid(sum_k (o_k + V_k * c_k'))
        h'   = o . tanh(W_1x1 * [c_3', c_5'] + b)

    where * is convolution and . the elementwise product.

    Args:
        filters: int. Channels of the hidden state and of each memory.
        kernel_sizes: two ints. Sides of the kernels W_k and V_k: of the memory for slow, then of that for
            fast motion.

    Call arguments:
        inputs: tensor (batch, height, width, channels).
        states: [h, c3, c5], each (batch, height, width, filters).

    Returns:
        h' and [h', c3', c5'], shapes as above.

    Raises:
        ValueError: if `kernel_sizes` is not a pair of positive integers, or if height, width or channels of
            `inputs` is unknown.

    Differs from the reference code: one bias per gate of each kernel size, not two or three (their sum is
    the same function).

    Reference: Ma, Zhang & Liu, "MS-LSTM", Applied Soft Computing 147 (2023), eq. (3).
    """

    state_names = ("h", "c3", "c5")
    summed_gates = (("gates_3", "gates_5"),)

    def __init__(self, filters: int, kernel_sizes: tuple[int, int] = (3, 5), **kwargs):
        if not _are_two_sizes(kernel_sizes):
            raise ValueError(
                f"`kernel_sizes` must be two positive integers. Received: kernel_sizes={kernel_sizes!r}"
            )
        small, large = kernel_sizes
        super().__init__(filters, small, **kwargs)
        self.gates_3 = self.gates(4, small)
        self.gates_5 = self.gates(4, large)
        self.c3_to_o = self.conv(kernel_size=small, use_bias=False)
        self.c5_to_o = self.conv(kernel_size=large, use_bias=False)
        self.fuse = self.conv(kernel_size=1)

    def call(self, inputs, states):
        h, c3, c5 = states
        i3, f3, g3, *o3 = self.gates_3([inputs, h])
        i5, f5, g5, *o5 = self.gates_5([inputs, h])  # o3 + o5 come as one where they are folded
        c3 = memory(c3, i3, f3, g3)
        c5 = memory(c5, i5, f5, g5)
        o = ops.sigmoid(sum(o3 + o5, self.c3_to_o(c3) + self.c5_to_o(c5)))
        h = o * ops.tanh(self.fuse(ops.concatenate([c3, c5], axis=-1)))
        return h, [h, c3, c5]


@architecture(pyramid="ms_lstm")
def tms_lstm(filters: int, layers: int, **options) -> list[MKLSTMCell]:
    """A stack of MK-LSTM cells, the paper's TMS-LSTM; its pyramid is MS-LSTM."""
    return [MKLSTMCell(filters, **options) for _ in range(layers)]


def _are_two_sizes(kernel_sizes):
    if not isinstance(kernel_sizes, (tuple, list)) or len(kernel_sizes) != 2:
        return False
    return all(isinstance(size, int) and size > 0 for size in kernel_sizes)
