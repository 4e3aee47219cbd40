"""What to cite for a trained model."""

import dataclasses

import pytest

from mslstm_keras.models.names import MODELS
from mslstm_keras.training.recipes import RECIPES, find_recipe
from mslstm_keras.zoo.citing import citations

RECIPE = find_recipe("conv_lstm_moving_mnist")


def keys(**changes):
    records = citations(dataclasses.replace(RECIPE, **changes))
    return [record.partition("{")[2].partition(",")[0] for record in records]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_paper(name):
    found = keys(model=name, data="own.npy")
    assert len(found) == 1 + (name.startswith("ms_") and name != "ms_lstm")
    assert ("ma2023mslstm" in found) == (name.startswith("ms_") or name in ("sms_lstm", "tms_lstm"))


def test_the_data_follow_and_none_comes_twice():
    assert keys()[:3] == ["shi2015convolutional", "ma2023mslstm", "srivastava2015unsupervised"]
    both = keys(model="ms_lstm")
    assert both[0] == "ma2023mslstm" and len(both) == len(set(both))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_records_are_whole(recipe):
    for record in citations(recipe):
        assert record.startswith("@") and record.endswith("\n}")
        assert record.count("{") == record.count("}")
        assert "title=" in record and "year=" in record


def test_what_is_somebody_elses_has_none():
    assert keys(model="mine", data="own.npy") == []
