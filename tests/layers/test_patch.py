"""SpaceToDepth and DepthToSpace against the formula of their docstrings."""

import keras
import numpy as np
import pytest

from mslstm_keras.layers.patch import DepthToSpace, SpaceToDepth

SIZES = [((2, 6, 4, 3), 2), ((1, 6, 9, 2), 3), ((3, 4, 8, 1), 4), ((2, 3, 5, 2), 1)]


def numbered(shape):
    return np.arange(np.prod(shape), dtype="float32").reshape(shape)


@pytest.mark.parametrize(("shape", "p"), SIZES)
def test_space_to_depth_index_formula(shape, p):
    x = numbered(shape)
    y = np.array(SpaceToDepth(p)(x))
    batch, height, width, channels = shape
    assert y.shape == (batch, height // p, width // p, p * p * channels)
    for b, i, j, u, v, c in np.ndindex(batch, height // p, width // p, p, p, channels):
        assert y[b, i, j, (u * p + v) * channels + c] == x[b, i * p + u, j * p + v, c]


@pytest.mark.parametrize(("shape", "p"), SIZES)
def test_depth_to_space_is_the_exact_inverse(shape, p):
    x = numbered(shape)
    patches = SpaceToDepth(p)(x)
    np.testing.assert_array_equal(DepthToSpace(p)(patches), x)
    np.testing.assert_array_equal(SpaceToDepth(p)(DepthToSpace(p)(patches)), patches)


@pytest.mark.parametrize(("shape", "p"), SIZES)
def test_symbolic_shapes_are_the_eager_ones(shape, p):
    x = keras.Input(shape[1:])
    patches = SpaceToDepth(p)(x)
    assert patches.shape == (None, *SpaceToDepth(p)(numbered(shape)).shape[1:])
    assert DepthToSpace(p)(patches).shape == (None, *shape[1:])


@pytest.mark.parametrize("kind", [SpaceToDepth, DepthToSpace])
def test_configuration_round_trip(kind):
    layer = kind(4, dtype="mixed_bfloat16", name="patch")
    copy = kind.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert (copy.patch_size, copy.name, copy.dtype_policy.name) == (4, "patch", "mixed_bfloat16")
    assert keras.saving.get_registered_name(kind) == f"mslstm_keras>{kind.__name__}"
