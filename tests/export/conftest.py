"""Small models in the forms that servers and other runtimes load, each exported once for all that read it."""

import functools
from pathlib import Path
from typing import NamedTuple

import keras
import pytest

from mslstm_keras.contracts.models import small_model
from mslstm_keras.export.formats import export_model

PATHS = {"saved_model": "model", "onnx": "model.onnx", "litert": "model.tflite", "openvino": "model.xml"}


class Exported(NamedTuple):
    """A model, the path that it was exported to, in a folder of its own, and what `export` returned."""

    model: keras.Model
    path: Path
    deviation: float


@pytest.fixture(scope="session")
def toy():
    """One cell, and frames of which all axes differ."""
    return small_model("conv_lstm", (8, 4, 2), filters=2, layers=1)


@pytest.fixture(scope="session")
def exported(toy, tmp_path_factory):
    """A function of a model's name and a format that returns what is `Exported`; `toy` forecasts rain."""
    models = {
        "toy": lambda: toy,
        "ms_lstm": lambda: small_model("ms_lstm"),
        "traj_gru": lambda: small_model("traj_gru", layers=1),
    }
    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def model_of(name):
        return models[name]()

    @functools.cache
    def made(name, format):
        path = folder / f"{name}-{format}" / PATHS[format]
        path.parent.mkdir()
        rain = {"scale": "rain:dwd"} if name == "toy" else {}
        return Exported(model_of(name), path, export_model(model_of(name), path, format, **rain))

    return lambda name, format="saved_model": made(name, format)
