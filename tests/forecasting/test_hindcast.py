"""Hindcasts against loops in NumPy."""

import json
import re
import warnings

import numpy as np
import pytest
import xarray

from mslstm_keras.data.facts import DataFacts
from mslstm_keras.evaluation import comparison
from mslstm_keras.evaluation.comparison import evaluation_csv, evaluation_table
from mslstm_keras.evaluation.report import write_report
from mslstm_keras.forecasting import forecaster, grid
from mslstm_keras.forecasting import hindcast as module
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.forecasting.hindcast import hindcast, start_maps
from mslstm_keras.forecasting.matching import match_rates
from mslstm_keras.models.registry import create_model
from mslstm_keras.radar.read import RadarMaps, read_radar
from tests.support.equations import randomise
from tests.support.radar_files import codes, digits, stamps, write_knmi

CONTEXT, HORIZON, SIZE = 3, 2, (20, 23)
STILL = {"baselines": ["persistence"], "ranges": {"one": "rain:dwd", "two": "rain:dwd"}}
UNOBSERVED = 65535


def small_model(seed, side=8, horizon=HORIZON, channels=1):
    model = create_model("conv_lstm", (side, side, channels), CONTEXT, horizon, filters=2, layers=1)
    randomise(model, seed=seed)
    return model


@pytest.fixture(scope="module")
def model():
    return small_model(2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve maps, of which the seventh is missing; other pixels of each were not observed, of the eleventh none."""
    folder = tmp_path_factory.mktemp("maps")
    for number, time in enumerate(stamps("2010-08-26T00:00", 12)):
        values = codes(number, SIZE)
        values[number : number + 3, 15:] = UNOBSERVED
        if number == 10:
            values[:] = UNOBSERVED
        if number != 6:
            write_knmi(folder / f"RAD_{digits(time)}.h5", time, values)
    return folder


@pytest.fixture
def maps(folder):
    with pytest.warns(UserWarning, match="1 radar maps are missing"):
        return read_radar(folder)


STARTS = (2, 3, 8)  # of the eleven maps that are there: 0 .. 5 and 6 .. 10 lie in a row


def by_hand(predict, rates, thresholds, scales):
    """Scores by lead time, in a loop over start times, lead times, thresholds and windows."""
    found = {}
    for lead in range(HORIZON):
        counts = {threshold: np.zeros(4) for threshold in thresholds}
        shares = {(threshold, scale): np.zeros(2) for threshold in thresholds for scale in scales}
        errors = []
        for start in STARTS:
            truth, prediction = rates[start + 1 + lead], predict(start)[lead]
            seen = ~np.isnan(truth) & ~np.isnan(rates[start])
            if not seen.any():
                continue
            error = prediction[seen].astype("float64") - truth[seen]
            errors.append((np.abs(error).mean(), (error**2).mean(), error.mean()))
            for threshold in thresholds:
                wet, forecast_wet = truth >= threshold, prediction >= threshold
                for index, event in enumerate(
                    (wet & forecast_wet, wet & ~forecast_wet, ~wet & forecast_wet, ~wet & ~forecast_wet)
                ):
                    counts[threshold][index] += event[seen].sum()
                for scale in scales:
                    windows = [
                        np.lib.stride_tricks.sliding_window_view(each, (scale, scale))
                        for each in (seen, wet, forecast_wet)
                    ]
                    whole = windows[0].all((2, 3))
                    observed, predicted = (each.mean((2, 3))[whole] for each in windows[1:])
                    shares[threshold, scale] += (
                        ((predicted - observed) ** 2).sum(),
                        (predicted**2 + observed**2).sum(),
                    )
        for threshold in thresholds:
            hits, misses, alarms, negatives = counts[threshold]
            skill = 2 * (hits * negatives - alarms * misses)
            chance = (hits + misses) * (misses + negatives) + (hits + alarms) * (alarms + negatives)
            found[f"csi_{threshold:g}", lead] = hits / (hits + misses + alarms)
            found[f"pod_{threshold:g}", lead] = hits / (hits + misses)
            found[f"far_{threshold:g}", lead] = alarms / (hits + alarms)
            found[f"hss_{threshold:g}", lead] = skill / chance
            for scale in scales:
                difference, largest = shares[threshold, scale]
                found[f"fss_{threshold:g}_{scale}", lead] = 1 - difference / largest
        mae, mse, bias = np.mean(errors, axis=0)
        found |= {("value_mae", lead): mae, ("value_rmse", lead): mse**0.5, ("value_bias", lead): bias}
    return found


def assert_scores(scores, expected):
    assert set(scores) == {metric for metric, _ in expected}
    for (metric, lead), value in expected.items():
        assert scores[metric]["per_frame"][lead] == pytest.approx(value, rel=1e-4, abs=1e-6), (metric, lead)


def test_scores_equal_a_loop_in_numpy(model, maps):
    thresholds, scales = (0.5, 3.5), (2, 3)
    result = hindcast({"one": model}, maps, "maps", thresholds=thresholds, scales=scales, **STILL)
    rates = maps.rain_rate.values

    def of_model(start):
        given = maps.isel(time=slice(start - CONTEXT + 1, start + 1))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* were not observed")
            return np.nan_to_num(forecast(model, given, scale="rain:dwd").rain_rate.values)

    def still(start):
        return np.repeat(np.nan_to_num(rates[start])[np.newaxis], HORIZON, axis=0)

    for name, predict in (("one", of_model), ("persistence", still)):
        expected = by_hand(predict, rates, thresholds, scales)
        assert 0 < expected["csi_0.5", 0] < 1, "the test must see hits and faults"
        assert_scores(result["models"][name], expected)


def test_matched_rates_equal_those_of_the_matched_forecast(model, maps):
    thresholds, scales = (0.5, 3.5), (3,)
    arguments = {"thresholds": thresholds, "scales": scales, **STILL}
    result = hindcast({"one": model}, maps, "maps", match_rates=True, **arguments)
    plain = hindcast({"one": model}, maps, "maps", **arguments)
    rates = maps.rain_rate.values

    def of_model(start):
        given = maps.isel(time=slice(start - CONTEXT + 1, start + 1))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* were not observed")
            return np.nan_to_num(
                match_rates(forecast(model, given, scale="rain:dwd"), given).rain_rate.values
            )

    assert_scores(result["models"]["one"], by_hand(of_model, rates, thresholds, scales))
    assert result["models"]["one"] != plain["models"]["one"]
    assert result["models"]["persistence"] == plain["models"]["persistence"]
    assert result["note"] == f"{plain['note']} Forecasts of models have the rates of the last map, by rank."


def test_facts(model, maps):
    result = hindcast({"one": model}, maps, "maps", scales=(3,), **STILL)
    rates = maps.rain_rate.values
    hidden = [
        np.isnan(rates[start + lead]) | np.isnan(rates[start])
        for start in STARTS
        for lead in range(1, HORIZON + 1)
    ]
    assert result["clips"] == 3 and result["interval"] == 5
    assert result["missing"] == {"share": np.mean(hidden), "frames": 1}
    archive = dict(result["archive"])
    assert result["metrics"] == list(result["models"]["one"])
    assert archive == {
        "maps": 11,
        "missing": 1,
        "every": 1,
        "size": [*SIZE],
        "first": "2010-08-26T00:10:00",
        "last": "2010-08-26T00:45:00",
    }
    json.dumps(result, allow_nan=False)


def test_pixels_of_a_model_may_stand_for_rates_in_another_way(model, maps, monkeypatch):
    asked = {"one": "0:20 mm/h"}
    seen = []

    def half(model, frames, horizon):
        seen.append(frames)
        return np.full((1, horizon, *SIZE, 1), 0.5, "float32")

    monkeypatch.setattr(module, "forecast", half)
    result = hindcast({"one": model}, maps, "maps", scales=(3,), **{**STILL, "ranges": asked})
    rates = np.nan_to_num(maps.rain_rate.values)
    np.testing.assert_allclose(
        seen[0][0, ..., 0], np.clip(rates[STARTS[0] - 2 : STARTS[0] + 1] / 20, 0, 1), atol=1e-5
    )
    expected = by_hand(lambda start: np.full((HORIZON, *SIZE), 10.0), maps.rain_rate.values, (0.5,), ())
    scores = {name: result["models"]["one"][name] for name, _ in expected}
    assert_scores(scores, expected)


def in_memory(values, **attributes):
    values = np.asarray(values, "float32")
    time = stamps("2024-05-01T00:00", len(values)).astype("datetime64[ns]")
    rates = xarray.Variable(("time", "y", "x"), values, {"units": "mm/h"})
    return xarray.Dataset({"rain_rate": rates}, {"time": time}, attributes)


def own_messages(said):
    """The texts of warnings, without those that libraries have for each other."""
    return [str(each.message) for each in said if each.category is UserWarning]


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.12, 5])
def test_a_rate_at_a_threshold_reaches_it(model, threshold):
    given = in_memory(np.full((5, *SIZE), threshold))
    scores = hindcast({"one": model}, given, "maps", thresholds=(threshold,), **STILL)["models"][
        "persistence"
    ]
    assert scores[f"pod_{threshold:g}"]["mean"] == scores[f"csi_{threshold:g}"]["mean"] == 1
    thresholds = threshold / 2, threshold  # matched, it is this rate or none
    matched = hindcast({"one": model}, given, "maps", thresholds=thresholds, match_rates=True, **STILL)
    lower, upper = (matched["models"]["one"][f"csi_{each:g}"]["per_frame"] for each in thresholds)
    assert lower == upper and min(upper) > 0


def test_rates_beyond_the_end_of_the_code_are_said_once(model):
    values = np.ones((7, *SIZE))
    values[3, :2, :2] = 400
    with pytest.warns(UserWarning) as said:
        hindcast({"one": model}, in_memory(values), "maps", **STILL)
    (message,) = own_messages(said)
    assert message.startswith(f"rain_rate: 4 of {values.size} values lie beyond 0 .. 338")


def test_every_map_is_read_once(model, maps, monkeypatch):
    read, original = [], RadarMaps.read

    def noted(self, index):
        read.append(index)
        return original(self, index)

    monkeypatch.setattr(RadarMaps, "read", noted)
    hindcast({"one": model}, maps, "maps", scales=(3,), **STILL)
    assert read == list(range(11))


def test_start_times_lie_so_many_intervals_apart_and_never_across_a_gap():
    times = stamps("2024-05-01T00:00", 30)
    times = np.delete(times, [10, 11, 20])
    starts = start_maps(times, 5, 3, 2)
    assert starts.tolist() == [*range(2, 8), *range(12, 16), *range(20, 25)]
    assert start_maps(times, 5, 3, 2, every=4).tolist() == [2, 6, 12, 20, 24]
    wandering = times + np.arange(27) % 3 * np.timedelta64(10, "s")
    assert start_maps(wandering, 5, 3, 2).tolist() == starts.tolist()
    with pytest.raises(ValueError, match=r"hold 13 maps in a row, .* Received: 27 maps, at most 10 in a row"):
        start_maps(times, 5, 8, 5)
    with pytest.raises(ValueError, match="Received: 1 maps, at most 1 in a row"):
        start_maps(times[:1], None, 1, 1)
    for count in range(1, 10):
        with pytest.raises(ValueError, match=f"Received: {count} maps, at most {count} in a row"):
            start_maps(times[:count], 5, 5, 5)


def test_tiles_are_said_once(model, monkeypatch):
    monkeypatch.setattr(forecaster, "fits_whole", lambda *arguments: False)
    monkeypatch.setattr(grid, "memory_budget", lambda: 1 << 30)
    with pytest.warns(UserWarning) as said:
        result = hindcast({"one": model}, in_memory(np.ones((9, *SIZE))), "maps", **STILL)
    assert result["clips"] == 5
    (message,) = own_messages(said)
    assert re.match("20 x 23 pixels are forecast in", message)


def test_models_of_other_sizes_and_seeds_stand_beside_each_other(model):
    values = np.random.default_rng(0).gamma(0.5, 2, (6, *SIZE))
    other = small_model(4, side=16)
    told = []
    result = hindcast(
        {"one": model, "two": [model, other]},
        in_memory(values),
        "maps",
        progress=lambda *numbers: told.append(numbers),
        **STILL,
    )
    assert list(result["models"]) == ["one", "two", "persistence"]
    alone = hindcast({"two": other}, in_memory(values), "maps", **STILL)["models"]["two"]
    pair = result["models"]["one"]["value_mae"]["mean"], alone["value_mae"]["mean"]
    assert result["models"]["two"]["value_mae"]["mean"] == pytest.approx(np.mean(pair), rel=1e-6)
    assert told == [(1, 2), (2, 2)]


def test_maps_of_another_kind_than_the_data_of_the_models_are_said(model):
    given = in_memory(np.ones((5, *SIZE))).assign_attrs(interval_minutes=5.0)
    facts = {"one": DataFacts(scale="rain:dwd", interval_minutes=10.0), "absent": DataFacts("snow")}
    options = {name: value for name, value in STILL.items() if name != "ranges"}
    with pytest.warns(UserWarning) as said:
        found = hindcast({"one": model}, given, "maps", trained_on=facts, **options)
    (message,) = own_messages(said)
    assert message.startswith("`interval` of the maps is 5 minutes, one was trained on 10")
    with pytest.warns(UserWarning) as said:
        hindcast({"one": model}, given, "maps", trained_on=facts, ranges={"one": None}, **options)
    assert own_messages(said) == [message]
    with pytest.warns(UserWarning, match="pixels of one are taken for rain rates"):
        assert found["models"] == hindcast({"one": model}, given, "maps", **options)["models"]


def test_optical_flow_is_there_where_pysteps_is(model, monkeypatch):
    given, options = in_memory(np.ones((5, *SIZE))), {"ranges": STILL["ranges"]}
    monkeypatch.setattr(module, "load_pysteps", lambda: None)
    monkeypatch.setattr(
        comparison,
        "optical_flow_extrapolation",
        lambda context, horizon, code: np.zeros((horizon, *SIZE, 1), "float32"),
    )
    scores = hindcast({"one": model}, given, "maps", **options)["models"]
    assert list(scores) == ["one", "persistence", "optical_flow"]
    assert scores["optical_flow"]["value_bias"]["mean"] == pytest.approx(-1, rel=1e-4)

    def missing():
        raise ImportError("it is not installed")

    monkeypatch.setattr(module, "load_pysteps", missing)
    with pytest.warns(UserWarning, match="optical flow is left out: it is not installed"):
        scores = hindcast({"one": model}, given, "maps", **options)["models"]
    assert list(scores) == ["one", "persistence"]


def test_pixels_of_which_nothing_is_known_are_taken_for_rain_with_a_warning(model):
    with pytest.warns(UserWarning, match="pixels of one are taken for rain rates by rain:dwd"):
        hindcast({"one": model}, in_memory(np.ones((5, *SIZE))), "maps", baselines=[])


def test_tables_and_reports_say_what_was_hindcast(model, maps, tmp_path):
    result = hindcast({"one": model}, maps, "archive", thresholds=(2,), scales=(3,), **STILL)
    lines = list(evaluation_table(result))
    assert lines[0] == (
        "archive: 3 start times from 2010-08-26T00:10:00 to 2010-08-26T00:45:00, of 11 maps of 20 x 23, 5 minutes "
        "apart, 1 more missing, forecast frames"
    )
    assert lines[1].endswith("were not observed and count in no score; 1 frames without any count in no mean")
    assert lines[-1] == module.NOTE
    for heading in ("CSI at 2 mm/h", "FSS at 2 mm/h in 3 x 3 pixels", "RMSE (mm/h)", "bias (mm/h)"):
        assert f"{heading} by lead time (minutes)" in lines
    rows = evaluation_csv(result).splitlines()
    assert len(rows) == 1 + 2 * 8 * (1 + HORIZON)
    write_report(result, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "3 start times from 2010-08-26T00:10:00" in page and "bias (mm/h) by lead time" in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thresholds": (1, 400)}, r"`threshold` must lie above 0.00\d+ and up to 338 mm/h"),
        ({"scales": (3, 21)}, "`scales` must be whole .* shorter side of the maps, 20 pixels. Received: 21"),
        ({"scales": (0,)}, "`scales` must be whole .* Received: 0"),
        ({"every": 0}, "`every` must be a whole number of at least 1. Received: every=0"),
        (
            {"baselines": ["flow"]},
            "`baselines` must be known, such as optical_flow, persistence. Received: 'flow'",
        ),
        (
            {"ranges": {"one": "0:9 bikes/h"}},
            "`models` must forecast rain rates in mm/h. Received: one in bikes/h",
        ),
    ],
)
def test_refused_arguments(model, changes, message):
    with pytest.raises(ValueError, match=message):
        hindcast({"one": model}, in_memory(np.ones((5, *SIZE))), "maps", **{**STILL, **changes})


def test_refused_models_and_maps(model):
    given = in_memory(np.ones((5, *SIZE)))
    with pytest.raises(ValueError, match=r"`models` must take and forecast the same frames: .*channels"):
        hindcast({"one": model, "two": small_model(1, horizon=3)}, given, "maps", **STILL)
    with pytest.raises(
        ValueError, match=r"`models` must forecast frames of one channel. Received: 3 channels"
    ):
        hindcast({"one": small_model(1, channels=3)}, given, "maps", **STILL)
    with pytest.raises(ValueError, match=r"`maps` must be in mm/h. Received: units 'K'"):
        hindcast({"one": model}, given.assign(rain_rate=given.rain_rate.assign_attrs(units="K")), "maps")
    with pytest.raises(ValueError, match=r"`maps` must hold rain_rate \(time, y, x\)"):
        hindcast({"one": model}, given.rename(rain_rate="snow"), "maps")
    issued = given.assign_attrs(forecast_reference_time="2024-05-01T00:00:00Z")
    with pytest.raises(ValueError, match=r"observations. Received: a nowcast issued at 2024-05-01T00:00:00Z"):
        hindcast({"one": model}, issued, "maps")
