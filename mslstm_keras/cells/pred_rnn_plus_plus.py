"""PredRNN++: cascaded memories, and a highway for the gradient behind the first layer."""

from typing import Any

from keras import ops, saving

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cells.registry import Level, architecture
from mslstm_keras.layers.gates import memory
from mslstm_keras.typing import Tensor


@saving.register_keras_serializable(package="mslstm_keras")
class CausalLSTMCell(SpatiotemporalCell):
    """Causal LSTM, the cell of PredRNN++: the memory of space reads that of time.

        i, f, g    = W * [x, h, c] + b
        c'         = sigmoid(f) . c + sigmoid(i) . tanh(g)
        i', f', g' = U * [x, c', m] + b'
        m'         = sigmoid(f') . tanh(V_1x1 * m + b'') + sigmoid(i') . tanh(g')
        o          = tanh(V * [x, c', m'] + b''')
        h'         = o . tanh(W_1x1 * [c', m'] + b'''')

    where * is convolution and . the elementwise product. The memory m goes up the stack within a step, and from its
    top to its bottom between steps.

    Args:
        filters: int. Channels of the hidden state and of each memory.
        kernel_size: int. Side of the kernels W, U and V.

    Call arguments:
        inputs: tensor (batch, height, width, channels).
        states: [h, c, m], each (batch, height, width, filters).

    Returns:
        h' and [h', c', m'], shapes as above.

    Raises:
        ValueError: if height, width or channels of `inputs` is unknown.

    Differs from the reference code: the two highway convolutions that it builds in every cell and uses in one stand
    in `GradientHighwayUnit`.

    Reference: Wang et al., "PredRNN++", ICML 2018.
    """

    state_names = ("h", "c", "m")
    zigzag_states = ("m",)

    def __init__(self, filters: int, kernel_size: int = 3, **kwargs: Any):
        super().__init__(filters, kernel_size, **kwargs)
        self.temporal = self.gates(3)
        self.spatial = self.gates(3)
        self.mix = self.conv(kernel_size=1)
        self.output_gate = self.gates(1)
        self.fuse = self.conv(kernel_size=1)

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, c, m = states
        i, f, g = self.temporal([inputs, h, c])
        c = memory(c, i, f, g)
        i, f, g = self.spatial([inputs, c, m])
        m = memory(ops.tanh(self.mix(m)), i, f, g)
        (o,) = self.output_gate([inputs, c, m])
        h = ops.tanh(o) * ops.tanh(self.fuse(ops.concatenate([c, m], axis=-1)))
        return h, [h, c, m]


@saving.register_keras_serializable(package="mslstm_keras")
class GradientHighwayUnit(SpatiotemporalCell):
    """Gradient highway unit of PredRNN++: a short way back through time.

        p, s = W * [x, z] + b
        z'   = sigmoid(s) . tanh(p) + (1 - sigmoid(s)) . z

    where * is convolution and . the elementwise product.

    Args:
        filters: int. Channels of the state.
        kernel_size: int. Side of the kernel W.

    Call arguments:
        inputs: tensor (batch, height, width, channels).
        states: [z], (batch, height, width, filters).

    Returns:
        z' and [z'], shapes as above.

    Raises:
        ValueError: if height, width or channels of `inputs` is unknown.

    Differs from the reference code: one bias per gate, not two.

    Reference: Wang et al., "PredRNN++", ICML 2018.
    """

    state_names = ("z",)

    def __init__(self, filters: int, kernel_size: int = 3, **kwargs: Any):
        super().__init__(filters, kernel_size, **kwargs)
        self.highway = self.gates(2)

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        (z,) = states
        p, s = self.highway([inputs, z])
        s = ops.sigmoid(s)
        z = s * ops.tanh(p) + (1 - s) * z
        return z, [z]


@architecture
def pred_rnn_plus_plus(filters: int, layers: int, **options: Any) -> list[Level]:
    """A stack of causal LSTMs; the second stands behind a gradient highway unit."""
    cells = [CausalLSTMCell(filters, **options) for _ in range(layers)]
    levels: list[Level] = [*cells]
    if layers > 1:
        levels[1] = GradientHighwayUnit(filters, **options), cells[1]
    return levels
