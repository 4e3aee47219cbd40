"""Processes of their own that start at once: forked from one that has imported TensorFlow and run nothing of it."""

import multiprocessing
from collections.abc import Callable

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["keras", "tensorflow", "tensorflow_datasets", "sklearn.datasets", "PIL.Image"]
)


def start(target: Callable, *arguments) -> multiprocessing.Process:
    """Returns a running process that calls a function of a module; it ends with the tests at the latest."""
    process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def shared_number() -> "multiprocessing.sharedctypes.RawValue":
    """Returns a number, -1 at first, that a process can be handed and that both sides see."""
    return _CONTEXT.RawValue("q", -1)
