"""Tests of whole days, windows, split and scale against what their definitions say."""

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfds_builders.taxibj_clips.flow_clips import (
    Scale,
    check_reference_count,
    clean,
    clip_frames,
    join,
    split_windows,
    window_positions,
)
from tfds_builders.taxibj_clips.flows import Flows
from tfds_builders.taxibj_clips.make_dummy_data import days


def half_hour(date):
    day = datetime.datetime.strptime(str(date // 100), "%Y%m%d")
    return day + datetime.timedelta(minutes=30 * (date % 100 - 1))


def flows_of(dates, counts=None):
    counts = np.zeros((len(dates), 2, 32, 32)) if counts is None else counts
    return Flows(np.array(dates, np.int64), np.asarray(counts, np.float32))


def test_days_without_all_slots_go():
    dates = days(20160228, 2).astype(np.int64).tolist() + days(20160301, 2).astype(np.int64).tolist()
    dates.remove(2016022917)
    dates.remove(2016030248)
    cleaned = clean(flows_of(dates, np.arange(len(dates))[:, None, None, None] * np.ones((2, 32, 32))))
    assert [date for date in dates if date // 100 in (20160228, 20160301)] == cleaned.dates.tolist()
    assert cleaned.counts[:, 0, 0, 0].tolist() == [*range(48), *range(48 + 47, 48 + 47 + 48)]


def test_negative_counts_become_0():
    counts = np.ones((48, 2, 32, 32))
    counts[3, 1, 4, 5] = -7
    cleaned = clean(flows_of(days(20130701, 1).astype(np.int64), counts)).counts
    assert cleaned[3, 1, 4, 5] == 0
    assert cleaned.sum() == counts.size - 1


def test_nothing_to_clean():
    assert clean(flows_of([])).counts.shape == (0, 2, 32, 32)


def written(moments):
    return np.array([int(f"{at:%Y%m%d}{at.hour * 2 + at.minute // 30 + 1:02}") for at in moments], np.int64)


FIRST = datetime.datetime(2015, 12, 30)


@st.composite
def files_of_runs(draw):
    """Slots of up to three files: runs about as long as a window, gaps between them."""
    runs = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 20)), max_size=5)
    files = []
    for file in draw(st.lists(runs, max_size=3)):
        slots, end = [], 0
        for gap, length in file:
            slots += range(end + gap, end + gap + length)
            end += gap + length
        files.append(slots)
    return files


@pytest.mark.parametrize("reference_order", [False, True])
@settings(deadline=None)
@given(files=files_of_runs())
def test_windows_are_those_of_the_definition(reference_order, files):
    moments = [[FIRST + datetime.timedelta(minutes=30 * slot) for slot in file] for file in files]
    positions = window_positions([written(file) for file in moments], reference_order=reference_order)
    expected, offset = [], 0
    step = datetime.timedelta(minutes=30)
    for file in moments:
        for i, moment in enumerate(file):
            # In reference order, frame i itself is the one after the window.
            lags = range(1, 9) if reference_order else range(8)
            if all(moment - lag * step in file for lag in lags):
                expected.append(offset + i - lags[-1])
        offset += len(file)
    assert positions.tolist() == expected
    assert positions.dtype == np.int64


def test_a_day_between_two_missing_ones_is_a_run():
    dates = np.concatenate([days(20130701, 1), days(20130703, 1)]).astype(np.int64)
    assert window_positions([dates]).tolist() == [*range(41), *range(48, 89)]
    assert window_positions([dates], reference_order=True).tolist() == [*range(40), *range(48, 88)]


def test_no_window_lies_in_two_files_though_their_times_meet():
    dates = days(20130701, 2).astype(np.int64)
    assert len(window_positions([dates])) == 89
    assert window_positions([dates[:48], dates[48:]]).tolist() == [*range(41), *range(48, 89)]


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=40), st.integers(1, 45), st.booleans())
def test_split(steps, test_windows, disjoint):
    positions = np.cumsum(steps)
    test = positions[-test_windows:].tolist()
    train = positions[: len(positions) - len(test)].tolist()
    if disjoint:
        frames = {frame for position in test for frame in range(position, position + 8)}
        train = [position for position in train if frames.isdisjoint(range(position, position + 8))]
    if not train:
        with pytest.raises(
            ValueError, match=f"`test_windows` must .*test_windows={test_windows} of {len(steps)}"
        ):
            split_windows(positions, test_windows, disjoint=disjoint)
        return
    received = split_windows(positions, test_windows, disjoint=disjoint)
    assert [part.tolist() for part in received] == [train, test]


def test_no_window_at_all():
    with pytest.raises(ValueError, match=r"`test_windows` must leave windows for training.* of 0 windows"):
        split_windows(window_positions([]), 1)


def test_reference_count():
    check_reference_count(20_904)
    message = "must give 19,560 train and 1,344 test windows in reference order. Received: 19,561 and 1,344"
    with pytest.raises(ValueError, match=message):
        check_reference_count(20_905)


def test_scale():
    scale = Scale.of(np.array([[4, 2], [10, 3]], np.float32))
    assert scale == (2.0, 10.0)
    pixels = scale.to_pixels(np.array([0, 2, 6, 10, 12], np.float32))
    assert pixels.dtype == np.float32
    assert pixels.tolist() == [0, 0, 0.5, 1, 1]


def test_quantised_pixels_are_cut_and_never_wrap():
    pixels = Scale(0, 1000).to_pixels(np.array([0, 3, 4, 999, 1000, 1004, 2000], np.float32), "uint8")
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == [0, 0, 1, 254, 255, 255, 255]


def test_scale_needs_two_values():
    with pytest.raises(
        ValueError, match=r"`counts` must hold more than one value, to be scaled. Received: 3.0"
    ):
        Scale.of(np.full((2, 2), 3, np.float32))


def test_clip():
    counts = np.arange(20 * 2 * 32 * 32, dtype=np.float32).reshape(20, 2, 32, 32)
    scale = Scale(0, counts.max().item())
    expected = (counts[5:13] / counts.max()).transpose(0, 2, 3, 1)
    both = clip_frames(counts, 5, scale, channels=2, dtype="float32", reference_order=False)
    np.testing.assert_allclose(both, expected, rtol=1e-6)
    inflow = clip_frames(counts, 5, scale, channels=1, dtype="uint8", reference_order=True)
    assert inflow.shape == (8, 32, 32, 1)
    np.testing.assert_array_equal(inflow, np.floor(expected[::-1, :, :, :1].astype(np.float64) * 255))


def test_join():
    first, second = flows_of([1, 2], np.ones((2, 2, 32, 32))), flows_of([3])
    joined = join([first, second])
    assert joined.dates.tolist() == [1, 2, 3]
    assert joined.counts[:, 0, 0, 0].tolist() == [1, 1, 0]
