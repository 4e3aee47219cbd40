"""Errors in units against NumPy."""

import keras
import numpy as np
import pytest

from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.frames.scales import parse_scale
from mslstm_keras.metrics.units import ValueBias, ValueMAE, ValueRMSE, to_pixels, to_values
from tests.metrics.examples import rain_frames

SCALES = ["-40:60 degC", "log:0:655 bikes/h", *(f"rain:{name}" for name in RAIN_SCALES)]


@pytest.mark.parametrize("scale", SCALES)
def test_values_are_those_of_the_scale(scale):
    pixels = np.linspace(0, 1, 50, dtype="float32")
    expected = parse_scale(scale).to_value(pixels.astype("float64"))
    np.testing.assert_allclose(
        to_values(parse_scale(scale), keras.ops.array(pixels)), expected, rtol=2e-4, atol=1e-5
    )


@pytest.mark.parametrize("scale", SCALES)
def test_pixels_are_those_of_the_scale(scale):
    parsed = parse_scale(scale)
    low, high = parsed.ends
    values = np.linspace(low, high, 50)[1:]
    found = to_pixels(parsed, keras.ops.array(values, "float32"))
    np.testing.assert_allclose(found, parsed.to_pixel(values), rtol=2e-6, atol=2e-6)
    beyond = np.array([low, np.nan, low - 3, -np.inf, high + 1], "float32")
    clipped = np.clip(to_pixels(parsed, keras.ops.array(beyond)), 0, 1)
    np.testing.assert_array_equal(clipped, [0, 0, 0, 0, 1])


def errors(scale, truth, prediction):
    values = parse_scale(scale).to_value
    return values(truth.astype("float64")) - values(np.clip(prediction, 0, 1).astype("float64"))


@pytest.mark.parametrize("scale", ["-40:60 degC", "log:0:655 bikes/h", "rain:dwd"])
def test_errors_equal_numpy(scale):
    truth, prediction = rain_frames()
    error = errors(scale, truth, prediction)
    mae, rmse, bias = ValueMAE(3, scale), ValueRMSE(3, scale), ValueBias(3, scale)
    for first in (0, 3):  # in batches of three and four
        part = slice(first, None if first else 3)
        mae.update_state(truth[part], prediction[part])
        rmse.update_state(truth[part], prediction[part])
        bias.update_state(truth[part], prediction[part])
    np.testing.assert_allclose(mae.per_frame(), np.abs(error).mean((0, 2, 3, 4)), rtol=1e-3)
    np.testing.assert_allclose(rmse.per_frame(), np.sqrt((error**2).mean((0, 2, 3, 4))), rtol=1e-3)
    largest = np.abs(error).mean()
    np.testing.assert_allclose(bias.per_frame(), -error.mean((0, 2, 3, 4)), rtol=1e-3, atol=1e-4 * largest)
    np.testing.assert_allclose(rmse.result(), np.mean(rmse.per_frame()), rtol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_what_is_not_a_number_stays_so(scale):
    found = to_values(parse_scale(scale), keras.ops.array([np.nan, 0, 0.5]))
    np.testing.assert_array_equal(np.isnan(found), [True, False, False])
    metric = ValueMAE(1, scale)
    metric.update_state(np.zeros((1, 1, 4, 4, 1), "float32"), np.full((1, 1, 4, 4, 1), np.nan, "float32"))
    assert np.isnan(metric.result())


@pytest.mark.parametrize("scale", ["0:100 mm", "rain:dwd"])
def test_what_is_not_observed_does_not_count(scale):
    truth, prediction = rain_frames()
    observed = np.random.default_rng(1).random(truth.shape) > 0.4
    metric = ValueRMSE(3, scale)
    metric.update_state(
        np.where(observed, truth, np.nan), prediction, sample_weight=observed.astype("float32")
    )
    error = errors(scale, truth, prediction) ** 2
    means = (error * observed).sum((2, 3, 4)) / observed.sum((2, 3, 4))
    np.testing.assert_allclose(metric.per_frame(), np.sqrt(means.mean(0)), rtol=1e-3)


@pytest.mark.parametrize("kind", [ValueBias, ValueMAE, ValueRMSE])
def test_configurations_and_refusals(kind):
    metric = kind(3, "0:655 bikes/h")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert (again.frames, again.scale, again.name) == (3, "0:655 bikes/h", metric.name)
    with pytest.raises(ValueError, match="`range` must be LOW:HIGH"):
        kind(3, "bikes")
    with pytest.raises(TypeError, match="`scale` must be a scale"):
        to_values("0:1", 0.5)
    with pytest.raises(TypeError, match="`scale` must be a scale"):
        to_pixels("0:1", 0.5)
