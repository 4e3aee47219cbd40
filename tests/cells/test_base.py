"""The contract that SpatiotemporalCell gives to every cell."""

import re

import keras
import numpy as np
import pytest

from mslstm_keras import SpatiotemporalCell, cells
from mslstm_keras.cells import ConvLSTMCell, MKLSTMCell
from mslstm_keras.contracts import cells as contracts
from tests.support.equations import assert_close, conv, random_cell, weights

CELLS = [each for each in map(vars(cells).get, cells.__all__) if issubclass(each, SpatiotemporalCell)]


@keras.saving.register_keras_serializable(package="tests")
class HalvedMemoryCell(SpatiotemporalCell):
    """Its memory has half the height and width, and 2 filters channels."""

    state_names = ("h", "c")

    def __init__(self, filters, kernel_size=3, gain=1.0, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.gain = gain
        self.mix = self.conv()
        self.narrow = self.conv(2 * filters, kernel_size=1, use_bias=False)

    def state_shapes(self, inputs_shape):
        batch, height, width, _ = inputs_shape
        return [(batch, height, width, self.filters), (batch, height // 2, width // 2, 2 * self.filters)]

    def call(self, inputs, states):
        h, c = states
        h = self.gain * h + self.mix(inputs)
        return h, [h, c + self.narrow(keras.ops.average_pool(h, 2))]


def test_states_are_as_large_as_the_inputs_by_default():
    cell = MKLSTMCell(4)
    assert cell.state_shapes((2, 5, 7, 3)) == [(2, 5, 7, 4)] * 3
    assert cell.state_shapes((None, 5, 7, 3)) == [(None, 5, 7, 4)] * 3
    assert len(cell.state_size) == 3


def test_a_cell_may_give_its_states_other_shapes():
    cell = HalvedMemoryCell(4)
    cell.build((None, 6, 8, 3))
    assert len(cell.state_size) == 2
    assert [state.shape for state in cell.get_initial_state(2)] == [(2, 6, 8, 4), (2, 3, 4, 8)]
    output, states = cell(np.ones((2, 6, 8, 3), "float32"), cell.get_initial_state(2))
    assert (tuple(output.shape), [tuple(state.shape) for state in states]) == cell.compute_output_shape(
        (2, 6, 8, 3)
    )


@pytest.mark.parametrize("cell_class", CELLS)
def test_states_start_at_zero(cell_class):
    contracts.check_initial_states(cell_class)


@pytest.mark.parametrize("cell_class", CELLS)
def test_build_makes_every_weight(cell_class):
    contracts.check_weights_are_made_in_build(cell_class)


@pytest.mark.parametrize("cell_class", CELLS)
def test_symbolic_shapes_are_the_eager_ones(cell_class):
    contracts.check_shapes(cell_class)


def test_conv_has_the_cell_s_sizes_unless_told_otherwise():
    cell = ConvLSTMCell(4, kernel_size=5, dtype="mixed_bfloat16")
    default, other = cell.conv(), cell.conv(3, kernel_size=1, use_bias=False)
    assert (default.filters, default.kernel_size, default.padding, default.use_bias) == (
        4,
        (5, 5),
        "same",
        True,
    )
    assert (other.filters, other.kernel_size, other.padding, other.use_bias) == (3, (1, 1), "same", False)
    gates = cell.gates(3), cell.gates(3, kernel_size=1)
    assert [gate.conv.kernel_size for gate in gates] == [(5, 5), (1, 1)]
    assert {(gate.filters, gate.gates) for gate in gates} == {(4, 3)}
    assert {layer.dtype_policy.name for layer in (default, other, *gates)} == {"mixed_bfloat16"}


def test_own_cell_computes_what_it_says():
    cell, x, (h, c) = random_cell(HalvedMemoryCell, map_shape=(6, 8, 3), gain=0.5)
    h_new = 0.5 * h + conv(x, *weights(cell.mix))
    pooled = h_new.reshape(2, 3, 2, 4, 2, 4).mean((2, 4))
    output, (h_out, c_out) = cell(x, [h, c])
    assert_close(output, h_new)
    assert_close(h_out, h_new)
    assert_close(c_out, c + conv(pooled, *weights(cell.narrow)))


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        (ConvLSTMCell(4), {"filters": 4, "kernel_size": 3}),
        (ConvLSTMCell(4, kernel_size=5, name="fast"), {"filters": 4, "kernel_size": 5, "name": "fast"}),
        (MKLSTMCell(4), {"filters": 4, "kernel_sizes": (3, 5)}),
        (MKLSTMCell(4, (1, 3), trainable=False), {"kernel_sizes": (1, 3), "trainable": False}),
        (HalvedMemoryCell(4, gain=0.5), {"kernel_size": 3, "gain": 0.5}),
    ],
)
def test_configuration_is_derived(cell, options):
    assert options.items() <= cell.get_config().items()
    contracts.check_configuration(cell)


@pytest.mark.parametrize("cell_class", CELLS)
@pytest.mark.parametrize("dtype", ["float16", "mixed_bfloat16"])
def test_dtype_reaches_every_part_and_the_copy(cell_class, dtype):
    contracts.check_dtypes(cell_class, dtype)


@pytest.mark.parametrize("cell_class", [*CELLS, HalvedMemoryCell])
def test_a_frozen_cell_is_made_again_frozen(cell_class):
    cell = cell_class(4)
    cell.build((None, 8, 8, 4))
    for trainable in (True, False):
        cell.trainable = trainable
        again = cell_class.from_config(cell.get_config())
        again.build((None, 8, 8, 4))
        assert [weight.trainable for weight in again.weights] == [trainable] * len(cell.weights)


@pytest.mark.parametrize("cell_class", CELLS)
def test_every_cell_is_registered(cell_class):
    contracts.check_registration(cell_class)


def test_registered_names():
    """They are written in every saved model: one that changes makes files unreadable."""
    names = [keras.saving.get_registered_name(cell) for cell in CELLS]
    assert names == [f"mslstm_keras>{cell.__name__}" for cell in CELLS]
    assert set(names) >= {
        "mslstm_keras>CMSLSTMCell",
        "mslstm_keras>CausalLSTMCell",
        "mslstm_keras>ConvLSTMCell",
        "mslstm_keras>GradientHighwayUnit",
        "mslstm_keras>MIMCell",
        "mslstm_keras>MKLSTMCell",
        "mslstm_keras>MoDeRNNCell",
        "mslstm_keras>MotionCell",
        "mslstm_keras>PrecipLSTMCell",
        "mslstm_keras>PredRNNCell",
        "mslstm_keras>TrajGRUCell",
    }


@pytest.mark.parametrize("cell_class", CELLS)
@pytest.mark.parametrize("filters", [0, -1, 4.0, "4", None])
def test_filters_must_be_positive(cell_class, filters):
    received = re.escape(f"Received: filters={filters!r}")
    with pytest.raises(ValueError, match=rf"`filters` must be a positive integer\. {received}$"):
        cell_class(filters)


@pytest.mark.parametrize("kernel_size", [0, -3, 3.0, (3, 3)])
def test_kernel_size_must_be_positive(kernel_size):
    received = re.escape(f"Received: kernel_size={kernel_size!r}")
    with pytest.raises(ValueError, match=rf"`kernel_size` must be a positive integer\. {received}$"):
        ConvLSTMCell(4, kernel_size=kernel_size)


@pytest.mark.parametrize("cell_class", CELLS)
@pytest.mark.parametrize(
    "shape", [(2, None, 7, 3), (2, 5, None, 3), (2, 5, 7, None), (2, 5, 7), (2, 1, 5, 7, 3)]
)
def test_sizes_must_be_known(cell_class, shape):
    received = re.escape(f"Received: inputs.shape={shape}")
    with pytest.raises(
        ValueError, match=rf"`inputs` must have shape \(batch, height, width, channels\) .* {received}$"
    ):
        cell_class(4).build(shape)
