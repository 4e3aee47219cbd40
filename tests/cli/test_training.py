"""Commands that train and score."""

import dataclasses
import html
import json
import re
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from mslstm_keras.cli import progress
from mslstm_keras.cli.scored import warn_of_other_scales
from mslstm_keras.data.facts import DataFacts
from mslstm_keras.data.splits import split_clips
from mslstm_keras.evaluation.comparison import evaluate_models, evaluation_csv, evaluation_table
from mslstm_keras.forecasting.hindcast import hindcast
from mslstm_keras.radar.read import read_radar
from mslstm_keras.training.fit import read_recipe
from mslstm_keras.training.recipes import RECIPES
from mslstm_keras.zoo.loading import load_model
from tests.support.clip_files import save_folder, save_frames
from tests.support.commands import OPTDIGITS, SETTINGS, TINY, TINY_TEXT, width_of
from tests.support.examples import blocks
from tests.support.processes import no_file_larger_than
from tests.support.radar_files import write_knmi_maps


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
        f"`recipe` must be that of the run, 'optdigits_quick', as {run / 'recipe.json'} is. "
        "Received: 'paper_moving_mnist'" in other.error
    )


def test_a_training_under_another_name_is_resumed_by_the_same_words(succeed, tmp_path):
    words = ["train", "optdigits_quick", *SETTINGS, "--set", "name=mine", "--run-dir", tmp_path / "run"]
    for more in ([], ["--resume"]):
        assert succeed(*words, *more).splitlines()[-1] == f"{tmp_path / 'run'}: 4 steps, 8 clips"
    assert read_recipe(tmp_path / "run").name == "mine"


def test_training_starts_from_another_model(mslstm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mslstm("train", "optdigits_quick", *SETTINGS, "--run-dir", "first").status == 0
    words = ["train", "optdigits_quick", *SETTINGS, "--run-dir", "second", "--initial", "first"]
    assert mslstm(*words).status == 0
    recipe = json.loads(Path("second", "recipe.json").read_text())
    assert (recipe["initial"], recipe["initial_clips"]) == ("first", 8)
    assert Path("second", "log.csv").read_text().splitlines()[-1].split(",")[1] == "16"  # clips, of both
    assert mslstm(*words, "--resume").status == 0


SMALL = {"model": "conv_lstm", "layers": "1", "filters": "1"}
SMALL_WORDS = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture
def street(tmp_path, monkeypatch):
    """Folder of a GIF, an array and a folder of images, 8 x 12 pixels, grey, 6 frames and more."""
    monkeypatch.chdir(tmp_path)
    folder, random = Path("street"), np.random.default_rng(0)
    folder.mkdir()
    clips = [random.integers(0, 256, (count, 8, 12), dtype="uint8") for count in (6, 7, 8)]
    np.save(folder / "a.npy", clips[0])
    save_frames(folder / "b.gif", clips[1])
    save_folder(folder / "c", clips[2], [f"{number}.png" for number in range(8)])
    return folder


@pytest.fixture
def trained(monkeypatch):
    """The recipes of trainings that are asked for; none is trained."""
    recipes = []
    monkeypatch.setattr("mslstm_keras.training.fit.train", lambda recipe, *_, **__: recipes.append(recipe))
    return recipes


@pytest.mark.slow
def test_one_command_trains_on_a_folder_of_clips(mslstm, street, tmp_path):
    words = ["train", "--data", street, "--data-dir", "data", *SMALL_WORDS, "--set", "steps=2"]
    ended = mslstm(*words)
    assert ended.status == 0, ended.error
    lines = ended.out.splitlines()
    assert (
        "steps 2,000 -> 2, and with them: interval_steps 100 -> 1, decay_steps 1,500 -> 2, sampling_steps 300 -> 1"
        in (lines)
    )
    found = "street: 3 clips, 8 x 12, 1 channel; 3 frames given, 3 forecast; 2 clips to train, 1 held out; "
    assert f"{found}patches of 1, 2 steps of 2" in lines
    assert lines[-1] == f"{Path('runs', 'street')}: 2 steps, 4 clips"
    run = Path("runs", "street")
    recipe = read_recipe(run)
    assert (recipe.name, recipe.data, recipe.frame_shape) == (
        "street",
        "frames_from_folder/street",
        (8, 12, 1),
    )
    for more in (["--data", street], []):  # by the same words, and by what the run knows
        resumed = mslstm(
            "train", *more, "--run-dir", run, "--data-dir", "data", "--resume", "--set", "steps=3"
        )
        assert (resumed.status, resumed.out.splitlines()[-1]) == (0, f"{run}: 3 steps, 6 clips")
    assert read_recipe(run) == dataclasses.replace(recipe, steps=3)
    ended = mslstm(
        "forecast", "--model", run, "--input", street / "b.gif", "--horizon", 4, "--output", "next.npy"
    )
    assert ended.status == 0 and np.load("next.npy").shape[:3] == (4, 8, 12)
    ended = mslstm("evaluate", "--model", run, "--dataset", recipe.data, "--data-dir", "data", "--json")
    assert json.loads(ended.out)["clips"] == 1
    np.save(street / "d.npy", np.zeros((6, 8, 12), "uint8"))
    for more in (["--resume"], ["--run-dir", "other"]):
        ended = mslstm(*words, *more)
        assert ended.status == 2 and re.search("prepared from before, .* d.npy is new", ended.error)


def test_a_file_of_clips_is_enough(succeed, trained, tmp_path):
    path = tmp_path / "cars.npy"
    np.save(path, np.zeros((20, 9, 16, 24, 3), "uint8"))
    line = f"{path}: 20 clips, 16 x 24, 3 channels; 5 frames given, 4 forecast; 18 clips to train, 2 held out; patches "
    line += "of 1, 2,000 steps of 8"
    assert line in succeed("train", "--data", path, *SMALL_WORDS).splitlines()
    succeed(
        "train",
        "--data",
        path,
        *SMALL_WORDS,
        "--context",
        2,
        "--set",
        "patch_size=4",
        "--set",
        "batch_size=3",
    )
    first, second = trained
    assert (first.name, first.data, first.validation_clips) == ("cars", str(path), 0)
    assert (second.context_frames, second.forecast_frames) == (2, 7)
    assert (second.patch_size, second.batch_size) == (4, 3)


def test_a_run_goes_on_with_its_own_file(mslstm, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (Path("first"), Path("second")):
        folder.mkdir()
        np.save(folder / "cars.npy", np.zeros((20, 4, 8, 8), "uint8"))
    mslstm("train", "--data", "first/cars.npy", *SMALL_WORDS)
    Path("runs", "cars").mkdir(parents=True)
    Path("runs", "cars", "recipe.json").write_text(json.dumps(trained[0].to_dict()))
    assert mslstm("train", "--data", "first/cars.npy", *SMALL_WORDS, "--resume").status == 0
    assert trained[1] == trained[0]
    ended = mslstm("train", "--data", "second/cars.npy", *SMALL_WORDS, "--resume")
    assert ended.status == 2
    assert "`--data` must be that of the run, first/cars.npy. Received: second/cars.npy" in ended.error


def test_a_recipe_takes_other_data(succeed, trained, optdigits_dir):
    words = ["train", "paper_taxibj", "--data", OPTDIGITS, "--data-dir", optdigits_dir, *SMALL_WORDS]
    succeed(*words)
    (recipe,) = trained
    assert recipe.name == "paper_taxibj_moving_mnist_clips_optdigits"
    assert (recipe.data, recipe.frame_shape, recipe.stream) == (OPTDIGITS, (64, 64, 1), False)
    paper = RECIPES["paper_taxibj"]
    assert (recipe.context_frames, recipe.forecast_frames, recipe.steps) == (4, 4, paper.steps)


def test_a_folder_whose_frames_are_brought_to_a_size_and_a_range(mslstm, trained, street):
    words = ["train", "--data", street, "--data-dir", "data", *SMALL_WORDS]
    given = ["--set", "frame_shape=[4,4,3]", "--set", "interval_minutes=5", "--context", 2, "--forecast", 2]
    assert mslstm(*words, *given, "--set", "scale=0:255 bikes/h").status == 0
    (recipe,) = trained
    assert (recipe.frame_shape, recipe.context_frames, recipe.forecast_frames) == ((4, 4, 3), 2, 2)
    assert (recipe.scale, recipe.interval_minutes) == ("0:255 bikes/h", 5)
    other = mslstm(*words, "--size", "8x8")
    assert other.status == 2 and "as it was prepared before, size=(4, 4)" in other.error


def test_data_that_cannot_be_known_is_asked_for_in_one_line(fail, street, tmp_path):
    words = ["train", "--data", street, "--data-dir", "data"]
    assert "`window`, the frames given and to forecast, must not be above 6" in fail(
        *words, "--context", 4, "--forecast", 3
    )
    assert "`--manual-dir` must be left out" in fail(*words, "--manual-dir", "street")
    assert "must not come with --set of the same. Received: --set data" in fail(*words, "--set", "data=a.npy")
    assert "`context_frames` must be given once. Received: 3 and --set context_frames=2" in fail(
        *words, "--context", 3, "--set", "context_frames=2"
    )
    assert "`--size` must come with `--data FOLDER`" in fail("train", "optdigits_quick", "--size", "8x8")
    np.save(street / "wide.npy", np.zeros((6, 8, 20), "uint8"))
    assert "several sizes, such as --size 8x12 of `mslstm train`" in fail(*words)
    np.save(tmp_path / "odd.npy", np.zeros((4, 4, 30, 30), "uint8"))
    assert "(--size 32x32 resizes the clips of a folder" in fail("train", "--data", tmp_path / "odd.npy")


def test_fields_that_do_not_fit_a_number_of_steps_are_refused_at_once(fail):
    given = [f"--set={name}" for name in ("steps=20", "interval_steps=7", "decay_steps=30", "sampling=none")]
    error = fail("train", "optdigits_quick", *given)
    assert all(f"`{name}` must" in error for name in ("interval_steps", "decay_steps", "sampling"))


def test_a_run_that_goes_on_keeps_its_course(mslstm, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    recipe = RECIPES["optdigits_quick"].with_settings(SMALL)
    Path("run", "recipe.json").write_text(json.dumps(recipe.to_dict()))
    words = ["train", "optdigits_quick", "--run-dir", "run", "--resume"]
    ended = mslstm(*words, "--set", "steps=800", "--set", "decay_steps=100")
    assert (ended.status, "and with them" in ended.out) == (0, False)
    assert trained == [dataclasses.replace(recipe, steps=800, decay_steps=100)]
    refused = mslstm(*words, "--set", "steps=410")  # not by rescaling what it was trained by
    assert refused.status == 2 and "`interval_steps` must divide `steps`" in refused.error


def test_training_by_a_file(succeed, tmp_path):
    path, run = tmp_path / "best.json", tmp_path / "run"
    path.write_text(
        json.dumps(RECIPES["optdigits_quick"].with_settings({**TINY_TEXT, "name": "best"}).to_dict())
    )
    assert succeed("train", path, "--run-dir", run).splitlines()[-1] == f"{run}: 4 steps, 8 clips"
    assert read_recipe(run).name == "best"
    assert succeed("train", path, "--run-dir", run, "--resume")


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


FASTER = (
    "mslstm: this processor computes in bfloat16: --set dtype=mixed_bfloat16 takes about 0.6 of the time (the full "
    "MS-LSTM on such a processor: 4.2 s a step, not 7.1)"
)
SLOWER = (
    "mslstm: warning: this processor does not compute in bfloat16: training in mixed_bfloat16 is slower than in "
    "float32\n"
)


@pytest.mark.filterwarnings("default:this processor does not compute in bfloat16")
@pytest.mark.parametrize(
    ("native", "settings", "told", "warned"),
    [
        (True, {"dtype": "float32"}, True, ""),
        (True, {"dtype": "mixed_bfloat16"}, False, ""),
        (True, {"dtype": "mixed_float16"}, False, ""),
        (True, {"dtype": "float32", "jit_compile": "true"}, False, ""),  # XLA has convolutions of its own
        (False, {"dtype": "float32"}, False, ""),
        (False, {"dtype": "mixed_bfloat16"}, False, SLOWER),
        (None, {"dtype": "float32"}, False, ""),
        (None, {"dtype": "mixed_bfloat16"}, False, ""),
    ],
)
def test_training_says_which_precision_is_faster(
    native, settings, told, warned, mslstm, tmp_path, monkeypatch
):
    monkeypatch.setattr("mslstm_keras.training.devices.native_bfloat16", lambda: native)
    monkeypatch.setattr("mslstm_keras.training.fit.train", lambda *_, **__: None)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    ended = mslstm("train", "optdigits_quick", *SETTINGS, *words, "--run-dir", tmp_path / "run")
    assert (ended.status, ended.error) == (0, warned)
    assert ended.out.splitlines()[:-1] == [FASTER] * told


def test_bfloat16_is_not_named_where_convolutions_are_not_those_of_onednn(mslstm, tmp_path, monkeypatch):
    monkeypatch.setattr("mslstm_keras.training.devices.native_bfloat16", lambda: True)
    monkeypatch.setattr("mslstm_keras.training.fit.train", lambda *_, **__: None)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    ended = mslstm("train", "optdigits_quick", *SETTINGS, "--run-dir", tmp_path / "run")
    assert (ended.status, ended.error, len(ended.out.splitlines())) == (0, "", 1)


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
    written = json.loads(file.read_text())
    made = written.pop("made")
    assert (
        made["command"]
        == f"mslstm evaluate --model {tiny_run} --dataset {OPTDIGITS} --clips 6 --data-dir {optdigits_dir}"
    )
    assert (
        made["versions"]["keras"] == keras.__version__ and made["device"] and made["date"].endswith("+00:00")
    )
    assert written.pop("seeds") == {tiny_run.name: [read_recipe(tiny_run).seed]}
    assert written == expected
    assert table.read_text() == evaluation_csv(expected)
    printed = json.loads(succeed(*words, "--json"))
    assert {key: printed[key] for key in expected} == expected
    assert text.splitlines() == list(evaluation_table(expected))


def test_costs_and_chosen_scores_are_a_table_and_a_picture(
    succeed, fail, tiny_run, tmp_path, optdigits_dir, monkeypatch
):
    data = ["--dataset", OPTDIGITS, "--data-dir", optdigits_dir, "--clips", 4]
    scores = tmp_path / "scores.json"
    succeed("evaluate", "--model", tiny_run, *data, "--metrics", "gdl", "ssim", "--cost", "--output", scores)
    evaluation = json.loads(scores.read_text())
    assert evaluation["metrics"] == ["gdl", "ssim"]
    cost = evaluation["cost"][tiny_run.name]
    model = load_model(tiny_run)
    assert cost["parameters"] == sum(weight.numpy().size for weight in model.trainable_variables)
    assert {"keras", "saved_model"} <= cost["seconds"].keys()
    for kind, begin in (
        (".md", "moving_mnist_clips"),
        (".tex", "% moving"),
        (".csv", "source,name,parameters"),
    ):
        succeed("study", "table", scores, "--output", tmp_path / f"table{kind}")
        assert (tmp_path / f"table{kind}").read_text().startswith(begin)
    text = succeed("study", "pareto", scores, "--metric", "ssim", "--output", tmp_path / "pareto.png")
    assert text == f"{tmp_path / 'pareto.png'}: no other model beats {tiny_run.name}\n"
    assert width_of(tmp_path / "pareto.png") > 64
    assert "`thresholds` must be left out for data that are no rain" in fail(
        "evaluate", "--model", tiny_run, *data, "--thresholds", 1
    )
    assert "`metrics` must be known, such as ssim" in fail(
        "evaluate", "--model", tiny_run, *data, "--metrics", "sim"
    )
    # What the page says, for who reads the file elsewhere.
    (code,) = [code for code in blocks("python", EVALUATION_PAGE.read_text()) if "pandas" in code]
    monkeypatch.chdir(tmp_path)
    read: dict = {}
    exec(code, read)
    assert read["table"].loc[tiny_run.name, "macs"] == cost["macs"]
    assert read["table"].loc["persistence", "gdl"] == evaluation["models"]["persistence"]["gdl"]["mean"]
    assert len(read["differences"]) == 2 and set(read["unclear"].columns) >= {"model", "other", "interval"}
    scores.write_text("[1]")
    assert "of another kind" in fail("study", "table", scores, "--output", tmp_path / "table.md")


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


@pytest.fixture
def maps(tmp_path):
    """Folder of nine Dutch maps of 24 x 20 pixels, 5 minutes apart."""
    return write_knmi_maps(tmp_path / "maps", 9, (24, 20))


EVALUATION_PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"
AS_RAIN = pytest.mark.filterwarnings("ignore:pixels of .* are taken for rain")  # see the next test


def test_it_is_said_that_pixels_are_taken_for_rain(mslstm, tiny_run, maps):
    with warnings.catch_warnings(action="always"):
        ended = mslstm("evaluate", "--model", tiny_run, "--input", maps, "--baselines", "--every", 2)
    assert (
        ended.status == 0 and f"pixels of {tiny_run.name} are taken for rain rates by rain:dwd" in ended.error
    )


@AS_RAIN
def test_an_archive_of_radar_maps_is_hindcast(succeed, tiny_run, maps, tmp_path):
    archive = maps / "*.h5"
    words = ["evaluate", "--model", tiny_run, "--input", archive, "--baselines", "persistence", "--every", 2]
    words += ["--thresholds", 0.5, 2, "--scales", 3, "--product", "RAP", "--match-rates"]
    file, report = tmp_path / "scores.json", tmp_path / "report.html"
    text = succeed(*words, "--output", file, "--report", report)
    expected = hindcast(
        {tiny_run.name: load_model(tiny_run)},
        read_radar(maps),
        str(archive),
        thresholds=(0.5, 2),
        scales=(3,),
        every=2,
        match_rates=True,
        baselines=["persistence"],
    )
    written = json.loads(file.read_text())
    assert {key: written[key] for key in expected} == expected
    assert expected["clips"] == 2 and "csi_0.5" in expected["models"]["persistence"]
    assert text.splitlines() == list(evaluation_table(expected))
    made = f"mslstm evaluate --model {tiny_run} --input '{archive}' --baselines persistence --every 2"
    assert f"{made} --thresholds 0.5 2.0 --scales 3 --product RAP --match-rates" in html.unescape(
        report.read_text()
    )


@AS_RAIN
def test_a_hindcast_on_another_grid_than_that_of_the_archive(mslstm, tiny_run, maps, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps(recipe | {"interval_minutes": 10, "spacing_metres": 2000}))
    words = ["evaluate", "--model", run, "--input", maps, "--baselines", "--scales", 3]
    words += ["--output", tmp_path / "scores.json", "--report", tmp_path / "report.html"]
    with warnings.catch_warnings(action="always"):
        ended = mslstm(*words, "--size", "12x10")
    assert ended.status == 0 and ended.error.count("the maps are brought from 24 x 20 to 12 x 10 pixels") == 1
    assert ended.error.count("`interval` of the maps is 5 minutes, run was trained on 10") == 1
    assert "km, run was trained on" not in ended.error
    assert json.loads((tmp_path / "scores.json").read_text())["archive"]["size"] == [12, 10]
    assert f"mslstm evaluate --model {run} --size 12x10 --input" in (tmp_path / "report.html").read_text()


@AS_RAIN
def test_long_hindcasts_say_how_far_they_are(mslstm, tiny_run, maps, monkeypatch):
    monkeypatch.setattr(progress, "PAUSE", 0)
    # What is named twice is scored once.
    words = ["evaluate", "--model", tiny_run, tiny_run, "--input", maps, "--baselines", "--scales", 3]
    ended = mslstm(*words)
    assert (ended.status, ended.error) == (
        0,
        "".join(f"scoring forecasts by start time: {done} of 3\n" for done in (1, 2, 3)),
    )
    assert mslstm(*words, "--quiet").error == ""


def test_scoring_says_how_far_it_is(mslstm, tiny_run, optdigits_dir, monkeypatch):
    monkeypatch.setattr(progress, "PAUSE", 0)
    words = ["evaluate", "--model", tiny_run, "--dataset", OPTDIGITS, "--data-dir", optdigits_dir, "--json"]
    ended = mslstm(*words)
    assert json.loads(ended.out)["clips"] == 20
    assert ended.error == "scoring clips: 16 of 20\nscoring clips: 20 of 20\n"


def test_what_may_come_next_runs(mslstm, tmp_path, files, optdigits_dir, monkeypatch):
    """Names with spaces, too."""
    monkeypatch.chdir(tmp_path)
    words = ["train", "optdigits_quick", *SETTINGS, "--run-dir", "my run", "--data-dir", optdigits_dir]
    evaluate, forecast = mslstm(*words).next
    assert evaluate[:5] == ["evaluate", "--model", "my run", "--dataset", OPTDIGITS]
    curves, table = mslstm(*evaluate, "--output", "new folder/scores.csv", "new folder/scores.json").next
    assert mslstm(*curves).status == 0
    assert Path("new folder", "curves.png").exists()
    assert mslstm(*table).status == 0
    assert Path("new folder", "table.md").read_text().startswith("moving_mnist_clips")
    shutil.copy(files / "clip.gif", forecast[forecast.index("--input") + 1])
    assert mslstm(*forecast).status == 0
    assert Path("forecast.gif").exists()
    assert mslstm(*words, "--resume", "--quiet").next == []


def test_a_stream_is_prepared_before_a_run_is_scored(mslstm, tmp_path):
    words = ["train", "optdigits_quick", *SETTINGS, "--seeds", 1, "--run-dir", tmp_path / "runs"]
    prepare, evaluate, forecast = mslstm(*words, "--data-dir", tmp_path / "data").next
    assert prepare == ["data", "prepare", OPTDIGITS, "--data-dir", str(tmp_path / "data")]
    assert str(tmp_path / "runs") in evaluate
    assert load_model(forecast[2]).optimizer.iterations == 4


@pytest.mark.parametrize(("own", "told"), [("0:5 cars", True), ("0:9 cars", False), (None, False)])
def test_pixels_that_stand_for_other_numbers_are_told(monkeypatch, own, told):
    monkeypatch.setattr("mslstm_keras.zoo.loading.data_of", lambda name, zoo: DataFacts(scale=own))
    options = SimpleNamespace(model=["street"], zoo=None, dataset="clips")
    with warnings.catch_warnings(record=True, action="always") as said:
        warn_of_other_scales(options, "0:9 cars")
    message = (
        "street was trained on pixels of 0:5 cars, those of clips are 0:9 cars: it is given them as they are"
    )
    assert [str(each.message) for each in said] == [message] * told


def test_what_does_not_belong_to_an_archive_or_a_data_set_is_refused(fail, tiny_run, maps):
    archive, data_set = (
        ["evaluate", "--model", tiny_run, *more] for more in (["--input", maps], ["--dataset", "a"])
    )
    assert "`--clips` must be left out with `--input`. Received: 3" in fail(*archive, "--clips", 3)
    assert "`--all-frames` must be left out with `--input`" in fail(*archive, "--all-frames")
    assert "`--every` must be left out with `--dataset`. Received: 2" in fail(*data_set, "--every", 2)
    assert "`--samples` must come with `--report`. Received: 2" in fail(*data_set, "--samples", 2)


@pytest.mark.slow
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


def test_a_disk_that_is_full_when_scores_are_written(fail, tiny_run, tmp_path, optdigits_dir):
    output = tmp_path / "scores.json"
    words = ["--dataset", OPTDIGITS, "--data-dir", optdigits_dir, "--clips", 1, "--output", output]
    with no_file_larger_than(100):
        assert (
            fail("evaluate", "--model", tiny_run, *words)
            == f"mslstm: [Errno 27] File too large: '{output}'\n"
        )


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (f"evaluate --dataset {OPTDIGITS} --output", "scores.json"),
        (f"evaluate --dataset {OPTDIGITS} --report", "report.html"),
        (f"study probabilities --dataset {OPTDIGITS} --threshold 0.5 --output", "scores.json"),
        (f"study probabilities --dataset {OPTDIGITS} --threshold 0.5 --figure", "scores.png"),
        ("forecast --input clip.npy --output", "future.nc"),
    ],
)
def test_what_cannot_be_written_is_said_before_it_is_made(fail, tmp_path, words, name):
    """There is no such model either."""
    (tmp_path / "file").touch()
    output = tmp_path / "file" / name
    error = fail(*words.split(), output, "--model", tmp_path / "none.keras")
    assert error == f"mslstm: [Errno 20] Not a directory: '{output}'\n"


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


def test_a_training_that_diverges_is_one_line(fail, monkeypatch):
    def diverge(*arguments, **options):
        raise FloatingPointError("The loss is infinite or NaN at step 7")

    monkeypatch.setattr("mslstm_keras.training.fit.train", diverge)
    assert fail("train", "optdigits_quick") == "mslstm: The loss is infinite or NaN at step 7\n"
