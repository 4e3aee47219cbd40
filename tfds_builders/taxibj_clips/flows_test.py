"""Tests of the reader: files found, what it reads, what it refuses, damaged files."""

import hashlib
import re
from unittest import mock

import h5py
import numpy as np
import pytest

from tfds_builders.taxibj_clips import flows
from tfds_builders.taxibj_clips.flows import (
    FILES,
    check_flows,
    find_files,
    read_files,
    read_flows,
    slot_numbers,
)
from tfds_builders.taxibj_clips.make_dummy_data import FOLDER as DUMMY_DATA
from tfds_builders.taxibj_clips.make_dummy_data import days, squares, write_file

DATES = days(20130701, 1)[:3]
COUNTS = np.arange(3 * 2 * 32 * 32).reshape(3, 2, 32, 32) % 251


@pytest.fixture
def path(tmp_path):
    return tmp_path / "BJ13_M32x32_T30_InOut.h5"


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "i8", "f2", "f4", "f8"])
def test_numbers_of_any_type_are_read(path, dtype):
    write_file(path, DATES, COUNTS.astype(dtype))
    read = read_flows(path)
    assert read.dates.tolist() == [2013070101, 2013070102, 2013070103]
    assert (read.dates.dtype, read.counts.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(read.counts, COUNTS)


def test_slots_are_counted_over_days_months_and_years():
    dates = np.array([1970010101, 1970010148, 1970010201, 2015123148, 2016010101, 2016022948, 2016030101])
    slots = slot_numbers(dates)
    assert slots[:3].tolist() == [0, 47, 48]
    assert np.diff(slots[3:]).tolist() == [1, 60 * 48 - 1, 1]


def content_error(message):
    return pytest.raises(
        ValueError, match=f"whole HDF5 file with `date` and `data`. Received: .*BJ13.*: {message}"
    )


@pytest.mark.parametrize(
    "text", ["2013070100", "2013070149", "2013023001", "2013130101", "2013000101", "2013010001"]
)
def test_impossible_dates(path, text):
    write_file(path, np.array([b"2013010101", text.encode()]), COUNTS[:2])
    with content_error(f"`date` must be written YYYYMMDDSS, with SS in 01 .. 48. Received: .*{text}.* at 1"):
        read_flows(path)


@pytest.mark.parametrize("text", [b"20130101 1", b"201301010", b"\xff013010101", b"2013-01-01"])
def test_dates_of_other_characters(path, text):
    write_file(path, np.array([text], "S10"), COUNTS[:1])
    with content_error("`date` must be written YYYYMMDDSS"):
        read_flows(path)


def test_doubled_dates(path):
    write_file(path, DATES[[0, 1, 1]], COUNTS)
    with content_error("`date` must grow .* Received: 2013070102 at 2 after 2013070102"):
        read_flows(path)


def test_shuffled_dates(path):
    write_file(path, DATES[[0, 2, 1]], COUNTS)
    with content_error("`date` must grow .* Received: 2013070102 at 2 after 2013070103"):
        read_flows(path)


@pytest.mark.parametrize("dates", [DATES.astype("S11"), DATES.astype(np.int64), DATES[None]])
def test_dates_of_another_type_or_shape(path, dates):
    with h5py.File(path, "w") as file:
        file["date"], file["data"] = dates, COUNTS
    with content_error(r"`date` must be byte strings of length 10, shape \(count,\). Received: shape"):
        read_flows(path)


@pytest.mark.parametrize(
    "counts",
    [
        COUNTS[:2],
        COUNTS[:, :1],
        COUNTS[..., :31],
        COUNTS.ravel(),
        COUNTS.astype("S3"),
        COUNTS + 0j,
        COUNTS > 3,
    ],
)
def test_counts_of_another_type_or_shape(path, counts):
    with h5py.File(path, "w") as file:
        file["date"], file["data"] = DATES, counts
    with content_error(r"`data` must be integers or floats of shape \(3, 2, 32, 32\), .* Received: shape"):
        read_flows(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_counts_that_are_not_finite(path, value):
    counts = COUNTS.astype(np.float64)
    counts[1, 0, 5, 7] = value
    write_file(path, DATES, counts)
    with content_error("`data` must be finite numbers, also as float32. .* date 2013070102"):
        read_flows(path)


@pytest.mark.parametrize("name", ["date", "data"])
def test_missing_key(path, name):
    write_file(path, DATES, COUNTS)
    with h5py.File(path, "a") as file:
        del file[name]
    with content_error(f"`{name}` must be one of its data sets. Received: "):
        read_flows(path)


def test_group_instead_of_data(path):
    write_file(path, DATES, COUNTS)
    with h5py.File(path, "a") as file:
        del file["data"]
        file.create_group("data")
    with content_error("`data` must be one of its data sets"):
        read_flows(path)


@pytest.mark.parametrize("name", ["date", "data"])
def test_a_header_that_claims_more_than_the_file_holds_takes_no_memory(path, name):
    shape, dtype = ((2**40,), "S10") if name == "date" else ((2**40, 2, 32, 32), "f8")
    with h5py.File(path, "w") as file:
        file["date"], file["data"] = DATES, COUNTS
        del file[name]
        file.create_dataset(name, shape=shape, dtype=dtype, chunks=True)
    with content_error(
        rf"`{name}` must fit in the 0 bytes that are stored of it. .* claimed, shape \({2**40},"
    ):
        read_flows(path)


def test_truncated_file(path):
    write_file(path, DATES, COUNTS)
    whole = path.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with content_error(""):
            read_flows(path)


def test_out_of_memory_is_no_damage(path):
    write_file(path, DATES, COUNTS)
    with mock.patch.object(flows, "check_flows", side_effect=MemoryError), pytest.raises(MemoryError):
        read_flows(path)


def test_arrays_are_checked_without_a_file():
    with pytest.raises(ValueError, match="`data` must be integers or floats"):
        check_flows(DATES, COUNTS[0])
    assert len(check_flows(DATES[:0], COUNTS[:0]).dates) == 0


def test_files_must_follow_each_other(tmp_path):
    earlier, later = tmp_path / "a.h5", tmp_path / "b.h5"
    write_file(earlier, DATES[:1], COUNTS[:1])
    write_file(later, DATES[1:], COUNTS[1:])
    assert [len(file.dates) for file in read_files([earlier, later])] == [1, 2]
    message = "must begin after the one in front .*a.h5 from 2013070101, .*b.h5 until 2013070103"
    with pytest.raises(ValueError, match=message):
        read_files([later, earlier])


@pytest.mark.parametrize("folder", [".", "TaxiBJ", "taxibj"])
def test_files_are_found_in_order_and_checked(tmp_path, monkeypatch, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    for name in reversed(FILES):
        (tmp_path / folder / name).write_bytes(name.encode())
        monkeypatch.setitem(FILES, name, hashlib.md5(name.encode()).hexdigest())
    found = find_files(tmp_path)
    assert [path.name for path in found] == sorted(FILES)
    assert all(path.is_file() for path in found)


def test_another_md5_says_how_to_go_on():
    name = "BJ13_M32x32_T30_InOut.h5"
    received = hashlib.md5((DUMMY_DATA / name).read_bytes()).hexdigest()
    message = (
        f"{name} must have the MD5 24cec8a5310d4982ffcee43c7aa3ad70. Other files are taken with `check_md5=False`: "
        "`mslstm data prepare taxibj_clips/inflow --variant mine --set check_md5=false --manual-dir FOLDER`. Received: "
        f"{DUMMY_DATA / name} with MD5 {received}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        find_files(DUMMY_DATA)
    assert [path.name for path in find_files(DUMMY_DATA, check_md5=False)] == list(FILES)


def test_missing_files(tmp_path):
    (tmp_path / "BJ15_M32x32_T30_InOut.h5").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"`manual_dir` must hold all of BJ13.* without BJ13\S*, BJ14\S*, BJ16\S*$"
    ):
        find_files(tmp_path)
    assert [path.name for path in find_files(tmp_path, check_md5=False)] == ["BJ15_M32x32_T30_InOut.h5"]
    (tmp_path / "BJ15_M32x32_T30_InOut.h5").unlink()
    with pytest.raises(ValueError, match="`manual_dir` must hold at least one of BJ13"):
        find_files(tmp_path, check_md5=False)


def altered(content, rng):
    """Bytes with some of them changed, most of these in the headers, and sometimes cut off."""
    changed = np.frombuffer(content, np.uint8).copy()
    end = len(changed) if rng.random() < 0.3 else 4096
    places = rng.integers(0, end, rng.integers(1, 9))
    kind = rng.integers(3)
    if kind == 0:
        changed[places] = rng.integers(0, 256, len(places))
    elif kind == 1:
        changed[places] ^= np.uint8(1) << rng.integers(0, 8, len(places)).astype(np.uint8)
    else:
        changed[places] = rng.choice([0, 1, 127, 128, 255])
    return changed[: rng.integers(len(changed))] if rng.random() < 0.1 else changed


@pytest.mark.slow
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_altered_files_read_or_raise(path, compression):
    with h5py.File(path, "w") as file:
        file["date"] = DATES
        file.create_dataset("data", data=squares(3, 0), compression=compression)
    content, rng, whole = path.read_bytes(), np.random.default_rng(5), 0
    for _ in range(5_000):
        path.write_bytes(altered(content, rng).tobytes())
        try:
            read = read_flows(path)
        except ValueError as error:
            assert path.name in str(error)
            continue
        whole += 1
        assert read.counts.shape == (len(read.dates), 2, 32, 32)
        assert (read.dates.dtype, read.counts.dtype) == (np.int64, np.float32)
        assert np.isfinite(read.counts).all() and (np.diff(read.dates) > 0).all()
    assert 100 < whole < 4_900
