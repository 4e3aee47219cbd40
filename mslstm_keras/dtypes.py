"""The dtypes in which frames come, and in which losses and scores are computed."""

from typing import Any

import keras

from mslstm_keras.typing import Tensor


def computed_dtype(dtype: Any = None) -> Any:
    """Returns the dtype to compute in: the one asked for, else Keras' float type, but no less than float32.

    Half precision cannot hold a sum over the pixels of many frames.

    Args:
        dtype: str or dtype policy that somebody has asked for, or None.
    """
    return dtype or keras.backend.result_type(keras.config.floatx(), "float32")


def require_floats(frames: Tensor, argument: str) -> None:
    """Refuses frames of integers: they are grey levels 0 .. 255 and would count as values in [0, 1].

    Raises:
        ValueError: if the frames have an integer dtype; it names the argument.
    """
    dtype = getattr(frames, "dtype", None)
    if dtype is not None and keras.backend.is_int_dtype(dtype):
        raise ValueError(
            f"`{argument}` must hold floating-point values in [0, 1]; divide grey levels 0 .. 255 by 255. "
            f"Received: {argument}.dtype={keras.backend.standardize_dtype(dtype)}"
        )
