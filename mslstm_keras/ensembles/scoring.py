"""Scores of ensembles: how good the probabilities are that they give, by lead time."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from keras import ops

from mslstm_keras.data.clips import Clips, fill_missing
from mslstm_keras.ensembles.calibration import LEVELS, Calibration, Curve, apply_curve, fit_curve, units_of
from mslstm_keras.ensembles.labels import of_neighbourhood, of_recalibrated
from mslstm_keras.ensembles.probabilities import exceedance_probability, neighbourhood_probability
from mslstm_keras.evaluation.extrapolation import WET
from mslstm_keras.evaluation.intervals import bootstrap_means, interval
from mslstm_keras.evaluation.scores import clips_to_score
from mslstm_keras.frames.rain import RainScale
from mslstm_keras.frames.scales import Scale, parse_scale
from mslstm_keras.importing import needed
from mslstm_keras.integers import is_whole
from mslstm_keras.metrics.frame import FrameMetric
from mslstm_keras.typing import Progress

BINS = 11
"""Of forecast probabilities: around 0, 0.1, ..., 1, so that each one of up to ten members has a bin of its own."""

EnsembleForecaster: TypeAlias = Callable[[np.ndarray, int], np.ndarray]
"""Function of a context (context_frames, height, width, channels), where missing pixels are 0, and of a seed for what
is drawn at random; returns members (members, forecast_frames, height, width, channels)."""


def score_ensembles(
    forecasters: Mapping[str, EnsembleForecaster],
    clips: Clips,
    *,
    context_frames: int,
    forecast_frames: int,
    thresholds: Sequence[float],
    count: int | None = None,
    side: int | None = None,
    seed: int = 0,
    calibration: Calibration | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Scores the probabilities of ensembles, by lead time, and those that the neighbourhood of one forecast gives.

        CRPS    = mean_m |x_m - y| - sum_mn |x_m - x_n| / (2 M^2)
        Brier   = (p - [y >= threshold])^2                      p: share of members that reach the threshold
        spread  = sqrt(mean of (M + 1) / M  var_m x_m)          var of a sample, over M - 1
        RMSE    = sqrt(mean of (mean_m x_m - y)^2)
        ratio   = spread / RMSE                                 1 where members are as far apart as they are from y

    of M members x_m in [0, 1] and the truth y, in the units of the clips, or pixel values where they have none. Each
    score is a mean over the observed pixels of a frame, then over clips, then over lead times; spread and RMSE are the
    roots of such means. The CRPS is that of the members as they are ("ecdf"), not that of as many as one likes
    ("fair"): of one member it is the MAE, so that single forecasts stand in the same table. Likewise the Brier score.

    - Reliability: of all forecasts of a probability around 0, 0.1, ..., 1, how often the threshold was reached.
    - Calibration: the same by lead time, as curves that rise, see `mslstm_keras.ensembles.calibration.fit_curve`. They
      recalibrate forecasts of other events of the kind; on those scored here they would look better than they are.
    - Ranks: how many members lie below the truth. Where some equal it, it is put among them at random. Pixels where
      all members equal it, such as dry ones, are left out. Rain below 0.1 mm/h counts as none here.
    - Missing pixels of the truth count nowhere. Members of one clip are in memory, and no others.

    Args:
        forecasters: name -> function, see `EnsembleForecaster`. One that gives one member is a single forecast.
        clips: clips of at least context_frames + forecast_frames frames.
        context_frames: int. Frames that are given.
        forecast_frames: int. Frames that are forecast.
        thresholds: what is to be reached, in the units of the clips.
        count: int. How many clips; all by default.
        side: int. Of the square window, in pixels, whose pixels give the probabilities of single forecasts besides,
            see `neighbourhood_probability`. Default: none.
        seed: int. Of the first clip; that of the next is greater by 1. Also of the places of ties.
        calibration: curves of other events, of some of the forecasters or of neighbourhoods: probabilities that they
            recalibrate are scored besides. Default: none.
        progress: function of the number of clips that are scored, and of all.

    Returns:
        {"clips": count, "interval": minutes between frames or None, "units": str, "thresholds": list, "missing": share
        of the pixels of the truth, "forecasts": name -> {"members": M, "seconds": the median of a forecast, "crps":
        score, "brier": {"5": score}, "reliability": {"5": {"forecast": mean probability in each bin, "observed":
        frequency, "count": pixels}}, "calibration": {"5": a curve each lead time}, "spread": score, "rmse": score,
        "ratio": score, "ranks": {"count": pixels of each rank, "left_out": pixels}}}. A score is {"mean", "per_frame",
        "interval"}, as in `mslstm_keras.evaluation.scores.score`; spread, RMSE and ratio have no interval. Of one
        member spread, ratio and ranks are None; of the neighbourhood, called "NAME, 5 x 5 pixels", there are "brier",
        "reliability" and "calibration" alone; of what is called "..., recalibrated" the first two, and "recalibrates",
        of what. None stands for what is a score of nothing.

    Raises:
        ValueError: if there is no forecaster, a threshold lies outside of the range of the clips, or an argument,
            clips or members are not as described; if `calibration` is of none of the forecasts, or of others.
        ImportError: if `scores` is not installed.

    References:
        Gneiting & Raftery 2007, Strictly proper scoring rules, prediction, and estimation.
        https://doi.org/10.1198/016214506000001437
        Fortin, Abaza, Anctil & Turcotte 2014, Why should ensemble spread match the RMSE of the ensemble mean?
        https://doi.org/10.1175/JHM-D-14-0008.1
        Hamill 2001, Interpretation of rank histograms for verifying ensemble forecasts.
        https://doi.org/10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2
    """
    if not forecasters:
        raise ValueError("`forecasters` must hold at least one function. Received: none")
    if side is not None and not is_whole(side):
        raise ValueError(f"`side` must be a positive number of pixels. Received: side={side!r}")
    count = clips_to_score(clips, count)
    scale = parse_scale(clips.scale or "0:1")
    pixels = {f"{threshold:g}": _threshold_pixel(threshold, scale) for threshold in thresholds}
    if len(pixels) < len(thresholds):
        raise ValueError(
            f"`thresholds` must differ in six digits. Received: {', '.join(map(str, thresholds))}"
        )
    units = units_of(clips.scale)
    if calibration is not None:
        labels = [*forecasters, *(of_neighbourhood(each, side) for each in forecasters if side)]
        for label in [each for each in labels if each in calibration.curves] or labels[:1]:
            calibration.check(label, thresholds, forecast_frames, units=units, interval=clips.interval)
    generator = np.random.default_rng(seed)
    observed = np.zeros((count, forecast_frames))
    counts: dict[str, dict[str, _Counts]] = {}
    for number in range(count):
        frames = clips.frames(np.array([number]))[0]
        length = context_frames + forecast_frames
        if len(frames) < length:
            raise ValueError(f"`clips` must have {length} frames or more. Received: {len(frames)}")
        context, truth = fill_missing(frames[:context_frames])[0], frames[context_frames:length]
        observed[number] = (~np.isnan(truth)).mean(axis=(1, 2, 3))
        for name, forecaster in forecasters.items():
            start = time.perf_counter()
            members = np.asarray(forecaster(context, seed + number))
            seconds = time.perf_counter() - start
            _check_members(members, truth, name)
            members = np.clip(members, 0, 1)
            if name not in counts:
                kept = (scale, pixels, observed.shape)
                counts[name] = _counts_of(name, len(members), side, calibration, kept, generator)
            counts[name][name].seconds.append(seconds)
            for each in counts[name].values():
                each.add(number, truth, members)
        if progress:
            progress(number + 1, count)
    return {
        "clips": count,
        "interval": clips.interval,
        "units": units,
        "thresholds": list(thresholds),
        "missing": float(1 - observed.mean()),
        "forecasts": _results(
            {label: each for own in counts.values() for label, each in own.items()},
            (observed > 0).astype("float64"),
        ),
    }


def _threshold_pixel(threshold, scale):
    """Returns the pixel of a threshold, as the float32 that frames hold."""
    low, high = scale.ends
    pixel = float(np.float32(scale.to_pixel(np.float64(threshold)))) if low < threshold <= high else 0
    if not 0 < pixel <= 1:
        raise ValueError(
            f"`thresholds` must lie above {low:g} and up to {high:g} {scale.units}".rstrip()
            + f", so that pixels tell them from less. Received: {threshold:g}"
        )
    return pixel


def _counts_of(
    name: str,
    members: int,
    side: int | None,
    calibration: Calibration | None,
    kept: tuple[Scale, Mapping[str, float], tuple[int, int]],
    generator: np.random.Generator,
) -> "dict[str, _Counts]":
    """Returns label -> what is kept of one forecaster, of windows of its one forecast, and of what is recalibrated."""
    own: dict[str, _Counts] = {name: _Members(*kept, generator, members)}
    if side is not None and members == 1:
        own[of_neighbourhood(name, side)] = _Neighbourhood(*kept, side)
    curves = {} if calibration is None else calibration.curves
    return own | {
        of_recalibrated(label): _Recalibrated(*kept, own[label], label, curves[label])
        for label in own
        if label in curves
    }


def _check_members(members, truth, name):
    if members.ndim != 5 or members.shape[1:] != truth.shape or not len(members):
        raise ValueError(
            f"`forecasters` must return (members, time, height, width, channels) = (members, *{truth.shape}). "
            f"Received: {members.shape} of {name}"
        )
    if not np.isfinite(members).all():
        raise ValueError(f"`forecasters` must return finite numbers. Received: others of {name}")


@dataclass
class _Counts:
    """What is kept of the probabilities of one forecast: means of frames, and counts over all.

    `scale`: of the pixels; `pixels`: thresholds, by their names; `shape`: (clips, frames).
    """

    scale: Scale
    pixels: Mapping[str, float]
    shape: tuple[int, int]
    brier: dict[str, np.ndarray] = field(init=False)
    bins: dict[str, np.ndarray] = field(init=False)
    levels: dict[str, np.ndarray] = field(init=False)
    seconds: list[float] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.brier = {name: np.zeros(self.shape) for name in self.pixels}
        self.bins = {name: np.zeros((3, BINS)) for name in self.pixels}
        self.levels = {name: np.zeros((self.shape[1], 3, LEVELS)) for name in self.pixels}

    def add(self, number: int, truth: np.ndarray, members: np.ndarray) -> None:
        """Adds a clip, frame by frame: all of its members in float64 may be too much for the memory."""
        for lead, frame in enumerate(truth):
            observed = ~np.isnan(frame)
            if observed.any():
                self._add_frame((number, lead), frame, members[:, lead], observed)

    def probability(self, members: np.ndarray, threshold: str, lead: int) -> np.ndarray:
        """Returns how probable it is that pixels (height, width, channels) reach a threshold."""
        raise NotImplementedError

    def _add_frame(self, place, truth, members, observed):
        xarray, scores = _libraries()
        lead = place[1]
        for name, pixel in self.pixels.items():
            probability = self.probability(members, name, lead)[observed].astype("float64")
            event = (truth[observed] >= pixel).astype("float64")
            forecast, happened = (xarray.DataArray(each, dims="pixel") for each in (probability, event))
            self.brier[name][place] = scores.brier_score(forecast, happened)
            self.bins[name] += _binned(probability, event, BINS)
            self.levels[name][lead] += _binned(probability, event, LEVELS)


@dataclass
class _Neighbourhood(_Counts):
    """What is kept of the probabilities that windows of so many pixels a side give."""

    side: int

    def probability(self, members: np.ndarray, threshold: str, lead: int) -> np.ndarray:
        (frame,) = members
        pixel = self.pixels[threshold]
        return np.moveaxis(neighbourhood_probability(np.moveaxis(frame, -1, 0), pixel, self.side), 0, -1)


@dataclass
class _Recalibrated(_Counts):
    """What is kept of the probabilities of others when curves, of a threshold and a lead time, recalibrate them."""

    base: _Counts
    label: str
    curves: Mapping[str, Sequence[Curve]]

    def probability(self, members: np.ndarray, threshold: str, lead: int) -> np.ndarray:
        return apply_curve(self.base.probability(members, threshold, lead), self.curves[threshold][lead])


@dataclass
class _Members(_Counts):
    """What is kept of so many members."""

    generator: np.random.Generator
    members: int
    crps: np.ndarray = field(init=False)
    variance: np.ndarray = field(init=False)
    error: np.ndarray = field(init=False)
    ranks: np.ndarray = field(init=False)
    left_out: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.crps, self.variance, self.error = (np.zeros(self.shape) for _ in range(3))
        self.ranks = np.zeros(self.members + 1, "int64")

    def probability(self, members: np.ndarray, threshold: str, lead: int) -> np.ndarray:
        return exceedance_probability(members, self.pixels[threshold])

    def _add_frame(self, place, truth, members, observed):
        super()._add_frame(place, truth, members, observed)
        xarray, scores = _libraries()
        y = self.scale.to_value(truth[observed].astype("float64"))
        x = self.scale.to_value(members[:, observed].astype("float64"))
        forecast, happened = xarray.DataArray(x, dims=("member", "pixel")), xarray.DataArray(y, dims="pixel")
        self.crps[place] = scores.crps_for_ensemble(forecast, happened, "member", method="ecdf")
        self.error[place] = ((x.mean(axis=0) - y) ** 2).mean()
        if self.members > 1:
            self.variance[place] = x.var(axis=0, ddof=1).mean() * (self.members + 1) / self.members
            self._add_ranks(x, y)

    def _add_ranks(self, x, y):
        if isinstance(self.scale, RainScale):
            x, y = (np.where(each < WET, 0, each) for each in (x, y))
        below, equal = (x < y).sum(axis=0), (x == y).sum(axis=0)
        rank = below + self.generator.integers(0, equal + 1)
        told = equal < self.members
        self.ranks += np.bincount(rank[told], minlength=self.members + 1)
        self.left_out += int((~told).sum())


def _binned(probability, event, bins):
    """Returns sums of probabilities and of events, and counts, in bins around 0, 1 / (bins - 1), ..., 1."""
    number = np.rint(probability * (bins - 1)).astype("int64")
    return [np.bincount(number, weights, bins) for weights in (probability, event, np.ones_like(event))]


def _libraries():
    """Returns the modules that scores are computed by."""
    with needed("Scores of ensembles", "probabilities"):
        import xarray
        from scores import probability
    return xarray, probability


def _results(counts, weights):
    """Returns name -> what is told of it, of frames that count by `weights` (clips, frames)."""
    average = FrameMetric(weights.shape[1])  # its mean over clips and frames, and no score of its own
    parts = {
        (name, key, threshold): values
        for name, each in counts.items()
        for key, of_key in (("crps", {None: getattr(each, "crps", None)}), ("brier", each.brier))
        for threshold, values in of_key.items()
        if values is not None
    }
    means = bootstrap_means(
        dict.fromkeys(parts, average), {key: (values, weights) for key, values in parts.items()}
    )
    scored = {
        key: {**_means(average, values, weights), "interval": interval(means[key])}
        for key, values in parts.items()
    }
    results: dict[str, dict[str, Any]] = {}
    for name, each in counts.items():
        told: dict[str, Any] = {
            "brier": {threshold: scored[name, "brier", threshold] for threshold in each.brier},
            "reliability": {threshold: _reliability(bins) for threshold, bins in each.bins.items()},
        }
        if isinstance(each, _Recalibrated):
            told["recalibrates"] = each.label
        else:
            told["calibration"] = {
                threshold: _calibration(levels) for threshold, levels in each.levels.items()
            }
        if isinstance(each, _Members):
            told |= {"members": each.members, "seconds": float(np.median(each.seconds))}
            told |= {"crps": scored[name, "crps", None], **_spread_and_skill(average, each, weights)}
        results[name] = told
    return results


def _spread_and_skill(average, counts, weights):
    """Returns spread, RMSE of the mean, their ratio, and ranks."""
    rmse = _of_values(_root, _means(average, counts.error, weights))
    if counts.members == 1:
        return {"spread": None, "rmse": rmse, "ratio": None, "ranks": None}
    spread = _of_values(_root, _means(average, counts.variance, weights))
    return {
        "spread": spread,
        "rmse": rmse,
        "ratio": _of_values(_ratio, spread, rmse),
        "ranks": {"count": counts.ranks.tolist(), "left_out": counts.left_out},
    }


def _means(average, values, weights):
    """Returns means of clips by lead time, and over all; None where nothing was observed."""
    sums, known = (ops.convert_to_tensor(each.sum(axis=0)) for each in (values, weights))
    scores = average.scores_of(sums, known)
    there = weights.any(axis=0)
    return {
        "mean": float(average.mean_of(scores, known)) if there.any() else None,
        "per_frame": [
            float(score) if each else None
            for score, each in zip(ops.convert_to_numpy(scores), there, strict=True)
        ],
    }


def _of_values(function, *scores):
    """Returns a score made of others, value by value."""
    frames = zip(*(score["per_frame"] for score in scores), strict=True)
    return {
        "mean": function(*(score["mean"] for score in scores)),
        "per_frame": [function(*each) for each in frames],
    }


def _root(value):
    return None if value is None else value**0.5


def _ratio(spread, error):
    return spread / error if error else None


def _reliability(bins):
    """Returns mean probability, frequency and count of each bin."""
    forecast, event, count = bins
    return {
        "forecast": [
            total / pixels if pixels else None for total, pixels in zip(forecast, count, strict=True)
        ],
        "observed": [total / pixels if pixels else None for total, pixels in zip(event, count, strict=True)],
        "count": count.astype("int64").tolist(),
    }


def _calibration(levels):
    """Returns a curve of each lead time."""
    curves = []
    for forecast, event, count in levels:
        there = count > 0
        curves.append(fit_curve(forecast[there] / count[there], event[there] / count[there], count[there]))
    return curves
