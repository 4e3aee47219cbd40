"""Tests of clips cut out of events: windows of time, where it rains, turns."""

import numpy as np
import pytest

from tests.support.radar_files import stamps
from tfds_builders.dwd_radar_clips.radar_maps import Series
from tfds_builders.radar_maps.crops import DRY, GRID, Event, event_windows


def event(rates, observed=None, window=3):
    observed = np.ones(rates.shape, bool) if observed is None else observed
    times = stamps("2020-01-01T00:00", len(rates))
    return Event(
        Series("maps", times, lambda index: (rates[index], observed[index]), rates.shape[1:]), window
    )


def test_windows_begin_with_every_map_that_others_follow():
    times = np.delete(stamps("2020-01-01T00:00", 10), 5)
    found = event_windows(times, window=3, least=2, interval=5)
    np.testing.assert_array_equal(found, [[0, 1, 2], [1, 2, 3], [2, 3, 4], [5, 6, 7], [6, 7, 8]])


def test_an_event_that_is_short_has_one_window_whose_last_maps_are_missing():
    times = np.delete(stamps("2020-01-01T00:00", 6), 4)
    found = event_windows(times, window=6, least=3, interval=5)
    np.testing.assert_array_equal(found, [[0, 1, 2, 3, -1, -1]])
    assert not len(event_windows(times, window=6, least=5, interval=5))
    assert not len(event_windows(times[:0], window=6, least=5, interval=5))


def test_clips_are_drawn_where_it_rains():
    """Of all places that a clip may have, each is as likely as its share of wet pixels and a little says."""
    rates = np.zeros((3, 5 * GRID, 4 * GRID), "float32")
    rates[:, :GRID, :GRID] = 0.1  # wet from here on
    rates[:, -GRID:, -GRID:] = 0.09
    rates[0, GRID : 2 * GRID, GRID : 2 * GRID] = 5  # in one of three maps
    drawn = event(rates)
    weights = drawn.weights((0, 1, 2), 2)
    expected = np.full((4, 3), DRY)
    expected[0, 0] += 1 / 4 + 1 / 12
    expected[[0, 1, 1], [1, 0, 1]] += 1 / 12
    np.testing.assert_allclose(weights, expected, atol=1e-12)
    random = np.random.default_rng(0)
    found = [drawn.cut(np.arange(3), 2 * GRID, random)[0].sum() for _ in range(400)]
    share = np.mean(np.array(found) > 4 * GRID**2)  # the two wettest places and what has 5 mm/h
    assert abs(share - expected[:2, :2].sum() / expected.sum()) < 0.08


def test_a_clip_is_a_part_of_its_maps_in_one_of_eight_ways():
    rates = np.random.default_rng(1).random((3, 3 * GRID, 4 * GRID)).astype("float32")
    observed = rates > 0.01
    drawn, random = event(rates, observed), np.random.default_rng(2)
    ways = set()
    for _ in range(100):
        rate, seen = drawn.cut(np.array([1, 2, -1]), GRID, random)
        assert rate.shape == seen.shape == (3, GRID, GRID)
        assert not rate[2].any() and not seen[2].any()
        for turn in range(8):
            back = np.rot90(rate[:, :, ::-1] if turn >= 4 else rate, -(turn % 4), axes=(1, 2))
            place = np.argwhere(rates[1] == back[0, 0, 0])
            for row, column in place:
                part = rates[1:, row : row + GRID, column : column + GRID]
                if part.shape == (2, GRID, GRID) and np.array_equal(part, back[:2]):
                    ways.add((turn, row % GRID, column % GRID))
        np.testing.assert_array_equal(seen[:2], rate[:2] > 0.01)
    assert ways == {(turn, 0, 0) for turn in range(8)}


def test_the_same_draw_gives_the_same_clip():
    rates = np.random.default_rng(1).random((3, 3 * GRID, 4 * GRID)).astype("float32")
    first, again, other = (
        event(rates).cut(np.arange(3), GRID, np.random.default_rng([0, number])) for number in (5, 5, 6)
    )
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_places_that_were_not_observed_are_left_out():
    rates = np.ones((2, 2 * GRID, 3 * GRID), "float32")
    observed = np.ones(rates.shape, bool)
    observed[:, :, : 2 * GRID + 1] = False
    drawn = event(rates, observed)
    with pytest.raises(ValueError, match=r"`crop` must fit into what was observed .* maps. Received: crop=8"):
        drawn.cut(np.arange(2), GRID, np.random.default_rng(0))
    observed[:, :GRID, 2 * GRID :] = True
    drawn = event(rates, observed)
    for number in range(10):
        assert drawn.cut(np.arange(2), GRID, np.random.default_rng(number))[1].all()


def test_a_map_that_is_smaller_than_a_clip():
    with pytest.raises(ValueError, match=r"`crop` must fit"):
        event(np.ones((2, GRID, 3 * GRID), "float32")).cut(np.arange(2), 2 * GRID, np.random.default_rng(0))
