"""What a search has found, as files, as a table and as a figure."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from mslstm_keras.search.results import (
    pareto_figure,
    pareto_front,
    read_results,
    results_csv,
    results_table,
    write_results,
)
from mslstm_keras.training.recipes import Recipe, find_recipe

RECIPE = Recipe("small", steps=200)
SEARCH = {"recipe": RECIPE.to_dict(), "searcher": "random", "caps": {"max_parameters": 5000}}
REFUSED = [{"values": {"filters": 64, "scales": None}, "reason": "too large"}]


def trial(name, parameters, score, status="completed"):
    return {
        "trial": name,
        "values": {"filters": parameters // 10, "scales": [1, 2, 1]},
        "recipe": {**RECIPE.to_dict(), "filters": parameters // 10},
        "continues": None,
        "parameters": parameters,
        "macs": 1000 * parameters,
        "training_memory": 2 * 10**9,
        "score": score,
        "status": status,
    }


TRIALS = [trial("0", 100, 30.0), trial("1", 400, 10.0), trial("2", 200, 35.0), trial("3", 300, 20.5)]
TRIALS += [trial("4", 50, None, "failed")]


def coloured(path, colour):
    """Returns where a picture has a colour."""
    return np.abs(np.array(Image.open(path).convert("RGB")).astype(int) - colour).sum(-1) < 30


@pytest.fixture
def written(tmp_path):
    write_results(tmp_path, SEARCH, "val_frame_mse", TRIALS, REFUSED, True)
    return tmp_path


def test_files(written):
    assert {path.name for path in written.iterdir()} == {
        "results.json",
        "results.csv",
        "pareto.png",
        "best.json",
    }
    results = read_results(written)
    assert (results["best"], results["finished"], results["refused"]) == ("1", True, REFUSED)
    assert results["trials"] == TRIALS
    assert (written / "results.csv").read_text() == results_csv(results)
    best = find_recipe(str(written / "best.json"))
    assert (best.name, best.filters, best.steps) == ("small_tuned", 40, 200)


def test_without_a_score_there_is_neither_a_best_recipe_nor_a_figure(tmp_path):
    write_results(tmp_path, SEARCH, "val_frame_mse", TRIALS[-1:], [], False)
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "results.csv"}
    assert read_results(tmp_path)["best"] is None
    with pytest.raises(ValueError, match=r"`results` must hold a trial with a score\. Received: none"):
        pareto_figure(read_results(tmp_path), tmp_path / "pareto.png")


def test_results_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "results.json").write_text("{")
    message = f"`run_dir` must hold a readable results.json. Received: {tmp_path / 'results.json'} ("
    with pytest.raises(ValueError, match=re.escape(message)):
        read_results(tmp_path)


def test_csv(written):
    lines = list(csv.DictReader((written / "results.csv").read_text().splitlines()))
    assert list(lines[0]) == [
        *("trial", "filters", "scales", "steps", "parameters", "macs", "training_memory", "score", "status")
    ]
    assert [line["score"] for line in lines] == ["30.0", "10.0", "35.0", "20.5", ""]
    assert json.loads(lines[1]["scales"]) == [1, 2, 1]


def test_table_has_the_best_first_and_marks_the_front(written):
    head, *rows, note, refused = results_table(read_results(written))
    assert head.split("  ")[0] == "trial" and "val_frame_mse" in head
    assert [row.split()[0] for row in rows] == ["1", "3", "0", "2", "4"]
    assert [row.endswith("*") for row in rows] == [True, True, True, False, False]
    assert rows[0].split()[-6:] == ["400", "0.0004", "2.00", "10", "completed", "*"]
    assert note == "* no other trial has both a better score and fewer parameters"
    assert refused == "refused: filters=64, scales=null: too large"


def test_front():
    assert pareto_front(TRIALS, "parameters") == ["0", "3", "1"]
    assert pareto_front(TRIALS, "training_memory") == ["1"]  # all cost the same
    assert pareto_front([], "macs") == []


def test_figure_shows_the_front_in_colour_and_the_rest_in_grey(written):
    """One trial is beaten in each of the first two panels, three in the last."""
    blue = coloured(written / "pareto.png", (0x1F, 0x6F, 0xB4))
    assert blue.shape == (620, 1600)
    thirds = [blue[:, start : start + 530].sum() for start in (0, 530, 1060)]
    assert min(thirds) > 50 and thirds[0] > 3 * thirds[2]


def test_figure_of_synthetic_data_says_so(written, tmp_path):
    results = read_results(written)
    pareto_figure({**results, "data": "taxibj_clips/synthetic"}, tmp_path / "synthetic.png")
    assert coloured(written / "pareto.png", (0xD1, 0x49, 0x5B)).sum() == 0
    assert coloured(tmp_path / "synthetic.png", (0xD1, 0x49, 0x5B)).sum() > 0
