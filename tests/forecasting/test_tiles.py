"""Large grids in tiles."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mslstm_keras.forecasting.tiles import (
    SEAM,
    Layout,
    cheapest_sides,
    measure_reach,
    run_in_tiles,
    spans,
    tile,
)

HORIZON = 3


class Spreading:
    """A model whose forecast of a pixel is the mean of the square around it, as far as `reach`, zeros beyond; it says
    something of places where there is nothing, too. Counts its calls."""

    def __init__(self, reach=3):
        self.reach, self.calls = reach, 0

    def __call__(self, frames):
        self.calls += 1
        side = 2 * self.reach + 1
        last = np.pad(frames[-1, ..., 0] + 0.1, self.reach)
        windows = np.lib.stride_tricks.sliding_window_view(last, (side, side))
        return np.broadcast_to(
            windows.mean(axis=(2, 3))[None, ..., None], (HORIZON, *frames.shape[1:])
        ).astype("float32")


def grid(height, width, seed=0):
    return np.random.default_rng(seed).random((2, height, width, 1), "float32")


@given(st.integers(1, 6), st.integers(1, 60), st.integers(0, 8), st.integers(1, 60))
def test_tiles_cover_an_axis_once_with_room_at_their_ends(multiple, length, overlap, more):
    length, overlap = length * multiple, overlap * multiple
    side = min(2 * overlap + more * multiple, length)
    found = spans(length, side, overlap, multiple)
    assert found[0].inner[0] == 0
    assert found[-1].inner[1] == length
    for before, behind in itertools.pairwise(found):
        assert before.inner[1] == behind.inner[0]
    for span in found:
        assert span.start % multiple == 0
        assert 0 <= span.start <= length - side
        low, high = span.inner[0] - span.start, span.start + side - span.inner[1]
        assert low >= (overlap if span.start else 0)
        assert high >= (overlap if span.start + side < length else 0)
        assert span.inner[0] < span.inner[1] or side < length


def test_tiles_that_overlap_enough_are_the_whole():
    frames, run = grid(60, 52), Spreading(3)
    future, tiling = run_in_tiles(run, frames, HORIZON, Layout((20, 24), (4, 4), 4))
    np.testing.assert_allclose(future, run(frames), atol=1e-6)
    assert tiling.count > 12
    assert tiling.empty == 0
    assert tiling.seam < 1e-6


def test_tiles_that_overlap_too_little_say_so():
    frames = grid(60, 52)
    _, tiling = run_in_tiles(Spreading(6), frames, HORIZON, Layout((20, 20), (4, 4), 4))
    assert tiling.seam > 0.01
    half, stopped = run_in_tiles(Spreading(6), frames, HORIZON, Layout((20, 20), (4, 4), 4), limit=0.01)
    assert 0.01 < stopped.seam <= tiling.seam
    assert half.shape == (HORIZON, 60, 52, 1)
    assert stopped.count < tiling.count


def test_tiles_are_counted():
    told = []
    _, tiling = run_in_tiles(
        Spreading(3),
        grid(60, 52),
        HORIZON,
        Layout((20, 24), (4, 4), 4),
        progress=lambda *numbers: told.append(numbers),
    )
    assert told == [(done, tiling.count) for done in range(1, tiling.count + 1)]


def test_empty_tiles_are_computed_once_and_exact():
    frames = np.zeros((2, 80, 80, 1), "float32")
    frames[:, 5:10, 5:10] = 1
    run = Spreading(3)
    future, tiling = run_in_tiles(run, frames, HORIZON, Layout((20, 20), (4, 4), 4))
    assert run.calls == tiling.count - tiling.empty + 1
    assert tiling.empty > 20
    np.testing.assert_allclose(future, run(frames), atol=1e-7)


@pytest.mark.parametrize("reach", [3, 20, 70])
def test_the_reach_is_measured(reach):
    found = measure_reach(Spreading(reach), grid(400, 360), 4, 160)
    assert found % 4 == 0
    assert reach - 4 <= found <= reach + 4  # of the outermost pixels a mean tells little


def test_no_more_reach_is_measured_than_is_asked_for():
    assert measure_reach(Spreading(30), grid(200, 200), 4, 16) == 16


def test_a_reach_is_measured_where_there_is_something():
    seen = []
    frames = np.zeros((1, 800, 800, 1), "float32")
    frames[:, 610:630, 130:150] = 1

    def run(window):
        seen.append(window.sum())
        return window

    assert measure_reach(run, frames, 4, 64) == 0
    assert seen[0] == frames.sum()


def test_the_cheapest_tiles():
    wet = np.zeros((320, 320), bool)
    assert cheapest_sides(np.ones_like(wet), 0, 4, 320 * 320) == (320, 320)
    height, width = cheapest_sides(np.ones_like(wet), 16, 4, 160 * 160)
    assert height * width <= 160 * 160
    wet[:20, :20] = True
    assert max(cheapest_sides(wet, 16, 4, 160 * 160)) < 80  # most of them are empty


def test_a_narrow_grid_is_cut_along_its_longer_side():
    """Its shorter one is too short for two overlaps."""
    frames, run = grid(64, 800), Spreading(32)
    future, _, layout = tile(run, frames, HORIZON, 4, 200 * 200)
    assert layout.side[0] == 64 and layout.side[1] < 800
    assert np.abs(future - run(frames)).max() <= SEAM


def test_the_overlap_grows_until_tiles_fit_together():
    """What is measured at the wettest place is not enough for another one."""

    class Uneven(Spreading):
        def __call__(self, frames):
            near, far = Spreading(3)(frames), Spreading(40)(frames)
            self.calls += 1
            return np.where(frames[-1:].max() > 1, near, near + far)

    frames = grid(400, 400)
    frames[:, :10, :10] = 2
    run = Spreading(40)
    future, tiling, layout = tile(run, frames, HORIZON, 4, 240 * 240)
    assert tiling.seam <= SEAM
    assert np.abs(future - run(frames)).max() <= SEAM
    assert layout.side[0] * layout.side[1] <= 240 * 240
