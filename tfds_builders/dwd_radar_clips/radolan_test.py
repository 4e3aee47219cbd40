"""Tests of the RADOLAN reader: against wradlib on real files, against altered files."""

import gzip
import os
import re
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from tfds_builders.dwd_radar_clips.clips import time_windows
from tfds_builders.dwd_radar_clips.make_dummy_data import SIZE, depth, radolan, radolan_name
from tfds_builders.dwd_radar_clips.radolan import open_radolan, read_radolan

wradlib_radolan = pytest.importorskip("wradlib.io.radolan", reason="wradlib is not installed")

REAL = Path(os.environ.get("MSLSTM_DATA", Path(__file__).parents[3] / "shared" / "data")) / "radar" / "dwd"
needs_real_maps = pytest.mark.skipif(
    not REAL.is_dir(), reason="real radar maps are not at hand (set MSLSTM_DATA to the folder of radar/)"
)
TIME = np.datetime64("2020-01-01T15:00", "m")


def write(folder, content, time=TIME):
    path = folder / radolan_name(time)
    path.write_bytes(content)
    return path


def read(path, product="ry", size=SIZE, time=TIME):
    return read_radolan(path, product=product, size=size, time=time)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_rates_are_12_times_the_depth_with_the_northern_row_first(tmp_path, pack):
    rate, observed = read(write(tmp_path, pack(radolan(TIME, depth(1)))))
    np.testing.assert_allclose(rate[::-1], 12 * depth(1) / 100, rtol=1e-6)
    assert rate.dtype == np.float32 and observed.all()


def test_flags_of_a_pixel(tmp_path):
    values = depth(1)
    values[9, :4] = (0x29C4, 0x8000 | 500, 0x1000 | 500, 500)  # no data, clutter, secondary, plain
    rate, observed = read(write(tmp_path, radolan(TIME, values)))
    np.testing.assert_allclose(rate[0, :4], [0, 60, 60, 60])
    assert observed[0, :4].tolist() == [False, True, True, True]


def test_precision_is_that_of_the_header(tmp_path):
    rate, _ = read(write(tmp_path, radolan(TIME, depth(1), precision="E-03")))
    np.testing.assert_allclose(rate[::-1], 12 * depth(1) / 1000, rtol=1e-6)


def altered(old, new):
    return lambda content: content.replace(old, new, 1)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda content: b"", "no end of header within 1024 bytes"),
        (lambda content: content[:50], "no end of header"),
        (lambda content: content[:-1], "header must be followed by 200 bytes, not 199"),
        (lambda content: content + b"\x00", "header must be followed by 200 bytes, not 201"),
        (lambda content: content + bytes(5000), "more than 1224 bytes"),
        (altered(b"  10x  10", b"9999x9999"), "header must say nrow 10, says 9999"),
        (altered(b"  10x  10", b"  10x  20"), "header must say ncol 10, says 20"),
        (altered(b"BY    ", b"BY9999"), "header must say datasize 200, says 9999"),
        (altered(b"INT   5", b"INT  60"), "header must say intervalseconds 300, says 3600"),
        (altered(b"PR E-02", b"PR E+05"), r"a precision in \(0, 1\] mm, says 100000.0"),
        (altered(b"RY", b"RW"), "header must say producttype RY, says RW"),
        (altered(b"10000", b"10132"), "header must say radarid 10000, says 10132"),
        (
            altered(b"RY0115", b"RY0116"),
            "header must say datetime 2020-01-01 15:00:00, says 2020-01-01 16:00",
        ),
        (altered(b"RY0115", b"RY9915"), "unconverted data"),
        (altered(b"RY", b"\xff\xff"), "codec can't decode byte 0xff"),
        (lambda content: gzip.compress(content)[:-9], "EOFError"),
        (lambda content: gzip.compress(content)[:20] + b"\xff" * 300, "error: "),
        (lambda content: gzip.compress(bytes(10**7)), "more than 1224 bytes"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, alter, message):
    path = write(tmp_path, alter(radolan(TIME, depth(1))))
    with pytest.raises(
        ValueError, match=f"A radar file must be whole.*Received: {re.escape(str(path))}.*{message}"
    ):
        read(path)


def test_without_wradlib(tmp_path):
    with (
        mock.patch.dict(sys.modules, {"wradlib.io.radolan": None}),
        pytest.raises(ImportError, match=r"pip install 'mslstm_keras\[radar\]'"),
    ):
        read(write(tmp_path, radolan(TIME, depth(1))))


def test_folder_in_order_of_time_with_its_subfolders(tmp_path):
    (tmp_path / "2019").mkdir()
    early = np.datetime64("2019-12-31T23:55", "m")
    write(tmp_path, radolan(TIME, depth(1)))
    write(tmp_path / "2019", radolan(early, depth(2)), early)
    (tmp_path / "raa01-rw_10000-2001011500-dwd---bin").write_bytes(b"another product")
    (tmp_path / "notes.txt").write_text("no map")
    series = open_radolan(tmp_path, product="ry", size=SIZE)
    assert series.times.tolist() == [early.item(), TIME.item()]
    np.testing.assert_allclose(series.rate(0)[0][::-1], 12 * depth(2) / 100, rtol=1e-6)
    before = series.identity
    write(tmp_path, radolan(TIME, depth(3), precision="E-03") + b"longer")
    assert open_radolan(tmp_path, product="ry", size=SIZE).identity != before


def test_file_under_the_name_of_another_time(tmp_path):
    write(tmp_path, radolan(TIME, depth(1)), TIME + 5)
    series = open_radolan(tmp_path, product="ry", size=SIZE)
    with pytest.raises(ValueError, match="must say datetime 2020-01-01 15:05:00, says 2020-01-01 15:00:00"):
        series.rate(0)


def test_two_files_of_one_time(tmp_path):
    path = write(tmp_path, radolan(TIME, depth(1)))
    (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ValueError, match=r"one per time. Received: .*---bin and .*---bin.gz"):
        open_radolan(tmp_path, product="ry", size=SIZE)


def test_folder_without_maps_and_a_name_that_is_no_time(tmp_path):
    with pytest.raises(ValueError, match=f"must hold some named .*yw.*Received: {tmp_path}"):
        open_radolan(tmp_path, product="yw", size=SIZE)
    (tmp_path / "raa01-ry_10000-2013011500-dwd---bin").touch()
    with pytest.raises(ValueError, match=f"Received: {tmp_path}: .*2020-13"):
        open_radolan(tmp_path, product="ry", size=SIZE)


@needs_real_maps
@pytest.mark.parametrize(("product", "size"), [("ry", (900, 900)), ("yw", (1100, 900))])
def test_real_files_have_the_values_of_wradlib(product, size):
    series = open_radolan(REAL, product=product, size=size)
    files = sorted(REAL.glob(f"raa01-{product}*"), key=lambda path: path.name.split("-")[2])
    assert len(files) == len(series.times) == {"ry": 14, "yw": 12}[product]
    for index, path in enumerate(files):
        millimetres, attributes = wradlib_radolan.read_radolan_composite(str(path))
        rate, observed = series.rate(index)
        assert series.times[index] == np.datetime64(attributes["datetime"], "m")
        np.testing.assert_array_equal(observed[::-1], millimetres != -9999)
        np.testing.assert_allclose(rate[::-1], np.where(millimetres == -9999, 0, 12 * millimetres), rtol=1e-6)


@needs_real_maps
def test_row_0_of_wradlib_is_the_southern_one():
    georef = pytest.importorskip("wradlib.georef")
    grid = georef.get_radolan_grid(900, 900)
    assert grid[0, 0, 1] < grid[-1, 0, 1]
    series = open_radolan(REAL, product="ry", size=(900, 900))
    millimetres, _ = wradlib_radolan.read_radolan_composite(str(next(REAL.glob("*ry*1408102050*"))))
    np.testing.assert_array_equal(series.rate(0)[1][0], millimetres[-1] != -9999)


@needs_real_maps
def test_wet_share_and_maxima_of_real_files():
    ry, yw = (
        open_radolan(REAL, product="ry", size=(900, 900)),
        open_radolan(REAL, product="yw", size=(1100, 900)),
    )
    rate, observed = ry.rate(0)
    assert ry.times[0] == np.datetime64("2014-08-10T20:50")
    np.testing.assert_allclose(rate.max(), 129.48, rtol=1e-6)
    np.testing.assert_allclose((rate > 0).sum() / observed.sum(), 0.213, atol=5e-4)
    maps = [yw.rate(index) for index in range(12)]
    np.testing.assert_allclose(max(rate.max() for rate, _ in maps), 142.92, rtol=1e-6)
    wet = sum((rate > 0).sum() for rate, _ in maps) / sum(observed.sum() for _, observed in maps)
    np.testing.assert_allclose(wet, 0.1464, atol=5e-5)


@needs_real_maps
def test_real_hour_has_windows_every_5_minutes():
    series = open_radolan(REAL, product="ry", size=(900, 900))
    windows = time_windows(series.times, window=8, interval=5, stride=5)
    # 13 maps of one hour; the map of 2014 stands alone.
    assert len(windows) == 6 and windows.min() == 1


@pytest.mark.slow
def test_ten_thousand_altered_files_are_read_or_refused(tmp_path):
    random = np.random.default_rng(8)
    plain = radolan(TIME, depth(1))
    header = plain.index(b"\x03") + 1
    path, outcomes = tmp_path / radolan_name(TIME), {"read": 0, "refused": 0}
    for number in range(10_000):
        content = bytearray(gzip.compress(plain, 1) if number % 4 == 3 else plain)
        end = header if number % 2 else len(content)
        for position in random.integers(0, end, random.integers(1, 4)):
            content[position % len(content)] = random.choice([random.integers(256), ord(" "), ord("9")])
        if random.random() < 0.2:
            del content[random.integers(len(content)) :]
        path.write_bytes(content)
        try:
            rate, observed = read(path)
        except ValueError as error:
            assert str(path) in str(error)
            outcomes["refused"] += 1
        else:
            assert rate.shape == observed.shape == SIZE
            assert rate.dtype == np.float32 and observed.dtype == bool
            assert (rate >= 0).all() and (rate <= 492).all() and not rate[~observed].any()
            outcomes["read"] += 1
    assert min(outcomes.values()) > 500
