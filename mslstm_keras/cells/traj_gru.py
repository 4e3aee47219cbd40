"""TrajGRU: a GRU whose recurrent links follow a flow that it generates."""

from typing import Any

from keras import ops, saving

from mslstm_keras.cells.base import SpatiotemporalCell, require_positive_integers
from mslstm_keras.cells.registry import architecture
from mslstm_keras.layers.warp import warp
from mslstm_keras.typing import Tensor


@saving.register_keras_serializable(package="mslstm_keras")
class TrajGRUCell(SpatiotemporalCell):
    """TrajGRU cell.

        u_l, v_l = W_uv * phi(W_f * [x, h] + b_f) + b_uv                l = 1 .. links
        p        = [warp(h, -u_1, -v_1), ..., warp(h, -u_L, -v_L)]
        z, r, n  = W * x + b
        z', r'   = V_zr p
        z        = sigmoid(z + z'),   r = sigmoid(r + r')
        n        = phi(n + r . (V_n p + b_n))
        h'       = (1 - z) . n + z . h

    where * is convolution, . the elementwise product, phi the leaky ReLU of slope 0.2, and V_zr, V_n act on each
    pixel.

    Args:
        filters: int. Channels of the hidden state, and of the layer that the flows are read from.
        kernel_size: int. Side of the kernels W, W_f and W_uv.
        links: int. Number of flows L.
        half_pixel_offset: bool. Warps as the reference code does; see `mslstm_keras.layers.warp.warp`.

    Call arguments:
        inputs: tensor (batch, height, width, channels).
        states: [h], (batch, height, width, filters).

    Returns:
        h' and [h'], shapes as above.

    Raises:
        ValueError: if `links` is not a positive integer, or if height, width or channels of `inputs` is unknown.

    Differs from the reference code: a flow of zeros is the identity unless `half_pixel_offset`; one bias per gate,
    not two.

    Reference: Shi et al., "Deep Learning for Precipitation Nowcasting: A Benchmark and a New Model", NeurIPS 2017.
    """

    state_names = ("h",)
    half_states = ()  # a gate blends the old h with the new

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        links: int = 10,
        half_pixel_offset: bool = False,
        **kwargs: Any,
    ):
        super().__init__(filters, kernel_size, **kwargs)
        require_positive_integers(links=links)
        self.links = links
        self.half_pixel_offset = half_pixel_offset
        self.from_inputs = self.gates(3)
        self.flow_features = self.gates(1)
        self.flow = self.conv(2 * links)
        self.warped_to_gates = self.conv(2 * filters, kernel_size=1, use_bias=False)
        self.warped_to_n = self.conv(kernel_size=1)

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        (h,) = states
        z, r, n = self.from_inputs([inputs])
        (features,) = self.flow_features([inputs, h])
        flow = self.flow(ops.leaky_relu(features, 0.2))
        warped = warp(h, -flow, self.half_pixel_offset)
        warped = ops.reshape(warped, (-1, *h.shape[1:3], self.links * self.filters))
        from_z, from_r = ops.split(self.warped_to_gates(warped), 2, axis=-1)
        z, r = ops.sigmoid(z + from_z), ops.sigmoid(r + from_r)
        n = ops.leaky_relu(n + r * self.warped_to_n(warped), 0.2)
        h = (1 - z) * n + z * h
        return h, [h]


@architecture
def traj_gru(filters: int, layers: int, **options: Any) -> list[TrajGRUCell]:
    """A stack of TrajGRU cells."""
    return [TrajGRUCell(filters, **options) for _ in range(layers)]
