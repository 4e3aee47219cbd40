"""Tests of MRMS maps: every point of the grid, codes, equality with pysteps, damage."""

import numpy as np
import pytest

from mslstm_keras.formats.checks import damage_of
from mslstm_keras.radar.maps import RATE
from mslstm_keras.radar.mrms import is_grib, read_mrms
from tests.support.radar_files import codes, grib, stamps

TIME = stamps("2019-06-10T00:02", 1)[0]
VALUES = codes(0, (20, 30), 900) / 10
VALUES[0, :3] = (-3, -1, 0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "PrecipRate_00.00_20190610-000200.grib2"


def test_the_whole_grid(path):
    path.write_bytes(grib(TIME, VALUES))
    assert is_grib(path.read_bytes()[:64])
    found, values = read_mrms(path, pixels=True)
    np.testing.assert_allclose(values, VALUES, atol=1e-6)
    assert (found.service, found.quantity, found.time) == ("NOAA", RATE, TIME)
    grid = found.grid
    assert grid.geographic and grid.shape == (20, 30)
    np.testing.assert_allclose((grid.left, grid.top, grid.dx, grid.dy), (-130, 55, 0.01, 0.01), atol=1e-6)


def test_it_equals_pysteps(path, importers):
    pytest.importorskip("pygrib")
    path.write_bytes(grib(TIME, VALUES))
    found, values = read_mrms(path, pixels=True)
    rate, _ = found.rain_rate(values)
    theirs, _, _ = importers.import_mrms_grib(str(path), window_size=1)
    assert theirs[0, 1] == -1 and np.isnan(rate[0, 1])  # pysteps is wrong
    theirs[0, 1] = np.nan
    np.testing.assert_allclose(rate, theirs, atol=1e-5)


@pytest.mark.parametrize("changes", [{"number": 30}, {"category": 10}, {"discipline": 0}])
def test_other_products(path, changes):
    path.write_bytes(grib(TIME, VALUES, **changes))
    with pytest.raises(ValueError, match="must hold MRMS's PrecipRate alone"):
        read_mrms(path, pixels=True)


def test_damaged_pixels_are_no_rain_of_zero(path):
    content = grib(TIME, VALUES)
    at = content.index(b"IDAT") + 40
    path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
    with pytest.raises(ValueError, match="broken PNG"), damage_of(path, "A map must be whole."):
        read_mrms(path, pixels=True)


def test_damaged_headers(path):
    """Every byte before the picture, changed: an error or a map, and the process goes on."""
    content = grib(TIME, VALUES)
    read = 0
    for at in range(content.index(b"IDAT")):
        path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        try:
            with damage_of(path, "A map must be whole."):
                read_mrms(path, pixels=True)
            read += 1
        except ValueError:
            pass
    assert 0 < read < at / 2


def scanned(content, mode):
    """Returns the content of a file with another scanning mode, its latitudes being those of that."""
    changed = bytearray(content)
    section = content.index(b"\x00\x00\x00\x48\x03")  # of 72 bytes, number 3
    changed[section + 71] = mode
    if mode & 0x40:
        north, south = content[section + 46 : section + 50], content[section + 55 : section + 59]
        changed[section + 46 : section + 50], changed[section + 55 : section + 59] = south, north
    return bytes(changed)


def test_the_southern_row_may_be_first(path):
    path.write_bytes(scanned(grib(TIME, VALUES), 0x40))
    found, values = read_mrms(path, pixels=True)
    np.testing.assert_allclose(values[::-1], VALUES, atol=1e-6)
    np.testing.assert_allclose((found.grid.left, found.grid.top), (-130, 55), atol=1e-6)


@pytest.mark.parametrize("mode", [0x80, 0x20, 0x10])
def test_other_orders_of_points(path, mode):
    path.write_bytes(scanned(grib(TIME, VALUES), mode))
    with pytest.raises(ValueError, match=r"must have rows .* from west to east, has .* scanning mode"):
        read_mrms(path, pixels=True)


def test_other_editions(path):
    path.write_bytes(b"GRIB\0\0\x64\x01" + bytes(92))
    with pytest.raises(ValueError, match="must be of GRIB edition 2, is of edition 1"):
        read_mrms(path, pixels=False)


def test_cut_off(path):
    content = grib(TIME, VALUES)
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match="A map must be whole"), damage_of(path, "A map must be whole."):
        read_mrms(path, pixels=True)
