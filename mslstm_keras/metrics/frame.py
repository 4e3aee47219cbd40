"""Scores of single frames, averaged over sequences: MSE, MAE, balanced errors, GDL, PSNR and SSIM."""

import re
from typing import Any

import keras
import numpy as np
from keras import ops

from mslstm_keras.dtypes import computed_dtype, require_floats
from mslstm_keras.integers import is_whole
from mslstm_keras.metrics.rain import reaches, threshold_pixel
from mslstm_keras.metrics.weights import (
    any_weight,
    hide,
    mean_of_pixels,
    split_weights,
    sum_of_pixels,
    weights_of_windows,
)
from mslstm_keras.typing import Tensor

SSIM_WINDOW = 11  # pixels
SSIM_SIGMA = 1.5  # pixels
PSNR_EPSILON = 1e-5  # bounds the score of a perfect frame to 50 dB
BALANCE = {2.0: 1, 5.0: 3, 10.0: 5, 30.0: 20}
"""Rain rate, mm/h -> by how much the weight of a pixel, 1 in light rain, grows where it rains at least so."""


class FrameMetric(keras.metrics.Metric):
    """Mean of a score over sequences, for each of the last `frames` frames and over all of them.

        score_t = sum_n f_nt s(y_nt, clip(x_nt, 0, 1), u_nt) / sum_n f_nt
        result  = mean of score_t over the frames t with sum_n f_nt > 0

    with y the truth, x the prediction and s the score of one frame (a subclass' `score`). The sample weights w give
    the weight f_nt = max_p w_ntp of frame t of sequence n, and the weights u_ntp = w_ntp / f_nt of its pixels p;
    without them f and u are 1. So a weight per sequence or per frame is f, and u is 1; a mask of what was observed,
    of zeros and ones, is u, and f is 1 for every frame of which anything was observed. The equations of the
    scores leave u out: sums over pixels are sums of u_p times the value of the pixel, so they are those of
    observed pixels alone and not scaled up; means over pixels are such sums divided by sum_p u_p. What has the
    weight 0 is left out, even where it is not a number.

    A model predicts the frames 1 .. context + forecast - 1, so `frames=forecast_frames`
    counts the forecast alone and `frames=context_frames + forecast_frames - 1` every prediction.

    The state is sums over sequences, which the replicas of a `tf.distribute` strategy keep apart and which
    are added when read: neither the batches nor the devices change a score. What rounding takes from a sum
    is kept beside it, so that a data set of any length is summed as exactly as one batch.

    Args:
        frames: int. How many frames are counted, from the end of what comes in; at least 1.
        name: str. Name in logs. Default: that of the class, such as "frame_mse" for `FrameMSE`.
        dtype: str. The dtype of scores and sums. Default: Keras' float type, but no less than float32, also where the
            model is in mixed precision.

    Call arguments (of `update_state`):
        y_true: tensor (batch, time, height, width, channels), values in [0, 1], at least `frames` frames.
        y_pred: tensor of the same shape; clipped to [0, 1].
        sample_weight: None, or at least 0: one weight per sequence (batch,), such as 0 for those that only pad a
            batch; per frame of `y_true`, (batch, time); or per pixel, (batch, time, height, width) or (batch, time,
            height, width, 1 or channels). In `compile`, weights reach the metrics listed in `weighted_metrics`, not
            those in `metrics`.

    Returns:
        `result()`: the mean over frames, a scalar. `per_frame()`: one value per lead time, (frames,), the
        earliest first. Both are 0 before the first sequence.

    Raises:
        ValueError: if `frames` is not a positive whole number, fewer frames come in, tensors have another rank,
            the frames of `y_true` and `y_pred` differ in shape, either holds integers, or `sample_weight` has
            another shape or holds a negative or not finite value. Inside a graph, where there are no values yet,
            only shapes are checked.

    Differs from the reference code: the score of a prediction that is not a number stays so. There it
    counts as 0, which is the best squared error possible.
    """

    PARTS: tuple[int, ...] = ()
    """Axes of what `score` returns for a frame, beyond batch and frames."""

    def __init__(self, frames: int, name: str | None = None, dtype: Any = None):
        if not is_whole(frames):
            raise ValueError(f"`frames` must be a whole number of at least 1. Received: frames={frames!r}")
        super().__init__(name=name or self.class_name(), dtype=computed_dtype(dtype))
        self.frames = frames
        shape = (frames, *self.PARTS)
        zeros = {"initializer": "zeros", "dtype": self.dtype}
        self.totals = self.add_variable(shape=shape, name="totals", **zeros)
        self.remainders = self.add_variable(shape=shape, name="remainders", **zeros)
        self.sequences = self.add_variable(shape=(frames,), name="sequences", **zeros)

    @classmethod
    def class_name(cls) -> str:
        """Returns the name of the class as logs write names: "frame_mse" for `FrameMSE`."""
        return re.sub("(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        """Returns the score of every frame, (batch, frames, *PARTS), of values in [0, 1].

        Args:
            truth: tensor (batch, frames, height, width, channels); 0 where it must not be seen.
            prediction: tensor of the same shape, likewise.
            pixels: None where all pixels of a frame have one weight, or the weights u of the pixels in [0, 1], (batch,
                frames, height, width, 1 or channels), as `places` returns them.
        """
        raise NotImplementedError

    def places(self, pixels: Tensor) -> Tensor:
        """Returns the weights of the places that `score` compares, from those of the pixels, 5 axes both.

        Here the places are the pixels. A frame whose places all have the weight 0 has no score.
        """
        return pixels

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        self.add(*self.contributions(y_true, y_pred, sample_weight))

    def contributions(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns what each sequence adds to the sums, f_nt s, and the weights f_nt, of call arguments.

        Returns:
            (batch, frames, *PARTS) and (batch, frames). Every score is a function of their sums over sequences, so
            `scores_of` of sums over other choices of sequences tells how far a score depends on the choice.
        """
        truth, prediction = self._counted(y_true, "y_true"), self._counted(y_pred, "y_pred")
        if any(t != p for t, p in zip(truth.shape, prediction.shape, strict=True) if None not in (t, p)):
            raise ValueError(
                "`y_pred` must have the batch size, height, width and channels of `y_true`. "
                f"Received: y_true {tuple(y_true.shape)}, y_pred {tuple(y_pred.shape)}"
            )
        prediction = ops.clip(prediction, 0, 1)
        if sample_weight is None:
            scores = self.score(truth, prediction)
            weights = ops.ones((ops.shape(scores)[0], 1), self.dtype)
        else:
            weights, pixels, per_pixel = split_weights(
                sample_weight, ops.convert_to_tensor(y_true), self.dtype
            )
            weights, pixels = weights[:, -self.frames :], pixels[:, -self.frames :]
            truth, prediction = hide(truth, pixels), hide(prediction, pixels)
            places = [self.places(pixels)] if per_pixel else []
            scores = self.score(truth, prediction, *places)
            for each in places:
                weights = weights * any_weight(each)
        weights = ops.broadcast_to(weights, (ops.shape(scores)[0], self.frames))
        return scores * weights[(..., *(None for _ in self.PARTS))], weights

    def add(self, scores: Tensor, weights: Tensor) -> None:
        """Adds what `contributions` returns to the sums."""
        self._add(ops.sum(scores, axis=0))
        self.sequences.assign_add(ops.sum(weights, axis=0))

    def sums(self) -> Tensor:
        """Returns the weighted sums over sequences of what `score` returns, (frames, ...)."""
        return self.totals + self.remainders

    def scores_of(self, sums: Tensor, weights: Tensor) -> Tensor:
        """Returns score_t, (..., frames), of sums over sequences, (..., frames, *PARTS), and of their weights."""
        return ops.divide_no_nan(sums, weights)

    def mean_of(self, scores: Tensor, weights: Tensor) -> Tensor:
        """Returns the mean, (...), of scores (..., frames) over the frames with a weight above 0."""
        weighed = ops.sum(ops.cast(weights > 0, scores.dtype), axis=-1)
        return ops.mean(scores, axis=-1) * ops.divide_no_nan(ops.cast(self.frames, scores.dtype), weighed)

    def per_frame(self) -> Tensor:
        """Returns the score of each counted frame, (frames,), the earliest lead time first."""
        return self.scores_of(self.sums(), ops.convert_to_tensor(self.sequences))

    def result(self) -> Tensor:
        """Returns the mean score over the counted frames, without those that nothing gave a weight; a scalar."""
        return self.mean_of(self.per_frame(), ops.convert_to_tensor(self.sequences))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "frames": self.frames}

    def _add(self, increment):
        """Adds to the totals, and to the remainders what float32 cannot hold (two-sum of Knuth)."""
        after = self.totals + increment
        added = after - self.totals
        self.remainders.assign_add((self.totals - (after - added)) + (increment - added))
        self.totals.assign(after)  # last: until here the totals are those before

    def _counted(self, frames, argument):
        require_floats(frames, argument)
        frames = ops.cast(ops.convert_to_tensor(frames), self.dtype)
        if len(frames.shape) != 5:
            raise ValueError(
                f"`{argument}` must have the axes (batch, time, height, width, channels). "
                f"Received: shape={tuple(frames.shape)}"
            )
        if frames.shape[1] is not None and frames.shape[1] < self.frames:
            raise ValueError(
                f"`{argument}` must hold at least the {self.frames} frames that {self.name} counts. "
                f"Received: {frames.shape[1]} frames, shape={tuple(frames.shape)}"
            )
        return frames[:, -self.frames :]


@keras.saving.register_keras_serializable(package="mslstm_keras")
class FrameMSE(FrameMetric):
    """Squared error of a frame, summed over its pixels and channels.

        s(y, x) = sum_p (y_p - x_p)^2

    Args, call arguments, results and errors: see `FrameMetric`.
    """

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        return sum_of_pixels(ops.square(truth - prediction), pixels)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class FrameMAE(FrameMetric):
    """Absolute error of a frame, summed over its pixels and channels.

        s(y, x) = sum_p |y_p - x_p|

    Args, call arguments, results and errors: see `FrameMetric`.
    """

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        return sum_of_pixels(ops.abs(truth - prediction), pixels)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class PixelMSE(FrameMetric):
    """Squared error of a frame, averaged over its pixels and channels.

        s(y, x) = mean_p (y_p - x_p)^2

    Args, call arguments, results and errors: see `FrameMetric`.
    """

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        return mean_of_pixels(ops.square(truth - prediction), pixels)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class PixelMAE(FrameMetric):
    """Absolute error of a frame, averaged over its pixels and channels.

        s(y, x) = mean_p |y_p - x_p|

    Args, call arguments, results and errors: see `FrameMetric`.
    """

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        return mean_of_pixels(ops.abs(truth - prediction), pixels)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class FrameGDL(FrameMetric):
    """Gradient difference of a frame: how much blurrier, or sharper, its edges are than the true ones.

        s(y, x) = sum_p | |dy_p| - |dx_p| |  over neighbours along the height, and again along the width

    with d the difference of a pixel and the one before it; summed over pixels and channels. Where pixels have weights,
    two neighbours have the smaller one of theirs: a pair with an unobserved pixel is left out.
    Args, call arguments, results and errors: see `FrameMetric`.

    Reference: Mathieu, Couprie & LeCun, "Deep multi-scale video prediction beyond mean square error",
    ICLR 2016 (the loss of equation 6, with exponent 1).
    """

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        return sum(
            sum_of_pixels(
                ops.abs(_steepness(truth, axis) - _steepness(prediction, axis)), _pairs(pixels, axis)
            )
            for axis in (2, 3)
        )


def _steepness(frames, axis):
    return ops.abs(ops.diff(frames, axis=axis))


def _pairs(pixels, axis):
    """Returns the weights of neighbours from those of the pixels."""
    if pixels is None:
        return None
    before, after = (slice(None, -1), slice(1, None))
    ahead = (slice(None),) * axis
    return ops.minimum(pixels[(*ahead, before)], pixels[(*ahead, after)])


class BalancedError(FrameMetric):
    """Error of a frame, summed over its pixels and channels with more weight where more rain fell.

        s(y, x) = sum_p w(R(y_p)) e(y_p - x_p)
        w(R)    = 1 for R < 2, 2 for R < 5, 5 for R < 10, 10 for R < 30, else 30          R in mm/h

    with e the error of a pixel (a subclass' `error`) and R the rain rate that the true pixel stands for.

    Args:
        frames: int. How many frames are counted, from the end of what comes in; at least 1.
        rain_scale: str. How pixels code rain rates: "dwd" (Germany), "hko" (Hong Kong), "meteonet", "rainf"
            or "brasil". Default: "dwd".
        name: str. See `FrameMetric`.
        dtype: str. See `FrameMetric`, also for call arguments, results and errors.

    Raises:
        ValueError: also if `rain_scale` is no such name.

    Reference: Shi et al., "Deep learning for precipitation nowcasting: a benchmark and a new model",
    NeurIPS 2017.
    """

    def __init__(self, frames: int, rain_scale: str = "dwd", name: str | None = None, dtype: Any = None):
        super().__init__(frames, name, dtype)
        self.rain_scale = rain_scale
        self.balance = {threshold_pixel(rate, rain_scale): more for rate, more in BALANCE.items()}

    def error(self, difference: Tensor) -> Tensor:
        """Returns the error of every pixel."""
        raise NotImplementedError

    def weight(self, truth: Tensor) -> Tensor:
        """Returns the weight of every true pixel."""
        reached = (more * reaches(truth, pixel, self.dtype) for pixel, more in self.balance.items())
        return 1 + sum(reached)

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        return sum_of_pixels(self.weight(truth) * self.error(truth - prediction), pixels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rain_scale": self.rain_scale}


@keras.saving.register_keras_serializable(package="mslstm_keras")
class BalancedMSE(BalancedError):
    """Squared error with the weights of `BalancedError`, which documents arguments and results."""

    def error(self, difference: Tensor) -> Tensor:
        return ops.square(difference)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class BalancedMAE(BalancedError):
    """Absolute error with the weights of `BalancedError`, which documents arguments and results."""

    def error(self, difference: Tensor) -> Tensor:
        return ops.abs(difference)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class FramePSNR(FrameMetric):
    """Peak signal-to-noise ratio of a frame, in dB; 50 for a perfect one.

        s(y, x) = 10 log10(1 / (mean_p (y_p - x_p)^2 + 1e-5))

    The mean of the ratios of single frames, not the ratio of the mean error.
    Args, call arguments, results and errors: see `FrameMetric`.
    """

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        error = mean_of_pixels(ops.square(truth - prediction), pixels)
        return -10 * ops.log10(error + PSNR_EPSILON)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class FrameSSIM(FrameMetric):
    """Structural similarity of a frame, 1 for a perfect one.

        s(y, x) = mean (2 m_y m_x + c1) (2 v_yx + c2) / ((m_y^2 + m_x^2 + c1) (v_y + v_x + c2))

    over channels and all positions at which a Gaussian window lies wholly inside the frame; m, v are mean
    and (co)variance under the window, c1 = 0.01^2, c2 = 0.03^2 for values in [0, 1]. The window is 11
    pixels wide with standard deviation 1.5; frames with a side below 11 take windows of that side k with
    standard deviation 1.5 k / 11. Where pixels have weights, the mean has weights too, of each window the least one of
    its pixels: a window with an unobserved pixel is left out, and so is a frame that holds no other.
    Args, call arguments, results and errors: see `FrameMetric`; also

    Raises:
        ValueError: if height, width or channels of `y_pred` are unknown.

    Reference: Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", IEEE Transactions on Image Processing 13 (2004).
    """

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        frame_shape, window = prediction.shape[2:], _ssim_window(prediction)
        if pixels is not None:
            return mean_of_pixels(_ssim_of_windows(truth, prediction, window), pixels)
        values = ops.image.ssim(
            ops.reshape(truth, (-1, *frame_shape)),
            ops.reshape(prediction, (-1, *frame_shape)),
            max_val=1.0,
            filter_size=window,  # Keras documents odd sizes; it computes even ones right too (tested)
            filter_sigma=SSIM_SIGMA * window / SSIM_WINDOW,
            data_format="channels_last",
        )
        return ops.reshape(values, ops.shape(prediction)[:2])

    def places(self, pixels: Tensor) -> Tensor:
        return weights_of_windows(pixels, _ssim_window(pixels))


def _ssim_window(frames):
    if None in frames.shape[2:]:
        raise ValueError(
            "`y_pred` must have known height, width and channels, which set the window. "
            f"Received: shape={tuple(frames.shape)}"
        )
    return min(SSIM_WINDOW, *frames.shape[2:4])


def _ssim_of_windows(truth, prediction, window):
    """Returns the similarity at every position of the window; `ops.image.ssim` tells no more than their mean."""
    steps = np.arange(window) - (window - 1) / 2
    weights = np.exp(-np.square(steps / (SSIM_SIGMA * window / SSIM_WINDOW)) / 2)
    kernel = ops.cast(weights / weights.sum(), truth.dtype)

    def mean(frames):
        size = ops.shape(frames)
        # Each channel is an image by itself.
        images = ops.reshape(ops.transpose(frames, (0, 1, 4, 2, 3)), (-1, size[2], size[3], 1))
        for sides in ((window, 1), (1, window)):
            images = ops.conv(images, ops.reshape(kernel, (*sides, 1, 1)), data_format="channels_last")
        height, width = ops.shape(images)[1:3]
        return ops.transpose(ops.reshape(images, (*size[:2], size[4], height, width)), (0, 1, 3, 4, 2))

    m_y, m_x = mean(truth), mean(prediction)
    c1, c2 = 0.01**2, 0.03**2
    variances = mean(ops.square(truth)) + mean(ops.square(prediction)) - ops.square(m_y) - ops.square(m_x)
    covariance = mean(truth * prediction) - m_y * m_x
    likeness = (2 * m_y * m_x + c1) * (2 * covariance + c2)
    return likeness / ((ops.square(m_y) + ops.square(m_x) + c1) * (variances + c2))
