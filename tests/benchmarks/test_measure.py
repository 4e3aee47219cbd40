"""Turns, ratios, fits, and processes of their own."""

import os
import time

import pytest

from benchmarks.account import group, own_times
from benchmarks.measure import Sample, Worker, in_fresh_process, in_turns, speeds, time_in_turns
from benchmarks.report import number, table_lines
from benchmarks.scaling import exponent


def test_turns():
    calls = []
    contestants = {name: lambda name=name: calls.append(name) or len(calls) for name in "abc"}
    assert in_turns(contestants, 2) == {"a": [1, 4], "b": [2, 5], "c": [3, 6]}
    calls.clear()
    samples = time_in_turns(contestants, 2)
    assert "".join(calls) == "abcabcabc"  # the first three are not counted
    assert all(len(sample.values) == 2 for sample in samples.values())


def test_speed_is_the_ratio_of_medians():
    samples = {"ours": Sample((1.0, 2.0, 9.0)), "plain": Sample((3.0, 3.0, 4.0))}
    assert speeds(samples, ("plain", "stock")) == {"ours": {"plain": 1.5}, "plain": {"plain": 1.0}}
    assert samples["ours"].to_dict() == {"median": 2.0, "min": 1.0, "max": 9.0, "values": [1.0, 2.0, 9.0]}


def test_exponent():
    assert exponent([1, 2, 5], [3, 12, 75]) == pytest.approx(2)


def test_table():
    assert table_lines([{"name": "a", "s": "1.5"}, {"name": "long", "more": "7"}]) == [
        "name    s  more",
        "a     1.5",
        "long          7",
    ]
    assert [number(value) for value in (0, 0.012345, 1.2345, 12345.6)] == ["0", "0.0123", "1.23", "12346"]


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("while/body/step/conv/convolution:_MklNativeFusedConv2D", "convolution forward"),
        ("gradients/conv_grad/Conv2DBackpropInput:_MklNativeConv2DBackpropInput", "gradient of input"),
        ("g/Conv2DBackpropFilter:Conv2DBackpropFilter", "gradient of kernel"),
        ("while/body/kernel_gradient/convolution:Conv2D", "gradient of kernel"),
        ("while/body/input_gradient/convolution:Conv2D", "gradient of input"),
        ("while/body/mul_3:Mul", "elementwise"),
        ("while/body/AddN:_MklAddN", "elementwise"),
        ("while/body/concat:ConcatV2", "copies"),
        ("while/body/list:TensorListPushBack", "copies"),
        ("while/body/pool:MaxPool", "other"),
    ],
)
def test_groups_of_operations(operation, name):
    assert group(operation) == name


def test_time_inside_of_an_operation_counts_once():
    second = 10**12
    events = [(0, 10 * second, "call"), (second, 3 * second, "a"), (5 * second, 2 * second, "b")]
    events += [(5 * second, second, "a"), (10 * second, second, "b")]
    assert own_times(events) == pytest.approx({"call": 5, "a": 4, "b": 2})


def clock(step):
    """Returns functions of a process that counts its own calls."""
    calls = []

    def tick():
        calls.append(step)
        if len(calls) > 2:
            raise SystemExit

    return {("tick", step): tick}


def test_worker_calls_in_a_process_of_its_own():
    worker = Worker(clock, 3)
    (tick,) = worker.functions.values()
    assert list(worker.functions) == [("tick", 3)]
    assert tick() is tick() is None
    with pytest.raises(ChildProcessError, match="a process that is measured ended"):
        tick()
    worker.close()


def environment():
    """Returns functions of a process that says what surrounds it, or waits."""
    return {"variable": lambda: os.environ.get("OF_THE_TEST"), "wait": lambda: time.sleep(600)}


def test_worker_has_an_environment_of_its_own_and_a_limit():
    worker = Worker(environment, environment={"OF_THE_TEST": "told"})
    worker.begin("variable")  # while the functions are built
    assert "OF_THE_TEST" not in os.environ
    assert worker.result(60) == ["variable", "wait"]
    assert worker.result(60) == "told"
    worker.begin("wait")
    with pytest.raises(ChildProcessError, match="a process that is measured took too long"):
        worker.result(0.1)
    worker.kill()


@pytest.mark.slow
def test_fault_in_a_process_of_its_own():
    with pytest.raises(ValueError, match=r"`name` must be a known model.*Received: name='nix'"):
        in_fresh_process("first_step", workload={"model": "nix"}, variant="fast")
    with pytest.raises(ChildProcessError, match="first_step ended with 1: TypeError"):
        in_fresh_process("first_step", nix=1)
