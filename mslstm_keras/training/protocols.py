"""How the forecasts of each data set are scored: which scores, in which order, and what they are called."""

from dataclasses import dataclass

from mslstm_keras.training.metrics.categorical import CSI, FAR, HSS, POD
from mslstm_keras.training.metrics.frame import (
    BalancedMAE,
    BalancedMSE,
    FrameGDL,
    FrameMAE,
    FrameMetric,
    FrameMSE,
    FramePSNR,
    FrameSSIM,
)
from tfds_builders.rain import RAIN_SCALES, RainScale

FRAME_METRICS = {
    "mse": (FrameMSE, "MSE (sum over a frame)"),
    "mae": (FrameMAE, "MAE (sum over a frame)"),
    "ssim": (FrameSSIM, "SSIM"),
    "psnr": (FramePSNR, "PSNR (dB)"),
    "gdl": (FrameGDL, "GDL (sum over a frame)"),
}
RAIN_METRICS = {
    "balanced_mse": (BalancedMSE, "balanced MSE (sum over a frame)"),
    "balanced_mae": (BalancedMAE, "balanced MAE (sum over a frame)"),
}
EVENT_METRICS = {"csi": CSI, "hss": HSS, "pod": POD, "far": FAR}


@dataclass(frozen=True)
class Protocol:
    """What is scored on a data set.

    Attributes:
        metrics: names of scores in the order of a table; "csi_2" is the CSI at 2 mm/h.
        by_lead_time: those of them that the paper shows frame by frame.
        cumulative: bool. Whether these are also shown as means over the lead times so far.
        rain_scale: name of the code of rain rates, see `tfds_builders.rain`; None where pixels are no rain.
        interval: float, minutes between two frames, where all configs of the data set share it.
    """

    metrics: tuple[str, ...] = ("mse", "mae", "ssim", "psnr")
    by_lead_time: tuple[str, ...] = ("mse",)
    cumulative: bool = False
    rain_scale: str | None = None
    interval: float | None = None

    @property
    def scale(self) -> RainScale | None:
        """How pixels code rain rates; None where they do not."""
        return None if self.rain_scale is None else RAIN_SCALES[self.rain_scale]

    def make(self, frames: int) -> dict[str, FrameMetric]:
        """Returns the metrics, by name, of the last `frames` frames."""
        return {name: self._metric(name, frames) for name in self.metrics}

    def _metric(self, name, frames):
        if name in FRAME_METRICS:
            return FRAME_METRICS[name][0](frames)
        if name in RAIN_METRICS:
            return RAIN_METRICS[name][0](frames, rain_scale=self.rain_scale)
        event, _, threshold = name.partition("_")
        return EVENT_METRICS[event](frames, threshold=float(threshold), rain_scale=self.rain_scale)


_EVENTS = tuple(f"{score}_{threshold}" for score in ("csi", "hss") for threshold in ("0.5", "2", "5"))
PROTOCOLS = {
    "taxibj_clips": Protocol(interval=30),
    "kth_clips": Protocol(("ssim", "psnr", "mse", "mae"), by_lead_time=("ssim", "psnr")),
    "dwd_radar_clips": Protocol(
        (*_EVENTS, "mse", "mae", "balanced_mse", "balanced_mae"),
        by_lead_time=_EVENTS,
        cumulative=True,
        rain_scale="dwd",
    ),
}
"""Data set -> how it is scored; every other one is scored by `Protocol()`, as Moving MNIST is in the paper."""


def find_protocol(data: str) -> Protocol:
    """Returns how the clips of "name/config", or of a file, are scored."""
    return PROTOCOLS.get(data.partition("/")[0], Protocol())


def metric_label(name: str) -> str:
    """Returns what a table calls a score, with its unit, such as "CSI at 2 mm/h" for "csi_2"."""
    known = {**FRAME_METRICS, **RAIN_METRICS}
    if name in known:
        return known[name][1]
    event, _, threshold = name.partition("_")
    return f"{event.upper()} at {threshold} mm/h"


def score_text(value: float) -> str:
    """Returns a score with as many decimals as tell models apart: two from 10 on, else three."""
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"
