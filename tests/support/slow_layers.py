"""Warp and attention written a second time, in NumPy: every pixel against every other; advection by SciPy."""

import numpy as np
from scipy.ndimage import map_coordinates


def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def warp(maps, flow, half_pixel_offset=False):
    """y[p] = sum_q max(0, 1 - |p_y + v - q_y|) max(0, 1 - |p_x + u - q_x|) maps[q], over all pixels q of the map."""
    height, width = maps.shape[1:3]
    flow = flow.reshape(*flow.shape[:3], -1, 2).astype("float64")
    x = flow[..., 0] + np.arange(width)[:, None]
    y = flow[..., 1] + np.arange(height)[:, None, None]
    if half_pixel_offset:
        x = x * width / max(width - 1, 1) - 0.5
        y = y * height / max(height - 1, 1) - 0.5
    from_row = np.maximum(0, 1 - abs(y[..., None] - np.arange(height)))
    from_column = np.maximum(0, 1 - abs(x[..., None] - np.arange(width)))
    return np.einsum("bijlr,bijlc,brcd->bijld", from_row, from_column, maps)


def local_attention(x, query, key, value, window):
    """Loops over pixels and over their windows; kernels are matrices."""
    height, width = x.shape[1:3]
    offsets = range(-(window // 2), window - window // 2)
    y = np.zeros((*x.shape[:3], value.shape[1]))
    for b, i, j in np.ndindex(*x.shape[:3]):
        keys, values = [], []
        for row in (i + offset for offset in offsets):
            for column in (j + offset for offset in offsets):
                pixel = x[b, row, column] if 0 <= row < height and 0 <= column < width else 0 * x[b, i, j]
                keys.append(pixel @ key)
                values.append(pixel @ value)
        y[b, i, j] = softmax(np.array(keys) @ (x[b, i, j] @ query)) @ np.array(values)
    return y


def block_attention(one, other, query, key, value, blocks):
    """Attention among all pixels of two maps, those of other blocks left out; weights are (kernel, bias) or (kernel,).

    Returns both maps.
    """
    shape = one.shape
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    block = np.tile((rows * blocks // shape[1] * blocks + columns * blocks // shape[2]).ravel(), 2)
    x = np.concatenate([array.reshape(shape[0], -1, shape[3]) for array in (one, other)], axis=1)
    q, k, v = (x @ kernel[0, 0] + sum(bias) for kernel, *bias in (query, key, value))
    scores = np.where(block[:, None] == block, q @ k.swapaxes(1, 2), -np.inf)
    y = x + softmax(scores) @ v
    return [half.reshape(shape) for half in np.split(y, 2, axis=1)]


def advected(maps, flow):
    """Every map sampled where its flow points to; SciPy's "nearest" repeats the edge."""
    rows, columns = np.mgrid[: maps.shape[1], : maps.shape[2]].astype("float32")
    return np.stack(
        [
            np.stack(
                [
                    map_coordinates(each[..., channel], [rows + v, columns + u], order=1, mode="nearest")
                    for channel in range(each.shape[-1])
                ],
                axis=-1,
            )
            for each, (u, v) in zip(maps, np.moveaxis(flow, -1, 1), strict=True)
        ]
    )
