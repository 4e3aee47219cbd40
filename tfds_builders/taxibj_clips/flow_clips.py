"""From flows to clips: whole days, windows, split and scale."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfds_builders.taxibj_clips.flows import SLOTS_PER_DAY, Flows, slot_numbers
from tfds_builders.windows import contiguous_runs, window_starts

FRAMES = 8
"""Half hours of a clip."""

_REFERENCE_WINDOWS = {"train": 19_560, "test": 1_344}


def clean(flows: Flows) -> Flows:
    """Drops the days that have not all of their 48 slots, and sets negative counts to 0."""
    _, day, slots = np.unique(flows.dates // 100, return_inverse=True, return_counts=True)
    whole = slots[day] == SLOTS_PER_DAY
    return Flows(flows.dates[whole], np.maximum(flows.counts[whole], 0))


def join(files: Sequence[Flows]) -> Flows:
    """Joins files that follow each other in time to one series."""
    return Flows(*(np.concatenate(parts) for parts in zip(*files, strict=True)))


def window_positions(dates: Sequence[np.ndarray], *, reference_order: bool = False) -> np.ndarray:
    """Finds the windows of 8 frames whose half hours follow each other within one file.

    Args:
        dates: dates of each file, as in `Flows`.
        reference_order: bool. True: the last window of each run is not made, so that a run of N frames gives N - 8
            windows, not N - 7.

    Returns:
        int64 (windows,): index of the earliest frame of each window in the joined series, growing.
    """
    positions, offset = [np.empty(0, np.int64)], 0
    for file in dates:
        for run in contiguous_runs(slot_numbers(file), 1):
            starts = window_starts(run.stop - run.start - reference_order, FRAMES)
            positions.append(offset + run.start + np.array(starts, np.int64))
        offset += len(file)
    return np.concatenate(positions)


def check_reference_count(windows: int) -> None:
    """Checks that the real files gave as many windows in reference order as are published.

    Raises:
        ValueError: if they did not.
    """
    train, test = _REFERENCE_WINDOWS["train"], _REFERENCE_WINDOWS["test"]
    if windows != train + test:
        raise ValueError(
            f"The real files must give {train:,} train and {test:,} test windows in reference order. "
            f"Received: {windows - test:,} and {test:,}"
        )


def split_windows(
    positions: np.ndarray, test_windows: int, *, disjoint: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Splits windows: the last are for the test.

    Args:
        positions: what `window_positions` returns.
        test_windows: int, number of test windows.
        disjoint: bool. True: train windows that share a frame with a test window, at most 7, are left out.

    Returns:
        Positions of the train and of the test windows.

    Raises:
        ValueError: if no window is left for training.
    """
    train, test = positions[:-test_windows], positions[-test_windows:]
    if disjoint:
        train = train[train + FRAMES <= test[:1]]
    if not len(train):
        raise ValueError(
            f"`test_windows` must leave windows for training. Received: test_windows={test_windows} of "
            f"{len(positions)} windows"
        )
    return train, test


class Scale(NamedTuple):
    """Linear code of counts.

        pixel = (count - minimum) / (maximum - minimum)         clipped to [0, 1]

    Attributes:
        minimum: float, count of pixel 0.
        maximum: float, count of pixel 1.
    """

    minimum: float
    maximum: float

    @classmethod
    def of(cls, counts: np.ndarray) -> "Scale":
        """Takes minimum and maximum of counts.

        Raises:
            ValueError: if all counts are the same.
        """
        scale = cls(counts.min().item(), counts.max().item())
        if scale.minimum == scale.maximum:
            raise ValueError(
                f"`counts` must hold more than one value, to be scaled. Received: {scale.minimum} everywhere"
            )
        return scale

    def to_pixels(self, counts: np.ndarray, dtype: str = "float32") -> np.ndarray:
        """Returns the pixels of counts.

        Args:
            counts: float array.
            dtype: "float32": pixels in [0, 1]. "uint8": 255 times as much, cut to whole numbers as a cast does.
        """
        pixels = np.clip((counts.astype(np.float64) - self.minimum) / (self.maximum - self.minimum), 0, 1)
        return (pixels * 255 if dtype == "uint8" else pixels).astype(dtype)


def clip_frames(
    counts: np.ndarray, position: int, scale: Scale, *, channels: int, dtype: str, reference_order: bool
) -> np.ndarray:
    """Returns the frames of one clip.

    Args:
        counts: float32 (count, 2, 32, 32), the joined series.
        position: int, index of the earliest frame.
        scale: from counts to pixels.
        channels: int. 1: inflow; 2: inflow and outflow.
        dtype: "float32" or "uint8", see `Scale.to_pixels`.
        reference_order: bool. True: the newest frame comes first.

    Returns:
        (8, 32, 32, channels).
    """
    frames = np.moveaxis(counts[position : position + FRAMES, :channels], 1, -1)
    return scale.to_pixels(frames[::-1] if reference_order else frames, dtype)
