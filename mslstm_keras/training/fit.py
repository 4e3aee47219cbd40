"""A training from its recipe: it can be killed at any moment and goes on to the same weights."""

import csv
import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mslstm_keras.files import remove_partial, replacing
from mslstm_keras.models.registry import create_model
from mslstm_keras.training.data import scoring_batches, training_batches, training_clips, validation_clips
from mslstm_keras.training.losses import FrameL1L2
from mslstm_keras.training.metrics.frame import FrameMSE
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.training.sampling import ReverseScheduledSampling, ScheduledSampling

CHECKPOINT, LOG, RECIPE = "checkpoint.keras", "log.csv", "recipe.json"
SEED = "seed-"


def train(
    recipe: Recipe,
    run_dir: str | os.PathLike,
    *,
    resume: bool = False,
    data_dir: str | os.PathLike | None = None,
    manual_dir: str | os.PathLike | None = None,
    verbose: int | str = "auto",
) -> keras.Model:
    """Trains a model by a recipe, or goes on with a training.

    The run folder holds `recipe.json`, `checkpoint.keras` (model and optimiser, written whole or not at all
    every `interval_steps`), `log.csv` (one line per interval) and `tensorboard/`. Initial weights, clips, their
    order, sampling and learning rate are functions of the seed and of the step number, so a run that is killed
    and resumed ends with the weights of one that was not. That holds on one machine, on its CPU as it stands; on
    a GPU only after `tf.config.experimental.enable_op_determinism()`.

    Args:
        recipe: the recipe. On resuming it may differ from that of the run in how to go on, such as `steps`.
        run_dir: folder of the run; made if it does not exist.
        resume: bool. Goes on from the checkpoint in `run_dir`; starts anew where there is none yet.
        data_dir: folder of prepared TFDS data sets.
        manual_dir: folder of source files, for recipes that stream.
        verbose: as in `keras.Model.fit`.

    Returns:
        The trained, compiled model.

    Raises:
        ValueError: if `run_dir` holds a run and `resume` is False, or the recipe, data or checkpoint do not fit.
        FloatingPointError: if the loss becomes infinite or NaN; the last checkpoint stays.
        OSError: if the run folder cannot be written.
    """
    run_dir = Path(run_dir)
    checkpoint = run_dir / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise ValueError(
            f"`run_dir` must be new; resume to go on with what it holds. Received: run_dir={str(run_dir)!r}"
        )
    clips = training_clips(recipe, data_dir, manual_dir)
    validation = None
    if recipe.validation_clips:
        held_out = validation_clips(recipe, data_dir, manual_dir)
        validation = scoring_batches(held_out, recipe, recipe.validation_clips, recipe.batch_size)
    model = compiled_model(recipe)
    first_step = _restore(model, checkpoint, recipe) if checkpoint.exists() else 0
    batches = training_batches(clips, recipe, first_step)
    log = _Log(run_dir / LOG, first_step)
    sampling = sampling_schedule(recipe)

    run_dir.mkdir(parents=True, exist_ok=True)
    remove_partial(run_dir)
    with replacing(run_dir / RECIPE) as temporary:
        temporary.write_text(json.dumps(recipe.to_dict(), indent=2) + "\n")
    model.fit(
        batches,
        initial_epoch=first_step // recipe.interval_steps,
        epochs=recipe.steps // recipe.interval_steps,
        steps_per_epoch=recipe.interval_steps,
        validation_data=validation,
        shuffle=False,  # the batches come in the order of their step numbers
        verbose=verbose,
        callbacks=[
            sampling,
            _StopOnNonFiniteLoss(),
            _Progress(recipe, sampling),
            keras.callbacks.TensorBoard(run_dir / "tensorboard", write_graph=False),
            log,
            _Checkpoint(checkpoint),  # last: a line of the log without its checkpoint is written again
        ],
    )
    return model


def train_seeds(
    recipe: Recipe, run_dir: str | os.PathLike, count: int, **options: Any
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


def seed_folders(run_dir: str | os.PathLike) -> list[Path]:
    """Returns the folders of the runs that `train_seeds` has made in a folder, by their seeds."""
    folders = [path for path in Path(run_dir).glob(f"{SEED}*") if (path / RECIPE).exists()]
    return sorted(folders, key=lambda path: int(path.name.removeprefix(SEED)))


def set_threads(batch_size: int) -> bool:
    """Gives each operation of this process one thread and runs as many operations at once as there are processors.

    On processors alone, with small maps or with a batch that can be cut into as many lanes, that feeds them better
    than TensorFlow's own setting, all threads for every operation (docs/performance.md).

    Args:
        batch_size: int. Clips per step; left as it is where the number of processors does not divide it.

    Returns:
        Whether anything was set. TensorFlow cannot change its threads once it has computed something.
    """
    import tensorflow as tf

    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if (
        keras.backend.backend() != "tensorflow"
        or batch_size % processors
        or tf.config.list_physical_devices("GPU")
    ):
        return False
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(processors)
    except RuntimeError:
        return False
    return True


def read_recipe(run_dir: str | os.PathLike) -> Recipe:
    """Returns the recipe of a run.

    Raises:
        ValueError: if the folder holds no readable recipe.
    """
    path = Path(run_dir, RECIPE)
    try:
        return Recipe.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"`run_dir` must hold a readable {RECIPE}. Received: {path} ({error})") from error


def compiled_model(recipe: Recipe) -> keras.Model:
    """Returns the untrained model of a recipe, compiled with its optimiser, loss and the score of its forecast."""
    keras.utils.set_random_seed(recipe.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.dtype)
    try:
        model = create_model(
            recipe.model,
            recipe.frame_shape,
            recipe.context_frames,
            recipe.forecast_frames,
            **recipe.model_options(),
        )
    finally:
        keras.config.set_dtype_policy(policy)
    model.compile(
        keras.optimizers.Adam(learning_rate_schedule(recipe), global_clipnorm=recipe.clip_norm),
        loss=FrameL1L2(recipe.l1_weight),
        metrics=[FrameMSE(recipe.forecast_frames)],
    )
    # Otherwise `fit` builds it while it traces the training step, and traces that twice.
    model.optimizer.build(model.trainable_variables)
    return model


def learning_rate_schedule(recipe: Recipe) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate by step: constant, then a cosine to zero over the last `decay_steps`."""
    if not recipe.decay_steps:
        return keras.optimizers.schedules.PiecewiseConstantDecay([recipe.steps], [recipe.learning_rate] * 2)
    # Keras' warm-up from a rate to the same rate is the constant part.
    return keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate,
        recipe.decay_steps,
        warmup_target=recipe.learning_rate,
        warmup_steps=recipe.steps - recipe.decay_steps,
    )


def sampling_schedule(recipe: Recipe) -> ScheduledSampling | ReverseScheduledSampling:
    """Returns the callback by which a recipe's model is fed the truth."""
    schedules = {"scheduled": ScheduledSampling, "reverse": ReverseScheduledSampling}
    return schedules[recipe.sampling](recipe.sampling_steps)


def _restore(model, checkpoint, recipe):
    """Takes over weights and optimiser of a checkpoint; returns the number of steps that it has seen."""
    try:
        saved = keras.models.load_model(checkpoint)
        model.set_weights(saved.get_weights())
        for variable, value in zip(model.optimizer.variables, saved.optimizer.variables, strict=True):
            variable.assign(value)
    except Exception as error:  # Keras answers unreadable files with many kinds of exception
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"`run_dir` must hold a checkpoint of the recipe's model. Received: {checkpoint} ({reason})"
        ) from error
    step = int(model.optimizer.iterations)
    if step > recipe.steps or step % recipe.interval_steps:
        raise ValueError(
            f"`steps` must not be below the {step} steps of the checkpoint, and `interval_steps` must divide them. "
            f"Received: steps={recipe.steps}, interval_steps={recipe.interval_steps}"
        )
    return step


class _Progress(keras.callbacks.Callback):
    """Adds to each line of the log: steps and clips seen, learning rate, probability of feeding the truth."""

    def __init__(self, recipe, sampling):
        super().__init__()
        self.recipe = recipe
        self.sampling = sampling

    def on_epoch_end(self, epoch, logs=None):
        step = (epoch + 1) * self.recipe.interval_steps
        logs.update(
            step=step,
            clips=step * self.recipe.batch_size,
            learning_rate=float(self.model.optimizer.learning_rate),
            truth_rate=self.sampling.truth_rate(step),
        )


class _Log(keras.callbacks.Callback):
    """Writes the log anew, whole or not at all, with one more line after each interval.

    Lines behind the checkpoint are dropped: resuming writes them again. (Keras' CSVLogger only appends, cannot
    take up a column that is new on resuming, and adds empty columns to a run without validation.)
    """

    def __init__(self, path, first_step):
        super().__init__()
        self.path = path
        self.lines = []
        if path.exists():
            try:
                with path.open(newline="") as file:
                    self.lines = [line for line in csv.DictReader(file) if int(line["step"]) <= first_step]
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"`run_dir` must hold a log with a column of steps, or none. Received: {path}"
                ) from error

    def on_epoch_end(self, epoch, logs=None):
        self.lines.append({"epoch": epoch, **logs})
        columns = sorted(set().union(*self.lines) - {"epoch"})
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", *columns], restval="nan")
            writer.writeheader()
            writer.writerows(self.lines)


class _Checkpoint(keras.callbacks.Callback):
    """Saves model and optimiser after each interval, whole or not at all."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        if not all(np.isfinite(weight).all() for weight in self.model.get_weights()):
            raise FloatingPointError(_not_finite("A weight", int(self.model.optimizer.iterations)))
        with replacing(self.path) as temporary:
            self.model.save(temporary)


class _StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Ends a training that has diverged, before a checkpoint of it is written."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(_not_finite("The loss", int(self.model.optimizer.iterations)))


def _not_finite(what, step):
    return (
        f"{what} is infinite or NaN at step {step}: lower `learning_rate` or set `clip_norm`. "
        "The last checkpoint is as it was"
    )
