"""Rain maps brought to another number of pixels."""

import warnings

import dask.array
import numpy as np
import pytest
import xarray

from mslstm_keras.radar.grids import Grid, pixel_steps
from mslstm_keras.radar.read import RadarMaps, read_radar
from mslstm_keras.radar.resizing import resize_maps
from tests.support.radar_files import STERE, write_knmi_maps

GRID = Grid(STERE, (12, 18), -100_000.0, -3_650_000.0, 1000.0, 1000.0)


def maps_of(rates, grid=None):
    grid = grid or Grid(STERE, rates.shape[1:], -100_000.0, -3_650_000.0, 1000.0, 1000.0)
    time = np.datetime64("2010-08-26T00:05", "ns") + np.arange(len(rates)) * np.timedelta64(5, "m")
    rain = {"units": "mm/h", "grid_mapping": "spatial_ref", "cell_methods": "time: point"}
    return xarray.Dataset(
        {"rain_rate": (("time", "y", "x"), rates.astype("float32"), rain)},
        {"time": time, **grid.coordinates()},
        {"service": "KNMI", "interval_minutes": 5.0},
    )


def rain(*shape):
    return np.random.default_rng(0).gamma(0.5, 4.0, shape).astype("float32")


def resized(maps, height, width):
    """Returns the new maps, of which the warning is looked at elsewhere."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the maps are brought from")
        return resize_maps(maps, height, width)


@pytest.mark.parametrize("size", [(6, 6), (4, 9), (1, 1), (12, 3)])
def test_it_is_coarsen_where_the_sides_divide(size):
    maps = maps_of(rain(3, 12, 18))
    blocks = {"y": 12 // size[0], "x": 18 // size[1]}
    expected = maps.rain_rate.coarsen(blocks).mean()
    found = resized(maps, *size)
    np.testing.assert_allclose(found.rain_rate, expected, rtol=1e-6)
    for axis in "yx":
        np.testing.assert_allclose(found[axis], expected[axis], rtol=1e-12)


@pytest.mark.parametrize("size", [(5, 7), (7, 5), (11, 17), (1, 18), (25, 40), (12, 19), (24, 36), (100, 1)])
def test_the_amount_of_rain_and_the_edges_stay(size):
    maps = maps_of(rain(2, 12, 18))
    found = resized(maps, *size)
    assert found.rain_rate.shape == (2, *size) and found.rain_rate.dtype == "float32"
    np.testing.assert_allclose(found.rain_rate.mean(("y", "x")), maps.rain_rate.mean(("y", "x")), rtol=1e-6)
    assert found.rain_rate.max() <= maps.rain_rate.max() and found.rain_rate.min() >= maps.rain_rate.min()
    if min(size) > 1:
        (dy, dx), (height, width) = pixel_steps(found), size
        np.testing.assert_allclose((dy * height, dx * width), (-12_000, 18_000), rtol=1e-12)
        np.testing.assert_allclose(
            (found.y[0] - dy / 2, found.x[0] - dx / 2), (GRID.top, GRID.left), rtol=1e-12
        )


def test_it_is_the_mean_by_areas():
    maps = maps_of(rain(1, 5, 7))
    rows, columns = (
        np.array([[max(0, min(i + 1, (j + 1) * r) - max(i, j * r)) for j in range(n)] for i in range(m)])
        for n, m, r in ((5, 3, 3 / 5), (7, 4, 4 / 7))
    )
    expected = rows @ maps.rain_rate[0].values.astype("float64") @ columns.T
    np.testing.assert_allclose(resized(maps, 3, 4).rain_rate[0], expected, rtol=1e-6)


def test_twice_as_many_pixels_repeat_each():
    maps = maps_of(rain(1, 4, 6))
    expected = maps.rain_rate.values.repeat(2, axis=1).repeat(3, axis=2)
    np.testing.assert_array_equal(resized(maps, 8, 18).rain_rate, expected)


def test_a_pixel_is_missing_if_less_than_half_of_it_was_observed():
    rates = np.full((1, 2, 8), 3.0)
    rates[0, :, 2] = np.nan  # half of the second pixel
    rates[0, :, 4:6] = np.nan  # all of the third
    rates[0, 0, 6:] = rates[0, 1, 7] = np.nan  # three quarters of the fourth
    np.testing.assert_array_equal(resized(maps_of(rates), 1, 4).rain_rate, [[[3, 3, np.nan, np.nan]]])


def test_the_mean_is_over_what_was_observed():
    rates = np.array([[[1.0, 2.0, 3.0, np.nan]]])
    np.testing.assert_allclose(resized(maps_of(rates), 1, 1).rain_rate, [[[2.0]]])


@pytest.mark.parametrize("whole", [0.1, 1 / 3, 0.7])
def test_rounding_neither_hides_nor_invents_rain(whole):
    """Half of a pixel of thirds counts as half; constant rates stay; no rain stays 0."""
    rates = np.full((1, 3, 9), whole)
    rates[0, :, :3] = 0
    found = resized(maps_of(rates), 2, 6).rain_rate.values
    assert (found[..., :2] == 0).all()
    np.testing.assert_allclose(found[..., 2:], whole, rtol=1e-6)
    rates[0, 1:, 3:] = np.nan
    np.testing.assert_allclose(resized(maps_of(rates), 2, 3).rain_rate[0, 0, 1:], whole, rtol=1e-6)


def test_what_else_is_said_of_the_maps_stays():
    maps = maps_of(rain(2, 12, 18))
    found = resized(maps, 4, 6)
    assert found.attrs == maps.attrs and found.spatial_ref.attrs == maps.spatial_ref.attrs
    assert found.rain_rate.attrs == {**maps.rain_rate.attrs, "cell_methods": "time: point area: mean"}
    assert found.rain_rate.dims == ("time", "y", "x")
    for axis in "yx":
        assert found[axis].attrs == maps[axis].attrs
    np.testing.assert_array_equal(found.time, maps.time)
    assert maps.rain_rate.attrs["cell_methods"] == "time: point"  # as they were


def test_rows_may_run_from_south_to_north():
    maps = maps_of(rain(1, 12, 18))
    turned = resized(maps.isel(y=slice(None, None, -1)), 5, 6)
    expected = resized(maps, 5, 6).isel(y=slice(None, None, -1))
    xarray.testing.assert_allclose(turned, expected)


@pytest.mark.parametrize(
    ("grid", "size", "said"),
    [
        (GRID, (4, 6), "from 12 x 18 to 4 x 6 pixels of 3 km, by means over areas"),
        (GRID, (3, 6), "to 3 x 6 pixels of 4 x 3 km"),
        (Grid("EPSG:4326", (12, 18), 5.0, 50.0, 0.01, 0.01), (6, 9), "to 6 x 9 pixels of 0.02 degrees"),
        (Grid.unplaced((12, 18)), (6, 9), "to 6 x 9 pixels, by means over areas"),
    ],
)
def test_it_is_said_once(grid, size, said):
    with pytest.warns(UserWarning, match="the maps are brought") as warned:
        resize_maps(maps_of(rain(1, 12, 18), grid), *size)
    assert len(warned) == 1 and said in str(warned[0].message)


def test_the_same_size_is_no_change():
    maps = maps_of(rain(1, 12, 18))
    assert resize_maps(maps, 12, 18) is maps


def test_one_pixel():
    """Its neighbours in the other direction say how large it is; without any nobody does."""
    maps = maps_of(rain(1, 1, 6))
    found = resized(maps, 2, 3)
    np.testing.assert_allclose(found.y, maps.y[0].item() + np.array([250.0, -250.0]))
    with pytest.raises(
        ValueError, match="`maps` must have evenly spaced `x` and `y`, of more than one pixel"
    ):
        resize_maps(maps.isel(x=[0]), 2, 2)
    assert resized(maps.drop_vars(["x", "y"]).isel(x=[0]), 2, 2).rain_rate.shape == (1, 2, 2)


def test_only_maps_that_are_used_are_read(tmp_path, monkeypatch):
    """And none of them at once."""
    maps, seen = read_radar(write_knmi_maps(tmp_path / "maps", 6, (16, 24))), []
    read = RadarMaps.read
    monkeypatch.setattr(RadarMaps, "read", lambda self, index: seen.append(int(index)) or read(self, index))
    found = resized(maps, 8, 8)
    assert isinstance(found.rain_rate.data, dask.array.Array) and not seen
    last = found.rain_rate[-1].values
    assert seen == [5]
    np.testing.assert_allclose(last, maps.rain_rate[-1].coarsen(y=2, x=3).mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("height", "width", "message"),
    [
        (0, 4, "`height` must be a positive number of pixels. Received: height=0"),
        (4, 1.5, "`width` must be a positive number of pixels. Received: width=1.5"),
        (2**13, 2**14, "`height` x `width` must be at most 67108864 pixels. Received: 8192 x 16384"),
    ],
)
def test_sizes_that_are_none(height, width, message):
    with pytest.raises(ValueError, match=message):
        resize_maps(maps_of(rain(1, 4, 4)), height, width)


def test_other_axes_are_refused():
    with pytest.raises(
        ValueError, match=r"`maps` must hold rain_rate \(time, y, x\), none empty. Received: {'y': 4"
    ):
        resize_maps(maps_of(rain(1, 4, 4)).isel(time=0), 2, 2)
    with pytest.raises(ValueError, match="`maps` must have evenly spaced `x` and `y`"):
        resize_maps(maps_of(rain(1, 4, 4)).isel(x=[0, 1, 3]), 2, 2)
