"""What the package's own models keep besides `mslstm_keras.contracts`, and what both are shown on."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from mslstm_keras import FrameL1L2, Rollout, list_models
from mslstm_keras.contracts.models import (
    CONTEXT_FRAMES,
    FRAME_SHAPE,
    STEPS,
    half_precision_tolerance,
    loss_and_gradients,
    random_frames,
    small_model,
    untraced,
)
from mslstm_keras.models.registry import dtype_policy
from mslstm_keras.models.rollout import find_layer
from tests.support.equations import assert_close
from tests.support.processes import run_script

PYRAMIDS = [name for name in list_models() if name.startswith(("ms_", "sms_"))]
# Every cell, and every kind of pyramid: for what takes long, and is the same for whatever is made of these parts.
PARTS = [name for name in list_models() if name not in PYRAMIDS or name in ("ms_lstm", "sms_lstm")]


def chosen_models(request):
    """Returns the models of the tests that a module's fixture is made for: with `-k ms_lstm` one, not all."""
    tests = [
        test
        for test in request.session.items
        if test.getparent(pytest.Module) is request.node and request.fixturename in test.fixturenames
    ]
    return sorted({test.callspec.params["name"] for test in tests if "name" in test.fixturenames})


def predict_in_a_fresh_process(folder):
    """Loads every `.keras` file of a folder in one new process, which writes its predictions beside it."""
    script = """
        import sys, pathlib, keras, numpy, mslstm_keras
        for path in pathlib.Path(sys.argv[1]).glob("*.keras"):
            model = keras.models.load_model(path)
            numpy.save(path.with_suffix(".npy"), model(numpy.load(path.with_suffix(".frames.npy"))))
    """
    child = run_script(script, Path(__file__).parents[2], folder)
    assert child.returncode == 0, child.stderr


def check_export(model, predict, folder):
    """Exports a SavedModel and compares what TensorFlow alone reads from it; batch and time are free.

    `predict` is the model as it is otherwise run, a function of TensorFlow's.
    """
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serve", predict)
    archive.write_out(folder, verbose=False)
    exported = tf.saved_model.load(folder)
    for length, batch in ((CONTEXT_FRAMES, 2), (STEPS, 3)):
        frames = random_frames(length, batch)
        assert_close(exported.serve(frames), np.array(predict(frames)))


def check_unrolled_is_the_loop(model, unrolled):
    frames = random_frames()
    plane = np.array([[1, 1, 0, 1], [1, 0, 1, 0]], "float32")
    assert find_layer(unrolled, Rollout).unroll and not find_layer(model, Rollout).unroll
    loop, copies = (find_layer(each, Rollout)(frames, plane) for each in (model, unrolled))
    assert_close(copies, np.array(loop), 1e-6)


def trained_one_step(model, **options):
    """Returns the loss and the weights after one step of plain gradient descent."""
    model.compile(options.pop("optimizer", keras.optimizers.SGD(1e-3)), FrameL1L2(), **options)
    loss = model.train_on_batch(random_frames(), random_frames(seed=1))
    return float(loss), [weight.numpy() for weight in model.trainable_variables]


def check_half_precision_gradients(reference, model, gradients, expected, policy):
    """Gradients in half, times 256, err little more than those in single do where weights alone are rounded.

    That is one of the three roundings of a convolution (of its inputs, its kernel and its outputs), and shows how much
    a gradient of this model, at these weights, changes with what it is taken at.
    """
    rounded = small_model(reference.name)
    for variable in rounded.trainable_variables:
        variable.assign(ops.cast(ops.cast(variable, policy.removeprefix("mixed_")), "float32"))
    changed = loss_and_gradients(rounded, untraced).weights
    for variable, half, single, moved in zip(
        model.trainable_variables, gradients, expected, changed, strict=True
    ):
        rounding = half_precision_tolerance(policy) * np.abs(single).max() + 3 * np.abs(moved - single).max()
        np.testing.assert_allclose(half / 256, single, rtol=0, atol=rounding, err_msg=variable.path)


def check_mixed_precision(reference, expected, policy):
    """Cells compute in half; weights, memories, predictions and training stay close to single precision.

    `expected` is `loss_and_gradients(reference, untraced)`.
    """
    with dtype_policy(policy):
        model = small_model(reference.name)
    step = find_layer(model, Rollout).step
    half = {state.name.split("_", 2)[-1] for state in step.inputs if state.dtype != "float32"}
    assert half <= {"h", "delta_c", "delta_m"}
    assert {variable.dtype for variable in model.variables if variable.trainable} == {"float32"}
    # Powers of two change no digit: they keep small gradients in the range of float16.
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3), initial_scale=256.0)
    optimizer.build(model.trainable_variables)
    results = loss_and_gradients(model, untraced, scale=optimizer.scale_loss(1.0))
    gradients, received = results.weights, results.predictions
    # A rounded map may have its maximum elsewhere: the gradient of pooling jumps, that of the plain model does not.
    if not any(isinstance(layer, keras.layers.MaxPooling2D) for layer in step.layers):
        check_half_precision_gradients(reference, model, gradients, expected.weights, policy)
    before = [variable.numpy() for variable in model.trainable_variables]
    optimizer.apply([ops.convert_to_tensor(each) for each in gradients], model.trainable_variables)
    assert float(optimizer.dynamic_scale) == 256  # the step was not left out
    for old, variable in zip(before, model.trainable_variables, strict=True):
        assert np.all(np.isfinite(variable.numpy())) and np.any(variable.numpy() != old)
    assert received.dtype == model.output.dtype == "float32"
    assert np.any(received != expected.predictions)
    tolerance = half_precision_tolerance(policy) * np.abs(expected.predictions).max()
    assert_close(received, expected.predictions, tolerance)


def check_jit_compiled_training(name, **options):
    loss, weights = trained_one_step(small_model(name, **options), run_eagerly=True)
    jit_loss, jit_weights = trained_one_step(small_model(name, **options), jit_compile=True)
    np.testing.assert_allclose(jit_loss, loss, rtol=1e-5)
    for jit, plain in zip(jit_weights, weights, strict=True):
        np.testing.assert_allclose(jit, plain, rtol=0, atol=1e-5 * np.abs(plain).max())


def check_plain_and_pyramid(name):
    """Scales move the cells to other maps and cost no weight."""
    plain, pyramid = (small_model(name, layers=3, scales=scales) for scales in ((1, 1, 1), (1, 2, 1)))
    assert plain.count_params() == pyramid.count_params()
    plain, pyramid = (np.array(model(random_frames())) for model in (plain, pyramid))
    assert plain.shape == pyramid.shape == (2, STEPS, *FRAME_SHAPE)
    assert np.all(np.isfinite(plain)) and np.all(np.isfinite(pyramid)) and np.any(plain != pyramid)


def check_same_gradients(model, expected):
    """A model, traced as `fit` does, has the loss and gradients of another build, to 1e-5 of each tensor's maximum.

    `expected` is `loss_and_gradients(other, untraced)`.
    """
    received = loss_and_gradients(model)
    pairs = zip([*received[:3], *received.weights], [*expected[:3], *expected.weights], strict=True)
    for one, two in pairs:
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-5 * np.abs(two).max())


def check_fast_paths_change_nothing(name):
    fast, plain = small_model(name), small_model(name, fast=False)
    assert find_layer(fast, Rollout).fast and not find_layer(plain, Rollout).fast
    assert_close(fast(random_frames()), np.array(plain(random_frames())), 1e-6)
    check_same_gradients(fast, loss_and_gradients(plain, untraced))
