"""The zoo: trained models with their recipes, scores and checksums."""

import csv
import dataclasses
import importlib
import importlib.metadata
import json
import math
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from mslstm_keras.deploy.card import write_card
from mslstm_keras.deploy.checksums import CHECKSUMS, read_listing, sums, verify, verify_preset
from mslstm_keras.deploy.entry import ZooEntry, check_name
from mslstm_keras.deploy.export import export_saved_model, save_keras_folder
from mslstm_keras.deploy.forecast import forecast
from mslstm_keras.deploy.hub import fetch_preset, is_remote
from mslstm_keras.deploy.safety import load_safely
from mslstm_keras.files import remove_partial, replacing
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.naming import nearest
from mslstm_keras.study.plots import curve_figure, forecast_animation
from mslstm_keras.training.data import split_clips
from mslstm_keras.training.fit import CHECKPOINT, LOG, read_recipe, read_step, seed_folders
from mslstm_keras.training.protocols import find_protocol
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.training.scores import evaluate

INDEX, VERSION = "index.json", "1"
SAMPLES = 3
RECORDED_PACKAGES = ("mslstm-keras", "keras", "tensorflow", "numpy")


def zoo_folder() -> Path:
    """Returns the folder of the zoo that came with the package."""
    package = Path(__file__).resolve().parents[1]
    installed, checkout = package / "zoo", package.parent / "zoo"
    return installed if installed.is_dir() else checkout


def list_pretrained(zoo: str | os.PathLike | None = None) -> dict[str, ZooEntry]:
    """Returns the entries of a zoo by name.

    Args:
        zoo: folder of a zoo; by default that of the package.

    Raises:
        ValueError: if the folder has no index or the index cannot be read.
    """
    index = Path(zoo_folder() if zoo is None else zoo) / INDEX
    try:
        entries = read_listing(index, "entries")
        return {
            name: ZooEntry(name=name, **{**fields, "recipe": Recipe.from_dict(fields["recipe"])})
            for name, fields in sorted(entries.items())
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"`zoo` must be a folder with a readable {INDEX}. Received: {index} ({error})"
        ) from error


def find_pretrained(name: str, zoo: str | os.PathLike | None = None) -> ZooEntry:
    """Returns an entry of a zoo.

    Raises:
        ValueError: if there is none of that name (with the nearest names).
    """
    entries = list_pretrained(zoo)
    if name not in entries:
        raise ValueError(
            f"`name` must be a model of the zoo, such as {nearest(name, entries)}. Received: name={name!r}"
        )
    return entries[name]


def verify_pretrained(name: str, zoo: str | os.PathLike | None = None) -> Path:
    """Checks size and SHA-256 of every file of an entry.

    Returns:
        The entry's versioned folder, as `keras.models.load_model` and `tf.saved_model.load` take it.

    Raises:
        ValueError: naming the file that is missing, truncated, altered, a link, or not in the index.
    """
    entry = find_pretrained(name, zoo)
    folder = Path(zoo_folder() if zoo is None else zoo) / name
    verify(folder, entry.files, "`zoo` must hold every file of an entry as the index lists it")
    return folder / VERSION


def load_pretrained(name: str, zoo: str | os.PathLike | None = None) -> keras.Model:
    """Returns a trained model of a zoo, its files checked.

    Args:
        name: str. One of `list_pretrained()`.
        zoo: folder of a zoo; by default that of the package.

    Raises:
        ValueError: if there is no such entry or a file is missing, truncated or altered.
    """
    return load_safely(verify_pretrained(name, zoo))


def load_model(name_or_path: str | os.PathLike, zoo: str | os.PathLike | None = None) -> keras.Model:
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
    path = fetch_preset(name_or_path) if is_remote(name_or_path) else Path(name_or_path)
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


def clips_seen(name_or_path: str | os.PathLike, zoo: str | os.PathLike | None = None) -> int:
    """Returns how many training clips a model of the zoo or of a run folder has seen, 0 where nothing says so."""
    path = Path(name_or_path)
    if (path / CHECKPOINT).exists():
        return _read_run(path)[2]
    entry = _entry_of(name_or_path, zoo)
    return entry.clips_seen if entry else 0


def rain_scale_of(name_or_path: str | os.PathLike, zoo: str | os.PathLike | None = None) -> str | None:
    """Returns the code of rain rates of a model of the zoo or of a run folder, None where it is none of rain."""
    path = Path(name_or_path)
    entry = _entry_of(name_or_path, zoo)
    recipe = entry.recipe if entry else read_recipe(path) if (path / CHECKPOINT).exists() else None
    return find_protocol(recipe.data).rain_scale if recipe else None


def _entry_of(name_or_path, zoo):
    """Returns the entry of a name in a zoo, None for what is a path."""
    name = os.fspath(name_or_path)
    return None if Path(name).exists() else list_pretrained(zoo).get(name)


def load_runs(name_or_path: str | os.PathLike, zoo: str | os.PathLike | None = None) -> list[keras.Model]:
    """Loads a model, or every model of a folder in which several were trained with different seeds.

    Args:
        name_or_path: as in `load_model`, or a folder of `train_seeds`.
        zoo: folder of a zoo; by default that of the package.

    Raises:
        ValueError: as `load_model`.
    """
    return [load_model(run, zoo) for run in seed_folders(name_or_path) or [name_or_path]]


def add_pretrained(
    run_dir: str | os.PathLike,
    *,
    name: str | None = None,
    zoo: str | os.PathLike | None = None,
    count: int | None = None,
    data_dir: str | os.PathLike | None = None,
    beside: Mapping[str, str | os.PathLike] | None = None,
) -> ZooEntry:
    """Scores a run and makes a zoo entry of it, or replaces it: model, SavedModel, card, curve, index line.

    Args:
        run_dir: folder of `mslstm_keras.train`.
        name: str. Name of the entry; the recipe's by default.
        zoo: folder of a zoo, made if it does not exist; by default that of the package.
        count: int. How many test clips of the recipe's data to score; all by default.
        data_dir: folder of prepared TFDS data sets.
        beside: label -> folder of a run that the card compares with.

    Returns:
        The new entry.

    Raises:
        ValueError: if a run folder holds no checkpoint, the recipe's data is not prepared, or the name is no plain
            name of a folder.
        OSError: if the zoo cannot be written; it then is as it was.
    """
    zoo = Path(zoo_folder() if zoo is None else zoo)
    model, recipe, seen = _read_run(run_dir)
    name = recipe.name if name is None else name
    check_name(name)
    clips = split_clips(recipe.data, "test", data_dir)
    entry = ZooEntry(
        name=name,
        recipe=recipe,
        clips_seen=seen,
        parameters=sum(math.prod(variable.shape) for variable in model.trainable_variables),
        scores=evaluate(model, clips, count=count, protocol=find_protocol(recipe.data)),
        comparison={label: _scored_run(run, clips, count) for label, run in (beside or {}).items()},
        versions=_versions(),
        files={},
    )
    zoo.mkdir(parents=True, exist_ok=True)
    remove_partial(zoo)
    entries = list_pretrained(zoo) if (zoo / INDEX).exists() else {}
    # The index is written before the folder takes its place: a disk that is full by then changes neither.
    with replacing(zoo / INDEX) as index, replacing(zoo / entry.name) as folder:
        version = folder / VERSION
        export_saved_model(model, version, rain_scale=find_protocol(recipe.data).rain_scale)
        save_keras_folder(model, version)
        shutil.copyfile(Path(run_dir) / LOG, version / "curve.csv")
        _draw_samples(model, clips, version / "samples.gif")
        _draw_curve(version / "curve.csv", entry, version / "curve.png")
        write_card(entry, version)
        entries[entry.name] = dataclasses.replace(entry, files=sums(folder))
        _write_index(index, entries)
    return entries[entry.name]


def _read_run(run_dir):
    run_dir = Path(run_dir)
    if not (run_dir / CHECKPOINT).exists():
        raise ValueError(f"`run_dir` must hold a {CHECKPOINT}. Received: run_dir={str(run_dir)!r}")
    recipe = read_recipe(run_dir)
    seen = recipe.initial_clips + read_step(run_dir / CHECKPOINT) * recipe.batch_size
    return load_model(run_dir), recipe, seen


def _scored_run(run_dir, clips, count):
    model, recipe, seen = _read_run(run_dir)
    scores = evaluate(model, clips, count=count, protocol=find_protocol(recipe.data))
    return {"recipe": recipe.to_dict(), "clips_seen": seen, "scores": scores}


def _draw_samples(model, clips, path):
    frames = clips.frames(np.arange(min(SAMPLES, clips.count)))
    context = find_layer(model, Rollout).context_frames
    prediction = forecast(model, frames[:, :context])
    truth = frames[:, context:][:, : prediction.shape[1]]
    # Clips stand below one another, as one tall clip.
    tall = [np.concatenate(list(part), axis=1) for part in (frames[:, :context], truth, prediction)]
    forecast_animation(*tall, path)


def _draw_curve(log, entry, path):
    with open(log, newline="") as file:
        lines = list(csv.DictReader(file))
    seen = [int(float(line["clips"])) for line in lines]
    curves = {"training, loss": (seen, [float(line["loss"]) for line in lines])}
    if entry.recipe.validation_clips:
        scored = f"MSE of the forecast of {entry.recipe.validation_clips} test clips"
        curves[scored] = (seen, [float(line["val_frame_mse"]) for line in lines])
    persistence = {"MSE of persistence": entry.scores["persistence"]["mse"]["mean"]}
    curve_figure(curves, path, x="training clips", y="sum over a frame", reference_lines=persistence)


def _write_index(path, entries):
    fields = {name: _plain(entry) for name, entry in sorted(entries.items())}
    path.write_text(json.dumps({"entries": fields}, indent=1) + "\n")


def _plain(entry):
    fields = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)}
    del fields["name"]
    return {**fields, "recipe": entry.recipe.to_dict()}


def _versions():
    versions = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # a build of another name, such as tensorflow-cpu
            versions[package] = importlib.import_module(package.replace("-", "_")).__version__
    return versions
