"""Local and block attention against NumPy and against golden numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.layers.attention import BlockAttention, LocalAttention
from tests.support import slow_layers
from tests.support.equations import assert_close, randomise, weights
from tests.support.golden_units import assert_unit, load_unit, parameter


def random_maps(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def built(layer, inputs):
    layer.build(inputs.shape)
    randomise(layer)
    return layer


def slow_local_attention(layer, inputs):
    query, key, value = (weights(part)[0][0, 0] for part in (layer.query, layer.key, layer.value))
    return slow_layers.local_attention(inputs.astype("float64"), query, key, value, layer.window)


@pytest.mark.parametrize("window", [4, 5, 30])
def test_golden_local_attention(window):
    unit = load_unit(f"local_attention_w{window}")
    layer = LocalAttention(8, window)
    layer.build(unit["input/input"].shape)
    parameters = [
        (part.kernel, parameter(unit, f"conv{number}.weight"))
        for number, part in enumerate((layer.query, layer.key, layer.value), 1)
    ]
    # With 900 scores a pixel the golden numbers, in single precision, are 9e-5 away from those in double precision.
    assert_unit(unit, layer, ["input"], parameters, tolerance=1e-5 if window < 30 else 1e-4)
    assert_close(layer(unit["input/input"]), slow_local_attention(layer, unit["input/input"]))


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_golden_block_attention(blocks):
    unit = load_unit(f"cms_attention_scale{blocks}")
    layer = BlockAttention(8, blocks)
    layer.build(unit["input/input"].shape)
    # The bias of the keys does not reach the output; its golden gradient is rounding.
    parameters = [
        *(
            (part.kernel, parameter(unit, f"f_{part.name}.weight"))
            for part in (layer.query, layer.key, layer.value)
        ),
        *((part.bias, parameter(unit, f"f_{part.name}.bias")) for part in (layer.query, layer.value)),
    ]
    assert len(layer.weights) == len(parameters)
    assert_unit(unit, layer, ["input"], parameters)


@pytest.mark.parametrize(
    ("map_shape", "window"),
    [
        ((5, 7), 1),
        ((5, 7), 2),
        ((5, 7), 3),
        ((7, 5), 4),
        ((3, 4), 30),
        ((1, 6), 5),
        ((9, 17), 3),  # several blocks, the last ones in part outside the map
        ((17, 9), 4),
        ((19, 10), 13),
        ((8, 16), 20),
    ],
)
def test_local_attention_pixel_by_pixel(map_shape, window):
    inputs = random_maps(2, *map_shape, 3)
    layer = built(LocalAttention(4, window), inputs)
    y = layer(inputs)
    assert y.shape == (2, *map_shape, 4)
    assert_close(y, slow_local_attention(layer, inputs))


@pytest.mark.parametrize(("map_shape", "window"), [((5, 7), 1), ((5, 7), 4), ((9, 11), 5)])
def test_gradient_of_local_attention_is_a_difference_quotient(map_shape, window):
    rng = np.random.default_rng(1)
    inputs = random_maps(1, *map_shape, 3)
    layer = built(LocalAttention(4, window), inputs)
    cotangent, direction = rng.normal(size=(1, *map_shape, 4)), rng.normal(size=inputs.shape)
    tensor = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        product = tf.reduce_sum(layer(tensor) * cotangent.astype("float32"))
    after, before = (
        np.sum(slow_local_attention(layer, inputs + e * direction) * cotangent) for e in (1e-4, -1e-4)
    )
    assert np.sum(tape.gradient(product, tensor) * direction) == pytest.approx(
        (after - before) / 2e-4, rel=1e-4
    )


@pytest.mark.parametrize("sign", [-1, 1])
def test_local_attention_bears_large_scores(sign):
    """Too large to exponentiate, with nothing outside the map and with much of the window there."""
    inputs = 10 * random_maps(1, 9, 6, 3)
    for window in (1, 12):
        layer = built(LocalAttention(4, window), inputs)
        layer.key.kernel.assign(sign * layer.query.kernel)
        assert_close(layer(inputs), slow_local_attention(layer, inputs), 1e-3)


@pytest.mark.parametrize("blocks", [1, 2, 4])
@pytest.mark.parametrize("map_shape", [(4, 4), (4, 8), (8, 4)])
def test_block_attention_of_all_pixels(map_shape, blocks):
    one, other = random_maps(2, 2, *map_shape, 4)
    inputs = np.concatenate([one, other], axis=2)
    layer = built(BlockAttention(4, blocks), inputs)
    expected = slow_layers.block_attention(
        one, other, weights(layer.query), weights(layer.key), weights(layer.value), blocks
    )
    assert_close(layer(inputs), np.concatenate(expected, axis=2))


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_blocks_do_not_see_one_another(blocks):
    """A changed pixel changes its own block of both maps, and nothing else."""
    inputs = random_maps(1, 8, 2 * 12, 4)
    layer = built(BlockAttention(4, blocks), inputs)
    changed = inputs.copy()
    changed[0, 7, 11] += 1
    difference = abs(np.array(layer(changed) - layer(inputs))).max(-1)[0]
    expected = np.zeros((8, 24), bool)
    for right_side in (12, 24):
        expected[8 - 8 // blocks :, right_side - 12 // blocks : right_side] = True
    assert not difference[~expected].any()
    assert np.mean(difference[expected] > 0) > 0.9


LAYERS = [LocalAttention(4, window=3), LocalAttention(4, window=30), BlockAttention(4, blocks=2)]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_a_graph_of_any_batch_size(layer, jit_compile):
    copy = type(layer).from_config(layer.get_config())
    inputs = random_maps(2, 12, 10 * 2, 4)
    graph = tf.function(
        built(copy, inputs), jit_compile=jit_compile, input_signature=[tf.TensorSpec((None, 12, 20, 4))]
    )
    assert_close(graph(inputs), np.array(copy(inputs)))


@pytest.mark.parametrize("layer", LAYERS)
def test_symbolic_shape_is_the_eager_one(layer):
    copy = type(layer).from_config(layer.get_config())
    assert copy(keras.Input((12, 20, 4))).shape == (None, *copy(random_maps(2, 12, 20, 4)).shape[1:])


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_close(layer, dtype):
    inputs = random_maps(2, 12, 20, 4)
    exact = built(type(layer).from_config(layer.get_config()), inputs)
    half = type(layer).from_config(layer.get_config() | {"dtype": dtype})
    half.build(inputs.shape)
    half.set_weights(exact.get_weights())
    y = half(inputs)
    assert {part.dtype_policy.name for part in half._flatten_layers()} == {dtype}
    assert keras.backend.standardize_dtype(y.dtype) == half.compute_dtype
    assert_close(
        keras.ops.cast(y, "float32"), np.array(exact(inputs)), 0.05 if dtype == "mixed_float16" else 0.2
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_configuration_round_trip(layer):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()


@pytest.mark.parametrize("layer", LAYERS)
def test_frozen_by_its_configuration(layer):
    copy = type(layer).from_config(layer.get_config() | {"trainable": False})
    copy.build((2, 12, 20, 4))
    assert copy.weights and not any(weight.trainable for weight in copy.weights)


def test_registered_names():
    names = [keras.saving.get_registered_name(kind) for kind in (LocalAttention, BlockAttention)]
    assert names == ["mslstm_keras>LocalAttention", "mslstm_keras>BlockAttention"]
