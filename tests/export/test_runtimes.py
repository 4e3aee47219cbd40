"""Seconds of a forecast in every runtime that is installed."""

import importlib.util

from mslstm_keras.export import runtimes
from mslstm_keras.export.formats import FORMATS
from mslstm_keras.models.registry import create_model


def test_every_runtime_that_is_installed_is_measured():
    model = create_model("conv_lstm", (8, 8, 1), 2, 2, filters=2, layers=1)
    done = []
    found = runtimes.seconds_by_runtime(model, progress=lambda *counts: done.append(counts))
    installed = [
        name
        for name, kind in FORMATS.items()
        if all(importlib.util.find_spec(module) for module in kind.modules)
    ]
    assert list(found) == ["keras", *installed]
    assert all(seconds > 0 for seconds in found.values())
    assert done == [(number, len(installed)) for number in range(1, len(installed) + 1)]


def test_what_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    model = create_model("conv_lstm", (8, 8, 1), 2, 2, filters=2, layers=1)
    assert list(runtimes.seconds_by_runtime(model)) == ["keras", "saved_model"]


def test_the_first_call_does_not_count(monkeypatch):
    times = iter([0.0, 1.0, 10.0, 13.0, 20.0, 22.0])
    monkeypatch.setattr(runtimes.time, "perf_counter", lambda: next(times))
    calls = []
    assert runtimes._median_seconds(lambda: calls.append(0)) == 2
    assert len(calls) == 1 + runtimes.REPETITIONS
