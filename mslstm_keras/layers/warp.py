"""Maps sampled along a flow."""

from keras import ops

from mslstm_keras.typing import Tensor


def warp(maps: Tensor, flow: Tensor, half_pixel_offset: bool = False) -> Tensor:
    """Samples maps where flows point to, bilinearly; outside they are zero.

        y[b, i, j, l] = maps[b, i + v_l[b, i, j], j + u_l[b, i, j]]

    where maps between pixels are interpolated, u_l is channel 2 l of the flow and v_l channel 2 l + 1.

    Args:
        maps: tensor (batch, height, width, channels).
        flow: tensor (batch, height, width, 2 flows), in pixels: along the width, then along the height.
        half_pixel_offset: bool. Samples at p side / max(side - 1, 1) - 1/2 in place of each position p, as the
            reference code does: a flow of zeros is then not the identity.

    Returns:
        Tensor (batch, height, width, flows, channels).
    """
    height, width, channels = maps.shape[1:]
    flows = flow.shape[-1] // 2
    # Positions need more digits than half precision has.
    flow = ops.reshape(ops.cast(flow, "float32"), (-1, height, width, flows, 2))
    x = flow[..., 0] + ops.arange(width, dtype="float32")[:, None]
    y = flow[..., 1] + ops.arange(height, dtype="float32")[:, None, None]
    if half_pixel_offset:
        x = x * (width / max(width - 1, 1)) - 0.5
        y = y * (height / max(height - 1, 1)) - 0.5
    pixels = ops.reshape(maps, (-1, channels))
    # Symbolic maps have no batch size to count to.
    sample = ops.cumsum(ops.ones_like(flow[:, :1, :1, :1, 0], dtype="int32"), axis=0) - 1
    top, left = ops.floor(y), ops.floor(x)
    # Not 1 - |y - row|, whose slope is 0 where y is a whole number, as it is where a flow begins at zero.
    rows = ((top, 1 - (y - top)), (top + 1, 1 - (top + 1 - y)))
    columns = ((left, 1 - (x - left)), (left + 1, 1 - (left + 1 - x)))
    sampled = 0
    for row, share_of_row in rows:
        for column, share_of_column in columns:
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            weight = ops.where(inside, share_of_row * share_of_column, 0.0)
            pixel = ops.cast(ops.where(inside, row * width + column, 0.0), "int32")
            corner = ops.take(pixels, sample * (height * width) + pixel, axis=0)
            sampled += ops.cast(weight, maps.dtype)[..., None] * corner
    return sampled
