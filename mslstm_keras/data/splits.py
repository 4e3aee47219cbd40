"""Clips of a prepared split, or of a file."""

import os
from pathlib import Path

import numpy as np

from mslstm_keras.data.catalogue import facts_of, find_builder, prepared_variants
from mslstm_keras.data.clips import Clips, in_unit_range
from mslstm_keras.formats.arrays import open_clips


def split_clips(data: str, split: str, data_dir: str | os.PathLike[str] | None = None) -> Clips:
    """Returns the clips of a prepared split, or of a file of your own.

    Args:
        data: str. "name/config" of a prepared data set, or a `.npy` file of uint8 clips (number, time, height, width)
            or (number, time, height, width, channels): its last tenth is the test split, the rest the train split.
            `mnist_test_seq.npy`, the published Moving MNIST, is (time, number, height, width), as it comes.
        split: "train" or "test".
        data_dir: folder of prepared data sets; TFDS' own by default.

    Returns:
        The clips. Those of a data set with the feature `mask` are NaN where it is false.

    Raises:
        ValueError: if the data set is unknown or not prepared (with the command that prepares it), or the file
            cannot be read or holds something else.
    """
    if data.endswith(".npy"):
        return _file_clips(data, split)
    from tfds_builders.random_access import random_access

    builder = find_builder(data, data_dir)
    if split not in builder.info.splits:
        raise ValueError(
            f"`data` must be prepared, by `mslstm data prepare {data}`. Received: {data!r}, without a split "
            f"{split!r} in {builder.data_dir}{_what_is_there(builder)}"
        )
    source = random_access(builder, split)

    masked = "mask" in builder.info.features
    facts = facts_of(builder)

    def read(indices):
        examples = source.__getitems__([int(i) for i in indices])
        frames = np.stack([example["frames"] for example in examples])
        if not masked:
            return frames
        observed = np.stack([example["mask"] for example in examples])
        return np.where(observed, in_unit_range(frames), np.float32(np.nan))

    return Clips(
        read,
        len(source),
        facts.interval_minutes,
        masked,
        facts.scale,
        facts.quantity,
        facts.spacing_metres,
    )


def _what_is_there(builder):
    """Returns which others of a data set are prepared, for who looks for one by another name."""
    config = Path(builder.data_dir).parent
    names = prepared_variants(config.parent, [config.name])
    listed = ", ".join(f"{builder.name}/{name}" for name in names)
    return f" (prepared there: {listed})" if names else ""


def _file_clips(path, split):
    clips = open_clips(path)
    train_clips = len(clips) - max(1, len(clips) // 10)
    chosen = clips[:train_clips] if split == "train" else clips[train_clips:]
    return Clips(lambda indices: chosen[np.asarray(indices)], len(chosen))
