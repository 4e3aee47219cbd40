"""FrameL1L2 against NumPy, the public implementation's number and Keras' own training loop."""

import json
import math
import os
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.metrics.frame import FrameMSE
from mslstm_keras.training.losses import FrameL1L2
from tests.metrics.examples import masked_fit, masked_frames
from tests.support.golden import load_golden
from tests.support.processes import run_script

ROOT = Path(__file__).parents[2]
SHAPE = (5, 3, 4, 6, 2)


def random_frames(shape=SHAPE, seed=0):
    """Returns truth in [0, 1] and a prediction that leaves it on both sides."""
    rng = np.random.default_rng(seed)
    truth = rng.random(shape, dtype="float32")
    return truth, (truth + rng.normal(0, 0.5, shape)).astype("float32")


def expected(truth, prediction):
    """Returns the loss of every frame, (batch, time), in float64."""
    error = truth.astype("float64") - prediction.astype("float64")
    return np.array([[np.sum(e**2) + np.sum(np.abs(e)) for e in sequence] for sequence in error])


def test_value_sums_pixels_and_averages_frames():
    # 1 sequence of 2 frames of 2x3 pixels and 1 channel, every error 0.5: 6 * (0.25 + 0.5) in each frame.
    truth, prediction = np.zeros((1, 2, 2, 3, 1), "float32"), np.full((1, 2, 2, 3, 1), 0.5, "float32")
    assert float(FrameL1L2()(truth, prediction)) == 4.5
    prediction[:, 1] = 0  # a perfect second frame halves the mean over frames
    assert float(FrameL1L2()(truth, prediction)) == 2.25


def test_value_equals_numpy_without_clipping():
    truth, prediction = random_frames()
    np.testing.assert_allclose(FrameL1L2()(truth, prediction), expected(truth, prediction).mean(), rtol=1e-6)


def test_call_returns_every_frame():
    truth, prediction = random_frames()
    np.testing.assert_allclose(FrameL1L2().call(truth, prediction), expected(truth, prediction), rtol=1e-6)


def test_value_does_not_depend_on_the_batch_size():
    truth, prediction = random_frames()
    loss = FrameL1L2()
    single = [float(loss(truth[i : i + 1], prediction[i : i + 1])) for i in range(len(truth))]
    np.testing.assert_allclose(float(loss(truth, prediction)), np.mean(single), rtol=1e-6)


@pytest.mark.parametrize("length", [3, 5])  # with 5 frames, (batch,) would broadcast over time unnoticed
def test_sample_weight_per_sequence(length):
    truth, prediction = random_frames((5, length, 4, 6, 2))
    weights = np.array([1, 0, 2, 0.5, 0], "float32")
    frames = expected(truth, prediction)
    result = FrameL1L2()(truth, prediction, sample_weight=weights)
    np.testing.assert_allclose(result, (frames * weights[:, None]).mean(), rtol=1e-6)


def test_sample_weight_per_frame():
    truth, prediction = random_frames()
    weights = np.random.default_rng(1).random(SHAPE[:2], dtype="float32")
    result = FrameL1L2()(truth, prediction, sample_weight=weights)
    np.testing.assert_allclose(result, (expected(truth, prediction) * weights).mean(), rtol=1e-6)


def test_sample_weight_per_pixel():
    truth, prediction = random_frames()
    error = truth.astype("float64") - prediction
    for shape in (SHAPE[:4], (*SHAPE[:4], 1), SHAPE):
        weights = np.random.default_rng(1).random(shape, dtype="float32")
        weights *= weights > 0.3
        weights[1, 2] = 0
        by_pixel = weights.reshape((*SHAPE[:4], -1)) * (error**2 + abs(error))
        result = FrameL1L2()(truth, prediction, sample_weight=weights)
        np.testing.assert_allclose(result, by_pixel.sum(axis=(2, 3, 4)).mean(), rtol=1e-6)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", None])
@pytest.mark.parametrize("rank", [1, 2])
def test_a_weight_is_the_same_at_every_pixel(rank, reduction):
    truth, prediction = random_frames()
    weights = np.random.default_rng(1).integers(0, 3, SHAPE[:rank]).astype("float32")
    spread = weights.reshape(*weights.shape, *[1] * (5 - rank)) * np.ones(SHAPE, "float32")
    loss, by_frame = FrameL1L2(reduction=reduction), expected(truth, prediction) * spread[:, :, 0, 0, 0]
    value = {
        "sum_over_batch_size": by_frame.mean(),
        "sum": by_frame.sum(),
        "mean_with_sample_weight": by_frame.sum() / spread[:, :, 0, 0, 0].sum(),
        None: by_frame,
    }[reduction]
    for each in (weights, spread, spread[..., :1], spread[..., 0]):
        np.testing.assert_allclose(loss(truth, prediction, sample_weight=each), value, rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 4, 5])
def test_what_has_no_weight_may_be_anything(rank):
    truth, prediction = random_frames()
    weights = np.random.default_rng(1).integers(0, 2, SHAPE[:rank])
    assert 0 in weights and 1 in weights
    hidden = np.broadcast_to(weights.reshape(*weights.shape, *[1] * (5 - rank)) == 0, SHAPE)
    reference = FrameL1L2()(truth, prediction, sample_weight=weights)
    for y, x in ((np.nan, 0), (0, np.nan), (np.inf, np.inf)):
        spoilt = keras.Variable(np.where(hidden, x, prediction))
        with tf.GradientTape() as tape:
            result = FrameL1L2()(np.where(hidden, y, truth), spoilt.value, sample_weight=weights)
        assert float(result) == float(reference)
        gradient = np.asarray(tape.gradient(result, spoilt.value))
        assert np.isfinite(gradient).all() and not gradient[hidden].any() and gradient[~hidden].all()


@pytest.mark.parametrize("shape", [(3,), (5, 1), (3, 5), (5, 3, 1), (5, 3, 6, 4), (5, 3, 4, 6, 3)], ids=str)
def test_other_weights_are_refused(shape):
    frames = random_frames()
    with pytest.raises(
        ValueError, match=r"`sample_weight` must hold one weight per sequence, .* Received: .*"
    ):
        FrameL1L2()(*frames, sample_weight=np.ones(shape))
    with pytest.raises(
        ValueError, match=r"`sample_weight` must hold finite numbers .*\(5,\), values from -1"
    ):
        FrameL1L2()(*frames, sample_weight=[1, 1, -1, 1, 1])


def test_fit_and_evaluate_with_a_mask_of_pixels():
    _, truth, mask = masked_frames()
    history, logs, prediction = masked_fit()
    assert np.isfinite(prediction).all() and history["loss"][1] < history["loss"][0]
    error = np.where(mask, truth - prediction.astype("float64"), 0)
    np.testing.assert_allclose(logs["loss"], expected(error, 0 * error).mean(), rtol=1e-5)
    error = np.where(mask, truth - prediction.clip(0, 1).astype("float64"), 0)[:, -2:]
    sums, counts = (error**2).sum(axis=(2, 3, 4)), mask[:, -2:].sum(axis=(2, 3, 4))
    np.testing.assert_allclose(logs["frame_mse"], sums.mean(), rtol=1e-5)
    np.testing.assert_allclose(logs["pixel_mse"], (sums / counts).mean(), rtol=1e-5)


def test_weights_of_a_tf_data_set():
    arrays = masked_frames()
    model = keras.Sequential([keras.Input((3, 4, 6, 1)), keras.layers.Dense(1)])
    model.compile("sgd", FrameL1L2(), weighted_metrics=[FrameMSE(2)])
    batches = tf.data.Dataset.from_tensor_slices(arrays).batch(2)
    logs = model.evaluate(batches, return_dict=True, verbose=0)
    reference = model.evaluate(
        *arrays[:2], sample_weight=arrays[2], batch_size=2, return_dict=True, verbose=0
    )
    assert logs == reference and np.isfinite(logs["loss"])


@pytest.mark.slow
def test_jax_fits_with_a_mask_of_pixels_as_tensorflow_does():
    history, logs, _ = masked_fit()
    script = """
        import json
        from tests.metrics.examples import masked_fit
        print(json.dumps(masked_fit()[:2]))
    """
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    child = run_script(script, ROOT, env=environment)
    assert child.returncode == 0, child.stderr
    found_history, found_logs = json.loads(child.stdout.splitlines()[-1])
    for name, values in history.items():
        np.testing.assert_allclose(found_history[name], values, rtol=1e-5)
        np.testing.assert_allclose(found_logs[name], logs[name], rtol=1e-5)


def test_half_precision_predictions_are_summed_in_float32():
    # 64 * 64 * 16 * (1 + 1) = 131072 is beyond the largest float16.
    truth, prediction = np.zeros((1, 1, 64, 64, 16), "float32"), np.ones((1, 1, 64, 64, 16), "float16")
    value = FrameL1L2()(truth, keras.ops.convert_to_tensor(prediction))
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert float(value) == 131072


def test_serialisation_round_trip():
    loss = FrameL1L2(0.25, balance=3.0, reduction="sum", name="other", dtype="float64")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(copy, FrameL1L2)
    fields = {"name": "other", "reduction": "sum", "dtype": "float64", "l1_weight": 0.25, "balance": 3.0}
    assert copy.get_config() == loss.get_config() == fields


@pytest.mark.parametrize("l1_weight", [0.0, 0.5])
def test_weight_of_the_absolute_error(l1_weight):
    truth, prediction = random_frames()
    error = truth - prediction
    by_hand = (error**2 + l1_weight * np.abs(error)).sum(axis=(2, 3, 4)).mean()
    np.testing.assert_allclose(FrameL1L2(l1_weight)(truth, prediction), by_hand, rtol=1e-6)


@pytest.mark.parametrize("balance", [0.0, 8.0])
def test_bright_pixels_weigh_more(balance):
    truth, prediction = random_frames()
    error = truth.astype("float64") - prediction
    each = (1 + balance * truth) * (error**2 + 0.5 * np.abs(error))
    loss = FrameL1L2(0.5, balance=balance)
    np.testing.assert_allclose(loss(truth, prediction), each.sum((2, 3, 4)).mean(), rtol=1e-6)
    # What has no weight has none however bright it is said to be.
    weights = np.random.default_rng(1).integers(0, 2, (*SHAPE[:4], 1)).astype("float32")
    hidden = np.where(weights, truth, np.float32(np.nan))
    expected = (weights * each).sum((2, 3, 4)).mean()
    np.testing.assert_allclose(loss(hidden, prediction, weights), expected, rtol=1e-6)
    assert FrameL1L2.from_config(loss.get_config()).balance == balance


@pytest.mark.parametrize("value", [-1, -0.5, math.nan, math.inf, "1", None, [1.0]])
def test_other_weights_of_errors_are_refused(value):
    received = re.escape(repr(value))
    rule = r"must be a finite number of at least 0\. Received:"
    with pytest.raises(ValueError, match=rf"`l1_weight` {rule} l1_weight={received}$"):
        FrameL1L2(value)
    with pytest.raises(ValueError, match=rf"`balance` {rule} balance={received}$"):
        FrameL1L2(balance=value)


def test_weights_of_errors_may_be_numbers_of_numpy():
    loss = FrameL1L2(np.float32(0.5), balance=np.int64(2))
    assert (loss.l1_weight, loss.balance) == (0.5, 2)


@pytest.mark.parametrize(
    "shape",
    [(5, 1, 4, 6, 2), (1, 3, 4, 6, 2), (5, 2, 4, 6, 2), (5, 3, 4, 6, 1), (5, 3, 4, 6), (3, 4, 6, 2)],
    ids=str,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_targets_of_another_shape_are_refused(shape, weighted):
    """Not spread over the predictions, as those of one frame or one channel would be."""
    truth, prediction = random_frames()
    weights = np.ones(shape[:1], "float32") if weighted else None
    received = re.escape(f"y_true.shape={shape}, y_pred.shape={SHAPE}")
    with pytest.raises(
        ValueError, match=rf"`y_true` must have the shape of `y_pred`.* Received: {received}$"
    ):
        FrameL1L2()(np.ones(shape, "float32"), prediction, weights)
    model = keras.Sequential([keras.Input(SHAPE[1:]), keras.layers.Dense(2)])
    model.compile("sgd", FrameL1L2())
    with pytest.raises(ValueError, match=r"`y_true` must have the shape of `y_pred`"):
        model.train_on_batch(truth, np.ones(shape, "float32"), weights)


def test_evaluate_counts_a_smaller_last_batch_right():
    truth, frames = random_frames()
    model = keras.Sequential([keras.Input(SHAPE[1:]), keras.layers.Dense(2)])
    model.compile(loss=FrameL1L2())
    value = model.evaluate(frames, truth, batch_size=2, verbose=0)  # batches of 2, 2 and 1
    np.testing.assert_allclose(value, expected(truth, model.predict(frames, verbose=0)).mean(), rtol=1e-5)


# Keras hands its variables to NumPy 2 in a way that NumPy warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_compiled_loss_survives_saving(tmp_path):
    truth, frames = random_frames()
    model = keras.Sequential([keras.Input(SHAPE[1:]), keras.layers.Dense(2)])
    model.compile(loss=FrameL1L2())
    model.fit(frames, truth, verbose=0)
    before = model.evaluate(frames, truth, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.evaluate(frames, truth, verbose=0), before, rtol=1e-6)


def test_golden():
    arrays, _ = load_golden("metrics/loss")
    # the files have the axes (time, batch, channels, height, width)
    truth, prediction = (np.transpose(arrays[f"input/{k}"], (1, 0, 3, 4, 2)) for k in ("truth", "pred"))
    np.testing.assert_allclose(FrameL1L2()(truth, prediction), arrays["output/loss"], rtol=1e-6)
