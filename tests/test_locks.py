"""Locks by themselves, and commands that write one folder at once, each in a process of its own."""

import errno
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mslstm_keras import locks
from mslstm_keras.locks import LOCK, claimed, locked
from tests.support.commands import OPTDIGITS, SETTINGS, TINY
from tests.support.processes import python
from tests.support.zoos import index_of

ROOT = Path(__file__).parents[1]
HERE = f"process {os.getpid()} on {socket.gethostname()}"
HOLD = """
import sys
from mslstm_keras.locks import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
COUNT = """
import sys
from pathlib import Path
from mslstm_keras.locks import locked
folder = Path(sys.argv[1])
for _ in range(100):
    with locked(folder):
        number = int((folder / "count").read_text())
        (folder / "count").write_text(str(number + 1))
"""


def let_go(process):
    process.stdin.close()
    process.wait(60)
    process.stdout.close()


@pytest.fixture
def holder():
    """Returns a function that starts processes, each of which holds the lock of a folder until its input ends."""
    started = []

    def hold(folder):
        process = python("-c", HOLD, folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        let_go(process)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_lock_is_a_file_that_goes_with_the_block(tmp_path):
    with locked(tmp_path), locked(tmp_path, "index.json"):
        assert names(tmp_path) == [".lock", ".lock-index.json"]
        assert (tmp_path / LOCK).read_text() == f"{HERE}\n"
    assert names(tmp_path) == []
    with pytest.raises(KeyError), claimed(tmp_path):
        raise KeyError
    assert names(tmp_path) == []


def test_a_folder_that_is_made_stays_only_if_something_is_in_it(tmp_path):
    run = tmp_path / "runs" / "run"
    with pytest.raises(KeyError), claimed(run):
        assert names(run) == [LOCK]
        raise KeyError
    assert names(tmp_path) == []
    (tmp_path / "empty").mkdir()
    with claimed(run), locked(tmp_path / "empty"):
        (run / "recipe.json").touch()
    assert names(run) == ["recipe.json"]
    assert names(tmp_path) == ["empty", "runs"]


@pytest.mark.parametrize("exists", [True, False])
def test_the_second_waits_and_says_once_for_whom(tmp_path, holder, exists, monkeypatch):
    """Also where the first has made the folder, and removes it as nothing is in it."""
    monkeypatch.setattr(locks, "_PATIENCE_SECONDS", 0.1)
    folder = tmp_path / "zoo"
    if exists:
        folder.mkdir()
    process = holder(folder)
    begun = time.monotonic()
    threading.Timer(1, process.stdin.close).start()
    with pytest.warns() as told, locked(folder):
        assert time.monotonic() - begun > 1
        assert (folder / LOCK).read_text() == f"{HERE}\n"
    assert [str(warning.message) for warning in told] == [
        f"waiting for process {process.pid} on {socket.gethostname()}, which is writing {folder}"
    ]
    assert list(folder.glob("*")) == []


def test_what_is_locked_by_its_name_leaves_the_rest_free(tmp_path):
    with (
        locked(tmp_path, "1.0.0"),
        locked(tmp_path, "2.0.0"),
        claimed(tmp_path),
        pytest.raises(ValueError, match="held by"),
        claimed(tmp_path),
    ):
        pass


def test_the_second_is_refused_with_the_name_of_the_first(tmp_path, holder):
    process = holder(tmp_path)
    message = (
        f"`run_dir` must not be written by another process. Received: run_dir='{tmp_path}', held by process "
        f"{process.pid} on {socket.gethostname()}"
    )
    for _ in range(2):  # to be refused changes nothing
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"), claimed(tmp_path):
            pass
    with (
        pytest.raises(ValueError, match=r"^`output` must not be .* Received: output="),
        claimed(tmp_path, "output"),
    ):
        pass
    let_go(process)
    with claimed(tmp_path):
        pass


@pytest.mark.parametrize(
    ("text", "name"), [("\x1b[31m" + "x" * 1000 + "\ny", "[31m" + "x" * 196), ("", "another process")]
)
def test_what_a_lock_says_of_its_holder_is_not_trusted(tmp_path, holder, text, name):
    holder(tmp_path)
    (tmp_path / LOCK).write_text(text)
    with pytest.raises(ValueError, match=f"held by {re.escape(name)}$"), claimed(tmp_path):
        pass


def test_a_lock_ends_with_a_process_that_is_killed(tmp_path, holder):
    process = holder(tmp_path)
    process.kill()
    process.wait()
    assert names(tmp_path) == [LOCK]
    with claimed(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{HERE}\n"
    assert names(tmp_path) == []


def test_no_two_processes_are_inside(tmp_path):
    """The file of the lock goes and comes 400 times."""
    (tmp_path / "count").write_text("0")
    processes = [python("-W", "error", "-c", COUNT, tmp_path) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    assert (tmp_path / "count").read_text() == "400"
    assert names(tmp_path) == ["count"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
@pytest.mark.parametrize("lock", [locked, claimed])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, lock, number):
    def flock(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.warns() as told, lock(tmp_path / "run"):
        assert names(tmp_path / "run") == []
    assert [str(warning.message) for warning in told] == [
        f"{tmp_path / 'run'} is on a file system without locks ({os.strerror(number)}): nothing keeps two "
        "processes from writing it at once"
    ]


def test_another_error_of_the_file_system_is_raised(tmp_path, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"), locked(tmp_path):
        pass


def test_without_filelock_it_is_said_that_there_are_no_locks(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.warns() as told, claimed(tmp_path / "run"):
        (tmp_path / "run" / "recipe.json").touch()
    assert [str(warning.message) for warning in told] == [
        f"filelock is not installed: nothing keeps two processes from writing {tmp_path / 'run'} at once"
    ]


def hold_up(lock, commands):
    """Returns once all commands wait for a lock that is held meanwhile, so that all of them go on at once."""
    waiting = f"mslstm: warning: waiting for {HERE}, which is writing "
    with lock:
        running = commands()
        for command in running:
            command.wait_until(lambda said=command.said: waiting in said())
    return running


@pytest.mark.slow
def test_two_trainings_of_one_folder(tmp_path, start):
    """The first stands still while the second comes, so that it is there for certain; then it goes on."""
    run = tmp_path / "run"
    words = ["train", "optdigits_quick", *SETTINGS, "--run-dir", run]
    first = start(*words)
    first.wait_until((run / LOCK).exists)
    first.process.send_signal(signal.SIGSTOP)
    second = start(*words)
    assert second.end() == 2
    assert second.said() == (
        f"mslstm: `run_dir` must not be written by another process. Received: run_dir='{run}', held by process "
        f"{first.process.pid} on {socket.gethostname()}\n"
    )
    first.process.send_signal(signal.SIGCONT)
    assert first.end() == 0, first.said()
    assert {"checkpoint.keras", "log.csv", "recipe.json"} < set(names(run))
    assert LOCK not in names(run)


@pytest.mark.slow
def test_the_folder_of_a_killed_training_is_free(tmp_path, start):
    run = tmp_path / "run"
    words = ["train", "optdigits_quick", *SETTINGS, "--run-dir", run]
    killed = start(*words, "--set", "steps=1000000")
    killed.wait_until((run / "checkpoint.keras").exists)
    killed.process.kill()
    assert killed.end() == -signal.SIGKILL
    assert LOCK in names(run)
    intervals = len((run / "log.csv").read_text().splitlines()) - 1
    on = start(*words, "--resume", "--set", f"steps={TINY['interval_steps'] * (intervals + 1)}")
    assert on.end() == 0, on.said()
    assert LOCK not in names(run)


@pytest.mark.slow
def test_two_entries_of_one_zoo(tmp_path, start, tiny_run, optdigits_dir):
    zoo = tmp_path / "zoo"

    def add():
        words = ["--zoo", zoo, "--clips", "1", "--data-dir", optdigits_dir]
        return [start("zoo", "add", tiny_run, "--name", name, *words) for name in "ab"]

    for command in hold_up(locked(zoo), add):
        assert command.end() == 0, command.said()
    assert sorted(index_of(zoo)) == names(zoo)[:2] == ["a", "b"]
    verifying = start("zoo", "verify", "--zoo", zoo)
    assert verifying.end() == 0, verifying.said()
    assert names(zoo) == ["a", "b", "index.json"]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_two_preparations_of_one_data_set(tmp_path, start, processes):
    place = tmp_path / "data" / "moving_mnist_clips" / "few"

    def prepare():
        few = ["--variant", "few", "--set", "train_clips=60", "--set", "test_clips=2"]
        words = ["--data-dir", tmp_path / "data", "--processes", str(processes)]
        return [start("data", "prepare", OPTDIGITS, *few, *words) for _ in range(2)]

    for command in hold_up(locked(place, "1.0.0"), prepare):
        assert command.end() == 0, command.said()
    assert names(place) == ["1.0.0"]
    assert not list((place / "1.0.0").glob("incomplete*"))
