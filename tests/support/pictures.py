"""Pixels of pictures and animations that were written."""

import numpy as np
import pytest
from PIL import Image

WARNING = (209, 73, 91)


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def gif_frames(path):
    with Image.open(path) as image:
        frames = []
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")).astype(int))
        return np.stack(frames), image.info


def video_frames(path):
    av = pytest.importorskip("av", reason="reading MP4 needs PyAV")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(stream)]
        return np.stack(frames), stream.average_rate


def hatched(picture):
    """Returns whether a piece of a picture is nothing but the hatched grey of missing pixels."""
    grey = np.ptp(picture, axis=-1) <= 12  # a GIF has few colours
    levels = picture[..., 0]
    return bool(grey.all() and levels.min() > 125 and levels.max() < 200 and levels.max() - levels.min() > 20)


def near(picture, colour, distance=30):
    return np.abs(picture - np.array(colour)).max(-1) < distance


def rgb(colour):
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
