"""Tests of the synthetic flows: format, gaps, rhythm, seed."""

import numpy as np
import pytest

from tfds_builders.taxibj_clips.flows import check_flows, slot_numbers
from tfds_builders.taxibj_clips.synthetic_flows import MISSING_DAY, MISSING_SLOT, synthetic_flows

WEEKS = 3


@pytest.fixture(scope="module")
def flows():
    return check_flows(*synthetic_flows(WEEKS))


def test_a_day_and_a_slot_are_missing(flows):
    slots = slot_numbers(flows.dates)
    day, slot = np.divmod(slots - slots[0], 48)
    missing = set(range(WEEKS * 7 * 48)) - set((day * 48 + slot).tolist())
    assert missing == {MISSING_DAY * 48 + k for k in range(48)} | {MISSING_SLOT[0] * 48 + MISSING_SLOT[1]}
    assert flows.dates[0] == 2001010101


def test_days_and_weeks_have_a_rhythm(flows):
    slots = slot_numbers(flows.dates)
    day, slot = np.divmod(slots - slots[0], 48)
    total = flows.counts.sum(axis=(1, 2, 3))
    assert total[(slot >= 14) & (slot < 20)].mean() > 2 * total[slot < 8].mean()
    rush = (slot >= 14) & (slot < 20)
    assert total[rush & (day % 7 < 5)].mean() > 1.5 * total[rush & (day % 7 >= 5)].mean()


def test_work_and_home_change_places(flows):
    slots = slot_numbers(flows.dates)
    slot = (slots - slots[0]) % 48
    surplus = flows.counts[:, 0] - flows.counts[:, 1]
    morning, evening = surplus[slot == 17].mean(axis=0), surplus[slot == 36].mean(axis=0)
    assert np.corrcoef(morning.ravel(), evening.ravel())[0, 1] < -0.8


def test_flows_are_of_the_size_of_real_ones(flows):
    assert flows.counts.min() == 0
    assert 300 < flows.counts.max() < 2000


def test_seed(flows):
    dates, counts = synthetic_flows(WEEKS)
    np.testing.assert_array_equal(counts, flows.counts)
    np.testing.assert_array_equal(dates.astype(np.int64), flows.dates)
    assert (synthetic_flows(WEEKS, seed=2)[1] != counts).mean() > 0.5


def test_two_weeks_at_least():
    with pytest.raises(ValueError, match=r"`weeks` must be at least 2. Received: weeks=1"):
        synthetic_flows(1)
