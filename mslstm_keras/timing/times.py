"""The axis of time that a file gives: its order, its interval, its gaps."""

import contextlib
import datetime
import itertools
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mslstm_keras.timing.names import values_of

_UNEVEN = 0.1  # of an interval: by so much times waver
_TIMES_SHOWN = 5


_DATES = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Dates that are written as one number, by its digits."""


def read_times(path: Path, axes: Mapping[str, np.ndarray], *, of_one: bool = False) -> np.ndarray | None:
    """Reads the times that a file gives of its frames, whatever they are written as.

    A warning says which are not read, that times of day are taken to pass midnight, and where axes tell several orders.

    Args:
        path: file, for the warnings.
        axes: name -> (time,) of what may be times: datetime64, dates of another calendar, numbers, dates that are
            written as numbers, or texts.
        of_one: bool. The file is one of several: a text alone is returned as it is, to be read with those of others.

    Returns:
        Times as `time_order` takes them; dates where there are any. None where nothing is read, or several orders.
    """
    texts = [stored for stored in axes.values() if _are_texts(stored)]
    if of_one and texts and len(texts[0]) == 1:
        return np.array(_texts(texts[0]))
    read = {name: _read(path, stored) for name, stored in axes.items()}
    found = {name: times for name, times in read.items() if times is not None}
    for name in axes:
        if name in found or len(axes[name]) < 2:
            continue
        staying = "" if found else ", frames stay in the order of the file"
        _warn(path, f"its times {_listing(_texts(axes[name]))} are not read{staying}")
    telling = {name: times for name, times in found.items() if len(set(times.tolist())) > 1}
    orders = {name: np.argsort(times, kind="stable").tolist() for name, times in telling.items()}
    for one, other in itertools.pairwise(orders):
        if orders[one] != orders[other]:
            _warn(
                path,
                f"its times in {one} and {other} tell two orders and are not read, frames stay in the order of the "
                "file",
            )
            return None
    ranked = sorted((telling or found).values(), key=lambda times: times.dtype.kind != "M")
    return ranked[0] if ranked else None


def _read(path: Path, stored: np.ndarray) -> np.ndarray | None:
    """Returns times as `time_order` takes them; None where they are not clear."""
    kind = stored.dtype.kind
    if kind == "M" or not len(stored) or (kind == "O" and not _are_texts(stored)):
        return stored
    return _dates_of(stored) if kind in "iuf" else _times_of(path, _texts(stored))


def _are_texts(stored: np.ndarray) -> bool:
    words = stored.dtype.kind == "O" and len(stored) > 0 and isinstance(stored[0], str | bytes)
    return words or stored.dtype.kind in "US"


def _texts(stored: np.ndarray) -> list[str]:
    """Returns texts as they are meant: fixed lengths are filled up by zeros or blanks."""
    return [
        (each.decode(errors="replace") if isinstance(each, bytes) else str(each)).strip("\0 ")
        for each in stored.tolist()
    ]


def _dates_of(numbers: np.ndarray) -> np.ndarray | None:
    """Returns the dates that numbers write, 202405012255; the numbers where they do not; None for days with more."""
    if np.any(numbers != np.rint(numbers)) or np.any(numbers < 19000101) or np.any(numbers >= 21e12):
        return numbers
    texts = [str(int(number)) for number in numbers]
    days = _parsed([text[:8] for text in texts], _DATES[8])
    form = _DATES.get(len(texts[0])) if len({len(text) for text in texts}) == 1 else None
    return numbers if days is None or form is None else _parsed(texts, form)


def _parsed(texts: Sequence[str], form: str) -> np.ndarray | None:
    try:
        dates = [datetime.datetime.strptime(text, form) for text in texts]
    except ValueError:
        return None
    return np.array(dates, "datetime64[us]") if all(1900 <= date.year < 2100 for date in dates) else None


def _times_of(path: Path, texts: list[str]) -> np.ndarray | None:
    """Returns the times, in UTC, or numbers that texts tell; None where that is not clear."""
    moments: list[datetime.datetime] = []
    if not all(text.isdecimal() for text in texts):  # any digit would do as the mark between day and clock
        with contextlib.suppress(ValueError):
            moments = [datetime.datetime.fromisoformat(text) for text in texts]
    if moments and len({moment.tzinfo is None for moment in moments}) == 1:
        return np.array([_utc(moment) for moment in moments], "datetime64[us]")
    values: Any = values_of(texts)
    if values is None:
        return None
    if not isinstance(values[0], datetime.datetime):
        return np.array(values, "float64")
    times = np.array(values, "datetime64[us]")
    if np.any(times.astype("datetime64[D]") != np.datetime64("2000-01-01")) or any(
        "2000" in text for text in texts
    ):
        return times
    # Times of day that fall by more than half a day pass midnight; others are in no order.
    days = np.cumsum(np.diff(times, prepend=times[:1]) < np.timedelta64(-12, "h"))
    if days[-1]:
        _warn(path, f"its times of day are taken to pass midnight {days[-1]} times")
    return times + days * np.timedelta64(1, "D")


def _utc(moment: datetime.datetime) -> datetime.datetime:
    return moment.astimezone(datetime.UTC).replace(tzinfo=None) if moment.tzinfo else moment


def time_order(path: Path, times: np.ndarray) -> np.ndarray | None:
    """Returns the order in which times grow; None where they do already.

    A warning says where frames are sorted, where two have the same time, and where times are missing or come at
    uneven intervals. Months and years are even, however long they are.

    Args:
        path: file, for the warning.
        times: datetime64, numbers, or dates of another calendar as `cftime` has them, (time,).

    Raises:
        ValueError: if a time is missing.
    """
    if np.any(times != times):  # NaT and NaN
        raise ValueError(f"`{path}` must say the time of every frame. Received: a time is missing")
    order = None
    if np.any(times[1:] < times[:-1]):
        order = np.argsort(times, kind="stable")
        times = times[order]
        _warn(path, f"frames are sorted by their times, {_text(times[0])} to {_text(times[-1])}")
    again = times[1:][times[1:] == times[:-1]]
    if len(again):
        _warn(
            path, f"several frames have the same time: {_listing(again)}; there is no interval between them"
        )
    _check_interval(path, np.unique(times))
    return order


def times_behind(times: np.ndarray, count: int) -> np.ndarray | None:
    """Returns the times of frames behind the last one, at the usual interval; None where there is none.

    Months and years stay whole. Of dates of another calendar, the interval must be the same everywhere.

    Args:
        times: as `time_order` takes them, growing.
        count: int. Frames behind the last.
    """
    found = np.unique(times)
    intervals, steps = np.diff(found), np.arange(1, count + 1)
    if not len(intervals) or not isinstance(intervals[0], np.timedelta64 | datetime.timedelta):
        return None  # numbers have no unit
    if times.dtype.kind != "M":
        seconds = np.array([interval.total_seconds() for interval in intervals])
        if np.ptp(seconds) > 0.01 * seconds[0]:
            return None
        # To the millisecond, without the rounding of days that are stored as floats.
        mean = datetime.timedelta(seconds=round(float(seconds.mean()), 3))
        return np.array([found[-1] + int(step) * mean for step in steps])
    shift = _month_shift(found)
    if shift is not None:
        shifted = found + shift
        months = shifted.astype("datetime64[M]")
        return (months[-1] + steps * (months[-1] - months[-2])) + (shifted[-1] - months[-1]) - shift
    usual = _usual(intervals)
    like = np.sort(intervals[np.abs(intervals - usual) <= _UNEVEN * usual])
    return found[-1] + steps * like[len(like) // 2]  # clocks waver


def are_months(times: np.ndarray) -> bool:
    """Returns whether growing dates are the same number of whole months apart, the last of months among them."""
    return len(times) > 1 and _month_shift(times) is not None


def _usual(steps: np.ndarray) -> Any:
    """Returns the step that most steps are like; the shortest of several."""
    steps = np.sort(steps)
    lengths = np.array([step / steps[0] for step in steps], "float64")
    like = np.searchsorted(lengths, lengths * (1 + _UNEVEN)) - np.searchsorted(
        lengths, lengths / (1 + _UNEVEN)
    )
    return steps[np.argmax(like)]


def _check_interval(path: Path, times: np.ndarray) -> None:
    """Warns of growing times that are not evenly spaced."""
    steps = np.diff(times)
    if not len(steps) or (np.issubdtype(times.dtype, np.datetime64) and _month_shift(times) is not None):
        return
    usual = _usual(steps)
    parts = np.array([step / usual for step in steps], "float64")
    counts = np.rint(parts)
    if np.any(np.abs(parts - counts) > _UNEVEN) or not counts.all():
        _warn(
            path,
            f"frames come at uneven intervals, from {_text(min(steps))} to {_text(max(steps))} apart, and are read "
            "as evenly spaced",
        )
    elif np.any(counts > 1):
        lacking = [
            times[place] + number * usual
            for place in np.flatnonzero(counts > 1)
            for number in range(1, min(int(counts[place]), _TIMES_SHOWN + 2))
        ]
        _warn(
            path,
            f"a gap: the interval is {_text(usual)}, and {int(counts.sum()) - len(counts)} frames are missing, "
            f"{_listing(lacking)}; those beside them are read as neighbours",
        )


def _month_shift(times: np.ndarray) -> np.timedelta64 | None:
    """Returns what makes months of dates, nothing or the day from the ends of months; None if they are none."""
    shifts = (np.timedelta64(days, "D") for days in (0, 1))
    return next((shift for shift in shifts if _are_months(times + shift)), None)


def _are_months(times: np.ndarray) -> bool:
    """Returns whether dates are whole numbers of months apart, always the same number."""
    months = times.astype("datetime64[M]")
    steps = np.diff(months.astype(int))
    return bool(steps[0] > 0 and np.all(steps == steps[0]) and len(np.unique(times - months)) == 1)


def _text(moment: Any) -> str:
    """Returns a time or an interval as people write it."""
    if isinstance(moment, np.datetime64):
        text = str(moment.astype("datetime64[s]"))
        return text.removesuffix(":00")
    if isinstance(moment, np.timedelta64):
        return str(datetime.timedelta(seconds=float(moment / np.timedelta64(1, "s"))))
    return str(moment)


def _listing(times: Any) -> str:
    shown = ", ".join(map(_text, times[:_TIMES_SHOWN]))
    return shown + (", ..." if len(times) > _TIMES_SHOWN else "")


def _warn(path: Path, message: str) -> None:
    warnings.warn(f"`{path}`: {message}", stacklevel=4)
