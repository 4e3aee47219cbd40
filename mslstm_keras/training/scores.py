"""Scores of a model on clips, beside the forecast that nothing moves."""

import math

import keras
import numpy as np

from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.training.data import Clips
from mslstm_keras.training.metrics.frame import FrameMAE, FrameMSE, FramePSNR, FrameSSIM

METRICS = {"mse": FrameMSE, "mae": FrameMAE, "ssim": FrameSSIM, "psnr": FramePSNR}


def persistence(frames: np.ndarray, context_frames: int) -> np.ndarray:
    """Predicts that each frame repeats the last one seen, one step at a time in the context.

        y_t = x_min(t, context_frames - 1)                      t = 0 .. T - 2, a prediction of frame t + 1

    Args:
        frames: (batch, T, height, width, channels).
        context_frames: int. Frames that are seen.

    Returns:
        (batch, T - 1, height, width, channels).
    """
    return frames[:, np.minimum(np.arange(frames.shape[1] - 1), context_frames - 1)]


def evaluate(
    model: keras.Model,
    clips: Clips,
    *,
    count: int | None = None,
    batch_size: int = 16,
    all_frames: bool = False,
) -> dict:
    """Scores a model and persistence on the first clips of a data set.

    Args:
        model: model of `create_model`.
        clips: clips of uint8 frames, at least context_frames + forecast_frames long.
        count: int. How many clips; all by default.
        batch_size: int. Clips predicted at a time; does not change the scores.
        all_frames: bool. Scores every prediction, those inside the context too, as the public PyTorch
            implementation does, instead of the forecast alone.

    Returns:
        {"clips": count, "frames": "forecast" or "all", "model": scores, "persistence": scores} where scores maps
        "mse", "mae" (sums over the pixels of a frame), "ssim" and "psnr" (dB) to {"mean": float, "per_frame":
        [float, ...]}. Predictions are clipped to [0, 1].

    Raises:
        ValueError: if `count` is not in 1 .. the number of clips, `batch_size` is below 1, or the clips do not
            fit the model.
    """
    rollout = find_layer(model, Rollout)
    count = clips.count if count is None else count
    available = math.inf if clips.count is None else clips.count
    if count is None or not 1 <= count <= available:
        raise ValueError(f"`count` must lie in 1 .. {available} clips. Received: count={count}")
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}")
    length = rollout.context_frames + rollout.forecast_frames
    counted = rollout.steps if all_frames else rollout.forecast_frames
    scores = {
        who: {name: kind(counted) for name, kind in METRICS.items()} for who in ("model", "persistence")
    }
    for first in range(0, count, batch_size):
        frames = clips.read(np.arange(first, min(first + batch_size, count))).astype("float32") / 255
        expected = (length, *rollout.step.inputs[0].shape[1:])
        if frames.shape[1] < length or frames.shape[2:] != expected[1:]:
            raise ValueError(
                f"`clips` must have shape (time, height, width, channels) = {expected}, or be longer. "
                f"Received: {frames.shape[1:]}"
            )
        frames = frames[:, :length]
        predictions = {
            "model": model.predict_on_batch(frames[:, : rollout.context_frames]),
            "persistence": persistence(frames, rollout.context_frames),
        }
        for who, metrics in scores.items():
            for metric in metrics.values():
                metric.update_state(frames[:, 1:], predictions[who])
    return {
        "clips": count,
        "frames": "all" if all_frames else "forecast",
        **{
            who: {name: _values(metric) for name, metric in metrics.items()}
            for who, metrics in scores.items()
        },
    }


def _values(metric):
    per_frame = keras.ops.convert_to_numpy(metric.per_frame())
    return {"mean": float(metric.result()), "per_frame": [float(value) for value in per_frame]}
