"""Tests of FMI's maps: PGM as its header says and as pysteps reads it, GeoTIFF as its metadata say, damage."""

import numpy as np
import pytest

from mslstm_keras.radar.fmi import is_pgm, is_tiff, read_geotiff, read_pgm
from mslstm_keras.radar.maps import DEPTH, RATE, REFLECTIVITY
from tests.support.radar_files import codes, pgm, stamps, write_geotiff

TIME = stamps("2016-09-28T14:45", 1)[0]
VALUES = codes(0, (12, 8))
VALUES[0, :2] = 255


@pytest.fixture
def path(tmp_path):
    return tmp_path / "201609281445_fmi.radar.composite.lowest_FIN_SUOMI1.pgm"


class TestPgm:
    def test_reflectivities(self, path):
        path.write_bytes(pgm(TIME, VALUES))
        assert is_pgm(path.read_bytes()[:64])
        found, values = read_pgm(path, pixels=True)
        np.testing.assert_array_equal(values, np.where(VALUES == 255, np.nan, VALUES / 2 - 32))
        assert (found.service, found.quantity, found.time) == ("FMI", REFLECTIVITY, TIME)
        assert found.product == "CAPPI LOWEST FIN SUOMI1"

    def test_it_is_as_pysteps_reads_it(self, path, importers):
        import pyproj

        path.write_bytes(pgm(TIME, np.arange(256).reshape(16, 16)))
        found, values = read_pgm(path, pixels=True)
        theirs, _, facts = importers.import_fmi_pgm(str(path))
        np.testing.assert_array_equal(values, theirs)
        grid = found.grid
        assert pyproj.CRS(grid.projection) == pyproj.CRS(facts["projection"])
        edges = (grid.left, grid.top, grid.left + 16 * grid.dx, grid.top - 16 * grid.dy)
        np.testing.assert_allclose(edges, [facts[name] for name in ("x1", "y2", "x2", "y1")], atol=1e-3)

    def test_numbers_may_be_written_as_text(self, path):
        content = pgm(TIME, VALUES)
        head = content[: -VALUES.size].replace(b"P5", b"P2", 1)
        path.write_bytes(head + " ".join(map(str, VALUES.ravel())).encode())
        values = read_pgm(path, pixels=True)[1]
        path.write_bytes(content)
        np.testing.assert_array_equal(values, read_pgm(path, pixels=True)[1])

    def test_the_grid_of_finland(self, path):
        path.write_bytes(pgm(TIME, codes(0, (1226, 760))))
        grid = read_pgm(path, pixels=False)[0].grid
        np.testing.assert_allclose((grid.dx, grid.dy), (999.674053, 999.62859), rtol=1e-5)
        np.testing.assert_allclose(grid.left, 0, atol=1)  # the false easting is that of this corner

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"obstime": None}, "must say of which time it is"),
            ({"obstime": "yesterday"}, "times must be written YYYYMMDDHHMM, one is 'yesterday'"),
            ({"param": "EchoTop"}, "must be of reflectivity, is of EchoTop"),
            ({"param": None}, "must be of reflectivity, is of no `param`"),
            ({"type": "mercator"}, "must be in the stereographic projection, is mercator"),
            ({"type": None}, "must be in the stereographic projection, is in none"),
            ({"bottomleft": "18.6"}, "not enough values"),
            ({"topright": "18.6 57.93"}, "no grid: 12 x 8 pixels"),
        ],
    )
    def test_what_cannot_be_read(self, path, changes, said):
        path.write_bytes(pgm(TIME, VALUES, **changes))
        with pytest.raises(ValueError, match=said):
            read_pgm(path, pixels=True)

    def test_claims_of_size(self, path):
        content = pgm(TIME, VALUES)
        for size, said in (
            (b"60000 60000", "must have at most"),
            (b"8000 8000", "must hold 8000 x 8000 pixels"),
        ):
            path.write_bytes(content.replace(b"\n8 12\n", b"\n" + size + b"\n"))
            with pytest.raises(ValueError, match=said):
                read_pgm(path, pixels=True)
        path.write_bytes(content.replace(b"\n8 12\n255\n", b"\n8 12\n127\n"))
        with pytest.raises(ValueError, match=r"must have pixels up to 255, .* has them up to 127"):
            read_pgm(path, pixels=True)
        path.write_bytes(content[:-1])
        with pytest.raises(ValueError, match="must hold 12 x 8 pixels"):
            read_pgm(path, pixels=True)
        path.write_bytes(content[:40])
        with pytest.raises(ValueError, match="no header within"):
            read_pgm(path, pixels=True)


class TestGeotiff:
    def test_reflectivities(self, path):
        write_geotiff(path, TIME, VALUES)
        assert is_tiff(path.read_bytes()[:64])
        found, values = read_geotiff(path, pixels=True)
        expected = np.where(VALUES == 0, -np.inf, VALUES / 2 - 32)
        np.testing.assert_array_equal(values, np.where(VALUES == 255, np.nan, expected))
        assert (found.quantity, found.time, found.product) == (REFLECTIVITY, TIME, "Corrected reflectivity")
        grid = found.grid
        assert (grid.left, grid.top, grid.dx, grid.dy) == (-196000, 8084000, 250, 250)
        assert "TM35FIN" in grid.projection

    def test_other_units(self, path):
        write_geotiff(path, TIME, VALUES, {"Quantity": ("mm/h", "Rain rate"), "Offset": ("", "0")})
        found, values = read_geotiff(path, pixels=True)
        assert found.quantity == RATE and values[0, 2] == 0 and values[-1, 0] == VALUES[-1, 0] / 2
        depth = {"Quantity": ("mm", "Rain"), "Accumulation time": ("min", "60")}
        found, _ = read_geotiff(write_geotiff(path, TIME, VALUES, depth), pixels=False)
        assert (found.quantity, found.minutes) == (DEPTH, 60)
        depth["Accumulation time"] = ("h", "3")
        assert read_geotiff(write_geotiff(path, TIME, VALUES, depth), pixels=False)[0].minutes == 180

    def test_a_rate_is_a_rate_whatever_else_is_said(self, path):
        items = {"Quantity": ("mm/h", "Rain rate"), "Offset": ("", "0"), "Accumulation time": ("min", "5")}
        found, values = read_geotiff(write_geotiff(path, TIME, VALUES, items), pixels=True)
        rate, _ = found.rain_rate(values)
        assert found.minutes is None and rate[-1, 0] == VALUES[-1, 0] / 2

    def test_what_gdal_says_of_the_band_holds_where_the_metadata_say_nothing(self, path):
        import rasterio

        values = np.array([[0, 4, 65535]])
        plain = dict.fromkeys(("Gain", "Offset", "Nodata", "Undetect"))
        rate = {"Quantity": ("mm/h", "Rain rate")} | plain
        write_geotiff(path, TIME, values, rate, dtype="uint16", nodata=65535)
        with rasterio.open(path, "r+") as file:
            file.scales, file.offsets = [0.5], [1.0]
        np.testing.assert_array_equal(read_geotiff(path, pixels=True)[1], [[1, 3, np.nan]])
        # Metadata go before it: no echo is observed, whatever GDAL says.
        write_geotiff(path, TIME, values, {"Nodata": ("", "65535")}, dtype="uint16", nodata=0)
        np.testing.assert_array_equal(read_geotiff(path, pixels=True)[1], [[-np.inf, -30, np.nan]])

    def test_the_highest_number_is_no_rain_where_none_is_no_data(self, path):
        assert (VALUES == 255).any()
        write_geotiff(path, TIME, VALUES, {"Nodata": None})
        with pytest.raises(ValueError, match=r"must say which number is not observed, .* has pixels of 255"):
            read_geotiff(path, pixels=True)
        write_geotiff(path, TIME, VALUES, {"Nodata": None}, nodata=255)
        np.testing.assert_array_equal(np.isnan(read_geotiff(path, pixels=True)[1]), VALUES == 255)

    def test_a_mask_beside_the_band(self, path):
        import rasterio

        write_geotiff(path, TIME, VALUES)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
            file.write_mask(VALUES[-1, 0] != VALUES)
        values = read_geotiff(path, pixels=True)[1]
        assert np.isnan(values[-1, 0]) and np.isnan(values).sum() < values.size

    def test_others_write_such_files_too(self, path):
        found, _ = read_geotiff(write_geotiff(path, TIME, VALUES), pixels=False)
        assert (found.service, found.licence) == ("FMI", "CC BY 4.0, Finnish Meteorological Institute")
        for items, changes in (({}, {"crs": "EPSG:25832"}), ({"Undetect": None}, {})):
            found, _ = read_geotiff(write_geotiff(path, TIME, VALUES, items, **changes), pixels=False)
            assert (found.service, found.licence) == ("unknown", "")

    @pytest.mark.parametrize(
        ("items", "changes", "said"),
        [
            ({"Quantity": ("m", "Height")}, {}, "must say a quantity in dbz, mm/h, mm, says m"),
            ({"Observation time": ("", "")}, {}, "times must be written"),
            ({}, {"count": 3}, "must hold one band, holds 3"),
            ({}, {"crs": None}, "must be on a grid with its northern row first"),
            ({"Gain": ("", "0")}, {}, "must have a gain other than 0"),
            ({"Quantity": ("mm", "Rain")}, {}, "must say over how many minutes"),
            ({"Quantity": ("mm", "Rain"), "Accumulation time": ("d", "1")}, {}, "in min or h, says it in d"),
        ],
    )
    def test_what_cannot_be_read(self, path, items, changes, said):
        write_geotiff(path, TIME, VALUES, items, **changes)
        with pytest.raises(ValueError, match=said):
            read_geotiff(path, pixels=True)
