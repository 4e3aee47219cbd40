"""Attention between the pixels of a map: near ones, or those of a block."""

from typing import Any

import keras
import numpy as np
from keras import ops

from mslstm_keras.layers.parts import options_of_parts
from mslstm_keras.typing import Shape, Tensor

BLOCK_SIDE = 8  # larger blocks score more pixels outside the windows, smaller ones copy more keys and values


@keras.saving.register_keras_serializable(package="mslstm_keras")
class LocalAttention(keras.layers.Layer):
    """Attention of every pixel to a window around it.

        a[p, d] = softmax_d( <W_q x[p], W_k x[p + d]> )
        y[p]    = sum_d a[p, d] W_v x[p + d]                    d in {-(k // 2), ..., k - 1 - k // 2}^2

    with k = `window`. Outside the map W_k x and W_v x are zero, so what lies there takes part in the softmax.

    Args:
        filters: int. Channels of queries, keys and values.
        window: int. Side k of the window, in pixels.

    Call arguments:
        inputs: tensor (batch, height, width, channels).

    Returns:
        Tensor (batch, height, width, filters).

    Reference: Parmar et al., "Stand-Alone Self-Attention in Vision Models", NeurIPS 2019, in the form of Ma et al.,
    "PrecipLSTM", TGRS 2022: no scaling, and windows of even sides.
    """

    def __init__(self, filters: int, window: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.window = window
        self.query, self.key, self.value = (
            _projection(self, use_bias=False, name=name) for name in ("query", "key", "value")
        )

    def build(self, inputs_shape: Shape) -> None:
        for layer in (self.query, self.key, self.value):
            layer.build(inputs_shape)

    def call(self, inputs: Tensor) -> Tensor:
        # One product of matrices scores all that any pixel of a block sees, for the whole block.
        height, width = inputs.shape[1:3]
        rows, columns = _Axis(height, self.window), _Axis(width, self.window)
        query = ops.pad(self.query(inputs), ((0, 0), (0, rows.margin), (0, columns.margin), (0, 0)))
        query = _split(query, rows.size, columns.size)
        key, value = (_around_blocks(layer(inputs), rows, columns) for layer in (self.key, self.value))
        # Put together here and not in NumPy: as a constant of the graph it would be large.
        rows_seen = ops.repeat(ops.repeat(rows.seen, columns.size, axis=1), columns.reach, axis=2)
        seen = ops.logical_and(rows_seen[:, None], ops.tile(columns.seen, (1, rows.size, rows.reach)))
        scores = ops.where(seen, _scores(query, key, self.variable_dtype), -np.inf)
        # The n zeros outside the map weigh as much as one score of log n.
        inside = rows.seen.sum(2)[:, None, :, None] * columns.seen.sum(2)[:, None, :]
        with np.errstate(divide="ignore"):
            outside = np.log(self.window**2 - inside.reshape(*inside.shape[:2], -1, 1))
        outside = ops.zeros_like(scores[..., :1]) + ops.cast(outside, scores.dtype)
        weights = ops.cast(ops.softmax(ops.concatenate([scores, outside], axis=-1)), value.dtype)
        value = ops.pad(value, ((0, 0), (0, 0), (0, 0), (0, 1), (0, 0)))
        attended = _join(ops.einsum("...pq,...qc->...pc", weights, value), rows.size, columns.size)
        return attended[:, :height, :width]

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return (*inputs_shape[:-1], self.filters)


def _projection(layer, **options):
    """Returns a convolution of each pixel as a part of a layer, with its filters and dtype, frozen where it is."""
    return keras.layers.Conv2D(
        layer.filters, 1, data_format="channels_last", **options_of_parts(layer), **options
    )


def _scores(query, key, dtype):
    # Half precision leaves large scores, whose differences the softmax takes, a digit or two behind the point.
    return ops.cast(ops.einsum("...pc,...qc->...pq", query, key), dtype)


class _Axis:
    """One side of a map, cut into blocks.

    Attributes:
        size: pixels of a block.
        margin: pixels of the last block that lie outside the map.
        starts: first pixel, for each block, of those that its pixels see.
        reach: their number.
        seen: (block, size, reach), whether a pixel sees another.
    """

    def __init__(self, side: int, window: int):
        blocks = -(-side // BLOCK_SIDE)
        self.size = -(-side // blocks)
        self.margin = blocks * self.size - side
        self.reach = min(self.size + window - 1, side)
        pixels = np.arange(blocks * self.size).reshape(blocks, self.size)
        before = window // 2
        self.starts = np.clip(pixels[:, 0] - before, 0, side - self.reach)
        offsets = (self.starts[:, None] + np.arange(self.reach))[:, None] - pixels[:, :, None]
        self.seen = (-before <= offsets) & (offsets < window - before)


def _split(x, height, width):
    """(batch, rows, columns, c) -> (batch, rows / height, columns / width, height width, c): the map's blocks."""
    rows, columns, channels = x.shape[1] // height, x.shape[2] // width, x.shape[3]
    x = ops.reshape(x, (-1, rows, height, columns, width, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows, columns, height * width, channels))


def _join(x, height, width):
    """The inverse of `_split`."""
    rows, columns, channels = x.shape[1], x.shape[2], x.shape[4]
    x = ops.reshape(x, (-1, rows, columns, height, width, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows * height, columns * width, channels))


def _around_blocks(x, rows, columns):
    """(batch, height, width, c) -> (batch, blocks down, blocks across, pixels that the block sees, c)"""
    x = ops.stack([x[:, start : start + rows.reach] for start in rows.starts], axis=1)
    x = ops.stack([x[:, :, :, start : start + columns.reach] for start in columns.starts], axis=2)
    return ops.reshape(x, (-1, *x.shape[1:3], rows.reach * columns.reach, x.shape[-1]))


@keras.saving.register_keras_serializable(package="mslstm_keras")
class BlockAttention(keras.layers.Layer):
    """Attention within blocks, between two maps that lie side by side.

        a[p, q] = softmax_q( <W_q x[p] + b_q, W_k x[q]> )
        y[p]    = x[p] + sum_q a[p, q] (W_v x[q] + b_v)

    where p and q are pixels of the same block of either map.

    Args:
        filters: int. Channels of the maps, of queries, keys and values.
        blocks: int. Blocks along the height and along the width of each map.

    Call arguments:
        inputs: tensor (batch, height, 2 width, filters): one map left, the other right. Height and width divide by
            `blocks`.

    Returns:
        Tensor (batch, height, 2 width, filters).

    Differs from the reference code: keys have no bias (the softmax does not see it), and maps need not be square.

    Reference: Chai et al., "CMS-LSTM", ICME 2022.
    """

    def __init__(self, filters: int, blocks: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.blocks = blocks
        self.query, self.key, self.value = (
            _projection(self, use_bias=name != "key", name=name) for name in ("query", "key", "value")
        )

    def build(self, inputs_shape: Shape) -> None:
        for layer in (self.query, self.key, self.value):
            layer.build(inputs_shape)

    def call(self, inputs: Tensor) -> Tensor:
        size = inputs.shape[1] // self.blocks, inputs.shape[2] // (2 * self.blocks)
        query, key, value = (
            ops.concatenate([_split(half, *size) for half in ops.split(layer(inputs), 2, axis=2)], axis=3)
            for layer in (self.query, self.key, self.value)
        )
        weights = ops.cast(ops.softmax(_scores(query, key, self.variable_dtype)), value.dtype)
        attended = ops.split(ops.einsum("...pq,...qc->...pc", weights, value), 2, axis=3)
        return inputs + ops.concatenate([_join(half, *size) for half in attended], axis=2)

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return inputs_shape
