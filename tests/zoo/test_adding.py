"""A run becomes an entry: what is in it, who can read it, and that writing it is all or nothing."""

import csv
import dataclasses
import errno
import hashlib
import importlib.metadata
import json
import re
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mslstm_keras
from mslstm_keras.cost.account import count_cost
from mslstm_keras.data.clips import Clips
from mslstm_keras.data.splits import split_clips
from mslstm_keras.evaluation.scores import evaluate
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.training.fit import read_recipe, train
from mslstm_keras.training.machine import device
from mslstm_keras.zoo import adding
from mslstm_keras.zoo.adding import add_pretrained, renew_pretrained
from mslstm_keras.zoo.index import find_pretrained, list_pretrained, verify_pretrained
from mslstm_keras.zoo.loading import load_model, load_pretrained
from tests.support.equations import assert_close
from tests.support.folders import contents, listing
from tests.support.optdigits import OPTDIGITS
from tests.support.processes import run_script
from tests.support.zoos import NAME, index_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def frames(optdigits_dir):
    return split_clips(OPTDIGITS, "test", optdigits_dir).read(np.arange(3)) / np.float32(255)


def test_layout(tiny_zoo):
    assert sorted(path.name for path in tiny_zoo.iterdir()) == ["index.json", NAME]
    assert sorted(path.name for path in (tiny_zoo / NAME).iterdir()) == ["1"]
    keras_model = ["config.json", "metadata.json", "model.weights.h5"]
    saved_model = ["fingerprint.pb", "saved_model.pb", "variables/variables.index"]
    saved_model.append("variables/variables.data-00000-of-00001")
    for_people = ["README.md", "curve.csv", "curve.png", "samples.gif"]
    assert listing(tiny_zoo / NAME / "1") == sorted([*keras_model, *saved_model, *for_people])


def test_index_holds_size_and_sum_of_every_file(tiny_zoo):
    files = index_of(tiny_zoo)[NAME]["files"]
    assert files == {
        path: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in contents(tiny_zoo / NAME).items()
    }


def test_entry_tells_what_was_trained_and_with_what(tiny_zoo, tiny_run):
    entry = find_pretrained(NAME, tiny_zoo)
    assert list(list_pretrained(tiny_zoo)) == [entry.name] == [NAME]
    assert entry.recipe == read_recipe(tiny_run)
    assert entry.clips_seen == 8
    weights = keras.models.load_model(tiny_run / "checkpoint.keras").trainable_variables
    assert entry.parameters == sum(np.prod(weight.shape) for weight in weights)
    with open(tiny_run / "log.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    seconds = sum(float(line["seconds"]) for line in lines)
    assert entry.training == {"device": lines[0]["device"], "seconds": pytest.approx(seconds)}
    assert entry.cost["seconds"] > 0
    assert entry.cost["device"] == device()
    recipe = entry.recipe
    counted = count_cost(
        recipe.model,
        recipe.frame_shape,
        recipe.context_frames,
        recipe.forecast_frames,
        **recipe.model_options(),
    )
    assert entry.cost["macs"] == counted.total_macs
    assert set(entry.versions) == {"python", "mslstm-keras", "keras", "tensorflow", "numpy"}
    assert entry.versions["mslstm-keras"] == mslstm_keras.__version__
    for package in ("keras", "numpy"):
        assert entry.versions[package] == importlib.metadata.version(package)
    assert entry.versions["tensorflow"].startswith(tf.__version__)


def test_scores_are_those_of_the_test_clips(tiny_zoo, tiny_run, other_run, optdigits_dir):
    clips = split_clips(OPTDIGITS, "test", optdigits_dir)
    entry = find_pretrained(NAME, tiny_zoo)
    assert entry.scores == evaluate(load_pretrained(NAME, tiny_zoo), clips, count=5)
    before = evaluate(load_model(tiny_run), clips, count=5)["model"]["mse"]["mean"]
    assert entry.scores["model"]["mse"]["mean"] == pytest.approx(before, rel=1e-3)  # but for the rounding
    assert entry.comparison == {
        "the other": {
            "recipe": read_recipe(other_run).to_dict(),
            "clips_seen": 4,
            "scores": evaluate(load_model(other_run), clips, count=5),
        }
    }


def test_card_curve_and_samples(tiny_zoo, tiny_run):
    folder, entry = tiny_zoo / NAME / "1", find_pretrained(NAME, tiny_zoo)
    card = (folder / "README.md").read_text()
    assert card.startswith(f"# {NAME}\n")
    mse = entry.scores["model"]["mse"]
    low, high = mse["interval"]
    assert f"| {NAME} | {mse['mean']:.2f} ({low:.2f} to {high:.2f}) |" in card
    assert "8 clips seen" in card
    assert '"filters": 2,' in card
    assert "- the other: 4 clips seen; `context_frames` = 2, `forecast_frames` = 5, `filters` = 1" in card
    with open(folder / "curve.csv", newline="") as file:
        assert [line["step"] for line in csv.DictReader(file)] == ["2", "4"]
    with Image.open(folder / "samples.gif") as samples:
        assert samples.n_frames == 3 + 4
    with Image.open(folder / "curve.png") as curve:
        curve.verify()


def test_weights_are_stored_in_half_precision_and_are_single_when_loaded(tiny_zoo, tiny_run):
    folder = tiny_zoo / NAME / "1"
    with h5py.File(folder / "model.weights.h5") as file:
        kinds = set()
        file.visititems(lambda name, value: kinds.add(getattr(value, "dtype", None)))
    assert np.dtype("float16") in kinds
    assert np.dtype("float32") not in kinds
    checkpoint = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    kinds = set(checkpoint.get_variable_to_dtype_map().values())
    assert tf.float16 in kinds
    assert tf.float32 not in kinds
    exact = load_model(tiny_run).trainable_variables
    for ours, theirs in zip(load_pretrained(NAME, tiny_zoo).trainable_variables, exact, strict=True):
        assert ours.dtype == "float32"
        np.testing.assert_allclose(ours, theirs, rtol=2**-11, atol=2**-25)


@pytest.mark.parametrize("size", [65_519, 65_520, np.inf])
def test_weights_too_large_for_half_precision_are_refused(size):
    layer = keras.layers.Dense(1, name="large")
    model = keras.Sequential([keras.Input((1,)), layer])
    layer.bias.assign([size])
    if size < 65_520:
        adding._round_to_half(model)
        assert layer.bias.numpy() == [65_504]
        return
    message = f"which float16 can hold. Received: {size:.6g} in {layer.bias.path}"
    with pytest.raises(ValueError, match=re.escape(message)):
        adding._round_to_half(model)


def test_weights_that_are_not_trained_are_rounded_too():
    layer = keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((1,)), layer])
    layer.moving_mean.assign([1 / 3])
    adding._round_to_half(model)
    assert layer.moving_mean.numpy() == [np.float16(1 / 3)]
    layer.moving_variance.assign([1e6])
    with pytest.raises(ValueError, match=f"Received: 1e\\+06 in {layer.moving_variance.path}"):
        adding._round_to_half(model)


def test_an_entry_computes_in_float32_whatever_it_was_trained_in(tmp_path, tiny_run, frames, optdigits_dir):
    recipe = dataclasses.replace(read_recipe(tiny_run), name="brief", dtype="mixed_bfloat16")
    train(recipe, tmp_path / "run", data_dir=optdigits_dir, verbose=0)
    add_pretrained(tmp_path / "run", zoo=tmp_path / "zoo", count=3, data_dir=optdigits_dir)
    model, trained = load_pretrained("brief", tmp_path / "zoo"), load_model(tmp_path / "run")
    assert {layer.compute_dtype for layer in trained._flatten_layers()} != {"float32"}
    assert {layer.compute_dtype for layer in model._flatten_layers()} == {"float32"}
    for ours, theirs in zip(model.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy().astype("float16").astype("float32"))
    context = frames[:, :3]
    assert_close(forecast(model, context), forecast(trained, context), 0.02)
    assert find_pretrained("brief", tmp_path / "zoo").recipe == recipe


def test_a_renewed_entry_is_scored_again_and_else_the_same(zoo, optdigits_dir):
    before, folder = find_pretrained(NAME, zoo), zoo / NAME / "1"
    kept = {name: (folder / name).read_bytes() for name in ("curve.csv", "config.json", "samples.gif")}
    weights = [weight.numpy() for weight in load_pretrained(NAME, zoo).weights]
    after = renew_pretrained(NAME, zoo=zoo, count=3, data_dir=optdigits_dir)
    assert find_pretrained(NAME, zoo) == after
    verify_pretrained(NAME, zoo)
    assert after.scores["clips"] == 3
    clips = split_clips(OPTDIGITS, "test", optdigits_dir)
    assert after.scores == evaluate(load_pretrained(NAME, zoo), clips, count=3)
    changed = {"scores": before.scores, "cost": before.cost, "files": before.files}
    assert dataclasses.replace(after, **changed) == before
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    for one, other in zip(load_pretrained(NAME, zoo).weights, weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_entry_that_is_replaced_while_it_is_scored_stays(zoo, optdigits_dir, monkeypatch):
    def scored(*arguments, **options):
        entries = index_of(zoo)
        entries[NAME]["clips_seen"] += 1  # by another process, with other weights
        (zoo / "index.json").write_text(json.dumps({"entries": entries}))
        return evaluate(*arguments, **options)

    monkeypatch.setattr(adding, "evaluate", scored)
    seen = find_pretrained(NAME, zoo).clips_seen
    message = "`name` must be an entry that nobody else replaces while it is scored; renew it again. Received: name="
    with pytest.raises(ValueError, match=re.escape(message)):
        renew_pretrained(NAME, zoo=zoo, count=1, data_dir=optdigits_dir)
    assert find_pretrained(NAME, zoo).clips_seen == seen + 1
    verify_pretrained(NAME, zoo)


@pytest.mark.slow
def test_another_process_serves_trains_and_forecasts_with_it(tiny_zoo, tmp_path, frames):
    """`tf.saved_model.load` and `keras.models.load_model` read the same folder and agree."""
    np.save(tmp_path / "frames.npy", frames)
    script = """
        import sys
        import keras, tensorflow as tf, numpy as np
        import mslstm_keras

        folder, place = sys.argv[1:]
        frames = np.load(f"{place}/frames.npy")
        context = frames[:, :3]
        serve = tf.saved_model.load(folder).signatures["serving_default"]
        model = keras.models.load_model(folder)
        found = {
            "served": serve(frames=tf.constant(context))["forecast"],
            "predicted": model.predict(context, verbose=0)[:, -4:],
            "forecast": mslstm_keras.forecast(model, context),
            "before": model.trainable_variables[0].numpy(),
        }
        assert not model.compiled
        model.compile(keras.optimizers.Adam(0.01), mslstm_keras.FrameL1L2(), metrics=[mslstm_keras.FrameMSE(4)])
        history = model.fit(frames[:2, :6], frames[:2, 1:7], verbose=0).history
        found["after"] = model.trainable_variables[0].numpy()
        found["mse"] = history["frame_mse"]
        np.savez(f"{place}/found.npz", **found)
    """
    child = run_script(script, ROOT, tiny_zoo / NAME / "1", tmp_path)
    assert child.returncode == 0, child.stderr
    found = np.load(tmp_path / "found.npz")
    expected = forecast(load_pretrained(NAME, tiny_zoo), frames[:, :3])
    for reading in ("served", "predicted", "forecast"):
        assert_close(found[reading], expected, 1e-5)
    assert np.abs(found["after"] - found["before"]).max() > 1e-4
    assert np.isfinite(found["mse"]).all()


@pytest.fixture
def quick(tiny_zoo, monkeypatch):
    """Adds without scores, SavedModel and pictures of its own, for tests about something else."""

    def export(model, folder, *, scale, half):
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text("enough for a test")

    scores = find_pretrained(NAME, tiny_zoo).scores
    monkeypatch.setattr(adding, "evaluate", lambda *arguments, **named: scores)
    monkeypatch.setattr(adding, "export_saved_model", export)
    for name in ("_draw_samples", "_draw_curve"):
        monkeypatch.setattr(adding, name, lambda *arguments: None)


@pytest.mark.usefixtures("quick")
def test_entries_stay_beside_new_ones_and_are_replaced(zoo, other_run, optdigits_dir):
    before = contents(zoo / NAME)
    (zoo / ".partial-00000000-killed").mkdir()
    added = add_pretrained(other_run, zoo=zoo, count=2, data_dir=optdigits_dir)
    assert added.name == "other"
    assert list_pretrained(zoo) == {NAME: list_pretrained(zoo)[NAME], "other": added}
    assert contents(zoo / NAME) == before
    (zoo / NAME / "1" / "left.txt").write_text("of the old entry")
    replaced = add_pretrained(other_run, name=NAME, zoo=zoo, count=2, data_dir=optdigits_dir)
    assert list_pretrained(zoo) == {NAME: replaced, "other": added}
    assert replaced.recipe.name == "other"
    for name in (NAME, "other"):
        for ours, theirs in zip(
            load_pretrained(name, zoo).trainable_variables,
            load_model(other_run).trainable_variables,
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs.numpy().astype("float16").astype("float32"))
    assert sorted(path.name for path in zoo.iterdir()) == ["index.json", NAME, "other"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("full_at", ["saved_model.pb", "README.md", "index.json"])
@pytest.mark.parametrize("name", [NAME, "new"])
def test_a_failure_while_writing_leaves_the_zoo_as_it_was(
    zoo, other_run, optdigits_dir, monkeypatch, full_at, name
):
    write_text = Path.write_text

    def write_half(path, text, **options):
        if path.name.endswith(full_at):
            write_text(path, text[: len(text) // 2], **options)
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write_text(path, text, **options)

    monkeypatch.setattr(Path, "write_text", write_half)
    before = contents(zoo)
    with pytest.raises(OSError, match="No space left on device"):
        add_pretrained(other_run, name=name, zoo=zoo, count=1, data_dir=optdigits_dir)
    assert contents(zoo) == before
    assert sorted(path.name for path in zoo.iterdir()) == ["index.json", NAME]
    verify_pretrained(NAME, zoo)


@pytest.mark.usefixtures("quick")
def test_a_zoo_whose_index_is_unreadable_is_not_written_over(zoo, other_run, optdigits_dir):
    (zoo / "index.json").write_text("{")
    before = contents(zoo)
    with pytest.raises(ValueError, match=r"readable index\.json"):
        add_pretrained(other_run, zoo=zoo, count=1, data_dir=optdigits_dir)
    assert contents(zoo) == before


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", ".hidden", "a b"])
def test_a_name_is_that_of_a_plain_folder(tmp_path, other_run, optdigits_dir, name):
    with pytest.raises(
        ValueError, match=rf"`name` must be letters, digits.* Received: name={re.escape(repr(name))}"
    ):
        add_pretrained(other_run, name=name, zoo=tmp_path / "zoo", count=1, data_dir=optdigits_dir)
    assert listing(tmp_path) == []


def test_runs_that_cannot_be_added(tmp_path, tiny_run, optdigits_dir):
    zoo = tmp_path / "zoo"
    with pytest.raises(
        ValueError, match=r"`run_dir` must hold a checkpoint\.keras. Received: run_dir='.*nothing'"
    ):
        add_pretrained(tmp_path / "nothing", zoo=zoo, data_dir=optdigits_dir)
    with pytest.raises(
        ValueError, match=r"`run_dir` must hold a checkpoint\.keras. Received: run_dir='.*nothing'"
    ):
        add_pretrained(tiny_run, zoo=zoo, count=1, data_dir=optdigits_dir, beside={"b": tmp_path / "nothing"})
    with pytest.raises(ValueError, match="`data` must be prepared, by `mslstm data prepare"):
        add_pretrained(tiny_run, zoo=zoo, data_dir=tmp_path)
    with pytest.raises(ValueError, match=r"`count` must lie in 1 \.\. 20 clips. Received: count=21"):
        add_pretrained(tiny_run, zoo=zoo, count=21, data_dir=optdigits_dir)
    assert not zoo.exists()


def test_a_zoo_that_cannot_be_written_is_told_before_clips_are_scored(tiny_run, tmp_path, optdigits_dir):
    (tmp_path / "file").touch()
    zoo = tmp_path / "file" / "zoo"
    with pytest.raises(NotADirectoryError, match=r"file/zoo/index\.json'$"):
        add_pretrained(
            tiny_run, zoo=zoo, data_dir=optdigits_dir, progress=lambda *_: pytest.fail("a clip was scored")
        )


def test_a_single_test_clip_is_sample_enough(tiny_run, tmp_path, frames):
    one = Clips(lambda indices: (frames[:1] * 255).astype("uint8")[indices], 1)
    adding._draw_samples(load_model(tiny_run), one, tmp_path / "samples.gif")
    with Image.open(tmp_path / "samples.gif") as samples:
        assert samples.n_frames == 3 + 4
