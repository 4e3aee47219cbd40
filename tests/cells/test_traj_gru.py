"""TrajGRU's equations."""

import re

import keras
import numpy as np
import pytest

from mslstm_keras.cells.traj_gru import TrajGRUCell, traj_gru
from tests.support import slow_layers
from tests.support.equations import assert_close, conv, random_cell, sigmoid, weights


def leaky_relu(x):
    return np.where(x > 0, x, 0.2 * x)


@pytest.mark.parametrize(
    ("links", "kernel_size", "half_pixel_offset"), [(1, 3, False), (3, 3, True), (3, 5, False), (10, 1, True)]
)
def test_equations(links, kernel_size, half_pixel_offset):
    cell, x, (h,) = random_cell(
        TrajGRUCell, links=links, kernel_size=kernel_size, half_pixel_offset=half_pixel_offset
    )
    features = leaky_relu(conv(np.concatenate([x, h], -1), *weights(cell.flow_features)))
    flow = conv(features, *weights(cell.flow))
    flows = np.split(flow, links, -1)
    p = np.concatenate([slow_layers.warp(h, -one, half_pixel_offset)[..., 0, :] for one in flows], -1)
    z, r, n = np.split(conv(x, *weights(cell.from_inputs)), 3, -1)
    z_warped, r_warped = np.split(conv(p, *weights(cell.warped_to_gates)), 2, -1)
    z, r = sigmoid(z + z_warped), sigmoid(r + r_warped)
    n = leaky_relu(n + r * conv(p, *weights(cell.warped_to_n)))

    output, (h_out,) = cell(x, [h])
    assert_close(h_out, (1 - z) * n + z * h)
    np.testing.assert_array_equal(output, h_out)


def test_weights():
    cell, _, _ = random_cell(TrajGRUCell, links=3)
    assert [weight.shape for weight in cell.from_inputs.weights] == [(3, 3, 3, 3 * 4), (3 * 4,)]
    assert [weight.shape for weight in cell.flow_features.weights] == [(3, 3, 3 + 4, 4), (4,)]
    assert [weight.shape for weight in cell.flow.weights] == [(3, 3, 4, 2 * 3), (2 * 3,)]
    assert [weight.shape for weight in cell.warped_to_gates.weights] == [(1, 1, 3 * 4, 2 * 4)]
    assert [weight.shape for weight in cell.warped_to_n.weights] == [(1, 1, 3 * 4, 4), (4,)]
    assert len(cell.weights) == 9


@pytest.mark.parametrize("layers", [1, 2])
def test_stack_is_of_fresh_cells(layers):
    cells = traj_gru(4, layers, kernel_size=5, links=3, half_pixel_offset=True)
    assert [type(cell) for cell in cells] == [TrajGRUCell] * layers
    assert len({id(cell) for cell in cells}) == layers
    for cell in cells:
        assert (cell.filters, cell.kernel_size, cell.links, cell.half_pixel_offset) == (4, 5, 3, True)


def test_defaults():
    cell = TrajGRUCell(4)
    assert (cell.kernel_size, cell.links, cell.half_pixel_offset) == (3, 10, False)


def test_configuration_round_trip():
    cell = TrajGRUCell(4, links=3, half_pixel_offset=True, dtype="mixed_bfloat16")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert copy.get_config() == cell.get_config()
    assert (copy.links, copy.half_pixel_offset) == (3, True)


@pytest.mark.parametrize("links", [0, -1, 2.0, "3", None])
def test_links_must_be_positive(links):
    received = re.escape(f"Received: links={links!r}")
    with pytest.raises(ValueError, match=rf"`links` must be a positive integer\. {received}$"):
        TrajGRUCell(4, links=links)
