"""Rain maps written as GeoTIFF, read back by rasterio."""

import warnings

import numpy as np
import pyproj
import pytest
import rasterio
import xarray

from mslstm_keras.forecasting.maps import last_maps
from mslstm_keras.radar.geotiff import write_geotiff
from mslstm_keras.radar.grids import Grid
from mslstm_keras.radar.read import read_radar
from tests.support.processes import no_file_larger_than
from tests.support.radar_files import LAEA, STERE, write_knmi_maps

METRES = Grid(STERE, (6, 9), -100_000.0, -3_650_000.0, 1000.0, 2000.0)
DEGREES = Grid("EPSG:4326", (6, 9), -95.01, 39.98, 0.01, 0.02)
SWISS = Grid("EPSG:21781", (6, 9), 255_000.0, 480_000.0, 1000.0, 1000.0)
EUROPE = Grid(LAEA, (6, 9), 0.0, 0.0, 2000.0, 2000.0)
ROTATED = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18"  # a GeoTIFF has no word for it


def maps_on(grid, count=3, **attributes):
    """Maps of a grid, 5 minutes apart, with a pixel that was not observed."""
    rates = np.random.default_rng(0).gamma(0.5, 4.0, (count, *grid.shape)).astype("float32")
    rates[:, 0, 1] = np.nan
    time = np.datetime64("2010-08-26T00:05", "ns") + np.arange(count) * np.timedelta64(5, "m")
    rain = {"units": "mm/h", "grid_mapping": "spatial_ref"}
    return xarray.Dataset(
        {"rain_rate": (("time", "y", "x"), rates, rain)},
        {"time": time, **grid.coordinates()},
        {"service": "KNMI", "product": "RAP", "licence": "CC BY 4.0", "interval_minutes": 5.0, **attributes},
    )


@pytest.mark.filterwarnings("ignore:angle from rectified to skew grid parameter lost in conversion to CF")
@pytest.mark.parametrize("grid", [METRES, DEGREES, SWISS, EUROPE], ids=str)
@pytest.mark.parametrize("suffix", [".tif", ".TIFF"])
def test_what_is_written_is_what_is_read(tmp_path, grid, suffix):
    maps, path = maps_on(grid), tmp_path / f"out{suffix}"
    write_geotiff(path, maps)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), maps.rain_rate.values)
        assert file.dtypes == ("float32",) * 3 and np.isnan(file.nodata)
        np.testing.assert_array_equal(file.read_masks(1) == 0, np.isnan(maps.rain_rate[0]))
        assert pyproj.CRS(file.crs.to_wkt()) == pyproj.CRS.from_cf(maps.spatial_ref.attrs)
        expected = (grid.left, grid.dx, 0, grid.top, 0, -grid.dy)
        np.testing.assert_allclose(file.transform.to_gdal(), expected, atol=1e-6 * grid.dx, rtol=0)
        for row, column in ((0, 0), (5, 8)):
            place = file.xy(row, column)
            np.testing.assert_allclose(place, (maps.x[column], maps.y[row]), atol=1e-6 * grid.dx, rtol=0)
        assert file.profile["compress"] == "deflate" and file.profile["tiled"]
        assert file.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "3"
        assert file.descriptions == tuple(f"2010-08-26T00:{minute:02}:00Z" for minute in (5, 10, 15))
        assert file.units == ("mm/h",) * 3
        said = file.tags()
        assert said["service"] == "KNMI" and said["product"] == "RAP" and said["licence"] == "CC BY 4.0"
        assert said["units"] == "mm/h"


def test_bands_of_a_forecast_say_when_it_was_made_and_how_far_they_are_ahead(tmp_path):
    observed = maps_on(METRES)
    with pytest.warns(UserWarning, match="pixels of the maps were not observed"):
        seen = last_maps(observed, 3, "rain:dwd")
    forecast = seen.forecast(np.full((2, 6, 9, 1), 0.5, "float32"))
    write_geotiff(tmp_path / "out.tif", forecast)
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.descriptions == ("2010-08-26T00:20:00Z, +5 min", "2010-08-26T00:25:00Z, +10 min")
        assert file.tags(2)["valid_time"] == "2010-08-26T00:25:00Z" and file.tags(2)["lead_time"] == "PT600S"
        assert file.tags()["forecast_reference_time"] == "2010-08-26T00:15:00Z"
        np.testing.assert_array_equal(file.read(), forecast.rain_rate)


def test_the_northern_row_is_the_first(tmp_path):
    maps = maps_on(METRES)
    write_geotiff(tmp_path / "out.tif", maps.isel(y=slice(None, None, -1), x=slice(None, None, -1)))
    with rasterio.open(tmp_path / "out.tif") as file:
        np.testing.assert_array_equal(file.read(), maps.rain_rate)
        assert file.bounds.top == METRES.top and file.bounds.left == METRES.left


def test_lazy_maps_are_read_one_by_one(tmp_path):
    """As those of a weather service are."""
    maps = read_radar(write_knmi_maps(tmp_path / "maps", 3, (16, 24)))
    write_geotiff(tmp_path / "out.tif", maps)
    with rasterio.open(tmp_path / "out.tif") as file:
        np.testing.assert_array_equal(file.read(), maps.rain_rate)
        assert pyproj.CRS(file.crs.to_wkt()) == pyproj.CRS.from_cf(maps.spatial_ref.attrs)


def test_a_single_row_has_square_pixels(tmp_path):
    write_geotiff(tmp_path / "out.tif", maps_on(METRES).isel(y=[0]))
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.res == (1000, 1000) and file.xy(0, 0) == (METRES.x[0], METRES.y[0])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda maps: maps.drop_vars("spatial_ref"), "they have no grid mapping"),
        (lambda maps: maps.drop_vars("x"), "their `x` and `y` are not evenly spaced"),
        (lambda maps: maps.isel(x=[0, 1, 3]), "their `x` and `y` are not evenly spaced"),
        (lambda maps: maps.isel(x=[0], y=[0]), "their `x` and `y` are not evenly spaced"),
        (
            lambda maps: maps.assign_coords(x=("x", METRES.x / 1000, {"units": "km"})),
            "their `x` is in km, neither",
        ),
        (
            lambda maps: maps.assign_coords(spatial_ref=((), 0, {"grid_mapping_name": "odd"})),
            "their grid mapping cannot be read",
        ),
        (
            lambda maps: maps.assign_coords(
                spatial_ref=(
                    (),
                    0,
                    pyproj.CRS(ROTATED).to_cf(),
                )
            ),
            "a GeoTIFF has no word for their projection",
        ),
    ],
)
def test_what_does_not_say_where_it_is_is_written_without_a_place(tmp_path, change, reason):
    maps = change(maps_on(METRES))
    with pytest.warns(UserWarning, match=f"out.tif does not say where its maps are, as {reason}") as said:
        write_geotiff(tmp_path / "out.tif", maps)
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "out.tif") as file:
            assert file.crs is None
            np.testing.assert_array_equal(file.read(), maps.rain_rate)


@pytest.mark.parametrize(
    "change",
    [
        lambda maps: maps.drop_vars("time"),
        lambda maps: maps.isel(time=0),
        lambda maps: maps.isel(time=[]),
    ],
)
def test_other_axes_are_refused(tmp_path, change):
    with pytest.raises(ValueError, match=r"`maps` must hold rain_rate \(time, y, x\) with times, none empty"):
        write_geotiff(tmp_path / "out.tif", change(maps_on(METRES)))


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must end in .tif or .tiff. Received: .*out.png"):
        write_geotiff(tmp_path / "out.png", maps_on(METRES))


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "out.tif"
    path.write_bytes(b"before")
    with no_file_larger_than(1000), pytest.raises(OSError, match=r"out\.tif"):
        write_geotiff(path, maps_on(Grid(STERE, (200, 300), 0.0, 0.0, 1000.0, 1000.0)))
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_the_package_that_is_needed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rasterio", None)
    with pytest.raises(
        ImportError, match=r"A GeoTIFF needs pip install 'mslstm_keras\[radar\]' \(rasterio is not there\)"
    ):
        write_geotiff(tmp_path / "out.tif", maps_on(METRES))
