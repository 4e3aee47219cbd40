"""What a training step and a forecast really take, measured in a process of its own."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psutil

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

from mslstm_keras.importing import IMPORTED, import_file
from mslstm_keras.models.registry import create_model
from mslstm_keras.training.losses import FrameL1L2

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Measurement:
    """What was measured on a batch of clips.

    Attributes:
        peak_bytes: what the process grew by, at most, in two training steps, the first of which is also traced; on a
            GPU what TensorFlow took there.
        training_seconds: of the second training step.
        forward_seconds: of the second forecast, from the context alone.
    """

    peak_bytes: int
    training_seconds: float
    forward_seconds: float


def measure_training(
    name: str,
    frame_shape: Sequence[int],
    context_frames: int,
    forecast_frames: int,
    batch_size: int,
    needed: int,
    **options: Any,
) -> Measurement | None:
    """Runs training steps and forecasts of a model on clips of zeros, in a fresh process.

    Args:
        name: str. One of `list_models()`.
        frame_shape: (height, width, channels).
        context_frames: int. Frames given.
        forecast_frames: int. Frames to forecast.
        batch_size: int. Clips per step.
        needed: int. Bytes that training is expected to need.
        **options: further arguments of `create_model`.

    Returns:
        A `Measurement`; None if so much is not free, or the process was ended for want of memory.

    Raises:
        ValueError: if there is neither a GPU nor Linux, where the memory of a process can be read.
    """
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    if not on_gpu and not CLEAR.exists():
        raise ValueError(
            "`measure` must be False where there is neither a GPU nor /proc to read memory from. Received: measure=True"
        )
    if not on_gpu and needed > psutil.virtual_memory().available:
        return None
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            clips_shape = batch_size, context_frames + forecast_frames, *frame_shape
            files = list(IMPORTED)
            return pool.submit(_measure, name, context_frames, clips_shape, options, on_gpu, files).result()
    except BrokenProcessPool:
        return None


def _measure(
    name: str,
    context_frames: int,
    clips_shape: tuple[int, ...],
    options: Mapping[str, Any],
    on_gpu: bool,
    files: Sequence[Path],
) -> Measurement:
    for file in files:
        import_file(file)
    _, length, *frame_shape = clips_shape
    model = create_model(name, frame_shape, context_frames, length - context_frames, **options)
    model.compile("adam", FrameL1L2(), jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    clips = np.zeros(clips_shape, "float32")
    peak = _gpu_peak if on_gpu else _process_peak
    before = peak()
    training = seconds_of_second(lambda: model.train_on_batch(clips[:, :-1], clips[:, 1:]))
    grown = peak(reset=False) - before
    forward = seconds_of_second(lambda: model.predict_on_batch(clips[:, :context_frames]))
    return Measurement(grown, training, forward)


def seconds_of_second(call: Callable[[], Any]) -> float:
    """Returns the seconds of a second call: the first one also traces and compiles."""
    call()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _process_peak(reset=True):
    if reset:
        CLEAR.write_text("5")  # the peak is then what is in use, see proc(5)
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
    return int(kilobytes) * 1024


def _gpu_peak(reset=True):
    if reset:
        tf.config.experimental.reset_memory_stats("GPU:0")
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]
