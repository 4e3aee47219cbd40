"""Pixels of pictures and animations that were written."""

import numpy as np
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


def near(picture, colour, distance=30):
    return np.abs(picture - np.array(colour)).max(-1) < distance
