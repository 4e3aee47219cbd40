"""Maps that move along a flow."""

import keras
from keras import ops

from mslstm_keras.layers.warp import warp
from mslstm_keras.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="mslstm_keras")
class Advection(keras.layers.Layer):
    """Takes the value of every pixel from where the flow points to, bilinearly; beyond an edge, from the edge.

        y[i, j] = x[clip(i + v[i, j], 0, height - 1), clip(j + u[i, j], 0, width - 1)]

    This is one step of the semi-Lagrangian extrapolation of nowcasting, backward in time. It has no weights.

    Call arguments:
        maps: tensor (batch, height, width, channels).
        flow: tensor (batch, height, width, 2), in pixels: u along the width, then v along the height.

    Returns:
        Tensor (batch, height, width, channels).

    Reference: Germann & Zawadzki, "Scale-dependence of the predictability of precipitation from continental radar
    images. Part I", Monthly Weather Review 130 (2002).
    """

    def call(self, maps: Tensor, flow: Tensor) -> Tensor:
        height, width = maps.shape[1:3]
        flow = ops.cast(flow, "float32")
        column = ops.arange(width, dtype="float32")
        row = ops.arange(height, dtype="float32")[:, None]
        inside = [
            ops.clip(place + along, 0, side - 1) - place
            for place, along, side in zip(
                (column, row), ops.unstack(flow, axis=-1), (width, height), strict=True
            )
        ]
        # The last row and column once more: the slope at the edge is then that of the edge repeated, not that of zeros
        # behind it, which `warp` sees there.
        one_more = ((0, 0), (0, 1), (0, 1), (0, 0))
        maps = ops.pad(maps, one_more, mode="symmetric")
        flow = ops.pad(ops.stack(inside, axis=-1), one_more)
        return warp(maps, flow)[:, :height, :width, 0]

    def compute_output_shape(self, maps_shape: Shape, flow_shape: Shape) -> Shape:
        return maps_shape
