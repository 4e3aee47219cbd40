"""Tests of the reader of RYDL.hdf5: rates of every type, missing data, altered files."""

import re

import h5py
import numpy as np
import pytest

from tfds_builders.dwd_radar_clips.make_dummy_data import SIZE, depth, write_rydl
from tfds_builders.dwd_radar_clips.rydl import HIGHEST_DEPTH, open_rydl, rain_rate

TIME = np.datetime64("2010-08-26T00:05", "m")
STEP = np.timedelta64(5, "m")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f2", ">f4", "i2", "u2", "i4", "i8", "u1"])
def test_rain_rate_of_every_type(dtype):
    depth = np.array([[0, 1, 3], [41, 42, 100]]).astype(dtype)
    rate, observed = rain_rate(depth)
    assert rate.dtype == np.float32 and observed.dtype == bool
    np.testing.assert_array_equal(rate, [[0, 12, 36], [492, 0, 0]])
    np.testing.assert_array_equal(observed, [[True, True, True], [True, False, False]])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_codes_of_missing_data(dtype):
    depth = np.array([np.nan, np.inf, -np.inf, -1, -9999, HIGHEST_DEPTH + 1, 0.25, -0.0]).astype(dtype)
    rate, observed = rain_rate(depth)
    np.testing.assert_array_equal(rate, [0, 0, 0, 0, 0, 0, 3, 0])
    np.testing.assert_array_equal(observed, [False] * 6 + [True] * 2)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u2"])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "shuffle": True}])
def test_rydl_of_every_type(tmp_path, dtype, options):
    values = {TIME + k * STEP: (depth(k) // 10).astype(dtype) for k in (2, 0, 1)}
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
    write_rydl(path, {TIME + k * STEP: depth(k) for k in range(9)})
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
def test_ten_thousand_altered_rydl_files_are_read_or_refused(tmp_path):
    path, contents = tmp_path / "RYDL.hdf5", []
    for options in ({}, {"compression": "gzip", "fletcher32": True}):
        write_rydl(path, {TIME + k * STEP: (depth(k) / 100).astype("f2") for k in range(2)}, **options)
        contents.append(path.read_bytes())
    check_fuzz(path, contents, lambda: open_rydl(path, size=SIZE).rate(0))
