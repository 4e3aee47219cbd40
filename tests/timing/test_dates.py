"""Dates and times of day in names, cut out of them."""

import datetime

import pytest

from mslstm_keras.timing.dates import FULL_DATES, SHORT_DATES, Unclear, clocked, dated, refuse_mixed_dates


@pytest.mark.parametrize(
    ("name", "convention", "row"),
    [
        ("cam 2024-05-01t12-30z.a", "years first", ["cam ", datetime.datetime(2024, 5, 1, 12, 30), ".a"]),
        ("1.2.2024", "days first", ["", datetime.datetime(2024, 2, 1), ""]),
        ("5-feb-2024_0730pm", "days first", ["", datetime.datetime(2024, 2, 5, 19, 30), ""]),
        ("2024-05-01 0100utc+2", "years first", ["", datetime.datetime(2024, 5, 1, 1, 0), "utc+2"]),
        ("2024-05-01t0100-0330", "years first", ["", datetime.datetime(2024, 5, 1, 4, 30), ""]),
        ("20240501120000123456", "years first", ["", datetime.datetime(2024, 5, 1, 12, 0, 0, 123456), ""]),
        ("20240501_2400", "years first", ["", datetime.datetime(2024, 5, 2), ""]),
        (
            "20240501-20240502",
            "years first",
            ["", datetime.datetime(2024, 5, 1), "-", datetime.datetime(2024, 5, 2), ""],
        ),
    ],
)
def test_full_dates(name, convention, row):
    assert dict(dated([name], FULL_DATES))[convention] == [row]


def test_a_day_366_is_one_of_leap_years():
    assert dict(dated(["2020366"], SHORT_DATES))["days of the year"] == [
        ["", datetime.datetime(2020, 12, 31), ""]
    ]
    assert dated(["2021366"], SHORT_DATES) == dated(["2020367"], SHORT_DATES) == []


@pytest.mark.parametrize("name", ["frame12", "2024-13-01", "31.02.2024", "20240500", "18991231", "120240501"])
def test_what_is_no_full_date(name):
    assert dated([name], FULL_DATES) == []


def test_dots_are_days_first():
    assert [convention for convention, _ in dated(["01.02.2024"], FULL_DATES)] == ["days first"]
    assert [convention for convention, _ in dated(["01-02-2024"], FULL_DATES)] == [
        "days first",
        "months first",
    ]


def test_short_dates_of_every_convention_that_fits():
    found = [convention for convention, _ in dated(["010203"], SHORT_DATES)]
    assert found == [
        "two-digit years first",
        "days first, two-digit years",
        "months first, two-digit years",
    ]


@pytest.mark.parametrize(
    ("name", "fits"), [("12h05", True), ("12.05.30", True), ("0.05", False), ("3.07", False)]
)
def test_times_of_day(name, fits):
    assert (clocked([name]) is not None) == fits


def test_times_of_day_without_marks_are_of_one_length():
    assert clocked(["1300", "2355"]) is not None
    assert clocked(["1300", "235500"]) is None


def test_an_offset_in_one_name_alone():
    with pytest.raises(Unclear, match="all have an offset") as error:
        dated(["20240501t0000z", "20240501t0005z", "20240501t0010"], FULL_DATES)
    assert error.value.names == (0, 2)


def test_dates_in_some_names_alone():
    refuse_mixed_dates(["frame1", "frame2"])
    refuse_mixed_dates(["20240430", "20240431"])  # numbers that come near a date
    with pytest.raises(Unclear, match="several conventions") as error:
        refuse_mixed_dates(["2024-05-01", "01.05.2024"])
    assert error.value.names == (0, 1)
