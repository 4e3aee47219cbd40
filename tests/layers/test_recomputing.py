"""The scan and its own gradient against TensorFlow's, and the lanes in a process with threads of its own."""

import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.layers.recomputing import scan
from tests.support.equations import assert_close

STEPS = 7


def step(x, states, weights):
    """Two states of different shapes and two weights; every state depends on every other."""
    y, s = states
    w, v = weights
    y = tf.tanh(tf.matmul(x, w) + y * tf.reduce_sum(s, axis=-1, keepdims=True))
    return [y, s + tf.matmul(y, v)]


def plain_loop(step, sequence, states, weights):
    outputs = []
    for time in range(STEPS):
        states = step(sequence[:, time], states, weights)
        outputs.append(states[0])
    return tf.stack(outputs, axis=1), states


def numbers(batch=2):
    rng = np.random.default_rng(0)

    def draw(*shape):
        return tf.constant(rng.normal(size=shape).astype("float32"))

    return (
        draw(batch, STEPS, 3),
        [draw(batch, 4), draw(batch, 2)],
        [draw(3, 4), draw(4, 2)],
        draw(batch, STEPS, 4),
    )


def differentiated(run):
    sequence, states, weights, direction = numbers()

    @tf.function
    def gradients(sequence, states, weights):
        with tf.GradientTape() as tape:
            tape.watch((sequence, states, weights))
            outputs, last = run(step, sequence, states, weights)
            loss = tf.reduce_sum(outputs * direction) + sum(tf.reduce_sum(state**2) for state in last)
        return outputs, last, tape.gradient(loss, (sequence, states, weights))

    return tf.nest.flatten(gradients(sequence, states, weights))


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("stretch", [1, 2, 3, 7, 9])
def test_scan_is_the_plain_loop(stretch, unroll):
    """Also where the last stretch is shorter than the others, and where one stretch is longer than the sequence."""

    def run(*arguments):
        return scan(*arguments, stretch=stretch, unroll=unroll)

    for ours, expected in zip(differentiated(run), differentiated(plain_loop), strict=True):
        assert_close(ours, expected.numpy(), 1e-5 * np.abs(expected).max())


def test_scan_runs_eagerly():
    sequence, states, weights, _ = numbers()
    outputs, last = scan(step, sequence, states, weights, stretch=3)
    expected, expected_last = plain_loop(step, sequence, states, weights)
    for ours, theirs in zip((outputs, *last), (expected, *expected_last), strict=True):
        assert_close(ours, theirs)


def test_a_weight_without_effect_has_a_gradient_of_zero():
    sequence, states, weights, _ = numbers()
    idle = tf.ones(5)
    with tf.GradientTape() as tape:
        tape.watch(idle)
        outputs, _ = scan(lambda x, s, w: step(x, s, w[:2]), sequence, states, [*weights, idle], stretch=1)
    np.testing.assert_array_equal(tape.gradient(outputs, idle), np.zeros(5))
