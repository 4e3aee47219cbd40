"""Every named model keeps its contracts; a new one is tested by being registered."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras import list_models
from mslstm_keras.contracts import models as promised
from mslstm_keras.contracts.models import (
    SIGNIFICANT_BITS,
    WIDE_SHAPE,
    loss_and_gradients,
    random_frames,
    small_model,
    traced,
    untraced,
    wide_model,
)
from tests.support import contracts
from tests.support.equations import assert_close

pytestmark = pytest.mark.usefixtures("many_models")

PLAIN = [name for name in list_models() if name not in contracts.PYRAMIDS]


@pytest.fixture(scope="module")
def models():
    """Function of a name: the small model, built where it is first asked for."""
    return functools.cache(small_model)


@pytest.fixture(scope="module")
def traced_models(models):
    """Function of a name: the model as `predict` and `fit` run it, traced where it is first asked for."""
    return functools.cache(lambda name: traced(models(name)))


@pytest.fixture(scope="module")
def gradients(models):
    """Function of a name: what the model computes in training, run where it is first asked for."""
    return functools.cache(lambda name: loss_and_gradients(models(name), untraced))


@pytest.fixture(scope="module")
def wide_models():
    """Function of a name: the model of rectangular frames of several channels, in patches."""
    return functools.cache(wide_model)


@pytest.fixture(scope="module")
def reloaded(request, wide_models, tmp_path_factory):
    """Predictions of all models of the chosen tests, saved here and loaded in one other process."""
    folder = tmp_path_factory.mktemp("saved")
    names = contracts.chosen_models(request)
    for name in names:
        np.save(folder / f"{name}.frames.npy", random_frames(frame_shape=WIDE_SHAPE))
        wide_models(name).save(folder / f"{name}.keras")
    contracts.predict_in_a_fresh_process(folder)
    return {name: np.load(folder / f"{name}.npy") for name in names}


@pytest.fixture(params=contracts.PARTS)
def name(request):
    return request.param


@pytest.fixture
def model(name, models):
    return models(name)


# All names: what is drawn anew for each. The rest is the cells' and the roll-out's, and holds for what they make up.


@pytest.mark.parametrize("name", list_models())
def test_symbolic_and_eager_shapes(model):
    promised.check_symbolic_and_eager_shapes(model)


@pytest.mark.parametrize("name", list_models())
def test_rectangular_frames_of_several_channels(name, wide_models):
    promised.check_any_height_and_width(wide_models(name))


@pytest.mark.parametrize("name", list_models())
def test_saved_and_loaded_in_a_fresh_process(name, wide_models, reloaded):
    frames = random_frames(frame_shape=WIDE_SHAPE)
    assert_close(reloaded[name], np.array(wide_models(name)(frames)), 1e-6)


def test_export_by_keras_itself(models, tmp_path):
    frames = random_frames()
    models("ms_lstm").export(tmp_path / "1", format="tf_saved_model", verbose=False)
    exported = tf.saved_model.load(tmp_path / "1")
    assert_close(exported.serve(frames), np.array(models("ms_lstm")(frames)))


@pytest.mark.slow
def test_export(name, model, traced_models, tmp_path):
    contracts.check_export(model, traced_models(name).predict, tmp_path / "1")


def test_every_weight_has_a_gradient(name, model, gradients):
    promised.check_every_weight_has_a_gradient(model, gradients(name))


def test_unrolled_is_the_loop(name, model):
    contracts.check_unrolled_is_the_loop(model, small_model(name, unroll=True))


@pytest.mark.parametrize("name", ["conv_lstm", "tms_lstm", "ms_lstm"])
def test_fast_paths_change_nothing(name):
    contracts.check_fast_paths_change_nothing(name)


def test_checkpoints_change_nothing(name, gradients):
    less = small_model(name, checkpoint="sqrt" if name in PLAIN else "step")
    contracts.check_same_gradients(less, gradients(name))


# With states alone, and with a penalty.
@pytest.mark.parametrize("name", ["ms_lstm", "pred_rnn_v2"])
@pytest.mark.parametrize("checkpoint", ["step", "sqrt"])
def test_checkpoints_change_nothing_where_steps_are_unrolled(gradients, name, checkpoint):
    contracts.check_same_gradients(small_model(name, checkpoint=checkpoint, unroll=True), gradients(name))


@pytest.mark.parametrize("checkpoint", [None, "step"])
def test_a_frozen_layer_stays_out_of_the_gradients(checkpoint):
    kept, less = small_model("ms_lstm"), small_model("ms_lstm", checkpoint=checkpoint)
    for model in (kept, less):
        contracts.find_layer(model, contracts.Rollout).step.get_layer("embed").trainable = False
    assert len(less.trainable_variables) == len(less.weights) - 3  # and `truth_rate`
    contracts.check_same_gradients(less, loss_and_gradients(kept, untraced))


def test_streaming_is_the_roll_out(name, model, traced_models):
    promised.check_streaming_is_the_roll_out(model, traced_models(name).predict)


def test_causality(name, model, traced_models):
    promised.check_causality(model, traced_models(name).train)


def test_inference_never_sees_the_future(name, model, traced_models):
    promised.check_inference_never_sees_the_future(model, *traced_models(name))


def test_samples_do_not_mix(name, traced_models):
    promised.check_samples_do_not_mix(traced_models(name).predict)


@pytest.mark.slow
@pytest.mark.parametrize("policy", SIGNIFICANT_BITS)
def test_mixed_precision(name, model, gradients, policy):
    contracts.check_mixed_precision(model, gradients(name), policy)


# With states in half beside those in single; with a penalty; with none in half.
@pytest.mark.parametrize("name", ["ms_lstm", "pred_rnn_v2", "traj_gru"])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_kept(name, policy, tmp_path):
    promised.check_mixed_precision_is_kept(name, policy, tmp_path)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model(name):
    promised.check_same_seed_same_model(name)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_and_pyramid(name):
    contracts.check_plain_and_pyramid(name)


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint", ["step", "sqrt"])
def test_jit_compiled_checkpoints(checkpoint):
    """Without a checkpoint: `test_graph.py`."""
    contracts.check_jit_compiled_training("ms_lstm", checkpoint=checkpoint)
