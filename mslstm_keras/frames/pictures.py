"""Frames of pictures and animations, decoded by Pillow."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mslstm_keras.frames.checks import check_count, reading
from mslstm_keras.frames.durations import at_equal_steps

if TYPE_CHECKING:
    from PIL import Image

ANIMATIONS = (".gif", ".webp", ".apng", ".tif", ".tiff")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def read_pictures(path: Path) -> list[np.ndarray]:
    """Reads every frame of a picture, each (height, width, 1 or 3) of unsigned integers or floats.

    Frames of an animation come at equal steps, see `at_equal_steps`.
    """
    from PIL import Image

    pictures: list[np.ndarray] = []
    durations: list[float | None] = []
    with contextlib.ExitStack() as stack:
        with reading(path):
            if path.suffix.lower() == ".gif" and path.read_bytes().rstrip(b"\0")[-1:] != b";":
                raise ValueError("no end mark")  # Pillow does not miss frames that are cut off
            image = stack.enter_context(Image.open(str(path)))
            count = getattr(image, "n_frames", 1)
        for index in range(count):
            with reading(path):
                image.seek(index)
            check_count(path, (count, image.height, image.width))
            with reading(path):
                pictures.append(_pixels(image))
            durations.append(image.info.get("duration"))
        first = int(getattr(image, "default_image", False))  # of an APNG: shown where nothing moves
    return at_equal_steps(path, pictures[first:], durations[first:])


def _pixels(image: "Image.Image") -> np.ndarray:
    """Returns the pixels of a Pillow image, (height, width, 1 or 3); transparent ones are black."""
    from PIL import Image

    if image.mode in ("1", "L", "F") or image.mode.startswith("I;16"):
        pixels = np.asarray(image)[..., np.newaxis]
        return pixels.astype("uint8") * 255 if image.mode == "1" else pixels
    if image.mode == "I":
        raise ValueError("32-bit integers, whose full scale is unknown")
    black = Image.new("RGBA", image.size, "black")
    return np.asarray(Image.alpha_composite(black, image.convert("RGBA")))[..., :3]
