"""Tests of folders of radar maps: order, times, what is missing, archives; real maps against their own files."""

import gzip
import os
import tarfile
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from mslstm_keras.radar.read import read_radar
from tests.support.radar_files import codes, digits, radolan, radolan_name, stamps, write_knmi, write_odim
from tfds_builders.dwd_radar_clips.clips import time_windows
from tfds_builders.dwd_radar_clips.radar_folder import open_radar_folder

REAL = Path(os.environ.get("MSLSTM_DATA", Path(__file__).parents[3] / "shared" / "data")) / "radar"
needs_real_maps = pytest.mark.skipif(
    not REAL.is_dir(), reason="real radar maps are not at hand (set MSLSTM_DATA to the folder of radar/)"
)
TIMES = stamps("2020-01-01T15:00", 4)
SIZE = (12, 10)


def knmi(folder, time, values):
    return write_knmi(folder / f"RAD_NL25_RAP_5min_{digits(time)}.h5", time, values)


def test_rates_and_what_was_observed(tmp_path):
    values = codes(0, SIZE)
    values[0, 0] = 65535
    values[-1, -1] = 5000  # 50 mm in 5 min
    knmi(tmp_path, TIMES[0], values)
    series = open_radar_folder(tmp_path)
    with pytest.warns(UserWarning, match=r"Rain above 492 mm/h is hail or clutter .*: 1 pixels of "):
        rate, observed = series.rate(0)
    expected = values * 0.12
    expected[0, 0], expected[-1, -1] = 0, 492
    np.testing.assert_allclose(rate, expected, rtol=1e-6)
    assert rate.dtype == np.float32 and observed.dtype == bool
    assert not observed[0, 0] and observed.sum() == observed.size - 1
    assert (series.size, series.minutes, series.files) == (SIZE, None, tuple(tmp_path.iterdir()))


def test_order_of_time_with_subfolders_and_what_is_no_map(tmp_path):
    (tmp_path / "2019").mkdir()
    early = np.datetime64("2019-12-31T23:55", "s")
    knmi(tmp_path, TIMES[0], codes(1, SIZE))
    knmi(tmp_path, TIMES[1], codes(3, SIZE))
    knmi(tmp_path / "2019", early, codes(2, SIZE))
    (tmp_path / "raa01-rw_10000-2001011500-dwd---bin").write_bytes(b"no map")
    (tmp_path / "notes.txt").write_text("no map")
    with pytest.warns(UserWarning, match="1 files are no radar maps that can be read and are left out"):
        series = open_radar_folder(tmp_path)
    assert series.times.tolist() == [time.item() for time in (early, TIMES[0], TIMES[1])]
    assert series.times.dtype == "datetime64[m]" and series.minutes == 5
    np.testing.assert_allclose(series.rate(0)[0], codes(2, SIZE) * 0.12, rtol=1e-6)
    late = series.where(np.array([False, True, True]))
    np.testing.assert_allclose(late.rate(0)[0], codes(1, SIZE) * 0.12, rtol=1e-6)
    assert late.files == series.files[1:]


def test_the_identity_is_that_of_the_files(tmp_path):
    for time in TIMES:
        knmi(tmp_path, time, codes(0, SIZE))
    before = open_radar_folder(tmp_path).identity
    assert open_radar_folder(tmp_path).identity == before
    path = knmi(tmp_path, TIMES[1], codes(1, SIZE))
    os.utime(path, ns=(0, 0))
    assert open_radar_folder(tmp_path).identity != before


def test_times_with_seconds(tmp_path):
    """They are those of the interval; that of maps between two minutes keeps its seconds."""
    for time in TIMES + np.array([0, 9, -8, 4]).astype("timedelta64[s]"):
        write_odim(tmp_path / f"composite_{digits(time, '%Y%m%d%H%M%S')}.h5", time, codes(0, SIZE))
    series = open_radar_folder(tmp_path)
    np.testing.assert_array_equal(series.times, TIMES.astype("datetime64[m]"))
    assert series.times.dtype == "datetime64[m]"
    series.rate(1)
    (tmp_path / "other").mkdir()
    for time in stamps("2020-01-01", 3, 0) + 150 * np.arange(3):
        write_odim(tmp_path / "other" / f"composite_{digits(time, '%Y%m%d%H%M%S')}.h5", time, codes(0, SIZE))
    series = open_radar_folder(tmp_path / "other")
    assert series.minutes == 2.5 and str(series.times[1]) == "2020-01-01T00:02:30"


def test_products_and_archives(tmp_path):
    with tarfile.open(tmp_path / "RY.tar", "w") as archive:
        for number, time in enumerate(TIMES):
            path = tmp_path / f"{radolan_name(time)}.gz"
            path.write_bytes(gzip.compress(radolan(time, codes(number, (900, 900)))))
            archive.add(path, path.name)
            path.unlink()
    (tmp_path / radolan_name(TIMES[0], "yw")).write_bytes(
        radolan(TIMES[0], codes(9, (1100, 900)), product="YW")
    )
    series = open_radar_folder(tmp_path, product="RY")
    assert series.files == (tmp_path / "RY.tar",) * 4 and series.size == (900, 900)
    np.testing.assert_allclose(series.rate(3)[0], codes(3, (900, 900))[::-1] * 0.12, rtol=1e-6)
    assert open_radar_folder(tmp_path, product="YW").files == (tmp_path / radolan_name(TIMES[0], "yw"),)
    with pytest.raises(ValueError, match="`product` or a glob chooses"):
        open_radar_folder(tmp_path)


def test_only_some_names(tmp_path):
    """What has another name is not opened, wherever the folder is and whatever it is called."""
    folder = tmp_path / "maps [of 2020]"
    (folder / "day").mkdir(parents=True)
    values = codes(0, (900, 900))
    (folder / "day" / radolan_name(TIMES[1])).write_bytes(radolan(TIMES[1], values))
    (folder / f"{radolan_name(TIMES[0])}.gz").write_bytes(gzip.compress(radolan(TIMES[0], values)))
    (folder / "raa01-yw2017.002_10000-2001011500-dwd---bin").write_bytes(b"another product")
    (folder / "station.npz").write_bytes(b"PK\x03\x04 .npy")
    series = open_radar_folder(folder, names="raa*-ry*")
    assert [path.name for path in series.files] == [f"{radolan_name(TIMES[0])}.gz", radolan_name(TIMES[1])]


@needs_real_maps
def test_real_knmi_hours():
    series = open_radar_folder(REAL / "knmi")
    assert len(series.times) == 62 and set(np.diff(series.times).astype(int)) == {5}
    assert len(time_windows(series.times, window=8, interval=30, stride=5)) == 20
    for index in (0, 30, 61):
        with h5py.File(series.files[index]) as file:
            raw = file["image1/image_data"][()].astype(float)
        rate, observed = series.rate(index)
        np.testing.assert_array_equal(observed, raw != 65535)
        np.testing.assert_allclose(rate, np.where(raw == 65535, 0, raw * 0.12), rtol=1e-6)
        assert 0.11 < (rate > 0).mean() < 0.17
        assert not observed[760:].any()  # nothing is lost when the map is cropped to 760 rows


@needs_real_maps
@pytest.mark.parametrize(("product", "size"), [("RY", (900, 900)), ("YW", (1100, 900))])
def test_real_files_have_the_values_of_wradlib(product, size):
    from wradlib.io.radolan import read_radolan_composite

    series = open_radar_folder(REAL / "dwd", product=product)
    assert series.size == size and len(series.times) == {"RY": 14, "YW": 12}[product]
    for index, path in enumerate(series.files):
        millimetres, attributes = read_radolan_composite(str(path))
        rate, observed = series.rate(index)
        assert series.times[index] == np.datetime64(attributes["datetime"].replace(tzinfo=None), "m")
        np.testing.assert_array_equal(observed[::-1], millimetres != -9999)
        np.testing.assert_allclose(rate[::-1], np.where(millimetres == -9999, 0, 12 * millimetres), rtol=1e-6)


@needs_real_maps
def test_row_0_of_wradlib_is_the_southern_one():
    from wradlib.georef import get_radolan_grid
    from wradlib.io.radolan import read_radolan_composite

    grid = get_radolan_grid(900, 900)
    assert grid[0, 0, 1] < grid[-1, 0, 1]
    series = open_radar_folder(REAL / "dwd", product="RY")
    millimetres, _ = read_radolan_composite(str(next((REAL / "dwd").glob("*ry*1408102050*"))))
    np.testing.assert_array_equal(series.rate(0)[1][0], millimetres[-1] != -9999)


@needs_real_maps
def test_wet_share_and_maxima_of_real_files():
    ry, yw = (open_radar_folder(REAL / "dwd", product=product) for product in ("RY", "YW"))
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
    series = open_radar_folder(REAL / "dwd", product="RY")
    windows = time_windows(series.times, window=8, interval=5, stride=5)
    # 13 maps of one hour; the map of 2014 stands alone.
    assert len(windows) == 6 and windows.min() == 1


@needs_real_maps
@pytest.mark.parametrize("service", ["fmi", "opera_cirrus"])
def test_real_maps_are_those_of_read_radar(service):
    series = open_radar_folder(REAL / service)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the months between two events, and of hail
        rain = read_radar(REAL / service).rain_rate
        expected = rain[-1].values
        rate, observed = series.rate(len(series.times) - 1)
    np.testing.assert_array_equal(series.times, rain.time.values)
    np.testing.assert_array_equal(np.where(observed, rate, np.nan), expected)
