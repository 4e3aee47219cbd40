"""Training losses over predicted frames."""

from typing import Any

import keras
from keras import ops

from mslstm_keras.typing import Tensor


@keras.saving.register_keras_serializable(package="mslstm_keras")
class FrameL1L2(keras.losses.Loss):
    """Squared plus absolute error, summed over the pixels of a frame.

        L = 1 / (N T) sum_n sum_t sum_p [ (y_ntp - x_ntp)^2 + a |y_ntp - x_ntp| ]

    over N sequences, T frames and the pixels and channels p of a frame, with y the truth and x the
    prediction, which is not clipped. Because sequences and frames are averaged, the value does not depend
    on the batch size; because pixels are summed, it grows with the size of the frame.

    Args:
        l1_weight: float. Weight a of the absolute error: 1 in the paper. Where little is certain, as early in a
            training, it pulls forecasts of bright things on black towards black. 0 leaves only the squared error.
        reduction: str. How Keras combines the values of the single frames. Default
            "sum_over_batch_size": their mean, as in the equation.
        name: str. Default "frame_l1_l2".
        dtype: str. The dtype computed in. Default: Keras' float type, also where the model is in mixed
            precision.

    Call arguments:
        y_true: tensor (batch, time, height, width, channels), values in [0, 1].
        y_pred: tensor of the same shape.
        sample_weight: None, one weight per sequence (batch,), or one per frame (batch, time).

    Returns:
        A scalar. `call` returns the value of every single frame, (batch, time).

    Reference: Ma, Zhang & Liu, "MS-LSTM", Applied Soft Computing 147 (2023).
    """

    def __init__(
        self,
        l1_weight: float = 1.0,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str = "frame_l1_l2",
        dtype: Any = None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if l1_weight < 0:
            raise ValueError(f"`l1_weight` must be 0 or more. Received: l1_weight={l1_weight}")
        self.l1_weight = l1_weight

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight, dtype=self.dtype)
            if len(sample_weight.shape) == 1:
                # Keras would line (batch,) up with the time axis of the (batch, time) values.
                sample_weight = ops.expand_dims(sample_weight, axis=1)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        error = y_true - y_pred
        return ops.sum(ops.square(error) + self.l1_weight * ops.abs(error), axis=(2, 3, 4))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dtype": self.dtype, "l1_weight": self.l1_weight}
