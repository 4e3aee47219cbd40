"""The card of an entry, line by line."""

import dataclasses
import json
import re

import pytest

from mslstm_keras.data.catalogue import known_facts
from mslstm_keras.data.facts import DataFacts
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.zoo.card import lead_time_table, score_table, write_card
from mslstm_keras.zoo.index import ZooEntry

RECIPE = Recipe(
    "walkers_recipe",
    model="tms_lstm",
    frame_shape=(48, 32, 3),
    context_frames=5,
    forecast_frames=2,
    data="moving_mnist_clips/fashion",
    options={"kernel_size": 5},
)


def scores(scale):
    return {
        "mse": {"mean": 20.125 * scale, "per_frame": [15.0 * scale, 25.25 * scale]},
        "mae": {"mean": 30.5 * scale, "per_frame": [30.0 * scale, 31.0 * scale]},
        "ssim": {"mean": 0.81249 * scale, "per_frame": [0.9 * scale, 0.7 * scale]},
        "psnr": {"mean": 21.5 * scale, "per_frame": [22.0 * scale, 21.0 * scale]},
    }


def scored(scale=1.0, frames="forecast"):
    return {"clips": 4500, "frames": frames, "model": scores(scale), "persistence": scores(2 * scale)}


def compared(scale, clips_seen, **changes):
    recipe = dataclasses.replace(RECIPE, name="another", **changes)
    return {"recipe": recipe.to_dict(), "clips_seen": clips_seen, "scores": scored(scale)}


ENTRY = ZooEntry(
    name="walkers",
    recipe=RECIPE,
    clips_seen=1234567,
    parameters=98765,
    scores=scored(),
    comparison={
        "twice as bad": compared(2.0, 40000, model="conv_lstm", filters=8),
        "as it was": compared(1.0, 1234567),
    },
    versions={"python": "3.11.7", "keras": "3.15.1"},
    files={},
)


def card(tmp_path, **changes):
    write_card(dataclasses.replace(ENTRY, **changes), tmp_path)
    return (tmp_path / "README.md").read_text()


def test_says_what_the_model_is(tmp_path):
    text = card(tmp_path)
    assert text.startswith("# walkers\n")
    assert (
        "`tms_lstm` with 98,765 parameters: 5 frames of 48 x 32 x 3 in, the next 2 out. Trained on "
        "`moving_mnist_clips/fashion`, 1,234,567 clips seen."
    ) in text
    assert "Versions: python 3.11.7, keras 3.15.1." in text
    for picture in ("samples.gif", "curve.png"):
        assert f"]({picture})" in text
    assert "walkers_recipe" not in text.split("```json")[0]


def test_its_python_is_python(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", card(tmp_path), re.DOTALL)
    compile(code, "card", "exec")
    assert 'load_pretrained("walkers")' in code


def test_holds_the_whole_recipe(tmp_path):
    (fields,) = re.findall(r"```json\n(.*?)```", card(tmp_path), re.DOTALL)
    assert Recipe.from_dict(json.loads(fields)) == RECIPE


def test_scores_stand_beside_persistence(tmp_path):
    text = card(tmp_path)
    assert "\nThe forecast frames of the first 4,500 test clips of `moving_mnist_clips/fashion`;" in text
    assert "`mslstm evaluate --model walkers --dataset moving_mnist_clips/fashion --clips 4500`" in text
    lines = text.splitlines()
    at = lines.index("| | MSE (sum over a frame) | MAE (sum over a frame) | SSIM | PSNR (dB) |")
    assert lines[at + 1 : at + 4] == [
        "|---|---|---|---|---|",
        "| walkers | 20.12 | 30.50 | 0.812 | 21.50 |",
        "| persistence (last frame repeated) | 40.25 | 61.00 | 1.625 | 43.00 |",
    ]
    at = lines.index("| MSE (sum over a frame) | +1 | +2 |")
    assert lines[at + 1 : at + 4] == [
        "|---|---|---|",
        "| walkers | 15.00 | 25.25 |",
        "| persistence (last frame repeated) | 30.00 | 50.50 |",
    ]


def test_intervals_stand_behind_scores(tmp_path):
    changed = scored()
    changed["model"]["mse"]["interval"] = [19.5, 20.755]
    text = card(tmp_path, scores=changed)
    assert "| walkers | 20.12 (19.50 to 20.75) | 30.50 |" in text
    assert "95 % intervals by the bootstrap over clips, which takes clips as independent" in text


def test_says_how_it_was_trained_and_what_it_costs(tmp_path):
    text = card(tmp_path)
    assert "On what it was trained, and how long that took, was not recorded. `curve.csv`" in text
    assert "## Cost" not in text
    assert "Made by `mslstm train recipe.json`, where" in text
    training = {"device": "NVIDIA H200, then A Processor (2 cores)", "seconds": 7230.4}
    cost = {"macs": 1_234_000_000, "seconds": 0.1234, "device": "A Processor (2 cores)"}
    text = card(tmp_path, training=training, cost=cost, recipe=dataclasses.replace(RECIPE, initial="w.keras"))
    assert "Trained in 121 minutes on NVIDIA H200, then A Processor (2 cores), seed 0." in text
    assert "Made by `mslstm train recipe.json --initial w.keras`, where" in text
    assert (
        "98,765 parameters; 1.23 G multiply-accumulates for a forecast, which took 0.12 s (one clip, A Processor (2 "
        "cores))."
    ) in text


def test_names_the_frames_that_were_scored(tmp_path):
    assert "\nThe predicted frames of the first" in card(tmp_path, scores=scored(frames="all"))


def test_runs_to_compare_with_are_scored_and_told_apart(tmp_path):
    text = card(tmp_path)
    section = text.partition("## Runs made to compare with")[2].partition("## Training")[0]
    assert "| twice as bad | 40.25 | 61.00 | 1.625 | 43.00 |" in section
    assert "| as it was | 20.12 | 30.50 | 0.812 | 21.50 |" in section
    assert "- twice as bad: 40,000 clips seen; `model` = conv_lstm, `filters` = 8\n" in section
    assert "- as it was: 1,234,567 clips seen; the same recipe\n" in section
    assert "persistence" not in section


def test_without_comparison_there_is_no_such_section(tmp_path):
    assert "compare" not in card(tmp_path, comparison={})


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_tables_have_cells_of_one_count(metric):
    rows = {"a": scores(1.0), "b": scores(3.0)}
    for lines in (score_table(rows), lead_time_table(rows, metric)):
        assert len({line.count("|") for line in lines}) == 1
        assert [line.split("|")[1].strip() for line in lines[2:]] == ["a", "b"]


def test_errors_in_units_name_them(tmp_path):
    in_units = {**ENTRY.scores, "model": {**scores(1.0), "value_mae": {"mean": 0.5, "per_frame": [0.4, 0.6]}}}
    in_units["persistence"] = in_units["model"]
    recipe = dataclasses.replace(RECIPE, scale="0:655 bikes/h")
    text = card(tmp_path, recipe=recipe, scores=in_units, comparison={})
    assert "| MAE (bikes/h) |" in text and "in units" not in text


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        write_card(ENTRY, tmp_path / "missing")


def test_says_what_the_data_stand_for(tmp_path):
    facts = {"quantity": "rain rate", "interval_minutes": 2.5, "spacing_metres": 5000.0}
    text = card(tmp_path, recipe=dataclasses.replace(RECIPE, **facts))
    assert (
        "`moving_mnist_clips/fashion` (rain rate, a frame each 2.5 minutes, pixels of 5 km), 1,234,567"
        in text
    )


def test_says_whose_the_data_are(tmp_path, monkeypatch):
    assert "The data:" not in card(tmp_path)
    facts = {RECIPE.data: DataFacts(licence="maps of KNMI, CC BY 4.0.")}
    monkeypatch.setattr("mslstm_keras.zoo.card.known_facts", facts.__getitem__)
    assert "\n\nThe data: maps of KNMI, CC BY 4.0.\n\n" in card(tmp_path)


def test_the_licences_of_radar_maps_are_known():
    assert "KNMI" in known_facts("radar_maps/europe").licence


def test_says_what_it_is_good_for(tmp_path):
    assert "good for" not in card(tmp_path)
    text = card(tmp_path, note="Showers fade.\n\nFor *walkers* alone.\n")
    assert "\n## What it is good for\n\nShowers fade.\n\nFor *walkers* alone.\n\n## Scores\n" in text
