"""How far a score depends on which clips it was made of."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from keras import ops

from mslstm_keras.metrics.frame import FrameMetric

LEVEL = 0.95
RESAMPLES = 1000
_BLOCK = 50  # resamples at a time, for memory

Name = TypeVar("Name")


def bootstrap_means(
    metrics: Mapping[Name, FrameMetric],
    contributions: Mapping[Name, tuple[np.ndarray, np.ndarray]],
    *,
    seed: int = 0,
) -> dict[Name, np.ndarray]:
    """Returns the mean scores that other clips of the same kind might have had, by the bootstrap over clips.

    N of the N clips are drawn with replacement, 1,000 times, and each time the score is made of those drawn. All
    metrics are made of the same draws: so the difference of two of them, draw by draw, is that of two models on the
    same clips. Clips count as independent of one another: where several are of one event, such as crops of the same
    rain, scores stray farther than these.

    Args:
        metrics: name -> metric.
        contributions: name -> what each clip adds to the sums of the metric, (clips, frames, ...), and its weights,
            (clips, frames), see `FrameMetric.contributions`. All metrics have the same clips, in the same order.
        seed: int. Of the draws.

    Returns:
        name -> means, float64 (1,000,), not a number where a draw held no clip that counts. All are not a number where
        there are fewer than two clips.

    Reference: Efron, "Bootstrap methods: another look at the jackknife", The Annals of Statistics 7 (1979).
    """
    count = len(next(iter(contributions.values()))[1])
    if count < 2:
        return {name: np.full(RESAMPLES, np.nan) for name in metrics}
    generator = np.random.default_rng(seed)
    means: dict[Name, list[np.ndarray]] = {name: [] for name in metrics}
    for _ in range(0, RESAMPLES, _BLOCK):
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=_BLOCK).astype("float64")
        for name, metric in metrics.items():
            sums, weights = (np.tensordot(drawn, part, axes=1) for part in contributions[name])
            scores = metric.scores_of(ops.convert_to_tensor(sums), ops.convert_to_tensor(weights))
            mean = ops.convert_to_numpy(metric.mean_of(scores, ops.convert_to_tensor(weights)))
            means[name].append(np.where(weights.any(axis=1), mean, np.nan))
    return {name: np.concatenate(blocks).astype("float64") for name, blocks in means.items()}


def interval(means: np.ndarray) -> list[float] | None:
    """Returns the quantiles between which the middle 95 % of `bootstrap_means`, or of their differences, lie.

    None where one of them is not a number.
    """
    if not np.isfinite(means).all():
        return None
    tail = (1 - LEVEL) / 2
    return np.quantile(means, [tail, 1 - tail]).tolist()
