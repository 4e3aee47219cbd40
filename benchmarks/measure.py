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

    Attributes:
        functions: key -> function that has the process call its own, and returns when that has returned.
    """

    def __init__(self, build: Callable[..., Mapping[Any, Callable[[], Any]]], *arguments: Any):
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, build, arguments), daemon=True)
        self._process.start()
        other.close()
        self.functions = {key: functools.partial(self._call, key) for key in self._receive()}

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join()

    def _call(self, key):
        self._connection.send(key)
        self._receive()

    def _receive(self):
        try:
            return self._connection.recv()
        except EOFError:
            raise ChildProcessError("a process that is measured ended; stderr says why") from None


def _serve(connection, build, arguments):
    functions = build(*arguments)
    connection.send(list(functions))
    with contextlib.suppress(EOFError):
        while True:
            functions[connection.recv()]()
            connection.send(None)


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
