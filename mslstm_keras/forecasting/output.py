"""Forecasts of maps and of clips, written as numbers, of maps with times and places, or as pictures."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mslstm_keras.figures.animation import ANIMATIONS, FORECAST_SUFFIXES, check_animation
from mslstm_keras.figures.clips import clip_forecast_figure
from mslstm_keras.figures.page import clip_forecast_page, rain_forecast_page
from mslstm_keras.figures.rain import rain_forecast_figure
from mslstm_keras.formats.labels import Labels
from mslstm_keras.frames import maps as frames_maps
from mslstm_keras.frames.write import numbers_of, write_clip
from mslstm_keras.radar import geotiff

if TYPE_CHECKING:
    import xarray

PAGE = ".html"
CLIP_SUFFIXES = (".npy", *frames_maps.SUFFIXES, *FORECAST_SUFFIXES, PAGE)
SUFFIXES = (*CLIP_SUFFIXES, *geotiff.SUFFIXES)
"""Those of maps, which may have a place."""
FACTS = {
    "service": "Service",
    "product": "Product",
    "source": "Source",
    "comment": "Rain rates",
    "licence": "Licence of the data",
}
"""Attribute of maps -> what a page calls it."""


def check_output(path: str | os.PathLike[str], suffixes: Sequence[str] = SUFFIXES) -> None:
    """Makes sure that a forecast can be written as this kind of file, by its suffix: it may take minutes.

    Args:
        path: file or folder to write.
        suffixes: those that it may have: `SUFFIXES`, the default, for maps, `CLIP_SUFFIXES` for clips.

    Raises:
        ValueError: if it has another one.
        ImportError: if what writes the file is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in suffixes:
        raise ValueError(f"`path` must end in {', '.join(suffixes[:-1])} or {suffixes[-1]}. Received: {path}")
    if suffix in ANIMATIONS:
        check_animation(path)
    elif suffix in frames_maps.SUFFIXES:
        frames_maps.check_writer(path)
    elif suffix in geotiff.SUFFIXES:
        geotiff.check_writer()


def write_forecast(
    path: str | os.PathLike[str],
    observed: "xarray.Dataset",
    forecast: "xarray.Dataset",
    title: str,
    *,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Writes a forecast of rain; pictures show the maps that were observed before it.

    Args:
        path: file or folder to write; its suffix, one of `SUFFIXES`, says which kind.
        observed: the maps that the model saw, with `rain_rate` in mm/h, as `read_radar` returns them.
        forecast: those behind, as `mslstm_keras.forecast` returns them.
        title: str. Heading of pictures.
        facts: name -> text, for a page, which tells the attributes of the maps, too. Default: none.

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
    elif suffix == PAGE:
        told = {called: str(forecast.attrs[name]) for name, called in FACTS.items() if name in forecast.attrs}
        rain_forecast_page(
            observed.rain_rate, forecast.rain_rate, path, title=title, facts={**told, **(facts or {})}
        )
    else:
        rain_forecast_figure(observed.rain_rate, forecast.rain_rate, path, title=title)


def write_clip_forecast(
    path: str | os.PathLike[str],
    observed: np.ndarray,
    forecast: np.ndarray,
    title: str,
    *,
    facts: Mapping[str, str] | None = None,
    value_scale: str | None = None,
    labels: Labels | None = None,
) -> None:
    """Writes the forecast of a clip; pictures show the frames that the model saw before it.

    Args:
        path: file or folder to write; its suffix, one of `CLIP_SUFFIXES`, says which kind.
        observed: floats (time, height, width, channels) in [0, 1], the frames that the model saw.
        forecast: floats (lead time, height, width, channels), those behind.
        title: str. Heading of pictures.
        facts: name -> text, for a page. Default: none.
        value_scale: how pixels stand for numbers in their units, see `mslstm_keras.write_clip`.
        labels: what the file of the clip says of its frames, of which `.nc` and `.zarr` then hold names, times and
            places. Default: None.

    Raises:
        ValueError: for another suffix, or frames that cannot be drawn.
        ImportError: if what writes the file is not installed.
        OSError: if the file cannot be written; what was there before stays.
    """
    check_output(path, CLIP_SUFFIXES)
    suffix = Path(path).suffix.lower()
    if suffix == PAGE:
        clip_forecast_page(observed, forecast, path, title=title, facts=facts)
    elif suffix in FORECAST_SUFFIXES:
        clip_forecast_figure(observed, forecast, path, title=title)
    elif labels is not None and suffix in frames_maps.SUFFIXES:
        numbers = numbers_of(forecast, value_scale)
        frames_maps.write_maps(path, labels.put_on(frames_maps.frames_as_maps(numbers, labels.units or "1")))
    else:
        write_clip(path, forecast, value_scale=value_scale)
