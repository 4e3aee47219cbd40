"""Scores of ensembles against plain loops in NumPy, and of ensembles that are made to be right, or too sure."""

import json
import re
import sys

import numpy as np
import pytest
import xarray
from scores.probability import brier_score_for_ensemble

from mslstm_keras.data.clips import Clips
from mslstm_keras.ensembles.scoring import BINS, score_ensembles
from mslstm_keras.evaluation.intervals import bootstrap_means, interval
from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.metrics.frame import FrameMetric

CONTEXT, HORIZON, MEMBERS, CLIPS, SIZE = 2, 3, 4, 5, (6, 7)
THRESHOLDS = (0.5, 2)
SCALE = "0:4 m"


def drawn(*shape, seed=0):
    """Numbers of 0, 1/8, ..., 1, so that many are equal, and at thresholds."""
    return np.random.default_rng(seed).integers(0, 9, shape).astype("float32") / 8


@pytest.fixture
def truth():
    """Clips of which one frame and some pixels were not observed."""
    values = drawn(CLIPS, CONTEXT + HORIZON, *SIZE, 1)
    values[1, CONTEXT + 1] = np.nan
    values[2, :, :3] = np.nan
    return values


def members_of(seed):
    values = drawn(MEMBERS, HORIZON, *SIZE, 1, seed=100 + seed)
    values[:, :, :2, :2] = 0.25  # all alike
    return values


def run(values, forecasters, scale=SCALE, **options):
    clips = Clips(lambda numbers: values[numbers], len(values), masked=True, scale=scale)
    options = {"thresholds": THRESHOLDS} | options
    return score_ensembles(
        forecasters,
        clips,
        context_frames=CONTEXT,
        forecast_frames=values.shape[1] - CONTEXT,
        **options,
    )


FORECASTERS = {
    "ensemble": lambda context, seed: members_of(seed),
    "single": lambda context, seed: members_of(seed)[:1],
}


def by_hand(truth, members_of_clip):
    """Means over pixels, then clips, by lead time: in loops."""
    found = {}
    for lead in range(HORIZON):
        frames = []
        for number in range(CLIPS):
            y, x = 4 * truth[number, CONTEXT + lead], 4 * members_of_clip(number)[:, lead]
            pixels = [place for place in np.ndindex(y.shape) if not np.isnan(y[place])]
            count = len(x)
            each = {"crps": [], "variance": [], "error": [], 0.5: [], 2: []}
            for place in pixels:
                values, value = x[(slice(None), *place)], y[place]
                apart = sum(abs(a - b) for a in values for b in values) / (2 * count**2)
                each["crps"].append(np.mean([abs(a - value) for a in values]) - apart)
                mean = sum(values) / count
                each["error"].append((mean - value) ** 2)
                if count > 1:
                    variance = sum((a - mean) ** 2 for a in values) / (count - 1)
                    each["variance"].append(variance * (count + 1) / count)
                for threshold in THRESHOLDS:
                    share = sum(a >= threshold for a in values) / count
                    each[threshold].append((share - (value >= threshold)) ** 2)
            if pixels:
                frames.append({key: np.mean(numbers) for key, numbers in each.items() if numbers})
        found[lead] = {key: np.mean([frame[key] for frame in frames]) for key in frames[0]}
    return found


def per_frame(scores):
    return pytest.approx(scores, rel=1e-6)


def test_scores_equal_a_loop_in_numpy(truth):
    result = run(truth, FORECASTERS)
    for name in FORECASTERS:
        told = result["forecasts"][name]
        expected = by_hand(truth, lambda number, name=name: FORECASTERS[name](None, number))
        crps = [expected[lead]["crps"] for lead in range(HORIZON)]
        error = [expected[lead]["error"] for lead in range(HORIZON)]
        assert told["crps"]["per_frame"] == per_frame(crps) and told["crps"]["mean"] == per_frame(
            np.mean(crps)
        )
        assert told["rmse"]["per_frame"] == per_frame(np.sqrt(error))
        assert told["rmse"]["mean"] == per_frame(np.sqrt(np.mean(error)))
        for threshold in THRESHOLDS:
            brier = [expected[lead][threshold] for lead in range(HORIZON)]
            assert told["brier"][f"{threshold:g}"]["per_frame"] == per_frame(brier)
        if name == "ensemble":
            variance = [expected[lead]["variance"] for lead in range(HORIZON)]
            assert told["spread"]["per_frame"] == per_frame(np.sqrt(variance))
            assert told["ratio"]["mean"] == per_frame(np.sqrt(np.mean(variance) / np.mean(error)))


def test_facts(truth):
    result = run(truth, FORECASTERS)
    assert result["missing"] == pytest.approx(np.isnan(truth[:, CONTEXT:]).mean())
    assert (result["clips"], result["units"], result["thresholds"]) == (CLIPS, "m", [0.5, 2])
    single, several = result["forecasts"]["single"], result["forecasts"]["ensemble"]
    assert (single["members"], several["members"]) == (1, MEMBERS)
    assert single["spread"] is single["ratio"] is single["ranks"] is None
    assert single["seconds"] >= 0
    json.dumps(result, allow_nan=False)
    pixels = run(truth, FORECASTERS, None, thresholds=[0.25])
    assert pixels["units"] == "pixel values"
    assert pixels["forecasts"]["single"]["crps"]["mean"] == per_frame(single["crps"]["mean"] / 4)


def test_the_crps_of_one_member_is_its_mean_absolute_error(truth):
    told = run(truth, FORECASTERS)["forecasts"]["single"]
    error = [
        [
            np.nanmean(4 * abs(members_of(number)[0, lead] - truth[number, CONTEXT + lead]))
            for number in range(CLIPS)
            if not np.isnan(truth[number, CONTEXT + lead]).all()
        ]
        for lead in range(HORIZON)
    ]
    assert told["crps"]["per_frame"] == per_frame([np.mean(each) for each in error])


def test_the_brier_score_is_that_of_the_library_for_ensembles(truth):
    told = run(truth[:1], FORECASTERS)["forecasts"]["ensemble"]
    expected = brier_score_for_ensemble(
        xarray.DataArray(4 * members_of(0).reshape(MEMBERS, HORIZON, -1), dims=("member", "time", "pixel")),
        xarray.DataArray(4 * truth[0, CONTEXT:].reshape(HORIZON, -1), dims=("time", "pixel")),
        "member",
        list(THRESHOLDS),
        fair_correction=False,
        preserve_dims=["time"],
    )
    for threshold in THRESHOLDS:
        assert told["brier"][f"{threshold:g}"]["per_frame"] == per_frame(
            expected.sel(threshold=threshold).values
        )


def test_intervals_are_those_of_draws_of_clips(truth):
    told = run(truth, {"single": FORECASTERS["single"]})["forecasts"]["single"]
    values, weights = np.zeros((2, CLIPS, HORIZON))
    for number, lead in np.ndindex(CLIPS, HORIZON):
        error = 4 * abs(members_of(number)[0, lead] - truth[number, CONTEXT + lead])
        if not np.isnan(error).all():
            values[number, lead], weights[number, lead] = np.nanmean(error), 1
    expected = interval(bootstrap_means({"mae": FrameMetric(HORIZON)}, {"mae": (values, weights)})["mae"])
    assert told["crps"]["interval"] == pytest.approx(expected)
    assert expected[0] < told["crps"]["mean"] < expected[1]
    assert run(truth[:1], FORECASTERS)["forecasts"]["single"]["crps"]["interval"] is None


def test_reliability_counts_forecasts_of_each_probability(truth):
    told = run(truth, FORECASTERS)["forecasts"]["ensemble"]["reliability"]["2"]
    pairs = [
        (np.mean(4 * members_of(number)[:, lead, *place] >= 2), 4 * truth[number, CONTEXT + lead][place] >= 2)
        for number, lead in np.ndindex(CLIPS, HORIZON)
        for place in np.ndindex(*SIZE, 1)
        if not np.isnan(truth[number, CONTEXT + lead][place])
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        events = [event for probability, event in pairs if probability == share]
        place = told["forecast"].index(share)
        assert told["count"][place] == len(events) > 0
        assert told["observed"][place] == pytest.approx(np.mean(events))
    assert len(told["count"]) == BINS and sum(told["count"]) == len(pairs)
    assert told["forecast"].count(None) == told["observed"].count(None) == BINS - 5


@pytest.mark.parametrize("members", range(1, 11))
def test_every_probability_of_up_to_ten_members_has_a_bin_of_its_own(members):
    places = {int(np.rint(reached / members * (BINS - 1))) for reached in range(members + 1)}
    assert len(places) == members + 1 and places <= set(range(BINS))


def test_ranks_with_ties_at_random():
    values = np.full((1, CONTEXT + 1, 200, 200, 1), 0.5, "float32")

    def some_equal(context, seed):
        rows = [0.25, 0.5, 0.5, 0.75]
        return np.array(rows, "float32")[:, None, None, None, None] * np.ones((1, 1, 200, 200, 1), "float32")

    def all_equal(context, seed):
        return np.full((4, 1, 200, 200, 1), 0.5, "float32")

    result = run(values, {"some": some_equal, "all": all_equal})["forecasts"]
    ranks = result["some"]["ranks"]
    assert ranks["left_out"] == 0 and ranks["count"][0] == ranks["count"][4] == 0
    assert np.array(ranks["count"][1:4]) / 40000 == pytest.approx(np.full(3, 1 / 3), abs=0.01)
    assert result["all"]["ranks"] == {"count": [0] * 5, "left_out": 40000}
    again = run(values, {"some": some_equal})["forecasts"]["some"]["ranks"]
    assert again == ranks and run(values, {"some": some_equal}, seed=1)["forecasts"]["some"]["ranks"] != ranks


def test_ranks_without_ties_count_the_members_below():
    values = np.full((1, CONTEXT + 1, 2, 3, 1), 0.5, "float32")
    values[0, CONTEXT, 0, 0] = np.nan
    members = np.array([0.1, 0.9, 0.3], "float32")[:, None, None, None, None] * np.ones(
        (1, 1, 2, 3, 1), "float32"
    )
    ranks = run(values, {"a": lambda context, seed: members})["forecasts"]["a"]["ranks"]
    assert ranks == {"count": [0, 0, 5, 0], "left_out": 0}


def test_drizzle_is_no_rain_in_ranks():
    scale = RAIN_SCALES["dwd"]
    values = np.zeros((1, CONTEXT + 1, 4, 4, 1), "float32")
    drizzle = np.full((3, 1, 4, 4, 1), scale.to_pixel(0.05), "float32")
    rain = np.full((3, 1, 4, 4, 1), scale.to_pixel(0.2), "float32")
    result = run(values, {"drizzle": lambda *_: drizzle, "rain": lambda *_: rain}, "rain:dwd")["forecasts"]
    assert result["drizzle"]["ranks"] == {"count": [0] * 4, "left_out": 16}
    assert result["rain"]["ranks"] == {"count": [16, 0, 0, 0], "left_out": 0}
    assert result["drizzle"]["crps"]["mean"] == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize("threshold", [0.1, 0.12, 0.5, 1, 5])
def test_a_rate_at_a_threshold_reaches_it(threshold):
    pixel = np.float32(RAIN_SCALES["dwd"].to_pixel(threshold))
    values = np.full((1, CONTEXT + 1, 4, 4, 1), pixel)
    told = run(values, {"a": lambda context, seed: values[:, CONTEXT:]}, "rain:dwd", thresholds=[threshold])
    assert told["forecasts"]["a"]["reliability"][f"{threshold:g}"]["observed"][-1] == 1
    assert told["forecasts"]["a"]["brier"][f"{threshold:g}"]["mean"] == 0


def synthetic(spread, seed=0):
    """Truth and members around one unknown centre; with spread 1 the truth is as one of the members."""
    centres = 0.5 + 0.1 * np.random.default_rng(seed).standard_normal((4, 1, 60, 60, 1))
    values = np.random.default_rng(seed + 1).normal(centres, 0.05)
    clips = np.concatenate([np.zeros((4, CONTEXT, 60, 60, 1)), values], axis=1).astype("float32")

    def forecaster(context, number):
        generator = np.random.default_rng(100 + number)
        return generator.normal(centres[number], spread * 0.05, (9, 1, 60, 60, 1)).astype("float32")

    return run(clips, {"a": forecaster}, None, thresholds=[0.5])["forecasts"]["a"]


def test_an_ensemble_that_is_right_has_a_ratio_of_one_flat_ranks_and_the_diagonal():
    told = synthetic(1)
    assert told["ratio"]["mean"] == pytest.approx(1, abs=0.02)
    assert 10 * np.array(told["ranks"]["count"]) / sum(told["ranks"]["count"]) == pytest.approx(
        np.ones(10), abs=0.1
    )
    reliability = told["reliability"]["0.5"]
    often = np.array(reliability["count"]) > 400
    assert often.sum() >= 9
    forecast, observed = (
        np.array(reliability[key])[often].astype("float64") for key in ("forecast", "observed")
    )
    assert observed == pytest.approx(forecast, abs=0.1)


def test_an_ensemble_that_is_too_sure_shows_it():
    right, sure = synthetic(1), synthetic(0.2)
    assert sure["ratio"]["mean"] < 0.3
    ranks = 10 * np.array(sure["ranks"]["count"]) / sum(sure["ranks"]["count"])
    assert ranks[0] > 2 and ranks[-1] > 2 and max(ranks[2:-2]) < 0.5
    unlikely, likely = (sure["reliability"]["0.5"]["observed"][place] for place in (1, -2))
    assert unlikely > 0.25 and likely < 0.75
    assert sure["crps"]["mean"] > right["crps"]["mean"]


def test_the_neighbourhood_of_single_forecasts_gives_probabilities():
    values = np.zeros((1, CONTEXT + 1, 9, 9, 1), "float32")
    values[0, CONTEXT, 4, 5] = 1
    single = np.zeros((1, 1, 9, 9, 1), "float32")
    single[0, 0, 4, 4] = 1
    forecasters = {"one": lambda *_: single, "two": lambda *_: np.repeat(single, 2, axis=0)}
    result = run(values, forecasters, None, thresholds=[0.5], side=3)["forecasts"]
    assert list(result) == ["one", "one, 3 x 3 pixels", "two"]
    near = result["one, 3 x 3 pixels"]
    assert set(near) == {"brier", "reliability", "calibration"}
    assert result["one"]["brier"]["0.5"]["mean"] == pytest.approx(2 / 81)
    assert near["brier"]["0.5"]["mean"] == pytest.approx((8 * (1 / 9) ** 2 + (8 / 9) ** 2) / 81, rel=1e-5)


def test_what_forecasters_are_given_and_how_far_it_is(truth):
    seen, told = [], []

    def forecaster(context, seed):
        seen.append((context, seed))
        return members_of(seed)

    run(truth, {"a": forecaster}, count=3, seed=7, progress=lambda *numbers: told.append(numbers))
    assert [seed for _, seed in seen] == [7, 8, 9] and told == [(1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(seen[2][0], np.nan_to_num(truth[2, :CONTEXT]))


def test_lead_times_that_nothing_was_observed_of_have_no_score(truth):
    truth[:, CONTEXT + 1] = np.nan
    result = run(truth, FORECASTERS, side=3)
    for told in result["forecasts"].values():
        for score in (*told["brier"].values(), told.get("crps"), told.get("rmse")):
            if score:
                assert [value is None for value in score["per_frame"]] == [False, True, False]
        crps = result["forecasts"]["single"]["crps"]
        assert crps["mean"] == per_frame((crps["per_frame"][0] + crps["per_frame"][2]) / 2)
    truth[:, CONTEXT:] = np.nan
    result = run(truth, FORECASTERS)
    assert result["forecasts"]["ensemble"]["crps"] == {
        "mean": None,
        "per_frame": [None] * 3,
        "interval": None,
    }
    assert result["forecasts"]["ensemble"]["ratio"] == {"mean": None, "per_frame": [None] * 3}
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 6}, "`count` must lie in 1 .. 5 clips. Received: count=6"),
        ({"side": 0}, "`side` must be a positive number of pixels. Received: side=0"),
        ({"thresholds": [0]}, "`thresholds` must lie above 0 and up to 4 m, .* Received: 0"),
        ({"thresholds": [4.5]}, "`thresholds` must lie above 0 and up to 4 m, .* Received: 4.5"),
        ({"thresholds": [np.nan]}, "`thresholds` must lie above .* Received: nan"),
        (
            {"thresholds": [0.003], "scale": "rain:dwd"},
            "up to 338.* mm/h, so that pixels tell .* Received: 0.003",
        ),
        ({"thresholds": [0.5, 0.50000001]}, r"must differ in six digits\. Received: 0\.5, 0\.50000001"),
    ],
)
def test_refused_arguments(truth, options, message):
    with pytest.raises(ValueError, match=message):
        run(truth, FORECASTERS, **options)


def test_refused_forecasters_and_clips(truth):
    with pytest.raises(ValueError, match="`forecasters` must hold at least one function"):
        run(truth, {})
    for members in (members_of(0)[0], members_of(0)[:, :2], members_of(0)[:0]):
        message = re.escape(f"= (members, *{truth[0, CONTEXT:].shape}). Received: {members.shape} of a")
        with pytest.raises(ValueError, match=message):
            run(truth, {"a": lambda context, seed, members=members: members})
    with pytest.raises(ValueError, match=r"`forecasters` must return finite numbers\. Received: others of a"):
        run(truth, {"a": lambda context, seed: members_of(0) * np.nan})
    clips = Clips(lambda numbers: truth[numbers, :4], CLIPS, masked=True)
    with pytest.raises(ValueError, match=r"`clips` must have 5 frames or more\. Received: 4"):
        score_ensembles(FORECASTERS, clips, context_frames=2, forecast_frames=3, thresholds=[0.5])


def test_says_what_to_install(truth, monkeypatch):
    monkeypatch.setitem(sys.modules, "scores", None)
    message = "Scores of ensembles needs pip install 'mslstm_keras[probabilities]' (scores is not there)"
    with pytest.raises(ImportError, match=f"^{re.escape(message)}$"):
        run(truth, FORECASTERS)
