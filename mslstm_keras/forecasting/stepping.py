"""A step of a model for any size of frames, compiled once, whose states stay on the device."""

import weakref
from collections.abc import Callable, Sequence
from typing import TypeAlias

import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
elif keras.backend.backend() == "jax":
    import jax

from mslstm_keras.models.resizing import resized_step, size_divisor
from mslstm_keras.typing import Tensor

Run: TypeAlias = Callable[[Sequence[Tensor]], Sequence[Tensor]]
SIZES = 4  # that a model is kept in besides its own
_RUNS: "weakref.WeakKeyDictionary[keras.Model, Run]" = weakref.WeakKeyDictionary()
_RESIZED: "weakref.WeakKeyDictionary[keras.Model, dict[tuple[int, ...], keras.Model]]" = (
    weakref.WeakKeyDictionary()
)


class Stepper:
    """Runs a model's step over frames of one size.

    Sides that the model's patches and scales do not divide are padded with zeros below and to the right, as if it were
    dry there, and what is predicted there is taken away from what is returned.

    Args:
        step: step of a model.
        frame_shape: (height, width, channels) of any size.

    Attributes:
        shape: (height, width, channels) that the step runs on.
        step: `keras.Model`, the step of that size.

    Raises:
        ValueError: if the model's weights are tied to another size.
    """

    def __init__(self, step: keras.Model, frame_shape: Sequence[int]):
        height, width, channels = frame_shape
        divisor = size_divisor(step)
        self.shape = (-(-height // divisor) * divisor, -(-width // divisor) * divisor, channels)
        self.step = _sized(step, self.shape)
        self._run = _compiled(self.step)

    def begin(self, batch_size: int) -> list[Tensor]:
        """Returns the states before the first frame: zeros."""
        return [
            keras.ops.zeros((batch_size, *state.shape[1:]), dtype=state.dtype)
            for state in self.step.inputs[1:]
        ]

    def pad(self, frames: Tensor) -> Tensor:
        """Returns frames (batch, height, width, channels) of the size that the step runs on."""
        below, right = self.shape[0] - frames.shape[1], self.shape[1] - frames.shape[2]
        frames = keras.ops.convert_to_tensor(frames)
        return keras.ops.pad(frames, ((0, 0), (0, below), (0, right), (0, 0))) if below or right else frames

    def __call__(self, frames: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Returns the prediction and the new states for a frame of the size that the step runs on."""
        prediction, *after = self._run([frames, *states])
        return prediction, after


def _sized(step, shape):
    """Returns the step for frames of a shape, with the weights that `step` has now."""
    if step.inputs[0].shape[1:] == shape:
        return step
    kept = _RESIZED.setdefault(step, {})
    if shape in kept:
        kept[shape] = resized = kept.pop(shape)  # now the last
        resized.set_weights(step.get_weights())
    else:
        kept[shape] = resized = resized_step(step, shape)
        if len(kept) > SIZES:
            del kept[next(iter(kept))]
    return resized


def _compiled(step):
    if step not in _RUNS:
        _RUNS[step] = _compile(weakref.ref(step))  # what is kept for a step must not keep the step
    return _RUNS[step]


def _compile(step):
    """Returns what runs the step that a weak reference leads to. Tensors in and out: no copies in NumPy."""
    backend = keras.backend.backend()
    if backend == "tensorflow":

        @tf.function(reduce_retracing=True, autograph=False, jit_compile=step().jit_compile)
        def run(inputs):
            return step()(inputs, training=False)

        return run
    if backend == "jax":

        @jax.jit
        def run_with(weights, others, inputs):
            return step().stateless_call(weights, others, inputs, training=False)[0]

        def run(inputs):
            weights, others = step().trainable_variables, step().non_trainable_variables
            return run_with([each.value for each in weights], [each.value for each in others], inputs)

        return run
    return lambda inputs: step().predict_on_batch(inputs)
