"""Scores of events against NumPy, the package `scores` and the public implementation's numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.metrics.categorical import CSI, FAR, FSS, HSS, POD, Contingency
from tests.metrics.examples import TABLE_METRICS, rain_frames
from tests.support.golden import load_golden

GOLDEN_FILES = {"pixel": "hko"} | {f"precip_{name}": name for name in RAIN_SCALES}
COUNTS = ("hits", "misses", "false_alarms", "correct_negatives")
EVERY = (*TABLE_METRICS, FSS)
WET = np.float32(0.6)  # 3.9 mm/h in the German code
FIELDS = {
    "seed": st.integers(0, 10_000),
    "wet": st.floats(0, 1),
    "threshold": st.sampled_from([0.5, 2.0, 5.0, 30.0]),
}


def expected_counts(truth, prediction, threshold=2.0):
    """Returns the counts of every sequence and frame, (batch, time, 4), with the German code of rain."""
    pixel = np.float32((10 * np.log10(256 * threshold**1.42) + 10) / 70)
    observed, predicted = truth >= pixel, prediction >= pixel
    cells = (observed & predicted, observed & ~predicted, ~observed & predicted, ~observed & ~predicted)
    return np.stack([cell.sum(axis=(2, 3, 4)) for cell in cells], axis=-1)


def expected_score(kind, counts):
    """Returns the score of counts (..., 4), 0 where it is 0 / 0."""
    a, c, b, d = np.moveaxis(np.asarray(counts, "float64"), -1, 0)
    upper, lower = {
        POD: (a, a + c),
        FAR: (b, a + b),
        CSI: (a, a + b + c),
        HSS: (2 * (a * d - b * c), (a + c) * (c + d) + (a + b) * (b + d)),
    }[kind]
    return np.divide(upper, lower, out=np.zeros_like(lower), where=lower != 0)


def expected_fss(truth, prediction, window, threshold=2.0):
    """Returns the FSS of every frame, with the German code of rain."""
    pixel = np.float32((10 * np.log10(256 * threshold**1.42) + 10) / 70)

    def shares(frames):
        return sliding_window_view(frames >= pixel, (window, window), (2, 3)).mean(axis=(-2, -1))

    p_y, p_x = shares(truth), shares(prediction)
    axes = (0, 2, 3, 4)
    return 1 - ((p_x - p_y) ** 2).sum(axis=axes) / (p_x**2 + p_y**2).sum(axis=axes)


def rain_fields(seed, wet, shape=(4, 3, 9, 11, 1)):
    """Returns truth and prediction, like it, of which about the share `wet` lies above 5 mm/h."""
    rng = np.random.default_rng(seed)
    truth = (0.63 + rng.uniform(-0.6 * (1 - wet), 0.37 * wet, shape)).astype("float32")
    return truth, (truth + rng.normal(0, 0.1, shape)).astype("float32").clip(0, 1)


def make(kind, frames=3, **options):
    return kind(frames, threshold=2.0, **({"window": 3} if kind is FSS else {}), **options)


@pytest.mark.parametrize("kind", TABLE_METRICS)
def test_scores_equal_numpy(kind):
    truth, prediction = rain_frames()
    metric = make(kind)
    metric.update_state(truth, prediction)
    counts = expected_counts(truth, prediction).sum(axis=0)
    np.testing.assert_array_equal(metric.counts(), counts)
    scores = expected_score(kind, counts)
    np.testing.assert_allclose(metric.per_frame(), scores, rtol=1e-6)
    np.testing.assert_allclose(metric.result(), scores.mean(), rtol=1e-6)


@pytest.mark.parametrize("window", [1, 2, 3, 12])  # 12 is a frame's height
@pytest.mark.parametrize("channels", [1, 2])
def test_fss_equals_numpy(window, channels):
    truth, prediction = rain_frames((4, 3, 12, 14, channels))
    metric = FSS(3, threshold=2.0, window=window)
    metric.update_state(truth, prediction)
    scores = expected_fss(truth, prediction, window)
    np.testing.assert_allclose(metric.per_frame(), scores, rtol=2e-6)
    np.testing.assert_allclose(metric.result(), scores.mean(), rtol=2e-6)


def test_a_table_written_by_hand():
    # 1 hit, 2 misses, 3 false alarms and 4 correct negatives
    truth = WET * np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0], "float32").reshape(1, 1, 2, 5, 1)
    prediction = WET * np.array([1, 0, 0, 1, 1, 1, 0, 0, 0, 0], "float32").reshape(1, 1, 2, 5, 1)
    scores = {POD: 1 / 3, FAR: 3 / 4, CSI: 1 / 6, HSS: 2 * (1 * 4 - 3 * 2) / (3 * 6 + 4 * 7)}
    for kind, score in scores.items():
        metric = make(kind, frames=1)
        metric.update_state(truth, prediction)
        np.testing.assert_array_equal(metric.counts(), [[1, 2, 3, 4]])
        np.testing.assert_allclose(metric.result(), score, rtol=1e-6)
        np.testing.assert_allclose(kind.rate(*metric.counts().T), [score], rtol=1e-6)


def test_rain_beside_its_place_has_fss_without_hits():
    truth, prediction = np.zeros((2, 1, 1, 6, 6, 1), "float32")
    truth[0, 0, 2, 2], prediction[0, 0, 2, 3] = WET, WET
    scores = []
    for window in (1, 3, 6):
        metric = FSS(1, threshold=2.0, window=window)
        metric.update_state(truth, prediction)
        scores.append(float(metric.result()))
    # of 4x4 windows of side 3, 9 have each cell and 6 both: 1 - (3 + 3) / (9 + 9)
    np.testing.assert_allclose(scores, [0, 1 - 6 / 18, 1], rtol=1e-6)


@pytest.mark.parametrize("kind", EVERY)
def test_perfect_prediction(kind):
    truth, _ = rain_frames()
    metric = make(kind)
    metric.update_state(truth, truth)
    np.testing.assert_allclose(metric.per_frame(), np.full(3, 0 if kind is FAR else 1), rtol=1e-6)


@pytest.mark.parametrize("kind", EVERY)
def test_nothing_to_divide_by_counts_as_zero(kind):
    dry, metric = np.zeros((2, 3, 4, 5, 1), "float32"), make(kind)
    np.testing.assert_array_equal(metric.per_frame(), np.zeros(3))
    metric.update_state(dry, dry)
    np.testing.assert_array_equal(metric.per_frame(), np.zeros(3))
    assert float(metric.result()) == 0


@pytest.mark.parametrize("kind", EVERY)
def test_batches_are_pooled(kind):
    # half of the sequences are dry: means of the scores of batches would be others
    truth, prediction = rain_frames()
    truth[4:] = prediction[4:] = 0
    whole, split = make(kind), make(kind)
    whole.update_state(truth, prediction)
    for batch in (slice(0, 1), slice(1, 5), slice(5, 7)):
        split.update_state(truth[batch], prediction[batch])
    np.testing.assert_allclose(split.per_frame(), whole.per_frame(), rtol=1e-6)


def test_one_metric_takes_the_counts_of_another():
    truth, prediction = rain_frames()
    counted, alone, taken = CSI(3, 2.0), HSS(3, 2.0), HSS(3, 2.0)
    for metric in (counted, alone):
        metric.update_state(truth, prediction)
    taken.update_state(truth[:1], prediction[:1])  # which is forgotten
    taken.take_counts(counted)
    np.testing.assert_array_equal(taken.counts(), counted.counts())
    np.testing.assert_array_equal(taken.per_frame(), alone.per_frame())
    np.testing.assert_array_equal(taken.result(), alone.result())


@pytest.mark.parametrize("kind", EVERY)
def test_reset(kind):
    truth, prediction = rain_frames()
    metric, fresh = make(kind), make(kind)
    metric.update_state(truth, prediction)
    metric.reset_state()
    for each in (metric, fresh):
        each.update_state(truth[:2], prediction[:2])
    np.testing.assert_array_equal(metric.per_frame(), fresh.per_frame())


@pytest.mark.parametrize("kind", EVERY)
def test_weight_zero_hides_padding(kind):
    truth, prediction = rain_frames()
    padded_truth, padded_prediction = np.zeros((9, *truth.shape[1:])), np.ones((9, *truth.shape[1:]))
    padded_truth[:7], padded_prediction[:7] = truth, prediction
    metric, padded = make(kind), make(kind)
    metric.update_state(truth, prediction)
    padded.update_state(padded_truth, padded_prediction, sample_weight=[1] * 7 + [0] * 2)
    np.testing.assert_allclose(padded.per_frame(), metric.per_frame(), rtol=1e-6)
    if kind is not FSS:
        np.testing.assert_array_equal(padded.counts(), expected_counts(truth, prediction).sum(axis=0))


def test_weights_of_sequences():
    truth, prediction = rain_frames()
    weights = np.array([1, 0, 2, 0.5, 1, 1, 0])
    metric = make(CSI)
    metric.update_state(truth, prediction, sample_weight=weights)
    expected = np.einsum("n,ntc->tc", weights, expected_counts(truth, prediction))
    np.testing.assert_array_equal(metric.counts(), expected)


@pytest.mark.parametrize("kind", EVERY)
def test_only_the_last_frames_count(kind):
    truth, prediction = rain_frames()
    every, last = make(kind), make(kind, frames=2)
    every.update_state(truth, prediction)
    last.update_state(truth, prediction)
    assert tuple(last.per_frame().shape) == (2,)
    np.testing.assert_array_equal(last.per_frame(), every.per_frame()[1:])


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "compiled"])
def test_counts_are_exact_beyond_float32(jit_compile):
    # 2^20 sequences of 17 wet pixels, then one at a time, which alone would be lost
    metric, wet = CSI(1, threshold=2.0), tf.fill((1, 1, 1, 17, 1), WET)
    dry = wet * tf.reshape(tf.cast(tf.range(17) > 0, "float32"), (1, 1, 1, 17, 1))  # but for one miss
    update = tf.function(metric.update_state, jit_compile=jit_compile)
    update(wet, wet, tf.constant([2.0**20]))
    for _ in range(3):
        update(wet, dry, tf.constant([1.0]))
    np.testing.assert_array_equal(metric.counts(), [[17 * 2**20 + 3 * 16, 3, 0, 0]])
    update(wet, wet, tf.constant([2.0**36]))
    update(wet, dry, tf.constant([1.0]))
    np.testing.assert_array_equal(metric.counts(), [[17 * (2**36 + 2**20) + 4 * 16, 4, 0, 0]])


@pytest.mark.parametrize("kind", EVERY)
def test_a_diverged_prediction_does_not_look_dry(kind):
    truth, prediction = rain_frames()
    prediction[0, 0, 3, 3, 0] = np.nan
    metric = make(kind)
    metric.update_state(truth, prediction)
    np.testing.assert_array_equal(np.isnan(metric.per_frame()), [True, False, False])
    assert np.isnan(metric.result())


@pytest.mark.parametrize("scale", RAIN_SCALES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rain_of_the_very_threshold_is_an_event(scale, dtype):
    for rate in (0.5, 2.0, 5.0, 10.0, 30.0):
        pixels = RAIN_SCALES[scale].to_pixel(np.array([0.9999 * rate, rate])).reshape(1, 1, 1, 2, 1)
        for frames in (pixels.astype("float32"), pixels):  # as data sets hold them and before rounding
            metric = POD(1, rate, scale, dtype=dtype)
            metric.update_state(frames, frames)
            np.testing.assert_array_equal(metric.counts(), [[1, 0, 0, 1]])


@pytest.mark.parametrize("kind", TABLE_METRICS)
@pytest.mark.parametrize("file", GOLDEN_FILES)
def test_golden(kind, file):
    arrays, meta = load_golden(f"metrics/{file}")
    name = kind.__name__.lower()
    for k, threshold in enumerate(meta["thresholds_mm_h"]):
        metric = kind(meta["frames"], threshold, GOLDEN_FILES[file])
        for batch in range(2):
            before = metric.counts()
            frames = (arrays[f"input/{which}{batch}"] for which in ("truth", "pred"))
            metric.update_state(*(np.transpose(each, (1, 0, 3, 4, 2)) for each in frames))
            counts = [arrays[f"output/batch{batch}/{count}"].sum(axis=1)[:, k] for count in COUNTS]
            np.testing.assert_array_equal(metric.counts() - before, np.transpose(counts))
        counts = [arrays[f"output/counts/{count}"][:, k] for count in COUNTS]
        np.testing.assert_array_equal(metric.counts(), np.transpose(counts))
        scores = np.nan_to_num(arrays[f"output/per_frame/{name}"][:, k])
        np.testing.assert_allclose(metric.per_frame(), scores, rtol=2e-6)
        np.testing.assert_allclose(metric.result(), arrays[f"output/reported/{name}"][k], rtol=2e-6)


@settings(max_examples=25, deadline=None, database=None)
@given(**FIELDS)
def test_tables_agree_with_the_package_scores(seed, wet, threshold):
    xarray, categorical = pytest.importorskip("xarray"), pytest.importorskip("scores.categorical")
    truth, prediction = rain_fields(seed, wet)
    pixel = np.float32(RAIN_SCALES["dwd"].to_pixel(threshold))
    axes = ("sequence", "time", "height", "width", "channel")
    events = [xarray.DataArray((frames >= pixel).astype(float), dims=axes) for frames in (prediction, truth)]
    table = categorical.BinaryContingencyManager(*events).transform(preserve_dims="time")
    expected = {
        POD: table.probability_of_detection(),
        FAR: table.false_alarm_ratio(),
        CSI: table.critical_success_index(),
        HSS: table.heidke_skill_score(),
    }
    for kind, values in expected.items():
        metric = kind(3, threshold)
        metric.update_state(truth, prediction)
        counts = metric.counts()
        one_cell = counts.max(axis=1) == counts.sum(axis=1)
        defined = ~one_cell | (kind is not HSS)  # else that package divides two rounding errors
        np.testing.assert_allclose(
            metric.per_frame()[defined], np.nan_to_num(values)[defined], rtol=1e-5, atol=1e-6
        )


@settings(max_examples=25, deadline=None, database=None)
@given(window=st.integers(1, 9), **FIELDS)
def test_fss_agrees_with_the_package_scores(seed, wet, threshold, window):
    xarray, spatial = pytest.importorskip("xarray"), pytest.importorskip("scores.spatial")
    truth, prediction = rain_fields(seed, wet)
    axes = ("sequence", "time", "height", "width")
    expected = spatial.fss_2d(
        *(xarray.DataArray(frames[..., 0], dims=axes) for frames in (prediction, truth)),
        event_threshold=np.float32(RAIN_SCALES["dwd"].to_pixel(threshold)),
        window_size=(window, window),
        spatial_dims=("height", "width"),
        preserve_dims=["time"],
        threshold_operator=np.greater_equal,
    )
    metric = FSS(3, threshold, window)
    metric.update_state(truth, prediction)
    np.testing.assert_allclose(metric.per_frame(), expected, rtol=1e-5, atol=1e-6)


def test_names_tell_thresholds_apart():
    metrics = [CSI(3, 0.5), CSI(3, 2), HSS(3, 2.0), FSS(3, 2.0, 5), CSI(3, 2.0, name="other")]
    assert [metric.name for metric in metrics] == ["csi_0.5", "csi_2", "hss_2", "fss_2_5", "other"]


@pytest.mark.parametrize("kind", EVERY)
def test_serialisation_round_trip(kind):
    metric = make(kind, rain_scale="brasil", name="other", dtype="float64")
    copy = keras.metrics.deserialize(keras.metrics.serialize(metric))
    config = {"frames": 3, "threshold": 2.0, "rain_scale": "brasil", "name": "other", "dtype": "float64"}
    config |= {"window": 3} if kind is FSS else {}
    assert type(copy) is kind
    assert copy.get_config() == metric.get_config() == config
    for each in (metric, copy):
        each.update_state(*rain_frames())
    np.testing.assert_array_equal(copy.per_frame(), metric.per_frame())


# Keras hands its variables to NumPy 2 in a way that NumPy warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_in_a_model_that_is_saved_and_loaded(tmp_path):
    truth, frames = rain_frames()
    model = keras.Sequential([keras.Input(frames.shape[1:]), keras.layers.Identity(dtype="mixed_bfloat16")])
    model.compile(loss="mse", metrics=[*(make(kind) for kind in EVERY), CSI(3, 0.5)])
    logs = model.evaluate(frames, truth, batch_size=3, return_dict=True, verbose=0)
    assert {"pod_2", "far_2", "csi_2", "hss_2", "fss_2_3", "csi_0.5"} < set(logs)
    prediction = model.predict(frames, verbose=0).astype("float32")
    counts = expected_counts(truth, prediction).sum(axis=0)
    np.testing.assert_allclose(logs["csi_2"], expected_score(CSI, counts).mean(), rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(frames, truth, batch_size=3, return_dict=True, verbose=0) == logs


@pytest.mark.parametrize("kind", EVERY)
def test_time_and_batch_unknown_until_the_graph_runs(kind):
    truth, prediction = rain_frames()
    metric, direct = make(kind), make(kind)
    update = tf.function(metric.update_state, input_signature=[tf.TensorSpec((None, None, 12, 14, 1))] * 2)
    update(truth, prediction)
    direct.update_state(truth, prediction)
    np.testing.assert_allclose(metric.per_frame(), direct.per_frame(), rtol=1e-6)


def test_unknown_rain_scale():
    with pytest.raises(ValueError, match=r"`rain_scale` must be one of dwd, hko, .*\. Received: .*='DWD'"):
        CSI(3, 2.0, "DWD")


@pytest.mark.parametrize("threshold", [0, -1, 0.02, 866, float("nan")])
def test_thresholds_that_pixels_do_not_tell_apart(threshold):
    message = r"`threshold` must lie above 0.0365 and up to 865 mm/h, .*'meteonet'.* Received: threshold="
    with pytest.raises(ValueError, match=message):
        CSI(3, threshold, "meteonet")


@pytest.mark.parametrize("window", [0, 2.5, (3, 3)])
def test_window_must_be_a_positive_whole_number(window):
    with pytest.raises(ValueError, match=r"`window` must be a whole number of at least 1. Received: window="):
        FSS(3, 2.0, window)


@pytest.mark.parametrize("weighted", [False, True])
def test_window_must_fit(weighted):
    truth, prediction = rain_frames()
    weights = np.ones_like(truth) if weighted else None
    with pytest.raises(ValueError, match=r"`window` must fit .* Received: window=13, frames of 12x14"):
        FSS(3, 2.0, 13).update_state(truth, prediction, weights)


def test_base_class_has_no_rate():
    metric = Contingency(3, 2.0)
    metric.update_state(*rain_frames())
    with pytest.raises(NotImplementedError):
        metric.result()
