"""Generator of clips in which small images move over a black canvas and bounce off its walls."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

# Train and test clips of a prepared data set are drawn with these seeds. A training stream takes any other.
SPLIT_SEEDS = {"train": 1, "test": 2}

# Rendered together; more clips at once would only leave the processor's cache.
_CHUNK = 32


class _Draws(NamedTuple):
    """Random numbers of a batch of clips, each of shape (clips, objects, ...)."""

    image: np.ndarray  # index into the images
    start: np.ndarray  # (..., 2) in [0, 1): row and column as fractions of the free way
    direction: np.ndarray  # (..., 2) unit vector, row and column
    speed: np.ndarray  # in [0, 1)


def _draw(image_count: int, indices: np.ndarray, objects: int, seed: int) -> _Draws:
    # Raw uniform numbers only: unlike `integers` or `permutation`, their stream is one step of the bit
    # generator each and so has never depended on the NumPy version.
    uniform = np.stack([np.random.default_rng([seed, int(i)]).random((objects, 5)) for i in indices])
    image, row, column, angle, speed = np.moveaxis(uniform, -1, 0)
    angle = 2 * np.pi * angle
    return _Draws(
        image=(image * image_count).astype(np.int64),
        start=np.stack([row, column], axis=-1),
        direction=np.stack([np.sin(angle), np.cos(angle)], axis=-1),
        speed=speed,
    )


def _paper_positions(draws: _Draws, free: int, frames: int) -> np.ndarray:
    position = free * draws.start
    velocity = (2 + np.floor(5 * draws.speed))[..., np.newaxis] * draws.direction
    positions = np.empty((frames, *position.shape))
    for t in range(frames):
        positions[t] = position
        following = position + velocity
        velocity = np.where((following < -2) | (following > free + 2), -velocity, velocity)
        position = position + velocity
    return positions


def _srivastava_positions(draws: _Draws, free: int, frames: int) -> np.ndarray:
    position = free * draws.start
    velocity = 0.1 * free * draws.direction
    positions = np.empty((frames, *position.shape))
    for t in range(frames):
        position = position + velocity
        velocity = np.where((position <= 0) | (position >= free), -velocity, velocity)
        position = np.clip(position, 0, free)
        positions[t] = position
    return positions


def _clipped_sum(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    return below + np.minimum(above, 255 - below)


class _Motion(NamedTuple):
    positions: Callable[[_Draws, int, int], np.ndarray]  # (frames, clips, objects, 2), pixels
    overlap: Callable[[np.ndarray, np.ndarray], np.ndarray]


MOTIONS = {
    "paper": _Motion(_paper_positions, _clipped_sum),
    "srivastava": _Motion(_srivastava_positions, np.maximum),
}


def _render(pictures: np.ndarray, corners: np.ndarray, overlap: Callable, size: int) -> np.ndarray:
    """Pastes pictures (clips, objects, side, side) at corners (frames, clips, objects, 2)."""
    frames, clips, objects, _ = corners.shape
    side = pictures.shape[-1]
    # A margin takes the parts of a picture that lie off the canvas and is cut off in the end.
    margin = max(0, -int(corners.min()), int(corners.max()) + side - size)
    canvas = np.zeros((clips, frames, size + 2 * margin, size + 2 * margin), np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(canvas, (side, side), axis=(2, 3), writeable=True)
    clip, frame = np.arange(clips)[:, np.newaxis], np.arange(frames)[np.newaxis, :]
    for k in range(objects):
        row, column = (corners[:, :, k] + margin).T
        place = (clip, frame, row, column)
        windows[place] = overlap(windows[place], pictures[:, k, np.newaxis])
    return canvas[:, :, margin : margin + size, margin : margin + size]


def _check(
    images: np.ndarray, indices: np.ndarray, motion: str, frames: int, size: int, objects: int, seed: int
) -> None:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2] or not len(images):
        raise ValueError(
            "`images` must be square uint8 images of shape (count, side, side), at least one. "
            f"Received: shape {images.shape}, dtype {images.dtype}"
        )
    if indices.ndim != 1 or not (indices.dtype.kind in "iu" or not indices.size) or (indices < 0).any():
        raise ValueError(f"`indices` must be a sequence of integers, 0 or more. Received: indices={indices}")
    if motion not in MOTIONS:
        raise ValueError(f"`motion` must be one of {sorted(MOTIONS)}. Received: motion={motion!r}")
    if size < images.shape[1]:
        raise ValueError(
            f"`size` must be at least the side of `images`, {images.shape[1]}. Received: size={size}"
        )
    for name, value in (("frames", frames), ("objects", objects)):
        if value < 1:
            raise ValueError(f"`{name}` must be 1 or more. Received: {name}={value}")
    # A larger seed would take two words of the bit generator's key and meet the clips of a smaller one.
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed` must be in 0 .. 2**32 - 1. Received: seed={seed}")


def moving_digits(
    images: np.ndarray,
    indices: Sequence[int] | np.ndarray,
    *,
    motion: str = "paper",
    frames: int = 20,
    size: int = 64,
    objects: int = 2,
    seed: int = 0,
) -> np.ndarray:
    """Clips of images that move at constant speed over a black canvas and bounce off its walls.

    Clip `i` is a function of `images`, `motion`, `frames`, `size`, `objects`, `seed` and `i` alone, whichever
    other clips are asked for with it: `range(n)` is a fixed data set, and indices that never repeat are an
    endless training stream. The first frames of a longer clip are the shorter clip.

    Each object gets an image (uniform, with replacement), a start (uniform in the free way,
    `free = size - side`, each axis) and an angle (uniform). Positions are truncated towards zero to whole
    pixels.

    - `"paper"`: whole speed 2..6 pixels per frame for each object, frame 0 at the start. A component of the
      velocity flips when the next position would leave [-2, free + 2], then the object moves. Parts off
      the canvas are cut off. Overlap is the sum, clipped at 255.
    - `"srivastava"`: speed `free / 10` pixels per frame (3.6 at the default sizes), one step before frame 0.
      At a wall the position is clamped and that component flips. Overlap is the maximum.

    Args:
        images: uint8 (count, side, side). Pictures of the objects, 28 x 28 for MNIST.
        indices: integers, 0 or more. Which clips to make.
        motion: `"paper"` or `"srivastava"`.
        frames: int. Frames per clip.
        size: int, pixels. Height and width of the canvas, at least `side`.
        objects: int. Moving objects per clip.
        seed: int, 0 .. 2**32 - 1. Another seed gives other clips.

    Returns:
        uint8 (len(indices), frames, size, size, 1).

    Raises:
        ValueError: if an argument is outside the ranges above.

    Reference: Ma, Zhang & Liu, "MS-LSTM", Applied Soft Computing 147 (2023), section 5.1 ("paper");
    Srivastava, Mansimov & Salakhutdinov, "Unsupervised Learning of Video Representations using LSTMs",
    ICML 2015 ("srivastava").
    """
    images, indices = np.asarray(images), np.asarray(indices)
    _check(images, indices, motion, frames, size, objects, seed)
    clips = np.empty((len(indices), frames, size, size, 1), np.uint8)
    positions, overlap = MOTIONS[motion]
    for first in range(0, len(indices), _CHUNK):
        draws = _draw(len(images), indices[first : first + _CHUNK], objects, seed)
        corners = positions(draws, size - images.shape[1], frames).astype(np.int64)
        clips[first : first + _CHUNK, ..., 0] = _render(images[draws.image], corners, overlap, size)
    return clips
