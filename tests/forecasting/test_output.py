"""Forecasts of maps and of clips in files."""

import sys

import numpy as np
import pytest
import xarray
from PIL import Image

from mslstm_keras.forecasting.output import (
    CLIP_SUFFIXES,
    SUFFIXES,
    check_output,
    write_clip_forecast,
    write_forecast,
)
from mslstm_keras.radar.read import read_radar
from tests.support.pages import read
from tests.support.radar_files import write_knmi_maps


@pytest.fixture
def maps(tmp_path):
    """Six Dutch maps of 16 x 24 pixels: four that were seen, two that stand for a forecast."""
    maps = read_radar(write_knmi_maps(tmp_path / "maps", 6, (16, 24)))
    return maps.isel(time=slice(None, 4)), maps.isel(time=slice(4, None))


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".NC"])
def test_every_suffix_is_written(maps, tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    check_output(path)
    write_forecast(path, *maps, "Rain")
    assert path.exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["maps", path.name]


@pytest.mark.parametrize(
    ("suffix", "module", "extra"),
    [
        (".mp4", "av", "video"),
        (".nc", "h5netcdf", "netcdf"),
        (".zarr", "zarr", "netcdf"),
        (".tif", "rasterio", "radar"),
    ],
)
def test_what_writes_a_file_is_looked_for_before_the_forecast(monkeypatch, suffix, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"mslstm_keras\[{extra}\]' \({module} is not there\)"):
        check_output(f"out{suffix}")


def test_numbers_are_those_of_the_forecast(maps, tmp_path):
    observed, forecast = maps
    write_forecast(tmp_path / "out.npy", observed, forecast, "Rain")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy")[..., 0], forecast.rain_rate)
    write_forecast(tmp_path / "out.nc", observed, forecast, "Rain")
    with xarray.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as written:
        np.testing.assert_array_equal(written.rain_rate, forecast.rain_rate)


def test_pictures_show_what_was_observed_too(maps, tmp_path):
    write_forecast(tmp_path / "out.gif", *maps, "Rain")
    with Image.open(tmp_path / "out.gif") as picture:
        assert picture.n_frames == 6


def test_a_page_tells_the_facts_of_the_maps(maps, tmp_path):
    write_forecast(tmp_path / "out.html", *maps, "Rain", facts={"Model": "ms_lstm"})
    page = read(tmp_path / "out.html")
    assert len(page.pixels()) == 6
    attributes = maps[1].attrs
    for words in (
        f"Service{attributes['service']} Product{attributes['product']} Source{attributes['source']}",
        f"Licence of the data{attributes['licence']} Modelms_lstm",
    ):
        assert words in page.text


@pytest.fixture
def clips():
    """Three frames that were seen, two that stand for a forecast."""
    clip = np.random.default_rng(0).random((5, 8, 12, 1), "float32")
    return clip[:3], clip[3:]


@pytest.mark.parametrize("suffix", [*CLIP_SUFFIXES, ".GIF"])
def test_every_suffix_of_a_clip_is_written(clips, tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    write_clip_forecast(path, *clips, "Digits")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_numbers_are_those_of_the_forecast_of_a_clip(clips, tmp_path):
    write_clip_forecast(tmp_path / "out.npy", *clips, "Cars", value_scale="0:255 cars")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), 255 * clips[1])
    write_clip_forecast(tmp_path / "out.nc", *clips, "Cars")
    with xarray.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as written:
        np.testing.assert_array_equal(written.forecast, clips[1][..., 0])


@pytest.mark.parametrize("name", ["out.avi", "out"])
def test_other_suffixes_are_refused(maps, clips, tmp_path, name):
    for call in (
        check_output,
        lambda path: write_forecast(path, *maps, "Rain"),
        lambda path: write_clip_forecast(path, *clips, "Digits"),
    ):
        with pytest.raises(ValueError, match=rf"`path` must end in .npy, .nc, .* Received: .*{name}$"):
            call(tmp_path / name)
    with pytest.raises(ValueError, match=r"`path` must end in .npy, .nc, .* or .html. Received: .*out.tif$"):
        write_clip_forecast(tmp_path / "out.tif", *clips, "Digits")  # a clip has no place
