"""Packed and missing values, beside what netCDF4 and xarray make of the same attributes."""

import warnings

import h5py
import numpy as np
import pytest
import xarray

from mslstm_keras.formats.packing import unpack
from mslstm_keras.frames.read import read_clip
from tests.support.clip_files import random_levels

nan = np.nan


def ints(dtype, low, high, seed=0):
    return np.random.default_rng(seed).integers(low, high, (3, 4, 5)).astype(dtype)


@pytest.mark.parametrize(
    ("stored", "attributes"),
    [
        (ints("int16", -100, 100), {"scale_factor": 0.01, "add_offset": 0.5, "_FillValue": np.int16(7)}),
        (ints("int8", -100, 100), {"_Unsigned": "true", "scale_factor": 0.01, "_FillValue": np.int8(-3)}),
        (ints("uint8", 0, 200), {"_Unsigned": "false", "add_offset": 3.0}),
        (ints("int32", -(2**30), 2**30), {"scale_factor": 1e-9, "missing_value": np.int32(5)}),
        (ints(">i2", 0, 9), {"scale_factor": np.array([0.1]), "_FillValue": np.array([3], ">i2")}),
        (ints("float32", 0, 9), {"_FillValue": np.float32(3), "missing_value": np.float32(4)}),
        (ints("float64", 0, 9), {"scale_factor": 0.5, "_FillValue": nan}),
    ],
)
def test_values_are_those_of_xarray(stored, attributes):
    values, valid = unpack(stored, attributes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two marks, which xarray takes both
        expected = xarray.decode_cf(xarray.Dataset({"a": (("x", "y", "z"), stored, attributes)}))["a"].values
    assert values.dtype == "float32" and valid is None
    np.testing.assert_allclose(values, expected.astype("float32"), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("attributes", "expected", "valid"),
    [
        ({"valid_range": np.array([2, 4], "int16")}, [nan, 2, 4, nan], (2, 4)),
        ({"valid_min": np.int16(2)}, [nan, 2, 4, 6], (2, np.inf)),
        ({"valid_max": np.int16(4), "scale_factor": 0.1}, [0, 0.2, 0.4, nan], (-np.inf, 0.4)),
        ({"valid_range": np.array([2, 4], "int16"), "scale_factor": -1.0}, [nan, -2, -4, nan], (-4, -2)),
        ({"valid_range": [0.2, 0.45], "scale_factor": 0.1}, [nan, 0.2, 0.4, nan], (0.2, 0.45)),
        ({"missing_value": np.array([0, 6], "int16")}, [nan, 2, 4, nan], None),
    ],
)
def test_what_lies_outside_of_the_valid_range_is_missing(attributes, expected, valid):
    values, found = unpack(np.array([0, 2, 4, 6], "int16"), attributes)
    np.testing.assert_allclose(values, np.float32(expected), rtol=1e-6)
    assert found == (valid if valid is None else pytest.approx(valid))


def test_a_mark_of_double_precision_for_values_of_single():
    values, _ = unpack(np.array([0, 1e20, 0.1], "float32"), {"missing_value": np.array([1e20, 0.1])})
    np.testing.assert_array_equal(values, [0, nan, nan])


def test_a_valid_range_of_numbers_that_are_meant_unsigned():
    attributes = {"_Unsigned": "true", "valid_range": np.array([1, -2], "int8")}
    values, valid = unpack(np.array([0, 1, 127, -128, -2, -1], "int8"), attributes)
    np.testing.assert_allclose(values, np.array([nan, 1, 127, 128, 254, nan]) / 255, rtol=1e-6)
    assert valid == pytest.approx((1 / 255, 254 / 255))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"scale_factor": 0.0}, "must be finite, and the scale not 0. Received: scale_factor=0.0"),
        ({"scale_factor": nan}, "must be finite"),
        ({"add_offset": np.inf}, "must be finite.* add_offset=inf"),
        ({"scale_factor": "0.1"}, "`scale_factor` must be a number. Received: scale_factor='0.1'"),
        ({"scale_factor": [0.1, 0.2]}, "`scale_factor` must be one number"),
        ({"valid_range": [1]}, "`valid_range` must be two numbers"),
        ({"_FillValue": b"none"}, "`_FillValue` must be a number"),
    ],
)
def test_attributes_that_say_nothing(attributes, message):
    with pytest.raises(ValueError, match=message):
        unpack(np.zeros((2, 2), "uint8"), attributes)


def save(path, stored, **attributes):
    with h5py.File(path, "w") as file:
        file["rain"] = stored
        file["rain"].attrs.update(attributes)


def test_hdf5_is_unpacked(tmp_path):
    stored = ints("int16", 0, 1000)
    save(tmp_path / "a.h5", stored, scale_factor=0.001, _FillValue=stored[0, 0, 0])
    count = np.count_nonzero(stored == stored[0, 0, 0])
    with pytest.warns(UserWarning, match=rf"a\.h5`: {count} of 60 values are missing and read as 0$"):
        clip = read_clip(tmp_path / "a.h5")
    expected = np.where(stored == stored[0, 0, 0], 0, stored * 0.001)
    np.testing.assert_allclose(clip[..., 0], expected, atol=1e-6)
    kept = read_clip(tmp_path / "a.h5", fill=nan)[..., 0]
    np.testing.assert_array_equal(np.isnan(kept), stored == stored[0, 0, 0])


def test_levels_of_hdf5_with_other_attributes_are_levels(tmp_path):
    levels = random_levels(2, 3, 4)
    save(tmp_path / "a.h5", levels, long_name="rain", units="1", CLASS="IMAGE")
    np.testing.assert_array_equal(read_clip(tmp_path / "a.h5")[..., 0], levels / np.float32(255))
    save(tmp_path / "a.h5", levels, _FillValue=levels[0, 0, 0])
    with pytest.warns(UserWarning, match="are missing"):
        clip = read_clip(tmp_path / "a.h5")[..., 0]
    np.testing.assert_array_equal(clip, np.where(levels == levels[0, 0, 0], 0, levels / np.float32(255)))


@pytest.mark.parametrize(
    ("stored", "attributes", "message"),
    [
        (
            ints("int16", 5, 6),
            {"scale_factor": 0.5},
            r"from 2.5 to 2.5 \(unpacked\)",
        ),
        (ints("uint8", 5, 6), {"units": "mm"}, "values from 5 to 5 mm$"),
        (ints("int16", 5, 6), {"long_name": "rain"}, "Received: dtype int16 .divide by the largest"),
        (ints("float32", 0, 1), {"_FillValue": np.float32(0)}, "Received: all 60 are missing"),
        (ints("float32", 0, 1) * nan, {}, "must be finite. Received: 60 NaN"),
        (ints("int16", 0, 1), {"scale_factor": 0.0}, "must be a clip .*the scale not 0"),
    ],
)
def test_hdf5_that_is_no_clip(tmp_path, stored, attributes, message):
    save(tmp_path / "a.h5", stored, **attributes)
    with pytest.raises(ValueError, match=rf"a\.h5` .*{message}"):
        read_clip(tmp_path / "a.h5")
