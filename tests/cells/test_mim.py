"""MIM's equations."""

import numpy as np
import pytest

from mslstm_keras.cells.mim import MIMCell, mim
from mslstm_keras.cells.pred_rnn import PredRNNCell
from tests.support.equations import assert_close, conv, random_cell, sigmoid, weights


def lstm(memory, i, f, g):
    return sigmoid(f) * memory + sigmoid(i) * np.tanh(g)


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_equations(kernel_size):
    cell, x, (h, c, n, s, x_before, m) = random_cell(MIMCell, kernel_size=kernel_size)
    difference = x - x_before
    n_new = lstm(
        n, *np.split(conv(np.concatenate([difference, n], -1), *weights(cell.non_stationary)), 3, -1)
    )
    o = conv(np.concatenate([difference, n_new], -1), *weights(cell.non_stationary_output))
    d = sigmoid(o) * np.tanh(n_new)
    i, f, g, o = np.split(conv(np.concatenate([d, c], -1), *weights(cell.stationary)), 4, -1)
    s_new = lstm(s, i, f, g)
    t = sigmoid(o + conv(s_new, *weights(cell.s_to_o))) * np.tanh(s_new)
    i, g, o = np.split(conv(np.concatenate([x, h], -1), *weights(cell.temporal)), 3, -1)
    c_new = t + sigmoid(i) * np.tanh(g)
    m_new = lstm(m, *np.split(conv(np.concatenate([x, m], -1), *weights(cell.spatial)), 3, -1))
    o = sigmoid(o + conv(c_new, *weights(cell.c_to_o)) + conv(m_new, *weights(cell.m_to_o)))
    h_new = o * np.tanh(conv(np.concatenate([c_new, m_new], -1), *weights(cell.fuse)))

    states = [h, c, n, s, x_before, m]
    output, (h_out, c_out, n_out, s_out, x_out, m_out) = cell(x, states)
    assert_close(n_out, n_new)
    assert_close(s_out, s_new)
    assert_close(c_out, c_new)
    assert_close(m_out, m_new)
    assert_close(h_out, h_new)
    np.testing.assert_array_equal(x_out, x)
    np.testing.assert_array_equal(output, h_out)
    assert_close(cell.recur(x, states)[2], o)


def test_previous_input_has_the_channels_of_the_input():
    cell = MIMCell(4)
    others = (None, 5, 7, 4)
    assert cell.state_shapes((None, 5, 7, 3)) == [others, others, others, others, (None, 5, 7, 3), others]
    assert cell.zigzag_states == ("m",)


def test_weights():
    cell, _, _ = random_cell(MIMCell)
    assert [weight.shape for weight in cell.non_stationary.weights] == [(3, 3, 3 + 4, 3 * 4), (3 * 4,)]
    assert [weight.shape for weight in cell.non_stationary_output.weights] == [(3, 3, 3 + 4, 4), (4,)]
    assert [weight.shape for weight in cell.stationary.weights] == [(3, 3, 4 + 4, 4 * 4), (4 * 4,)]
    assert [weight.shape for weight in cell.temporal.weights] == [(3, 3, 3 + 4, 3 * 4), (3 * 4,)]
    assert [weight.shape for weight in cell.spatial.weights] == [(3, 3, 3 + 4, 3 * 4), (3 * 4,)]
    for layer in (cell.s_to_o, cell.c_to_o, cell.m_to_o):
        assert [weight.shape for weight in layer.weights] == [(3, 3, 4, 4)]
    assert [weight.shape for weight in cell.fuse.weights] == [(1, 1, 2 * 4, 4), (4,)]
    assert len(cell.weights) == 15


def test_stack_is_of_fresh_cells_on_one_st_lstm():
    cells = mim(4, 4, kernel_size=5)
    assert [type(cell) for cell in cells] == [PredRNNCell, MIMCell, MIMCell, MIMCell]
    assert len({id(cell) for cell in cells}) == 4
    for cell in cells:
        assert (cell.filters, cell.kernel_size) == (4, 5)


def test_a_stack_of_one_is_an_st_lstm():
    assert [type(cell) for cell in mim(4, 1)] == [PredRNNCell]
