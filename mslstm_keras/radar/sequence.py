"""Times of radar maps: what names tell, order, duplicates, the interval and what is missing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

STRAYING = 0.1
"""Of the interval: times with seconds stray."""

_STAMPS = (
    re.compile(
        r"(?<!\d)(?P<Y>(?:19|20)\d\d)(?P<m>\d\d)(?P<d>\d\d)[-_.T]?(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)?(?!\d)"
    ),
    re.compile(r"(?<!\d)(?P<y>\d\d)(?P<m>\d\d)(?P<d>\d\d)(?P<H>\d\d)(?P<M>\d\d)(?!\d)"),
    re.compile(r"(?<!\d)(?P<y>\d\d)(?P<j>\d{3})(?P<H>\d\d)(?P<M>\d\d)(?!\d)"),
)
_DIGITS = re.compile(r"(?<!\d)\d{8}[-_.T]?\d{4}(?:\d\d)?(?!\d)|\d{9,14}")


def kind_of_name(name: str) -> str:
    """Returns a name without its time, which is the same for all maps of a sequence."""
    return _DIGITS.sub("#", name)


def wide_kind(path: Path) -> tuple[str, str]:
    """Returns suffix and name without any number, as short ones may count maps."""
    return path.suffix, re.sub(r"\d+", "#", path.name)


def times_in(name: str) -> list[np.datetime64 | None]:
    """Returns the times, datetime64[s], that a name may tell, one for each way of writing; None where it tells none."""
    return [_time(match.groupdict()) if (match := stamp.search(name)) else None for stamp in _STAMPS]


def _time(parts: dict[str, str | None]) -> np.datetime64 | None:
    year = parts.get("Y") or f"20{parts['y']}"
    clock = f"{parts['H']}:{parts['M']}:{parts.get('S') or '00'}"
    try:
        if "j" in parts:
            day = int(parts["j"] or 0)
            date = np.datetime64(f"{year}-01-01") + np.timedelta64(day - 1, "D")
            return np.datetime64(f"{date}T{clock}", "s") if str(date).startswith(year) else None
        return np.datetime64(f"{year}-{parts['m']}-{parts['d']}T{clock}", "s")
    except ValueError:
        return None


@dataclass(frozen=True)
class Timetable:
    """Times of maps in order.

    Attributes:
        minutes: interval; None of one map.
        missing: datetime64[s] of the maps that are missing, in order.
    """

    minutes: float | None
    missing: np.ndarray


def timetable(times: np.ndarray, names: Sequence[object]) -> Timetable:
    """Returns the interval of maps, the shortest time between two, and which are missing.

    Two maps that are closer than a tenth of the usual time are no interval but a fault.

    Args:
        times: datetime64[s] (count,), strictly growing.
        names: what errors call the maps.

    Raises:
        ValueError: if a time between two maps is no multiple of the shortest, or two are almost of one time.
    """
    if len(times) < 2:
        return Timetable(None, times[:0])
    steps = np.diff(times).astype(np.int64)
    shortest = int(steps.min())
    found, counts = np.unique(steps, return_counts=True)
    usual = int(found[counts.argmax()])
    if shortest < STRAYING * usual:
        at = int(steps.argmin())
        raise ValueError(
            f"Radar maps must be one for each time, here {usual / 60:g} minutes apart. "
            f"Received: {shortest} seconds from {names[at]} to {names[at + 1]}"
        )
    # Seconds stray, minutes do not; some maps are 2.5 minutes apart.
    whole = 60 * round(shortest / 60)
    interval = whole if abs(shortest - whole) <= STRAYING * whole else shortest
    counts = np.rint(steps / interval).astype(np.int64)
    for index in np.flatnonzero(np.abs(steps - counts * interval) > STRAYING * interval)[:1]:
        at = int(steps.argmin())
        raise ValueError(
            "Radar maps must be at multiples of one interval. "
            f"Received: {shortest / 60:g} minutes from {names[at]} to {names[at + 1]}, but {steps[index] / 60:g} "
            f"from {names[index]} to {names[index + 1]}"
        )
    missing = [
        times[index] + np.arange(1, counts[index]) * np.timedelta64(interval, "s")
        for index in np.flatnonzero(counts > 1)
    ]
    return Timetable(interval / 60, np.concatenate([times[:0], *missing]))


def runs(times: np.ndarray, minutes: float) -> list[np.ndarray]:
    """Splits times into runs of neighbours."""
    breaks = np.flatnonzero(np.diff(times) > np.timedelta64(round(90 * minutes), "s"))
    return np.split(times, breaks + 1) if len(times) else []


def shown(times: np.ndarray, minutes: float) -> str:
    """Returns times for a message: each of a few, or from when to when, of the first runs."""
    parts = []
    found = runs(times, minutes)
    for run in found[:5]:
        first, last = shown_time(run[0]), shown_time(run[-1])
        parts.append(first if len(run) == 1 else f"{len(run)} from {first} to {last}")
    more = len(found) - len(parts)
    return ", ".join(parts) + (f" and {more} gaps more" if more else "")


def shown_time(time: np.datetime64) -> str:
    """Returns a time for a message."""
    return str(time).replace("T", " ").removesuffix(":00")
