"""Frames that last unevenly long: steps found or refused; animations of Pillow read at equal steps."""

import warnings

import numpy as np
import pytest
from PIL import Image

from mslstm_keras.frames.read import read_clip
from mslstm_keras.timing.durations import at_equal_steps, repeats


@pytest.mark.parametrize(
    ("durations", "tick", "counts"),
    [
        ([100, 100, 100], 10, [1, 1, 1]),
        ([100, 200, 100], 10, [1, 2, 1]),
        ([200, 300, 200], 10, [2, 3, 2]),
        ([70, 100], 10, [7, 10]),
        ([30, 30, 40, 30, 30, 40], 10, [1] * 6),  # thirty frames a second, in hundredths
        ([33, 33, 34, 33, 33, 34], 1, [1] * 6),
        ([33, 67, 33, 34], 1, None),  # no whole multiples to a millisecond
        ([20, 40, 20, 20], 10, [1, 2, 1, 1]),
        ([10, 20, 10, 10], 10, [1, 2, 1, 1]),
        ([101, 237, 120], 1, None),
    ],
)
def test_steps(durations, tick, counts):
    assert repeats(durations, tick) == counts


@pytest.mark.parametrize(
    ("durations", "counts"),
    [
        ([33.2, 33.5, 33.1, 33.4], [1, 1, 1, 1]),
        ([33.3, 66.7, 33.3, 33.4], [1, 2, 1, 1]),
        ([33.3, 50.1, 33.3, 49.9], [2, 3, 2, 3]),  # 24 frames a second among 60
        ([33.3, 61, 47, 55], None),
    ],
)
def test_steps_of_a_camera_that_wavers(durations, counts):
    assert repeats(durations, 0.01, jitter=True) == counts


def save_animation(path, durations, **options):
    first, *others = [
        Image.fromarray(np.full((8, 8), 20 * index, "uint8")) for index in range(len(durations))
    ]
    kind = {".apng": "PNG"}.get(path.suffix)
    first.save(path, kind, save_all=True, append_images=others, duration=durations, **options)


def levels_of(path):
    return [round(float(level) * 255 / 20) for level in read_clip(path)[:, 0, 0, 0]]


OPTIONS = {".gif": {}, ".webp": {"lossless": True}, ".apng": {}}


@pytest.mark.parametrize("suffix", OPTIONS)
def test_frames_that_last_longer_stand_several_times(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save_animation(path, [100, 300, 200, 100], **OPTIONS[suffix])
    with pytest.warns(
        UserWarning, match=rf"a\{suffix}`: 4 frames are read as 7 .* durations are 100, 300, 200 ms"
    ):
        assert levels_of(path) == [0, 1, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("suffix", OPTIONS)
@pytest.mark.parametrize("durations", [[200] * 4, [100, 100, 100, 5000], [0] * 4])
def test_even_durations_and_a_pause_at_the_end(tmp_path, suffix, durations):
    save_animation(tmp_path / f"a{suffix}", durations, **OPTIONS[suffix])
    assert levels_of(tmp_path / f"a{suffix}") == [0, 1, 2, 3]


def test_frames_that_pillow_merges(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), level, "uint8")) for level in (0, 20, 20, 40, 60)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    with pytest.warns(UserWarning, match="4 frames are read as 5 at equal steps"):
        assert levels_of(tmp_path / "a.gif") == [0, 1, 1, 2, 3]


@pytest.mark.parametrize("suffix", OPTIONS)
def test_durations_without_a_common_step_are_refused(tmp_path, suffix):
    save_animation(tmp_path / f"a{suffix}", [100, 130, 4000, 100], **OPTIONS[suffix])
    with pytest.raises(
        ValueError, match=rf"a\{suffix}` must have frames of equal durations.* 100, 130, 4000 ms"
    ):
        read_clip(tmp_path / f"a{suffix}")


def test_some_durations_alone_are_refused():
    with pytest.raises(ValueError, match="Received: 100, none ms"):
        at_equal_steps("a.gif", [1, 2, 3], [100, 0, 100])


def test_a_still_picture_before_an_animation_is_none_of_its_frames(tmp_path):
    still, *frames = [Image.fromarray(np.full((8, 8), level, "uint8")) for level in (200, 0, 20, 40)]
    still.save(
        tmp_path / "a.apng", "PNG", save_all=True, append_images=frames, duration=100, default_image=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert levels_of(tmp_path / "a.apng") == [0, 1, 2]
