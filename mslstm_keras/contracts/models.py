"""What every named model keeps, whatever its cells: shown on small models with random weights, on TensorFlow."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import keras
import numpy as np

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

from mslstm_keras.cells.registry import ARCHITECTURES
from mslstm_keras.contracts.rules import require, require_close
from mslstm_keras.models.registry import create_model, dtype_policy
from mslstm_keras.models.rollout import ObservedFrames, Rollout, find_layer
from mslstm_keras.training.losses import FrameL1L2

FRAME_SHAPE = (8, 8, 1)
WIDE_SHAPE, WIDE_PATCH = (16, 32, 3), 2
CONTEXT_FRAMES, FORECAST_FRAMES = 2, 3
STEPS = CONTEXT_FRAMES + FORECAST_FRAMES - 1
SIGNIFICANT_BITS = {"mixed_float16": 11, "mixed_bfloat16": 8}
ROUNDING = 1e-6  # of another order of the same sums


def layers_of(name: str) -> int:
    """Returns the fewest layers that show all of a named model: a top and a bottom, in a pyramid one between them."""
    return 3 if ARCHITECTURES[name].pyramid else 2


def small_model(name: str, frame_shape: Sequence[int] = FRAME_SHAPE, **options: Any) -> keras.Model:
    """Returns a named model with 4 filters; its random weights are the same in every call."""
    sizes = {"filters": 4, "layers": layers_of(name), **options}
    model = create_model(name, frame_shape, CONTEXT_FRAMES, FORECAST_FRAMES, **sizes)
    # Larger ones saturate the attention of CMS-LSTM: its gradients then lose two digits in single precision.
    randomise(model, scale=1.0)
    return model


def wide_model(name: str) -> keras.Model:
    """Returns the small model of rectangular frames of several channels, in patches."""
    return small_model(name, WIDE_SHAPE, patch_size=WIDE_PATCH)


def randomise(layer: keras.layers.Layer, seed: int = 0, scale: float = 1.5) -> None:
    """Gives a layer weights that drive its activations well away from their linear part, biases included."""
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 1
        weight.assign(rng.normal(scale=scale / np.sqrt(fan_in), size=weight.shape))


def random_frames(
    length: int = STEPS, batch: int = 2, frame_shape: Sequence[int] = FRAME_SHAPE, seed: int = 0
) -> np.ndarray:
    return np.random.default_rng(seed).random((batch, length, *frame_shape), dtype="float32")


class Traced(NamedTuple):
    """Predictions of a model as functions of its frames: in inference, and in training with its own sampling."""

    predict: Callable[[Any], Any]
    train: Callable[[Any], Any]


def traced(model: keras.Model) -> Traced:
    """Returns the model as `predict` and `fit` run it, traced once for clips of any length and number.

    Eager calls of a small model take a hundred times as long.
    """
    frames = [tf.TensorSpec((None, None, *model.input_shape[2:]))]
    return Traced(
        tf.function(lambda frames: model(frames), input_signature=frames),
        tf.function(lambda frames: model(frames, training=True), input_signature=frames),
    )


class Gradients(NamedTuple):
    """What one step of training computes, as arrays: `frames` and `weights` are gradients of the loss."""

    loss: np.ndarray
    predictions: np.ndarray
    frames: np.ndarray
    weights: list[np.ndarray | None]


def loss_and_gradients(
    model: keras.Model, function: Callable[..., Any] | None = None, scale: Any = 1.0
) -> Gradients:
    """Returns the `Gradients` of a loss times `scale`, in training with the model's own sampling.

    `function` takes the place of `tf.function`.
    """

    def differentiate(frames, targets):
        with tf.GradientTape() as tape:
            tape.watch(frames)
            predictions = model(frames, training=True)
            loss = scale * (FrameL1L2()(targets, predictions) + sum(model.losses))
        variables = [variable.value for variable in model.trainable_variables]
        return loss, predictions, *tape.gradient(loss, [frames, *variables])

    frames, targets = (tf.constant(random_frames(seed=seed)) for seed in (0, 1))
    results = (function or tf.function)(differentiate)(frames, targets)
    loss, predictions, of_frames, *of_weights = results
    weights = [None if each is None else np.array(each) for each in of_weights]
    return Gradients(np.array(loss), np.array(predictions), np.array(of_frames), weights)


def untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    """Stands for `tf.function`: to trace a small model takes longer than to run it."""
    return function


def check_symbolic_and_eager_shapes(model: keras.Model, frame_shape: Sequence[int] = FRAME_SHAPE) -> Any:
    """Predictions and states have the shapes that the model declares. Returns the predictions of the context alone."""
    declared = (None, STEPS, *frame_shape)
    require(
        model.output_shape == declared,
        f"a model must declare predictions of shape {declared}. Received: {model.output_shape}",
    )
    predictions = [
        model(random_frames(length, frame_shape=frame_shape)) for length in (CONTEXT_FRAMES, STEPS)
    ]
    shapes = [tuple(each.shape) for each in predictions]
    require(
        shapes == [(2, STEPS, *frame_shape)] * 2,
        f"predictions by the context, and by a whole clip, must have shape {(2, STEPS, *frame_shape)}. "
        f"Received: {shapes}",
    )
    step = find_layer(model, Rollout).step
    eager = step([np.zeros((2, *tensor.shape[1:]), "float32") for tensor in step.inputs])
    received, expected = (
        [tuple(tensor.shape[1:]) for tensor in tensors] for tensors in (eager, step.outputs)
    )
    require(
        received == expected,
        f"the step must return a frame and states of shapes {expected}. Received: {received}",
    )
    return predictions[0]


def check_any_height_and_width(model: keras.Model) -> None:
    """A `wide_model` has the shapes that it declares, and runs frame by frame."""
    predictions = check_symbolic_and_eager_shapes(model, WIDE_SHAPE)
    check_streaming_is_the_roll_out(model, lambda _: predictions)


def check_every_weight_has_a_gradient(model: keras.Model, gradients: Gradients) -> None:
    """Looks at the gradients of `loss_and_gradients(model, untraced)`."""
    unused = [layer.name for layer in find_layer(model, Rollout).step._flatten_layers() if not layer.built]
    require(not unused, f"every layer must be used. Received: {', '.join(unused)}, never called")
    for variable, gradient in zip(model.trainable_variables, gradients.weights, strict=True):
        rule = f"{variable.path} must have a gradient"
        if gradient is None:
            require(False, f"{rule}. Received: none, no prediction depends on it")
            continue
        require(np.all(np.isfinite(gradient)), f"{rule} that is finite. Received: NaN or infinity")
        # An element may rest; a whole filter or bias of zeros would be a weight without effect.
        filters = np.reshape(gradient, (-1, np.atleast_1d(gradient).shape[-1]))
        resting = np.flatnonzero(~np.any(filters, axis=0)).tolist()
        require(not resting, f"{rule} of every filter. Received: zeros of the filters {resting}")


def check_streaming_is_the_roll_out(
    model: keras.Model, predict: Callable[[Any], Any] | None = None, tolerance: float = ROUNDING
) -> None:
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
    require_close(
        (predict or model)(frames),
        np.stack(streamed, axis=1),
        tolerance,
        f"a model must predict a clip as its step does frame by frame, up to {tolerance:.2g}",
    )


@contextlib.contextmanager
def truth_rate(model: keras.Model, context_rate: float, forecast_rate: float) -> Iterator[None]:
    """Within it, a model in training observes each frame of context and of forecast at a rate."""
    observed = find_layer(model, ObservedFrames)
    observed.set_truth_rate(context_rate, forecast_rate, 3)
    try:
        yield
    finally:
        observed.set_truth_rate(1.0, 0.0, 0)


def check_causality(model: keras.Model, train: Callable[[Any], Any]) -> None:
    """No frame changes a prediction of itself or of an earlier one; all later ones depend on it.

    `train` is the model in training, as `traced(model).train`.
    """
    frames = random_frames()
    with truth_rate(model, 1.0, 1.0):
        reference = np.array(train(frames))
        for time in range(STEPS):
            changed = frames.copy()
            changed[:, time] = random_frames(1, seed=1)[:, 0]
            difference = np.abs(np.array(train(changed)) - reference)
            for later in range(STEPS):  # the prediction of frame later + 1
                if later < time:
                    require(
                        not difference[:, later].any(),
                        f"frame {time} must not change the prediction of frame {later + 1}. Received: a change of "
                        f"{difference[:, later].max():.2g}",
                    )
                else:
                    require(
                        difference[:, later].any(axis=(1, 2, 3)).all(),
                        f"frame {time} must change the prediction of frame {later + 1}, which follows it. Received: "
                        "no change",
                    )


def check_inference_never_sees_the_future(
    model: keras.Model, predict: Callable[[Any], Any], train: Callable[[Any], Any]
) -> None:
    """Frames behind the context are without effect, whatever rates a training has left behind."""
    frames, changed = random_frames(), random_frames(seed=1)
    changed[:, :CONTEXT_FRAMES] = frames[:, :CONTEXT_FRAMES]
    reference = np.array(predict(frames[:, :CONTEXT_FRAMES]))
    with truth_rate(model, 0.0, 1.0):
        require_close(predict(changed), reference, 0, "frames behind the context must not change a forecast")
        require(
            np.any(np.array(train(changed)) != reference),
            "frames behind the context must change what is predicted in training. Received: no change",
        )


def check_samples_do_not_mix(predict: Callable[[Any], Any]) -> None:
    """A clip is predicted as if it were alone in its batch."""
    frames = random_frames(batch=3)
    together = np.array(predict(frames))
    for sample in range(3):
        require_close(
            predict(frames[sample : sample + 1]),
            together[sample : sample + 1],
            ROUNDING,
            f"clip {sample} must be predicted in a batch of three as it is alone, up to {ROUNDING:.2g}",
        )


def check_saved_and_loaded(model: keras.Model, folder: Path) -> keras.Model:
    """A file gives back the model, which predicts the same to the last bit. Returns what was loaded."""
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    frames = random_frames()
    require_close(
        loaded(frames),
        np.array(model(frames)),
        0,
        "a model must predict the same when it is saved and loaded",
    )
    return loaded


def check_same_seed_same_model(name: str) -> None:
    """Weights depend on Keras' seed alone, and predictions on weights and frames alone."""
    models, frames = [], random_frames(CONTEXT_FRAMES)
    for _ in range(2):
        keras.utils.set_random_seed(1)
        models.append(
            create_model(
                name, FRAME_SHAPE, CONTEXT_FRAMES, FORECAST_FRAMES, filters=4, layers=layers_of(name)
            )
        )
    for one, two in zip(*(model.weights for model in models), strict=True):
        require_close(two, np.array(one), 0, f"{one.path} must be the same when it is drawn by the same seed")
    one, two = (np.array(model(frames)) for model in models)
    require_close(two, one, 0, "models of the same weights must predict the same")


def half_precision_tolerance(policy: str) -> float:
    """How far rounding may take a result of `small_model`, by its largest value.

    A rounding errs by at most u = 2^-bits of a number, by u / sqrt(3) in the mean square. What leaves a convolution has
    seen three (of its inputs, its kernel and its outputs), and is read by at most 5 more in a cell; with 3 cells and 4
    steps that makes 180, which add up to sqrt(180 / 3) u = 8 u where they are independent. The largest of some hundreds
    of such errors is 3.5 times as large, 27 u.
    """
    return 32 * 2.0 ** -SIGNIFICANT_BITS[policy]


def check_mixed_precision_is_kept(name: str, policy: str, folder: Path) -> None:
    """Frame by frame, and loaded from a file, a model computes in half what it computes otherwise."""
    with dtype_policy(policy):
        model = small_model(name)
    tolerance = half_precision_tolerance(policy) * np.abs(model(random_frames())).max()
    check_streaming_is_the_roll_out(model, tolerance=tolerance)
    loaded = check_saved_and_loaded(model, folder)
    built, read = (
        sorted({layer.dtype_policy.name for layer in find_layer(each, Rollout).step.layers})
        for each in (model, loaded)
    )
    require(
        built == read and policy in built,
        f"layers must have the policy {policy!r}, in a model that is loaded too. Received: {built}, then {read}",
    )


def model_contracts(name: str) -> Mapping[str, Callable[[], Any]]:
    """Returns what a named model does -> a function that raises where it does not.

    The models are made where they are first needed.
    """
    model = functools.cache(lambda: small_model(name))
    run = functools.cache(lambda: traced(model()))

    def in_a_folder(check, *arguments):
        with TemporaryDirectory() as folder:
            check(*arguments, Path(folder))

    return {
        "has the shapes that it declares": lambda: check_symbolic_and_eager_shapes(model()),
        "takes any height and width that divide": lambda: check_any_height_and_width(wide_model(name)),
        "trains every weight": lambda: check_every_weight_has_a_gradient(
            model(), loss_and_gradients(model(), untraced)
        ),
        "predicts step by step what it predicts at once": lambda: check_streaming_is_the_roll_out(
            model(), run().predict
        ),
        "does not mix the clips of a batch": lambda: check_samples_do_not_mix(run().predict),
        "depends on earlier frames alone, and on all of them": lambda: check_causality(model(), run().train),
        "forecasts by its context alone": lambda: check_inference_never_sees_the_future(model(), *run()),
        "is the same when it is saved and loaded": lambda: in_a_folder(check_saved_and_loaded, model()),
        "is the same by the same seed": lambda: check_same_seed_same_model(name),
        "computes in mixed_bfloat16": lambda: in_a_folder(
            check_mixed_precision_is_kept, name, "mixed_bfloat16"
        ),
    }
