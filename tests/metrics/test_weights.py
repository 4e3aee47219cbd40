"""Sample weights: what they mean is the same for every metric, and per sequence, frame or pixel."""

import re

import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.metrics.categorical import CSI, FSS
from mslstm_keras.metrics.frame import (
    BalancedMAE,
    FrameGDL,
    FrameMAE,
    FrameMSE,
    FramePSNR,
    FrameSSIM,
    PixelMAE,
    PixelMSE,
)
from mslstm_keras.metrics.weights import hide, split_weights
from tests.metrics.examples import TABLE_METRICS, one_of_every, rain_frames

SHAPE = (7, 3, 12, 14, 2)
EVERY = [pytest.param(metric, id=metric.name) for metric in one_of_every(2)]
BY_PIXEL = {
    FrameMSE: lambda u, e: (u * e**2).sum(),
    FrameMAE: lambda u, e: (u * abs(e)).sum(),
    PixelMSE: lambda u, e: (u * e**2).sum() / u.sum(),
    PixelMAE: lambda u, e: (u * abs(e)).sum() / u.sum(),
    FramePSNR: lambda u, e: -10 * np.log10((u * e**2).sum() / u.sum() + 1e-5),
}


def random_weights(shape, seed=1):
    """Returns weights in [0, 2], every third of them 0."""
    rng = np.random.default_rng(seed)
    return (2 * rng.random(shape) * (rng.random(shape) > 1 / 3)).astype("float32")


def mask(shape=(7, 3, 12, 14), seed=1):
    """Returns which pixels are observed: all but a corner, some of the rest, and the whole of one frame."""
    observed = np.random.default_rng(seed).random(shape) > 0.1
    observed[:, :, :4, :5] = False
    observed[2, 1] = False
    return observed


def scores(metric, *arguments, **options):
    metric.reset_state()
    metric.update_state(*arguments, **options)
    return np.asarray(metric.per_frame())


def test_what_the_weights_of_pixels_are_split_into():
    weights = np.zeros((1, 3, 2, 2, 1), "float32")
    weights[0, 1] = [[[1], [4]], [[0], [2]]]
    weights[0, 2] = 3
    split = split_weights(weights, np.zeros((1, 3, 2, 2, 5)), "float32")
    np.testing.assert_array_equal(split.frames, [[0, 4, 3]])
    np.testing.assert_array_equal(
        split.pixels[0, ..., 0], [[[0, 0], [0, 0]], [[0.25, 1], [0, 0.5]], [[1, 1], [1, 1]]]
    )
    assert split.per_pixel


@pytest.mark.parametrize("shape", [(7,), (7, 3)])
def test_what_the_weights_of_whole_frames_are_split_into(shape):
    weights = random_weights(shape)
    split = split_weights(weights, np.zeros(SHAPE), "float32")
    np.testing.assert_array_equal(np.squeeze(split.frames), weights)
    np.testing.assert_array_equal(np.squeeze(split.pixels), weights > 0)
    assert not split.per_pixel


def test_what_is_hidden_spreads_neither_values_nor_gradients():
    frames = tf.Variable(np.full((1, 1, 1, 2, 1), np.nan, "float32"))
    frames[..., 0, :].assign([[[[3.0]]]])
    pixels = np.array([1, 0], "float32").reshape(1, 1, 1, 2, 1)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(hide(frames, pixels) ** 2)
    assert float(total) == 9
    np.testing.assert_array_equal(np.ravel(tape.gradient(total, frames)), [6, 0])


@pytest.mark.parametrize("metric", EVERY)
@pytest.mark.parametrize("rank", [1, 2])
def test_weights_of_whole_frames_are_means_over_what_they_weigh(metric, rank):
    """A weight of 2 is the frame seen twice, one of 0 the frame not seen: the scores of single frames, averaged."""
    truth, prediction = rain_frames(SHAPE)
    weights = np.random.default_rng(1).integers(0, 3, SHAPE[:rank]).astype("float32")
    by_frame = np.broadcast_to(weights.reshape(*weights.shape, *[1] * (2 - rank)), SHAPE[:2])
    found = scores(metric, truth, prediction, sample_weight=weights)
    for frame in (0, 1):
        times = by_frame[:, 1 + frame].astype(int)
        assert 0 in times and 2 in times
        repeated = (np.repeat(each, times, axis=0) for each in (truth, prediction))
        np.testing.assert_allclose(found[frame], scores(metric, *repeated)[frame], rtol=2e-6)


@pytest.mark.parametrize("metric", EVERY)
@pytest.mark.parametrize("rank", [1, 2])
def test_a_weight_is_the_same_at_every_pixel(metric, rank):
    truth, prediction = rain_frames(SHAPE)
    weights = random_weights(SHAPE[:rank])
    reference = scores(metric, truth, prediction, sample_weight=weights)
    spread = weights.reshape(*weights.shape, *[1] * (5 - rank)) * np.ones(SHAPE, "float32")
    for each in (spread, spread[..., :1], spread[..., 0]):
        np.testing.assert_allclose(
            scores(metric, truth, prediction, sample_weight=each), reference, rtol=5e-6
        )


@pytest.mark.parametrize("kind", BY_PIXEL)
@pytest.mark.parametrize("channels", [1, 2])
def test_weights_of_pixels_equal_numpy(kind, channels):
    truth, prediction = rain_frames(SHAPE)
    weights = random_weights((*SHAPE[:4], channels)).astype("float64")
    weights[2, 1] = 0
    error = truth - prediction.clip(0, 1).astype("float64")
    largest = weights.max(axis=(2, 3, 4))
    expected = np.zeros((7, 3))
    for at in np.argwhere(largest > 0):
        n, t = at
        relative = np.broadcast_to(weights[n, t], SHAPE[2:]) / largest[n, t]
        expected[n, t] = BY_PIXEL[kind](relative, error[n, t])
    found = scores(kind(3), truth, prediction, sample_weight=weights)
    np.testing.assert_allclose(found, (largest * expected).sum(0) / largest.sum(0), rtol=1e-5)


@pytest.mark.parametrize("kind", [FrameMSE, PixelMAE, BalancedMAE, CSI, FSS, FrameGDL])
def test_a_crop_is_scored_as_the_rest_hidden(kind):
    """Whatever pixels, pairs and windows there are: those of the crop are all that count."""
    truth, prediction = rain_frames()
    observed = np.zeros(truth.shape, bool)
    observed[:, :, 2:9, 3:11] = True
    options = {"threshold": 2.0} if kind in (CSI, FSS) else {}
    whole, crop = kind(3, **options), kind(3, **options)
    inside = (each[:, :, 2:9, 3:11] for each in (truth, prediction))
    expected = scores(crop, *inside)
    np.testing.assert_allclose(scores(whole, truth, prediction, sample_weight=observed), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", TABLE_METRICS)
def test_tables_count_observed_pixels(kind):
    truth, prediction = rain_frames()
    metric, pixel = kind(3, threshold=2.0), np.float32((10 * np.log10(256 * 2**1.42) + 10) / 70)
    metric.update_state(truth, prediction, sample_weight=mask())
    y, x, seen = truth[..., 0] >= pixel, prediction[..., 0] >= pixel, mask()
    cells = (y & x, y & ~x, ~y & x, ~y & ~x)
    expected = np.stack([(cell & seen).sum(axis=(0, 2, 3)) for cell in cells], axis=-1)
    np.testing.assert_array_equal(metric.counts(), expected)


@pytest.mark.parametrize("metric", EVERY)
def test_what_has_no_weight_may_be_anything(metric):
    truth, prediction = rain_frames()
    weights = [np.array([1, 0, 2, 1, 1, 0, 1]), mask()[:, :, 0, 6] * 1.0, mask()]
    if isinstance(metric, FrameSSIM):  # whose windows take 11 of the 12 rows
        weights[2] = np.ones((7, 3, 12, 14), bool)
        weights[2][:, :, 0, 3:6] = weights[2][2, 1] = False
    for weight in weights:
        hidden = np.broadcast_to(weight.reshape(*weight.shape, *[1] * (5 - weight.ndim)) == 0, truth.shape)
        assert hidden.any()
        spoilt = [np.where(hidden, value, each) for each, value in ((truth, np.nan), (prediction, np.inf))]
        expected = scores(metric, truth, prediction, sample_weight=weight)
        assert np.all(expected > 0)
        np.testing.assert_array_equal(scores(metric, *spoilt, sample_weight=weight), expected)
        spoilt = np.where(hidden, np.nan, truth), np.where(hidden, np.nan, prediction)
        np.testing.assert_array_equal(scores(metric, *spoilt, sample_weight=weight), expected)


@pytest.mark.parametrize("metric", EVERY)
def test_a_mask_of_ones_changes_nothing(metric):
    truth, prediction = rain_frames(SHAPE)
    everything = np.ones(SHAPE[:4], bool)
    np.testing.assert_allclose(
        scores(metric, truth, prediction, sample_weight=everything),
        scores(metric, truth, prediction),
        rtol=1e-6,
    )


def test_windows_with_an_unobserved_pixel_are_left_out():
    truth, prediction = rain_frames((2, 1, 6, 8, 1))
    observed = np.ones((2, 1, 6, 8), bool)
    observed[:, :, 2, 5] = False
    pixel = np.float32((10 * np.log10(256 * 2**1.42) + 10) / 70)
    difference = largest = steps = 0
    for n in range(2):
        y, x = (each[n, 0, :, :, 0] for each in (truth, prediction.clip(0, 1)))
        for row in range(4):
            for column in range(6):
                at = slice(row, row + 3), slice(column, column + 3)
                if observed[n, 0][at].all():
                    p_y, p_x = ((each[at] >= pixel).mean() for each in (y, x))
                    difference += (p_x - p_y) ** 2
                    largest += p_x**2 + p_y**2
        for axis in (0, 1):
            steep = abs(np.diff(y, axis=axis)), abs(np.diff(x, axis=axis))
            whole = ~np.diff(observed[n, 0], axis=axis)  # one hole: a pair differs where it is in it
            steps += (abs(steep[0] - steep[1]) * whole).sum() / 2
    for metric, expected in ((FSS(1, 2.0, window=3), 1 - difference / largest), (FrameGDL(1), steps)):
        found = scores(metric, truth, prediction, sample_weight=observed)
        np.testing.assert_allclose(found, [expected], rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 2, 16, 18, 2), (3, 2, 6, 8, 1)])  # windows of 11 and of 6 pixels
def test_similarity_is_the_mean_of_the_windows_that_were_wholly_observed(shape):
    """Of each window alone, the similarity of the frame that it is."""
    truth, prediction = rain_frames(shape)
    observed = np.ones(shape[:4], bool)
    observed[:, :, 4:, 12 if shape[2] > 11 else 0] = False
    observed[0, 1] = False
    observed[1, 1, :, 5] = False  # not a window is left
    side = min(11, *shape[2:4])
    single = FrameSSIM(1)
    expected = np.full(shape[:2], np.nan)
    for n, t in np.ndindex(shape[:2]):
        values = []
        for row in range(shape[2] - side + 1):
            for column in range(shape[3] - side + 1):
                at = slice(row, row + side), slice(column, column + side)
                if observed[n, t][at].all():
                    window = (each[n : n + 1, t : t + 1][:, :, *at] for each in (truth, prediction))
                    values.append(scores(single, *window)[0])
        if values:
            expected[n, t] = np.mean(values)
    assert np.isnan(expected).sum() == 2
    found = scores(FrameSSIM(2), truth, prediction, sample_weight=observed)
    np.testing.assert_allclose(found, np.nanmean(expected, axis=0), rtol=1e-5)


@pytest.mark.parametrize("metric", [FrameSSIM(2), FSS(2, threshold=0.5)], ids=lambda metric: metric.name)
def test_a_lead_time_without_a_whole_window_counts_in_no_mean(metric):
    truth, prediction = rain_frames()
    observed = np.ones((7, 3, 12, 14), bool)
    observed[:, 1, :, ::4] = False
    none, last = scores(metric, truth, prediction, sample_weight=observed)
    assert none == 0 and last > 0
    np.testing.assert_array_equal(np.asarray(metric.sequences), [0, 7])
    np.testing.assert_allclose(metric.result(), last, rtol=1e-6)


def test_a_frame_without_any_weight_is_no_perfect_frame():
    truth, prediction = rain_frames()
    weights = np.array([[1, 0, 1]] * 7)
    metric = FrameMSE(3)
    metric.update_state(truth, prediction, sample_weight=weights)
    first, none, last = np.asarray(metric.per_frame())
    assert none == 0 and first > 0
    np.testing.assert_allclose(metric.result(), (first + last) / 2, rtol=1e-6)


WRONG = [(3,), (3, 7), (7, 1), (1, 3), (7, 3, 1), (7, 3, 14, 12), (7, 3, 12, 14, 3), (7, 3, 1, 1, 1), ()]


@pytest.mark.parametrize("shape", WRONG, ids=str)
@pytest.mark.parametrize("traced", [False, True], ids=["eager", "graph"])
def test_other_shapes_are_refused(shape, traced):
    frames, metric = rain_frames(SHAPE), FrameMSE(2)
    update = tf.function(metric.update_state) if traced else metric.update_state
    received = re.escape(f"frames with the shape {SHAPE}. Received: sample_weight.shape={shape}")
    with pytest.raises(
        ValueError, match=rf"`sample_weight` must hold one weight per sequence, .* {received}"
    ):
        update(*frames, tf.ones(shape))


@pytest.mark.parametrize("shape", [(3,), (1,), (7, 2), (7, 1)], ids=str)
def test_sizes_that_only_the_run_knows_are_not_broadcast(shape):
    metric = FrameMSE(2)
    frames = tf.TensorSpec((None, None, 12, 14, 2))
    signature = [frames, frames, tf.TensorSpec([None] * len(shape))]
    update = tf.function(metric.update_state, input_signature=signature)
    update(*rain_frames(SHAPE), tf.ones(SHAPE[: len(shape)]))
    with pytest.raises(tf.errors.InvalidArgumentError):
        update(*rain_frames(SHAPE), tf.ones(shape))


@pytest.mark.parametrize("value", [-1, np.nan, np.inf])
@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 3, 12, 14)], ids=str)
def test_other_values_are_refused(value, shape):
    weights = np.ones(shape, "float32")
    weights[(-1,) * len(shape)] = value
    rule = re.escape(f"finite numbers of at least 0. Received: sample_weight.shape={shape}, values from")
    for each in (weights, tf.constant(weights)):
        with pytest.raises(ValueError, match=rf"`sample_weight` must hold {rule}"):
            FrameMSE(2).update_state(*rain_frames(SHAPE), sample_weight=each)
