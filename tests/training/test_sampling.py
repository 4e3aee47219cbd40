"""Scheduled sampling: the rate by step, the draws by seed and step, both set by `fit`."""

import keras
import numpy as np
import pytest

from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import ObservedFrames, Rollout, find_layer
from mslstm_keras.training.sampling import ScheduledSampling

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
    """Notes what the model is set to at each step, and the plane it would draw."""

    def __init__(self):
        super().__init__()
        self.rates, self.steps, self.planes = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        layer = find_layer(self.model, ObservedFrames)
        self.rates.append(layer.truth_rate.numpy().tolist())
        self.steps.append(int(layer.draws.state[1]))
        self.planes.append(np.array(layer(FRAMES, training=True)))


@pytest.mark.parametrize(("step", "rate"), [(0, 1.0), (1, 0.75), (2, 0.5), (4, 0.0), (5, 0.0), (1000, 0.0)])
def test_rate_falls_linearly_and_stays_at_zero(step, rate):
    assert ScheduledSampling(4).truth_rate(step) == rate


def test_fit_sets_rate_and_step_before_each_step():
    record = Record()
    fit(compiled(), ScheduledSampling(4), record, epochs=2)
    assert record.rates == [[1, 1], [1, 0.75], [1, 0.5], [1, 0.25], [1, 0], [1, 0]]
    assert record.steps == [0, 1, 2, 3, 4, 5]


def test_schedule_goes_on_where_the_optimiser_is():
    straight, resumed = Record(), Record()
    fit(compiled(), ScheduledSampling(8), straight, epochs=2)
    model = compiled()
    model.optimizer.iterations.assign(3)
    fit(model, ScheduledSampling(8), resumed)
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


def test_training_leaves_a_model_that_sees_the_context_alone():
    model = compiled()
    fit(model, ScheduledSampling(100))
    layer = find_layer(model, ObservedFrames)
    assert layer.truth_rate.numpy().tolist() == [1, 0]
    assert int(layer.draws.state[1]) == 0
    hidden = FRAMES.copy()
    hidden[:, 2:] = 0
    np.testing.assert_array_equal(model(hidden, training=False), model(FRAMES, training=False))


def test_steps_must_be_positive():
    with pytest.raises(ValueError, match=r"`sampling_steps` must be at least 1. Received: sampling_steps=0"):
        ScheduledSampling(0)


def test_other_models_are_refused():
    model = keras.Sequential([keras.Input((5, 4, 4, 1)), keras.layers.Dense(1)], name="dense")
    model.compile("sgd", "mse")
    with pytest.raises(
        ValueError, match=r"`model` must have one ObservedFrames layer.* Received: 'dense' with 0"
    ):
        fit(model, ScheduledSampling(4))
