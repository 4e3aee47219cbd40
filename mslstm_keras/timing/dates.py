"""Dates and times of day in names of files, in every convention that is in use."""

import datetime
import re
from collections.abc import Sequence
from typing import Any

Row = list[Any]
"""A name that is cut: text, value, text, ..., text."""


class Unclear(ValueError):
    """Two names, by their indices, whose order is not clear, and why."""

    def __init__(self, first: int, second: int, why: str):
        super().__init__(why)
        self.names = first, second


_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januar jan",
            "february februar feb",
            "march m\u00e4rz maerz mar m\u00e4r mrz",
            "april apr",
            "may mai",
            "june juni jun",
            "july juli jul",
            "august aug",
            "september sept sep",
            "october oktober oct okt",
            "november nov",
            "december dezember dec dez",
        ),
        1,
    )
    for name in names.split()
}
_WORDS = "|".join(sorted(_MONTHS, key=len, reverse=True))
_Y, _YY = "(?P<Y>(?:19|20)[0-9]{2})", "(?P<y>[0-9]{2})"
_M, _D = f"(?P<m>[0-9]{{1,2}}|{_WORDS})", "(?P<d>[0-9]{1,2})"
_S, _T = "(?P<s>[-_./ ]?)", "(?P=s)"  # no name of a file has a "/", but times in a file do
_ZONE = (
    r"(?P<zone>(?:z|[ _-]?(?:utc|gmt)"
    r"|[ _-]?(?:[cew]es?t|(?:[acehmnp]|ak|ac|ae|nz)[sd]t|bst|i[sd]t|jst|kst|msk))(?![a-z0-9+-])"
    r"|(?:[ _-]?(?:utc|gmt))?(?P<offset>[+-][0-9]{2}[:.]?[0-9]{2}|\+[0-9]{2}-[0-9]{2}|\+[0-9]{2}"
    r"|(?(iso)-[0-9]{2}|(?!)))(?![0-9]))"
)
_CLOCK = (
    r"(?P<H>[0-9]{1,2})(?:(?P<t>[-:_.h]?)(?P<M>[0-9]{2})(?:(?P=t)(?P<S>[0-9]{2})(?:[.,](?P<f>[0-9]{1,9})|(?P<ff>[0-9]|[0-9]{3}|[0-9]{6}))?)?)?"
    rf"(?:[ _]?(?P<half>[ap])(?:m(?![a-z])|\.[ ]?m(?![a-z])\.?))?{_ZONE}?"
)
CLOCK = rf"(?:(?:(?P<iso>t)|[_. -]|[ _-]at[ _-]|){_CLOCK})"

_OBSERVED = (  # from one time to another, as of satellites: -S223000-E225959 (IMERG), _t2230005_e2231240 (VIIRS)
    "[_-][st](?P<H>[0-9]{2})(?P<M>[0-9]{2})(?P<S>[0-9]{2})(?P<f>[0-9])?(?=[_-]e[0-9]{6,7}(?![0-9]))"
)
FAR_CLOCK = "[_. -][a-z]+[_. -](?P<H>[0-9]{2})(?P<M>[0-9]{2})(?P<S>[0-9]{2})?"
_CLOCKS_ALONE = (
    rf"(?P<iso>(?!))?(?=[0-9]{{1,2}}(?:[-:_.h]|[ _]?[ap]\.?m)){_CLOCK}",
    "(?P<H>[0-9]{2})(?P<M>[0-9]{2})",
    "(?P<H>[0-9]{2})(?P<M>[0-9]{2})(?P<S>[0-9]{2})",
)

FULL_DATES = {
    "years first": _Y + _S + _M + _T + _D,
    "days first": _D + _S + _M + _T + _Y,
    "months first": _M + _S + _D + _T + _Y,
}
SHORT_DATES = {
    "days of the year": _Y + "[-_.]?(?P<j>[0-9]{3})",
    "two-digit years first": _YY + _S + _M + _T + _D,
    "days first, two-digit years": _D + _S + _M + _T + _YY,
    "months first, two-digit years": _M + _S + _D + _T + _YY,
    "years and months": _Y + _S + _M,
    "months and years": _M + _S + _Y,
    "days and months": r"(?<!\.)(?P<d>[0-9]{2})\.(?P<m>[0-9]{2})(?:\.(?![0-9]))?",
}

_OF_GOES = (  # start, end and making of a picture: the year, the day of the year, the clock and a tenth of a second
    "(?<=_s)(?P<Y>20[0-9]{2})(?P<j>[0-9]{3})(?P<H>[0-9]{2})(?P<M>[0-9]{2})(?P<S>[0-9]{2})(?P<f>[0-9])"
    "(?=_e[0-9]{14}_c[0-9]{14}(?![0-9]))"
)


def dated(
    names: list[str], dates: dict[str, str], clocks: Sequence[str] = (CLOCK, _OBSERVED, "", FAR_CLOCK)
) -> list[tuple[str, list[Row]]]:
    """Returns the conventions that fit every name, and the names cut into texts and times."""
    if of_goes := _rows(names, re.compile(_OF_GOES)):
        return [("days of the year", of_goes)]  # 2024122 is the 122nd day, not the 12th month
    found = []
    for convention, date in dates.items():
        before = r"(?<![0-9])(?<![0-9]\.)" if convention == "days and months" else "(?<![0-9])"
        for clock in clocks:
            rows = _rows(names, re.compile(f"{before}{date}{clock}(?![0-9])"))
            if rows:
                found.append((convention, rows))
                if clock in (CLOCK, _OBSERVED):
                    break
    if {"days first", "months first"} <= {convention for convention, _ in found} and all(
        re.search(r"[0-9]\.[0-9]{1,2}\.(?:19|20)[0-9]{2}", name) for name in names
    ):
        found = [each for each in found if each[0] != "months first"]  # nobody writes them with dots
    return found


def clocked(names: list[str]) -> list[Row] | None:
    """Returns names cut into texts and times of day; None if one of them has none."""
    found = [_rows(names, re.compile(f"(?<![0-9]){clock}(?![0-9])")) for clock in _CLOCKS_ALONE]
    return next((rows for rows in found if rows), None)


def _rows(names: list[str], regex: re.Pattern[str]) -> list[Row] | None:
    """Returns names cut into texts and times; None if there is no time in one of them."""
    rows: list[Row] = []
    for name in names:
        row = _cut(name, regex)
        if row is None:
            return None
        rows.append(row)
    return _agreed(rows)


def _agreed(rows: list[Row]) -> list[Row]:
    """Returns rows whose times have one clock: all with an offset from UTC, or none and one word for the zone."""
    zones = [tuple(token[1] for token in row if isinstance(token, tuple)) for row in rows]
    for index, zone in enumerate(zones):
        if len(zone) == len(zones[0]) and zone != zones[0]:
            raise Unclear(0, index, "their times must all have an offset from UTC, or none of them")
    return [[token[0] if isinstance(token, tuple) else token for token in row] for row in rows]


def _cut(name: str, regex: re.Pattern[str]) -> Row | None:
    """Cuts a name into texts and (time, zone) pairs; None if there is no time."""
    tokens: Row = [""]
    end = 0
    place = 0
    while match := regex.search(name, place):
        moment = _moment(match)
        if moment is None:
            place = match.start() + 1  # a time may begin within what is none
            continue
        tokens[-1] += name[end : match.start()]
        tokens += [moment, ""]
        place = end = match.end()
    tokens[-1] += name[end:]
    return tokens if len(tokens) > 1 else None


def _moment(match: re.Match[str]) -> tuple[datetime.datetime, str] | None:
    """Returns the time of a match, in UTC if it has an offset, and its zone: "" if none is named, "utc" or a word."""
    part = {name: value for name, value in match.groupdict().items() if value}
    month, day = part.get("m", "1"), part.get("d", "1")
    digits = [part[key] for key in ("m", "d") if part.get(key, "").isdecimal()]
    if not part.get("s") and "m" in part and month.isdecimal() and any(len(each) != 2 for each in digits):
        return None  # digits without a mark between them have two for each part
    hour, half, mark = part.get("H", "00"), part.get("half"), part.get("t")
    if len(hour) < 2 and not (mark or half):
        return None
    alone = not {"Y", "y", "d"} & set(part)
    if alone and not (half or ("M" in part and ("S" in part or mark in (None, ":", "h")))):
        return None  # two numbers with another mark between them are no time of day
    hours = int(hour)
    if half:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + 12 * (half == "p")
    year = int(part["Y"]) if "Y" in part else 2000
    if "y" in part:
        year = int(part["y"]) + (1900 if int(part["y"]) >= 69 else 2000)
    try:
        date = datetime.datetime(year, _MONTHS.get(month) or int(month), int(day))
        moment = date.replace(hour=hours % 24, minute=int(part.get("M", 0)), second=int(part.get("S", 0)))
    except ValueError:
        return None
    if "j" in part:
        moment += datetime.timedelta(days=int(part["j"]) - 1)
        if moment.year != year:
            return None
    if hours >= 24:
        if (hours, moment.minute, moment.second) != (24, 0, 0):
            return None
        moment += datetime.timedelta(days=1)  # 24:00
    moment += datetime.timedelta(microseconds=int(part.get("f", part.get("ff", "0")).ljust(6, "0")[:6]))
    zone = part.get("zone", "").strip(" _-")
    if "offset" in part:
        clock = re.sub("[^0-9]", "", part["offset"]).ljust(4, "0")
        offset = datetime.timedelta(hours=int(clock[:2]), minutes=int(clock[2:]))
        if offset > datetime.timedelta(hours=14):
            return None
        return moment + (offset if part["offset"][0] == "-" else -offset), "utc"
    return moment, "utc" if zone in ("z", "utc", "gmt") else zone


def refuse_mixed_dates(names: list[str]) -> None:
    """Makes sure that a date with its year stands in no name, if not in all in one convention."""
    fitting = []
    for convention, date in FULL_DATES.items():
        regex = re.compile(rf"(?<![0-9]){date}(?![0-9])")
        clocked = re.compile(rf"(?<![0-9]){date}{CLOCK}(?![0-9])")
        for index, name in enumerate(names):
            cut = _cut(name, clocked) or _cut(name, regex)
            if cut is not None:
                fitting.append((index, convention))
    if not fitting:
        return
    dated = {index for index, _ in fitting}
    marked = re.search(r"[0-9a-z][-_. ](?:[0-9]{1,2}|[a-z]+)[-_. ][0-9]", names[fitting[0][0]])
    if len(dated) == len(names) or marked:
        first = fitting[0]
        second = next(index for index in range(len(names)) if (index, first[1]) not in fitting)
        raise Unclear(first[0], second, "dates of several conventions, or no date in one of them")
