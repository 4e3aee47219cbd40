"""Named models: how names, scales and sizes become a model, and what the paper's sizes weigh."""

import re

import keras
import numpy as np
import pytest

from mslstm_keras import create_model, list_models
from mslstm_keras.cells.conv_lstm import ConvLSTMCell
from mslstm_keras.cells.mk_lstm import MKLSTMCell
from mslstm_keras.models.registry import pyramid_scales
from mslstm_keras.models.rollout import ObservedFrames, Rollout, find_layer
from tests.support.stacks import cells, heights


def trainable(model):
    return sum(weight.numpy().size for weight in model.trainable_weights)


def test_pyramid_scales():
    assert [pyramid_scales(layers) for layers in range(1, 8)] == [
        (1,),
        (1, 1),
        (1, 2, 1),
        (1, 2, 2, 1),
        (1, 2, 4, 2, 1),
        (1, 2, 4, 4, 2, 1),
        (1, 2, 4, 8, 4, 2, 1),
    ]


@pytest.mark.parametrize(
    ("name", "cell_class", "is_pyramid"),
    [
        ("conv_lstm", ConvLSTMCell, False),
        ("sms_lstm", ConvLSTMCell, True),
        ("tms_lstm", MKLSTMCell, False),
        ("ms_lstm", MKLSTMCell, True),
    ],
)
def test_names(name, cell_class, is_pyramid):
    model = create_model(name, (16, 16, 1), 2, 2, filters=2)
    assert name in list_models()
    assert model.name == name
    assert [type(cell) for cell in cells(model)] == [cell_class] * 6
    assert heights(model) == ([16, 8, 4, 4, 8, 16] if is_pyramid else [16] * 6)


def test_list_is_sorted():
    assert list_models() == sorted(set(list_models()))


def test_arguments_reach_their_place():
    model = create_model(
        "conv_lstm",
        (8, 16, 3),
        3,
        4,
        filters=5,
        layers=4,
        scales=(1, 2, 2, 1),
        patch_size=2,
        unroll=True,
        seed=9,
        kernel_size=5,
    )
    rollout, observed = find_layer(model, Rollout), find_layer(model, ObservedFrames)
    assert (model.input_shape, model.output_shape) == ((None, None, 8, 16, 3), (None, 6, 8, 16, 3))
    assert heights(model) == [4, 2, 2, 4]
    assert {(cell.filters, cell.kernel_size) for cell in cells(model)} == {(5, 5)}
    assert (rollout.context_frames, rollout.forecast_frames, rollout.unroll) == (3, 4, True)
    assert (observed.context_frames, observed.forecast_frames) == (3, 4)
    assert observed.get_config()["seed"] == 9


def test_numbers_of_numpy_become_those_that_keras_saves(tmp_path):
    two, four = np.int64(2), np.int32(4)
    model = create_model(
        "conv_lstm",
        (four, four, two),
        two,
        two,
        filters=four,
        layers=two,
        patch_size=two,
        kernel_size=np.int8(3),
    )
    model.save(tmp_path / "a.keras")
    assert keras.models.load_model(tmp_path / "a.keras").output_shape == (None, 3, 4, 4, 2)


CONV_LSTM = 3 * 3 * (32 + 32) * (4 * 32) + 4 * 32  # one kernel on [x, h] and one bias for each of four gates
MK_LSTM = (
    CONV_LSTM  # gates of the 3x3 memory
    + (5 * 5 * (32 + 32) * (4 * 32) + 4 * 32)  # gates of the 5x5 memory
    + (3 * 3 + 5 * 5) * 32 * 32  # from each memory to the output gate, without bias
    + (2 * 32 * 32 + 32)  # 1x1 fusion of both memories
)
EMBED_AND_HEAD = (1 * 32 + 32) + (32 * 1 + 1)
TRUTH_RATE = 2  # not trained: the pair of sampling rates


@pytest.mark.parametrize(
    ("names", "cell", "total"),
    [(("conv_lstm", "sms_lstm"), CONV_LSTM, 443_235), (("tms_lstm", "ms_lstm"), MK_LSTM, 1_894_179)],
)
def test_parameter_counts_of_the_paper_s_sizes(names, cell, total):
    for name in names:
        model = create_model(name, (64, 64, 1), 10, 10)
        assert trainable(model) == 6 * cell + EMBED_AND_HEAD
        assert model.count_params() == total == 6 * cell + EMBED_AND_HEAD + TRUTH_RATE


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"`name` must be a known model, such as .*ms_lstm.* Received: name='mslstm'$"
    ):
        create_model("mslstm", (8, 8, 1), 2, 2)


@pytest.mark.parametrize("layers", [0, -1, 2.0, "2", True, None])
def test_layers_must_be_positive(layers):
    received = re.escape(f"Received: layers={layers!r}")
    with pytest.raises(ValueError, match=rf"`layers` must be a whole number of at least 1\. {received}$"):
        create_model("conv_lstm", (8, 8, 1), 2, 2, layers=layers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scales": (1, 1)}, r"`scales` must hold one integer for each of `levels`"),
        ({"patch_size": 3}, r"`frame_shape` must have a height and width that divide by .* 3 x 1 = 3"),
        ({"filters": 0}, r"`filters` must be a positive integer"),
        ({"kernel_size": 0}, r"`kernel_size` must be a positive integer"),
    ],
)
def test_errors_of_the_parts_come_through(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_model("conv_lstm", (8, 8, 1), 2, 2, **{"filters": 2, "layers": 1, **arguments})


@pytest.mark.parametrize(("name", "option"), [("conv_lstm", "kernel_sizes"), ("tms_lstm", "kernel_size")])
def test_options_that_a_cell_does_not_take_are_refused(name, option):
    with pytest.raises(ValueError, match=rf"{option}\b"):
        create_model(name, (8, 8, 1), 2, 2, filters=2, layers=1, **{option: 3})
