"""Schedules of how often a model in training is fed the truth."""

import keras

from mslstm_keras.models.rollout import ObservedFrames, find_layer


class ScheduledSampling(keras.callbacks.Callback):
    """Weans a model from the truth behind the context.

        P(frame t is fed, not the last prediction) = max(0, 1 - k / sampling_steps)        t >= context_frames

    at optimiser step k = 0, 1, ... The step is read off the optimiser, so the schedule goes on where it was
    when a training is resumed; the draws are a pure function of the model's seed and of k.

    Args:
        sampling_steps: int. Steps over which the probability falls from 1 to 0.

    Raises:
        ValueError: if `sampling_steps` is not positive, or the model has no `ObservedFrames` layer.

    Reference: Bengio et al., "Scheduled Sampling", NeurIPS 2015.
    """

    def __init__(self, sampling_steps: int):
        super().__init__()
        if sampling_steps < 1:
            raise ValueError(
                f"`sampling_steps` must be at least 1. Received: sampling_steps={sampling_steps}"
            )
        self.sampling_steps = sampling_steps

    def truth_rate(self, step: int) -> float:
        """Returns the probability of feeding the truth behind the context at an optimiser step."""
        return max(0.0, 1.0 - step / self.sampling_steps)

    def on_train_batch_begin(self, batch, logs=None):
        step = int(self.model.optimizer.iterations)
        find_layer(self.model, ObservedFrames).set_truth_rate(1.0, self.truth_rate(step), step)

    def on_epoch_end(self, epoch, logs=None):
        # What is saved or used between epochs is a model that sees the context alone.
        find_layer(self.model, ObservedFrames).set_truth_rate(1.0, 0.0, 0)
