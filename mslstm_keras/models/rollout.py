"""The step run through time."""

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.compat import AutocastScope
from mslstm_keras.dtypes import require_floats
from mslstm_keras.integers import is_whole
from mslstm_keras.layers.gates import using
from mslstm_keras.layers.lanes import lanes
from mslstm_keras.layers.lengths import checked_length
from mslstm_keras.layers.recomputing import scan
from mslstm_keras.models.step import PENALTY
from mslstm_keras.typing import Shape, Tensor

Kind = TypeVar("Kind", bound=keras.layers.Layer)
CHECKPOINTS = None, "step", "sqrt"
NO_SAMPLING = 1.0, 0.0  # rates of feeding the truth, in the context and behind it
RNN_OPTIONS = "go_backwards", "return_sequences", "return_state", "stateful", "zero_output_for_mask"


@keras.saving.register_keras_serializable(package="mslstm_keras")
class SpatiotemporalRNN(keras.layers.RNN):
    """`keras.layers.RNN` for cells whose states and outputs are maps.

    Stock `RNN` derives the output shape from a number of units; here the cell is asked for it. All else
    (arguments, states, unrolling) is Keras' own. `cell` is a `SpatiotemporalCell`, or any RNN cell whose
    `compute_output_shape(inputs_shape)` returns (output shape, list of state shapes).

    Call arguments:
        sequences: tensor (batch, time, height, width, channels).

    Returns:
        The last output (batch, height, width, channels); all of them, (batch, time, height, width,
        channels), with `return_sequences=True`; the last states behind it with `return_state=True`.
    """

    def compute_output_shape(
        self, sequences_shape: Shape, initial_state_shape: list[Shape] | None = None
    ) -> Any:
        batch, time, *map_shape = sequences_shape
        output, states = self.cell.compute_output_shape((batch, *map_shape))
        if self.return_sequences:
            output = (batch, time, *output[1:])
        return (output, *states) if self.return_state else output

    def inner_loop(
        self, sequences: Tensor, initial_state: list[Tensor], mask: Tensor | None, training: bool = False
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        # `RNN.call` has given all states one dtype; a loop keeps that which they have before it.
        dtypes = getattr(self.cell, "state_dtypes", [state.dtype for state in initial_state])
        states = [ops.cast(*each) for each in zip(initial_state, dtypes, strict=True)]
        return super().inner_loop(sequences, states, mask, training=training)


class StepSeed(keras.random.SeedGenerator):
    """A seed that is set, not advanced: two draws at the same (seed, step) are the same draw.

    Keras does not save the state of a `SeedGenerator`; a run that is resumed repeats its draws only
    because they depend on nothing but the seed and the number of the training step.
    """

    def set_step(self, step: int) -> None:
        self.state.assign([self.get_config()["seed"], step])

    def next(self, ordered: bool = True) -> Tensor:
        return ops.convert_to_tensor(self.state)


@keras.saving.register_keras_serializable(package="mslstm_keras")
class ObservedFrames(keras.layers.Layer):
    """Tells the roll-out which frames it may see.

    The plane is 1 where the model is fed the true frame and 0 where it is fed its own prediction. Frame 0
    is always the truth. Outside training the context is seen and nothing behind it. In training every
    sample and frame is drawn on its own: a context frame is seen with probability `truth_rate[0]`, a later
    one with probability `truth_rate[1]`. The pair is (1, 0), that is no sampling, until `set_truth_rate`
    is called. The schedules of `mslstm_keras.training.sampling` call `lend_truth_rate` before every step, and what they
    set is gone behind it: it is in no file, and a later `fit`, even after one that was interrupted, is without it.

    Args:
        context_frames: int. Frames given.
        forecast_frames: int. Frames to forecast.
        seed: int. Seed of the draws, which are a pure function of it and of the training step. They are others on
            another backend, and under `jit_compile`.

    Call arguments:
        frames: tensor (batch, time, height, width, channels); only its batch size matters.

    Returns:
        Tensor (batch, context_frames + forecast_frames - 1) of zeros and ones.

    Reference: Bengio et al., "Scheduled Sampling", NeurIPS 2015.
    """

    def __init__(self, context_frames: int, forecast_frames: int, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        _check_lengths(context_frames, forecast_frames)
        self.context_frames = context_frames
        self.forecast_frames = forecast_frames
        self.draws = StepSeed(seed)
        self.lent = False

    def build(self, frames_shape: Shape) -> None:
        # Rates and draws are compared in float32 whatever the policy: half precision would round the rates.
        self.truth_rate = self.add_weight(
            shape=(2,),
            initializer=_no_sampling,
            trainable=False,
            autocast=False,
            dtype="float32",
            name="truth_rate",
        )

    def set_truth_rate(self, context: float, forecast: float, step: int) -> None:
        """Sets the probabilities of feeding the truth, and the step number that the draws depend on."""
        self.lent = False
        self._assign(context, forecast, step)

    def lend_truth_rate(self, context: float, forecast: float, step: int) -> None:
        """Sets what `set_truth_rate` sets, for one step: until `end_loan`, or until Keras begins an epoch."""
        self.lent = True
        self._assign(context, forecast, step)

    def end_loan(self) -> None:
        """Puts back (1, 0), no sampling, and step 0 where the rate is lent."""
        if self.lent:
            self._assign(*NO_SAMPLING, 0)
            self.lent = False  # last: whatever interrupts this, it is done again

    def _assign(self, context, forecast, step):
        self.truth_rate.assign([context, forecast])
        self.draws.set_step(step)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [*super().metrics, _EndOfLoan(self)]

    def save_own_variables(self, store: Any) -> None:
        if self.lent:
            store["0"] = np.array(NO_SAMPLING, "float32")  # named as Keras names the one weight
        else:
            super().save_own_variables(store)

    def call(self, frames: Tensor, training: bool = False) -> Tensor:
        later = self.context_frames - 1, self.forecast_frames - 1
        # Column 0 picks frame 0 (always seen), the others the rate of the context or of the forecast.
        kinds = np.repeat(np.eye(3, dtype="float32"), (1, *later), axis=0)
        shape = (ops.shape(frames)[0], 1 + sum(later))
        if not training:
            return ops.broadcast_to(
                ops.convert_to_tensor(kinds @ [1.0, 1.0, 0.0], dtype=self.compute_dtype), shape
            )
        certain = ops.ones(1, dtype="float32")
        rates = ops.matmul(kinds, ops.concatenate([certain, ops.convert_to_tensor(self.truth_rate)]))
        draws = keras.random.uniform(shape, dtype="float32", seed=self.draws)
        return ops.cast(draws < rates, self.compute_dtype)

    def compute_output_shape(self, frames_shape: Shape) -> Shape:
        return (frames_shape[0], self.context_frames + self.forecast_frames - 1)


class _EndOfLoan(keras.metrics.Metric):
    """No score, but the way in which Keras tells a layer that an epoch of `fit` begins: it resets metrics.

    No callback is told when a step is interrupted, so what a schedule has lent for it can only be taken back then.
    """

    def __init__(self, layer: ObservedFrames):
        super().__init__(name="end_of_loan")
        self.layer = layer

    def reset_state(self) -> None:
        self.layer.end_loan()

    def result(self) -> dict[str, Tensor]:
        return {}  # nothing for the logs


@keras.saving.register_keras_serializable(package="mslstm_keras")
class Rollout(SpatiotemporalRNN):
    """Runs a step through the context and on, fed with its own predictions.

        x_t     = frame_t where observed, else y_{t-1}
        y_t, s' = step(x_t, s)                          t = 0 .. context_frames + forecast_frames - 2

    y_t is the prediction of frame t + 1; states and the prediction before the first are zero.

    There are two loops over t, and `call` chooses one. `inner_loop`, which is that of `keras.layers.RNN`, keeps
    everything for the gradient. `mslstm_keras.layers.recomputing.scan`, for training with `checkpoint`, keeps few
    states and runs the steps again.

    Args:
        step: `keras.Model` with inputs [frame, *states] and outputs [next_frame, *new_states], as
            `build_step` returns it.
        context_frames: int. Frames given.
        forecast_frames: int. Frames to forecast.
        unroll: bool. Copies the step for each frame instead of looping. Results agree; tracing takes about
            five times as long.
        fast: bool. Takes the ways that are faster and give the same up to rounding: kernels summed before the same
            gate are folded into one, and each thread of the processor gets its part of the batch where TensorFlow
            is set to one thread per operation. False turns all of them off.
        checkpoint: None, "step" or "sqrt". What training keeps for its backward pass: everything; the states before
            each step, which is then run again; the states before every sqrt(steps)-th step, each step being run
            twice more. Results agree.
        **kwargs: those of `keras.layers.Layer`; those of `keras.layers.RNN`, such as `stateful`, mean nothing here.

    Call arguments:
        frames: tensor (batch, time, height, width, channels). Time is `context_frames`, or context_frames +
            forecast_frames - 1 in training.
        observed: tensor (batch, context_frames + forecast_frames - 1): 1 where the frame is fed, 0 where the
            last prediction is. See `ObservedFrames`.

    Returns:
        Tensor (batch, context_frames + forecast_frames - 1, height, width, channels): predictions of the
        frames 1, 2, ... The forecast is the last `forecast_frames` of them.

    Raises:
        ValueError: if `frames` has another number or size of frames than the step or an integer dtype,
            if `observed` has another shape, if `checkpoint` is unknown or the step changes variables beside it, as
            Dropout and BatchNormalization do, or an option of `keras.layers.RNN` is given. Where TensorFlow knows the
            number only at run time it raises `tf.errors.InvalidArgumentError`.
    """

    def __init__(
        self,
        step: keras.Model,
        context_frames: int,
        forecast_frames: int,
        unroll: bool = False,
        fast: bool = True,
        checkpoint: str | None = None,
        **kwargs: Any,
    ):
        _check_lengths(context_frames, forecast_frames)
        if checkpoint not in CHECKPOINTS:
            raise ValueError(
                f"`checkpoint` must be one of {CHECKPOINTS}. Received: checkpoint={checkpoint!r}"
            )
        others = {name: kwargs[name] for name in RNN_OPTIONS if name in kwargs}
        if others:
            raise ValueError(
                "`kwargs` must be those of `keras.layers.Layer`: a roll-out runs forward, from states of zeros, and "
                f"returns all predictions and nothing else. Received: {others}"
            )
        # Without autocast: a frame keeps its dtype, and the step's layers have theirs.
        options = {"return_sequences": True, "unroll": unroll, "autocast": False}
        super().__init__(_FeedbackCell(step), **options, **kwargs)
        self.supports_masking = (
            False  # that of frames is none of predictions, and no loss may take it for one
        )
        self.context_frames = context_frames
        self.forecast_frames = forecast_frames
        self.fast = fast
        self.checkpoint = checkpoint

    @property
    def step(self) -> keras.Model:
        """The step that is run."""
        return self.cell.step

    @property
    def steps(self) -> int:
        """Number of predictions: context_frames + forecast_frames - 1."""
        return self.context_frames + self.forecast_frames - 1

    def stretch(self, checkpoint: str | None) -> int:
        """Steps from one set of kept states to the next."""
        return 1 if checkpoint == "step" else math.ceil(math.sqrt(self.steps))

    def build(self, frames_shape: Shape, observed_shape: Shape) -> None:
        self._check_shapes(frames_shape, observed_shape)
        batch, _, *map_shape = frames_shape
        super().build((batch, self.steps, *map_shape[:-1], map_shape[-1] + 1))

    def call(self, frames: Tensor, observed: Tensor, training: bool = False) -> Tensor:
        require_floats(frames, "frames")
        self._check_shapes(frames.shape, observed.shape)
        length = checked_length(
            frames,
            (self.context_frames, self.steps),
            f"`frames` must be {self.context_frames} frames long to predict, or {self.steps} to train "
            "(context_frames + forecast_frames - 1).",
        )
        frames = ops.pad(frames, ((0, 0), (0, self.steps - length), (0, 0), (0, 0), (0, 0)))
        frames = ops.reshape(frames, (-1, self.steps, *frames.shape[2:]))
        plane = ops.zeros_like(frames[..., :1]) + ops.cast(observed, frames.dtype)[:, :, None, None, None]
        sequence = ops.concatenate([frames, plane], axis=-1)
        folded = self._folded_parameters() if self.fast else {}
        run = self._recomputing if training and self.checkpoint else self._keeping  # the two loops
        parts = lanes(frames.shape[0], self._largest_map()) if training and self.fast else 1
        results = [run(part, folded, training) for part in ops.split(sequence, parts, axis=0)]
        predictions, *states = (ops.concatenate(result, axis=0) for result in zip(*results, strict=True))
        if self.step.inputs[-1].name == PENALTY:
            # Keras adds it to the loss of the frames, which is in its float type whatever the policy.
            self.add_loss(ops.cast(ops.mean(states[-1]) / self.steps, keras.config.floatx()))
        return predictions

    def _check_shapes(self, frames_shape, observed_shape):
        # Others may be spread over the maps of the step without an error: those of a clip without its batch axis are.
        rules = {
            "frames": (frames_shape, (None, None, *self.step.inputs[0].shape[1:])),
            "observed": (observed_shape, (None, self.steps)),
        }
        for name, (shape, expected) in rules.items():
            if len(shape) != len(expected) or any(
                None not in sides and sides[0] != sides[1] for sides in zip(shape, expected, strict=True)
            ):
                raise ValueError(
                    f"`{name}` must have the shape {expected}, where None is the batch or the time. Received: "
                    f"{name}.shape={tuple(shape)}"
                )

    def _folded_parameters(self):
        cells = [layer for layer in self.step.layers if isinstance(layer, SpatiotemporalCell)]
        with AutocastScope(None):  # kernels are added before they are rounded
            return {
                conv: parameters for cell in cells for conv, parameters in cell.folded_parameters().items()
            }

    def _largest_map(self):
        return max((math.prod(state.shape[1:-1]) for state in self.step.inputs[1:]), default=0)

    def _keeping(self, sequence, folded, training):
        # Not `RNN.call`, which rounds all states to half precision before the loop.
        states = self.cell.get_initial_state(ops.shape(sequence)[0])
        with using(folded):
            _, predictions, states = self.inner_loop(sequence, states, mask=None, training=training)
        return predictions, *states

    def _recomputing(self, sequence, folded, training):
        everything = self.step.variables
        variables = self.step.weights  # frozen ones too: the loop may read nothing but its arguments
        with AutocastScope(None):  # their gradients add up unrounded under mixed precision
            weights = [ops.convert_to_tensor(variable.value) for variable in variables]
        kernels_and_biases = [parameter for pair in folded.values() for parameter in pair]

        def step(inputs, states, weights):
            values, rest = weights[: len(variables)], weights[len(variables) :]
            replaced = dict(zip(folded, zip(rest[::2], rest[1::2], strict=True), strict=True))
            with keras.StatelessScope(list(zip(variables, values, strict=True))) as scope, using(replaced):
                before = [scope.get_current_value(variable) for variable in everything]
                states = self.cell(inputs, states, training=training)[1]
                after = [scope.get_current_value(variable) for variable in everything]
            self._check_unchanged(everything, before, after)
            return states

        predictions, states = scan(
            step,
            sequence,
            self.cell.get_initial_state(ops.shape(sequence)[0]),
            weights + kernels_and_biases,
            stretch=self.stretch(self.checkpoint),
            unroll=self.unroll,
        )
        return predictions, *states

    def _check_unchanged(self, variables, before, after):
        # A change would be lost: the same pixels dropped in every step, or statistics that never move.
        changed = [
            variable.path
            for variable, *values in zip(variables, before, after, strict=True)
            if values[0] is not values[1]
        ]
        if changed:
            raise ValueError(
                "`checkpoint` must be None for a step that changes variables, as Dropout and BatchNormalization do: it "
                f"is run again. Received: checkpoint={self.checkpoint!r}, changed {', '.join(changed)}"
            )

    def compute_output_shape(self, frames_shape: Shape, observed_shape: Shape) -> Shape:
        return super().compute_output_shape((frames_shape[0], self.steps, *frames_shape[2:]))

    def compute_output_spec(
        self, frames: Tensor, observed: Tensor, training: bool = False
    ) -> keras.KerasTensor:
        shape = self.compute_output_shape(frames.shape, observed.shape)
        return keras.KerasTensor(shape, self.step.outputs[0].dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super(keras.layers.RNN, self).get_config(),
            "step": keras.saving.serialize_keras_object(self.step),
            "context_frames": self.context_frames,
            "forecast_frames": self.forecast_frames,
            "unroll": self.unroll,
            "fast": self.fast,
            "checkpoint": self.checkpoint,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> "Rollout":
        step = keras.saving.deserialize_keras_object(config["step"], custom_objects=custom_objects)
        return cls(**{**config, "step": step})


class _FeedbackCell(keras.layers.Layer):
    """The step with one more state: its last prediction, the input wherever the frame is not observed."""

    def __init__(self, step: keras.Model):
        super().__init__(dtype=step.dtype_policy.name, autocast=False, name="feedback")
        self.step = step
        self.state_size = [state.shape[-1] for state in step.outputs]

    def build(self, inputs_shape: Shape, states_shape: list[Shape] | None = None) -> None:
        """Has nothing to make: the step is built."""

    def call(self, inputs, states, training=False):
        last_prediction, *states = states
        frame, observed = inputs[..., :-1], inputs[..., -1:]
        # Not a weighted sum: what is not observed may hold anything, even NaN.
        frame = ops.where(observed > 0.5, frame, last_prediction)
        outputs = self.step([frame, *states], training=training)
        # A loop keeps the dtype of its states, while cells may compute in another one than the step.
        states = [ops.cast(output, dtype) for output, dtype in zip(outputs, self.state_dtypes, strict=True)]
        return states[0], states

    @property
    def state_dtypes(self) -> list[str]:
        return [self.step.outputs[0].dtype, *(state.dtype for state in self.step.inputs[1:])]

    def get_initial_state(self, batch_size=None):
        return [
            ops.zeros((batch_size, *state.shape[1:]), dtype=dtype)
            for state, dtype in zip(self.step.outputs, self.state_dtypes, strict=True)
        ]

    def compute_output_shape(self, inputs_shape, states_shape=None):
        shapes = [(inputs_shape[0], *state.shape[1:]) for state in self.step.outputs]
        return shapes[0], shapes


def find_layer(model: keras.Model, kind: type[Kind]) -> Kind:
    """Returns the one layer of a kind, `Rollout` or `ObservedFrames`, that a model is built around.

    Raises:
        ValueError: if the model has none or several.
    """
    found = [layer for layer in model.layers if isinstance(layer, kind)]
    if len(found) != 1:
        raise ValueError(
            f"`model` must have one {kind.__name__} layer, as models of `create_model` have. Received: "
            f"{model.name!r} with {len(found)}"
        )
    return found[0]


def _no_sampling(shape, dtype=None):
    return ops.convert_to_tensor(NO_SAMPLING, dtype=dtype)


def _check_lengths(context_frames, forecast_frames):
    for name, value in (("context_frames", context_frames), ("forecast_frames", forecast_frames)):
        if not is_whole(value):
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
