"""The convolutions of a network alone: their arithmetic, and the time that the machine needs for nothing else."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unittest import mock

import keras
import numpy as np
from keras import ops

from benchmarks.networks import create
from benchmarks.workload import Workload
from mslstm_keras.models.rollout import Rollout, find_layer

FORWARD, INPUT_GRADIENT, KERNEL_GRADIENT = "forward", "gradient of input", "gradient of kernel"
PASSES = {"forward": (FORWARD,), "training": (FORWARD, INPUT_GRADIENT, KERNEL_GRADIENT)}
"""What each pass of a network does with every one of its convolutions, once per step."""


@dataclass(frozen=True)
class Convolution:
    """A convolution, channels last, without bias.

    Attributes:
        input_shape: (height, width, channels) of its input.
        kernel_shape: (height, width, input channels, output channels).
        output_shape: (height, width, channels) of its output.
        strides: (vertical, horizontal).
        padding: "same" or "valid".
        dtype: str. What it computes in.
    """

    input_shape: tuple[int, int, int]
    kernel_shape: tuple[int, int, int, int]
    output_shape: tuple[int, int, int]
    strides: tuple[int, int]
    padding: str
    dtype: str

    @property
    def flops(self) -> int:
        """Multiplications and additions for one input, borders counted in full; the same for each gradient."""
        height, width, _ = self.output_shape
        return 2 * height * width * math.prod(self.kernel_shape)


def find_convolutions(workload: Workload) -> list[Convolution]:
    """Returns the convolutions of one step of a network, in the order in which they are computed.

    Raises:
        ValueError: if one of them is grouped or dilated.
    """
    step = find_layer(create(workload, "plain"), Rollout).step
    calls = []
    original = keras.layers.Conv2D.__call__

    def record(layer, inputs, *arguments, **options):
        calls.append((layer, inputs.shape))
        return original(layer, inputs, *arguments, **options)

    with mock.patch.object(keras.layers.Conv2D, "__call__", record):
        step([ops.zeros((1, *tensor.shape[1:]), tensor.dtype) for tensor in step.inputs])
    return [_convolution(layer, shape) for layer, shape in calls]


def _convolution(layer, inputs_shape):
    if layer.groups > 1 or layer.dilation_rate != (1, 1) or layer.data_format != "channels_last":
        raise ValueError(
            "`model` must have ungrouped, undilated convolutions, channels last. Received: "
            f"{layer.name!r} with groups={layer.groups}, dilation_rate={layer.dilation_rate}, "
            f"data_format={layer.data_format!r}"
        )
    return Convolution(
        tuple(inputs_shape[1:]),
        tuple(layer.kernel.shape),
        tuple(layer.compute_output_shape(inputs_shape)[1:]),
        tuple(layer.strides),
        layer.padding,
        layer.compute_dtype,
    )


def gigaflops(convolutions: Sequence[Convolution], workload: Workload, name: str = "forward") -> float:
    """Returns the arithmetic of one of `PASSES` of a whole batch, in 10^9 operations."""
    per_step = sum(convolution.flops for convolution in convolutions)
    return len(PASSES[name]) * workload.steps * workload.batch_size * per_step / 1e9


def roofline(convolutions: Sequence[Convolution], workload: Workload, name: str) -> Callable[[], float]:
    """Returns a function that computes the convolutions of one of `PASSES`, as the backend does, and nothing else.

    They run one after the other, on noise, as often as the network runs its step. The result of each goes
    into a number that the next one waits for, so that none is left out or moved out of the loop.
    """
    run = {"tensorflow": _tensorflow_loop, "jax": _jax_loop}.get(keras.config.backend())
    if run is None:
        raise ValueError(
            f"the roofline needs the backend tensorflow or jax. Received: {keras.config.backend()!r}"
        )
    jobs = [(kind, convolution) for convolution in convolutions for kind in PASSES[name]]
    random = np.random.default_rng(0)
    operands = []
    for convolution in convolutions:
        shapes = (
            (workload.batch_size, *convolution.input_shape),
            convolution.kernel_shape,
            (workload.batch_size, *convolution.output_shape),
        )
        triple = [
            ops.convert_to_tensor(random.standard_normal(shape, "float32"), convolution.dtype)
            for shape in shapes
        ]
        operands += [triple] * len(PASSES[name])
    return run(jobs, operands, workload.steps)


def _tensorflow_loop(jobs, operands, steps):
    import tensorflow as tf

    def compute(kind, convolution, x, kernel, d_output):
        options = {"strides": (1, *convolution.strides, 1), "padding": convolution.padding.upper()}
        if kind == FORWARD:
            return tf.raw_ops.Conv2D(input=x, filter=kernel, **options)
        if kind == INPUT_GRADIENT:
            return tf.raw_ops.Conv2DBackpropInput(
                input_sizes=x.shape, filter=kernel, out_backprop=d_output, **options
            )
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x, filter_sizes=kernel.shape, out_backprop=d_output, **options
        )

    # Tensors come in as arguments: constants would be folded away together with their convolutions.
    @tf.function
    def run(operands):
        def step(t, total):
            for job, tensors in zip(jobs, operands, strict=True):
                with tf.control_dependencies([total]):
                    result = compute(*job, *tensors)
                total = total + tf.cast(tf.reduce_max(result[0, 0, 0]), "float32")
            return t + 1, total

        return tf.while_loop(lambda t, _: t < steps, step, (0, tf.constant(0.0)))[1]

    return lambda: float(run(operands))


def _jax_loop(jobs, operands, steps):
    import jax

    def convolve(convolution, x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            convolution.strides,
            convolution.padding.upper(),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    def compute(kind, convolution, x, kernel, d_output):
        if kind == FORWARD:
            return convolve(convolution, x, kernel)
        if kind == INPUT_GRADIENT:
            return jax.vjp(lambda x: convolve(convolution, x, kernel), x)[1](d_output)[0]
        return jax.vjp(lambda kernel: convolve(convolution, x, kernel), kernel)[1](d_output)[0]

    @jax.jit
    def run(operands):
        def step(_, total):
            for job, tensors in zip(jobs, operands, strict=True):
                # The barrier ties the operands to the step: XLA moves out of a loop what is the same in each.
                tensors, total = jax.lax.optimization_barrier((tensors, total))
                total = total + compute(*job, *tensors)[0, 0, 0].max().astype("float32")
            return total

        return jax.lax.fori_loop(0, steps, step, 0.0)

    return lambda: float(run(operands))
