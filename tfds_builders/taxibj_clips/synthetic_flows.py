"""Synthetic taxi flows in the format of TaxiBJ's files. Nothing in them was measured."""

import numpy as np

from tfds_builders.taxibj_clips.flows import CELLS, SLOTS_PER_DAY

MISSING_DAY = 9
"""Day of the synthetic series, counted from 0, that is not there at all."""
MISSING_SLOT = (4, 20)
"""Day and half hour, both counted from 0, of another frame that is not there."""

_FIRST_DAY = np.datetime64(
    "2001-01-01"
)  # a Monday, years before the real files: not to be taken for one of them
_SPOTS = 12
_BACKGROUND = 6.0  # taxis per cell and half hour


def synthetic_flows(weeks: int = 3, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Generates flows with the rhythm of a city.

        mean  = background(hour) + sum over hot spots of strength . bump(cell) . rhythm(hour, weekday) . weather(day)
        count = round(mean + sqrt(mean) . noise)                at least 0; noise with mean 0 and deviation 1

    Hot spots where people work take taxis in on the morning of working days and send them out in the evening,
    those where people live the other way round, those for leisure live in the evenings and at weekends. One day is
    missing and one day lacks a half hour (`MISSING_DAY`, `MISSING_SLOT`), as days are missing in the real files.

    Args:
        weeks: int, at least 2.
        seed: int, 0 or more.

    Returns:
        `dates`, `S10` (count,), and `counts`, uint16 (count, 2, 32, 32), as `check_flows` takes them.

    Raises:
        ValueError: if `weeks` is too small.
    """
    if weeks < 2:
        raise ValueError(f"`weeks` must be at least 2. Received: weeks={weeks}")
    rng = np.random.default_rng(seed)
    slots = np.arange(weeks * 7 * SLOTS_PER_DAY)
    mean = _mean(slots, rng)
    # Three uniform numbers are normal enough, and unlike `normal` they come out alike under every NumPy.
    noise = 2 * (sum(rng.random(mean.shape, np.float32) for _ in range(3)) - 1.5)
    counts = np.maximum(np.rint(mean + np.sqrt(mean) * noise), 0).astype(np.uint16)
    day, slot = slots // SLOTS_PER_DAY, slots % SLOTS_PER_DAY
    there = (day != MISSING_DAY) & ~((day == MISSING_SLOT[0]) & (slot == MISSING_SLOT[1]))
    return _dates(day, slot)[there], counts[there]


def _mean(slots, rng):
    """Expected flows, float32 (count, 2, 32, 32)."""
    hour = slots % SLOTS_PER_DAY / 2
    day = slots // SLOTS_PER_DAY
    weekend = day % 7 >= 5
    weather = (0.85 + 0.3 * rng.random(day[-1] + 1))[day]
    awake = 0.15 + 0.85 * (_peak(hour, 9, 3) + _peak(hour, 18, 5)).clip(0, 1)
    mean = np.broadcast_to(_BACKGROUND * awake[:, None, None, None], (len(slots), 2, CELLS, CELLS)).copy()
    for number in range(_SPOTS):
        row, column, width, strength = rng.random(4) * (24, 24, 2, 500) + (4, 4, 1, 100)
        rhythm = _rhythm(("work", "home", "leisure")[number % 3], hour, weekend) * weather[:, None]
        bump = strength * np.outer(
            np.exp(-(((np.arange(CELLS) - row) / width) ** 2) / 2),
            np.exp(-(((np.arange(CELLS) - column) / width) ** 2) / 2),
        )
        mean += rhythm[:, :, None, None] * bump
    return mean.astype(np.float32)


def _rhythm(kind, hour, weekend):
    """Share of a hot spot's strength that flows in and out, (count, 2)."""
    morning, evening, night = _peak(hour, 8.5, 1.5), _peak(hour, 18, 2), _peak(hour, 21, 2.5)
    commute = np.where(weekend, 0.25, 1)
    if kind == "work":
        parts = commute * morning, commute * evening
    elif kind == "home":
        parts = commute * evening, commute * morning
    else:
        parts = np.where(weekend, 1, 0.4) * evening, np.where(weekend, 1, 0.4) * night
    return 0.05 + np.stack(parts, axis=-1)


def _peak(hour, centre, width):
    apart = np.abs(hour - centre)
    return np.exp(-((np.minimum(apart, 24 - apart) / width) ** 2) / 2)


def _dates(day, slot):
    days = np.datetime_as_string(_FIRST_DAY + day)
    return np.array(
        [f"{text.replace('-', '')}{number:02}" for text, number in zip(days, slot + 1, strict=True)], "S10"
    )
