"""Times of frames: sorted, doubled, lacking, uneven, of calendars."""

import datetime
import warnings
from pathlib import Path

import cftime
import numpy as np
import pytest

from mslstm_keras.timing.times import read_times, time_order, times_behind

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


def test_frames_go_on_at_the_interval_of_most():
    np.testing.assert_array_equal(times_behind(minutes(0, 5, 10, 30, 35), 2), minutes(40, 45))
    wavering = minutes(0, 5, 10, 15) + np.array([0, 3, -2, 1]) * np.timedelta64(1, "s")
    np.testing.assert_array_equal(times_behind(wavering, 1), wavering[-1:] + np.timedelta64(303, "s"))
    for times in (minutes(3), minutes(3, 3), np.array([0.0, 1.0])):
        assert times_behind(times, 2) is None


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


FORMS = [
    *("%Y%m%d%H%M", "%Y%m%d%H%M%S", "%Y%m%d%H", "%Y/%m/%d %H:%M", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M"),
    *("%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d_%H:%M:%S", "%d-%b-%Y %H:%M:%S"),
]


def read(stored):
    return read_times(Path("a.h5"), {"time": np.array(stored)})


@pytest.mark.parametrize("form", FORMS)
def test_texts_are_read_as_dates(form):
    moments = [datetime.datetime(2024, 5, 1, 22) + datetime.timedelta(hours=hour) for hour in (1, 0, 3, 2)]
    texts = [moment.strftime(form) for moment in moments]
    assert read(texts).tolist() == read([text.encode() for text in texts]).tolist() == moments


def test_times_with_an_offset_are_those_of_utc():
    texts = ["2024-05-01T22:00+02:00", "2024-05-01 21:30:00.5+0100"]
    assert read(texts).tolist() == [
        datetime.datetime(2024, 5, 1, 20),
        datetime.datetime(2024, 5, 1, 20, 30, 0, 500000),
    ]


@pytest.mark.parametrize("kind", ["int64", "float64", "str"])
@pytest.mark.parametrize(
    ("numbers", "form"),
    [([20240430, 20240501], "%Y%m%d"), ([202405012255, 202405012300], "%Y%m%d%H%M")],
)
def test_numbers_that_write_dates(numbers, form, kind):
    stored = np.array(numbers).astype(kind) if kind != "str" else [str(number) for number in numbers]
    assert read(stored).tolist() == [datetime.datetime.strptime(str(each), form) for each in numbers]


@pytest.mark.parametrize("numbers", [[3, 1, 2], [0.5, 1.5, np.nan], [1714521600, 1714521900], [20240431, 7]])
def test_other_numbers_stay(numbers):
    np.testing.assert_array_equal(read(numbers), numbers)


@pytest.mark.parametrize(
    "times",
    [
        ["2024050101", "2024050125", "2024050148"],  # a day and the number of its half hour
        [2024050101, 2024050125, 2024050148],
        ["2012050101", "2012050148"],
        ["20240501001", "20240501002"],
        ["left", "right"],
        ["01.02.2024", "2024-02-03"],
        ["2024-05-01T00:00Z", "2024-05-01T00:00"],
    ],
)
def test_times_that_are_not_read_are_told_of(times):
    with pytest.warns(
        UserWarning, match=r"`a\.h5`: its times .* are not read, frames stay in the order of the file"
    ):
        assert read(times) is None


def test_times_of_day():
    assert read(["00:10", "00:00", "00:05"]).tolist() == [
        datetime.datetime(2000, 1, 1, 0, minute) for minute in (10, 0, 5)
    ]
    with pytest.warns(UserWarning, match="its times of day are taken to pass midnight 1 times"):
        assert read(["23:55:00", "00:00:00"]).tolist() == [
            datetime.datetime(2000, 1, 1, 23, 55),
            datetime.datetime(2000, 1, 2),
        ]


def test_several_axes_of_times():
    dates = np.array(["2024-05-01", "2024-05-03", "2024-05-02"])
    same = {"step": np.array([0, 2, 1]), "time": dates, "date": np.array(["x", "x", "x"])}
    with pytest.warns(UserWarning, match="its times x, x, x are not read$"):
        assert read_times(Path("a.h5"), same).dtype.kind == "M"
    with pytest.warns(
        UserWarning, match="its times in step and time tell two orders and are not read, frames stay"
    ):
        assert read_times(Path("a.h5"), {"step": np.arange(3), "time": dates}) is None
    assert read_times(Path("a.h5"), {"frame": np.zeros(3), "time": dates}).dtype.kind == "M"
    assert read_times(Path("a.h5"), {}) is None
