"""GateConv and memory against NumPy."""

import keras
import numpy as np
import pytest

from mslstm_keras.layers.gates import GateConv, fold_last_gates, memory, using
from tests.support.equations import assert_close, conv, randomise, sigmoid, weights


def random_maps(*channels, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(2, 5, 7, count)).astype("float32") for count in channels]


def built(maps, *args, **kwargs):
    layer = GateConv(*args, **kwargs)
    layer(maps)
    randomise(layer)
    return layer


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_one_convolution_split_into_gates(kernel_size):
    maps = random_maps(3, 4, 2)
    layer = built(maps, 4, 3, kernel_size)
    expected = np.split(conv(np.concatenate(maps, -1), *weights(layer.conv)), 3, -1)
    gates = layer(maps)
    assert len(gates) == 3
    for gate, values in zip(gates, expected, strict=True):
        assert_close(gate, values)


def test_is_the_sum_of_one_convolution_per_input():
    maps = random_maps(3, 4)
    layer = built(maps, 5, 2)
    kernel, bias = weights(layer.conv)
    expected = np.split(conv(maps[0], kernel[:, :, :3], bias) + conv(maps[1], kernel[:, :, 3:]), 2, -1)
    for gate, values in zip(layer(maps), expected, strict=True):
        assert_close(gate, values)


def test_one_bias_per_gate_or_none():
    maps = random_maps(3, 4)
    assert [weight.shape for weight in built(maps, 5, 2).weights] == [(3, 3, 7, 10), (10,)]
    without = built(maps, 5, 2, use_bias=False)
    assert [weight.shape for weight in without.weights] == [(3, 3, 7, 10)]
    assert_close(np.concatenate(without(maps), -1), conv(np.concatenate(maps, -1), *weights(without.conv)))


def test_symbolic_shapes_are_the_eager_ones():
    layer = GateConv(4, 3)
    symbolic = layer([keras.Input((5, 7, 3)), keras.Input((5, 7, 2))])
    eager = layer(random_maps(3, 2))
    assert [gate.shape for gate in symbolic] == [(None, 5, 7, 4)] * 3
    assert [tuple(gate.shape) for gate in eager] == [(2, 5, 7, 4)] * 3
    assert layer.compute_output_shape([(2, 5, 7, 3), (2, 5, 7, 2)]) == [(2, 5, 7, 4)] * 3


def test_frozen_by_its_configuration():
    layer = built(random_maps(3, 4), 5, 2, trainable=False)
    assert layer.weights and not any(weight.trainable for weight in layer.weights)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_configuration_round_trip(dtype):
    layer = GateConv(4, 3, kernel_size=5, use_bias=False, dtype=dtype, name="temporal")
    copy = GateConv.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert (copy.filters, copy.gates, copy.name) == (4, 3, "temporal")
    assert copy.conv.kernel_size == (5, 5) and not copy.conv.use_bias
    assert copy.dtype_policy.name == copy.conv.dtype_policy.name == dtype
    assert keras.saving.get_registered_name(GateConv) == "mslstm_keras>GateConv"


def test_memory():
    c, i, f, g = (3 * array for array in random_maps(4, 4, 4, 4))
    assert_close(memory(c, i, f, g), sigmoid(f) * c + sigmoid(i) * np.tanh(g))


def test_memory_keeps_takes_and_forgets():
    c, g = random_maps(4, 4)
    shut, open_ = np.full_like(c, -50), np.full_like(c, 50)
    assert_close(memory(c, shut, open_, g), c)
    assert_close(memory(c, open_, shut, g), np.tanh(g))
    assert_close(memory(c, shut, shut, g), np.zeros_like(c))


@pytest.mark.parametrize(
    "sizes", [(3, 5), (5, 3), (1, 5), (2, 5), (2, 4), (3, 3), (1, 4), (3, 5, 7), (7, 3, 5), (1, 2, 3, 5)]
)
def test_folded_last_gates(sizes):
    """Kernels of different and of even sizes: where the padding falls depends on both."""
    maps = random_maps(3, 4)
    layers = [built(maps, 4, 3, size) for size in sizes]
    *apart, lasts = zip(*(layer(maps) for layer in layers), strict=True)
    with using(fold_last_gates(layers)):
        gates = [layer(maps) for layer in layers]
    assert sorted(len(each) for each in gates) == [2] * (len(sizes) - 1) + [3]
    (folded,) = (gate for each in gates for gate in each[2:])
    assert_close(folded, sum(map(np.array, lasts)))
    for expected, *ours in zip(apart, *gates, strict=False):
        for gate, value in zip(ours, expected, strict=True):
            assert_close(gate, np.array(value))
    assert all(len(layer(maps)) == 3 for layer in layers)
