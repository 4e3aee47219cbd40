"""Models in files that may come from anywhere: what is checked before Keras reads them."""

import json
import os
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import keras

from mslstm_keras.compat import FUNCTIONAL
from mslstm_keras.zoo.checksums import LARGEST_JSON, PRESET_FILES

CONFIG, METADATA, WEIGHTS = PRESET_FILES
# What models are made of besides registered classes, which somebody has imported. A `Lambda`, a function by name or a
# layer that reads files of its own is not among them.
CLASSES = {
    "keras": ("DTypePolicy",),
    FUNCTIONAL: ("Functional",),
    "keras.layers": (
        "Activation", "Add", "Average", "AveragePooling2D", "BatchNormalization", "Concatenate", "Conv2D",
        "Conv2DTranspose", "Cropping2D", "Dense", "DepthwiseConv2D", "Dropout", "GroupNormalization", "InputLayer",
        "LayerNormalization", "LeakyReLU", "MaxPooling2D", "Maximum", "Multiply", "PReLU", "ReLU", "Rescaling",
        "Reshape", "SeparableConv2D", "SpatialDropout2D", "Subtract", "UpSampling2D", "ZeroPadding2D",
    ),
    "keras.initializers": (
        "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Ones", "Orthogonal", "RandomNormal",
        "RandomUniform", "TruncatedNormal", "Zeros",
    ),
    "keras.regularizers": ("L1", "L1L2", "L2", "OrthogonalRegularizer"),
    "keras.constraints": ("MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"),
    "keras.optimizers": (
        "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "LossScaleOptimizer",
        "Muon", "Nadam", "RMSprop", "SGD",
    ),
    "keras.optimizers.schedules": (
        "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "PiecewiseConstantDecay",
        "PolynomialDecay",
    ),
    "keras.losses": ("Huber", "LogCosh", "MeanAbsoluteError", "MeanSquaredError"),
    "keras.metrics": ("Mean", "MeanAbsoluteError", "MeanSquaredError", "RootMeanSquaredError"),
    None: ("__keras_tensor__", "__tuple__"),
}  # fmt: skip
RULE = "`model` must be safe to load"


class _NotRegistered(Exception):
    """A class of somebody's own that nobody has imported; its text is the name by which it registers."""


def load_safely(path: str | os.PathLike[str]) -> keras.Model:
    """Loads a model of Keras' own format, a `.keras` file or the folder of one, without trusting it.

    Nothing of it is run, and no more memory is taken than the files themselves suggest. Refused are

    - what is neither registered with Keras nor one of `CLASSES`: a `Lambda`, functions by name, layers that read files;
    - archives of other members than Keras writes, or of compressed ones, which may swell;
    - weights that lie elsewhere (links, external or virtual data) or are larger than the file;
    - models of which one variable, or all, are larger than four times the file of weights: an optimiser that has not
      begun is in no file. (On TensorFlow alone.)

    Args:
        path: `.keras` file, or folder with `config.json`, `metadata.json` and `model.weights.h5`.

    Raises:
        ValueError: if something is refused, naming it, or cannot be read.
    """
    path = Path(path)
    with _one_kind_of_error(path):
        if path.is_dir():
            size = _check_folder(path)
        else:
            with _archive(path) as archive:
                _check_members(path, archive)
                sizes = {member.filename: member.file_size for member in archive.infolist()}
                size = _check_files(path, sizes, archive.open)
        with _limited_variables(4 * size):
            return _checked_model(keras.models.load_model(path))


def build_safely(folder: Path) -> keras.Model:
    """Returns the model of a folder with fresh weights, and refuses what `load_safely` does."""
    with _one_kind_of_error(folder), _limited_variables(4 * _check_folder(folder)):
        return _checked_model(keras.models.model_from_json((folder / CONFIG).read_text()))


def _checked_model(value):
    if not isinstance(value, keras.Model):  # Keras makes whatever is described
        raise _unsafe(f"{type(value).__name__}, which is no model")
    return value


@contextmanager
def _one_kind_of_error(path):
    try:
        yield
    except _NotRegistered as error:
        raise ValueError(
            f"`model` must be loaded with the file that registers its class {error}: add --import FILE.py, or import "
            f"that file before. Received: {path}"
        ) from None
    except Exception as error:  # Keras answers unreadable files with many kinds of exception
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"`model` must be a Keras model that can be read. Received: {path} ({reason})"
        ) from error


def _check_folder(folder):
    sizes = {name: (folder / name).stat().st_size for name in PRESET_FILES if (folder / name).is_file()}
    return _check_files(folder, sizes, lambda name: (folder / name).open("rb"))


def _archive(path):
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise _unsafe(f"{path} ({error})") from error


def _check_members(path, archive):
    for member in archive.infolist():
        if member.filename not in PRESET_FILES:
            raise _unsafe(f"{path} holds {member.filename!r}")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise _unsafe(f"{path}: {member.filename} is compressed, which Keras does not do")


def _check_files(path: Path, sizes: dict[str, int], opened: Callable[[str], BinaryIO]) -> int:
    """Returns the size of the weights."""
    for name in PRESET_FILES:
        if name not in sizes:
            raise _unsafe(f"{path} lacks {name}")
    for name in (CONFIG, METADATA):
        if sizes[name] > LARGEST_JSON:
            raise _unsafe(f"{name} of {sizes[name]:,} bytes, more than {LARGEST_JSON:,}")
        with opened(name) as file:
            try:
                value = json.load(file)
            except (ValueError, RecursionError) as error:
                raise _unsafe(f"{name} that cannot be read ({error})") from error
        _check_classes(value)
    with opened(WEIGHTS) as file:
        try:
            with h5py.File(file, "r") as weights:
                _check_weights(weights, sizes[WEIGHTS])
        except (OSError, RuntimeError) as error:  # how h5py tells of damage
            raise _unsafe(f"{WEIGHTS} that cannot be read ({error})") from error
    return sizes[WEIGHTS]


def _check_classes(config: Any) -> None:
    """Looks at every object that a configuration would make."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
            if "class_name" in value and not _is_known(value):
                if ">" in str(value.get("registered_name")):
                    raise _NotRegistered(repr(value["registered_name"]))
                raise _unsafe(
                    f"the class {value.get('module')}.{value['class_name']}, which is registered nowhere "
                    "(keras.saving.register_keras_serializable)"
                )
        elif isinstance(value, list):
            waiting += value


def _is_known(config):
    module, name, registered = (config.get(key) for key in ("module", "class_name", "registered_name"))
    if not all(isinstance(each, str | None) for each in (module, name, registered)):
        return False
    # Keras finds a registered class by the one name or, where there is none, by the other.
    return name in CLASSES.get(module, ()) or (
        ">" in (registered or "") and keras.saving.get_registered_object(registered) is not None
    )


def _check_weights(file: h5py.File, size: int) -> None:
    """Looks at every array without reading it: all must lie in the file as they are in memory."""
    waiting, seen, total = [file], set(), 0
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _unsafe(f"{group.name}/{name}, which is a link")
            value = group[name]
            address = h5py.h5o.get_info(value.id).addr
            if address in seen:
                raise _unsafe(f"{value.name}, which is there twice")
            seen.add(address)
            if isinstance(value, h5py.Group):
                waiting.append(value)
                continue
            if (
                not isinstance(value, h5py.Dataset)
                or value.external
                or value.is_virtual
                or value.dtype.hasobject
            ):
                raise _unsafe(f"{value.name}, which is no plain array")
            total += value.nbytes
            if value.id.get_storage_size() < value.nbytes or total > size:
                raise _unsafe(f"{value.name} of {value.nbytes:,} bytes, which are not all in the file")


def _limited_variables(limit: int) -> AbstractContextManager[None]:
    """Refuses variables of TensorFlow that together take more bytes than a limit, before they do."""
    if keras.backend.backend() != "tensorflow":
        return nullcontext()
    import tensorflow as tf

    from mslstm_keras.compat import FuncGraph

    taken = 0

    def create(next_creator, **options):
        nonlocal taken
        initial = options["initial_value"]
        # In a graph nothing is computed. One of `tf.Graph` will not do: it cannot read tensors outside of itself.
        with FuncGraph("initial").as_default():
            value = tf.convert_to_tensor(initial() if callable(initial) else initial)
        taken += value.shape.num_elements() * value.dtype.size
        if taken > limit:
            raise _unsafe(f"variables of more than {limit:,} bytes, four times the file of weights")
        return next_creator(**options)

    return tf.variable_creator_scope(create)


def _unsafe(received):
    return ValueError(f"{RULE}. Received: {received}")
