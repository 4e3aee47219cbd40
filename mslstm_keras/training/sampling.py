"""Schedules of how often a model in training is fed the truth."""

import math
from typing import TYPE_CHECKING

import keras
import numpy as np

from mslstm_keras.models.rollout import ObservedFrames, find_layer

if TYPE_CHECKING:
    from mslstm_keras.training.recipes import Recipe


_SAMPLING = 1  # tells these draws from others with the same seed


class _Schedule(keras.callbacks.Callback):
    """Sets, for each optimiser step k = 0, 1, ..., how often the model is fed the truth.

    Between steps the model is one that sees the context alone: that is what is saved, scored and used. The step is
    read off the optimiser, so the schedule goes on where it was when a training is resumed; the draws are a pure
    function of the model's seed and of k. Where the optimiser accumulates gradients, a step has several batches, with
    its rate and draws of their own.
    """

    def __init__(self, sampling_steps: int):
        super().__init__()
        number = isinstance(sampling_steps, int | float | np.number)
        if not (number and sampling_steps >= 1):  # which NaN is not
            raise ValueError(
                f"`sampling_steps` must be a number of at least 1. Received: sampling_steps={sampling_steps!r}"
            )
        self.sampling_steps = sampling_steps

    def context_truth_rate(self, step: int) -> float:
        """Returns the probability of feeding the truth in the context, frame 0 apart, at an optimiser step: 1."""
        return 1.0

    def truth_rate(self, step: int) -> float:
        """Returns the probability of feeding the truth behind the context at an optimiser step."""
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        if self.model.steps_per_execution != 1:
            raise ValueError(
                "`steps_per_execution` must be 1 under a schedule, since Keras tells callbacks of every "
                "execution alone, not of each of its steps; `mslstm train` has no such limit, for its draws come with "
                "the data (`told_model`, `draw_observed`). "
                f"Received: steps_per_execution={self.model.steps_per_execution}"
            )

    def on_train_batch_begin(self, batch, logs=None):
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # the variables are empty in an epoch, and what is assigned to them is lost
        optimizer = self.model.optimizer
        step = int(keras.ops.convert_to_numpy(optimizer.iterations))
        rates = self.context_truth_rate(step), self.truth_rate(step)
        # Not `iterations`, which stays while gradients are accumulated: each part of a batch would get the same draws.
        batches = getattr(optimizer, "inner_optimizer", optimizer)._iterations
        draw = int(keras.ops.convert_to_numpy(batches))
        find_layer(self.model, ObservedFrames).lend_truth_rate(*rates, draw)

    def on_train_batch_end(self, batch, logs=None):
        find_layer(self.model, ObservedFrames).end_loan()

    def on_epoch_end(self, epoch, logs=None):
        self.on_train_batch_end(None)  # of the step for which there was no batch left


class ScheduledSampling(_Schedule):
    """Weans a model from the truth behind the context.

        P(frame t is fed, not the last prediction) = max(0, 1 - k / sampling_steps)        t >= context_frames

    at optimiser step k = 0, 1, ... The step is read off the optimiser, so the schedule goes on where it was
    when a training is resumed; the draws are a pure function of the model's seed and of k.

    Args:
        sampling_steps: int. Steps over which the probability falls from 1 to 0.

    Raises:
        ValueError: if `sampling_steps` is not positive, the model has no `ObservedFrames` layer, or it is compiled with
            `steps_per_execution` above 1: Keras tells callbacks of every execution alone.

    Reference: Bengio et al., "Scheduled Sampling", NeurIPS 2015.
    """

    def truth_rate(self, step: int) -> float:
        """Returns the probability of feeding the truth behind the context at an optimiser step."""
        return max(0.0, 1.0 - step / self.sampling_steps)


class ReverseScheduledSampling(_Schedule):
    """Begins with predictions for half of all frames, in the context too, and ends with the model fed as in a forecast.

        P(frame t is fed, not the last prediction) = 1 - exp(-5 s) / 2, or 1 at s = 1         0 < t < context_frames
                                                     (1 - s) / 2                              t >= context_frames
        s = min(max(3 k / sampling_steps - 1, 0), 1)

    at optimiser step k = 0, 1, ...: s is 0 over the first third of the schedule, rises over the second and stays at
    1. The step is read off the optimiser, so the schedule goes on where it was when a training is resumed; the draws
    are a pure function of the model's seed and of k.

    Args:
        sampling_steps: int. Steps of the whole schedule, with its last third, in which both rates stay as they are.

    Raises:
        ValueError: if `sampling_steps` is not positive, the model has no `ObservedFrames` layer, or it is compiled with
            `steps_per_execution` above 1: Keras tells callbacks of every execution alone.

    Reference: Wang et al., "PredRNN: A Recurrent Neural Network for Spatiotemporal Predictive Learning", TPAMI 2022.
    """

    def context_truth_rate(self, step: int) -> float:
        """Returns the probability of feeding the truth in the context, frame 0 apart, at an optimiser step."""
        part = self._part_of_second_third(step)
        return 1.0 if part == 1 else 1.0 - 0.5 * math.exp(-5.0 * part)

    def truth_rate(self, step: int) -> float:
        """Returns the probability of feeding the truth behind the context at an optimiser step."""
        return 0.5 * (1.0 - self._part_of_second_third(step))

    def _part_of_second_third(self, step):
        return min(max(3 * step / self.sampling_steps - 1.0, 0.0), 1.0)


def sampling_schedule(recipe: "Recipe") -> ScheduledSampling | ReverseScheduledSampling:
    """Returns the schedule by which a recipe's model is fed the truth."""
    schedules: dict[str, type[ScheduledSampling | ReverseScheduledSampling]] = {
        "scheduled": ScheduledSampling,
        "reverse": ReverseScheduledSampling,
    }
    return schedules[recipe.sampling](recipe.sampling_steps)


def draw_observed(recipe: "Recipe", step: int) -> np.ndarray:
    """Draws which frames a model in training is fed at a step; see `ObservedFrames`.

        P(frame t of a clip is fed) = 1                                               t = 0
                                      schedule.context_truth_rate(step)               0 < t < context_frames
                                      schedule.truth_rate(step)                       t >= context_frames

    The draws are NumPy's and a pure function of the recipe's seed and of the step: they are the same on every backend,
    for any number of devices, and in a run that is resumed.

    Args:
        recipe: the recipe.
        step: int. Number of the optimiser step, from 0.

    Returns:
        float32 (batch_size, context_frames + forecast_frames - 1) of zeros and ones.
    """
    schedule = sampling_schedule(recipe)
    rates = [1.0, schedule.context_truth_rate(step), schedule.truth_rate(step)]
    rate_by_frame = np.repeat(rates, (1, recipe.context_frames - 1, recipe.forecast_frames - 1))
    draws = np.random.default_rng([recipe.seed, step, _SAMPLING]).random(
        (recipe.batch_size, len(rate_by_frame))
    )
    return (draws < rate_by_frame).astype("float32")
