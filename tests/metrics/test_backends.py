"""Every metric on two devices and on JAX, each in a process of its own, beside one device of TensorFlow."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from mslstm_keras.metrics.categorical import CSI
from tests.metrics.examples import one_of_every, rain_frames
from tests.support.processes import run_script

ROOT = Path(__file__).parents[2]
WEIGHTS = np.array([1, 1, 0, 1, 2, 1, 1], "float32")  # of the seven sequences of `rain_frames`


@pytest.fixture(scope="module")
def one_device():
    """Name -> score of every frame, from one batch."""
    metrics = one_of_every(2)
    for metric in metrics:
        metric.update_state(*rain_frames(), sample_weight=WEIGHTS)
    scores = {metric.name: np.asarray(metric.per_frame()) for metric in metrics}
    assert all(np.all(values > 0) for values in scores.values())
    return scores


def assert_equal_scores(scores, one_device):
    assert set(scores) == set(one_device)
    for name, values in one_device.items():
        np.testing.assert_allclose(scores[name], values, rtol=1e-6, err_msg=name)


@pytest.mark.slow
def test_two_devices_score_as_one_does(one_device):
    script = """
        import json, sys
        import keras, numpy as np, tensorflow as tf
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        from mslstm_keras.training.losses import FrameL1L2
        from tests.metrics.examples import one_of_every, rain_frames
        truth, frames = rain_frames()
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        assert strategy.num_replicas_in_sync == 2
        with strategy.scope():
            metrics = one_of_every(2)
            model = keras.Sequential([keras.Input(frames.shape[1:]), keras.layers.Identity()])
            model.compile(loss=FrameL1L2(), weighted_metrics=metrics)
        weights = np.array(json.loads(sys.argv[1]), "float32")
        options = {"batch_size": 6, "return_dict": True, "verbose": 0}  # on the devices 3, 3; then 1, none
        logs = model.evaluate(frames, truth, sample_weight=weights, **options)
        np.testing.assert_allclose([logs[m.name] for m in metrics], [m.result() for m in metrics], rtol=1e-6)
        print(json.dumps({metric.name: np.asarray(metric.per_frame()).tolist() for metric in metrics}))
        print(json.dumps({m.name: m.counts().tolist() for m in metrics if hasattr(m, "counts")}))
    """
    child = run_script(script, ROOT, json.dumps(WEIGHTS.tolist()))
    assert child.returncode == 0, child.stderr
    counted = CSI(2, threshold=2.0)
    counted.update_state(*rain_frames(), sample_weight=WEIGHTS)
    scores, counts = (json.loads(line) for line in child.stdout.splitlines())
    assert_equal_scores(scores, one_device)
    assert set(counts) == {"pod_2", "far_2", "csi_2", "hss_2"}
    assert all(count == counted.counts().tolist() for count in counts.values())


@pytest.mark.slow
def test_jax_scores_as_tensorflow_does(one_device):
    script = """
        import json, sys
        import jax, numpy as np
        from mslstm_keras.metrics.categorical import CSI
        from tests.metrics.examples import one_of_every, rain_frames
        weights, scores = np.array(json.loads(sys.argv[1]), "float32"), {}
        truth, frames = rain_frames()
        for metric in one_of_every(2):
            for batch in (slice(0, 2), slice(2, 7)):
                metric.update_state(truth[batch], frames[batch], weights[batch])
            scores[metric.name] = np.asarray(metric.per_frame()).tolist()
        metric = CSI(1, threshold=2.0)
        state, update = [v.value for v in metric.variables], jax.jit(metric.stateless_update_state)
        wet = np.ones((1, 1, 1, 17, 1), "float32")
        for weight in (2.0**20, *[1.0] * 3):
            state = update(state, wet, wet, np.array([weight], "float32"))
        for variable, value in zip(metric.variables, state, strict=True):
            variable.assign(value)
        assert metric.counts().tolist() == [[17 * (2**20 + 3), 0, 0, 0]], metric.counts()
        print(json.dumps(scores))
    """
    options = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    child = run_script(script, ROOT, json.dumps(WEIGHTS.tolist()), env={**os.environ, **options})
    assert child.returncode == 0, child.stderr
    assert_equal_scores(json.loads(child.stdout.splitlines()[-1]), one_device)
