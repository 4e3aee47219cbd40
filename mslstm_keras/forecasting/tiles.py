"""Forecasts of large grids in tiles that overlap.

Every tile is a grid of its own with the weights of the model, of which only the inner part is kept. What lies beyond
its overlap has so little influence on that part that neighbours fit together.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mslstm_keras.typing import Progress

Run: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Forecasts frames (time, height, width, channels) as frames (horizon, height, width, channels)."""

SEAM = 1e-3
"""How far two tiles may differ where they meet."""

WORTH_TRYING = 16  # tiles along an axis, in search of the cheapest

FIRST_REACH = 64  # pixels: the first that `measure_reach` looks at


@dataclass(frozen=True)
class Span:
    """A tile along one axis.

    Attributes:
        start: its first pixel.
        inner: the pixels of the grid, from .. to, that are kept of it.
    """

    start: int
    inner: tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """How tiles lie on a grid.

    Attributes:
        side: (height, width) of a tile, multiples of `multiple`, no longer than those of the grid.
        overlap: likewise; less than half of `side`.
        multiple: all tiles start at multiples of it.
    """

    side: tuple[int, ...]
    overlap: tuple[int, ...]
    multiple: int


@dataclass(frozen=True)
class Tiling:
    """What became of tiles.

    Attributes:
        count: how many there were.
        empty: how many of them held nothing but zeros.
        seam: the largest difference between neighbours where they meet.
        side: (height, width) of each.
    """

    count: int
    empty: int
    seam: float
    side: tuple[int, ...]


def spans(length: int, side: int, overlap: int, multiple: int) -> list[Span]:
    """Returns tiles of one side that cover an axis.

    All start at multiples of `multiple`, so patches and poolings fall on the same pixels as in the whole grid. What is
    kept of a tile is at least `overlap` pixels from its ends, but where these are those of the grid.

    Args:
        length: int. Pixels of the axis, a multiple of `multiple`.
        side: int. Of a tile, likewise; no longer than `length`.
        overlap: int. Likewise; less than half of `side`.
        multiple: int.
    """
    if side == length:
        return [Span(0, (0, length))]
    room, stride = (length - side) // multiple, (side - 2 * overlap) // multiple
    steps = -(-room // stride)
    starts = [index * room // steps * multiple for index in range(steps + 1)]
    cuts = [(start + later + side) // 2 for start, later in itertools.pairwise(starts)]
    return [Span(*each) for each in zip(starts, itertools.pairwise((0, *cuts, length)), strict=True)]


def measure_reach(run: Run, frames: np.ndarray, multiple: int, largest: int) -> int:
    """Measures how far from the edge of a tile its forecast feels that it is one.

    A window around the wettest place of the last frame is forecast whole, and so are two quarters of it. The reach is
    the distance from the cuts beyond which quarters and whole differ by less than half of `SEAM`. The window is twice
    as large each time, until the reach ends within half of a quarter.

    Args:
        run: the model.
        frames: (time, height, width, channels), both sides multiples of `multiple`.
        multiple: int.
        largest: int. The reach that is looked for at most, a multiple of `multiple`.

    Returns:
        The reach in pixels, a multiple of `multiple`, at most `largest`.
    """
    reach = min(-(-FIRST_REACH // multiple) * multiple, largest)
    while True:
        rows, columns = (min(side // (2 * multiple) * multiple, 2 * reach) * 2 for side in frames.shape[1:3])
        beyond = np.flatnonzero(_effect_of_cuts(run, _wettest(frames, rows, columns, multiple)) >= SEAM / 2)
        found = -(-(int(beyond[-1]) + 1 if len(beyond) else 0) // multiple) * multiple
        if found <= reach or reach == largest:
            return min(found, largest)
        reach = min(2 * reach, largest)


def _effect_of_cuts(run, window):
    """Returns the largest difference that two cuts make at each distance from them, in pixels."""
    whole, (rows, columns) = run(window), (side // 2 for side in window.shape[1:3])
    below = np.abs(run(window[:, rows:, columns:]) - whole[:, rows:, columns:]).max(axis=(0, 3))
    above = np.abs(run(window[:, :rows, :columns]) - whole[:, :rows, :columns]).max(axis=(0, 3))[::-1, ::-1]
    worst = np.maximum(below, above)  # by rows and columns from the cuts
    distance = np.minimum(*np.indices(worst.shape))
    return np.array([worst[distance == index].max() for index in range(min(worst.shape))])


def _wettest(frames, rows, columns, multiple):
    """Returns the window (time, rows, columns, channels) around the largest of the last frame's sums over blocks."""
    starts, size = [], (rows, columns)
    last = frames[-1].sum(axis=-1)
    block = [max(side // 4, 1) for side in size]
    sums = np.add.reduceat(
        np.add.reduceat(last, np.arange(0, last.shape[0], block[0]), axis=0),
        np.arange(0, last.shape[1], block[1]),
        axis=1,
    )
    place = np.unravel_index(np.argmax(sums), sums.shape)
    for index, side, length, full in zip(place, block, size, last.shape, strict=True):
        start = min(max(index * side + side // 2 - length // 2, 0), full - length)
        starts.append(start // multiple * multiple)
    return frames[:, starts[0] : starts[0] + rows, starts[1] : starts[1] + columns]


def cheapest_sides(wet: np.ndarray, overlap: int, multiple: int, pixels: int) -> tuple[int, int]:
    """Returns the (height, width) of the tiles that together compute least.

    Large tiles overlap less, of small ones more are empty.

    Args:
        wet: bools (height, width): where any frame is not zero.
        overlap: int. At least so many pixels around what is kept of a tile.
        multiple: int. Both sides of a tile are multiples of it.
        pixels: int. Of a tile at most. A square of so many keeps half of its side.
    """
    summed = np.pad(np.cumsum(np.cumsum(wet, axis=0, dtype="int64"), axis=1), ((1, 0), (1, 0)))
    choices: list[tuple[int, int, tuple[int, int]]] = []
    for height, width in itertools.product(
        *(_possible_sides(side, overlap, multiple, pixels) for side in wet.shape)
    ):
        if height * width > pixels:
            continue
        top, left = (
            np.array([span.start for span in spans(*each, overlap, multiple)])
            for each in zip(wet.shape, (height, width), strict=True)
        )
        corners = (np.ix_(rows, columns) for rows in (top, top + height) for columns in (left, left + width))
        first, second, third, last = (summed[corner] for corner in corners)
        computed = np.count_nonzero(last - second - third + first)
        computed += computed < first.size  # the empty one
        choices.append((int(computed) * height * width, first.size, (height, width)))
    return min(choices)[-1]


def _possible_sides(length, overlap, multiple, pixels):
    """Returns the sides with which 1, 2, ... tiles cover an axis, as far as more are needed or may be worth it."""
    needed = -(-length // max(math.isqrt(pixels) // multiple * multiple - 2 * overlap, multiple))
    counts = range(1, max(needed, WORTH_TRYING) + 1)
    sides = {-(-(length + 2 * overlap * (count - 1)) // count // multiple) * multiple for count in counts}
    return sorted({length, *(side for side in sides if 2 * overlap < side < length)})


def run_in_tiles(
    run: Run,
    frames: np.ndarray,
    horizon: int,
    layout: Layout,
    *,
    limit: float = math.inf,
    progress: Progress | None = None,
) -> tuple[np.ndarray, Tiling]:
    """Forecasts a grid in tiles.

    A tile whose frames are zero throughout has the forecast of an empty tile, which is computed once for all of them.

    Args:
        run: the model.
        frames: (time, height, width, channels), both sides multiples of the layout's `multiple`.
        horizon: int. Frames that `run` forecasts.
        layout: how the tiles lie.
        limit: float. Ends, with the forecast half made, when two tiles differ by more where they meet.
        progress: function of the number of tiles that are forecast, and of all.

    Returns:
        float32 (horizon, height, width, channels), and what became of the tiles.
    """
    future = np.empty((horizon, *frames.shape[1:]), "float32")
    empty, count, dry, seam = None, 0, 0, 0.0
    (height, width), sizes = layout.side, zip(frames.shape[1:3], layout.side, layout.overlap, strict=True)
    places = list(itertools.product(*(spans(*each, layout.multiple) for each in sizes)))
    for rows, columns in places:
        tile = frames[:, rows.start : rows.start + height, columns.start : columns.start + width]
        count += 1
        if tile.any():
            result = run(tile)
        else:
            dry += 1
            result = empty = run(tile) if empty is None else empty
        kept = tuple(slice(*span.inner) for span in (rows, columns))
        future[:, *kept] = result[:, *_within(kept, rows, columns)]
        for edge in _edges(rows, columns):
            difference = np.abs(future[:, *edge] - result[:, *_within(edge, rows, columns)])
            seam = max(seam, float(difference.max()))
        if progress:
            progress(count, len(places))
        if seam > limit:
            break
    return future, Tiling(count, dry, seam, layout.side)


def _edges(rows, columns):
    """Returns the pixels of the tiles before that lie next to what is kept of a tile, above and to the left."""
    (top, bottom), (left, right) = rows.inner, columns.inner
    if top:
        yield slice(top - 1, top), slice(left, right)
    if left:
        yield slice(top, bottom), slice(left - 1, left)


def _within(slices, *spans):
    """Returns places in the grid as places in a tile."""
    return (
        slice(each.start - span.start, each.stop - span.start)
        for each, span in zip(slices, spans, strict=True)
    )


def tile(
    run: Run, frames: np.ndarray, horizon: int, multiple: int, pixels: int, progress: Progress | None = None
) -> tuple[np.ndarray, Tiling, Layout]:
    """Forecasts a grid in tiles whose overlap grows until they fit together.

    The overlap is the reach that `measure_reach` finds and, while neighbours differ by more than `SEAM`, half as much
    again each time, up to a quarter of the side of the largest tile.

    Args, returns: see `run_in_tiles` and `cheapest_sides`; the last is how the tiles lie.
    """
    wet = (frames != 0).any(axis=(0, 3))
    largest = math.isqrt(pixels) // 4 // multiple * multiple
    overlap = measure_reach(run, frames, multiple, largest)
    while True:
        layout = Layout(cheapest_sides(wet, overlap, multiple, pixels), (overlap, overlap), multiple)
        limit = SEAM if overlap < largest else math.inf
        future, tiling = run_in_tiles(run, frames, horizon, layout, limit=limit, progress=progress)
        if tiling.seam <= limit:
            return future, tiling, layout
        overlap = min(-(-3 * overlap // 2 // multiple) * multiple + multiple, largest)
