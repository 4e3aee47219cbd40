"""What every cell puts out while a clip is forecast."""

import keras
import numpy as np

from mslstm_keras.insight.maps import cell_maps, checked_clips, zero_states
from mslstm_keras.integers import is_whole
from mslstm_keras.models.rollout import Rollout, find_layer


def layer_outputs(
    model: keras.Model, frames: np.ndarray, horizon: int | None = None
) -> dict[str, np.ndarray]:
    """Returns what every cell puts out while the model forecasts a clip.

    Args:
        model: model of `create_model`.
        frames: floats in [0, 1], (time, height, width, channels), at least the model's `context_frames` long; of longer
            clips the last `context_frames` are used.
        horizon: int. Frames to forecast; the model's `forecast_frames` by default.

    Returns:
        "input" -> the frames that the model was fed, later ones its own predictions; "cell 1" (the lowest), ... -> the
        outputs of the cells; "output" -> the predictions, each of the frame that comes next. All are float32
        (context_frames + horizon - 1, height, width, channels), each with its own height, width and channels.

    Raises:
        ValueError: if the model has no roll-out, `frames` has another shape or too few frames, or `horizon` is not
            positive.
    """
    rollout = find_layer(model, Rollout)
    step, context = rollout.step, rollout.context_frames
    frames = np.asarray(frames, "float32")
    if frames.ndim != 4 or len(frames) < context:
        raise ValueError(
            f"`frames` must be (time, height, width, channels) of at least {context} frames. Received: "
            f"frames.shape={frames.shape}"
        )
    horizon = rollout.forecast_frames if horizon is None else horizon
    if not is_whole(horizon):
        raise ValueError(f"`horizon` must be a positive number of frames. Received: horizon={horizon!r}")
    (clip,) = checked_clips(frames[-context:], step)
    cells = cell_maps(step)
    probe = keras.Model(step.inputs, [*cells, *step.outputs])
    names = ["input", *(f"cell {number}" for number in range(1, len(cells) + 1)), "output"]
    seen: list[list[np.ndarray]] = []
    states = zero_states(step)
    for time in range(context + horizon - 1):
        fed = clip[None, time] if time < context else seen[-1][-1]
        outputs = probe.predict_on_batch([fed, *states])
        seen.append([fed, *outputs[: len(cells) + 1]])
        states = outputs[len(cells) + 1 :]
    maps = zip(*seen, strict=True)
    return {name: np.concatenate(each).astype("float32") for name, each in zip(names, maps, strict=True)}
