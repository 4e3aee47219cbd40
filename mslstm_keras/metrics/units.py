"""Tensors of pixels as numbers in the units of their data, and back; errors of predicted frames in these units."""

import functools
import math
from typing import Any

import keras
from keras import ops

from mslstm_keras.frames.rain import RainScale
from mslstm_keras.frames.scales import LinearScale, LogScale, Scale, parse_scale
from mslstm_keras.metrics.frame import FrameMetric
from mslstm_keras.metrics.weights import mean_of_pixels
from mslstm_keras.typing import Tensor


@functools.singledispatch
def to_values(scale: Scale, pixels: Tensor) -> Tensor:
    """`scale.to_value` of tensors.

    Args:
        scale: how pixels stand for numbers, one of `mslstm_keras.frames`.
        pixels: tensor of any shape, in [0, 1].
    """
    raise TypeError(f"`scale` must be a scale of `mslstm_keras.frames`. Received: {scale!r}")


@to_values.register
def _(scale: LinearScale, pixels: Tensor) -> Tensor:
    return pixels * (scale.high - scale.low) + scale.low


@to_values.register
def _(scale: LogScale, pixels: Tensor) -> Tensor:
    return ops.expm1(pixels * math.log1p(scale.high - scale.low)) + scale.low


@to_values.register
def _(scale: RainScale, pixels: Tensor) -> Tensor:
    dbz = pixels * (scale.highest - scale.lowest) + scale.lowest
    # So asked, what is not a number stays so.
    return ops.where(pixels <= 0, 0.0, ops.power(10.0, (dbz - scale.log_a) / (10 * scale.b)))


@functools.singledispatch
def to_pixels(scale: Scale, values: Tensor) -> Tensor:
    """`scale.to_pixel` of tensors, but what is NaN, or below the lower end, is as that end.

    Args:
        scale: how pixels stand for numbers, one of `mslstm_keras.frames`.
        values: tensor of any shape, in the units of the scale.

    Returns:
        Pixels: not clipped, so above 1 for numbers above the upper end, and below 0, down to minus infinity, for
        rates of rain below that of pixel 0.
    """
    raise TypeError(f"`scale` must be a scale of `mslstm_keras.frames`. Received: {scale!r}")


@to_pixels.register
def _(scale: LinearScale, values: Tensor) -> Tensor:
    return (ops.where(values > scale.low, values, scale.low) - scale.low) / (scale.high - scale.low)


@to_pixels.register
def _(scale: LogScale, values: Tensor) -> Tensor:
    above = ops.where(values > scale.low, values, scale.low) - scale.low
    return ops.log1p(above) / math.log1p(scale.high - scale.low)


@to_pixels.register
def _(scale: RainScale, values: Tensor) -> Tensor:
    rate = ops.where(values > 0, values, 0.0)
    dbz = scale.log_a + 10 * scale.b * ops.log(rate) / math.log(10)
    return (dbz - scale.lowest) / (scale.highest - scale.lowest)


class _ValueMetric(FrameMetric):
    """A score of the numbers that pixels stand for.

    Args:
        frames: int, see `FrameMetric`.
        scale: str. How pixels stand for numbers, as `mslstm_keras.frames.parse_scale` takes it.
        name, dtype: see `FrameMetric`.

    Raises:
        ValueError: also if `scale` is none.
    """

    def __init__(self, frames: int, scale: str, name: str | None = None, dtype: Any = None):
        super().__init__(frames, name, dtype)
        self.scale = scale
        self._to_values = functools.partial(to_values, parse_scale(scale))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="mslstm_keras")
class ValueMAE(_ValueMetric):
    """Absolute error of the numbers that the pixels of a frame stand for, averaged over its pixels and channels.

        s(y, x) = mean_p |v(y_p) - v(x_p)|                      in the units of the scale v

    Args: see `FrameMetric`, and `scale`: how pixels stand for numbers, such as "0:655 bikes/h".
    """

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        return mean_of_pixels(ops.abs(self._to_values(truth) - self._to_values(prediction)), pixels)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class ValueBias(_ValueMetric):
    """By how much the numbers that predicted pixels stand for are too large, averaged over pixels and channels.

        s(y, x) = mean_p (v(x_p) - v(y_p))                      in the units of the scale v; 0 at best

    Args: see `FrameMetric`, and `scale`: how pixels stand for numbers, such as "0:655 bikes/h".
    """

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        return mean_of_pixels(self._to_values(prediction) - self._to_values(truth), pixels)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class ValueRMSE(_ValueMetric):
    """Root of the mean squared error of the numbers that pixels stand for, over all clips, for each lead time.

        score_t = sqrt(sum_n f_nt mean_p (v(y_ntp) - v(x_ntp))^2 / sum_n f_nt)      in the units of the scale v

    Args: see `FrameMetric`, and `scale`: how pixels stand for numbers, such as "0:655 bikes/h".
    """

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        return mean_of_pixels(ops.square(self._to_values(truth) - self._to_values(prediction)), pixels)

    def scores_of(self, sums: Tensor, weights: Tensor) -> Tensor:
        return ops.sqrt(super().scores_of(sums, weights))
