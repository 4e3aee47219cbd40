"""Random clips, and the files that hold them."""

import h5py
import numpy as np
from PIL import Image


def random_frames(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


def random_levels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


def save_frames(path, levels, **options):
    first, *others = [Image.fromarray(image) for image in levels]
    first.save(path, save_all=True, append_images=others, **options)


def save_folder(folder, levels, names):
    folder.mkdir()
    for name, image in zip(names, levels, strict=True):
        Image.fromarray(image).save(folder / name)


def save_hdf5(path, **data_sets):
    with h5py.File(path, "w") as file:
        for name, values in data_sets.items():
            file[name] = values
