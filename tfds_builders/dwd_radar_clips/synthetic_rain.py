"""Synthetic rain: showers that grow, drift with the wind and decay. It stands in for radar where there is none."""

import numpy as np

from tfds_builders.dwd_radar_clips.radar_maps import STEP, Series

PARTS = (("2014-05-01", 40, 1), ("2015-05-01", 10, 2))
"""(first day, days, seed) of each stretch of rain; the days are made up."""

_CELLS_PER_HOUR = 10
_SMALLEST = 0.12  # mm/h, the smallest rate that RY can tell from none


class _Showers:
    """Every shower of one stretch, drawn at once, so that each map is a function of its time alone."""

    def __init__(self, minutes: int, size: tuple[int, int], seed: int) -> None:
        # Raw uniform numbers only: their stream does not depend on the NumPy version.
        random = np.random.default_rng(seed)
        count = minutes * _CELLS_PER_HOUR // 60
        birth, life, row, column, radius, peak, turn, pace, phase = random.random((9, count))
        self.life = 60 + 180 * life  # minutes
        self.birth = np.sort(birth) * (minutes + 240) - 240  # it rains already when the stretch begins
        self.place = np.stack([row, column]) * 1.4 - 0.2  # in units of the map; some drift in from outside
        self.place *= np.array(size)[:, np.newaxis]
        self.radius = (2 + 8 * radius**2) * max(size) / 180
        self.peak = 0.5 * 80**peak  # mm/h, 0.5 .. 40, log-uniform
        wind = 2 * np.pi * (self.birth / (3 * 1440) + random.random()) + 0.4 * (turn - 0.5)
        speed = (0.08 + 0.06 * pace) * max(size) / 180  # pixels per minute, 24 .. 42 km/h at 5 km
        self.velocity = speed * np.stack([np.sin(wind), np.cos(wind)])
        self.squeeze = 1 + 0.5 * (phase - 0.5)
        self.size = size

    def rate(self, minute: float) -> np.ndarray:
        alive = (self.birth < minute) & (minute < self.birth + self.life)
        age = minute - self.birth[alive]
        strength = self.peak[alive] * np.sin(np.pi * age / self.life[alive]) ** 2
        centre = self.place[:, alive] + self.velocity[:, alive] * age
        radii = self.radius[alive] * np.stack([self.squeeze[alive], 1 / self.squeeze[alive]])
        rows, columns = (
            np.exp(-np.square((np.arange(extent) - c[:, np.newaxis]) / r[:, np.newaxis]) / 2)
            for extent, c, r in zip(self.size, centre, radii, strict=True)
        )
        rate = np.einsum("kr,kc->rc", strength[:, np.newaxis] * rows, columns).astype(np.float32)
        return np.where(rate < _SMALLEST, np.float32(0), rate)


def synthetic_rain(size: tuple[int, int]) -> Series:
    """Two stretches of synthetic rain at steps of 5 minutes: 40 days "of 2014" and, of another seed, 10 "of 2015".

    Showers are Gaussian, born at random times and places, live 1 to 4 hours, grow and decay as the square of a
    sine, and drift with a wind that turns once in three days. What is imitated: the share of wet pixels of
    rainy hours (about 15 %), skewed rates up to tens of mm/h, nothing below 0.12 mm/h, motion of 24 to
    42 km/h if a pixel is 5 km. What is not: fronts, texture, missing data, clutter.

    Args:
        size: height and width in pixels; showers scale with the longer side.
    """
    steps = [days * 1440 // STEP for _, days, _ in PARTS]
    times = [
        np.datetime64(first, "m") + STEP * np.arange(count)
        for (first, _, _), count in zip(PARTS, steps, strict=True)
    ]
    showers = [_Showers(days * 1440, size, seed) for _, days, seed in PARTS]

    def rate(index: int) -> tuple[np.ndarray, np.ndarray]:
        part = int(index >= steps[0])
        return showers[part].rate(STEP * float(index - part * steps[0])), np.ones(size, bool)

    return Series("synthetic rain", np.concatenate(times), rate, size)
