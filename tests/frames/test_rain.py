"""Rain rates and pixels against the public implementation's numbers."""

import numpy as np
import pytest

from mslstm_keras.frames.rain import RAIN_SCALES
from tests.support.golden import load_golden

# data set -> its group in the file, function of rates, function of pixels
CONVERSIONS = {
    "dwd": ("dwd", "R_to_P", "P_to_R"),
    "hko": ("hko", "rainfall_to_pixel", "pixel_to_rainfall"),
    "meteonet": ("meteo", "R2Pixel", "Pixel2R"),
    "rainf": ("meteo", "R2Pixel", "Pixel2R"),
    "brasil": ("brasil", "R_to_Pixel", "Pixel_to_R"),
}
# data set -> a, b of Z = a R^b, dBZ of pixels 0 and 1
EQUATIONS = {
    "dwd": (256, 1.42, -10, 60),
    "hko": (58.53, 1.56, -10, 60),
    "meteonet": (200, 1.6, 0, 70),
    "rainf": (200, 1.6, 0, 70),
    "brasil": (300, 1.4, 0, 60),
}
EVERY_SCALE = pytest.mark.parametrize("name", CONVERSIONS)


def test_every_scale_is_tested():
    assert set(RAIN_SCALES) == set(CONVERSIONS) == set(EQUATIONS)


@EVERY_SCALE
def test_golden_pixels_of_rates(name):
    arrays, _ = load_golden("metrics/conversions")
    group, to_pixel, _ = CONVERSIONS[name]
    rates = arrays["f64/R"]
    assert rates[0] == 0  # no rain at all is among them
    pixels = RAIN_SCALES[name].to_pixel(rates)
    np.testing.assert_allclose(pixels, arrays[f"f64/{group}/{to_pixel}(R)"], rtol=1e-12, atol=1e-12)


@EVERY_SCALE
def test_golden_rates_of_pixels(name):
    arrays, _ = load_golden("metrics/conversions")
    group, _, to_rate = CONVERSIONS[name]
    rates = RAIN_SCALES[name].to_rate(arrays["f64/P"])
    np.testing.assert_allclose(rates, arrays[f"f64/{group}/{to_rate}(P)"], rtol=1e-12)


@EVERY_SCALE
def test_golden_thresholds(name):
    arrays, meta = load_golden("metrics/conversions")
    pixels = RAIN_SCALES[name].to_pixel(np.array(meta["thresholds_mm_h"]))
    group = CONVERSIONS[name][0]
    np.testing.assert_allclose(pixels, arrays[f"f64/{group}/thresholds_pixel"], rtol=0, atol=1e-12)


@EVERY_SCALE
def test_golden_fields(name):
    arrays, _ = load_golden(f"metrics/precip_{name}")
    for field in ("truth0", "pred0", "truth1", "pred1"):
        rates = arrays[f"input/{field}_mm_h"].astype("float64")
        pixels = RAIN_SCALES[name].to_pixel(rates).clip(0, 1)
        np.testing.assert_allclose(pixels, arrays[f"input/{field}"], rtol=0, atol=2e-7)  # float32


@EVERY_SCALE
def test_pixels_equal_the_equation(name):
    a, b, lowest, highest = EQUATIONS[name]
    rates = np.geomspace(0.1, 100, 50)
    dbz = 10 * np.log10(a * rates**b)
    pixels = (dbz - lowest) / (highest - lowest)
    expected = pixels if name == "hko" else np.clip(pixels, 0, 1)
    np.testing.assert_allclose(RAIN_SCALES[name].to_pixel(rates), expected, rtol=0, atol=1e-12)


@EVERY_SCALE
def test_rates_come_back(name):
    scale = RAIN_SCALES[name]
    pixels = np.linspace(0, 1, 100)
    np.testing.assert_allclose(scale.to_pixel(scale.to_rate(pixels)), pixels, rtol=0, atol=1e-12)


@EVERY_SCALE
def test_no_rain_and_not_a_number(name):
    pixels = RAIN_SCALES[name].to_pixel(np.array([0.0, np.nan]))
    np.testing.assert_array_equal(pixels, [-np.inf if name == "hko" else 0, np.nan])
    assert np.isnan(RAIN_SCALES[name].to_rate(np.array([np.nan]))).all()


@EVERY_SCALE
def test_rates_beyond_the_ends(name):
    scale = RAIN_SCALES[name]
    low, high = scale.to_pixel(scale.to_rate(np.array([-0.1, 1.1])))
    assert (low < 0) == (high > 1) == (name == "hko")
    assert name == "hko" or (low, high) == (0, 1)
