"""Models as SavedModels and as Keras folders."""

import os
import shutil
from pathlib import Path

import keras

from mslstm_keras.files import replacing
from mslstm_keras.frames.scales import parse_scale
from mslstm_keras.models.rollout import Rollout, find_layer


def export_saved_model(
    model: keras.Model, folder: str | os.PathLike[str], *, scale: str | None = None
) -> None:
    """Exports a model as a TensorFlow SavedModel, made of TensorFlow's own operations alone.

    | signature | takes | returns |
    |---|---|---|
    | `serving_default` | `frames`, float32 in [0, 1] | `forecast`, float32 |
    | `uint8` | `frames`, uint8 | `forecast`, uint8, clipped and rounded: a quarter of the bytes |
    | `rain_rate` | `frames`, float32 in mm/h | `forecast`, float32 in mm/h; only with a `scale` of rain |
    | `values` | `frames`, float32 in units | `forecast`, float32 in units; only with another `scale` |
    | `initial_state` | `frame`, float32; of it the batch size alone | `state_00`, `state_01`, ...: zeros |
    | `step` | `frame` and all states | `next_frame` and all states |

    Frames are (batch, context_frames, height, width, channels), forecasts the last `forecast_frames` of the model's
    output, a frame (batch, height, width, channels). All tensors begin with the batch, of any size.

    Args:
        model: model of `create_model`.
        folder: folder to write; new or empty.
        scale: str. How the model's pixels stand for numbers in their units, as `mslstm_keras.frames.parse_scale` takes
            it, such as "rain:dwd" or "0:655 bikes/h"; None where they stand for none. What lies beyond the scale is
            clipped, and NaN counts as its lower end.

    Raises:
        ValueError: if the model has no roll-out, `scale` is none, or the folder holds something.
        OSError: if the folder cannot be written; there is nothing of it then.
    """
    import tensorflow as tf

    from mslstm_keras.export.signatures import clip_signatures, streaming_signatures

    rollout = find_layer(model, Rollout)
    folder = Path(folder)
    check_new(folder)
    known = None if scale is None else parse_scale(scale)
    # `archive.track(model)` would add nothing but a function of Keras', which takes as long as all the rest to trace.
    archive = keras.export.ExportArchive()
    signatures = clip_signatures(model, rollout, known) | streaming_signatures(rollout)
    for name, (function, specs) in signatures.items():
        archive.add_endpoint(name, function, specs)
    with replacing(folder) as temporary:
        try:
            archive.write_out(os.fspath(temporary), verbose=False)
        except tf.errors.OpError as error:  # how TensorFlow tells of a full disk
            raise OSError(f"{folder} cannot be written: {error.message.rpartition('; ')[2]}") from error


def save_keras_folder(model: keras.Model, folder: Path) -> None:
    """Puts what a `.keras` file holds into a folder, as `keras.models.load_model` takes it.

    Args:
        model: model to save, with the optimiser's state, to train on.
        folder: folder that exists.
    """
    archive = folder / "model.keras"
    model.save(archive)
    shutil.unpack_archive(archive, folder, format="zip")
    archive.unlink()


def check_new(folder: Path) -> None:
    """Raises ValueError if something would be written over."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"`folder` must be new or empty. Received: folder={str(folder)!r}")
