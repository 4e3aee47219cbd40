"""MK-LSTM's equations."""

import re

import keras
import numpy as np
import pytest

from mslstm_keras.cells.mk_lstm import MKLSTMCell, tms_lstm
from mslstm_keras.contracts.models import (
    check_every_weight_has_a_gradient,
    check_streaming_is_the_roll_out,
    loss_and_gradients,
    random_frames,
    small_model,
    untraced,
)
from mslstm_keras.models.rollout import Rollout, find_layer
from tests.support import contracts
from tests.support.equations import assert_close, conv, random_cell, sigmoid, weights

SIZES = [(3,), (5, 7), (3, 5, 7)]  # besides the paper's (3, 5)


@pytest.mark.parametrize("kernel_sizes", [(3, 5), (1, 3), *SIZES])
def test_equations(kernel_sizes):
    cell, x, (h, *memories) = random_cell(MKLSTMCell, kernel_sizes=kernel_sizes)
    xh = np.concatenate([x, h], -1)
    expected, o = [], 0
    for k, c in zip(kernel_sizes, memories, strict=True):
        gates, peephole = getattr(cell, f"gates_{k}"), getattr(cell, f"c{k}_to_o")
        assert gates.conv.kernel_size == peephole.kernel_size == (k, k)
        i_k, f_k, g_k, o_k = np.split(conv(xh, *weights(gates)), 4, -1)
        expected.append(sigmoid(f_k) * c + sigmoid(i_k) * np.tanh(g_k))
        o += o_k + conv(expected[-1], *weights(peephole))
    h_new = sigmoid(o) * np.tanh(conv(np.concatenate(expected, -1), *weights(cell.fuse)))

    output, (h_out, *received) = cell(x, [h, *memories])
    for c, c_new in zip(received, expected, strict=True):
        assert_close(c, c_new)
    assert_close(h_out, h_new)
    np.testing.assert_array_equal(output, h_out)


@pytest.mark.parametrize("kernel_sizes", SIZES)
def test_other_sizes_keep_the_promises_of_models(kernel_sizes, tmp_path):
    options = {"layers": 1, "kernel_sizes": kernel_sizes}
    model, plain = (small_model("tms_lstm", fast=fast, **options) for fast in (True, False))
    frames = random_frames()
    check_every_weight_has_a_gradient(model, loss_and_gradients(model, untraced))
    check_streaming_is_the_roll_out(model)
    assert_close(model(frames), np.array(plain(frames)), 1e-6)
    contracts.check_same_gradients(model, loss_and_gradients(plain, untraced))
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert_close(copy(frames), np.array(model(frames)), 1e-6)
    assert find_layer(find_layer(copy, Rollout).step, MKLSTMCell).kernel_sizes == kernel_sizes


def test_weights():
    cell, _, _ = random_cell(MKLSTMCell)
    assert [weight.shape for weight in cell.gates_3.weights] == [(3, 3, 3 + 4, 4 * 4), (4 * 4,)]
    assert [weight.shape for weight in cell.gates_5.weights] == [(5, 5, 3 + 4, 4 * 4), (4 * 4,)]
    assert [weight.shape for weight in cell.c3_to_o.weights] == [(3, 3, 4, 4)]
    assert [weight.shape for weight in cell.c5_to_o.weights] == [(5, 5, 4, 4)]
    assert [weight.shape for weight in cell.fuse.weights] == [(1, 1, 2 * 4, 4), (4,)]
    assert len(cell.weights) == 8


@pytest.mark.parametrize(
    "kernel_sizes", [(), 3, "35", (3, 0), (-3, 5), (3, 5.0), (True, 3), (5, 3), (3, 3), (2, 5), (3, 4)]
)
def test_kernel_sizes_must_be_growing_odd_integers(kernel_sizes):
    message = "`kernel_sizes` must hold odd positive integers, each larger than the one before. "
    with pytest.raises(
        ValueError, match=re.escape(f"{message}Received: kernel_sizes={kernel_sizes!r}") + "$"
    ):
        MKLSTMCell(4, kernel_sizes=kernel_sizes)


def test_sizes_may_come_as_a_list():
    cell = MKLSTMCell(4, kernel_sizes=[1, 3])
    assert cell.gates_3.conv.kernel_size == (3, 3)
    assert cell.kernel_sizes == (1, 3)


def test_states_are_named_by_the_sizes():
    assert MKLSTMCell(4).state_names == ("h", "c3", "c5")
    assert MKLSTMCell(4, (3, 5, 7)).state_names == ("h", "c3", "c5", "c7")


def test_what_is_folded():
    assert MKLSTMCell(4).summed_gates == (("gates_3", "gates_5"),)
    assert MKLSTMCell(4, (3, 5, 7)).summed_gates == (("gates_3", "gates_5", "gates_7"),)
    assert MKLSTMCell(4, (3,)).summed_gates == ()


def test_stack_is_of_fresh_cells():
    cells = tms_lstm(4, 3, kernel_sizes=(1, 3))
    assert len({id(cell) for cell in cells}) == 3
    for cell in cells:
        assert cell.filters == 4
        assert cell.gates_1.conv.kernel_size == (1, 1) and cell.gates_3.conv.kernel_size == (3, 3)
