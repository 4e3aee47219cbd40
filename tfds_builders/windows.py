"""Windows of consecutive frames: where they may begin."""

import itertools

import numpy as np


def contiguous_runs(times: np.ndarray, interval: int | np.timedelta64) -> list[slice]:
    """Cuts a series into the longest pieces whose times follow each other at one interval.

        times[k + 1] - times[k] = interval                      for all k, k + 1 of a piece

    Args:
        times: (count,) of strictly growing integers or `datetime64`.
        interval: what lies between two neighbours; positive, of a unit that `times` can be compared with.

    Returns:
        Slices in order; together they hold every index once.

    Raises:
        ValueError: if times are not strictly growing (shuffled or doubled), or `interval` is not positive.
    """
    times = np.asarray(times)
    steps = np.diff(times)
    zero = 0 * interval  # of its unit
    if not interval > zero:
        raise ValueError(f"`interval` must be positive. Received: interval={interval!r}")
    wrong = np.flatnonzero(steps <= zero)
    if len(wrong):
        first = wrong[0]
        raise ValueError(
            "`times` must grow from each to the next, none twice. "
            f"Received: {times[first + 1]} at {first + 1} after {times[first]}"
        )
    borders = [0, *(np.flatnonzero(steps != interval) + 1).tolist(), len(times)]
    return [slice(start, stop) for start, stop in itertools.pairwise(borders) if start < stop]


def window_starts(length: int, size: int, stride: int = 1) -> range:
    """Returns the first index of every window of `size` frames within a run of `length`.

        0, stride, 2 stride, ...                                as long as start + size <= length

    Raises:
        ValueError: if `size` or `stride` is below 1.
    """
    for name, value in (("size", size), ("stride", stride)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    return range(0, length - size + 1, stride)
