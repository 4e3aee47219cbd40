"""How long a forecast takes in each runtime that is installed."""

import importlib.util
import statistics
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from mslstm_keras.export.formats import FORMATS
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.typing import Progress

REPETITIONS = 3


def seconds_by_runtime(model: keras.Model, *, progress: Progress | None = None) -> dict[str, float]:
    """Measures one forecast of one clip, by Keras and by every format of `export_model` whose packages are installed.

    The model is exported into a folder that is gone afterwards. Each runtime is called once unmeasured, as the first
    call also compiles; what counts is the median of three more.

    Args:
        model: model of `create_model`.
        progress: function of the number of formats that are done, and of all.

    Returns:
        "keras" and names of formats -> seconds.

    Raises:
        ValueError: if the model has no roll-out.
    """
    rollout = find_layer(model, Rollout)
    clip = np.zeros((1, rollout.context_frames, *rollout.step.inputs[0].shape[1:]), "float32")
    kinds = {
        name: kind
        for name, kind in FORMATS.items()
        if keras.backend.backend() == "tensorflow"
        and all(importlib.util.find_spec(module) for module in kind.modules)
    }
    found = {"keras": _median_seconds(lambda: model.predict_on_batch(clip))}
    for number, (name, kind) in enumerate(kinds.items(), 1):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"model{kind.suffixes[0] if kind.suffixes else ''}")
            kind.write(model, path, None)
            run = kind.load(path)
            found[name] = _median_seconds(lambda run=run: run(clip))
        if progress:
            progress(number, len(kinds))
    return found


def _median_seconds(call):
    call()
    seconds = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
