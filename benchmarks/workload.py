"""What is measured: a network, its size and its batch, as plain data."""

import dataclasses

AUTOMATIC = "auto"
VARIANTS = {
    "fast": {"fast": True},
    "plain": {"fast": False},
    "unroll": {"fast": True, "unroll": True},
    "checkpoint_step": {"fast": True, "checkpoint": "step"},
    "checkpoint_sqrt": {"fast": True, "checkpoint": "sqrt"},
}
"""The ways to run one of our networks: name -> arguments of `create_model`."""

STOCK = "stock"
"""The stack of `keras.layers.ConvLSTM2D`, at hand for the networks of `STOCK_MODELS`."""

STOCK_MODELS = ("conv_lstm",)


@dataclasses.dataclass(frozen=True)
class Workload:
    """A network and a batch.

    Attributes:
        model: str. One of `mslstm_keras.list_models()`.
        batch_size: int. Clips.
        side: int. Height and width of a frame, in pixels.
        channels: int. Channels of a frame.
        context_frames: int. Frames given.
        forecast_frames: int. Frames to forecast.
        filters: int. Channels of every cell.
        layers: int. Number of levels.
        patch_size: int. Side, in pixels, of the patches that become channels.
        dtype: str. Keras dtype policy.
        jit_compile: bool. Whether XLA compiles the steps; on the JAX backend it always does.
        threads: str. TensorFlow's threads: "2x1" gives each operation two and runs one operation at once, "auto"
            leaves both to TensorFlow. Holds for the process that builds the network.
    """

    model: str
    batch_size: int = 4
    side: int = 64
    channels: int = 1
    context_frames: int = 10
    forecast_frames: int = 10
    filters: int = 32
    layers: int = 6
    patch_size: int = 1
    dtype: str = "float32"
    jit_compile: bool = False
    threads: str = AUTOMATIC

    @property
    def steps(self) -> int:
        """How often the step is run: context_frames + forecast_frames - 1."""
        return self.context_frames + self.forecast_frames - 1

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return (self.side, self.side, self.channels)

    def clips_shape(self, frames: int) -> tuple[int, int, int, int, int]:
        """(batch, time, height, width, channels) of so many frames."""
        return (self.batch_size, frames, *self.frame_shape)

    def to_dict(self) -> dict:
        """Returns the attributes as plain data."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        jit = ", jit_compile" if self.jit_compile else ""
        threads = f", threads {self.threads}" if self.threads != AUTOMATIC else ""
        return (
            f"{self.model}, batch {self.batch_size}, {self.side}x{self.side}x{self.channels} in patches of "
            f"{self.patch_size}, {self.layers} layers of {self.filters} filters, "
            f"{self.context_frames} + {self.forecast_frames} frames, {self.dtype}{jit}{threads}"
        )
