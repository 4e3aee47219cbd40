"""The index of a zoo, and the zoo that comes with the package."""

import contextlib
import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.zoo.index import (
    find_pretrained,
    holds_saved_model,
    list_pretrained,
    verify_pretrained,
    zoo_folder,
)
from mslstm_keras.zoo.loading import load_model, load_pretrained
from tests.support.equations import assert_close
from tests.support.zoos import NAME, index_of


@pytest.mark.parametrize("use", [find_pretrained, verify_pretrained, load_pretrained, load_model])
def test_an_unknown_name_is_answered_with_the_nearest(tiny_zoo, use):
    message = f"`name` must be a model of the zoo, such as {NAME}. Received: name='ms_lstm_mnist'"
    with pytest.raises(ValueError, match=re.escape(message)):
        use("ms_lstm_mnist", tiny_zoo)


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", "{}", '{"entries": []}', '{"entries": 3}', '{"entries": {"a": {}}}', '{"entries": {"a": 3}}',
     '{"entries": {"a": {"recipe": {"name": "a", "no_field": 1}}}}', b"\xff\xfe"],
)  # fmt: skip
def test_an_index_that_cannot_be_read_is_named(tmp_path, text):
    index = tmp_path / "index.json"
    if text is not None:
        index.write_bytes(text if isinstance(text, bytes) else text.encode())
    message = f"`zoo` must be a folder with a readable index.json. Received: {index} ("
    for use in (list_pretrained, lambda zoo: load_pretrained("a", zoo), lambda zoo: load_model("a", zoo)):
        with pytest.raises(ValueError, match=re.escape(message)):
            use(tmp_path)


def test_an_entry_that_is_being_replaced_is_looked_at_again(zoo, monkeypatch):
    index, content = zoo / "index.json", (zoo / "index.json").read_text()
    entries = index_of(zoo)
    entries[NAME]["files"]["1/curve.csv"]["size"] += 1
    index.write_text(json.dumps({"entries": entries}))  # the folder is renamed already, the index not yet

    @contextlib.contextmanager
    def waits(folder):
        assert folder == zoo
        index.write_text(content)  # by the process that holds the lock
        yield

    monkeypatch.setattr("mslstm_keras.zoo.index.locked", waits)
    assert verify_pretrained(NAME, zoo) == zoo / NAME / "1"


def test_a_field_too_many_is_an_unreadable_index(zoo):
    entries = index_of(zoo)
    entries[NAME]["colour"] = "green"
    (zoo / "index.json").write_text(json.dumps({"entries": entries}))
    with pytest.raises(ValueError, match=r"readable index\.json.*colour"):
        list_pretrained(zoo)


TEST_CLIPS = {
    "moving_mnist_clips/paper": 4500,
    "moving_mnist_clips/fashion": 10_000,
    "radar_maps/europe": 512,
}
"""All that there are."""


def test_the_zoo_of_the_package_is_whole():
    entries = list_pretrained()
    assert NAME in entries
    for name, entry in entries.items():
        assert verify_pretrained(name) == zoo_folder() / name / "1"
        assert entry.scores["clips"] == TEST_CLIPS[entry.recipe.data]
    stray = {path.name for path in zoo_folder().iterdir()} - {"index.json", *entries}
    assert stray == set()


def test_a_zoo_may_be_installed_without_saved_models(zoo):
    folder = zoo / NAME / "1"
    shutil.rmtree(folder / "variables")
    (folder / "saved_model.pb").unlink()
    message = re.escape(f"{folder / 'saved_model.pb'} is missing")
    with pytest.raises(ValueError, match=message):  # half of one is damage
        verify_pretrained(NAME, zoo)
    assert holds_saved_model(folder)
    (folder / "fingerprint.pb").unlink()
    assert not holds_saved_model(folder)
    assert verify_pretrained(NAME, zoo) == folder
    load_pretrained(NAME, zoo)
    (folder / "README.md").unlink()
    with pytest.raises(ValueError, match=r"README\.md is missing"):
        verify_pretrained(NAME, zoo)


def test_the_trained_model_beats_persistence_and_the_promise():
    entry = list_pretrained()[NAME]
    assert entry.scores["model"]["mse"]["mean"] < 125 < entry.scores["persistence"]["mse"]["mean"]
    context, future = entry.recipe.context_frames, entry.recipe.forecast_frames
    frames = np.zeros((1, context, *entry.recipe.frame_shape), "float32")
    serve = tf.saved_model.load(str(zoo_folder() / NAME / "1")).signatures["serving_default"]
    model = load_pretrained(NAME)
    assert_close(serve(frames=tf.constant(frames))["forecast"], forecast(model, frames), 1e-5)
    assert_close(model.predict(frames, verbose=0)[:, -future:], forecast(model, frames), 1e-5)


def test_every_model_of_the_package_serves_floats_bytes_and_streams():
    for name in list_pretrained():
        content = (zoo_folder() / name / "1" / "saved_model.pb").read_bytes()
        (meta,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
        assert {"serving_default", "uint8", "initial_state", "step"} <= set(meta.signature_def), name
