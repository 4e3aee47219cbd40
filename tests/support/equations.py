"""What the tests need to write a paper's equations a second time, in NumPy and double precision."""

import keras
import numpy as np

from mslstm_keras.contracts.models import randomise


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def conv(x, kernel, bias=0.0):
    """Stride 1 convolution with zero "same" padding, as deep learning defines it (no flip).

    y[b, i, j, d] = bias[d] + sum_{u, v, c} kernel[u, v, c, d] x[b, i + u - r, j + v - r, c]

    where r = (k - 1) // 2.
    """
    height, width = x.shape[1:3]
    before = [(side - 1) // 2 for side in kernel.shape[:2]]
    after = [side // 2 for side in kernel.shape[:2]]
    padded = np.pad(x, ((0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)))
    return bias + sum(
        padded[:, u : u + height, v : v + width] @ kernel[u, v] for u, v in np.ndindex(*kernel.shape[:2])
    )


def weights(layer):
    """Returns the arrays of a layer, kernel before bias."""
    return [np.array(weight, "float64") for weight in layer.weights]


def random_cell(cell_class, filters=4, map_shape=(5, 7, 3), seed=0, **options):
    """Returns a cell with random weights, and random inputs and states for it: batch 2, rectangular map."""
    rng = np.random.default_rng(seed)
    cell = cell_class(filters, **options)
    x = rng.normal(size=(2, *map_shape)).astype("float32")
    cell.build(x.shape)
    randomise(cell, seed + 1)
    states = [rng.normal(size=shape).astype("float32") for shape in cell.state_shapes(x.shape)]
    return cell, x, states


def assert_close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(keras.ops.convert_to_numpy(actual), expected, rtol=0, atol=tolerance)
