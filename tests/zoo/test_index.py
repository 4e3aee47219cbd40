"""The zoo: what is in it, who can read it, what is refused, and that writing it is all or nothing."""

import csv
import errno
import hashlib
import importlib.metadata
import json
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

import mslstm_keras
from mslstm_keras.cli import main
from mslstm_keras.data.clips import Clips
from mslstm_keras.data.splits import split_clips
from mslstm_keras.evaluation.scores import evaluate
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.training.fit import read_recipe
from mslstm_keras.zoo import index as zoo_module
from mslstm_keras.zoo.adding import add_pretrained
from mslstm_keras.zoo.index import find_pretrained, list_pretrained, verify_pretrained, zoo_folder
from mslstm_keras.zoo.loading import load_model, load_pretrained, load_runs
from tests.support.equations import assert_close
from tests.support.processes import run_script

NAME = "ms_lstm_moving_mnist"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def zoo(tiny_zoo, tmp_path):
    """A copy of the zoo, to be changed."""
    return shutil.copytree(tiny_zoo, tmp_path / "zoo")


@pytest.fixture(scope="module")
def frames(optdigits_dir):
    return split_clips("moving_mnist_clips/optdigits", "test", optdigits_dir).read(np.arange(3)) / np.float32(
        255
    )


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def contents(folder):
    return {path: (folder / path).read_bytes() for path in listing(folder)}


def index_of(zoo):
    return json.loads((zoo / "index.json").read_text())["entries"]


# What an entry is


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
    assert set(entry.versions) == {"python", "mslstm-keras", "keras", "tensorflow", "numpy"}
    assert entry.versions["mslstm-keras"] == mslstm_keras.__version__
    for package in ("keras", "numpy"):
        assert entry.versions[package] == importlib.metadata.version(package)
    assert entry.versions["tensorflow"].startswith(tf.__version__)


def test_scores_are_those_of_the_test_clips(tiny_zoo, tiny_run, other_run, optdigits_dir):
    clips = split_clips("moving_mnist_clips/optdigits", "test", optdigits_dir)
    entry = find_pretrained(NAME, tiny_zoo)
    assert entry.scores == evaluate(load_model(tiny_run), clips, count=5)
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
    assert f"| {NAME} | {entry.scores['model']['mse']['mean']:.2f} |" in card
    assert "8 clips seen" in card
    assert '"filters": 2,' in card
    assert "- the other: 4 clips seen; `context_frames` = 2, `forecast_frames` = 5, `filters` = 1" in card
    with open(folder / "curve.csv", newline="") as file:
        assert [line["step"] for line in csv.DictReader(file)] == ["2", "4"]
    with Image.open(folder / "samples.gif") as samples:
        assert samples.n_frames == 3 + 4
    with Image.open(folder / "curve.png") as curve:
        curve.verify()


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
            "steps": [int(model.optimizer.iterations)],
        }
        history = model.fit(frames[:2, :6], frames[:2, 1:7], verbose=0).history
        found["steps"].append(int(model.optimizer.iterations))
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
    assert found["steps"].tolist() == [4, 5]
    assert np.abs(found["after"] - found["before"]).max() > 1e-4
    assert np.isfinite(found["mse"]).all()


def test_it_is_the_model_of_the_run(tiny_zoo, tiny_run):
    model, trained = load_pretrained(NAME, tiny_zoo), load_model(tiny_run)
    for ours, theirs in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(model.optimizer.variables, trained.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# What is refused


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("path", ["1/model.weights.h5", "1/saved_model.pb", "1/README.md"])
@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (Path.unlink, "is missing"),
        (cut, r"has \d+ bytes, not \d+"),
        (flip, r"is altered \(SHA-256 [0-9a-f]{64}\)"),
    ],
)
def test_a_damaged_file_is_refused_and_named(zoo, capsys, path, damage, what):
    assert verify_pretrained(NAME, zoo) == zoo / NAME / "1"
    file = zoo / NAME / path
    damage(file)
    message = rf"`zoo` must hold every file of an entry as the index lists it\. Received: {re.escape(str(file))} {what}"
    for use in (verify_pretrained, load_pretrained, lambda name, zoo: load_model(name, zoo)):
        with pytest.raises(ValueError, match=f"^{message}$"):
            use(NAME, zoo)
    for words in (["verify"], ["verify", NAME], ["show", NAME]):
        assert main(["zoo", *words, "--zoo", str(zoo)]) == 2
        out, error = capsys.readouterr()
        assert re.fullmatch(f"mslstm: {message}\n", error)
        assert out == ""


def altered(kind, contents, rng):
    """Returns contents of one or two files, in a different state."""
    path, other = rng.choice(sorted(contents), 2, replace=False)
    content = contents[path]
    if kind == "swap":
        return {path: contents[other], other: content}
    place = int(rng.integers(len(content)))
    if kind == "cut":
        return {path: content[:place]}
    changed = bytes([content[place] ^ 1 << int(rng.integers(8))])
    return {path: content[:place] + changed + content[place + 1 :]}


@pytest.mark.slow
def test_a_thousand_altered_zoos_are_refused(zoo):
    """A changed bit, a file cut off, two files in each other's place; where it is the index, it must still be right."""
    whole, files = contents(zoo), find_pretrained(NAME, zoo).files
    assert f"{NAME}/1/model.weights.h5" in whole and "index.json" in whole
    refused, rng = 0, np.random.default_rng(0)
    for kind in rng.choice(["flip", "cut", "swap"], 1000):
        changes = altered(kind, whole, rng)
        if all(whole[path] == content for path, content in changes.items()):
            continue  # the two files are the same
        for path, content in changes.items():
            (zoo / path).write_bytes(content)
        try:
            load_pretrained(NAME, zoo)
        except ValueError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            assert list(changes) == ["index.json"] and find_pretrained(NAME, zoo).files == files
        for path in changes:
            (zoo / path).write_bytes(whole[path])
    assert refused > 900
    load_pretrained(NAME, zoo)


def test_every_file_counts(zoo):
    for path, content in contents(zoo / NAME).items():
        file = zoo / NAME / path
        flip(file)
        with pytest.raises(ValueError, match=f"{re.escape(str(file))} is altered"):
            verify_pretrained(NAME, zoo)
        file.write_bytes(content)
    verify_pretrained(NAME, zoo)


@pytest.mark.parametrize("path", ["1/extra.py", "2/model.weights.h5", "note.txt"])
def test_a_file_that_is_not_listed_is_refused(zoo, path):
    file = zoo / NAME / path
    file.parent.mkdir(exist_ok=True)
    file.write_text("x")
    with pytest.raises(ValueError, match=f"Received: {re.escape(str(file))} is not listed$"):
        load_pretrained(NAME, zoo)


def test_a_whole_entry_that_is_missing_is_refused(zoo):
    shutil.rmtree(zoo / NAME)
    with pytest.raises(ValueError, match="is missing"):
        verify_pretrained(NAME, zoo)


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


def test_a_field_too_many_is_an_unreadable_index(zoo):
    entries = index_of(zoo)
    entries[NAME]["colour"] = "green"
    (zoo / "index.json").write_text(json.dumps({"entries": entries}))
    with pytest.raises(ValueError, match=r"readable index\.json.*colour"):
        list_pretrained(zoo)


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("../other", "1/a", "`name` must be letters, digits, `_`, `-` and `.`. Received: name='../other'"),
        ("/tmp", "1/a", "`name` must be letters"),
        ("a/b", "1/a", "`name` must be letters"),
        ("a", "../../etc/passwd", "`files` must be paths below the folder of the entry. Received: '../../etc/passwd'"),
        ("a", "1/../../a", "`files` must be paths below"),
        ("a", "/etc/passwd", "`files` must be paths below"),
        ("a", "1\\..\\..\\a", "`files` must be paths below"),
        ("a", "1//a", "`files` must be paths below"),
        ("a", "./1/a", "`files` must be paths below"),
    ],
)  # fmt: skip
def test_an_index_cannot_leave_its_folder(zoo, name, path, message):
    entry = index_of(zoo)[NAME]
    entry["files"] = {path: {"size": 1, "sha256": "0" * 64}}
    (zoo / "index.json").write_text(json.dumps({"entries": {name: entry}}))
    for use in (find_pretrained, verify_pretrained, load_pretrained):
        with pytest.raises(ValueError, match=re.escape(message)):
            use(name, zoo)


@pytest.mark.parametrize(
    "expected",
    [{"size": -1, "sha256": "0" * 64}, {"size": 1.0, "sha256": "0" * 64}, {"size": 1, "sha256": "0" * 63}],
)
def test_an_index_tells_sizes_and_sums(zoo, expected):
    entry = index_of(zoo)[NAME]
    entry["files"] = {"1/a": expected}
    (zoo / "index.json").write_text(json.dumps({"entries": {NAME: entry}}))
    with pytest.raises(ValueError, match="`files` must have a size and a SHA-256"):
        load_pretrained(NAME, zoo)


@pytest.mark.parametrize("path", [".", "1", "1/config.json"])
def test_a_link_is_refused_even_if_what_it_leads_to_is_right(zoo, tmp_path, path):
    linked = zoo / NAME / path
    shutil.move(linked, tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=f"Received: {re.escape(str(linked))} is a link$"):
        load_pretrained(NAME, zoo)


def test_an_index_that_is_no_index_is_not_read_into_memory(zoo):
    with open(zoo / "index.json", "r+b") as file:
        file.truncate(2**40)  # of which the disk holds next to nothing
    with pytest.raises(ValueError, match="it has 1,099,511,627,776 bytes, more than 16,777,216"):
        list_pretrained(zoo)


# Writing


@pytest.fixture
def quick(tiny_zoo, monkeypatch):
    """Adds without scores, SavedModel and pictures of its own, for tests about something else."""

    def export(model, folder, *, rain_scale):
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text("enough for a test")

    scores = find_pretrained(NAME, tiny_zoo).scores
    monkeypatch.setattr(zoo_module, "evaluate", lambda model, clips, count, protocol: scores)
    monkeypatch.setattr(zoo_module, "export_saved_model", export)
    for name in ("_draw_samples", "_draw_curve"):
        monkeypatch.setattr(zoo_module, name, lambda *arguments: None)


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
        assert load_pretrained(name, zoo).optimizer.iterations == 2
    assert sorted(path.name for path in zoo.iterdir()) == ["index.json", NAME, "other"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("full_at", ["saved_model.pb", "README.md", "index.json"])
@pytest.mark.parametrize("name", [NAME, "new"])
def test_a_failure_while_writing_leaves_the_zoo_as_it_was(
    zoo, other_run, optdigits_dir, monkeypatch, full_at, name
):
    write_text = Path.write_text

    def write_half(path, text):
        if path.name.endswith(full_at):
            write_text(path, text[: len(text) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write_text(path, text)

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


def test_a_single_test_clip_is_sample_enough(tiny_run, tmp_path, frames):
    one = Clips(lambda indices: (frames[:1] * 255).astype("uint8")[indices], 1)
    zoo_module._draw_samples(load_model(tiny_run), one, tmp_path / "samples.gif")
    with Image.open(tmp_path / "samples.gif") as samples:
        assert samples.n_frames == 3 + 4


# Loading by name or path


def test_every_form_of_a_model_loads(tiny_zoo, tiny_run, tmp_path):
    file = shutil.copy(tiny_run / "checkpoint.keras", tmp_path / "mine.keras")
    expected = load_pretrained(NAME, tiny_zoo).get_weights()
    forms = [file, str(file), tiny_run, str(tiny_run), tiny_zoo / NAME, tiny_zoo / NAME / "1"]
    for model in (load_model(NAME, tiny_zoo), *map(load_model, forms)):
        for ours, theirs in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


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


# The zoo that comes with the package


def test_the_zoo_of_the_package_is_whole():
    entries = list_pretrained()
    assert NAME in entries
    for name, entry in entries.items():
        assert verify_pretrained(name) == zoo_folder() / name / "1"
        assert entry.scores["clips"] >= 1000
    stray = {path.name for path in zoo_folder().iterdir()} - {"index.json", *entries}
    assert stray == set()


def test_the_trained_model_beats_persistence_and_the_promise():
    entry = list_pretrained()[NAME]
    assert entry.scores["model"]["mse"]["mean"] < 125 < entry.scores["persistence"]["mse"]["mean"]
    context, future = entry.recipe.context_frames, entry.recipe.forecast_frames
    frames = np.zeros((1, context, *entry.recipe.frame_shape), "float32")
    serve = tf.saved_model.load(str(zoo_folder() / NAME / "1")).signatures["serving_default"]
    model = load_pretrained(NAME)
    assert_close(serve(frames=tf.constant(frames))["forecast"], forecast(model, frames), 1e-5)
    assert_close(model.predict(frames, verbose=0)[:, -future:], forecast(model, frames), 1e-5)


@pytest.mark.parametrize("path", ["missing.keras", "runs/missing"])
def test_a_model_file_that_is_missing_is_not_looked_for_in_the_zoo(path, tiny_zoo):
    with pytest.raises(ValueError, match=f"`model` must be a file or folder that exists.* Received: {path}"):
        load_model(path, tiny_zoo)


def test_every_model_of_the_package_serves_floats_bytes_and_streams():
    for name in list_pretrained():
        content = (zoo_folder() / name / "1" / "saved_model.pb").read_bytes()
        (meta,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
        assert {"serving_default", "uint8", "initial_state", "step"} <= set(meta.signature_def), name
