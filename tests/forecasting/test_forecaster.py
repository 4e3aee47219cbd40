"""Forecasts of any length, of whole clips and frame by frame."""

import re

import keras
import numpy as np
import pytest
import xarray

from mslstm_keras.forecasting import forecaster as forecaster_module
from mslstm_keras.forecasting import grid as grid_module
from mslstm_keras.forecasting import tiles
from mslstm_keras.forecasting.forecaster import Forecaster, forecast
from mslstm_keras.forecasting.memory import step_memory
from mslstm_keras.models.registry import create_model, dtype_policy
from mslstm_keras.models.rollout import Rollout, find_layer
from tests.support.equations import assert_close, randomise

CONTEXT, FORECAST, FRAME = 3, 4, (8, 4, 2)


@pytest.fixture(scope="module", params=["sms_lstm", "conv_lstm"])
def model(request):
    return random_model(request.param)


@pytest.fixture(scope="module")
def outputs(model):
    """What the roll-out of the model gives for CLIPS."""
    return model.predict(CLIPS, verbose=0)


@pytest.fixture(scope="module")
def plain():
    return random_model("conv_lstm", layers=1)


def random_model(name, forecast_frames=FORECAST, layers=3):
    model = create_model(name, FRAME, CONTEXT, forecast_frames, filters=3, layers=layers)
    randomise(model)
    return model


def frames(*axes, seed=0):
    return np.random.default_rng(seed).random((*axes, *FRAME), "float32")


CLIPS = frames(2, CONTEXT)
CLIP = CLIPS[0]


def pushed(model, context):
    forecaster = Forecaster(model)
    return forecaster, np.stack([forecaster.push(frame) for frame in context])


# Whole clips


def test_the_own_horizon_is_the_end_of_the_models_output(model, outputs):
    future = forecast(model, CLIPS)
    assert future.dtype == "float32"
    assert_close(future, outputs[:, -FORECAST:], 1e-6)


def test_any_horizon_is_the_output_of_a_model_made_for_it(model):
    predictions = random_model(model.name, forecast_frames=25).predict(CLIPS, verbose=0)[:, -25:]
    for horizon in (1, FORECAST - 1, FORECAST, FORECAST + 1, 25):
        future = forecast(model, CLIPS, horizon)
        assert future.shape == (2, horizon, *FRAME)
        assert_close(future, predictions[:, :horizon], 1e-6)


def test_a_longer_horizon_begins_with_the_shorter(model):
    np.testing.assert_array_equal(forecast(model, CLIPS, 30)[:, :7], forecast(model, CLIPS, 7))


@pytest.mark.parametrize("horizon", [None, 9, np.int64(2)])
def test_a_single_clip_needs_no_batch_axis(model, horizon):
    both = forecast(model, CLIPS, horizon)
    assert_close(forecast(model, CLIPS[1], horizon), both[1], 1e-6)


def test_steps_are_counted(plain):
    told = []
    forecast(plain, CLIP, 4, progress=lambda *numbers: told.append(numbers))
    steps = find_layer(plain, Rollout).context_frames + 3
    assert told == [(done, steps) for done in range(1, steps + 1)]


def test_a_longer_clip_is_seen_from_its_last_frames(model):
    longer = np.concatenate([frames(2, 4, seed=1), CLIPS], axis=1)
    np.testing.assert_array_equal(forecast(model, longer), forecast(model, CLIPS))
    np.testing.assert_array_equal(forecast(model, longer[0]), forecast(model, CLIP))


def test_nested_lists_are_frames_too(plain):
    np.testing.assert_array_equal(forecast(plain, CLIP.tolist()), forecast(plain, CLIP))


def test_mixed_precision_forecasts_float32(plain):
    with dtype_policy("mixed_bfloat16"):
        model = random_model("conv_lstm", layers=1)
    future = forecast(model, CLIP, 2)
    assert future.dtype == "float32"
    assert_close(future, forecast(plain, CLIP, 2), 0.1)


@pytest.mark.parametrize(
    ("received", "message"),
    [
        (
            frames(CONTEXT, 2, 2),
            "`frames` must have shape (time, height, width, 2) or (batch, time, height, width, 2)",
        ),
        (frames(), "`frames` must have shape (time, height, width, 2)"),
        (np.float32(0.5), "frames.shape=()"),
        (CLIP[..., :1], "frames.shape=(3, 8, 4, 1)"),
        (CLIP[..., 0], "frames.shape=(3, 8, 4)"),
        (frames(CONTEXT - 1), "`frames` must hold at least the model's 3 context frames. Received: 2 frames"),
        (frames(5, CONTEXT - 1), "2 frames, frames.shape=(5, 2, 8, 4, 2)"),
        (frames(0), "`frames` must not be empty. Received: shape (0, 8, 4, 2)"),
        (np.where(CLIP < 0.01, np.nan, CLIP), "`frames` must be finite"),
        (np.where(CLIP < 0.01, np.inf, CLIP), "`frames` must be finite"),
        (CLIP + 0.5, "`frames` must lie in [0, 1]. Received: values from 0.5"),
        (CLIP - 0.5, "`frames` must lie in [0, 1]"),
        ((CLIP * 255).astype("uint8"), "floats in [0, 1] (divide by 255). Received: dtype uint8"),
        ([[0.0], [0.0, 1.0]], "`frames` must be one array"),
    ],
)
def test_frames_that_do_not_fit_are_refused(plain, received, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        forecast(plain, received)


@pytest.mark.parametrize("horizon", [0, -1, 1.5, "3", True])
def test_a_horizon_is_a_positive_number(plain, horizon):
    message = f"`horizon` must be a positive number of frames. Received: horizon={horizon!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        forecast(plain, CLIP, horizon)


@pytest.mark.parametrize("use", [Forecaster, lambda model: forecast(model, CLIP)])
def test_a_model_without_a_roll_out_is_refused(use):
    inputs = keras.Input((3,))
    with pytest.raises(ValueError, match=r"`model` must have one Rollout layer.* Received: 'other' with 0"):
        use(keras.Model(inputs, inputs + 1, name="other"))


# Frame by frame


@pytest.mark.parametrize("batch", [(), (2,)])
def test_pushing_the_context_gives_the_outputs_of_the_roll_out(model, outputs, batch):
    clips, expected = (CLIPS, outputs) if batch else (CLIPS[0], outputs[0])
    forecaster, predictions = pushed(model, np.moveaxis(clips, -4, 0))
    assert predictions.dtype == "float32"
    assert_close(np.moveaxis(predictions, 0, -4), expected[..., :CONTEXT, :, :, :], 1e-6)
    future = forecaster.forecast(FORECAST)
    assert future.dtype == "float32"
    assert_close(future, expected[..., -FORECAST:, :, :, :], 1e-6)


def test_forecasts_leave_the_states_as_they_are(model):
    context, later = np.moveaxis(CLIPS, 1, 0), frames(3, 2, seed=1)
    undisturbed, _ = pushed(model, context)
    expected = [undisturbed.push(frame) for frame in later]
    forecaster, predictions = pushed(model, context)
    for frame, prediction in zip(later, expected, strict=True):
        first = forecaster.forecast(6)
        np.testing.assert_array_equal(forecaster.forecast(6), first)
        np.testing.assert_array_equal(first[:, 0], predictions[-1])
        predictions = [forecaster.push(frame)]
        np.testing.assert_array_equal(predictions[-1], prediction)


def test_what_is_done_to_a_prediction_does_not_reach_the_states(plain):
    forecaster, _ = pushed(plain, CLIP)
    expected = forecaster.forecast(4)
    forecaster, _ = pushed(plain, CLIP[:-1])
    last = CLIP[-1].copy()
    prediction = forecaster.push(last)
    prediction[:] = 9
    last[:] = 9
    forecaster.forecast(4)[:] = 9
    np.testing.assert_array_equal(forecaster.forecast(4), expected)


def test_reset_forgets_what_was_seen(model):
    first = frames(2)
    forecaster, predictions = pushed(model, first)
    forecaster.reset()
    np.testing.assert_array_equal(forecaster.push(first[0]), predictions[0])
    forecaster.reset()
    forecaster.push(frames(4))  # another batch size is as good


def test_two_forecasters_of_a_model_know_nothing_of_each_other(model):
    _, expected = pushed(model, frames(4))
    one, other = Forecaster(model), Forecaster(model)
    for frame, prediction in zip(frames(4), expected, strict=True):
        np.testing.assert_array_equal(one.push(frame), prediction)
        other.push(1 - frame)


@pytest.mark.parametrize(
    ("received", "message"),
    [
        (
            np.float32(0.5),
            "`frame` must have shape (height, width, 2) or (batch, height, width, 2). Received: frame.shape=()",
        ),
        (frames(1, 1), "`frame` must have shape (height, width, 2) or (batch, height, width, 2)"),
        (frames()[..., :1], "frame.shape=(8, 4, 1)"),
        (np.full(FRAME, np.nan), "`frame` must be finite"),
        (frames() + 1, "`frame` must lie in [0, 1]"),
        (np.zeros(FRAME, "uint8"), "`frame` must hold floats in [0, 1] (divide by 255)"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused_and_forgotten(plain, received, message):
    forecaster, _ = pushed(plain, CLIP)
    before = forecaster.forecast(3)
    with pytest.raises(ValueError, match=re.escape(message)):
        forecaster.push(received)
    np.testing.assert_array_equal(forecaster.forecast(3), before)


@pytest.mark.parametrize(("first", "then"), [((2,), (3,)), ((), (1,)), ((1,), ())])
def test_the_batch_size_stays_until_reset(plain, first, then):
    forecaster = Forecaster(plain)
    forecaster.push(frames(*first))
    message = f"`frame` must keep its shape {(*first, *FRAME)} until `reset`. Received: frame.shape={(*then, *FRAME)}"
    with pytest.raises(ValueError, match=re.escape(message)):
        forecaster.push(frames(*then))
    forecaster.push(frames(*first))


@pytest.mark.parametrize("horizon", [0, -1, 1.5, None])
def test_a_forecaster_needs_a_positive_horizon(plain, horizon):
    forecaster, _ = pushed(plain, frames(1))
    with pytest.raises(ValueError, match=f"`horizon` must be a positive number.* horizon={horizon!r}"):
        forecaster.forecast(horizon)


def test_nothing_pushed_nothing_forecast(plain):
    with pytest.raises(ValueError, match="`push` must have been called before `forecast`"):
        Forecaster(plain).forecast(1)


def test_what_a_mask_hides_counts_as_nothing(plain):
    hidden = np.ma.masked_less(CLIP, 0.5)
    with pytest.warns(UserWarning, match="`frames` has a mask"):
        assert_close(forecast(plain, hidden), forecast(plain, hidden.filled(0)), 1e-6)
    with pytest.warns(UserWarning, match="`frame` has a mask"):
        future = Forecaster(plain).push(hidden[0])
    assert_close(future, Forecaster(plain).push(hidden[0].filled(0)), 1e-6)


def test_arrays_with_named_axes_are_frames(plain):
    named = xarray.DataArray(CLIP, dims=("time", "y", "x", "channel"))
    assert_close(forecast(plain, named), forecast(plain, CLIP), 1e-6)


# Other sizes


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("size", [(12, 20), (5, 3), (1, 9)])
def test_other_sizes_are_padded_with_zeros_and_cropped(model, size, batch):
    """As a model made for the padded size, of the same weights, forecasts them."""
    clip = np.random.default_rng(0).random((*batch, CONTEXT, *size, 2), "float32")
    divisor = 2 if model.name == "sms_lstm" else 1
    padding = [-side % divisor for side in size]
    expected = create_model(
        model.name, (size[0] + padding[0], size[1] + padding[1], 2), CONTEXT, 6, filters=3, layers=3
    )
    expected.set_weights(model.get_weights())
    padded = np.pad(
        clip.reshape(-1, CONTEXT, *size, 2), ((0, 0), (0, 0), *((0, more) for more in padding), (0, 0))
    )
    outputs = expected.predict(padded, verbose=0)[:, -6:, : size[0], : size[1]].reshape(*batch, 6, *size, 2)
    assert_close(forecast(model, clip, 6), outputs, 1e-6)
    forecaster, _ = pushed(model, np.moveaxis(clip, -4, 0))
    assert_close(forecaster.forecast(6), outputs, 1e-6)


def test_a_forecaster_takes_another_size_after_reset(model):
    forecaster, _ = pushed(model, CLIP)
    with pytest.raises(ValueError, match=r"`frame` must keep its shape \(8, 4, 2\) until `reset`"):
        forecaster.push(np.zeros((6, 6, 2), "float32"))
    forecaster.reset()
    assert forecaster.push(np.zeros((6, 6, 2), "float32")).shape == (6, 6, 2)


def calm(name, shape=(16, 16, 1), **options):
    """A model whose forecast of a place depends little on what is far away."""
    model = create_model(name, shape, 2, 2, **{"filters": 4, "layers": 2, **options})
    randomise(model, scale=1.0)
    return model


@pytest.fixture
def limited(monkeypatch):
    """Memory for a grid of 136 x 136 of the model below, and no more."""
    model = calm("conv_lstm")
    step = find_layer(model, Rollout).step
    monkeypatch.setattr(grid_module, "memory_budget", lambda: step_memory(step, 136, 136))
    monkeypatch.setattr(tiles, "FIRST_REACH", 16)
    return model


def wet_corner(height, width):
    grid = np.zeros((2, height, width, 1), "float32")
    grid[:, :40, :50] = np.random.default_rng(0).random((2, 40, 50, 1), "float32")
    return grid


def test_a_grid_too_large_for_memory_is_forecast_in_tiles(limited, monkeypatch):
    grid = wet_corner(203, 330)
    with pytest.warns(
        UserWarning, match=r"203 x 330 pixels are forecast in \d+ tiles of .* differ by"
    ) as said:
        future = forecast(limited, grid)
    seam = float(re.search(r"differ by (\S+) at most$", str(said[0].message))[1])
    monkeypatch.setattr(grid_module, "memory_budget", lambda: 2**30)
    whole = forecast(limited, grid)
    assert whole.shape == future.shape == (2, 203, 330, 1)
    assert np.ptp(whole) > 0.05
    assert_close(future, whole, 1e-3)
    assert seam < 1e-3


def test_tiles_without_anything_in_them_are_computed_once(limited, monkeypatch):
    shapes = []
    run = forecaster_module._whole
    monkeypatch.setattr(
        forecaster_module, "_whole", lambda *words: shapes.append(words[1].shape[1:3]) or run(*words)
    )
    with pytest.warns(UserWarning) as said:
        forecast(limited, wet_corner(400, 400))
    found = re.search(r"in (\d+) tiles of (\d+) x (\d+) .*; (\d+) are empty", str(said[0].message)).groups()
    count, height, width, empty = map(int, found)
    assert empty > count / 2
    assert shapes.count((height, width)) == count - empty + 1
    assert height * width <= 136**2


def test_as_many_clips_run_together_as_fit_into_memory(monkeypatch):
    model = calm("conv_lstm")
    clips = np.random.default_rng(0).random((5, 2, 16, 16, 1), "float32")
    together, sizes, told = forecast(model, clips, 3), [], []
    step, run = find_layer(model, Rollout).step, forecaster_module._whole
    monkeypatch.setattr(forecaster_module, "memory_budget", lambda: 2 * step_memory(step, 16, 16))
    monkeypatch.setattr(
        forecaster_module, "_whole", lambda *words: sizes.append(len(words[1])) or run(*words)
    )
    found = forecast(model, clips, 3, progress=lambda *each: told.append(each))
    assert sizes == [2, 2, 1]
    assert told == [(done, 12) for done in range(1, 13)]
    assert_close(found, together, 1e-6)


def test_every_clip_of_a_batch_is_forecast_in_tiles(limited):
    grid, told = wet_corner(150, 150), []
    with pytest.warns(UserWarning, match="in tiles|tiles"):
        both = forecast(
            limited,
            np.stack([grid, grid[:, ::-1]]),
            3,
            progress=lambda *numbers: told.append(numbers),
        )
        single = forecast(limited, grid, 3)
    assert both.shape == (2, 3, 150, 150, 1)
    assert told[-1][0] == told[-1][1] and (told[-1][0] // 2, told[-1][1]) in told
    np.testing.assert_array_equal(both[0], single)


@pytest.mark.parametrize(("size", "kept"), [((30, 40), (11, 12)), ((7, 20), (7, 10))])
def test_a_cell_made_for_one_size_is_run_on_tiles_of_that_size(size, kept):
    model = calm("cms_lstm", layers=1)
    forecast(model, np.zeros((2, 16, 16, 1), "float32"))  # without a warning
    clip = np.random.default_rng(0).random((2, *size, 1), "float32")
    with pytest.warns(UserWarning, match="tiles of 16 x 16 that overlap, the model's own size, for"):
        future = forecast(model, clip, 3)
    assert future.shape == (3, *size, 1)
    corner = np.zeros((2, 16, 16, 1), "float32")
    corner[:, : min(size[0], 16)] = clip[:, :16, :16]
    first = (slice(None), slice(kept[0]), slice(kept[1]))
    assert_close(future[first], forecast(model, corner, 3)[first], 1e-7)
    message = (
        "`frame` must be of the model's own size, 16 x 16, for which its CMSLSTMCell is made; `forecast`"
    )
    with pytest.raises(ValueError, match=message):
        Forecaster(model).push(clip[0])


@pytest.mark.parametrize(("batch", "steps"), [((), 1), ((3,), 3)])
def test_a_frame_whose_step_takes_more_than_is_free_is_refused(limited, monkeypatch, batch, steps):
    """`forecast` takes the same frames in tiles."""
    step = find_layer(limited, Rollout).step
    needed = steps * step_memory(step, 150, 150)
    frame = np.zeros((*batch, 150, 150, 1), "float32")
    monkeypatch.setattr(forecaster_module, "free_memory", lambda: needed - 1)
    forecaster = Forecaster(limited)
    said = (
        f"`frame` must be of a size whose step fits into the {needed - 1 >> 20} MiB that are free; `forecast` takes "
        f"larger ones, in tiles. Received: frame.shape={frame.shape}, whose step may take {needed >> 20} MiB"
    )
    with pytest.raises(ValueError, match=re.escape(said)):
        forecaster.push(frame)
    with pytest.warns(UserWarning, match="are forecast in"):
        assert forecast(limited, np.stack([frame, frame], axis=-4), 1).shape == (*batch, 1, 150, 150, 1)
    monkeypatch.setattr(forecaster_module, "free_memory", lambda: needed)
    forecaster.push(frame)
    monkeypatch.setattr(forecaster_module, "free_memory", lambda: 0)
    forecaster.push(frame)  # its states are there already
