"""Tests of the HDF5 readers: RYDL, KNMI, ODIM; real KNMI files; altered files."""

import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from tfds_builders.dwd_radar_clips.clips import time_windows
from tfds_builders.dwd_radar_clips.hdf5_radar import open_hdf5_maps, open_rydl, read_hdf5_map
from tfds_builders.dwd_radar_clips.make_dummy_data import SIZE, depth, write_knmi, write_rydl

REAL = Path(os.environ.get("MSLSTM_DATA", Path(__file__).parents[3] / "shared" / "data")) / "radar" / "knmi"
needs_real_maps = pytest.mark.skipif(
    not REAL.is_dir(), reason="real radar maps are not at hand (set MSLSTM_DATA to the folder of radar/)"
)
TIME = np.datetime64("2010-08-26T00:05", "m")
NAME = "RAD_NL25_RAP_5min_201008260005.h5"


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u2"])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "shuffle": True}])
def test_rydl_of_every_type(tmp_path, dtype, options):
    values = {TIME + 5 * k: (depth(k) // 10).astype(dtype) for k in (2, 0, 1)}
    write_rydl(tmp_path / "RYDL.hdf5", values, **options)
    series = open_rydl(tmp_path / "RYDL.hdf5", size=SIZE)
    assert series.times.tolist() == sorted(time.item() for time in values)
    for index in range(3):
        rate, observed = series.rate(index)
        millimetres = depth(index) // 10
        np.testing.assert_array_equal(rate, 12.0 * millimetres)
        assert rate.dtype == np.float32 and observed.all()


def test_rydl_missing_data(tmp_path):
    values = np.full(SIZE, 0.5, np.float16)
    values[0, :3] = (np.nan, -1, np.inf)
    write_rydl(tmp_path / "RYDL.hdf5", {TIME: values})
    rate, observed = open_rydl(tmp_path / "RYDL.hdf5", size=SIZE).rate(0)
    assert not rate[~observed].any() and (rate[observed] == 6).all() and (~observed).sum() == 3


def test_rydl_names_that_are_no_times_are_left_out_and_said(tmp_path, caplog):
    write_rydl(tmp_path / "RYDL.hdf5", {TIME: depth(0)})
    with h5py.File(tmp_path / "RYDL.hdf5", "a") as file:
        file["about"] = "text"
        file["20100826"] = 0
    assert len(open_rydl(tmp_path / "RYDL.hdf5", size=SIZE).times) == 1
    assert re.search("RYDL.hdf5: left out 2 names that are no time stamps", caplog.text)


def test_rydl_file_that_is_none(tmp_path):
    path = tmp_path / "RYDL.hdf5"
    path.write_bytes(b"not HDF5 at all")
    with pytest.raises(ValueError, match=f"must be whole.*Received: {path}: OSError"):
        open_rydl(path, size=SIZE)
    write_rydl(path, {})
    with pytest.raises(ValueError, match=f"Received: {path}: no data set is named YYYYMMDDHHMM"):
        open_rydl(path, size=SIZE)
    with h5py.File(path, "w") as file:
        file["201013260005"] = depth(0)
    with pytest.raises(ValueError, match=f"Received: {path}: .*2010-13-26"):
        open_rydl(path, size=SIZE)


def test_rydl_truncated(tmp_path):
    path = tmp_path / "RYDL.hdf5"
    write_rydl(path, {TIME + 5 * k: depth(k) for k in range(9)})
    content = path.read_bytes()
    for length in (20, 100, 1000, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=f"Received: {path}"):
            open_rydl(path, size=SIZE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((10, 11), "f2"), r"must have shape \(10, 10\), has \(10, 11\)"),
        (np.zeros(100, "f2"), r"must have shape \(10, 10\), has \(100,\)"),
        (np.zeros(SIZE, "c8"), "must hold real numbers, holds complex64"),
        (np.zeros(SIZE, "S4"), "must hold real numbers, holds .S4"),
        (np.zeros(SIZE, bool), "must hold real numbers, holds bool"),
    ],
)
def test_rydl_map_of_another_kind(tmp_path, values, message):
    write_rydl(tmp_path / "RYDL.hdf5", {TIME: values})
    with pytest.raises(ValueError, match=f"Received: .*RYDL.hdf5/201008260005: {message}"):
        open_rydl(tmp_path / "RYDL.hdf5", size=SIZE).rate(0)


def test_rydl_group_in_the_place_of_a_map_and_chunks_larger_than_it(tmp_path):
    with h5py.File(tmp_path / "RYDL.hdf5", "w") as file:
        file.create_group("201008260005")
        file.create_dataset(
            "201008260010", shape=SIZE, maxshape=(None, None), dtype="f2", chunks=(10000, 10000)
        )
    series = open_rydl(tmp_path / "RYDL.hdf5", size=SIZE)
    with pytest.raises(ValueError, match=r"/201008260005: `201008260005` must be .* Received: Group"):
        series.rate(0)
    with pytest.raises(
        ValueError, match=r"/201008260010: `201008260010` must fit .* 200000000 bytes claimed"
    ):
        series.rate(1)


def test_a_map_that_was_never_written_is_not_one_of_no_rain(tmp_path):
    write_rydl(tmp_path / "RYDL.hdf5", {TIME: depth(0)})
    with h5py.File(tmp_path / "RYDL.hdf5", "a") as file:
        file.create_dataset("201008260010", SIZE, "f2")
    with pytest.raises(ValueError, match=r"RYDL.hdf5/201008260010: `201008260010` must fit in the 0 bytes"):
        open_rydl(tmp_path / "RYDL.hdf5", size=SIZE).rate(1)


def test_knmi_map(tmp_path):
    values = depth(4)
    values[0, 0] = 65535
    write_knmi(tmp_path / NAME, TIME, values)
    series = open_hdf5_maps(tmp_path, size=SIZE)
    rate, observed = series.rate(0)
    assert series.times.tolist() == [TIME.item()]
    assert not observed[0, 0] and observed.sum() == 99 and rate[0, 0] == 0
    np.testing.assert_allclose(rate[observed], 12 * values[observed] / 100, rtol=1e-6)


@pytest.mark.parametrize(
    ("formula", "gain", "offset"),
    [
        ("GEO=0.02*PV+0.5", 0.02, 0.5),
        ("GEO = 0.020000 * PV + -0.500000", 0.02, -0.5),
        ("GEO=2.e-2*PV-0.5", 0.02, -0.5),
        ("GEO=0.02*PV", 0.02, 0),
    ],
)
def test_knmi_calibration_is_that_of_the_attributes(tmp_path, formula, gain, offset):
    attributes = {
        "calibration_formulas": formula,
        "calibration_missing_data": 7,
        "calibration_out_of_image": [8],
    }
    values = np.arange(100, dtype=np.uint16).reshape(SIZE)
    write_knmi(tmp_path / NAME, TIME, values, **attributes)
    rate, observed = read_hdf5_map(tmp_path / NAME, size=SIZE, time=TIME)
    millimetres = gain * values + offset
    valid = ~np.isin(values, [7, 8]) & (millimetres >= 0)
    np.testing.assert_array_equal(observed, valid)
    np.testing.assert_allclose(rate, np.where(valid, 12 * millimetres, 0), rtol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"calibration_formulas": "GEO=PV^2"}, r"calibration must be GEO=a\*PV\+b, is .*PV\^2"),
        ({"calibration_formulas": "GEO=1e999*PV"}, "calibration must be finite"),
        ({"image_geo_parameter": "REFLECTIVITY_[DBZ]"}, r"precipitation in mm, is REFLECTIVITY_\[DBZ\]"),
        (
            {"product_datetime_end": "26-AUG-2010;00:10:00.000"},
            "is of 2010-08-26T00:10 by its attributes, of 2010-08-26T00:05 by its name",
        ),
        (
            {"product_datetime_start": "25-AUG-2010;23:05:00.000"},
            "must sum 5 minutes of rain, sums 2010-08-25T23:05 to 2010-08-26T00:05",
        ),
        (
            {"product_datetime_end": "26-XYZ-2010;00:05"},
            "times must be written .*, one is '26-XYZ-2010;00:05'",
        ),
        ({"product_datetime_end": "soon"}, "times must be written .*, one is 'soon'"),
    ],
)
def test_knmi_attributes_that_disagree(tmp_path, attributes, message):
    write_knmi(tmp_path / NAME, TIME, depth(1), **attributes)
    with pytest.raises(ValueError, match=f"must be whole.*Received: .*{NAME}.*{message}"):
        open_hdf5_maps(tmp_path, size=SIZE).rate(0)


def test_knmi_attribute_that_is_missing_and_map_of_another_size(tmp_path):
    write_knmi(tmp_path / NAME, TIME, depth(1))
    with pytest.raises(ValueError, match=rf"{NAME}.*must have shape \(765, 700\), has \(10, 10\)"):
        open_hdf5_maps(tmp_path, size=(765, 700)).rate(0)
    with h5py.File(tmp_path / NAME, "a") as file:
        del file["image1/calibration"].attrs["calibration_missing_data"]
    with pytest.raises(ValueError, match=f"{NAME}.*KeyError.*calibration_missing_data"):
        open_hdf5_maps(tmp_path, size=SIZE).rate(0)


def write_odim(path, raw, quantity, gain, offset, *, minutes=5):
    start = (TIME - minutes).item()
    with h5py.File(path, "w") as file:
        file.create_group("what").attrs.update({"object": "COMP", "date": "20100826", "time": "000500"})
        file.create_group("dataset1/what").attrs.update(
            {
                "startdate": f"{start:%Y%m%d}",
                "starttime": f"{start:%H%M%S}",
                "enddate": "20100826",
                "endtime": "000500",
            }
        )
        file.create_group("dataset1/data1/what").attrs.update(
            {"quantity": quantity, "gain": gain, "offset": offset, "nodata": 255.0, "undetect": 0.0}
        )
        file["dataset1/data1/data"] = raw


@pytest.mark.parametrize(("quantity", "factor"), [("ACRR", 12), ("RATE", 1)])
def test_odim_map(tmp_path, quantity, factor):
    raw = np.arange(100, dtype=np.uint8).reshape(SIZE)
    raw[0, 1] = 255
    write_odim(tmp_path / "T_PASH21_C_EUOC_20100826000500.h5", raw, quantity, 0.1, 0.3)
    rate, observed = open_hdf5_maps(tmp_path, size=SIZE).rate(0)
    expected = factor * (0.1 * raw + 0.3)
    expected[0, :2] = 0  # undetect, then nodata
    np.testing.assert_allclose(rate, expected, rtol=1e-5)
    assert observed[0, 0] and not observed[0, 1] and observed.sum() == 99


def test_odim_map_of_another_quantity_or_interval(tmp_path):
    path = tmp_path / NAME
    write_odim(path, depth(1), "DBZH", 0.5, -32.0)
    with pytest.raises(ValueError, match=rf"{NAME}.*must be ACRR \(mm\) or RATE \(mm/h\), is DBZH"):
        read_hdf5_map(path, size=SIZE, time=TIME)
    write_odim(path, depth(1), "ACRR", 0.1, 0.0, minutes=60)
    with pytest.raises(ValueError, match=f"{NAME}.*must sum 5 minutes of rain"):
        read_hdf5_map(path, size=SIZE, time=TIME)
    with pytest.raises(ValueError, match=f"{NAME}.*by its attributes, of 2010-08-26T00:15 by its name"):
        read_hdf5_map(path, size=SIZE, time=TIME + 10)


@needs_real_maps
def test_real_knmi_hours():
    series = open_hdf5_maps(REAL, size=(765, 700))
    assert len(series.times) == 62 and set(np.diff(series.times).astype(int)) == {5}
    assert len(time_windows(series.times, window=8, interval=30, stride=5)) == 20
    for index in (0, 30, 61):
        path = sorted(REAL.iterdir())[index]
        with h5py.File(path) as file:
            raw = file["image1/image_data"][()].astype(float)
        rate, observed = series.rate(index)
        np.testing.assert_array_equal(observed, raw != 65535)
        np.testing.assert_allclose(rate, np.where(raw == 65535, 0, raw * 0.12), rtol=1e-6)
        assert 0.11 < (rate > 0).mean() < 0.17
        assert not observed[760:].any()  # nothing is lost when the map is cropped to 760 rows


def altered(random, content):
    content = bytearray(content)
    for position in random.integers(0, len(content), random.integers(1, 6)):
        content[position] = random.integers(256)
    if random.random() < 0.1:
        del content[random.integers(len(content)) :]
    return content


def check_fuzz(path, contents, read):
    random, outcomes = np.random.default_rng(9), {"read": 0, "refused": 0}
    for number in range(10_000):
        path.write_bytes(altered(random, contents[number % len(contents)]))
        try:
            rate, observed = read()
        except ValueError as error:
            assert str(path) in str(error)
            outcomes["refused"] += 1
        else:
            assert rate.shape == observed.shape == SIZE
            assert rate.dtype == np.float32 and observed.dtype == bool
            assert (rate >= 0).all() and (rate <= 492).all() and not rate[~observed].any()
            outcomes["read"] += 1
    assert min(outcomes.values()) > 500


@pytest.mark.slow
def test_ten_thousand_altered_knmi_files_are_read_or_refused(tmp_path):
    path = tmp_path / NAME
    write_knmi(path, TIME, depth(1))
    check_fuzz(path, [path.read_bytes()], lambda: read_hdf5_map(path, size=SIZE, time=TIME))


@pytest.mark.slow
def test_ten_thousand_altered_rydl_files_are_read_or_refused(tmp_path):
    path, contents = tmp_path / "RYDL.hdf5", []
    for options in ({}, {"compression": "gzip", "fletcher32": True}):
        write_rydl(path, {TIME + 5 * k: (depth(k) / 100).astype("f2") for k in range(2)}, **options)
        contents.append(path.read_bytes())
    check_fuzz(path, contents, lambda: open_rydl(path, size=SIZE).rate(0))
