"""Scores of a model on clips, beside the forecast that nothing moves."""

import collections
import hashlib
import itertools
import math
import warnings
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import keras
import numpy as np

from mslstm_keras.data.clips import Clips, fill_missing
from mslstm_keras.evaluation.intervals import bootstrap_means, interval
from mslstm_keras.evaluation.protocols import Protocol
from mslstm_keras.metrics.categorical import Contingency
from mslstm_keras.metrics.frame import FrameMetric
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.typing import Progress

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Scored(Generic[Name]):
    """What predictors reach on clips.

    Attributes:
        scores: name -> {score: {"mean": float, "per_frame": [float, ...], "interval": [float, float]}}, with None for
            what no clip has a score of, or is not a number, and the 95 % interval of the mean over clips, None for a
            single clip.
        means: name -> {score: means of clips that were drawn, see `bootstrap_means`}; the same draws for all.
        missing: where pixels may be missing, {"share": of the pixels of the scored frames, "frames": how many of those
            frames were not observed at all}, else None.
        fingerprint: SHA-256 of the scored clips, their context and their truth.
    """

    scores: dict[Name, dict[str, dict[str, Any]]]
    means: dict[Name, dict[str, np.ndarray]]
    missing: dict[str, Any] | None
    fingerprint: str


def persistence(frames: np.ndarray, context_frames: int) -> np.ndarray:
    """Predicts that each frame repeats the last one seen, one step at a time in the context.

        y_t = x_min(t, context_frames - 1)                      t = 0 .. T - 2, a prediction of frame t + 1

    Args:
        frames: (batch, T, height, width, channels).
        context_frames: int. Frames that are seen.

    Returns:
        (batch, T - 1, height, width, channels).
    """
    return frames[:, np.minimum(np.arange(frames.shape[1] - 1), context_frames - 1)]


def evaluate(
    model: keras.Model,
    clips: Clips,
    *,
    count: int | None = None,
    batch_size: int = 16,
    all_frames: bool = False,
    protocol: Protocol | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Scores a model and persistence on the first clips of a data set.

    Args:
        model: model of `create_model`.
        clips: clips of at least context_frames + forecast_frames frames.
        count: int. How many clips; all by default.
        batch_size: int. Clips predicted at a time; does not change the scores.
        all_frames: bool. Scores every prediction, those inside the context too, as the public PyTorch
            implementation does, instead of the forecast alone.
        protocol: which scores; by default MSE, MAE, SSIM and PSNR. Of clips with a scale also errors in its units.
        progress: function of the number of clips that are scored, and of all.

    Returns:
        {"clips": count, "frames": "forecast" or "all", "model": scores, "persistence": scores} where scores maps
        a name such as "mse" (sum over the pixels of a frame) or "psnr" (dB) to {"mean": float, "per_frame":
        [float, ...], "interval": [float, float]}. Predictions are clipped to [0, 1]. Of clips that may have missing
        pixels also "missing", and None for scores of which nothing was observed; see `score`.

    Raises:
        ValueError: if `count` is not in 1 .. the number of clips, `batch_size` is below 1, or the clips do not
            fit the model.
    """
    rollout = find_layer(model, Rollout)
    count = clips_to_score(clips, count)
    scored = score(
        {
            "model": predictor(model),
            "persistence": lambda frames: persistence(frames, rollout.context_frames),
        },
        clips,
        rollout,
        count=count,
        batch_size=batch_size,
        all_frames=all_frames,
        protocol=(protocol or Protocol()).in_units(clips.scale),
        progress=progress,
    )
    missing = {} if scored.missing is None else {"missing": scored.missing}
    return {"clips": count, "frames": "all" if all_frames else "forecast", **scored.scores, **missing}


def predictor(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the function that forecasts from the context of whole clips, as `score` asks for."""
    context_frames = find_layer(model, Rollout).context_frames
    return lambda frames: model.predict_on_batch(frames[:, :context_frames])


def clips_to_score(clips: Clips, count: int | None) -> int:
    """Returns how many clips are scored: `count`, or all.

    Raises:
        ValueError: if there are fewer, or endlessly many and `count` is None.
    """
    count = clips.count if count is None else count
    available = math.inf if clips.count is None else clips.count
    if count is None or not 1 <= count <= available:
        raise ValueError(f"`count` must lie in 1 .. {available} clips. Received: count={count}")
    return count


def score(
    predictors: Mapping[Name, Callable[[np.ndarray], np.ndarray]],
    clips: Clips,
    rollout: Rollout,
    *,
    count: int,
    batch_size: int = 16,
    all_frames: bool = False,
    protocol: Protocol | None = None,
    any_size: bool = False,
    progress: Progress | None = None,
) -> Scored[Name]:
    """Scores predictions of the first clips of a data set.

    Missing pixels of the truth count in no score, and frames of which nothing was observed in no mean, by the weights
    of `FrameMetric`. In what predictors are given missing pixels are 0.

    Args:
        predictors: name -> function of clips (batch, T, height, width, channels) that returns predictions of their
            frames 1 .. T - 1, (batch, T - 1, height, width, channels); it may look at the context alone.
        clips: clips of at least T = context_frames + forecast_frames frames.
        rollout: roll-out whose frames and shape the clips must have.
        count: int. How many clips.
        batch_size: int. Clips predicted at a time; does not change the scores.
        all_frames: bool. Scores every prediction, those inside the context too.
        protocol: which scores; by default MSE, MAE, SSIM and PSNR.
        any_size: bool. Whether clips may have another height and width than the roll-out.
        progress: function of the number of clips that are scored, and of all, called after each batch.

    Returns:
        A `Scored`. Warns where a score is not a number, as that of a forecast that is not.

    Raises:
        ValueError: if `batch_size` is below 1 or the clips do not fit.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}")
    counted = rollout.steps if all_frames else rollout.forecast_frames
    metrics = {name: (protocol or Protocol()).make(counted) for name in predictors}
    counting = {name: _counting(of_name.values()) for name, of_name in metrics.items()}
    added: dict[FrameMetric, list[tuple[np.ndarray, np.ndarray]]] = collections.defaultdict(list)
    weights, pixels, missing, blank = None, 0, 0, 0
    fingerprint = hashlib.sha256()
    for first in range(0, count, batch_size):
        frames = whole_clips(
            clips, rollout, np.arange(first, min(first + batch_size, count)), any_size=any_size
        )
        fingerprint.update(np.nan_to_num(frames, nan=-1).tobytes())
        if clips.masked:
            frames, observed = fill_missing(frames)
            weights = observed[:, 1:]
            hidden = weights[:, -counted:] == 0
            pixels, missing = pixels + hidden.size, missing + int(hidden.sum())
            blank += int(hidden.all(axis=(2, 3, 4)).sum())
        truth = keras.ops.convert_to_tensor(frames[:, 1:])  # here, not once in every metric
        for name, predict in predictors.items():
            predictions = keras.ops.convert_to_tensor(predict(frames))
            for metric, counter in counting[name]:
                if metric is counter:
                    contributions = metric.contributions(truth, predictions, weights)
                    metric.add(*contributions)
                    numbers, weighed = map(keras.ops.convert_to_numpy, contributions)
                    added[metric].append((numbers, weighed))
        if progress:
            progress(first + len(frames), count)
    every = list(itertools.chain.from_iterable(counting.values()))
    for metric, counter in every:
        if metric is not counter:
            metric.take_counts(counter)
    joined = {
        metric: (np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))
        for metric, parts in added.items()
    }
    means = bootstrap_means(
        {metric: metric for metric, _ in every}, {metric: joined[counter] for metric, counter in every}
    )
    return Scored(
        {
            name: {key: _values(f"{key} of {name}", metric, means[metric]) for key, metric in of_name.items()}
            for name, of_name in metrics.items()
        },
        {name: {key: means[metric] for key, metric in of_name.items()} for name, of_name in metrics.items()},
        {"share": missing / pixels, "frames": blank} if clips.masked else None,
        fingerprint.hexdigest(),
    )


def whole_clips(clips: Clips, rollout: Rollout, numbers: np.ndarray, *, any_size: bool = False) -> np.ndarray:
    """Returns the clips of these numbers, cut to context and forecast, float32 in [0, 1]; missing pixels are NaN.

    `any_size` lets them have another height and width than the roll-out.

    Raises:
        ValueError: if they do not fit the roll-out.
    """
    frames = clips.frames(numbers)
    height, width, channels = rollout.step.inputs[0].shape[1:]
    size = frames.shape[2:4] if any_size else (height, width)
    expected = (rollout.context_frames + rollout.forecast_frames, *size, channels)
    if frames.shape[1] < expected[0] or frames.shape[2:] != expected[1:]:
        raise ValueError(
            f"`clips` must have shape (time, height, width, channels) = {expected}, or be longer. "
            f"Received: {frames.shape[1:]}"
        )
    return frames[:, : expected[0]]


def _counting(metrics):
    """Returns each metric with the one that counts for it: POD, FAR, CSI and HSS at one threshold count the same."""
    counters: dict[tuple[float, str], FrameMetric] = {}
    return [
        (metric, counters.setdefault((metric.threshold, metric.rain_scale), metric))
        if isinstance(metric, Contingency)
        else (metric, metric)
        for metric in metrics
    ]


def _values(what, metric, means):
    per_frame = keras.ops.convert_to_numpy(metric.per_frame())
    counts = keras.ops.convert_to_numpy(metric.sequences)
    mean = float(metric.result())
    if not np.isfinite([mean, *per_frame]).all():
        warnings.warn(f"{what} is not a number, as its forecasts are not: it is left out", stacklevel=3)
    return {
        "mean": mean if counts.any() and math.isfinite(mean) else None,
        "per_frame": [
            float(value) if count and np.isfinite(value) else None
            for value, count in zip(per_frame, counts, strict=True)
        ],
        "interval": interval(means),
    }
