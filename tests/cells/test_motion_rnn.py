"""The equations of MotionRNN: MotionGRU, and the highway around the cells of MIM."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.cells.mim import MIMCell
from mslstm_keras.cells.motion_rnn import MotionCell, MotionGRU, motion_rnn
from mslstm_keras.cells.pred_rnn import PredRNNCell
from mslstm_keras.models.registry import create_model
from tests.support import slow_layers
from tests.support.equations import assert_close, conv, random_cell, randomise, sigmoid, weights
from tests.support.golden_units import assert_unit, load_unit, parameter

KINDS = {"pred_rnn": PredRNNCell, "mim": MIMCell}


def halve(x, kernel, bias):
    """2x2 convolution of stride 2."""
    return bias + sum(x[:, u::2, v::2] @ kernel[u, v] for u, v in np.ndindex(2, 2))


def double(x, kernel, bias):
    """Transposed 4x4 convolution of stride 2: pixel i adds to pixels 2 i - 1 .. 2 i + 2."""
    batch, height, width, _ = x.shape
    y = np.zeros((batch, 2 * height + 2, 2 * width + 2, len(bias)))
    for u, v in np.ndindex(4, 4):
        y[:, u : u + 2 * height : 2, v : v + 2 * width : 2] += x @ kernel[u, v].T
    return bias + y[:, 1:-1, 1:-1]


def motion_gru(layer, h, motion, trend):
    """MotionGRU's equations, one flow after the other."""
    e = halve(h, *weights(layer.encode))
    u, r = np.split(sigmoid(conv(np.concatenate([e, motion], -1), *weights(layer.gates))), 2, -1)
    z = np.tanh(conv(np.concatenate([e, r * motion], -1), *weights(layer.candidate)))
    trend_new = trend + 0.5 * (motion - trend)
    motion_new = u * z + (1 - u) * motion + trend_new
    weigh = sigmoid(conv(e, *weights(layer.weigh)))
    kernel, bias = weights(layer.decode)
    kernel = kernel.reshape(e.shape[-1], 9, -1)  # channel by channel, each along all flows
    decoded = bias
    for k in range(9):
        moved = slow_layers.warp(e, motion_new[..., 2 * k : 2 * k + 2], layer.half_pixel_offset)[:, :, :, 0]
        decoded = decoded + (weigh[..., k : k + 1] * moved) @ kernel[:, k]
    d = double(decoded, *weights(layer.enlarge))
    g = sigmoid(conv(np.concatenate([d, h], -1), *weights(layer.blend)))
    return g * h + (1 - g) * d, motion_new, trend_new


@pytest.mark.parametrize("half_pixel_offset", [False, True])
@pytest.mark.parametrize("map_shape", [(6, 10), (2, 4)])
def test_motion_gru(map_shape, half_pixel_offset):
    rng = np.random.default_rng(0)
    height, width = map_shape
    shapes = (2, height, width, 8), (2, height // 2, width // 2, 18), (2, height // 2, width // 2, 18)
    arrays = [rng.normal(size=shape).astype("float32") for shape in shapes]
    layer = MotionGRU(8, half_pixel_offset)
    layer.build(*shapes)
    randomise(layer)
    for actual, expected in zip(layer(*arrays), motion_gru(layer, *arrays), strict=True):
        assert_close(actual, expected)


def test_golden_motion_gru():
    unit = load_unit("motion_gru_patched")
    layer = MotionGRU(8, half_pixel_offset=True)
    layer.build(*(unit[f"input/{name}"].shape for name in "HFD"))
    names = {"encode": "enc", "candidate": "z", "weigh": "hm", "decode": "dec", "blend": "g"}
    parts = {getattr(layer, ours): f"_conv_{theirs}" for ours, theirs in names.items()}
    parts[layer.enlarge] = "_deconv_dec"
    parameters = [
        (layer.gates.conv.kernel, parameter(unit, "_conv_u.weight", "_conv_r.weight")),
        (layer.gates.conv.bias, parameter(unit, "_conv_u.bias", "_conv_r.bias")),
        *((part.kernel, parameter(unit, f"{name}.weight")) for part, name in parts.items()),
        *((part.bias, parameter(unit, f"{name}.bias")) for part, name in parts.items()),
    ]
    assert len(layer.weights) == len(parameters)
    assert_unit(unit, lambda *arrays: layer(*arrays)[0], ["H", "F", "D"], parameters)
    _, motion, trend = layer(*(unit[f"input/{name}"] for name in "HFD"))
    assert_close(motion, unit["output/F"])
    assert_close(trend, unit["output/D"])


@pytest.mark.parametrize(
    ("kind", "kernel_size", "half_pixel_offset"),
    [("pred_rnn", 3, False), ("mim", 5, False), ("mim", 3, True)],
)
def test_equations(kind, kernel_size, half_pixel_offset):
    cell, x, states = random_cell(
        MotionCell,
        map_shape=(6, 10, 4),
        cell=kind,
        kernel_size=kernel_size,
        half_pixel_offset=half_pixel_offset,
    )
    *states, motion, trend = states
    h, inner, o = (
        np.array(array) if not isinstance(array, list) else array for array in cell.cell.recur(x, states)
    )
    y, motion_new, trend_new = motion_gru(cell.motion_gru, h, motion, trend)
    h_new = y + (1 - o) * x

    output, states_out = cell(x, [*states, motion, trend])
    for state, expected in zip(states_out, [h_new, *inner[1:], motion_new, trend_new], strict=True):
        assert_close(state, expected)
    np.testing.assert_array_equal(output, states_out[0])


@pytest.mark.parametrize("kind", KINDS)
def test_states(kind):
    cell = MotionCell(8, cell=kind)
    assert cell.state_names == (*KINDS[kind].state_names, "motion", "trend")
    assert cell.zigzag_states == ("m",)
    inner, halved = (None, 6, 10, 8), (None, 3, 5, 18)
    assert cell.state_shapes((None, 6, 10, 8)) == [inner] * len(KINDS[kind].state_names) + [halved] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_weights(kind):
    cell, _, _ = random_cell(MotionCell, filters=8, map_shape=(6, 10, 8), cell=kind)
    gru = cell.motion_gru
    assert [weight.shape for weight in gru.encode.weights] == [(2, 2, 8, 2), (2,)]
    assert [weight.shape for weight in gru.gates.weights] == [(1, 1, 2 + 18, 2 * 18), (2 * 18,)]
    assert [weight.shape for weight in gru.candidate.weights] == [(1, 1, 2 + 18, 18), (18,)]
    assert [weight.shape for weight in gru.weigh.weights] == [(1, 1, 2, 9), (9,)]
    assert [weight.shape for weight in gru.decode.weights] == [(1, 1, 2 * 9, 2), (2,)]
    assert [weight.shape for weight in gru.enlarge.weights] == [(4, 4, 8, 2), (8,)]
    assert [weight.shape for weight in gru.blend.weights] == [(1, 1, 8 + 8, 8), (8,)]
    assert len(gru.weights) == 14
    alone, _, _ = random_cell(KINDS[kind], filters=8, map_shape=(6, 10, 8))
    assert [weight.shape for weight in cell.cell.weights] == [weight.shape for weight in alone.weights]
    assert len(cell.weights) == len(alone.weights) + 14


def test_stack_is_of_fresh_cells_of_mim_in_those_of_motion_rnn():
    *moving, top = motion_rnn(8, 4, kernel_size=5, half_pixel_offset=True)
    assert [type(cell) for cell in (*moving, top)] == [MotionCell, MotionCell, MotionCell, MIMCell]
    assert [type(cell.cell) for cell in moving] == [PredRNNCell, MIMCell, MIMCell]
    assert len({id(cell) for cell in (*moving, *(each.cell for each in moving), top)}) == 7
    for cell in (*moving, top, *(each.cell for each in moving)):
        assert (cell.filters, cell.kernel_size) == (8, 5)
    for cell in moving:
        assert cell.motion_gru.half_pixel_offset


@pytest.mark.parametrize(("layers", "kinds"), [(1, [PredRNNCell]), (2, [MotionCell, MIMCell])])
def test_small_stacks(layers, kinds):
    cells = motion_rnn(8, layers)
    assert [type(cell) for cell in cells] == kinds
    for cell in cells[:-1]:
        assert (cell.cell.kernel_size, cell.motion_gru.half_pixel_offset) == (3, False)


@pytest.mark.parametrize("kind", KINDS)
def test_configuration_round_trip(kind):
    cell = MotionCell(8, cell=kind, half_pixel_offset=True, dtype="mixed_bfloat16")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert copy.get_config() == cell.get_config()
    assert type(copy.cell) is KINDS[kind]
    assert (copy.cell.dtype_policy.name, copy.motion_gru.dtype_policy.name) == ("mixed_bfloat16",) * 2
    assert copy.motion_gru.half_pixel_offset


def test_motion_gru_configuration_round_trip():
    layer = MotionGRU(8, half_pixel_offset=True, dtype="mixed_bfloat16")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()
    assert (copy.filters, copy.half_pixel_offset) == (8, True)


def test_weights_survive_saving(tmp_path):
    cell, x, states = random_cell(MotionCell, map_shape=(6, 10, 4))
    inputs = [keras.Input(array.shape[1:]) for array in (x, *states)]
    model = keras.Model(inputs, cell(inputs[0], inputs[1:])[0])
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy([x, *states]), cell(x, states)[0])


def test_in_a_compiled_graph():
    cell, x, states = random_cell(MotionCell, map_shape=(6, 10, 4))
    output, _ = tf.function(cell, jit_compile=True)(tf.constant(x), [tf.constant(state) for state in states])
    assert_close(output, np.array(cell(x, states)[0]))


@pytest.mark.parametrize("kind", ["conv_lstm", "", None])
def test_cell_must_be_known(kind):
    received = re.escape(f"Received: cell={kind!r}")
    with pytest.raises(ValueError, match=rf"`cell` must be one of \['mim', 'pred_rnn'\]\. {received}$"):
        MotionCell(8, cell=kind)


@pytest.mark.parametrize("filters", [1, 6, 9])
def test_filters_must_divide_by_four(filters):
    with pytest.raises(ValueError, match=rf"`filters` must divide by 4\. Received: filters={filters}$"):
        MotionCell(filters)


SIDES = r"`inputs` must have an even height and width at every scale\. Received: inputs\.shape="


@pytest.mark.parametrize("shape", [(None, 6, 7, 4), (None, 5, 8, 4)])
def test_sides_must_be_even(shape):
    with pytest.raises(ValueError, match=SIDES + re.escape(str(shape)) + "$"):
        MotionCell(4).build(shape)


def test_sides_must_be_even_at_every_scale():
    """12 and 6 are, 3 is not."""
    with pytest.raises(ValueError, match=SIDES + re.escape("(None, 3, 3, 4)") + "$"):
        create_model("ms_motion_rnn", (12, 12, 1), 2, 2, filters=4, layers=5)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_must_have_as_many_channels_as_the_cell_has_filters(kind):
    received = re.escape("Received: inputs.shape=(None, 6, 10, 3)")
    with pytest.raises(ValueError, match=rf"`inputs` must have as many channels .* filters, 4\. {received}$"):
        MotionCell(4, cell=kind).build((None, 6, 10, 3))


def test_sizes_must_be_known():
    received = re.escape("Received: inputs.shape=(None, None, 8, 4)")
    with pytest.raises(ValueError, match=rf"`inputs` must have shape .* {received}$"):
        MotionCell(4).build((None, None, 8, 4))
