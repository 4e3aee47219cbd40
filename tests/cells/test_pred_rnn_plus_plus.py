"""The equations of PredRNN++, and where its highway stands."""

import numpy as np
import pytest

from mslstm_keras.cells.pred_rnn_plus_plus import CausalLSTMCell, GradientHighwayUnit, pred_rnn_plus_plus
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import Rollout, find_layer
from tests.support.equations import assert_close, conv, random_cell, sigmoid, weights


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_equations_of_the_causal_lstm(kernel_size):
    cell, x, (h, c, m) = random_cell(CausalLSTMCell, kernel_size=kernel_size)
    i, f, g = np.split(conv(np.concatenate([x, h, c], -1), *weights(cell.temporal)), 3, -1)
    c_new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    i, f, g = np.split(conv(np.concatenate([x, c_new, m], -1), *weights(cell.spatial)), 3, -1)
    m_new = sigmoid(f) * np.tanh(conv(m, *weights(cell.mix))) + sigmoid(i) * np.tanh(g)
    o = np.tanh(conv(np.concatenate([x, c_new, m_new], -1), *weights(cell.output_gate)))
    h_new = o * np.tanh(conv(np.concatenate([c_new, m_new], -1), *weights(cell.fuse)))

    output, (h_out, c_out, m_out) = cell(x, [h, c, m])
    assert_close(c_out, c_new)
    assert_close(m_out, m_new)
    assert_close(h_out, h_new)
    np.testing.assert_array_equal(output, h_out)


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_equations_of_the_highway(kernel_size):
    cell, x, (z,) = random_cell(GradientHighwayUnit, kernel_size=kernel_size)
    p, s = np.split(conv(np.concatenate([x, z], -1), *weights(cell.highway)), 2, -1)

    output, (z_out,) = cell(x, [z])
    assert_close(z_out, sigmoid(s) * np.tanh(p) + (1 - sigmoid(s)) * z)
    np.testing.assert_array_equal(output, z_out)


def test_weights():
    cell, _, _ = random_cell(CausalLSTMCell)
    assert [weight.shape for weight in cell.temporal.weights] == [(3, 3, 3 + 2 * 4, 3 * 4), (3 * 4,)]
    assert [weight.shape for weight in cell.spatial.weights] == [(3, 3, 3 + 2 * 4, 3 * 4), (3 * 4,)]
    assert [weight.shape for weight in cell.mix.weights] == [(1, 1, 4, 4), (4,)]
    assert [weight.shape for weight in cell.output_gate.weights] == [(3, 3, 3 + 2 * 4, 4), (4,)]
    assert [weight.shape for weight in cell.fuse.weights] == [(1, 1, 2 * 4, 4), (4,)]
    assert len(cell.weights) == 10
    highway, _, _ = random_cell(GradientHighwayUnit)
    assert [weight.shape for weight in highway.weights] == [(3, 3, 3 + 4, 2 * 4), (2 * 4,)]


def test_stack_has_one_highway_before_its_second_cell():
    first, (highway, second), *others = pred_rnn_plus_plus(4, 4, kernel_size=5)
    cells = [first, second, *others]
    assert type(highway) is GradientHighwayUnit
    assert [type(cell) for cell in cells] == [CausalLSTMCell] * 4
    assert len({id(cell) for cell in cells}) == 4
    for cell in (highway, *cells):
        assert (cell.filters, cell.kernel_size) == (4, 5)


def test_a_stack_of_one_has_no_highway():
    (cell,) = pred_rnn_plus_plus(4, 1)
    assert type(cell) is CausalLSTMCell


def test_highway_is_fed_by_the_first_cell_and_feeds_the_second():
    """With a highway that is shut, its state stays zero, and the first cell reaches the second by m alone."""
    model = create_model("pred_rnn_plus_plus", (4, 4, 1), 2, 2, filters=2, layers=3)
    step = find_layer(model, Rollout).step
    (highway,) = (layer for layer in step.layers if isinstance(layer, GradientHighwayUnit))
    names = [tensor.name for tensor in step.inputs]
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(2, *tensor.shape[1:])).astype("float32") for tensor in step.inputs]
    z = names.index("cell_2_z")
    assert sorted(names) == sorted(
        ["frame", "m", "cell_2_z", *(f"cell_{number}_{name}" for number in (1, 3, 4) for name in "hc")]
    )

    first_h = np.array(step(inputs)[names.index("cell_1_h")])
    assert_close(highway(first_h, [inputs[z]])[0], np.array(step(inputs)[z]))

    kernel, bias = highway.weights
    kernel.assign(np.zeros(kernel.shape))
    bias.assign([0, 0, -100, -100])
    outputs = step(inputs)
    assert_close(outputs[z], inputs[z])
    inputs[z] = inputs[z] + 1
    changed = step(inputs)
    for name, before, after in zip(names, outputs, changed, strict=True):
        reached = name not in ("cell_1_h", "cell_1_c")
        assert np.any(np.array(before) != np.array(after)) == reached, name
