"""The command that scores probabilities, on clips of one's own and on radar maps."""

import json
import shutil
import warnings

import numpy as np
import pytest

from mslstm_keras.cli import progress
from mslstm_keras.data.splits import split_clips
from mslstm_keras.ensembles import forecasters
from mslstm_keras.ensembles.forecasters import baseline_forecasters, model_forecasters
from mslstm_keras.ensembles.scoring import score_ensembles
from mslstm_keras.forecasting.hindcast import archive_of, checked_rates
from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.radar.read import read_radar
from mslstm_keras.zoo.loading import load_model
from tests.support.commands import width_of
from tests.support.radar_files import write_knmi_maps

AS_RAIN = pytest.mark.filterwarnings("ignore:pixels of .* are taken for rain")


@pytest.fixture
def own(tmp_path):
    """A file of clips, of which the last two are scored."""
    values = np.random.default_rng(0).integers(0, 256, (20, 7, 64, 64))
    np.save(tmp_path / "own.npy", values.astype("uint8"))
    return tmp_path / "own.npy"


@pytest.fixture
def maps(tmp_path):
    """Folder of nine Dutch maps of 24 x 20 pixels, 5 minutes apart."""
    return write_knmi_maps(tmp_path / "maps", 9, (24, 20))


@pytest.fixture(autouse=True)
def no_pysteps(monkeypatch):
    """pysteps needs larger maps than those of the tests, and may not be installed."""
    monkeypatch.setattr(forecasters, "available_baselines", lambda context: ["persistence"])


def without_seconds(scores):
    return {
        **scores,
        "forecasts": {name: {**told, "seconds": 0} for name, told in scores["forecasts"].items()},
    }


def test_clips_are_scored_drawn_and_written(succeed, tiny_run, own, tmp_path):
    file, picture = tmp_path / "scores.json", tmp_path / "scores.png"
    words = ["study", "probabilities", "--model", tiny_run, "--dataset", own, "--threshold", 0.25, 0.5]
    words += ["--members", 3, "--neighbourhood", 5, "--seed", 4]
    lines = succeed(*words, "--output", file, "--figure", picture).splitlines()
    name, clips, model = tiny_run.name, split_clips(str(own), "test"), load_model(tiny_run)
    context = {"context_frames": 3, "forecast_frames": 4}
    expected = score_ensembles(
        model_forecasters({name: [model]}, 4, members=3) | baseline_forecasters(clips, 3, 4),
        clips,
        thresholds=[0.25, 0.5],
        side=5,
        seed=4,
        **context,
    )
    scores = json.loads(file.read_text())
    assert without_seconds(scores) == without_seconds(
        {"data": str(own), "synthetic": False, "seed": 4, **expected}
    )
    near = ", 5 x 5 pixels"
    assert list(scores["forecasts"]) == [
        name,
        f"{name}{near}",
        f"{name}, 3 members",
        "persistence",
        f"persistence{near}",
    ]
    assert lines[0] == f"{own}: 2 forecasts, CRPS in pixel values, 95 % intervals over forecasts"
    assert lines[1].split() == ["CRPS", "Brier", "at", "0.25", "Brier", "at", "0.5", "spread/RMSE", "s"]
    crps = scores["forecasts"][name]["crps"]
    low, high = crps["interval"]
    assert f"{name} " in lines[2] and f"  {crps['mean']:.4f} [{low:.4f}, {high:.4f}]  " in lines[2]
    assert lines[3].startswith(f"{name}{near}") and lines[3].split()[-2:] == ["-", "-"]
    assert lines[8] == "CRPS by lead time (frames)" and lines[9].split() == ["+1", "+2", "+3", "+4"]
    assert lines[10].split() == [name, *(f"{value:.4f}" for value in crps["per_frame"])]
    assert len(lines) == 13
    assert width_of(picture) > 600
    printed = json.loads(succeed(*words, "--json", "--clips", 1, "--members", 0))
    assert printed["clips"] == 1 and f"{name}, 3 members" not in printed["forecasts"]


def test_seeds_are_members(succeed, tiny_run, own, tmp_path):
    runs = tmp_path / "runs"
    for seed in (0, 1):
        shutil.copytree(tiny_run, runs / f"seed-{seed}")
    words = ["study", "probabilities", "--model", runs, "--dataset", own, "--threshold", 0.5, "--members", 0]
    told = json.loads(succeed(*words, "--json"))["forecasts"]
    alone, several = told["runs"], told["runs, 2 seeds"]
    assert several["members"] == 2 and several["spread"]["mean"] == several["ratio"]["mean"] == 0
    assert several["crps"]["mean"] == pytest.approx(alone["crps"]["mean"])
    assert several["ranks"]["count"][1] == 0, "twins are both above or both below"


@AS_RAIN
def test_radar_maps_are_scored_in_their_units(succeed, tiny_run, maps, tmp_path):
    words = ["study", "probabilities", "--model", tiny_run, "--input", maps, "--threshold", 2, "--every", 2]
    scores = json.loads(succeed(*words, "--members", 2, "--product", "RAP", "--json"))
    archive = archive_of(checked_rates(read_radar(maps)), 3, 4, 2)
    code = RAIN_SCALES["dwd"]
    families = {tiny_run.name: [load_model(tiny_run)]}
    expected = score_ensembles(
        model_forecasters(families, 4, members=2, code=code, scales={tiny_run.name: code})
        | baseline_forecasters(archive.clips, 3, 4),
        archive.clips,
        context_frames=3,
        forecast_frames=4,
        thresholds=[2],
        side=11,
    )
    assert without_seconds(scores) == without_seconds(
        {"data": str(maps), "synthetic": False, "seed": 0, **expected}
    )
    assert (scores["clips"], scores["units"], scores["interval"]) == (2, "mm/h", 5)


@AS_RAIN
def test_another_grid_and_how_far_it_is(mslstm, tiny_run, maps, monkeypatch):
    monkeypatch.setattr(progress, "PAUSE", 0)
    # What is named twice is scored once.
    words = ["study", "probabilities", "--model", tiny_run, tiny_run, "--input", maps, "--threshold", 2]
    words += ["--members", 0, "--neighbourhood", 3, "--size", "12x10"]
    with warnings.catch_warnings(action="always"):
        ended = mslstm(*words)
    assert ended.status == 0 and ended.error.count("the maps are brought from 24 x 20 to 12 x 10 pixels") == 1
    for done in (1, 2, 3):
        assert f"scoring ensembles: {done} of 3\n" in ended.error
    assert ended.out.splitlines()[0].startswith(f"{maps}: 3 forecasts, CRPS in mm/h")


def test_scores_of_other_clips_recalibrate(succeed, fail, tiny_run, own, tmp_path):
    words = [
        "study",
        "probabilities",
        "--model",
        tiny_run,
        "--dataset",
        own,
        "--threshold",
        0.5,
        "--members",
        2,
    ]
    file = tmp_path / "scores.json"
    before = succeed(*words, "--output", file).splitlines()
    after = succeed(*words, "--calibration", file, "--output", tmp_path / "again.json").splitlines()
    scores = json.loads((tmp_path / "again.json").read_text())["forecasts"]
    name, plain = tiny_run.name, json.loads(file.read_text())["forecasts"]
    label = f"{name}, 2 members"
    assert set(scores) == {*plain, *(f"{each}, recalibrated" for each in plain)}
    assert without_seconds({"forecasts": {each: scores[each] for each in plain}}) == without_seconds(
        {"forecasts": plain}
    )
    score = scores[f"{label}, recalibrated"]["brier"]["0.5"]["mean"]
    assert score < plain[label]["brier"]["0.5"]["mean"]
    (line,) = [each for each in after if each.startswith(f"{label}, recalibrated")]
    assert line.split()[4] == "-" and line.split()[5] == f"{score:.4f}"
    assert len(after) == len(before) + len(plain)
    error = fail(*words[:-2], "--members", 3, "--threshold", 0.25, "--calibration", file)
    assert "`calibration` must hold every threshold. Received: no 0.25, but 0.5" in error
    assert "`calibration` must be a file that `mslstm study probabilities --output` wrote" in fail(
        *words, "--calibration", tiny_run / "recipe.json"
    )
    assert "none.json" in fail(*words, "--calibration", tmp_path / "none.json")


def test_refused_words(fail, tiny_run, own, maps):
    words = ["study", "probabilities", "--model", tiny_run, "--threshold", 0.5]
    assert "`--every` must be left out with `--dataset`. Received: 2" in fail(
        *words, "--dataset", own, "--every", 2
    )
    assert "`--clips` must be left out with `--input`. Received: 2" in fail(
        *words, "--input", maps, "--clips", 2
    )
    assert "`count` must lie in 1 .. 2 clips. Received: count=3" in fail(
        *words, "--dataset", own, "--clips", 3
    )
    assert "`side` must be a positive number" in fail(*words, "--dataset", own, "--neighbourhood", 0)
    assert "`members` must be" in fail(*words, "--dataset", own, "--members", 1)


@AS_RAIN
def test_refused_start_times(fail, tiny_run, maps):
    words = ["study", "probabilities", "--model", tiny_run, "--threshold", 0.5, "--input", maps]
    assert "`every` must be a whole number of at least 1. Received: every=0" in fail(*words, "--every", 0)


def test_it_says_what_to_install_before_anything_is_read(fail, monkeypatch):
    def missing(*names):
        raise ImportError("Scores of ensembles needs pip install 'mslstm_keras[probabilities]'")

    monkeypatch.setattr("mslstm_keras.importing.check_installed", missing)
    words = ["study", "probabilities", "--model", "none", "--dataset", "none.npy", "--threshold", 0.5]
    assert "Scores of ensembles needs pip install" in fail(*words)
