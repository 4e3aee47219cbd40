"""PredRNN-V2: PredRNN whose two memories are kept from learning the same."""

from typing import Any

import keras
from keras import ops, saving

from mslstm_keras.cells.pred_rnn import PredRNNCell
from mslstm_keras.cells.registry import architecture
from mslstm_keras.layers.parts import options_of_parts
from mslstm_keras.typing import Shape, Tensor


@saving.register_keras_serializable(package="mslstm_keras")
class Decoupling(keras.layers.Layer):
    """Decoupling loss of PredRNN-V2: what the two memories take in should not be alike.

        a, b    = W_1x1 * delta_c + b, W_1x1 * delta_m + b
        penalty = weight sum_cells sum_channels |<a, b>| / (||a|| ||b||)

    with scalar product and norms over the pixels of a channel. W and b are the same for all cells.

    Args:
        weight: float. Weight beside the loss of the frames.

    Call arguments:
        delta_c: list of tensors (batch, height, width, filters), one for each cell; sizes may differ.
        delta_m: list of tensors shaped as `delta_c`.

    Returns:
        Tensor (batch, 1, 1, 1), in the dtype of the weights: a sum over thousands of numbers.

    Reference: Wang et al., "PredRNN: A Recurrent Neural Network for Spatiotemporal Predictive Learning", TPAMI 2022,
    in the form of the reference code: the adapter has a bias, and the cosine is not shifted.
    """

    reads = ("delta_c", "delta_m")
    """States that the penalty is of."""

    def __init__(self, weight: float = 0.01, **kwargs: Any):
        super().__init__(**kwargs)
        self.weight = weight

    def build(self, delta_c_shape: list[Shape], delta_m_shape: list[Shape]) -> None:
        filters = delta_c_shape[0][-1]
        self.adapter = keras.layers.Conv2D(
            filters,
            1,
            data_format="channels_last",
            **options_of_parts(self),
            name="adapter",
        )
        self.adapter.build(delta_c_shape[0])

    def call(self, delta_c: list[Tensor], delta_m: list[Tensor]) -> Tensor:
        total = sum(self._alike(c, m) for c, m in zip(delta_c, delta_m, strict=True))
        return ops.cast(self.weight * total, self.variable_dtype)

    def _alike(self, delta_c, delta_m):
        # Half precision could not hold the square of the smallest norm.
        dtype = keras.backend.result_type(self.variable_dtype, "float32")
        a, b = (self._unit(ops.cast(self.adapter(each), dtype)) for each in (delta_c, delta_m))
        cosine = ops.sum(a * b, axis=(1, 2), keepdims=True)
        return ops.sum(ops.abs(cosine), axis=-1, keepdims=True)

    def _unit(self, x):
        # The gradient of `ops.normalize` is NaN for a map of zeros, which black frames give at first, on JAX and XLA.
        square = ops.sum(ops.square(x), axis=(1, 2), keepdims=True)
        return x / ops.sqrt(ops.maximum(square, keras.config.epsilon() ** 2))


@architecture(penalty=Decoupling)
def pred_rnn_v2(filters: int, layers: int, **options: Any) -> list[PredRNNCell]:
    """A stack of ST-LSTMs that hand out what their memories take in, for `Decoupling`."""
    return [PredRNNCell(filters, increments=True, **options) for _ in range(layers)]
