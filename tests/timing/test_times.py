"""Times of frames: sorted, doubled, lacking, uneven, of calendars."""

import warnings
from pathlib import Path

import cftime
import numpy as np
import pytest

from mslstm_keras.timing.times import interval_of, time_order

START = np.datetime64("2024-05-01T00:00", "ns")


def minutes(*numbers):
    return START + np.array(numbers) * np.timedelta64(60, "s")


@pytest.mark.parametrize(
    "times",
    [
        minutes(0, 5, 10, 15),
        minutes(0),
        minutes(0, 7),
        minutes(0, 5, 10) + np.array([0, 9, -7]) * np.timedelta64(1, "s"),
        np.arange("2023-11", "2024-05", dtype="datetime64[M]").astype("datetime64[ns]"),
        np.arange("1999", "2005", dtype="datetime64[Y]").astype("datetime64[ns]"),
        np.array([0.0, 0.5, 1.0]),
        np.array(
            [cftime.DatetimeNoLeap(2024, 2, day) for day in (27, 28)] + [cftime.DatetimeNoLeap(2024, 3, 1)]
        ),
    ],
)
def test_even_times(times):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert time_order(Path("a.nc"), times) is None


def test_the_interval_is_that_of_most_frames():
    assert interval_of(minutes(0, 5, 10, 30, 35)) == np.timedelta64(5, "m")
    assert interval_of(minutes(3)) is None
    assert interval_of(np.array([0.0, 1.0])) is None


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (
            minutes(0, 5, 15, 30),
            r"a gap: the interval is 0:05:00, and 3 frames are missing, 2024-05-01T00:10, ",
        ),
        (minutes(0, 5, 10, 90), r"15 frames are missing, .*00:15, .*00:35, \.\.\.; those beside"),
        (minutes(0, 5, 7, 12), r"uneven intervals, from 0:02:00 to 0:05:00 apart"),
        (minutes(0, 5, 5, 10), r"several frames have the same time: 2024-05-01T00:05;"),
        (np.array([0.0, 1.0, 2.0, 4.0]), r"a gap: the interval is 1.0, and 1 frames are missing, 3.0;"),
        (
            np.array([cftime.DatetimeNoLeap(2024, 2, day) for day in (25, 26, 28)]),
            r"1 frames are missing, 2024-02-27",
        ),
    ],
)
def test_what_is_told(times, message):
    with pytest.warns(UserWarning, match=r"`a\.nc`: .*" + message):
        assert time_order(Path("a.nc"), times) is None


def test_times_that_do_not_grow_are_sorted():
    with pytest.warns(UserWarning, match="sorted by their times, 2024-05-01T00:00 to 2024-05-01T00:10"):
        assert time_order(Path("a.nc"), minutes(10, 0, 5)).tolist() == [1, 2, 0]


def test_a_time_that_is_missing_is_refused():
    with pytest.raises(ValueError, match=r"`a\.nc` must say the time of every frame"):
        time_order(Path("a.nc"), np.array([START, np.datetime64("NaT", "s")]))
