"""What the README says, done."""

from pathlib import Path

import mslstm_keras
from mslstm_keras.zoo.table import zoo_tables
from tests.support.examples import blocks

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_python_example_runs():
    (example,) = [code for code in blocks("python", README) if "Forecaster" in code]
    names = {}
    exec(example, names)
    assert names["future"].shape == (20, 64, 64, 1)
    assert names["next_frame"].shape == (64, 64, 1)
    assert names["later"].shape == (5, 64, 64, 1)


def test_zoo_tables_are_what_the_zoo_holds():
    assert "\n".join(zoo_tables(mslstm_keras.list_pretrained(), "zoo")) in README


def test_it_is_short():
    assert len(README.splitlines()) <= 150
