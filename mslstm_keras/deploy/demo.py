"""A forecast to look at, from what comes with the package."""

import os
from pathlib import Path

from mslstm_keras.deploy.forecast import forecast
from mslstm_keras.deploy.zoo import load_pretrained
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.study.plots import forecast_animation, forecast_figure
from mslstm_keras.training.data import Clips
from mslstm_keras.training.scores import evaluate

MODEL = "ms_lstm_moving_mnist"
CLIPS = 16


def demo(folder: str | os.PathLike = ".", zoo: str | os.PathLike | None = None) -> dict:
    """Forecasts handwritten digits that move, with the trained MS-LSTM of the zoo; needs no network.

    The digits are scikit-learn's, which the model has never seen. Writes `demo.png` and `demo.gif`: input, truth,
    forecast, difference of the first clip.

    Args:
        folder: where to write; made if it does not exist.
        zoo: folder of a zoo; by default that of the package.

    Returns:
        Scores of model and persistence on all demo clips, as `evaluate` returns them.

    Raises:
        ValueError: if the zoo's files are missing or altered.
        OSError: if the pictures cannot be written.
    """
    from tfds_builders.moving_mnist_clips.moving_digits import SPLIT_SEEDS, moving_digits
    from tfds_builders.moving_mnist_clips.objects import load_objects

    model = load_pretrained(MODEL, zoo)
    digits = load_objects("optdigits", "test")
    clips = Clips(lambda indices: moving_digits(digits, indices, seed=SPLIT_SEEDS["test"]), CLIPS)
    frames = clips.frames(range(1))[0]
    rollout = find_layer(model, Rollout)
    context, truth = (
        frames[: rollout.context_frames],
        frames[rollout.context_frames :][: rollout.forecast_frames],
    )
    prediction = forecast(model, context)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    forecast_figure(
        context, truth, prediction, folder / "demo.png", title=f"{MODEL} on digits it has never seen"
    )
    forecast_animation(context, truth, prediction, folder / "demo.gif")
    return evaluate(model, clips)
