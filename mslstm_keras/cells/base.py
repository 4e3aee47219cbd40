"""The contract of a recurrent cell whose states are maps."""

from typing import Any

import keras
from keras import ops

from mslstm_keras.integers import is_whole
from mslstm_keras.layers.gates import Conv, GateConv, Parameters, fold_last_gates
from mslstm_keras.layers.parts import options_of_parts
from mslstm_keras.typing import Shape, Tensor


class SpatiotemporalCell(keras.layers.Layer):
    """Base class of all cells: a Keras RNN cell with states of shape height x width x channels.

    A subclass declares `state_names` (and `zigzag_states`), makes its sub-layers in `__init__` with
    `conv` and `gates`, and writes its paper's equations in `call(inputs, states) -> (output, new_states)`.
    Space is preserved ("same" padding, stride 1). Constructor arguments are plain data, so that Keras
    derives `get_config`; `build` runs `call` once on symbolic tensors, so that no cell writes it.

    In mixed precision `call` gets and computes all in the dtype of weights; its convolutions alone are in half. The
    output, and the states that `half_states` names, are rounded when it is done.

    Args:
        filters: int. Channels of the hidden state and of each memory.
        kernel_size: int. Default side of the square kernels.

    Call arguments:
        inputs: tensor (batch, height, width, channels).
        states: list of tensors, one for each of `state_names`, shaped as `state_shapes` says.

    Raises:
        ValueError: if `filters` or `kernel_size` is not positive, or if height, width or channels of
            `inputs` is unknown.
    """

    state_names: tuple[str, ...] = ()
    """Names of the states, in the order in which `call` takes and returns them."""

    zigzag_states: tuple[str, ...] = ()
    """States handed up the stack within a step, then from the top to the bottom of the next step."""

    half_states: tuple[str, ...] = ("h",)
    """States that mixed precision keeps in the dtype of convolutions, which alone read them. All others, which add up
    what many steps bring or of which differences are taken, have the dtype of weights."""

    summed_gates: tuple[tuple[str, ...], ...] = ()
    """Groups of two or more attributes, `GateConv`s over the same inputs whose last gates are only ever added. Whoever
    runs the cell may fold a group: then one of it returns the sum, and each of the others a gate less."""

    tied_to_size: bool = False
    """Whether what the cell has learned is of maps of the size that it is built for, and of no other."""

    def __init__(self, filters: int, kernel_size: int = 3, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)  # it would round the memories
        require_positive_integers(filters=filters, kernel_size=kernel_size)
        self.filters = filters
        self.kernel_size = kernel_size

    def conv(self, filters: int | None = None, kernel_size: int | None = None, use_bias: bool = True) -> Conv:
        """Returns a new "same" convolution with the cell's filters, kernel size and dtype by default."""
        return Conv(
            filters or self.filters,
            kernel_size or self.kernel_size,
            padding="same",
            use_bias=use_bias,
            **options_of_parts(self),
        )

    def gates(self, count: int, kernel_size: int | None = None) -> GateConv:
        """Returns a new `GateConv` of `count` gates with the cell's filters and dtype."""
        return GateConv(
            self.filters,
            count,
            kernel_size or self.kernel_size,
            **options_of_parts(self),
        )

    def folded_parameters(self) -> dict[Conv, Parameters]:
        """Returns the parameters that fold `summed_gates`, for `mslstm_keras.layers.gates.using`."""
        folded: dict[Conv, Parameters] = {}
        for names in self.summed_gates:
            folded |= fold_last_gates([getattr(self, name) for name in names])
        return folded

    def state_shapes(self, inputs_shape: Shape) -> list[Shape]:
        """Shapes (batch, height, width, channels) of the states for inputs of a given shape."""
        return [(*inputs_shape[:-1], self.filters) for _ in self.state_names]

    @property
    def state_dtypes(self) -> list[str]:
        """Dtypes of the states: see `half_states`."""
        return [
            self.compute_dtype if name in self.half_states else self.variable_dtype
            for name in self.state_names
        ]

    def require_filters_channels(self, inputs_shape: Shape) -> None:
        """For cells that add their inputs to what has `filters` channels.

        Raises:
            ValueError: if the inputs have another number of channels.
        """
        if inputs_shape[-1] not in (None, self.filters):
            raise ValueError(
                f"`inputs` must have as many channels as the cell has filters, {self.filters}. Received: "
                f"inputs.shape={tuple(inputs_shape)}"
            )

    @property
    def state_size(self) -> list[int]:
        """One number for each state: `keras.layers.RNN` counts them. Their sizes are `state_shapes`."""
        return [self.filters] * len(self.state_names)

    def build(self, inputs_shape: Shape, states_shape: list[Shape] | None = None) -> None:
        if len(inputs_shape) != 4 or None in inputs_shape[1:]:
            raise ValueError(
                "`inputs` must have shape (batch, height, width, channels) with only the batch size unknown. "
                f"Received: inputs.shape={tuple(inputs_shape)}"
            )
        self.inputs_shape = tuple(inputs_shape)
        # One symbolic call makes the weights of every sub-layer before any loop is traced.
        inputs = keras.KerasTensor((None, *inputs_shape[1:]), dtype=self.compute_dtype)
        self.call(inputs, self._symbolic_states(inputs.shape))

    def __call__(self, inputs: Tensor, states: list[Tensor], **kwargs: Any) -> tuple[Tensor, list[Tensor]]:
        inputs, *states = (_as_dtype(each, self.variable_dtype) for each in (inputs, *states))
        output, states = super().__call__(inputs, states, **kwargs)
        states = [_as_dtype(*each) for each in zip(states, self.state_dtypes, strict=True)]
        return _as_dtype(output, self.compute_dtype), states

    def get_initial_state(self, batch_size: int | Tensor | None = None) -> list[Tensor]:
        """Returns the states before the first frame: zeros."""
        return [
            ops.zeros((batch_size, *shape[1:]), dtype=dtype)
            for shape, dtype in zip(self.state_shapes(self.inputs_shape), self.state_dtypes, strict=True)
        ]

    def compute_output_shape(
        self, inputs_shape: Shape, states_shape: list[Shape] | None = None
    ) -> tuple[Shape, list[Shape]]:
        return (*inputs_shape[:-1], self.filters), self.state_shapes(inputs_shape)

    def compute_output_spec(
        self, inputs: Tensor, states: list[Tensor], **kwargs: Any
    ) -> tuple[keras.KerasTensor, list[keras.KerasTensor]]:
        output_shape, _ = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(output_shape, self.compute_dtype), self._symbolic_states(inputs.shape)

    def _symbolic_states(self, inputs_shape):
        shapes = self.compute_output_shape(inputs_shape)[1]
        return [keras.KerasTensor(*each) for each in zip(shapes, self.state_dtypes, strict=True)]


def _as_dtype(x, dtype):
    # A symbolic tensor only shows how cells are connected: a cast would be one more node of the graph.
    return (
        x
        if keras.backend.is_keras_tensor(x) or keras.backend.standardize_dtype(x.dtype) == dtype
        else ops.cast(x, dtype)
    )


def require_positive_integers(**arguments: int) -> None:
    """Checks arguments of a cell, given by name.

    Raises:
        ValueError: if one of them is no positive integer.
    """
    for name, value in arguments.items():
        if not isinstance(value, int) or not is_whole(value):  # Keras saves no integers of NumPy
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
