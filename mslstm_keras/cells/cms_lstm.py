"""CMS-LSTM: inputs and states gate one another, and attend to themselves in blocks of several sizes."""

from typing import Any

from keras import ops, saving

from mslstm_keras.cells.base import SpatiotemporalCell, require_positive_integers
from mslstm_keras.cells.registry import architecture
from mslstm_keras.layers.attention import BlockAttention
from mslstm_keras.layers.gates import increment, memory
from mslstm_keras.layers.parts import options_of_parts
from mslstm_keras.typing import Shape, Tensor

BLOCKS = 1, 2, 4


@saving.register_keras_serializable(package="mslstm_keras")
class CMSLSTMCell(SpatiotemporalCell):
    """CMS-LSTM cell: context embedding, a ConvLSTM, attention over its states.

        x <- 2 sigmoid(Q * h + b_q) . x,  then  h <- 2 sigmoid(R * x + b_r) . h,  in turns, `iterations` in all
        i, f, g, o = W * [x, h] + b
        c  <- sigmoid(f) . c + sigmoid(i) . tanh(g)
        h  <- sigmoid(o) . tanh(c)
        a_h, a_c = V * [attention_1(h, c), attention_2(h, c), attention_4(h, c)] + b_a
        z        = U_1x1 * [a_h, a_c] + b_z
        i, g, o  = W_z * [h, z] + b_o
        c' = (1 - sigmoid(i)) . c + sigmoid(i) . tanh(g)
        h' = sigmoid(o) . c'

    where * is convolution, . the elementwise product, and attention_n(h, c) that of `BlockAttention` over n x n blocks
    of the two maps side by side; V, which sees them so, reaches over the seam.

    Args:
        filters: int. Channels of the hidden state and of the memory.
        kernel_size: int. Side of the kernels Q, R, W, V and W_z.
        iterations: int. How often input and hidden state gate one another.

    Call arguments:
        inputs: tensor (batch, height, width, filters); height and width divide by 4.
        states: [h, c], each (batch, height, width, filters).

    Returns:
        h' and [h', c'], shapes as above.

    Raises:
        ValueError: if `iterations` is not a positive integer, or if height or width of `inputs` does not divide by 4,
            or `inputs` has other than `filters` channels or an unknown size.

    Differs from the reference code: one bias per gate, not two; maps need not be square; no R for one iteration.

    Reference: Chai et al., "CMS-LSTM: Context Embedding and Multi-Scale Spatiotemporal Expression LSTM for Predictive
    Learning", ICME 2022.
    """

    state_names = ("h", "c")
    tied_to_size = True  # it attends to blocks of the map: as many of any map, so larger ones of a larger

    def __init__(self, filters: int, kernel_size: int = 3, iterations: int = 5, **kwargs: Any):
        super().__init__(filters, kernel_size, **kwargs)
        require_positive_integers(iterations=iterations)
        self.iterations = iterations
        self.h_to_x = self.conv()
        if iterations > 1:
            self.x_to_h = self.conv()
        self.temporal = self.gates(4)
        self.attentions = [
            BlockAttention(
                filters,
                blocks,
                **options_of_parts(self),
                name=f"attention_{blocks}",
            )
            for blocks in BLOCKS
        ]
        self.join = self.conv()
        self.squeeze = self.conv(kernel_size=1)
        self.expression = self.gates(3)

    def state_shapes(self, inputs_shape: Shape) -> list[Shape]:
        self.require_filters_channels(inputs_shape)
        if any(side is not None and side % max(BLOCKS) for side in inputs_shape[1:3]):
            raise ValueError(
                f"`inputs` must have a height and width that divide by {max(BLOCKS)} at every scale. Received: "
                f"inputs.shape={tuple(inputs_shape)}"
            )
        return super().state_shapes(inputs_shape)

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        x = inputs
        for iteration in range(self.iterations):
            if iteration % 2 == 0:
                x = 2 * ops.sigmoid(self.h_to_x(h)) * x
            else:
                h = 2 * ops.sigmoid(self.x_to_h(x)) * h
        i, f, g, o = self.temporal([x, h])
        c = memory(c, i, f, g)
        h = ops.sigmoid(o) * ops.tanh(c)
        h, c = self.express(h, c)
        return h, [h, c]

    def express(self, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Returns h' and c' from the states of the ConvLSTM."""
        side_by_side = ops.concatenate([h, c], axis=2)
        attended = [attention(side_by_side) for attention in self.attentions]
        attended = ops.split(self.join(ops.concatenate(attended, axis=-1)), 2, axis=2)
        z = self.squeeze(ops.concatenate(attended, axis=-1))
        i, g, o = self.expression([h, z])
        c = (1 - ops.sigmoid(i)) * c + increment(i, g)
        return ops.sigmoid(o) * c, c


@architecture
def cms_lstm(filters: int, layers: int, **options: Any) -> list[CMSLSTMCell]:
    """A stack of CMS-LSTM cells."""
    return [CMSLSTMCell(filters, **options) for _ in range(layers)]
