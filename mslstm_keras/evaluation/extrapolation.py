"""A baseline of weather services: rain moves on as it has moved, by the package pysteps."""

import contextlib
import importlib
import io
import warnings
from types import ModuleType

import numpy as np

from mslstm_keras.cells.base import require_positive_integers
from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.importing import needed

# What pysteps' own examples take: rates below `WET` mm/h are no rain, and their dBR is `DRY`.
WET = 0.1
DRY = -15.0


def optical_flow_extrapolation(
    context: np.ndarray, forecast_frames: int, rain_scale: str = "dwd"
) -> np.ndarray:
    """Forecasts radar maps by moving the last of them along the optical flow of all of them.

        dBR          = 10 log10 R                               R in mm/h; -15 where R < 0.1
        u            = dense Lucas-Kanade motion of dBR         pixels per frame; 0 where nothing can be tracked
        R_{t + k}(x) = R_t(x - k steps along u)                 semi-Lagrangian, bilinear; 0 from outside the map

    Rain neither grows nor decays, and u stays as it is. There is nothing to train. As there is no rain outside the map,
    or outside what the radars see of it, errors of late frames are large where much comes in or leaves. What pysteps
    prints when it is imported is kept back, and what it does to the filters of warnings is undone.

    Args:
        context: floats (context_frames, height, width, 1) in [0, 1], pixels of rain rates at equal intervals;
            two frames at least.
        forecast_frames: int. Frames to forecast, at the same interval.
        rain_scale: str. Code of the rates in the pixels, a name of `mslstm_keras.frames.RAIN_SCALES`. Default: "dwd".

    Returns:
        float32 (forecast_frames, height, width, 1) in [0, 1].

    Raises:
        ValueError: if an argument is not as described.
        ImportError: if pysteps or OpenCV is not installed.

    Reference:
        Pulkkinen et al. 2019, pysteps: an open-source Python library for probabilistic precipitation nowcasting.
        https://doi.org/10.5194/gmd-12-4185-2019
    """
    context = np.asarray(context)
    require_positive_integers(forecast_frames=forecast_frames)
    check_rain_context(context, 2, rain_scale)
    motion, nowcasts, transformation = load_pysteps()
    scale = RAIN_SCALES[rain_scale]
    rates = scale.to_rate(context[..., 0].astype("float64"))
    with warnings.catch_warnings():
        # Of a few equal vectors, none is an outlier; pysteps warns that it cannot tell.
        warnings.filterwarnings("ignore", message=".* during outlier detection")
        warnings.simplefilter("ignore", RuntimeWarning)  # as pysteps itself asks when it is imported
        dbr, _ = transformation.dB_transform(rates, threshold=WET, zerovalue=DRY)
        velocity = motion.get_method("LK")(dbr)
        extrapolate = nowcasts.get_method("extrapolation")
        moved = extrapolate(rates[-1], velocity, forecast_frames, extrap_kwargs={"outval": 0.0})
    return np.clip(scale.to_pixel(moved), 0, 1).astype("float32")[..., None]


def check_rain_context(context: np.ndarray, least: int, rain_scale: str) -> None:
    """Makes sure of the frames that rain is extrapolated from.

    Args:
        context: array that should be floats (context_frames, height, width, 1) in [0, 1].
        least: int. Frames that there must be.
        rain_scale: str. Name that should be one of `mslstm_keras.frames.RAIN_SCALES`.

    Raises:
        ValueError: if they are not.
    """
    shape = context.shape
    if len(shape) != 4 or shape[0] < least or shape[-1] != 1 or 0 in shape:
        raise ValueError(
            f"`context` must have shape (context_frames, height, width, 1) with {least} frames or more. "
            f"Received: {shape}"
        )
    lowest, highest = context.min(), context.max()
    if not (lowest >= 0 and highest <= 1):  # so that NaN fails
        raise ValueError(f"`context` must hold numbers in [0, 1]. Received: {lowest:g} .. {highest:g}")
    if rain_scale not in RAIN_SCALES:
        raise ValueError(
            f"`rain_scale` must be one of {', '.join(RAIN_SCALES)}. Received: rain_scale={rain_scale!r}"
        )


def load_pysteps() -> tuple[ModuleType, ModuleType, ModuleType]:
    """Returns the modules of pysteps that are needed, imported without its noise.

    Raises:
        ImportError: if pysteps or OpenCV is not installed.
    """
    with (
        needed("Extrapolation by pysteps", "nowcast"),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        importlib.import_module("cv2")  # the motion needs it, and pysteps does not declare it
        from pysteps import motion, nowcasts
        from pysteps.utils import transformation
    return motion, nowcasts, transformation
