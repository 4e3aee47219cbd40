"""PredRNN's equations."""

import keras
import numpy as np
import pytest

from mslstm_keras.cells.pred_rnn import PredRNNCell, pred_rnn
from tests.support.equations import assert_close, conv, random_cell, sigmoid, weights


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("increments", [False, True])
def test_equations(increments, kernel_size):
    cell, x, (h, c, m, *old_increments) = random_cell(
        PredRNNCell, kernel_size=kernel_size, increments=increments
    )
    i, f, g, o = np.split(conv(np.concatenate([x, h], -1), *weights(cell.temporal)), 4, -1)
    delta_c = sigmoid(i) * np.tanh(g)
    c_new = sigmoid(f) * c + delta_c
    i, f, g = np.split(conv(np.concatenate([x, m], -1), *weights(cell.spatial)), 3, -1)
    delta_m = sigmoid(i) * np.tanh(g)
    m_new = sigmoid(f) * m + delta_m
    o = sigmoid(o + conv(c_new, *weights(cell.c_to_o)) + conv(m_new, *weights(cell.m_to_o)))
    h_new = o * np.tanh(conv(np.concatenate([c_new, m_new], -1), *weights(cell.fuse)))

    output, states = cell(x, [h, c, m, *old_increments])
    expected = [h_new, c_new, m_new, *([delta_c, delta_m] if increments else [])]
    for state, value in zip(states, expected, strict=True):
        assert_close(state, value)
    np.testing.assert_array_equal(output, states[0])
    assert_close(cell.recur(x, [h, c, m, *old_increments])[2], o)


def test_old_increments_have_no_effect():
    cell, x, states = random_cell(PredRNNCell, increments=True)
    _, with_old = cell(x, states)
    _, without = cell(x, [*states[:3], *(np.zeros_like(state) for state in states[3:])])
    for one, other in zip(with_old, without, strict=True):
        np.testing.assert_array_equal(one, other)


def test_increments_are_states_of_their_cell_alone():
    assert PredRNNCell(4, increments=True).state_names == ("h", "c", "m", "delta_c", "delta_m")
    assert PredRNNCell(4).state_names == PredRNNCell.state_names == ("h", "c", "m")
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(PredRNNCell(4, increments=True))
    )
    assert copy.state_names == ("h", "c", "m", "delta_c", "delta_m")


def test_only_the_memory_of_space_travels():
    for increments in (False, True):
        assert PredRNNCell(4, increments=increments).zigzag_states == ("m",)


@pytest.mark.parametrize("increments", [False, True])
def test_weights(increments):
    cell, _, _ = random_cell(PredRNNCell, increments=increments)
    assert [weight.shape for weight in cell.temporal.weights] == [(3, 3, 3 + 4, 4 * 4), (4 * 4,)]
    assert [weight.shape for weight in cell.spatial.weights] == [(3, 3, 3 + 4, 3 * 4), (3 * 4,)]
    assert [weight.shape for weight in cell.c_to_o.weights] == [(3, 3, 4, 4)]
    assert [weight.shape for weight in cell.m_to_o.weights] == [(3, 3, 4, 4)]
    assert [weight.shape for weight in cell.fuse.weights] == [(1, 1, 2 * 4, 4), (4,)]
    assert len(cell.weights) == 8


def test_stack_is_of_fresh_cells():
    cells = pred_rnn(4, 3, kernel_size=5)
    assert [type(cell) for cell in cells] == [PredRNNCell] * 3
    assert len({id(cell) for cell in cells}) == 3
    for cell in cells:
        assert (cell.filters, cell.kernel_size, cell.increments) == (4, 5, False)
