"""Evaluations of several models: what they hold, what their tables say."""

import csv
import dataclasses
import io
import itertools
import json
import re

import numpy as np
import pytest

from mslstm_keras.data.clips import Clips
from mslstm_keras.evaluation import comparison as module
from mslstm_keras.evaluation.comparison import (
    cumulative,
    difference_sentences,
    evaluate_models,
    evaluation_csv,
    evaluation_table,
    is_synthetic,
    paired_differences,
    sample_forecasts,
)
from mslstm_keras.evaluation.protocols import Protocol, find_protocol
from mslstm_keras.evaluation.scores import evaluate
from mslstm_keras.models.registry import create_model
from tests.support.equations import randomise

CONTEXT, FORECAST, FRAME = 4, 3, (12, 16, 1)
LEVELS = np.random.default_rng(0).integers(0, 256, (5, 7, *FRAME), dtype="uint8")
RAIN = "dwd_radar_clips/synthetic"


def small_model(seed, forecast_frames=FORECAST):
    model = create_model("conv_lstm", FRAME, CONTEXT, forecast_frames, filters=2, layers=1)
    return randomise(model, seed=seed) or model


@pytest.fixture(scope="module")
def models():
    return {"one": small_model(1), "two": small_model(2)}


@pytest.fixture(scope="module")
def rain(models):
    return evaluate_models(models, dataclasses.replace(clips(), interval=30), RAIN)


def clips():
    return Clips(lambda indices: LEVELS[indices], len(LEVELS))


def test_every_name_has_the_scores_that_it_has_alone(models):
    result = evaluate_models(models, clips(), "clips.npy")
    assert list(result["models"]) == ["one", "two", "persistence"]
    for name, model in models.items():
        alone = evaluate(model, clips())
        for metric, values in alone["model"].items():
            np.testing.assert_allclose(
                result["models"][name][metric]["per_frame"], values["per_frame"], rtol=1e-5
            )
        assert alone["persistence"].keys() == result["models"]["persistence"].keys()
    facts = {key: result[key] for key in ("data", "clips", "frames", "first_lead", "interval", "synthetic")}
    assert facts == {
        "data": "clips.npy",
        "clips": 5,
        "frames": "forecast",
        "first_lead": 1,
        "interval": None,
        "synthetic": False,
    }
    assert (result["published"], result["note"]) == ({}, None)


def test_rain_is_scored_as_rain(rain):
    assert rain["synthetic"]
    assert rain["interval"] == 30
    scores = rain["models"]["one"]
    assert tuple(scores) == find_protocol(RAIN).metrics
    assert {"csi_0.5", "hss_5"} <= set(scores)
    wet = 255 * (10 * np.log10(256 * 0.5**1.42) + 10) / 70 <= LEVELS  # at least 0.5 mm/h
    last, truth = wet[:, CONTEXT - 1 : CONTEXT], wet[:, CONTEXT:]
    csi = (last & truth).sum((0, 2, 3, 4)) / (last | truth).sum((0, 2, 3, 4))
    np.testing.assert_allclose(rain["models"]["persistence"]["csi_0.5"]["per_frame"], csi, rtol=1e-6)
    np.testing.assert_allclose(rain["models"]["persistence"]["csi_0.5"]["mean"], csi.mean(), rtol=1e-6)
    json.dumps(rain, allow_nan=False)


def test_several_seeds_have_a_mean_and_a_deviation(models):
    result = evaluate_models({"both": list(models.values())}, clips(), "clips.npy")["models"]["both"]
    alone = [evaluate(model, clips())["model"] for model in models.values()]
    for metric, values in result.items():
        means, frames = ([of_one[metric][key] for of_one in alone] for key in ("mean", "per_frame"))
        np.testing.assert_allclose(values["mean"], np.mean(means), rtol=1e-5)
        np.testing.assert_allclose(values["deviation"], abs(means[0] - means[1]) / 2**0.5, rtol=1e-3)
        np.testing.assert_allclose(values["per_frame"], np.mean(frames, axis=0), rtol=1e-5)
        expected = np.abs(np.subtract(*frames)) / 2**0.5
        np.testing.assert_allclose(values["per_frame_deviation"], expected, rtol=1e-3, atol=1e-6)


def test_all_frames_begin_before_the_forecast(models):
    result = evaluate_models({"one": models["one"]}, clips(), "clips.npy", all_frames=True)
    assert result["frames"] == "all"
    assert result["first_lead"] == 2 - CONTEXT
    assert len(result["models"]["one"]["mse"]["per_frame"]) == CONTEXT + FORECAST - 1


def test_a_baseline_of_ones_own(models, monkeypatch):
    def truth(rollout, protocol):
        assert protocol == Protocol()
        return lambda frames: frames[:, 1:]

    monkeypatch.setitem(module.BASELINES, "truth", truth)
    result = evaluate_models({"one": models["one"]}, clips(), "clips.npy", baselines=["truth"])
    assert list(result["models"]) == ["one", "truth"]
    assert result["models"]["truth"]["mse"]["mean"] == 0


def test_optical_flow_fills_the_forecast_and_persistence_the_context(models, monkeypatch):
    def grey(context, forecast_frames, rain_scale):
        assert context.shape == (CONTEXT, *FRAME)
        assert rain_scale == "dwd"
        return np.full((forecast_frames, *FRAME), 0.5)

    monkeypatch.setattr(module, "optical_flow_extrapolation", grey)
    with pytest.warns(
        UserWarning, match="optical_flow takes pixels as the codes of rain of dwd, as the data say no"
    ):
        result = evaluate_models(models, clips(), "clips.npy", baselines=["optical_flow"], all_frames=True)
    frames = LEVELS / 255.0
    expected = [((frames[:, k + 1] - frames[:, k]) ** 2).sum() / 5 for k in range(CONTEXT - 1)]
    expected += [((frames[:, k] - 0.5) ** 2).sum() / 5 for k in range(CONTEXT, CONTEXT + FORECAST)]
    np.testing.assert_allclose(result["models"]["optical_flow"]["mse"]["per_frame"], expected, rtol=1e-5)


@pytest.fixture(scope="module")
def holes():
    """Clips whose first forecast frame was never observed, nor the lower half of all others."""
    frames = LEVELS / np.float32(255)
    frames[:, CONTEXT] = frames[:, :, 6:] = np.nan
    return Clips(lambda indices: frames[indices], len(frames), masked=True)


def test_missing_pixels_count_in_no_score_of_models_and_baselines(models, holes, monkeypatch):
    def still(context, forecast_frames, rain_scale):
        assert np.isfinite(context).all()
        return np.repeat(context[-1:], forecast_frames, axis=0)

    monkeypatch.setattr(module, "optical_flow_extrapolation", still)
    families = {"both": list(models.values()), "one": models["one"]}
    result = evaluate_models(families, holes, RAIN, baselines=["persistence", "optical_flow"])
    assert result["missing"] == {"share": 4 / 6, "frames": 5}
    assert result["models"]["optical_flow"] == result["models"]["persistence"]
    seen = np.nan_to_num(holes.frames(np.arange(5)))
    context, truth = seen[:, :CONTEXT], seen[:, CONTEXT + 1 :, :6]
    forecasts = {
        name: model.predict(context, verbose=0)[:, CONTEXT:].clip(0, 1) for name, model in models.items()
    }
    forecasts["persistence"] = np.repeat(context[:, -1:], 2, axis=1)
    pixel = np.float32((10 * np.log10(256 * 2**1.42) + 10) / 70)
    for name in ("one", "persistence"):
        scores, forecast = result["models"][name], forecasts[name][:, :, :6]
        mse = ((truth - forecast).astype("float64") ** 2).sum(axis=(2, 3, 4)).mean(axis=0)
        y, x = truth >= pixel, forecast >= pixel
        csi = (y & x).sum((0, 2, 3, 4)) / (y | x).sum((0, 2, 3, 4))
        for metric, expected in (("mse", mse), ("csi_2", csi)):
            assert scores[metric]["per_frame"][0] is None
            np.testing.assert_allclose(scores[metric]["per_frame"][1:], expected, rtol=1e-5)
            np.testing.assert_allclose(scores[metric]["mean"], expected.mean(), rtol=1e-5)
    both = result["models"]["both"]["mse"]
    alone = [((truth - forecasts[name][:, :, :6]) ** 2).sum((2, 3, 4)).mean(0) for name in ("one", "two")]
    for key, expected in (
        ("per_frame", np.mean(alone, 0)),
        ("per_frame_deviation", np.std(alone, 0, ddof=1)),
    ):
        assert both[key][0] is None
        np.testing.assert_allclose(both[key][1:], expected, rtol=1e-4)
    json.dumps(result, allow_nan=False)


def test_tables_say_once_what_is_missing(models, holes):
    result = evaluate_models({"one": models["one"]}, holes, RAIN)
    lines = list(evaluation_table(result))
    note = (
        "66.7 % of the pixels of the forecast frames were not observed and count in no score; "
        "5 frames without any count in no mean"
    )
    assert lines[1] == note and "".join(lines).count("not observed") == 1
    at = lines.index("CSI at 2 mm/h by lead time (frames)")
    assert lines[at + 2].split()[:2] == ["one", "-"]
    so_far = lines.index("CSI at 2 mm/h, mean over the lead times so far")
    assert lines[so_far + 2].split() == ["one", "-", "-", "-"]
    rows = list(csv.DictReader(io.StringIO(evaluation_csv(result))))
    (value,) = (r["value"] for r in rows if (r["name"], r["metric"], r["lead_time"]) == ("one", "mse", "1"))
    assert value == ""


def test_a_sample_with_missing_pixels(models, holes):
    sample = sample_forecasts({"one": [models["one"]]}, holes, 3)
    frames = holes.frames(np.array([3]))
    np.testing.assert_array_equal(np.concatenate([sample["context"], sample["truth"]]), frames[0])
    expected = models["one"].predict(np.nan_to_num(frames[:, :CONTEXT]), verbose=0)[0, CONTEXT - 1 :]
    np.testing.assert_allclose(sample["forecasts"]["one"], np.clip(expected, 0, 1), atol=1e-6)


def test_unknown_baselines_and_other_frames_are_refused(models):
    with pytest.raises(
        ValueError, match=r"`baselines` must be known, such as persistence. Received: 'persistense'"
    ):
        evaluate_models(models, clips(), "clips.npy", baselines=["persistense"])
    message = r"`models` must take .* = \(4, 3, \(12, 16, 1\)\)\. Received: \(4, 2, \(12, 16, 1\)\) of x"
    with pytest.raises(ValueError, match=message):
        evaluate_models({**models, "x": small_model(0, forecast_frames=2)}, clips(), "clips.npy")
    with pytest.raises(ValueError, match=message):  # also among the seeds of one name
        evaluate_models(
            {"x": [models["one"], small_model(0, forecast_frames=2), models["two"]]}, clips(), "a.npy"
        )
    with pytest.raises(ValueError, match=r"`models` must hold at least one model\. Received: none"):
        evaluate_models({}, clips(), "clips.npy")


def test_a_model_called_as_a_baseline_is_refused(models):
    with pytest.raises(
        ValueError, match=r"`models` must not be called as a baseline is\. Received: 'persistence'"
    ):
        evaluate_models({"persistence": models["one"]}, clips(), "clips.npy", baselines=[])


def test_a_sample_is_one_clip(models):
    sample = sample_forecasts({name: [model] for name, model in models.items()}, clips(), 3)
    np.testing.assert_array_equal(
        np.concatenate([sample["context"], sample["truth"]]), LEVELS[3] / np.float32(255)
    )
    for name, model in models.items():
        expected = model.predict(LEVELS[3:4, :CONTEXT] / np.float32(255), verbose=0)[0, CONTEXT - 1 :]
        np.testing.assert_allclose(sample["forecasts"][name], np.clip(expected, 0, 1), atol=1e-6)
    with pytest.raises(ValueError, match=r"`number` must lie in 0 \.\. 4. Received: number=5"):
        sample_forecasts({"one": [models["one"]]}, clips(), 5)


def test_the_table_names_the_data_the_lead_times_and_what_is_synthetic(rain):
    lines = list(evaluation_table(rain))
    assert lines[0] == "dwd_radar_clips/synthetic: 5 synthetic clips, forecast frames"
    at = lines.index("CSI at 2 mm/h by lead time (minutes)")
    assert lines[at + 1].split() == ["+30", "+60", "+90"]
    values = rain["models"]["one"]["csi_2"]["per_frame"]
    assert lines[at + 2].split() == ["one", *(f"{value:.3f}" for value in values)]
    assert lines[at + 5] == "CSI at 2 mm/h, mean over the lead times so far"
    assert lines[at + 7].split() == ["one", *(f"{value:.3f}" for value in cumulative(values))]


def test_the_table_shows_deviations_and_the_papers_figures_as_such(rain):
    evaluation = {
        **rain,
        "data": "taxibj_clips/inflow",
        "metrics": list(find_protocol("taxibj_clips/inflow").metrics),
        "synthetic": False,
        "models": {"mine": {"mse": {"mean": 12.3456, "deviation": 0.5, "per_frame": [1.0, 2.0]}}},
        "published": {"ms_lstm": {"mse": {"mean": None, "per_frame": [0.141, 0.173]}}},
        "note": "Measured otherwise.",
    }
    lines = list(evaluation_table(evaluation))
    assert [line.split() for line in lines[1:4]] == [
        ["MSE", "(sum", "MAE", "(sum"],
        ["over", "a", "over", "a"],
        ["frame)", "frame)", "SSIM", "PSNR", "(dB)"],
    ]
    assert lines[4].split() == ["mine", "12.35", "±", "0.500", "-", "-", "-"]
    assert lines[5] == ""  # the paper prints no means, and has no row for them
    assert "ms_lstm (the paper's)" in lines[-3]
    assert lines[-3].split()[-2:] == ["0.141", "0.173"]
    assert lines[-1] == "Measured otherwise."


def test_the_csv_holds_every_number(rain):
    evaluation = {**rain, "published": {"ms_lstm": {"csi_2": {"mean": 0.243, "per_frame": None}}}}
    rows = list(csv.DictReader(io.StringIO(evaluation_csv(evaluation))))
    found = {
        (row["source"], row["name"], row["metric"], row["lead_time"]): float(row["value"]) for row in rows
    }
    scores = rain["models"]["two"]["hss_2"]
    assert found["this run", "two", "hss_2", "mean"] == scores["mean"]
    assert [found["this run", "two", "hss_2", str(lead)] for lead in (1, 2, 3)] == scores["per_frame"]
    assert found["the paper", "ms_lstm", "csi_2", "mean"] == 0.243
    assert {(row["data"], row["synthetic"]) for row in rows} == {(RAIN, "true")}
    assert {(row["source"], row["frames"]) for row in rows} == {("this run", "forecast"), ("the paper", "")}
    assert len(rows) == 3 * len(find_protocol(RAIN).metrics) * (1 + FORECAST) + 1


def test_cumulative_means():
    assert cumulative([3.0, 1.0, 2.0]) == [3.0, 2.0, 2.0]
    assert cumulative([3.0, None])[0] == 3
    assert np.isnan(cumulative([3.0, None])[1])


NAMES = (
    "dwd_radar_clips/synthetic",
    "taxibj_clips/my_synthetic_flows",
    "synthetic_rain.npy",
    "here/synthetic.npy",
)


@pytest.mark.parametrize("data", NAMES)
def test_what_is_synthetic(data):
    assert is_synthetic(data)
    assert not is_synthetic(re.sub("synthetic", "real", data))


def test_differences_are_of_the_same_clips(models):
    """The interval of a difference against a bootstrap over the clips' own differences."""
    result = evaluate_models(models, clips(), "clips.npy")
    pairs = {(pair["model"], pair["other"], pair["metric"]): pair for pair in result["differences"]}
    names = [*models, "persistence"]
    assert set(pairs) == {
        (*two, metric)
        for two in itertools.combinations(names, 2)
        for metric in ("mse", "mae", "ssim", "psnr")
    }
    pair = pairs["one", "two", "mse"]
    means = [result["models"][name]["mse"]["mean"] for name in models]
    assert pair["difference"] == means[0] - means[1]
    frames = LEVELS / np.float32(255)
    truth = frames[:, CONTEXT:]
    errors = [
        np.square(np.clip(model.predict(frames[:, :CONTEXT], verbose=0)[:, CONTEXT - 1 :], 0, 1) - truth)
        for model in models.values()
    ]
    of_clips = np.subtract(*(error.sum((2, 3, 4)).mean(1) for error in errors))
    drawn = np.random.default_rng(5).choice(of_clips, (20_000, len(of_clips))).mean(1)
    np.testing.assert_allclose(
        pair["interval"], np.quantile(drawn, [0.025, 0.975]), atol=4 * drawn.std() / 1000**0.5
    )


def means_of(shift, noise=0.0):
    return {"mse": 10 + shift + noise * np.random.default_rng(3).normal(size=1000)}


@pytest.mark.parametrize(("shift", "noise", "better"), [(3, 0.5, "a"), (-3, 0.5, "b"), (0.1, 5, None)])
def test_better_is_what_the_interval_says(shift, noise, better):
    scores = {"a": {"mse": {"mean": 10.0}}, "b": {"mse": {"mean": 10.0 + shift}}}
    (pair,) = paired_differences(scores, {"a": means_of(0), "b": means_of(shift, noise)})
    assert pair["better"] == better
    assert pair["difference"] == pytest.approx(-shift)


def test_of_ssim_more_is_better_and_bias_has_no_better():
    scores = {
        name: {"ssim": {"mean": mean}, "value_bias": {"mean": mean}} for name, mean in (("a", 1), ("b", 0))
    }
    means = {
        name: dict.fromkeys(("ssim", "value_bias"), np.full(9, mean))
        for name, mean in (("a", 1.0), ("b", 0.0))
    }
    assert [pair["better"] for pair in paired_differences(scores, means)] == ["a", None]


def test_scores_of_nothing_are_not_compared():
    scores = {"a": {"mse": {"mean": None}}, "b": {"mse": {"mean": 1.0}}}
    assert paired_differences(scores, {"a": means_of(0), "b": means_of(1)}) == []


def pair(difference, interval, better, model="a", other="b"):
    return {
        "metric": "mse",
        "model": model,
        "other": other,
        "difference": difference,
        "interval": interval,
        "better": better,
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (pair(-2.0, [-3.0, -1.0], "a"), "a is better than b, by 2.000 (95 %: 1.000 to 3.000)"),
        (
            pair(2.0, [1.0, 3.0], "a", "b", "a"),
            "a is better than b, by 2.000 (95 %: 1.000 to 3.000)",
        ),
        (
            pair(-2.0, [-5.0, 1.0], None),
            "a and b differ by 2.000 (95 %: -1.000 to 5.000): these clips do not tell which is better",
        ),
        (pair(-2.0, None, None), "a and b differ by 2.000; how sure that is, these clips cannot tell"),
    ],
)
def test_a_sentence_says_whether_one_is_better(given, said):
    evaluation = {
        "data": "clips.npy",
        "models": {"a": {"mse": {"mean": 1.0}}, "b": {"mse": {"mean": 3.0}}},
        "differences": [given, {**given, "other": "c", "model": "d"}],
    }
    assert list(difference_sentences(evaluation)) == [f"MSE (sum over a frame): {said}"]


def test_evaluations_of_older_files_have_no_sentences(models):
    result = evaluate_models(models, clips(), "clips.npy")
    older = {key: value for key, value in result.items() if key not in ("differences", "metrics")}
    assert list(difference_sentences(older)) == []
    said = list(difference_sentences(result))
    assert len(said) == 2
    assert [*evaluation_table(older), "", *said] == list(evaluation_table(result))


def test_seeds_together_have_an_interval(models):
    result = evaluate_models({"both": list(models.values()), "one": models["one"]}, clips(), "clips.npy")
    low, high = result["models"]["both"]["mse"]["interval"]
    assert low < result["models"]["both"]["mse"]["mean"] < high
    assert [len(sums) for sums in result["weights"].values()] == [2, 1]
    assert result["weights"]["both"][0] == result["weights"]["one"][0] != result["weights"]["both"][1]


def test_other_scores_than_those_of_the_data(models, rain):
    result = evaluate_models(models, clips(), "clips.npy", metrics=["gdl", "pixel_mse"])
    assert list(result["models"]["one"]) == result["metrics"] == ["gdl", "pixel_mse"]
    assert "GDL (sum over a frame) by lead time (frames)" in list(evaluation_table(result))
    chosen = evaluate_models(
        models, dataclasses.replace(clips(), interval=30), RAIN, metrics=["mse"], thresholds=[2], scales=[3]
    )
    assert chosen["metrics"] == ["csi_2", "pod_2", "far_2", "hss_2", "fss_2_3", "mse"]
    assert chosen["models"]["one"]["csi_2"] == rain["models"]["one"]["csi_2"]
    assert chosen["fingerprint"] == rain["fingerprint"]


def test_the_fingerprint_is_that_of_the_scored_clips(models, holes):
    first = evaluate_models(models, clips(), "a")
    assert evaluate_models(models, clips(), "b", batch_size=2)["fingerprint"] == first["fingerprint"]
    assert evaluate_models(models, clips(), "a", count=4)["fingerprint"] != first["fingerprint"]
    assert evaluate_models(models, holes, "a")["fingerprint"] != first["fingerprint"]


def test_forecasts_that_are_no_numbers_leave_no_score(models, monkeypatch):
    monkeypatch.setitem(module.BASELINES, "broken", lambda *_: lambda frames: frames[:, 1:] * np.nan)
    with pytest.warns(UserWarning, match=r"mse of \('broken', 0\) is not a number"):
        result = evaluate_models({"one": models["one"]}, clips(), "a", baselines=["broken"], metrics=["mse"])
    assert result["models"]["broken"]["mse"] == {
        "mean": None,
        "per_frame": [None] * FORECAST,
        "interval": None,
    }
    json.dumps(result, allow_nan=False)
