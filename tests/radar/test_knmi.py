"""Tests of KNMI maps: quantities, calibration, grid, equality with pysteps."""

import h5py
import numpy as np
import pytest

from mslstm_keras.radar.knmi import is_knmi, read_knmi
from mslstm_keras.radar.maps import DEPTH, RATE, REFLECTIVITY
from tests.support.radar_files import codes, stamps, write_knmi

TIME = stamps("2010-08-26T00:05", 1)[0]
VALUES = codes(0, (12, 10))
VALUES[-1, :3] = 65535


def read(path):
    with h5py.File(path) as file:
        assert is_knmi(file)
        return read_knmi(file, pixels=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "RAD_NL25_RAP_5min_201008260005.h5"


def test_depths(path):
    found, values = read(write_knmi(path, TIME, VALUES))
    assert (found.service, found.quantity, found.minutes, found.time) == ("KNMI", DEPTH, 5, TIME)
    np.testing.assert_allclose(values, np.where(VALUES == 65535, np.nan, VALUES / 100))


def test_it_equals_pysteps(path, importers):
    found, values = read(write_knmi(path, TIME, VALUES))
    theirs, _, facts = importers.import_knmi_hdf5(str(path))
    np.testing.assert_allclose(values, theirs, atol=1e-12)
    grid = found.grid
    # pysteps leaves the kilometres of the file.
    assert (grid.left, grid.top) == (1000 * facts["x1"], 1000 * facts["y2"])
    assert (grid.dx, grid.dy) == (1000 * facts["xpixelsize"], 1000 * facts["ypixelsize"])


def test_the_grid_is_in_metres(path):
    """The corners that KNMI states of its grid of 765 x 700: 49.362 N, 0 E and 48.895 N, 9.009 E."""
    from mslstm_keras.radar.grids import projected

    grid = read(write_knmi(path, TIME, codes(1, (765, 700))))[0].grid
    bottom, right = grid.top - 765 * grid.dy, grid.left + 700 * grid.dx
    np.testing.assert_allclose(projected(grid.projection, 0, 49.362), (0, bottom), atol=100)
    np.testing.assert_allclose(projected(grid.projection, 9.009, 48.895), (right, bottom), atol=100)


def test_where_pysteps_is_wrong(path, importers):
    """Why maps are not decoded by it. Where this fails, it has become right."""
    formula = np.bytes_("GEO=0.1*PV+0.0")
    write_knmi(path, TIME, VALUES, calibration_formulas=formula)
    theirs, _, _ = importers.import_knmi_hdf5(str(path))
    values = read(path)[1]
    np.testing.assert_allclose(values[:-1], VALUES[:-1] / 10)
    np.testing.assert_allclose(theirs[:-1], VALUES[:-1] / 100)


@pytest.mark.parametrize(
    ("parameter", "formula", "quantity", "gain", "offset"),
    [
        ("PRECIP_[MM]", "GEO=0.010000*PV+0.000000", DEPTH, 0.01, 0),
        ("PRECIP_[MM]", "GEO = 0.020000 * PV + -0.500000", DEPTH, 0.02, -0.5),
        ("PRECIP_[MM]", "GEO=2.e-2*PV+0.", DEPTH, 0.02, 0),
        ("RAIN_RATE_[MM/H]", "GEO = 0.1 * PV", RATE, 0.1, 0),
        ("REFLECTIVITY_[DBZ]", "GEO=0.5*PV+-31.5", REFLECTIVITY, 0.5, -31.5),
        ("REFLECTIVITY_[DBZ]", "GEO=.5*PV-32", REFLECTIVITY, 0.5, -32),
    ],
)
@pytest.mark.parametrize("text", [np.bytes_, str])
def test_other_products(path, parameter, formula, quantity, gain, offset, text):
    changes = {"image_geo_parameter": text(parameter), "calibration_formulas": text(formula)}
    found, values = read(write_knmi(path, TIME, VALUES, **changes))
    assert found.quantity == quantity
    expected = np.where(VALUES == 65535, np.nan, VALUES * gain + offset)
    expected[VALUES == 0] = -np.inf if quantity == REFLECTIVITY else offset
    np.testing.assert_allclose(values, expected)


def test_codes_of_missing_values_are_those_of_the_file(path):
    values = np.arange(120, dtype=np.uint16).reshape(12, 10)
    changes = {"calibration_missing_data": 7, "calibration_out_of_image": np.array([8])}
    _, depths = read(write_knmi(path, TIME, values, **changes))
    np.testing.assert_allclose(depths, np.where(np.isin(values, [7, 8]), np.nan, values / 100))


def test_codes_of_missing_values_may_be_text(path):
    changes = {"calibration_missing_data": np.bytes_("65535"), "calibration_out_of_image": "65535"}
    _, depths = read(write_knmi(path, TIME, VALUES, **changes))
    np.testing.assert_array_equal(np.isnan(depths), VALUES == 65535)


def test_the_highest_number_is_no_rain_where_none_is_no_data(path):
    changes = dict.fromkeys(("calibration_missing_data", "calibration_out_of_image"))
    with pytest.raises(ValueError, match=r"must say which number is not observed, .* has pixels of 65535"):
        read(write_knmi(path, TIME, VALUES, **changes))
    assert np.isfinite(read(write_knmi(path, TIME, np.minimum(VALUES, 200), **changes))[1]).all()


def test_the_time_of_summation_may_be_in_the_name_alone(path):
    for name, minutes in (("RAD_NL25_RAC_5min", 5), ("RAD_NL25_RAD_MFBS_24H", 1440)):
        found, _ = read(write_knmi(path, TIME, VALUES, 0, image_product_name=np.bytes_(name)))
        assert found.minutes == minutes
    for name in ("RAD", "RAD_NL25_HAIL"):  # the 25 are no hours
        write_knmi(path, TIME, VALUES, 0, image_product_name=np.bytes_(name))
        with pytest.raises(ValueError, match="must say over how many minutes"):
            read(path)


def test_an_image_of_something_else_is_left_alone(path):
    write_knmi(path, TIME, VALUES)
    with h5py.File(path, "a") as file:
        file.copy("image1", "image2")
        file["image2"].attrs["image_geo_parameter"] = np.bytes_("ADJUSTMENT_FACTOR_[DB]")
        assert read_knmi(file, pixels=False)[0].quantity == DEPTH
        file["image2"].attrs["image_geo_parameter"] = np.bytes_("ACCUMULATED_PRECIPITATION_[MM]")
        with pytest.raises(ValueError, match=r"must hold one image of rain .*image1 of .*, image2 of"):
            read_knmi(file, pixels=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_geo_parameter": np.bytes_("ECHOTOP_HEIGHT_[KM]")}, "must hold one image of rain"),
        ({"calibration_formulas": np.bytes_("GEO=sin(PV)")}, "calibration must be GEO=a\\*PV\\+b"),
        ({"calibration_formulas": np.bytes_("GEO=1e999*PV")}, "calibration must be finite"),
        ({"calibration_formulas": np.bytes_("GEO=0.0*PV+0.0")}, "calibration must .* grow with PV"),
        ({"geo_number_rows": 10, "geo_number_columns": 12}, "must have 10 rows and 12 columns as it says"),
        ({"product_datetime_end": np.bytes_("26-AOU-2010;00:05:00")}, "times must be written 26-AUG-2010"),
        ({"product_datetime_end": np.bytes_("soon")}, "times must be written .*, one is 'soon'"),
        ({"geo_pixel_size_y": np.array([1.0])}, "must have its northern row first"),
        (
            {"projection_proj4_params": np.bytes_("+proj=stere +lat_0=90 +a=6378.137 +b=6356.75\x16 +x_0=0")},
            "must be in a projection that PROJ knows, .* is none",
        ),
    ],
)
def test_what_cannot_be_read(path, changes, said):
    write_knmi(path, TIME, VALUES, **changes)
    with pytest.raises(ValueError, match=said):
        read(path)
