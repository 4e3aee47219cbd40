"""The command line: what it prints, what it writes, and one line and status 2 for whatever the user got wrong."""

import argparse
import json
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mslstm_keras
from mslstm_keras import cli
from mslstm_keras.cli import main
from mslstm_keras.data.catalogue import find_builder, list_data
from mslstm_keras.data.splits import split_clips
from mslstm_keras.evaluation.comparison import evaluate_models, evaluation_csv, evaluation_table
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.frames.read import read_clip
from mslstm_keras.frames.write import write_clip
from mslstm_keras.training.fit import read_recipe
from mslstm_keras.training.recipes import RECIPES
from mslstm_keras.zoo.loading import load_model
from tests.export.test_convert import reference_parameters
from tests.support.processes import no_file_larger_than, run_script

ROOT = Path(__file__).parents[1]
NAME = "ms_lstm_moving_mnist"
OPTDIGITS = "moving_mnist_clips/optdigits"
TINY = {
    "model": "conv_lstm",
    "filters": 1,
    "layers": 1,
    "patch_size": 16,
    "context_frames": 2,
    "forecast_frames": 2,
}
TINY |= {"batch_size": 2, "steps": 4, "interval_steps": 2, "decay_steps": 0}
TINY_TEXT = {name: str(value) for name, value in TINY.items()}
SETTINGS = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture
def mslstm(capsys):
    """Runs a command line in this process."""

    def run(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        out, error = capsys.readouterr()
        return SimpleNamespace(status=status, out=out, error=error)

    return run


@pytest.fixture
def succeed(mslstm):
    def run(*words):
        ended = mslstm(*words)
        assert (ended.status, ended.error) == (0, "")
        return ended.out

    return run


@pytest.fixture
def fail(mslstm, tmp_path):
    """Runs a command line that must end in one line about its fault and leave the folder of the test as it was."""

    def run(*words):
        before = listing(tmp_path)
        ended = mslstm(*words)
        assert (ended.status, ended.out) == (2, "")
        assert re.fullmatch(r"mslstm: [^\n]+\n", ended.error)
        assert listing(tmp_path) == before
        return ended.error

    return run


@pytest.fixture(scope="session")
def clip(optdigits_dir):
    """Ten frames of a test clip, as numbers in [0, 1]."""
    frames = split_clips(OPTDIGITS, "test", optdigits_dir).read(np.array([0]))[0]
    return frames[:10] / np.float32(255)


@pytest.fixture
def files(tmp_path, clip):
    """A folder with clips, whole and broken."""
    folder = tmp_path / "files"
    folder.mkdir()
    np.save(folder / "clip.npy", clip)
    write_clip(folder / "clip.gif", clip, scale=1)
    (folder / "frames").mkdir()
    for index, frame in enumerate(clip):
        Image.fromarray((frame[..., 0] * 255).astype("uint8")).save(folder / "frames" / f"{index}.png")
    for name in ("clip.npy", "clip.gif"):
        content = (folder / name).read_bytes()
        (folder / f"cut{name[4:]}").write_bytes(content[: len(content) // 2])
    np.save(folder / "short.npy", clip[:2])
    np.save(folder / "nan.npy", np.where(clip > 0.5, np.nan, clip))
    np.save(folder / "large.npy", clip * 255)
    np.save(folder / "narrow.npy", clip[:, :, :32])
    (folder / "clip.txt").write_text("no clip")
    (folder / "model.keras").write_text("no model")
    return folder


def width_of(picture):
    with Image.open(picture) as image:
        return image.width


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def parsers(parser=None, words=()):
    """Yields the words of every sub-command, and its parser."""
    parser = cli._parser() if parser is None else parser
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for name, child in ((name, child) for group in groups for name, child in group.choices.items()):
        yield from parsers(child, (*words, name))
    if not groups:
        yield words, parser


COMMANDS = dict(parsers())


# Help


def test_these_are_the_commands():
    zoo = {("zoo", name) for name in ("list", "show", "verify", "add")}
    data = {("data", name) for name in ("list", "prepare", "info", "show")}
    study = {("study", name) for name in ("receptive-field", "layers", "architecture", "compare", "curves")}
    names = (
        "demo",
        "forecast",
        "train",
        "tune",
        "evaluate",
        "models",
        "recipes",
        "convert",
        "cost",
        "export",
        "serving",
    )
    assert set(COMMANDS) == zoo | data | study | {(name,) for name in names}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_an_example_that_is_a_command(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    program, *example = shlex.split(text.partition("example: ")[2])
    assert program == "mslstm"
    assert tuple(example[: len(words)]) == words
    assert cli._parser().parse_args(example).run


@pytest.mark.parametrize("words", [[], ["zoo"], ["data"], ["study"]])
def test_groups_name_their_commands(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        if command[: len(words)] == tuple(words):
            assert command[len(words)] in text.split()
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"{mslstm_keras.__version__}\n"


@pytest.mark.parametrize(
    "words",
    ["", "nonsense", "forecast", "forecast --model a --input b", "forecast --horizon ten", "train",
     "train optdigits_quick --set filters", "tune", "tune optdigits_quick --vary filters",
     "tune optdigits_quick --vary filters=[1", "zoo show", "evaluate --model a --dataset b --clips x",
     "evaluate --model a --dataset b --output c.txt", "zoo add r --beside b",
     "cost --frame 8x8", "convert a b.txt --model ms_lstm --frame 8x8", "convert a b.keras --model ms_lstm --frame 8"],
)  # fmt: skip
def test_words_that_are_no_command_end_with_status_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words.split())
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert re.search(r"^mslstm.*: error: ", error, re.MULTILINE)
    assert "Traceback" not in error


# What it does


def test_models_recipes_and_data_are_listed(succeed):
    assert succeed("models").split() == mslstm_keras.list_models()
    assert json.loads(succeed("models", "--json")) == mslstm_keras.list_models()
    assert [line.split()[0] for line in succeed("recipes").splitlines()] == list(RECIPES)
    assert json.loads(succeed("recipes", "--json")) == {name: one.to_dict() for name, one in RECIPES.items()}
    assert succeed("data", "list").split() == json.loads(succeed("data", "list", "--json")) == list_data()


def test_a_model_is_exported(succeed, tiny_zoo, tmp_path):
    path = tmp_path / "model.onnx"
    printed = succeed("export", NAME, "--zoo", tiny_zoo, "--format", "onnx", "--output", path, "--json")
    facts = json.loads(printed)
    assert 0 <= facts.pop("deviation") < 1e-5
    assert facts == {"path": str(path), "format": "onnx"} and path.stat().st_size > 0
    # A radar model, by what its data is said to be.
    folder = tmp_path / "model"
    printed = succeed("export", NAME, "--zoo", tiny_zoo, "--output", folder, "--rain-scale", "dwd")
    assert re.fullmatch(rf"{folder}: \d\.\de[+-]\d\d from Keras at most\n", printed)
    assert "rain_rate" in tf.saved_model.load(folder).signatures


def test_a_folder_for_tensorflow_serving_is_written(succeed, tiny_zoo, tmp_path):
    printed = succeed("serving", NAME, "--zoo", tiny_zoo, "--output", tmp_path / "serving")
    assert printed.startswith("docker run ") and f"{tmp_path}/serving:/models:ro" in printed
    assert (tmp_path / "serving" / NAME / "1" / "saved_model.pb").exists()
    assert f'name: "{NAME}"' in (tmp_path / "serving" / "models.config").read_text()


def test_weights_of_pytorch_become_a_model(succeed, fail, monkeypatch, tmp_path):
    """PyTorch's own reader is tested in `export/test_convert.py`."""
    model = mslstm_keras.create_model(
        "traj_gru", (8, 12, 2), 2, 3, filters=4, layers=2, links=3, half_pixel_offset=True
    )
    parameters, clip = (
        reference_parameters(model),
        np.random.default_rng(0).random((1, 2, 8, 12, 2), "float32"),
    )
    mslstm_keras.export.load_reference_parameters(model, parameters)
    monkeypatch.setattr("mslstm_keras.export.convert.read_checkpoint", lambda path: parameters)
    words = ["--model", "traj_gru", "--frame", "8x12", "--context", 2, "--forecast", 3, "--set", "links=3"]
    output = tmp_path / "model.keras"
    assert succeed("convert", "a.pth", output, *words).startswith(f"{output}: traj_gru, ")
    np.testing.assert_array_equal(load_model(output)(clip), model(clip))
    output.unlink()
    assert "as (3, 3, 4, 10)" in fail("convert", "a.pth", output, *words, "--set", "links=5")
    del parameters["fc.conv_fc.bias"]
    assert "missing=['fc.conv_fc.bias']" in fail("convert", "a.pth", output, *words)


def test_pytorch_is_asked_for_by_name(fail, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    words = ["--model", "ms_lstm", "--frame", "64x64"]
    assert "pip install 'mslstm_keras[torch]'" in fail("convert", "a.pth", tmp_path / "b.keras", *words)


def test_costs_of_the_papers_models_and_of_ones_own_frames(succeed):
    table = succeed("cost", "--dataset", "taxibj", "--models", "conv_lstm", "ms_lstm").splitlines()
    assert [line.split()[0] for line in table[2:4]] == ["conv_lstm", "ms_lstm"]
    assert [line.split()[7] for line in table[2:4]] == ["3.2", "5.9"]
    words = ["--frame", "16x8x3", "--context", 2, "--forecast", 1, "--filters", 4, "--batch-size", 3]
    (found,) = json.loads(succeed("cost", *words, "--models", "conv_lstm", "--json"))
    expected = mslstm_keras.cost.count_cost("conv_lstm", (16, 8, 3), 2, 1, 4, 3).to_dict()
    assert found == json.loads(json.dumps(expected))


def test_a_variant_is_prepared_and_looked_at(mslstm, succeed, tmp_path):
    place = ["--data-dir", tmp_path]
    settings = ["--set", "train_clips=3", "--set", "test_clips=2"]
    ended = mslstm("data", "prepare", OPTDIGITS, "--variant", "few", *settings, *place, "--json")
    facts = json.loads(ended.out.splitlines()[-1])  # the lines before tell of progress
    assert facts["clips"] == {"train": 3, "test": 2}
    assert facts["data"] == "moving_mnist_clips/few"
    lines = succeed("data", "info", "moving_mnist_clips/few", *place).splitlines()
    assert lines[0] == "moving_mnist_clips/few"
    assert any(line.startswith("clips: 3 train, 2 test, ") for line in lines)
    assert lines[-1] == "scored by mse, mae, ssim, psnr"
    sheet = tmp_path / "sheet.png"
    text = succeed(
        "data", "show", "moving_mnist_clips/few", *place, "--clips", 9, "--first", 1, "--output", sheet
    )
    assert text == f"{sheet}: 2 of 3 train clips\n"
    assert width_of(sheet) > 10 * 64


def test_what_is_not_prepared_is_told_with_the_command(succeed, tmp_path):
    lines = succeed("data", "info", "kth_clips/trimmed", "--data-dir", tmp_path).splitlines()
    assert "not prepared: mslstm data prepare kth_clips/trimmed" in lines
    facts = json.loads(succeed("data", "info", "kth_clips/trimmed", "--data-dir", tmp_path, "--json"))
    assert facts["clips"] == {}


def test_data_is_prepared(mslstm, tmp_path, monkeypatch):
    config = find_builder(OPTDIGITS).builder_config
    monkeypatch.setattr(config, "train_clips", 3)
    monkeypatch.setattr(config, "test_clips", 2)
    first = mslstm("data", "prepare", OPTDIGITS, "--data-dir", tmp_path)
    folder = tmp_path / OPTDIGITS / "1.0.0"
    assert first.status == 0
    assert first.out.splitlines()[-1] == f"{folder}: 3 train clips, 2 test clips"
    again = mslstm("data", "prepare", OPTDIGITS, "--data-dir", tmp_path, "--json")
    expected = {"data": OPTDIGITS, "folder": str(folder), "clips": {"train": 3, "test": 2}}
    assert json.loads(again.out) == expected
    assert split_clips(OPTDIGITS, "test", tmp_path).count == 2


def test_data_is_prepared_in_parts(mslstm, tmp_path):
    words = ["data", "prepare", OPTDIGITS, "--data-dir", tmp_path, "--variant", "few"]
    words += ["--set", "train_clips=3", "--set", "test_clips=2"]
    folder = tmp_path / "moving_mnist_clips" / "few" / "1.0.0"
    first = mslstm(*words, "--part", "2/3")
    assert (first.status, first.out) == (0, f"{folder}: part 2 of 3 is made; missing: 1, 3\n")
    second = mslstm(*words, "--part", "3/3", "--json")
    expected = {"data": "moving_mnist_clips/few", "folder": str(folder), "clips": {}, "missing_parts": [1]}
    assert json.loads(second.out) == expected
    other = mslstm(*words, "--part", "1/2")
    assert (other.status, other.out, other.error.count("\n")) == (2, "", 1)
    assert other.error.startswith("mslstm: `part` must be one of 3, as the other parts are (or remove ")
    rest = mslstm(*words, "--processes", "3")
    assert (rest.status, rest.out) == (0, f"{folder}: 3 train clips, 2 test clips\n")


def test_training_is_resumed(mslstm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Path("runs", "optdigits_quick")
    words = ["train", "optdigits_quick"]
    first = mslstm(*words, *SETTINGS)
    assert (first.status, first.error) == (0, "")
    assert first.out.splitlines()[-1] == f"{run}: 4 steps, 8 clips"
    recipe = json.loads((run / "recipe.json").read_text())
    assert {name: recipe[name] for name in TINY} == TINY
    refused = mslstm(*words, *SETTINGS)
    assert (refused.status, refused.out) == (2, "")
    assert refused.error.startswith(
        "mslstm: `run_dir` must be new; resume to go on with what it holds. Received:"
    )
    # The recipe is that of the run: only what changes is said again.
    more = mslstm(*words, "--run-dir", tmp_path / run, "--resume", "--set", "steps=6")
    assert (more.status, more.error) == (0, "")
    assert more.out.splitlines()[-1] == f"{tmp_path / run}: 6 steps, 12 clips"
    assert json.loads((run / "recipe.json").read_text()) == {**recipe, "steps": 6}
    assert load_model(run).optimizer.iterations == 6
    other = mslstm("train", "paper_moving_mnist", "--run-dir", run, "--resume")
    assert other.status == 2
    assert (
        "`recipe` must be that of the run, 'optdigits_quick'. Received: 'paper_moving_mnist'" in other.error
    )


def test_training_starts_from_another_model(mslstm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mslstm("train", "optdigits_quick", *SETTINGS, "--run-dir", "first").status == 0
    words = ["train", "optdigits_quick", *SETTINGS, "--run-dir", "second", "--initial", "first"]
    assert mslstm(*words).status == 0
    recipe = json.loads(Path("second", "recipe.json").read_text())
    assert (recipe["initial"], recipe["initial_clips"]) == ("first", 8)
    assert Path("second", "log.csv").read_text().splitlines()[-1].split(",")[1] == "16"  # clips, of both
    assert mslstm(*words, "--resume").status == 0


def test_training_by_a_file(succeed, tmp_path):
    path, run = tmp_path / "best.json", tmp_path / "run"
    path.write_text(
        json.dumps(RECIPES["optdigits_quick"].with_settings({**TINY_TEXT, "name": "best"}).to_dict())
    )
    assert succeed("train", path, "--run-dir", run).splitlines()[-1] == f"{run}: 4 steps, 8 clips"
    assert read_recipe(run).name == "best"
    assert succeed("train", path, "--run-dir", run, "--resume")


@pytest.mark.filterwarnings("ignore:currentThread.. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:getName.. is deprecated:DeprecationWarning")
def test_a_search_is_a_table_and_files(mslstm, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "mslstm_keras.search.tuner.run_trial", lambda recipe, folder, **more: 10.0 / recipe.filters
    )
    run = tmp_path / "search"
    words = [
        "tune",
        "optdigits_quick",
        *SETTINGS,
        "--run-dir",
        run,
        "--vary",
        "filters=[1,2,3]",
        "--searcher",
        "grid",
    ]
    words += ["--trials", "5", "--max-parameters", "2000"]
    ended = mslstm(*words)
    assert (ended.status, ended.error) == (0, "")
    lines = ended.out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == ["trial 0", "trial 0", "trial 1", "trial 1"]
    assert lines[1] == "trial 0: val_frame_mse 10"
    assert [line.split()[:2] for line in lines[5:7]] == [["1", "2"], ["0", "1"]]
    assert lines[-2].startswith("refused: filters=3: parameters 2,")
    assert lines[-1] == f"{run / 'best.json'}: the recipe of trial 1"
    again = mslstm(*words)
    assert again.status == 2
    assert again.error.startswith(
        "mslstm: `run_dir` must be new; resume to go on with what it holds. Received: "
    )
    resumed = mslstm(*words, "--resume", "--json")
    assert resumed.status == 0
    assert json.loads(resumed.out) == json.loads((run / "results.json").read_text())
    assert (run / "pareto.png").exists()


def test_training_warns_when_it_will_not_fit(mslstm, tmp_path, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=50_000_000))
    ended = mslstm("train", "optdigits_quick", "--run-dir", tmp_path / "run", *SETTINGS)
    assert ended.status == 0
    (line,) = ended.error.splitlines()
    assert re.fullmatch(
        r"mslstm: warning: training will take about 0\.\d GB, and 0\.1 GB are free; --set checkpoint=step or a "
        "smaller batch_size takes less",
        line,
    )


def test_evaluation_is_a_table_and_files(succeed, tiny_run, tmp_path, optdigits_dir):
    file, table = tmp_path / "scores.json", tmp_path / "scores.csv"
    words = [
        "evaluate",
        "--model",
        tiny_run,
        "--dataset",
        OPTDIGITS,
        "--data-dir",
        optdigits_dir,
        "--clips",
        6,
    ]
    text = succeed(*words, "--output", file, table)
    clips = split_clips(OPTDIGITS, "test", optdigits_dir)
    expected = evaluate_models({tiny_run.name: load_model(tiny_run)}, clips, OPTDIGITS, count=6)
    assert json.loads(file.read_text()) == expected
    assert table.read_text() == evaluation_csv(expected)
    assert json.loads(succeed(*words, "--json")) == expected
    assert text.splitlines() == list(evaluation_table(expected))


def test_evaluation_of_all_frames_and_of_ones_own_clips(succeed, tiny_run, tmp_path, optdigits_dir):
    levels = split_clips(OPTDIGITS, "test", optdigits_dir).read(np.arange(20))
    np.save(tmp_path / "own.npy", levels)
    words = ["evaluate", "--model", tiny_run, "--dataset", tmp_path / "own.npy", "--all-frames", "--json"]
    scores = json.loads(succeed(*words))
    assert scores["frames"] == "all"
    assert scores["clips"] == 2  # the last tenth
    assert len(scores["models"][tiny_run.name]["mse"]["per_frame"]) == 6


def test_models_of_one_name_are_told_apart_by_their_folders(succeed, tiny_run, tmp_path, optdigits_dir):
    other = tmp_path / tiny_run.name
    shutil.copytree(tiny_run, other)
    data = ["--dataset", OPTDIGITS, "--data-dir", optdigits_dir, "--clips", 1, "--json"]
    scores = json.loads(succeed("evaluate", "--model", tiny_run, other, *data, "--baselines"))
    assert list(scores["models"]) == [str(tiny_run), str(other)]


def test_evaluation_is_a_report_and_pictures(succeed, tiny_run, tmp_path, optdigits_dir):
    data = ["--dataset", OPTDIGITS, "--data-dir", optdigits_dir]
    scores, report = tmp_path / "scores.json", tmp_path / "report.html"
    succeed("evaluate", "--model", tiny_run, *data, "--clips", 3, "--output", scores, "--report", report)
    text = report.read_text()
    assert f"mslstm evaluate --model {tiny_run} --dataset {OPTDIGITS} --clips 3" in text
    assert text.count("data:image/gif") == 2  # one of each sample
    for name in ("compare.png", "compare.gif"):
        succeed("study", "compare", "--model", tiny_run, *data, "--clip", 1, "--output", tmp_path / name)
        assert width_of(tmp_path / name) > 64
    succeed("study", "curves", scores, "--metrics", "mse", "ssim", "--output", tmp_path / "curves.png")
    assert width_of(tmp_path / "curves.png") > 64


def test_several_seeds_are_trained_and_evaluated(succeed, tmp_path, optdigits_dir):
    run = tmp_path / "runs"
    ended = succeed("train", "optdigits_quick", "--run-dir", run, "--seeds", 2, *SETTINGS)
    assert ended.splitlines()[-1] == f"{run}: 4 steps, 8 clips"
    data = ["--dataset", OPTDIGITS, "--data-dir", optdigits_dir, "--clips", 2]
    scores = json.loads(succeed("evaluate", "--model", run, *data, "--json"))["models"]["runs"]
    alone = [
        json.loads(succeed("evaluate", "--model", run / f"seed-{seed}", *data, "--json"))["models"]
        for seed in (0, 1)
    ]
    means = [next(iter(each.values()))["mse"]["mean"] for each in alone]
    assert scores["mse"]["mean"] == pytest.approx(np.mean(means), rel=1e-5)
    assert scores["mse"]["deviation"] == pytest.approx(np.std(means, ddof=1), rel=1e-3)


@pytest.mark.parametrize("source", ["clip.npy", "clip.gif", "frames"])
def test_every_kind_of_input_is_forecast(succeed, tiny_zoo, files, clip, source):
    output = files / "out.npy"
    text = succeed(
        *("forecast", "--model", NAME, "--zoo", tiny_zoo, "--input", files / source),
        *("--horizon", 6, "--output", output),
    )
    assert text == f"{output}: 6 frames of (64, 64, 1)\n"
    model = load_model(NAME, tiny_zoo)
    np.testing.assert_array_equal(np.load(output), forecast(model, read_clip(files / source), 6))
    # Pictures have 256 levels.
    np.testing.assert_allclose(np.load(output), forecast(model, clip, 6), atol=0.02)


@pytest.mark.parametrize("suffix", ["npy", "gif", "png"])
def test_every_kind_of_output_is_written(succeed, tiny_run, files, clip, suffix):
    output = files / f"out.{suffix}"
    words = ["forecast", "--model", tiny_run, "--input", files / "clip.npy", "--output", output, "--json"]
    assert json.loads(succeed(*words)) == {"output": str(output), "frames": 4, "shape": [4, 64, 64, 1]}
    expected = forecast(load_model(tiny_run), clip)
    if suffix == "png":
        with Image.open(output) as strip:
            assert strip.width > 4 * 64
    elif suffix == "gif":
        np.testing.assert_allclose(read_clip(output)[:, ::4, ::4], np.clip(expected, 0, 1), atol=0.01)
    else:
        np.testing.assert_array_equal(np.load(output), expected)


def test_demo_prints_its_scores(succeed, tiny_zoo, tmp_path, monkeypatch):
    text = succeed("demo", "--zoo", tiny_zoo, "--output", tmp_path / "demo").splitlines()
    assert listing(tmp_path / "demo") == ["demo.gif", "demo.png"]
    assert text[0] == "16 clips, forecast frames"
    assert [line.split()[1] for line in text[3:5]] == [NAME, "persistence"]
    assert text[-1] == f"Wrote {tmp_path / 'demo' / 'demo.png'} and demo.gif"
    monkeypatch.setattr("mslstm_keras.forecasting.demo.demo", lambda folder, zoo: [str(folder), zoo])
    assert json.loads(succeed("demo", "--json")) == [".", None]


def test_zoo_is_listed_shown_and_verified(succeed, tiny_zoo):
    (line,) = succeed("zoo", "list", "--zoo", tiny_zoo).splitlines()
    entry = mslstm_keras.list_pretrained(tiny_zoo)[NAME]
    mse = entry.scores["model"]["mse"]["mean"]
    assert line.split() == [NAME, "conv_lstm", OPTDIGITS, "8", "clips", "seen", "MSE", f"{mse:.1f}"]
    (facts,) = json.loads(succeed("zoo", "list", "--zoo", tiny_zoo, "--json")).values()
    assert json.loads(succeed("zoo", "show", NAME, "--zoo", tiny_zoo, "--json")) == facts
    assert facts["scores"] == entry.scores
    assert facts["recipe"]["name"] == "tiny"
    card = (tiny_zoo / NAME / "1" / "README.md").read_text()
    assert succeed("zoo", "show", NAME, "--zoo", tiny_zoo) == card
    assert succeed("zoo", "verify", "--zoo", tiny_zoo) == f"{NAME}: every file is as listed\n"
    folders = json.loads(succeed("zoo", "verify", NAME, "--zoo", tiny_zoo, "--json"))
    assert folders == {NAME: str(tiny_zoo / NAME / "1")}


def test_a_run_is_added_to_a_zoo(succeed, tiny_run, other_run, tmp_path, optdigits_dir):
    zoo = tmp_path / "zoo"
    facts = succeed(
        *("zoo", "add", tiny_run, "--zoo", zoo, "--name", "mine", "--clips", 2, "--data-dir", optdigits_dir),
        *("--beside", f"the other={other_run}", "--json"),
    )
    entry = mslstm_keras.list_pretrained(zoo)["mine"]
    assert json.loads(facts)["scores"] == entry.scores
    assert entry.scores["clips"] == 2
    assert list(entry.comparison) == ["the other"]
    mslstm_keras.load_pretrained("mine", zoo)


def test_receptive_fields_of_named_and_of_trained_models(succeed, tiny_run, files):
    words = ["study", "receptive-field", "conv_lstm", "motion_rnn", tiny_run]
    head, *lines = succeed(*words, "--frame", "32x32x1").splitlines()
    assert head.split() == ["model", "cells", "paper", "all", "paths"]
    rows = [
        ["conv_lstm", "3", "7x7", "7x7"],
        ["motion_rnn", "3", "7x7", "-"],
        [str(tiny_run), "1", "24x24", "24x24"],
    ]
    assert [line.split()[:4] for line in lines] == rows
    assert lines[1].endswith("  without bound: maps are sampled along flows, which depend on the data")
    output = files / "fields.png"
    clips = ["--input", files / "clip.npy", files / "clip.gif"]
    facts = json.loads(succeed("study", "receptive-field", tiny_run, "--json", *clips, "--output", output))
    field = facts[str(tiny_run)]
    assert (field["paper"], field["side"], field["cells"][0]["kernel_size"]) == (24, 24, 3)
    assert 0 < field["effective"] <= 24
    with Image.open(output) as picture:
        assert picture.width > 3 * 64


def test_layers_are_drawn(succeed, tiny_run, files):
    output = files / "layers.png"
    words = ["study", "layers", tiny_run, "--input", files / "clip.npy", "--output", output]
    assert succeed(*words) == f"{output}: 1 cells, 6 steps\n"
    with Image.open(output) as picture:
        in_time = picture.size
    assert succeed(*words, "--horizon", 2, "--step", 4) == f"{output}: 1 cells, 4 steps\n"
    with Image.open(output) as picture:
        assert picture.size != in_time


def test_architectures_are_drawn(succeed, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "mslstm_keras.insight.architecture.draw_architecture", lambda model, path: drawn.append(model.name)
    )
    assert (
        succeed("study", "architecture", "sms_lstm", "--output", tmp_path / "a.svg")
        == f"{tmp_path / 'a.svg'}\n"
    )
    assert drawn == ["sms_lstm"]


def test_faults_of_studies(fail, tiny_run, files, monkeypatch):
    monkeypatch.chdir(files)
    assert "`--input` must name a clip" in fail("study", "receptive-field", "conv_lstm", "--output", "a.png")
    assert "`name` must be a model of the zoo" in fail("study", "receptive-field", "conv_lstn")
    drawing = ["study", "layers", tiny_run, "--output", "a.png", "--input"]
    assert "at least 3 frames" in fail(*drawing, "short.npy")
    assert "`step` must be from 1 to 6. Received: step=7" in fail(*drawing, "clip.npy", "--step", 7)
    assert "`path` must end in .png" in fail("study", "architecture", "conv_lstm", "--output", "a.txt")
    assert "`frame_shape` must have" in fail("study", "receptive-field", "ms_lstm", "--frame", "30x32x1")


def test_the_console_script(tiny_run, files, clip, tmp_path):
    """In a process of its own, by the entry point that pyproject.toml declares."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, function = scripts["mslstm"].split(":")
    script = f"import sys; from {module} import {function}; sys.exit({function}())"
    output = tmp_path / "out.npy"
    words = ["forecast", "--model", tiny_run, "--input", files / "clip.gif", "--output", output]
    child = run_script(script, ROOT, *words)
    assert child.returncode == 0, child.stderr
    assert child.stdout == f"{output}: 4 frames of (64, 64, 1)\n"
    np.testing.assert_allclose(np.load(output), forecast(load_model(tiny_run), clip), atol=0.02)


# What the user got wrong


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--model": "ms_lstm_mnist"}, f"`name` must be a model of the zoo, such as {NAME}. Received: name="),
        ({"--model": "files/model.keras"}, "must be a Keras model that can be read. Received: files/model.keras ("),
        ({"--model": "files"}, "`model` must be a Keras model that can be read. Received: files ("),
        ({"--zoo": "files"}, "`zoo` must be a folder with a readable index.json. Received: files/index.json"),
        ({"--input": "missing.npy"}, "`missing.npy` must be a clip that can be read. Received: No such file"),
        ({"--input": "files/cut.npy"}, "`files/cut.npy` must be a clip that can be read. Received: damaged, cut off"),
        ({"--input": "files/cut.gif"}, "`files/cut.gif` must be a clip that can be read. Received: damaged, cut off"),
        ({"--input": "files/clip.txt"}, "`path` must be a folder of images or end in one of"),
        ({"--input": "files/short.npy"}, "at least the model's 3 context frames. Received: 2 frames"),
        ({"--input": "files/nan.npy"}, "`files/nan.npy` must be finite. Received: "),
        ({"--input": "files/large.npy"}, "`files/large.npy` must lie in [0, 1]. Received: values from 0.0 to"),
        ({"--input": "files/narrow.npy"}, "Received: frames.shape=(10, 64, 32, 1)"),
        ({"--horizon": "0"}, "`horizon` must be a positive number of frames. Received: horizon=0"),
        ({"--output": "out.mp4"}, "`path` must end in .npy, .gif or .png. Received: out.mp4"),
        ({"--output": "missing/out.gif"}, "No such file or directory: 'missing/out.gif'"),
        ({"--output": "files/clip.txt/out.gif"}, "Not a directory: 'files/clip.txt/out.gif'"),
        ({"--output": "files/clip.npy/out.npy"}, "Not a directory: 'files/clip.npy/out.npy'"),
    ],
)  # fmt: skip
def test_faults_of_a_forecast(fail, tiny_zoo, files, monkeypatch, changes, message):
    monkeypatch.chdir(files.parent)
    options = {
        "--model": NAME,
        "--zoo": tiny_zoo,
        "--input": "files/clip.npy",
        "--output": "out.gif",
        **changes,
    }
    assert message in fail("forecast", *(word for option in options.items() for word in option))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train optdigits_quik", "`recipe` must be a known recipe, such as optdigits_quick. Received: "),
        ("train optdigits_quick --set filter=2", "`recipe` has no such field; it has filters. Received: 'filter'"),
        ("train optdigits_quick --set filters=two", "`filters` must be int, written as JSON. Received: 'two'"),
        ("train optdigits_quick --set model=ms_lstn", "`name` must be a known model, such as ms_lstm"),
        ("train optdigits_quick --set frame_shape=[60,64,1]", "`frame_shape` must have a height and width"),
        ("train optdigits_quick --set data=moving_mnist", "`data` must be a known data set, such as"),
        ("train optdigits_quick --set stream=false --data-dir .", "`mslstm data prepare moving_mnist_clips/optdigits`"),
        (f"train optdigits_quick --run-dir file {' '.join(SETTINGS)}", "File exists: 'file'"),
        (f"train optdigits_quick --run-dir file/run {' '.join(SETTINGS)}", "Not a directory: 'file/run'"),
        ("evaluate --model {run} --dataset moving_mnist", "must be a known data set, such as moving_mnist_clips."),
        ("evaluate --model {run} --dataset moving_mnist_clips/papr", "must be a known config of moving_mnist_clips"),
        ("evaluate --model {run} --dataset {digits} --data-dir .", "must be prepared, by `mslstm data prepare mov"),
        ("evaluate --model {run} --dataset missing.npy", "`data` must be a readable .npy file. Received: missing.npy"),
        ("evaluate --model {run} {data} --clips 0", "`count` must lie in 1 .. 20 clips. Received: count=0"),
        ("evaluate --model {run} {data} --clips 21", "`count` must lie in 1 .. 20 clips. Received: count=21"),
        ("evaluate --model {run} {data} --clips 1 --output no/a.json", "No such file or directory: 'no/a.json'"),
        ("evaluate --model file {data}", "`model` must be a Keras model that can be read. Received: file ("),
        ("evaluate --model nothing {data} --zoo {zoo}", "`name` must be a model of the zoo, such as ms_lstm_m"),
        ("data prepare moving_mnist --data-dir .", "must be a known data set, such as moving_mnist_clips"),
        ("data prepare moving_mnist_clips/x --data-dir .", "must be a known config of moving_mnist_clips, such as"),
        ("data prepare moving_mnist_clips --data-dir . --part 5/4", "from 1/N to N/N. Received: part=5/4"),
        ("data prepare moving_mnist_clips/optdigits --data-dir . --manual-dir file", "`manual_dir` must be a folder"),
        ("zoo list --zoo missing", "`zoo` must be a folder with a readable index.json. Received: missing/index.json"),
        ("zoo show ms_lstm --zoo {zoo}", "`name` must be a model of the zoo, such as ms_lstm_moving_mnist"),
        ("train optdigits_quick --devices 2", "`devices` must be 'all', at most as many as there are"),
        ("train optdigits_quick --hosts a:1,b:2 --rank 0", "`hosts` must be on the JAX backend"),
        ("train optdigits_quick --hosts a:1,b:2", "`--rank` must be given with `--hosts`. Received: rank=None"),
        ("zoo verify a b --zoo {zoo}", "`name` must be a model of the zoo, such as ms_lstm_moving_mnist."),
        ("zoo add missing --zoo new", "`run_dir` must hold a checkpoint.keras. Received: run_dir='missing'"),
        ("zoo add {run} --zoo new --name a/b", "`name` must be letters, digits"),
        ("zoo add {run} --zoo file --clips 1 --data-dir {folder}", "File exists: 'file'"),
        ("zoo add {run} --zoo new --data-dir .", "`mslstm data prepare moving_mnist_clips/optdigits`"),
        ("cost --dataset kht", "`dataset` must be one of moving_mnist, taxibj, kth, germany. Received: dataset='kht'"),
        ("cost --frame 8x8x1", "`--context` and `--forecast` must come with `--frame`. Received: context=None"),
        ("cost --models conv_lst", "`name` must be a known model, such as conv_lstm"),
        ("export {run} --output model.onnx --format litert", "`path` must end in .tflite. Received: path='model.onnx'"),
        ("export {run} --output new --rain-scale fmi", "`rain_scale` must be one of dwd, hko, meteonet, rainf, brasil"),
        ("export {run} --output a.onnx --format onnx --rain-scale dwd", "`rain_scale` must be None for onnx, which"),
        ("export {run} --output {folder}", "`folder` must be new or empty. Received: folder='"),
        ("export {run} --output missing/model", "No such file or directory: 'missing/model'"),
        ("export file --output new", "`model` must be a Keras model that can be read. Received: file ("),
        ("serving {run} {run} --output new", "`models` must be models of different names. Received: models=["),
        ("serving {run} --output {folder}", "`folder` must be new or empty. Received: folder='"),
        ("demo --zoo missing", "`zoo` must be a folder with a readable index.json. Received: missing/index.json"),
        ("demo --zoo {zoo} --output file", "File exists: 'file'"),
    ],
)  # fmt: skip
def test_faults_of_the_other_commands(
    fail, tiny_zoo, tiny_run, optdigits_dir, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    data = f"--dataset {OPTDIGITS} --data-dir {optdigits_dir}"
    error = fail(
        *words.format(run=tiny_run, zoo=tiny_zoo, data=data, digits=OPTDIGITS, folder=optdigits_dir).split()
    )
    assert message in error


def test_a_source_file_that_is_another_is_named(mslstm, tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\x00\x00\x08\x03" + bytes(12))
    words = [
        "data",
        "prepare",
        "moving_mnist_clips/paper",
        "--data-dir",
        tmp_path / "data",
        "--manual-dir",
        tmp_path,
    ]
    ended = mslstm(*words)
    assert ended.status == 2
    assert re.search(r"^mslstm: .*train-images-idx3-ubyte.*$", ended.error.splitlines()[-1])
    assert not list(tmp_path.rglob("*.tfrecord*"))


@pytest.mark.parametrize("suffix", ["npy", "gif", "png"])
def test_a_disk_that_is_full_when_a_forecast_is_written(fail, tiny_run, files, suffix):
    output = files / f"out.{suffix}"
    with no_file_larger_than(1000):
        error = fail("forecast", "--model", tiny_run, "--input", files / "clip.npy", "--output", output)
    assert error == f"mslstm: [Errno 27] File too large: '{output}'\n"


def test_a_disk_that_is_full_when_scores_are_written(fail, tiny_run, tmp_path, optdigits_dir):
    output = tmp_path / "scores.json"
    words = ["--dataset", OPTDIGITS, "--data-dir", optdigits_dir, "--clips", 1, "--output", output]
    with no_file_larger_than(100):
        assert (
            fail("evaluate", "--model", tiny_run, *words)
            == f"mslstm: [Errno 27] File too large: '{output}'\n"
        )


def test_a_disk_that_is_full_when_a_checkpoint_is_written(
    mslstm, tiny_run, tmp_path, optdigits_dir, monkeypatch
):
    monkeypatch.setitem(RECIPES, "tiny", read_recipe(tiny_run))
    run = shutil.copytree(tiny_run, tmp_path / "run")
    words = ["--run-dir", run, "--data-dir", optdigits_dir, "--resume", "--set", "steps=6"]
    with no_file_larger_than(5000):
        ended = mslstm("train", "tiny", *words)
    assert ended.status == 2
    assert ended.error == f"mslstm: [Errno 27] File too large: '{run / 'checkpoint.keras'}'\n"
    for name in ("checkpoint.keras", "checkpoint-before.keras"):
        assert (run / name).read_bytes() == (tiny_run / name).read_bytes()
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoint-before.keras",
        "checkpoint.keras",
        "log.csv",
        "recipe.json",
        "tensorboard",
    ]


def test_a_disk_that_is_full_when_a_zoo_is_written(tiny_zoo, other_run, tmp_path, optdigits_dir):
    """The whole command, in a process of its own: TensorFlow, HDF5 and Pillow all write to that disk."""
    zoo = shutil.copytree(tiny_zoo, tmp_path / "zoo")
    before = {path: (zoo / path).read_bytes() for path in listing(zoo) if (zoo / path).is_file()}
    script = """
        import resource, sys
        from mslstm_keras.cli import main
        for size in (20_000, 100_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))
            status = main(sys.argv[1:])
            print(status)
        sys.exit(status)
    """
    words = ["zoo", "add", other_run, "--zoo", zoo, "--name", NAME, "--clips", 1, "--data-dir", optdigits_dir]
    child = run_script(script, ROOT, *words)
    assert (child.stdout, child.returncode) == ("2\n2\n", 2), child.stderr
    ours = [line for line in child.stderr.splitlines() if line.startswith("mslstm: ")]
    assert len(ours) == 2
    assert all("File too large" in line and "{{" not in line and "[Op:" not in line for line in ours)
    assert "Traceback" not in child.stderr
    assert {path: (zoo / path).read_bytes() for path in listing(zoo) if (zoo / path).is_file()} == before
    assert sorted(path.name for path in zoo.iterdir()) == ["index.json", NAME]
    mslstm_keras.load_pretrained(NAME, zoo)


def test_what_keras_wraps_is_one_line(fail, tiny_run, files, monkeypatch):
    """The model's own error about too few frames comes wrapped in colours and in the arguments of the layer."""
    monkeypatch.setattr(
        "mslstm_keras.forecasting.forecaster.forecast",
        lambda model, frames, horizon: model(frames[np.newaxis, :2]),
    )
    error = fail(
        "forecast", "--model", tiny_run, "--input", files / "clip.npy", "--output", files / "out.npy"
    )
    assert error.startswith("mslstm: `frames` must be 3 frames long to predict, or 6 to train")
    assert error.endswith("Received: frames.shape=(1, 2, 64, 64, 1)\n")


def test_what_tensorflow_says_of_a_full_disk_is_one_line(fail, monkeypatch):
    def write(name):
        raise tf.errors.ResourceExhaustedError(
            None,
            None,
            "{{function_node __wrapped__Save_device_/job:localhost}} /a/b; No space left\n\ton device [Op:Save]",
        )

    monkeypatch.setattr("mslstm_keras.training.recipes.find_recipe", write)
    assert fail("train", "any") == "mslstm: /a/b; No space left on device\n"


def test_an_error_without_words_is_named(fail, monkeypatch):
    def fault():
        raise OSError

    monkeypatch.setattr("mslstm_keras.models.registry.list_models", fault)
    assert fail("models") == "mslstm: OSError\n"


def test_a_training_that_diverges_is_one_line(fail, monkeypatch):
    def diverge(*arguments, **options):
        raise FloatingPointError("The loss is infinite or NaN at step 7")

    monkeypatch.setattr("mslstm_keras.training.fit.train", diverge)
    assert fail("train", "optdigits_quick") == "mslstm: The loss is infinite or NaN at step 7\n"


def test_an_interruption_is_no_fault(mslstm, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("mslstm_keras.training.fit.train", interrupt)
    ended = mslstm("train", "optdigits_quick")
    assert (ended.status, ended.out, ended.error) == (130, "", "mslstm: interrupted\n")


def test_a_mistake_of_ours_is_not_hidden(mslstm, monkeypatch):
    def mistake():
        raise KeyError("bug")

    monkeypatch.setattr("mslstm_keras.models.registry.list_models", mistake)
    with pytest.raises(KeyError):
        mslstm("models")
