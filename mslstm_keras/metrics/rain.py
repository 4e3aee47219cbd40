"""Rain rates as thresholds of pixels."""

import numpy as np
from keras import ops

from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.typing import Tensor


def threshold_pixel(threshold: float, rain_scale: str) -> float:
    """Returns the pixel of a rain rate, as the float32 that frames of that rate hold.

    Args:
        threshold: float. Rain rate, mm/h.
        rain_scale: str. Name of the frames' code, a key of `mslstm_keras.frames.rain.RAIN_SCALES`.

    Raises:
        ValueError: if there is no such code, or its pixels 0 .. 1 do not tell the rate from smaller ones.
    """
    if rain_scale not in RAIN_SCALES:
        raise ValueError(
            f"`rain_scale` must be one of {', '.join(RAIN_SCALES)}. Received: rain_scale={rain_scale!r}"
        )
    scale = RAIN_SCALES[rain_scale]
    least, largest = scale.to_rate(0), scale.to_rate(1)
    if not least < threshold <= largest:  # also where the threshold is not a number
        raise ValueError(
            f"`threshold` must lie above {least:.3g} and up to {largest:.3g} mm/h, the rates that pixels of "
            f"rain_scale={rain_scale!r} stand for. Received: threshold={threshold}"
        )
    return float(np.float32(scale.to_pixel(threshold)))


def reaches(frames: Tensor, pixel: float, dtype: str) -> Tensor:
    """Returns 1 for pixels of at least a `threshold_pixel`, else 0; compared in float32, as frames hold them."""
    return ops.cast(ops.cast(frames, "float32") >= pixel, dtype)
