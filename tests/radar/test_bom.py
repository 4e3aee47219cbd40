"""Tests of Rainfields maps: depths, grid, equality with pysteps."""

import h5py
import numpy as np
import pytest

from mslstm_keras.radar.bom import is_rainfields, read_rainfields
from mslstm_keras.radar.maps import DEPTH
from tests.support.radar_files import codes, stamps, write_rainfields

TIME = stamps("2020-10-31T00:10", 1)[0]
VALUES = codes(0, (6, 8)).astype(np.int16)
VALUES[-1, 0] = -1


@pytest.fixture
def path(tmp_path):
    return write_rainfields(tmp_path / "66_20201031_001000.prcp-c10.nc", TIME, VALUES)


def test_depths(path):
    with h5py.File(path) as file:
        assert is_rainfields(file)
    found, values = read_rainfields(path, pixels=True)
    np.testing.assert_allclose(values, np.where(VALUES == -1, np.nan, VALUES * 0.05))
    assert (found.service, found.quantity, found.minutes, found.time) == ("BoM", DEPTH, 10, TIME)
    grid = found.grid
    assert (grid.left, grid.top, grid.dx, grid.dy) == (-2000, 1500, 500, 500)
    np.testing.assert_allclose(grid.x[[0, -1]], [-1750, 1750])


def test_it_equals_pysteps_but_for_the_grid(path, importers):
    pytest.importorskip("netCDF4")
    theirs, _, facts = importers.import_bom_rf3(str(path))
    np.testing.assert_allclose(read_rainfields(path, pixels=True)[1], theirs, atol=1e-6)
    assert facts["accutime"] == 10
    assert facts["x1"] == -1750  # the centre of a pixel, where the edge is meant


def test_the_southern_row_may_be_first(path):
    with h5py.File(path, "a") as file:
        file["y"][:] = file["y"][()][::-1]
    found, values = read_rainfields(path, pixels=True)
    assert found.grid.top == 1500
    np.testing.assert_allclose(values[1:], VALUES[-2::-1] * 0.05)


def test_the_highest_number_is_no_rain_where_none_is_no_data(path):
    with h5py.File(path, "a") as file:
        del file["precipitation"].attrs["_FillValue"]
    assert read_rainfields(path, pixels=True)[1].min() < 0
    with h5py.File(path, "a") as file:
        file["precipitation"][0, 0] = 32767
    with pytest.raises(ValueError, match=r"must say which number is not observed, .* has pixels of 32767"):
        read_rainfields(path, pixels=True)


def test_the_axes_are_known_by_their_names(path):
    import xarray as xr

    with xr.open_dataset(path, engine="h5netcdf", mask_and_scale=False, decode_times=False) as data:
        turned = data.load().transpose("x", "y")
    turned.to_netcdf(path, engine="h5netcdf")
    found, values = read_rainfields(path, pixels=True)
    assert found.grid.shape == values.shape == VALUES.shape
    np.testing.assert_allclose(values[1:-1], VALUES[1:-1] * 0.05)


def test_places_without_a_unit(path):
    with h5py.File(path, "a") as file:
        del file["x"].attrs["units"]
    with pytest.raises(ValueError, match="must be in m or km, are in no unit"):
        read_rainfields(path, pixels=False)


def test_what_cannot_be_read(path):
    write_rainfields(path, TIME, VALUES, units="K")
    with pytest.raises(ValueError, match="must be of rain depth in kg m-2 or mm, is in K"):
        read_rainfields(path, pixels=True)
    write_rainfields(path, TIME, VALUES)
    with h5py.File(path, "a") as file:
        file["x"][1] += 0.2
    with pytest.raises(ValueError, match="must be on a regular grid"):
        read_rainfields(path, pixels=True)
