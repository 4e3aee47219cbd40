"""The machine and the software that a measurement was taken on."""

import contextlib
import importlib
import os
import platform
from typing import Any

SETTINGS = (
    "CUDA_VISIBLE_DEVICES",
    "KMP_AFFINITY",
    "OMP_NUM_THREADS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)
"""Environment variables that change speed."""


def describe_machine() -> dict[str, Any]:
    """Returns processor, cores, memory, devices, versions, backend and settings of threads as plain data."""
    import keras

    from mslstm_keras.training.machine import processor, usable_cores

    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "cores_usable": usable_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "devices": _devices(),
        "backend": keras.config.backend(),
        "versions": {"python": platform.python_version(), "keras": keras.__version__, **_versions()},
        "threads": _threads(),
        "environment": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """Returns lines of text about a machine of `describe_machine`."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    backend = machine["backend"] + (", compiled by XLA" if machine["backend"] == "jax" else "")
    threads = "".join(f", {name} threads {value}" for name, value in machine["threads"].items())
    settings = "".join(f", {name}={value}" for name, value in machine["environment"].items())
    return [
        f"machine: {machine['processor']}, {machine['cores_usable']} of {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB; devices: {', '.join(machine['devices'])}",
        f"software: {versions}; backend {backend}{threads}{settings}",
    ]


def has_gpu() -> bool:
    """Whether the backend computes on a GPU."""
    import keras

    return any(device.startswith("gpu") for device in keras.distribution.list_devices())


def _versions():
    import keras

    versions = {}
    for name in dict.fromkeys(("tensorflow", keras.config.backend())):
        with contextlib.suppress(ImportError):  # JAX works where there is no TensorFlow
            versions[name] = importlib.import_module(name).__version__
    return versions


def _threads():
    import keras

    if keras.config.backend() != "tensorflow":
        return {}
    import tensorflow as tf

    return {
        "intra_op": tf.config.threading.get_intra_op_parallelism_threads() or "automatic",
        "inter_op": tf.config.threading.get_inter_op_parallelism_threads() or "automatic",
    }


def _devices():
    import keras

    from mslstm_keras.training.machine import gpus

    if keras.config.backend() == "jax":
        import jax

        return [f"{device.platform}: {device.device_kind}" for device in jax.devices()]
    return [f"gpu: {name}" for name in gpus()] or ["cpu"]
