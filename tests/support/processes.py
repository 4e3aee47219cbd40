"""Scripts that need a process of their own, and limits that a process has."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from mslstm_keras.cli.quiet import LOG_LEVEL

ROOT = Path(__file__).parents[2]

WITHOUT_KERAS = """
import sys
sys.path.insert(0, sys.argv[1])
sys.modules.update(dict.fromkeys(["keras", "tensorflow", "tensorflow_datasets", "jax", "torch"]))
"""

WITHOUT_TENSORFLOW = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_datasets"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
"""


def run_without_keras(script, folder):
    """Returns the lines that a script prints, run in `folder`, where Keras and its backends cannot be imported."""
    command = [sys.executable, "-W", "error", "-c", WITHOUT_KERAS + textwrap.dedent(script), str(ROOT)]
    child = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert child.returncode == 0, child.stderr
    return child.stdout.splitlines()


def python(*words, **options):
    """Returns a running process that has the package of this checkout."""
    return subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT, text=True, **options)


class Command:
    """A command `mslstm` that runs, and what it has printed."""

    def __init__(self, folder, number, *words):
        self._files = folder / f"stdout-{number}", folder / f"stderr-{number}"
        with self._files[0].open("w") as output, self._files[1].open("w") as errors:
            # As in a shell: the tests themselves set how much TensorFlow logs.
            environment = {name: value for name, value in os.environ.items() if name != LOG_LEVEL}
            # As in front of a shell: what is started in the background, as whole test runs may be, ignores Ctrl-C.
            before = signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                self.process = python(
                    "-m", "mslstm_keras", *words, stdout=output, stderr=errors, env=environment
                )
            finally:
                signal.signal(signal.SIGINT, before)

    def wait_until(self, happened):
        deadline = time.monotonic() + 300
        while not happened():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, "nothing happens"
            time.sleep(0.01)

    def end(self):
        return self.process.wait(600)

    def printed(self):
        return self._files[0].read_text()

    def said(self):
        return self._files[1].read_text()


@contextlib.contextmanager
def no_file_larger_than(size):
    """Stands for a full disk: both fail in `write`."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


QUICK_START = """
import gc, os, sys
gc.set_threshold(50_000, 20, 20)  # as in the processes of the tests themselves: `conftest.py`
# TensorFlow and Keras import them wherever they are installed, which takes a third of a script's start.
sys.modules.update(dict.fromkeys(["pandas", "sklearn"]))
if os.environ.get("KERAS_BACKEND") != "jax":
    sys.modules["jax"] = None
"""


def run_script(script, folder, *arguments, **options):
    """Runs a script in a process of its own, in `folder`, and returns the process that has ended.

    pandas and scikit-learn cannot be imported there, nor can JAX but as the backend.
    """
    command = [sys.executable, "-c", QUICK_START + textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1500, **options)
