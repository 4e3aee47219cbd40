"""MoDeRNN: inputs and states gate one another at several kernel sizes before a ConvLSTM."""

from typing import Any

from keras import ops, saving

from mslstm_keras.cells.base import SpatiotemporalCell, require_positive_integers
from mslstm_keras.cells.registry import architecture
from mslstm_keras.layers.gates import memory
from mslstm_keras.typing import Shape, Tensor

KERNEL_SIZES = 3, 5, 7


@saving.register_keras_serializable(package="mslstm_keras")
class MoDeRNNCell(SpatiotemporalCell):
    """MoDeRNN cell: detail context block, then a ConvLSTM.

        x <- 2 sigmoid(mean_k (Q_k * h + q_k)) . x,  then  h <- 2 sigmoid(mean_k (R_k * x + r_k)) . h,
             in turns, `iterations` in all                                       k in {3, 5, 7}
        i, f, g, o = W * [x, h] + b
        c' = sigmoid(f) . c + sigmoid(i) . tanh(g)
        h' = sigmoid(o) . tanh(c')

    where * is convolution and . the elementwise product.

    Args:
        filters: int. Channels of the hidden state and of the memory.
        kernel_size: int. Side of the kernel W.
        iterations: int. How often input and hidden state gate one another.

    Call arguments:
        inputs: tensor (batch, height, width, filters).
        states: [h, c], each (batch, height, width, filters).

    Returns:
        h' and [h', c'], shapes as above.

    Raises:
        ValueError: if `iterations` is not a positive integer, or if `inputs` has other than `filters` channels or an
            unknown size.

    Differs from the reference code: one bias per gate, the sum of its two or mean of its three; no R for one
    iteration.

    Reference: Chai et al., "MoDeRNN: Towards Fine-Grained Motion Details for Spatiotemporal Predictive Learning",
    ICASSP 2022.
    """

    state_names = ("h", "c")

    def __init__(self, filters: int, kernel_size: int = 3, iterations: int = 5, **kwargs: Any):
        super().__init__(filters, kernel_size, **kwargs)
        require_positive_integers(iterations=iterations)
        self.iterations = iterations
        self.h_to_x = self._details()
        if iterations > 1:
            self.x_to_h = self._details()
        self.temporal = self.gates(4)

    def _details(self):
        return [self.conv(kernel_size=size, use_bias=size == KERNEL_SIZES[0]) for size in KERNEL_SIZES]

    def state_shapes(self, inputs_shape: Shape) -> list[Shape]:
        self.require_filters_channels(inputs_shape)
        return super().state_shapes(inputs_shape)

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        x = inputs
        for iteration in range(self.iterations):
            if iteration % 2 == 0:
                x = 2 * ops.sigmoid(_mean(self.h_to_x, h)) * x
            else:
                h = 2 * ops.sigmoid(_mean(self.x_to_h, x)) * h
        i, f, g, o = self.temporal([x, h])
        c = memory(c, i, f, g)
        h = ops.sigmoid(o) * ops.tanh(c)
        return h, [h, c]


def _mean(convolutions, x):
    return sum(conv(x) for conv in convolutions) / len(convolutions)


@architecture
def mode_rnn(filters: int, layers: int, **options: Any) -> list[MoDeRNNCell]:
    """A stack of MoDeRNN cells."""
    return [MoDeRNNCell(filters, **options) for _ in range(layers)]
