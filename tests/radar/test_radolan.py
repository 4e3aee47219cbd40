"""Tests of RADOLAN maps: products, flags, nowcasts, grids, ASCII, damage."""

import gzip
import sys

import numpy as np
import pytest

from mslstm_keras.radar.maps import DEPTH, REFLECTIVITY
from mslstm_keras.radar.radolan import is_ascii_grid, is_radolan, read_ascii_grid, read_radolan
from tests.support.radar_files import codes, digits, radolan, radolan_name, stamps

TIME = stamps("2020-01-01T15:05", 1)[0]
SIZE = (900, 900)
VALUES = codes(0, SIZE)
MISSING = 0x29C4


def read(path, content):
    assert is_radolan(content[:64])
    path.write_bytes(content)
    return read_radolan(path, pixels=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / radolan_name(TIME)


def test_depths_are_turned_north_up(path):
    values = VALUES.copy()
    values[0, :3] = (MISSING, 0x8000 | 7, 0x1000 | 5)
    found, rain = read(path, radolan(TIME, values))
    assert (found.service, found.product, found.quantity) == ("DWD", "RADOLAN RY", DEPTH)
    assert (found.minutes, found.time, found.issued) == (5, TIME, None)
    np.testing.assert_allclose(rain[:-1], VALUES[:0:-1] * 0.01)
    np.testing.assert_allclose(rain[-1, :3], [np.nan, 0.07, 0.05])  # clutter keeps its value


def test_where_pysteps_is_wrong(path, importers):
    """Why maps are not decoded by it. Where this fails, it has become right."""
    read(path, radolan(TIME, VALUES))
    theirs, _, _ = importers.import_dwd_radolan(str(path), "RY")
    _, ours = read(path, radolan(TIME, VALUES))
    np.testing.assert_allclose(theirs[::-1] + 0.01, ours, atol=1e-9)


def test_the_grid_of_germany(path):
    """DWD's own place of the south-western corner: 46.9526 N, 3.5889 E."""
    from mslstm_keras.radar.grids import projected

    grid = read(path, radolan(TIME, VALUES))[0].grid
    corner = projected(grid.projection, 3.5889, 46.9526)
    np.testing.assert_allclose((grid.left, grid.top - 900 * grid.dy), corner, atol=10)
    assert (grid.dx, grid.dy) == (1000, 1000)
    newer = read(path, radolan(TIME, codes(1, (1200, 1100)), version=5))[0].grid
    assert newer.shape == (1200, 1100) and "WGS" in newer.projection


def test_reflectivities_of_8_bits(path):
    values = codes(0, SIZE, 200).astype(np.uint8)
    values[-1, :4] = (249, 250, 255, 0)
    found, dbz = read(path, radolan(TIME, values, product="RX", precision="E+00"))
    assert (found.quantity, found.minutes) == (REFLECTIVITY, None)
    np.testing.assert_allclose(dbz[0, :4], [np.nan, np.nan, np.nan, -32.5])
    np.testing.assert_allclose(dbz[1:], values[-2::-1] / 2.0 - 32.5)


def test_other_times_of_summation(path):
    found, rain = read(path, radolan(TIME, VALUES, product="RW", precision="E-01", minutes=60))
    assert (found.product, found.minutes) == ("RADOLAN RW", 60)
    np.testing.assert_allclose(rain, VALUES[::-1] * 0.1)
    found, _ = read(path, radolan(TIME, VALUES, product="YW", extra="VR2017.002"))
    assert found.product == "RADKLIM YW 2017.002"


def test_nowcasts(path):
    found, _ = read(path, radolan(TIME, VALUES, product="RV", extra="VV 115"))
    assert found.issued == TIME and found.time == TIME + np.timedelta64(115, "m")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content[:-1], "must be followed by 1620000 bytes"),
        (lambda content: content + b"\x00", "must be followed by 1620000 bytes, says 1620000, has 1620001"),
        (lambda content: content.replace(b"BY16", b"BY99", 1), "must be followed by 1620000 bytes, says 99"),
        (lambda content: content.replace(b"RY0115", b"RY9915", 1), "unconverted data"),
        (lambda content: content[:50], "no end of header within 1024 bytes"),
        (lambda content: content.replace(b"10000", b"10132", 1), "must be a composite, radar 10000"),
        (
            lambda content: content.replace(b"RY", b"PG", 1),
            "must be a product of rain or reflectivity, is PG",
        ),
        (lambda content: content.replace(b"900x 900", b"900x 901"), "must be followed by 1621800 bytes"),
        (lambda content: content.replace(b"900x 900", b"9999x999"), "must be followed by|at most"),
        (lambda content: content.replace(b"E-02", b"E+09"), "must say a precision"),
        (lambda content: content.replace(b"INT   5", b"INT   0"), "must say over how many minutes"),
    ],
)
def test_damage(path, change, said):
    path.write_bytes(change(radolan(TIME, VALUES)))
    with pytest.raises(ValueError, match=said):
        read_radolan(path, pixels=True)


def test_maps_of_one_radar(path):
    """Whose headers are others."""
    path.write_bytes(b"DX021655109080608BY53213VS 2CO0CD1CS0EP0.30.30.30.30.30.30.30.3MS  0\x03" + bytes(99))
    with pytest.raises(ValueError, match="must be a product of rain or reflectivity, is DX"):
        read_radolan(path, pixels=False)


def test_without_wradlib(path, monkeypatch):
    path.write_bytes(radolan(TIME, VALUES))
    monkeypatch.setitem(sys.modules, "wradlib.io.radolan", None)
    with pytest.raises(ImportError, match=r"A RADOLAN composite needs .*pip install 'mslstm_keras\[radar\]'"):
        read_radolan(path, pixels=True)


class TestAsciiGrid:
    def write(self, folder, name=None, **changes):
        said = {"ncols": 900, "nrows": 900, "xllcorner": -523462, "yllcorner": -4658645} | changes
        said = {**said, "cellsize": 1000, "NODATA_value": changes.get("NODATA_value", -1)}
        rows = VALUES.astype(int)
        rows[0, 0] = -1
        lines = [f"{key} {value}" for key, value in said.items()] + [" ".join(map(str, row)) for row in rows]
        path = folder / (name or f"RW_{digits(TIME, '%Y%m%d-%H%M')}.asc")
        path.write_text("\n".join(lines) + "\n")
        return path

    def test_tenths_of_millimetres(self, tmp_path):
        path = self.write(tmp_path)
        assert is_ascii_grid(path.read_bytes()[:64])
        found, rain = read_ascii_grid(path, pixels=True)
        assert (found.product, found.minutes, found.time) == ("RADOLAN RW", 60, TIME)
        assert np.isnan(rain[0, 0])
        np.testing.assert_allclose(rain[1:], VALUES[1:] / 10)  # the northern row is first

    def test_millimetres_are_no_tenths_of_them(self, tmp_path):
        path = self.write(tmp_path)
        path.write_text(path.read_text().replace(" 3 ", " 0.3 ", 1))
        with pytest.raises(ValueError, match=r"must hold tenths of a millimetre, .*, holds fractions"):
            read_ascii_grid(path, pixels=True)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"name": "rain.asc"}, "must be named as DWD does"),
            ({"xllcorner": 0}, "must lie on DWD's grid"),
            ({"NODATA_value": -9999}, "must mark missing values by -1"),
            ({"nrows": 30000, "ncols": 30000}, "at most|must hold"),
        ],
    )
    def test_what_cannot_be_read(self, tmp_path, changes, said):
        path = self.write(tmp_path, **changes)
        with pytest.raises(ValueError, match=said):
            read_ascii_grid(path, pixels=True)


def test_what_is_none():
    assert not is_radolan(b"RY is a product") and not is_radolan(gzip.compress(b"RY"))
    assert not is_ascii_grid(b"ncols are many")
