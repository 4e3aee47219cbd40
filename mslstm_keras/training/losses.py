"""Training losses over predicted frames."""

import math
import numbers
from typing import Any

import keras
from keras import ops

from mslstm_keras.dtypes import computed_dtype, require_floats
from mslstm_keras.metrics.weights import hide, split_weights, sum_of_pixels
from mslstm_keras.typing import Tensor


@keras.saving.register_keras_serializable(package="mslstm_keras")
class FrameL1L2(keras.losses.Loss):
    """Squared plus absolute error, summed over the pixels of a frame.

        L = 1 / (N T) sum_n sum_t sum_p w_ntp (1 + b y_ntp) [ (y_ntp - x_ntp)^2 + a |y_ntp - x_ntp| ]

    over N sequences, T frames and the pixels and channels p of a frame, with y the truth, x the prediction, which
    is not clipped, and w the sample weights: 1 without them, w_n per sequence, w_nt per frame, or w_ntp per pixel.
    Because sequences and frames are averaged, the value does not depend on the batch size; because pixels are
    summed, it grows with the size of the frame. What has the weight 0 is left out, even where it is not a number.

    Weights do not change the divisor N T, as Keras has it for "sum_over_batch_size": half of them 0, half of the
    loss. "mean_with_sample_weight" divides by sum_n sum_t max_p w_ntp instead, which for weights 0 and 1 is the number
    of frames of which anything counts.

    Args:
        l1_weight: float. Weight a of the absolute error: 1 in the paper. Where little is certain, as early in a
            training, it pulls forecasts of bright things on black towards black. 0 leaves only the squared error.
        balance: float. How much more, b, a bright pixel counts than a black one. Rain is rare, heavy rain rarer:
            with 0, the default, forecasts of it fade.
        reduction: str. How Keras combines the values of the single frames. Default
            "sum_over_batch_size": their mean, as in the equation.
        name: str. Default "frame_l1_l2".
        dtype: str. The dtype computed in. Default: Keras' float type, but no less than float32, also where the model is
            in mixed precision.

    Call arguments:
        y_true: tensor (batch, time, height, width, channels), values in [0, 1].
        y_pred: tensor of the same shape.
        sample_weight: None, or at least 0: one weight per sequence (batch,), per frame (batch, time), or per pixel,
            (batch, time, height, width) or (batch, time, height, width, 1 or channels), such as a mask of what was
            observed.

    Returns:
        A scalar. `call` returns the value of every single frame, (batch, time).

    Raises:
        ValueError: if `l1_weight` or `balance` is no finite number of at least 0; in a call, if `y_true` and `y_pred`
            differ in shape, which would spread the one over the other, or if `sample_weight` has another shape, or
            holds a negative or not finite value. Inside a graph, where there are no values yet, only shapes count.

    Reference: Ma, Zhang & Liu, "MS-LSTM", Applied Soft Computing 147 (2023).
    """

    def __init__(
        self,
        l1_weight: float = 1.0,
        *,
        balance: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "frame_l1_l2",
        dtype: Any = None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=computed_dtype(dtype))
        for name, value in (("l1_weight", l1_weight), ("balance", balance)):
            if not isinstance(value, numbers.Real) or not 0 <= value < math.inf:
                raise ValueError(
                    f"`{name}` must be a finite number of at least 0. Received: {name}={value!r}"
                )
        self.l1_weight, self.balance = l1_weight, balance

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        require_floats(y_true, "y_true")  # Keras casts without a word
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        _require_one_shape(y_true.shape, y_pred.shape)
        if sample_weight is None:
            return super().__call__(y_true, y_pred)
        weights = split_weights(sample_weight, y_true, self.dtype)
        # Keras would line (batch,) up with the time axis of the (batch, time) values.
        frames = weights.frames * ops.ones(ops.shape(y_true)[:2], self.dtype)
        # It multiplies values by weights; those of pixels go to `call`, in a structure as Keras takes them.
        return super().__call__((y_true, weights.pixels), y_pred, frames)

    def call(self, y_true: Tensor | tuple[Tensor, Tensor], y_pred: Tensor) -> Tensor:
        truth, pixels = y_true if isinstance(y_true, tuple) else (y_true, None)
        error = truth - y_pred
        if pixels is not None:
            truth, error = hide(truth, pixels), hide(error, pixels)
        weight = 1 + self.balance * truth
        return sum_of_pixels(weight * (ops.square(error) + self.l1_weight * ops.abs(error)), pixels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dtype": self.dtype,
            "l1_weight": self.l1_weight,
            "balance": self.balance,
        }


def _require_one_shape(truth, prediction):
    if len(truth) != len(prediction) or any(
        None not in sides and sides[0] != sides[1] for sides in zip(truth, prediction, strict=True)
    ):
        raise ValueError(
            "`y_true` must have the shape of `y_pred`, (batch, time, height, width, channels). Received: "
            f"y_true.shape={tuple(truth)}, y_pred.shape={tuple(prediction)}"
        )
