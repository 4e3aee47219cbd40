"""A model's weights in a model of frames of another size."""

from collections.abc import Sequence

import keras

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.models.registry import VideoModel
from mslstm_keras.models.rollout import ObservedFrames, Rollout, find_layer
from mslstm_keras.models.step import PENALTY


def resized_model(model: keras.Model, frame_shape: Sequence[int]) -> keras.Model:
    """Returns a model of the same layers, with copies of the weights, for frames of another size.

    Convolutions do not know the size of a map, so the weights serve any. The maps of states grow with the frame.

    Args:
        model: model of `create_model`.
        frame_shape: (height, width, channels). Height and width divide by `size_divisor`.

    Returns:
        `keras.Model`, not compiled. Later changes of the weights of `model` are not its own.

    Raises:
        ValueError: if the model has no roll-out, `frame_shape` breaks its rule or has other channels than the model's
            frames, or a cell is made for the maps of one size.
    """
    rollout, observed = find_layer(model, Rollout), find_layer(model, ObservedFrames)
    step = resized_step(rollout.step, frame_shape)
    frames = keras.Input((None, *frame_shape), name="frames", dtype=model.input.dtype)
    again = Rollout.from_config({**rollout.get_config(), "step": keras.saving.serialize_keras_object(step)})
    predictions = again(frames, ObservedFrames.from_config(observed.get_config())(frames))
    resized = VideoModel(frames, predictions, name=model.name)
    resized.set_weights(model.get_weights())
    return resized


def resized_step(step: keras.Model, frame_shape: Sequence[int]) -> keras.Model:
    """Returns the step of `resized_model`: that of another size, with copies of the weights.

    Args:
        step: `keras.Model` of `build_step`.
        frame_shape: as in `resized_model`.

    Raises:
        ValueError: as in `resized_model`.
    """
    height, width, channels = step.inputs[0].shape[1:]
    divisor = size_divisor(step)
    if len(frame_shape) != 3 or frame_shape[2] != channels or any(side % divisor for side in frame_shape[:2]):
        raise ValueError(
            f"`frame_shape` must be (height, width, {channels}), both sides multiples of {divisor}. "
            f"Received: frame_shape={tuple(frame_shape)}"
        )
    tied = tied_to_size(step)
    if tied and tuple(frame_shape) != (height, width, channels):
        raise ValueError(
            f"`frame_shape` must be the model's own, {(height, width, channels)}, for whose maps its cells are made. "
            f"Received: frame_shape={tuple(frame_shape)}, {tied}"
        )
    inputs = []
    for each in step.inputs:
        rows, columns, *rest = each.shape[1:]
        if each.name != PENALTY:  # one number, whatever the size
            rows, columns = rows * frame_shape[0] // height, columns * frame_shape[1] // width
        inputs.append(keras.Input((rows, columns, *rest), dtype=each.dtype, name=each.name))
    resized = keras.models.clone_model(step, input_tensors=inputs)
    resized.set_weights(step.get_weights())
    return resized


def size_divisor(step: keras.Model) -> int:
    """Returns what height and width of a step's frames must divide by: patch_size x the largest scale."""
    frame, *states = step.inputs
    return max((frame.shape[1] // state.shape[1] for state in states if state.name != PENALTY), default=1)


def tied_to_size(step: keras.Model) -> str:
    """Returns the names of a step's cells that are made for maps of one size; "" if there are none."""
    cells = [layer for layer in step.layers if isinstance(layer, SpatiotemporalCell)]
    return ", ".join(sorted({type(cell).__name__ for cell in cells if cell.tied_to_size}))
