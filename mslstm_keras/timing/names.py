"""Names of files: the order, the times and the numbers that they tell.

A name is cut into words, numbers and times. There are several ways to do so: `t1.10` is the number 1.1 or the numbers 1
and 10, `01-02-2024` a day of January or of February. Of all ways that fit every name of a folder one must be left, or
all must give one order; otherwise the order is not clear, which is an error.
"""

import collections
import dataclasses
import datetime
import itertools
import re
import statistics
import unicodedata
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from mslstm_keras.timing.dates import (
    CLOCK,
    FAR_CLOCK,
    FULL_DATES,
    SHORT_DATES,
    Row,
    Unclear,
    clocked,
    dated,
    refuse_mixed_dates,
)

Value = datetime.datetime | Fraction

_EVEN = 0.1
"""Share of the usual step by which steps may differ and still are even: clocks of cameras are not exact."""

_DAY = datetime.timedelta(days=1)
_MOST_CAMERAS = 4  # words that take turns; more are rather names of what is seen
_MOST_NAMED = 3  # gaps, and missing numbers of a gap, that a warning names


def counting_order(path: Path) -> tuple[list[str | int], str]:
    """Key that sorts files by the numbers in their names: `clip10` after `clip2`. For clips, not frames."""
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
    def anew(self) -> tuple[Path, Path] | None:
        """First two neighbours between which a number begins anew, as in `a1_f9` and `a2_f0`, as where clips lie in
        one folder one behind the other. None where frames have one number or time each."""
        rows = [[int(number) for number in re.findall("[0-9]+", path.name)] for path in self.paths]
        if self.values is not None or len({len(row) for row in rows}) != 1:
            return None
        columns = [column for column in zip(*rows, strict=True) if len(set(column)) > 1]
        if len(columns) < 2:
            return None
        last = columns[-1]
        falls = [place for place in range(1, len(last)) if last[place] < last[place - 1]]
        runs = itertools.pairwise((0, *falls, len(last)))
        if not falls or any(end - start < 2 or last[start] != last[0] for start, end in runs):
            return None
        return self.paths[falls[0] - 1], self.paths[falls[0]]

    @property
    def turns(self) -> tuple[Path, Path] | None:
        """First two neighbours whose words differ, if few words take turns, as in `1_left`, `2_right`, `3_left` and
        `4_right`: films of several cameras, in one folder. None where each comes in one run, or once."""
        words = [re.sub("[0-9]+|(?<![a-z])[ap][.]?m(?![a-z])", "", path.stem.lower()) for path in self.paths]
        changes = [place for place in range(1, len(words)) if words[place] != words[place - 1]]
        times = collections.Counter(words)
        if len(times) > _MOST_CAMERAS or min(times.values()) < 2 or len(changes) < len(times):
            return None
        return self.paths[changes[0] - 1], self.paths[changes[0]]

    @property
    def interval(self) -> datetime.timedelta | Fraction | None:
        """Usual step from a frame to the next: a time, or a number. None for fewer than two values."""
        if self.values is None or len(self.values) < 2:
            return None
        return statistics.median_low(_differences(self.values))

    def gaps(self) -> str | None:
        """Says where frames are missing or lie unevenly, in one line without an end. None where steps are even."""
        interval: Any = self.interval
        values: tuple[Any, ...] = self.values or ()
        if interval is None or _evenness(values) == 1:
            return None
        gaps = []
        for (first, second), (before, after) in zip(
            itertools.pairwise(self.paths), itertools.pairwise(values), strict=True
        ):
            if not _is_even(after - before, interval):
                place = f"{_written(after - before)} between {first.name} and {second.name}"
                gaps.append(place + _missing(before, after, interval))
        more = f" and {len(gaps) - _MOST_NAMED} more" if len(gaps) > _MOST_NAMED else ""
        return (
            f"the interval is {_written(interval)}, but there are gaps: {'; '.join(gaps[:_MOST_NAMED])}{more}"
        )


def order_frames(paths: Sequence[Path], names: Sequence[str]) -> FrameOrder:
    """Sorts the frames of one clip by the numbers and times in their names.

    Numbers may have decimals, signs and exponents: `t-20` comes before `t0`, `f1.25` before `f1.5`, and `1e-3` before
    `1e-2`.
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
    except Unclear as unclear:
        first, second = (paths[index] for index in unclear.names)
        raise ValueError(
            f"`{first.parent}` must hold images whose names tell one order. Received: {first.name} and "
            f"{second.name}: {unclear}"
        ) from None
    return FrameOrder(tuple(paths[index] for index in order), values)


def values_of(texts: Sequence[str]) -> list[Value] | None:
    """Reads texts that are times or numbers, by the conventions of names.

    Args:
        texts: any number of them, in any order; the same ones may stand there several times.

    Returns:
        The times (UTC where they have an offset) or numbers of the texts, in their order; times of day are those of
        2000-01-01. None where these are not clear.
    """
    names = [_plain(text) for text in texts]
    single = list(dict.fromkeys(names))
    days = all(re.match("(?:19|20)[0-9]{6}", name) for name in single)
    try:
        if all(re.fullmatch("[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?", name) for name in single):
            rows = clocked(single)
            read = rows and {name: row[1] for name, row in zip(single, rows, strict=True)}
        elif days and not dated(single, FULL_DATES):
            return None  # a day and something else behind it, such as the number of the frame
        elif len(single) == 1:
            found = dated(single, FULL_DATES)
            read = {single[0]: found[0][1][0][1]} if len(found) == 1 else None
        else:
            order, values = _choose(single)
            if values is None:
                return None
            read = {single[index]: value for index, value in zip(order, values, strict=True)}
    except Unclear:
        return None
    return [read[name] for name in names] if read else None


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """What one way to read the names gives: indices in their order, the values in that order, and which way."""

    order: tuple[int, ...]
    values: tuple[Value, ...] | None
    reading: str

    @property
    def evenness(self) -> float:
        return _evenness(self.values) if self.values else 0.0

    @property
    def span(self) -> datetime.timedelta:
        if self.values and isinstance(self.values[0], datetime.datetime):
            return _differences((self.values[0], self.values[-1]))[0]
        return datetime.timedelta.max


def _plain(name: str) -> str:
    """Returns a name with one form of every digit, letter and minus."""
    plain = re.sub("[\u2010-\u2015\u2212]", "-", unicodedata.normalize("NFKC", name)).lower()
    return "".join(str(unicodedata.decimal(letter, letter)) for letter in plain)


# Steps


def _differences(values: Sequence[Any]) -> list[Any]:
    return [after - before for before, after in itertools.pairwise(values)]


def _is_even(step: Any, interval: Any) -> bool:
    return abs(step - interval) <= abs(interval) * _EVEN


def _evenness(values: Sequence[Any]) -> float:
    """Returns the share of steps that are the usual one, in months where that is even."""
    steps = _differences(values)
    usual = statistics.median_low(steps)
    share = statistics.fmean(_is_even(step, usual) for step in steps)
    if isinstance(values[0], datetime.datetime) and len({value.replace(1, 1) for value in values}) == 1:
        months = _differences([Fraction(12 * value.year + value.month) for value in values])
        usual = statistics.median_low(months)
        share = max(share, statistics.fmean(step == usual for step in months))
    return share


def _missing(before: Any, after: Any, interval: Any) -> str:
    """Names what is missing between two values, if whole intervals fit between them."""
    count = round((after - before) / interval) - 1
    if count < 1 or not _is_even((after - before) / (count + 1), interval):
        return ""
    named = [before + (index + 1) * interval for index in range(min(count, _MOST_NAMED))]
    text = ", ".join(_written(value) if isinstance(value, Fraction) else str(value) for value in named)
    return f" (missing: {text}{' ...' if count > _MOST_NAMED else ''})"


def _written(step: Any) -> str:
    if isinstance(step, Fraction):
        return str(step) if step.denominator == 1 else str(float(step))
    seconds = step.total_seconds()
    unit, length = next(
        (unit, length)
        for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
        if length == 1 or (seconds >= length and (seconds % length == 0 or length == 60))
    )
    return f"{seconds / length:g} {unit}{'' if seconds == length else 's'}"


# Choice of a reading


def _choose(names: list[str]) -> tuple[tuple[int, ...], tuple[Value, ...] | None]:
    """Returns the one order of the names, and their values in it."""
    readings = dated(names, FULL_DATES)
    sure = len(readings)
    if not readings:
        refuse_mixed_dates(names)
        readings = dated(names, SHORT_DATES, (CLOCK,))
        sure = len(readings)
        clocks = clocked(names)
        if clocks and not readings:
            _refuse_midnight(clocks)
        readings += [  # the first ones where two are as even: a number of six digits is rather a number than a date
            ("numbers", [[name] for name in names]),
            *dated(names, SHORT_DATES, ("", FAR_CLOCK)),
            *([("times of day", clocks)] if clocks else []),
        ]
    certain: list[_Candidate] = []
    candidates: list[_Candidate] = []
    why = None
    for place, (reading, rows) in enumerate(readings):
        try:
            candidates += _numbered(rows, reading)
        except Unclear as unclear:
            why = unclear
        if place < sure:
            certain = list(candidates)
    if why and not candidates:
        raise why
    orders = {candidate.order for candidate in candidates}
    best = max(candidates, key=lambda candidate: candidate.evenness)  # the first of equal ones
    if len(orders) > 1:
        others = [candidate for candidate in candidates if candidate.order != best.order]
        rival = max(others, key=lambda candidate: candidate.evenness)
        if rival.evenness == best.evenness or best.evenness < 0.5:
            place = next(place for place, index in enumerate(best.order) if rival.order[place] != index)
            raise Unclear(
                best.order[place],
                rival.order[place],
                f"{best.reading} and {rival.reading} give another order",
            )
    times = [candidate for candidate in certain if candidate.order == best.order and candidate.values]
    if times:
        best = max(times, key=lambda candidate: candidate.evenness)
        if {candidate.reading for candidate in times} >= {"days first", "months first"}:
            # 01-02 and 02-02 are two days of February sooner than the first of two months: a clip is short.
            best = min(times, key=lambda candidate: candidate.span)
    return best.order, _as_epochs(best.values)


def _refuse_midnight(rows: list[Row]) -> None:
    """Makes sure that times of day do not go on behind midnight: 23:50, 23:55, 00:00."""
    order = sorted(range(len(rows)), key=lambda index: rows[index][1])
    steps = _differences([rows[index][1] for index in order])
    longest = max(steps)
    place = steps.index(longest)
    across = _DAY - sum(steps, datetime.timedelta())
    others = steps[:place] + steps[place + 1 :]
    if others and 2 * longest > _DAY and _is_even(across, statistics.median_low(others)):
        raise Unclear(order[place], order[place + 1], "times of day may pass midnight, give them their dates")


def _as_epochs(values: tuple[Any, ...] | None) -> tuple[Value, ...] | None:
    """Returns numbers that are seconds or milliseconds since 1970, as of clocks, as times."""
    for scale in (1, 1000):
        if values and all(
            isinstance(value, Fraction) and 10**9 <= value / scale < 2.2e9 and value.denominator == 1
            for value in values
        ):
            start = datetime.datetime(1970, 1, 1)
            return tuple(start + datetime.timedelta(seconds=float(value / scale)) for value in values)
    return values


def _numbered(rows: list[Row], reading: str) -> list[_Candidate]:
    """Returns what the ways to read numbers give, for names that are cut into texts and times."""
    ways: dict[str, list[Row]] = {}
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
        longer = [part for _, part in fractions if len(part) > shortest]
        counted = _counts(fractions) and not any(part.startswith("0") for part in longer)
        if not padded and any(part.endswith("0") for part in longer):
            if counted:
                del ways["decimals"]  # 1.10 beside 1.9
        elif not padded and not counted:
            del ways["whole numbers"]  # 1.05 beside 1.5; or 1.25 beside 1.5, with nothing between 5 and 25
    if "exponents" not in ways and _has_thousands(rows):
        ways["thousands"] = [_split(row, _thousands) for row in rows]
    found: list[_Candidate] = []
    why = None
    for way, tokens in ways.items():
        try:
            order, values = _sort(tokens)
            found.append(_Candidate(order, values, way if reading == "numbers" else reading))
        except Unclear as unclear:
            why = why or unclear
    if why and not found:
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


def _texts(row: Row) -> list[str]:
    return [token for token in row if isinstance(token, str)]


def _fractions(row: Row) -> list[tuple[str, str]]:
    """Returns the digits before and behind the point of every decimal."""
    chunks = [chunk for text in _texts(row) for chunk in re.findall(_CHUNK, text)]
    parts = [re.split("[.,p]", chunk) for chunk in chunks]
    return [(each[0], each[1]) for each in parts if len(each) == 2]


def _split(row: Row, split: Callable[[str], Row]) -> Row:
    tokens: Row = []
    for token in row:
        tokens += split(token) if isinstance(token, str) else [token]
    return tokens


def _whole(text: str) -> Row:
    parts: Row = re.split("([0-9]+)", text)
    return [Fraction(part) if index % 2 else part for index, part in enumerate(parts)]


_THOUSANDS = r"(?<![0-9.,'])[1-9][0-9]{0,2}([.,'])[0-9]{3}(?:\1[0-9]{3})*(?![0-9]|[.,'][0-9])"


def _thousands(text: str) -> Row:
    return _whole(re.sub(_THOUSANDS, lambda number: re.sub("[.,']", "", number[0]), text))


def _has_thousands(rows: list[Row]) -> bool:
    """Whether some numbers may have marks at their thousands, and none has marks elsewhere."""
    if not any(re.search(_THOUSANDS, text) for row in rows for text in _texts(row)):
        return False
    tokens = [_split(row, _thousands) for row in rows]
    marked = any(re.search("[0-9][.,'][0-9]", text) for row in tokens for text in _texts(row))
    return not marked and len({len(row) for row in tokens}) == 1


def _decimals(text: str) -> Row:
    tokens: Row = [""]
    for index, part in enumerate(re.split(f"({_CHUNK})", text)):
        if index % 2 and len(re.findall("[.,p]", part)) == 1:
            tokens += [Fraction(re.sub("[,p]", ".", part)), ""]
        else:
            first, *others = _whole(part)
            tokens[-1] += first
            tokens += others
    return tokens


def _exponents(text: str) -> Row:
    tokens: Row = [""]
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


def _sort(rows: list[Row]) -> tuple[tuple[int, ...], tuple[Value, ...] | None]:
    """Returns the order of names that are cut into texts and values, and the values if one of each tells it."""
    _take_signs(rows)
    keys: list[tuple[Any, ...]] = [() for _ in rows]
    used: list[int] = []
    decided = False
    for place in range(max(map(len, rows))):
        column = [row[place] if place < len(row) else None for row in rows]
        if decided:
            if place % 2:
                _refuse_falling_numbers(rows, keys)
            else:
                _refuse_units(column)
            break
        if place % 2:
            kinds = [type(value) for value in column]
            for index, kind in enumerate(kinds):
                if kind is not kinds[0]:
                    raise Unclear(0, index, "not of one convention")
            if len(set(column)) > 1:
                used.append(place)
        elif not _is_letter(column):
            first: dict[tuple[Any, ...], int] = {}
            for index, (key, text) in enumerate(zip(keys, column, strict=True)):
                if text != column[first.setdefault(key, index)]:
                    raise Unclear(first[key], index, "the order of words is not clear, give them numbers")
            continue
        else:
            used.append(place)
        keys = [(*key, value) for key, value in zip(keys, column, strict=True)]
        decided = len(set(keys)) == len(keys)
    order = tuple(sorted(range(len(rows)), key=keys.__getitem__))
    for before, after in itertools.pairwise(order):
        if keys[before] == keys[after]:
            raise Unclear(before, after, "both tell the same place in the order")
    _refuse_falling_days(rows, order)
    return order, _values(rows, order, used)


def _values(rows: list[Row], order: tuple[int, ...], used: list[int]) -> tuple[Value, ...] | None:
    """Returns the times of names, or their only number; makes sure that times grow."""
    times = [place for place in used if isinstance(rows[0][place], datetime.datetime)]
    # Times behind a number or a letter that tells the order already count, too.
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
                raise Unclear(
                    before,
                    after,
                    "the order of their times is not that of the numbers or letters before them",
                )
    only = used if len(used) == 1 and used[0] % 2 else []  # letters stand at even places
    for place in times or only:
        values = tuple(rows[index][place] for index in order)
        if len(set(values)) == len(values):
            return values
    return None


def _is_letter(column: Row) -> bool:
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


def _refuse_falling_numbers(rows: list[Row], keys: list[tuple[Any, ...]]) -> None:
    """Makes sure that numbers behind the letter that tells the order do not tell another: a2 and b1."""
    for before, after in itertools.pairwise(sorted(range(len(rows)), key=keys.__getitem__)):
        first, second = rows[before], rows[after]
        if len(first) != len(second):
            raise Unclear(before, after, "not of one convention")
        places = [place for place in range(1, len(first), 2) if isinstance(first[place], Fraction)]
        if [first[place] for place in places] > [second[place] for place in places]:
            raise Unclear(before, after, "the order of their letters is not that of the numbers beside them")


_DAYS = re.compile(r"(?:^|[^a-z])(?:day|week|month|year)[ _-]*$")


def _refuse_falling_days(rows: list[Row], order: tuple[int, ...]) -> None:
    """Makes sure that years and days behind the numbers that tell the order grow with them.

    As they do not in `W01_2024` and `W02_2023`, or `h23_day1` and `h00_day2`.
    """
    for place in range(1, min(map(len, rows)), 2):
        column = [row[place] for row in rows]
        if not all(isinstance(each, Fraction) and each.denominator == 1 for each in column):
            continue
        years = all(1900 <= each < 2100 for each in column)
        if not years and not all(_DAYS.search(row[place - 1]) for row in rows):
            continue
        for before, after in itertools.pairwise(order):
            if column[before] > column[after]:
                raise Unclear(
                    before, after, "the order of their years or days is not that of the numbers before them"
                )


_UNIT = re.compile(r"[ _-](?:[nmu\u03bc]?s|sec|m|min|h|hr|d)(?![^\W\d_])|[^\W\d_]*")


def _refuse_units(column: Row) -> None:
    """Makes sure that numbers have one unit: 30min comes before 1h."""
    units = []
    for text in column:
        match = _UNIT.match(text or "")
        units.append(match.group() if match else "")
    for index, unit in enumerate(units):
        if unit != units[0]:
            raise Unclear(0, index, "their numbers have several units, or words whose order is not clear")


_TIME_WORD = re.compile(r"(?:^|[^a-z])(?:t|dt|time|lag|lead|offset|h)[ ]?$")
_TURNING_BEFORE = re.compile(r"(?:^|[^a-z])(?:tm|(?:minus|neg|negative)[ _=-]*)$")
_TURNING_BEHIND = re.compile(
    r"[ _-]*(?:[a-z\u03bc]+[ _-]+)?(?:ago|before|earlier|prior|remaining|to[ _-]go)(?![a-z])"
)


def _refuse_turning_words(rows: list[Row], place: int) -> None:
    """Makes sure that no word at a number says that it counts backwards, as in `30min_ago`."""
    before = {row[place - 1] for row in rows}  # other words have no order anyway
    turned = len(before) == 1 and _TURNING_BEFORE.search(before.pop())
    for index, row in enumerate(rows):
        if turned or _TURNING_BEHIND.match(row[place + 1]):
            other = next((each for each in range(len(rows)) if rows[each][place] != row[place]), None)
            if other is not None:
                raise Unclear(
                    index,
                    other,
                    "whether a word turns the order is not clear, write t_-20 for what comes before 0",
                )


def _take_signs(rows: list[Row]) -> None:
    """Moves signs from the texts into the numbers behind them."""
    for place in range(1, min(map(len, rows)), 2):
        if not all(isinstance(row[place], Fraction) for row in rows):
            continue
        _refuse_turning_words(rows, place)
        texts = [row[place - 1] for row in rows]
        signs = [text[-1:] if text[-1:] in ("+", "-") else "" for text in texts]
        bases = {text.removesuffix(sign) for text, sign in zip(texts, signs, strict=True)}
        if len(bases) > 1:
            continue
        base = bases.pop()
        if set(signs) == {"-"}:
            if _TIME_WORD.search(base) and len({row[place] for row in rows}) > 1:
                second = next(index for index, row in enumerate(rows) if row[place] != rows[0][place])
                raise Unclear(
                    0, second, 'whether "-" is a sign is not clear, write t_-20 or t+0 for signed numbers'
                )
            if base[-1:] not in ("_", "=", "(") and (base or place > 1):
                continue
        for row, sign in zip(rows, signs, strict=True):
            row[place - 1] = base
            row[place] *= -1 if sign == "-" else 1
