"""Clips cut out of events of rain: which maps they hold, and where they lie."""

import functools
from dataclasses import dataclass

import numpy as np

from tfds_builders.dwd_radar_clips.clips import time_windows
from tfds_builders.dwd_radar_clips.radar_maps import Series

GRID = 8
"""Pixels: clips begin at multiples of it."""
WET = 0.1
"""mm/h: from this rate on, a pixel counts as wet."""
DRY = 0.02
"""What a place without rain weighs, where one that is wet throughout weighs 1 more."""
OBSERVED = 0.9
"""Least share of a clip's pixels that were observed."""


def event_windows(times: np.ndarray, *, window: int, least: int, interval: float) -> np.ndarray:
    """Returns the windows of an event's maps: one for each map that all others follow at the interval.

    An event that is shorter than a window has one, which begins with its first map and whose last maps are missing.

    Args:
        times: datetime64 (count,), strictly growing.
        window: int. Maps of a window.
        least: int. How many of them must be there where the event is shorter.
        interval: float, minutes between two maps.

    Returns:
        int64 (windows, window): indices into `times`, -1 for a missing map; none if the event is too short.
    """
    whole = time_windows(times, window=window, interval=interval, stride=interval)
    if len(whole):
        return whole
    for length in range(min(window - 1, len(times)), least - 1, -1):
        found = time_windows(times, window=length, interval=interval, stride=interval)
        if len(found):
            return np.pad(found[:1], ((0, 0), (0, window - length)), constant_values=-1)
    return whole


@dataclass(frozen=True)
class Map:
    """A map and what of it draws clips.

    Attributes:
        rate: float32 (height, width), mm/h, 0 where nothing was observed.
        observed: bool (height, width).
        wet: float64 (rows, columns), share of wet pixels in each block of `GRID` x `GRID`.
        seen: float64 (rows, columns), share of observed ones.
    """

    rate: np.ndarray
    observed: np.ndarray
    wet: np.ndarray
    seen: np.ndarray


class Event:
    """The maps of an event by number; those of one window are kept.

    Args:
        series: the maps.
        window: int. Maps of a window.
    """

    def __init__(self, series: Series, window: int):
        self.series = series
        self.map = functools.lru_cache(maxsize=window)(self._map)
        self.weights = functools.lru_cache(maxsize=1)(self._weights)

    def _map(self, index: int) -> Map:
        rate, observed = self.series.rate(index)
        return Map(rate, observed, _block_shares(rate >= WET), _block_shares(observed))

    def _weights(self, window: tuple[int, ...], blocks: int) -> np.ndarray:
        """Returns what each place of a clip of so many blocks a side weighs when one is drawn, see `cut`."""
        maps = [self.map(index) for index in window if index >= 0]
        wet, seen = (
            _window_means(np.mean([getattr(each, name) for each in maps], axis=0), blocks)
            for name in ("wet", "seen")
        )
        return np.where(seen >= OBSERVED - 1e-9, DRY + wet, 0)

    def cut(
        self, window: np.ndarray, crop: int, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cuts a clip out of a window, more likely where more rains, and turns or mirrors it.

            p(place) ~ DRY + share of wet pixels        where at least OBSERVED of the pixels were observed, else 0

        Args:
            window: int64 (window,), see `event_windows`.
            crop: int. Side of the clip in pixels, a multiple of `GRID`.
            random: draws place and turn.

        Returns:
            (rate, observed): float32 mm/h, 0 where not observed, and bool, (window, crop, crop); maps that are missing
            are not observed.

        Raises:
            ValueError: if there is no place where enough was observed.
        """
        crop_weights = self.weights(tuple(window.tolist()), crop // GRID)
        weights = crop_weights.ravel()
        if not weights.any():
            raise ValueError(
                f"`crop` must fit into what was observed of the maps of {self.series.source}. Received: crop={crop}"
            )
        place = random.choice(weights.size, p=weights / weights.sum())
        row, column = (GRID * index for index in divmod(place, crop_weights.shape[1]))
        rate = np.zeros((len(window), crop, crop), "float32")
        observed = np.zeros(rate.shape, bool)
        maps = [self.map(index) for index in window.tolist() if index >= 0]
        for number, each in enumerate(maps):
            part = slice(row, row + crop), slice(column, column + crop)
            rate[number], observed[number] = each.rate[part], each.observed[part]
        turn = random.integers(8)
        return _turned(rate, turn), _turned(observed, turn)


def _block_shares(values: np.ndarray) -> np.ndarray:
    """Returns the share of true pixels in every whole block of `GRID` x `GRID`, float64."""
    rows, columns = (side // GRID for side in values.shape)
    blocks = values[: rows * GRID, : columns * GRID].reshape(rows, GRID, columns, GRID)
    return blocks.mean((1, 3))


def _window_means(values: np.ndarray, side: int) -> np.ndarray:
    """Returns the means of all square windows of `side`; none where there is no room for one."""
    if min(values.shape) < side:
        return np.zeros((0, 0))
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return (sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]) / side**2


def _turned(clip: np.ndarray, turn: int) -> np.ndarray:
    """Returns a clip (time, side, side) in one of the eight ways in which a square can be laid."""
    clip = np.rot90(clip, turn % 4, axes=(1, 2))
    return clip[:, :, ::-1] if turn >= 4 else clip
