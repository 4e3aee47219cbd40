"""Presets: models by name, from a folder that can be uploaded as it is, or from Hugging Face and Kaggle."""

import json
import os
from pathlib import Path

import keras

from mslstm_keras.export.saved_model import check_new, save_keras_folder
from mslstm_keras.files import replacing
from mslstm_keras.training.fit import untrained_model
from mslstm_keras.training.recipes import find_recipe, list_recipes
from mslstm_keras.zoo.checksums import CHECKSUMS, sums, verify_preset
from mslstm_keras.zoo.hub import fetch_preset, is_remote
from mslstm_keras.zoo.index import list_pretrained, verify_pretrained
from mslstm_keras.zoo.safety import build_safely, load_safely


def from_preset(
    preset: str | os.PathLike[str],
    load_weights: bool = True,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
) -> keras.Model:
    """Returns the model of a preset, its files checked.

    | preset | what it is |
    |---|---|
    | a name | one of `list_presets()`, or of `list_presets(pretrained=False)` where `load_weights=False` |
    | a folder | one of `save_to_preset` |
    | `hf://USER/REPOSITORY[@REVISION]` | the same on Hugging Face; needs the extra `hf` |
    | `kaggle://USER/MODEL/FRAMEWORK/VARIATION[/VERSION]` | the same on Kaggle; needs the extra `kaggle` |

    What was fetched once is taken from the cache from then on. Without a revision or version that is the one which was
    the latest then. To fetch a later one, name it, or delete its folder in the cache.

    Args:
        preset: name, folder or place, as above.
        load_weights: bool. False gives the same model with fresh weights.
        cache_dir: folder that keeps what is fetched; by default that of the environment variable
            `MSLSTM_KERAS_CACHE`, else `~/.keras/mslstm_keras`.

    Raises:
        ValueError: if there is no such preset (with the nearest names), or a file of it is missing, truncated or
            altered, or not safe to load.
        ImportError: if the library that fetches it is not installed.
        OSError: if it cannot be fetched.
    """
    name = os.fspath(preset)
    if is_remote(name):
        folder = fetch_preset(name, cache_dir)
    elif Path(name).exists():
        folder = verify_preset(name)
    elif load_weights or name in list_pretrained():
        folder = verify_pretrained(name)
    else:
        return untrained_model(find_recipe(name))
    return load_safely(folder) if load_weights else build_safely(folder)


def list_presets(pretrained: bool = True) -> list[str]:
    """Returns the sorted names that `from_preset` takes.

    Args:
        pretrained: bool. False adds the recipes without trained weights, which need `load_weights=False`.
    """
    return sorted({*list_pretrained(), *(() if pretrained else list_recipes())})


def save_to_preset(model: keras.Model, folder: str | os.PathLike[str]) -> None:
    """Saves a model as a folder that `from_preset` takes, and that Hugging Face and Kaggle take as it is.

    | file | what it is |
    |---|---|
    | `config.json`, `metadata.json`, `model.weights.h5` | what a `.keras` file holds, for `keras.models.load_model` |
    | `checksums.json` | {"files": {name: {"size": bytes, "sha256": hexadecimal}}} of the three |

    Args:
        model: model to save, with the optimiser's state where it is compiled.
        folder: folder to write; new or empty.

    Raises:
        ValueError: if the folder holds something.
        OSError: if the folder cannot be written; nothing of it is left then.
    """
    folder = Path(folder)
    check_new(folder)
    with replacing(folder) as temporary:
        temporary.mkdir()
        save_keras_folder(model, temporary)
        (temporary / CHECKSUMS).write_text(json.dumps({"files": sums(temporary)}, indent=1) + "\n")
