"""Trainings that are killed end as if they had not been: real processes, real SIGKILLs."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import keras
import numpy as np
import pytest

from mslstm_keras.data.streams import stream_clips
from mslstm_keras.training import fit
from mslstm_keras.training.recipes import Recipe
from tests.support import forked

KILLS = 10  # of each of two runs
SAVES = 4  # of them while a checkpoint is written
INTERVAL = 3  # steps
STEPS = 30 * INTERVAL  # more than ten processes get through before they are killed
PATIENCE = 300  # seconds that no process takes

STREAM = Recipe(
    "killed",
    model="sms_lstm",
    context_frames=2,
    forecast_frames=3,
    filters=2,
    layers=3,
    patch_size=8,
    data="moving_mnist_clips/optdigits",
    stream=True,
    batch_size=2,
    steps=STEPS,
    interval_steps=INTERVAL,
    learning_rate=0.01,
    decay_steps=STEPS,
    sampling_steps=STEPS + 10,  # still going on at the last step
    clip_norm=100.0,
    seed=4,
)


def fixed(folder):
    """Returns the recipe with 21 fixed clips instead: epochs of 10 steps, which no interval divides."""
    path = folder / "clips.npy"
    np.save(path, stream_clips(STREAM.data, seed=0).read(np.arange(24))[:, :5])
    return STREAM.with_settings({"data": str(path), "stream": "false"})


def train(recipe, run, step):
    """Trains in a process of its own, and tells the number of the step that it is at."""

    class Telling(fit._Progress):
        def on_train_batch_begin(self, batch, logs=None):
            step.value = int(self.model.optimizer.iterations)

    fit._Progress = Telling
    fit.train(recipe, run, resume=True, verbose=0)


@dataclass
class Moment:
    """When a process is killed: so many steps after it went on, or at the next checkpoint behind them."""

    steps: int
    saving: bool
    delay: float  # seconds

    def has_come(self, first, now, run):
        return first >= 0 and now >= first + self.steps and (not self.saving or partial_checkpoints(run))


def moments(seed):
    """Returns seeded random moments, in random order."""
    rng = np.random.default_rng(seed)
    return [
        Moment(int(rng.integers(0, 3 * INTERVAL)), bool(saving), rng.uniform(0, 0.01))
        for saving in rng.permutation(KILLS) < SAVES
    ]


def partial_checkpoints(run):
    return list(run.glob(".partial-*-checkpoint.keras"))


def kill(recipe, run, moment):
    """Goes on with a run and kills it; returns the step it was at, and whether it left half a checkpoint."""
    step = forked.shared_number()
    process = forked.start(train, recipe, run, step)
    first, deadline = -1, time.monotonic() + PATIENCE
    while not moment.has_come(first, step.value, run):
        assert process.is_alive(), "the training ended before it was killed"
        assert time.monotonic() < deadline, "the training hangs"
        first = step.value if first < 0 else first
        time.sleep(0.0005)
    time.sleep(moment.delay)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return step.value, bool(partial_checkpoints(run))


def finish(recipe, run):
    process = forked.start(train, recipe, run, forked.shared_number())
    process.join(PATIENCE)
    assert process.exitcode == 0


def state(run):
    """Returns weights and optimiser of a run's checkpoint."""
    model = keras.models.load_model(run / fit.CHECKPOINT)
    assert int(model.optimizer.iterations) == STEPS
    return [*model.get_weights(), *(variable.numpy() for variable in model.optimizer.variables)]


def log(run):
    return np.genfromtxt(run / fit.LOG, delimiter=",", names=True)


@pytest.mark.slow
def test_killed_trainings_end_like_uninterrupted_ones(tmp_path):
    """Twenty kills, at least five of which leave half a checkpoint behind."""
    recipes = {"stream": STREAM, "fixed": fixed(tmp_path)}

    def end(name, seed):
        run = tmp_path / name
        killed = [kill(recipes[name], run, moment) for moment in moments(seed)]
        finish(recipes[name], run)
        finish(recipes[name], tmp_path / f"{name} uninterrupted")
        return killed

    with ThreadPoolExecutor(len(recipes)) as pool:
        killed = dict(zip(recipes, pool.map(end, recipes, (0, 1)), strict=True))
    print("killed at (step, left half a checkpoint):", killed)  # shown if the test fails
    assert sum(half for kills in killed.values() for _, half in kills) >= 5
    for name in recipes:
        run, uninterrupted = tmp_path / name, tmp_path / f"{name} uninterrupted"
        for received, expected in zip(state(run), state(uninterrupted), strict=True):
            np.testing.assert_allclose(received, expected, rtol=1e-6, atol=1e-6)
        lines, expected = log(run), log(uninterrupted)
        assert lines.dtype.names == expected.dtype.names
        np.testing.assert_array_equal(lines["step"], np.arange(INTERVAL, STEPS + 1, INTERVAL))
        assert 0 < lines["truth_rate"].min() < lines["truth_rate"].max() < 1
        for column in set(lines.dtype.names) - {"seconds", "device"}:
            np.testing.assert_allclose(lines[column], expected[column], rtol=1e-6)
        assert {path.name for path in run.iterdir()} == {path.name for path in uninterrupted.iterdir()}
