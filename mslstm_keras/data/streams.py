"""Clips made while they are read: without end, or those of a split."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from mslstm_keras.data.catalogue import configs_of
from mslstm_keras.data.clips import Clips


def stream_clips(data: str, seed: int, manual_dir: str | os.PathLike[str] | None = None) -> Clips:
    """Returns the endless clips of a data set's generator, made of its training objects.

    Raises:
        ValueError: if the data set has no generator, or a source file is not what it should be.
    """
    from tfds_builders.moving_mnist_clips.moving_digits import moving_digits
    from tfds_builders.moving_mnist_clips.objects import load_objects

    config = _config(data)
    images = load_objects(config["source"], "train", manual_dir=manual_dir)
    return Clips(lambda indices: moving_digits(images, indices, motion=config["motion"], seed=seed), None)


def made_clips(data: str, split: str, manual_dir: str | os.PathLike[str] | None = None) -> Clips:
    """Returns the clips of a split, made while they are read: those that preparing the data set writes.

    Args:
        data: str, "moving_mnist_clips/config".
        split: "train" or "test".
        manual_dir: folder of source files that are at hand; what is not there is downloaded where it can be.

    Raises:
        ValueError: if the data set has no generator, or a source file is not what it should be.
    """
    from tfds_builders.moving_mnist_clips.moving_digits import SPLIT_SEEDS, moving_digits
    from tfds_builders.moving_mnist_clips.objects import load_objects, load_test_sequence

    config = _config(data)
    count = config[f"{split}_clips"]
    if count is None:  # the public test clips
        sequence = load_test_sequence(manual_dir=manual_dir)
        return Clips(
            lambda indices: np.moveaxis(sequence[:, np.asarray(indices)], 0, 1)[..., np.newaxis],
            sequence.shape[1],
        )
    images = load_objects(config["source"], split, manual_dir=manual_dir)
    seed = SPLIT_SEEDS[split]
    return Clips(lambda indices: moving_digits(images, indices, motion=config["motion"], seed=seed), count)


def _config(data: str) -> Mapping[str, Any]:
    """Returns the fields of a config whose clips can be made while they are read."""
    name, _, config = data.partition("/")
    configs = configs_of(data)
    if name != "moving_mnist_clips" or (config and config not in configs):
        raise ValueError(
            f"`data` must be a config of moving_mnist_clips to be made while it is read. Received: {data!r}"
        )
    return configs[config or next(iter(configs))]
