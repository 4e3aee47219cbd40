"""The order, the times and the numbers that file names tell."""

import datetime
import itertools
import random
import statistics
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mslstm_keras.timing.dates import SHORT_DATES, dated
from mslstm_keras.timing.names import counting_order, order_frames

FOLDER = Path("folder")


def ordered(names, seed=0):
    """Orders names that come in any order."""
    names = list(names)
    random.Random(seed).shuffle(names)
    return order_frames([FOLDER / f"{name}.png" for name in names], names)


def read_back(names, seed=0):
    return [path.name.removesuffix(".png") for path in ordered(names, seed).paths]


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_counting_order_is_that_of_the_numbers(tmp_path_factory, numbers):
    paths = [tmp_path_factory.getbasetemp() / f"frame{number}.png" for number in numbers]
    assert sorted(paths, key=counting_order) == [paths[0].with_name(f"frame{n}.png") for n in sorted(numbers)]


IN_ORDER = [
    "frame1 Frame2 frame010 frame11",
    "frame-1 frame-2 frame-9 frame-10",
    "f0.5 f1.25 f1.5 f10.0",
    "t1 t1.25 t1.5 t2 t2.5 t10",
    "f1,25 f1,5",
    "t0p5 t1p25 t1p5",
    "x1.8 x1.9 x1.10 x1.11",
    "f1.05 f1.5",
    "1.2.3 1.2.10 1.10.1",
    "t-20 t-10 t0 t10",
    "t-10 t-5 t+0 t+5 t+10",
    "t_-30 t_-20 t_-10",
    "-3 -2 -1",
    "t\u221220 t\u221210 t0",
    "1e-3 5e-3 1e-2",
    "1e-05 0.001 0.5",
    "f1e2 f2e2 f1e3",
    "S01E01 S01E02 S01E10 S02E01",
    "clip1_frame2 clip1_frame10 clip2_frame1",
    "frame_0001_jpg.rf.a8f3b frame_0002_jpg.rf.99ccd frame_0010_jpg.rf.1e5a",
    "1_sunny 2_rain 10_fog",
    "a b c",
    "frame_x frame_y frame_z",
    "a1 b2 c3",
    "a_001 b_001",
    "frame_a_1 frame_b_1",
    "a-2024-05-01 b-2024-05-02",
    "1a2 1b3",
    "\u0663 \u0664 \u0661\u0660",
    "30.12.2023 31.01.2024 01.02.2024 15.02.2024 01.03.2024",
    "31122023 01012024 02012024",
    "31.01.2024_2350 31.01.2024_2355 01.02.2024_0000",
    "31Jan2024 01Feb2024 02Feb2024",
    "30-April-2024 01-May-2024 02-May-2024",
    "31Okt2023 01Dez2023",
    "Mar_31_2024 Apr_01_2024",
    "01-31-2024 02-01-2024 02-02-2024",
    "2023-12-31 2024-01-01",
    "20231231_2355 20231231_2400 20240101_0005",
    "2024-05-01T00-05-00.250 2024-05-01T00-05-00.500",
    "2024-10-27T02-00+0200 2024-10-27T02-30+0200 2024-10-27T02-00+0100 2024-10-27T02-30+0100",
    "2024-05-01T01-50+0200 2024-05-01T00-00+0000 2024-05-01T00-05Z",
    "20240501T2230-05 20240501T2200-06 20240502T0000-05",
    "20240501T1130AM 20240501T1205PM 20240501T0105PM",
    "2024-05-01_9.59_a.m. 2024-05-01_12.05_p.m. 2024-05-01_1.00_p.m.",
    "30.01.24 31.01.24 01.02.24",
    "raa01-rw_10000-2401312350-dwd raa01-rw_10000-2401312355-dwd raa01-rw_10000-2402010000-dwd",
    "11.2023 12.2023 01.2024",
    "998 999 1,000 1,001",
    "f800.000 f900.000 f1.000.000 f1.100.000",
    "800'000 900'000 1'000'000",
    "f1.125 f1.250 f2.000",
    "week1_2023 week2_2023 week1_2024",
    "goes-s20203652355000 goes-s20210010000000",
    "1714521600 1714521900 1714522200",
    "23.55.00 23.55.30 23.56.00",
]


@pytest.mark.parametrize("names", IN_ORDER)
def test_names_in_order(names):
    names = names.split()
    for seed in range(3):
        assert read_back(names, seed) == names


@pytest.mark.parametrize(
    ("names", "two", "why"),
    [
        ("one two", ("one", "two"), "the order of words is not clear"),
        ("frame1 frame2 image3", ("image3",), "the order of words"),
        ("left1 right1", ("left1", "right1"), "the order of words"),
        ("tm20 tm10 tp0", ("tm", "tp0"), "the order of words"),
        ("frame frame2", ("frame", "frame2"), "not of one convention"),
        ("30min 1h", ("30min", "1h"), "several units"),
        ("30_min 1_h", ("30_min", "1_h"), "several units"),
        ("t-30 t-20 t-10", ("t-",), 'whether "-" is a sign is not clear'),
        ("H-30 H-20 H-10", ("H-",), 'whether "-" is a sign is not clear'),
        ("30min_ago 20min_ago 10min_ago", ("min_ago",), "whether a word turns the order"),
        ("radar_30_min_ago radar_0_min_now", ("30_min_ago", "0_min_now"), "whether a word turns the order"),
        ("t-minus-30 t-minus-20", ("t-minus-30", "t-minus-20"), "whether a word turns the order"),
        ("20min_before 10min_before", ("20min", "10min"), "whether a word turns the order"),
        ("nam_t12z_tm06 nam_t12z_tm03", ("tm06", "tm03"), "whether a word turns the order"),
        ("f01 f1", ("f01", "f1"), "both tell the same place"),
        ("f1.50 f2.50 f01.50", ("f1.50", "f01.50"), "both tell the same place"),
        ("x1.9 x1.100", ("x1.9", "x1.100"), "whole numbers and decimals give another order"),
        ("cam1.8 cam1.9 cam1.11", ("cam1.8", "cam1.11"), "whole numbers and decimals give another order"),
        ("12-01-2024 01-02-2024", ("12-01-2024", "01-02-2024"), "days first and months first"),
        ("310124 010224", ("310124", "010224"), "two-digit years"),
        ("31.01 01.02", ("31.01", "01.02"), "days and months"),
        ("01.02.2024 2024-02-03", ("01.02.2024", "2024-02-03"), "dates of several conventions"),
        ("20240501 02052024", ("20240501", "02052024"), "dates of several conventions"),
        ("31.01.24 01.02.2024", ("31.01.24", "01.02.2024"), "dates of several conventions"),
        ("31.02.2024 01.03.2024", ("31.02.2024", "01.03.2024"), "no date in one"),
        ("2024-05-01T0000Z 2024-05-01T0005", ("0000Z", "0005"), "all have an offset from UTC"),
        ("20241027_0230CEST 20241027_0200CET", ("CEST", "CET"), "all have an offset from UTC"),
        ("20241103_0155_EDT 20241103_0100_EST", ("EDT", "EST"), "all have an offset from UTC"),
        ("cam1_202405010000 cam1_202405010005 cam2_202405010000", ("cam1", "cam2"), "order of their times"),
        ("2350 2355 0000 0005", ("0005", "2350"), "may pass midnight"),
        ("23-50-00 23-55-00 00-00-00", ("00-00-00", "23-50-00"), "may pass midnight"),
        ("11.58PM 11.59PM 12.00AM", ("12.00", "11.58"), "may pass midnight"),
        ("999 1,000", ("999", "1,000"), "thousands give another order"),
        ("KW51_2023 KW52_2023 KW01_2024", ("KW01", "KW51"), "order of their (years|times)"),
        ("365-2023 001-2024", ("001-2024", "365-2023"), "order of their (years|times)"),
        ("S13E20_2023 S14E40_2022", ("S13E20_2023", "S14E40_2022"), "order of their (years|times)"),
        ("h22_day1 h23_day1 h00_day2", ("h00_day2", "h22_day1"), "order of their years or days"),
        ("2_202405010000 1_202405010005", ("1_2", "2_2"), "order of their times"),
        (
            "a-2024-05-02 b-2024-05-01",
            ("a-2024", "b-2024"),
            "order of their times is not .* or letters before",
        ),
        ("1b1 1a2", ("1a2", "1b1"), "order of their letters is not that of the numbers beside them"),
        ("a b1", ("a.png", "b1"), "not of one convention"),
    ],
)
def test_names_whose_order_is_not_clear(names, two, why):
    with pytest.raises(ValueError, match=why) as error:
        ordered(names.split())
    text = str(error.value)
    assert text.startswith("`folder` must hold images whose names tell one order. Received: ")
    assert "\n" not in text
    assert all(name in text for name in two)


COUNTS = st.lists(st.integers(0, 10**5), min_size=2, max_size=12, unique=True)
FORMS = {
    "plain": "frame{:d}",
    "padded": "frame_{:06d}",
    "dashed": "frame-{:d}",
    "bracketed": "frame ({:d})",
    "of": "img_{:d}_of_100000",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(numbers=COUNTS, seed=st.integers(0, 9))
def test_whole_numbers_are_read_in_order(form, numbers, seed):
    names = [form.format(number) for number in sorted(numbers)]
    assume(not dated(names, SHORT_DATES))  # 030100 and 032769 may be of January 2000 and of March 1969
    assert read_back(names, seed) == names


@given(
    st.lists(st.integers(-1000, 1000), min_size=2, max_size=12, unique=True).filter(
        lambda numbers: min(numbers) < 0 <= max(numbers)
    ),
    st.sampled_from(["t{:d}", "t{:+d}", "lag_{:+d}min", "x={:d}"]),
)
def test_signed_numbers_are_read_in_order(numbers, form):
    names = [form.format(number) for number in sorted(numbers)]
    assert read_back(names) == names


@given(st.lists(st.integers(0, 10**5), min_size=2, max_size=12, unique=True), st.integers(1, 4))
def test_decimals_of_one_length_are_read_in_order(numbers, digits):
    names = [f"t{number / 10**digits:.{digits}f}s" for number in sorted(numbers)]
    assert read_back(names) == names


@given(st.lists(st.floats(1e-9, 1e-5), min_size=2, max_size=12, unique_by=lambda value: f"{value:.3e}"))
def test_exponents_are_read_in_order(numbers):
    names = [f"dose{number:.3e}" for number in sorted(numbers)]
    assert read_back(names) == names


STARTS = st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2060, 1, 1))
MINUTES = st.lists(st.integers(0, 60 * 24 * 400), min_size=2, max_size=12, unique=True)
TIMES = {
    "iso": "radar_%Y-%m-%dT%H%M%SZ",
    "iso_marked": "%Y-%m-%dT%H-%M-%S",
    "compact": "rain%Y%m%d%H%M",
    "year_first": "%Y.%m.%d_%H.%M",
    "day_first": "map_%d.%m.%Y_%H%M_dbz",
    "day_first_compact": "%d%m%Y_%H%M",
    "month_names": "%d%b%Y_%H%M",
    "long_month_names": "%B-%d-%Y_%H-%M",
    "noon": "%Y-%m-%d_%I.%M_%p",
    "offset": "%Y%m%dT%H%M+0530",
    "day_of_year": "s%Y%j%H%M",
}


def evenness(moments):
    """Returns the share of steps that are the usual one, within a tenth."""
    steps = [after - before for before, after in itertools.pairwise(moments)]
    usual = statistics.median_low(steps)
    return statistics.fmean(abs(step - usual) <= usual / 10 for step in steps)


@pytest.mark.parametrize("form", TIMES.values(), ids=TIMES)
@given(start=STARTS, minutes=MINUTES, seed=st.integers(0, 9))
@example(datetime.datetime(2001, 1, 27, 0, 45), [51795, 100755, 267795], 0)  # months first are evener
def test_times_are_read_in_order(form, start, minutes, seed):
    moments = [
        start.replace(second=0, microsecond=0) + datetime.timedelta(minutes=m) for m in sorted(minutes)
    ]
    names = [moment.strftime(form) for moment in moments]
    ambiguous = form.startswith("%d%m") and all(moment.day <= 12 for moment in moments)
    turned = [moment.replace(month=moment.day, day=moment.month) for moment in moments] if ambiguous else []
    if sorted(turned) != turned:  # who knows which of the two is the month? The one that gives evener steps
        try:
            order = ordered(names, seed)
        except ValueError as error:
            assert "days first and months first give another order" in str(error)
            return
        assert evenness(sorted(turned)) != evenness(moments)
        if evenness(sorted(turned)) > evenness(moments):
            names = [name for _, name in sorted(zip(turned, names, strict=True))]
    order = ordered(names, seed)
    assert [path.name for path in order.paths] == [f"{name}.png" for name in names]
    shift = datetime.timedelta(hours=5.5 if "+0530" in form else 0)
    if not ambiguous:  # else days may be months
        assert order.values == tuple(moment - shift for moment in moments)


def test_times_behind_a_letter_count():
    times = tuple(datetime.datetime(2024, 5, day) for day in (1, 2))
    assert ordered(["a-2024-05-01", "b-2024-05-02"]).values == times
    assert ordered(["a1", "b2"]).values is None


@given(STARTS, MINUTES)
def test_epochs_are_times(start, minutes):
    start = max(start, datetime.datetime(2002, 1, 1)).replace(second=0, microsecond=0)
    start = min(start, datetime.datetime(2030, 1, 1))
    moments = [start + datetime.timedelta(minutes=m) for m in sorted(minutes)]
    seconds = [int((moment - datetime.datetime(1970, 1, 1)).total_seconds()) for moment in moments]
    assert ordered([f"cam_{second}" for second in seconds]).values == tuple(moments)
    assert ordered([f"cam_{second}250" for second in seconds]).values == tuple(
        moment + datetime.timedelta(milliseconds=250) for moment in moments
    )


def test_days_of_the_year_in_names_of_goes():
    start = "OR_ABI-L2-CMIPF-M6C13_G16_s20241220020207_e20241220029520_c20241220029595"
    end = start.replace("00202", "00302").replace("002952", "003952").replace("002959", "003959")
    assert ordered([start, end]).values[0] == datetime.datetime(2024, 5, 1, 0, 20, 20, 700000)


# Steps


@pytest.mark.parametrize(
    ("names", "interval"),
    [
        ("frame1 frame2 frame3", Fraction(1)),
        ("frame10 frame20 frame30", Fraction(10)),
        ("t0.5 t1.0 t1.5", Fraction(1, 2)),
        ("t-10 t-5 t0", Fraction(5)),
        ("202405010050 202405010055 202405010100", datetime.timedelta(minutes=5)),
        ("2401312355 2402010000 2402010005", datetime.timedelta(minutes=5)),
        ("0050 0055 0100 0105", datetime.timedelta(minutes=5)),
        ("20240501_radar_0050 20240501_radar_0055 20240501_radar_0100", datetime.timedelta(minutes=5)),
        ("20240501_frame_0001 20240501_frame_0002 20240501_frame_0003", Fraction(1)),
        ("000101 000102 000103", Fraction(1)),
        ("20240101 20240201 20240301", datetime.timedelta(days=29)),
        ("20240501T000003 20240501T000501 20240501T001004", datetime.timedelta(seconds=298)),
        (
            " ".join(
                f"OR_ABI-L2-CMIPF-M6C13_G16_s2024122{start}207_e2024122{end}520_c2024122{end}595"
                for start, end in (("0050", "0059"), ("0100", "0109"), ("0110", "0119"))
            ),
            datetime.timedelta(minutes=10),
        ),
        (
            "3B-HHR.MS.MRG.3IMERG.20240501-S230000-E232959.1380.V07B "
            "3B-HHR.MS.MRG.3IMERG.20240501-S233000-E235959.1410.V07B "
            "3B-HHR.MS.MRG.3IMERG.20240502-S000000-E002959.0000.V07B",
            datetime.timedelta(minutes=30),
        ),
        (
            "npp_d20240501_t2355005_e2356240 npp_d20240502_t0000005_e0001240 npp_d20240502_t0005005_e0006240",
            datetime.timedelta(minutes=5),
        ),
        ("20240501_t000010 20240501_t000011 20240501_t000012", Fraction(1)),
        ("a b c", None),
        ("clip1_frame1 clip1_frame2 clip2_frame1", None),
        ("frame1", None),
    ],
)
def test_even_steps_have_an_interval_and_no_gap(names, interval):
    order = ordered(names.split())
    assert order.interval == interval
    assert order.gaps() is None


@pytest.mark.parametrize(
    ("names", "gaps"),
    [
        (
            "frame1 frame2 frame4",
            "the interval is 1, but there are gaps: 2 between frame2.png and frame4.png (missing: 3)",
        ),
        (
            "202405010000 202405010005 202405010010 202405010030",
            "the interval is 5 minutes, but there are gaps: 20 minutes between 202405010010.png and 202405010030.png "
            "(missing: 2024-05-01 00:15:00, 2024-05-01 00:20:00, 2024-05-01 00:25:00)",
        ),
        (
            "0 1 7 8 9",
            "the interval is 1, but there are gaps: 6 between 1.png and 7.png (missing: 2, 3, 4 ...)",
        ),
        ("0 10 20 25", "the interval is 10, but there are gaps: 5 between 20.png and 25.png"),
        (
            "20240101 20240201 20240401 20240501",
            "the interval is 31 days, but there are gaps: 60 days between 20240201.png and 20240401.png "
            "(missing: 2024-03-03 00:00:00)",
        ),
        (
            "1 2 4 6 8 9 10 11 12 14",
            "the interval is 1, but there are gaps: 2 between 2.png and 4.png (missing: 3); 2 between 4.png and 6.png "
            "(missing: 5); 2 between 6.png and 8.png (missing: 7) and 1 more",
        ),
    ],
)
def test_gaps_are_named(names, gaps):
    assert ordered(names.split()).gaps() == gaps


@pytest.mark.parametrize(
    ("names", "turns"),
    [
        ("1_left 2_right 3_left 4_right", ("1_left", "2_right")),
        ("1_left 2_left 3_right 4_right 5_left", ("2_left", "3_right")),
        ("1_left 2_left 3_right 4_right", None),  # one run each
        ("1_a 2_b 3_a 4_c", None),  # words of single frames
        ("2024-01-01_11AM 2024-01-01_11PM 2024-01-02_11AM 2024-01-02_11PM", None),
        ("f1 f2 f3", None),
    ],
)
def test_where_words_take_turns(names, turns):
    found = ordered(names.split()).turns
    assert (found and tuple(path.stem for path in found)) == turns


@pytest.mark.parametrize(
    ("names", "anew"),
    [
        ("a1_f0 a1_f1 a2_f0 a2_f1 a2_f2", ("a1_f1", "a2_f0")),
        ("1-08 1-09 2-08 2-09 3-08 3-09", ("1-09", "2-08")),
        ("a1_f1 a1_f2 a1_f10 a2_f3 a2_f4", None),  # counted on
        ("a1_f0 a2_f0 a3_f0", None),  # one number
        ("a1_f0 a2_f1 a3_f0 a4_f1", None),  # of one each, as every number of the first
        ("f1 f2 f3", None),
        ("20240101_0000 20240101_0005 20240102_0000", None),
    ],
)
def test_where_a_number_begins_anew(names, anew):
    found = ordered(names.split()).anew
    assert (found and tuple(path.stem for path in found)) == anew
