"""CMS-LSTM's equations."""

import re

import keras
import numpy as np
import pytest

from mslstm_keras.cells.cms_lstm import CMSLSTMCell, cms_lstm
from mslstm_keras.models.registry import create_model
from tests.support import slow_layers
from tests.support.equations import assert_close, conv, random_cell, sigmoid, weights
from tests.support.golden_units import assert_unit, load_unit, parameter, summed_bias


def express(cell, h, c):
    """Attention over the states of the ConvLSTM, and what is made of it."""
    attended = [
        np.concatenate(
            slow_layers.block_attention(h, c, *map(weights, (a.query, a.key, a.value)), blocks), axis=2
        )
        for a, blocks in zip(cell.attentions, (1, 2, 4), strict=True)
    ]
    a_h, a_c = np.split(conv(np.concatenate(attended, -1), *weights(cell.join)), 2, axis=2)
    z = conv(np.concatenate([a_h, a_c], -1), *weights(cell.squeeze))
    i, g, o = np.split(conv(np.concatenate([h, z], -1), *weights(cell.expression)), 3, -1)
    c_new = (1 - sigmoid(i)) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * c_new, c_new


@pytest.mark.parametrize(
    ("iterations", "kernel_size", "map_shape"),
    [(1, 3, (4, 8, 4)), (2, 5, (8, 4, 4)), (3, 3, (4, 4, 4)), (5, 3, (8, 12, 4))],
)
def test_equations(iterations, kernel_size, map_shape):
    cell, inputs, (h, c) = random_cell(
        CMSLSTMCell, map_shape=map_shape, iterations=iterations, kernel_size=kernel_size
    )
    x, h_gated = inputs, h
    for iteration in range(1, iterations + 1):
        if iteration % 2:
            x = 2 * sigmoid(conv(h_gated, *weights(cell.h_to_x))) * x
        else:
            h_gated = 2 * sigmoid(conv(x, *weights(cell.x_to_h))) * h_gated
    i, f, g, o = np.split(conv(np.concatenate([x, h_gated], -1), *weights(cell.temporal)), 4, -1)
    c_new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h_new, c_new = express(cell, sigmoid(o) * np.tanh(c_new), c_new)

    output, (h_out, c_out) = cell(inputs, [h, c])
    assert_close(c_out, c_new)
    assert_close(h_out, h_new)
    np.testing.assert_array_equal(output, h_out)


def test_golden_expression():
    unit = load_unit("cms_se_block")
    cell = CMSLSTMCell(8)
    cell.build(unit["input/h"].shape)
    parameters = [
        (cell.join.kernel, parameter(unit, "conv_bn.weight")),
        (cell.join.bias, parameter(unit, "conv_bn.bias")),
        (cell.squeeze.kernel, parameter(unit, "w_z.weight")),
        (cell.squeeze.bias, parameter(unit, "w_z.bias")),
        (cell.expression.conv.kernel, parameter(unit, "w_h2h.weight", "w_z2h.weight", axis=2)),
        (cell.expression.conv.bias, summed_bias(unit, "w_h2h.bias", "w_z2h.bias")),
    ]
    for stage, attention in enumerate(cell.attentions):
        for layer in (attention.query, attention.key, attention.value):
            name = f"stages.{stage}.f_{layer.name}"
            parameters.append((layer.kernel, parameter(unit, f"{name}.weight")))
            if layer.use_bias:
                parameters.append((layer.bias, parameter(unit, f"{name}.bias")))

    def states(h, c):
        return keras.ops.concatenate(cell.express(h, c), axis=-1)

    assert_unit(unit, states, ["h", "m"], parameters)


@pytest.mark.parametrize("iterations", [1, 2])
def test_weights(iterations):
    cell, _, states = random_cell(CMSLSTMCell, map_shape=(4, 8, 4), iterations=iterations)
    assert [state.shape for state in states] == [(2, 4, 8, 4)] * 2
    gating = [cell.h_to_x, cell.x_to_h] if iterations > 1 else [cell.h_to_x]
    for layer in gating:
        assert [weight.shape for weight in layer.weights] == [(3, 3, 4, 4), (4,)]
    assert [weight.shape for weight in cell.temporal.weights] == [(3, 3, 4 + 4, 4 * 4), (4 * 4,)]
    assert [attention.blocks for attention in cell.attentions] == [1, 2, 4]
    for attention in cell.attentions:
        assert [weight.shape for weight in attention.query.weights] == [(1, 1, 4, 4), (4,)]
        assert [weight.shape for weight in attention.key.weights] == [(1, 1, 4, 4)]
        assert [weight.shape for weight in attention.value.weights] == [(1, 1, 4, 4), (4,)]
    assert [weight.shape for weight in cell.join.weights] == [(3, 3, 3 * 4, 4), (4,)]
    assert [weight.shape for weight in cell.squeeze.weights] == [(1, 1, 2 * 4, 4), (4,)]
    assert [weight.shape for weight in cell.expression.weights] == [(3, 3, 4 + 4, 3 * 4), (3 * 4,)]
    assert len(cell.weights) == 2 * len(gating) + 2 + 3 * 5 + 6


@pytest.mark.parametrize("layers", [1, 2])
def test_stack_is_of_fresh_cells(layers):
    cells = cms_lstm(4, layers, kernel_size=5, iterations=2)
    assert [type(cell) for cell in cells] == [CMSLSTMCell] * layers
    assert len({id(cell) for cell in cells}) == layers
    for cell in cells:
        assert (cell.filters, cell.kernel_size, cell.iterations) == (4, 5, 2)


def test_five_iterations_by_default():
    assert CMSLSTMCell(4).iterations == 5


def test_configuration_round_trip():
    cell = CMSLSTMCell(4, iterations=2, dtype="mixed_bfloat16")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert copy.get_config() == cell.get_config()
    assert copy.iterations == 2


@pytest.mark.parametrize("iterations", [0, -1, 2.0, "3", None])
def test_iterations_must_be_positive(iterations):
    received = re.escape(f"Received: iterations={iterations!r}")
    with pytest.raises(ValueError, match=rf"`iterations` must be a positive integer\. {received}$"):
        CMSLSTMCell(4, iterations=iterations)


SIDES = r"`inputs` must have a height and width that divide by 4 at every scale\. Received: inputs\.shape="


@pytest.mark.parametrize("shape", [(None, 6, 8, 4), (None, 8, 6, 4), (None, 5, 7, 4)])
def test_sides_must_divide_by_four(shape):
    with pytest.raises(ValueError, match=SIDES + re.escape(str(shape)) + "$"):
        CMSLSTMCell(4).build(shape)


def test_sides_must_divide_by_four_at_every_scale():
    """24 and 12 do, 6 does not."""
    with pytest.raises(ValueError, match=SIDES + re.escape("(None, 6, 6, 4)") + "$"):
        create_model("ms_cms_lstm", (24, 24, 1), 2, 2, filters=4)
    create_model("ms_cms_lstm", (24, 16, 1), 2, 2, filters=4, layers=3)


def test_inputs_must_have_as_many_channels_as_the_cell_has_filters():
    received = re.escape("Received: inputs.shape=(None, 4, 8, 3)")
    with pytest.raises(ValueError, match=rf"`inputs` must have as many channels .* filters, 4\. {received}$"):
        CMSLSTMCell(4).build((None, 4, 8, 3))
