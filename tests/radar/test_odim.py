"""Tests of ODIM maps: quantities, codes, missing parts, grids, equality with pysteps, damage."""

import h5py
import numpy as np
import pytest

from mslstm_keras.radar.maps import DEPTH, RATE, REFLECTIVITY
from mslstm_keras.radar.odim import is_odim, read_odim, swiss_grid
from tests.support.radar_files import LAEA, STERE, codes, stamps, write_odim

TIME = stamps("2024-11-26T01:00:00", 1)[0]
VALUES = codes(0, (8, 10))
VALUES[-1, :2] = (65535, 0)


def read(path):
    with h5py.File(path) as file:
        assert is_odim(file)
        return read_odim(file, pixels=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "T_PAAH22_C_EUOC_20241126010000.hdf"


@pytest.mark.parametrize("quantity", ["RATE", "ACRR", "DBZH", "TH"])
def test_quantities(path, quantity):
    found, values = read(write_odim(path, TIME, VALUES, quantity, minutes=15))
    kind = {"RATE": RATE, "ACRR": DEPTH}.get(quantity, REFLECTIVITY)
    assert (found.quantity, found.time, found.service) == (kind, TIME, "EUMETNET OPERA")
    assert found.minutes == (15 if quantity == "ACRR" else None)
    dry = -np.inf if kind == REFLECTIVITY else 0
    expected = np.where(VALUES == 65535, np.nan, np.where(VALUES == 0, dry, VALUES * 0.1))
    np.testing.assert_allclose(values, expected)


@pytest.mark.parametrize(("quantity", "time"), [("ACRR", "2024-11-26T01:00"), ("RATE", "2024-11-26T00:00")])
def test_a_depth_is_of_the_end_of_its_time(path, quantity, time):
    """Whichever of its ends a service calls nominal."""
    end = np.datetime64("2024-11-26T01:00", "s")
    nominal = {"date": np.bytes_("20241126"), "time": np.bytes_("000000")}
    found, _ = read(write_odim(path, end, VALUES, quantity, minutes=60, **nominal))
    assert found.time == np.datetime64(time)


@pytest.mark.parametrize("quantity", ["RATE", "ACRR", "DBZH"])
def test_observed_rain_equals_that_of_pysteps(path, quantity, importers):
    found, values = read(write_odim(path, TIME, VALUES, quantity))
    theirs, _, facts = importers.import_odim_hdf5(str(path), qty=quantity)
    wet = np.isfinite(values) & (VALUES > 0)
    np.testing.assert_allclose(values[wet], theirs[wet], atol=1e-9)
    grid = found.grid
    edges = (grid.left, grid.top, grid.left + grid.dx * 10, grid.top - grid.dy * 8)
    np.testing.assert_allclose(edges, [facts[name] for name in ("x1", "y2", "x2", "y1")], atol=0.01)


def test_where_pysteps_is_wrong(path, importers):
    """Why maps are not decoded by it. Where this fails, it has become right."""
    write_odim(path, TIME, VALUES, offset=-0.1)
    theirs, _, _ = importers.import_odim_hdf5(str(path))
    assert (theirs[VALUES == 0] == -0.1).all()  # no rain, not less than none
    assert (read(path)[1][VALUES == 0] == 0).all()
    write_odim(path, TIME, VALUES)
    theirs, _, _ = importers.import_mch_hdf5(str(path))
    assert np.isnan(theirs[VALUES == 0]).all()  # observed, and dry
    write_odim(path, TIME, VALUES, text=str)
    with pytest.raises(AttributeError, match="decode"):
        importers.import_odim_hdf5(str(path))
    assert read(path)[0].quantity == RATE


@pytest.mark.parametrize(
    ("place", "what_of"),
    [
        ("dataset1/data1", "dataset1/data1"),
        ("dataset1/data1", "dataset1"),
        ("dataset1/data1", "/"),
        ("dataset1/data2", "dataset1/data2"),
        ("dataset2/data1", "dataset2"),
    ],
)
@pytest.mark.parametrize("text", [np.bytes_, str])
def test_where_things_stand(path, place, what_of, text):
    write_odim(path, TIME, VALUES, place=place, what_of=what_of, text=text)
    with h5py.File(path, "a") as file:
        quality = file.create_group("dataset1/data9")
        quality.create_dataset("data", data=VALUES)
        quality.create_group("what").attrs["quantity"] = text("QIND")
    found, values = read(path)
    assert found.quantity == RATE and values[-2, 3] == pytest.approx(VALUES[-2, 3] * 0.1)


def test_parts_that_have_a_default(path):
    parts = dict.fromkeys(("gain", "offset", "nodata", "undetect", "date", "time", "object"))
    found, values = read(write_odim(path, TIME, VALUES.astype("f4"), **parts))
    np.testing.assert_array_equal(values, VALUES)
    assert found.time == TIME  # by the end of the data


@pytest.mark.parametrize("text", [np.bytes_, str])
def test_codes_may_be_text(path, text):
    _, values = read(write_odim(path, TIME, VALUES, nodata=text("65535"), undetect=text("0"), offset=1.0))
    assert np.isnan(values[-1, 0]) and values[-1, 1] == 0 and values[-2, 3] > 1


def test_codes_are_those_of_the_pixels_precision(path):
    values = VALUES.astype("f4")
    values[-1, :2] = (1e20, -0.1)
    write_odim(path, TIME, values, gain=1.0, nodata=1e20, undetect=-0.1)
    np.testing.assert_array_equal(read(path)[1][-1, :2], [np.nan, 0])


def test_the_highest_number_is_no_rain_where_none_is_no_data(path):
    with pytest.raises(ValueError, match=r"must say which number is not observed, .* has pixels of 65535"):
        read(write_odim(path, TIME, VALUES, nodata=None))
    assert np.isfinite(read(write_odim(path, TIME, np.minimum(VALUES, 200), nodata=None))[1]).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict.fromkeys(("date", "startdate", "enddate")), "must say of which time it is"),
        ({"quantity": np.bytes_("QIND")}, "must hold one of RATE, ACRR, DBZH, .*, holds QIND"),
        ({"object": np.bytes_("PVOL")}, "must be a map, is an object PVOL"),
        ({"object": np.bytes_("XSEC")}, "must be a map, is an object XSEC"),
        ({"product": np.bytes_("RHI")}, "must be a map, is the product RHI"),
        ({"gain": 0.0}, "`what/gain` must not be 0"),
        ({"quantity": None}, "must hold one of RATE, .*, holds no named quantity"),
        ({"gain": np.nan}, "attributes must be finite, one is nan"),
        ({"quantity": np.bytes_("ACRR"), "starttime": None}, "must say over how many minutes"),
        ({"time": np.bytes_("01:00")}, "times must be written YYYYMMDD and HHMMSS, one is '2024112601:00"),
        ({"time": np.bytes_("10000")}, "times must be written .*, one is '2024112610000'"),
        ({"time": 1000}, "times must be written .*, one is '202411261000'"),
    ],
)
def test_what_cannot_be_read(path, changes, said):
    write_odim(path, TIME, VALUES, **changes)
    with pytest.raises(ValueError, match=said):
        read(path)


def test_times_have_seconds(path):
    time = np.datetime64("2024-11-26T01:00:29", "s")
    assert read(write_odim(path, time, VALUES))[0].time == time


@pytest.mark.parametrize(("number", "clock"), [(13500, "01:35:00"), (np.int64(235500), "23:55:00")])
def test_times_of_five_or_six_digits_may_be_numbers(path, number, clock):
    write_odim(path, TIME, VALUES, time=number)
    assert str(read(path)[0].time) == f"2024-11-26T{clock}"


def test_two_maps_in_one_file(path):
    write_odim(path, TIME, VALUES)
    with h5py.File(path, "a") as file:
        file.copy("dataset1", "dataset2")
    with pytest.raises(ValueError, match="must hold one map of RATE, holds 2"):
        read(path)


def test_the_relation_of_the_file(path):
    write_odim(path, TIME, VALUES, "DBZH")
    with h5py.File(path, "a") as file:
        file.require_group("dataset1/data1/how").attrs.update(zr_a=256.0, zr_b=1.42)
    assert read(path)[0].z_r == (256.0, 1.42)


def test_nowcasts_of_germany(path):
    changes = {"date": np.bytes_("20241126"), "time": np.bytes_("004500"), "prodname": np.bytes_("RV")}
    found, _ = read(write_odim(path, TIME, VALUES, "ACRR", service="ORG:78", **changes))
    assert (found.service, found.time) == ("DWD", TIME)
    assert found.issued == np.datetime64("2024-11-26T00:45", "s")


@pytest.mark.parametrize(
    ("source", "service"), [("WMO:10000", "DWD"), ("ORG:215", "MeteoSwiss"), ("NOD:x", "NOD:x")]
)
def test_services(path, source, service):
    assert read(write_odim(path, TIME, VALUES, service=source))[0].service == service


def test_sweeps_need_not_say_their_object(path):
    write_odim(path, TIME, VALUES, "DBZH", object=None)
    with h5py.File(path, "a") as file:
        file.create_group("dataset1/where").attrs.update(elangle=0.5, nbins=10, nrays=8, rscale=1000.0)
    with pytest.raises(ValueError, match="must be a map, is the product COMP of a radar"):
        read(path)


def test_the_swiss_leave_the_quantity_out(path):
    assert read(write_odim(path, TIME, VALUES, quantity=None, service="ORG:215"))[0].quantity == RATE


def test_a_source_may_be_empty(path):
    write_odim(path, TIME, VALUES)
    with h5py.File(path, "a") as file:
        file["what"].attrs["source"] = h5py.Empty("S1")
    assert read(path)[0].service == "unknown"


class TestGrid:
    def test_sizes_of_pixels_in_kilometres(self, path):
        write_odim(path, TIME, VALUES)
        with h5py.File(path, "a") as file:
            file["where"].attrs.update(xscale=2.0, yscale=2.0)
        assert read(path)[0].grid.dx == 2000

    def test_two_corners_are_enough(self, path):
        write_odim(path, TIME, VALUES, projection=STERE, pixel=1000.0)
        with h5py.File(path, "a") as file:
            for name in ("UL_lon", "UL_lat", "LR_lon", "LR_lat", "xscale", "yscale"):
                del file["where"].attrs[name]
        grid = read(path)[0].grid
        np.testing.assert_allclose((grid.left, grid.top, grid.dx, grid.dy), (0, 0, 1000, 1000), atol=1e-3)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"xscale": 3000.0}, "`where/xscale` must agree with the corners"),
            ({"LL_lon": np.inf}, "attributes must be finite"),
            ({"xsize": 8, "ysize": 10}, r"must have 10 rows and 8 columns as it says, has \(8, 10\)"),
            (
                {"projdef": np.bytes_(LAEA.replace("+units=m", "+units=km"))},
                "in metres, is in one in kilometre",
            ),
        ],
    )
    def test_what_is_no_grid(self, path, change, said):
        write_odim(path, TIME, VALUES)
        with h5py.File(path, "a") as file:
            for name, value in change.items():
                del file["where"].attrs[name]
                if value is not None:
                    file["where"].attrs[name] = value
        with pytest.raises(ValueError, match=said):
            read(path)

    @pytest.mark.parametrize(("one", "other"), [("UL LL", "UR LR"), ("UL UR", "LL LR"), ("LL UR", "LL UR")])
    def test_rows_and_columns_are_not_turned(self, path, one, other):
        write_odim(path, TIME, VALUES)
        with h5py.File(path, "a") as file:
            where = file["where"].attrs
            for first, second in {tuple(pair.split()) for pair in (one, other)}:
                for axis in ("lon", "lat"):
                    names = f"{first}_{axis}", f"{second}_{axis}"
                    where[names[0]], where[names[1]] = where[names[1]], where[names[0]]
        with pytest.raises(ValueError, match="must have its northern row and its western column first"):
            read(path)

    def test_the_swiss_domain_need_not_be_stated(self, path):
        write_odim(path, TIME, codes(1, (640, 710)), service="ORG:215")
        with h5py.File(path, "a") as file:
            del file["where"]
        assert read(path)[0].grid == swiss_grid()

    def test_the_swiss_domain_is_that_of_pysteps(self, path, importers):
        write_odim(path, TIME, codes(1, (640, 710)), service="ORG:215")
        _, _, facts = importers.import_mch_hdf5(str(path))
        edges = [facts[name] for name in ("x1", "y2", "xpixelsize", "ypixelsize")]
        grid = swiss_grid()
        assert (grid.left, grid.top, grid.dx, grid.dy) == tuple(edges)


def test_claims_of_size(path):
    write_odim(path, TIME, VALUES)
    with h5py.File(path, "a") as file:
        del file["dataset1/data1/data"]
        file["dataset1/data1"].create_dataset("data", (60000, 60000), "u2", chunks=(1000, 1000))
    with pytest.raises(ValueError, match=r"must fit in the .* bytes that are stored"):
        read(path)
