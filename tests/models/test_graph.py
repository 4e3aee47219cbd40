"""What the training step is made of: it compiles as a whole, and the device never waits for the host within it."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras import FrameL1L2, ObservedFrames, Recipe, Rollout
from mslstm_keras.contracts.models import (
    CONTEXT_FRAMES,
    FORECAST_FRAMES,
    FRAME_SHAPE,
    STEPS,
    layers_of,
    random_frames,
    small_model,
)
from mslstm_keras.models.registry import dtype_policy
from mslstm_keras.models.rollout import find_layer
from mslstm_keras.training.fit import compiled_model
from tests.support.contracts import PARTS, trained_one_step
from tests.support.equations import assert_close

pytestmark = pytest.mark.usefixtures("many_models")

FRAMES = tf.TensorSpec((2, STEPS, *FRAME_SHAPE))

HOST_OPERATIONS = {
    # They run Python, which waits for the tensors and holds the interpreter.
    "PyFunc",
    "PyFuncStateless",
    "EagerPyFunc",
    # They show or store values, which leave the device first.
    "Print",
    "PrintV2",
    "Assert",
    "CheckNumerics",
    "CheckNumericsV2",
    "WriteSummary",
    "WriteScalarSummary",
    "WriteHistogramSummary",
    "WriteImageSummary",
    "WriteRawProtoSummary",
    "WriteFile",
    "SaveV2",
    "RestoreV2",
    # They fetch or hand over what only the host has.
    "IteratorGetNext",
    "IteratorGetNextAsOptional",
    "QueueDequeueV2",
    "QueueEnqueueV2",
    # The size of their result is known only when the device has counted it.
    "Where",
    "Unique",
    "UniqueV2",
    "UniqueWithCounts",
    "DynamicPartition",
    "NonMaxSuppressionV3",
    # The host takes the branch, so it waits for the condition.
    "If",
    "StatelessIf",
    "Case",
    "StatelessCase",
}


def host_operations(function):
    """Returns "kind name" of every operation of a concrete function for which the device waits for the host.

    Looked through are the graph and all functions that it calls: branches, loops and their gradients. A loop counts
    if its condition reads more than integers, which TensorFlow keeps on the host.
    """
    graph = function.graph.as_graph_def()
    functions = {each.signature.name: each.node_def for each in graph.library.function}
    conditions = set()
    for node in itertools.chain(graph.node, *functions.values()):
        assert called(node) <= set(functions), f"{node.name} calls what the graph does not hold"
        if node.op in ("While", "StatelessWhile"):
            conditions.add(node.attr["cond"].func.name)
    found = [
        f"{node.op} {node.name}"
        for node in itertools.chain(graph.node, *functions.values())
        if node.op in HOST_OPERATIONS or "CPU" in node.device.upper()
    ]
    return found + [
        f"{node.op} {node.name}"
        for condition in sorted(conditions)
        for node in functions[condition]
        if tf.as_dtype(node.attr["T"].type or tf.bool.as_datatype_enum).is_floating
    ]


def called(node):
    """Returns the names of the functions that an operation calls."""
    functions = [node.attr[key].func for key in node.attr if node.attr[key].HasField("func")]
    functions += [each for key in node.attr for each in node.attr[key].list.func]
    return {each.name for each in functions}


def traced(function, *arguments, **options):
    return tf.function(function, autograph=False, **options).get_concrete_function(*arguments)


def in_a_loop(function):
    return lambda x: tf.while_loop(lambda t, x: t < 3, lambda t, x: (t + 1, function(x)), (0, x))


def on_the_cpu(x):
    with tf.device("/cpu:0"):
        return tf.square(x)


def printed(x):
    with tf.control_dependencies([tf.print(x)]):
        return tf.identity(x)


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("EagerPyFunc", lambda x: tf.py_function(np.square, [x], tf.float32)),
        ("PyFuncStateless", lambda x: tf.numpy_function(np.square, [x], tf.float32, stateful=False)),
        ("PrintV2", printed),
        ("CheckNumerics", lambda x: tf.debugging.check_numerics(x, "message")),
        ("Where", tf.where),
        ("StatelessIf", lambda x: tf.cond(x[0] > 0, lambda: x + 1, lambda: x * 2)),
        ("Square", on_the_cpu),
        ("Less", lambda x: tf.while_loop(lambda x: x < 3, lambda x: [x + 1], [x[0]])),
    ],
)
def test_the_check_finds_what_waits_for_the_host(kind, function):
    vector = tf.TensorSpec((2,))
    assert {found.split()[0] for found in host_operations(traced(function, vector))} == {kind}


@pytest.mark.parametrize(
    "function", [printed, on_the_cpu, lambda x: tf.reshape(tf.py_function(np.square, [x], x.dtype), (2,))]
)
def test_the_check_looks_into_functions_that_are_called(function):
    vector = tf.TensorSpec((2,))
    assert len(host_operations(traced(in_a_loop(function), vector))) == 1
    assert len(host_operations(traced(in_a_loop(tf.function(function)), vector))) == 1


def test_the_check_leaves_a_loop_of_counted_steps_alone():
    function = in_a_loop(lambda x: tf.where(x > 0, x, tf.random.stateless_uniform((2,), (1, 2))))
    assert not host_operations(traced(function, tf.TensorSpec((2,))))


# Single precision for all parts: `test_training_step_compiles_with_xla`.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype"), [("ms_lstm", "float32"), *((name, "mixed_bfloat16") for name in PARTS)]
)
def test_training_step_never_waits_for_the_host(name, dtype):
    recipe = Recipe(
        "graph",
        model=name,
        frame_shape=FRAME_SHAPE,
        context_frames=CONTEXT_FRAMES,
        forecast_frames=FORECAST_FRAMES,
        filters=4,
        layers=layers_of(name),
        decay_steps=10,
        clip_norm=1.0,
        dtype=dtype,
    )
    step = traced(compiled_model(recipe).train_step, (FRAMES, FRAMES))
    kinds = {node.op for node in step.graph.as_graph_def().node}
    assert kinds & {"While", "StatelessWhile"} and kinds & {"StatelessRandomUniformV2"}
    # Keras' cosine with a constant part asks which part it is in: once a step, of the step's number.
    assert [found for found in host_operations(step) if "/CosineDecay/" not in found] == []


def sampling_model(name):
    """Returns a model that is fed every second frame, drawn by lot, and the plane that it draws under XLA."""
    model = small_model(name)
    layer = find_layer(model, ObservedFrames)
    layer.set_truth_rate(0.5, 0.5, 3)
    # XLA has another generator than TensorFlow's own kernels.
    draw = tf.function(lambda frames: layer(frames, training=True), jit_compile=True)
    plane = draw(random_frames()).numpy()
    assert 0 < plane[:, 1:].mean() < 1
    return model, plane


def fed_with(model, plane):
    """Returns the model with a given plane in place of its draws."""
    frames = keras.Input((None, *FRAME_SHAPE))
    observed = keras.layers.Lambda(lambda _: keras.ops.convert_to_tensor(plane), output_shape=(STEPS,))(
        frames
    )
    return keras.Model(frames, find_layer(model, Rollout)(frames, observed))


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_training_step_compiles_with_xla(name):
    """The whole step as one program, draws included, computes what TensorFlow does with the frames drawn."""
    model, plane = sampling_model(name)
    before = model.get_weights()
    # A large step: the weights show the gradients, not what they were before.
    sgd = functools.partial(keras.optimizers.SGD, 1.0)
    loss, weights = trained_one_step(fed_with(model, plane), optimizer=sgd(), run_eagerly=True)
    model.set_weights(before)
    model.compile(sgd(), FrameL1L2())
    model.optimizer.build(model.trainable_variables)
    step = traced(model.train_step, (FRAMES, FRAMES), jit_compile=True)
    assert host_operations(step) == []
    logs = step((tf.constant(random_frames()), tf.constant(random_frames(seed=1))))
    np.testing.assert_allclose(logs["loss"], loss, rtol=1e-5)
    for jit, plain in zip(model.trainable_variables, weights, strict=True):
        assert_close(jit.numpy(), plain, 1e-5 * np.abs(plain).max())


@pytest.mark.slow
def test_training_step_in_bfloat16_compiles_with_xla():
    model, plane = sampling_model("ms_lstm")
    loss = FrameL1L2()(random_frames(seed=1), find_layer(model, Rollout)(random_frames(), plane))
    with dtype_policy("mixed_bfloat16"):
        model, _ = sampling_model("ms_lstm")
        before = [weight.numpy() for weight in model.trainable_variables]
        jit_loss, after = trained_one_step(model, jit_compile=True)
    assert find_layer(model, Rollout).compute_dtype == "bfloat16"
    np.testing.assert_allclose(jit_loss, loss, rtol=0.05)
    for old, new in zip(before, after, strict=True):
        assert new.dtype == "float32" and np.all(np.isfinite(new)) and np.any(new != old)
