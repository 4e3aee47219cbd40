"""The maps that the cells of a step put out."""

from collections.abc import Sequence

import keras
import numpy as np

from mslstm_keras.cells.base import SpatiotemporalCell


def cell_maps(step: keras.Model) -> list[keras.KerasTensor]:
    """Returns the outputs of the cells of a step, the lowest first."""
    cells = [layer for layer in step.layers if isinstance(layer, SpatiotemporalCell)]
    if not cells:
        raise ValueError(f"`model` must have cells in its step. Received: {step.name!r} with none")
    return [cell.output[0] for cell in cells]


def checked_clips(clips: np.ndarray | Sequence[np.ndarray], step: keras.Model) -> np.ndarray:
    """Returns clips as float32 (batch, time, height, width, channels)."""
    try:
        clips = np.asarray(clips, "float32")
    except ValueError:
        shapes = [np.shape(clip) for clip in clips]
        raise ValueError(f"`clips` must have one shape. Received: {shapes}") from None
    expected = step.inputs[0].shape[1:]
    if clips.ndim not in (4, 5) or clips.shape[-3:] != expected or not clips.size:
        raise ValueError(
            f"`clips` must have shape (time, *{expected}) or (batch, time, *{expected}). Received: "
            f"clips.shape={clips.shape}"
        )
    return clips if clips.ndim == 5 else clips[None]


def zero_states(step: keras.Model) -> list[np.ndarray]:
    """Returns the states of a step before the first frame, of one sample."""
    return [np.zeros((1, *state.shape[1:]), state.dtype) for state in step.inputs[1:]]
