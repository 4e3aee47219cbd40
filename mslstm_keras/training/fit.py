"""A training from its recipe: it can be killed at any moment and goes on to the same weights."""

import contextlib
import csv
import dataclasses
import importlib.util
import json
import math
import os
import re
import shutil
import time
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mslstm_keras.files import remove_partial, replacing
from mslstm_keras.importing import needed
from mslstm_keras.locks import claimed
from mslstm_keras.metrics.frame import FrameMSE
from mslstm_keras.models.registry import create_model, dtype_policy, told_model
from mslstm_keras.training.devices import alone, place
from mslstm_keras.training.feeding import scoring_batches, training_batches, training_clips, validation_clips
from mslstm_keras.training.losses import FrameL1L2
from mslstm_keras.training.machine import device
from mslstm_keras.training.optimizers import Adam, LossScaleOptimizer, RateOfUpdates, WarmUp
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.training.sampling import sampling_schedule

CHECKPOINT, CHECKPOINT_BEFORE = "checkpoint.keras", "checkpoint-before.keras"
LOG, RECIPE = "log.csv", "recipe.json"
SEED = "seed-"


def train(
    recipe: Recipe,
    run_dir: str | os.PathLike[str],
    *,
    resume: bool = False,
    devices: int | str | Sequence[str] | None = None,
    initial: keras.Model | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
    verbose: int | str = "auto",
) -> keras.Model:
    """Trains a model by a recipe, or goes on with a training.

    The run folder holds `recipe.json`, `checkpoint.keras` (model, optimiser and step, written whole or not at all
    every `interval_steps`), `checkpoint-before.keras` (the one before it), `log.csv` (one line per interval, with the
    seconds that it took and on what) and `tensorboard/`. Initial weights, clips, their order, sampling and learning
    rate are functions of the seed and of the step number, so a run that is killed and resumed ends with the weights of
    one that was not. That holds on one machine: on its CPU always, on a GPU only after
    `tf.config.experimental.enable_op_determinism()`. The number of devices changes the weights by rounding alone.

    Args:
        recipe: the recipe. On resuming it may differ from that of the run in how to go on, such as `steps`.
        run_dir: folder of the run; made if it does not exist. Several hosts must share it; the first one writes it.
        resume: bool. Goes on from the checkpoint in `run_dir`, or from the one before if that cannot be read; starts
            anew where there is none yet.
        devices: devices that share every batch, as `mslstm_keras.training.devices.place` takes them.
        initial: model from whose weights a new run starts, where the recipe names one.
        data_dir: folder of prepared TFDS data sets.
        manual_dir: folder of source files, for recipes that stream. A data set that is prepared must have been made of
            them.
        verbose: as in `keras.Model.fit`.

    Returns:
        The trained, compiled model.

    Raises:
        ValueError: if another process is training in `run_dir`, it holds a run and `resume` is False, or the recipe,
            data, devices, initial weights or checkpoint do not fit.
        FloatingPointError: if the loss becomes infinite or NaN; the last checkpoint stays.
        OSError: if the run folder cannot be written.
    """
    run_dir = Path(run_dir)
    placement = place(devices)
    # Of several hosts that share the folder, the first one writes it.
    with claimed(run_dir) if placement.share.number == 0 else contextlib.nullcontext():
        saved = [path for path in (run_dir / CHECKPOINT, run_dir / CHECKPOINT_BEFORE) if path.exists()]
        if saved and not resume:
            raise ValueError(
                f"`run_dir` must be new; resume to go on with what it holds. Received: run_dir={str(run_dir)!r}"
            )
        if not saved and (initial is None) != (recipe.initial is None):
            raise ValueError(
                "`initial` must be given where the recipe names what it starts from, and only there. Received: "
                f"initial={initial if initial is None else initial.name!r}, recipe.initial={recipe.initial!r}"
            )
        placement.check(recipe)
        clips = training_clips(recipe, data_dir, manual_dir)
        recipe = _with_facts(recipe, clips)
        validation = None
        if recipe.validation_clips:
            validation = scoring_batches(
                validation_clips(recipe, data_dir, manual_dir),
                recipe,
                recipe.validation_clips,
                recipe.batch_size,
                placement.share,
            )
        with placement.scope():
            model = compiled_model(recipe)
            first_step, restored = 0, None
            if saved:
                first_step, restored = _restore_newest(model, saved, recipe)
            elif initial is not None:
                _start_from(model, initial)
            parts = [
                (training_batches(clips, recipe, part[0], placement.share), *part)
                for part in _parts(recipe, first_step)
            ]
            callbacks = [
                _StopOnNonFiniteLoss(recipe.interval_steps, recipe.gradient_accumulation_steps or 1),
                _Progress(recipe),
            ]
            if placement.share.number == 0:
                log = _Log(run_dir / LOG, first_step)
                remove_partial(run_dir)
                with replacing(run_dir / RECIPE) as temporary:
                    temporary.write_text(json.dumps(recipe.to_dict(), indent=2) + "\n")
                callbacks += [
                    *_tensorboard(run_dir / "tensorboard"),
                    log,
                    # Last: a line of the log without its checkpoint is written again.
                    _Checkpoint(run_dir, model, restored),
                ]
            for batches, begin, end, l1_weight in parts:
                averaged = [] if recipe.ema_momentum is None else [_LastWeights(model)]
                _told(model, dataclasses.replace(recipe, l1_weight=l1_weight)).fit(
                    batches,
                    initial_epoch=begin // recipe.interval_steps,
                    epochs=end // recipe.interval_steps,
                    steps_per_epoch=recipe.interval_steps * (recipe.gradient_accumulation_steps or 1),
                    validation_data=validation,
                    shuffle=False,  # the batches come in the order of their step numbers
                    verbose=verbose if placement.share.number == 0 else 0,
                    callbacks=[*callbacks, *averaged],
                )
                for each in averaged:
                    each.put_back()
            if recipe.ema_momentum is not None:
                model.optimizer.finalize_variable_values(model.trainable_variables)
                if placement.share.number == 0:
                    with alone(), replacing(run_dir / CHECKPOINT) as temporary:
                        _save(model, recipe.steps, temporary)
    return model


def _parts(recipe, first_step):
    """Returns what is left of the parts of a training: first step, last step, weight of the absolute error."""
    parts = [(0, recipe.l1_from, 0.0), (recipe.l1_from, recipe.steps, recipe.l1_weight)]
    left = [(max(begin, first_step), end, l1_weight) for begin, end, l1_weight in parts]
    return [part for part in left if part[0] < part[1]]  # with no batch left, some backends fail


def _with_facts(recipe, clips):
    """Returns the recipe with what its data stand for, which whatever is made of the run needs."""
    facts = {
        "scale": clips.scale,
        "quantity": clips.quantity,
        "interval_minutes": clips.interval,
        "spacing_metres": clips.spacing,
    }
    told = {name: value for name, value in facts.items() if value is not None}
    for name, value in told.items():
        given = getattr(recipe, name)
        if given not in (None, value):
            raise ValueError(
                f"`{name}` must be that of the prepared data set, {value!r}, or None. Received: {name}={given!r}"
            )
    return dataclasses.replace(recipe, **told)


def _tensorboard(folder):
    """Returns the callback that writes TensorBoard's log, or none where TensorFlow or TensorBoard is missing.

    Keras writes it by TensorFlow, and TensorFlow by TensorBoard, for which it looks in the midst of the training. Who
    has not installed TensorBoard has not asked for its log. A log that ends here, or TensorBoard that is there and
    cannot write, is worth a warning.
    """
    try:
        with needed("TensorBoard's log", "tensorboard"):
            importlib.import_module("tensorflow")
            importlib.import_module("tensorboard")
    except ImportError as error:
        if folder.exists() or importlib.util.find_spec("tensorboard"):
            warnings.warn(f"{error}: {folder} is not written", stacklevel=3)
        return []
    return [keras.callbacks.TensorBoard(folder, write_graph=False)]


def train_seeds(
    recipe: Recipe, run_dir: str | os.PathLike[str], count: int, **options: Any
) -> dict[int, keras.Model]:
    """Trains by a recipe several times, each time with another seed, as the paper averages three runs.

    Args:
        recipe: the recipe of the first; the seeds of the others follow its own.
        run_dir: folder of the runs, in which each has a folder `seed-N`.
        count: int. How many trainings.
        **options: arguments of `train`; with `resume`, those that have ended are left as they are.

    Returns:
        seed -> trained model.

    Raises:
        ValueError: if `count` is below 1, and as `train` does.
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: count={count}")
    models = {}
    for seed in range(recipe.seed, recipe.seed + count):
        keras.utils.clear_session()  # the layers of each model are named as if it were the first
        models[seed] = train(
            dataclasses.replace(recipe, seed=seed), Path(run_dir, f"{SEED}{seed}"), **options
        )
    return models


def seed_folders(run_dir: str | os.PathLike[str]) -> list[Path]:
    """Returns the folders of the runs that `train_seeds` has made in a folder, by their seeds."""
    # Others, such as a copy called seed-0-old, are somebody's own.
    folders = {
        int(path.name.removeprefix(SEED)): path
        for path in Path(run_dir).glob(f"{SEED}*")
        if re.fullmatch(rf"{SEED}\d+", path.name) and (path / RECIPE).exists()
    }
    return [folders[seed] for seed in sorted(folders)]


def read_recipe(run_dir: str | os.PathLike[str]) -> Recipe:
    """Returns the recipe of a run.

    Raises:
        ValueError: if the folder holds no readable recipe.
    """
    path = Path(run_dir, RECIPE)
    try:
        return Recipe.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"`run_dir` must hold a readable {RECIPE}. Received: {path} ({error})") from error


def read_step(checkpoint: str | os.PathLike[str]) -> int:
    """Returns the number of optimiser steps that a checkpoint has seen, those that float16 left out among them.

    Raises:
        ValueError: if the file is damaged or is no checkpoint of `train`.
    """
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            damaged = archive.testzip()  # Keras does not look at the sums
            if damaged:
                raise ValueError(f"{damaged} is damaged")
            return json.loads(archive.comment)["step"]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"`checkpoint` must be a whole file of `train`. Received: {checkpoint} ({_first_line(error)})"
        ) from error


def untrained_model(recipe: Recipe) -> keras.Model:
    """Returns the model of a recipe, with fresh weights."""
    with dtype_policy(recipe.dtype):
        return create_model(
            recipe.model,
            recipe.frame_shape,
            recipe.context_frames,
            recipe.forecast_frames,
            **recipe.model_options(),
        )


def compiled_model(recipe: Recipe) -> keras.Model:
    """Returns the untrained model of a recipe, compiled with its optimiser, loss and the score of its forecast."""
    keras.utils.set_random_seed(recipe.seed)
    model = untrained_model(recipe)
    optimizer = Adam(
        learning_rate_schedule(recipe),
        global_clipnorm=recipe.clip_norm,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        use_ema=recipe.ema_momentum is not None,
        ema_momentum=recipe.ema_momentum or 0.99,  # of no account where it is None
    )
    if recipe.dtype == "mixed_float16":
        optimizer = LossScaleOptimizer(optimizer)
    _compile(model, recipe, optimizer)
    # Otherwise `fit` builds it while it traces the training step, and traces that twice.
    model.optimizer.build(model.trainable_variables)
    return model


def _compile(model, recipe, optimizer):
    model.compile(
        optimizer,
        loss=FrameL1L2(recipe.l1_weight, balance=recipe.balance),
        weighted_metrics=[FrameMSE(recipe.forecast_frames)],
        steps_per_execution=recipe.steps_per_execution,
        jit_compile="auto" if recipe.jit_compile is None else recipe.jit_compile,
    )


def _told(model, recipe):
    """Returns what is fitted: the same layers, weights and optimiser, told by the batches which frames it may see."""
    told = told_model(model)
    _compile(told, recipe, model.optimizer)
    return told


def learning_rate_schedule(recipe: Recipe) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate by step: a warm-up, constant, then a cosine to zero over the last `decay_steps`."""
    schedule: keras.optimizers.schedules.LearningRateSchedule
    if recipe.decay_steps:
        # Keras' warm-up from a rate to the same rate is the constant part.
        schedule = keras.optimizers.schedules.CosineDecay(
            recipe.learning_rate,
            recipe.decay_steps,
            warmup_target=recipe.learning_rate,
            warmup_steps=recipe.steps - recipe.decay_steps,
        )
    else:
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
            [recipe.steps], [recipe.learning_rate] * 2
        )
    if recipe.warmup_steps:
        schedule = WarmUp(schedule, recipe.warmup_steps)
    pieces = recipe.gradient_accumulation_steps
    return RateOfUpdates(schedule, pieces) if pieces else schedule


def _start_from(model, initial):
    try:
        # Weights that learn: a model that has other frames to forecast may be the start, too.
        values = [variable.numpy() for variable in initial.trainable_variables]
        for variable, value in zip(model.trainable_variables, values, strict=True):
            variable.assign(value)
    except ValueError as error:
        raise ValueError(
            f"`initial` must have the weights of the recipe's model. Received: {initial.name!r} "
            f"({_first_line(error)})"
        ) from error


def _restore_newest(model, checkpoints, recipe):
    """Restores the first checkpoint that can be read; returns its step and its path."""
    errors = []
    for path in checkpoints:
        try:
            step = _restore(model, path, recipe)
        except _UnreadableError as error:
            errors.append(error)
            continue
        for earlier in errors:
            warnings.warn(f"{earlier}; going on from {path}, step {step}", stacklevel=3)
        return step, path
    raise errors[0]


class _UnreadableError(ValueError):
    """A checkpoint that cannot be taken over."""


def _restore(model, checkpoint, recipe):
    """Takes over weights and optimiser of a checkpoint; returns the number of steps that it has seen."""
    try:
        step = read_step(checkpoint)
        with alone():
            saved = keras.models.load_model(checkpoint)
        model.set_weights(saved.get_weights())
        for variable, value in zip(model.optimizer.variables, saved.optimizer.variables, strict=True):
            variable.assign(value)
    except Exception as error:  # Keras answers unreadable files with many kinds of exception
        raise _UnreadableError(
            f"`run_dir` must hold a checkpoint of the recipe's model. Received: {checkpoint} ({_first_line(error)})"
        ) from error
    if step > recipe.steps or step % recipe.interval_steps:
        raise ValueError(
            f"`steps` must not be below the {step} steps of the checkpoint, and `interval_steps` must divide them. "
            f"Received: steps={recipe.steps}, interval_steps={recipe.interval_steps}"
        )
    return step


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class _Progress(keras.callbacks.Callback):
    """Adds to each line of the log: steps and clips seen, learning rate, probability of feeding the truth."""

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe = recipe

    def on_epoch_end(self, epoch, logs=None):
        step = (epoch + 1) * self.recipe.interval_steps
        logs.update(
            step=step,
            clips=self.recipe.initial_clips + step * self.recipe.batch_size,
            learning_rate=float(self.model.optimizer.learning_rate),
            truth_rate=sampling_schedule(self.recipe).truth_rate(step),
        )


class _Log(keras.callbacks.Callback):
    """Writes the log anew, whole or not at all, with one more line after each interval.

    Lines behind the checkpoint are dropped: resuming writes them again. (Keras' CSVLogger only appends, cannot
    take up a column that is new on resuming, and adds empty columns to a run without validation.) A line also says
    how many seconds the interval took, and on what: a training may go on elsewhere.
    """

    def __init__(self, path: Path, first_step: int):
        super().__init__()
        self.path = path
        self.device = device()
        self.lines = []
        if path.exists():
            try:
                with path.open(newline="") as file:
                    self.lines = [line for line in csv.DictReader(file) if int(line["step"]) <= first_step]
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"`run_dir` must hold a log with a column of steps, or none. Received: {path}"
                ) from error

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.perf_counter() - self.began, 2)
        self.lines.append({"epoch": epoch, **logs, "seconds": seconds, "device": self.device})
        columns = sorted(set().union(*self.lines) - {"epoch"})
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", *columns], restval="nan")
            writer.writeheader()
            writer.writerows(self.lines)


class _Checkpoint(keras.callbacks.Callback):
    """Saves model, optimiser and step after each interval, whole or not at all, and keeps what was saved before."""

    def __init__(self, run_dir: Path, trained: keras.Model, restored: Path | None):
        super().__init__()
        self.path, self.before = run_dir / CHECKPOINT, run_dir / CHECKPOINT_BEFORE
        self.trained = trained
        self.readable = restored != self.before  # else what has the checkpoint's name could not be read

    def on_epoch_end(self, epoch, logs=None):
        if not all(np.isfinite(weight).all() for weight in self.trained.get_weights()):
            raise FloatingPointError(_not_finite("A weight", logs["step"]))
        with alone(), replacing(self.path) as temporary:
            _save(self.trained, logs["step"], temporary)
            if self.path.exists() and self.readable:
                with replacing(self.before) as kept:
                    _duplicate(self.path, kept)
        self.readable = True


class _LastWeights(keras.callbacks.Callback):
    """Keeps the weights of the last step: `fit` puts their moving averages in their place whenever it ends."""

    def __init__(self, trained: keras.Model):
        super().__init__()
        self.trained = trained

    def on_epoch_end(self, epoch, logs=None):
        self.values = self.trained.get_weights()

    def put_back(self):
        self.trained.set_weights(self.values)


def _save(model, step, path):
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        # A comment: Keras unpacks archives that have more files than its own.
        archive.comment = json.dumps({"step": step}).encode()


def _duplicate(path, other):
    try:
        os.link(os.path.realpath(path), other)  # of a file: a link would be as the next checkpoint is
    except OSError:  # a file system without links
        shutil.copyfile(path, other)


class _StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Ends a training that has diverged, before a checkpoint of it is written."""

    def __init__(self, interval_steps: int, pieces: int):
        super().__init__()
        self.interval_steps, self.pieces = interval_steps, pieces

    def on_epoch_begin(self, epoch, logs=None):
        self.first_step = epoch * self.interval_steps

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            step = self.first_step + batch // self.pieces + 1
            raise FloatingPointError(_not_finite("The loss", step))


def _not_finite(what, step):
    return (
        f"{what} is infinite or NaN at step {step}: lower `learning_rate` or set `clip_norm`. "
        "The last checkpoint is as it was"
    )
