"""Clips cut into batches, for training and for scoring."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from mslstm_keras.data.clips import Clips, fill_missing
from mslstm_keras.data.preparation import check_sources
from mslstm_keras.data.splits import split_clips
from mslstm_keras.data.streams import made_clips, stream_clips
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.training.sampling import draw_observed

if TYPE_CHECKING:
    import tensorflow as tf

_AHEAD = 2  # batches that are made while a step is taken


def training_clips(
    recipe: Recipe,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> Clips:
    """Returns the clips that a recipe learns from, without those that it holds out.

    Raises:
        ValueError: as `stream_clips`, `made_clips` and `split_clips` do, if all clips are held out, or if `manual_dir`
            holds other files than those that the clips were prepared from.
    """
    if recipe.stream:
        return stream_clips(recipe.data, recipe.seed, manual_dir)
    if manual_dir is not None and not recipe.data.endswith(".npy"):
        check_sources(recipe.data, manual_dir, data_dir)
    clips = split_clips(recipe.data, "train", data_dir)
    if recipe.validation_split == "train":
        return dataclasses.replace(clips, count=_kept(clips, recipe))
    return clips


def validation_clips(
    recipe: Recipe,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> Clips:
    """Returns the clips that a recipe is scored on while it learns, of which it takes the first.

    They are those of the test split or, where `validation_split` is "train", the last of the train split. Where clips
    are streamed, those of the test split are made while they are read, too. Those held out of training then come from
    the same generator with another seed, and show the same objects on other ways.

    Raises:
        ValueError: as `stream_clips`, `made_clips` and `split_clips` do, or if all clips are held out.
    """
    if recipe.validation_split == "test":
        if recipe.stream:
            return made_clips(recipe.data, "test", manual_dir)
        return split_clips(recipe.data, "test", data_dir)
    if recipe.stream:
        # Far from the seeds that other runs of the same recipe would take.
        return stream_clips(recipe.data, (recipe.seed + 2**31) % 2**32, manual_dir)
    clips = split_clips(recipe.data, "train", data_dir)
    kept = _kept(clips, recipe)
    return dataclasses.replace(
        clips, read=lambda indices: clips.read(np.asarray(indices) + kept), count=clips.count - kept
    )


def _kept(clips, recipe):
    """Returns how many clips of the train split are left to learn from."""
    if recipe.validation_clips >= clips.count:
        raise ValueError(
            f"`validation_clips` must be below the {clips.count} train clips that they are held out of. "
            f"Received: validation_clips={recipe.validation_clips}"
        )
    return clips.count - recipe.validation_clips


def batch_indices(step: int, batch_size: int, count: int | None, seed: int) -> np.ndarray:
    """Numbers of the clips of a training step: a pure function of its arguments, so that a resumed run goes on.

    Endless clips are taken in order, each once. Others come in a new permutation every epoch; if fewer than a batch
    are left at the end of an epoch, they are dropped.

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


@dataclass(frozen=True)
class Share:
    """What one host feeds of every batch; by default all of it.

    Attributes:
        number: int, from 0. Which share.
        count: int. How many hosts share a batch; divides its clips.
    """

    number: int = 0
    count: int = 1

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Returns the host's rows of a batch."""
        size = len(rows) // self.count
        return rows[self.number * size : (self.number + 1) * size]


WHOLE = Share()


def training_batches(
    clips: Clips, recipe: Recipe, first_step: int = 0, share: Share = WHOLE
) -> "tf.data.Dataset | Batches":
    """Returns the batches of the steps first_step .. recipe.steps - 1: frames and the frames that follow them.

        x = frames 0 .. T - 2, y = frames 1 .. T - 1, float32 in [0, 1], T = context_frames + forecast_frames

    Elements are ({"frames": x, "observed": which frames the model is fed, see `draw_observed`}, y), as
    `mslstm_keras.models.registry.told_model` takes them. With gradient accumulation each step has several of them, the
    parts of its batch one after the other.

    Where pixels may be missing (`Clips.masked`), elements are (x, y, w) with the sample weights w, (batch, T - 1,
    height, width, 1): 1 for the pixels of y that were observed, 0 for the others. In x and y missing pixels are 0.

    Returns:
        On TensorFlow's backend a `tf.data.Dataset`, the only form that its strategies can share between devices; on the
        others `Batches`, which need no TensorFlow. The clips and their order are the same.

    Raises:
        ValueError: if the clips do not fit the recipe, or are fewer than a batch holds.
    """
    _check_shape(clips, recipe)
    batch_indices(first_step, recipe.batch_size, clips.count, recipe.seed)  # raises here, not while training
    pieces = recipe.gradient_accumulation_steps or 1

    def read(number):
        step, piece = divmod(int(number), pieces)
        rows = batch_indices(step, recipe.batch_size, clips.count, recipe.seed)
        rows, observed = (
            share.of(Share(piece, pieces).of(each)) for each in (rows, draw_observed(recipe, step))
        )
        frames = _cut(clips.frames(rows), recipe)
        if not clips.masked:
            return frames, observed
        frames, pixels = fill_missing(frames)
        return frames, observed, pixels[:, 1:]

    def as_batch(frames, observed, *weights):
        return {"frames": frames[:, :-1], "observed": observed}, frames[:, 1:], *weights

    size = recipe.batch_size // pieces // share.count
    numbers = range(first_step * pieces, recipe.steps * pieces)
    shapes = [(size, *_clip_shape(recipe)), (size, _steps(recipe))]
    if clips.masked:
        shapes.append((size, *_weights_shape(recipe)))
    return _batches(numbers, read, shapes, as_batch)


def scoring_batches(
    clips: Clips, recipe: Recipe, count: int, batch_size: int, share: Share = WHOLE
) -> "tf.data.Dataset | Batches":
    """Returns the first `count` clips in order, as `training_batches` does, but fed with the context alone.

    Elements are (x, y, weights). All batches are whole: the last one is filled up with clips of zeros of weight 0, and
    all real clips weigh more in return, so that the mean over all clips is the mean over the real ones. That is right
    for any number of devices, and for the loss as well as for the scores. Where pixels may be missing, weights are
    those of pixels, as `training_batches` has them, times those of their clips.

    Raises:
        ValueError: if the clips do not fit the recipe, or are fewer than `count`.
    """
    _check_shape(clips, recipe)
    if clips.count is not None and count > clips.count:
        raise ValueError(
            f"`count`, `validation_clips` of a recipe, must not be above the {clips.count} clips. "
            f"Received: count={count}"
        )
    padded = -(-count // batch_size) * batch_size
    size = batch_size // share.count
    context = np.repeat(np.array([1, 0], "float32"), (recipe.context_frames, recipe.forecast_frames - 1))

    def read(first):
        rows = share.of(np.arange(first, int(first) + batch_size))
        frames = np.zeros((size, *_clip_shape(recipe)), "float32")
        weights = np.where(rows < count, padded / count, 0).astype("float32")
        real = rows[rows < count]
        if real.size:
            frames[: real.size] = _cut(clips.frames(real), recipe)
        if not clips.masked:
            return frames, weights
        frames, pixels = fill_missing(frames)
        return frames, weights[:, None, None, None, None] * pixels[:, 1:]

    def as_batch(frames, weights):
        return {"frames": frames[:, :-1], "observed": np.tile(context, (size, 1))}, frames[:, 1:], weights

    weights_shape = _weights_shape(recipe) if clips.masked else ()
    shapes = [(size, *_clip_shape(recipe)), (size, *weights_shape)]
    return _batches(range(0, count, batch_size), read, shapes, as_batch)


class Batches(keras.utils.PyDataset):
    """Batches by number, the next ones made in a thread of their own while a step is taken.

    Args:
        numbers: what `read` takes, one for each batch.
        read: function of a number -> a batch.
    """

    def __init__(self, numbers: Sequence[int], read: Callable[[int], Any]):
        super().__init__()
        self._numbers, self._read = numbers, read
        self._maker = ThreadPoolExecutor(1)
        self._begun: dict[int, Future[Any]] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Any:
        wanted = range(index, min(index + 1 + _AHEAD, len(self)))
        begun = {each: self._begun.get(each) or self._begin(each) for each in wanted}
        self._begun = begun
        return begun[index].result()

    def _begin(self, index):
        return self._maker.submit(self._read, self._numbers[index])


def _check_shape(clips, recipe):
    expected, received = _clip_shape(recipe), clips.read(np.array([0])).shape[1:]
    if received[0] < expected[0] or received[1:] != expected[1:]:
        raise ValueError(
            "`frame_shape`, `context_frames` and `forecast_frames` must fit the clips: (time, height, width, "
            f"channels) = {expected}, time may be longer. Received: clips of shape {received}"
        )


def _clip_shape(recipe):
    return (recipe.context_frames + recipe.forecast_frames, *recipe.frame_shape)


def _steps(recipe):
    return recipe.context_frames + recipe.forecast_frames - 1


def _weights_shape(recipe):
    return (_steps(recipe), *recipe.frame_shape[:2], 1)


def _cut(frames, recipe):
    return frames[:, : recipe.context_frames + recipe.forecast_frames]


def _batches(numbers, read, shapes, as_batch):
    """Returns the batches of what `read` makes of each number: float32 arrays of these shapes."""
    if keras.backend.backend() != "tensorflow":
        return Batches(numbers, lambda number: as_batch(*read(number)))
    import tensorflow as tf

    def load(number):
        arrays = tf.numpy_function(read, [number], [tf.float32] * len(shapes))
        return as_batch(*map(tf.ensure_shape, arrays, shapes))

    batches = tf.data.Dataset.range(numbers.start, numbers.stop, numbers.step)
    batches = batches.map(load).prefetch(_AHEAD)
    batches = batches.apply(tf.data.experimental.assert_cardinality(len(numbers)))
    options = tf.data.Options()  # a strategy's workers would each read all and skip what is not theirs
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options)
