"""What made a number."""

import datetime
import importlib.metadata
import platform

import keras
import numpy as np
import pytest

from mslstm_keras.evaluation.provenance import provenance, versions, weights_checksum
from mslstm_keras.models.registry import create_model


def model(seed, filters=2):
    keras.utils.set_random_seed(seed)
    return create_model("conv_lstm", (8, 8, 1), 2, 2, filters=filters, layers=1)


def test_versions_are_those_of_what_is_installed():
    found = versions("matplotlib", "no-such-package")
    assert found["python"] == platform.python_version()
    assert found["keras"] == importlib.metadata.version("keras")
    assert found["matplotlib"] == importlib.metadata.version("matplotlib")
    assert "no-such-package" not in found
    assert ("jax" in found) == (keras.backend.backend() == "jax")


def test_a_build_of_another_name_says_its_version(monkeypatch):
    def missing(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert versions()["numpy"] == np.__version__


def test_the_date_is_now():
    found = provenance()
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(found["date"])
    assert datetime.timedelta(0) <= age + datetime.timedelta(seconds=1) < datetime.timedelta(minutes=5)
    assert found["backend"] == keras.backend.backend()
    assert found["versions"] == versions()
    assert found["device"]


def test_the_checksum_is_that_of_the_numbers(tmp_path):
    first = model(1)
    first.save(tmp_path / "a.keras")
    assert weights_checksum(keras.saving.load_model(tmp_path / "a.keras")) == weights_checksum(first)
    assert weights_checksum(model(2)) != weights_checksum(first)
    changed = model(1)
    kernel = changed.trainable_variables[0]
    kernel.assign(kernel.numpy() + np.float32(1e-3))
    assert weights_checksum(changed) != weights_checksum(first)


@pytest.mark.parametrize("filters", [3, 4])
def test_shapes_count(filters):
    assert weights_checksum(model(1, filters)) != weights_checksum(model(1))
