"""Reader of RYDL.hdf5, all radar maps of Germany of several years in one file."""

import contextlib
import functools
import logging
import re
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

from mslstm_keras.formats.checks import damage_of, whole_data_set
from tfds_builders.dwd_radar_clips.radar_maps import STEP, Series

HIGHEST_DEPTH = 41.0
"""mm in 5 min, 492 mm/h. RADOLAN's 12 bits of 0.01 mm end at 40.95, which float16 rounds up; more is a code."""

_WHOLE_FILE = "A radar file must be whole and of its format."


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


def _times_of(stamps: Iterable[str]) -> np.ndarray:
    """Times, datetime64[m], of stamps `YYYYMMDDHHMM`.

    Raises:
        ValueError: if a stamp is no date.
    """
    texts = [f"{s[:4]}-{s[4:6]}-{s[6:8]}T{s[8:10]}:{s[10:12]}" for s in stamps]
    return np.array(texts, "datetime64[m]")


def _stored(file: h5py.File, name: str, size: tuple[int, int]) -> np.ndarray:
    """Reads a map; its claims are checked before memory is taken."""
    found = whole_data_set(file, name)
    if found.dtype.kind not in "fiu" or found.dtype.itemsize > 8:
        raise ValueError(f"must hold real numbers, holds {found.dtype}")
    if found.shape != size:
        raise ValueError(f"must have shape {size}, has {found.shape}")
    return found[()]


def open_rydl(path: Path, *, size: tuple[int, int]) -> Series:
    """The maps of `RYDL.hdf5`: data sets named `YYYYMMDDHHMM`, rain depth in mm per 5 min, of any real type.

    The names are listed once, into memory; maps are read one by one. Rows keep the order of the file, which
    does not say which side is north. Names that are no time stamps are left out, with a warning.

    Args:
        path: file.
        size: height and width of the maps in pixels.

    Raises:
        ValueError: if the file is damaged, holds no map, or if a map is not of this size or not of real
            numbers when it is read.

    Reference: Ayzel, Scheffer & Heistermann, "RainNet v1.0", GMD 13 (2020), doi:10.5281/zenodo.3629951.
    """
    with damage_of(path, _WHOLE_FILE), contextlib.ExitStack() as opened:
        file = opened.enter_context(h5py.File(path, "r"))
        keys = sorted(file)
        names = [key for key in keys if re.fullmatch(r"\d{12}", key)]
        if not names:
            raise ValueError("no data set is named YYYYMMDDHHMM")
        times = _times_of(names)
        opened.pop_all()  # the series reads it; what fails before leaves it closed
    if len(names) < len(keys):
        logging.getLogger(__name__).warning(
            "%s: left out %d names that are no time stamps", path, len(keys) - len(names)
        )

    def rate(index: int) -> tuple[np.ndarray, np.ndarray]:
        with damage_of(path / names[index], _WHOLE_FILE):
            return rain_rate(_stored(file, names[index], size))

    state = path.stat()
    identity = f"{path.resolve()} {state.st_size} {state.st_mtime_ns}"
    return Series(str(path), times, rate, size, identity=identity)
