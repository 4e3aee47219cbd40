"""A training from its recipe: what it writes, what it refuses, how it ends when something goes wrong."""

import csv
import dataclasses
import io
import json
import re
import resource
import shutil
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mslstm_keras.data.catalogue import find_builder
from mslstm_keras.data.splits import split_clips
from mslstm_keras.metrics.frame import FrameMSE
from mslstm_keras.models.registry import told_model
from mslstm_keras.models.rollout import ObservedFrames, Rollout, find_layer
from mslstm_keras.training import fit
from mslstm_keras.training.feeding import batch_indices, scoring_batches, training_batches
from mslstm_keras.training.fit import (
    compiled_model,
    learning_rate_schedule,
    read_recipe,
    read_step,
    seed_folders,
    train,
    train_seeds,
)
from mslstm_keras.training.machine import device
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.training.sampling import draw_observed
from tests.support import forked
from tests.support.radar import RADAR, prepare_radar
from tfds_builders.random_access import random_access

CLIPS = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 4), dtype="uint8")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clips.npy"
    np.save(path, CLIPS)
    return str(path)


@pytest.fixture
def recipe(clips):
    return tiny(clips)


def tiny(clips, **changes):
    """A model of 80 weights that learns for four steps."""
    fields = {
        "model": "conv_lstm",
        "frame_shape": (4, 4, 1),
        "context_frames": 2,
        "forecast_frames": 2,
        "filters": 1,
        "layers": 1,
        "data": clips,
        "batch_size": 2,
        "steps": 4,
        "interval_steps": 2,
        "learning_rate": 0.01,
        "sampling_steps": 5,
        "clip_norm": 1.0,
    }
    return Recipe("tiny", **{**fields, **changes})


@pytest.fixture(scope="module")
def finished(clips, tmp_path_factory):
    """Folder of a run of four steps, not to be changed, and the model that `train` returned."""
    run = tmp_path_factory.mktemp("finished") / "run"
    return run, train(tiny(clips), str(run), verbose=0)


@pytest.fixture
def run(finished, tmp_path):
    """Folder of a run of four steps."""
    return shutil.copytree(finished[0], tmp_path / "run")


def state(model):
    """Returns weights and optimiser as one vector."""
    variables = [*model.get_weights(), *(variable.numpy() for variable in model.optimizer.variables)]
    return np.concatenate([np.ravel(variable) for variable in variables])


def whole_log(run):
    with (run / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def log(run):
    """Returns the lines of the log, without how long they took and on what, which is another each time."""
    return [
        {name: text for name, text in line.items() if name not in ("seconds", "device")}
        for line in whole_log(run)
    ]


def column(run, name):
    return [float(line[name]) for line in log(run)]


def contents(run):
    """Returns the files of a run and what is in them, but for TensorBoard's."""
    return {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}


def test_a_run_folder_holds_recipe_checkpoint_log_and_events(run, recipe):
    assert set(contents(run)) == {"recipe.json", "checkpoint.keras", "checkpoint-before.keras", "log.csv"}
    assert [read_step(run / name) for name in ("checkpoint.keras", "checkpoint-before.keras")] == [4, 2]
    assert Recipe.from_dict(json.loads((run / "recipe.json").read_text())) == recipe
    events = EventAccumulator(str(run / "tensorboard" / "train")).Reload()
    assert set(events.Tags()["tensors"]) == {f"epoch_{name}" for name in log(run)[0] if name != "epoch"}


def test_without_tensorboard_a_training_writes_the_rest(recipe, clips, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    train(
        recipe, tmp_path / "run", data_dir=clips
    )  # a warning would be an error: nobody has asked for its log
    assert set(contents(tmp_path / "run")) == {
        "recipe.json",
        "checkpoint.keras",
        "checkpoint-before.keras",
        "log.csv",
    }
    assert column(tmp_path / "run", "step") == [2, 4]
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_a_log_of_tensorboard_that_does_not_go_on_is_said(run, recipe, clips, monkeypatch):
    events = sorted((run / "tensorboard").rglob("*"))
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    message = (
        rf"^TensorBoard's log needs pip install 'mslstm_keras\[tensorboard\]' \(tensorboard is not there\): "
        rf"{run / 'tensorboard'} is not written$"
    )
    with pytest.warns(UserWarning, match=message):
        train(dataclasses.replace(recipe, steps=6), run, resume=True, data_dir=clips)
    assert column(run, "step") == [2, 4, 6]
    assert sorted((run / "tensorboard").rglob("*")) == events


def test_log_has_a_line_for_each_interval(run):
    assert list(log(run)[0]) == ["epoch", "clips", "frame_mse", "learning_rate", "loss", "step", "truth_rate"]
    assert {line["device"] for line in whole_log(run)} == {device()}
    assert min(float(line["seconds"]) for line in whole_log(run)) > 0
    assert column(run, "epoch") == [0, 1]
    assert column(run, "step") == [2, 4]
    assert column(run, "clips") == [4, 8]
    np.testing.assert_allclose(column(run, "truth_rate"), [0.6, 0.2])
    np.testing.assert_allclose(column(run, "learning_rate"), [0.01, 0.01])


def test_the_first_loss_is_that_of_the_first_batch(recipe, clips, tmp_path):
    """Sum over pixels of squared and absolute errors; at step 0 the model is fed the truth all along."""
    fields = tiny(clips, steps=1, interval_steps=1)
    ((x, y),) = training_batches(split_clips(clips, "train"), fields)
    y = y.numpy()
    model = compiled_model(fields)
    prediction = find_layer(model, Rollout)(x["frames"], np.ones((2, 3), "float32")).numpy()
    error = (y - prediction).astype("float64")
    train(fields, tmp_path / "run", verbose=0)
    loss = (error**2 + abs(error)).sum(axis=(2, 3, 4)).mean()
    np.testing.assert_allclose(column(tmp_path / "run", "loss"), [loss], rtol=1e-5)
    mse = ((y - prediction.clip(0, 1)) ** 2).sum(axis=(2, 3, 4))[:, -2:].mean()
    np.testing.assert_allclose(column(tmp_path / "run", "frame_mse"), [mse], rtol=1e-5)


def test_the_returned_model_is_the_checkpoint(finished, recipe):
    run, model = finished
    saved = keras.models.load_model(run / "checkpoint.keras")
    np.testing.assert_array_equal(state(saved), state(model))
    assert int(saved.optimizer.iterations) == 4
    assert not np.array_equal(state(model), state(compiled_model(recipe)))
    for one in (model, saved):  # sampling is over
        assert find_layer(one, ObservedFrames).truth_rate.numpy().tolist() == [1, 0]


def test_validation_scores_the_forecast_of_test_clips_at_each_interval(clips, tmp_path):
    fields = tiny(clips, validation_clips=2, batch_size=4)
    model = train(fields, tmp_path, verbose=0)
    told = told_model(model)
    told.compile(loss=model.loss, weighted_metrics=[FrameMSE(2)])
    loss, mse = told.evaluate(scoring_batches(split_clips(clips, "test"), fields, 2, 1), verbose=0)
    assert len(log(tmp_path)) == 2
    np.testing.assert_allclose(column(tmp_path, "val_loss")[-1], loss, rtol=1e-5)
    np.testing.assert_allclose(column(tmp_path, "val_frame_mse")[-1], mse, rtol=1e-5)
    frames = CLIPS[18:, ..., None].astype("float32") / 255
    forecast = model.predict(frames[:, :2], verbose=0)[:, -2:].clip(0, 1)
    np.testing.assert_allclose(((frames[:, 2:] - forecast) ** 2).sum(axis=(2, 3, 4)).mean(), mse, rtol=1e-5)


@pytest.fixture(scope="module")
def radar(tmp_path_factory):
    """Two folders of radar clips that differ in nothing but what lies under missing pixels; which were observed."""
    folders = [tmp_path_factory.mktemp("radar") for _ in range(2)]
    observed = [
        prepare_radar(folder, under_the_mask=depth) for folder, depth in zip(folders, (0, 3), strict=True)
    ]
    return folders, observed[0]


def radar_recipe(**changes):
    return tiny(RADAR, **{"frame_shape": (8, 8, 1), "context_frames": 4, "forecast_frames": 4, **changes})


def test_what_lies_under_missing_pixels_changes_nothing(radar, tmp_path):
    """Neither loss nor gradients nor scores, to the last bit, while some frames are fed and others not."""
    folders, observed = radar
    stored = [random_access(find_builder(RADAR, folder), "train")[0]["frames"] for folder in folders]
    assert np.array_equal(stored[0] != stored[1], ~observed["train"][0])
    runs = [tmp_path / "one", tmp_path / "two"]
    fields = radar_recipe(validation_clips=3, sampling_steps=8)
    models = [train(fields, run, data_dir=each, verbose=0) for run, each in zip(runs, folders, strict=True)]
    np.testing.assert_array_equal(*map(state, models))
    assert log(runs[0]) == log(runs[1]) and len(log(runs[0])) == 2
    assert not np.array_equal(state(models[0]), state(compiled_model(fields)))


def test_loss_and_scores_of_missing_pixels_are_those_of_the_others(radar, tmp_path):
    (folder, _), observed = radar
    fields = radar_recipe(steps=1, interval_steps=1, batch_size=4, validation_clips=3)
    ((x, y, _),) = training_batches(split_clips(RADAR, "train", folder), fields)
    prediction = find_layer(compiled_model(fields), Rollout)(x["frames"], np.ones((4, 7), "float32")).numpy()
    model = train(fields, tmp_path / "run", data_dir=folder, verbose=0)
    seen = observed["train"][batch_indices(0, 4, 4, 0), 1:]
    error = np.where(seen, y.numpy() - prediction, 0).astype("float64")
    loss = (error**2 + abs(error)).sum(axis=(2, 3, 4)).mean()
    np.testing.assert_allclose(column(tmp_path / "run", "loss"), [loss], rtol=1e-5)
    frames, seen = split_clips(RADAR, "test", folder).frames(np.arange(3)), observed["test"][:, 4:]
    assert not seen.any(axis=(2, 3, 4)).all()  # frames that count in no mean
    forecast = model.predict(np.nan_to_num(frames[:, :4]), verbose=0)[:, -4:].clip(0, 1)
    sums = np.where(seen, (frames[:, 4:] - forecast).astype("float64") ** 2, 0).sum(axis=(2, 3, 4))
    mse = np.mean(sums.sum(axis=0) / seen.any(axis=(2, 3, 4)).sum(axis=0))
    np.testing.assert_allclose(column(tmp_path / "run", "val_frame_mse"), [mse], rtol=1e-5)


def test_a_training_with_missing_pixels_is_resumed(radar, tmp_path):
    (folder, _), _ = radar
    whole = train(radar_recipe(), tmp_path / "whole", data_dir=folder, verbose=0)
    train(radar_recipe(steps=2), tmp_path / "run", data_dir=folder, verbose=0)
    resumed = train(radar_recipe(), tmp_path / "run", data_dir=folder, resume=True, verbose=0)
    np.testing.assert_array_equal(state(resumed), state(whole))


def test_validation_on_clips_held_out_of_training(clips, tmp_path):
    fields = tiny(clips, validation_clips=4, validation_split="train", steps=2)
    model = train(fields, tmp_path, verbose=0)
    frames = CLIPS[14:18, ..., None].astype("float32") / 255
    forecast = model.predict(frames[:, :2], verbose=0)[:, -2:].clip(0, 1)
    mse = ((frames[:, 2:] - forecast) ** 2).sum(axis=(2, 3, 4)).mean()
    np.testing.assert_allclose(column(tmp_path, "val_frame_mse"), [mse], rtol=1e-5)


def test_a_run_goes_on_with_more_steps_as_if_it_had_not_ended(run, clips, tmp_path):
    longer = tiny(clips, steps=8)
    resumed = train(longer, run, resume=True, verbose=0)
    straight = train(longer, tmp_path / "straight", verbose=0)
    np.testing.assert_allclose(state(resumed), state(straight), rtol=0, atol=1e-6)
    assert int(resumed.optimizer.iterations) == 8
    for name in log(run)[0]:
        np.testing.assert_allclose(column(run, name), column(tmp_path / "straight", name), rtol=1e-6)
    assert contents(run)["recipe.json"] == contents(tmp_path / "straight")["recipe.json"]


def test_a_run_without_a_checkpoint_is_started_again_to_the_same_end(recipe, finished, tmp_path):
    (tmp_path / ".partial-0-checkpoint.keras").write_bytes(b"half")  # of a process that was killed
    model = train(recipe, tmp_path, resume=True, verbose=0)
    np.testing.assert_allclose(state(model), state(finished[1]), rtol=0, atol=1e-6)
    assert set(contents(tmp_path)) == set(contents(finished[0]))


def test_resuming_a_finished_run_changes_nothing(run, recipe, finished):
    before = contents(run)
    model = train(recipe, run, resume=True, verbose=0)
    np.testing.assert_array_equal(state(model), state(finished[1]))
    assert contents(run) == before


def test_lines_behind_the_checkpoint_are_written_again(run, clips, finished):
    """As if it had been killed between the third line and the third checkpoint."""
    with (run / "log.csv").open("a") as file:
        line = whole_log(run)[1]
        csv.DictWriter(file, line).writerow(line | {"epoch": 2, "step": 6, "loss": 1})
    train(tiny(clips, steps=6), run, resume=True, verbose=0)
    assert column(run, "step") == [2, 4, 6]
    assert log(run)[:2] == log(finished[0])
    assert float(log(run)[2]["loss"]) > 1


def test_a_resumed_run_may_get_new_columns(run, clips):
    train(tiny(clips, steps=6, validation_clips=2), run, resume=True, verbose=0)
    assert [line["val_loss"] for line in log(run)[:2]] == ["nan", "nan"]
    assert np.isfinite(column(run, "val_loss")[2])
    assert column(run, "step") == [2, 4, 6]


def test_a_folder_that_holds_a_run_is_refused_unless_resuming(run, recipe):
    before = contents(run)
    message = f"`run_dir` must be new; resume to go on with what it holds. Received: run_dir={str(run)!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        train(recipe, run, verbose=0)
    assert contents(run) == before


@pytest.mark.parametrize(
    "changes", [{"steps": 2}, {"steps": 12, "interval_steps": 3}], ids=["fewer steps", "other intervals"]
)
def test_a_checkpoint_that_the_recipe_passes_by_is_refused(run, clips, changes):
    before = contents(run)
    message = (
        "`steps` must not be below the 4 steps of the checkpoint, and `interval_steps` must divide them. "
        f"Received: steps={changes['steps']}, "
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tiny(clips, **changes), run, resume=True, verbose=0)
    assert contents(run) == before


@pytest.mark.parametrize(
    "changes",
    [{"filters": 2}, {"layers": 2}, {"model": "tms_lstm"}],
    ids=["filters", "layers", "model"],
)
def test_a_checkpoint_of_another_model_is_refused(run, clips, changes):
    before = contents(run)
    message = "`run_dir` must hold a checkpoint of the recipe's model. Received: "
    with pytest.raises(ValueError, match=re.escape(message + str(run / "checkpoint.keras"))) as caught:
        train(tiny(clips, steps=8, **changes), run, resume=True, verbose=0)
    assert "\n" not in str(caught.value)
    assert contents(run) == before


def truncated(content, rng):
    return content[: rng.integers(1, len(content))]


def last_byte_lost(content, rng):
    return content[:-1]


def middle_lost(content, rng):
    return content[: len(content) // 3] + content[-len(content) // 3 :]


def emptied(content, rng):
    return b""


def text(content, rng):
    return b"not a model"


def zeroed(content, rng):
    """The weights are gone, the archive's directory is there."""
    return content[:2000] + bytes(len(content) - 4000) + content[-2000:]


DAMAGES = [truncated, last_byte_lost, middle_lost, emptied, text, zeroed]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoints_are_refused(run, recipe, damage):
    path = run / "checkpoint.keras"
    path.write_bytes(damage(path.read_bytes(), np.random.default_rng(3)))
    shutil.copyfile(path, run / "checkpoint-before.keras")
    before = contents(run)
    message = f"`run_dir` must hold a checkpoint of the recipe's model. Received: {path} ("
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        train(recipe, run, resume=True, verbose=0)
    assert "\n" not in str(caught.value)
    assert contents(run) == before


def one_bit_of_a_weight_turned(content, rng):
    """Keras would load it without a word."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo("model.weights.h5")
    middle = info.header_offset + info.file_size // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [truncated, emptied, one_bit_of_a_weight_turned])
def test_behind_a_damaged_checkpoint_the_one_before_is_used_and_named(run, clips, finished, damage):
    path, kept = run / "checkpoint.keras", run / "checkpoint-before.keras"
    path.write_bytes(damage(path.read_bytes(), np.random.default_rng(3)))
    with pytest.warns(UserWarning, match=re.escape(f"{path} (")) as caught:
        model = train(tiny(clips), run, resume=True, verbose=0)
    (warning,) = [each for each in caught if "checkpoint" in str(each.message)]
    assert str(warning.message).endswith(f"going on from {kept}, step 2")
    np.testing.assert_allclose(state(model), state(finished[1]), rtol=0, atol=1e-6)
    assert log(run) == log(finished[0])
    assert [read_step(each) for each in (path, kept)] == [4, 2]  # the damaged one is not what was kept


def test_a_checkpoint_that_was_kept_alone_is_used(run, clips, finished):
    (run / "checkpoint.keras").unlink()
    model = train(tiny(clips), run, resume=True, verbose=0)
    np.testing.assert_allclose(state(model), state(finished[1]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5", "step"])
def test_a_checkpoint_without_one_of_its_parts_is_refused(run, recipe, name):
    path = run / "checkpoint.keras"
    (run / "checkpoint-before.keras").unlink()
    with zipfile.ZipFile(path) as archive:
        parts = {part: archive.read(part) for part in archive.namelist() if part != name}
        comment = b"" if name == "step" else archive.comment
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = comment
        for part, content in parts.items():
            archive.writestr(part, content)
    with pytest.raises(
        ValueError, match=r"`run_dir` must hold a checkpoint of the recipe's model. Received: "
    ):
        train(recipe, run, resume=True, verbose=0)


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "epoch,step\n0\n", "step\nmany\n"])
def test_a_damaged_log_is_refused(run, recipe, content):
    (run / "log.csv").write_text(content)
    before = contents(run)
    message = f"`run_dir` must hold a log with a column of steps, or none. Received: {run / 'log.csv'}"
    with pytest.raises(ValueError, match=re.escape(message)):
        train(recipe, run, resume=True, verbose=0)
    assert contents(run) == before


def test_a_run_without_data_makes_no_folder(clips, tmp_path):
    with pytest.raises(ValueError, match=r"`data` must be a readable .npy file"):
        train(tiny(str(tmp_path / "missing.npy")), tmp_path / "run", verbose=0)
    with pytest.raises(ValueError, match=r"`batch_size` must not be above the 18 clips"):
        train(tiny(clips, batch_size=19), tmp_path / "run", verbose=0)
    with pytest.raises(
        ValueError, match=r"`count`, `validation_clips` of a recipe, must not be above the 2 clips"
    ):
        train(tiny(clips, validation_clips=3), tmp_path / "run", verbose=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("interval_steps", "learning_rate", "message"),
    [
        (2, 1e30, "The loss is infinite or NaN at step 6: lower `learning_rate` or set `clip_norm`."),
        (1, float("inf"), "A weight is infinite or NaN at step 5: lower `learning_rate` or set `clip_norm`."),
    ],
)
def test_a_training_that_diverges_ends_and_keeps_its_checkpoint(
    run, clips, interval_steps, learning_rate, message
):
    before = contents(run)
    changes = {"steps": 8, "interval_steps": interval_steps}
    with pytest.raises(FloatingPointError, match=re.escape(message)):
        train(tiny(clips, **changes, learning_rate=learning_rate), run, resume=True, verbose=0)
    assert contents(run)["checkpoint.keras"] == before["checkpoint.keras"]
    assert set(contents(run)) == set(before)


def _train_on_a_full_disk(recipe, run, largest_file, seen):
    """A process that may only write small files stands for a full disk: both fail in `write`."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    try:
        train(recipe, run, resume=True, verbose=0)
    except OSError as error:
        seen.value = str(run / "checkpoint.keras") in str(error)


def test_a_full_disk_leaves_the_last_checkpoint(run, clips):
    before = contents(run)
    seen = forked.shared_number()
    half = len(before["checkpoint.keras"]) // 2
    process = forked.start(_train_on_a_full_disk, tiny(clips, steps=8), run, half, seen)
    process.join()
    assert process.exitcode == 0
    assert seen.value == 1  # an OSError that names the file
    after = contents(run)
    assert set(after) == set(before)  # nothing half-written
    assert after["checkpoint.keras"] == before["checkpoint.keras"]
    assert after["checkpoint-before.keras"] == before["checkpoint-before.keras"]
    assert int(keras.models.load_model(run / "checkpoint.keras").optimizer.iterations) == 4


@pytest.mark.parametrize(
    ("decay_steps", "rates"),
    [
        (0, {0: 1, 50: 1, 99: 1, 100: 1}),
        (40, {0: 1, 59: 1, 60: 1, 70: 0.5 + 0.5**1.5, 80: 0.5, 90: 0.5 - 0.5**1.5, 100: 0, 101: 0}),
        (100, {0: 1, 25: 0.5 + 0.5**1.5, 50: 0.5, 75: 0.5 - 0.5**1.5, 100: 0}),
    ],
    ids=["constant", "cosine at the end", "cosine all along"],
)
def test_learning_rate_is_constant_and_then_a_cosine(clips, decay_steps, rates):
    fields = tiny(clips, steps=100, interval_steps=50, decay_steps=decay_steps, learning_rate=0.02)
    schedule = learning_rate_schedule(fields)
    received = [float(schedule(step)) for step in rates]
    np.testing.assert_allclose(received, 0.02 * np.array(list(rates.values())), atol=1e-8)


def test_a_warm_up_multiplies_the_learning_rate(clips):
    fields = tiny(clips, steps=100, interval_steps=50, decay_steps=40, learning_rate=0.02)
    plain = learning_rate_schedule(fields)
    schedule = learning_rate_schedule(dataclasses.replace(fields, warmup_steps=8))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    for step in (0, 1, 6, 7, 8, 60, 80, 100):
        expected = float(plain(step)) * min(1, (step + 1) / 8)
        assert float(schedule(step)) == float(again(step)) == pytest.approx(expected, rel=1e-6)


def test_the_absolute_error_counts_from_its_step_on(clips, tmp_path):
    """As if the training had been ended there, and gone on with by another recipe."""
    train(tiny(clips, l1_from=2, l1_weight=0.7), tmp_path / "late", verbose=0)
    train(tiny(clips, steps=2, l1_weight=0.0), tmp_path / "parts", verbose=0)
    expected = train(tiny(clips, l1_weight=0.7), tmp_path / "parts", resume=True, verbose=0)
    late = keras.models.load_model(tmp_path / "late" / "checkpoint.keras")
    np.testing.assert_array_equal(state(late), state(expected))
    assert log(tmp_path / "late") == log(tmp_path / "parts")
    without = train(tiny(clips, l1_weight=0.0), tmp_path / "without", verbose=0)
    assert not np.allclose(state(without), state(expected), atol=1e-4)


@pytest.fixture(scope="module")
def steps_of_a_training(clips, tmp_path_factory):
    """Weights after each step of four, the loss changing behind the second."""
    weights, folder = [], tmp_path_factory.mktemp("steps") / "run"
    for steps, l1_weight in ((1, 0.0), (2, 0.0), (3, 1.0), (4, 1.0)):
        fields = tiny(clips, steps=steps, interval_steps=1, l1_weight=l1_weight)
        model = train(fields, folder, resume=steps > 1, verbose=0)
        weights.append([weight.numpy() for weight in model.trainable_variables])
    return weights


def test_a_training_ends_with_the_averages_of_its_weights(clips, steps_of_a_training, tmp_path):
    fields = tiny(clips, ema_momentum=0.6, l1_from=2)
    returned = train(fields, tmp_path / "run", verbose=0)
    expected = steps_of_a_training[0]
    for weights in steps_of_a_training[1:]:
        expected = [0.6 * mean + 0.4 * new for mean, new in zip(expected, weights, strict=True)]
    saved = keras.models.load_model(tmp_path / "run" / "checkpoint.keras")
    for model in (returned, saved):
        for weight, mean in zip(model.trainable_variables, expected, strict=True):
            np.testing.assert_allclose(weight, mean, rtol=0, atol=1e-6)
    # One that goes on from its middle has the weights of the last step there, and ends with the same averages.
    before = keras.models.load_model(tmp_path / "run" / "checkpoint-before.keras")
    for weight, last in zip(before.trainable_variables, steps_of_a_training[1], strict=True):
        np.testing.assert_allclose(weight, last, rtol=0, atol=1e-6)
    shutil.copyfile(tmp_path / "run" / "checkpoint-before.keras", tmp_path / "run" / "checkpoint.keras")
    resumed = train(fields, tmp_path / "run", resume=True, verbose=0)
    np.testing.assert_array_equal(state(resumed), state(returned))
    # A second call finds the averages and leaves them.
    again = train(fields, tmp_path / "run", resume=True, verbose=0)
    np.testing.assert_array_equal(state(again), state(returned))


def test_reverse_sampling_is_trained_by_and_logged(clips, tmp_path, monkeypatch):
    fields = tiny(clips, sampling="reverse", sampling_steps=6)
    fed, call = [], Rollout.call

    def telling(rollout, frames, observed, training=False):
        if training:
            tf.numpy_function(lambda plane: fed.append(plane), [observed], [])
        return call(rollout, frames, observed, training=training)

    monkeypatch.setattr(Rollout, "call", telling)
    train(fields, tmp_path / "run", verbose=0)
    np.testing.assert_array_equal(fed, [draw_observed(fields, step) for step in range(4)])
    np.testing.assert_allclose(column(tmp_path / "run", "truth_rate"), [0.5, 0.0], atol=1e-12)


def test_initial_weights_depend_on_the_seed(clips, recipe):
    np.testing.assert_array_equal(state(compiled_model(recipe)), state(compiled_model(recipe)))
    assert not np.array_equal(state(compiled_model(recipe)), state(compiled_model(tiny(clips, seed=1))))


def test_dtype_is_the_models_alone(clips):
    model = compiled_model(tiny(clips, dtype="mixed_bfloat16"))
    assert find_layer(model, Rollout).compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(ValueError, match="`layers` must be a whole number of at least 1"):
        compiled_model(tiny(clips, dtype="mixed_bfloat16", layers=0))
    assert keras.config.dtype_policy().name == "float32"


def test_how_steps_are_run_changes_weights_by_rounding_alone(clips, tmp_path):
    fields = tiny(clips, batch_size=4, decay_steps=2, validation_clips=1)
    straight = train(fields, tmp_path / "straight", verbose=0)
    for changes in ({"steps_per_execution": 2}, {"jit_compile": True}, {"gradient_accumulation_steps": 2}):
        run = tmp_path / next(iter(changes))
        model = train(dataclasses.replace(fields, **changes), run, verbose=0)
        assert_same_run(model, run, straight, tmp_path / "straight")


def assert_same_run(model, run, straight, other):
    for weight, expected in zip(model.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=0, atol=1e-6, err_msg=run.name)
    assert column(run, "step") == [2, 4]
    for name in log(other)[0]:
        message = f"{run.name}: {name}"
        np.testing.assert_allclose(
            column(run, name), column(other, name), rtol=1e-5, atol=1e-9, err_msg=message
        )


def test_a_run_in_parts_is_resumed_behind_its_step(clips, tmp_path):
    fields = {"gradient_accumulation_steps": 2, "steps": 2}
    train(tiny(clips, **fields), tmp_path / "run", verbose=0)
    resumed = train(tiny(clips, **{**fields, "steps": 4}), tmp_path / "run", resume=True, verbose=0)
    straight = train(tiny(clips, **{**fields, "steps": 4}), tmp_path / "straight", verbose=0)
    np.testing.assert_allclose(state(resumed), state(straight), rtol=0, atol=1e-6)
    assert column(tmp_path / "run", "clips") == [4, 8]


def test_a_run_in_float16_counts_the_steps_that_were_left_out(clips, tmp_path):
    """The first gradients overflow at the scale that Keras begins with; a resumed run goes on behind them."""
    fields = {"dtype": "mixed_float16", "batch_size": 1, "interval_steps": 4, "l1_weight": 30.0}
    straight = train(tiny(clips, **fields, steps=8), tmp_path / "straight", verbose=0)
    left_out = 8 - int(straight.optimizer.iterations)
    assert 0 < left_out < 8
    assert float(straight.optimizer.dynamic_scale) == 2.0 ** (15 - left_out)
    assert read_step(tmp_path / "straight" / "checkpoint.keras") == 8
    assert column(tmp_path / "straight", "clips") == [4, 8]
    train(tiny(clips, **fields, steps=4), tmp_path / "run", verbose=0)
    resumed = train(tiny(clips, **fields, steps=8), tmp_path / "run", resume=True, verbose=0)
    np.testing.assert_allclose(state(resumed), state(straight), rtol=0, atol=1e-6)
    assert log(tmp_path / "run")[1]["clips"] == "8"


def test_a_run_starts_from_the_weights_of_another_model(clips, finished, tmp_path):
    fields = tiny(clips, steps=1, interval_steps=1, learning_rate=1e-30, initial="finished", initial_clips=8)
    model = train(fields, tmp_path / "run", initial=finished[1], verbose=0)
    for weight, expected in zip(model.get_weights(), finished[1].get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=0, atol=1e-7)
    assert column(tmp_path / "run", "clips") == [10]
    train(fields, tmp_path / "run", resume=True, verbose=0)  # what it started from is in its checkpoint


def test_initial_weights_and_their_name_come_together(clips, finished, tmp_path):
    message = "`initial` must be given where the recipe names what it starts from, and only there. Received: "
    with pytest.raises(ValueError, match=re.escape(f"{message}initial='conv_lstm', recipe.initial=None")):
        train(tiny(clips), tmp_path / "run", initial=finished[1])
    with pytest.raises(ValueError, match=re.escape(f"{message}initial=None, recipe.initial='other'")):
        train(tiny(clips, initial="other"), tmp_path / "run")
    message = "`initial` must have the weights of the recipe's model. Received: 'conv_lstm' ("
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tiny(clips, initial="other", filters=2), tmp_path / "run", initial=finished[1])
    assert list(tmp_path.iterdir()) == []


def test_seeds_are_runs_of_their_own(recipe, tmp_path):
    recipe = dataclasses.replace(recipe, seed=9)
    models = train_seeds(recipe, tmp_path / "runs", 2, verbose=0)
    assert list(models) == [9, 10]
    assert seed_folders(tmp_path / "runs") == [tmp_path / "runs" / "seed-9", tmp_path / "runs" / "seed-10"]
    alone = train(dataclasses.replace(recipe, seed=10), tmp_path / "alone", verbose=0)
    for weight, expected in zip(models[10].weights, alone.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), expected.numpy())
    assert any(
        (a.numpy() != b.numpy()).any()
        for a, b in zip(*(each.weights for each in models.values()), strict=True)
    )


def test_copies_of_runs_are_no_seeds(tmp_path):
    for name in ("seed-2", "seed-10", "seed-2-old", "seed-x", "seed-"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.json").write_text("{}")
    (tmp_path / "seed-1").mkdir()  # without a run
    assert seed_folders(tmp_path) == [tmp_path / "seed-2", tmp_path / "seed-10"]


def test_a_checkpoint_behind_a_link_is_kept_too(recipe, tmp_path):
    folder, place = tmp_path / "run", tmp_path / "large" / "checkpoint.keras"
    for path in (folder, place.parent):
        path.mkdir()
    (folder / "checkpoint.keras").symlink_to(place)
    train(dataclasses.replace(recipe, decay_steps=0), folder, verbose=0)
    assert (folder / "checkpoint.keras").is_symlink()
    before = folder / "checkpoint-before.keras"
    assert read_step(before) < read_step(place) == recipe.steps
    assert not before.is_symlink()


@pytest.mark.slow
def test_seeds_that_have_ended_stay_and_others_go_on(recipe, tmp_path):
    train_seeds(recipe, tmp_path, 1, verbose=0)
    written = (tmp_path / "seed-0" / "log.csv").read_text()
    with pytest.raises(ValueError, match="`run_dir` must be new"):
        train_seeds(recipe, tmp_path, 2, verbose=0)
    train_seeds(recipe, tmp_path, 2, resume=True, verbose=0)
    assert (tmp_path / "seed-0" / "log.csv").read_text() == written
    assert len(seed_folders(tmp_path)) == 2


def test_there_is_at_least_one_seed(recipe, tmp_path):
    with pytest.raises(ValueError, match=r"`count` must be at least 1\. Received: count=0"):
        train_seeds(recipe, tmp_path, 0)


def test_a_run_knows_what_its_data_stand_for(clips, tmp_path, monkeypatch):
    """As the prepared data set says; another statement in the recipe is refused."""
    told = dataclasses.replace(
        split_clips(clips, "train"), scale="0:9 mm/h", quantity="rain rate", interval=10, spacing=5000
    )
    monkeypatch.setattr(fit, "training_clips", lambda *_: told)
    fields = tiny(clips, steps=1, interval_steps=1)
    train(fields, tmp_path / "run", verbose=0)
    recipe = read_recipe(tmp_path / "run")
    assert recipe == dataclasses.replace(
        fields, scale="0:9 mm/h", quantity="rain rate", interval_minutes=10, spacing_metres=5000
    )
    train(recipe, tmp_path / "run", resume=True, verbose=0)
    for name, wrong in (
        ("interval_minutes", 5),
        ("spacing_metres", 1000.0),
        ("quantity", "hail"),
        ("scale", "0:1"),
    ):
        message = rf"`{name}` must be that of the prepared data set, .*, or None. Received: {name}={wrong!r}"
        with pytest.raises(ValueError, match=message):
            train(dataclasses.replace(fields, **{name: wrong}), tmp_path / name, verbose=0)


def test_what_data_do_not_say_a_recipe_may(finished, clips, tmp_path):
    fields = tiny(clips, steps=1, interval_steps=1, interval_minutes=5, quantity="rain rate")
    train(fields, tmp_path / "run", verbose=0)
    assert read_recipe(tmp_path / "run") == fields
    assert read_recipe(finished[0]).interval_minutes is None
