"""A cell that somebody writes outside the package gets models, files and forecasts without a change inside it."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from mslstm_keras import FrameL1L2, SpatiotemporalCell, architecture, create_model, forecast
from mslstm_keras.contracts.models import (
    check_causality,
    check_every_weight_has_a_gradient,
    check_streaming_is_the_roll_out,
    loss_and_gradients,
    traced,
    untraced,
)
from mslstm_keras.layers.gates import memory
from tests.support.equations import assert_close, randomise
from tests.support.processes import run_script


@keras.saving.register_keras_serializable(package="somebody")
class PeepholeCell(SpatiotemporalCell):
    """A ConvLSTM that sees its memory, and hands up a map of what it has kept."""

    state_names = ("h", "c", "kept")
    zigzag_states = ("kept",)

    def __init__(self, filters, kernel_size=3, gain=1.0, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.gain = gain
        self.temporal = self.gates(4)

    def call(self, inputs, states):
        h, c, kept = states
        i, f, g, o = self.temporal([inputs, h, c, kept])
        c = memory(c, i, f, g)
        return self.gain * ops.sigmoid(o) * ops.tanh(c), [ops.sigmoid(o) * ops.tanh(c), c, ops.sigmoid(f)]


@pytest.fixture(autouse=True)
def peephole(own_registry):
    """Registers the cell's stack in a registry that forgets it after the test."""

    @architecture
    def peephole(filters, layers, **options):
        return [PeepholeCell(filters, **options) for _ in range(layers)]


def small_model(name):
    model = create_model(name, (8, 8, 1), 2, 3, filters=4, layers=3, gain=0.5)
    randomise(model)
    return model


@pytest.mark.parametrize("name", ["peephole", "ms_peephole"])
def test_models(name):
    model = small_model(name)
    check_streaming_is_the_roll_out(model)
    check_every_weight_has_a_gradient(model, loss_and_gradients(model, untraced))
    check_causality(model, traced(model).train)


def test_trained_saved_and_forecast_in_a_fresh_process(tmp_path):
    clips = np.random.default_rng(0).random((2, 5, 8, 8, 1), "float32")
    np.save(tmp_path / "clip.npy", clips[0, :2])
    models = {name: small_model(name) for name in ("peephole", "ms_peephole")}
    for name, model in models.items():
        model.compile("adam", FrameL1L2())
        model.fit(clips[:, :-1], clips[:, 1:], verbose=0)
        model.save(tmp_path / f"{name}.keras")
    script = """
        import sys, keras, numpy, mslstm_keras
        import tests.models.test_own_cell  # whoever loads a model knows its cell
        clip = numpy.load(sys.argv[1] + "/clip.npy")
        for name in ("peephole", "ms_peephole"):
            model = keras.models.load_model(f"{sys.argv[1]}/{name}.keras")
            numpy.save(f"{sys.argv[1]}/{name}.npy", mslstm_keras.forecast(model, clip, 7))
    """
    child = run_script(script, Path(__file__).parents[2], tmp_path)
    assert child.returncode == 0, child.stderr
    for name, model in models.items():
        ahead = np.load(tmp_path / f"{name}.npy")
        assert ahead.shape == (7, 8, 8, 1)
        assert_close(ahead, forecast(model, clips[0, :2], 7), 1e-6)
