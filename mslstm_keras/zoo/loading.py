"""Trained models by their names and places."""

import os
from pathlib import Path

import keras

from mslstm_keras.data.catalogue import known_facts
from mslstm_keras.data.facts import DataFacts
from mslstm_keras.evaluation.protocols import data_scale
from mslstm_keras.training.fit import CHECKPOINT, read_recipe, read_step, seed_folders
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.zoo.checksums import CHECKSUMS, verify_preset
from mslstm_keras.zoo.hub import fetch_preset, is_remote, remote_name
from mslstm_keras.zoo.index import VERSION, list_pretrained, verify_pretrained
from mslstm_keras.zoo.safety import load_safely


def load_pretrained(name: str, zoo: str | os.PathLike[str] | None = None) -> keras.Model:
    """Returns a trained model of a zoo, its files checked.

    Args:
        name: str. One of `list_pretrained()`.
        zoo: folder of a zoo; by default that of the package.

    Raises:
        ValueError: if there is no such entry or a file is missing, truncated or altered.
    """
    return load_safely(verify_pretrained(name, zoo))


def load_model(
    name_or_path: str | os.PathLike[str], zoo: str | os.PathLike[str] | None = None
) -> keras.Model:
    """Returns a model by its name or place.

    Args:
        name_or_path: a name in the zoo, a `.keras` file, a folder of the zoo's layout, a run folder, a folder of
            `save_to_preset`, or a preset to fetch, `hf://...` or `kaggle://...` as in `from_preset`.
        zoo: folder of a zoo; by default that of the package.

    Raises:
        ValueError: if it is none of these, cannot be read or is not safe to load; or if a file of a preset is missing,
            truncated or altered.
        ImportError: if the library that fetches a preset is not installed.
        OSError: if a preset cannot be fetched.
    """
    path = fetch_preset(os.fspath(name_or_path)) if is_remote(name_or_path) else Path(name_or_path)
    if (path / CHECKSUMS).exists():
        verify_preset(path)
    elif path.is_dir() and (path / CHECKPOINT).exists():
        path = path / CHECKPOINT
    elif path.is_dir() and (path / VERSION / "config.json").exists():
        path = path / VERSION
    elif not path.exists():
        if len(path.parts) > 1 or path.suffix == ".keras":
            raise ValueError(
                f"`model` must be a file or folder that exists, or a name in the zoo. Received: {path}"
            )
        return load_pretrained(os.fspath(name_or_path), zoo)
    return load_safely(path)


def name_of(name_or_path: str | os.PathLike[str]) -> str:
    """Returns what a model of `load_model` is called: its name in the zoo, or that of its file, folder or repository.

    Raises:
        ValueError: if it is a preset on a host whose name cannot be read.
    """
    if is_remote(name_or_path):
        return remote_name(os.fspath(name_or_path))
    if Path(name_or_path).is_dir():  # whose name may have a point, as "rate-0.5" has; "." has none of its own
        return os.path.basename(os.path.abspath(name_or_path))
    return Path(name_or_path).stem if Path(name_or_path).exists() else os.fspath(name_or_path)


def clips_seen(name_or_path: str | os.PathLike[str], zoo: str | os.PathLike[str] | None = None) -> int:
    """Returns how many training clips a model of the zoo or of a run folder has seen, 0 where nothing says so."""
    path = Path(name_or_path)
    if (path / CHECKPOINT).exists():
        return read_run(path)[2]
    entry = _entry_of(name_or_path, zoo)
    return entry.clips_seen if entry else 0


def scale_of(name_or_path: str | os.PathLike[str], zoo: str | os.PathLike[str] | None = None) -> str | None:
    """Returns how the pixels of a model of the zoo or of a run folder stand for numbers in units, as a text.

    None where nothing says that they do; see `mslstm_keras.frames.parse_scale`.
    """
    recipe = _recipe_of(name_or_path, zoo)
    return data_scale(recipe) if recipe else None


def data_of(name_or_path: str | os.PathLike[str], zoo: str | os.PathLike[str] | None = None) -> DataFacts:
    """Returns what a model of the zoo or of a run folder, or those of a folder of runs, were trained on.

    What its recipe does not say, as those of older trainings, is found by the name of its data set.
    """
    recipe = _recipe_of(name_or_path, zoo)
    if recipe is None:
        return DataFacts()
    known = known_facts(recipe.data)
    return DataFacts(
        recipe.quantity or known.quantity,
        data_scale(recipe),
        recipe.interval_minutes or known.interval_minutes,
        recipe.spacing_metres or known.spacing_metres,
        known.licence,
    )


def _recipe_of(name_or_path, zoo):
    """Returns the recipe of a model of the zoo or of a run folder, None of others."""
    entry = _entry_of(name_or_path, zoo)
    if entry:
        return entry.recipe
    run = next(iter(seed_folders(name_or_path)), Path(name_or_path))
    return read_recipe(run) if (run / CHECKPOINT).exists() else None


def _entry_of(name_or_path, zoo):
    """Returns the entry of a name in a zoo, None for what is a path."""
    name = os.fspath(name_or_path)
    return None if Path(name).exists() else list_pretrained(zoo).get(name)


def load_runs(
    name_or_path: str | os.PathLike[str], zoo: str | os.PathLike[str] | None = None
) -> list[keras.Model]:
    """Loads a model, or every model of a folder in which several were trained with different seeds.

    Args:
        name_or_path: as in `load_model`, or a folder of `train_seeds`.
        zoo: folder of a zoo; by default that of the package.

    Raises:
        ValueError: as `load_model`.
    """
    runs: list[str | os.PathLike[str]] = [*seed_folders(name_or_path)] or [name_or_path]
    return [load_model(run, zoo) for run in runs]


def seeds_of(
    name_or_path: str | os.PathLike[str], zoo: str | os.PathLike[str] | None = None
) -> list[int | None]:
    """Returns the seed that each model of `load_runs` was trained with, None where nothing says so."""
    runs: list[str | os.PathLike[str]] = [*seed_folders(name_or_path)] or [name_or_path]
    recipes = [_recipe_of(run, zoo) for run in runs]
    return [recipe and recipe.seed for recipe in recipes]


def read_run(run_dir: str | os.PathLike[str]) -> tuple[keras.Model, Recipe, int]:
    run_dir = Path(run_dir)
    if not (run_dir / CHECKPOINT).exists():
        raise ValueError(f"`run_dir` must hold a {CHECKPOINT}. Received: run_dir={str(run_dir)!r}")
    recipe = read_recipe(run_dir)
    seen = recipe.initial_clips + read_step(run_dir / CHECKPOINT) * recipe.batch_size
    return load_model(run_dir), recipe, seen
