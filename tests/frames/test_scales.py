"""Scales: equations, texts, and what lies beyond their ends."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.frames.scales import (
    LinearScale,
    LogScale,
    parse_scale,
    rate_factor,
    scale_of_units,
    scale_of_values,
    to_pixels,
)

SCALES = [LinearScale(-40, 60, "degC"), LogScale(-2, 655, "bikes/h"), *RAIN_SCALES.values()]
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False, width=32)


def test_pixels_of_a_linear_scale():
    pixels = LinearScale(-40, 60).to_pixel(np.array([-40, 10, 60, 110, np.nan]))
    np.testing.assert_allclose(pixels, [0, 0.5, 1, 1.5, np.nan])


def test_pixels_of_a_logarithmic_scale():
    values = np.array([5.0, 6, 14, 104])
    expected = [0, math.log(2) / math.log(100), math.log(10) / math.log(100), 1]
    np.testing.assert_allclose(LogScale(5, 104).to_pixel(values), expected)
    assert LogScale(5, 104).to_pixel(np.array([4.0, -100])).tolist() == [-math.inf] * 2


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_values_come_back(scale):
    pixels = np.linspace(0.01, 1, 50)
    np.testing.assert_allclose(scale.to_pixel(scale.to_value(pixels)), pixels, atol=1e-12)
    low, high = scale.ends
    np.testing.assert_allclose(scale.to_value(np.array([0.0, 1.0])), [low, high], atol=1e-9)
    assert np.isnan(scale.to_value(np.array([np.nan]))).all()
    assert scale.to_value(np.float32([0.5])).dtype == "float32"


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_a_scale_is_its_text(scale):
    assert parse_scale(str(scale)) == scale


@given(
    NUMBERS,
    NUMBERS,
    st.sampled_from([LinearScale, LogScale]),
    st.sampled_from(["", "mm/h", "vehicles per 5 min"]),
)
def test_any_scale_is_its_text(one, other, kind, units):
    if one != other:
        scale = kind(min(one, other), max(one, other), units)
        assert parse_scale(str(scale)) == scale


@pytest.mark.parametrize(
    "text",
    ["", "5", "5:5", "6:5", "a:b", "0:inf", "nan:1", "log:", "rain:", "rain:mars", "0:1:2", "0-1", "lin:0:1"],
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"`range` must be LOW:HIGH, log:LOW:HIGH or rain:CODE.*Received: "):
        parse_scale(text)


def test_what_lies_beyond_is_clipped_and_counted():
    values = np.array([-1, 0, 5, 10, 11, np.nan])
    with pytest.warns(
        UserWarning,
        match=r"^flow.npy: 2 of 6 values lie beyond 0 \.\. 10 cars, from -1 to 11, and are clipped$",
    ):
        pixels = to_pixels(values, LinearScale(0, 10, "cars"), name="flow.npy")
    np.testing.assert_array_equal(pixels, np.float32([0, 0, 0.5, 1, 1, np.nan]))


@pytest.mark.parametrize("scale", ["rain:dwd", "rain:hko", "log:0:100 mm/h", "0:100 mm/h"])
def test_rates_below_zero_are_clipped_and_not_missing(scale):
    with pytest.warns(
        UserWarning, match=r"^rain\.npy: 2 of 4 values lie beyond .* from -3 to 5000, and are clipped$"
    ):
        pixels = to_pixels(np.array([-3, 0, 5000, np.nan]), parse_scale(scale), name="rain.npy")
    np.testing.assert_array_equal(pixels, np.float32([0, 0, 1, np.nan]))


def test_nothing_is_said_where_nothing_is_clipped():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = to_pixels(np.array([0, 10], "int64"), LogScale(0, 10), name="flow")
    assert pixels.dtype == "float32" and pixels.tolist() == [0, 1]


def test_infinite_values_are_refused():
    with pytest.raises(ValueError, match=r"`flow` must hold finite numbers\. Received: 1 infinite"):
        to_pixels(np.array([0, np.inf]), LinearScale(0, 1), name="flow")


def test_the_scale_of_some_values():
    assert scale_of_values(np.float32(-1), 3, "K") == LinearScale(-1, 3, "K")
    for low, high in ((1, 1), (np.nan, np.nan)):
        with pytest.raises(ValueError, match="`range` must be given where the values do not differ"):
            scale_of_values(low, high, "")


@pytest.mark.parametrize(
    ("units", "factor"),
    [
        *(
            (same, 1)
            for same in ("mm/h", "mm h**-1", "MM / hr", "mm per hour", "mm.h-1", "kg m-2 h-1", "l/m2/h")
        ),
        *((same, 1) for same in ("millimeters per hour", "Millimetre/hour", "mm*h^-1")),
        ("inches/hour", 25.4),
        *((same, 3600) for same in ("kg.m-2.s-1", "kg*m-2*s-1")),
        ("mm/5 min", 12),
        ("mm day-1", 1 / 24),
        *((other, None) for other in ("mm", "dBZ", "m s-1", "kg m-2", "mm/0 min", "1", "", None)),
    ],
)
def test_rates_of_rain(units, factor):
    assert rate_factor(units) == (factor and pytest.approx(factor))
    assert (scale_of_units(units) is not None) == (factor == 1)
