"""Rain radar maps in the order of time, whatever format they are stored in."""

import functools
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mslstm_keras.formats.checks import damage_of

STEP = 5
"""Minutes between two maps, and the minutes of rain that one map sums."""

HIGHEST_DEPTH = 41.0
"""mm in 5 min, 492 mm/h. RADOLAN's 12 bits of 0.01 mm end at 40.95, which float16 rounds up; more is a code."""

WHOLE_FILE = "A radar file must be whole and of its format."


@dataclass(frozen=True)
class Series:
    """Maps of one source.

    Attributes:
        source: file or folder that the maps come from, for messages.
        times: datetime64[m] (count,), strictly growing.
        rate: gives map `index` as rain rate, float32 (height, width) in mm/h, with which pixels were observed,
            bool (height, width). The rate of the others is 0.
        identity: changes with the files and their content; empty where maps are computed, not read.
        files: file of each map, if each has one of its own.
    """

    source: str
    times: np.ndarray
    rate: Callable[[int], tuple[np.ndarray, np.ndarray]]
    identity: str = ""
    files: tuple[Path, ...] = ()

    def where(self, chosen: np.ndarray) -> "Series":
        """The maps for which `chosen`, bool (count,), is true."""
        indices = np.flatnonzero(chosen)
        files = tuple(self.files[index] for index in indices) if self.files else ()
        return Series(
            self.source, self.times[indices], lambda index: self.rate(indices[index]), self.identity, files
        )


def _rate(depth: np.ndarray) -> np.ndarray:
    """Rate in mm/h of a depth in mm per 5 min, -1 where there is none."""
    with np.errstate(over="ignore", invalid="ignore"):
        depth = depth.astype(np.float32)
        return np.where(
            (depth >= 0) & (depth <= HIGHEST_DEPTH), depth * np.float32(60 / STEP), np.float32(-1)
        )


@functools.cache
def _table(dtype: np.dtype) -> np.ndarray:
    return _rate(np.arange(2**16, dtype=np.uint16).view(dtype))


def rain_rate(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rain rate of the rain that fell within 5 minutes.

        R = 12 depth                                            where 0 <= depth <= `HIGHEST_DEPTH`, else 0

    Args:
        depth: mm, of any real type. NaN, negative and impossibly high values mean no data.

    Returns:
        (rate, observed): float32 in mm/h and bool, each of the shape of `depth`.
    """
    if depth.dtype.itemsize == 2 and depth.dtype.isnative:
        # 65,536 values at most: looking them up is four times as fast as converting float16.
        rate = _table(depth.dtype).take(depth.view(np.uint16))
    else:
        rate = _rate(depth)
    observed = rate >= 0
    return np.maximum(rate, 0, out=rate), observed


def times_of(stamps: Iterable[str]) -> np.ndarray:
    """Times, datetime64[m], of stamps `YYYYMMDDHHMM`.

    Raises:
        ValueError: if a stamp is no date.
    """
    texts = [f"{s[:4]}-{s[4:6]}-{s[6:8]}T{s[8:10]}:{s[10:12]}" for s in stamps]
    return np.array(texts, "datetime64[m]")


def series_of_files(
    folder: Path, name: re.Pattern[str], stamp: str, rate: Callable[[Path, np.datetime64], tuple]
) -> Series:
    """The maps of a folder of files, one map each, and of its subfolders.

    Only names are read here, so that a folder of years opens at once.

    Args:
        folder: folder.
        name: pattern of the files' names whose first group is the time stamp. Other files are left alone.
        stamp: format of the time stamp, `"{}"` for `YYYYMMDDHHMM`.
        rate: reads (path, time), see `Series.rate`; it must check that the file agrees with `time`.

    Raises:
        ValueError: if there is no such file, or two for one time.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        match = name.search(path.name)
        if match and path.is_file():
            key = stamp.format(match[1])
            if key in found:
                raise ValueError(
                    f"A folder of radar files must hold one per time. Received: {found[key]} and {path}"
                )
            found[key] = path
    if not found:
        raise ValueError(f"A folder of radar files must hold some named {name.pattern}. Received: {folder}")
    files = [found[key] for key in sorted(found)]
    with damage_of(folder, WHOLE_FILE):
        times = times_of(sorted(found))
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    identity = hashlib.sha256(repr(states).encode()).hexdigest()
    return Series(str(folder), times, lambda index: rate(files[index], times[index]), identity, tuple(files))
