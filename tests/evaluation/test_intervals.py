"""Intervals of scores against a bootstrap written as a loop, and against SciPy's."""

import numpy as np
import pytest
from scipy import stats

from mslstm_keras.evaluation.intervals import RESAMPLES, bootstrap_means, interval
from mslstm_keras.evaluation.protocols import Protocol

GENERATOR = np.random.default_rng(7)
TRUTH = GENERATOR.random((40, 2, 6, 6, 1), "float32")
PREDICTION = np.clip(TRUTH + GENERATOR.normal(0, 0.3, TRUTH.shape), 0, 1).astype("float32")
METRICS = Protocol(("mse", "psnr", "value_rmse", "csi_2"), rain_scale="dwd", value_scale="0:10 mm").make(2)


def contributions(truth=TRUTH, prediction=PREDICTION, weights=None):
    return {
        name: tuple(map(np.asarray, metric.contributions(truth, prediction, weights)))
        for name, metric in METRICS.items()
    }


def intervals(given, **options):
    return {name: interval(means) for name, means in bootstrap_means(METRICS, given, **options).items()}


def score(name, numbers):
    """Returns the score that the metric has when it is shown these clips."""
    metric = METRICS[name]
    metric.reset_state()
    metric.update_state(TRUTH[numbers], PREDICTION[numbers])
    return float(metric.result())


def test_the_interval_holds_the_middle_of_the_scores_of_drawn_clips():
    found = intervals(contributions(), seed=1)
    generator = np.random.default_rng(2)  # other draws: the ends agree within what 1,000 draws tell
    draws = [generator.integers(0, 40, 40) for _ in range(RESAMPLES)]
    for name in METRICS:
        scores = np.array([score(name, numbers) for numbers in draws])
        expected = np.quantile(scores, [0.025, 0.975])
        np.testing.assert_allclose(found[name], expected, atol=scores.std() / 3, err_msg=name)
        assert found[name][0] < score(name, np.arange(40)) < found[name][1]


def test_the_interval_of_a_mean_is_that_of_scipy():
    squares = np.square(TRUTH - PREDICTION).sum(axis=(2, 3, 4), dtype="float64").mean(axis=1)
    expected = stats.bootstrap(
        (squares,), np.mean, n_resamples=RESAMPLES, method="percentile", random_state=3
    ).confidence_interval
    found = intervals(contributions())["mse"]
    np.testing.assert_allclose(found, expected, atol=squares.std() / np.sqrt(40) / 3)


def test_the_same_seed_gives_the_same_interval():
    first, again, other = (intervals(contributions(), seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_one_clip_has_no_interval():
    assert intervals(contributions(TRUTH[:1], PREDICTION[:1])) == dict.fromkeys(METRICS)


@pytest.mark.parametrize(("observed", "known"), [(1, False), (40, True)])
def test_a_draw_without_a_clip_that_counts_leaves_no_interval(observed, known):
    weights = (np.arange(40) < observed).astype("float32")
    found = intervals(contributions(weights=weights))
    assert [interval is not None for interval in found.values()] == [known] * len(METRICS)


def test_the_same_clips_are_drawn_for_all_metrics():
    """So a model that is worse by the same on every clip is so in every draw."""
    given = contributions()["mse"]
    worse = given[0] + 3.0, given[1]
    metric = METRICS["mse"]
    means = bootstrap_means({"one": metric, "other": metric}, {"one": given, "other": worse})
    np.testing.assert_allclose(means["other"] - means["one"], 3, rtol=1e-5)
    assert means["one"].std() > 0.01
