"""What every named model keeps, whatever its cells. Each function raises where one promise is broken."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from mslstm_keras import FrameL1L2, ObservedFrames, Rollout, create_model, list_models
from mslstm_keras.models.registry import dtype_policy
from mslstm_keras.models.rollout import find_layer
from tests.support.equations import assert_close, randomise
from tests.support.processes import run_script

FRAME_SHAPE = (8, 8, 1)
CONTEXT_FRAMES, FORECAST_FRAMES = 2, 3
STEPS = CONTEXT_FRAMES + FORECAST_FRAMES - 1
PYRAMIDS = [name for name in list_models() if name.startswith(("ms_", "sms_"))]
# Every cell, and every kind of pyramid: for what takes long, and is the same for whatever is made of these parts.
PARTS = [name for name in list_models() if name not in PYRAMIDS or name in ("ms_lstm", "sms_lstm")]


def layers_of(name):
    """Returns the fewest layers that show all of a named model: a top and a bottom, in a pyramid one between them."""
    return 3 if name in PYRAMIDS else 2


def small_model(name, frame_shape=FRAME_SHAPE, **options):
    """Returns a named model with 4 filters; its random weights are the same in every call."""
    sizes = {"filters": 4, "layers": layers_of(name), **options}
    model = create_model(name, frame_shape, CONTEXT_FRAMES, FORECAST_FRAMES, **sizes)
    # Larger ones saturate the attention of CMS-LSTM: its gradients then lose two digits in single precision.
    randomise(model, scale=1.0)
    return model


def random_frames(length=STEPS, batch=2, frame_shape=FRAME_SHAPE, seed=0):
    return np.random.default_rng(seed).random((batch, length, *frame_shape), dtype="float32")


def chosen_models(request):
    """Returns the models of the tests that a module's fixture is made for: with `-k ms_lstm` one, not all."""
    tests = [
        test
        for test in request.session.items
        if test.getparent(pytest.Module) is request.node and request.fixturename in test.fixturenames
    ]
    return sorted({test.callspec.params["name"] for test in tests if "name" in test.fixturenames})


class Traced(NamedTuple):
    """Predictions of a model as functions of its frames: in inference, and in training with its own sampling."""

    predict: Callable
    train: Callable


def traced(model):
    """Returns the model as `predict` and `fit` run it, traced once for clips of any length and number.

    Eager calls of a small model take a hundred times as long.
    """
    frames = [tf.TensorSpec((None, None, *model.input_shape[2:]))]
    return Traced(
        tf.function(lambda frames: model(frames), input_signature=frames),
        tf.function(lambda frames: model(frames, training=True), input_signature=frames),
    )


def check_symbolic_and_eager_shapes(model, frame_shape=FRAME_SHAPE):
    """Returns the predictions of the context alone."""
    assert model.output_shape == (None, STEPS, *frame_shape)
    predictions = [
        model(random_frames(length, frame_shape=frame_shape)) for length in (CONTEXT_FRAMES, STEPS)
    ]
    assert [tuple(each.shape) for each in predictions] == [(2, STEPS, *frame_shape)] * 2
    step = find_layer(model, Rollout).step
    eager = step([np.zeros((2, *tensor.shape[1:]), "float32") for tensor in step.inputs])
    assert [tuple(tensor.shape[1:]) for tensor in eager] == [tensor.shape[1:] for tensor in step.outputs]
    return predictions[0]


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


def check_every_weight_has_a_gradient(model, gradients):
    """Looks at the gradients of `loss_and_gradients(model, untraced)`."""
    unused = [layer.path for layer in find_layer(model, Rollout).step._flatten_layers() if not layer.built]
    assert not unused, f"never called: {unused}"
    for variable, gradient in zip(model.trainable_variables, gradients.weights, strict=True):
        assert gradient is not None, f"{variable.path} has no gradient"
        assert np.all(np.isfinite(gradient)), f"{variable.path} has a gradient that is not finite"
        # An element may rest; a whole filter or bias of zeros would be a weight without effect.
        assert np.all(np.any(np.reshape(gradient, (-1, gradient.shape[-1])), axis=0)), (
            f"{variable.path} rests"
        )


def check_unrolled_is_the_loop(model, unrolled):
    frames = random_frames()
    plane = np.array([[1, 1, 0, 1], [1, 0, 1, 0]], "float32")
    assert find_layer(unrolled, Rollout).unroll and not find_layer(model, Rollout).unroll
    loop, copies = (find_layer(each, Rollout)(frames, plane) for each in (model, unrolled))
    assert_close(copies, np.array(loop), 1e-6)


def check_streaming_is_the_roll_out(model, predict=None, tolerance=1e-6):
    """Calls the step frame by frame with the states it returned and, behind the context, its prediction.

    `predict` is the model as it is otherwise run; called eagerly by default.
    """
    step = find_layer(model, Rollout).step
    frames = random_frames(CONTEXT_FRAMES, frame_shape=step.inputs[0].shape[1:])
    prediction, *states = (np.zeros((2, *tensor.shape[1:]), "float32") for tensor in step.outputs)
    streamed = []
    for time in range(STEPS):
        frame = frames[:, time] if time < CONTEXT_FRAMES else prediction
        prediction, *states = (np.array(output) for output in step([frame, *states]))
        streamed.append(prediction)
    assert_close((predict or model)(frames), np.stack(streamed, axis=1), tolerance)


@contextlib.contextmanager
def truth_rate(model, context_rate, forecast_rate):
    """Within it, a model in training observes each frame of context and of forecast at a rate."""
    observed = find_layer(model, ObservedFrames)
    observed.set_truth_rate(context_rate, forecast_rate, 3)
    try:
        yield
    finally:
        observed.set_truth_rate(1.0, 0.0, 0)


def check_causality(model, train):
    """No frame changes a prediction of itself or of an earlier one; all later ones depend on it."""
    frames = random_frames()
    with truth_rate(model, 1.0, 1.0):
        reference = np.array(train(frames))
        for time in range(STEPS):
            changed = frames.copy()
            changed[:, time] = random_frames(1, seed=1)[:, 0]
            predictions = np.array(train(changed))
            np.testing.assert_array_equal(predictions[:, :time], reference[:, :time])
            assert np.all(np.any(predictions[:, time:] != reference[:, time:], axis=(2, 3, 4)))


def check_inference_never_sees_the_future(model, predict, train):
    """Frames behind the context are without effect, whatever rates a training has left behind."""
    frames, changed = random_frames(), random_frames(seed=1)
    changed[:, :CONTEXT_FRAMES] = frames[:, :CONTEXT_FRAMES]
    reference = np.array(predict(frames[:, :CONTEXT_FRAMES]))
    with truth_rate(model, 0.0, 1.0):
        np.testing.assert_array_equal(predict(changed), reference)
        assert np.any(np.array(train(changed)) != reference)


def check_samples_do_not_mix(predict):
    frames = random_frames(batch=3)
    together = np.array(predict(frames))
    for sample in range(3):
        assert_close(predict(frames[sample : sample + 1]), together[sample : sample + 1], 1e-6)


def trained_one_step(model, **options):
    """Returns the loss and the weights after one step of plain gradient descent."""
    model.compile(options.pop("optimizer", keras.optimizers.SGD(1e-3)), FrameL1L2(), **options)
    loss = model.train_on_batch(random_frames(), random_frames(seed=1))
    return float(loss), [weight.numpy() for weight in model.trainable_variables]


SIGNIFICANT_BITS = {"mixed_float16": 11, "mixed_bfloat16": 8}


def half_precision_tolerance(policy):
    """How far rounding may take a result of `small_model`, by its largest value.

    A rounding errs by at most u = 2^-bits of a number, by u / sqrt(3) in the mean square. What leaves a convolution has
    seen three (of its inputs, its kernel and its outputs), and is read by at most 5 more in a cell; with 3 cells and 4
    steps that makes 180, which add up to sqrt(180 / 3) u = 8 u where they are independent. The largest of some hundreds
    of such errors is 3.5 times as large, 27 u.
    """
    return 32 * 2.0 ** -SIGNIFICANT_BITS[policy]


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


def check_mixed_precision_is_kept(name, policy, folder):
    """Frame by frame, and loaded from a file, a model computes in half what it computes otherwise."""
    with dtype_policy(policy):
        model = small_model(name)
    frames = random_frames()
    predictions = np.array(model(frames))
    tolerance = half_precision_tolerance(policy) * np.abs(predictions).max()
    check_streaming_is_the_roll_out(model, tolerance=tolerance)
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    policies = [
        {layer.dtype_policy.name for layer in find_layer(each, Rollout).step.layers}
        for each in (model, loaded)
    ]
    assert policies[0] == policies[1] >= {policy}
    np.testing.assert_array_equal(loaded(frames), predictions)


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


class Gradients(NamedTuple):
    """What one step of training computes, as arrays: `frames` and `weights` are gradients of the loss."""

    loss: np.ndarray
    predictions: np.ndarray
    frames: np.ndarray
    weights: list[np.ndarray | None]


def loss_and_gradients(model, function=None, scale=1.0):
    """Returns the `Gradients` of a loss times `scale`, in training with the model's own sampling."""

    def differentiate(frames, targets):
        with tf.GradientTape() as tape:
            tape.watch(frames)
            predictions = model(frames, training=True)
            loss = scale * (FrameL1L2()(targets, predictions) + sum(model.losses))
        variables = [variable.value for variable in model.trainable_variables]
        return loss, predictions, *tape.gradient(loss, [frames, *variables])

    frames, targets = (tf.constant(random_frames(seed=seed)) for seed in (0, 1))
    results = (function or tf.function)(differentiate)(frames, targets)
    loss, predictions, frames, *weights = (None if each is None else np.array(each) for each in results)
    return Gradients(loss, predictions, frames, weights)


def untraced(function):
    """Stands for `tf.function`: to trace a small model takes longer than to run it."""
    return function


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
