"""The axis of time that a file gives: its order, its interval, its gaps."""

import datetime
import warnings
from pathlib import Path
from typing import Any

import numpy as np

_UNEVEN = 0.1  # of an interval: by so much times waver
_TIMES_SHOWN = 5


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


def interval_of(times: np.ndarray) -> np.timedelta64 | None:
    """Returns the time from a frame to the next that most of them have; None for numbers of no unit."""
    steps = np.diff(np.unique(times))
    if not len(steps) or not isinstance(steps[0], np.timedelta64 | datetime.timedelta):
        return None
    return np.timedelta64(_usual(steps))


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
    if not len(steps) or (np.issubdtype(times.dtype, np.datetime64) and _are_months(times)):
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
