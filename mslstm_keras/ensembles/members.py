"""Ensembles: several forecasts of one clip, by models of several seeds or by one that is perturbed."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import keras
import numpy as np

from mslstm_keras.ensembles.noise import ErrorNoise
from mslstm_keras.forecasting.forecaster import checked_horizon, forecast, last_context, part_of
from mslstm_keras.forecasting.grid import TiledGrid, fits_whole
from mslstm_keras.forecasting.maps import is_labelled, last_maps
from mslstm_keras.forecasting.memory import memory_budget, step_memory
from mslstm_keras.forecasting.stepping import Stepper
from mslstm_keras.integers import is_whole
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.typing import Progress

if TYPE_CHECKING:
    import xarray

REALIZATION = {"standard_name": "realization", "long_name": "member of the ensemble", "units": "1"}


@overload
def ensemble_forecast(
    models: keras.Model | Sequence[keras.Model],
    frames: np.ndarray,
    horizon: int | None = None,
    *,
    members: int | None = None,
    seed: int = 0,
    scale: None = None,
    progress: Progress | None = None,
) -> np.ndarray: ...
@overload
def ensemble_forecast(
    models: keras.Model | Sequence[keras.Model],
    frames: "xarray.DataArray",
    horizon: int | None = None,
    *,
    members: int | None = None,
    seed: int = 0,
    scale: str | None = None,
    progress: Progress | None = None,
) -> "xarray.DataArray": ...
@overload
def ensemble_forecast(
    models: keras.Model | Sequence[keras.Model],
    frames: "xarray.Dataset",
    horizon: int | None = None,
    *,
    members: int | None = None,
    seed: int = 0,
    scale: str | None = None,
    progress: Progress | None = None,
) -> "xarray.Dataset": ...
def ensemble_forecast(
    models: keras.Model | Sequence[keras.Model],
    frames: Any,
    horizon: int | None = None,
    *,
    members: int | None = None,
    seed: int = 0,
    scale: str | None = None,
    progress: Progress | None = None,
) -> Any:
    """Forecasts a clip several times.

    Several models, trained with different seeds, give one member each, what `forecast` gives. One model gives as many
    members as asked for: each puts noise of its own upon every frame that it predicts, and goes on from there.

        e_t     = x_t - y_t                         errors of the next frame within the context
        x^_k    = y_k + clip(eta_k, -r_k, r_k)      eta_k like e_t, see `ErrorNoise`
        r_k     = max(min(y_k, 1 - y_k), 0)         the way to 0 or to 1, whichever is nearer
        y_{k+1} = step(x^_k)

    so the noise moves no pixel beyond 0 or 1, is as often up as down, and where nothing is forecast there is none.
    Clipped at 0 alone it would add to the frames, and a model makes more of it with every step. Without errors every
    member is what `forecast` gives. Noise of one frame does not depend on that of another. Members run together, as
    many as fit into memory; one by one where `forecast` takes tiles. The noise is drawn for the whole grid.

    Args:
        models: model of `create_model`, or of the zoo; or several, with one number of context and forecast frames.
        frames: floats in [0, 1], (time, height, width, channels), at least the context long, or maps of xarray, see
            `forecast`.
        horizon: int. Frames to forecast; the model's `forecast_frames` by default, or any other number.
        members: int. Members of one model, 2 or more. Default: None, one of each of several models.
        seed: int, 0 or more. Of the noise. The first members are the same, however many follow.
        scale: how pixels stand for the numbers of xarray's maps, see `forecast`.
        progress: function of the number of steps that are done, and of all; of several models, of models.

    Returns:
        float32 (members, horizon, height, width, channels), not clipped. For maps of xarray, maps as `forecast` returns
        them with one more axis, the first: `realization`, which counts the members from 0.

    Raises:
        ValueError: if `frames` or `horizon` is not what `forecast` takes, models do not belong together, or `members`
            or `seed` is not as described; if the model of perturbed members sees one frame alone, which has no errors.
    """
    models = list(models) if isinstance(models, Sequence) else [models]
    _check(models, members, seed)
    if is_labelled(frames):
        maps = last_maps(frames, find_layer(models[0], Rollout).context_frames, scale)
        futures = _members(models, maps.frames, horizon, members, seed, progress)
        return stacked([maps.forecast(each) for each in futures])
    if scale is not None:
        raise ValueError(f"`scale` must be left out where frames are pixels. Received: scale={scale!r}")
    return _members(models, frames, horizon, members, seed, progress)


def stacked(maps: Sequence[Any]) -> Any:
    """Returns the maps of all members, each of xarray, as one with the axis `realization`."""
    import xarray

    members = xarray.Variable("realization", np.arange(len(maps), dtype="int32"), REALIZATION)
    # All coordinates are the same: none gets the new axis.
    return xarray.concat(maps, members, coords="minimal", compat="override", join="override")


def _members(models, frames, horizon, members, seed, progress):
    context, rollout = last_context(models[0], frames), find_layer(models[0], Rollout)
    if context.ndim != 4:
        raise ValueError(
            f"`frames` must be one clip, (time, height, width, channels). Received: frames.shape={context.shape}"
        )
    horizon = checked_horizon(rollout.forecast_frames if horizon is None else horizon)
    if members is not None:
        return _perturbed(models[0], context, horizon, members, seed, progress)
    futures = []
    for model in models:
        futures.append(forecast(model, context, horizon))
        if progress:
            progress(len(futures), len(models))
    return np.stack(futures)


def _check(models, members, seed):
    if not models:
        raise ValueError("`models` must be a model or several. Received: none")
    lengths = [
        (each.context_frames, each.forecast_frames) for each in (find_layer(m, Rollout) for m in models)
    ]
    if len(set(lengths)) > 1:
        raise ValueError(
            "`models` must have one number of context and forecast frames. "
            f"Received: {', '.join(f'{context} + {future}' for context, future in lengths)}"
        )
    if members is None:
        if len(models) == 1:
            raise ValueError("`members` must be given for one model. Received: members=None")
        return
    if len(models) > 1:
        raise ValueError(
            f"`members` must be left out for several models, which give one each. Received: members={members!r} for "
            f"{len(models)} models"
        )
    if not is_whole(members, 2):
        raise ValueError(f"`members` must be a number of members, 2 or more. Received: members={members!r}")
    if not is_whole(seed, 0):
        raise ValueError(f"`seed` must be a whole number, 0 or more. Received: seed={seed!r}")
    if lengths[0][0] < 2:
        raise ValueError(
            "`members` must be left out for a model that sees one frame alone, as that has no errors. "
            f"Received: members={members}"
        )


def _perturbed(model, context, horizon, members, seed, progress):
    step, generators = find_layer(model, Rollout).step, np.random.default_rng(seed).spawn(members)
    way = _whole if fits_whole(step, *context.shape[1:3]) else _in_tiles
    return way(step, context, horizon, generators, progress)


def _whole(step, context, horizon, generators, progress):
    members, (length, height, width, _) = len(generators), context.shape
    together = max(1, min(members, memory_budget() // step_memory(step, height, width)))
    done, steps = itertools.count(1), length + -(-members // together) * (horizon - 1)

    def step_done():
        if progress:
            progress(next(done), steps)

    stepper = Stepper(step, context.shape[1:])
    predictions, now, states = _through(stepper, context, step_done)
    noise = ErrorNoise(context[1:] - predictions)
    future = np.empty((members, horizon, *context.shape[1:]), "float32")
    for start in range(0, members, together):
        chunk = generators[start : start + together]
        first, *carried = (keras.ops.repeat(each, len(chunk), axis=0) for each in (now, *states))
        noises = (np.stack([noise.draw(each) for each in chunk]) for _ in range(horizon))
        future[start : start + together] = _onwards(stepper, first, carried, noises, step_done)
    return future


def _in_tiles(step, context, horizon, generators, progress):
    """Forecasts members in tiles, one after another, each with its noise, which is drawn for the whole grid."""
    grid, length = TiledGrid(step, *context.shape[1:3]), len(context)

    def run(tile):
        """Takes noise and context, and returns the predictions within the context and those behind it."""
        stepper = Stepper(step, tile.shape[1:])
        predictions, now, states = _through(stepper, tile[horizon:])
        return np.concatenate([predictions, _onwards(stepper, now, states, tile[:horizon, np.newaxis])[0]])

    def predicted(noise, index):
        # The context is last, as tiles are chosen by what the last frame holds.
        return grid.forecast(
            run,
            np.concatenate([noise, context]),
            length - 1 + horizon,
            progress and part_of(progress, index, len(generators) + 1),
        )

    without = predicted(np.zeros((horizon, *context.shape[1:]), "float32"), 0)
    noise = ErrorNoise(context[1:] - without[: length - 1])
    future = np.empty((len(generators), *without[length - 1 :].shape), "float32")
    for index, generator in enumerate(generators):
        drawn = np.stack([noise.draw(generator) for _ in range(horizon)])
        future[index] = predicted(drawn, index + 1)[length - 1 :]
    grid.warn(stacklevel=5)
    return future


def _through(stepper, context, step_done=lambda: None):
    """Takes the frames of a context.

    Returns:
        The predictions (time - 1, height, width, channels) of all but the first of them; and, as the stepper gives
        them, that of the frame behind them and the states.
    """
    predictions, states = [], stepper.begin(1)
    for frame in context:
        now, states = stepper(stepper.pad(frame[np.newaxis]), states)
        predictions.append(keras.ops.convert_to_numpy(now)[0, : frame.shape[0], : frame.shape[1]])
        step_done()
    return np.stack(predictions[:-1]), now, states


def _onwards(stepper, now, states, noises, step_done=lambda: None):
    """Puts noise upon a prediction, and goes on from there, as long as there is noise.

    Args:
        stepper: `Stepper`.
        now: tensor (members, height, width, channels), the prediction of the first frame.
        states: tensors of as many members.
        noises: floats (members, height, width, channels), one after another.
        step_done: function that is called after each step.

    Returns:
        float32 (members, horizon, height, width, channels).
    """
    future: list[np.ndarray] = []
    for noise in noises:
        if future:
            now, states = stepper(now, states)
            step_done()
        # A copy: on some backends the array is the prediction itself. What was padded stays as predicted.
        frames = np.array(keras.ops.convert_to_numpy(now), "float32")
        seen = frames[:, : noise.shape[1], : noise.shape[2]]
        room = np.maximum(np.minimum(seen, 1 - seen), 0)
        seen += np.clip(noise, -room, room)
        future.append(seen.copy())
        now = keras.ops.convert_to_tensor(frames)
    return np.stack(future, axis=1)
