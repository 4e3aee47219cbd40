"""Steps of any size that are compiled once."""

import gc
import weakref

import numpy as np
import pytest

from mslstm_keras.forecasting import stepping
from mslstm_keras.forecasting.stepping import SIZES, Stepper
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.resizing import resized_model
from mslstm_keras.models.rollout import Rollout, find_layer
from tests.support.equations import assert_close, randomise

FRAME = (8, 8, 1)


def small(**options):
    model = create_model("ms_lstm", FRAME, 2, 2, **{"filters": 2, "layers": 3, "patch_size": 2, **options})
    randomise(model)
    return model


def step_of(model):
    return find_layer(model, Rollout).step


def test_frames_are_padded_with_zeros_below_and_to_the_right():
    stepper = Stepper(step_of(small()), (10, 13, 1))
    assert stepper.shape == (12, 16, 1)
    padded = np.array(stepper.pad(np.ones((2, 10, 13, 1), "float32")))
    assert padded.shape == (2, 12, 16, 1)
    assert padded[:, :10, :13].all()
    assert padded.sum() == 2 * 10 * 13


def test_a_step_of_another_size_has_the_weights_that_the_model_has_now():
    model = small()
    frame = np.random.default_rng(0).random((1, 12, 8, 1), "float32")
    for seed in (1, 2):
        randomise(model, seed)
        stepper = Stepper(step_of(model), (12, 8, 1))
        prediction, _ = stepper(frame, stepper.begin(1))
        resized = step_of(resized_model(model, (12, 8, 1)))
        expected = resized.predict_on_batch([frame, *map(np.array, stepper.begin(1))])[0]
        assert_close(prediction, expected, 1e-6)


def test_steps_are_kept_and_compiled_once(monkeypatch):
    compiled = []
    make = stepping._compile
    monkeypatch.setattr(
        stepping, "_compile", lambda step: compiled.append(step().inputs[0].shape) or make(step)
    )
    step = step_of(small())
    for _ in range(3):
        for shape in ((8, 8, 1), (9, 8, 1), (12, 8, 1)):
            Stepper(step, shape)
    assert compiled == [(None, 8, 8, 1), (None, 12, 8, 1)]
    for rows in range(1, SIZES + 3):
        Stepper(step, (4 * rows, 16, 1))
    assert len(stepping._RESIZED[step]) == SIZES


def test_what_is_kept_of_a_model_goes_with_it():
    model = small()
    step = weakref.ref(step_of(model))
    for shape in (FRAME, (12, 8, 1)):
        stepper = Stepper(step(), shape)
        stepper(np.zeros((1, *shape), "float32"), stepper.begin(1))
    del model, stepper
    for _ in range(3):
        gc.collect()
    assert step() is None


@pytest.mark.parametrize("batch", [1, 3])
def test_states_begin_as_zeros(batch):
    states = Stepper(step_of(small()), (16, 8, 1)).begin(batch)
    assert [tuple(state.shape) for state in states][:1] == [(batch, 8, 4, 2)]
    assert not any(np.array(state).any() for state in states)
