"""The scan and its own gradient against TensorFlow's, and the lanes in a process with threads of its own."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.layers import recomputing as fast
from tests.support.equations import assert_close
from tests.support.processes import run_script

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
        return fast.scan(*arguments, stretch=stretch, unroll=unroll)

    for ours, expected in zip(differentiated(run), differentiated(plain_loop), strict=True):
        assert_close(ours, expected.numpy(), 1e-5 * np.abs(expected).max())


def test_scan_runs_eagerly():
    sequence, states, weights, _ = numbers()
    outputs, last = fast.scan(step, sequence, states, weights, stretch=3)
    expected, expected_last = plain_loop(step, sequence, states, weights)
    for ours, theirs in zip((outputs, *last), (expected, *expected_last), strict=True):
        assert_close(ours, theirs)


def test_a_weight_without_effect_has_a_gradient_of_zero():
    sequence, states, weights, _ = numbers()
    idle = tf.ones(5)
    with tf.GradientTape() as tape:
        tape.watch(idle)
        outputs, _ = fast.scan(
            lambda x, s, w: step(x, s, w[:2]), sequence, states, [*weights, idle], stretch=1
        )
    np.testing.assert_array_equal(tape.gradient(outputs, idle), np.zeros(5))


def test_one_lane_where_threads_are_as_tensorflow_sets_them():
    assert fast.lanes(8, fast.LANE_PIXELS) == 1


LANES = """
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(4)
from mslstm_keras.layers import fast
from tests.support.contracts import loss_and_gradients, small_model
import numpy as np, sys
pixels = fast.LANE_PIXELS
assert [fast.lanes(batch, pixels) for batch in (None, 1, 2, 3, 4, 6, 8)] == [1, 1, 2, 1, 4, 2, 4]
assert [fast.lanes(8, pixels // part) for part in (2, 3)] == [4, 1]
fast.LANE_PIXELS = 1
from unittest import mock
from mslstm_keras import Rollout
whole = small_model("ms_lstm")
with mock.patch.object(Rollout, "_keeping", autospec=True, side_effect=Rollout._keeping) as run:
    whole(np.zeros((2, 4, 8, 8, 1), "float32"), training=True)
assert run.call_count == 2
for name, options in (("loop", {}), ("step", {"checkpoint": "step"}), ("plain", {"fast": False})):
    loss, predictions, frames, weights = loss_and_gradients(small_model("ms_lstm", **options))
    np.savez(sys.argv[1] + name, loss, predictions, frames, *weights)
"""


def test_lanes_change_nothing(tmp_path):
    """Two clips, four operations at once: each clip has a lane of its own, in a loop and with a checkpoint."""
    root = Path(__file__).parents[2]
    child = run_script(LANES, root, f"{tmp_path}/")
    assert child.returncode == 0, child.stderr
    loop, step, plain = (np.load(tmp_path / f"{name}.npz") for name in ("loop", "step", "plain"))
    for key in plain:
        for lanes in (loop, step):
            np.testing.assert_allclose(lanes[key], plain[key], rtol=0, atol=1e-5 * np.abs(plain[key]).max())
