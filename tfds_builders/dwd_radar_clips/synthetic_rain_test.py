"""Tests of the synthetic rain: what it imitates."""

import numpy as np

from tfds_builders.dwd_radar_clips.synthetic_rain import PARTS, synthetic_rain

SIZE = (60, 60)


def maps(indices):
    return np.stack([synthetic_rain(SIZE).rate(index)[0] for index in indices])


def test_same_seed_same_rain_and_other_rain_in_the_test_part():
    series = synthetic_rain(SIZE)
    train = 40 * 288
    assert len(series.times) == train + 10 * 288 and (np.diff(series.times) > np.timedelta64(0, "s")).all()
    np.testing.assert_array_equal(series.rate(777)[0], synthetic_rain(SIZE).rate(777)[0])
    assert np.abs(series.rate(777)[0] - series.rate(train + 777)[0]).max() > 1
    assert series.times[train] == np.datetime64(PARTS[1][0]) and series.identity == ""


def test_map_is_float32_mm_per_hour_and_observed():
    rate, observed = synthetic_rain((20, 30)).rate(100)
    assert rate.shape == observed.shape == (20, 30) and rate.dtype == np.float32 and observed.all()


def test_rates_are_skewed_and_have_no_drizzle_below_what_ry_can_tell():
    rates = maps(range(0, 11520, 240))
    wet = rates > 0
    assert 0.1 < wet.mean() < 0.25
    assert rates[wet].min() >= 0.12 and 20 < rates.max() < 100
    assert np.median(rates[wet]) < rates[wet].mean()
    assert [(rates > threshold).mean() > 0.005 for threshold in (0.5, 2, 5)] == [True] * 3


def test_showers_move_grow_and_decay():
    before, after = maps([3000]), maps([3006])
    change = np.abs(after - before).mean()
    assert 0 < change < 2 * before.mean()
    # Moved back by the wind, the later map fits better than where it stands.
    moved = [
        np.abs(np.roll(after, (row, column), (1, 2)) - before).mean()
        for row in range(-2, 3)
        for column in range(-2, 3)
    ]
    assert min(moved) < 0.9 * change
    totals = maps(range(3000, 3288, 12)).mean(axis=(1, 2))
    assert totals.max() > 1.3 * totals.min()
