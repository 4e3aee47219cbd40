"""MK-LSTM: a ConvLSTM with one memory per kernel size."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

from keras import ops, saving

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cells.registry import architecture
from mslstm_keras.layers.gates import memory
from mslstm_keras.typing import Tensor


@saving.register_keras_serializable(package="mslstm_keras")
class MKLSTMCell(SpatiotemporalCell):
    """MK-LSTM cell: ConvLSTM with one memory per kernel size.

        i_k, f_k, g_k, o_k = W_k * [x, h] + b_k                     k in kernel_sizes
        c_k' = sigmoid(f_k) . c_k + sigmoid(i_k) . tanh(g_k)
        o    = sigmoid(sum_k (o_k + V_k * c_k'))
        h'   = o . tanh(W_1x1 * [c_k' for all k] + b)

    where * is convolution and . the elementwise product.

    Args:
        filters: int. Channels of the hidden state and of each memory.
        kernel_sizes: odd ints, each larger than the one before. Sides of the kernels W_k and V_k: the first is of the
            memory for the slowest motion, the last of that for the fastest. The paper's cell has (3, 5).

    Call arguments:
        inputs: tensor (batch, height, width, channels).
        states: [h, c3, c5], or the memories of other sizes, each (batch, height, width, filters).

    Returns:
        h' and [h', c3', c5'], shapes as above.

    Raises:
        ValueError: if `kernel_sizes` does not hold growing, odd, positive integers, or if height, width or channels
            of `inputs` is unknown.

    Differs from the reference code: one bias per gate of each kernel size, not two or three (their sum is
    the same function).

    Reference: Ma, Zhang & Liu, "MS-LSTM", Applied Soft Computing 147 (2023), eq. (3).
    """

    def __init__(self, filters: int, kernel_sizes: Sequence[int] = (3, 5), **kwargs: Any):
        if not _are_growing_odd_sizes(kernel_sizes):
            raise ValueError(
                "`kernel_sizes` must hold odd positive integers, each larger than the one before. "
                f"Received: kernel_sizes={kernel_sizes!r}"
            )
        super().__init__(filters, kernel_sizes[0], **kwargs)
        self.kernel_sizes = tuple(kernel_sizes)
        self.state_names = ("h", *(f"c{size}" for size in kernel_sizes))
        for size in kernel_sizes:
            setattr(self, f"gates_{size}", self.gates(4, size))
        for size in kernel_sizes:
            setattr(self, f"c{size}_to_o", self.conv(kernel_size=size, use_bias=False))
        self.fuse = self.conv(kernel_size=1)
        if len(kernel_sizes) > 1:
            self.summed_gates = (tuple(f"gates_{size}" for size in kernel_sizes),)

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, *memories = states
        o, from_memories = [], []
        for index, size in enumerate(self.kernel_sizes):
            i, f, g, *o_k = getattr(self, f"gates_{size}")([inputs, h])
            memories[index] = memory(memories[index], i, f, g)
            from_memories.append(getattr(self, f"c{size}_to_o")(memories[index]))
            o += o_k  # all come as one where they are folded
        o = ops.sigmoid(functools.reduce(ops.add, from_memories + o))
        h = o * ops.tanh(self.fuse(ops.concatenate(memories, axis=-1)))
        return h, [h, *memories]


@architecture(pyramid="ms_lstm")
def tms_lstm(filters: int, layers: int, **options: Any) -> list[MKLSTMCell]:
    """A stack of MK-LSTM cells, the paper's TMS-LSTM; its pyramid is MS-LSTM."""
    return [MKLSTMCell(filters, **options) for _ in range(layers)]


def _are_growing_odd_sizes(kernel_sizes):
    if not isinstance(kernel_sizes, (tuple, list)) or not kernel_sizes:
        return False
    if not all(type(size) is int and size > 0 and size % 2 for size in kernel_sizes):
        return False
    return all(smaller < larger for smaller, larger in itertools.pairwise(kernel_sizes))
