"""Clips for training and scoring: of a prepared TFDS split, of a file, or of a generator that never ends."""

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


def list_data() -> list[str]:
    """Returns the names "data set/config" that recipes and `prepare` take."""
    return [f"{name}/{config.name}" for name in BUILDERS for config in _builder_class(name).BUILDER_CONFIGS]


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
        raise ValueError(
            f"`data` must be a known data set, such as {nearest(name, BUILDERS)}. Received: {data!r}"
        )
    builder = _builder_class(name)
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

    from tfds_builders.random_access import random_access

    if manual_dir is not None and not os.path.isdir(manual_dir):
        raise ValueError(f"`manual_dir` must be a folder. Received: manual_dir={os.fspath(manual_dir)!r}")
    builder = find_builder(data, data_dir)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            manual_dir=None if manual_dir is None else os.fspath(manual_dir)
        )
    )
    for split in builder.info.splits:
        random_access(builder, split)
    return builder


def split_clips(data: str, split: str, data_dir: str | os.PathLike | None = None) -> Clips:
    """Returns the clips of a prepared split, or of a file of your own.

    Args:
        data: str. "name/config" of a prepared data set, or a `.npy` file of uint8 clips (number, time, height, width)
            or (number, time, height, width, channels): its last tenth is the test split, the rest the train split.
        split: "train" or "test".
        data_dir: folder of prepared data sets; TFDS' own by default.

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
            f"{split!r} in {builder.data_dir}"
        )
    source = random_access(builder, split)

    def read(indices):
        return np.stack([example["frames"] for example in source.__getitems__([int(i) for i in indices])])

    return Clips(read, len(source))


def _file_clips(path, split):
    try:
        clips = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise ValueError(f"`data` must be a readable .npy file. Received: {path} ({error})") from error
    if clips.dtype != np.uint8 or clips.ndim not in (4, 5) or len(clips) < 2:
        raise ValueError(
            "`data` must hold at least two uint8 clips (number, time, height, width) or (number, time, height, "
            f"width, channels), values 0 .. 255. Received: {path} of shape {clips.shape}, dtype {clips.dtype}"
        )
    if clips.ndim == 4:
        clips = clips[..., np.newaxis]
    train_clips = len(clips) - max(1, len(clips) // 10)
    chosen = clips[:train_clips] if split == "train" else clips[train_clips:]
    return Clips(lambda indices: chosen[np.asarray(indices)], len(chosen))


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
        raise ValueError(
            f"`batch_size` must not be above the {count} clips. Received: batch_size={batch_size}"
        )
    epoch, position = divmod(step, count // batch_size)
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return order[position * batch_size : (position + 1) * batch_size]


def training_batches(clips: Clips, recipe: Recipe, first_step: int = 0) -> "tf.data.Dataset":
    """Returns the batches of the steps first_step .. recipe.steps - 1: frames and the frames that follow them.

        x = frames 0 .. T - 2, y = frames 1 .. T - 1, float32 in [0, 1], T = context_frames + forecast_frames

    Raises:
        ValueError: if the clips do not fit the recipe, or are fewer than a batch holds.
    """
    _check_shape(clips, recipe)
    batch_indices(first_step, recipe.batch_size, clips.count, recipe.seed)  # raises here, not within tf.data

    def read(step):
        indices = batch_indices(int(step), recipe.batch_size, clips.count, recipe.seed)
        return clips.read(indices)[:, : recipe.context_frames + recipe.forecast_frames]

    return _batches(range(first_step, recipe.steps), read, (recipe.batch_size, *_clip_shape(recipe)))


def scoring_batches(clips: Clips, recipe: Recipe, count: int, batch_size: int) -> "tf.data.Dataset":
    """Returns the first `count` clips in order, as `training_batches` does; the last batch may be smaller.

    Raises:
        ValueError: if the clips do not fit the recipe, or are fewer than `count`.
    """
    _check_shape(clips, recipe)
    if clips.count is not None and count > clips.count:
        raise ValueError(
            f"`count`, `validation_clips` of a recipe, must not be above the {clips.count} clips. "
            f"Received: count={count}"
        )

    def read(first):
        indices = np.arange(first, min(int(first) + batch_size, count))
        return clips.read(indices)[:, : recipe.context_frames + recipe.forecast_frames]

    return _batches(range(0, count, batch_size), read, (None, *_clip_shape(recipe)))


def _builder_class(name):
    return importlib.import_module(f"tfds_builders.{name}.{name}_dataset_builder").Builder


def _check_shape(clips, recipe):
    expected, received = _clip_shape(recipe), clips.read(np.array([0])).shape[1:]
    if received[0] < expected[0] or received[1:] != expected[1:]:
        raise ValueError(
            "`frame_shape`, `context_frames` and `forecast_frames` must fit the clips: (time, height, width, "
            f"channels) = {expected}, time may be longer. Received: clips of shape {received}"
        )


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
