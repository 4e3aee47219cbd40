"""A model's weights in models of frames of other sizes."""

import re

import numpy as np
import pytest

from mslstm_keras import list_models
from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.resizing import resized_model, size_divisor, tied_to_size
from mslstm_keras.models.rollout import Rollout, find_layer
from tests.support.equations import assert_close, randomise

pytestmark = pytest.mark.usefixtures("many_models")

TIED = ("cms_lstm", "ms_cms_lstm")
OTHER = (24, 32, 2)


def small(name, shape=(16, 16, 2), **options):
    sizes = {"filters": 4, "layers": 3 if name.startswith("ms_") else 2, "patch_size": 2, **options}
    return create_model(name, shape, 2, 3, **sizes)


def step_of(model):
    return find_layer(model, Rollout).step


@pytest.mark.parametrize("name", sorted(set(list_models()) - set(TIED)))
def test_a_resized_model_is_the_model_made_for_that_size(name):
    model = small(name)
    randomise(model)
    expected = small(name, OTHER)
    expected.set_weights(model.get_weights())
    resized = resized_model(model, OTHER)
    assert [each.name for each in step_of(resized).inputs] == [each.name for each in step_of(expected).inputs]
    assert [each.shape for each in step_of(resized).inputs] == [
        each.shape for each in step_of(expected).inputs
    ]
    frames = np.random.default_rng(0).random((2, 2, *OTHER), "float32")
    assert_close(resized(frames), np.array(expected(frames)), 1e-6)


def test_a_resized_model_has_weights_of_its_own_and_the_way_of_the_roll_out():
    model = small("conv_lstm", unroll=True, checkpoint="step", fast=False)
    resized = resized_model(model, OTHER)
    rollout = find_layer(resized, Rollout)
    assert (rollout.unroll, rollout.checkpoint, rollout.fast) == (True, "step", False)
    before = [weight.copy() for weight in resized.get_weights()]
    randomise(model)
    for weight, expected in zip(resized.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("name", TIED)
def test_attention_to_blocks_of_the_map_is_made_for_one_size(name):
    model = small(name, (32, 32, 2))
    assert tied_to_size(step_of(model)) == "CMSLSTMCell"
    message = (
        "`frame_shape` must be the model's own, (32, 32, 2), for whose maps its cells are made. Received: "
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        resized_model(model, (64, 32, 2))
    assert_close(
        resized_model(model, (32, 32, 2))(np.ones((1, 2, 32, 32, 2), "float32")),
        np.array(model(np.ones((1, 2, 32, 32, 2), "float32"))),
        1e-6,
    )


def test_no_other_cell_is_made_for_one_size():
    assert not SpatiotemporalCell.tied_to_size
    assert tied_to_size(step_of(small("conv_lstm"))) == ""


@pytest.mark.parametrize(("name", "scales", "divisor"), [("conv_lstm", None, 2), ("ms_lstm", (1, 2, 1), 4)])
def test_sides_divide_by_patch_size_and_the_largest_scale(name, scales, divisor):
    assert size_divisor(step_of(small(name, scales=scales))) == divisor


@pytest.mark.parametrize("shape", [(24, 30, 2), (24, 32, 1), (24, 32)])
def test_sizes_that_do_not_fit_are_refused(shape):
    message = (
        f"`frame_shape` must be (height, width, 2), both sides multiples of 4. Received: frame_shape={shape}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        resized_model(small("ms_lstm"), shape)
