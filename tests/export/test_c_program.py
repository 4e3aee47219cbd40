"""A SavedModel is loaded and run by a program in C, `serve.c`, in a process without Python."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from mslstm_keras.contracts.models import CONTEXT_FRAMES, FORECAST_FRAMES, FRAME_SHAPE, random_frames
from tests.support.equations import assert_close

LIBRARIES = [Path(tf.sysconfig.get_lib(), f"libtensorflow_{name}.so.2") for name in ("cc", "framework")]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("many_models"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler, cc"),
    pytest.mark.skipif(
        not all(path.exists() for path in LIBRARIES),
        reason=f"TensorFlow's wheel has no {' and '.join(path.name for path in LIBRARIES)}",
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    source, path = Path(__file__).with_name("serve.c"), tmp_path_factory.mktemp("program") / "serve"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-isystem", tf.sysconfig.get_include()]
    # The libraries have half a million symbols: where it is installed, gold links in a sixth of the time.
    flags += ["-fuse-ld=gold"] if shutil.which("ld.gold") else []
    command = ["cc", *flags, source, *LIBRARIES, f"-Wl,-rpath,{LIBRARIES[0].parent}", "-o", path]
    compiler = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert compiler.returncode == 0, compiler.stderr
    return path


def serve(program, folder, *arguments):
    """Runs the program in a folder, with an environment that has no path to anything else."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.run(
        [program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def tensors(path, signature):
    """Returns what the graph calls `frames` and `forecast`.

    A server reads these names in the file. In C that takes a library that decodes protobuf messages, so they are read
    here and handed to the program.
    """
    proto = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (meta,) = proto.meta_graphs
    signature = meta.signature_def[signature]
    return signature.inputs["frames"].name, signature.outputs["forecast"].name


def forecast(program, path, signature, frames, folder):
    """Returns the forecast of the program, which has printed its version, its shape and its mean."""
    frames.tofile(folder / "frames.bin")
    child = serve(program, folder, path, *tensors(path, signature), "frames.bin", "forecast.bin")
    assert child.returncode == 0, child.stderr
    print(child.stdout, end="")
    shape = (len(frames), FORECAST_FRAMES, *FRAME_SHAPE)
    received = np.fromfile(folder / "forecast.bin", frames.dtype).reshape(shape)
    start, mean = child.stdout.rsplit(maxsplit=1)
    assert start == f"TensorFlow {tf.version.VERSION}: {frames.dtype} {'x'.join(map(str, shape))}, mean"
    assert float(mean) == pytest.approx(received.mean(dtype="float64"), abs=1e-6)
    return received


@pytest.mark.parametrize(("name", "batch"), [("ms_lstm", 3), ("traj_gru", 1)])
def test_a_program_in_c_gives_the_forecast_of_keras(name, batch, exported, program, tmp_path):
    model, path, _ = exported(name)
    frames = random_frames(CONTEXT_FRAMES, batch)
    received = forecast(program, path, "serving_default", frames, tmp_path)
    assert_close(received, np.array(model(frames))[:, -FORECAST_FRAMES:], 1e-5)


def test_a_program_in_c_forecasts_bytes(exported, program, tmp_path):
    model, path, _ = exported("traj_gru")  # its forecast lies in [0, 1], in part
    frames = np.random.default_rng(0).integers(0, 256, (2, CONTEXT_FRAMES, *FRAME_SHAPE), "uint8")
    received = forecast(program, path, "uint8", frames, tmp_path)
    expected = np.array(model(frames / np.float32(255)))[:, -FORECAST_FRAMES:]
    # A pixel that lies between two bytes may be rounded to either.
    np.testing.assert_allclose(received, 255 * np.clip(expected, 0, 1), atol=0.5 + 1e-3, rtol=0)
    assert received.min() < received.max()


@pytest.mark.parametrize(
    ("place", "argument", "message"),
    [
        (0, "nowhere", "Could not find SavedModel .pb or .pbtxt at supplied export directory path: nowhere"),
        (1, "frames:0", "the graph has no tensor frames:0"),
        (2, "serving_default_frames:1", "the graph has no tensor serving_default_frames:1"),
        (3, "short.bin", "short.bin must hold whole clips of 512 bytes"),
        (4, "nowhere/forecast.bin", f"nowhere/forecast.bin: {os.strerror(errno.ENOENT)}"),
    ],
)
def test_a_wrong_argument_ends_the_program_with_one_line(
    exported, program, tmp_path, place, argument, message
):
    path = exported("traj_gru").path
    random_frames(CONTEXT_FRAMES).tofile(tmp_path / "frames.bin")
    (tmp_path / "short.bin").write_bytes(bytes(511))
    arguments = [path, *tensors(path, "serving_default"), "frames.bin", "forecast.bin"]
    arguments[place] = argument
    child = serve(program, tmp_path, *arguments)
    assert child.returncode == 1  # a signal would be negative
    # The GPU half of TensorFlow may write lines of its own, whatever TF_CPP_MIN_LOG_LEVEL is.
    (line,) = (line for line in child.stderr.splitlines() if line.startswith("serve: "))
    assert line.startswith(f"serve: {message}") and child.stderr.endswith(f"{line}\n")
    assert child.stdout == "" and {file.name for file in tmp_path.iterdir()} == {"frames.bin", "short.bin"}
