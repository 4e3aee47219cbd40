"""Schedules of sampling: the rates by step, the draws by seed and step, both set by `fit`."""

import json
import math
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import ObservedFrames, Rollout, find_layer
from mslstm_keras.training.recipes import SAMPLINGS, Recipe
from mslstm_keras.training.sampling import (
    ReverseScheduledSampling,
    ScheduledSampling,
    draw_observed,
    sampling_schedule,
)
from tests.support.golden import load_golden
from tests.support.processes import run_script

ROOT = Path(__file__).parents[2]
SCHEDULES = [ScheduledSampling, ReverseScheduledSampling]
FRAMES = np.random.default_rng(0).random((6, 5, 4, 4, 1), dtype="float32")


def compiled(seed=0):
    model = create_model("conv_lstm", (4, 4, 1), 2, 4, filters=1, layers=1, seed=seed)
    model.compile("sgd", "mse")
    return model


def fit(model, *callbacks, epochs=1):
    """Trains for three steps an epoch."""
    model.fit(
        FRAMES, FRAMES, batch_size=2, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks)
    )


class Record(keras.callbacks.Callback):
    """Notes what the model is set to at each step, and the plane it would draw; stands behind the schedule."""

    def __init__(self):
        super().__init__()
        self.rates, self.steps, self.planes = [], [], []

    def on_train_batch_begin(self, batch, logs=None):
        layer = find_layer(self.model, ObservedFrames)
        self.rates.append(layer.truth_rate.numpy().tolist())
        self.steps.append(int(layer.draws.state[1]))
        self.planes.append(np.array(layer(FRAMES, training=True)))


@pytest.mark.parametrize(("step", "rate"), [(0, 1.0), (1, 0.75), (2, 0.5), (4, 0.0), (5, 0.0), (1000, 0.0)])
def test_rate_falls_linearly_and_stays_at_zero(step, rate):
    assert ScheduledSampling(4).truth_rate(step) == rate


@pytest.mark.parametrize(
    ("step", "context", "forecast"),
    [
        (0, 0.5, 0.5),
        (10, 0.5, 0.5),
        (11, 1 - np.exp(-0.5) / 2, 0.45),
        (15, 1 - np.exp(-2.5) / 2, 0.25),
        (19, 1 - np.exp(-4.5) / 2, 0.05),
        (20, 1.0, 0.0),
        (30, 1.0, 0.0),
        (1000, 1.0, 0.0),
    ],
)
def test_reverse_rates_part_in_the_second_third_and_stay_apart(step, context, forecast):
    schedule = ReverseScheduledSampling(30)
    assert schedule.context_truth_rate(step) == pytest.approx(context, abs=1e-12)
    assert schedule.truth_rate(step) == pytest.approx(forecast, abs=1e-12)


@pytest.mark.parametrize("steps_per_epoch", [1, 7])
@pytest.mark.parametrize("epochs", [12, 16, 20, 30])
def test_reverse_rates_are_those_of_the_public_code(epochs, steps_per_epoch):
    arrays, _ = load_golden("metrics/reverse_scheduled_sampling_schedule")
    context, forecast, numbers = (arrays[f"f64/epochs{epochs}/{name}"] for name in ("eta_r", "eta", "epoch"))
    assert len(numbers) == epochs + 1
    schedule = ReverseScheduledSampling(epochs * steps_per_epoch)
    steps = [int(number) * steps_per_epoch for number in numbers]
    np.testing.assert_allclose([schedule.context_truth_rate(step) for step in steps], context, atol=1e-12)
    np.testing.assert_allclose([schedule.truth_rate(step) for step in steps], forecast, atol=1e-12)


def test_the_context_is_always_the_truth_unless_reversed():
    assert {ScheduledSampling(4).context_truth_rate(step) for step in range(6)} == {1.0}


def test_fit_sets_rates_and_step_before_each_step():
    record = Record()
    fit(compiled(), ScheduledSampling(4), record, epochs=2)
    assert record.rates == [[1, 1], [1, 0.75], [1, 0.5], [1, 0.25], [1, 0], [1, 0]]
    assert record.steps == [0, 1, 2, 3, 4, 5]


def test_fit_sets_reverse_rates_too():
    record = Record()
    fit(compiled(), ReverseScheduledSampling(6), record, epochs=2)
    halfway = [1 - np.exp(-2.5) / 2, 0.25]
    expected = [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], halfway, [1, 0], [1, 0]]
    np.testing.assert_allclose(record.rates, expected, rtol=1e-6)
    assert record.steps == [0, 1, 2, 3, 4, 5]
    first = np.array(record.planes[:3])  # of a context of two frames
    assert (first[..., 0] == 1).all()
    assert 0 < first[..., 1].mean() < 1 and 0 < first[..., 2:].mean() < 1
    np.testing.assert_array_equal(record.planes[4:], [[[1, 1, 0, 0, 0]] * len(FRAMES)] * 2)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule_goes_on_where_the_optimiser_is(schedule):
    straight, resumed = Record(), Record()
    fit(compiled(), schedule(8), straight, epochs=2)
    model = compiled()
    model.optimizer.iterations.assign(3)
    fit(model, schedule(8), resumed)
    assert resumed.rates == straight.rates[3:]
    assert resumed.steps == straight.steps[3:]
    np.testing.assert_array_equal(resumed.planes, straight.planes[3:])


def test_draws_depend_on_seed_and_step_alone():
    def draw(seed, step):
        layer = ObservedFrames(2, 9, seed=seed)
        layer(FRAMES)
        layer.set_truth_rate(1.0, 0.5, step)
        first = np.array(layer(FRAMES, training=True))
        keras.random.uniform((3,))  # another draw in between changes nothing
        np.testing.assert_array_equal(layer(FRAMES, training=True), first)
        return first

    np.testing.assert_array_equal(draw(5, 3), draw(5, 3))
    assert (draw(5, 3) != draw(5, 4)).any()
    assert (draw(5, 3) != draw(6, 3)).any()
    assert (draw(5, 3)[:, :2] == 1).all()  # the context
    assert 0 < draw(5, 3)[:, 2:].mean() < 1


def test_what_is_drawn_is_what_the_model_is_fed():
    """The loss of a step is that of the plane which its rate and number give."""
    model = compiled(seed=7)
    layer, rollout = find_layer(model, ObservedFrames), find_layer(model, Rollout)
    layer.set_truth_rate(1.0, 0.5, 2)
    plane = layer(FRAMES, training=True)
    assert 0 < np.mean(plane[:, 2:]) < 1
    expected = keras.ops.mean(keras.ops.square(rollout(FRAMES, plane, training=True) - FRAMES))
    model.optimizer.iterations.assign(2)
    history = model.fit(
        FRAMES, FRAMES, batch_size=6, shuffle=False, verbose=0, callbacks=[ScheduledSampling(4)]
    )
    np.testing.assert_allclose(history.history["loss"], [expected], rtol=1e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_training_leaves_a_model_that_sees_the_context_alone(schedule):
    model = compiled()
    fit(model, schedule(100))
    layer = find_layer(model, ObservedFrames)
    assert layer.truth_rate.numpy().tolist() == [1, 0]
    assert int(layer.draws.state[1]) == 0
    hidden = FRAMES.copy()
    hidden[:, 2:] = 0
    np.testing.assert_array_equal(model(hidden, training=False), model(FRAMES, training=False))


class Interrupt(keras.callbacks.Callback):
    """Interrupts the second step, at the moment of a callback's name."""

    def __init__(self, moment):
        super().__init__()
        setattr(self, moment, self.interrupt)

    def interrupt(self, batch, logs=None):
        if batch == 1:
            raise KeyboardInterrupt


def spoilt_batches():
    """Returns batches of which the second one fails to be read, which is inside of Keras' step."""
    frames = FRAMES.copy()
    frames[2] = np.nan
    clips = tf.data.Dataset.from_tensor_slices(frames).map(
        lambda clip: tf.debugging.check_numerics(clip, "NaN")
    )
    return clips.map(lambda clip: (clip, clip)).batch(2)


@pytest.mark.parametrize("moment", ["on_train_batch_begin", "in the step", "before", "on_train_batch_end"])
def test_an_interrupted_training_leaves_nothing_for_the_next(moment):
    """Neither in the middle of a step, nor where the schedule is not told of its end, nor behind it."""
    model, schedule = compiled(), ReverseScheduledSampling(100)
    layer = find_layer(model, ObservedFrames)
    if moment == "in the step":
        with pytest.raises(tf.errors.InvalidArgumentError):
            model.fit(spoilt_batches(), shuffle=False, verbose=0, callbacks=[schedule])
    else:
        before = moment == "before"
        interrupt = Interrupt("on_train_batch_end" if before else moment)
        with pytest.raises(KeyboardInterrupt):
            fit(model, *([interrupt, schedule] if before else [schedule, interrupt]))
    assert layer.lent == (moment != "on_train_batch_end")
    fresh = compiled()
    fresh.set_weights([*model.get_weights()])
    find_layer(fresh, ObservedFrames).set_truth_rate(1.0, 0.0, 0)
    record = Record()
    for each in (model, fresh):
        fit(each, record)
    assert record.rates == [[1, 0]] * 6
    assert record.steps == [0] * 6
    for value, expected in zip(model.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("weights_only", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_a_file_saved_within_an_epoch_holds_no_rate_of_a_step(tmp_path, first, weights_only):
    path = tmp_path / ("model.weights.h5" if weights_only else "model.keras")
    checkpoint = keras.callbacks.ModelCheckpoint(path, save_freq=2, save_weights_only=weights_only)
    rates, model = [], compiled()

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(find_layer(self.model, ObservedFrames).truth_rate.numpy().tolist())

    schedule = ReverseScheduledSampling(100)
    fit(model, *([Look(), checkpoint, schedule] if first else [schedule, Look(), checkpoint]))
    assert rates == [[0.5, 0.5] if first else [1, 0]] * 3
    if weights_only:
        loaded = compiled()
        find_layer(loaded, ObservedFrames).set_truth_rate(0.0, 0.0, 0)
        loaded.load_weights(path)
    else:
        loaded = keras.models.load_model(path)
    assert find_layer(loaded, ObservedFrames).truth_rate.numpy().tolist() == [1, 0]
    assert len(loaded.get_weights()) == len(model.get_weights())


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_a_rate_that_a_user_has_set_stays(tmp_path):
    model, record = compiled(), Record()
    find_layer(model, ObservedFrames).set_truth_rate(1.0, 0.5, 7)
    fit(model, record)
    assert record.rates == [[1, 0.5]] * 3 and record.steps == [7] * 3
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert find_layer(loaded, ObservedFrames).truth_rate.numpy().tolist() == [1, 0.5]


def test_logs_have_no_word_of_rates():
    model = compiled()
    assert set(model.evaluate(FRAMES, FRAMES, verbose=0, return_dict=True)) == {"loss"}
    assert isinstance(model.evaluate(FRAMES, FRAMES, verbose=0), float)
    history = model.fit(FRAMES, FRAMES, verbose=0, callbacks=[ScheduledSampling(4)]).history
    assert set(history) == {"loss"}


@pytest.mark.parametrize("scaled", [False, True])
def test_parts_of_a_batch_have_the_rate_of_its_step_and_their_own_draws(scaled):
    model, record = compiled(), Record()
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=2)
    model.compile(keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer, "mse")
    fit(model, ScheduledSampling(4), record, epochs=2)
    assert record.rates == [[1, rate] for rate in (1, 1, 0.75, 0.75, 0.5, 0.5)]
    assert record.steps == [0, 1, 2, 3, 4, 5]
    assert not np.array_equal(record.planes[2], record.planes[3])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_several_steps_per_execution_are_refused(schedule):
    model = compiled()
    model.compile("sgd", "mse", steps_per_execution=3)
    with pytest.raises(ValueError, match=r"`steps_per_execution` must be 1 .* steps_per_execution=3$"):
        fit(model, schedule(4))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [0, -1, math.nan, "10", None])
def test_steps_must_be_positive(schedule, steps):
    received = f"Received: sampling_steps={steps!r}$"
    with pytest.raises(ValueError, match=rf"`sampling_steps` must be a number of at least 1\. {received}"):
        schedule(steps)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_other_models_are_refused(schedule):
    model = keras.Sequential([keras.Input((5, 4, 4, 1)), keras.layers.Dense(1)], name="dense")
    model.compile("sgd", "mse")
    with pytest.raises(
        ValueError, match=r"`model` must have one ObservedFrames layer.* Received: 'dense' with 0"
    ):
        fit(model, schedule(4))


def test_every_sampling_has_its_schedule():
    schedules = [sampling_schedule(Recipe("r", sampling=kind, sampling_steps=5)) for kind in SAMPLINGS]
    assert [type(schedule) for schedule in schedules] == [ScheduledSampling, ReverseScheduledSampling]
    assert {schedule.sampling_steps for schedule in schedules} == {5}


def drawn(step, **changes):
    fields = {"context_frames": 3, "forecast_frames": 4, "batch_size": 500, "sampling_steps": 8, **changes}
    return draw_observed(Recipe("r", **fields), step)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("step", [0, 3, 6])
def test_frames_are_drawn_as_often_as_the_schedule_says(sampling, step):
    plane = drawn(step, sampling=sampling)
    assert plane.shape == (500, 6)
    assert plane.dtype == "float32"
    assert set(np.unique(plane)) <= {0, 1}
    schedule = sampling_schedule(Recipe("r", sampling=sampling, sampling_steps=8))
    context, forecast = schedule.context_truth_rate(step), schedule.truth_rate(step)
    deviation = 4 * np.sqrt(0.25 / 500)  # four standard deviations of the mean of 500 draws, at most
    np.testing.assert_allclose(plane.mean(axis=0), [1, *[context] * 2, *[forecast] * 3], atol=deviation)


def test_drawn_frames_depend_on_seed_and_step_alone():
    np.testing.assert_array_equal(drawn(4), drawn(4))
    assert (drawn(4) != drawn(5)).any()
    assert (drawn(4) != drawn(4, seed=1)).any()


@pytest.mark.slow
def test_schedules_reach_the_steps_of_jax():
    """There a step reads no variable of a callback, unless that brings the state home first."""
    script = """
        import json, os
        import keras, numpy as np
        from mslstm_keras import FrameL1L2, ScheduledSampling, create_model
        from mslstm_keras.models.rollout import ObservedFrames, Rollout, find_layer
        assert keras.backend.backend() == "jax"
        import jax
        seen, call = [], Rollout.call
        def telling(rollout, frames, observed, training=False):
            if training:
                jax.debug.callback(lambda plane: seen.append(np.asarray(plane).tolist()), observed, ordered=True)
            return call(rollout, frames, observed, training=training)
        Rollout.call = telling
        model = create_model("conv_lstm", (4, 4, 1), 2, 4, filters=1, layers=1)
        model.compile("sgd", FrameL1L2())
        frames = np.zeros((6, 5, 4, 4, 1), "float32")
        model.fit(frames, frames, batch_size=2, epochs=2, verbose=0, callbacks=[ScheduledSampling(2)])
        planes = seen[-6:]
        # Interrupted before a step, and then without a schedule.
        class Interrupt(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                if batch == 1:
                    raise KeyboardInterrupt
        try:
            model.fit(frames, frames, batch_size=2, verbose=0, callbacks=[ScheduledSampling(10**6), Interrupt()])
        except KeyboardInterrupt:
            pass
        assert find_layer(model, ObservedFrames).truth_rate.numpy()[1] > 0.9
        model.fit(frames, frames, batch_size=2, verbose=0)
        print(json.dumps(planes + seen[-3:]))
    """
    child = run_script(script, ROOT, env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"})
    assert child.returncode == 0, child.stderr
    planes = np.array(json.loads(child.stdout.splitlines()[-1]))
    assert planes.shape == (9, 2, 5)
    assert (planes[0] == 1).all()  # step 0: the truth; step 1: half of it; then none
    assert 0 < planes[1][:, 2:].mean() < 1
    np.testing.assert_array_equal(planes[2:], [[[1, 1, 0, 0, 0]] * 2] * 7)
