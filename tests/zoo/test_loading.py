"""Models by their names and places."""

import json
import re
import shutil

import keras
import numpy as np
import pytest

from mslstm_keras.data.facts import DataFacts
from mslstm_keras.zoo.loading import data_of, load_model, load_pretrained, load_runs, name_of, scale_of
from tests.support.folders import cut
from tests.support.zoos import NAME


def assert_rounded(model, trained):
    """Asserts that a model of the zoo has the weights of another, rounded to what float16 holds."""
    for ours, theirs in zip(model.trainable_variables, trained.trainable_variables, strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy().astype("float16").astype("float32"))


def test_it_is_the_model_of_the_run(tiny_zoo, tiny_run):
    model, trained = load_pretrained(NAME, tiny_zoo), load_model(tiny_run)
    assert_rounded(model, trained)
    assert trained.compiled and not model.compiled  # without the optimiser's state, it is a third as large


def test_several_seeds_are_loaded_by_their_folder(tiny_run, other_run, tmp_path):
    for seed, run in ((10, tiny_run), (9, other_run)):
        shutil.copytree(run, tmp_path / f"seed-{seed}")
    found = load_runs(tmp_path)
    for model, run in zip(found, (other_run, tiny_run), strict=True):  # 9 comes before 10
        for weight, expected in zip(model.weights, load_model(run).weights, strict=True):
            np.testing.assert_array_equal(weight.numpy(), expected.numpy())
    assert len(load_runs(tiny_run)) == 1
    with pytest.raises(ValueError, match="`model` must be a file or folder that exists"):
        load_runs(tmp_path / "nothing")


def test_every_form_of_a_model_loads(tiny_zoo, tiny_run, tmp_path):
    file = shutil.copy(tiny_run / "checkpoint.keras", tmp_path / "mine.keras")
    trained = keras.models.load_model(file)
    for model in map(load_model, [file, str(file), tiny_run, str(tiny_run)]):
        for ours, theirs in zip(model.get_weights(), trained.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for model in (load_model(NAME, tiny_zoo), load_model(tiny_zoo / NAME), load_model(tiny_zoo / NAME / "1")):
        assert_rounded(model, trained)


def test_a_model_that_cannot_be_read_is_named(tmp_path, tiny_run, zoo):
    whole = (tiny_run / "checkpoint.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "nonsense.keras").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "empty.keras").write_bytes(b"")
    (tmp_path / "text.txt").write_text("no model")
    (tmp_path / "folder").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.keras").write_bytes(whole[:100])
    cut(zoo / NAME / "1" / "model.weights.h5")
    for name in ("cut.keras", "nonsense.keras", "empty.keras", "text.txt", "folder", "run", f"zoo/{NAME}"):
        path = re.escape(str(tmp_path / name))
        with pytest.raises(
            ValueError, match=rf"`model` must be a Keras model that .* Received: {path}.* \(.+\)"
        ):
            load_model(tmp_path / name)


@pytest.mark.parametrize("path", ["missing.keras", "runs/missing"])
def test_a_model_file_that_is_missing_is_not_looked_for_in_the_zoo(path, tiny_zoo):
    with pytest.raises(ValueError, match=f"`model` must be a file or folder that exists.* Received: {path}"):
        load_model(path, tiny_zoo)


@pytest.mark.parametrize("preset", ["hf://someone/tiny@v1.0", "kaggle://someone/tiny/keras/small/2"])
def test_a_preset_of_a_host_is_served_under_its_name_there(preset):
    assert name_of(preset) == "tiny"


def test_folders_keep_their_whole_names(tmp_path, monkeypatch):
    (tmp_path / "rate-0.5").mkdir()
    (tmp_path / "rate-0.5.keras").touch()
    monkeypatch.chdir(tmp_path / "rate-0.5")
    for name in ("../rate-0.5", "../rate-0.5.keras", ".", tmp_path / "rate-0.5"):
        assert name_of(name) == "rate-0.5"
    assert name_of("conv_lstm_radar") == "conv_lstm_radar"


def with_recipe(run, folder, **fields):
    """Returns a copy of a run whose recipe says something else, None for nothing at all."""
    shutil.copytree(run, folder)
    recipe = json.loads((folder / "recipe.json").read_text()) | fields
    kept = {name: value for name, value in recipe.items() if value is not None}
    (folder / "recipe.json").write_text(json.dumps(kept))
    return folder


def test_what_a_model_was_trained_on(tiny_run, tmp_path, zoo):
    facts = {"quantity": "rain rate", "scale": "rain:dwd", "interval_minutes": 5.0, "spacing_metres": 1000.0}
    run = with_recipe(tiny_run, tmp_path / "runs" / "seed-1", **facts)
    assert data_of(run) == data_of(tmp_path / "runs") == DataFacts(**facts)
    assert scale_of(run) == scale_of(tmp_path / "runs") == "rain:dwd"
    assert data_of(tiny_run) == data_of(NAME, zoo) == data_of(run / "checkpoint.keras") == DataFacts()
    index = json.loads((zoo / "index.json").read_text())
    index["entries"][NAME]["recipe"] |= facts
    (zoo / "index.json").write_text(json.dumps(index))
    assert data_of(NAME, zoo) == DataFacts(**facts)


def test_what_older_recipes_do_not_say_is_found_by_their_data_set(tiny_run, tmp_path):
    old = {"data": "dwd_radar_clips/knmi_hours", "quantity": None, "interval_minutes": None}
    run = with_recipe(tiny_run, tmp_path / "run", **old, spacing_metres=None)
    assert data_of(run) == DataFacts("rain rate", "rain:dwd", 10, 5000)
    run = with_recipe(tiny_run, tmp_path / "variant", data="dwd_radar_clips/mine", interval_minutes=5.0)
    assert data_of(run) == DataFacts(None, "rain:dwd", 5.0, None)
