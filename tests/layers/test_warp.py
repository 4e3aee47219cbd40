"""warp against NumPy and against golden numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.layers.warp import warp
from tests.support import slow_layers
from tests.support.equations import assert_close
from tests.support.golden_units import assert_unit, load_unit


def random_maps_and_flow(height=5, width=7, flows=2, scale=3.0, channels=3):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, height, width, channels)).astype("float32")
    return maps, rng.normal(scale=scale, size=(2, height, width, 2 * flows)).astype("float32")


@pytest.mark.parametrize("name", ["warp", "warp_zero_flow"])
def test_golden(name):
    def warped(maps, flow):
        return warp(maps, flow, half_pixel_offset=True)[:, :, :, 0]

    assert_unit(load_unit(name), warped, ["input", "flow"])


@pytest.mark.parametrize("half_pixel_offset", [False, True])
@pytest.mark.parametrize("flows", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(5, 7), (6, 4), (1, 3), (3, 1)])
def test_every_pixel_against_every_other(height, width, flows, half_pixel_offset):
    maps, flow = random_maps_and_flow(height, width, flows)
    y = warp(maps, flow, half_pixel_offset)
    assert y.shape == (2, height, width, flows, 3)
    assert_close(y, slow_layers.warp(maps, flow, half_pixel_offset))


def test_flow_is_along_the_width_then_along_the_height():
    maps, _ = random_maps_and_flow()
    flow = np.zeros((2, 5, 7, 4), "float32")
    flow[..., 0] = 1  # one pixel to the right
    flow[..., 3] = -2  # two pixels up
    right, up = np.zeros_like(maps), np.zeros_like(maps)
    right[:, :, :-1] = maps[:, :, 1:]
    up[:, 2:] = maps[:, :-2]
    assert_close(warp(maps, flow), np.stack([right, up], axis=3), 0)


@pytest.mark.parametrize(("height", "width"), [(5, 7), (1, 1), (8, 12)])
def test_zero_flow_is_the_identity_unless_offset(height, width):
    maps, flow = random_maps_and_flow(height, width, flows=1)
    np.testing.assert_array_equal(warp(maps, 0 * flow)[:, :, :, 0], maps)
    assert abs(np.array(warp(maps, 0 * flow, half_pixel_offset=True))[:, :, :, 0] - maps).max() > 0.1


@pytest.mark.parametrize("distance", [9.0, 1e5, 1e30, np.nan])
def test_far_away_is_zero(distance):
    maps, flow = random_maps_and_flow()
    maps, flow = tf.constant(maps), tf.constant(np.sign(flow) * distance)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        y = warp(maps, flow)
    np.testing.assert_array_equal(y, np.zeros_like(y))
    np.testing.assert_array_equal(tape.gradient(y, maps), np.zeros_like(maps))


def test_gradients_are_difference_quotients():
    maps, flow = random_maps_and_flow()
    rng = np.random.default_rng(1)
    cotangent = rng.normal(size=(2, 5, 7, 2, 3))
    flow = np.round(flow) + rng.uniform(0.1, 0.9, flow.shape).astype(
        "float32"
    )  # between pixels: it is smooth there
    tensors = tf.constant(maps), tf.constant(flow)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        product = tf.reduce_sum(warp(*tensors) * cotangent.astype("float32"))
    gradients = tape.gradient(product, tensors)
    for index, gradient in enumerate(gradients):
        direction = rng.normal(size=gradient.shape)
        sides = [[array.astype("float64") for array in (maps, flow)] for _ in range(2)]
        sides[0][index] -= 1e-4 * direction
        sides[1][index] += 1e-4 * direction
        before, after = (np.sum(slow_layers.warp(*side) * cotangent) for side in sides)
        assert np.sum(gradient * direction) == pytest.approx((after - before) / 2e-4, rel=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_reaches_every_pixel_of_a_wide_map(dtype):
    """In bfloat16 there is no 257, in float16 no 2049."""
    maps = keras.ops.cast(np.random.default_rng(0).normal(size=(1, 1, 2100, 1)), dtype)
    y = warp(maps, keras.ops.zeros((1, 1, 2100, 2), dtype))
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    np.testing.assert_array_equal(keras.ops.cast(y, "float32")[:, :, :, 0], keras.ops.cast(maps, "float32"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_close(dtype):
    maps, flow = (keras.ops.cast(array, dtype) for array in random_maps_and_flow())
    expected = slow_layers.warp(*(np.array(keras.ops.cast(array, "float32")) for array in (maps, flow)))
    assert_close(keras.ops.cast(warp(maps, flow), "float32"), expected, 0.01 if dtype == "float16" else 0.05)


@pytest.mark.parametrize(("dtype", "jit_compile"), [("float32", False), ("float32", True), ("float16", True)])
def test_in_a_graph_of_any_batch_size(dtype, jit_compile):
    """Within a loop as well, where TensorFlow warns of gradients that it cannot size."""

    def gradients(maps, flow):
        with tf.GradientTape() as tape:
            tape.watch([maps, flow])
            _, y = tf.while_loop(
                lambda step, _: step < 2,
                lambda step, y: (step + 1, warp(y, flow)[:, :, :, 0]),
                (0, maps),
                maximum_iterations=2,
            )
        return y, *tape.gradient(y, [maps, flow])

    signature = [tf.TensorSpec((None, 5, 7, 3), dtype), tf.TensorSpec((None, 5, 7, 2), dtype)]
    graph = tf.function(gradients, input_signature=signature, jit_compile=jit_compile)
    arrays = [tf.cast(array, dtype) for array in random_maps_and_flow(flows=1)]
    for actual, expected in zip(graph(*arrays), gradients(*arrays), strict=True):
        assert_close(
            tf.cast(actual, "float32"), tf.cast(expected, "float32"), 1e-4 if dtype == "float32" else 0.05
        )


def test_symbolic_shape():
    assert warp(keras.Input((5, 7, 3)), keras.Input((5, 7, 4))).shape == (None, 5, 7, 2, 3)


def test_the_slope_at_a_pixel_is_the_difference_to_the_next_one():
    """Where a flow begins at zero, every place is a whole number."""
    maps, flow = random_maps_and_flow(flows=1)
    flow = tf.Variable(0 * flow)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(warp(maps, flow))
    slope = tape.gradient(y, flow).numpy()
    right, down = (np.diff(maps, axis=axis).sum(axis=-1) for axis in (2, 1))
    np.testing.assert_allclose(slope[:, :, :-1, 0], right, atol=1e-5)
    np.testing.assert_allclose(slope[:, :-1, :, 1], down, atol=1e-5)
