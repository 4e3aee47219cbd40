"""Rain radar maps in the order of time, wherever they come from."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

STEP = 5
"""Minutes between two maps of RYDL.hdf5 and of synthetic rain, and the minutes of rain that one map sums."""


@dataclass(frozen=True)
class Series:
    """Maps of one source.

    Attributes:
        source: file or folder that the maps come from, for messages.
        times: datetime64 (count,), of minutes or seconds, strictly growing.
        rate: gives map `index` as rain rate, float32 (height, width) in mm/h, with which pixels were observed,
            bool (height, width). The rate of the others is 0.
        size: height and width of the maps in pixels.
        minutes: time between two maps where none is missing; None of one map.
        identity: changes with the files and their content; empty where maps are computed, not read.
        files: file of each map, if they are not all in one.
        spacing: metres on the ground between two pixels, where the maps say it.
    """

    source: str
    times: np.ndarray
    rate: Callable[[int], tuple[np.ndarray, np.ndarray]]
    size: tuple[int, int]
    minutes: float | None = STEP
    identity: str = ""
    files: tuple[Path, ...] = ()
    spacing: float | None = None

    def where(self, chosen: np.ndarray) -> "Series":
        """The maps for which `chosen`, bool (count,), is true."""
        indices = np.flatnonzero(chosen)
        return dataclasses.replace(
            self,
            times=self.times[indices],
            rate=lambda index: self.rate(indices[index]),
            files=tuple(self.files[index] for index in indices) if self.files else (),
        )
