"""The largest memory in use: of a GPU where the backend computes on one, else of the process."""

import re
from pathlib import Path

import keras

from benchmarks.machine import has_gpu

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Memory in use now, and the most of it since `reset`, in bytes.

    On a processor that is the resident memory of the process as Linux counts it, on a GPU what the backend has
    allocated there. JAX has no reset for its GPU memory: its peak is that since the start of the process.

    Raises:
        ValueError: if there is neither a GPU nor Linux.
    """

    def __init__(self):
        self._read = self._process
        if has_gpu():
            self._read = self._jax if keras.config.backend() == "jax" else self._tensorflow
        elif not STATUS.exists():
            raise ValueError("memory is read from /proc: without a GPU it is measured on Linux only")

    def current(self) -> int:
        """Returns the bytes in use."""
        return self._read()[0]

    def peak(self) -> int:
        """Returns the most bytes in use since `reset`."""
        return self._read()[1]

    def reset(self) -> None:
        """Begins anew: the peak is what is in use now."""
        if self._read == self._tensorflow:
            import tensorflow as tf

            tf.config.experimental.reset_memory_stats("GPU:0")
        elif self._read == self._process:
            CLEAR.write_text("5")  # resets the peak of the resident memory, see proc(5)

    def _process(self):
        status = STATUS.read_text()
        return tuple(int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) * 1024 for name in ("VmRSS", "VmHWM"))

    def _tensorflow(self):
        import tensorflow as tf

        used = tf.config.experimental.get_memory_info("GPU:0")
        return used["current"], used["peak"]

    def _jax(self):
        import jax

        used = jax.devices()[0].memory_stats()
        return used["bytes_in_use"], used["peak_bytes_in_use"]
