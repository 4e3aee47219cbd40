"""Models as SavedModels and as Keras folders."""

import contextlib
import os
import shutil
from pathlib import Path

import h5py
import keras

from mslstm_keras.files import replacing, system_error
from mslstm_keras.frames.scales import parse_scale
from mslstm_keras.models.rollout import Rollout, find_layer


def export_saved_model(
    model: keras.Model, folder: str | os.PathLike[str], *, scale: str | None = None, half: bool = False
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
        half: bool. Stores the weights in float16, which takes half the space. They are made float32 again before
            anything is computed: weights that float16 can hold give the same forecasts.

    Raises:
        ValueError: if the backend is not TensorFlow, the model has no roll-out, `scale` is none, or the folder holds
            something.
        OSError: if the folder cannot be written; there is nothing of it then.
    """
    require_tensorflow_backend()
    import tensorflow as tf

    from mslstm_keras.export.pruning import prune_saved_model
    from mslstm_keras.export.signatures import clip_signatures, streaming_signatures

    rollout = find_layer(model, Rollout)
    folder = Path(folder)
    check_new(folder)
    known = None if scale is None else parse_scale(scale)
    # `archive.track(model)` would add nothing but a function of Keras', which takes as long as all the rest to trace.
    archive = keras.export.ExportArchive()
    weights = _in_half(model) if half else contextlib.nullcontext
    signatures = clip_signatures(model, rollout, known, weights) | streaming_signatures(rollout, weights)
    for name, (function, specs) in signatures.items():
        archive.add_endpoint(name, function, specs)
    with replacing(folder) as temporary:
        try:
            archive.write_out(os.fspath(temporary), verbose=False)
            prune_saved_model(temporary)
        except tf.errors.OpError as error:  # how TensorFlow tells of a full disk
            raise system_error(error.message.rpartition("; ")[2], folder) from error


def _in_half(model):
    """Returns the function of the context in which the float32 weights of a model are float16 variables, made float32.

    Keras has no other way to compute a model with values in the place of its weights.
    """
    import tensorflow as tf

    weights = [weight for weight in model.trainable_variables if weight.dtype == "float32"]
    stored = [tf.Variable(weight.numpy().astype("float16"), trainable=False) for weight in weights]

    def context():
        values = [tf.cast(variable, tf.float32) for variable in stored]
        return keras.StatelessScope(list(zip(weights, values, strict=True)))

    return context


def save_keras_folder(model: keras.Model, folder: Path, *, half: bool = False) -> None:
    """Puts what a `.keras` file holds into a folder, as `keras.models.load_model` takes it.

    Args:
        model: model to save, with the optimiser's state, to train on.
        folder: folder that exists.
        half: bool. Stores float32 arrays in float16, which takes half the space; Keras makes them float32 again.
    """
    archive = folder / "model.keras"
    model.save(archive)
    shutil.unpack_archive(archive, folder, format="zip")
    archive.unlink()
    if half:
        weights = folder / "model.weights.h5"
        with replacing(weights) as temporary, h5py.File(weights) as file, _compact(temporary) as copy:
            _copy_in_half(file, copy)


def _compact(path):
    """Opens a new HDF5 file whose groups take tens of bytes, not a thousand, as since HDF5 1.8."""
    return h5py.File(path, "w", libver=("v108", "v108"))


def _copy_in_half(group, copy):
    copy.attrs.update(group.attrs)
    for name, value in group.items():
        if isinstance(value, h5py.Group):
            _copy_in_half(value, copy.create_group(name))
        else:
            kind = "float16" if value.dtype == "float32" else value.dtype
            copy.create_dataset(name, data=value[()].astype(kind)).attrs.update(value.attrs)


def require_tensorflow_backend() -> None:
    """Raises ValueError if Keras computes by another backend, whose tensors are none of TensorFlow's graphs."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            "`KERAS_BACKEND` must be tensorflow for an export, which any model can be loaded on. "
            f"Received: KERAS_BACKEND={backend}"
        )


def check_new(folder: Path) -> None:
    """Raises ValueError if something would be written over."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"`folder` must be new or empty. Received: folder={str(folder)!r}")
