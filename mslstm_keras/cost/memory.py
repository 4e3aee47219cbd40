"""How much memory a training step will take, known before it runs."""

import contextlib
import math
from typing import Any

import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

from mslstm_keras.integers import is_whole
from mslstm_keras.models.rollout import CHECKPOINTS, Rollout, find_layer

# Measured by `python -m benchmarks.memory`, in bytes: what the libraries take at the first step, what tracing takes for
# each operation of a step, and the part of what passes by in a step backward that is there at once.
STARTING, PER_OPERATION, PASSING = 30_000_000, 180_000, 0.15


def training_memory(model: keras.Model, batch_size: int, checkpoint: str | None = None) -> int:
    """Predicts how many bytes a process grows by in its first training steps: activations and gradients.

    One step of the model and its gradient are traced, not run. What the gradient reads of the step is what a loop over
    T steps keeps T times; with a checkpoint only the states are kept, and all else once, for the step that is being
    repeated. Weights and the optimiser's state are there before and are not counted. Nor is what convolutions take
    while they work: little with oneDNN's kernels, which TensorFlow uses on processors with AVX-512 (or if
    `TF_ENABLE_ONEDNN_OPTS` is 1); on others some hundred MiB may come on top (docs/performance.md).

    Args:
        model: model of `create_model`.
        batch_size: int. Clips per step.
        checkpoint: None, "step" or "sqrt", as in `Rollout`; the model's own is not looked at.

    Returns:
        Bytes.

    Raises:
        ValueError: if the model has no roll-out, `batch_size` or `checkpoint` breaks its rule, or the backend is not
            TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"`training_memory` must be asked on the TensorFlow backend. Received: {keras.backend.backend()!r}"
        )
    rollout = find_layer(model, Rollout)
    if not is_whole(batch_size):
        raise ValueError(f"`batch_size` must be a positive integer. Received: batch_size={batch_size!r}")
    if checkpoint not in CHECKPOINTS:
        raise ValueError(f"`checkpoint` must be one of {CHECKPOINTS}. Received: checkpoint={checkpoint!r}")
    kept, states, passing, operations = _measures_of_a_step(rollout.cell, batch_size)
    # Those of one step, and their sum.
    gradients = 2 * sum(_bytes(weight) for weight in model.trainable_variables)
    if checkpoint is None:
        activations = rollout.steps * kept
    else:
        stretch = rollout.stretch(checkpoint)
        activations = kept + states * (math.ceil(rollout.steps / stretch) + (stretch if stretch > 1 else 0))
    return activations + round(PASSING * passing) + gradients + STARTING + PER_OPERATION * operations


def hide_gpus() -> None:
    """Lets this process have no GPU, of which TensorFlow would take all memory, though it only counts what models cost.

    Does nothing where TensorFlow has used its devices already.
    """
    if keras.backend.backend() == "tensorflow":
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")


def _measures_of_a_step(cell, batch_size):
    """Returns bytes that the gradient reads of a step, of its states, of all that passes by; number of operations."""
    dtypes = cell.state_dtypes
    variables = cell.step.trainable_variables
    with tf.Graph().as_default() as graph:
        before = [
            _placeholder(dtype, (batch_size, *state.shape[1:]))
            for dtype, state in zip(dtypes, cell.step.outputs, strict=True)
        ]
        *map_shape, channels = before[0].shape
        frame_and_plane = _placeholder(dtypes[0], (*map_shape, channels + 1))
        weights = [_placeholder(variable.dtype, variable.shape) for variable in variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch((before, weights))
            with keras.StatelessScope(list(zip(variables, weights, strict=True))):
                _, after = cell(frame_and_plane, before, training=True)
        forward = set(graph.get_operations())
        tape.gradient(
            after,
            (before, weights),
            [_placeholder(*each) for each in zip(dtypes, (state.shape for state in after), strict=True)],
        )
        backward = [operation for operation in graph.get_operations() if operation not in forward]
        computed = _computed_once(graph)
    # A state is what the step before has put out: kept once. Weights are there anyway.
    elsewhere = dict(zip(map(id, before), after, strict=True)) | {id(weight): None for weight in weights}
    kept = {}
    for tensor in (tensor for operation in backward for tensor in operation.inputs if tensor.op in forward):
        tensor = elsewhere.get(id(tensor), tensor)
        if tensor is not None:
            kept[id(computed[id(tensor)])] = _bytes(tensor)
    passing = sum(_bytes(tensor) for operation in backward for tensor in operation.outputs)
    return sum(kept.values()), sum(_bytes(state) for state in after), passing, len(forward) + len(backward)


def _placeholder(dtype, shape):
    return tf.compat.v1.placeholder(dtype, shape)


def _computed_once(graph):
    """Returns id of a tensor -> the tensor that TensorFlow computes for it and all its equals."""
    computed: dict[int, tf.Tensor] = {}
    found: dict[Any, tf.Tensor] = {}
    for operation in graph.get_operations():
        inputs = tuple(id(computed[id(tensor)]) for tensor in operation.inputs)
        for tensor in operation.outputs:
            if operation.type in ("Identity", "Reshape"):
                computed[id(tensor)] = computed[id(operation.inputs[0])]
            elif inputs:
                computed[id(tensor)] = found.setdefault((operation.type, tensor.value_index, inputs), tensor)
            elif operation.type == "Const" and tensor.shape.rank == 0:
                computed[id(tensor)] = found.setdefault(tf.get_static_value(tensor).item(), tensor)
            else:
                computed[id(tensor)] = tensor
    return computed


def _bytes(tensor):
    return math.prod(tensor.shape) * tf.as_dtype(tensor.dtype).size
