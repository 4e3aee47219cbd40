"""Names, times and places of frames, and those of their forecast."""

import datetime

import h5py
import numpy as np
import pytest
import xarray

from mslstm_keras.formats.labels import Labels
from mslstm_keras.formats.netcdf import read_netcdf
from mslstm_keras.frames.maps import frames_as_maps, write_maps
from mslstm_keras.timing.times import times_behind

TIMES = np.datetime64("2024-05-01T00:00", "ns") + np.arange(4) * np.timedelta64(15, "m")


def forecast(frames=2, height=4, width=6):
    return frames_as_maps(np.random.default_rng(0).random((frames, height, width, 1), "float32"), "K")


def test_a_projection_is_kept(tmp_path):
    values = np.random.default_rng(0).random((4, 4, 6), "float32")
    latitudes = np.linspace(50, 51, 24).reshape(4, 6)
    data = xarray.Dataset(
        {
            "rain": (("y", "x", "time"), values.transpose(1, 2, 0), {"units": "1", "grid_mapping": "crs"}),
            "crs": ((), np.int32(0), {"grid_mapping_name": "polar_stereographic"}),
            "quality": ((), np.int32(7)),
        },
        {
            "time": TIMES,
            "y": ("y", 1e3 * np.arange(4)[::-1], {"units": "m", "standard_name": "projection_y_coordinate"}),
            "x": ("x", np.arange(6, dtype="int16"), {"units": "m", "scale_factor": 1e3}),
            "lat": (("y", "x"), latitudes, {"units": "degrees_north"}),
        },
    )
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    labels = read_netcdf(tmp_path / "a.nc", None).labels
    write_maps(tmp_path / "b.nc", labels.put_on(forecast()))
    with xarray.open_dataset(tmp_path / "b.nc", decode_timedelta=False) as written:
        assert written.forecast.dims == ("time", "y", "x")
        assert written.forecast.attrs["grid_mapping"] == "crs" and "quality" not in written.variables
        assert written.crs.attrs["grid_mapping_name"] == "polar_stereographic"
        np.testing.assert_array_equal(written.x, 1e3 * np.arange(6))
        np.testing.assert_array_equal(written.y, data.y)
        np.testing.assert_array_equal(written.lat, latitudes)
        assert written.y.attrs["standard_name"] == "projection_y_coordinate"


def test_a_mapping_may_name_its_axes():
    places = xarray.Dataset(coords={"crs": 0, "y": np.arange(4), "x": np.arange(6)})
    labels = Labels("rain", {"grid_mapping": "crs: x y"}, TIMES, places=places)
    assert labels.put_on(forecast()).forecast.attrs["grid_mapping"] == "crs: x y"


def test_a_mapping_that_is_not_in_the_file_is_not_named():
    labels = Labels("rain", {"grid_mapping": "crs"}, TIMES)
    assert "grid_mapping" not in labels.put_on(forecast()).forecast.attrs


def test_a_standard_name_goes_with_its_units():
    said = {"units": "kg m-2 s-1", "standard_name": "rainfall_flux", "long_name": "rain"}
    for units, kept in (("kg m-2 s-1", True), ("mm/h", False)):
        attributes = Labels("r", said, TIMES, units=units).put_on(forecast()).forecast.attrs
        assert ("standard_name" in attributes) is kept and attributes["long_name"] == "forecast of rain"


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (TIMES, ["2024-05-01T01:00", "2024-05-01T01:15"]),
        (TIMES[[0, 1, 3]], ["2024-05-01T01:00", "2024-05-01T01:15"]),  # a gap
        (
            np.array(["2023-11-15T12", "2023-12-15T12", "2024-01-15T12"], "datetime64[ns]"),
            ["2024-02-15T12:00", "2024-03-15T12:00"],
        ),
        (np.array(["2023-01-01", "2024-01-01"], "datetime64[ns]"), ["2025-01-01T00:00", "2026-01-01T00:00"]),
        (
            np.array(["2023-11-30", "2023-12-31", "2024-01-31"], "datetime64[ns]"),  # ends of months
            ["2024-02-29T00:00", "2024-03-31T00:00"],
        ),
        (TIMES[:1], None),
        (np.arange(4.0), None),
    ],
)
def test_times_behind(times, expected):
    found = times_behind(times, 2)
    assert (
        found is None if expected is None else found.astype("datetime64[m]").astype(str).tolist() == expected
    )


def test_dates_of_another_calendar(tmp_path):
    days = xarray.date_range("2000-02-27", periods=3, freq="D", calendar="noleap", use_cftime=True)
    labels = Labels("t", {}, days.values)
    maps = labels.put_on(forecast())
    assert [str(time) for time in maps.time.values] == ["2000-03-02 00:00:00", "2000-03-03 00:00:00"]
    assert maps.forecast_period.values.tolist() == [1440, 2880]
    write_maps(tmp_path / "a.nc", maps)
    with xarray.open_dataset(tmp_path / "a.nc", decode_timedelta=False) as written:
        assert [str(time) for time in written.time.values] == ["2000-03-02 00:00:00", "2000-03-03 00:00:00"]
    wavering = days.values + np.array([0, 3, -2]) * datetime.timedelta(microseconds=1)  # of float days
    assert len(labels.put_on(forecast()).time) == len(Labels("t", {}, wavering).put_on(forecast()).time) == 2
    months = xarray.date_range("2000-01-01", periods=4, freq="MS", calendar="noleap", use_cftime=True)
    with pytest.warns(UserWarning, match="counts its frames"):
        assert "frame" in Labels("t", {}, months.values).put_on(forecast()).dims


def test_frames_of_several_channels_that_are_missing():
    frames = frames_as_maps(np.ones((2, 4, 6, 2), "float32"))
    missing = np.zeros((4, 6, 2), bool)
    missing[1, 2, 1] = True
    found = Labels("uv", {}, TIMES, unobserved=missing).put_on(frames).forecast
    assert np.isnan(found.values).sum() == 2 and np.isnan(found.values[:, 1, 2, 1]).all()


def test_axes_without_names_get_some(tmp_path):
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["rain"] = np.random.default_rng(0).random((3, 4, 6), "float32")
        file["lat"] = np.linspace(50, 51, 24).reshape(4, 6)
        file["lat"].attrs["units"] = "degrees_north"
    labels = read_netcdf(tmp_path / "a.nc", "/rain").labels
    with pytest.warns(UserWarning, match="counts its frames"):
        maps = labels.cut_out((0, 2, 1, 4)).put_on(forecast(height=2, width=3))
    assert maps.forecast.dims == ("frame", "y", "x") and maps.lat.shape == (2, 3)


@pytest.mark.parametrize(("channels", "forecast_channels"), [(3, 1), (1, 3)])
def test_missing_colours_of_grey_forecasts_and_the_other_way(channels, forecast_channels):
    missing = np.zeros((4, 6, channels), bool)
    missing[1, 2, -1] = True
    frames = frames_as_maps(np.ones((2, 4, 6, forecast_channels), "float32"))
    found = Labels("a", {}, TIMES, unobserved=missing).put_on(frames).forecast.values.reshape(2, 4, 6, -1)
    assert np.isnan(found).sum() == 2 * forecast_channels and np.isnan(found[:, 1, 2]).all()


def test_times_of_films_are_kept_to_the_millisecond(tmp_path):
    times = np.datetime64("2024-05-01T00:00", "ns") + np.arange(3) * np.timedelta64(40, "ms")
    write_maps(tmp_path / "a.nc", Labels("a", {}, times).put_on(forecast()))
    with xarray.open_dataset(tmp_path / "a.nc", decode_timedelta=False) as written:
        expected = times[-1] + np.arange(1, 3) * np.timedelta64(40, "ms")
        np.testing.assert_array_equal(written.time.values, expected)
        assert written.forecast_reference_time.values == times[-1]


def test_the_time_of_a_forecast_is_not_that_it_was_made_at(tmp_path):
    data = xarray.Dataset(
        {"rain": (("y", "x"), np.zeros((4, 6), "float32"))},
        {"y": np.arange(4), "forecast_reference_time": TIMES[0], "valid_time": TIMES[2]},
    )
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    assert read_netcdf(tmp_path / "a.nc", None, of_one=True).labels.times.tolist() == TIMES[2:3].tolist()
