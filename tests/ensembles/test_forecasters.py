"""What is scored beside each other, and by which pixels."""

import numpy as np
import pytest

from mslstm_keras.data.clips import Clips
from mslstm_keras.ensembles import forecasters as module
from mslstm_keras.ensembles.forecasters import baseline_forecasters, model_forecasters
from mslstm_keras.ensembles.members import ensemble_forecast
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.frames.scales import parse_scale
from mslstm_keras.models.registry import create_model
from tests.support.equations import randomise

CONTEXT, HORIZON, SIZE = 3, 2, (8, 9)


def small_model(seed):
    model = create_model("conv_lstm", (8, 8, 1), CONTEXT, HORIZON, filters=2, layers=1)
    randomise(model, seed=seed)
    return model


@pytest.fixture(scope="module")
def models():
    return [small_model(1), small_model(2)]


@pytest.fixture
def context():
    return np.random.default_rng(0).random((CONTEXT, *SIZE, 1)).astype("float32")


def test_models_alone_of_several_seeds_and_perturbed(models, context):
    found = model_forecasters({"one": models[:1], "two": models}, HORIZON, members=3)
    assert list(found) == ["one", "one, 3 members", "two", "two, 2 seeds", "two, 3 members"]
    alone = forecast(models[0], context)
    np.testing.assert_array_equal(found["one"](context, 0), alone[np.newaxis])
    np.testing.assert_array_equal(found["two, 2 seeds"](context, 0), [alone, forecast(models[1], context)])
    perturbed = ensemble_forecast(models[0], context, members=3, seed=5)
    np.testing.assert_array_equal(found["two, 3 members"](context, 5), perturbed)
    assert list(model_forecasters({"two": models}, HORIZON)) == ["two", "two, 2 seeds"]


def test_pixels_of_a_model_may_stand_for_rates_in_another_way(models, context, monkeypatch):
    seen = []

    def half(model, frames, horizon):
        seen.append(frames)
        return np.full((horizon, *SIZE, 1), 0.5, "float32")

    monkeypatch.setattr(module, "forecast", half)
    code = RAIN_SCALES["dwd"]
    scales = {"one": parse_scale("0:400 mm/h"), "two": code}
    found = model_forecasters({"one": models[:1], "two": models[:1]}, HORIZON, code=code, scales=scales)
    members = found["one"](context, 0)
    np.testing.assert_allclose(code.to_value(members.astype("float64")), 200, rtol=1e-5)
    np.testing.assert_allclose(seen[0], code.to_value(context) / 400, rtol=1e-4, atol=1e-6)
    found["two"](context, 0)
    np.testing.assert_array_equal(seen[1], context)


def clips(**facts):
    return Clips(lambda numbers: numbers, 1, **facts)


def test_of_other_data_than_rain_persistence_is_the_only_baseline(context):
    for scale in (None, "0:20 bikes/h"):
        found = baseline_forecasters(clips(scale=scale), CONTEXT, HORIZON, members=4)
        assert list(found) == ["persistence"]
    np.testing.assert_array_equal(found["persistence"](context, 0), context[np.newaxis, [-1, -1]])


RAIN = {"scale": "rain:hko", "interval": 5.0, "spacing": 2000.0}


def test_of_rain_there_are_optical_flow_and_steps(context, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "available_baselines", lambda count: ["persistence", "optical_flow"])
    monkeypatch.setattr(
        module, "optical_flow_extrapolation", lambda *arguments: np.full((HORIZON, *SIZE, 1), 0.5)
    )
    monkeypatch.setattr(module, "steps_ensemble", lambda *words, **options: asked.append((words, options)))
    found = baseline_forecasters(clips(**RAIN), CONTEXT, HORIZON, members=4)
    assert list(found) == ["persistence", "optical_flow", "STEPS, 4 members"]
    assert found["optical_flow"](context, 0).shape == (1, HORIZON, *SIZE, 1)
    found["STEPS, 4 members"](context, 6)
    ((given, *numbers), options) = asked[0]
    assert given is context and numbers == [HORIZON, 4]
    assert options == {"spacing": 2000.0, "interval": 5.0, "rain_scale": "hko", "seed": 6}
    assert list(baseline_forecasters(clips(**RAIN), CONTEXT, HORIZON)) == ["persistence", "optical_flow"]
    for count, facts in (
        (2, RAIN),
        (CONTEXT, RAIN | {"spacing": None}),
        (CONTEXT, RAIN | {"interval": None}),
    ):
        with pytest.warns(UserWarning, match="STEPS is left out: it needs 3 frames of context, metres"):
            found = baseline_forecasters(clips(**facts), count, HORIZON, members=4)
        assert list(found) == ["persistence", "optical_flow"]


def test_without_pysteps_persistence_is_the_only_baseline(monkeypatch):
    monkeypatch.setattr(module, "available_baselines", lambda count: ["persistence"])
    assert list(baseline_forecasters(clips(**RAIN), CONTEXT, HORIZON, members=4)) == ["persistence"]
