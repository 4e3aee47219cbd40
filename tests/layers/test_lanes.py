"""A batch cut for the threads of a processor."""

from pathlib import Path

import numpy as np
import pytest

from mslstm_keras.layers import lanes
from tests.support.processes import run_script


def test_one_lane_where_threads_are_as_tensorflow_sets_them():
    assert lanes.lanes(8, lanes.LANE_PIXELS) == 1


LANES = """
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(4)
from mslstm_keras.layers import lanes
from mslstm_keras.contracts.models import (loss_and_gradients, small_model)
import numpy as np, sys
pixels = lanes.LANE_PIXELS
assert [lanes.lanes(batch, pixels) for batch in (None, 1, 2, 3, 4, 6, 8)] == [1, 1, 2, 1, 4, 2, 4]
assert [lanes.lanes(8, pixels // part) for part in (2, 3)] == [4, 1]
lanes.LANE_PIXELS = 1
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


@pytest.mark.slow
def test_lanes_change_nothing(tmp_path):
    """Two clips, four operations at once: each clip has a lane of its own, in a loop and with a checkpoint."""
    root = Path(__file__).parents[2]
    child = run_script(LANES, root, f"{tmp_path}/")
    assert child.returncode == 0, child.stderr
    loop, step, plain = (np.load(tmp_path / f"{name}.npz") for name in ("loop", "step", "plain"))
    for key in plain:
        for cut in (loop, step):
            np.testing.assert_allclose(cut[key], plain[key], rtol=0, atol=1e-5 * np.abs(plain[key]).max())
