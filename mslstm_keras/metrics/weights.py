"""Sample weights of sequences, frames or pixels: one meaning for the loss and for every metric."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from keras import ops

from mslstm_keras.typing import Tensor

_PIXELS = (2, 3, 4)  # axes of a frame: height, width, channels


class Weights(NamedTuple):
    """What `split_weights` returns.

    Attributes:
        frames: tensor (batch, time), or (batch, 1) where each sequence has one weight. Weights of frames.
        pixels: tensor (batch, time, height, width, channels), where any axis but the first may be 1. Weights of the
            pixels within their frame: 0 for what is not to be seen.
        per_pixel: bool. Whether the pixels of one frame may differ.
    """

    frames: Tensor
    pixels: Tensor
    per_pixel: bool


def split_weights(sample_weight: Tensor, frames: Tensor, dtype: str) -> Weights:
    """Splits sample weights into the weight of each frame and, within it, the weight of each pixel.

        w_ntp = f_nt u_ntp        f_nt = max_p w_ntp        0 <= u_ntp <= 1

    for sequence n, frame t and pixel p. A mask of zeros and ones thus gives f = 1 to every frame of which anything is
    observed, and is u. A weight per sequence or frame is the same as that weight at each of its pixels.

    Args:
        sample_weight: array or tensor, at least 0: (batch,), (batch, time), (batch, time, height, width), or
            (batch, time, height, width, 1 or channels).
        frames: tensor (batch, time, height, width, channels) that is weighted; only its shape matters.
        dtype: str. The dtype of the weights that are returned.

    Raises:
        ValueError: if `sample_weight` has another shape, or holds a negative or not finite value. Inside a graph,
            where there are no values yet, only shapes are checked.
    """
    weights = ops.cast(ops.convert_to_tensor(sample_weight), dtype)
    shape, frames_shape = tuple(weights.shape), tuple(frames.shape)
    rank = len(shape)
    whole = (*frames_shape[:4], 1) if rank == 5 and shape[4] == 1 else frames_shape
    if rank not in (1, 2, 4, 5) or any(
        None not in sides and sides[0] != sides[1] for sides in zip(shape, whole[:rank], strict=True)
    ):
        raise ValueError(
            "`sample_weight` must hold one weight per sequence, frame or pixel: (batch,), (batch, time), "
            "(batch, time, height, width) or (batch, time, height, width, 1 or channels) of frames with the shape "
            f"{frames_shape}. Received: sample_weight.shape={shape}"
        )
    _check_values(sample_weight, shape)
    # Sizes that are known only when the graph runs are those of the frames, or this fails then.
    sides = (*ops.shape(frames)[: min(rank, 4)], *ops.shape(weights)[4:])
    if rank < 4:
        by_frame = ops.reshape(weights, (*sides, *[1] * (2 - rank)))
        seen = ops.cast(by_frame != 0, dtype)
        return Weights(by_frame, seen[:, :, None, None, None], per_pixel=False)
    weights = ops.reshape(weights, (*sides, *[1] * (5 - rank)))
    largest = ops.max(weights, axis=_PIXELS, keepdims=True)
    return Weights(largest[:, :, 0, 0, 0], ops.divide_no_nan(weights, largest), per_pixel=True)


def hide(frames: Tensor, pixels: Tensor) -> Tensor:
    """Returns frames, or errors of frames, with 0 in place of whatever has the weight 0, be it NaN."""
    return ops.where(pixels != 0, frames, ops.zeros_like(frames))


def sum_of_pixels(values: Tensor, pixels: Tensor | None = None) -> Tensor:
    """Returns sum_p u_p v_p over the pixels and channels p of each frame, (batch, time); u is 1 if None."""
    return ops.sum(values if pixels is None else pixels * values, axis=_PIXELS)


def mean_of_pixels(values: Tensor, pixels: Tensor | None = None) -> Tensor:
    """Returns sum_p u_p v_p / sum_p u_p over the pixels and channels p of each frame, (batch, time); u is 1 if None."""
    if pixels is None:
        return ops.mean(values, axis=_PIXELS)
    return ops.divide_no_nan(sum_of_pixels(values, pixels), sum_of_pixels(ops.ones_like(values), pixels))


def pooled(pool: Callable[..., Tensor], values: Tensor, window: int) -> Tensor:
    """Returns what `pool` of `keras.ops` makes of every window wholly inside a frame, (batch, time, ..., channels)."""
    size = ops.shape(values)
    images = ops.reshape(values, (-1, *size[2:]))
    for pool_size in ((window, 1), (1, window)):
        images = pool(images, pool_size, strides=1, data_format="channels_last")
    return ops.reshape(images, (*size[:2], *ops.shape(images)[1:]))


def weights_of_windows(pixels: Tensor, window: int) -> Tensor:
    """Returns the least weight within every window: 0 for each that holds an unobserved pixel."""
    return -pooled(ops.max_pool, -pixels, window)


def any_weight(places: Tensor) -> Tensor:
    """Returns 1 for each frame of which any place, a pixel or a window, has a weight above 0, else 0, (batch, time)."""
    return ops.cast(ops.max(places, axis=_PIXELS) > 0, places.dtype)


def _check_values(sample_weight, shape):
    try:
        values = np.asarray(ops.convert_to_numpy(sample_weight), "float64")
    except (NotImplementedError, TypeError):  # how a tensor of TensorFlow's or of JAX' graphs answers
        return
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(
            "`sample_weight` must hold finite numbers of at least 0. Received: "
            f"sample_weight.shape={shape}, values from {values.min()} to {values.max()}"
        )
