"""The machine that a training runs on, in words."""

import os
import platform
from pathlib import Path

import keras

CPU_INFO = Path("/proc/cpuinfo")


def processor_fact(name: str) -> str | None:
    """Returns what Linux says of the first processor under a name, such as "model name" or "flags"; None if nothing."""
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def processor() -> str:
    """Returns the name of the processor."""
    return processor_fact("model name") or platform.processor() or platform.machine()


def usable_cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """Returns the names of the GPUs that the backend computes on, such as "NVIDIA H200"."""
    if keras.backend.backend() == "jax":
        import jax

        return [device.device_kind for device in jax.devices() if device.platform == "gpu"]
    if keras.backend.backend() == "torch":
        import torch

        return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    import tensorflow as tf

    return [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]


def device() -> str:
    """Returns what the backend computes on: "2 x NVIDIA H200" or "Intel(R) Xeon(R) Processor (2 cores)"."""
    names = gpus()
    if not names:
        cores = usable_cores()
        return f"{processor()} ({cores} core{'' if cores == 1 else 's'})"
    return names[0] if len(names) == 1 else f"{len(names)} x {names[0]}"
