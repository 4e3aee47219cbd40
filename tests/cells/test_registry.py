"""Stacks of cells that a user registers."""

import re

import keras
import pytest

from mslstm_keras import create_model, list_models
from mslstm_keras.cells.conv_lstm import ConvLSTMCell
from mslstm_keras.cells.registry import architecture
from tests.support.stacks import heights


@pytest.mark.usefixtures("own_registry")
def test_a_registered_stack_has_two_names():
    @architecture
    def own_lstm(filters, layers, **options):
        return [ConvLSTMCell(filters, **options) for _ in range(layers)]

    @architecture(pyramid="own_pyramid")
    def other_lstm(filters, layers):
        return [(ConvLSTMCell(filters), ConvLSTMCell(filters)) for _ in range(layers)]

    assert {"own_lstm", "ms_own_lstm", "other_lstm", "own_pyramid"} <= set(list_models())
    assert len(own_lstm(2, 3)) == 3
    assert heights(create_model("own_lstm", (8, 8, 1), 1, 1, filters=2, layers=3)) == [8, 8, 8]
    assert heights(create_model("ms_own_lstm", (8, 8, 1), 1, 1, filters=2, layers=3)) == [8, 4, 8]
    model = create_model("own_pyramid", (8, 8, 1), 1, 1, filters=2, layers=3)
    assert isinstance(model, keras.Model)
    assert heights(model) == [8, 8, 4, 4, 8, 8]
    with pytest.raises(
        ValueError, match=r"`options` must be arguments of the cells of 'other_lstm'\. Received: "
    ):
        create_model("other_lstm", (8, 8, 1), 1, 1, kernel_size=3)


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(("plain", "pyramid"), [("conv_lstm", "new"), ("new", "ms_lstm"), ("new", "new")])
def test_a_name_is_registered_once(plain, pyramid):
    def stack(filters, layers):
        return [ConvLSTMCell(filters) for _ in range(layers)]

    stack.__name__ = plain
    taken = plain if plain != "new" else pyramid
    received = re.escape(f"Received: name={taken!r}")
    with pytest.raises(ValueError, match=rf"`name` of an architecture must be new\. {received}$"):
        architecture(stack, pyramid=pyramid)
    assert "new" not in list_models()
