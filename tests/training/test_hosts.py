"""Hosts that share every batch, as processes of this machine: the weights of one process, whatever is killed."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from mslstm_keras.training.fit import CHECKPOINT, LOG, read_step, train
from mslstm_keras.training.recipes import Recipe

ROOT = Path(__file__).parents[2]
PATIENCE = 300  # seconds that no process takes
LOST = 30  # seconds within which a host must notice that another one is gone
FIRST, LAST, LATER = (
    2,
    40,
    42,
)  # steps: on TensorFlow until the first, on JAX until the last, on TensorFlow again

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed"),
]


def recipe(folder, steps):
    """A recipe in which frames are drawn to the last step."""
    return Recipe(
        "hosts",
        model="conv_lstm",
        frame_shape=(4, 4, 1),
        context_frames=2,
        forecast_frames=2,
        filters=2,
        layers=1,
        data=str(folder / "clips.npy"),
        batch_size=4,
        steps=steps,
        interval_steps=1,
        learning_rate=0.01,
        sampling_steps=LATER + 10,
        clip_norm=100.0,
        validation_clips=2,
        validation_split="train",
    )


def command(fields, folder, run, *words):
    """Starts `mslstm train` on JAX in a process of its own."""
    path = folder / "recipe.json"
    path.write_text(json.dumps(fields.to_dict()))
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(
            folder / "compiled"
        ),  # processes that are started again compile nothing
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    arguments = [sys.executable, "-m", "mslstm_keras", "train", path, "--run-dir", run, "--resume"]
    arguments += ["--set", f"steps={fields.steps}", *words]
    return subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def free_addresses(count):
    """Returns "host:port" of ports that nobody listens to."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def start_hosts(fields, folder, run, count=2):
    addresses = ",".join(free_addresses(count))
    ranks = range(count)
    return [command(fields, folder, run, "--hosts", addresses, "--rank", str(rank)) for rank in ranks]


def steps_seen(run):
    return len((run / LOG).read_text().splitlines()) - 1


def wait_for(run, steps, processes):
    deadline = time.monotonic() + PATIENCE
    while steps_seen(run) < steps:
        for process in processes:
            assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "the training hangs"
        time.sleep(0.002)


def end(process):
    """Returns exit status and errors of a host that is lost or has lost another one."""
    try:
        _, errors = process.communicate(timeout=LOST)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"a host goes on without the other: {process.communicate()[1]}")
    return process.returncode, errors


def finish(processes):
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors


def state(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = keras.models.load_model(run / CHECKPOINT)
    return [*model.get_weights(), *(variable.numpy() for variable in model.optimizer.variables)]


def assert_same(run, other, tolerance):
    pairs = list(zip(state(run), state(other), strict=True))
    largest = max(np.abs(two - one).max() / max(1, np.abs(one).max()) for one, two in pairs)
    print(f"largest difference of {run.name} and {other.name}: {largest:.1e}")  # shown by pytest -s
    assert largest < tolerance


def lines(run):
    return np.genfromtxt(run / LOG, delimiter=",", names=True)


def test_two_hosts_end_with_the_weights_of_one_whoever_is_killed(tmp_path):
    """And a training goes from TensorFlow to JAX and back."""
    clips = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 4), dtype="uint8")
    np.save(tmp_path / "clips.npy", clips)
    begun, alone, hosts = (tmp_path / name for name in ("begun", "alone", "hosts"))
    train(recipe(tmp_path, FIRST), begun, verbose=0)
    for run in (alone, hosts):
        shutil.copytree(begun, run)

    finish([command(recipe(tmp_path, LAST), tmp_path, alone)])

    rng = np.random.default_rng(1)
    for killed in rng.permutation(2):  # the first host is the chief
        processes = start_hosts(recipe(tmp_path, LAST), tmp_path, hosts)
        wait_for(hosts, steps_seen(hosts) + rng.integers(1, 5), processes)
        time.sleep(rng.uniform(0, 0.02))
        processes[killed].kill()
        assert end(processes[killed])[0] == -signal.SIGKILL
        code, errors = end(processes[1 - killed])
        print(errors)  # shown if the test fails
        assert code in (2, -signal.SIGABRT)  # it cannot go on alone; JAX aborts where it learns first
    assert steps_seen(hosts) < LAST, "nothing was left to be trained after the kills"
    finish(start_hosts(recipe(tmp_path, LAST), tmp_path, hosts))

    assert read_step(hosts / CHECKPOINT) == read_step(alone / CHECKPOINT) == LAST
    assert_same(alone, hosts, 1e-6)
    one, two = lines(alone), lines(hosts)
    assert one.dtype.names == two.dtype.names
    np.testing.assert_array_equal(two["step"], np.arange(1, LAST + 1))
    for name in set(one.dtype.names) - {"seconds", "device"}:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=1e-9, err_msg=name)
    assert {path.name for path in hosts.iterdir()} == {path.name for path in alone.iterdir()}

    # TensorFlow goes on where JAX has ended, to where it comes alone.
    for run, steps in ((begun, LATER), (hosts, LATER)):
        train(recipe(tmp_path, steps), run, resume=True, verbose=0)
    assert_same(begun, hosts, 1e-4)  # twenty-odd steps by two libraries
