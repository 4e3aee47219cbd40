"""What made a number: versions, device, time, and which weights."""

import datetime
import hashlib
import importlib
import importlib.metadata
import importlib.util
import platform
from typing import Any

import keras

from mslstm_keras.training.machine import device

PACKAGES = ("mslstm-keras", "keras", "tensorflow", "jax", "torch", "numpy")


def versions(*more: str) -> dict[str, str]:
    """Returns package -> version, of Python, of those that compute, and of `more`; not of what is not installed.

    Of the backends of Keras only the one in use, and TensorFlow, are named.
    """
    found = {"python": platform.python_version()}
    for package in (*PACKAGES, *more):
        if package in ("jax", "torch") and package != keras.backend.backend():
            continue
        module = package.replace("-", "_")
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout, or a build of another name
            if importlib.util.find_spec(module) is not None:
                found[package] = importlib.import_module(module).__version__
    return found


def provenance() -> dict[str, Any]:
    """Returns {"date": now, in UTC, "versions": of `versions`, "backend": of Keras, "device": in words}."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "backend": keras.backend.backend(),
        "device": device(),
    }


def weights_checksum(model: keras.Model) -> str:
    """Returns the SHA-256 of a model's weights: of the shape and the numbers of each, in the model's order.

    It does not depend on the names of layers, nor on the file that the model came from.
    """
    found = hashlib.sha256()
    for weight in model.weights:
        value = keras.ops.convert_to_numpy(weight)
        found.update(repr((value.shape, value.dtype.name)).encode())
        found.update(value.tobytes())
    return found.hexdigest()
