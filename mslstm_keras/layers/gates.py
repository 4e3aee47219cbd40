"""Gates of convolutional recurrent cells."""

from collections.abc import Sequence

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mslstm_keras")
class GateConv(keras.layers.Layer):
    """One convolution over the concatenation of its inputs, split into equal gates.

        g_1, ..., g_n = W * [x_1, ..., x_k] + b

    where * is a stride 1 convolution with zero "same" padding. A single convolution over the
    concatenation is the sum of one convolution per input.

    Args:
        filters: int. Channels of each gate.
        gates: int. Number of gates n.
        kernel_size: int. Side of the square kernel.
        use_bias: bool. Whether each gate has a bias b.

    Call arguments:
        inputs: list of tensors (batch, height, width, any number of channels).

    Returns:
        List of n tensors (batch, height, width, filters), before any activation.
    """

    def __init__(self, filters: int, gates: int, kernel_size: int = 3, use_bias: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.gates = gates
        self.conv = keras.layers.Conv2D(
            gates * filters,
            kernel_size,
            padding="same",
            use_bias=use_bias,
            dtype=self.dtype_policy.name,
            name="conv",
        )

    def build(self, inputs_shape):
        self.conv.build((*inputs_shape[0][:-1], sum(shape[-1] for shape in inputs_shape)))

    def call(self, inputs: Sequence):
        return ops.split(self.conv(ops.concatenate(inputs, axis=-1)), self.gates, axis=-1)

    def compute_output_shape(self, inputs_shape):
        return [(*inputs_shape[0][:-1], self.filters)] * self.gates


def memory(c, i, f, g):
    """Memory update of an LSTM: forgets a part of the old memory, takes in a part of the new.

        c' = sigmoid(f) . c + sigmoid(i) . tanh(g)

    Args:
        c: tensor. The memory.
        i: tensor shaped as `c`. Input gate before activation.
        f: tensor shaped as `c`. Forget gate before activation.
        g: tensor shaped as `c`. Modulation before activation.

    Returns:
        The new memory, shaped as `c`.
    """
    return ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
