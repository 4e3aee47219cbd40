"""ConvLSTM's equations."""

import numpy as np
import pytest

from mslstm_keras.cells.conv_lstm import ConvLSTMCell, conv_lstm
from tests.support.equations import assert_close, conv, random_cell, sigmoid, weights


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_equations(kernel_size):
    cell, x, (h, c) = random_cell(ConvLSTMCell, kernel_size=kernel_size)
    i, f, g, o = np.split(conv(np.concatenate([x, h], -1), *weights(cell.temporal)), 4, -1)
    c_new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h_new = sigmoid(o) * np.tanh(c_new)

    output, (h_out, c_out) = cell(x, [h, c])
    assert_close(c_out, c_new)
    assert_close(h_out, h_new)
    np.testing.assert_array_equal(output, h_out)


def test_weights():
    cell, _, _ = random_cell(ConvLSTMCell)
    assert [weight.shape for weight in cell.weights] == [(3, 3, 3 + 4, 4 * 4), (4 * 4,)]


def test_stack_is_of_fresh_cells():
    cells = conv_lstm(4, 3, kernel_size=5)
    assert len({id(cell) for cell in cells}) == 3
    assert {(type(cell), cell.filters, cell.kernel_size) for cell in cells} == {(ConvLSTMCell, 4, 5)}
