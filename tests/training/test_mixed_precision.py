"""Training in half precision: as good as in single, on two devices as on one, and a step that overflows is left out."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mslstm_keras.data.streams import made_clips
from mslstm_keras.evaluation.scores import evaluate
from mslstm_keras.training.fit import train_seeds
from mslstm_keras.training.recipes import Recipe
from tests.support.optdigits import OPTDIGITS
from tests.support.processes import run_script

ROOT = Path(__file__).parents[2]

SCRIPT = """
    import json, sys
    import keras, numpy as np, tensorflow as tf
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    from mslstm_keras import FrameL1L2
    from mslstm_keras.training.optimizers import LossScaleOptimizer
    from mslstm_keras.contracts.models import (random_frames, small_model)

    keras.config.set_dtype_policy("mixed_float16")
    strategies = {
        "one": tf.distribute.get_strategy(),
        "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    }

    def numpy(variable, strategy):
        return np.array(strategy.experimental_local_results(variable.value)[0])

    def fit(model, frames, truth, strategy):
        # `train_on_batch` would give the whole batch to each device.
        model.fit(frames, truth, batch_size=len(frames), verbose=0, shuffle=False)
        scale = float(numpy(model.optimizer.dynamic_scale, strategy))
        return [numpy(variable, strategy) for variable in model.trainable_variables], scale

    frames, truth = random_frames(batch=4), random_frames(batch=4, seed=1)
    found, weights = {}, {}
    for name, strategy in strategies.items():
        with strategy.scope():
            model = small_model("conv_lstm", layers=1)
            optimizer = LossScaleOptimizer(keras.optimizers.SGD(1e-3), initial_scale=8.0, dynamic_growth_steps=2)
            model.compile(optimizer, FrameL1L2())
        before = [numpy(variable, strategy) for variable in model.trainable_variables]
        for _ in range(3):
            weights[name], scale = fit(model, frames, truth, strategy)
        found[f"{name}: scale after three steps"] = scale
        found[f"{name}: moved"] = [
            float(np.abs(old - new).max()) for old, new in zip(before, weights[name], strict=True)
        ]
        for bad in (0, 3):  # of the first device, and of the second
            overflowing = frames.copy()
            overflowing[bad] = np.inf
            after, scale = fit(model, overflowing, truth, strategy)
            found[f"{name}: scale after sample {bad}"] = scale
            found[f"{name}: weights kept after sample {bad}"] = all(
                np.array_equal(old, new) for old, new in zip(weights[name], after, strict=True)
            )
    found["difference"] = [
        float(np.abs(one - two).max()) for one, two in zip(weights["one"], weights["two"], strict=True)
    ]
    print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_devices_train_as_one_and_leave_out_what_overflows_on_either():
    child = run_script(SCRIPT, ROOT)
    assert child.returncode == 0, child.stderr
    found = json.loads(child.stdout.splitlines()[-1])
    # The weights have moved by sums of gradients, the same but for rounding: 11 bits in float16, and 3 steps.
    for difference, moved in zip(found["difference"], found["one: moved"], strict=True):
        assert difference <= 3 * 2**-11 * moved, found
    for name in ("one", "two"):
        assert found[f"{name}: scale after three steps"] == 16, found  # doubled every second step
        # Halved where either device overflows, and nothing else changes.
        assert found[f"{name}: scale after sample 0"] == 8, found
        assert found[f"{name}: scale after sample 3"] == 4, found
        assert found[f"{name}: weights kept after sample 0"], found
        assert found[f"{name}: weights kept after sample 3"], found


@pytest.mark.slow
def test_bfloat16_changes_scores_by_less_than_the_seed_does(tmp_path):
    """Three seeds say how much chance there is in a score; the same seeds in bfloat16 have to score within that."""
    size = {"context_frames": 4, "forecast_frames": 4, "filters": 8, "layers": 2, "patch_size": 8}
    steps = {"steps": 100, "interval_steps": 50, "decay_steps": 50, "sampling_steps": 25, "batch_size": 4}
    learning = {"learning_rate": 5e-3, "clip_norm": 100.0, "l1_weight": 0.0}
    recipe = Recipe("small", data=OPTDIGITS, stream=True, **size, **steps, **learning)
    clips = made_clips(OPTDIGITS, "test")
    found = {}
    for dtype in ("float32", "mixed_bfloat16"):
        models = train_seeds(dataclasses.replace(recipe, dtype=dtype), tmp_path / dtype, 3, verbose=0)
        scores = [evaluate(model, clips, count=64) for model in models.values()]
        found[dtype] = np.array([score["model"]["mse"]["mean"] for score in scores])
        # Else the scores would agree because nothing was learned.
        assert found[dtype].max() < 0.6 * scores[0]["persistence"]["mse"]["mean"]
    single, half = found["float32"], found["mixed_bfloat16"]
    print(f"MSE of three seeds, float32: {single}, mixed_bfloat16: {half}")  # shown by pytest -s
    assert not np.array_equal(single, half)
    assert abs(half.mean() - single.mean()) < np.ptp(single)
