"""What every cell puts out while a clip is forecast."""

import numpy as np
import pytest

from mslstm_keras.insight.outputs import layer_outputs
from mslstm_keras.models.rollout import Rollout, find_layer
from tests.support.equations import assert_close
from tests.support.random_models import clips, model_of


@pytest.mark.parametrize("name", ["ms_lstm", "ms_pred_rnn"])
def test_layer_outputs_are_those_of_the_forecast(name):
    model = model_of(name, side=8, context=3)
    frames = clips(side=8, time=5)[0]
    outputs = layer_outputs(model, frames)
    assert list(outputs) == ["input", "cell 1", "cell 2", "cell 3", "cell 4", "output"]
    shapes = [(4, 8, 8, 1), (4, 8, 8, 4), (4, 4, 4, 4), (4, 4, 4, 4), (4, 8, 8, 4), (4, 8, 8, 1)]
    assert [maps.shape for maps in outputs.values()] == shapes
    assert {maps.dtype.name for maps in outputs.values()} == {"float32"}
    assert_close(outputs["output"], model(frames[None, -3:])[0])
    np.testing.assert_array_equal(outputs["input"][:3], frames[-3:])
    np.testing.assert_array_equal(outputs["input"][3], outputs["output"][2])
    head = find_layer(model, Rollout).step.get_layer("head")
    assert_close(head(outputs["cell 4"]), outputs["output"])
    assert layer_outputs(model, frames, horizon=4)["cell 2"].shape == (6, 4, 4, 4)


def test_frames_that_do_not_fit():
    model = model_of("conv_lstm", side=8)
    with pytest.raises(
        ValueError, match=r"`frames` must be .* at least 2 frames. Received: .*\(1, 8, 8, 1\)"
    ):
        layer_outputs(model, clips(side=8, time=1)[0])
    with pytest.raises(ValueError, match=r"`frames` must be .* Received: frames.shape=\(1, 3, 8, 8, 1\)"):
        layer_outputs(model, clips(side=8))


@pytest.mark.parametrize("horizon", [0, 1.5])
def test_horizons_that_are_none(horizon):
    with pytest.raises(ValueError, match=f"`horizon` must be a positive .* Received: horizon={horizon}"):
        layer_outputs(model_of("conv_lstm", side=8), clips(side=8)[0], horizon)
