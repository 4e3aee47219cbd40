"""Folders of radar maps of weather services, read as `read_radar` reads them."""

import glob
import hashlib
from pathlib import Path

import numpy as np

from mslstm_keras.radar.read import open_maps
from tfds_builders.dwd_radar_clips.radar_maps import Series


def open_radar_folder(folder: Path, *, names: str | None = None, product: str | None = None) -> Series:
    """The maps of a folder and of those in it, plain, packed or in archives, in any format that `read_radar` reads.

    Times that stray by seconds are put on multiples of the maps' interval, counted from the first map.

    Args:
        folder: folder.
        names: glob of the names of the files. None: all; those that are no maps are left out, with a warning.
        product: part of the name of the product, or of the files, of which there may be several in the folder.

    Raises:
        ValueError: if there are no maps, or they do not go together, see `read_radar`; if a file is damaged, here or
            when its map is read.
        ImportError: if a package that the format needs is not installed.
    """
    maps = open_maps(f"{glob.escape(str(folder))}/**/{names}" if names else folder, product=product)
    files = tuple(entry.source.file for entry in maps.entries)
    states = [
        (str(entry.source), file.stat().st_size, file.stat().st_mtime_ns)
        for entry, file in zip(maps.entries, files, strict=True)
    ]

    def rate(index: int) -> tuple[np.ndarray, np.ndarray]:
        values = maps.read(index)
        observed = ~np.isnan(values)
        values[~observed] = 0
        return values, observed

    return Series(
        str(folder),
        _on_multiples(np.array([entry.time for entry in maps.entries]), maps.timetable.minutes),
        rate,
        maps.said.grid.shape,
        maps.timetable.minutes,
        hashlib.sha256(repr(states).encode()).hexdigest(),
        files,
        maps.said.grid.spacing,
    )


def _on_multiples(times: np.ndarray, minutes: float | None) -> np.ndarray:
    """Times as datetime64[m] where they are of whole minutes, else datetime64[s]."""
    if minutes is not None:
        interval = np.timedelta64(round(60 * minutes), "s")
        counts = np.rint(np.diff(times) / interval).astype(np.int64)
        times = times[0] + np.concatenate([[0], np.cumsum(counts)]) * interval
    whole = times.astype("datetime64[m]")
    return whole if (whole == times).all() else times
