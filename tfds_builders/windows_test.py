"""Windows against what their definition says, for any series."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfds_builders.windows import contiguous_runs, window_starts


@given(st.lists(st.integers(1, 4), max_size=60), st.integers(1, 4), st.integers(-1000, 1000))
def test_runs_cover_the_series_and_break_at_gaps_only(steps, interval, first):
    times = np.cumsum([first, *steps])
    runs = contiguous_runs(times, interval)
    assert np.concatenate([times[run] for run in runs]).tolist() == times.tolist()
    for run in runs:
        assert (np.diff(times[run]) == interval).all()
    for before, after in itertools.pairwise(runs):
        assert before.stop == after.start
        assert times[after.start] - times[before.stop - 1] != interval


def test_runs_of_time_stamps():
    times = np.array(["2010-08-26T00:00", "2010-08-26T00:05", "2010-08-26T00:15"], "datetime64[m]")
    runs = contiguous_runs(times, np.timedelta64(5, "m"))
    assert runs == [slice(0, 2), slice(2, 3)]


def test_no_series_has_no_run():
    assert contiguous_runs(np.array([], int), 1) == []


@pytest.mark.parametrize("times", [[0, 1, 1, 2], [0, 2, 1]])
def test_shuffled_or_doubled_times(times):
    with pytest.raises(
        ValueError, match=r"`times` must grow from each to the next, none twice. Received: 1 at 2"
    ):
        contiguous_runs(np.array(times), 1)


@pytest.mark.parametrize("interval", [0, -1])
def test_interval_must_be_positive(interval):
    with pytest.raises(ValueError, match=f"`interval` must be positive. Received: interval={interval}"):
        contiguous_runs(np.array([0, 1]), interval)


@given(st.integers(0, 50), st.integers(1, 12), st.integers(1, 12))
def test_windows_lie_within_and_miss_none(length, size, stride):
    starts = window_starts(length, size, stride)
    assert list(starts) == [start for start in range(0, length, stride) if start + size <= length]


@pytest.mark.parametrize("arguments", [{"size": 0}, {"size": 2, "stride": 0}])
def test_size_and_stride_must_be_positive(arguments):
    name = list(arguments)[-1]
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1. Received: {name}=0"):
        window_starts(10, **arguments)
