"""Parity with the public PyTorch implementation, forward and backward."""

import contextlib
import itertools
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras import SpatiotemporalCell, create_model, list_models
from mslstm_keras.cells import (
    CausalLSTMCell,
    CMSLSTMCell,
    ConvLSTMCell,
    GradientHighwayUnit,
    MIMCell,
    MKLSTMCell,
    MoDeRNNCell,
    MotionCell,
    PrecipLSTMCell,
    PredRNNCell,
    TrajGRUCell,
)
from mslstm_keras.cells.registry import ARCHITECTURES
from mslstm_keras.export import load_reference_parameters
from mslstm_keras.export.convert import (
    SOURCES,
    assign_parameters,
    convert,
    model_placements,
    placements_of,
    read_checkpoint,
    to_keras_layout,
)
from mslstm_keras.models.registry import dtype_policy
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.training.losses import FrameL1L2
from tests.support.golden import MODELS, OPTIONS, load_golden

pytestmark = pytest.mark.usefixtures("many_models")

OFFSET = {"half_pixel_offset": True}
CELLS = {
    "ConvLSTM": [ConvLSTMCell(8)],
    "MK_LSTM": [MKLSTMCell(8)],
    "TrajGRU": [TrajGRUCell(8, links=5, **OFFSET)],
    "PredRNN": [PredRNNCell(8)],
    "PredRNN_V2": [PredRNNCell(8, increments=True)],
    "PredRNN_Plus2_other": [CausalLSTMCell(8)],
    "PredRNN_Plus2_layer1_ghu": [GradientHighwayUnit(8), CausalLSTMCell(8)],
    "MIM_other": [MIMCell(8)],
    "MotionRNN_mid_patched": [MotionCell(8, **OFFSET)],
    "PrecipLSTM_la4": [PrecipLSTMCell(8, window=4)],
    "PrecipLSTM_la5": [PrecipLSTMCell(8, window=5)],
    "CMS_LSTM": [CMSLSTMCell(8)],
    "MoDeRNN": [MoDeRNNCell(8)],
}
OUTER_CELLS = {
    "MIM_layer0": (PredRNNCell(8), ("h", "c", "m")),
    "MotionRNN_layer0_patched": (
        MotionCell(8, cell="pred_rnn", **OFFSET),
        ("h", "c", "m", "motion", "trend"),
    ),
    "MotionRNN_last_patched": (MIMCell(8), ("h", "c", "n", "s", "m")),
}
"""First and last layers, in which the reference computes more than it uses: what it uses agrees, forward."""

STATES = {"c3": "c_3", "c5": "c_5", "motion": "F", "trend": "D"}
"""Names of our states in the reference, where they are others."""

OTHER_PYRAMIDS = "MS_MIM", "MS_MotionRNN"
"""Their previous inputs lack the skips of the pyramid: no target."""

MODEL_FILES = {
    f"{public}{'_patched' if public == 'MotionRNN' else ''}_{batch}": name
    for public, name in MODELS.items()
    for batch in ("b1", "b2")
    if public not in OTHER_PYRAMIDS
}
MODEL_FILES |= {
    "ConvLSTM_ss_b2": "conv_lstm",
    "MS_LSTM_ss_b2": "ms_lstm",
    "PredRNN_V2_rss_b2": "pred_rnn_v2",
    "PrecipLSTM_la4_b1": "precip_lstm",
}
"""Golden file -> our model."""

TRACED_FILES = [
    file for file in MODEL_FILES if file.endswith("_b1") and file[-10:-3] != "patched" and "la4" not in file
]
CLOSE_CALLS = {"MS_PredRNN_Plus2_b1"}
"""Two values of a pooled window differ by less than float32 resolves: which of them has the gradient is rounding."""


def named(arrays, prefix):
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def channels_last(tensor):
    return np.moveaxis(tensor, -3, -1)


def batch_major(clips):
    """(time, batch, channels, height, width) -> (batch, time, height, width, channels)"""
    return np.ascontiguousarray(np.moveaxis(clips, (1, 0, 3, 4, 2), (0, 1, 2, 3, 4)))


def assert_near(actual, expected, tolerance, message=""):
    """Agreement to a part of the largest number."""
    atol = tolerance * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol, err_msg=message)


def assert_gradients_agree(placements, gradients, golden, tolerance=1e-4):
    """Each part of a kernel has its tensor's gradient; a bias has the gradient of every bias it stands for."""
    checked = set()
    for placement, gradient in zip(placements, gradients, strict=True):
        for part in placement.parts:
            if part.name in golden:
                assert_near(part.of_ours(gradient), part.of_theirs(golden[part.name]), tolerance, part.name)
                checked.add(part.name)
    assert checked == {name for name in golden if not is_unused(name)}


def is_unused(name):
    """Whether a tensor has no effect in the reference: a softmax does not see the bias of its keys."""
    return name.endswith("f_key.bias")


def golden_input(arrays, state):
    """The state before the step, under the name that the reference has for it; increments have none."""
    keys = [f"state_in/{STATES.get(state, state)}"]
    if state == "x":
        keys = ["input/xt_1", "input/x_t_1"]
    found = next((key for key in keys if key in arrays), None)
    return found, tf.constant(channels_last(arrays[found if found else "state_in/h"]))


def run_cells(file, cells):
    """Runs the cells of a golden file: what it holds, went in and came out, by key; placements and gradients."""
    arrays, meta = load_golden(f"cells/{file}")
    x = tf.constant(channels_last(arrays["input/x"]))
    inputs, states, placements = {"input/x": x}, [], []
    parameters = {name: value for name, value in named(arrays, "param/").items() if not is_unused(name)}
    for cell in cells:
        if not cell.built:
            cell.build(x.shape)
        placements += placements_of(cell)
        keys, tensors = zip(*(golden_input(arrays, name) for name in cell.state_names), strict=True)
        states.append(tensors)
        inputs |= {key: tensor for key, tensor in zip(keys, tensors, strict=True) if key}
    expected = {part.name for placement in placements for part in placement.parts}
    assign_parameters(placements, {name: value for name, value in parameters.items() if name in expected})
    outputs = {}
    with tf.GradientTape() as tape:
        tape.watch(list(inputs.values()))
        y = x
        for cell, before in zip(cells, states, strict=True):
            y, after = cell(y, list(before))
            for name, state in zip(cell.state_names, after, strict=True):
                kind = "output" if name.startswith("delta") else "state_out"
                outputs[f"{kind}/{STATES.get(name, name)}"] = state
        outputs["output/h"] = y
        dot = sum(
            tf.reduce_sum(outputs[key] * channels_last(cotangent))
            for key, cotangent in named(arrays, "cotangent/").items()
            if key in outputs
        )
    variables = [placement.variable.value for placement in placements]
    gradients = tape.gradient(dot, [*variables, *inputs.values()])
    unplaced = sorted(set(parameters) - expected)
    return arrays, meta, inputs, outputs, placements, gradients, unplaced


@pytest.mark.parametrize("file", CELLS)
def test_golden_cell(file):
    arrays, _, inputs, outputs, placements, gradients, unplaced = run_cells(file, CELLS[file])
    expected = {key for key in arrays if key.startswith(("output/", "state_out/"))} - {"output/cotangent_dot"}
    assert expected == set(outputs) - {"state_out/x"}
    for key in expected:
        np.testing.assert_allclose(outputs[key], channels_last(arrays[key]), atol=1e-5, rtol=0, err_msg=key)
    assert_gradients_agree(
        placements,
        gradients[: len(placements)],
        {name: value for name, value in named(arrays, "grad/").items() if name not in unplaced},
    )
    for key, gradient in zip(inputs, gradients[len(placements) :], strict=True):
        assert_near(gradient, channels_last(arrays[f"grad_{key}".replace("input", "in")]), 1e-4, key)
    # The highway's convolutions, which the reference builds in every layer.
    assert unplaced == (
        [f"_conv_{kind}.{which}" for kind in "xz" for which in ("bias", "weight")]
        if "other" in file and "Plus" in file
        else []
    )


@pytest.mark.parametrize("file", OUTER_CELLS)
def test_golden_outer_cell(file):
    cell, states = OUTER_CELLS[file]
    arrays, _, _, outputs, *_ = run_cells(file, [cell])
    for name in states:
        key = f"state_out/{STATES.get(name, name)}"
        np.testing.assert_allclose(outputs[key], channels_last(arrays[key]), atol=1e-5, rtol=0, err_msg=key)
    np.testing.assert_allclose(outputs["output/h"], channels_last(arrays["output/h"]), atol=1e-5, rtol=0)


def golden_model(file):
    """Returns the model of a golden file with its parameters, and the file's arrays and meta data."""
    arrays, meta = load_golden(f"models/{file}")
    options = {ours: meta[theirs] for theirs, ours in OPTIONS.items() if theirs in meta}
    model = convert(
        named(arrays, "param/"),
        MODELS[meta["model"]],
        (meta["height"], meta["width"]),
        meta["in_len"],
        meta["out_len"],
        **options,
    )
    return model, arrays, meta


def golden_plane(arrays, meta):
    """The observed plane: the context is seen; of later frames those of the mask, if the file has one.

    A mask of reverse scheduled sampling has a row for each frame but the first.
    """
    steps = meta["in_len"] + meta["out_len"] - 1
    plane = np.zeros((meta["batch"], steps), "float32")
    plane[:, : meta["in_len"]] = 1
    if "input/true_token" in arrays:
        mask = arrays["input/true_token"].T
        plane[:, steps - mask.shape[1] :] = mask
    return plane


@contextlib.contextmanager
def precision(file):
    """Computes in double precision where a file needs it."""
    dtype = "float64" if file in CLOSE_CALLS else "float32"
    keras.config.set_floatx(dtype)
    try:
        with dtype_policy(dtype):
            yield dtype
    finally:
        keras.config.set_floatx("float32")


def run_model(file):
    """Returns a golden file's arrays and meta data, our predictions and loss, placements and their gradients."""
    with precision(file) as dtype:
        model, arrays, meta = golden_model(file)
        clips = batch_major(arrays["input/x"]).astype(dtype)
        rollout, loss = find_layer(model, Rollout), FrameL1L2()
        placements = list(model_placements(model))
        variables = [placement.variable.value for placement in placements]

        plane = golden_plane(arrays, meta).astype(dtype)
        with tf.GradientTape() as tape:  # no `tf.function`: to trace it takes longer than to run it
            predictions = rollout(clips[:, :-1], plane)
            value = loss(clips[:, 1:], predictions) + sum(rollout.losses)
        gradients = tape.gradient(value, variables)
    return arrays, meta, predictions, value, placements, gradients


@pytest.mark.slow
@pytest.mark.parametrize("file", MODEL_FILES)
def test_golden_model(file):
    arrays, meta, predictions, value, placements, gradients = run_model(file)
    np.testing.assert_allclose(predictions, batch_major(arrays["output/frames"]), atol=1e-5, rtol=0)
    np.testing.assert_allclose(value, arrays["output/loss"], rtol=1e-6)
    assert_gradients_agree(placements, gradients, without_effect_left_out(arrays, placements))
    norms = dict(zip(meta["param_names"], arrays["gradnorm"], strict=True))
    squares = {}
    for placement, gradient in zip(placements, gradients, strict=True):
        for part in placement.parts:
            norm = np.linalg.norm(np.array(part.of_ours(gradient), "float64"))
            squares[part.name] = squares.get(part.name, 0) + norm**2
    for name, square in squares.items():
        np.testing.assert_allclose(np.sqrt(square), norms[name], rtol=1e-4, err_msg=name)
    for name in set(norms) - set(squares):
        assert name in meta["params_without_grad"] or is_unused(name), f"{name} is not converted"


def without_effect_left_out(arrays, placements):
    """The golden gradients, without those of tensors that the reference computes with and never uses."""
    placed = {part.name for placement in placements for part in placement.parts}
    return {
        name: value
        for name, value in named(arrays, "grad/").items()
        if name in placed or (np.any(value) and not is_unused(name))
    }


@pytest.mark.parametrize("file", TRACED_FILES)
def test_golden_first_step_layer_by_layer(file):
    model, arrays, _ = golden_model(file)
    step = find_layer(model, Rollout).step
    cells = [layer for layer in step.layers if layer.__class__.__name__.endswith("Cell")]  # no highway
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


@pytest.mark.parametrize("file", [f"{name}_b1" for name in list(MODELS)[:4]])
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
        list(placements_of(OwnCell(2)))


@pytest.mark.parametrize("name", ["traj_gru", "ms_motion_rnn"])
def test_model_that_warps_otherwise_is_refused(name):
    model = create_model(name, (16, 16, 1), 2, 2, filters=4, layers=3)
    with pytest.raises(ValueError, match=r"half_pixel_offset=True\. Received: half_pixel_offset=False in"):
        load_reference_parameters(model, {})


def reference_parameters(model, seed=0):
    """Random tensors in the reference's layout for a model."""
    rng, shapes = np.random.default_rng(seed), {}
    for placement in model_placements(model):
        for part in placement.parts:
            region = part.of_ours(np.zeros(placement.variable.shape))
            outputs = max(part.cut.stop or region.shape[-1], *shapes.get(part.name, (0,))[-1:])
            shapes[part.name] = (*region.shape[:-1], outputs)
    return {
        name: np.transpose(
            rng.normal(scale=0.2, size=shape).astype("float32"), range(len(shape))[::-1]
        ).swapaxes(-1, -2)
        if len(shape) == 4
        else rng.normal(scale=0.2, size=shape).astype("float32")
        for name, shape in shapes.items()
    }


def small_reference_model(name, **options):
    warps = {"half_pixel_offset": True} if "traj" in name or "motion" in name else {}
    return create_model(name, (16, 32, 2), 2, 2, filters=4, layers=4, **warps, **options)


def test_models_of_cells_of_the_public_code_are_compared():
    """What is made of other cells has nothing to be compared with."""

    def kinds(name):
        levels = ARCHITECTURES[name].stack(filters=4, layers=3)
        cells = [(level,) if isinstance(level, SpatiotemporalCell) else level for level in levels]
        return {type(cell) for cell in itertools.chain(*cells)}

    assert {name for name in list_models() if kinds(name) <= set(SOURCES)} == set(MODELS.values())


@pytest.mark.parametrize("name", sorted(MODELS.values()))
def test_every_tensor_has_its_place(name):
    """Loading random tensors: each is found again, transposed, in its part of one variable."""
    model = small_reference_model(name)
    parameters = reference_parameters(model)
    load_reference_parameters(model, {f"module.{name}": value for name, value in parameters.items()})
    for placement in model_placements(model):
        value = placement.variable.numpy()
        if value.ndim == 4:
            for part in placement.parts:
                np.testing.assert_array_equal(part.of_ours(value), part.of_theirs(parameters[part.name]))
        else:
            total = sum(part.of_theirs(parameters[part.name]).sum() for part in placement.parts)
            np.testing.assert_allclose(value.sum(), total, rtol=1e-4, atol=1e-5)
    placed = {id(placement.variable) for placement in model_placements(model)}
    assert placed == {id(variable) for variable in model.trainable_variables}


def test_to_keras_layout():
    kernel = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7)
    assert to_keras_layout(kernel).shape == (5, 7, 3, 2)
    assert to_keras_layout(kernel)[4, 6, 2, 1] == kernel[1, 2, 4, 6]
    np.testing.assert_array_equal(to_keras_layout(np.arange(3)), [0, 1, 2])


def test_a_model_is_no_place_for_another_s_tensors():
    """What MIM has in its first layer and never uses, PredRNN does not know."""
    mim, pred_rnn = (small_reference_model(name) for name in ("mim", "pred_rnn"))
    unused = {"rnns.lstm.0._conv_x2h_n.bias": np.zeros(12, "float32")}
    load_reference_parameters(mim, reference_parameters(mim) | unused)
    with pytest.raises(ValueError, match=r"missing=\[\], unexpected=\['rnns.lstm.0._conv_x2h_n.bias'\]"):
        load_reference_parameters(pred_rnn, reference_parameters(pred_rnn) | unused)
    with pytest.raises(ValueError, match=r"unexpected=\['rnns.lstm.1._conv_nothing.bias'\]"):
        load_reference_parameters(
            mim, reference_parameters(mim) | {"rnns.lstm.1._conv_nothing.bias": np.zeros(3)}
        )


@pytest.mark.parametrize("name", ["ms_lstm", "motion_rnn"])
def test_convert_reads_sizes_off_the_parameters(name):
    model = small_reference_model(name)
    parameters = reference_parameters(model)
    load_reference_parameters(model, parameters)
    converted = convert({f"module.{name}": each for name, each in parameters.items()}, name, (16, 32), 2, 2)
    frames = np.random.default_rng(0).random((1, 2, 16, 32, 2), "float32")
    np.testing.assert_array_equal(converted(frames), model(frames))


def test_convert_refuses_what_is_no_model():
    with pytest.raises(
        ValueError, match=r"'embed.conv_embed.weight'. Received: \['a'\] and others, 1 in all"
    ):
        convert({"a": np.zeros(3)}, "ms_lstm", (16, 16), 2, 2)


def test_read_checkpoint(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    path = tmp_path / "model.pth"
    torch.save({"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float64)}, path)
    state = read_checkpoint(path)
    assert list(state) == ["a.weight", "b"] and state["b"].dtype == "float32"
    np.testing.assert_array_equal(state["a.weight"], [[0, 1, 2], [3, 4, 5]])
    torch.save({"a": torch.ones(2), "code": keras.Model}, path)
    with pytest.raises(
        ValueError,
        match=r"`path` must be a state dict saved by PyTorch, with nothing in it but tensors\. Received: ",
    ):
        read_checkpoint(path)
    torch.save({"a": {"b": torch.ones(2)}}, path)
    with pytest.raises(ValueError, match=r"which holds dict"):
        read_checkpoint(path)
    path.write_bytes(b"no file of PyTorch")
    with pytest.raises(
        ValueError,
        match=r"`path` must be a state dict saved by PyTorch, with nothing in it but tensors\. Received: ",
    ):
        read_checkpoint(path)


def test_read_checkpoint_without_pytorch(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'mslstm_keras\[torch\]'"):
        read_checkpoint(tmp_path / "model.pth")
