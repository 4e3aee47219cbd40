"""What is done to frames while they are read: cut out, filled where pixels are missing, resized."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np


def cut_out(frames: np.ndarray, crop: tuple[int, int, int, int] | None, name: object) -> np.ndarray:
    """Returns rows `top` to `bottom - 1` and columns `left` to `right - 1` of (..., height, width, channels).

    Raises:
        ValueError: if the frames are smaller.
    """
    if crop is None:
        return frames
    top, bottom, left, right = crop
    if bottom > frames.shape[-3] or right > frames.shape[-2]:
        raise ValueError(
            f"`crop` must lie within the frames of {name}, (height, width) {frames.shape[-3:-1]}. "
            f"Received: crop={crop}"
        )
    return frames[..., top:bottom, left:right, :]


@dataclasses.dataclass
class Fitting:
    """Cuts, fills and resizes the frames of one clip, which may come in parts.

    Attributes:
        path: file or folder, for errors and the warning.
        size: (height, width) to resize to, or None.
        crop: (top, bottom, left, right) to cut out before, or None.
        fill: float that takes the place of NaN; NaN leaves them.
    """

    path: Path
    size: tuple[int, int] | None
    crop: tuple[int, int, int, int] | None
    fill: float
    _missing: int = dataclasses.field(default=0, init=False)
    _values: int = dataclasses.field(default=0, init=False)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Returns float32 frames (..., height, width, channels) as they are asked for."""
        frames = cut_out(frames, self.crop, self.path)
        missing = np.isnan(frames)
        self._missing += int(np.count_nonzero(missing))
        self._values += frames.size
        if missing.any():
            frames = np.where(missing, np.float32(self.fill), frames)
        return frames if self.size in (None, frames.shape[-3:-1]) else _resize(frames, self.size)

    def missing(self, frame: np.ndarray) -> np.ndarray | None:
        """Returns where a frame (height, width, channels) is missing once it is as asked for; None if it is whole.

        A pixel of a frame that is resized is missing if half of it was.
        """
        missing = np.isnan(cut_out(frame, self.crop, self.path))
        if not missing.any():
            return None
        if self.size not in (None, missing.shape[:2]):
            missing = _resize(missing.astype("float32"), self.size) >= 0.5
        return missing

    def report(self) -> None:
        """Warns of what was filled.

        Raises:
            ValueError: if every value was missing.
        """
        if self._values and self._missing == self._values:
            raise ValueError(f"`{self.path}` must hold values. Received: all {self._values} are missing")
        if self._missing and not np.isnan(self.fill):
            warnings.warn(
                f"`{self.path}`: {self._missing} of {self._values} values are missing and read as {self.fill:g}",
                stacklevel=4,
            )


def _resize(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes every frame, each channel by itself."""
    from PIL import Image

    *axes, _, _, channels = frames.shape
    resized = np.empty((*axes, *size, channels), "float32")
    for *index, channel in np.ndindex(*axes, channels):
        image = Image.fromarray(frames[(*index, ..., channel)])
        resized[(*index, ..., channel)] = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return resized
