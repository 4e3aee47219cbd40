"""Tests of times: in names, of sequences, of gaps."""

import numpy as np
import pytest

from mslstm_keras.radar.sequence import kind_of_name, runs, shown, times_in, timetable
from tests.support.radar_files import stamps


@pytest.mark.parametrize(
    ("name", "time", "kind"),
    [
        ("RAD_NL25_RAP_5min_201008260005.h5", "2010-08-26T00:05", "RAD_NL25_RAP_5min_#.h5"),
        ("raa01-ry_10000-2001011505-dwd---bin.gz", "2020-01-01T15:05", "raa01-ry_10000-#-dwd---bin.gz"),
        ("AQC151351545F_00005.801.gif", "2015-05-15T15:45", "AQC#F_00005.801.gif"),
        ("T_PABV21_C_EUOC_20241126010030.hdf", "2024-11-26T01:00:30", "T_PABV21_C_EUOC_#.hdf"),
        ("PrecipRate_00.00_20190610-000200.grib2", "2019-06-10T00:02", "PrecipRate_00.00_#.grib2"),
        ("66_20201031_001000.prcp-c10.nc", "2020-10-31T00:10", "66_#.prcp-c10.nc"),
        ("composite_hx_20241126_0105-hd5", "2024-11-26T01:05", "composite_hx_#-hd5"),
    ],
)
def test_times_that_names_tell(name, time, kind):
    assert np.datetime64(time, "s") in times_in(name)
    assert kind_of_name(name) == kind


@pytest.mark.parametrize(
    "name",
    ["map.h5", "201013260005.h5", "AQC153671545.gif", "AQC213661545.gif", "2020010100.h5", "20200101.h5"],
)
def test_names_that_tell_no_time(name):
    assert times_in(name) == [None, None, None]


def test_the_interval_and_what_is_missing():
    times = stamps("2020-01-01T00:00", 10)
    found = timetable(times[[0, 1, 2, 5, 9]], "abcde")
    assert found.minutes == 5
    np.testing.assert_array_equal(found.missing, times[[3, 4, 6, 7, 8]])
    assert timetable(times, range(10)).missing.size == 0
    assert timetable(times[:1], "a").minutes is None


def test_seconds_may_stray():
    times = stamps("2020-01-01T00:00", 4) + np.array([0, 2, -3, 1]).astype("timedelta64[s]")
    found = timetable(times, range(4))
    assert found.minutes == 5 and not found.missing.size


@pytest.mark.parametrize("seconds", [20, 90, 150, 600])
def test_intervals_between_whole_minutes(seconds):
    times = np.datetime64("2020-01-01T00:00", "s") + seconds * np.array([0, 1, 2, 4])
    found = timetable(times, range(4))
    assert found.minutes == seconds / 60
    np.testing.assert_array_equal(found.missing, times[2:3] + np.timedelta64(seconds, "s"))


def test_intervals_that_do_not_fit():
    times = stamps("2020-01-01T00:00", 6)[[0, 2, 5]]
    with pytest.raises(ValueError, match=r"Received: 10 minutes from a to b, but 15 from b to c"):
        timetable(times, "abc")


def test_two_maps_almost_of_one_time():
    times = np.append(stamps("2020-01-01T00:00", 6), np.datetime64("2020-01-01T00:25:01", "s"))
    said = r"one for each time, here 5 minutes apart. Received: 1 seconds from f to g"
    with pytest.raises(ValueError, match=said):
        timetable(times, "abcdefg")


def test_how_gaps_are_shown():
    times = stamps("2020-01-01T00:00", 100)
    assert shown(times[[3]], 5) == "2020-01-01 00:15"
    assert shown(times[[3, 4, 9]], 5) == "2 from 2020-01-01 00:15 to 2020-01-01 00:20, 2020-01-01 00:45"
    assert shown(times[::2], 5).endswith("2020-01-01 00:40 and 45 gaps more")
    assert [len(run) for run in runs(times[[1, 2, 3, 7, 8]], 5)] == [3, 2]
    assert runs(times[:0], 5) == []
