"""A batch cut for the threads of a processor."""

import math

import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

LANE_PIXELS = 2048
"""Fewest pixels, of all maps of a lane together, that feed a thread: measured, see docs/performance.md."""


def lanes(batch_size: int | None, pixels: int) -> int:
    """Number of equal parts of a batch that should run beside one another.

    Where TensorFlow is told (`tf.config.threading`) to give each operation one thread and to run several operations
    at once, each thread may have its part of the batch, if that is not too small. One part everywhere else.

    Args:
        batch_size: int, or None where it is not known.
        pixels: int. Pixels of the largest map of a sample.
    """
    if keras.backend.backend() != "tensorflow" or batch_size is None:
        return 1
    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        return 1
    parts = math.gcd(batch_size, tf.config.threading.get_inter_op_parallelism_threads() or 1)
    return parts if batch_size // parts * pixels >= LANE_PIXELS else 1
