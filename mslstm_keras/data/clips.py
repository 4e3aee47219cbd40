"""Clips by number, wherever they come from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Clips:
    """Clips by number.

    Attributes:
        read: function of an int array of numbers, returning clips (number, time, height, width, channels), uint8 of
            0 .. 255 or floats of 0 .. 1, NaN where nothing was observed.
        count: int, or None where there are endlessly many.
        interval: float, minutes between two frames; None where nothing says so.
        masked: bool. Whether pixels may be missing, which are NaN.
        scale: str, how pixels stand for numbers in their units, see `mslstm_keras.frames.parse_scale`; None where
            nothing says that they do.
        quantity: str, what was measured; None where nothing says so.
        spacing: float, metres on the ground between two pixels; None where nothing says so.
    """

    read: Callable[[np.ndarray], np.ndarray]
    count: int | None
    interval: float | None = None
    masked: bool = False
    scale: str | None = None
    quantity: str | None = None
    spacing: float | None = None

    def frames(self, numbers: np.ndarray) -> np.ndarray:
        """Returns clips as float32 in [0, 1], (number, time, height, width, channels); missing pixels are NaN."""
        return in_unit_range(self.read(numbers))


def in_unit_range(clips: np.ndarray) -> np.ndarray:
    """Returns clips, uint8 of 0 .. 255 or floats of 0 .. 1, as float32 in [0, 1]."""
    return clips / np.float32(255) if clips.dtype == np.uint8 else clips.astype("float32", copy=False)


def fill_missing(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns frames with 0 in place of NaN, which is what a model sees, and which of their pixels were observed.

    Returns:
        (frames, observed): float32 (..., height, width, channels), and float32 (..., height, width, 1), 0 where a
        channel is missing, else 1.
    """
    missing = np.isnan(frames)
    observed = ~missing.any(axis=-1, keepdims=True)
    return np.where(missing, np.float32(0), frames), observed.astype("float32")
