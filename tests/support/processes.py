"""Scripts that need a process of their own, and limits that a process has."""

import contextlib
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

WITHOUT_KERAS = """
import sys
sys.path.insert(0, sys.argv[1])
sys.modules.update(dict.fromkeys(["keras", "tensorflow", "tensorflow_datasets", "jax", "torch"]))
"""


def run_without_keras(script, folder):
    """Returns the lines that a script prints, run in `folder`, where Keras and its backends cannot be imported."""
    checkout = Path(__file__).parents[2]
    command = [sys.executable, "-W", "error", "-c", WITHOUT_KERAS + textwrap.dedent(script), str(checkout)]
    child = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert child.returncode == 0, child.stderr
    return child.stdout.splitlines()


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
