"""Advection against SciPy's interpolation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.layers.advection import Advection
from tests.support.equations import assert_close
from tests.support.slow_layers import advected


@pytest.mark.parametrize(("height", "width", "channels"), [(5, 7, 1), (6, 4, 3), (1, 3, 2), (3, 1, 1)])
@pytest.mark.parametrize("scale", [0.4, 3.0, 1e5])
def test_every_pixel_comes_from_where_the_flow_points_to(height, width, channels, scale):
    random = np.random.default_rng(0)
    maps = random.normal(size=(2, height, width, channels)).astype("float32")
    flow = random.normal(scale=scale, size=(2, height, width, 2)).astype("float32")
    assert_close(Advection()(maps, flow), advected(maps, flow))


def test_flow_is_along_the_width_then_along_the_height():
    maps = np.arange(12.0, dtype="float32").reshape(1, 3, 4, 1)
    flow = np.zeros((1, 3, 4, 2), "float32")
    flow[..., 0], flow[..., 1] = 1, -1  # from one pixel further right, one above
    expected = maps[0, [0, 0, 1]][:, [1, 2, 3, 3]][None]
    np.testing.assert_array_equal(Advection()(maps, flow), expected)


def test_no_flow_is_persistence_and_learns():
    """The gradient of a flow of zeros points to where the map came from."""
    places = np.arange(32.0)
    before, after = (np.exp(-0.05 * (places - centre) ** 2).astype("float32") for centre in (14, 16))
    maps, truth = (np.broadcast_to(line[:, None], (1, 8, 32, 1)) for line in (before, after))
    vector = tf.Variable([0.0, 0.0])
    np.testing.assert_array_equal(Advection()(maps, np.zeros((1, 8, 32, 2), "float32")), maps)
    for _ in range(100):
        with tf.GradientTape() as tape:
            moved = Advection()(maps, tf.broadcast_to(vector, (1, 8, 32, 2)))
            loss = tf.reduce_mean(tf.square(moved - truth))
        vector.assign_sub(5 * tape.gradient(loss, vector))
    np.testing.assert_allclose(vector, [-2, 0], atol=0.05)


def test_it_is_saved_by_its_name(tmp_path):
    maps, flow = keras.Input((6, 5, 2)), keras.Input((6, 5, 2))
    model = keras.Model([maps, flow], Advection(name="moved")(maps, flow))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    inputs = [np.random.default_rng(0).normal(size=(3, 6, 5, 2)).astype("float32") for _ in range(2)]
    np.testing.assert_array_equal(again.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
    assert keras.saving.get_registered_name(Advection) == "mslstm_keras>Advection"
