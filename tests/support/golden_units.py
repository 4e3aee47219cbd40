"""Building blocks against the golden files of theirs, with our axes."""

import numpy as np
import tensorflow as tf

from tests.support.equations import assert_close
from tests.support.golden import load_golden


def load_unit(name):
    """Returns the arrays of a unit: maps channels last, kernels height first."""
    arrays, _ = load_golden(f"cells/unit_{name}")
    return {key: _axes(key, array) for key, array in arrays.items()}


def _axes(key, array):
    if array.ndim != 4:
        return array
    return array.transpose((2, 3, 1, 0) if key.startswith(("param/", "grad/")) else (0, 2, 3, 1))


def parameter(unit, *names, axis=-1):
    """Returns a parameter and its gradient; several are joined along an axis."""
    return [np.concatenate([unit[f"{kind}/{name}"] for name in names], axis) for kind in ("param", "grad")]


def summed_bias(unit, *names):
    """Returns the sum of biases that are only ever added, and its gradient: that of each."""
    return sum(unit[f"param/{name}"] for name in names), unit[f"grad/{names[0]}"]


def assert_unit(unit, function, inputs, parameters=(), tolerance=1e-5):
    """Asserts that outputs and gradients are the golden ones.

    Args:
        unit: what `load_unit` returned.
        function: takes tensors, returns y.
        inputs: the names of those tensors in the file.
        parameters: pairs (variable, (its value, its gradient)).
        tolerance: of y, absolute; gradients agree to 1e-4 of their maximum.
    """
    for variable, (value, _) in parameters:
        variable.assign(value)
    tensors = [tf.constant(unit[f"input/{name}"]) for name in inputs]
    sources = [*tensors, *(variable.value for variable, _ in parameters)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        y = function(*tensors)
        product = tf.reduce_sum(y * unit["cotangent/output/y"])
    assert_close(y, unit["output/y"], tolerance)
    expected = [*(unit[f"grad_in/{name}"] for name in inputs), *(gradient for _, (_, gradient) in parameters)]
    for gradient, golden in zip(tape.gradient(product, sources), expected, strict=True):
        assert_close(gradient, golden, 1e-4 * abs(golden).max())
