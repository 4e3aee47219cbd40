"""Commands that train and score."""

import html
import json
import re
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mslstm_keras.cli import progress
from mslstm_keras.data.splits import split_clips
from mslstm_keras.evaluation.comparison import evaluate_models, evaluation_csv, evaluation_table
from mslstm_keras.forecasting.hindcast import hindcast
from mslstm_keras.radar.read import read_radar
from mslstm_keras.training.fit import read_recipe
from mslstm_keras.training.recipes import RECIPES
from mslstm_keras.zoo.loading import load_model
from tests.support.commands import OPTDIGITS, SETTINGS, TINY, TINY_TEXT, width_of
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


@pytest.fixture
def maps(tmp_path):
    """Folder of nine Dutch maps of 24 x 20 pixels, 5 minutes apart."""
    return write_knmi_maps(tmp_path / "maps", 9, (24, 20))


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
    words += ["--thresholds", 0.5, 2, "--scales", 3, "--product", "RAP"]
    file, report = tmp_path / "scores.json", tmp_path / "report.html"
    text = succeed(*words, "--output", file, "--report", report)
    expected = hindcast(
        {tiny_run.name: load_model(tiny_run)},
        read_radar(maps),
        str(archive),
        thresholds=(0.5, 2),
        scales=(3,),
        every=2,
        baselines=["persistence"],
    )
    assert json.loads(file.read_text()) == expected
    assert expected["clips"] == 2 and "csi_0.5" in expected["models"]["persistence"]
    assert text.splitlines() == list(evaluation_table(expected))
    made = f"mslstm evaluate --model {tiny_run} --input '{archive}' --baselines persistence --every 2"
    assert f"{made} --thresholds 0.5 2.0 --scales 3 --product RAP" in html.unescape(report.read_text())


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
    words = ["evaluate", "--model", tiny_run, "--input", maps, "--baselines", "--scales", 3]
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
    (curves,) = mslstm(*evaluate, "--output", "new folder/scores.csv", "new folder/scores.json").next
    assert mslstm(*curves).status == 0
    assert Path("new folder", "curves.png").exists()
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


def test_what_does_not_belong_to_an_archive_or_a_data_set_is_refused(fail, tiny_run, maps):
    archive, data_set = (
        ["evaluate", "--model", tiny_run, *more] for more in (["--input", maps], ["--dataset", "a"])
    )
    assert "`--clips` must be left out with `--input`. Received: 3" in fail(*archive, "--clips", 3)
    assert "`--all-frames` must be left out with `--input`" in fail(*archive, "--all-frames")
    assert "`--every` must be left out with `--dataset`. Received: 2" in fail(*data_set, "--every", 2)


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
