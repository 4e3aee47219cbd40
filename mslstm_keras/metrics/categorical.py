"""Scores of where it rains: POD, FAR, CSI, HSS and FSS at a threshold, pooled over a whole set."""

from typing import Any

import keras
import numpy as np
from keras import ops

from mslstm_keras.integers import is_whole
from mslstm_keras.metrics.frame import FrameMetric
from mslstm_keras.metrics.rain import reaches, threshold_pixel
from mslstm_keras.metrics.weights import pooled, sum_of_pixels, weights_of_windows
from mslstm_keras.typing import Tensor


class EventMetric(FrameMetric):
    """Score of an event: a pixel whose rain rate is at least `threshold`.

    What is counted is summed over all sequences before a score is made of it, for each frame; where there
    is nothing to divide by, the score is 0. Pixels are compared in float32, as frames hold them.

    Args:
        frames: int. How many frames are counted, from the end of what comes in; at least 1.
        threshold: float. Least rain rate of an event, mm/h.
        rain_scale: str. How pixels code rain rates: "dwd" (Germany), "hko" (Hong Kong), "meteonet", "rainf"
            or "brasil". Default: "dwd".
        name: str. Name in logs. Default: that of the score and the threshold, such as "csi_0.5".
        dtype: str. See `FrameMetric`, also for call arguments, results and errors.

    Raises:
        ValueError: also if `rain_scale` is no such name, or `threshold` lies outside the rates that its
            pixels stand for.
    """

    def __init__(
        self,
        frames: int,
        threshold: float,
        rain_scale: str = "dwd",
        name: str | None = None,
        dtype: Any = None,
    ):
        self.pixel = threshold_pixel(threshold, rain_scale)
        super().__init__(frames, name or f"{self.class_name()}_{threshold:g}", dtype)
        self.threshold = float(threshold)
        self.rain_scale = rain_scale

    def events(self, frames: Tensor) -> Tensor:
        """Returns 1 for every pixel with an event and 0 for every other; what is not a number stays so."""
        return ops.where(ops.isnan(frames), frames, reaches(frames, self.pixel, self.dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold, "rain_scale": self.rain_scale}


class Contingency(EventMetric):
    """Score of the pixels that are hits, misses, false alarms and correct negatives.

                        observed        not observed
        predicted       hit             false alarm
        not predicted   miss            correct negative

    Each pixel counts as often as its sample weight says: 0 where nothing was observed.
    A subclass is one formula, `rate`. Each of them counts the same, so one metric's counts give them all:
    `HSS.rate(*metric.counts().T)`.
    Args, call arguments, results and errors: see `EventMetric`.
    """

    PARTS = (4,)

    @staticmethod
    def rate(hits: Tensor, misses: Tensor, false_alarms: Tensor, correct_negatives: Tensor) -> Tensor:
        """Returns the score of counts."""
        raise NotImplementedError

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        events = self.events(truth), self.events(prediction)
        observed, predicted = (sum_of_pixels(event, pixels) for event in events)
        hits = sum_of_pixels(events[0] * events[1], pixels)
        count = sum_of_pixels(ops.ones_like(truth), pixels)
        return ops.stack(
            [hits, observed - hits, predicted - hits, count - observed - predicted + hits], axis=-1
        )

    def counts(self) -> np.ndarray:
        """Returns hits, misses, false alarms and correct negatives so far, float64 (frames, 4).

        They are exact as long as no batch has more than 2^24 pixels in one of its frames; however many
        batches there are.
        """
        totals, remainders = (ops.convert_to_numpy(part) for part in (self.totals, self.remainders))
        return totals.astype("float64") + remainders

    def take_counts(self, other: "Contingency") -> None:
        """Takes over the counts of another metric of the same frames and threshold, in place of its own."""
        for own, theirs in zip(self.variables, other.variables, strict=True):
            own.assign(theirs)

    def scores_of(self, sums: Tensor, weights: Tensor) -> Tensor:
        return self.rate(*ops.unstack(sums, axis=-1))


@keras.saving.register_keras_serializable(package="mslstm_keras")
class POD(Contingency):
    """Probability of detection: hits / (hits + misses), 1 at best.

    Args, call arguments, results and errors: see `EventMetric`.
    """

    @staticmethod
    def rate(hits: Tensor, misses: Tensor, false_alarms: Tensor, correct_negatives: Tensor) -> Tensor:
        return ops.divide_no_nan(hits, hits + misses)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class FAR(Contingency):
    """False alarm ratio: false alarms / (hits + false alarms), 0 at best.

    Args, call arguments, results and errors: see `EventMetric`.
    """

    @staticmethod
    def rate(hits: Tensor, misses: Tensor, false_alarms: Tensor, correct_negatives: Tensor) -> Tensor:
        return ops.divide_no_nan(false_alarms, hits + false_alarms)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class CSI(Contingency):
    """Critical success index: hits / (hits + misses + false alarms), 1 at best.

    Args, call arguments, results and errors: see `EventMetric`.
    """

    @staticmethod
    def rate(hits: Tensor, misses: Tensor, false_alarms: Tensor, correct_negatives: Tensor) -> Tensor:
        return ops.divide_no_nan(hits, hits + misses + false_alarms)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class HSS(Contingency):
    """Heidke skill score: the share of right pixels beyond those of chance, 1 at best, 0 without skill.

        HSS = 2 (a d - b c) / ((a + c) (c + d) + (a + b) (b + d))

    with a hits, b false alarms, c misses and d correct negatives.
    Args, call arguments, results and errors: see `EventMetric`.
    """

    @staticmethod
    def rate(hits: Tensor, misses: Tensor, false_alarms: Tensor, correct_negatives: Tensor) -> Tensor:
        skill = 2 * (hits * correct_negatives - false_alarms * misses)
        chance = (hits + misses) * (misses + correct_negatives)
        chance += (hits + false_alarms) * (false_alarms + correct_negatives)
        return ops.divide_no_nan(skill, chance)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class FSS(EventMetric):
    """Fractions skill score: whether as much of a neighbourhood is wet as was forecast, 1 at best.

        FSS = 1 - sum (p_x - p_y)^2 / sum (p_x^2 + p_y^2)

    with p the share of a window's pixels that have an event, in prediction and truth; summed over all
    positions at which the window lies wholly inside the frame, over channels and over sequences. Where pixels have
    weights, a window has the least one of its pixels: one with an unobserved pixel is left out.

    Args:
        frames: int. See `EventMetric`, also for what is not named here.
        threshold: float. Least rain rate of an event, mm/h.
        window: int. Side of the square window, pixels; at least 1. Default: 5.
        name: str. Default: names the threshold and the window, such as "fss_0.5_5".

    Raises:
        ValueError: also if `window` is no positive whole number, or larger than a frame.

    Reference: Roberts & Lean, "Scale-selective verification of rainfall accumulations from high-resolution
    forecasts of convective events", Monthly Weather Review 136 (2008).
    """

    PARTS = (2,)

    def __init__(
        self,
        frames: int,
        threshold: float,
        window: int = 5,
        rain_scale: str = "dwd",
        name: str | None = None,
        dtype: Any = None,
    ):
        if not is_whole(window):
            raise ValueError(f"`window` must be a whole number of at least 1. Received: window={window!r}")
        super().__init__(frames, threshold, rain_scale, name or f"fss_{threshold:g}_{window}", dtype)
        self.window = window

    def shares(self, frames: Tensor) -> Tensor:
        """Returns the share of every window's pixels that have an event."""
        self._check_window(frames)
        return pooled(ops.average_pool, self.events(frames), self.window)

    def places(self, pixels: Tensor) -> Tensor:
        self._check_window(pixels)
        return weights_of_windows(pixels, self.window)

    def score(self, truth: Tensor, prediction: Tensor, pixels: Tensor | None = None) -> Tensor:
        observed, predicted = self.shares(truth), self.shares(prediction)
        parts = [ops.square(predicted - observed), ops.square(predicted) + ops.square(observed)]
        if pixels is not None:
            parts = [pixels * part for part in parts]
        return ops.stack([ops.mean(part, axis=(2, 3, 4)) for part in parts], axis=-1)

    def scores_of(self, sums: Tensor, weights: Tensor) -> Tensor:
        difference, largest = ops.unstack(sums, axis=-1)
        return ops.divide_no_nan(largest - difference, largest)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "window": self.window}

    def _check_window(self, frames):
        if any(side is not None and side < self.window for side in frames.shape[2:4]):
            raise ValueError(
                "`window` must fit into the frames. "
                f"Received: window={self.window}, frames of {frames.shape[2]}x{frames.shape[3]}"
            )
