"""Reversible exchange of pixels for channels."""

from typing import Any

import keras
from keras import ops

from mslstm_keras.typing import Shape, Tensor


class _PatchLayer(keras.layers.Layer):
    def __init__(self, patch_size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.patch_size = patch_size


@keras.saving.register_keras_serializable(package="mslstm_keras")
class SpaceToDepth(_PatchLayer):
    """Cuts a map into square patches and stacks the pixels of each along the channels.

        y[b, i, j, (u p + v) C + c] = x[b, i p + u, j p + v, c]        0 <= u, v < p

    Args:
        patch_size: int. Side p of a patch, in pixels; divides height and width.

    Call arguments:
        inputs: tensor (batch, height, width, channels).

    Returns:
        Tensor (batch, height / p, width / p, channels p^2).
    """

    def call(self, inputs: Tensor) -> Tensor:
        _, height, width, channels = inputs.shape
        p = self.patch_size
        x = ops.reshape(inputs, (-1, height // p, p, width // p, p, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, height // p, width // p, p * p * channels))

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        batch, height, width, channels = inputs_shape
        p = self.patch_size
        return (batch, height // p, width // p, p * p * channels)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class DepthToSpace(_PatchLayer):
    """Inverse of `SpaceToDepth`.

        y[b, i p + u, j p + v, c] = x[b, i, j, (u p + v) C + c]        0 <= u, v < p

    Args:
        patch_size: int. Side p of a patch, in pixels; p^2 divides the channels.

    Call arguments:
        inputs: tensor (batch, height, width, channels p^2).

    Returns:
        Tensor (batch, height p, width p, channels).
    """

    def call(self, inputs: Tensor) -> Tensor:
        _, height, width, channels = inputs.shape
        p = self.patch_size
        x = ops.reshape(inputs, (-1, height, width, p, p, channels // (p * p)))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, height * p, width * p, channels // (p * p)))

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        batch, height, width, channels = inputs_shape
        p = self.patch_size
        return (batch, height * p, width * p, channels // (p * p))
