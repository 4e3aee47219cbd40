"""Optimisers that hold for several devices, and for batches cut into parts."""

from typing import Any

import keras
from keras import ops

from mslstm_keras.typing import Tensor

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


@keras.saving.register_keras_serializable(package="mslstm_keras")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` whose `global_clipnorm` is the norm of the gradients of all devices together.

        g' = g min(1, global_clipnorm / |g|),   g = sum of the gradients of all devices

    Under a TensorFlow strategy Keras' own Adam clips the gradients of each device before it adds them. The weights
    are then others than on one device.

    Args:
        *args: those of `keras.optimizers.Adam`.
        **kwargs: those of `keras.optimizers.Adam`.

    Raises:
        ValueError: by `build`, if a variable is in float16: the squares of small gradients are 0 there, and steps
            become thousands of times too large.
    """

    def build(self, variables: list[keras.Variable]) -> None:
        half = [variable.path for variable in variables if variable.dtype == "float16"]
        if half:
            raise ValueError(
                "`variables` must not be in float16, which cannot hold the squares of gradients; choose the dtype "
                f"policy mixed_float16, bfloat16 or float32. Received: float16 for {half[0]}"
            )
        super().build(variables)

    def _clip_gradients(self, grads):
        if not self.global_clipnorm or not _is_shared():
            return super()._clip_gradients(grads)
        clipped = super()._clip_gradients(_summed(grads))
        return [gradient / tf.distribute.get_strategy().num_replicas_in_sync for gradient in clipped]


@keras.saving.register_keras_serializable(package="mslstm_keras")
class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """`keras.optimizers.LossScaleOptimizer` that skips a step where the gradients of any device are not finite.

    Keras' own looks only at the first device, before the gradients of all are added. An overflow on another device then
    makes the weights NaN and leaves the scale as it was.

    Args:
        inner_optimizer: `keras.optimizers.Optimizer` that takes the unscaled gradients.
        **kwargs: those of `keras.optimizers.LossScaleOptimizer`, such as `initial_scale` and `dynamic_growth_steps`.
    """

    def check_finite(self, grads: list[Tensor]) -> Tensor:
        """Returns whether the gradients of all devices are finite."""
        finite = super().check_finite(grads)
        return _summed(ops.cast(ops.logical_not(finite), "float32")) == 0 if _is_shared() else finite


@keras.saving.register_keras_serializable(package="mslstm_keras")
class RateOfUpdates(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate by the number of updates where several parts of a batch make one: Keras counts the parts.

        rate(k) = schedule(floor(k / parts))

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule`, by updates.
        parts: int. Parts of a batch, the optimiser's `gradient_accumulation_steps`.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, parts: int):
        super().__init__()
        self.schedule = schedule
        self.parts = parts

    def __call__(self, step: int | Tensor) -> Tensor:
        return self.schedule(step // self.parts)

    def get_config(self) -> dict[str, Any]:
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "parts": self.parts}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "RateOfUpdates":
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["parts"])


@keras.saving.register_keras_serializable(package="mslstm_keras")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that rises linearly over the first steps to that of another schedule.

        rate(k) = schedule(k) min(1, (k + 1) / steps)                       k = 0, 1, ...

    Adam's first steps rest on the squares of few gradients: at a large rate they may throw weights far off.

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule`.
        steps: int. Steps over which the rate rises; at least 1.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, steps: int):
        super().__init__()
        self.schedule = schedule
        self.steps = steps

    def __call__(self, step: int | Tensor) -> Tensor:
        risen = (ops.cast(step, "float32") + 1) / self.steps
        return self.schedule(step) * ops.minimum(1.0, risen)

    def get_config(self) -> dict[str, Any]:
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmUp":
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["steps"])


def _is_shared():
    return keras.backend.backend() == "tensorflow" and tf.distribute.has_strategy()


def _summed(values):
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
