"""Members of several models, and of one that is perturbed."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray

from mslstm_keras.ensembles import members as members_module
from mslstm_keras.ensembles.members import ensemble_forecast
from mslstm_keras.ensembles.noise import ErrorNoise
from mslstm_keras.forecasting import grid as grid_module
from mslstm_keras.forecasting import tiles
from mslstm_keras.forecasting.forecaster import Forecaster, forecast
from mslstm_keras.forecasting.memory import step_memory
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import Rollout, find_layer
from tests.support.equations import assert_close, randomise

CONTEXT, FORECAST, FRAME = 3, 4, (8, 4, 2)
CLIP = np.random.default_rng(0).random((CONTEXT, *FRAME), "float32")


def random_model(seed=0, context=CONTEXT, **options):
    model = create_model("conv_lstm", FRAME, context, FORECAST, filters=3, layers=1, **options)
    randomise(model, seed)
    return model


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def seeds():
    return [random_model(seed) for seed in (0, 1, 2)]


def test_models_of_several_seeds_give_what_each_forecasts(seeds):
    told = []
    found = ensemble_forecast(seeds, CLIP, 6, progress=lambda *numbers: told.append(numbers))
    assert found.shape == (3, 6, *FRAME) and found.dtype == "float32"
    for each, member in zip(seeds, found, strict=True):
        np.testing.assert_array_equal(member, forecast(each, CLIP, 6))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert ensemble_forecast(seeds, CLIP).shape[1] == FORECAST


@pytest.mark.parametrize("size", [(8, 4), (7, 5)])
def test_a_perturbed_member_goes_on_from_what_it_puts_out(model, size):
    """By the step of a forecaster, noise drawn for each member by itself; sides are padded as in a forecast."""
    clip = np.random.default_rng(1).random((CONTEXT, *size, 2), "float32")
    found = ensemble_forecast(model, clip, 5, members=3, seed=4)
    assert found.shape == (3, 5, *size, 2) and found.dtype == "float32"
    for member, generator in zip(found, np.random.default_rng(4).spawn(3), strict=True):
        forecaster = Forecaster(model)
        predictions = [forecaster.push(frame) for frame in clip]
        noise = ErrorNoise(clip[1:] - np.stack(predictions[:-1]))
        frame = predictions[-1]
        for lead in range(5):
            room = np.clip(np.minimum(frame, 1 - frame), 0, None)
            frame = frame + np.clip(noise.draw(generator), -room, room)
            assert_close(member[lead], frame, 1e-5)
            frame = forecaster._step(frame)


def test_the_noise_keeps_pixels_within_bounds_and_leaves_what_is_beyond(model):
    plain = forecast(model, CLIP, 1)[0]
    found = ensemble_forecast(model, CLIP, 1, members=20)[:, 0]
    beyond = (plain <= 0) | (plain >= 1)
    assert 0.1 < beyond.mean() < 0.9
    np.testing.assert_allclose(
        found[:, beyond], np.broadcast_to(plain[beyond], found[:, beyond].shape), atol=1e-6
    )
    assert found[:, ~beyond].min() >= -1e-6 and found[:, ~beyond].max() <= 1 + 1e-6
    assert (found[:, ~beyond].std(0) > 0).all()


def test_without_errors_every_member_is_the_forecast():
    """A model that puts out zeros, of frames of zeros."""
    silent = random_model()
    silent.set_weights([np.zeros_like(each) for each in silent.get_weights()])
    found = ensemble_forecast(silent, 0 * CLIP, 5, members=2)
    np.testing.assert_array_equal(found, 0)


def test_noise_of_size_zero_changes_nothing(model, monkeypatch):
    monkeypatch.setattr(ErrorNoise, "draw", lambda self, generator: np.zeros(FRAME, "float32"))
    found = ensemble_forecast(model, CLIP, 9, members=3)
    for member in found:
        assert_close(member, forecast(model, CLIP, 9), 1e-5)


def test_seeds_of_the_noise(model):
    first = ensemble_forecast(model, CLIP, members=3, seed=1)
    np.testing.assert_array_equal(ensemble_forecast(model, CLIP, members=3, seed=1), first)
    assert_close(ensemble_forecast(model, CLIP, members=5, seed=1)[:3], first, 1e-5)
    other = ensemble_forecast(model, CLIP, members=3, seed=2)
    assert (np.abs(other - first).max((1, 2, 3, 4)) > 0.01).all()
    assert np.abs(first[0] - first[1]).max() > 0.01


def test_members_are_the_same_in_parts_that_fit_into_memory(model, monkeypatch):
    whole, told = ensemble_forecast(model, CLIP, members=5), []
    one = step_memory(find_layer(model, Rollout).step, *FRAME[:2])
    monkeypatch.setattr(members_module, "memory_budget", lambda: 2 * one)
    parts = ensemble_forecast(model, CLIP, members=5, progress=lambda *numbers: told.append(numbers))
    assert_close(parts, whole, 1e-5)
    steps = CONTEXT + 3 * (FORECAST - 1)  # 2 + 2 + 1 members
    assert told == [(done, steps) for done in range(1, steps + 1)]


def test_maps_have_one_more_axis(seeds, model):
    rates = xarray.DataArray(
        np.moveaxis(CLIP, -1, 1),
        {
            "time": np.datetime64("2024-05-01T12:00", "ns") + np.arange(CONTEXT) * np.timedelta64(300, "s"),
            "y": np.arange(8.0),
            "x": np.arange(4.0),
        },
        ("time", "channel", "y", "x"),
        "rain_rate",
        {"units": "1"},
    )
    found = ensemble_forecast(model, rates, members=2)
    assert found.dims == ("realization", "time", "y", "x", "channel")
    assert found.realization.attrs["standard_name"] == "realization"
    np.testing.assert_array_equal(found, ensemble_forecast(model, CLIP, members=2))
    single = forecast(model, rates)
    for name in single.coords:
        xarray.testing.assert_identical(
            found.coords[name].drop_vars("realization", errors="ignore"), single.coords[name]
        )
    several = ensemble_forecast(seeds, rates.to_dataset())
    xarray.testing.assert_identical(
        several.isel(realization=0, drop=True), forecast(seeds[0], rates.to_dataset())
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": []}, "`models` must be a model or several. Received: none"),
        ({}, "`members` must be given for one model. Received: members=None"),
        ({"members": 1}, "`members` must be a number of members, 2 or more. Received: members=1"),
        ({"members": 2.5}, "Received: members=2.5"),
        ({"members": 2, "seed": -1}, "`seed` must be a whole number, 0 or more. Received: seed=-1"),
        ({"members": 2, "scale": "rain:dwd"}, "`scale` must be left out where frames are pixels"),
        ({"members": 2, "horizon": 0}, "`horizon` must be a positive number of frames. Received: horizon=0"),
        ({"members": 2, "frames": CLIP[None]}, "`frames` must be one clip, (time, height, width, channels)"),
        ({"members": 2, "frames": CLIP[:2]}, "`frames` must hold at least the model's 3 context frames"),
    ],
)  # fmt: skip
def test_faults(model, change, message):
    given = {"models": model, "frames": CLIP, **change}
    with pytest.raises(ValueError, match=re.escape(message)):
        ensemble_forecast(given.pop("models"), given.pop("frames"), **given)


def test_models_that_do_not_belong_together(seeds):
    with pytest.raises(
        ValueError, match=r"`members` must be left out for several models.* members=4 for 3 models"
    ):
        ensemble_forecast(seeds, CLIP, members=4)
    with pytest.raises(
        ValueError, match=r"one number of context and forecast frames. Received: 3 \+ 4, 2 \+ 4"
    ):
        ensemble_forecast([seeds[0], random_model(context=2)], CLIP)


def test_a_model_that_sees_one_frame_has_no_errors():
    with pytest.raises(ValueError, match="a model that sees one frame alone"):
        ensemble_forecast(random_model(context=1), CLIP, members=2)


def wet_corner(height, width):
    grid = np.zeros((CONTEXT, height, width, 1), "float32")
    grid[:, :40, :50] = np.random.default_rng(0).random((CONTEXT, 40, 50, 1), "float32")
    return grid


def grey(name, layers):
    """A model whose predictions lie around 0.5, where noise has room, and depend little on what is far away."""
    model = create_model(name, (16, 16, 1), CONTEXT, FORECAST, filters=4, layers=layers)
    randomise(model, scale=1.0)
    kernel, bias = find_layer(model, Rollout).step.get_layer("head").variables
    kernel.assign(0.1 * kernel)
    bias.assign([0.5])
    return model


def test_perturbed_members_in_tiles_are_those_of_the_whole_grid(monkeypatch):
    """The noise belongs to places of the grid, whichever tile they lie in."""
    model = grey("conv_lstm", layers=2)
    step, clip, told = find_layer(model, Rollout).step, wet_corner(203, 150), []
    whole = ensemble_forecast(model, clip, members=2, seed=3)
    monkeypatch.setattr(grid_module, "memory_budget", lambda: step_memory(step, 100, 100))
    monkeypatch.setattr(tiles, "FIRST_REACH", 16)
    with pytest.warns(
        UserWarning, match=r"^203 x 150 pixels are forecast in \d+ tiles of .* differ by"
    ) as said:
        found = ensemble_forecast(model, clip, members=2, seed=3, progress=lambda *each: told.append(each))
    assert len(said) == 1
    assert Path(said[0].filename) == Path(__file__)
    assert found.shape == whole.shape == (2, FORECAST, 203, 150, 1) and found.dtype == "float32"
    assert np.abs(whole[0] - whole[1]).max() > 0.1  # there is noise
    np.testing.assert_allclose(found, whole, atol=2e-3)
    assert told[-1][0] == told[-1][1] == 3 * int(re.search(r"in (\d+) tiles", str(said[0].message))[1])


def test_perturbed_members_of_a_model_made_for_one_size():
    model = grey("cms_lstm", layers=1)
    clip = np.random.default_rng(0).random((CONTEXT, 21, 30, 1), "float32")
    with pytest.warns(UserWarning, match="tiles of 16 x 16 that overlap, the model's own size, for"):
        found = ensemble_forecast(model, clip, members=3)
        again = ensemble_forecast(model, clip, members=2)
    assert found.shape == (3, FORECAST, 21, 30, 1)
    np.testing.assert_array_equal(found[:2], again)
    assert np.ptp(found, axis=0).max() > 0.01
