"""The number of frames, which TensorFlow may not know before it runs."""

import math
from collections.abc import Sequence

import keras
from keras import ops

from mslstm_keras.typing import Tensor

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


def checked_length(frames: Tensor, lengths: Sequence[int], rule: str) -> int | Tensor:
    """Returns how many frames there are, and refuses other numbers than those that are allowed.

    Args:
        frames: tensor (batch, time, ...).
        lengths: ints. The numbers that are allowed.
        rule: str. The sentence that other numbers break.

    Returns:
        int, or a scalar tensor where the number is not known while a function is traced. For another number than those
        allowed, that tensor is larger than all of them: XLA, which leaves assertions out, then refuses the negative
        number of frames that are missing.

    Raises:
        ValueError: if there is another number of frames. Where it is known only at run time, TensorFlow raises
            `tf.errors.InvalidArgumentError` then, with the same sentence.
    """
    length = frames.shape[1]
    if length is not None:
        if length not in lengths:
            raise ValueError(f"{rule} Received: frames.shape={tuple(frames.shape)}")
        return length
    length = ops.shape(frames)[1]
    off = abs(math.prod(length - each for each in lengths))
    if keras.backend.backend() == "tensorflow":
        # It reads a shape, which the host has, and waits for nothing.
        received = [f"{rule} Received: frames.shape=", tf.shape(frames)]
        with tf.control_dependencies([tf.debugging.Assert(off == 0, received, summarize=len(frames.shape))]):
            length = tf.identity(length)
    return length + (max(lengths) + 1) * off
