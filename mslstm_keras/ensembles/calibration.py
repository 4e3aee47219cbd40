"""Recalibration: in place of a probability stands how often such a one came true before."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mslstm_keras.frames.scales import parse_scale

LEVELS = 101
"""Of forecast probabilities that are counted for a curve: around 0, 0.01, ..., 1."""

Curve: TypeAlias = Mapping[str, Sequence[float]]
"""{"forecast": probabilities that rise, "observed": how often they came true}, of one lead time."""


def units_of(scale: str | None) -> str:
    """Returns the units of thresholds for frames of a scale, or without one."""
    return parse_scale(scale).units if scale else "pixel values"


def fit_curve(forecast: np.ndarray, observed: np.ndarray, count: np.ndarray) -> dict[str, list[float]]:
    """Returns the curve that rises and is nearest to the observed frequencies.

        min_f sum_b n_b (f(p_b) - o_b)^2,  f(p) <= f(p') where p <= p'        isotonic regression

    Args:
        forecast: floats (bins,). Mean probability p_b of each bin.
        observed: floats (bins,). Frequency o_b of what came true.
        count: numbers (bins,). Forecasts n_b in each bin; bins without any count for nothing.

    Returns:
        {"forecast", "observed"}: corners of the curve, straight in between. Where nothing was counted at all, the
        curve from (0, 0) to (1, 1), which leaves probabilities as they are.

    Reference:
        Zadrozny & Elkan 2002, Transforming classifier scores into accurate multiclass probability estimates.
        https://doi.org/10.1145/775047.775151
    """
    from sklearn.isotonic import IsotonicRegression

    there = np.asarray(count) > 0
    if not there.any():
        return {"forecast": [0.0, 1.0], "observed": [0.0, 1.0]}
    fit = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    fit.fit(
        np.asarray(forecast, "float64")[there],
        np.asarray(observed, "float64")[there],
        sample_weight=np.asarray(count, "float64")[there],
    )
    return {"forecast": fit.X_thresholds_.tolist(), "observed": fit.y_thresholds_.tolist()}


def apply_curve(probability: np.ndarray, curve: Curve) -> np.ndarray:
    """Returns what a curve makes of probabilities: float32, NaN where they are; beyond its ends the curve is level."""
    return np.interp(probability, curve["forecast"], curve["observed"]).astype("float32")


@dataclass(frozen=True)
class Calibration:
    """The curves of what was scored, by `mslstm study probabilities`, on events like those to come.

    `units` and `interval` are those of the thresholds and of the frames, in minutes or None. `curves` are of a label,
    then of a threshold such as "5", then of a lead time.
    """

    units: str
    interval: float | None
    curves: Mapping[str, Mapping[str, Sequence[Curve]]]

    @classmethod
    def of_scores(cls, scores: Mapping[str, Any]) -> "Calibration":
        """Returns the curves of what `mslstm_keras.ensembles.scoring.score_ensembles` returns.

        Raises:
            ValueError: if it holds none.
        """
        try:
            curves = {
                name: told["calibration"]
                for name, told in scores["forecasts"].items()
                if "calibration" in told
            }
            found = cls(scores["units"], scores["interval"], curves)
        except (AttributeError, KeyError, TypeError):
            curves = {}
        if not curves:
            raise ValueError(
                "`calibration` must be scores of `mslstm study probabilities --output`. Received: others"
            )
        return found

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Calibration":
        """Returns the curves of a file that `mslstm study probabilities --output` wrote.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it is of another kind.
        """
        try:
            return cls.of_scores(json.loads(Path(path).read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(
                "`calibration` must be a file that `mslstm study probabilities --output` wrote, with its curves. "
                f"Received: {path}"
            ) from error

    def check(
        self, label: str, thresholds: Iterable[float], leads: int, *, units: str, interval: float | None
    ) -> None:
        """Makes sure that forecasts are of the kind that was scored.

        Raises:
            ValueError: if there are no curves of the label, of a threshold or of so many lead times, or if units are
                others, or minutes between frames where both are known.
        """
        if label not in self.curves:
            raise ValueError(
                f"`calibration` must hold what is recalibrated. Received: no {label!r}, but "
                f"{', '.join(map(repr, self.curves))}"
            )
        for threshold in thresholds:
            curves = self.curves[label].get(f"{threshold:g}")
            if curves is None:
                raise ValueError(
                    f"`calibration` must hold every threshold. Received: no {threshold:g}, but "
                    f"{', '.join(self.curves[label])}"
                )
            if len(curves) < leads:
                raise ValueError(
                    f"`calibration` must hold every lead time. Received: {len(curves)} for {leads} frames"
                )
        if units != self.units:
            raise ValueError(f"`calibration` must be of thresholds in {units!r}. Received: in {self.units!r}")
        if None not in (interval, self.interval) and interval != self.interval:
            raise ValueError(
                f"`calibration` must be of frames as far apart in time. Received: {self.interval:g} minutes for "
                f"{interval:g}"
            )

    def apply(self, label: str, threshold: float, probability: np.ndarray) -> np.ndarray:
        """Returns recalibrated probabilities, lead times along the first axis: float32."""
        curves = self.curves[label][f"{threshold:g}"]
        return np.stack([apply_curve(each, curves[lead]) for lead, each in enumerate(probability)])
