"""Clips for training and scoring: from a prepared TFDS split, or from a generator that never ends."""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mslstm_keras.naming import nearest
from mslstm_keras.training.recipes import Recipe

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds

BUILDERS = ("moving_mnist_clips",)
"""Data sets of `tfds_builders`."""


@dataclass(frozen=True)
class Clips:
    """Clips by number.

    Attributes:
        read: function of an int array of numbers, returning uint8 clips (number, time, height, width, channels).
        count: int, or None where there are endlessly many.
    """

    read: Callable[[np.ndarray], np.ndarray]
    count: int | None


def find_builder(data: str, data_dir: str | os.PathLike | None = None) -> "tfds.core.DatasetBuilder":
    """Returns the TFDS builder of "name/config".

    Args:
        data: str. Name of a data set of `tfds_builders`, and of one of its configs; the first by default.
        data_dir: folder of prepared data sets; TFDS' own (~/tensorflow_datasets) by default.

    Raises:
        ValueError: if name or config are unknown (with the nearest names).
    """
    name, _, config = data.partition("/")
    if name not in BUILDERS:
        raise ValueError(f"`data` must be a known data set, such as {nearest(name, BUILDERS)}. Received: {data!r}")
    builder = importlib.import_module(f"tfds_builders.{name}.{name}_dataset_builder").Builder
    configs = [known.name for known in builder.BUILDER_CONFIGS]
    if config and config not in configs:
        raise ValueError(
            f"`data` must be a known config of {name}, such as {nearest(config, configs)}. Received: {data!r}"
        )
    return builder(config=config or None, data_dir=None if data_dir is None else os.fspath(data_dir))


def prepare(
    data: str, data_dir: str | os.PathLike | None = None, manual_dir: str | os.PathLike | None = None
) -> "tfds.core.DatasetBuilder":
    """Makes a data set ready for reading; does nothing where it is ready already.

    Args:
        data: str, "name/config".
        data_dir: folder of prepared data sets; TFDS' own by default.
        manual_dir: folder of source files that are at hand; what is not there is downloaded where it can be.

    Returns:
        Its builder.

    Raises:
        ValueError: if the name is unknown or a source file is not what it should be.
    """
    import tensorflow_datasets as tfds

    builder = find_builder(data, data_dir)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            manual_dir=None if manual_dir is None else os.fspath(manual_dir)
        ),
        file_format="array_record",  # read in any order, which a permutation by seed and epoch needs
    )
    return builder


def split_clips(data: str, split: str, data_dir: str | os.PathLike | None = None) -> Clips:
    """Returns the clips of a prepared split.

    Raises:
        ValueError: if the data set is unknown or not prepared (with the command that prepares it).
    """
    builder = find_builder(data, data_dir)
    if split not in builder.info.splits:
        raise ValueError(
            f"`data` must be prepared, by `mslstm data prepare {data}`. Received: {data!r}, without a split "
            f"{split!r} in {builder.data_dir}"
        )
    source = builder.as_data_source(split)

    def read(indices):
        return np.stack([example["frames"] for example in source.__getitems__([int(i) for i in indices])])

    return Clips(read, len(source))


def stream_clips(data: str, seed: int, manual_dir: str | os.PathLike | None = None) -> Clips:
    """Returns the endless clips of a data set's generator, made of its training objects.

    Raises:
        ValueError: if the data set has no generator, or a source file is not what it should be.
    """
    from tfds_builders.moving_mnist_clips.moving_digits import moving_digits
    from tfds_builders.moving_mnist_clips.objects import load_objects

    config = find_builder(data).builder_config
    images = load_objects(config.source, "train", manual_dir=manual_dir)
    return Clips(lambda indices: moving_digits(images, indices, motion=config.motion, seed=seed), None)


def batch_indices(step: int, batch_size: int, count: int | None, seed: int) -> np.ndarray:
    """Numbers of the clips of a training step: a pure function of its arguments, so that a resumed run goes on.

    Endless clips are taken in order, each once. Others in a new permutation every epoch; what is left over at
    the end of an epoch, less than a batch, is dropped.

    Raises:
        ValueError: if there are fewer clips than a batch holds.
    """
    if count is None:
        return np.arange(step * batch_size, (step + 1) * batch_size)
    if count < batch_size:
        raise ValueError(f"`batch_size` must not be above the {count} clips. Received: batch_size={batch_size}")
    epoch, position = divmod(step, count // batch_size)
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return order[position * batch_size : (position + 1) * batch_size]


def training_batches(clips: Clips, recipe: Recipe, first_step: int = 0) -> "tf.data.Dataset":
    """Returns the batches of the steps first_step .. recipe.steps - 1: frames and the frames that follow them.

        x = frames 0 .. T - 2, y = frames 1 .. T - 1, float32 in [0, 1], T = context_frames + forecast_frames
    """

    def read(step):
        indices = batch_indices(int(step), recipe.batch_size, clips.count, recipe.seed)
        return clips.read(indices)[:, : recipe.context_frames + recipe.forecast_frames]

    return _batches(range(first_step, recipe.steps), read, (recipe.batch_size, *_clip_shape(recipe)))


def scoring_batches(clips: Clips, recipe: Recipe, count: int, batch_size: int) -> "tf.data.Dataset":
    """Returns the first `count` clips in order, as `training_batches` does; the last batch may be smaller."""

    def read(first):
        indices = np.arange(first, min(int(first) + batch_size, count))
        return clips.read(indices)[:, : recipe.context_frames + recipe.forecast_frames]

    return _batches(range(0, count, batch_size), read, (None, *_clip_shape(recipe)))


def _clip_shape(recipe):
    return (recipe.context_frames + recipe.forecast_frames, *recipe.frame_shape)


def _batches(numbers, read, shape):
    import tensorflow as tf

    def load(number):
        clips = tf.numpy_function(read, [number], tf.uint8)
        frames = tf.cast(tf.ensure_shape(clips, shape), tf.float32) / 255.0
        return frames[:, :-1], frames[:, 1:]

    batches = tf.data.Dataset.range(numbers.start, numbers.stop, numbers.step)
    batches = batches.map(load).prefetch(2)
    return batches.apply(tf.data.experimental.assert_cardinality(len(numbers)))
