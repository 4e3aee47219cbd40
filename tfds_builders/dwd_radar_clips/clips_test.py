"""Tests of windows, parts, block means and the store of reduced maps against their definitions."""

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfds_builders.dwd_radar_clips import clips
from tfds_builders.dwd_radar_clips.clips import MEANS, make_clips, reduce_map, split_series, time_windows
from tfds_builders.dwd_radar_clips.radar_maps import Series

FIRST = np.datetime64("2014-12-31T22:00", "m")


def naive_windows(minutes, window, interval, stride):
    """Windows as lists of minutes, by trying every minute."""
    there, windows, earliest = set(minutes), [], -1
    for start in range(max(minutes, default=-1) + 1):
        needed = [start + k * interval for k in range(window)]
        if start >= earliest and there.issuperset(needed):
            windows.append(needed)
            earliest = start + stride
    return windows


@st.composite
def maps_with_gaps(draw):
    """Minutes of a series of 5-minute maps, some of which are missing."""
    kept = draw(st.lists(st.integers(0, 9), max_size=90))
    rarity = draw(st.integers(0, 3))
    return [5 * number for number, value in enumerate(kept) if value >= rarity]


@given(maps_with_gaps(), st.integers(2, 5), st.sampled_from([5, 10, 30]), st.sampled_from([5, 15, 60, 120]))
def test_windows_are_those_of_the_definition(minutes, window, interval, stride):
    times = FIRST + np.array(minutes, int)
    windows = time_windows(times, window=window, interval=interval, stride=stride)
    assert windows.shape[1:] == (window,)
    received = (times[windows] - FIRST).astype(int).tolist()
    assert received == naive_windows(minutes, window, interval, stride)


def test_windows_of_maps_between_whole_minutes():
    times = np.datetime64("2020-01-01", "s") + 150 * np.arange(6)
    windows = time_windows(times, window=2, interval=2.5, stride=5)
    assert windows.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert time_windows(times, window=2, interval=10, stride=2.5).tolist() == [[0, 4], [1, 5]]


def test_missing_map_that_is_not_needed_does_not_end_a_window():
    minutes = np.delete(np.arange(0, 240, 5), 1)
    windows = time_windows(FIRST + minutes, window=8, interval=30, stride=240)
    assert minutes[windows].tolist() == [[0, 30, 60, 90, 120, 150, 180, 210]]
    needed_is_missing = np.delete(np.arange(0, 240, 5), 6)
    windows = time_windows(FIRST + needed_is_missing, window=8, interval=30, stride=240)
    assert needed_is_missing[windows].tolist() == [[5, 35, 65, 95, 125, 155, 185, 215]]


@pytest.mark.parametrize("minutes", [[0, 5, 5], [5, 0]])
def test_times_must_grow(minutes):
    with pytest.raises(ValueError, match="`times` must grow from each to the next, none twice"):
        time_windows(FIRST + np.array(minutes), window=2, interval=5, stride=5)


def series(minutes, identity=""):
    """Maps of one value each, their minute."""
    times = FIRST + np.array(minutes, int)
    ones = np.ones((2, 2), np.float32)
    return Series(
        "made up", times, lambda index: (minutes[index] * ones, ones > 0), ones.shape, identity=identity
    )


@given(maps_with_gaps(), st.one_of(st.none(), st.floats(0, 1)))
def test_no_map_is_in_both_parts(minutes, share):
    parts = split_series(series(minutes), test_share=share, train_years=(2006, 2014), test_years=(2015, 2017))
    used = {}
    for name, part in parts.items():
        windows = time_windows(part.times, window=2, interval=10, stride=5)
        used[name] = set(part.times[windows].ravel().tolist())
        for index in windows.ravel():
            rate, _ = part.rate(index)
            assert FIRST + np.timedelta64(int(rate[0, 0]), "m") == part.times[index]
    train, test = used.get("train", set()), used.get("test", set())
    assert not train & test
    assert not train or not test or max(train) < min(test)
    if share in (0, 1):
        assert list(parts) == [{0: "train", 1: "test"}[share]]
    if share is None:
        assert {time.year for time in train} <= {2014} and {time.year for time in test} <= {2015}


def test_years_of_neither_part_are_left_out():
    parts = split_series(
        series([0, 60, 120, 180]), test_share=None, train_years=(2015, 2015), test_years=(2016, 2016)
    )
    assert [len(parts[name].times) for name in ("train", "test")] == [2, 0]


def pixel(rate):
    """(10 log10(256 R^1.42) + 10) / 70, clipped, of one rate."""
    return min(max((10 * np.log10(256 * rate**1.42) + 10) / 70, 0), 1) if rate > 0 else 0.0


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("block", [1, 3, 5])
def test_reduced_pixels(mean, dtype, block):
    random = np.random.default_rng(5)
    rate = (random.random((15, 30)) ** 6 * 500).astype(np.float32)
    rate[:6] = 0
    observed = random.random(rate.shape) > 0.05
    rate[~observed] = 0
    pixels, mask = reduce_map(rate, observed, block=block, mean=mean, dtype=dtype)
    assert pixels.shape == mask.shape == (15 // block, 30 // block)
    assert pixels.dtype == dtype and mask.dtype == bool
    for row, column in np.ndindex(pixels.shape):
        at = (
            slice(row * block, (row + 1) * block),
            slice(column * block, (column + 1) * block),
        )
        expected = {
            "rate": lambda values: pixel(values.mean()),
            "pixel": lambda values: np.mean([pixel(value) for value in values.flat]),
            "centre": lambda values: pixel(values[block // 2, block // 2]),
        }[mean](rate[at].astype(np.float64))
        expected, tolerance = (255 * expected, 0.501) if dtype == "uint8" else (expected, 2e-6)
        assert abs(pixels[row, column] - expected) <= tolerance
        assert mask[row, column] == observed[at].all()


def identity(rate, observed):
    return rate, observed


def test_clips_hold_the_maps_of_their_windows_across_files_of_the_store(tmp_path):
    minutes = list(range(0, 5 * 150, 5))
    windows = time_windows(FIRST + np.array(minutes), window=20, interval=35, stride=5)
    assert len(windows) > 10 and np.ptp(windows[0]) > 96  # a window spans three files
    for _ in range(2):  # the second time from the store
        clips = list(make_clips(series(minutes, "made up"), windows, identity, tmp_path))
        for window, (pixels, observed) in zip(windows, clips, strict=True):
            assert pixels[:, 0, 0].tolist() == [minutes[index] for index in window]
            assert pixels.shape == observed.shape == (20, 2, 2) and observed.all()
    assert len(list(tmp_path.rglob("*.h5"))) == 4


def test_each_map_is_read_once():
    read = []

    def rate(index):
        read.append(int(index))
        return np.zeros((1, 1), np.float32), np.ones((1, 1), bool)

    times = FIRST + 5 * np.arange(200)
    windows = time_windows(times, window=8, interval=30, stride=5)
    made = make_clips(Series("made up", times, rate, (1, 1)), windows, identity)
    assert sum(1 for _ in made) == len(windows) == 158
    assert read == list(range(200))


def test_few_large_maps_are_kept_together(tmp_path, monkeypatch):
    """A map of `series` has 4 pixels; those of a file of the store are in memory at once."""
    minutes = list(range(0, 50, 5))
    windows = time_windows(FIRST + np.array(minutes), window=4, interval=5, stride=5)
    monkeypatch.setattr(clips, "_MOST_TOGETHER", 11)
    found = list(make_clips(series(minutes, "large"), windows, identity, tmp_path))
    assert [pixels[:, 0, 0].tolist() for pixels, _ in found] == [minutes[k : k + 4] for k in range(7)]
    assert len(list(tmp_path.rglob("*.h5"))) == 5
    monkeypatch.setattr(clips, "_MOST_TOGETHER", 3)
    assert len(list(make_clips(series(minutes, "larger"), windows, identity, tmp_path))) == 7
    assert len(list(tmp_path.rglob("*.h5"))) == 15


def cut_off(path):
    path.write_bytes(path.read_bytes()[:500])


def other_values(path):
    """Flips a bit of what is stored of the pixels."""
    with h5py.File(path) as file:
        place = file["pixels"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 8] ^= 4
    path.write_bytes(content)


def group_of_maps(path):
    with h5py.File(path, "w") as file:
        file.create_group("pixels")


@pytest.mark.parametrize("damage", [cut_off, other_values, group_of_maps])
def test_damaged_store_is_made_anew(tmp_path, damage):
    minutes = list(range(0, 400, 5))
    windows = time_windows(FIRST + np.array(minutes), window=4, interval=5, stride=20)
    first = [pixels for pixels, _ in make_clips(series(minutes, "a"), windows, identity, tmp_path)]
    damage(min(tmp_path.rglob("*.h5")))
    again = [pixels for pixels, _ in make_clips(series(minutes, "a"), windows, identity, tmp_path)]
    np.testing.assert_array_equal(first, again)


def test_other_files_windows_or_recipe_have_another_store(tmp_path):
    minutes = list(range(0, 400, 5))
    for name, stride, recipe in (("a", 20, ""), ("b", 20, ""), ("a", 50, ""), ("a", 20, "other")):
        windows = time_windows(FIRST + np.array(minutes), window=4, interval=5, stride=stride)
        list(make_clips(series(minutes, name), windows, identity, tmp_path, recipe))
    assert len(list(tmp_path.iterdir())) == 4


def test_no_store_where_maps_are_computed(tmp_path):
    minutes = [0, 5]
    windows = np.array([[0, 1]])
    assert len(list(make_clips(series(minutes), windows, identity, tmp_path))) == 1
    assert not list(tmp_path.iterdir())
