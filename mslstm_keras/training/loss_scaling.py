"""Loss scaling that holds for several devices."""

import keras
from keras import ops

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


@keras.saving.register_keras_serializable(package="mslstm_keras")
class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """`keras.optimizers.LossScaleOptimizer` that skips a step where the gradients of any device are not finite.

    Keras' own asks the first device alone, before the gradients of all are added: what overflows on another one becomes
    NaN in the weights, and the scale stays.

    Args:
        inner_optimizer: `keras.optimizers.Optimizer` that takes the unscaled gradients.
        **kwargs: those of `keras.optimizers.LossScaleOptimizer`, such as `initial_scale` and `dynamic_growth_steps`.
    """

    def check_finite(self, grads):
        """Returns whether the gradients of all devices are finite."""
        finite = super().check_finite(grads)
        if keras.backend.backend() != "tensorflow" or not tf.distribute.has_strategy():
            return finite
        overflown = ops.cast(ops.logical_not(finite), "float32")
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, overflown) == 0
