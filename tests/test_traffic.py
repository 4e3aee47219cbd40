"""What `docs/traffic.md` says, done on a small array that is made up."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mslstm_keras.cli import main
from mslstm_keras.data.catalogue import find_builder
from mslstm_keras.data.splits import split_clips
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.zoo.loading import load_model
from tests.support.examples import commands_of
from tfds_builders.random_access import random_access

PAGE = (Path(__file__).parents[1] / "docs" / "traffic.md").read_text()
HOURS, HIGH = 1369, 250
SMALLER = {"steps": 2, "interval_steps": 1, "decay_steps": 0, "sampling_steps": 1}
FASTER = ["--set", "filters=2", "--set", "layers=4"]


def made_up_flows():
    """Counts (hours, cells, 2) of two waves, of a day and of a week, and of chance; the peak is early."""
    random, time = np.random.default_rng(0), np.arange(HOURS)[:, np.newaxis, np.newaxis]
    busy = random.uniform(0, 40, (128, 2))
    waves = (1 + np.sin(2 * np.pi * time / 24)) * (1.5 + np.sin(2 * np.pi * time / 168))
    flows = np.minimum(random.poisson(busy * waves), HIGH - 20)
    flows[500, 0] = HIGH
    return flows


def run_smaller(words):
    """Runs a command with one seed of a training of two steps, whatever the page says."""
    if words[0] == "train":
        settings = [re.sub(r"^(\w+)=.*", _smaller, word) for word in words]
        assert sum(one != two for one, two in zip(words, settings, strict=True)) == len(SMALLER)
        words = [*settings, *FASTER, "--seeds", "1"]
    assert main(words) == 0, words


def _smaller(setting):
    return f"{setting[1]}={SMALLER[setting[1]]}" if setting[1] in SMALLER else setting[0]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Folder in which every block of the page has been run, in order, and the names of its Python."""
    folder, names = tmp_path_factory.mktemp("traffic"), {}
    np.save(folder / "nycbike.npy", made_up_flows())
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        for language, example in re.findall(r"```(python|bash)\n(.*?)```", PAGE, re.DOTALL):
            if language == "python":
                exec(example, names)
            else:
                for words in commands_of(example):
                    run_smaller(words)
    return folder, names


@pytest.fixture(scope="module")
def prepared(done):
    """The test clips of the page in bikes/h, and the hours that they begin with."""
    folder, _ = done
    source = random_access(find_builder("frames_from_folder/bikes", folder / "data"), "test")
    return np.stack([clip["frames"] * HIGH for clip in source]), [clip["first_frame"] for clip in source]


@pytest.mark.slow
def test_clips_are_split_by_time(done, prepared):
    folder, names = done
    _, firsts = prepared
    assert (firsts[0], len(firsts)) == (HOURS - 274, 267)
    trained = split_clips("frames_from_folder/bikes", "train", folder / "data")
    assert (trained.count, trained.scale, trained.interval) == (1088, f"0:{HIGH} bikes/h", 60)
    last = trained.frames(np.array([1087]))[0] * HIGH
    np.testing.assert_allclose(last, names["flows"][HOURS - 274 - 8 : HOURS - 274], atol=1e-4)


@pytest.mark.slow
def test_baselines_are_those_of_the_test_clips(done, prepared):
    _, names = done
    clips, firsts = prepared
    np.testing.assert_allclose(names["truth"], clips[:, 4:], atol=1e-4)
    before = [[names["flows"][first + 4 + lead - 7 * 24] for lead in range(4)] for first in firsts]
    np.testing.assert_array_equal(names["baselines"]["a week before"], before)
    expected = np.mean([abs(each - clip[4:]).mean() for each, clip in zip(before, clips, strict=True)])
    assert names["scores"]["a week before"]["value_mae"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_scores_on_the_array_are_those_of_the_command(done):
    folder, names = done
    evaluation = json.loads((folder / "scores.json").read_text())
    assert list(evaluation["models"]) == ["ms_lstm", "conv_lstm", "pred_rnn", "persistence"]
    for metric, score in names["scores"]["persistence"].items():
        assert evaluation["models"]["persistence"][metric]["mean"] == pytest.approx(score, rel=1e-5)


@pytest.mark.slow
def test_forecasts_are_in_bikes_an_hour(done):
    folder, names = done
    future = np.load(folder / "next_hours.npy")
    seen = names["flows"][-4:] / HIGH
    expected = HIGH * np.clip(forecast(load_model(folder / "runs" / "ms_lstm" / "seed-0"), seen), 0, 1)
    assert future.shape == (4, 16, 8, 2) and future.max() > 1
    np.testing.assert_allclose(future, expected, atol=1e-3)


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGE):
        assert (Path(__file__).parents[1] / "docs" / link).exists(), link
