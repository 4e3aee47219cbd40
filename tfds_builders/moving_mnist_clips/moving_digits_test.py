"""Tests of the generator against the rules of motion, written again pixel by pixel."""

import hashlib
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfds_builders.moving_mnist_clips import moving_digits as module
from tfds_builders.moving_mnist_clips.moving_digits import MOTIONS, SPLIT_SEEDS, moving_digits

MOTION_NAMES = sorted(MOTIONS)


def pictures(count=7, side=5):
    """Images in which every pixel differs from its neighbours, made without random numbers."""
    return (np.arange(count * side * side) * 37 % 251).astype(np.uint8).reshape(count, side, side)


def reference_path(motion, numbers, free, frames):
    position = [free * numbers[1], free * numbers[2]]
    angle = 2 * math.pi * numbers[3]
    speed = 2 + int(5 * numbers[4]) if motion == "paper" else 0.1 * free
    velocity = [speed * math.sin(angle), speed * math.cos(angle)]
    path = []
    for _ in range(frames):
        if motion == "paper":
            path.append(tuple(position))
        for axis in (0, 1):
            following = position[axis] + velocity[axis]
            if motion == "paper":
                if following < -2 or following > free + 2:
                    velocity[axis] = -velocity[axis]
                position[axis] += velocity[axis]
            else:
                if following <= 0 or following >= free:
                    velocity[axis] = -velocity[axis]
                position[axis] = min(max(following, 0), free)
        if motion == "srivastava":
            path.append(tuple(position))
    return path


def reference_clip(images, index, *, motion, frames, size, objects, seed):
    side = images.shape[1]
    clip = np.zeros((frames, size, size), np.int64)
    for numbers in np.random.default_rng([seed, index]).random((objects, 5)).tolist():
        image = images[int(numbers[0] * len(images))].tolist()
        for frame, corner in zip(clip, reference_path(motion, numbers, size - side, frames), strict=True):
            top, left = int(corner[0]), int(corner[1])
            for row in range(side):
                for column in range(side):
                    y, x = top + row, left + column
                    if 0 <= y < size and 0 <= x < size:
                        below, above = frame[y, x], image[row][column]
                        frame[y, x] = min(below + above, 255) if motion == "paper" else max(below, above)
    return clip[..., np.newaxis]


@pytest.mark.parametrize("motion", MOTION_NAMES)
@pytest.mark.parametrize(
    ("side", "size", "objects", "clips"), [(5, 16, 2, 40), (5, 12, 3, 40), (4, 4, 1, 10), (28, 64, 2, 6)]
)
def test_equals_slow_reference(motion, side, size, objects, clips):
    setting = {"motion": motion, "frames": 20, "size": size, "objects": objects, "seed": 11}
    images = pictures(side=side)
    rendered = moving_digits(images, range(clips), **setting)
    assert rendered.shape == (clips, 20, size, size, 1) and rendered.dtype == np.uint8
    for index in range(clips):
        np.testing.assert_array_equal(rendered[index], reference_clip(images, index, **setting))


def straight_draws(row, column, direction, speed):
    return module._Draws(
        image=np.zeros((1, 1), np.int64),
        start=np.array([[[row / 36, column / 36]]]),
        direction=np.array([[direction]], float),
        speed=np.array([[speed]]),
    )


def test_paper_path_by_hand():
    # Speed 2 + floor(5 * 0.5) = 4. From column 34 the wall at 38 is reached, not left; then it would be.
    path = module._paper_positions(straight_draws(18, 34, (0, 1), 0.5), 36, 4)[:, 0, 0]
    np.testing.assert_allclose(path, [[18, 34], [18, 38], [18, 34], [18, 30]], atol=1e-12)
    # Speed 2 + floor(5 * 0.99) = 6, upwards: 1 would become -5, so it turns before it moves.
    path = module._paper_positions(straight_draws(1, 20, (-1, 0), 0.99), 36, 3)[:, 0, 0]
    np.testing.assert_allclose(path, [[1, 20], [7, 20], [13, 20]], atol=1e-12)


def test_srivastava_path_by_hand():
    path = module._srivastava_positions(straight_draws(18, 34, (0, 1), 0.5), 36, 3)[:, 0, 0]
    np.testing.assert_allclose(path, [[18, 36], [18, 32.4], [18, 28.8]], atol=1e-12)
    path = module._srivastava_positions(straight_draws(5, 20, (-1, 0), 0.5), 36, 4)[:, 0, 0]
    np.testing.assert_allclose(path, [[1.4, 20], [0, 20], [3.6, 20], [7.2, 20]], atol=1e-12)


@pytest.mark.parametrize(("motion", "expected"), [("paper", 255), ("srivastava", 200)])
def test_overlap(motion, expected):
    images = np.full((1, 6, 6), 200, np.uint8)
    clip = moving_digits(images, [0], motion=motion, frames=1, size=6, objects=2)
    assert (clip == expected).all()


def test_parts_off_the_canvas_are_cut_off():
    picture = np.arange(1, 10, dtype=np.uint8).reshape(1, 1, 3, 3)
    corners = np.array([[[[-1, 2]]], [[[3, -2]]]])
    first, second = module._render(picture, corners, np.maximum, 4)[0]
    np.testing.assert_array_equal(first, [[0, 0, 4, 5], [0, 0, 7, 8], [0, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(second, [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [3, 0, 0, 0]])


def test_paper_objects_leave_the_canvas_and_srivastava_objects_do_not():
    images = np.full((1, 4, 4), 255, np.uint8)
    lit = {
        motion: np.count_nonzero(moving_digits(images, range(50), motion=motion, objects=1), axis=(2, 3, 4))
        for motion in MOTION_NAMES
    }
    assert (lit["srivastava"] == 16).all()
    assert (lit["paper"] < 16).any() and lit["paper"].min() >= 4


@pytest.mark.parametrize("motion", MOTION_NAMES)
def test_a_clip_does_not_depend_on_the_others(motion):
    images = pictures()
    indices = [5, 10**12, 3, 5, *range(100, 2 * module._CHUNK + 100)]
    batch = moving_digits(images, indices, motion=motion, size=20, seed=3)
    for place in (0, 1, 2, 3, module._CHUNK, len(indices) - 1):
        alone = moving_digits(images, [indices[place]], motion=motion, size=20, seed=3)
        np.testing.assert_array_equal(batch[place], alone[0])
    longer = moving_digits(images, indices[:3], motion=motion, frames=25, size=20, seed=3)
    np.testing.assert_array_equal(longer[:, :20], batch[:3])


@pytest.mark.parametrize("motion", MOTION_NAMES)
def test_clips_differ_between_indices_and_seeds(motion):
    clips = [
        clip.tobytes()
        for seed in (0, 1, 2**32 - 1)
        for clip in moving_digits(pictures(), range(20), motion=motion, frames=5, size=20, seed=seed)
    ]
    assert len(set(clips)) == 60
    assert SPLIT_SEEDS["train"] != SPLIT_SEEDS["test"]


def test_every_image_angle_and_speed_occurs():
    draws = module._draw(7, np.arange(2000), 2, 0)
    np.testing.assert_array_equal(np.unique(draws.image), np.arange(7))
    assert draws.start.min() >= 0 and draws.start.max() < 1
    np.testing.assert_allclose(np.linalg.norm(draws.direction, axis=-1), 1)
    np.testing.assert_allclose(draws.direction.mean(axis=(0, 1)), 0, atol=0.05)
    steps = np.diff(module._paper_positions(draws, 36, 2), axis=0)
    speeds, counts = np.unique(np.linalg.norm(steps, axis=-1).round(9), return_counts=True)
    np.testing.assert_array_equal(speeds, [2, 3, 4, 5, 6])
    assert counts.min() > 700


def test_generator_and_objects_import_no_tfds():
    code = (
        "import sys; from tfds_builders.moving_mnist_clips import moving_digits, objects;"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'sklearn', 'PIL', 'mslstm_keras'};"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_no_clips():
    assert moving_digits(pictures(), [], size=8).shape == (0, 20, 8, 8, 1)


@pytest.mark.parametrize(
    ("motion", "digest"),
    [
        ("paper", "0f6cc35a12a8f40acaf8674029041395af51d13119efe8d1178bab9c70d35802"),
        ("srivastava", "8ad131cf5b8ebb970554fe8c0a1ad195fa1cf1c8edec79484edfe4671e154a5e"),
    ],
)
def test_the_stream_never_changes(motion, digest):
    clips = moving_digits(pictures(side=28), [0, 1, 2, 2**40], motion=motion, seed=7)
    assert hashlib.sha256(clips.tobytes()).hexdigest() == digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((3, 5, 4), np.uint8)}, r"`images` must be square .* shape \(3, 5, 4\)"),
        ({"images": np.zeros((3, 5, 5))}, "`images` must be .* dtype float64"),
        ({"images": np.zeros((0, 5, 5), np.uint8)}, "`images` must be .* at least one"),
        ({"images": np.zeros((5, 5), np.uint8)}, r"`images` must be .* shape \(5, 5\)"),
        ({"indices": [0, -1]}, "`indices` must be .* Received: indices="),
        ({"indices": [0.5]}, "`indices` must be .* integers"),
        ({"indices": 3}, "`indices` must be a sequence"),
        ({"motion": "circular"}, r"`motion` must be one of \['paper', 'srivastava'\]. .*'circular'"),
        ({"size": 4}, "`size` must be at least the side of `images`, 5. Received: size=4"),
        ({"frames": 0}, "`frames` must be 1 or more. Received: frames=0"),
        ({"objects": 0}, "`objects` must be 1 or more. Received: objects=0"),
        ({"seed": -1}, "`seed` must be in .* Received: seed=-1"),
        ({"seed": 2**32}, "`seed` must be in .* Received: seed=4294967296"),
    ],
)
def test_refused(change, message):
    arguments = {"images": pictures(), "indices": [0], "size": 20} | change
    with pytest.raises(ValueError, match=message):
        moving_digits(arguments.pop("images"), arguments.pop("indices"), **arguments)
