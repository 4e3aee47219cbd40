"""Maps written to NetCDF and Zarr."""

import re

import numpy as np
import pytest
import xarray

from mslstm_keras.frames.maps import frames_as_maps, write_maps
from mslstm_keras.frames.write import write_clip
from tests.support.processes import no_file_larger_than
from tests.support.radar_files import STERE_MAPPING


def frames(channels=1):
    return np.random.default_rng(0).random((3, 6, 7, channels), "float32")


def rain_forecast():
    """A forecast as `mslstm_keras.forecast` gives it for the maps of a radar."""
    time = np.datetime64("2024-05-01T00:05", "ns") + np.arange(3) * np.timedelta64(5, "m")
    values = frames()[..., 0]
    values[:, 0, :2] = np.nan
    rate = {"standard_name": "rainfall_rate", "units": "mm/h", "grid_mapping": "spatial_ref"}
    place = {"units": "m", "standard_name": "projection_y_coordinate", "axis": "Y"}
    reference = {"standard_name": "forecast_reference_time"}
    return xarray.Dataset(
        {"rain_rate": (("time", "y", "x"), values, rate)},
        {
            "time": ("time", time, {"standard_name": "time", "axis": "T"}),
            "forecast_reference_time": ((), np.datetime64("2024-05-01T00:00", "ns"), reference),
            "forecast_period": ("time", [5.0, 10.0, 15.0], {"standard_name": "forecast_period", "units": "minutes"}),
            "y": ("y", np.arange(6.0)[::-1], place),
            "x": ("x", np.arange(7.0), {**place, "standard_name": "projection_x_coordinate", "axis": "X"}),
            "spatial_ref": ((), 0, STERE_MAPPING),
        },
        {"title": "Rain", "institution": "DWD", "interval_minutes": 5.0},
    )  # fmt: skip


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_what_is_written_is_what_is_read(tmp_path, suffix):
    path, maps = tmp_path / f"maps.{suffix}", rain_forecast()
    write_maps(path, maps)
    xarray.testing.assert_identical(maps, rain_forecast())  # as it was
    with xarray.open_dataset(path, decode_timedelta=False, decode_coords="all") as read:
        assert read.attrs.pop("Conventions") == "CF-1.11"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*: written by mslstm_keras", read.attrs.pop("history"))
        assert read.rain_rate.encoding["grid_mapping"] == "spatial_ref"  # where xarray keeps it of a file
        del maps.rain_rate.attrs["grid_mapping"]
        for name in ("time", "forecast_reference_time"):
            assert read[name].attrs.pop("units_metadata") == "leap_seconds: none"
        assert read.spatial_ref.attrs.pop("long_name") == "spatial_ref"
        xarray.testing.assert_identical(read.load(), maps)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_a_disk_that_is_full(tmp_path, suffix):
    """HDF5 itself would end the process."""
    path = tmp_path / f"maps.{suffix}"
    maps = xarray.Dataset({"rain_rate": (("time", "y", "x"), np.random.default_rng(0).random((3, 60, 70)))})
    for _ in range(2):
        with no_file_larger_than(1000), pytest.raises(OSError, match=f"File too large: '{path}"):
            write_maps(path, maps)
        assert list(tmp_path.iterdir()) == []
    write_maps(path, maps)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
@pytest.mark.parametrize("channels", [1, 3])
def test_clips_have_no_times(tmp_path, suffix, channels):
    path = tmp_path / f"clip.{suffix}"
    write_clip(path, frames(channels))
    with xarray.open_dataset(path) as read:
        assert read.forecast.dims == ("frame", "y", "x", "channel")[: 3 + (channels > 1)]
        np.testing.assert_array_equal(read.forecast.values.reshape(frames(channels).shape), frames(channels))
        assert set(read.coords) == {"frame"}
        assert read.frame.values.tolist() == [1, 2, 3]


@pytest.mark.parametrize("maps", [rain_forecast, lambda: frames_as_maps(frames(3))], ids=["rain", "clip"])
def test_netcdf_keeps_the_cf_conventions(tmp_path, maps):
    """As a checker of the ocean observing community reads them."""
    runner = pytest.importorskip("compliance_checker.runner")
    path = tmp_path / "maps.nc"
    write_maps(path, maps())
    runner.CheckSuite.load_all_available_checkers()
    report = tmp_path / "report.txt"
    passed, errors = runner.ComplianceChecker.run_checker(
        str(path), ["cf:1.11"], 0, "strict", output_filename=str(report), output_format="text"
    )
    assert not errors
    assert passed, report.read_text()


def test_netcdf_is_compressed(tmp_path):
    path = tmp_path / "maps.nc"
    write_clip(path, np.zeros((10, 600, 700, 1), "float32"))
    assert path.stat().st_size < 200_000
    with xarray.open_dataset(path, engine="h5netcdf") as read:
        assert read.forecast.encoding["chunksizes"] == (1, 512, 512)
        assert read.forecast.encoding["zlib"]


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must end in \.nc or \.zarr\. Received: .*maps\.grib"):
        write_maps(tmp_path / "maps.grib", rain_forecast())


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    path = tmp_path / "maps.nc"
    write_maps(path, rain_forecast())
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_maps(path, rain_forecast().assign_attrs(odd=object()))
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
