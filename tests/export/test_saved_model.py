"""Models as TensorFlow and its servers load them."""

import errno
import os
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from mslstm_keras.contracts.models import CONTEXT_FRAMES, FORECAST_FRAMES, STEPS, random_frames
from mslstm_keras.export.formats import export_model
from mslstm_keras.export.saved_model import export_saved_model
from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.frames.scales import LinearScale, LogScale
from tests.support.equations import assert_close
from tests.support.processes import ROOT, no_file_larger_than, run_script

pytestmark = pytest.mark.usefixtures("many_models")


@pytest.fixture(scope="module")
def filled(toy, tmp_path_factory):
    """A folder that was there, empty, before a model without rain was exported into it."""
    folder = tmp_path_factory.mktemp("filled")
    export_saved_model(toy, str(folder))
    return folder


@pytest.fixture(scope="module")
def served(exported):
    """The SavedModel of a radar model, as TensorFlow alone loads it."""
    return tf.saved_model.load(exported("toy").path)


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_an_empty_folder_is_filled_and_another_left_alone(toy, filled, tmp_path):
    assert "saved_model.pb" in listing(filled)
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    for path in (full / "thesis.txt", file):
        path.write_text("the only copy")
    for folder in (full, file):
        message = re.escape(f"`folder` must be new or empty. Received: folder={str(folder)!r}")
        with pytest.raises(ValueError, match=message):
            export_saved_model(toy, folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
    assert (full / "thesis.txt").read_text() == file.read_text() == "the only copy"


@pytest.mark.parametrize("size", [100, 20_000])  # the variables are larger than 100, the graph than 20,000
def test_a_full_disk_is_an_os_error_and_leaves_nothing(toy, tmp_path, size):
    message = f"[Errno 27] File too large: '{tmp_path / 'model'}'"
    with no_file_larger_than(size), pytest.raises(OSError, match=f"^{re.escape(message)}$"):
        export_saved_model(toy, tmp_path / "model")
    assert listing(tmp_path) == []


@pytest.mark.parametrize("name", ["model", "model.onnx"])
def test_a_full_disk_beside_that_of_temporary_files_is_told_by_the_name_that_was_given(
    toy, tmp_path, monkeypatch, name
):
    def rename(source, target):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    def copy(source, target, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source, None, target)

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(shutil, "copyfile", copy)
    with pytest.raises(OSError) as caught:
        export_model(toy, tmp_path / name)
    assert str(caught.value) == f"[Errno 28] No space left on device: '{tmp_path / name}'"
    assert listing(tmp_path) == []


def test_a_model_without_a_roll_out_is_refused(tmp_path):
    inputs = keras.Input((3,))
    with pytest.raises(ValueError, match=r"`model` must have one Rollout layer"):
        export_saved_model(keras.Model(inputs, inputs + 1), tmp_path / "model")
    assert listing(tmp_path) == []


def test_bytes_are_forecast_as_bytes(toy, served):
    shape = (2, CONTEXT_FRAMES, *toy.input_shape[2:])
    frames = np.random.default_rng(1).integers(0, 256, shape, "uint8")
    expected = toy.predict(frames / np.float32(255), verbose=0)[:, -FORECAST_FRAMES:]
    received = served.signatures["uint8"](frames=tf.constant(frames))["forecast"].numpy()
    assert received.dtype == "uint8"
    # A pixel that lies between two bytes may be rounded to either.
    np.testing.assert_allclose(received, 255 * np.clip(expected, 0, 1), atol=0.5 + 1e-3, rtol=0)
    assert received.min() < received.max()


def test_rain_rates_are_forecast_as_rain_rates(toy, served):
    scale = RAIN_SCALES["dwd"]
    shape = (2, CONTEXT_FRAMES, *toy.input_shape[2:])
    rates = np.random.default_rng(2).lognormal(0, 2, shape).astype("float32")
    rates[0, 0, 0, :3, 0] = 0, -1, np.nan  # no rain, and no data
    pixels = scale.to_pixel(np.where(rates > 0, rates, 0)).astype("float32")
    assert pixels[0, 0, 0, :3, 0].tolist() == [0, 0, 0] and 0 < pixels.mean() < 1
    expected = toy.predict(pixels, verbose=0)[:, -FORECAST_FRAMES:]
    received = served.signatures["rain_rate"](frames=tf.constant(rates))["forecast"].numpy()
    np.testing.assert_allclose(received, np.where(expected > 0, scale.to_rate(expected), 0), rtol=1e-4)
    assert (received == 0).any() and (received > 0).any()


@pytest.mark.parametrize("scale", [LinearScale(-40, 60, "degC"), LogScale(0, 655, "bikes/h")], ids=str)
def test_values_come_back_in_their_units(toy, scale, tmp_path):
    export_saved_model(toy, tmp_path / "model", scale=str(scale))
    shape = (2, CONTEXT_FRAMES, *toy.input_shape[2:])
    low, high = scale.ends
    values = np.random.default_rng(2).uniform(low, high, shape).astype("float32")
    values[0, 0, 0, :3, 0] = low - 9, np.nan, high + 9  # beyond the ends, and no data
    pixels = scale.to_pixel(np.clip(np.nan_to_num(values, nan=low), low, high)).astype("float32")
    expected = toy.predict(pixels, verbose=0)[:, -FORECAST_FRAMES:]
    signatures = tf.saved_model.load(tmp_path / "model").signatures
    received = signatures["values"](frames=tf.constant(values))["forecast"].numpy()
    np.testing.assert_allclose(received, scale.to_value(np.clip(expected, 0, 1)), atol=1e-4 * (high - low))
    assert np.ptp(scale.to_pixel(received)) > 0.1 and "rain_rate" not in signatures


def test_only_radar_models_have_rain_rates(toy, filled, served, tmp_path):
    names = {"serving_default", "uint8", "initial_state", "step"}
    assert set(served.signatures) == names | {"rain_rate"}
    assert set(tf.saved_model.load(filled).signatures) == names
    with pytest.raises(ValueError, match=r"`range` must be LOW:HIGH.* Received: 'rain:fmi'"):
        export_saved_model(toy, tmp_path / "model", scale="rain:fmi")
    assert listing(tmp_path) == []


def test_frames_are_streamed_one_by_one(toy, served):
    frames = random_frames(CONTEXT_FRAMES, frame_shape=toy.input_shape[2:], seed=3)
    states = served.signatures["initial_state"](frame=tf.constant(frames[:, 0]))
    assert all(state.shape[0] == 2 and not np.any(state) for state in states.values())
    frame, predictions = None, []
    for time in range(STEPS):
        frame = tf.constant(frames[:, time]) if time < CONTEXT_FRAMES else frame
        states = served.signatures["step"](frame=frame, **states)
        frame = states.pop("next_frame")
        predictions.append(frame)
    assert_close(np.stack(predictions, axis=1), toy.predict(frames, verbose=0), 1e-5)


@pytest.mark.parametrize("name", ["toy", "ms_lstm", "traj_gru"])
def test_a_saved_model_holds_tensorflows_own_operations_alone(name, exported):
    """Those that are compiled into TensorFlow: a server knows no others."""
    proto = saved_model_pb2.SavedModel.FromString((exported(name).path / "saved_model.pb").read_bytes())
    (graph,) = (meta.graph_def for meta in proto.meta_graphs)
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    functions = {function.signature.name for function in graph.library.function}
    kinds = {node.op for node in nodes} - functions
    assert kinds and not {kind for kind in kinds if "PyFunc" in kind or op_def_registry.get(kind) is None}


def test_another_backend_is_refused_in_one_line(tmp_path):
    """Every command that exports, where KERAS_BACKEND says so; `zoo add` before it scores a run for hours."""
    pytest.importorskip("jax")
    script = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import numpy as np
        import mslstm_keras as ms
        from mslstm_keras.cli import main
        ms.create_model("conv_lstm", (8, 8, 1), 2, 2, filters=2, layers=1).save("model.keras")
        np.save("clips.npy", np.zeros((10, 4, 8, 8, 1), "uint8"))
        settings = "filters=2 layers=2 patch_size=2 batch_size=2 steps=1 interval_steps=1 decay_steps=0"
        words = [word for setting in settings.split() for word in ("--set", setting)]
        assert main(["train", "--data", "clips.npy", *words, "--quiet", "--run-dir", "run"]) == 0
        for output in ("folder", "model.onnx", "model.tflite", "model.xml"):
            assert main(["export", "model.keras", "--output", output]) == 2
        assert main(["serving", "model.keras", "--output", "served"]) == 2
        assert main(["zoo", "add", "run", "--zoo", "zoo"]) == 2
    """
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    child = run_script(script, tmp_path, ROOT, env=environment)
    assert child.returncode == 0, child.stderr
    rule = "mslstm: `KERAS_BACKEND` must be tensorflow for an export, .* Received: KERAS_BACKEND=jax"
    said = [line for line in child.stderr.splitlines() if "KERAS_BACKEND" in line]
    assert len(said) == 6 and all(re.fullmatch(rule, line) for line in said), child.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"clips.npy", "model.keras", "run"}
