"""MK-LSTM's equations."""

import re

import numpy as np
import pytest

from mslstm_keras.cells.mk_lstm import MKLSTMCell, tms_lstm
from tests.equations import assert_close, conv, random_cell, sigmoid, weights


@pytest.mark.parametrize("kernel_sizes", [(3, 5), (1, 3)])
def test_equations(kernel_sizes):
    cell, x, (h, c3, c5) = random_cell(MKLSTMCell, kernel_sizes=kernel_sizes)
    assert cell.gates_3.conv.kernel_size == cell.c3_to_o.kernel_size == (kernel_sizes[0],) * 2
    assert cell.gates_5.conv.kernel_size == cell.c5_to_o.kernel_size == (kernel_sizes[1],) * 2
    xh = np.concatenate([x, h], -1)
    i3, f3, g3, o3 = np.split(conv(xh, *weights(cell.gates_3)), 4, -1)
    i5, f5, g5, o5 = np.split(conv(xh, *weights(cell.gates_5)), 4, -1)
    c3_new = sigmoid(f3) * c3 + sigmoid(i3) * np.tanh(g3)
    c5_new = sigmoid(f5) * c5 + sigmoid(i5) * np.tanh(g5)
    o = sigmoid(o3 + o5 + conv(c3_new, *weights(cell.c3_to_o)) + conv(c5_new, *weights(cell.c5_to_o)))
    h_new = o * np.tanh(conv(np.concatenate([c3_new, c5_new], -1), *weights(cell.fuse)))

    output, (h_out, c3_out, c5_out) = cell(x, [h, c3, c5])
    assert_close(c3_out, c3_new)
    assert_close(c5_out, c5_new)
    assert_close(h_out, h_new)
    np.testing.assert_array_equal(output, h_out)


def test_weights():
    cell, _, _ = random_cell(MKLSTMCell)
    assert [weight.shape for weight in cell.gates_3.weights] == [(3, 3, 3 + 4, 4 * 4), (4 * 4,)]
    assert [weight.shape for weight in cell.gates_5.weights] == [(5, 5, 3 + 4, 4 * 4), (4 * 4,)]
    assert [weight.shape for weight in cell.c3_to_o.weights] == [(3, 3, 4, 4)]
    assert [weight.shape for weight in cell.c5_to_o.weights] == [(5, 5, 4, 4)]
    assert [weight.shape for weight in cell.fuse.weights] == [(1, 1, 2 * 4, 4), (4,)]
    assert len(cell.weights) == 8


@pytest.mark.parametrize("kernel_sizes", [(3,), (3, 5, 7), (), 3, "35", (3, 0), (-3, 5), (3, 5.0)])
def test_kernel_sizes_must_be_two_positive_integers(kernel_sizes):
    received = re.escape(f"Received: kernel_sizes={kernel_sizes!r}")
    with pytest.raises(ValueError, match=rf"`kernel_sizes` must be two positive integers\. {received}$"):
        MKLSTMCell(4, kernel_sizes=kernel_sizes)


def test_a_list_of_kernel_sizes_is_a_pair():
    assert MKLSTMCell(4, kernel_sizes=[1, 3]).gates_5.conv.kernel_size == (3, 3)


def test_stack_is_of_fresh_cells():
    cells = tms_lstm(4, 3, kernel_sizes=(1, 3))
    assert len({id(cell) for cell in cells}) == 3
    for cell in cells:
        assert cell.filters == 4
        assert cell.gates_3.conv.kernel_size == (1, 1) and cell.gates_5.conv.kernel_size == (3, 3)
