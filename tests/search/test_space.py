"""What a search varies: plain data, hyperparameters of KerasTuner, and recipes again."""

import re

import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.search.hypermodel import build_hypermodel
from mslstm_keras.search.space import (
    checked_space,
    declare,
    default_space,
    rounded,
    varied,
    varied_values,
)
from mslstm_keras.training.recipes import Recipe, find_recipe

TINY = Recipe(
    "tiny",
    "tms_lstm",
    frame_shape=(4, 4, 1),
    context_frames=2,
    forecast_frames=2,
    filters=1,
    layers=1,
    options={"kernel_sizes": (3, 5)},
)
SPACE = {
    "filters": [1, 2],
    "layers": {"low": 1, "high": 3},
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "clip_norm": [None, 1],
    "sampling": ["reverse", "scheduled"],
    "scales": [None, [1, 1]],
    "stream": [False, True],
    "options.kernel_sizes": [[3], (3, 5)],
}


def hyperparameters(space, recipe=TINY):
    found = keras_tuner.HyperParameters()
    declare(found, space, recipe)
    return found


def test_values_become_those_of_a_recipe():
    assert checked_space(SPACE) == {
        **SPACE,
        "layers": {"low": 1, "high": 3, "log": False},
        "clip_norm": [None, 1.0],
        "scales": [None, (1, 1)],
        "options.kernel_sizes": [(3,), (3, 5)],
    }


def test_values_of_numpy_are_those_of_python():
    space = {"filters": [np.int64(8)], "layers": {"low": np.int64(1), "high": np.int64(3)}}
    read = checked_space(space)
    assert read == {"filters": [8], "layers": {"low": 1, "high": 3, "log": False}}
    assert {type(read["filters"][0]), type(read["layers"]["low"])} == {int}


def test_the_recipes_own_values_are_the_defaults():
    space = checked_space(SPACE)
    found = hyperparameters(space)
    assert varied(TINY, space, found.values) == TINY
    assert varied_values(TINY, space)["options.kernel_sizes"] == (3, 5)


def test_other_values_are_taken_over_and_nothing_else_changes():
    space = checked_space(SPACE)
    found = hyperparameters(space)
    assert {hyperparameter.name for hyperparameter in found.space} == set(SPACE)
    for hyperparameter in found.space:
        found.values[hyperparameter.name] = hyperparameter.prob_to_value(0.01)
    changed = varied(TINY, space, found.values)
    assert (changed.filters, changed.layers, changed.clip_norm, changed.sampling) == (1, 1, None, "reverse")
    assert (changed.scales, changed.stream, changed.options) == (None, False, {"kernel_sizes": (3,)})
    assert changed.learning_rate == float(f"{1e-4 * 100**0.01:.5g}")
    assert (changed.name, changed.data, changed.steps) == (TINY.name, TINY.data, TINY.steps)


@pytest.mark.parametrize("learning_rate", [1e-3, 1 / 3000, 0.001234549999])
def test_a_worker_reads_the_same_recipe_as_its_chief(learning_rate):
    """Floats pass between them in single precision."""
    for space in ({"learning_rate": [learning_rate, 1.0]}, {"learning_rate": {"low": 1e-5, "high": 1.0}}):
        space = checked_space(space)
        chief = hyperparameters(space)
        chief.values = rounded(space, {"learning_rate": learning_rate})
        worker = keras_tuner.HyperParameters.from_proto(chief.to_proto())
        assert varied(TINY, space, worker.values) == varied(TINY, space, chief.values)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "`space` must hold at least one field. Received: none"),
        ({"filter": [1]}, "`recipe` has no such field; it has filters. Received: 'filter'"),
        (
            {"validation_clips": [1, 2]},
            "`space` must not vary 'validation_clips': trials could not be compared.",
        ),
        ({"filters": []}, "`space` must hold a list of values, or a range with low and high, for 'filters'."),
        ({"filters": 3}, "`space` must hold a list of values, or a range with low and high, for 'filters'."),
        ({"filters": [1.5]}, "`filters` must be int, written as JSON. Received: '1.5'"),
        ({"filters": {"low": 1.5, "high": 2}}, "`filters` must be int, written as JSON. Received: '1.5'"),
        (
            {"filters": {"low": 2}},
            "`space` must hold low < high, and log as a bool, for the range of 'filters'.",
        ),
        (
            {"filters": {"low": 2, "high": 2}},
            "`space` must hold low < high, and log as a bool, for the range of",
        ),
        (
            {"filters": {"low": 1, "high": 2, "step": 1}},
            "`space` must hold low < high, and log as a bool, for",
        ),
        (
            {"filters": {"low": 0, "high": 2, "log": True}},
            "`space` must hold low > 0 for 'filters', as log is true.",
        ),
    ],
)
def test_spaces_that_break_a_rule_are_refused(space, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        checked_space(space)


def test_default_space():
    space = default_space(find_recipe("optdigits_quick"))
    assert (
        space
        == checked_space(space)
        == {
            "options.kernel_sizes": [(3,), (3, 5), (5, 7), (3, 5, 7)],
            "filters": [4, 8, 16],
            "layers": [2, 4, 6],
            "learning_rate": [0.000667, 0.002, 0.006],
            "patch_size": [2, 4, 8],
        }
    )


def test_default_space_of_models_with_one_kernel_size_and_of_given_scales():
    recipe = Recipe("one", "sms_lstm", frame_shape=(8, 8, 1), filters=1, layers=3, scales=(1, 2, 1))
    assert set(default_space(recipe)) == {"filters", "learning_rate", "patch_size"}
    assert default_space(recipe)["filters"] == default_space(recipe)["patch_size"] == [1, 2]


def test_a_trial_of_a_hypermodel_whose_values_do_not_fit_fails():
    hypermodel = build_hypermodel(TINY, {"patch_size": [3]})
    with pytest.raises(
        keras_tuner.errors.FailedTrialError, match="`frame_shape` must have a height and width"
    ):
        hypermodel.build(keras_tuner.HyperParameters())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:currentThread.. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:getName.. is deprecated:DeprecationWarning")
def test_a_search_of_the_users_own_under_a_strategy(tmp_path):
    frames = np.random.default_rng(0).random((4, 4, 4, 4, 1), "float32")
    tuner = keras_tuner.RandomSearch(
        build_hypermodel(TINY, {"filters": [1, 2], "options.kernel_sizes": [(3,)]}),
        objective=keras_tuner.Objective("val_frame_mse", "min"),
        max_trials=2,
        seed=1,
        directory=tmp_path,
        distribution_strategy=tf.distribute.MirroredStrategy(["/cpu:0"]),
    )
    given = {"x": frames[:, :-1], "y": frames[:, 1:], "validation_data": (frames[:, :-1], frames[:, 1:])}
    tuner.search(**given, batch_size=2, epochs=1, verbose=0)
    best, other = tuner.oracle.get_best_trials(2)
    assert best.status == other.status == "COMPLETED" and best.score <= other.score
    assert {trial.hyperparameters.get("filters") for trial in (best, other)} == {1, 2}
