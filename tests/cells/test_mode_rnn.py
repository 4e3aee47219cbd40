"""MoDeRNN's equations."""

import re

import keras
import numpy as np
import pytest

from mslstm_keras.cells.mode_rnn import MoDeRNNCell, mode_rnn
from tests.support.equations import assert_close, conv, random_cell, sigmoid, weights


def mean_of_convs(x, layers):
    return np.mean([conv(x, *weights(layer)) for layer in layers], axis=0)


@pytest.mark.parametrize(("iterations", "kernel_size"), [(1, 3), (2, 5), (3, 3), (5, 3)])
def test_equations(iterations, kernel_size):
    cell, inputs, (h, c) = random_cell(
        MoDeRNNCell, map_shape=(5, 7, 4), iterations=iterations, kernel_size=kernel_size
    )
    x, h_gated = inputs, h
    for iteration in range(1, iterations + 1):
        if iteration % 2:
            x = 2 * sigmoid(mean_of_convs(h_gated, cell.h_to_x)) * x
        else:
            h_gated = 2 * sigmoid(mean_of_convs(x, cell.x_to_h)) * h_gated
    i, f, g, o = np.split(conv(np.concatenate([x, h_gated], -1), *weights(cell.temporal)), 4, -1)
    c_new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)

    output, (h_out, c_out) = cell(inputs, [h, c])
    assert_close(c_out, c_new)
    assert_close(h_out, sigmoid(o) * np.tanh(c_new))
    np.testing.assert_array_equal(output, h_out)


@pytest.mark.parametrize("iterations", [1, 2])
def test_weights(iterations):
    cell, _, states = random_cell(MoDeRNNCell, map_shape=(5, 7, 4), iterations=iterations)
    assert [state.shape for state in states] == [(2, 5, 7, 4)] * 2
    details = [[(3, 3, 4, 4), (4,)], [(5, 5, 4, 4)], [(7, 7, 4, 4)]]
    assert [[weight.shape for weight in layer.weights] for layer in cell.h_to_x] == details
    if iterations > 1:
        assert [[weight.shape for weight in layer.weights] for layer in cell.x_to_h] == details
    assert [weight.shape for weight in cell.temporal.weights] == [(3, 3, 4 + 4, 4 * 4), (4 * 4,)]
    assert len(cell.weights) == 4 * iterations + 2


@pytest.mark.parametrize("layers", [1, 2])
def test_stack_is_of_fresh_cells(layers):
    cells = mode_rnn(4, layers, kernel_size=5, iterations=2)
    assert [type(cell) for cell in cells] == [MoDeRNNCell] * layers
    assert len({id(cell) for cell in cells}) == layers
    for cell in cells:
        assert (cell.filters, cell.kernel_size, cell.iterations) == (4, 5, 2)


def test_five_iterations_by_default():
    assert MoDeRNNCell(4).iterations == 5


def test_configuration_round_trip():
    cell = MoDeRNNCell(4, iterations=2, dtype="mixed_bfloat16")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert copy.get_config() == cell.get_config()
    assert copy.iterations == 2


@pytest.mark.parametrize("iterations", [0, -1, 2.0, "3", None])
def test_iterations_must_be_positive(iterations):
    received = re.escape(f"Received: iterations={iterations!r}")
    with pytest.raises(ValueError, match=rf"`iterations` must be a positive integer\. {received}$"):
        MoDeRNNCell(4, iterations=iterations)


def test_inputs_must_have_as_many_channels_as_the_cell_has_filters():
    received = re.escape("Received: inputs.shape=(None, 5, 7, 3)")
    with pytest.raises(ValueError, match=rf"`inputs` must have as many channels .* filters, 4\. {received}$"):
        MoDeRNNCell(4).build((None, 5, 7, 3))
