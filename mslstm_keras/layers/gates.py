"""Gates of convolutional recurrent cells."""

import contextlib
import contextvars
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from mslstm_keras.layers.parts import options_of_parts
from mslstm_keras.typing import Shape, Tensor

Parameters = tuple[Any, Any]  # kernel and bias of a convolution

_replaced: contextvars.ContextVar[Mapping["Conv", Parameters]] = contextvars.ContextVar(
    "parameters that `using` has put in place of those of a convolution"
)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class Conv(keras.layers.Conv2D):
    """`keras.layers.Conv2D` for cells.

    Its maps are (batch, height, width, channels), whatever `keras.config.image_data_format()` is. In mixed precision it
    convolves in half, adds the bias in the dtype of its weights and returns that. Its kernel and bias can be replaced
    for a while, by `using`.

    Args:
        filters: int. Channels of the output.
        kernel_size: int, or two of them. Sides of the kernel.
        data_format: str. "channels_last" alone.
        **kwargs: those of `keras.layers.Conv2D`.

    Raises:
        ValueError: if `data_format` is another one.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        *,
        data_format: str = "channels_last",
        **kwargs: Any,
    ):
        if data_format != "channels_last":
            raise ValueError(f"`data_format` must be 'channels_last'. Received: data_format={data_format!r}")
        super().__init__(filters, kernel_size, data_format=data_format, **kwargs)

    def add_weight(self, *arguments: Any, name: str | None = None, **options: Any) -> keras.Variable:
        # The gradient of a bias is a sum over all pixels, which half precision would lose digits of.
        return super().add_weight(*arguments, name=name, autocast=name != "bias", **options)

    def call(self, inputs: Tensor) -> Tensor:
        replaced = _replaced.get({}).get(self)
        kernel, bias = replaced or (self.kernel, self.bias)
        outputs = ops.cast(self.convolution_op(inputs, kernel), self.variable_dtype)
        if bias is None:
            return outputs
        bias = ops.reshape(bias, (1, 1, 1, -1))
        # Equal but for the order in which their gradients add the pixels up: that of Keras, and that of folded kernels.
        return outputs + bias if replaced else ops.add(outputs, bias)

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), self.variable_dtype)


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
        List of n tensors (batch, height, width, filters), before any activation, in the dtype of the weights.
    """

    def __init__(self, filters: int, gates: int, kernel_size: int = 3, use_bias: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.gates = gates
        self.conv = Conv(
            gates * filters,
            kernel_size,
            padding="same",
            use_bias=use_bias,
            **options_of_parts(self),
            name="conv",
        )

    def build(self, inputs_shape: Sequence[Shape]) -> None:
        self.conv.build((*inputs_shape[0][:-1], sum(shape[-1] for shape in inputs_shape)))

    def call(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        outputs = self.conv(ops.concatenate(inputs, axis=-1))
        return ops.split(outputs, outputs.shape[-1] // self.filters, axis=-1)  # fewer gates if one is folded

    def compute_output_shape(self, inputs_shape: Sequence[Shape]) -> list[Shape]:
        return [(*inputs_shape[0][:-1], self.filters)] * self.gates

    def compute_output_spec(self, inputs: Sequence[Tensor]) -> list[keras.KerasTensor]:
        shapes = self.compute_output_shape([each.shape for each in inputs])
        return [keras.KerasTensor(shape, self.variable_dtype) for shape in shapes]


def fold_last_gates(layers: Sequence[GateConv]) -> dict[Conv, Parameters]:
    """Folds the last gates of `GateConv`s over the same inputs, which are only ever added, into one.

        U * x + V * x = (U + V) * x

    where smaller kernels are enlarged with zeros to the size of the largest.

    Args:
        layers: two or more built `GateConv`s with biases and as many filters as each other.

    Returns:
        Parameters for `using`: with them the `GateConv` of the largest kernel returns the sum of all last gates, each
        of the others one gate less.
    """
    filters = layers[0].filters
    *others, largest = sorted((layer.conv for layer in layers), key=lambda conv: conv.kernel_size)
    folded, sums = {}, [ops.convert_to_tensor(each) for each in (largest.kernel, largest.bias)]
    for conv in others:
        kernel, bias = ops.convert_to_tensor(conv.kernel), ops.convert_to_tensor(conv.bias)
        folded[conv] = ops.cast(kernel[..., :-filters], conv.compute_dtype), bias[..., :-filters]
        before = (largest.kernel_size[0] - 1) // 2 - (conv.kernel_size[0] - 1) // 2
        behind = largest.kernel_size[0] - conv.kernel_size[0] - before
        sides = ((before, behind), (before, behind), (0, 0), (0, 0))
        for index, last in enumerate((ops.pad(kernel[..., -filters:], sides), bias[..., -filters:])):
            parts = [sums[index][..., :-filters], sums[index][..., -filters:] + last]
            sums[index] = ops.concatenate(parts, axis=-1)
    folded[largest] = ops.cast(sums[0], largest.compute_dtype), sums[1]
    return folded


@contextlib.contextmanager
def using(parameters: Mapping[Conv, Parameters]) -> Iterator[None]:
    """Within it, these convolutions use these kernels and biases."""
    token = _replaced.set(parameters)
    try:
        yield
    finally:
        _replaced.reset(token)


def increment(i: Tensor, g: Tensor) -> Tensor:
    """What an LSTM takes into its memory: sigmoid(i) . tanh(g), of input gate and modulation before activation."""
    return ops.sigmoid(i) * ops.tanh(g)


def memory(c: Tensor, i: Tensor, f: Tensor, g: Tensor) -> Tensor:
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
    return ops.sigmoid(f) * c + increment(i, g)
