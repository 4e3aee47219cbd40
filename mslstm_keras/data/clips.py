"""Clips by number, wherever they come from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Clips:
    """Clips by number.

    Attributes:
        read: function of an int array of numbers, returning clips (number, time, height, width, channels), uint8 of
            0 .. 255 or floats of 0 .. 1.
        count: int, or None where there are endlessly many.
        interval: float, minutes between two frames; None where nothing says so.
        scale: str, how pixels stand for numbers in their units, see `mslstm_keras.frames.parse_scale`; None where
            nothing says that they do.
    """

    read: Callable[[np.ndarray], np.ndarray]
    count: int | None
    interval: float | None = None
    scale: str | None = None

    def frames(self, numbers: np.ndarray) -> np.ndarray:
        """Returns clips as float32 in [0, 1], (number, time, height, width, channels)."""
        clips = self.read(numbers)
        return clips / np.float32(255) if clips.dtype == np.uint8 else clips.astype("float32", copy=False)
