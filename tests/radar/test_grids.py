"""Tests of grids: places of pixels, CF attributes, comparison."""

import numpy as np
import pytest

from mslstm_keras.radar.grids import Grid, ground_spacing, pixel_steps, projected
from tests.support.radar_files import LAEA, codes, stamps, write_geotiff

METRES = Grid(LAEA, (3, 4), 1000.0, -2000.0, 500.0, 250.0)
DEGREES = Grid("+proj=longlat +ellps=WGS84", (2, 2), 10.0, 50.0, 0.5, 0.5)


def test_centres_of_pixels():
    np.testing.assert_array_equal(METRES.x, [1250, 1750, 2250, 2750])
    np.testing.assert_array_equal(METRES.y, [-2125, -2375, -2625])
    assert Grid.between(LAEA, (3, 4), west=1000, south=-2750, east=3000, north=-2000) == METRES


@pytest.mark.parametrize("east", [1000.0, 500.0, np.inf, np.nan])
def test_edges_that_bound_nothing(east):
    with pytest.raises(ValueError, match="no grid: 3 x 4 pixels from 1000"):
        Grid.between(LAEA, (3, 4), west=1000, south=-2750, east=east, north=east)


UPRIGHT = (500.0, 0.0, 1000.0, 0.0, -250.0, -2000.0)


@pytest.fixture
def open_raster(tmp_path):
    """Opens a file of 3 x 4 pixels by rasterio, (x, y) being (a column + b row + c, d column + e row + f)."""
    rasterio = pytest.importorskip("rasterio")

    def open_raster(transform, crs=LAEA):
        path = tmp_path / "a.tif"
        time, pixels = stamps("2020-01-01T00:00", 1)[0], codes(0, (3, 4))
        write_geotiff(path, time, pixels, crs=crs, transform=rasterio.Affine(*transform))
        return rasterio.open(path)

    return open_raster


def test_grids_of_rasters(open_raster):
    with open_raster(UPRIGHT) as file:
        assert Grid.of_raster(file).is_like(METRES)
        assert Grid.of_raster(file).projection == file.crs.to_wkt()


@pytest.mark.parametrize(
    ("transform", "crs"),
    [
        (UPRIGHT, None),
        ((500.0, 0.0, 1000.0, 0.0, 250.0, -2750.0), LAEA),
        ((-500.0, 0.0, 3000.0, 0.0, -250.0, -2000.0), LAEA),
        ((500.0, 10.0, 1000.0, 0.0, -250.0, -2000.0), LAEA),
        ((500.0, 0.0, 1000.0, 10.0, -250.0, -2000.0), LAEA),
    ],
)
def test_rasters_that_are_no_such_grid(open_raster, transform, crs):
    with open_raster(transform, crs) as file, pytest.raises(ValueError, match="its northern row first, and"):
        Grid.of_raster(file)


def test_cf_attributes():
    import pyproj

    found = METRES.coordinates()
    assert found["x"][2]["standard_name"] == "projection_x_coordinate" and found["y"][2]["units"] == "m"
    mapping = found["spatial_ref"][2]
    assert mapping["grid_mapping_name"] == "lambert_azimuthal_equal_area"
    assert pyproj.CRS.from_cf(mapping) == pyproj.CRS(LAEA)
    found = DEGREES.coordinates()
    assert found["x"][2]["standard_name"] == "longitude" and found["y"][2]["units"] == "degrees_north"
    assert found["spatial_ref"][2]["grid_mapping_name"] == "latitude_longitude"


def test_grids_are_alike_but_for_rounding():
    def moved(by):
        return Grid(LAEA, (3, 4), 1000.0 + by, -2000.0, 500.0, 250.0)

    assert METRES.is_like(moved(2)) and not METRES.is_like(moved(3))
    assert not METRES.is_like(Grid(LAEA, (3, 4), 1000.0, -2000.0, 500.0, 252.0))
    assert not METRES.is_like(Grid(LAEA, (4, 4), 1000.0, -2000.0, 500.0, 250.0))
    other = LAEA.replace("lon_0=10.0", "lon_0=11.0")
    assert not METRES.is_like(Grid(other, (3, 4), 1000.0, -2000.0, 500.0, 250.0))


def test_places():
    np.testing.assert_allclose(projected(LAEA, 10.0, 55.0), (1950000, -2100000))
    assert projected(DEGREES.projection, 10.0, 55.0) == (10.0, 55.0)
    with pytest.raises(ValueError, match=r"longitude 10.0, latitude 91.0 lie outside"):
        projected(LAEA, 10.0, 91.0)


def maps_on(grid, **places):
    xarray = pytest.importorskip("xarray")
    return xarray.Dataset(coords=grid.coordinates() | places)


def test_steps_of_pixels():
    assert pixel_steps(maps_on(METRES)) == (-250, 500)
    assert pixel_steps(maps_on(METRES).isel(y=slice(None, None, -1))) == (250, 500)
    assert pixel_steps(maps_on(METRES).isel(y=[0])) == (-500, 500)  # squares
    assert pixel_steps(maps_on(METRES).isel(x=[1])) == (-250, 250)
    for wrong in (
        maps_on(METRES).isel(x=[0], y=[0]),
        maps_on(METRES).isel(x=[0, 1, 3]),
        maps_on(METRES).drop_vars("x"),
        maps_on(METRES, x=("x", np.full(4, 7.0))),
    ):
        assert pixel_steps(wrong) is None


def test_spacing_on_the_ground():
    """A square of the area of a pixel; a degree is 111.195 km, and less from west to east."""
    expected = 0.5 * 111_195 * np.sqrt(np.cos(np.radians(49.5)))
    for grid, spacing in ((METRES, np.sqrt(500 * 250)), (DEGREES, expected)):
        assert grid.spacing == ground_spacing(maps_on(grid)) == pytest.approx(spacing, abs=0.1)
    unplaced = Grid.unplaced((3, 4))
    assert unplaced.spacing is None and ground_spacing(maps_on(unplaced)) is None
    assert ground_spacing(maps_on(METRES, x=("x", METRES.x, {"units": "km"}))) is None
    assert ground_spacing(maps_on(METRES).isel(x=[0, 1, 3])) is None
