"""Receptive fields, in theory and by gradients."""

import keras
import numpy as np
import pytest
from keras import ops

from mslstm_keras import SpatiotemporalCell, architecture, create_model
from mslstm_keras.insight.receptive_field import (
    CellField,
    effective_receptive_field,
    effective_side,
    encoder_cells,
    theoretical_receptive_field,
)
from mslstm_keras.models.rollout import Rollout, find_layer
from tests.support.equations import assert_close
from tests.support.random_models import SIDE, clips, model_of

# In theory


@pytest.mark.parametrize(
    ("name", "paper", "sides"),
    [
        # 1 + 2 l; pooling in between: (3 + 1) -> 4 + 4 = 8, (8 + 2) -> 10 + 8 = 18
        ("conv_lstm", (3, 5, 7), (3, 5, 7)),
        ("sms_lstm", (3, 7, 15), (3, 8, 18)),
        # The output gate sees through two 5x5 kernels: 9x9 for one cell.
        ("tms_lstm", (5, 9, 13), (9, 17, 25)),
        ("ms_lstm", (5, 13, 29), (9, 26, 60)),
    ],
)
def test_the_paper_s_numbers(name, paper, sides):
    field = theoretical_receptive_field(model_of(name, layers=6))
    assert tuple(cell.paper for cell in field.cells) == paper
    assert tuple(cell.side for cell in field.cells) == sides
    assert (field.paper, field.side, field.note) == (paper[-1], sides[-1], "")
    assert [cell.name for cell in field.cells] == ["cell 1", "cell 2", "cell 3"]
    pyramid = name in ("sms_lstm", "ms_lstm")
    assert [cell.scale for cell in field.cells] == ([1, 2, 4] if pyramid else [1, 1, 1])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("conv_lstm", {}),
        ("conv_lstm", {"kernel_size": 4}),
        ("conv_lstm", {"patch_size": 2}),
        ("sms_lstm", {"layers": 6}),
        ("ms_lstm", {}),
        ("traj_gru", {"links": 2}),
        ("pred_rnn", {}),
        ("ms_pred_rnn", {}),
        ("ms_pred_rnn_plus_plus", {}),
        ("pred_rnn_v2", {}),
        ("mim", {}),
        ("ms_mim", {}),
        ("mode_rnn", {"iterations": 2, "layers": 2}),
        ("precip_lstm", {"window": 4, "layers": 2}),
    ],
)
def test_every_path_of_the_theory_is_in_the_gradient_and_no_other(name, options):
    model = model_of(name, **options)
    top, left, side = theoretical_receptive_field(model).cells[-1].box(SIDE, SIDE)
    # At the first frame the states are zeros, and what is multiplied with them leaves no trace.
    seen = np.argwhere(effective_receptive_field(model, clips())[-1] > 0)
    first, last = np.array([top, left]), np.array([top, left]) + side - 1
    np.testing.assert_array_equal(seen.min(0), np.maximum(first, 0))
    np.testing.assert_array_equal(seen.max(0), np.minimum(last, SIDE - 1))


@pytest.mark.parametrize(
    ("name", "bounded", "note"),
    [
        ("motion_rnn", False, "without bound: maps are sampled along flows, which depend on the data"),
        ("ms_motion_rnn", False, "without bound: maps are sampled along flows, which depend on the data"),
        ("cms_lstm", False, "the whole map, by attention"),
        (
            "traj_gru",
            True,
            "over time without bound: states are sampled along flows, which depend on the data",
        ),
        ("precip_lstm", True, "attention sees windows of 30 pixels of each map"),
    ],
)
def test_attention_and_flows_are_named(name, bounded, note):
    field = theoretical_receptive_field(model_of(name))
    assert (field.note, field.side is not None) == (note, bounded)
    assert field.paper == (7 if name == "ms_motion_rnn" else 5)
    assert (field.cells[-1].box(SIDE, SIDE) is not None) == bounded


@pytest.mark.parametrize("name", ["mode_rnn", "ms_mim", "pred_rnn_plus_plus"])
def test_the_largest_kernel_over_the_inputs_counts(name):
    sizes = [cell.kernel_size for cell in theoretical_receptive_field(model_of(name)).cells]
    assert sizes == {"mode_rnn": [7, 7], "ms_mim": [3, 3], "pred_rnn_plus_plus": [3, 3, 3]}[name]


def test_options_and_patches():
    assert theoretical_receptive_field(model_of("conv_lstm", kernel_size=5)).paper == 9
    assert theoretical_receptive_field(model_of("ms_lstm", kernel_sizes=(3, 7))).paper == 1 + 6 * (1 + 2)
    field = theoretical_receptive_field(model_of("sms_lstm", patch_size=2, layers=6, side=64))
    assert field.paper == 2 * 15
    assert [cell.scale for cell in field.cells] == [2, 4, 8]


@pytest.mark.parametrize(
    ("scales", "cells"),
    [
        ((1,), 1),
        ((1, 1), 1),
        ((1, 1, 1), 2),
        ((1, 2, 1), 2),
        ((1, 1, 2, 2, 1, 1), 3),
        ((1, 2, 2, 2, 2, 1), 3),
    ],
)
def test_the_encoder_is_the_first_half(scales, cells):
    model = model_of("conv_lstm", layers=len(scales), scales=scales)
    assert encoder_cells(model) == len(theoretical_receptive_field(model).cells) == cells


@keras.saving.register_keras_serializable(package="tests")
class Blur(keras.layers.Layer):
    """A layer with a window of its own inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.pool = keras.layers.AveragePooling2D(7, strides=1, padding="same")

    def call(self, inputs):
        return ops.relu(self.pool(inputs))


@keras.saving.register_keras_serializable(package="tests")
class OwnCell(SpatiotemporalCell):
    """A user's cell, with a layer of its own and, if asked, an operation that moves pixels."""

    state_names = ("h",)

    def __init__(self, filters, kernel_size=3, roll=False, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.roll = roll
        self.blur = Blur()
        self.temporal = self.gates(1)

    def call(self, inputs, states):
        (h,) = self.temporal([self.blur(inputs), states[0]])
        h = ops.roll(h, 1, axis=1) if self.roll else h
        return h, [h]


@pytest.fixture
def own(own_registry):
    @architecture
    def own(filters, layers, **options):
        return [OwnCell(filters, **options) for _ in range(layers)]


@pytest.mark.usefixtures("own")
def test_a_cell_of_ones_own():
    assert theoretical_receptive_field(model_of("own")).side == 1 + 2 * (6 + 2)
    field = theoretical_receptive_field(model_of("own", roll=True))
    assert (field.side, field.note) == (None, "without bound: Roll may mix any pixels")


# By gradients


def test_gradients_are_those_of_differences():
    model = model_of("conv_lstm", side=8, layers=1, filters=3)
    step = find_layer(model, Rollout).step
    clip = clips(side=8, time=2)[0]

    def centre(clip):
        states = [ops.zeros((1, *state.shape[1:])) for state in step.inputs[1:]]
        for frame in clip:
            _, *states = step([ops.convert_to_tensor(frame[None]), *states])
        return float(ops.sum(states[0][0, 4, 4]))

    dependence = effective_receptive_field(model, clip)
    assert dependence.shape == (2, 8, 8)
    assert dependence.dtype == "float32"
    for place in [(1, 4, 4), (1, 3, 5), (0, 4, 4), (0, 2, 6), (1, 2, 4)]:
        change = np.zeros_like(clip)
        change[place] = 0.01
        expected = abs(centre(clip + change) - centre(clip - change)) / 0.02
        assert dependence[place] == pytest.approx(expected, abs=2e-4)
    assert dependence[1, 4, 4] > 0.01
    assert dependence[1, 2, 4] == 0


def test_gradients_are_averaged_over_clips_and_summed_over_channels():
    model = create_model("sms_lstm", (16, 16, 2), 2, 2, filters=4, layers=4)
    several = clips(batch=3, side=16, channels=2)
    expected = np.mean([effective_receptive_field(model, clip) for clip in several], axis=0)
    assert_close(effective_receptive_field(model, several), expected)
    assert expected.shape == (3, 16, 16)


def test_gradients_of_any_cell():
    model = model_of("sms_lstm")
    default, *each = (effective_receptive_field(model, clips(), cell) for cell in (None, 1, 2, 3, 4))
    np.testing.assert_array_equal(default, each[1])
    visible = [np.count_nonzero(dependence[-1]) for dependence in each]
    assert visible[0] == 9
    assert visible == sorted(set(visible))


def test_effective_side():
    dependence = np.zeros((9, 9))
    dependence[2:5, 3:6] = 0.05
    dependence[3, 4] = 1
    dependence[0, 0] = 0.04
    assert effective_side(dependence) == 3
    with pytest.raises(ValueError, match=r"`dependence` must be \(height, width\). Received: .*shape=\(9,\)"):
        effective_side(dependence[0])


# Faults


def test_clips_that_do_not_fit():
    model = model_of("conv_lstm", side=8)
    with pytest.raises(
        ValueError, match=r"`clips` must have shape .*8, 8, 1.* Received: clips.shape=\(8, 8, 1\)"
    ):
        effective_receptive_field(model, clips(side=8)[0, 0])
    with pytest.raises(
        ValueError, match=r"`clips` must have shape .* Received: clips.shape=\(1, 3, 4, 4, 1\)"
    ):
        effective_receptive_field(model, clips(side=4))
    with pytest.raises(
        ValueError, match=r"`clips` must have one shape. Received: \[\(3, 8, 8, 1\), \(2, 8, 8, 1\)\]"
    ):
        effective_receptive_field(model, [clips(side=8)[0], clips(side=8, time=2)[0]])


@pytest.mark.parametrize("cell", [0, 5, -1])
def test_cells_that_are_not_there(cell):
    with pytest.raises(ValueError, match=f"`cell` must be from 1 to 4. Received: cell={cell}"):
        effective_receptive_field(model_of("conv_lstm", side=8), clips(side=8), cell)


def test_a_model_without_cells():
    frame = keras.Input((8, 8, 1))
    frames = keras.Input((2, 8, 8, 1))
    observed = keras.Input((2,))
    step = keras.Model([frame], [keras.layers.Conv2D(1, 1)(frame)], name="bare")
    model = keras.Model([frames, observed], Rollout(step, 2, 1)(frames, observed))
    with pytest.raises(ValueError, match=r"`model` must have cells in its step. Received: 'bare' with none"):
        theoretical_receptive_field(model)
    with pytest.raises(ValueError, match="`model` must have one Rollout layer"):
        theoretical_receptive_field(step)


def test_gradients_need_tensorflow(monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"must be asked on the TensorFlow backend. Received: 'jax'"):
        effective_receptive_field(None, None)


def test_box_of_a_field():
    assert CellField("cell 3", 4, 3, 15, (7, 10)).box(64, 32) == (25, 9, 18)
    assert CellField("cell 1", 1, 3, 3, (1, 1)).box(9, 9) == (3, 3, 3)


def test_models_are_left_as_they_were():
    model = model_of("conv_lstm", side=8)
    before = model.count_params()
    theoretical_receptive_field(model)
    assert model.count_params() == before
