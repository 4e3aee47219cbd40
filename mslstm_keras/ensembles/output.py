"""Ensembles in files: mean, spread, probabilities and members, as numbers with named axes or on a sheet."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mslstm_keras.ensembles.members import stacked
from mslstm_keras.ensembles.probabilities import (
    ensemble_mean,
    ensemble_spread,
    exceedance_probability,
    neighbourhood_probability,
)
from mslstm_keras.figures.ensembles import clip_probability_figure, rain_probability_figure
from mslstm_keras.forecasting.maps import VARIABLE
from mslstm_keras.forecasting.output import check_output
from mslstm_keras.formats.labels import Labels
from mslstm_keras.frames import maps as frames_maps
from mslstm_keras.frames.scales import parse_scale
from mslstm_keras.frames.write import numbers_of, write_array
from mslstm_keras.importing import check_installed

if TYPE_CHECKING:
    import xarray

PICTURE = ".png"
SUFFIXES = (".npy", *frames_maps.SUFFIXES, PICTURE)


def check_ensemble_output(path: str | os.PathLike[str]) -> None:
    """Makes sure that an ensemble can be written as this kind of file, by its suffix: it may take minutes.

    Raises:
        ValueError: if it has another one than `SUFFIXES`.
        ImportError: if what writes the file is not installed.
    """
    check_installed("The maps of an ensemble", "netcdf", ["xarray"])
    if str(path) != "-":
        check_output(path, SUFFIXES)


def members_as_maps(members: np.ndarray, scale: str | None, labels: Labels | None = None) -> "xarray.Dataset":
    """Returns members without times and places, as `mslstm_keras.frames.maps.frames_as_maps` does.

    Args:
        members: floats (members, time, height, width, channels) in [0, 1], or of one forecast without the first axis.
        scale: how pixels stand for numbers in their units, see `mslstm_keras.frames.parse_scale`.
        labels: what the file of the frames says of them, of which their units are taken. Default: None.
    """
    units = (labels.units if labels else parse_scale(scale).units if scale else "") or "1"
    values = numbers_of(members, scale)
    if values.ndim == 4:
        return frames_maps.frames_as_maps(values, units)
    maps = stacked([frames_maps.frames_as_maps(each, units) for each in values])
    return maps.assign_attrs(title="Ensemble forecast of frames")


def probability_maps(
    forecast: "xarray.Dataset",
    thresholds: Sequence[float] = (),
    *,
    source: str,
    neighbourhood: int | None = None,
    recalibrate: Callable[[float, np.ndarray], np.ndarray] | None = None,
) -> "xarray.Dataset":
    """Returns what is written of an ensemble, or of the neighbourhood probabilities of one forecast, with CF names.

    Args:
        forecast: one variable, such as `rain_rate`, with the axis `realization` first, or, with `neighbourhood`, none.
        thresholds: floats that rise, in the units of the variable.
        source: str. How the members were made: an attribute of the file.
        neighbourhood: side of the window in pixels. Default: none, probabilities are those of the members.
        recalibrate: function of a threshold and its probabilities (time, ...), which returns others in their place,
            such as `Calibration.apply` with a label. Default: none.

    Returns:
        `xarray.Dataset`: the variable as the mean of the members, or as it is; of members `NAME_spread`, a standard
        deviation, and `NAME_members`, all of them; and with thresholds `probability_of_NAME_above_threshold`, with the
        axis `threshold` first.

    Raises:
        ValueError: if `neighbourhood` is not positive or a threshold is not finite.
    """
    (name,) = forecast.data_vars
    given = forecast[name]
    if neighbourhood is None:
        one = given.isel(realization=0, drop=True)
        methods = str(given.attrs.get("cell_methods", ""))

        def over_members(values, called, method):
            attributes = {
                **given.attrs,
                "long_name": called,
                "cell_methods": f"{methods} realization: {method}".lstrip(),
            }
            return one.copy(data=values).assign_attrs(attributes)

        called = str(given.attrs.get("long_name", name))
        maps = forecast.drop_vars([name, "realization"]).assign(
            {
                name: over_members(ensemble_mean(given.values), f"{called}, mean of the members", "mean"),
                f"{name}_spread": over_members(
                    ensemble_spread(given.values),
                    f"{called}, standard deviation of the members",
                    "standard_deviation",
                ),
                f"{name}_members": given,
            }
        )
        shares = [exceedance_probability(given.values, each) for each in thresholds]
        meaning = "share of the members that reach the threshold"
    else:
        one, maps = given, forecast
        places = {"y", "x"} & set(given.dims)
        ordered = given.transpose(..., "y", "x") if len(places) == 2 else given
        shares = [
            ordered.copy(data=neighbourhood_probability(ordered.values, each, neighbourhood))
            .transpose(*given.dims)
            .values
            for each in thresholds
        ]
        meaning = (
            f"share of the pixels in a window of {neighbourhood} x {neighbourhood} that reach the threshold"
        )
    if recalibrate is not None:
        shares = [recalibrate(each, share) for each, share in zip(thresholds, shares, strict=True)]
        meaning += ", recalibrated by how often such a one came true"
    if len(thresholds):
        kept = {key: given.attrs[key] for key in ("grid_mapping",) if key in given.attrs}
        attributes = {
            "long_name": f"probability that the {given.attrs.get('long_name', name)} reaches a threshold",
            "units": "1",
            "comment": meaning,
            **kept,
        }
        described = {key: given.attrs[key] for key in ("standard_name", "units") if key in given.attrs}
        maps = maps.assign_coords(
            threshold=(
                "threshold",
                np.asarray(thresholds, "float64"),
                {**described, "long_name": f"threshold of the {given.attrs.get('long_name', name)}"},
            )
        ).assign({probability_name(name): (("threshold", *one.dims), np.stack(shares), attributes)})
    return maps.assign_attrs(ensemble=source)


def probability_name(name: object) -> str:
    """Returns what the probabilities of a variable are called."""
    return f"probability_of_{name}_above_threshold"


def write_probabilities(
    path: str | os.PathLike[str],
    observed: "xarray.Dataset | np.ndarray",
    maps: "xarray.Dataset",
    title: str,
    *,
    scale: str | None = None,
    labels: Labels | None = None,
) -> None:
    """Writes an ensemble, or the neighbourhood probabilities of one forecast.

    `.nc` and `.zarr` hold all of `maps`, `.npy` the members, or the one forecast, (members, time, height, width,
    channels), and a PNG shows mean, spread and probabilities below what was observed.

    Args:
        path: file or folder to write; its suffix, one of `SUFFIXES`, says which kind.
        observed: the maps that the model saw, with `rain_rate` in mm/h; or the frames, floats (time, height, width,
            channels) in [0, 1].
        maps: what `probability_maps` returns.
        title: str. Heading of a picture.
        scale: how pixels of frames stand for numbers in their units.
        labels: names, times and places of the frames, which `.nc` and `.zarr` then hold. Default: None.

    Raises:
        ValueError: for another suffix, or frames of several channels in a picture.
        ImportError: if what writes the file is not installed.
        OSError: if the file cannot be written; what was there before stays.
    """
    check_ensemble_output(path)
    suffix = Path(path).suffix.lower()
    name = VARIABLE if VARIABLE in maps else "forecast"
    if suffix in frames_maps.SUFFIXES:
        frames_maps.write_maps(path, maps if labels is None else labels.put_on(maps))
    elif suffix == ".npy":
        values = maps.get(f"{name}_members", maps[name])
        write_array(path, values.values if "channel" in values.dims else values.values[..., np.newaxis])
    else:
        _draw(path, observed, maps, name, title, scale)


def _draw(path, observed, maps, name, title, scale):
    found = maps.get(probability_name(name))
    probabilities = (
        {} if found is None else dict(zip(found.threshold.values.tolist(), found.values, strict=True))
    )
    spread = maps.get(f"{name}_spread")
    spread = None if spread is None else spread.values
    if name == VARIABLE:
        rain_probability_figure(
            observed[name], maps[name], path, spread=spread, probabilities=probabilities, title=title
        )
        return
    seen = numbers_of(observed, scale)
    chosen = parse_scale(scale) if scale else None
    if "channel" in maps[name].dims:
        raise ValueError(
            f"`path` must end in .npy, .nc or .zarr for frames of several channels. Received: {path}"
        )

    def with_channel(values):
        return None if values is None else values[..., np.newaxis]

    clip_probability_figure(
        seen,
        with_channel(maps[name].values),
        path,
        spread=with_channel(spread),
        probabilities={threshold: with_channel(each) for threshold, each in probabilities.items()},
        ends=chosen.ends if chosen else (0, 1),
        units=chosen.units if chosen else "",
        title=title,
    )
