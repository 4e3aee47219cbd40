"""The benchmark for GPUs: its cases, its limits of time, and a run on the processor where there is no TensorFlow."""

import json
import os
import subprocess
import sys
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from benchmarks import gpu
from tests.support.processes import WITHOUT_TENSORFLOW, run_script

ROOT = Path(__file__).parents[2]
SMALL = "--side 8 --filters 1 --layers 1 --context-frames 1 --forecast-frames 2 --steps 2 --repetitions 2"


ALIVE = set()


class FakeWorker:
    """A process whose `first` step takes 4 s and the others 0.5 s; one that must unroll by 2 ends."""

    def __init__(self, _, case, steps, environment):
        assert environment["KERAS_BACKEND"] == "jax"
        assert environment["XLA_FLAGS"].endswith(case.flags)
        self.case, self.waiting = case, [["first", "step", "peak"]]
        ALIVE.add(self)

    def begin(self, name):
        self.waiting.append({"first": 4.0, "step": 0.5, "peak": None}[name])

    def result(self, limit):
        if self.case.unroll == 2 or limit <= 0:
            raise ChildProcessError("it ended" if limit > 0 else "it took too long")
        return self.waiting.pop(0)

    def kill(self):
        ALIVE.discard(self)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs the benchmark with processes that only pretend; returns its status, what it printed, and its results."""
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # the benchmark chooses another one
    monkeypatch.setattr(gpu, "Worker", FakeWorker)

    def run(words):
        table = tmp_path / "found.json"
        status = gpu.main([*SMALL.split(), *words.split(), "--json", str(table)])
        results = json.loads(table.read_text())["results"] if table.exists() else None
        return status, *capsys.readouterr(), results

    return run


def test_parts_are_tables_and_each_case_is_measured_once(run):
    status, out, _, results = run("--seconds 90 --at-once 3")
    assert status == 0 and not ALIVE
    cases = [(one["workload"]["patch_size"], one["workload"]["batch_size"]) for one in results]
    assert cases[:6] == [(2, 4), (2, 4), (2, 32), (2, 32), (1, 16), (1, 16)]
    assert len(results) == 6 + 2 + 6 + 1  # of 8 batches two are known, and one way to unroll
    assert [one["flags"] for one in results[6:8]] == list(gpu.FLAGS)
    assert [one["unroll"] for one in results if one.get("failed") == "it ended"] == [2]
    assert results[0]["first_seconds"] == 4 and results[0]["seconds"]["values"] == [0.5, 0.5]
    lines = out.splitlines()
    assert [json.loads(line) for line in lines[: len(results)]] == results
    assert [line.split()[0] for line in lines if line.endswith("first s")] == ["precision", "flags", "batch"]
    assert ["unroll", "2", "it", "ended"] in [line.split() for line in lines]


@pytest.fixture
def clock(monkeypatch):
    """Returns a function that has every look at the clock take so many seconds."""
    return lambda step: monkeypatch.setattr(gpu, "monotonic", partial(next, count(0, step)))


def test_what_the_time_does_not_suffice_for_is_said(run, clock):
    clock(4)
    status, out, _, results = run("--seconds 90 --at-once 1 --parts batch")
    assert status == 0 and not ALIVE
    batches = [one["workload"]["batch_size"] for one in results if "seconds" in one]
    assert batches == list(gpu.BATCHES[: len(batches)]) and batches
    assert results[-1]["failed"] == "it took too long"
    assert f"Left out, as the 90 s were over: {8 - len(results)} cases." in out.splitlines()


def test_the_limit_of_a_case_ends_it_alone(run, clock):
    clock(4)
    status, *_, results = run("--seconds 900 --case-seconds 9 --at-once 1 --parts flags")
    assert status == 2 and not ALIVE
    assert [one["failed"] for one in results] == ["it took too long"] * 3


def test_nothing_measured_is_a_fault(run, clock):
    clock(20)
    status, out, error, results = run("--seconds 1")
    assert (status, out, results) == (2, "", None)
    message = "`--seconds` and `--case-seconds` must let one case be measured. Received: 1 and 150"
    assert error == f"python -m benchmarks.gpu: {message}\n"


def test_help_has_an_example_that_can_be_run(capsys):
    with pytest.raises(SystemExit):
        gpu.make_parser().parse_args(["--help"])
    assert gpu.make_parser().parse_args(capsys.readouterr().out.split("benchmarks.gpu ")[-1].split())


UNROLLED = """
import jax
from benchmarks.gpu import Case, _functions
from benchmarks.workload import Workload

loops, scan = set(), jax.lax.scan
def recorded(*arguments, unroll=1, **options):
    loops.add((jax.tree.leaves(options["xs"])[0].shape[0], unroll))
    return scan(*arguments, unroll=unroll, **options)

jax.lax.scan = recorded
for unroll in (1, 2, 3):
    loops.clear()
    workload = Workload("conv_lstm", 1, 8, 1, 1, 3, 1, 1, 2)
    assert _functions(Case(workload, unroll=unroll), 1)["first"]() > 0
    print(unroll, loops)
"""


@pytest.mark.slow
def test_the_loop_over_time_copies_its_step():
    """Three steps: one by one, in pairs, and no loop at all."""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    child = run_script(UNROLLED, ROOT, env=environment)
    assert child.returncode == 0, child.stderr
    assert child.stdout.splitlines() == ["1 {(3, 1)}", "2 {(3, 2)}", "3 set()"]


@pytest.mark.slow
def test_it_runs_where_there_is_no_tensorflow(tmp_path):
    """A flag that XLA does not know ends its process alone."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_TENSORFLOW)  # every process begins with it
    table = tmp_path / "found.json"
    words = f"{SMALL} --parts flags unroll --flags=--xla_of_nobody=1 --seconds 400 --json {table}"
    command = [sys.executable, "-m", "benchmarks.gpu", *words.split()]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    child = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert child.returncode == 0, child.stderr
    written = json.loads(table.read_text())
    assert written["machine"]["backend"] == "jax" and "tensorflow" not in written["machine"]["versions"]
    default, unknown, unrolled = sorted(written["results"], key=lambda one: (one["unroll"], one["flags"]))
    assert unknown["failed"] == "a process that is measured ended; stderr says why"
    assert "xla_of_nobody" in child.stderr
    for one, unroll in ((default, 1), (unrolled, 2)):
        assert one["unroll"] == unroll and one["workload"]["dtype"] == "mixed_bfloat16"
        assert one["first_seconds"] > one["seconds"]["max"] >= one["seconds"]["min"] > 0
