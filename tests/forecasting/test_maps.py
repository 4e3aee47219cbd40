"""Forecasts of maps with times and places."""

import re
import warnings

import numpy as np
import pytest
import xarray

from mslstm_keras.data.facts import DataFacts
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.forecasting.maps import warn_of_other_data, warn_of_other_labels
from mslstm_keras.formats.labels import Labels
from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.models.registry import create_model
from mslstm_keras.radar.resizing import resize_maps
from tests.support.equations import assert_close, randomise
from tests.support.radar_files import STERE_MAPPING

CONTEXT, HORIZON = 3, 4
SIZE = (10, 13)
SAID = "`scale` is rain:dwd, as the maps are in mm/h and nothing else is said"


@pytest.fixture(scope="module")
def model():
    model = create_model("conv_lstm", (8, 8, 1), CONTEXT, HORIZON, filters=2, layers=2)
    randomise(model)
    return model


def rain(count=5, minutes=5):
    """Maps as `read_radar` gives them: rates up to 20 mm/h, a corner that is never observed, the north first."""
    values = np.random.default_rng(0).gamma(0.3, 3, (count, *SIZE)).astype("float32").clip(0, 20)
    values[:, :2, :3] = np.nan
    height, width = SIZE
    time = np.datetime64("2024-05-01T23:50", "ns") + np.arange(count) * np.timedelta64(minutes, "m")
    attributes = {"standard_name": "rainfall_rate", "long_name": "rain rate", "units": "mm/h"}
    metres = {"units": "m", "axis": "Y", "standard_name": "projection_y_coordinate"}
    return xarray.Dataset(
        {"rain_rate": (("time", "y", "x"), values, {**attributes, "grid_mapping": "spatial_ref"})},
        {
            "time": ("time", time, {"standard_name": "time", "axis": "T"}),
            "y": ("y", 1000.0 * np.arange(height)[::-1], metres),
            "x": (
                "x",
                1000.0 * np.arange(width),
                {**metres, "axis": "X", "standard_name": "projection_x_coordinate"},
            ),
            "spatial_ref": ((), 0, STERE_MAPPING),
        },
        {
            "Conventions": "CF-1.11",
            "title": "Rain",
            "service": "DWD",
            "product": "RY",
            "interval_minutes": minutes,
        },
    )


def quietly(model, maps, *arguments, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(`scale` is|.* were not observed)")
        return forecast(model, maps, *arguments, **options)


def test_rain_rates_become_rain_rates_at_the_times_behind(model):
    given = rain()
    with pytest.warns(UserWarning) as said:
        future = forecast(model, given)
    assert [str(each.message) for each in said] == [
        SAID,
        "18 of 390 pixels of the maps were not observed and count as 0; the forecast is NaN where the last map is",
    ]
    assert set(future.data_vars) == {"rain_rate"}
    assert future.rain_rate.dims == ("time", "y", "x")
    assert future.rain_rate.dtype == "float32"
    assert future.rain_rate.attrs == given.rain_rate.attrs
    assert future.attrs == given.attrs
    for name in ("x", "y", "spatial_ref"):
        xarray.testing.assert_identical(
            future[name].drop_vars(["forecast_reference_time"], errors="ignore"), given[name]
        )
    assert future.forecast_reference_time == given.time[-1]
    assert [str(time)[:16] for time in future.time.values] == [
        "2024-05-02T00:15",
        "2024-05-02T00:20",
        "2024-05-02T00:25",
        "2024-05-02T00:30",
    ]
    assert future.forecast_period.values.tolist() == [5, 10, 15, 20]
    assert future.forecast_period.attrs["units"] == "minutes"


def test_values_are_those_of_pixels(model):
    given, scale = rain(), RAIN_SCALES["dwd"]
    pixels = scale.to_pixel(np.nan_to_num(given.rain_rate.values[-CONTEXT:]))[..., None].astype("float32")
    expected = scale.to_value(np.clip(forecast(model, pixels, 6), 0, 1))[..., 0]
    found = quietly(model, given, 6).rain_rate.values
    assert np.isnan(found[:, :2, :3]).all()
    found[:, :2, :3] = expected[:, :2, :3]
    assert_close(found, expected, 1e-4)


def test_an_array_gives_an_array(model):
    array = rain().rain_rate
    future = quietly(model, array)
    assert isinstance(future, xarray.DataArray)
    assert future.name == "rain_rate"
    xarray.testing.assert_equal(future, quietly(model, rain()).rain_rate)


def test_the_scale_that_is_said_is_taken(model):
    given = rain().fillna(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        future = forecast(model, given, scale="0:25 mm/h").rain_rate
    pixels = given.rain_rate.values[-CONTEXT:, ..., None] / 25
    assert_close(future.values, 25 * np.clip(forecast(model, pixels), 0, 1)[..., 0], 1e-4)


def test_a_forecast_can_be_forecast_from(model):
    first = quietly(model, rain())
    again = quietly(model, first)
    assert again.forecast_reference_time == first.time[-1]
    assert again.time[0] == first.time[-1] + np.timedelta64(5, "m")


def test_what_changes_from_map_to_map_is_left_out(model):
    given = rain()
    hours, moving = given.time.dt.hour.variable, given.rain_rate.variable.copy().astype("float64")
    future = quietly(model, given.assign_coords(hour=hours, places=moving, height=12.0))
    known = {"time", "forecast_period", "forecast_reference_time", "y", "x", "spatial_ref", "height"}
    assert {*future.coords} == known


@pytest.mark.parametrize("named", ["spatial_ref", "spatial_ref: x y"])
def test_a_grid_mapping_may_be_a_variable_beside_the_maps(model, named):
    given = rain()
    given.rain_rate.attrs["grid_mapping"] = named
    future = quietly(model, given.reset_coords("spatial_ref"))
    xarray.testing.assert_identical(future, quietly(model, given))


def test_only_the_last_maps_are_read(model):
    dask = pytest.importorskip("dask.array")
    read = []
    values = rain(9).rain_rate.fillna(0)

    def block(numbers):
        read.extend(numbers.tolist())
        return values.values[numbers]

    numbers = dask.arange(9, chunks=1, dtype=int)
    lazy = dask.map_blocks(
        block, numbers, dtype="float32", new_axis=(1, 2), chunks=((1,) * 9, *((side,) for side in SIZE)),
        meta=np.empty((0, 0, 0), "float32"),
    )  # fmt: skip
    given = xarray.Dataset({"rain_rate": (("time", "y", "x"), lazy, values.attrs)}, values.coords)
    future = quietly(model, given)
    assert sorted(read) == [6, 7, 8]
    assert not np.isnan(future.rain_rate).any()


def test_times_that_stray_by_seconds_are_at_one_interval(model):
    given = rain().fillna(0)
    given["time"] = given.time + np.array([0, 3, -2, 4, 0]) * np.timedelta64(1, "s")
    future = quietly(model, given)
    assert future.time[0] == given.time[-1] + np.timedelta64(5, "m")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["2023-11-01", "2023-12-01", "2024-01-01"], ["2024-02-01", "2024-03-01", "2024-04-01"]),
        (["2023-11-30", "2023-12-31", "2024-01-31"], ["2024-02-29", "2024-03-31", "2024-04-30"]),
        (["2020-07-01", "2021-07-01", "2022-07-01"], ["2023-07-01", "2024-07-01", "2025-07-01"]),
    ],
)
def test_months_and_years_go_on_as_such(model, given, expected):
    monthly = rain(3).drop_attrs(deep=False).assign_coords(time=np.array(given, "datetime64[ns]"))
    future = quietly(model, monthly.fillna(0), 3)
    assert future.time.values.tolist() == np.array(expected, "datetime64[ns]").tolist()
    assert future.forecast_period[0] == (future.time[0] - monthly.time[-1]) / np.timedelta64(1, "m")


def test_dates_of_another_calendar_go_on_in_it(model):
    days = xarray.date_range("2024-02-26", periods=3, calendar="noleap", use_cftime=True)
    future = quietly(model, rain(3).drop_attrs(deep=False).fillna(0).assign_coords(time=days), 2)
    assert [str(time)[:10] for time in future.time.values] == ["2024-03-01", "2024-03-02"]
    uneven = days[[0, 1, 1]].values + np.array([0, 0, 1]) * 2 * (days[1] - days[0])
    with pytest.raises(
        ValueError, match=r"one interval within the last 3 maps, .*: 2024-02-26 .*, 2024-03-01"
    ):
        quietly(model, rain(3).drop_attrs(deep=False).assign_coords(time=uneven))


def test_a_gap_within_the_context_is_refused_and_one_before_is_not(model):
    given = rain(6)
    message = (
        "`frames` must be at one interval within the last 3 maps, here 5 minutes. Received: 10 minutes from "
        "2024-05-02T00:00:00 to 2024-05-02T00:10:00; `fill_gaps` of `read_radar` (`--fill-gaps`) interpolates"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        forecast(model, given.isel(time=[0, 1, 2, 4, 5]))
    quietly(model, given.isel(time=[0, 2, 3, 4]))


def test_maps_without_times_or_units_are_pixels(model):
    pixels = np.random.default_rng(0).random((CONTEXT, *SIZE, 1), "float32")
    named = xarray.DataArray(pixels, dims=("time", "y", "x", "channel"))
    future = forecast(model, named.transpose("y", "x", "channel", "time"), 5)
    assert future.dims == ("time", "y", "x", "channel")
    np.testing.assert_array_equal(future, forecast(model, pixels, 5))
    assert set(future.coords) == {"lead"}
    assert future.lead.values.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("scale", [None, "rain:dwd"])
def test_rates_in_other_units_are_forecast_as_rates(model, scale):
    maps = rain()
    flux = (maps / np.float32(3600)).assign_attrs(maps.attrs)
    flux["rain_rate"].attrs.update(maps.rain_rate.attrs, units="kg m-2 s-1", standard_name="rainfall_flux")
    with pytest.warns(UserWarning, match="`frames`: rates in kg m-2 s-1 are read as mm/h, times 3600"):
        future = quietly(model, flux, scale=scale).rain_rate
    np.testing.assert_allclose(future, quietly(model, maps).rain_rate, atol=1e-3)
    assert future.attrs["units"] == "mm/h" and "standard_name" not in future.attrs


def test_a_scale_of_other_units_is_told_or_refused(model):
    maps = rain().rain_rate.assign_attrs(units="K")
    with pytest.raises(ValueError, match=r"`frames` must hold rates of rain, .* Received: units K"):
        quietly(model, maps, scale="rain:dwd")
    with pytest.warns(UserWarning, match="`frames` has numbers in K, which are read as degC"):
        quietly(model, maps, scale="0:20 degC")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda maps: maps.isel(time=[0, 1]), "at least the model's 3 context frames. Received: 2 frames"),
        (lambda maps: maps.isel(x=0), "`frames` must have a variable rain_rate, or one alone of three axes"),
        (lambda maps: maps.isel(x=0).rain_rate, "must have the axes time, y and x, and perhaps channel"),
        (lambda maps: maps.rename(time="t"), "must have the axes time, y and x"),
        (lambda maps: maps.rain_rate.expand_dims("member"), "of four axes must have one called channel"),
        (
            lambda maps: maps.rain_rate.assign_attrs(units="K"),
            "`scale` must be given for maps in units of their own",
        ),
        (
            lambda maps: maps.assign_coords(time=np.arange(5)),
            "must have times of datetime64 or cftime, none missing",
        ),
        (lambda maps: maps.where(maps != maps.max(), np.inf), "`rain_rate` must hold finite numbers"),
        (lambda maps: maps.rename(rain_rate="a").assign(b=maps.rain_rate), "Received: ['a', 'b']"),
    ],
)
def test_maps_that_do_not_fit_are_refused(model, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        quietly(model, change(rain()))


def test_pixels_have_no_scale(model):
    with pytest.raises(ValueError, match="`scale` must be left out where frames are pixels"):
        forecast(model, np.zeros((CONTEXT, *SIZE, 1), "float32"), scale="rain:dwd")


def test_a_model_of_one_map_is_told_the_interval():
    model = create_model("conv_lstm", (8, 8, 1), 1, 2, filters=2, layers=1)
    given = rain().fillna(0)
    assert quietly(model, given).forecast_period.values.tolist() == [5, 10]
    del given.attrs["interval_minutes"]
    with pytest.raises(ValueError, match="must have the attribute interval_minutes"):
        forecast(model, given)


def said_of(maps, **facts):
    """Returns what is said of maps where the model was trained on data of which these facts are known."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_other_data(maps, DataFacts(**facts), "mine")
    return [str(each.message) for each in said]


@pytest.mark.parametrize(
    ("trained", "words"),
    [
        (
            2.5,
            "is 5 minutes, mine was trained on 2.5: things seem to it to move twice as fast, and it forecasts for 5 ",
        ),
        (
            10,
            "mine was trained on 10: things seem to it to move half as fast, and it forecasts for 5 minutes each",
        ),
        (
            1,
            "things seem to it to move 5 times as fast, and it forecasts for 5 minutes each, as if they were 1",
        ),
    ],
)
def test_another_interval_is_said(trained, words):
    (message,) = said_of(rain(), interval_minutes=trained, spacing_metres=1000)
    assert message.startswith("`interval` of the maps is 5 minutes") and words in message


@pytest.mark.parametrize(
    ("trained", "words"),
    [
        (
            2000,
            "pixels of the maps are 1 km, mine was trained on 2 km: things seem to it twice as large, and to move",
        ),
        (
            5000,
            "5 times as large, and to move 5 times as fast; `--size 2x3` (`mslstm_keras.radar.resize_maps`) brings",
        ),
        (
            500,
            "mine was trained on 0.5 km: things seem to it half as large, and to move half as fast; `--size 20x26`",
        ),
    ],
)
def test_another_spacing_is_said(trained, words):
    (message,) = said_of(rain(), interval_minutes=5, spacing_metres=trained)
    assert words in message


def said_of_frames(labels, **facts):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_other_labels(labels, (20, 40), DataFacts(**facts), "mine")
    return [str(each.message) for each in said]


def test_another_interval_and_spacing_of_a_file_are_said():
    axes = {"lat": ("lat", 60 + 0.1 * np.arange(20)), "lon": ("lon", 0.2 * np.arange(40))}
    places = xarray.Dataset(coords=axes)
    places.lat.attrs["units"], places.lon.attrs["units"] = "degrees_north", "degrees_east"
    times = np.datetime64("2024-05-01T22:00", "ns") + np.arange(4) * np.timedelta64(30, "m")
    labels = Labels("precipitation", {}, times, "lat", "lon", places)
    interval, spacing = said_of_frames(labels, interval_minutes=5, spacing_metres=1000)
    assert interval.startswith(
        "`interval` of the frames is 30 minutes, mine was trained on 5: things seem to it to "
    )
    assert interval.endswith("move 6 times as fast, and it forecasts for 30 minutes each, as if they were 5")
    # 0.1 degrees north are 11.1 km, 0.2 degrees east at 60.95 degrees north 10.8 km
    assert (
        spacing.startswith("pixels of the frames are 10.9")
        and "`--size 219x438` brings the frames" in spacing
    )
    assert not said_of_frames(labels, interval_minutes=30, spacing_metres=10950)
    assert not said_of_frames(labels)
    named = xarray.Dataset(coords={"y": list("abcd"), "crs": 0})
    for places in (None, named, named.drop_vars("y")):
        plain = Labels("precipitation", {}, np.arange(4.0), "y", "x", places)
        assert not said_of_frames(plain, interval_minutes=5, spacing_metres=1000)


def test_the_size_that_is_named_ends_the_warning():
    (message,) = said_of(rain(), spacing_metres=2500)
    height, width = map(int, re.search(r"--size (\d+)x(\d+)", message).groups())
    with pytest.warns(UserWarning, match="the maps are brought from"):
        maps = resize_maps(rain(), height, width)
    assert not said_of(maps, spacing_metres=2500)


def test_other_quantities_are_said():
    assert said_of(rain(), quantity="inflow of taxis") == [
        "mine was trained on the inflow of taxis, no rain: of rain it knows nothing"
    ]
    assert not said_of(rain(), quantity="rain rate")


@pytest.mark.parametrize("factor", [0.92, 1, 1.08])
def test_a_tenth_is_no_other_data(factor):
    assert not said_of(rain(), interval_minutes=5 * factor, spacing_metres=1000 * factor)


def test_what_is_not_known_is_not_compared():
    assert not said_of(rain())
    maps = rain().drop_vars(["x", "y"])
    del maps.attrs["interval_minutes"]
    assert not said_of(maps, interval_minutes=30, spacing_metres=5000)
