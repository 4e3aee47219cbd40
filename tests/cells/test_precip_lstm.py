"""PrecipLSTM's equations."""

import re

import keras
import numpy as np
import pytest

from mslstm_keras.cells.precip_lstm import PrecipLSTMCell, precip_lstm
from tests.support import slow_layers
from tests.support.equations import assert_close, conv, random_cell, sigmoid, weights


def lstm(memory, i, f, g):
    return sigmoid(f) * memory + sigmoid(i) * np.tanh(g)


@pytest.mark.parametrize(("window", "kernel_size"), [(3, 3), (4, 5), (30, 3)])
def test_equations(window, kernel_size):
    cell, x, (h, c, ms, mt, x_before, m) = random_cell(
        PrecipLSTMCell, map_shape=(5, 7, 4), window=window, kernel_size=kernel_size
    )
    projections = (
        weights(layer)[0][0, 0] for layer in (cell.attention.query, cell.attention.key, cell.attention.value)
    )
    x_a = x + conv(slow_layers.local_attention(x, *projections, window), *weights(cell.attended))
    i, f, g, o = np.split(conv(np.concatenate([x_a, h], -1), *weights(cell.temporal)), 4, -1)
    c_new = lstm(c, i, f, g)
    m_new = lstm(m, *np.split(conv(np.concatenate([x_a, m], -1), *weights(cell.spatial)), 3, -1))
    gates = conv(np.concatenate([x_a, ms], -1), *weights(cell.meteorological_spatial))
    ms_new = lstm(ms, *np.split(gates, 3, -1))
    gates = conv(np.concatenate([x - x_before, mt], -1), *weights(cell.meteorological_temporal))
    mt_new = lstm(mt, *np.split(gates, 3, -1))
    o = o + conv(c_new, *weights(cell.c_to_o)) + conv(ms_new, *weights(cell.ms_to_o))
    o = sigmoid(o + conv(mt_new, *weights(cell.mt_to_o)) + conv(m_new, *weights(cell.m_to_o)))
    h_new = o * np.tanh(conv(np.concatenate([c_new, ms_new, mt_new, m_new], -1), *weights(cell.fuse)))

    output, states = cell(x, [h, c, ms, mt, x_before, m])
    for state, expected in zip(states, [h_new, c_new, ms_new, mt_new, x, m_new], strict=True):
        assert_close(state, expected)
    np.testing.assert_array_equal(output, states[0])


def test_only_one_memory_travels():
    assert PrecipLSTMCell.zigzag_states == ("m",)


def test_weights():
    cell, _, states = random_cell(PrecipLSTMCell, map_shape=(5, 7, 4), window=3)
    assert [state.shape for state in states] == [(2, 5, 7, 4)] * 6
    assert [weight.shape for weight in cell.attention.weights] == [(1, 1, 4, 4)] * 3
    assert [weight.shape for weight in cell.attended.weights] == [(3, 3, 4, 4), (4,)]
    assert [weight.shape for weight in cell.temporal.weights] == [(3, 3, 4 + 4, 4 * 4), (4 * 4,)]
    for layer in (cell.spatial, cell.meteorological_spatial, cell.meteorological_temporal):
        assert [weight.shape for weight in layer.weights] == [(3, 3, 4 + 4, 3 * 4), (3 * 4,)]
    for layer in (cell.c_to_o, cell.ms_to_o, cell.mt_to_o, cell.m_to_o):
        assert [weight.shape for weight in layer.weights] == [(3, 3, 4, 4)]
    assert [weight.shape for weight in cell.fuse.weights] == [(1, 1, 4 * 4, 4), (4,)]
    assert len(cell.weights) == 19


@pytest.mark.parametrize("layers", [1, 2])
def test_stack_is_of_fresh_cells(layers):
    cells = precip_lstm(4, layers, kernel_size=5, window=7)
    assert [type(cell) for cell in cells] == [PrecipLSTMCell] * layers
    assert len({id(cell) for cell in cells}) == layers
    for cell in cells:
        assert (cell.filters, cell.kernel_size, cell.window, cell.attention.window) == (4, 5, 7, 7)


def test_window_is_30_by_default():
    assert PrecipLSTMCell(4).attention.window == 30


def test_configuration_round_trip():
    cell = PrecipLSTMCell(4, window=7, dtype="mixed_bfloat16")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert copy.get_config() == cell.get_config()
    assert (copy.attention.window, copy.attention.dtype_policy.name) == (7, "mixed_bfloat16")


@pytest.mark.parametrize("window", [0, -1, 3.0, (3, 3), None])
def test_window_must_be_positive(window):
    received = re.escape(f"Received: window={window!r}")
    with pytest.raises(ValueError, match=rf"`window` must be a positive integer\. {received}$"):
        PrecipLSTMCell(4, window=window)


def test_inputs_must_have_as_many_channels_as_the_cell_has_filters():
    received = re.escape("Received: inputs.shape=(None, 5, 7, 3)")
    with pytest.raises(ValueError, match=rf"`inputs` must have as many channels .* filters, 4\. {received}$"):
        PrecipLSTMCell(4).build((None, 5, 7, 3))
