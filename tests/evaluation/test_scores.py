"""Scores against a loop over clips and frames written by hand."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.data.clips import Clips
from mslstm_keras.evaluation.protocols import Protocol
from mslstm_keras.evaluation.scores import evaluate, persistence
from mslstm_keras.metrics.categorical import Contingency
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import Rollout, find_layer
from tests.support.equations import randomise

CONTEXT, FORECAST, FRAME = 3, 2, (12, 16, 1)
LEVELS = np.random.default_rng(0).integers(
    0, 256, (5, 6, *FRAME), dtype="uint8"
)  # one frame more than needed


@pytest.fixture(scope="module")
def model():
    model = create_model("conv_lstm", FRAME, CONTEXT, FORECAST, filters=2, layers=1)
    randomise(model, seed=2)
    find_layer(model, Rollout).step.get_layer("head").bias.assign([0.2])  # clipping shows on both sides
    return model


@pytest.fixture(scope="module")
def predictions(model):
    outputs = model.predict(LEVELS[:, :CONTEXT] / np.float32(255), verbose=0)
    assert outputs.min() < -0.1
    assert outputs.max() > 1.1
    return outputs


def clips(levels=LEVELS):
    return Clips(lambda indices: levels[indices], len(levels))


def by_hand(predictions, levels, first):
    """Returns the scores of the predictions number `first` and later: predictions[:, k] is one of frame k + 1."""
    scores = {name: [] for name in ("mse", "mae", "ssim", "psnr")}
    for k in range(first, CONTEXT + FORECAST - 1):
        values = {name: [] for name in scores}
        for clip, prediction in zip(levels, predictions, strict=True):
            truth, predicted = clip[k + 1] / 255.0, np.clip(prediction[k], 0, 1).astype("float64")
            square = (truth - predicted) ** 2
            values["mse"].append(square.sum())
            values["mae"].append(np.abs(truth - predicted).sum())
            values["psnr"].append(-10 * math.log10(square.mean() + 1e-5))
            values["ssim"].append(float(tf.image.ssim(truth, predicted, max_val=1.0)))
        for name, of_clips in values.items():
            scores[name].append(np.mean(of_clips))
    return {name: {"mean": np.mean(values), "per_frame": values} for name, values in scores.items()}


def assert_equal_scores(scores, expected):
    assert list(scores) == ["mse", "mae", "ssim", "psnr"]
    for name, values in expected.items():
        assert list(scores[name]) == ["mean", "per_frame", "interval"]
        np.testing.assert_allclose(
            scores[name]["per_frame"], values["per_frame"], rtol=1e-5, atol=1e-6, err_msg=name
        )
        np.testing.assert_allclose(scores[name]["mean"], values["mean"], rtol=1e-5, atol=1e-6, err_msg=name)


def last_frame(levels):
    """Predicts frame k + 1 by frame k inside the context, by the context's last frame behind it."""
    frames = levels / 255.0
    return np.stack(
        [frames[:, k if k < CONTEXT else CONTEXT - 1] for k in range(CONTEXT + FORECAST - 1)], axis=1
    )


@pytest.mark.parametrize(
    ("all_frames", "frames", "first"), [(False, "forecast", CONTEXT - 1), (True, "all", 0)]
)
def test_scores_of_model_and_persistence(model, predictions, all_frames, frames, first):
    result = evaluate(model, clips(), all_frames=all_frames)
    assert result["clips"] == 5
    assert result["frames"] == frames
    assert set(result) == {"clips", "frames", "model", "persistence"}
    assert_equal_scores(result["model"], by_hand(predictions, LEVELS, first))
    assert_equal_scores(result["persistence"], by_hand(last_frame(LEVELS), LEVELS, first))
    assert len(result["model"]["mse"]["per_frame"]) == (CONTEXT + FORECAST - 1 if all_frames else FORECAST)
    json.dumps(result)


def holes():
    """Returns which pixels of the clips are observed: not the last columns, and of some frames nothing."""
    observed = np.ones(LEVELS.shape, bool)
    observed[:, :, :, 12:] = False
    observed[1, CONTEXT - 1] = False  # of the context: what persistence repeats
    observed[2, CONTEXT] = observed[4, CONTEXT] = False
    return observed


def masked(observed, under_the_mask=np.nan):
    frames = np.where(observed, LEVELS / np.float32(255), np.float32(under_the_mask))
    return Clips(lambda indices: frames[indices], len(frames), masked=True)


def observed_scores(predictions, observed):
    """Returns the scores of the forecast, of the observed columns of the frames of which anything was observed."""
    found = {name: [] for name in ("mse", "mae", "ssim", "psnr")}
    for k in range(CONTEXT - 1, CONTEXT + FORECAST - 1):
        of_clips = {name: [] for name in found}
        for clip, prediction, seen in zip(LEVELS, predictions, observed, strict=True):
            if seen[k + 1].any():
                truth, predicted = clip[k + 1, :, :12] / 255.0, np.clip(prediction[k, :, :12], 0, 1)
                square = (truth - predicted.astype("float64")) ** 2
                of_clips["mse"].append(square.sum())
                of_clips["mae"].append(np.sqrt(square).sum())
                of_clips["psnr"].append(-10 * math.log10(square.mean() + 1e-5))
                of_clips["ssim"].append(float(tf.image.ssim(truth, predicted.astype("float64"), max_val=1.0)))
        for name, values in of_clips.items():
            found[name].append(np.mean(values))
    return {name: {"mean": np.mean(values), "per_frame": values} for name, values in found.items()}


@pytest.mark.parametrize("batch_size", [2, 5])
def test_missing_pixels_count_in_no_score(model, batch_size):
    observed = holes()
    seen = np.where(observed, LEVELS, 0) / np.float32(255)
    result = evaluate(model, masked(observed), batch_size=batch_size)
    assert set(result) == {"clips", "frames", "model", "persistence", "missing"}
    predictions = model.predict(seen[:, :CONTEXT], verbose=0)
    assert_equal_scores(result["model"], observed_scores(predictions, observed))
    assert_equal_scores(result["persistence"], observed_scores(last_frame(255 * seen), observed))
    assert result["missing"] == {"share": (8 * 4 + 2 * 16) / (10 * 16), "frames": 2}
    json.dumps(result, allow_nan=False)


def test_a_lead_time_that_was_never_observed_has_no_score(model):
    observed = holes()
    observed[:, CONTEXT] = False
    result = evaluate(model, masked(observed))
    for name, scores in result["model"].items():
        (none, last), mean = scores["per_frame"], scores["mean"]
        assert none is None and last == mean, name
    observed[:, CONTEXT:] = False
    result = evaluate(model, masked(observed))
    for scores in (*result["model"].values(), *result["persistence"].values()):
        assert scores == {"mean": None, "per_frame": [None, None], "interval": None}
    assert result["missing"] == {"share": 1, "frames": 10}


def test_a_mask_without_missing_pixels_changes_nothing(model):
    result = evaluate(model, masked(np.ones(LEVELS.shape, bool)))
    assert result.pop("missing") == {"share": 0, "frames": 0}
    plain = evaluate(model, clips())
    for who in ("model", "persistence"):
        assert_equal_scores(result[who], plain[who])


def test_scores_have_an_interval_over_clips(model):
    for who in ("model", "persistence"):
        for name, scores in evaluate(model, clips())[who].items():
            low, high = scores["interval"]
            assert low < scores["mean"] < high, name
    assert evaluate(model, clips(), count=1)["model"]["mse"]["interval"] is None


def test_count_takes_the_first_clips(model):
    assert evaluate(model, clips(), count=2) == evaluate(model, clips(LEVELS[:2]))
    assert evaluate(model, clips(), count=2) != evaluate(model, clips(LEVELS[2:4]))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_batch_size_changes_nothing(model, batch_size):
    read = []

    def count(indices):
        read.append(len(indices))
        return LEVELS[indices]

    scores = evaluate(model, Clips(count, 5), batch_size=batch_size)
    assert read == {1: [1] * 5, 2: [2, 2, 1], 5: [5]}[batch_size]
    whole = evaluate(model, clips())
    for who in ("model", "persistence"):
        assert_equal_scores(scores[who], whole[who])


def test_frames_behind_the_forecast_count_for_nothing(model):
    changed = LEVELS.copy()
    changed[:, CONTEXT + FORECAST :] = 0
    assert evaluate(model, clips(changed)) == evaluate(model, clips())
    assert evaluate(model, clips(LEVELS[:, : CONTEXT + FORECAST])) == evaluate(model, clips())


def test_persistence_is_perfect_where_nothing_moves(model):
    still = np.repeat(LEVELS[:, :1], CONTEXT + FORECAST, axis=1)
    scores = evaluate(model, clips(still), all_frames=True)["persistence"]
    assert scores["mse"]["mean"] == scores["mae"]["mean"] == 0
    np.testing.assert_allclose([scores["ssim"]["mean"], scores["psnr"]["mean"]], [1, 50], rtol=1e-5)


def test_persistence_repeats_the_last_frame_seen():
    frames = np.arange(7.0).reshape(1, 7, 1, 1, 1)
    assert persistence(frames, 3).ravel().tolist() == [0, 1, 2, 2, 2, 2]
    assert persistence(frames, 1).ravel().tolist() == [0] * 6
    assert persistence(frames, 7).ravel().tolist() == [0, 1, 2, 3, 4, 5]


def test_events_at_one_threshold_are_counted_once(model, monkeypatch):
    counted, original = [], Contingency.score

    def noted(self, *arguments):
        counted.append(self.name)
        return original(self, *arguments)

    def scores(*metrics):
        return evaluate(model, clips(), protocol=Protocol(metrics, rain_scale="dwd"))

    names = ("csi_2", "pod_2", "csi_5", "far_2", "hss_5", "hss_2")
    alone = {name: scores(name)["model"][name] for name in names}
    monkeypatch.setattr(Contingency, "score", noted)
    together = scores(*names)
    assert counted == 2 * ["csi_2", "csi_5"]  # of the model and of persistence
    assert together["model"] == alone


def test_endless_clips_are_scored_as_far_as_told(model):
    endless = Clips(lambda indices: LEVELS[indices % 5], None)
    assert evaluate(model, endless, count=5) == evaluate(model, clips())
    with pytest.raises(ValueError, match=r"`count` must lie in 1 \.\. inf clips\. Received: count=None"):
        evaluate(model, endless)


@pytest.mark.parametrize("count", [0, -1, 6])
def test_count_must_be_one_of_the_clips(model, count):
    with pytest.raises(ValueError, match=rf"`count` must lie in 1 \.\. 5 clips\. Received: count={count}"):
        evaluate(model, clips(), count=count)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_holds_at_least_a_clip(model, batch_size):
    with pytest.raises(
        ValueError, match=f"`batch_size` must be at least 1. Received: batch_size={batch_size}"
    ):
        evaluate(model, clips(), batch_size=batch_size)


@pytest.mark.parametrize(
    "levels", [LEVELS[:, :4], LEVELS[:, :, :8], LEVELS[:, :, :, :8], LEVELS.repeat(3, axis=-1)]
)
def test_clips_must_fit_the_model(model, levels):
    message = (
        "`clips` must have shape (time, height, width, channels) = (5, 12, 16, 1), or be longer. "
        f"Received: {levels.shape[1:]}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluate(model, clips(levels))


def test_clips_with_a_scale_are_scored_in_its_units(model):
    plain = evaluate(model, clips())
    scores = evaluate(model, dataclasses.replace(clips(), scale="100:300 K"))
    for name in ("model", "persistence"):
        in_units = 200 / math.prod(FRAME) * plain[name]["mae"]["mean"]
        assert scores[name]["value_mae"]["mean"] == pytest.approx(in_units, rel=1e-5)
        assert scores[name]["value_rmse"]["mean"] > scores[name]["value_mae"]["mean"]
        assert scores[name].keys() - plain[name].keys() == {"value_mae", "value_rmse"}
