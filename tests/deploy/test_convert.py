"""Parity with the public PyTorch implementation, forward and backward."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.cells.conv_lstm import ConvLSTMCell
from mslstm_keras.cells.mk_lstm import MKLSTMCell
from mslstm_keras.deploy.convert import (
    assign_parameters,
    cell_placements,
    load_reference_parameters,
    model_placements,
    to_keras_layout,
)
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.training.losses import FrameL1L2
from tests.golden import load_golden

MODELS = {"ConvLSTM": "conv_lstm", "MS_ConvLSTM": "sms_lstm", "MK_LSTM": "tms_lstm", "MS_LSTM": "ms_lstm"}
MODEL_FILES = [f"{name}_{batch}" for name in MODELS for batch in ("b1", "b2")]
MODEL_FILES += ["ConvLSTM_ss_b2", "MS_LSTM_ss_b2"]


def named(arrays, prefix):
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def channels_last(tensor):
    return np.moveaxis(tensor, -3, -1)


def batch_major(clips):
    """(time, batch, channels, height, width) -> (batch, time, height, width, channels)"""
    return np.ascontiguousarray(np.moveaxis(clips, (1, 0, 3, 4, 2), (0, 1, 2, 3, 4)))


def assert_gradients_agree(placements, gradients, golden, tolerance=1e-4):
    """Each part of a kernel has its tensor's gradient; a bias has the gradient of every bias it stands for."""
    checked = 0
    for placement, gradient in zip(placements, gradients, strict=True):
        for name, part in placement.tensors:
            if name not in golden:
                continue
            expected = to_keras_layout(golden[name])
            ours = np.asarray(gradient[:, :, part] if expected.ndim == 4 else gradient[part])
            np.testing.assert_allclose(
                ours, expected, rtol=0, atol=tolerance * np.abs(expected).max(), err_msg=name
            )
            checked += 1
    assert checked == len(golden)


@pytest.mark.parametrize(
    ("file", "cell_class", "states"),
    [("ConvLSTM", ConvLSTMCell, ("h", "c")), ("MK_LSTM", MKLSTMCell, ("h", "c_3", "c_5"))],
)
def test_golden_cell(file, cell_class, states):
    arrays, meta = load_golden(f"cells/{file}")
    cell = cell_class(meta["hidden"])
    x = tf.constant(channels_last(arrays["input/x"]))
    states_in = [tf.constant(channels_last(arrays[f"state_in/{name}"])) for name in states]
    cell.build(x.shape)
    placements = list(cell_placements(cell))
    assign_parameters(placements, named(arrays, "param/"))

    with tf.GradientTape() as tape:
        tape.watch([x, *states_in])
        output, states_out = cell(x, states_in)
        dot = tf.reduce_sum(output * channels_last(arrays["cotangent/output/h"]))
        for name, state in list(zip(states, states_out, strict=True))[1:]:
            dot += tf.reduce_sum(state * channels_last(arrays[f"cotangent/state_out/{name}"]))
    variables = [placement.variable.value for placement in placements]
    gradients = tape.gradient(dot, [*variables, x, *states_in])

    np.testing.assert_array_equal(output, states_out[0])
    for name, state in zip(states, states_out, strict=True):
        np.testing.assert_allclose(state, channels_last(arrays[f"state_out/{name}"]), atol=1e-5, rtol=0)
    assert_gradients_agree(placements, gradients[: len(variables)], named(arrays, "grad/"))
    expected = [arrays["grad_in/x"], *(arrays[f"grad_state_in/{name}"] for name in states)]
    for gradient, array in zip(gradients[len(variables) :], expected, strict=True):
        np.testing.assert_allclose(gradient, channels_last(array), rtol=0, atol=1e-4 * np.abs(array).max())


def golden_model(file):
    """Returns the model of a golden file with its parameters, and the file's arrays and meta data."""
    arrays, meta = load_golden(f"models/{file}")
    model = create_model(
        MODELS[meta["model"]],
        (meta["height"], meta["width"], meta["in_channels"]),
        meta["in_len"],
        meta["out_len"],
        filters=meta["hidden"],
        layers=meta["layers"],
    )
    load_reference_parameters(model, named(arrays, "param/"))
    return model, arrays, meta


def golden_plane(arrays, meta):
    """The observed plane: the context is seen; of later frames those of the mask, if the file has one."""
    plane = np.zeros((meta["batch"], meta["in_len"] + meta["out_len"] - 1), "float32")
    plane[:, : meta["in_len"]] = 1
    if "input/true_token" in arrays:
        plane[:, meta["in_len"] :] = arrays["input/true_token"].T
    return plane


@pytest.mark.parametrize("file", MODEL_FILES)
def test_golden_model(file):
    model, arrays, meta = golden_model(file)
    clips = batch_major(arrays["input/x"])
    rollout, loss = find_layer(model, Rollout), FrameL1L2()
    placements = list(model_placements(model))
    variables = [placement.variable.value for placement in placements]

    @tf.function
    def forward_backward(frames, truth, plane):
        with tf.GradientTape() as tape:
            predictions = rollout(frames, plane)
            value = loss(truth, predictions)
        return predictions, value, tape.gradient(value, variables)

    predictions, value, gradients = forward_backward(clips[:, :-1], clips[:, 1:], golden_plane(arrays, meta))

    np.testing.assert_allclose(predictions, batch_major(arrays["output/frames"]), atol=1e-5, rtol=0)
    np.testing.assert_allclose(value, arrays["output/loss"], rtol=1e-6)
    assert_gradients_agree(placements, gradients, named(arrays, "grad/"))
    norms = dict(zip(meta["param_names"], arrays["gradnorm"], strict=True))
    for placement, gradient in zip(placements, gradients, strict=True):
        for name, part in placement.tensors:
            ours = np.linalg.norm(gradient[:, :, part] if len(gradient.shape) == 4 else gradient[part])
            np.testing.assert_allclose(ours, norms[name], rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("file", [f"{name}_b1" for name in MODELS])
def test_golden_first_step_layer_by_layer(file):
    model, arrays, _ = golden_model(file)
    step = find_layer(model, Rollout).step
    cells = [layer for layer in step.layers if layer.__class__.__name__.endswith("Cell")]
    probe = keras.Model(step.inputs, [cell.output[0] for cell in cells])
    frame = batch_major(arrays["input/x"])[:, 0]
    states = [np.zeros((1, *state.shape[1:]), "float32") for state in step.inputs[1:]]
    for index, output in enumerate(probe([frame, *states])):
        np.testing.assert_allclose(
            output,
            channels_last(arrays[f"trace/t0/layer{index}"]),
            atol=1e-5,
            rtol=0,
            err_msg=f"layer {index}",
        )


@pytest.mark.parametrize("file", [f"{name}_b1" for name in MODELS])
def test_parameter_count_differs_by_the_joined_biases_alone(file):
    model, _, meta = golden_model(file)
    trained = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    # ConvLSTM: one bias for each of 4 gates instead of two. MK-LSTM: the same for each of two kernel sizes,
    # and none in the two convolutions from memory to output gate.
    saved_per_layer = 4 * meta["hidden"] if "ConvLSTM" in meta["model"] else (2 * 4 + 2) * meta["hidden"]
    assert meta["n_params"] - trained == meta["layers"] * saved_per_layer


def test_missing_and_unexpected_tensors_are_named():
    model = create_model("conv_lstm", (8, 8, 1), 2, 2, filters=2, layers=1)
    before = [np.array(weight) for weight in model.get_weights()]
    parameters = reference_parameters(model)
    bias = parameters.pop("fc.conv_fc.bias")
    with pytest.raises(ValueError, match=r"missing=\['fc.conv_fc.bias'\], unexpected=\['fc.bias'\]"):
        load_reference_parameters(model, {**parameters, "fc.bias": bias})
    parameters["fc.conv_fc.bias"] = np.zeros(3, "float32")
    with pytest.raises(ValueError, match=r"'fc.conv_fc.bias' as \(1,\) .* Received: \(3,\)"):
        load_reference_parameters(model, parameters)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_cell_without_reference_is_refused():
    class OwnCell(ConvLSTMCell):
        pass

    with pytest.raises(ValueError, match=r"Received: OwnCell"):
        list(cell_placements(OwnCell(2)))


def reference_parameters(model, seed=0):
    """Random tensors in the reference's layout for a model."""
    rng, parameters = np.random.default_rng(seed), {}
    for placement in model_placements(model):
        kernel = len(placement.variable.shape) == 4
        for name, part in placement.tensors:
            channels = len(range(*part.indices(placement.variable.shape[2 if kernel else 0])))
            height, width, _, filters = placement.variable.shape if kernel else (0, 0, 0, 0)
            shape = (filters, channels, height, width) if kernel else (channels,)
            parameters[name] = rng.normal(scale=0.2, size=shape).astype("float32")
    return parameters


@pytest.mark.parametrize("name", sorted(MODELS.values()))
def test_every_tensor_has_its_place(name):
    """Loading random tensors: each is found again, transposed, in its part of one variable."""
    model = create_model(name, (8, 8, 2), 2, 2, filters=4, layers=4)
    parameters = reference_parameters(model)
    load_reference_parameters(model, parameters)
    for placement in model_placements(model):
        value = placement.variable.numpy()
        if value.ndim == 4:
            for tensor, part in placement.tensors:
                np.testing.assert_array_equal(value[:, :, part], parameters[tensor].transpose(2, 3, 1, 0))
        else:
            total = sum(parameters[tensor].sum() for tensor, _ in placement.tensors)
            np.testing.assert_allclose(value.sum(), total, rtol=1e-5)
    placed = {id(placement.variable) for placement in model_placements(model)}
    assert placed == {id(variable) for variable in model.trainable_variables}
