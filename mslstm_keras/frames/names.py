"""Names of files: the order, the times and the numbers that they tell.

A name is cut into words, numbers and times. There are several ways to do so: `t1.10` is the number 1.1 or the numbers 1
and 10, `01-02-2024` a day of January or of February. Of all ways that fit every name of a folder one must be left, or
all must give one order; otherwise the order is not clear, which is an error.
"""

import dataclasses
import datetime
import itertools
import math
import re
import statistics
import unicodedata
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

Value = datetime.datetime | Fraction

_EVEN = 0.1
"""Share of the usual step by which steps may differ and still are even: clocks of cameras are not exact."""

_MOST_NAMED = 3  # gaps, and missing numbers of a gap, that a warning names


def counting_order(path: Path) -> tuple[list[str | int], str]:
    """Key that sorts files by the numbers in their names: `clip10` after `clip2`. For clips, whose order says nothing."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [int(part) if part.isdecimal() else part for part in parts], path.name


@dataclasses.dataclass(frozen=True)
class FrameOrder:
    """Files in the order of their names.

    Attributes:
        paths: tuple of paths.
        values: tuple of the times (UTC where names have an offset, otherwise as in the names) or numbers of the
            paths, growing. None where a name tells its place by several numbers, or by a letter.
    """

    paths: tuple[Path, ...]
    values: tuple[Value, ...] | None

    @property
    def interval(self) -> datetime.timedelta | Fraction | None:
        """Usual step from a frame to the next: a time, or a number. None for fewer than two values."""
        if self.values is None or len(self.values) < 2:
            return None
        return statistics.median_low(_differences(self.values))

    def gaps(self) -> str | None:
        """Says where frames are missing or lie unevenly, in one line without an end. None where steps are even."""
        interval = self.interval
        if interval is None or _evenness(self.values) == 1:
            return None
        gaps = []
        for (first, second), (before, after) in zip(
            itertools.pairwise(self.paths), itertools.pairwise(self.values), strict=True
        ):
            if not _is_even(after - before, interval):
                place = f"{_written(after - before)} between {first.name} and {second.name}"
                gaps.append(place + _missing(before, after, interval))
        more = f" and {len(gaps) - _MOST_NAMED} more" if len(gaps) > _MOST_NAMED else ""
        return f"the interval is {_written(interval)}, but there are gaps: {'; '.join(gaps[:_MOST_NAMED])}{more}"


def order_frames(paths: Sequence[Path], names: Sequence[str]) -> FrameOrder:
    """Sorts the frames of one clip by the numbers and times in their names.

    Numbers may have decimals, signs and exponents: `t-20` comes before `t0`, `f1.25` before `f1.5`, `1e-3` before `1e-2`.
    A "-" is a sign where other names have a "+" or no sign at its place, or where it begins the number's field, as in
    `-5`, `t_-5` and `t=-5`; otherwise it stands between a word and a number. Times begin with the year, the day or the
    month, which may be a word; a clock with or without seconds, AM and PM, and an offset from UTC may follow. Times go
    before numbers.

    Args:
        paths: of the frames.
        names: of the frames, without suffixes.

    Raises:
        ValueError: naming two files, if their order is not clear: their names differ by words, follow several
            conventions, can be read in several ways, or tell the same place.
    """
    names = [_plain(name) for name in names]
    if len(names) < 2:
        return FrameOrder(tuple(paths), None)
    try:
        order, values = _choose(names)
    except _Unclear as unclear:
        first, second = (paths[index] for index in unclear.names)
        raise ValueError(
            f"`{first.parent}` must hold images whose names tell one order. Received: {first.name} and "
            f"{second.name}: {unclear}"
        ) from None
    return FrameOrder(tuple(paths[index] for index in order), values)


class _Unclear(ValueError):
    """Two names, by their indices, whose order is not clear, and why."""

    def __init__(self, first: int, second: int, why: str):
        super().__init__(why)
        self.names = first, second


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """What one way to read the names gives: indices in their order, the values in that order, and which way."""

    order: tuple[int, ...]
    values: tuple[Value, ...] | None
    reading: str

    @property
    def evenness(self) -> float:
        return _evenness(self.values) if self.values else 0.0


def _plain(name: str) -> str:
    """Returns a name with one form of every digit, letter and minus."""
    plain = re.sub("[\u2010-\u2015\u2212]", "-", unicodedata.normalize("NFKC", name)).lower()
    return "".join(str(unicodedata.decimal(letter, letter)) for letter in plain)


# Steps


def _differences(values: Sequence[Value]) -> list:
    return [after - before for before, after in itertools.pairwise(values)]


def _is_even(step, interval) -> bool:
    return abs(step - interval) <= abs(interval) * _EVEN


def _evenness(values: Sequence[Value]) -> float:
    """Returns the share of steps that are the usual one, in months where that is even."""
    steps = _differences(values)
    share = statistics.fmean(_is_even(step, statistics.median_low(steps)) for step in steps)
    if isinstance(values[0], datetime.datetime) and len({value.replace(1, 1) for value in values}) == 1:
        months = _differences([Fraction(12 * value.year + value.month) for value in values])
        share = max(share, statistics.fmean(step == statistics.median_low(months) for step in months))
    return share


def _missing(before: Value, after: Value, interval) -> str:
    """Names what is missing between two values, if whole intervals fit between them."""
    count = round((after - before) / interval) - 1
    if count < 1 or not _is_even((after - before) / (count + 1), interval):
        return ""
    named = [before + (index + 1) * interval for index in range(min(count, _MOST_NAMED))]
    text = ", ".join(_written(value) if isinstance(value, Fraction) else str(value) for value in named)
    return f" (missing: {text}{' ...' if count > _MOST_NAMED else ''})"


def _written(step: datetime.timedelta | Fraction) -> str:
    if isinstance(step, Fraction):
        return str(step) if step.denominator == 1 else str(float(step))
    seconds = step.total_seconds()
    unit, length = next(
        (unit, length)
        for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
        if length == 1 or seconds >= length and (seconds % length == 0 or length == 60)
    )
    return f"{seconds / length:g} {unit}{'' if seconds == length else 's'}"


# Choice of a reading


def _choose(names: list[str]) -> tuple[tuple[int, ...], tuple[Value, ...] | None]:
    """Returns the one order of the names, and their values in it."""
    readings = _dated(names, _FULL_DATES)
    if not readings:
        _refuse_mixed_dates(names)
        clocks = _rows(names, re.compile(_CLOCK_ALONE))
        readings = [  # the first ones where two are as even: a number of six digits is rather a number than a date
            *_dated(names, _SHORT_DATES, (_TIME,)),
            ("numbers", [[name] for name in names]),
            *_dated(names, _SHORT_DATES, ("", _FAR_CLOCK)),
            *([("times of day", clocks)] if clocks else []),
        ]
    candidates, why = [], None
    for reading, rows in readings:
        try:
            candidates += _numbered(rows, reading)
        except _Unclear as unclear:
            why = unclear
    if not candidates:
        raise why
    orders = {candidate.order for candidate in candidates}
    best = max(candidates, key=lambda candidate: candidate.evenness)  # the first of equal ones
    if len(orders) > 1:
        others = [candidate for candidate in candidates if candidate.order != best.order]
        rival = max(others, key=lambda candidate: candidate.evenness)
        if rival.evenness == best.evenness or best.evenness < 0.5:
            place = next(place for place, index in enumerate(best.order) if rival.order[place] != index)
            raise _Unclear(
                best.order[place], rival.order[place], f"{best.reading} and {rival.reading} give another order"
            )
    return best.order, _as_epochs(best.values)


def _as_epochs(values: tuple[Value, ...] | None) -> tuple[Value, ...] | None:
    """Returns numbers that are seconds or milliseconds since 1970, as of clocks, as times."""
    for scale in (1, 1000):
        if values and all(
            isinstance(value, Fraction) and 10**9 <= value / scale < 2.2e9 and math.floor(value) == value
            for value in values
        ):
            start = datetime.datetime(1970, 1, 1)
            return tuple(start + datetime.timedelta(seconds=float(value / scale)) for value in values)
    return values


def _numbered(rows: list[list], reading: str) -> list[_Candidate]:
    """Returns what the ways to read numbers give, for names that are cut into texts and times."""
    ways = {}
    for way, split in (("whole numbers", _whole), ("decimals", _decimals), ("exponents", _exponents)):
        tokens = [_split(row, split) for row in rows]
        if tokens not in ways.values():
            ways[way] = tokens
    if "exponents" in ways and any(re.search(r"[0-9]e[+-][0-9]", "".join(_texts(row))) for row in rows):
        ways = {"exponents": ways["exponents"]}
    if "decimals" in ways:
        fractions = [fraction for row in rows for fraction in _fractions(row)]
        shortest = min(len(fraction) for _, fraction in fractions)
        padded = len({len(fraction) for _, fraction in fractions}) == 1
        if not padded and any(len(part) > shortest and part.endswith("0") for _, part in fractions):
            del ways["decimals"]  # 1.10 beside 1.9
        elif not padded and (
            any(len(part) > shortest and part.startswith("0") for _, part in fractions)
            or not _counts(fractions)
        ):
            del ways["whole numbers"]  # 1.05 beside 1.5; or 1.25 beside 1.5, with nothing between 5 and 25
    found, why = [], None
    for way, tokens in ways.items():
        try:
            order, values = _sort(tokens)
            found.append(_Candidate(order, values, way if reading == "numbers" else reading))
        except _Unclear as unclear:
            why = why or unclear
    if not found:
        raise why
    return found


def _counts(fractions: list[tuple[str, str]]) -> bool:
    """Whether digits behind a point may be counted: most numbers between the first and the last are there."""
    groups: dict[str, set[int]] = {}
    for whole, fraction in fractions:
        groups.setdefault(whole, set()).add(int(fraction))
    return all(2 * len(group) >= max(group) - min(group) + 1 for group in groups.values())


# Tokens: [text, value, text, ..., text]

_CHUNK = r"[0-9]+(?:[.,p][0-9]+)*"


def _texts(row: list) -> list[str]:
    return [token for token in row if isinstance(token, str)]


def _fractions(row: list) -> list[tuple[str, str]]:
    """Returns the digits before and behind the point of every decimal."""
    chunks = [chunk for text in _texts(row) for chunk in re.findall(_CHUNK, text)]
    return [tuple(parts) for chunk in chunks if len(parts := re.split("[.,p]", chunk)) == 2]


def _split(row: list, split) -> list:
    tokens = []
    for token in row:
        tokens += split(token) if isinstance(token, str) else [token]
    return tokens


def _whole(text: str) -> list:
    parts = re.split("([0-9]+)", text)
    return [Fraction(part) if index % 2 else part for index, part in enumerate(parts)]


def _decimals(text: str) -> list:
    tokens = [""]
    for index, part in enumerate(re.split(f"({_CHUNK})", text)):
        if index % 2 and len(re.findall("[.,p]", part)) == 1:
            tokens += [Fraction(re.sub("[,p]", ".", part)), ""]
        else:
            first, *others = _whole(part)
            tokens[-1] += first
            tokens += others
    return tokens


def _exponents(text: str) -> list:
    tokens = [""]
    pattern = r"((?<![0-9.,s])(?:0|[1-9][0-9]*)(?:[.,][0-9]+)?e[+-]?[0-9]{1,3}(?![0-9a-z]))"
    for index, part in enumerate(re.split(pattern, text)):
        if index % 2:
            tokens += [Fraction(part.replace(",", ".")), ""]
        else:
            first, *others = _decimals(part)
            tokens[-1] += first
            tokens += others
    return tokens


# Sorting of tokens


def _sort(rows: list[list]) -> tuple[tuple[int, ...], tuple[Value, ...] | None]:
    """Returns the order of names that are cut into texts and values, and the values if one of each tells it."""
    _take_signs(rows)
    keys, used, decided = [() for _ in rows], [], False
    for place in range(max(map(len, rows))):
        column = [row[place] if place < len(row) else None for row in rows]
        if decided:
            _refuse_units(column)
            break
        if place % 2:
            kinds = [type(value) for value in column]
            for index, kind in enumerate(kinds):
                if kind is not kinds[0]:
                    raise _Unclear(0, index, "not of one convention")
            if len(set(column)) > 1:
                used.append(place)
        elif not _is_letter(column):
            first: dict[tuple, int] = {}
            for index, (key, text) in enumerate(zip(keys, column, strict=True)):
                if text != column[first.setdefault(key, index)]:
                    raise _Unclear(first[key], index, "the order of words is not clear, give them numbers")
            continue
        keys = [(*key, value) for key, value in zip(keys, column, strict=True)]
        decided = len(set(keys)) == len(keys)
    order = tuple(sorted(range(len(rows)), key=keys.__getitem__))
    for before, after in itertools.pairwise(order):
        if keys[before] == keys[after]:
            raise _Unclear(before, after, "both tell the same place in the order")
    return order, _values(rows, order, used)


def _values(rows: list[list], order: tuple[int, ...], used: list[int]) -> tuple[Value, ...] | None:
    """Returns the times of names, or their only number; makes sure that times grow."""
    times = [place for place in used if isinstance(rows[0][place], datetime.datetime)]
    # Times behind a number that tells the order already count, too.
    length = min(map(len, rows))
    times += [
        place
        for place in range(1, length, 2)
        if place not in times
        and all(isinstance(row[place], datetime.datetime) for row in rows)
        and len({row[place] for row in rows}) > 1
    ]
    for before, after in itertools.pairwise(order):
        for place in times:
            first, second = rows[before][place], rows[after][place]
            counted = any(rows[before][other] != rows[after][other] for other in used if other < place)
            if first > second or (first == second and counted and len(times) == 1):
                raise _Unclear(before, after, "the order of their times is not that of the numbers before them")
    for place in times or (used if len(used) == 1 else []):
        values = tuple(rows[index][place] for index in order)
        if len(set(values)) == len(values):
            return values
    return None


def _is_letter(column: list) -> bool:
    """Whether texts differ by one letter that counts: a, b, c."""
    if None in column or len({len(text) for text in column}) > 1 or len(set(column)) < len(column):
        return False
    varied = [place for place, letters in enumerate(zip(*column, strict=True)) if len(set(letters)) > 1]
    if len(varied) != 1:
        return False
    place = varied[0]
    around = column[0][:place][-1:] + column[0][place + 1 :][:1]
    letters = sorted(ord(text[place]) for text in column)
    counted = letters == list(range(letters[0], letters[0] + len(letters)))
    return counted and column[0][place].isalpha() and not any(letter.isalnum() for letter in around)


def _refuse_units(column: list) -> None:
    """Makes sure that numbers have one unit: 30min comes before 1h."""
    units = [re.match(r"[^\W\d_]*|[ _-](?:[nmu\u03bc]?s|sec|m|min|h|hr|d)(?![^\W\d_])", text or "")[0] for text in column]
    for index, unit in enumerate(units):
        if unit != units[0]:
            raise _Unclear(0, index, "their numbers have several units, or words whose order is not clear")


_TIME_WORD = re.compile(r"(?:^|[^a-z])(?:t|dt|time|lag|lead|offset)[ ]?$")


def _take_signs(rows: list[list]) -> None:
    """Moves signs from the texts into the numbers behind them."""
    for place in range(1, min(map(len, rows)), 2):
        if not all(isinstance(row[place], Fraction) for row in rows):
            continue
        texts = [row[place - 1] for row in rows]
        signs = [text[-1:] if text[-1:] in ("+", "-") else "" for text in texts]
        bases = {text.removesuffix(sign) for text, sign in zip(texts, signs, strict=True)}
        if len(bases) > 1:
            continue
        base = bases.pop()
        if set(signs) == {"-"}:
            if _TIME_WORD.search(base) and len({row[place] for row in rows}) > 1:
                second = next(index for index, row in enumerate(rows) if row[place] != rows[0][place])
                raise _Unclear(0, second, 'whether "-" is a sign is not clear, write t_-20 or t+0 for signed numbers')
            if base[-1:] not in ("_", "=", "(") and (base or place > 1):
                continue
        for row, sign in zip(rows, signs, strict=True):
            row[place - 1] = base
            row[place] *= -1 if sign == "-" else 1


# Times

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
_S, _T = "(?P<s>[-_. ]?)", "(?P=s)"
_ZONE = (
    r"(?P<zone>(?:z|[ _-]?(?:utc|gmt)|[ _-]?(?:[cew]es?t|[cmp][sd]t|bst|ist|jst|kst|msk|ae[sd]t|nz[sd]t))(?![a-z0-9+-])"
    r"|(?:[ _-]?(?:utc|gmt))?(?P<offset>[+-][0-9]{2}[:.]?[0-9]{2}|\+[0-9]{2}-[0-9]{2}|\+[0-9]{2}"
    r"|(?(iso)-[0-9]{2}|(?!)))(?![0-9]))"
)
_CLOCK = (
    r"(?P<H>[0-9]{1,2})(?:(?P<t>[-:_.h]?)(?P<M>[0-9]{2})(?:(?P=t)(?P<S>[0-9]{2})(?:[.,]?(?P<f>[0-9]{1,9}))?)?)?"
    rf"(?:[ _]?(?P<half>[ap])m(?![a-z]))?{_ZONE}?"
)
_TIME = rf"(?:(?:(?P<iso>t)|[_. -]|[ _-]at[ _-]|){_CLOCK})"

_FAR_CLOCK = "[_. -][a-z]+[_. -](?P<H>[0-9]{2})(?P<M>[0-9]{2})(?P<S>[0-9]{2})?"
_CLOCK_ALONE = rf"(?<![0-9])(?P<iso>(?!))?{_CLOCK}(?![0-9])"

_FULL_DATES = {
    "years first": _Y + _S + _M + _T + _D,
    "days first": _D + _S + _M + _T + _Y,
    "months first": _M + _S + _D + _T + _Y,
}
_SHORT_DATES = {
    "days of the year": _Y + "[-_.]?(?P<j>[0-9]{3})",
    "two-digit years first": _YY + _S + _M + _T + _D,
    "days first, two-digit years": _D + _S + _M + _T + _YY,
    "months first, two-digit years": _M + _S + _D + _T + _YY,
    "years and months": _Y + _S + _M,
    "months and years": _M + _S + _Y,
    "days and months": r"(?<!\.)(?P<d>[0-9]{2})\.(?P<m>[0-9]{2})(?:\.(?![0-9]))?",
}


def _dated(
    names: list[str], dates: dict[str, str], clocks: Sequence[str] = (_TIME, "", _FAR_CLOCK)
) -> list[tuple[str, list[list]]]:
    """Returns the conventions that fit every name, and the names cut into texts and times."""
    found = []
    for convention, date in dates.items():
        before = r"(?<![0-9])(?<![0-9]\.)" if convention == "days and months" else "(?<![0-9])"
        for clock in clocks:
            rows = _rows(names, re.compile(f"{before}{date}{clock}(?![0-9])"))
            if rows:
                found.append((convention, rows))
                if clock == _TIME:
                    break
    if {"days first", "months first"} <= {convention for convention, _ in found} and all(
        re.search(r"[0-9]\.[0-9]{1,2}\.(?:19|20)[0-9]{2}", name) for name in names
    ):
        found = [each for each in found if each[0] != "months first"]  # nobody writes them with dots
    return found


def _rows(names: list[str], regex: re.Pattern) -> list[list] | None:
    """Returns names cut into texts and times; None if there is no time in one of them."""
    rows = []
    for name in names:
        row = _cut(name, regex)
        if row is None:
            return None
        rows.append(row)
    return _agreed(rows)


def _agreed(rows: list[list]) -> list[list]:
    """Returns rows whose times have one clock: all with an offset from UTC, or none and one word for the zone."""
    zones = [tuple(token[1] for token in row if isinstance(token, tuple)) for row in rows]
    for index, zone in enumerate(zones):
        if len(zone) == len(zones[0]) and zone != zones[0]:
            raise _Unclear(0, index, "their times must all have an offset from UTC, or none of them")
    return [[token[0] if isinstance(token, tuple) else token for token in row] for row in rows]


def _cut(name: str, regex: re.Pattern) -> list | None:
    """Cuts a name into texts and (time, zone) pairs; None if there is no time."""
    tokens, end = [""], 0
    for match in _matches(name, regex):
        moment = _moment(match)
        if moment is not None:
            tokens[-1] += name[end : match.start()]
            tokens += [moment, ""]
            end = match.end()
    tokens[-1] += name[end:]
    return tokens if len(tokens) > 1 else None


def _matches(name: str, regex: re.Pattern) -> Iterator[re.Match]:
    """Yields matches, also those that begin within one that is no time."""
    place = 0
    while match := regex.search(name, place):
        yield match
        place = match.end() if _moment(match) is not None else match.start() + 1


def _moment(match: re.Match) -> tuple[datetime.datetime, str] | None:
    """Returns the time of a match, in UTC if it has an offset, and its zone: "" if none is named, "utc" or a word."""
    part = {name: value for name, value in match.groupdict().items() if value}
    month, day = part.get("m", "1"), part.get("d", "1")
    if not part.get("s") and month.isdecimal() and "m" in part and not len(month) == len(day.zfill(1)) == 2:
        if "d" in part or len(month) != 2:
            return None  # digits without a mark between them have two for each part
    hour, half, mark = part.get("H", "00"), part.get("half"), part.get("t")
    if len(hour) < 2 and not (mark or half):
        return None
    if not {"Y", "d"} & set(part) and "y" not in part and not (half or mark in (":", "h") or "S" in part or not mark):
        return None  # two numbers with a mark between them are no time of day
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
        if not 1 <= int(part["j"]) <= 366:
            return None
        moment += datetime.timedelta(days=int(part["j"]) - 1)
    if hours >= 24:
        if (hours, moment.minute, moment.second) != (24, 0, 0):
            return None
        moment += datetime.timedelta(days=1)  # 24:00
    moment += datetime.timedelta(microseconds=int(part.get("f", "0").ljust(6, "0")[:6]))
    zone = part.get("zone", "").strip(" _-")
    if "offset" in part:
        digits = re.sub("[^0-9]", "", part["offset"]).ljust(4, "0")
        offset = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        if offset > datetime.timedelta(hours=14):
            return None
        return moment + (offset if part["offset"][0] == "-" else -offset), "utc"
    return moment, "utc" if zone in ("z", "utc", "gmt") else zone


def _refuse_mixed_dates(names: list[str]) -> None:
    """Makes sure that a date with its year stands in no name, if not in all in one convention."""
    fitting = []
    for convention, date in _FULL_DATES.items():
        regex = re.compile(rf"(?<![0-9]){date}(?![0-9])")
        clocked = re.compile(rf"(?<![0-9]){date}{_TIME}(?![0-9])")
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
        raise _Unclear(first[0], second, "dates of several conventions, or no date in one of them")
