"""Ensembles: several forecasts of one clip, by models of several seeds or by one that is perturbed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import keras
import numpy as np

from mslstm_keras.ensembles.noise import ErrorNoise
from mslstm_keras.forecasting.forecaster import checked_horizon, fits_whole, forecast, last_context
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
    many as fit into memory.

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
            or `seed` is not as described; if a perturbed member would have to be forecast in tiles, or its model sees
            one frame alone, which has no errors.
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
    step, (length, height, width, channels) = find_layer(model, Rollout).step, context.shape
    if not fits_whole(step, height, width):
        raise ValueError(
            "`members` must be left out for frames that are forecast in tiles: take a part (`crop`) or smaller ones "
            f"(`size`), or models of several seeds. Received: {height} x {width}"
        )
    together = max(1, min(members, memory_budget() // step_memory(step, height, width)))
    done, steps = 0, length + -(-members // together) * (horizon - 1)

    def step_done():
        nonlocal done
        done += 1
        if progress:
            progress(done, steps)

    stepper = Stepper(step, (height, width, channels))
    states, predictions = stepper.begin(1), []
    for frame in context:
        prediction, states = stepper(stepper.pad(frame[np.newaxis]), states)
        predictions.append(keras.ops.convert_to_numpy(prediction)[0, :height, :width])
        step_done()
    noise = ErrorNoise(context[1:] - np.stack(predictions[:-1]))
    generators = np.random.default_rng(seed).spawn(members)
    future = np.empty((members, horizon, height, width, channels), "float32")
    for start in range(0, members, together):
        chunk = slice(start, min(start + together, members))
        count = chunk.stop - chunk.start
        now, *carried = (keras.ops.repeat(each, count, axis=0) for each in (prediction, *states))
        for lead in range(horizon):
            if lead:
                now, carried = stepper(now, carried)
                step_done()
            # A copy: on some backends the array is the prediction itself. What was padded stays as predicted.
            frames = np.array(keras.ops.convert_to_numpy(now), "float32")
            seen = frames[:, :height, :width]
            drawn = np.stack([noise.draw(each) for each in generators[chunk]])
            room = np.maximum(np.minimum(seen, 1 - seen), 0)
            seen += np.clip(drawn, -room, room)
            future[chunk, lead] = seen
            now = keras.ops.convert_to_tensor(frames)
    return future
