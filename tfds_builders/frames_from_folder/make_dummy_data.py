"""Writes `dummy_data/`: five short clips of a moving square, each another kind of source.

Run as `python -m tfds_builders.frames_from_folder.make_dummy_data`.
"""

from pathlib import Path

import h5py
import numpy as np
from PIL import Image

FOLDER = Path(__file__).with_name("dummy_data")
HEIGHT, WIDTH = 6, 8


def square(frames: int, speed: int) -> np.ndarray:
    """Clip of a square of 3 x 3 pixels that goes round, each frame brighter, uint8 (frames, 6, 8)."""
    clip = np.zeros((frames, HEIGHT, WIDTH), np.uint8)
    for number, frame in enumerate(clip):
        frame[1:4, :3] = 100 + number
        frame[:] = np.roll(frame, speed * number, axis=1)
    return clip


def main() -> None:
    """Writes the files."""
    (FOLDER / "images").mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(square(20, 1)):
        Image.fromarray(frame).save(FOLDER / "images" / f"{number}.png")
    np.save(FOLDER / "levels.npy", square(45, 2))
    np.savez_compressed(FOLDER / "floats.npz", clip=square(24, 3) / np.float32(255))
    first, *others = [Image.fromarray(frame) for frame in square(21, 5)]
    first.save(FOLDER / "animation.gif", save_all=True, append_images=others)
    with h5py.File(FOLDER / "measured.h5", "w") as file:
        file.create_dataset("camera/frames", data=square(41, 7), compression="gzip")


if __name__ == "__main__":
    main()
