"""Models in the form that servers load."""

import os
from pathlib import Path

import keras

from mslstm_keras.files import replacing
from mslstm_keras.models.rollout import Rollout, find_layer


def export_saved_model(model: keras.Model, folder: str | os.PathLike) -> None:
    """Exports a model as a TensorFlow SavedModel.

    Its signature `serving_default` takes `frames`, float32 (batch, context_frames, height, width, channels) in
    [0, 1] with any batch size, and returns `forecast`, the last `forecast_frames` of the model's output.

    Args:
        model: model of `create_model`.
        folder: folder to write; new or empty.

    Raises:
        ValueError: if the model has no roll-out, or the folder holds something.
        OSError: if the folder cannot be written; there is nothing of it then.
    """
    import tensorflow as tf

    rollout = find_layer(model, Rollout)
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"`folder` must be new or empty. Received: folder={str(folder)!r}")

    def forecast(frames):
        return {"forecast": model(frames)[:, -rollout.forecast_frames :]}

    shape = (None, rollout.context_frames, *rollout.step.inputs[0].shape[1:])
    # `archive.track(model)` would add nothing but a function of Keras', which takes as long as all the rest to trace.
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serving_default", forecast, [tf.TensorSpec(shape, tf.float32, name="frames")])
    with replacing(folder) as temporary:
        try:
            archive.write_out(os.fspath(temporary), verbose=False)
        except tf.errors.OpError as error:  # how TensorFlow tells of a full disk
            raise OSError(f"{folder} cannot be written: {error.message.rpartition('; ')[2]}") from error
