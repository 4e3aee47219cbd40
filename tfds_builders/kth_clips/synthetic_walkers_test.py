"""The synthetic figures: who they depend on, how fast they go, and that their limbs move."""

import numpy as np
import pytest

from tfds_builders.kth_clips.sequences import FrameRange
from tfds_builders.kth_clips.synthetic_walkers import GAITS, synthetic_ranges, walking_figure

LENGTHS = {"walking": 75, "jogging": 50, "running": 36}


def figure(video):
    """Where a video differs from its background, which is what most frames show."""
    return np.abs(video.astype(int) - np.median(video, axis=0)) > 8


@pytest.mark.parametrize("action", LENGTHS)
def test_videos_are_small_grey_and_seeded(action):
    video = walking_figure(action, 3)
    assert video.shape == (LENGTHS[action], 120, 160) and video.dtype == np.uint8
    np.testing.assert_array_equal(video, walking_figure(action, 3))
    assert (video != walking_figure(action, 4)).any()
    assert (video != walking_figure(action, 3, seed=1)).any()


def test_faster_actions_go_faster():
    speeds = {}
    for action in LENGTHS:
        columns = figure(walking_figure(action, 5)).any(1)
        middle = [np.flatnonzero(frame).mean() for frame in columns[10:-10]]
        steps = np.diff(middle)
        assert (np.sign(steps.mean()) * steps > -2).mean() > 0.9
        speeds[action] = abs(steps.mean())
    assert 1.5 < speeds["walking"] < speeds["jogging"] < speeds["running"] < 8


def test_limbs_swing():
    """The width of a figure that goes comes and goes with its steps."""
    columns = figure(walking_figure("walking", 2)).any(1)[15:-15]
    widths = columns.sum(1)
    assert widths.max() > 1.4 * widths.min() and widths.min() > 0


def test_a_person_passes_from_border_to_border():
    columns = figure(walking_figure("walking", 1)).any(1)
    assert columns.any(0).all()
    assert np.flatnonzero(columns[2]).size < 30


def test_persons_go_both_ways():
    ways = set()
    for person in range(1, 9):
        columns = figure(walking_figure("running", person)).any(1)
        ways.add(np.flatnonzero(columns[25]).mean() > np.flatnonzero(columns[10]).mean())
    assert ways == {True, False}


def test_ranges_name_every_person_and_action():
    ranges = synthetic_ranges()
    assert len(ranges) == len({part.video for part in ranges}) == 25 * 3
    assert FrameRange("person25_running_d1", 1, 36) in ranges
    assert {name: gait.frames for name, gait in GAITS.items()} == LENGTHS


def test_unknown_action():
    with pytest.raises(
        ValueError, match=r"`action` must be one of \['walking', .* Received: action='boxing'"
    ):
        walking_figure("boxing", 1)


@pytest.mark.parametrize("numbers", [{"person": -1}, {"person": 1, "seed": -1}])
def test_negative_numbers(numbers):
    with pytest.raises(ValueError, match=r"`person` and `seed` must be 0 or more. Received: person="):
        walking_figure("walking", **numbers)
