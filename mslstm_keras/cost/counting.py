"""What a layer computes, counted operation by operation on its graph."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from mslstm_keras.typing import Tensor

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

CONVOLUTION, TRANSPOSED, PRODUCT = "convolution", "transposed convolution", "matrix product"
WARP, UP_SAMPLING = "warp", "up-sampling"

# What the paper calls layers: convolutions, activations, Hadamard products; and their likes. Sums are none.
LAYERS = {
    "Conv2D", "Conv2DBackpropInput", "Elu", "Einsum", "LeakyRelu", "MatMul", "BatchMatMulV2", "MaxPool", "Mul", "Relu",
    "ResizeBilinear", "Sigmoid", "Softmax", "Softplus", "Tanh",
}  # fmt: skip


@dataclass(frozen=True)
class Count:
    """What one call of a layer computes, for one sample.

    Attributes:
        macs: kind of operation -> multiply-accumulates: each weight of a (transposed) convolution with each value it
            meets, borders counted in full and biases not at all; products of matrices; four for every value that is
            interpolated by a warp or an up-sampling.
        paper_macs: multiply-accumulates by the paper's rule: convolutions alone, a transposed one as if each of its
            outputs met the whole kernel, and 11 for every value of an up-sampling.
        output_bytes: size of the outputs of layers in the paper's sense: `LAYERS`, and a warp as one of them.
    """

    macs: Mapping[str, int]
    paper_macs: int
    output_bytes: int


def count(layer: Callable[[list[Tensor]], Any], inputs: list[keras.KerasTensor]) -> Count:
    """Counts what a layer or model computes when it is called once with a list of inputs.

    The call is traced, not run.

    Args:
        layer: built layer, model or function of a list of tensors.
        inputs: symbolic tensors that tell shapes and dtypes; their batch is taken as 1.

    Returns:
        A `Count`.

    Raises:
        ValueError: if the backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"`cost` must be asked on the TensorFlow backend. Received: {keras.backend.backend()!r}"
        )
    specs = [tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype) for tensor in inputs]
    traced = tf.function(lambda *tensors: layer(list(tensors)), autograph=False)
    operations = traced.get_concrete_function(*specs).graph.get_operations()
    macs: Counter[str] = Counter()
    paper_macs = 0
    for operation in operations:
        if operation.type in _RULES:
            kind, ours, papers = _RULES[operation.type]
            macs[kind] += ours(operation)
            paper_macs += papers(operation)
    return Count(dict(macs), paper_macs, sum(map(_output_bytes, operations)))


def _output_bytes(operation):
    if operation.type not in {*LAYERS, "GatherV2"} or any(
        each.op.type == "GatherV2" for each in operation.inputs
    ):
        return 0
    size = sum(_size(tensor) * tensor.dtype.size for tensor in operation.outputs)
    return size // 4 if operation.type == "GatherV2" else size  # the four corners of a warp are one output


def _size(tensor):
    return math.prod(tensor.shape)


def _convolution(operation):
    return _size(operation.outputs[0]) * math.prod(operation.inputs[1].shape[:3])


def _transposed(operation):
    _, kernel, values = operation.inputs
    return _size(values) * math.prod(kernel.shape[:3])


def _transposed_by_output(operation):
    height, width, _, channels = operation.inputs[1].shape
    return _size(operation.outputs[0]) * height * width * channels


def _product(operation):
    """Output values x the dimensions that are summed over, those that the output lacks."""
    inputs, output = operation.get_attr("equation").decode().replace("...", "").split("->")
    sides: dict[str, int] = {}
    for labels, tensor in zip(inputs.split(","), operation.inputs, strict=True):
        sides.update(zip(labels, tensor.shape[-len(labels) :], strict=True))
    return _size(operation.outputs[0]) * math.prod(
        side for label, side in sides.items() if label not in output
    )


def _matrix_product(operation):
    return _size(operation.inputs[0]) * operation.outputs[0].shape[-1]


def _interpolated(operation):
    return 4 * _size(operation.outputs[0])


def _gathered(operation):
    return _size(operation.outputs[0])


def _none(operation):
    return 0


_RULES = {
    "Conv2D": (CONVOLUTION, _convolution, _convolution),
    "Conv2DBackpropInput": (TRANSPOSED, _transposed, _transposed_by_output),
    "Einsum": (PRODUCT, _product, _none),
    "MatMul": (PRODUCT, _matrix_product, _none),
    "BatchMatMulV2": (PRODUCT, _matrix_product, _none),
    "GatherV2": (WARP, _gathered, _none),  # one for each of the four corners
    "ResizeBilinear": (UP_SAMPLING, _interpolated, lambda operation: 11 * _size(operation.outputs[0])),
}
