"""Measuring in turns, and in processes of their own."""

import contextlib
import functools
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Sample:
    """What repeating one measurement gave.

    Attributes:
        values: the single values, in the order in which they were measured.
    """

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The value in the middle."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest value."""
        return max(self.values)

    def to_dict(self) -> dict[str, Any]:
        """Returns median, range and single values as plain data."""
        return {"median": self.median, "min": self.low, "max": self.high, "values": list(self.values)}


def in_turns(contestants: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, list]:
    """Calls A B C A B C ... and returns name -> list of what its calls returned."""
    results = {name: [] for name in contestants}
    for repetition in range(repetitions):
        progress(f"round {repetition + 1} of {repetitions}")
        for name, function in contestants.items():
            results[name].append(function())
    return results


def time_in_turns(contestants: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, Sample]:
    """Returns the seconds that each contestant takes, measured in turns after one call that is not counted.

    Args:
        contestants: name -> function that returns when the device has finished its work.
        repetitions: int. Timed calls of each.
    """
    for name, function in contestants.items():
        progress(f"first call of {name}: {seconds(function):.1f} s")
    timed = {name: lambda function=function: seconds(function) for name, function in contestants.items()}
    return {name: Sample(tuple(values)) for name, values in in_turns(timed, repetitions).items()}


def seconds(function: Callable[[], Any]) -> float:
    """Returns how long a call takes, in seconds."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


class Worker:
    """A process that calls functions when it is told to, so that settings of processes can be compared in turns.

    Args:
        build: function of a module that returns key -> function; it runs in the process.
        *arguments: its arguments, plain data.
        environment: variables that the process has besides those of this one.
    """

    def __init__(
        self,
        build: Callable[..., Mapping[Any, Callable[[], Any]]],
        *arguments: Any,
        environment: Mapping[str, str] | None = None,
    ):
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, build, arguments), daemon=True)
        with mock.patch.dict(os.environ, environment or {}):
            self._process.start()
        other.close()

    @functools.cached_property
    def functions(self) -> dict[Any, Callable[[], Any]]:
        """Key -> function that has the process call its own, and returns what that returned."""
        return {key: functools.partial(self._call, key) for key in self.result()}

    def begin(self, key: Any) -> None:
        """Has the process call a function, and does not wait for it; may be called before the functions are built."""
        with contextlib.suppress(ConnectionError):  # if it has ended, `result` says so
            self._connection.send(key)

    def result(self, limit: float | None = None) -> Any:
        """Waits for what the process sends next: first the keys of its functions, then one result for each call.

        Args:
            limit: float. Seconds to wait at most.

        Raises:
            ChildProcessError: if the process has ended, or nothing comes in time.
        """
        if limit is not None and not self._connection.poll(max(limit, 0)):
            raise ChildProcessError("a process that is measured took too long")
        try:
            return self._connection.recv()
        except (EOFError, ConnectionError):
            raise ChildProcessError("a process that is measured ended; stderr says why") from None

    def close(self) -> None:
        """Ends the process when it has done what it was told."""
        self._connection.close()
        self._process.join()

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self.close()

    def _call(self, key):
        self.begin(key)
        return self.result()


def _serve(connection, build, arguments):
    functions = build(*arguments)
    connection.send(list(functions))
    with contextlib.suppress(EOFError):
        while True:
            connection.send(functions[connection.recv()]())


def speeds(samples: Mapping[str, Sample], references: Iterable[str]) -> dict[str, dict[str, float]]:
    """Returns for each contestant how many times as fast as the references it is, by the ratio of medians."""
    references = [name for name in references if name in samples]
    return {
        name: {reference: samples[reference].median / sample.median for reference in references}
        for name, sample in samples.items()
    }


def in_fresh_process(probe: str, **arguments: Any) -> dict[str, Any]:
    """Runs a function of `benchmarks.probes` in a process of its own and returns its result.

    Args:
        probe: name of the function.
        **arguments: its arguments, plain data.

    Raises:
        ValueError: if the function raised one.
        ChildProcessError: if the process failed otherwise, for example for want of memory.
    """
    command = [sys.executable, "-m", "benchmarks.probes", probe, json.dumps(arguments)]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)
    last = (child.stderr.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
    if child.returncode == 2:
        raise ValueError(last)
    if child.returncode:
        raise ChildProcessError(f"the process of {probe} ended with {child.returncode}: {last}")
    return json.loads(child.stdout.splitlines()[-1])


def progress(line: str) -> None:
    """Prints a line about what is going on, on stderr."""
    print(line, file=sys.stderr, flush=True)
