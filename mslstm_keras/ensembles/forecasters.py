"""What is scored beside each other: models, alone, of several seeds and perturbed, and forecasts without any model."""

import warnings
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from mslstm_keras.data.clips import Clips
from mslstm_keras.ensembles.labels import of_members, of_seeds
from mslstm_keras.ensembles.members import ensemble_forecast
from mslstm_keras.ensembles.scoring import EnsembleForecaster
from mslstm_keras.ensembles.steps import LOOKS_AT, steps_ensemble
from mslstm_keras.evaluation.extrapolation import optical_flow_extrapolation
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.forecasting.hindcast import available_baselines, recoded
from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.frames.scales import Scale, parse_scale


def model_forecasters(
    families: Mapping[str, Sequence[keras.Model]],
    forecast_frames: int,
    *,
    members: int = 0,
    code: Scale | None = None,
    scales: Mapping[str, Scale] | None = None,
) -> dict[str, EnsembleForecaster]:
    """Returns forecasters of models, see `mslstm_keras.ensembles.scoring.score_ensembles`.

    Args:
        families: name -> models, several where they were trained with different seeds.
        forecast_frames: int. Frames to forecast.
        members: int. Members of the first model of each name, by perturbing it; 0 for none.
        code: how the pixels of the clips stand for rain rates. Default: as those of all models do.
        scales: name -> how the pixels of its models do, where that is not `code`.

    Returns:
        "NAME" -> the first model alone; "NAME, 3 seeds" -> one member of each; "NAME, 8 members" -> perturbed.
    """
    forecasters: dict[str, EnsembleForecaster] = {}
    for name, family in families.items():
        scale = (scales or {}).get(name)
        own = {name: _alone(family[0], forecast_frames)}
        if len(family) > 1:
            own[of_seeds(name, len(family))] = _of_seeds(family, forecast_frames)
        if members:
            own[of_members(name, members)] = _perturbed(family[0], forecast_frames, members)
        forecasters |= {label: _by_scale(each, code, scale) for label, each in own.items()}
    return forecasters


def baseline_forecasters(
    clips: Clips, context_frames: int, forecast_frames: int, *, members: int = 0
) -> dict[str, EnsembleForecaster]:
    """Returns persistence, and for rain optical flow and STEPS, where pysteps is installed: a warning says if not.

    Args:
        clips: whose `scale` says whether they are rain; STEPS also needs their `interval` and `spacing`.
        context_frames: int. Frames that are given.
        forecast_frames: int. Frames to forecast.
        members: int. Of STEPS; 0 leaves it out.
    """
    forecasters: dict[str, EnsembleForecaster] = {"persistence": _persistence(forecast_frames)}
    scale = parse_scale(clips.scale) if clips.scale else None
    code = next((name for name, each in RAIN_SCALES.items() if each == scale), None)
    if code is None or "optical_flow" not in available_baselines(context_frames):
        return forecasters
    forecasters["optical_flow"] = _optical_flow(forecast_frames, code)
    if members:
        if clips.spacing and clips.interval and context_frames >= LOOKS_AT:
            forecasters[of_members("STEPS", members)] = _steps(clips, forecast_frames, members, code)
        else:
            warnings.warn(
                f"STEPS is left out: it needs {LOOKS_AT} frames of context, metres between pixels and minutes between "
                f"frames. Received: {context_frames} frames, {clips.spacing} metres, {clips.interval} minutes",
                stacklevel=2,
            )
    return forecasters


def _alone(model, horizon):
    return lambda context, seed: forecast(model, context, horizon)[np.newaxis]


def _of_seeds(models, horizon):
    return lambda context, seed: ensemble_forecast(models, context, horizon)


def _perturbed(model, horizon, members):
    return lambda context, seed: ensemble_forecast(model, context, horizon, members=members, seed=seed)


def _by_scale(forecaster, code, scale):
    """Returns a forecaster of clips in one code, by models whose pixels stand for rates in another way."""
    if code is None or scale in (None, code):
        return forecaster

    def run(context, seed):
        return recoded(np.clip(forecaster(recoded(context, code, scale), seed), 0, 1), scale, code)

    return run


def _persistence(horizon):
    return lambda context, seed: np.repeat(context[np.newaxis, -1:], horizon, axis=1)


def _optical_flow(horizon, code):
    return lambda context, seed: optical_flow_extrapolation(context, horizon, code)[np.newaxis]


def _steps(clips, horizon, members, code):
    def run(context, seed):
        return steps_ensemble(
            context,
            horizon,
            members,
            spacing=clips.spacing,
            interval=clips.interval,
            rain_scale=code,
            seed=seed,
        )

    return run
