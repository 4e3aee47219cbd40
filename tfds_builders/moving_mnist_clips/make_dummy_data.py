"""Writes `dummy_data/`: files of the real formats with a few made-up images, for the builder's tests.

Run as `python -m tfds_builders.moving_mnist_clips.make_dummy_data`.
"""

import gzip
from pathlib import Path

import numpy as np

from tfds_builders.moving_mnist_clips.moving_digits import moving_digits

FOLDER = Path(__file__).with_name("dummy_data")


def bars(count: int, first: int) -> np.ndarray:
    """Grey squares, each with a bright bar of another width, uint8 (count, 28, 28)."""
    images = np.zeros((count, 28, 28), np.uint8)
    for number, image in enumerate(images, start=first):
        image[4:24, 4:24] = 90
        image[6:22, 6 : 8 + number] = 250
    return images


def idx(images: np.ndarray) -> bytes:
    """Content of an idx file of images."""
    return b"\x00\x00\x08\x03" + np.array(images.shape, ">u4").tobytes() + images.tobytes()


def main() -> None:
    """Writes the files."""
    for number, folder in enumerate(("mnist", "fashion-mnist")):
        (FOLDER / folder).mkdir(parents=True, exist_ok=True)
        for name, count, first in (("train", 3, 4 * number), ("t10k", 2, 4 * number + 8)):
            content = gzip.compress(idx(bars(count, first)), mtime=0)
            (FOLDER / folder / f"{name}-images-idx3-ubyte.gz").write_bytes(content)
    clips = moving_digits(bars(2, 8), range(2), motion="srivastava")[..., 0]
    np.save(FOLDER / "mnist_test_seq.npy", clips.swapaxes(0, 1))


if __name__ == "__main__":
    main()
