"""A forecast of maps, written as numbers with or without times and places, or as pictures."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mslstm_keras.figures.rain import FORECAST_SUFFIXES, rain_forecast_figure
from mslstm_keras.frames import maps as frames_maps
from mslstm_keras.frames.write import write_clip
from mslstm_keras.radar import geotiff

if TYPE_CHECKING:
    import xarray

SUFFIXES = (".npy", *frames_maps.SUFFIXES, *geotiff.SUFFIXES, *FORECAST_SUFFIXES)


def check_output(path: str | os.PathLike[str]) -> None:
    """Makes sure that `write_forecast` knows the kind of a file by its suffix: a forecast may take minutes.

    Raises:
        ValueError: if it does not.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"`path` must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} for radar maps. Received: {path}"
        )


def write_forecast(
    path: str | os.PathLike[str], observed: "xarray.Dataset", forecast: "xarray.Dataset", title: str
) -> None:
    """Writes a forecast of rain; pictures show the maps that were observed before it.

    Args:
        path: file or folder to write; its suffix, one of `SUFFIXES`, says which kind.
        observed: the maps that the model saw, with `rain_rate` in mm/h, as `read_radar` returns them.
        forecast: those behind, as `mslstm_keras.forecast` returns them.
        title: str. Heading of pictures.

    Raises:
        ValueError: for another suffix.
        ImportError: if what writes the file is not installed.
        OSError: if the file cannot be written; what was there before stays.
    """
    check_output(path)
    suffix = Path(path).suffix.lower()
    if suffix in frames_maps.SUFFIXES:
        frames_maps.write_maps(path, forecast)
    elif suffix in geotiff.SUFFIXES:
        geotiff.write_geotiff(path, forecast)
    elif suffix == ".npy":
        write_clip(path, forecast.rain_rate.values[..., np.newaxis])
    else:
        rain_forecast_figure(observed.rain_rate, forecast.rain_rate, path, title=title)
