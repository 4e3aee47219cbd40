"""The predicted memory beside what a process really grows by."""

import os
import sys
from pathlib import Path

import pytest

from mslstm_keras import create_model
from mslstm_keras.contracts.models import small_model
from mslstm_keras.cost import training_memory
from tests.support.processes import run_script

PEAK = """
import pathlib, re, sys
import numpy as np
import mslstm_keras as ms
checkpoint = sys.argv[1] if sys.argv[1] != "None" else None
model = ms.create_model("ms_lstm", (64, 64, 1), 10, 10, filters=16, layers=3, patch_size=2, checkpoint=checkpoint)
model.compile("adam", ms.FrameL1L2(), jit_compile=False)
model.optimizer.build(model.trainable_variables)

def resident(name):  # not `getrusage`, whose maximum begins with that of the parent
    return int(re.search(name + r":\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text()).group(1)) * 1024

clips = np.zeros((8, 20, 64, 64, 1), "float32")
before = resident("VmRSS")
model.train_on_batch(clips[:, :-1], clips[:, 1:])
print(resident("VmHWM") - before)
print(ms.cost.training_memory(model, 8, checkpoint))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")
@pytest.mark.parametrize("checkpoint", ["None", "step", "sqrt"])
def test_predicts_what_a_process_grows_by(checkpoint):
    # The kernels that the prediction is of: what TensorFlow's other ones take besides differs from run to run.
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "1"}
    done = run_script(PEAK, Path(__file__).parents[2], checkpoint, env=environment)
    assert done.returncode == 0, done.stderr
    measured, predicted = map(int, done.stdout.split())
    assert abs(predicted / measured - 1) < 0.15, f"predicted {predicted:,}, measured {measured:,} bytes"


def test_grows_with_the_batch_and_shrinks_with_checkpoints():
    model = create_model("conv_lstm", (32, 32, 1), 10, 10, filters=8, layers=2)
    kept, step, sqrt = (training_memory(model, 64, checkpoint) for checkpoint in (None, "step", "sqrt"))
    assert kept > step > sqrt
    assert training_memory(model, 128) - kept == pytest.approx(kept - training_memory(model, 1), rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "`batch_size` must be a positive integer. Received: batch_size=0"),
        ((2, "half"), r"`checkpoint` must be one of \(None, 'step', 'sqrt'\). Received: checkpoint='half'"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        training_memory(small_model("conv_lstm"), *arguments)
