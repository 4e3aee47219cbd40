"""Probability matching, by hand and by what it keeps."""

import numpy as np
import pytest
import xarray

from mslstm_keras.forecasting.matching import match_rates, matched_values

NAN = np.nan


def of_rain(values, **facts):
    return xarray.Dataset({"rain_rate": (("time", "y", "x"), np.asarray(values, "float32"))}, attrs=facts)


def test_rates_of_the_last_map_lie_where_the_forecast_has_its_own():
    observed = [[5, 0, 1], [0, NAN, 9]]
    as_many = [[0.1, 0.3, 0], [0.2, 7, 0]]
    more = [[0.1, 0.3, 0.4], [0.2, NAN, 0.5]]
    fewer = [[0, 0.3, 0], [0, 1, 0]]
    matched = matched_values(np.array([as_many, more, fewer], "float32"), np.array(observed))
    assert matched.dtype == "float32"
    # What was not observed is not matched.
    np.testing.assert_array_equal(
        matched, [[[1, 9, 0], [5, 7, 0]], [[0, 1, 5], [0, NAN, 9]], [[0, 9, 0], [0, 1, 0]]]
    )


def test_a_blurred_map_gets_its_rates_back_and_keeps_its_order():
    draws = np.random.default_rng(0)
    observed = draws.gamma(0.3, 4, (40, 30)).astype("float32")
    blurred = np.stack([(observed + np.roll(observed, shift, 0)) / 2 for shift in (1, 5)])
    (near, far) = matched = matched_values(blurred, observed)
    np.testing.assert_array_equal(np.sort(near.ravel()), np.sort(observed.ravel()))
    np.testing.assert_array_equal(np.sort(far.ravel()), np.sort(observed.ravel()))
    for before, after in zip(blurred, matched, strict=True):
        order = np.argsort(before.ravel(), kind="stable")
        assert (np.diff(after.ravel()[order]) >= 0).all()


def test_dry_maps():
    wet, dry = np.ones((2, 3, 3)), np.zeros((3, 3))
    assert not matched_values(wet, dry).any()
    assert not matched_values(np.stack([dry]), wet[0]).any()
    np.testing.assert_array_equal(matched_values(wet, np.full((3, 3), NAN)), wet)


def test_maps_say_what_was_done_and_stay_as_they_were():
    maps = of_rain([[[9, 9]], [[4, 0]]])
    forecast = of_rain([[[0.5, 1]]], comment="a = 200", service="KNMI")
    matched = match_rates(forecast, maps)
    np.testing.assert_array_equal(matched.rain_rate, [[[0, 4]]])
    assert matched.attrs == {
        "comment": "a = 200; rates of the forecast matched, by rank, to those of the last map",
        "service": "KNMI",
    }
    np.testing.assert_array_equal(forecast.rain_rate, [[[0.5, 1]]])
    assert forecast.attrs["comment"] == "a = 200"


def test_refused_maps():
    maps = of_rain(np.ones((1, 2, 2)))
    with pytest.raises(
        ValueError, match=r"`maps` must be of the size of the forecast, \(2, 2\). Received: \(3,"
    ):
        match_rates(maps, of_rain(np.ones((1, 3, 2))))
    with pytest.raises(
        ValueError, match=r"`forecast` must hold rain_rate \(time, y, x\). Received: \['other'\]"
    ):
        match_rates(maps.rename(rain_rate="other"), maps)
