"""Models under the settings of Keras that a user may choose, and with lengths and dtypes that they do not know."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras import FrameL1L2, FrameMSE, FrameSSIM, Rollout
from mslstm_keras.contracts.models import (
    CONTEXT_FRAMES,
    FORECAST_FRAMES,
    FRAME_SHAPE,
    STEPS,
    random_frames,
    small_model,
)
from mslstm_keras.layers.gates import GateConv
from mslstm_keras.metrics.categorical import FSS
from mslstm_keras.models.registry import told_model
from mslstm_keras.models.rollout import find_layer
from mslstm_keras.training.optimizers import Adam
from tests.support.contracts import PARTS
from tests.support.equations import assert_close

pytestmark = pytest.mark.usefixtures("many_models")

WIDE_SHAPE = (8, 16, 3)
RULE = re.escape(f"`frames` must be {CONTEXT_FRAMES} frames long to predict, or {STEPS} to train")


@pytest.fixture
def settings():
    """Puts back what a test sets."""
    before = keras.config.floatx(), keras.config.dtype_policy(), keras.config.image_data_format()
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])
    keras.config.set_image_data_format(before[2])


@pytest.mark.parametrize("name", PARTS)
def test_data_format_changes_nothing(name, settings, tmp_path):
    """Height, width and channels differ: channels in another place would be noticed."""
    frames = random_frames(CONTEXT_FRAMES, frame_shape=WIDE_SHAPE)
    model = small_model(name, WIDE_SHAPE)
    expected = np.array(model(frames))
    model.save(tmp_path / "model.keras")
    keras.config.set_image_data_format("channels_first")
    built = small_model(name, WIDE_SHAPE)
    assert_close(built(frames), expected, 1e-6)
    assert_close(keras.models.load_model(tmp_path / "model.keras")(frames), expected, 1e-6)


def without(config, key):
    """Returns a configuration without what stands under a key, at any depth."""
    if isinstance(config, dict):
        return {name: without(value, key) for name, value in config.items() if name != key}
    return [without(each, key) for each in config] if isinstance(config, list | tuple) else config


def test_gates_need_no_data_format_in_a_configuration(settings):
    layer = GateConv(2, 2).conv
    config = layer.get_config()
    assert config["data_format"] == "channels_last"
    keras.config.set_image_data_format("channels_first")
    assert type(layer).from_config(without(config, "data_format")).get_config() == config
    with pytest.raises(ValueError, match="`data_format` must be 'channels_last'"):
        type(layer)(2, 1, data_format="channels_first")


@pytest.mark.parametrize("name", ["ms_pred_rnn_v2", "motion_rnn", "precip_lstm"])
def test_what_is_frozen_stays_so_in_files_and_clones(name, tmp_path):
    model = small_model(name)
    for layer in find_layer(model, Rollout).step.layers:
        layer.trainable = layer.name == "head"
    model.save(tmp_path / "model.keras")
    for copy in (keras.models.load_model(tmp_path / "model.keras"), keras.models.clone_model(model)):
        assert [weight.path for weight in copy.trainable_weights] == ["head/kernel", "head/bias"]


def fitted(name, optimizer=None):
    """Returns the predictions of a small model, the values of its first step and its weights behind it."""
    model = small_model(name)
    model.compile(
        optimizer or keras.optimizers.SGD(1e-4),
        FrameL1L2(),
        metrics=[FrameMSE(2), FrameSSIM(2), FSS(2, 0.5)],
    )
    predictions = model.predict(random_frames(CONTEXT_FRAMES), verbose=0)
    history = model.fit(random_frames(), random_frames(seed=1), verbose=0).history
    weights = [keras.ops.convert_to_numpy(keras.ops.cast(each, "float64")) for each in model.weights]
    # In bfloat16 Keras leaves a value of the history a tensor.
    values = {key: float(np.asarray(value, "float32")) for key, (value,) in history.items()}
    return predictions, values, weights


# A plain cell, a warp and a transposed convolution, penalties, attention.
FLOAT_MODELS = "ms_lstm", "motion_rnn", "pred_rnn_v2", "ms_pred_rnn_v2", "precip_lstm"


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOAT_MODELS)
@pytest.mark.parametrize(
    ("floatx", "policy"), [("float64", "float64"), ("float64", "float32"), ("float32", "float64")]
)
def test_double_precision_gives_the_same(name, floatx, policy, settings):
    predictions, values, weights = fitted(name)
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
    double = fitted(name)
    assert double[0].dtype == policy
    assert_close(double[0], predictions, 1e-5)
    assert double[1] == pytest.approx(values, rel=1e-4, abs=1e-4)
    for one, other in zip(double[2], weights, strict=True):
        assert_close(one, other, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ms_lstm", "ms_pred_rnn_v2"])
@pytest.mark.parametrize(
    ("floatx", "policy", "digits"),
    [
        ("float16", "float16", 3e-2),
        ("bfloat16", "bfloat16", 2e-1),
        ("float32", "float16", 3e-2),
        ("float32", "bfloat16", 2e-1),
        ("float32", "mixed_float16", 3e-2),
        ("float64", "mixed_bfloat16", 2e-1),
    ],
)
def test_half_precision_predicts_and_trains(name, floatx, policy, digits, settings):
    predictions, values, _ = fitted(name)
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
    half = fitted(name)
    assert_close(np.asarray(half[0], "float32"), predictions, digits)
    assert half[1]["loss"] == pytest.approx(values["loss"], rel=digits)
    assert half[1]["frame_mse"] == pytest.approx(values["frame_mse"], rel=digits)
    assert all(np.all(np.isfinite(weight)) for weight in half[2])


def test_adam_refuses_float16_and_says_what_to_do(settings):
    keras.config.set_dtype_policy("float16")
    with pytest.raises(ValueError, match="choose the dtype policy mixed_float16, bfloat16 or float32"):
        fitted("conv_lstm", Adam(1e-3))
    keras.config.set_dtype_policy("mixed_float16")
    assert all(np.all(np.isfinite(weight)) for weight in fitted("conv_lstm", Adam(1e-3))[2])


def test_a_penalty_in_float16_holds_maps_of_zeros(settings):
    keras.config.set_dtype_policy("float16")
    model = small_model("pred_rnn_v2")
    model.compile(keras.optimizers.SGD(1e-4), FrameL1L2())
    black = np.zeros((1, STEPS, *FRAME_SHAPE))
    for weight in model.trainable_variables:
        weight.assign(0 * weight)
    assert np.isfinite(model.fit(black, black, verbose=0).history["loss"]).all()
    assert all(np.isfinite(np.asarray(weight, "float32")).all() for weight in model.trainable_variables)


def of_unknown_length(model, **options):
    return tf.function(model, input_signature=[tf.TensorSpec((None, None, *FRAME_SHAPE))], **options)


def told(model):
    model = told_model(model)
    return lambda frames: model({"frames": frames, "observed": tf.constant([[1.0, 1.0, 0.0, 0.0]] * 2)})


@pytest.fixture(scope="module")
def ways(tmp_path_factory):
    """Name -> a function of clips, none of which knows the number of frames while it is traced."""
    model = small_model("conv_lstm")
    folder = tmp_path_factory.mktemp("export")
    model.export(folder, verbose=False)
    loaded = tf.saved_model.load(folder)

    def predict(frames):
        batches = tf.data.Dataset.from_generator(
            lambda: iter([random_frames(), frames]),
            output_signature=tf.TensorSpec((None, None, *FRAME_SHAPE)),
        )
        counted = batches.apply(tf.data.experimental.assert_cardinality(2))
        return model.predict(counted, verbose=0)[2:]

    return {
        "eager": model,
        "function": of_unknown_length(model),
        "told": of_unknown_length(told(model)),
        "unrolled": of_unknown_length(small_model("conv_lstm", unroll=True)),
        "training": of_unknown_length(lambda frames: model(frames, training=True)),
        "export": lambda frames: loaded.serve(tf.constant(frames)),
        "predict": predict,
    }


@pytest.mark.parametrize("way", ["function", "told", "unrolled", "training", "export", "predict"])
def test_lengths_known_at_run_time_are_checked(way, ways):
    run = ways[way]
    whole = random_frames()
    expected = ways["eager"](whole[:, :CONTEXT_FRAMES])
    for length in (CONTEXT_FRAMES, STEPS):
        assert_close(run(whole[:, :length]), np.array(expected), 1e-6)
    for length in (0, CONTEXT_FRAMES - 1, CONTEXT_FRAMES + 1, STEPS + 1, 3 * STEPS):
        received = re.escape("Received: frames.shape=") + rf".*2\D+{length}\D+8\D+8\D+1"
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=f"{RULE}.*{received}"):
            run(random_frames(length))


def test_lengths_known_at_run_time_are_checked_under_xla(ways):
    run = of_unknown_length(small_model("conv_lstm"), jit_compile=True)
    whole = random_frames()
    expected = np.array(ways["eager"](whole))
    for length in (CONTEXT_FRAMES, STEPS):
        assert_close(run(whole[:, :length]), expected, 1e-5)
    for length in (CONTEXT_FRAMES - 1, CONTEXT_FRAMES + 1, STEPS + 1):
        with pytest.raises(tf.errors.InvalidArgumentError):
            run(random_frames(length))


def test_a_known_length_needs_no_assertion():
    model = small_model("conv_lstm")
    known = tf.function(model, input_signature=[tf.TensorSpec((None, STEPS, *FRAME_SHAPE))])
    kinds = [
        {op.type for op in each.get_concrete_function().graph.get_operations()}
        for each in (known, of_unknown_length(model))
    ]
    assert ["Assert" in each for each in kinds] == [False, True]


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
@pytest.mark.parametrize("stream", [False, True])
def test_targets_of_grey_levels_are_refused(dtype, stream):
    clips = np.full((2, STEPS, *FRAME_SHAPE), 200, dtype)
    pair = np.float32(clips / 255), clips
    data = (tf.data.Dataset.from_tensors(pair),) if stream else pair
    rule = rf"`y_true` must hold floating-point values in \[0, 1\]; divide .* by 255.*y_true.dtype={dtype}"
    model = small_model("conv_lstm")
    for options in ({"loss": FrameL1L2()}, {"loss": "mse", "metrics": [FrameMSE(FORECAST_FRAMES)]}):
        model.compile("sgd", **options)
        with pytest.raises(ValueError, match=rule):
            model.fit(*data, shuffle=not stream, verbose=0)
        with pytest.raises(ValueError, match=rule):
            model.evaluate(*data, verbose=0)


def test_a_roll_out_refuses_grey_levels():
    rollout = find_layer(small_model("conv_lstm"), Rollout)
    with pytest.raises(ValueError, match=r"`frames` must hold floating-point values .* frames.dtype=uint8"):
        rollout(np.zeros((2, STEPS, *FRAME_SHAPE), "uint8"), np.ones((2, STEPS), "float32"))


@pytest.mark.parametrize("observed", ["float32", "uint8"])
def test_a_told_model_refuses_grey_levels(observed):
    """Its plane of zeros and ones may be of integers, its frames may not: Keras would take them for values to 255."""
    model = told_model(small_model("conv_lstm"))
    plane = np.array([[1, 1, 0, 0]] * 2, observed)
    frames = random_frames()
    assert_close(
        model.predict({"frames": frames, "observed": plane}, verbose=0),
        model({"frames": frames, "observed": plane}),
        1e-6,
    )
    grey = {"frames": (255 * frames).astype("uint8"), "observed": plane}
    with pytest.raises(ValueError, match=r"`frames` must hold floating-point values .* frames.dtype=uint8"):
        model.predict(grey, verbose=0)
