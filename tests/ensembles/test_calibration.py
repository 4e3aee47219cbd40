"""Curves against a search of their own, and probabilities that are wrong on purpose, made right."""

import itertools
import json
import re

import numpy as np
import pytest

from mslstm_keras.data.clips import Clips
from mslstm_keras.ensembles.calibration import Calibration, apply_curve, fit_curve, units_of
from mslstm_keras.ensembles.scoring import score_ensembles

CONTEXT, HORIZON, MEMBERS, SIZE = 2, 2, 4, (80, 80)
CURVE = {"forecast": [0.0, 0.5, 1.0], "observed": [0.1, 0.2, 0.6]}


def nearest_rising(observed, count):
    """The rising steps of least weighted error: of all ways to pool neighbours, the best whose means rise."""
    best = (np.inf, None)
    for cuts in itertools.product((False, True), repeat=len(observed) - 1):
        edges = [0, *(place + 1 for place, cut in enumerate(cuts) if cut), len(observed)]
        values = np.concatenate(
            [
                np.full(end - start, np.average(observed[start:end], weights=count[start:end]))
                for start, end in itertools.pairwise(edges)
            ]
        )
        if (np.diff(values) >= -1e-12).all():
            best = min(best, ((count * (values - observed) ** 2).sum(), values.tolist()))
    return best[1]


@pytest.mark.parametrize("seed", range(5))
def test_a_curve_is_the_nearest_that_rises(seed):
    generator = np.random.default_rng(seed)
    forecast, observed = np.sort(generator.random(7)), generator.random(7)
    count = generator.integers(1, 1000, 7)
    curve = fit_curve(forecast, observed, count)
    assert curve["forecast"] == sorted(curve["forecast"]) and curve["observed"] == sorted(curve["observed"])
    np.testing.assert_allclose(apply_curve(forecast, curve), nearest_rising(observed, count), atol=1e-6)


def test_empty_bins_count_for_nothing():
    filled = fit_curve(np.array([0.2, 0.6]), np.array([0.1, 0.5]), np.array([3, 4]))
    assert filled["forecast"] == [0.2, 0.6] and filled["observed"] == pytest.approx([0.1, 0.5])
    beside = fit_curve(np.array([0.2, 0.4, 0.6]), np.array([0.1, np.nan, 0.5]), np.array([3, 0, 4]))
    assert beside == filled
    nothing = fit_curve(*np.zeros((3, 4)))
    np.testing.assert_array_equal(
        apply_curve(np.array([0, 0.3, 1], "float32"), nothing), np.float32([0, 0.3, 1])
    )
    alone = fit_curve(np.array([0.0]), np.array([0.03]), np.array([9]))
    np.testing.assert_allclose(apply_curve(np.array([0, 0.5, 1]), alone), 0.03)


def test_a_curve_is_straight_between_corners_level_beyond_and_keeps_what_is_missing():
    found = apply_curve(np.array([0.25, 0.75, np.nan]), CURVE)
    np.testing.assert_allclose(found, [0.15, 0.4, np.nan], atol=1e-7)
    assert found.dtype == "float32"
    short = {"forecast": [0.3, 0.5], "observed": [0.2, 0.4]}
    np.testing.assert_allclose(apply_curve(np.array([0, 1]), short), [0.2, 0.4])


def biased(seed):
    """Clips, and members too sure in the first frame and too wet in the second: p says what comes true by p / 2 + 1 / 4
    and by p^2."""
    generator = np.random.default_rng(seed)
    reach = generator.integers(0, MEMBERS + 1, (HORIZON, *SIZE))
    share = reach / MEMBERS
    true = generator.random((HORIZON, *SIZE)) < np.stack([share[0] / 2 + 0.25, share[1] ** 2])
    clip = np.concatenate([np.zeros((CONTEXT, *SIZE)), true]).astype("float32")[np.newaxis, ..., np.newaxis]
    members = (np.arange(MEMBERS)[:, None, None, None] < reach).astype("float32")[..., np.newaxis]
    return clip, members


def score(seed, calibration=None, name="a", **options):
    clips, members = biased(seed)
    forecasters = {name: lambda context, seed: members, "single": lambda context, seed: members[:1]}
    return score_ensembles(
        forecasters,
        Clips(lambda numbers: clips[numbers], 1),
        context_frames=CONTEXT,
        forecast_frames=HORIZON,
        thresholds=[0.5],
        side=3,
        calibration=calibration,
        **options,
    )


def test_curves_of_scores_are_those_of_what_came_true_by_lead_time():
    first, second = score(0)["forecasts"]["a"]["calibration"]["0.5"]
    shares = np.arange(MEMBERS + 1) / MEMBERS
    np.testing.assert_allclose(apply_curve(shares, first), shares / 2 + 0.25, atol=0.04)
    np.testing.assert_allclose(apply_curve(shares, second), shares**2, atol=0.04)


def test_other_events_are_recalibrated_by_lead_time():
    calibration = Calibration.of_scores(json.loads(json.dumps(score(0), allow_nan=False)))
    told = score(1, calibration)["forecasts"]
    assert list(told) == [
        "a",
        "a, recalibrated",
        "single",
        "single, 3 x 3 pixels",
        "single, recalibrated",
        "single, 3 x 3 pixels, recalibrated",
    ]
    clips, members = biased(1)
    for label, by in (("a", members), ("single", members[:1])):
        raw, better = told[label], told[f"{label}, recalibrated"]
        assert set(better) == {"brier", "reliability", "recalibrates"} and better["recalibrates"] == label
        expected = [
            np.mean(
                (
                    apply_curve(by[:, lead].mean(0), calibration.curves[label]["0.5"][lead])
                    - clips[0, CONTEXT + lead]
                )
                ** 2
            )
            for lead in range(HORIZON)
        ]
        assert better["brier"]["0.5"]["per_frame"] == pytest.approx(expected, rel=1e-5)
        pairs = zip(better["brier"]["0.5"]["per_frame"], raw["brier"]["0.5"]["per_frame"], strict=True)
        assert all(after < before - 0.005 for after, before in pairs)
    near, better = told["single, 3 x 3 pixels"], told["single, 3 x 3 pixels, recalibrated"]
    assert better["brier"]["0.5"]["mean"] < near["brier"]["0.5"]["mean"]
    diagram = told["a, recalibrated"]["reliability"]["0.5"]
    for forecast, observed, count in zip(*diagram.values(), strict=True):
        assert count < 500 or observed == pytest.approx(forecast, abs=0.05)


def test_nothing_fits_the_events_themselves_better_than_their_own_curve():
    scores = score(3)
    told = score(3, Calibration.of_scores(scores))["forecasts"]
    shares = np.arange(MEMBERS + 1) / MEMBERS
    clips, members = biased(3)
    for lead in range(HORIZON):
        share, true = members[:, lead].mean(0), clips[0, CONTEXT + lead]
        least = sum(true[share == each].var() * (share == each).mean() for each in shares)
        assert told["a, recalibrated"]["brier"]["0.5"]["per_frame"][lead] == pytest.approx(least, rel=1e-4)


@pytest.fixture
def calibration():
    return Calibration("mm/h", 5.0, {"a, 8 members": {"1": [CURVE, CURVE], "5": [CURVE, CURVE]}})


def test_lead_times_have_curves_of_their_own(calibration):
    other = {"forecast": [0, 1], "observed": [0, 1]}
    curves = Calibration("mm/h", 5.0, {"a": {"1": [CURVE, other]}})
    given = np.full((2, 3, 4), 0.5)
    np.testing.assert_allclose(curves.apply("a", 1, given)[:, 0, 0], [0.2, 0.5])
    np.testing.assert_allclose(curves.apply("a", 1, given[:1])[:, 0, 0], [0.2])
    with pytest.raises(IndexError):
        curves.apply("a", 1, np.zeros((3, 2)))
    np.testing.assert_array_equal(
        calibration.apply("a, 8 members", 5.0, given), np.full((2, 3, 4), 0.2, "float32")
    )


@pytest.mark.parametrize(
    ("label", "thresholds", "leads", "units", "interval", "message"),
    [
        ("b", [1], 2, "mm/h", 5, "must hold what is recalibrated. Received: no 'b', but 'a, 8 members'"),
        ("a, 8 members", [1, 2.5], 2, "mm/h", 5, "must hold every threshold. Received: no 2.5, but 1, 5"),
        ("a, 8 members", [1], 3, "mm/h", 5, "must hold every lead time. Received: 2 for 3 frames"),
        ("a, 8 members", [1], 2, "m", 5, "must be of thresholds in 'm'. Received: in 'mm/h'"),
        (
            "a, 8 members",
            [1],
            2,
            "mm/h",
            15,
            "must be of frames as far apart in time. Received: 5 minutes for 15",
        ),
    ],
)
def test_others_are_refused(calibration, label, thresholds, leads, units, interval, message):
    calibration.check("a, 8 members", [1, 5], 2, units="mm/h", interval=5)
    calibration.check("a, 8 members", [1, 5], 1, units="mm/h", interval=None)
    with pytest.raises(ValueError, match=re.escape(f"`calibration` {message}")):
        calibration.check(label, thresholds, leads, units=units, interval=interval)


def test_scores_refuse_curves_of_others():
    calibration = Calibration.of_scores(score(0))
    with pytest.raises(ValueError, match="Received: no 'b', but 'a', 'single', 'single, 3 x 3 pixels'"):
        score_ensembles(
            {"b": lambda context, seed: biased(0)[1]},
            Clips(lambda numbers: biased(0)[0][numbers], 1),
            context_frames=CONTEXT,
            forecast_frames=HORIZON,
            thresholds=[0.5],
            calibration=calibration,
        )


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"forecasts": {}}', '{"forecasts": {"a": {}}}'])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(
        ValueError, match=rf"`calibration` must be a file that .* Received: {re.escape(str(path))}$"
    ):
        Calibration.read(path)
    with pytest.raises(FileNotFoundError):
        Calibration.read(tmp_path / "none.json")


def test_a_file_holds_the_curves_of_its_scores(tmp_path):
    scores = score(2)
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    assert Calibration.read(tmp_path / "scores.json") == Calibration.of_scores(scores)
    assert units_of(None) == scores["units"] == "pixel values" and units_of("0:255 cars") == "cars"
