"""How the forecasts of each data set are scored: which scores, in which order, and what they are called."""

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mslstm_keras.frames.rain import RAIN_SCALES, RainScale
from mslstm_keras.frames.scales import parse_scale
from mslstm_keras.metrics.categorical import CSI, FAR, FSS, HSS, POD
from mslstm_keras.metrics.frame import (
    BalancedMAE,
    BalancedMSE,
    FrameGDL,
    FrameMAE,
    FrameMetric,
    FrameMSE,
    FramePSNR,
    FrameSSIM,
    PixelMAE,
    PixelMSE,
)
from mslstm_keras.metrics.units import ValueBias, ValueMAE, ValueRMSE
from mslstm_keras.naming import nearest
from mslstm_keras.training.recipes import Recipe

# Metric, label, and whether more (1) or less (-1) is better, 0 if neither; of `EVENT_SCORES` the label is filled in.
Score = tuple[type[FrameMetric] | None, str, int]

FRAME_SCORES: dict[str, Score] = {
    "mse": (FrameMSE, "MSE (sum over a frame)", -1),
    "mae": (FrameMAE, "MAE (sum over a frame)", -1),
    "pixel_mse": (PixelMSE, "MSE (mean over pixels)", -1),
    "pixel_mae": (PixelMAE, "MAE (mean over pixels)", -1),
    "ssim": (FrameSSIM, "SSIM", 1),
    "psnr": (FramePSNR, "PSNR (dB)", 1),
    "gdl": (FrameGDL, "GDL (sum over a frame)", -1),
}
RAIN_SCORES: dict[str, Score] = {
    "balanced_mse": (BalancedMSE, "balanced MSE (sum over a frame)", -1),
    "balanced_mae": (BalancedMAE, "balanced MAE (sum over a frame)", -1),
}
VALUE_SCORES: dict[str, Score] = {
    "value_mae": (ValueMAE, "MAE (in units)", -1),
    "value_rmse": (ValueRMSE, "RMSE (in units)", -1),
    "value_bias": (ValueBias, "bias (in units)", 0),
}
# Their names have a threshold, "csi_2"; that of FSS also the side of its windows, "fss_2_5".
EVENT_SCORES: dict[str, Score] = {
    "csi": (CSI, "CSI at {threshold} mm/h", 1),
    "hss": (HSS, "HSS at {threshold} mm/h", 1),
    "pod": (POD, "POD at {threshold} mm/h", 1),
    "far": (FAR, "FAR at {threshold} mm/h", -1),
    "fss": (FSS, "FSS at {threshold} mm/h in {window} x {window} pixels", 1),
}
UNMEASURED_SCORES: dict[str, Score] = {"lpips": (None, "LPIPS", -1)}  # not streamed, see `lpips_distance`
_EVENT_NAME = re.compile(r"(?P<event>[a-z]+)_(?P<threshold>\d+(?:\.\d+)?)(?:_(?P<window>\d+))?")


@dataclass(frozen=True)
class Protocol:
    """What is scored on a data set.

    Attributes:
        metrics: names of scores in the order of a table: "mse" and "mae" (sums over the pixels of a frame),
            "pixel_mse" and "pixel_mae" (means), "ssim", "psnr", "gdl"; of rain also "balanced_mse", "balanced_mae",
            "csi_2", which is the CSI at 2 mm/h, likewise "hss", "pod" and "far", and "fss_2_5", the FSS at 2 mm/h in
            windows of 5 x 5 pixels.
        by_lead_time: those of them that the paper shows frame by frame.
        cumulative: bool. Whether these are also shown as means over the lead times so far.
        rain_scale: name of the code of rain rates, see `mslstm_keras.frames.rain`; None where pixels are no rain.
        value_scale: how pixels stand for numbers, see `mslstm_keras.frames.parse_scale`, for "value_mae",
            "value_rmse" and "value_bias"; None where they stand for none.
    """

    metrics: tuple[str, ...] = ("mse", "mae", "ssim", "psnr")
    by_lead_time: tuple[str, ...] = ("mse",)
    cumulative: bool = False
    rain_scale: str | None = None
    value_scale: str | None = None

    def in_units(self, scale: str | None) -> "Protocol":
        """Returns the protocol with errors in the units of a scale besides; the same one where there is none."""
        if scale is None:
            return self
        code = parse_scale(scale)
        return dataclasses.replace(
            self,
            metrics=(*self.metrics, "value_mae", "value_rmse"),
            value_scale=scale,
            rain_scale=str(code).removeprefix("rain:") if isinstance(code, RainScale) else self.rain_scale,
        )

    def choose(
        self,
        metrics: Sequence[str] | None = None,
        thresholds: Sequence[float] | None = None,
        scales: Sequence[int] | None = None,
    ) -> "Protocol":
        """Returns the protocol with other scores, all of them by lead time; the same one if nothing is asked for.

        Args:
            metrics: names of scores, in place of the protocol's own but for those that thresholds and scales add.
            thresholds: rain rates, mm/h, of "csi", "pod", "far" and "hss"; in place of the protocol's own.
            scales: sides of windows, in pixels, of "fss" at each of the thresholds.

        Raises:
            ValueError: if thresholds or scales are given where pixels are no rain, or scales without thresholds.
        """
        if metrics is None and thresholds is None and scales is None:
            return self
        for name, given in (("thresholds", thresholds), ("scales", scales)):
            if given is not None and self.rain_scale is None:
                raise ValueError(
                    f"`{name}` must be left out for data that are no rain. Received: {name}={list(given)}"
                )
        if scales is not None and thresholds is None:
            raise ValueError(f"`scales` must be given with thresholds. Received: scales={list(scales)}")
        names = [name for name in self.metrics if name.partition("_")[0] not in EVENT_SCORES]
        chosen = dict.fromkeys(
            [*event_scores(thresholds or (), scales or ()), *(names if metrics is None else metrics)]
        )
        return dataclasses.replace(self, metrics=tuple(chosen), by_lead_time=tuple(chosen), cumulative=False)

    @property
    def scale(self) -> RainScale | None:
        """How pixels code rain rates; None where they do not."""
        return None if self.rain_scale is None else RAIN_SCALES[self.rain_scale]

    def make(self, frames: int) -> dict[str, FrameMetric]:
        """Returns the metrics, by name, of the last `frames` frames.

        Raises:
            ValueError: if a name is unknown, or asks for rain where pixels are none.
        """
        return {name: self._metric(name, frames) for name in self.metrics}

    def _metric(self, name, frames):
        kind, arguments, _, _ = _find_score(name)
        if kind is None:
            examples = [
                *FRAME_SCORES,
                *RAIN_SCORES,
                *VALUE_SCORES,
                "csi_2",
                "hss_2",
                "pod_2",
                "far_2",
                "fss_2_5",
            ]
            raise ValueError(
                f"`metrics` must be known, such as {nearest(name, examples)}. Received: {name!r}"
            )
        if name in VALUE_SCORES:
            arguments = {"scale": self.value_scale}
        elif name not in FRAME_SCORES:
            arguments = {**arguments, "rain_scale": self.rain_scale}
        return kind(frames, **arguments)


_EVENTS = tuple(f"{score}_{threshold}" for score in ("csi", "hss") for threshold in ("0.5", "2", "5"))
PROTOCOLS = {
    "kth_clips": Protocol(("ssim", "psnr", "mse", "mae"), by_lead_time=("ssim", "psnr")),
    "dwd_radar_clips": Protocol(
        (*_EVENTS, "mse", "mae", "balanced_mse", "balanced_mae"),
        by_lead_time=_EVENTS,
        cumulative=True,
        rain_scale="dwd",
    ),
}
"""Data set -> how it is scored; every other one is scored by `Protocol()`, as Moving MNIST is in the paper."""


def event_scores(thresholds: Sequence[float], scales: Sequence[int]) -> list[str]:
    """Returns the names of scores of rain at these rates, mm/h, and of the FSS in windows of these sides, pixels."""
    events = [f"{event}_{threshold:g}" for threshold in thresholds for event in ("csi", "pod", "far", "hss")]
    return events + [f"fss_{threshold:g}_{scale}" for threshold in thresholds for scale in scales]


def find_protocol(data: str) -> Protocol:
    """Returns how the clips of "name/config", or of a file, are scored."""
    return PROTOCOLS.get(data.partition("/")[0], Protocol())


def data_scale(recipe: Recipe) -> str | None:
    """Returns how the pixels of a recipe's data stand for numbers in units, as a text; None where they do not.

    See `mslstm_keras.frames.parse_scale`.
    """
    code = find_protocol(recipe.data).rain_scale
    return recipe.scale or (code and f"rain:{code}")


def metric_label(name: str, scale: str | None = None) -> str:
    """Returns what a table calls a score, such as "CSI at 2 mm/h" for "csi_2"; the name of one that nobody knows.

    Args:
        name: str. Name of the score.
        scale: how pixels stand for numbers in units, see `mslstm_keras.frames.parse_scale`: errors in units name them.
    """
    label = _find_score(name)[2]
    units = parse_scale(scale).units if scale and name in VALUE_SCORES else ""
    return label.replace("in units", units) if units else label


def direction(name: str) -> int:
    """Returns 1 for scores of which more is better, -1 where less is, 0 where neither is or nobody knows."""
    return _find_score(name)[3]


def best_of(metric: str, values: Iterable[float | None]) -> float | None:
    """Returns the best of the values of a score, None where there is none or nobody knows which it is."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known or not direction(metric):
        return None
    return max(known) if direction(metric) > 0 else min(known)


def interval_text(interval: Sequence[float] | None) -> str:
    """Returns an interval as what stands behind its score, in brackets; "" where there is none."""
    return f" ({' to '.join(map(score_text, interval))})" if interval else ""


def score_text(value: float | None) -> str:
    """Returns a score with as many decimals as tell models apart, two from 10 on, else three; a dash for none."""
    if value is None:
        return "-"
    decimals = 2 if abs(value) >= 10 else 3
    return f"{round(value, decimals) + 0.0:.{decimals}f}"  # what rounds to zero has no sign


def _find_score(name):
    """Returns metric, its arguments, label and direction of a score; no metric where nothing streams it."""
    known = FRAME_SCORES | RAIN_SCORES | VALUE_SCORES | UNMEASURED_SCORES
    if name in known:
        kind, label, better = known[name]
        return kind, {}, label, better
    parts = _EVENT_NAME.fullmatch(name)
    if not parts or parts["event"] not in EVENT_SCORES or (parts["event"] == "fss") != bool(parts["window"]):
        return None, {}, name, 0
    kind, label, better = EVENT_SCORES[parts["event"]]
    window = {"window": int(parts["window"])} if parts["window"] else {}
    return kind, {"threshold": float(parts["threshold"]), **window}, label.format(**parts.groupdict()), better
