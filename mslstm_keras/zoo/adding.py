"""A run becomes an entry of a zoo."""

import csv
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mslstm_keras.cost.account import model_cost
from mslstm_keras.cost.measurement import seconds_of_second
from mslstm_keras.data.clips import fill_missing
from mslstm_keras.data.splits import split_clips
from mslstm_keras.evaluation.protocols import data_scale, find_protocol
from mslstm_keras.evaluation.provenance import versions
from mslstm_keras.evaluation.scores import evaluate
from mslstm_keras.export.saved_model import export_saved_model, require_tensorflow_backend, save_keras_folder
from mslstm_keras.figures.plots import curve_figure, forecast_animation
from mslstm_keras.files import check_writable, remove_partial, replacing
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.locks import locked
from mslstm_keras.models.registry import VideoModel
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.training.fit import LOG, untrained_model
from mslstm_keras.training.machine import device
from mslstm_keras.typing import Progress
from mslstm_keras.zoo.card import write_card
from mslstm_keras.zoo.checksums import sums
from mslstm_keras.zoo.entry import ZooEntry, check_name
from mslstm_keras.zoo.index import (
    INDEX,
    VERSION,
    find_pretrained,
    list_pretrained,
    verify_pretrained,
    zoo_folder,
)
from mslstm_keras.zoo.loading import load_pretrained, read_run

# Clips on the card, pixels of a panel, and colours: cards are an eighth of a zoo's size.
SAMPLES, SAMPLE_WIDTH, SAMPLE_COLOURS = 2, 128, 96
CURVE = "curve.csv"
BEYOND_HALF = 65_520  # rounds to infinity in float16
UNRECORDED = "nan"  # what the log of a training has where a column came later


def add_pretrained(
    run_dir: str | os.PathLike[str],
    *,
    name: str | None = None,
    zoo: str | os.PathLike[str] | None = None,
    count: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    beside: Mapping[str, str | os.PathLike[str]] | None = None,
    note: str = "",
    progress: Progress | None = None,
) -> ZooEntry:
    """Scores a run and makes a zoo entry of it, or replaces it: model, SavedModel, card, curve, index line.

    Args:
        run_dir: folder of `mslstm_keras.train`.
        name: str. Name of the entry; the recipe's by default.
        zoo: folder of a zoo, made if it does not exist; by default that of the package.
        count: int. How many test clips of the recipe's data to score; all by default.
        data_dir: folder of prepared TFDS data sets.
        beside: label -> folder of a run that the card compares with.
        note: str. What the model is good for and what not, in Markdown, for the card.
        progress: function of the number of clips that are scored of a run, and of all.

    Returns:
        The new entry.

    Raises:
        ValueError: if a run folder holds no checkpoint, the recipe's data is not prepared, the name is no plain
            name of a folder, or the backend is not TensorFlow.
        OSError: if the zoo cannot be written; it is then left as it was.
    """
    model, recipe, seen = _single_run(run_dir)
    check_name(recipe.name if name is None else name)  # before what takes long
    check_writable((zoo_folder() if zoo is None else Path(zoo)) / INDEX)
    require_tensorflow_backend()
    clips = split_clips(recipe.data, "test", data_dir)
    entry = ZooEntry(
        name=recipe.name if name is None else name,
        recipe=recipe,
        clips_seen=seen,
        parameters=model_cost(model).parameters,
        scores={},
        comparison={label: _scored_run(run, clips, count, progress) for label, run in (beside or {}).items()},
        versions=versions(),
        files={},
        note=note,
        training=_training(Path(run_dir) / LOG),
    )
    return _put(entry, model, clips, Path(run_dir) / LOG, zoo, count, progress)


def renew_pretrained(
    name: str,
    *,
    zoo: str | os.PathLike[str] | None = None,
    count: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> ZooEntry:
    """Scores an entry of a zoo again and writes its files anew: model, SavedModel, card, pictures, index line.

    What was trained, with what and beside which others stays. So everybody can see whether an entry has the scores
    that its card says.

    Args:
        name: str. Name of the entry.
        zoo: folder of a zoo; by default that of the package.
        count: int. How many test clips of the recipe's data to score; all by default.
        data_dir: folder of prepared TFDS data sets.
        progress: function of the number of clips that are scored, and of all.

    Returns:
        The renewed entry.

    Raises:
        ValueError: if there is no such entry, a file of it is missing or altered, the recipe's data is not prepared,
            another process has replaced the entry meanwhile, or the backend is not TensorFlow.
        OSError: if the zoo cannot be written; it is then left as it was.
    """
    require_tensorflow_backend()
    entry = find_pretrained(name, zoo)
    folder = verify_pretrained(name, zoo)
    check_writable(folder.parents[1] / INDEX)
    clips = split_clips(entry.recipe.data, "test", data_dir)
    return _put(entry, load_pretrained(name, zoo), clips, folder / CURVE, zoo, count, progress, renewed=entry)


def _put(entry, model, clips, log, zoo, count, progress, renewed=None):
    """Scores a model and writes its entry, with the curve of a log, into a zoo; returns the entry.

    Where it is that of an entry that is `renewed`, the zoo must still hold that.
    """
    zoo = Path(zoo_folder() if zoo is None else zoo)
    _round_to_half(model)
    scores = evaluate(model, clips, count=count, protocol=find_protocol(entry.recipe.data), progress=progress)
    entry = dataclasses.replace(entry, scores=scores, cost=_cost(model))
    curve = log.read_bytes()  # before the folder that may hold it is replaced
    with locked(zoo):  # scored is scored: here others wait for seconds
        remove_partial(zoo)  # with the lock held, nobody is writing it any more
        entries = list_pretrained(zoo) if (zoo / INDEX).exists() else {}
        if renewed is not None and entries.get(entry.name) != renewed:
            raise ValueError(
                "`name` must be an entry that nobody else replaces while it is scored; renew it again. Received: "
                f"name={entry.name!r}"
            )
        # The index is written before the folder takes its place: a disk that is full by then changes neither.
        with replacing(zoo / INDEX) as index, replacing(zoo / entry.name) as folder:
            version = folder / VERSION
            export_saved_model(model, version, scale=data_scale(entry.recipe), half=True)
            # Not compiled: the optimiser's state is two thirds of the file, and who trains on begins with a new one.
            save_keras_folder(VideoModel(model.input, model.output, name=model.name), version, half=True)
            (version / CURVE).write_bytes(curve)
            _draw_samples(model, clips, version / "samples.gif")
            _draw_curve(version / CURVE, entry, version / "curve.png")
            write_card(entry, version)
            entries[entry.name] = dataclasses.replace(entry, files=sums(folder))
            _write_index(index, entries)
    return entries[entry.name]


def _round_to_half(model):
    """Rounds weights to what float16 holds, 11 digits of two: files are half as large, scores the same but for that.

    Raises:
        ValueError: if a weight is too large for float16.
    """
    # Those that are not trained too, such as the means of a normalisation: files hold all of them in float16.
    for weight in model.weights:
        if weight.dtype != "float32":
            continue
        value = weight.numpy()
        if not (np.abs(value) < BEYOND_HALF).all():
            raise ValueError(
                f"`run_dir` must hold weights below {BEYOND_HALF:,}, which float16 can hold. Received: "
                f"{np.abs(value).max():.6g} in {weight.path}"
            )
        weight.assign(value.astype("float16").astype(value.dtype))


def _training(log):
    """Returns where a run was trained and how long, None where its log does not say so of every interval."""
    with open(log, newline="") as file:
        lines = list(csv.DictReader(file))
    devices = list(dict.fromkeys(line.get("device", UNRECORDED) for line in lines))
    if UNRECORDED in devices:
        return None
    return {"device": ", then ".join(devices), "seconds": sum(float(line["seconds"]) for line in lines)}


def _cost(model):
    rollout = find_layer(model, Rollout)
    clip = np.zeros((1, rollout.context_frames, *rollout.step.inputs[0].shape[1:]), "float32")
    return {
        "macs": model_cost(model).macs,
        "seconds": seconds_of_second(lambda: model.predict_on_batch(clip)),
        "device": device(),
    }


def _single_run(run_dir):
    """Reads a run; its model computes in float32, whatever it was trained in, as all those of zoos do."""
    model, recipe, seen = read_run(run_dir)
    if recipe.dtype != "float32":
        single = untrained_model(dataclasses.replace(recipe, dtype="float32"))
        single.set_weights(model.get_weights())
        model = single
    return model, recipe, seen


def _scored_run(run_dir, clips, count, progress):
    model, recipe, seen = _single_run(run_dir)
    scores = evaluate(model, clips, count=count, protocol=find_protocol(recipe.data), progress=progress)
    return {"recipe": recipe.to_dict(), "clips_seen": seen, "scores": scores}


def _draw_samples(model, clips, path):
    frames = clips.frames(np.arange(min(SAMPLES, clips.count)))
    context = find_layer(model, Rollout).context_frames
    prediction = forecast(model, fill_missing(frames)[0][:, :context])
    truth = frames[:, context:][:, : prediction.shape[1]]
    # Clips stand below one another, as one tall clip.
    given, true, predicted = (
        np.concatenate(list(part), axis=1) for part in (frames[:, :context], truth, prediction)
    )
    forecast_animation(given, true, predicted, path, panel_width=SAMPLE_WIDTH, colours=SAMPLE_COLOURS)


def _draw_curve(log, entry, path):
    with open(log, newline="") as file:
        lines = list(csv.DictReader(file))
    seen = [int(float(line["clips"])) for line in lines]
    curves = {"training, loss": (seen, [float(line["loss"]) for line in lines])}
    if entry.recipe.validation_clips:
        recipe = entry.recipe
        watched = "test" if recipe.validation_split == "test" else "held-out train"
        scored = f"MSE of the forecast of {recipe.validation_clips} {watched} clips"
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
