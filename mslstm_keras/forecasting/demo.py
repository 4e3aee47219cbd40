"""A forecast to look at, from what comes with the package."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mslstm_keras.data.clips import Clips
from mslstm_keras.evaluation.scores import evaluate
from mslstm_keras.figures.plots import forecast_animation, forecast_figure
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.models.rollout import Rollout, find_layer

MODEL = "ms_lstm_moving_mnist"
CLIPS = 16


def demo(
    model: keras.Model,
    folder: str | os.PathLike[str] = ".",
    *,
    title: str = f"{MODEL} on digits it has never seen",
) -> dict[str, Any]:
    """Forecasts handwritten digits that move, which come with the package; needs no network.

    The digits are scikit-learn's, which no model of the zoo has seen. Writes `demo.png` and `demo.gif`: input, truth,
    forecast, difference of the first clip.

    Args:
        model: model of frames of 64 x 64 x 1, such as `MODEL` of the zoo.
        folder: where to write; made if it does not exist.
        title: str. What the picture says at its top.

    Returns:
        Scores of model and persistence on all demo clips, as `evaluate` returns them.

    Raises:
        ValueError: if the digits do not fit the model.
        OSError: if the pictures cannot be written.
    """
    from tfds_builders.moving_mnist_clips.moving_digits import SPLIT_SEEDS, moving_digits
    from tfds_builders.moving_mnist_clips.objects import load_objects

    digits = load_objects("optdigits", "test")
    clips = Clips(lambda indices: moving_digits(digits, indices, seed=SPLIT_SEEDS["test"]), CLIPS)
    frames = clips.frames(np.arange(1))[0]
    rollout = find_layer(model, Rollout)
    context, truth = (
        frames[: rollout.context_frames],
        frames[rollout.context_frames :][: rollout.forecast_frames],
    )
    prediction = forecast(model, context)
    folder = Path(folder)
    forecast_figure(context, truth, prediction, folder / "demo.png", title=title)
    forecast_animation(context, truth, prediction, folder / "demo.gif")
    return evaluate(model, clips)
