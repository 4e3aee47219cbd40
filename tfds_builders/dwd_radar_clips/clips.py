"""Clips of a radar series: which maps are train and test, which follow each other, how they become pixels."""

import functools
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from mslstm_keras.formats.checks import damage_of, whole_data_set
from mslstm_keras.frames.rain import RAIN_SCALES
from tfds_builders.dwd_radar_clips.radar_maps import Series

MEANS = ("rate", "pixel", "centre")
_TOGETHER = 48  # maps per file of the store: what is lost at most when a process is killed
_MOST_TOGETHER = 2**26  # pixels of maps that are kept in memory at once: a map of Europe has 16 million

Reduce = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def split_series(
    series: Series,
    *,
    test_share: float | None,
    train_years: tuple[int, int],
    test_years: tuple[int, int],
) -> dict[str, Series]:
    """Train and test parts of a series; no map is in both.

    Args:
        series: the maps.
        test_share: None: by years. A float in [0, 1]: the last `test_share` of the maps are the test part;
            with 0 or 1 there is only the one part.
        train_years: first and last year of the train part. Maps of years in neither part are left out.
        test_years: first and last year of the test part.

    Returns:
        `"train"` and `"test"`, or one of them.
    """
    if test_share is None:
        years = series.times.astype("datetime64[Y]").astype(int) + 1970
        return {
            name: series.where((first <= years) & (years <= last))
            for name, (first, last) in (("train", train_years), ("test", test_years))
        }
    is_test = np.arange(len(series.times)) >= round((1 - test_share) * len(series.times))
    parts = {"train": series.where(~is_test), "test": series.where(is_test)}
    empty = {0: "test", 1: "train"}.get(test_share)
    return {name: part for name, part in parts.items() if name != empty}


def time_windows(times: np.ndarray, *, window: int, interval: float, stride: float) -> np.ndarray:
    """Windows of maps that follow each other at one interval of time.

    A window that starts at time t needs the maps of t, t + interval, ..., t + (window - 1) interval and only
    those: another map that is missing between them does not matter. Windows start as early as they can:
    the first at the earliest time whose needed maps are all there, each further one at the earliest such time
    that is at least `stride` after the one before.

    Args:
        times: datetime64 (count,), strictly growing.
        window: int. Maps of a window.
        interval: float, minutes. Time between two maps of a window.
        stride: float, minutes. Least time between the starts of two windows.

    Returns:
        int64 (windows, window): indices into `times`, in the order of time.

    Raises:
        ValueError: if times do not grow.
    """
    if (np.diff(times) <= np.timedelta64(0, "s")).any():
        raise ValueError(f"`times` must grow from each to the next, none twice. Received: {times}")
    seconds = times.astype("datetime64[s]").astype(np.int64)
    needed = seconds[:, np.newaxis] + round(60 * interval) * np.arange(window)
    indices = np.searchsorted(seconds, needed)
    found = seconds[np.minimum(indices, len(seconds) - 1)] == needed
    chosen, earliest = [], None
    for start in np.flatnonzero(found.all(axis=1)):
        if earliest is None or seconds[start] >= earliest:
            chosen.append(start)
            earliest = seconds[start] + round(60 * stride)
    return indices[chosen].reshape(-1, window)


def _block_means(values: np.ndarray, block: int) -> np.ndarray:
    rows = values.reshape(len(values) // block, block, -1).sum(axis=1)
    # Several times as fast as `sum` over a last axis as short as this.
    return sum(rows[:, column::block] for column in range(block)) / block**2


def reduce_map(
    rate: np.ndarray, observed: np.ndarray, *, block: int, mean: str, dtype: str
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of a map at a lower resolution.

        p = clip((10 log10(256 R^1.42) + 10) / 70, 0, 1)        R in mm/h

    Args:
        rate: float32 (height, width), mm/h, 0 where there are no data.
        observed: bool (height, width).
        block: int. A block of `block x block` pixels becomes one; it divides height and width.
        mean: `"rate"`: pixel of the mean rate; `"pixel"`: mean of the pixels; `"centre"`: pixel of the block's
            middle, which is what bilinear resizing without a filter gives for an odd `block`.
        dtype: `"float32"` in [0, 1], or `"uint8"`: 255 p, rounded.

    Returns:
        (pixels, observed): (height // block, width // block) of `dtype`, and bool, true where all pixels of
        the block were observed.
    """
    scale = RAIN_SCALES["dwd"]
    if mean == "rate":
        pixels = scale.to_pixel(_block_means(rate, block))
    elif mean == "pixel":
        pixels = _block_means(scale.to_pixel(rate), block)
    else:
        middle = slice(block // 2, None, block)
        pixels = scale.to_pixel(rate[middle, middle])
    if dtype == "uint8":
        pixels = np.rint(255 * pixels)
    rows = observed.reshape(len(observed) // block, block, -1).all(axis=1)
    return pixels.astype(dtype), rows.reshape(len(rows), -1, block).all(axis=2)


def _load(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Maps of a file of the store; None where it is not there, or damaged, so that it is made anew."""
    try:
        with damage_of(path, ""), h5py.File(path, "r") as file:
            return whole_data_set(file, "pixels")[()], whole_data_set(file, "observed")[()]
    except ValueError:
        return None


def _save(path: Path, pixels: np.ndarray, observed: np.ndarray) -> None:
    content = io.BytesIO()  # HDF5 itself crashes the process where the disk is full
    with h5py.File(content, "w") as file:
        for name, values in (("pixels", pixels), ("observed", observed)):
            file.create_dataset(name, data=values, compression="lzf", shuffle=True, fletcher32=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    try:
        with open(descriptor, "wb") as file:
            file.write(content.getbuffer())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def make_clips(
    series: Series, windows: np.ndarray, reduce: Reduce, store: Path | None = None, recipe: str = ""
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Reads and reduces the maps of windows, each map once.

    Reduced maps are kept in a folder of `store`, 48 per file, fewer of large maps, so that a process that was
    killed goes on where it was. The folder's name depends on the source's files, the windows and `recipe`; it
    may be deleted when the data set is prepared.

    Args:
        series: the maps.
        windows: int64 (windows, window), see `time_windows`.
        reduce: makes (pixels, observed) of (rate, observed), see `reduce_map`.
        store: folder. None, or a series without identity: maps are not kept.
        recipe: says what `reduce` does; another one has another folder.

    Yields:
        (pixels, observed) of each window, (window, height, width) each.
    """
    height, width = series.size
    together = max(1, min(_TOGETHER, _MOST_TOGETHER // (height * width)))
    needed, places = np.unique(windows, return_inverse=True)
    places = places.reshape(windows.shape)
    if store is not None and series.identity:
        key = hashlib.sha256(f"{series.identity} {recipe}".encode() + series.times[needed].tobytes())
        store = store / key.hexdigest()[:16]
    else:
        store = None

    def chunk(number: int) -> tuple[np.ndarray, np.ndarray]:
        path = store / f"{number:06}.h5" if store else None
        maps = _load(path) if path else None
        if maps is None:
            indices = needed[number * together : (number + 1) * together]
            reduced = [reduce(*series.rate(index)) for index in indices]
            maps = tuple(np.stack(values) for values in zip(*reduced, strict=True))
            if path:
                _save(path, *maps)
        return maps

    span = (places[:, -1] - places[:, 0]).max(initial=0)
    cached = functools.lru_cache(maxsize=int(span) // together + 2)(chunk)
    for window in places:
        maps = [
            [values[place % together] for values in cached(place // together)] for place in window.tolist()
        ]
        pixels, observed = zip(*maps, strict=True)
        yield np.stack(pixels), np.stack(observed)
