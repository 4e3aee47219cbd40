"""The frame metrics against NumPy, scikit-image and the public implementation's numbers."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view
from skimage.metrics import structural_similarity

from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.metrics.frame import (
    BalancedError,
    BalancedMAE,
    BalancedMSE,
    FrameGDL,
    FrameMAE,
    FrameMetric,
    FrameMSE,
    FramePSNR,
    FrameSSIM,
    PixelMAE,
    PixelMSE,
)
from mslstm_keras.training.losses import FrameL1L2
from tests.metrics.examples import FRAME_METRICS as METRICS
from tests.support.golden import load_golden

SHAPE = (3, 4, 16, 20, 1)  # rectangular
BALANCED = (BalancedMSE, BalancedMAE)
RAIN_SETS = ("dwd", "hko", "meteonet", "rainf", "brasil")


def random_frames(shape=SHAPE, seed=0):
    """Returns truth in [0, 1] and a prediction that leaves it on both sides."""
    rng = np.random.default_rng(seed)
    truth = rng.random(shape, dtype="float32")
    return truth, (truth + rng.normal(0, 0.2, shape)).astype("float32")


def ssim(truth, prediction):
    """Returns the SSIM of two float64 frames (height, width, channels), from the paper's formula."""
    size = min(11, *truth.shape[:2])
    x = np.arange(size) - (size - 1) / 2
    line = np.exp(-(x**2) / (2 * (1.5 * size / 11) ** 2))
    window = np.outer(line, line) / np.sum(np.outer(line, line))

    def under_window(values):
        return np.einsum("ijcuv,uv->ijc", sliding_window_view(values, (size, size), (0, 1)), window)

    m_y, m_x = under_window(truth), under_window(prediction)
    v_y, v_x = under_window(truth**2) - m_y**2, under_window(prediction**2) - m_x**2
    v_yx = under_window(truth * prediction) - m_y * m_x
    c1, c2 = 0.01**2, 0.03**2
    values = (2 * m_y * m_x + c1) * (2 * v_yx + c2) / ((m_y**2 + m_x**2 + c1) * (v_y + v_x + c2))
    return values.mean()


def gdl(truth, prediction):
    """Returns the gradient difference of two frames (height, width, channels)."""
    return sum(
        np.abs(np.abs(np.diff(truth, axis=axis)) - np.abs(np.diff(prediction, axis=axis))).sum()
        for axis in (0, 1)
    )


def weights(truth):
    """Returns the weights of pixels of the German radar: 10 log10(256 R^1.42) dBZ on -10 .. 60."""
    rate = (10 ** ((70 * truth - 10) / 10) / 256) ** (1 / 1.42)
    return np.select([rate < 0.5, rate < 2, rate < 5, rate < 10, rate < 30], [1, 1, 2, 5, 10], 30)


SCORES = {
    FrameMSE: lambda y, x: np.sum((y - x) ** 2),
    FrameMAE: lambda y, x: np.sum(np.abs(y - x)),
    PixelMSE: lambda y, x: np.mean((y - x) ** 2),
    PixelMAE: lambda y, x: np.mean(np.abs(y - x)),
    FrameGDL: gdl,
    BalancedMSE: lambda y, x: np.sum(weights(y) * (y - x) ** 2),
    BalancedMAE: lambda y, x: np.sum(weights(y) * np.abs(y - x)),
    FrameSSIM: ssim,
    FramePSNR: lambda y, x: 10 * np.log10(1 / (np.mean((y - x) ** 2) + 1e-5)),
}


def expected(kind, truth, prediction):
    """Returns the score of every frame, (batch, time), in float64."""
    truth, prediction = truth.astype("float64"), prediction.astype("float64").clip(0, 1)
    return np.array(
        [[SCORES[kind](*f) for f in zip(*s, strict=True)] for s in zip(truth, prediction, strict=True)]
    )


def tiny_model(shape=SHAPE):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape[1:]), keras.layers.Dense(shape[-1])])


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize(
    "shape",
    [SHAPE, (2, 3, 13, 12, 3), (2, 2, 8, 14, 1), (2, 2, 12, 5, 2), (1, 1, 11, 11, 1)],
    ids=["rectangular", "channels", "low", "narrow and channels", "one window"],
)
def test_all_frames_equal_numpy(kind, shape):
    truth, prediction = random_frames(shape)
    metric = kind(shape[1])
    metric.update_state(truth, prediction)
    frames = expected(kind, truth, prediction)
    np.testing.assert_allclose(metric.per_frame(), frames.mean(axis=0), rtol=2e-5)
    np.testing.assert_allclose(metric.result(), frames.mean(), rtol=2e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_equals_scikit_image(channels):
    truth, prediction = random_frames((2, 2, 24, 17, channels))
    metric = FrameSSIM(2)
    metric.update_state(truth, prediction)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    values = [
        [structural_similarity(y, x, channel_axis=-1, **options) for y, x in zip(*s, strict=True)]
        for s in zip(truth.astype("float64"), prediction.astype("float64").clip(0, 1), strict=True)
    ]
    np.testing.assert_allclose(metric.per_frame(), np.mean(values, axis=0), atol=2e-6)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (FrameMSE, 12 * 14 * 2 * 0.25),
        (FrameMAE, 12 * 14 * 2 * 0.5),
        (PixelMSE, 0.25),
        (PixelMAE, 0.5),
        (FrameGDL, 0),
        (FramePSNR, 6.0204),
    ],
)
def test_pixels_are_summed_and_sequences_averaged(kind, value):
    # every error is 0.5, in 3 sequences of 2 frames of 12x14 pixels and 2 channels
    truth, prediction = np.zeros((3, 2, 12, 14, 2), "float32"), np.full((3, 2, 12, 14, 2), 0.5, "float32")
    metric = kind(2)
    metric.update_state(truth, prediction)
    np.testing.assert_allclose(metric.per_frame(), [value, value], rtol=1e-5)
    np.testing.assert_allclose(metric.result(), value, rtol=1e-5)


def test_psnr_averages_the_ratios_of_sequences():
    truth, prediction = np.zeros((2, 1, 12, 12, 1), "float32"), np.zeros((2, 1, 12, 12, 1), "float32")
    prediction[1] = 0.1  # 50 dB and 10 log10(1 / 0.01001) = 19.9957 dB; of the mean error it would be 23 dB
    metric = FramePSNR(1)
    metric.update_state(truth, prediction)
    np.testing.assert_allclose(metric.result(), (50 + 19.99566) / 2, rtol=1e-5)


@pytest.mark.parametrize("kind", METRICS)
def test_perfect_prediction(kind):
    truth, _ = random_frames()
    value = {FrameSSIM: 1, FramePSNR: 50}.get(kind, 0)
    metric = kind(4)
    metric.update_state(truth, truth)
    np.testing.assert_allclose(metric.per_frame(), np.full(4, value), rtol=1e-5)


@pytest.mark.parametrize("kind", METRICS)
def test_only_the_last_frames_count(kind):
    truth, prediction = random_frames()
    metric = kind(3)
    metric.update_state(truth, prediction)
    frames = expected(kind, truth, prediction)[:, -3:]
    assert tuple(metric.per_frame().shape) == (3,)
    np.testing.assert_allclose(metric.per_frame(), frames.mean(axis=0), rtol=2e-5)
    np.testing.assert_allclose(metric.result(), frames.mean(), rtol=2e-5)


@pytest.mark.parametrize("kind", METRICS)
def test_batches_of_different_sizes_and_reset(kind):
    truth, prediction = random_frames((5, 3, 12, 14, 1))
    frames = expected(kind, truth, prediction)
    metric = kind(3)
    for batch in (slice(0, 4), slice(4, 5)):
        metric.update_state(truth[batch], prediction[batch])
    np.testing.assert_allclose(metric.per_frame(), frames.mean(axis=0), rtol=2e-5)
    metric.reset_state()
    np.testing.assert_array_equal(metric.per_frame(), np.zeros(3))
    assert float(metric.result()) == 0
    metric.update_state(truth[1:2], prediction[1:2])
    np.testing.assert_allclose(metric.per_frame(), frames[1], rtol=2e-5)


@pytest.mark.parametrize("kind", METRICS)
def test_weight_zero_hides_padding(kind):
    truth, prediction = random_frames()
    padded_truth, padded_prediction = np.zeros((5, *SHAPE[1:])), np.ones((5, *SHAPE[1:]))
    padded_truth[:3], padded_prediction[:3] = truth, prediction
    metric = kind(4)
    metric.update_state(padded_truth, padded_prediction, sample_weight=[1, 1, 1, 0, 0])
    frames = expected(kind, truth, prediction)
    np.testing.assert_allclose(metric.per_frame(), frames.mean(axis=0), rtol=2e-5)
    metric.update_state(truth[:1], prediction[:1], sample_weight=np.array([2.0]))
    weights = np.array([3, 1, 1]) / 5
    np.testing.assert_allclose(metric.per_frame(), weights @ frames, rtol=2e-5)


def test_a_batch_of_padding_alone_changes_nothing():
    metric = FrameMSE(4)
    metric.update_state(*random_frames(), sample_weight=[0, 0, 0])
    assert float(metric.result()) == 0


@pytest.mark.parametrize("kind", METRICS)
def test_a_diverged_prediction_does_not_look_perfect(kind):
    truth, prediction = random_frames()
    prediction[0, 0, 3, 3, 0] = np.nan
    metric = kind(4)
    metric.update_state(truth, prediction)
    np.testing.assert_array_equal(np.isnan(metric.per_frame()), [True, False, False, False])
    assert np.isnan(metric.result())


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "compiled"])
def test_as_accurate_over_10000_sequences_as_over_one_batch(jit_compile):
    frames = [tf.constant(each) for each in random_frames((4, 2, 12, 14, 1))]
    once, often = FrameMSE(2), FrameMSE(2)
    once.update_state(*frames)

    @tf.function(jit_compile=jit_compile)
    def update():
        for _ in tf.range(2500):
            often.update_state(*frames)

    update()
    np.testing.assert_allclose(often.per_frame(), once.per_frame(), rtol=1e-6)
    total = 2500 * np.asarray(once.totals, "float64")
    assert np.abs(often.totals / total - 1).max() > 5e-6  # what a plain sum would be wrong by


@pytest.mark.parametrize("kind", METRICS)
def test_half_precision_predictions_are_scored_in_float32(kind):
    truth, prediction = np.zeros((1, 2, 12, 12, 1), "float32"), np.full((1, 2, 12, 12, 1), 0.3, "float16")
    metric = kind(2)
    metric.update_state(truth, keras.ops.convert_to_tensor(prediction))
    assert keras.backend.standardize_dtype(metric.result().dtype) == "float32"
    np.testing.assert_allclose(metric.per_frame(), expected(kind, truth, prediction)[0], rtol=1e-4)


def test_evaluate_in_a_model_with_an_uneven_last_batch():
    truth, frames = random_frames((5, 4, 12, 14, 1))
    model, metrics = tiny_model((5, 4, 12, 14, 1)), [kind(2) for kind in METRICS]
    model.compile(loss="mse", metrics=metrics)
    logs = model.evaluate(frames, truth, batch_size=2, return_dict=True, verbose=0)
    prediction = model.predict(frames, verbose=0)
    for kind, metric in zip(METRICS, metrics, strict=True):
        scores = expected(kind, truth, prediction)[:, -2:]
        np.testing.assert_allclose(logs[metric.name], scores.mean(), rtol=1e-4)
        np.testing.assert_allclose(metric.per_frame(), scores.mean(axis=0), rtol=1e-4)


def test_evaluate_with_weights():
    truth, frames = random_frames()
    model, metric = tiny_model(), FrameMSE(4)
    model.compile(loss=FrameL1L2(), weighted_metrics=[metric])
    weights = np.array([1, 1, 0], "float32")
    logs = model.evaluate(frames, truth, sample_weight=weights, batch_size=3, return_dict=True, verbose=0)
    scores = expected(FrameMSE, truth, model.predict(frames, verbose=0))[:2]
    np.testing.assert_allclose(logs["frame_mse"], scores.mean(), rtol=1e-4)


# Keras hands its variables to NumPy 2 in a way that NumPy warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_fit_in_mixed_precision_and_reload(tmp_path):
    truth, frames = random_frames()
    dense = keras.layers.Dense(1, dtype="mixed_bfloat16")
    model = keras.Sequential([keras.Input(SHAPE[1:]), dense])
    model.compile(optimizer="sgd", loss="mse", metrics=[kind(2) for kind in METRICS])
    history = model.fit(frames, truth, batch_size=2, validation_data=(frames, truth), verbose=0).history
    names = [kind(2).name for kind in METRICS]
    assert {"frame_mse", "pixel_mae", "frame_gdl", "balanced_mse", "frame_ssim"} <= set(names)
    assert all(np.isfinite(history[prefix + name]).all() for name in names for prefix in ("", "val_"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    logs = loaded.evaluate(frames, truth, return_dict=True, verbose=0)
    np.testing.assert_allclose([logs[n] for n in names], [history[f"val_{n}"][0] for n in names], rtol=1e-3)


@pytest.mark.parametrize("kind", METRICS)
def test_serialisation_round_trip(kind):
    metric = kind(3, name="other", dtype="float64")
    copy = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert type(copy) is kind
    config = {"frames": 3, "name": "other", "dtype": "float64"}
    config |= {"rain_scale": "dwd"} if kind in BALANCED else {}
    assert copy.get_config() == metric.get_config() == config


@pytest.mark.parametrize("kind", BALANCED)
def test_the_rain_scale_is_kept(kind):
    metric = kind(2, rain_scale="brasil")
    copy = keras.metrics.deserialize(keras.metrics.serialize(metric))
    frames = random_frames()
    for each in (metric, copy):
        each.update_state(*frames)
    assert float(metric.result()) == float(copy.result())


@pytest.mark.parametrize("frames", [0, -1, 2.5, None])
def test_frames_must_be_a_positive_whole_number(frames):
    with pytest.raises(ValueError, match=r"`frames` must be a whole number of at least 1. Received: frames="):
        FrameMSE(frames)


def test_too_few_frames():
    truth, prediction = random_frames()
    with pytest.raises(ValueError, match=r"`y_true` must hold at least the 5 frames .* Received: 4 frames"):
        FrameMSE(5).update_state(truth, prediction)
    with pytest.raises(ValueError, match=r"`y_pred` must hold at least the 4 frames .* Received: 3 frames"):
        FrameMSE(4).update_state(truth, prediction[:, 1:])


def test_wrong_rank():
    truth, prediction = random_frames()
    with pytest.raises(ValueError, match=r"`y_true` must have the axes \(batch, time, .*=\(3, 4, 16, 20\)"):
        FrameMSE(4).update_state(truth[..., 0], prediction)


def test_frames_that_would_broadcast():
    truth, prediction = random_frames()
    with pytest.raises(ValueError, match=r"`y_pred` must have the batch size, height, width and channels"):
        FrameMSE(4).update_state(truth, np.repeat(prediction, 3, axis=-1))


def test_wrong_weights():
    truth, prediction = random_frames()
    with pytest.raises(ValueError, match=r"`sample_weight` must hold one weight per sequence.*=\(4, 3\)"):
        FrameMSE(4).update_state(truth, prediction, sample_weight=np.ones((4, 3)))


def test_ssim_needs_the_size_of_a_frame():
    frames = keras.KerasTensor((None, 2, None, 12, 1))
    with pytest.raises(ValueError, match=r"`y_pred` must have known height, width and channels.* None, 12"):
        FrameSSIM(2).score(frames, frames)
    with pytest.raises(ValueError, match=r"`y_pred` must have known height, width and channels.* None, 12"):
        FrameSSIM(2).places(frames)


@pytest.mark.parametrize("kind", METRICS)
def test_time_and_batch_unknown_until_the_graph_runs(kind):
    truth, prediction = random_frames((2, 4, 12, 14, 1))
    metric = kind(3)
    update = tf.function(metric.update_state, input_signature=[tf.TensorSpec((None, None, 12, 14, 1))] * 2)
    update(truth, prediction)
    np.testing.assert_allclose(
        metric.per_frame(), expected(kind, truth, prediction)[:, 1:].mean(axis=0), rtol=2e-5
    )
    with pytest.raises(tf.errors.InvalidArgumentError):
        update(truth[:, :2], prediction[:, :2])


@pytest.mark.parametrize("kind", [FrameMetric, BalancedError])
def test_base_classes_have_no_score(kind):
    with pytest.raises(NotImplementedError):
        kind(4).update_state(*random_frames())


def test_unknown_rain_scale():
    message = "`rain_scale` must be one of dwd, hko, meteonet, rainf, brasil. Received: rain_scale='knmi'"
    with pytest.raises(ValueError, match=re.escape(message)):
        BalancedMSE(4, rain_scale="knmi")


@pytest.mark.parametrize("scale", RAIN_SETS)
def test_weights_change_at_the_very_rates(scale):
    limits = np.array([2, 5, 10, 30])
    truth = RAIN_SCALES[scale].to_pixel(np.stack([limits * 0.999, limits, limits * 1.001]))
    expected = [[1, 2, 5, 10], [2, 5, 10, 30], [2, 5, 10, 30]]
    for dtype in ("float32", "float64"):
        metric = BalancedMSE(1, scale, dtype=dtype)
        for frames in (truth.astype("float32"), truth):  # as data sets hold them and before rounding
            np.testing.assert_array_equal(metric.weight(frames.astype(dtype)), expected)


def channels_last(frames):
    """Returns frames of the files' layout (time, batch, channels, height, width) in ours."""
    return np.transpose(frames, (1, 0, 3, 4, 2))


GOLDEN_NAMES = {
    FrameMSE: "mse",
    FrameMAE: "mae",
    FrameGDL: "gdl",
    FrameSSIM: "ssim",
    FramePSNR: "psnr",
    BalancedMSE: "balanced_mse",
    BalancedMAE: "balanced_mae",
}
GOLDEN_FILES = {"pixel": "hko", **{f"precip_{name}": name for name in RAIN_SETS}}


def golden_frames(arrays, batch):
    """Returns truth and prediction of a batch."""
    return [channels_last(arrays[f"input/{which}{batch}"]) for which in ("truth", "pred")]


@pytest.mark.parametrize("kind", GOLDEN_NAMES)
@pytest.mark.parametrize("file", GOLDEN_FILES)
def test_golden_streaming(kind, file):
    arrays, meta = load_golden(f"metrics/{file}")
    options = {"rain_scale": GOLDEN_FILES[file]} if kind in BALANCED else {}
    metric, name = kind(meta["frames"], **options), GOLDEN_NAMES[kind]
    for batch in range(2):
        metric.update_state(*golden_frames(arrays, batch))
    np.testing.assert_allclose(metric.per_frame(), arrays[f"output/per_frame/{name}"], rtol=2e-6)
    np.testing.assert_allclose(metric.result(), arrays[f"output/reported/{name}"], rtol=2e-6)


@pytest.mark.parametrize("kind", [FrameGDL, FrameSSIM, FramePSNR])
@pytest.mark.parametrize("file", GOLDEN_FILES)
def test_golden_single_frames(kind, file):
    arrays, meta = load_golden(f"metrics/{file}")
    for batch in range(2):
        truth, prediction = golden_frames(arrays, batch)
        scores = kind(meta["frames"]).score(truth, prediction.clip(0, 1))
        expected = arrays[f"output/batch{batch}/{GOLDEN_NAMES[kind]}"]
        np.testing.assert_allclose(np.transpose(scores), expected, rtol=5e-6)


@pytest.mark.parametrize("file", GOLDEN_FILES)
def test_golden_weights(file):
    arrays, meta = load_golden(f"metrics/{file}")
    metric = BalancedMSE(meta["frames"], rain_scale=GOLDEN_FILES[file])
    for batch in range(2):
        expected = channels_last(arrays[f"output/batch{batch}/balancing_weights"])
        np.testing.assert_array_equal(metric.weight(golden_frames(arrays, batch)[0]), expected)


@pytest.mark.parametrize(
    ("kind", "truth", "prediction", "output"),
    [
        (FrameSSIM, "small/truth", "small/pred", "small/ssim"),
        (FramePSNR, "small/truth", "small/pred", "small/psnr"),
        (FrameSSIM, "same/truth", "same/truth", "same/ssim"),
        (FramePSNR, "same/truth", "same/truth", "same/psnr"),
        (FrameSSIM, "rgb/truth", "rgb/pred", "rgb/ssim_channels_last_correct"),
        (FramePSNR, "rgb/truth", "rgb/pred", "rgb/psnr"),
    ],
)
def test_golden_small_same_and_colour(kind, truth, prediction, output):
    arrays, _ = load_golden("metrics/ssim_extra")
    truth, prediction = (channels_last(arrays[f"input/{k}"]) for k in (truth, prediction))
    scores = kind(truth.shape[1]).score(truth, prediction.clip(0, 1))
    np.testing.assert_allclose(np.transpose(scores), arrays[f"output/{output}"], rtol=2e-6)
