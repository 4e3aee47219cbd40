"""Frames that last unevenly long, as frames at equal steps."""

import math
import warnings
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

MOST_REPEATS = 10
"""At most so many times as many frames may be made of those that there are."""

_JITTER = 0.1  # of a step: by so much the times of a camera waver
_SHOWN = 6


def repeats(durations: Sequence[float], tick: float, *, jitter: bool = False) -> list[int] | None:
    """Returns how many equal steps each frame lasts; None where no step fits that is a tenth of the shortest.

    Durations that a file rounds to whole ticks, 30, 30 and 40 ms for thirty frames a second, are equal ones: their
    sums stay within one tick of equal steps.

    Args:
        durations: positive numbers in the order of the frames.
        tick: what the file rounds times to, in the unit of the durations.
        jitter: bool. Whether a tenth of a step more or less is still a step.
    """
    times = np.cumsum([0, *durations])
    count, shortest = len(durations), min(durations)
    ideal = np.linspace(0, times[-1], count + 1)
    if np.ptp(durations) <= 1.001 * tick and shortest >= 2 * tick and np.ptp(times - ideal) < 1.001 * tick:
        return [1] * count
    for parts in range(1, MOST_REPEATS + 1):
        counts = np.rint(np.asarray(durations) * parts / shortest)
        unit = times[-1] / counts.sum()
        allowed = max(_JITTER * unit, tick) if jitter else 1e-3 * tick
        fits = np.abs(np.asarray(durations) - counts * unit) <= allowed
        if fits.all() and (parts == 1 or unit > 4 * allowed):
            fewest = math.gcd(*map(int, counts))
            return [int(each) // fewest for each in counts]
    return None


def at_equal_steps(path: object, frames: list[T], durations: Sequence[Any]) -> list[T]:
    """Returns the frames of an animation at equal steps: one that lasts longer stands several times.

    A longer last frame is a pause before the animation begins again, and stands once. Frames without a duration
    (None or 0, all of them) last equally long.

    Args:
        path: what errors and warnings call the file.
        frames: one for each duration.
        durations: milliseconds, 0 or None where the file says none.

    Raises:
        ValueError: if the durations are no multiples of one step, or of one so short that more than ten times as
            many frames would come out.
    """
    counted = durations[:-1]
    if not any(counted):
        return frames
    shown = ", ".join("none" if not each else f"{float(each):g}" for each in counted[:_SHOWN])
    shown += ", ..." if len(counted) > _SHOWN else ""
    refusal = ValueError(
        f"`{path}` must have frames of equal durations, or of whole multiples of one. Received: {shown} ms"
    )
    if not all(each and each > 0 for each in counted):
        raise refusal
    # GIF has hundredths of a second, the others milliseconds; what all are multiples of is rounded no finer.
    exact = [Fraction(each).limit_denominator(1000) for each in counted]
    tick = 10.0 if all(each % 10 == 0 for each in exact) else 1.0
    counts = repeats([float(each) for each in exact], tick)
    if counts is None or sum(counts) > MOST_REPEATS * len(counts):
        raise refusal
    return repeated(path, frames, [*counts, 1], f"their durations are {shown} ms")


def repeated(path: object, frames: list[T], counts: Sequence[int], reason: str) -> list[T]:
    """Returns frames as often as `counts` says, with a warning where that changes anything."""
    steps = [frame for frame, count in zip(frames, counts, strict=True) for _ in range(count)]
    if len(steps) != len(frames):
        warnings.warn(
            f"`{path}`: {len(frames)} frames are read as {len(steps)} at equal steps, as {reason}",
            stacklevel=4,
        )
    return steps
