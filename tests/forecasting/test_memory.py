"""What a step takes, predicted."""

import math

import pytest

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.forecasting import memory
from mslstm_keras.forecasting.memory import memory_budget, step_memory
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import Rollout, find_layer


def step_of(name, **options):
    model = create_model(name, (16, 16, 1), 2, 2, filters=4, layers=3, **options)
    return find_layer(model, Rollout).step


@pytest.mark.parametrize("name", ["ms_lstm", "mim", "traj_gru", "pred_rnn_v2"])
def test_memory_grows_with_the_pixels(name):
    step = step_of(name)
    small, large = step_memory(step, 32, 48), step_memory(step, 320, 480)
    assert large == pytest.approx(100 * small, rel=0.01)


def test_memory_holds_the_states_twice_and_what_a_cell_computes():
    step = step_of("conv_lstm")
    states = 2 * (16 * 16 * 4) * sum(math.prod(state.shape[1:]) for state in step.inputs[1:]) // (16 * 16)
    found = step_memory(step, 16, 16)
    assert states + 4 * 16 * 16 * 4 * 4 < found < 4 * states  # the four gates of one cell besides


def test_attention_to_a_window_takes_more_on_a_larger_grid():
    """The window of 30 pixels is larger than the model's own maps."""
    step = step_of("precip_lstm", patch_size=4)
    assert step_memory(step, 512, 512) > 2 * (512 // 16) ** 2 * step_memory(step, 16, 16)


def test_what_is_predicted_once_is_kept(monkeypatch):
    step, other = step_of("conv_lstm"), step_of("mim")
    found = step_memory(step, 32, 48)
    traced = []
    monkeypatch.setattr(memory, "_within", lambda *arguments: traced.append(arguments) or 0)
    assert step_memory(step, 32, 48) == found and not traced
    step_memory(step, 48, 32)
    step_memory(other, 32, 48)
    assert [cell for cell, _ in traced] == [
        layer for each in (step, other) for layer in each.layers if isinstance(layer, SpatiotemporalCell)
    ]


def test_half_of_what_is_free_may_be_taken(monkeypatch):
    class Free:
        available = 10_000

    monkeypatch.setattr("psutil.virtual_memory", lambda: Free)
    assert memory_budget() == 5_000
    Free.available = 2**50
    assert memory_budget() == memory.MOST
