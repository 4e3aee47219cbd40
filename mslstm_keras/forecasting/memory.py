"""How much memory a forecast of a grid will take, known before it runs."""

import math
import weakref

import keras
import numpy as np

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.models.symbolic import origin

PASSING = 0.6
"""Part of what a cell computes that is there at once, more rather than less. TensorFlow on processors took 0.16 to 0.48
for `ms_lstm`, `mim`, `mode_rnn`, `motion_rnn`, `traj_gru` and `precip_lstm` of 16 filters on 1024 x 1024."""


MOST = 2**30
"""Bytes that a forecast takes at most while it runs, however many there are: larger grids are forecast in tiles."""

# To predict it takes a fifth of a second, and Keras keeps what was traced as long as the step.
_PREDICTED: "weakref.WeakKeyDictionary[keras.Model, dict[tuple[int, int], int]]" = weakref.WeakKeyDictionary()


def memory_budget() -> int:
    """Returns the bytes that a step may take: `MOST`, or half of what is free."""
    return min(MOST, free_memory() // 2)


def free_memory() -> int:
    """Returns the bytes that are free."""
    import psutil

    return int(psutil.virtual_memory().available)


def step_memory(step: keras.Model, height: int, width: int) -> int:
    """Predicts how many bytes a step takes for one frame, more rather than less: states before and behind it, and what
    passes by in the largest cell. The step is neither built for that size nor run. What is predicted once is kept.

    Args:
        step: step of a model, of any size.
        height: int. Of the frame.
        width: int. Of the frame.
    """
    predicted = _PREDICTED.setdefault(step, {})
    if (height, width) not in predicted:
        predicted[height, width] = _predicted(step, height, width)
    return predicted[height, width]


def _predicted(step, height, width):
    _, *own, _ = step.inputs[0].shape

    def sized(shape):
        rows, columns, *rest = shape[1:]
        return (None, rows * height // own[0], columns * width // own[1], *rest)

    kept = sum(_bytes(sized(each.shape), each.dtype) for each in (*step.inputs, *step.outputs))
    cells = [layer for layer in step.layers if isinstance(layer, SpatiotemporalCell)]
    return round(kept + PASSING * max((_within(cell, sized(cell.inputs_shape)) for cell in cells), default=0))


def _within(cell, inputs_shape):
    """Returns the bytes of what a call of a cell computes."""
    inputs = keras.KerasTensor(inputs_shape, cell.variable_dtype)
    states = [keras.KerasTensor(shape, cell.variable_dtype) for shape in cell.state_shapes(inputs_shape)]
    return _computed(cell.call(inputs, states))


def _computed(outputs):
    """Returns the bytes of all tensors that lead to symbolic outputs, and of those in the largest of their layers."""
    waiting, found, inside = keras.tree.flatten(outputs), {}, 0
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in found:
            continue
        found[id(tensor)] = tensor
        operation, call = origin(tensor)
        waiting += call.input_tensors if call else []
        if isinstance(operation, keras.layers.Layer):
            args, kwargs = keras.tree.map_structure(_alone, (call.arguments.args, call.arguments.kwargs))
            inside = max(inside, _computed(operation.call(*args, **kwargs)))
    return inside + sum(_bytes(each.shape, each.dtype) for each in found.values())


def _alone(value):
    """Returns a symbolic tensor that comes from nowhere in place of another."""
    return keras.KerasTensor(value.shape, value.dtype) if keras.backend.is_keras_tensor(value) else value


def _bytes(shape, dtype):
    return math.prod(shape[1:]) * np.dtype(dtype).itemsize
