"""The ensemble that weather services compare with: STEPS, by the package pysteps."""

import contextlib
import io
import warnings

import numpy as np

from mslstm_keras.cells.base import require_positive_integers
from mslstm_keras.evaluation.extrapolation import DRY, WET, check_rain_context, load_pysteps
from mslstm_keras.frames.rain import RAIN_SCALES

LOOKS_AT = 3  # maps that the autoregression of second order is estimated from
LEVELS = 6


def steps_ensemble(
    context: np.ndarray,
    forecast_frames: int,
    members: int,
    *,
    spacing: float,
    interval: float,
    rain_scale: str = "dwd",
    seed: int = 0,
) -> np.ndarray:
    """Forecasts radar maps several times by STEPS, the Short-Term Ensemble Prediction System.

    The last map moves along the optical flow of all of them, see `optical_flow_extrapolation`. Its cascade of six
    scales forgets itself, the small scales first, by an autoregression of second order, and noise with the spectrum of
    the map takes the place of what is forgotten; the motion is perturbed, too. Rates below 0.1 mm/h are no rain, and
    rain from outside of the map is not known and taken for none. All else is as pysteps has it by default. What it
    prints is kept back.

    Args:
        context: floats (context_frames, height, width, 1) in [0, 1], pixels of rain rates at equal intervals; three
            frames at least.
        forecast_frames: int. Frames to forecast, at the same interval.
        members: int. How many members.
        spacing: float. Metres between two pixels.
        interval: float. Minutes between two frames.
        rain_scale: str. Code of the rates in the pixels, a name of `mslstm_keras.frames.RAIN_SCALES`. Default: "dwd".
        seed: int. Of the noise.

    Returns:
        float32 (members, forecast_frames, height, width, 1) in [0, 1].

    Raises:
        ValueError: if an argument is not as described.
        ImportError: if pysteps or OpenCV is not installed.

    References:
        Bowler, Pierce & Seed 2006, STEPS: A probabilistic precipitation forecasting scheme which merges an
        extrapolation nowcast with downscaled NWP. https://doi.org/10.1256/qj.04.100
        Pulkkinen et al. 2019, pysteps: an open-source Python library for probabilistic precipitation nowcasting.
        https://doi.org/10.5194/gmd-12-4185-2019
    """
    context = np.asarray(context)
    require_positive_integers(forecast_frames=forecast_frames, members=members)
    check_rain_context(context, LOOKS_AT, rain_scale)
    motion, nowcasts, transformation = load_pysteps()
    scale = RAIN_SCALES[rain_scale]
    rates = scale.to_rate(context[..., 0].astype("float64"))
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # Of few vectors, as for the optical flow, and of what is divided by no rain.
        warnings.simplefilter("ignore")
        dbr, _ = transformation.dB_transform(rates, threshold=WET, zerovalue=DRY)
        velocity = motion.get_method("LK")(dbr)
        futures = nowcasts.get_method("steps")(
            dbr[-LOOKS_AT:],
            velocity,
            forecast_frames,
            n_ens_members=members,
            n_cascade_levels=LEVELS,
            precip_thr=10 * np.log10(WET),
            kmperpixel=spacing / 1000,
            timestep=interval,
            noise_method="nonparametric",
            mask_method="incremental",
            seed=seed,
        )
        # 0 also where a future is not a number.
        rates = np.where(futures >= 10 * np.log10(WET), 10 ** (futures / 10), 0)
    return np.clip(scale.to_pixel(rates), 0, 1).astype("float32")[..., np.newaxis]
