"""Clips for training and scoring: of a prepared TFDS split, of a file, or of a generator that never ends."""

import contextlib
import dataclasses
import importlib
import inspect
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mslstm_keras.naming import nearest
from mslstm_keras.settings import read_settings
from mslstm_keras.training.protocols import find_protocol
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.training.sampling import draw_observed

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds

BUILDERS = ("moving_mnist_clips", "taxibj_clips", "kth_clips", "dwd_radar_clips", "frames_from_folder")
"""Data sets of `tfds_builders`."""

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 10  # in which a process that is to end may clear up


@dataclass(frozen=True)
class Clips:
    """Clips by number.

    Attributes:
        read: function of an int array of numbers, returning clips (number, time, height, width, channels), uint8 of
            0 .. 255 or floats of 0 .. 1.
        count: int, or None where there are endlessly many.
        interval: float, minutes between two frames; None where nothing says so.
    """

    read: Callable[[np.ndarray], np.ndarray]
    count: int | None
    interval: float | None = None

    def frames(self, numbers: np.ndarray) -> np.ndarray:
        """Returns clips as float32 in [0, 1], (number, time, height, width, channels)."""
        clips = self.read(numbers)
        return clips / np.float32(255) if clips.dtype == np.uint8 else clips.astype("float32", copy=False)


def list_data() -> list[str]:
    """Returns the names "data set/config" that recipes and `prepare` take."""
    return [f"{name}/{config.name}" for name in BUILDERS for config in _builder_class(name).BUILDER_CONFIGS]


def find_builder(data: str, data_dir: str | os.PathLike | None = None) -> "tfds.core.DatasetBuilder":
    """Returns the TFDS builder of "name/config".

    Args:
        data: str. Name of a data set of `tfds_builders`, and of one of its configs, the first by default, or of a
            variant in `data_dir` that `prepare` has made.
        data_dir: folder of prepared data sets; TFDS' own (~/tensorflow_datasets) by default.

    Raises:
        ValueError: if name or config are unknown (with the nearest names).
    """
    import tensorflow_datasets as tfds

    name, _, config = data.partition("/")
    if name not in BUILDERS:
        raise ValueError(
            f"`data` must be a known data set, such as {nearest(name, BUILDERS)}. Received: {data!r}"
        )
    builder = _builder_class(name)
    configs = [known.name for known in builder.BUILDER_CONFIGS]
    folder = os.fspath(tfds.core.constants.DATA_DIR if data_dir is None else data_dir)
    if not config or config in configs:
        return builder(config=config or None, data_dir=folder)
    place = Path(folder, name, config, str(builder.VERSION))
    if not (place / "dataset_info.json").exists():
        known = nearest(config, [*configs, *_variants(Path(folder, name), configs)])
        raise ValueError(f"`data` must be a known config of {name}, such as {known}. Received: {data!r}")
    return tfds.builder_from_directory(place)


def prepare(
    data: str,
    data_dir: str | os.PathLike | None = None,
    manual_dir: str | os.PathLike | None = None,
    *,
    variant: str | None = None,
    settings: Mapping[str, str] | None = None,
    part: tuple[int, int] | None = None,
    processes: int = 1,
) -> "tfds.core.DatasetBuilder":
    """Makes a data set ready for reading; does nothing where it is ready already.

    However it is made, in one process or in parts, it has the same clips under the same numbers. What is made of a
    part that fails or is killed is never taken for a part, nor parts for the data set.

    Args:
        data: str, "name/config".
        data_dir: folder of prepared data sets; TFDS' own by default.
        manual_dir: folder of source files that are at hand; what is not there is downloaded where it can be.
        variant: str. Name of a variant of that config, which then is read as "name/variant".
        settings: fields of the config, as text, in which the variant differs, such as {"interval": "5"}.
        part: (k, n). Makes the k-th of n parts only, so that n processes, or hosts that share `data_dir`, make one
            data set. A part that is there is not made again. Whoever finds all parts there joins them, so that any
            of the calls once more does, should all have missed it.
        processes: int. Makes so many parts at once, each in a process of its own, and joins them. Where a script
            calls this it needs the guard `if __name__ == "__main__"`.

    Returns:
        Its builder; without splits as long as parts are missing.

    Raises:
        ValueError: if the name or a field is unknown, the variant's name is taken, there are settings without a
            variant, there is no such part, the parts that are there are of another number, other settings or other
            source files, or a source file is not what it should be.
        OSError: if the disk is full, or a process that makes a part was killed.
    """
    import tensorflow_datasets as tfds

    from tfds_builders.parts import Part, fetch_sources, is_prepared, join_parts, make_part
    from tfds_builders.random_access import random_access

    if processes < 1 or (part and processes > 1):
        raise ValueError(
            "`processes` must be at least 1, and 1 where `part` is given. "
            f"Received: processes={processes}, part={part}"
        )
    part = Part(*part) if part else None
    if manual_dir is not None and not os.path.isdir(manual_dir):
        raise ValueError(f"`manual_dir` must be a folder. Received: manual_dir={os.fspath(manual_dir)!r}")
    builder = find_builder(data, data_dir)
    if variant is not None or settings:
        builder = _variant(builder, variant, settings or {}, among_parts=part is not None)
    config = tfds.download.DownloadConfig(manual_dir=None if manual_dir is None else os.fspath(manual_dir))
    with _errors_of_the_disk():
        if not is_prepared(builder):
            if processes > 1:
                fetch_sources(builder, config)
                _make_parts(builder, processes, config)
            elif part:
                make_part(builder, part, config)
            else:
                builder.download_and_prepare(download_config=config)
        if part or processes > 1:
            builder = join_parts(builder) or builder
    for split in builder.info.splits:
        random_access(builder, split)
    return builder


def describe(data: str, data_dir: str | os.PathLike | None = None) -> dict:
    """Returns what is known of a data set, as plain data.

    Args:
        data: str, "name/config" or "name/variant".
        data_dir: folder of prepared data sets; TFDS' own by default.

    Returns:
        {"data", "description", "config": field -> value, "features": name -> text, "scores": names of the scores
        that the data set is judged by, "folder": where it is or would be, "clips": split -> count, none where it is
        not prepared, "bytes": size on the disk}.

    Raises:
        ValueError: if name or config are unknown (with the nearest names).
    """
    builder = find_builder(data, data_dir)
    config, kind = builder.builder_config, type(_builder_class(builder.name).BUILDER_CONFIGS[0])
    fields = (
        inspect.get_annotations(kind) if isinstance(config, kind) else ()
    )  # a prepared variant has lost them
    return {
        "data": builder.info.full_name.rpartition("/")[0],
        "description": " ".join((getattr(config, "description", None) or builder.info.description).split()),
        "config": {name: getattr(config, name) for name in fields},
        "features": {name: repr(feature) for name, feature in builder.info.features.items()},
        "scores": list(find_protocol(data).metrics),
        "folder": str(builder.data_dir),
        "clips": {name: split.num_examples for name, split in builder.info.splits.items()},
        "bytes": builder.info.dataset_size or 0,
    }


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

    return Clips(read, len(source), getattr(builder.builder_config, "interval", None))


def _make_parts(builder, count, config):
    """Makes all parts of a data set, each in a process of its own; the first that fails ends the others."""
    from tensorflow_datasets.core.utils import tqdm

    from tfds_builders.parts import missing_parts

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["keras", "tensorflow_datasets", "tensorflow"]
    )  # once, not in each process
    clips, running = [], {}
    with tqdm(desc=f"Preparing in {count} processes...", unit=" clips", leave=False) as bar:
        try:
            for part in missing_parts(builder, count):
                receiver, sender = context.Pipe(duplex=False)
                clips.append(context.RawValue("q", 0))  # a lock would be lost with a process that is killed
                process = context.Process(
                    target=_make_part, args=(builder, part, config, clips[-1], sender), name=f"part {part}"
                )
                process.start()
                sender.close()
                running[process.sentinel] = part, process, receiver
            while running:
                for sentinel in multiprocessing.connection.wait(running, timeout=_POLL_SECONDS):
                    part, process, receiver = running.pop(sentinel)
                    process.join()
                    if process.exitcode:
                        raise _failure(part, process.exitcode, receiver)
                bar.update(sum(each.value for each in clips) - bar.n)
        finally:
            for _, process, _ in running.values():
                process.terminate()
            for _, process, _ in running.values():
                process.join(_GRACE_SECONDS)
                process.kill()  # if it has not ended: what it leaves counts for nothing
                process.join()


def _make_part(builder, part, config, clips, errors):
    """Makes a part in a process of its own, which sends what went wrong that a user can mend."""
    import tensorflow_datasets as tfds

    from tfds_builders.parts import make_part

    ending = []

    def end(*_):
        ending.append(True)
        sys.exit(1)  # so that what is half made is removed

    def count():
        clips.value += 1
        if ending:  # Python ignores an exit in a destructor, wherever the signal came
            sys.exit(1)

    signal.signal(signal.SIGTERM, end)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches every process; the first one ends the others
    tfds.disable_progress_bar()
    try:
        with _errors_of_the_disk():
            make_part(builder, part, config, count)
    except (ValueError, ImportError, OSError) as error:
        kind = next(kind for kind in (ValueError, ImportError, OSError) if isinstance(error, kind))
        errors.send((kind, str(error)))
        sys.exit(1)


def _failure(part, exit_code, receiver):
    """Returns the error of a process that made a part."""
    try:
        kind, message = receiver.recv()
        return kind(f"Part {part}: {message}")
    except EOFError:
        how = f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"ended with {exit_code}"
        return ChildProcessError(f"Part {part}: its process was {how}; parts that are finished are kept")


@contextlib.contextmanager
def _errors_of_the_disk():
    try:
        yield
    except RuntimeError as error:  # TFDS wraps what the disk refuses
        if _is_of_the_disk(error.__cause__):
            raise OSError(str(error.__cause__)) from error
        raise


def _variant(builder, name, settings, among_parts=False):
    """Returns the builder of a config that differs from the builder's own.

    The same variant may be prepared already where it is made in parts: by whoever made the last one.
    """
    if not re.fullmatch(r"[a-zA-Z]\w*", name or ""):
        raise ValueError(
            f"`variant` must name what the settings make, in letters and digits. Received: {name!r}"
        )
    kind = _builder_class(builder.name)
    if not isinstance(builder, kind):
        configs = ", ".join(known.name for known in kind.BUILDER_CONFIGS)
        raise ValueError(f"`data` must be a config that variants start from: {configs}. Received: a variant")
    place = Path(builder.data_dir).parents[1]
    base = builder.builder_config
    fields = read_settings(type(base), settings, "config")
    if "synthetic" not in name and "synthetic" in " ".join((base.name, *settings, *settings.values())):
        raise ValueError(
            f"`variant` must hold the word synthetic, as the clips are. Received: variant={name!r}"
        )
    changes = ", ".join(f"{field} = {value}" for field, value in fields.items())
    description = f"Variant of {base.name}: {changes or 'no other settings'}. {base.name}: {base.description}"
    config = dataclasses.replace(base, name=name, description=description, **fields)
    prepared = name in _variants(place, ())
    same = (
        prepared
        and among_parts
        and find_builder(f"{builder.name}/{name}", place.parent).info.config_description == description
    )
    if name in (known.name for known in kind.BUILDER_CONFIGS) or (prepared and not same):
        raise ValueError(f"`variant` must be new. Received: variant={name!r}, known or prepared in {place}")
    return kind(config=config, data_dir=os.fspath(place.parent))


def _is_of_the_disk(error):
    import tensorflow as tf

    return isinstance(error, (OSError, tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError))


def _variants(place, configs):
    """Returns the names of prepared variants of a data set."""
    prepared = {
        path.parts[-3] for path in place.glob("*/*/dataset_info.json")
    }  # where that failed there is none
    return sorted(prepared - {*configs})


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

    builder = find_builder(data)
    if builder.name != "moving_mnist_clips":
        raise ValueError(
            f"`data` must be a config of moving_mnist_clips to be made while it is read. Received: {data!r}"
        )
    config = builder.builder_config
    images = load_objects(config.source, "train", manual_dir=manual_dir)
    return Clips(lambda indices: moving_digits(images, indices, motion=config.motion, seed=seed), None)


def training_clips(
    recipe: Recipe, data_dir: str | os.PathLike | None = None, manual_dir: str | os.PathLike | None = None
) -> Clips:
    """Returns the clips that a recipe learns from, without those that it holds out.

    Raises:
        ValueError: as `stream_clips` and `split_clips` do, or if all clips are held out.
    """
    if recipe.stream:
        return stream_clips(recipe.data, recipe.seed, manual_dir)
    clips = split_clips(recipe.data, "train", data_dir)
    if recipe.validation_split == "train":
        return dataclasses.replace(clips, count=_kept(clips, recipe))
    return clips


def validation_clips(
    recipe: Recipe, data_dir: str | os.PathLike | None = None, manual_dir: str | os.PathLike | None = None
) -> Clips:
    """Returns the clips that a recipe is scored on while it learns, of which it takes the first.

    They are those of the test split; or, where `validation_split` is "train", the last of the train split or, where
    clips are streamed, of the same objects on other ways: the generator's with a seed of their own.

    Raises:
        ValueError: as `stream_clips` and `split_clips` do, or if all clips are held out.
    """
    if recipe.validation_split == "test":
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


@dataclass(frozen=True)
class Part:
    """The part of every batch that a host feeds; by default all of it.

    Attributes:
        number: int, from 0. Which part.
        count: int. How many hosts share a batch; divides its clips.
    """

    number: int = 0
    count: int = 1

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Returns the host's rows of a batch."""
        size = len(rows) // self.count
        return rows[self.number * size : (self.number + 1) * size]


WHOLE = Part()


def training_batches(
    clips: Clips, recipe: Recipe, first_step: int = 0, part: Part = WHOLE
) -> "tf.data.Dataset":
    """Returns the batches of the steps first_step .. recipe.steps - 1: frames and the frames that follow them.

        x = frames 0 .. T - 2, y = frames 1 .. T - 1, float32 in [0, 1], T = context_frames + forecast_frames

    Elements are ({"frames": x, "observed": which frames the model is fed, see `draw_observed`}, y), as
    `mslstm_keras.models.rollout.told_model` takes them. With gradient accumulation each step has several of them, the
    parts of its batch one after the other.

    Raises:
        ValueError: if the clips do not fit the recipe, or are fewer than a batch holds.
    """
    _check_shape(clips, recipe)
    batch_indices(first_step, recipe.batch_size, clips.count, recipe.seed)  # raises here, not within tf.data
    pieces = recipe.gradient_accumulation_steps or 1

    def read(number):
        step, piece = divmod(int(number), pieces)
        rows = Part(piece, pieces).of(batch_indices(step, recipe.batch_size, clips.count, recipe.seed))
        observed = Part(piece, pieces).of(draw_observed(recipe, step))
        return _cut(clips.frames(part.of(rows)), recipe), part.of(observed)

    def as_inputs(frames, observed):
        return {"frames": frames[:, :-1], "observed": observed}, frames[:, 1:]

    size = recipe.batch_size // pieces // part.count
    numbers = range(first_step * pieces, recipe.steps * pieces)
    return _batches(numbers, read, [(size, *_clip_shape(recipe)), (size, _steps(recipe))], as_inputs)


def scoring_batches(
    clips: Clips, recipe: Recipe, count: int, batch_size: int, part: Part = WHOLE
) -> "tf.data.Dataset":
    """Returns the first `count` clips in order, as `training_batches` does, but fed with the context alone.

    Elements are (x, y, weights). All batches are whole: behind the last clip, clips of zeros follow whose weight is 0,
    and each real clip weighs so much more that the mean over all is that over the real ones. That is right for any
    number of devices, and for the loss as well as for the scores.

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
    observed = np.repeat(np.float32([1, 0]), (recipe.context_frames, recipe.forecast_frames - 1))
    size = batch_size // part.count

    def read(first):
        rows = part.of(np.arange(first, int(first) + batch_size))
        frames = np.zeros((size, *_clip_shape(recipe)), "float32")
        real = rows[rows < count]
        if real.size:
            frames[: real.size] = _cut(clips.frames(real), recipe)
        return frames, np.where(rows < count, padded / count, 0).astype("float32")

    def as_inputs(frames, weights):
        return {"frames": frames[:, :-1], "observed": np.tile(observed, (size, 1))}, frames[:, 1:], weights

    return _batches(range(0, count, batch_size), read, [(size, *_clip_shape(recipe)), (size,)], as_inputs)


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


def _steps(recipe):
    return recipe.context_frames + recipe.forecast_frames - 1


def _cut(frames, recipe):
    return frames[:, : recipe.context_frames + recipe.forecast_frames]


def _batches(numbers, read, shapes, as_inputs):
    """Returns a data set of what `read` makes of each number, two float32 arrays of these shapes, as inputs."""
    import tensorflow as tf

    def load(number):
        arrays = tf.numpy_function(read, [number], [tf.float32, tf.float32])
        return as_inputs(*map(tf.ensure_shape, arrays, shapes))

    batches = tf.data.Dataset.range(numbers.start, numbers.stop, numbers.step)
    batches = batches.map(load).prefetch(2)
    batches = batches.apply(tf.data.experimental.assert_cardinality(len(numbers)))
    options = tf.data.Options()  # a strategy's workers would each read all and skip what is not theirs
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options)
