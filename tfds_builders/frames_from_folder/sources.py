"""The sources of a folder, which are its clip files and its sub-folders of images: found, split and read."""

import dataclasses
import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mslstm_keras.formats.arrays import HDF5
from mslstm_keras.formats.folders import is_companion, is_system_file
from mslstm_keras.formats.netcdf import NETCDF
from mslstm_keras.formats.pictures import ANIMATIONS
from mslstm_keras.formats.stores import is_zarr
from mslstm_keras.frames.read import CLIPS, clip_shape, data_range, read_clip, scale_in
from mslstm_keras.timing.names import counting_order
from tfds_builders.windows import window_starts


def list_sources(folder: str | os.PathLike) -> list[Path]:
    """Lists the clip files and the sub-folders of a folder, 2 before 10.

    Hidden ones (`.name`) and those of operating systems are left out. Links are followed.

    A file of another kind is an error, as one that were passed over would be missed in silence.

    Raises:
        ValueError: if there is no such folder, nothing in it, or something that is no clip file and no folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"`manual_dir` must be the folder of your clips. Received: {folder}, not a folder")
    sources = [path for path in folder.iterdir() if not is_system_file(path)]
    if not sources:
        raise ValueError(f"`manual_dir` must hold clip files or folders of images. Received: {folder}, empty")
    for path in sorted(sources):
        if not path.is_dir() and not (path.is_file() and path.suffix.lower() in CLIPS):
            raise ValueError(
                "`manual_dir` must hold nothing but clip files, which end in one of "
                f"{', '.join(CLIPS)}, and sub-folders of images, each one clip (files that begin with a dot, "
                f"and those of operating systems, are passed over). Received: {path}"
            )
    return sorted(sources, key=counting_order)


def files_of(sources: Iterable[Path]) -> dict[str, Path]:
    """Returns the files that clips are read from, by their paths within the folder: of a sub-folder its images."""
    files = {}
    for source in sources:
        inside = [path for path in sorted(source.rglob("*")) if _is_read(path, source)]
        files |= {path.relative_to(source.parent).as_posix(): path for path in inside or [source]}
    return files


def _is_read(path, source):
    if is_zarr(source):
        return path.is_file()
    return path.is_file() and not is_system_file(path) and not is_companion(path)


def split_sources(sources: list[Path], test_share: float) -> dict[str, list[Path]]:
    """Splits sources into "train" and "test", each whole in one of the two and in the given order.

    The test sources are those whose names have the smallest SHA-256, so that the same names give the same
    split on every machine, and one more source moves at most one of the others. A single source is in both: its last
    frames are for tests, see `WindowReader`.

    Args:
        sources: at least one.
        test_share: float between 0 and 1. Share of the sources, rounded to whole ones, one at least on each side.
    """
    if len(sources) == 1:
        return {"train": sources, "test": sources}
    count = min(max(round(test_share * len(sources)), 1), len(sources) - 1)
    by_hash = sorted(sources, key=lambda path: hashlib.sha256(os.fsencode(path.name)).digest())
    test = set(by_hash[:count])
    return {
        "train": [path for path in sources if path not in test],
        "test": [path for path in sources if path in test],
    }


def to_dtype(frames: np.ndarray, dtype: str) -> np.ndarray:
    """Returns floats in [0, 1] as they are, or rounded to levels, uint8 of 0 .. 255."""
    return np.rint(frames * 255).astype("uint8") if dtype == "uint8" else frames


def split_mask(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns frames with 0 in place of NaN, and which of their pixels were observed, bool (..., 1)."""
    missing = np.isnan(frames)
    return np.where(missing, np.float32(0), frames), ~missing.any(axis=-1, keepdims=True)


@dataclasses.dataclass(kw_only=True)
class WindowReader:
    """Cuts sources into windows, one source in memory at a time; all that it reads has one size.

    Attributes:
        window: int. Frames of a window.
        stride: int. Frames from the start of a window to the start of the next.
        channels: int, see `read_clip`.
        size: (height, width) that frames are resized to, see `read_clip`. None: as in the files, which must
            agree.
        dtype: "uint8" (levels 0 .. 255; floats are rounded to them) or "float32" ([0, 1]).
        skip_short: bool. Pass over a source of fewer frames than a window, with a warning.
        data_set: name of the data set in every HDF5, NetCDF or Zarr file. None: the one of 3 or 4 axes.
        mask: bool. Keep missing pixels, as NaN in float32 frames whatever `dtype` is.
        colour_scale: path of a table of colours, see `read_clip`. None: pictures are grey, or of a camera.
        scale: how numbers become pixels, see `read_clip`. None: all lie in [0, 1].
        test_share: share of the frames of every source that are for tests, its last ones. None: sources are whole
            in one split.
    """

    window: int
    stride: int
    channels: int
    size: tuple[int, int] | None
    dtype: str
    skip_short: bool
    data_set: str | None
    mask: bool = False
    colour_scale: str | None = None
    scale: str | None = None
    test_share: float | None = None
    _first: tuple[Path, tuple[int, ...]] | None = dataclasses.field(default=None, init=False)

    def windows(self, source: Path, split: str = "train") -> Iterator[tuple[int, np.ndarray]]:
        """Yields every window of a source, or of the part of it that is in a split: first frame, and frames.

        Yields:
            int, and `dtype` (window, height, width, channels), float32 with NaN where `mask` is set.

        Raises:
            ValueError: if the source cannot be read, is shorter than a window (unless `skip_short`), or has
                another size than those before.
        """
        frames = self._read(source)
        start, stop = self._part(len(frames), split)
        frames = frames[start:stop]
        if len(frames) < self.window:
            of_split = "" if self.test_share is None else f" for the {split} split"
            if not self.skip_short:
                raise ValueError(
                    f"`{source}` must have at least `window` = {self.window} frames{of_split} (`skip_short` passes "
                    f"over such files). Received: {len(frames)}"
                )
            warnings.warn(
                f"`{source}` is passed over: {len(frames)} frames, `window` = {self.window}", stacklevel=2
            )
        for first in window_starts(len(frames), self.window, self.stride):
            yield start + first, frames[first : first + self.window]

    def _part(self, count: int, split: str) -> tuple[int, int]:
        """Returns the first frame of a split in a source of so many frames, and the one behind its last."""
        if self.test_share is None:
            return 0, count
        last_train = count - round(self.test_share * count)
        return (0, last_train) if split == "train" else (last_train, count)

    def measure(self, source: Path) -> None:
        """Takes the size that all must have from a source whose windows another reader cuts."""
        self._read(source)

    def ends(self, sources: Iterable[Path]) -> tuple[float, float]:
        """Returns the least and the largest number of sources, but for their frames for tests.

        Raises:
            ValueError: if one cannot be read.
        """

        def of_training(count):
            return self._part(count, "train")[1]

        found = (data_range(*self._place(source), counted=of_training) for source in sources)
        lows, highs = zip(*found, strict=True)
        return min(lows), max(highs)

    def shape(self, source: Path) -> tuple[int, int, int, int]:
        """Returns the shape of the frames of a source, before they are resized; see `clip_shape`."""
        return clip_shape(self._place(source)[0])

    def scale_in(self, source: Path) -> str | None:
        """Returns the scale that the attributes of a source say, or None; see `mslstm_keras.frames.read.scale_in`."""
        return scale_in(self._place(source)[0])

    def _place(self, source: Path) -> tuple[str | Path, int]:
        named = self.data_set and (is_zarr(source) or source.suffix.lower() in HDF5 + NETCDF)
        return f"{source}:{self.data_set}" if named else source, self.channels

    def _read(self, source: Path) -> np.ndarray:
        pictured = (source.is_dir() and not is_zarr(source)) or source.suffix.lower() in ANIMATIONS
        frames = read_clip(
            *self._place(source),
            size=self.size,
            scale=self.scale,
            colour_scale=self.colour_scale if pictured else None,
            fill=np.nan,
        )
        missing = int(np.isnan(frames).sum())
        if missing and not self.mask:
            raise ValueError(
                f"`{source}` must have no missing pixels, unless `mask` is true, which keeps which they are. "
                f"Received: {missing} of {frames.size} values missing"
            )
        self._first = self._first or (source, frames.shape[1:3])
        if frames.shape[1:3] != self._first[1]:
            raise ValueError(
                f"`{source}` must have frames (height, width) as large as those of {self._first[0].name}, "
                f"{self._first[1]}, unless `size` is given. Received: {frames.shape[1:3]}"
            )
        return frames if self.mask else to_dtype(frames, self.dtype)
