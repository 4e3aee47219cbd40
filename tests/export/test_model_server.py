"""Forecasts of a real TensorFlow Serving, where there is one: `MSLSTM_MODEL_SERVER` is the path of its binary."""

import contextlib
import json
import os
import socket
import subprocess
import urllib.request
from time import monotonic, sleep
from types import SimpleNamespace

import numpy as np
import pytest

from mslstm_keras.contracts.models import CONTEXT_FRAMES, FORECAST_FRAMES, STEPS, random_frames
from mslstm_keras.export.client import predict
from mslstm_keras.export.serving import BATCHING, MODELS, write_serving_folder
from tests.support.equations import assert_close

SERVER = os.environ.get("MSLSTM_MODEL_SERVER")
START, END = 120, 20  # seconds that it may take
pytestmark = pytest.mark.skipif(
    not SERVER, reason="MSLSTM_MODEL_SERVER, the path of a tensorflow_model_server, is not set"
)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in bound:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in bound]


@contextlib.contextmanager
def running(command):
    """Runs a server within the block. It prints to where tests do: pytest shows it with a test that fails."""
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(url, body=None):
    """Returns the answer to a GET, or with a body to a POST."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url, data, timeout=60) as response:
        return json.load(response)


def wait_until_available(url, process):
    deadline = monotonic() + START
    state = None
    while state != "AVAILABLE":
        assert process.poll() is None, f"the server has ended with {process.returncode}"
        assert monotonic() < deadline, f"the model is not served after {START} s: {state}"
        sleep(0.1)
        try:
            (version,) = ask(url)["model_version_status"]
            state = version["state"]
        except OSError as error:  # nobody listens yet, or the model is not yet known
            state = error


@pytest.fixture(scope="module")
def server(toy, tmp_path_factory):
    """Addresses of a server of the model that `write_serving_folder` has prepared."""
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    folder = tmp_path_factory.mktemp("server")
    write_serving_folder(folder / "served", {"toy": toy})
    config = folder / "served" / MODELS
    in_container = config.read_text()
    assert in_container.count('"/models/toy"') == 1
    config.write_text(in_container.replace('"/models/', f'"{folder}/served/'))
    grpc, rest = free_ports(2)
    command = [
        *[SERVER, f"--port={grpc}", f"--rest_api_port={rest}", f"--model_config_file={config}"],
        *["--enable_batching", f"--batching_parameters_file={folder / 'served' / BATCHING}"],
    ]
    addresses = SimpleNamespace(
        rest=f"http://127.0.0.1:{rest}/v1/models/toy", grpc=f"grpc://127.0.0.1:{grpc}/toy"
    )
    with pytest.MonkeyPatch.context() as patch, running(command) as process:
        patch.setenv("no_proxy", "127.0.0.1")
        wait_until_available(addresses.rest, process)
        yield addresses


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_server_gives_the_forecast_of_keras(server, toy, protocol, batch):
    url, frames = getattr(server, protocol), random_frames(CONTEXT_FRAMES, batch, toy.input_shape[2:])
    received = predict(url, frames)
    assert received.dtype == "float32"
    assert_close(received, np.array(toy(frames))[:, -FORECAST_FRAMES:], 1e-5)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_server_forecasts_bytes(server, toy, protocol, batch):
    shape = (batch, CONTEXT_FRAMES, *toy.input_shape[2:])
    frames = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    received = predict(getattr(server, protocol), frames)
    assert received.dtype == "uint8"
    expected = np.array(toy(frames / np.float32(255)))[:, -FORECAST_FRAMES:]
    # A pixel that lies between two bytes may be rounded to either.
    np.testing.assert_allclose(received, 255 * np.clip(expected, 0, 1), atol=0.5 + 1e-3, rtol=0)


def test_the_server_streams_frame_by_frame(server, toy):
    """The states travel as they come: rows of REST, one for each clip."""

    def rows_of(signature, rows):
        body = {"signature_name": signature, "instances": rows}
        return ask(f"{server.rest}:predict", body)["predictions"]

    frames = random_frames(CONTEXT_FRAMES, 3, toy.input_shape[2:])
    states = rows_of("initial_state", [{"frame": frame.tolist()} for frame in frames[:, 0]])
    predictions = []
    for time in range(STEPS):
        seen = frames[:, time].tolist() if time < CONTEXT_FRAMES else predictions[-1]
        states = rows_of(
            "step", [{"frame": frame, **state} for frame, state in zip(seen, states, strict=True)]
        )
        predictions.append([state.pop("next_frame") for state in states])
    assert_close(np.stack(predictions, axis=1), np.array(toy(frames)), 1e-5)
