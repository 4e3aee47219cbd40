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


PYRAMIDS_OF_OTHERS = {name for name in MODELS if name.startswith("ms_")} - {"ms_lstm"} | {"sms_lstm"}
"""Pyramids of cells of other papers; that of ConvLSTM cells is SMS-LSTM."""


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_paper_and_a_pyramid_two(name):
    found = keys(model=name, data="own.npy")
    assert len(found) == 1 + (name in PYRAMIDS_OF_OTHERS)
    assert ("ma2023mslstm" in found) == (name in PYRAMIDS_OF_OTHERS | {"ms_lstm", "tms_lstm"})
    assert ("shi2015convolutional" in found) == (name in ("conv_lstm", "sms_lstm"))


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
