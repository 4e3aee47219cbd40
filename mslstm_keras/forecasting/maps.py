"""Maps with times and places, as xarray has them: how frames are taken from them, and put back as a forecast."""

import functools
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mslstm_keras.data.facts import DataFacts
from mslstm_keras.formats.labels import Labels, forecast_coordinates
from mslstm_keras.frames.rain import QUANTITY
from mslstm_keras.frames.scales import (
    RATE_UNITS,
    Scale,
    parse_scale,
    rate_factor,
    scale_of_units,
    to_pixels,
    units_factor,
)
from mslstm_keras.radar.grids import ground_spacing
from mslstm_keras.radar.sequence import STRAYING
from mslstm_keras.timing.times import are_months, times_behind

VARIABLE = "rain_rate"
_ALIKE = 1.1  # intervals and spacings of less than that ratio are taken for the same


def is_labelled(frames: Any) -> bool:
    """Returns whether frames are an `xarray.DataArray` or an `xarray.Dataset`."""
    xarray = sys.modules.get("xarray")  # who has such an array has imported it
    return xarray is not None and isinstance(frames, (xarray.DataArray, xarray.Dataset))


@dataclass(frozen=True)
class Maps:
    """The last maps of a sequence, read and as frames.

    Attributes:
        frames: float32 (time, height, width, channels) in [0, 1], 0 where nothing was observed.
    """

    frames: np.ndarray
    _given: Any
    _last: Any
    _scale: Scale | None
    _times_behind: Callable[[int], Any] | None
    _unobserved: np.ndarray

    def forecast(self, frames: np.ndarray) -> Any:
        """Returns frames behind the last map as maps of the kind that was given.

        Args:
            frames: (horizon, height, width, channels), not clipped.

        Returns:
            `xarray.Dataset` or `xarray.DataArray` in the units of the maps, NaN where the last of them is. `time` is
            the time that a map is for; `forecast_reference_time` is that of the last map and `forecast_period` the
            minutes since then. Maps without times have `lead`, which counts them from 1.
        """
        import xarray

        if self._scale:
            frames = self._scale.to_value(np.clip(frames, 0, 1)).astype("float32")
        values = np.where(self._unobserved, np.float32(np.nan), frames)
        last, dims = self._last, self._last.dims
        if len(dims) == 2:
            values = values[..., 0]
        coordinates = {
            name: each for name, each in last.coords.items() if name not in ("time", *_of_forecasts(last))
        }
        future = xarray.DataArray(values, coordinates, ("time", *dims), last.name, last.attrs)
        if self._times_behind is None:
            steps = np.arange(1, len(values) + 1)
            future = future.assign_coords(
                lead=("time", steps, {"long_name": "maps behind the last one given", "units": "1"})
            )
        else:
            time = self._last.time
            known = forecast_coordinates(time.values, self._times_behind(len(values)))
            known["time"][-1].update(time.attrs)
            future = future.assign_coords(known)
        if not isinstance(self._given, xarray.Dataset):
            return future
        facts = {
            name: value for name, value in self._given.attrs.items() if name != "forecast_reference_time"
        }
        return future.to_dataset().assign_coords(self._mapping()).assign_attrs(facts)

    def _mapping(self):
        """Returns the grid mapping where it is a variable beside the maps, as `xarray.open_dataset` leaves it."""
        names = re.findall(r"[^\s:]+", str(self._last.attrs.get("grid_mapping", "")))  # "crs", or "crs: x y"
        beside = self._given.data_vars
        return {name: beside[name] for name in names if name in beside and not beside[name].dims}


def last_maps(given: Any, count: int, scale: str | None) -> Maps:
    """Reads the last maps of a sequence; none before.

    Args:
        given: `xarray.DataArray` or `xarray.Dataset`, see `forecast`.
        count: int. Maps to read.
        scale: how pixels stand for the numbers of the maps, see `mslstm_keras.frames.scales.parse_scale`.

    Raises:
        ValueError: if there is no such variable, it has other axes or too few maps, these are not at one interval, or
            their numbers have units and no scale.
    """
    maps = _variable(given)
    if "time" not in maps.dims or maps.ndim not in (3, 4):
        raise ValueError(
            "`frames` must have the axes time, y and x, and perhaps channel, in any order. "
            f"Received: {', '.join(map(str, maps.dims))}"
        )
    others = [dim for dim in maps.dims if dim not in ("time", "channel")]
    maps = maps.transpose("time", *others, *(["channel"] if "channel" in maps.dims else []))
    if maps.ndim == 4 and len(others) == 3:
        raise ValueError(
            f"`frames` of four axes must have one called channel. Received: {', '.join(map(str, maps.dims))}"
        )
    if maps.sizes["time"] < count:
        raise ValueError(
            f"`frames` must hold at least the model's {count} context frames. Received: {maps.sizes['time']} frames"
        )
    maps = maps.isel(time=slice(-count, None))
    later = _times_behind(maps, given.attrs.get("interval_minutes"))
    maps = maps.load() if maps.chunks is None else maps.compute()
    chosen = _scale(maps, scale)
    maps = _in_units(maps, chosen)
    values = maps.values if maps.ndim == 4 else maps.values[..., np.newaxis]
    frames = to_pixels(values, chosen, name=str(maps.name)) if chosen else values
    missing = np.isnan(frames)
    if missing.any():
        warnings.warn(
            f"{np.count_nonzero(missing)} of {missing.size} pixels of the maps were not observed and count as 0; the "
            "forecast is NaN where the last map is",
            stacklevel=3,
        )
    frames = np.where(missing, np.zeros((), frames.dtype), frames)
    # What else changes from map to map, such as the hour of the day, is not that of the maps of the forecast.
    changing = [name for name, each in maps.coords.items() if "time" in each.dims and name != "time"]
    return Maps(frames, given, maps.isel(time=-1).drop_vars(changing), chosen, later, missing[-1])


def warn_of_other_data(maps: Any, data: DataFacts, model: str) -> None:
    """Warns where rain maps are of another kind than what a model was trained on, and says what that means.

    One warning each is given if its data were no rain, if their interval was another, and if their grid spacing was,
    by more than a tenth. What is not known is not compared.

    Args:
        maps: `xarray.Dataset` of `read_radar`, as the model sees them; none is read.
        data: what the model was trained on, see `mslstm_keras.zoo.loading.data_of`.
        model: str. What warnings call the model.
    """
    if data.quantity not in (None, QUANTITY):
        warnings.warn(
            f"{model} was trained on the {data.quantity}, no rain: of rain it knows nothing", stacklevel=2
        )
    told = maps.attrs.get("interval_minutes"), ground_spacing(maps)
    _warn_of_other_steps(*told, (maps.sizes["y"], maps.sizes["x"]), data, model, "maps")


def warn_of_other_labels(labels: Labels, size: tuple[int, int], data: DataFacts, model: str) -> None:
    """Warns where frames of a file lie at another interval or spacing than what a model was trained on.

    As `warn_of_other_data` does for rain maps. Times that are no dates, and places that are neither metres nor degrees
    at one distance, are not compared.

    Args:
        labels: what the file says of the frames.
        size: (height, width) of the frames, as the model sees them.
        data: what the model was trained on, see `mslstm_keras.zoo.loading.data_of`.
        model: str. What warnings call the model.
    """
    minutes = spacing = None
    if labels.times is not None and labels.times.dtype.kind == "M":
        later = times_behind(labels.times, 1)
        minutes = None if later is None else float((later[0] - labels.times[-1]) / np.timedelta64(1, "m"))
    if labels.places is not None:
        axes = {"y": labels.rows, "x": labels.columns}
        along = {axis: labels.places.coords.get(name) for axis, name in axes.items()}
        if all(each is not None and each.ndim == 1 and each.dtype.kind in "fiu" for each in along.values()):
            spacing = ground_spacing(
                labels.places[[*axes.values()]].rename({old: new for new, old in axes.items()})
            )
    _warn_of_other_steps(minutes, spacing, size, data, model, "frames")


def _warn_of_other_steps(minutes, spacing, size, data, model, called):
    """Warns where frames, `called` so, have another interval or spacing, which may be None, than those of training."""
    trained = data.interval_minutes
    if minutes and trained and not _alike(minutes, trained):
        warnings.warn(
            f"`interval` of the {called} is {minutes:g} minutes, {model} was trained on {trained:g}: things seem to it "
            f"to move {_times(minutes / trained)} as fast, and it forecasts for {minutes:g} minutes each, as if they "
            f"were {trained:g}",
            stacklevel=3,
        )
    trained = data.spacing_metres
    if spacing and trained and not _alike(spacing, trained):
        ratio = trained / spacing
        height, width = (max(1, round(side / ratio)) for side in size)
        python = " (`mslstm_keras.radar.resize_maps`)" if called == "maps" else ""
        warnings.warn(
            f"pixels of the {called} are {spacing / 1000:g} km, {model} was trained on {trained / 1000:g} km: things "
            f"seem to it {_times(ratio)} as large, and to move {_times(ratio)} as fast; `--size {height}x{width}`"
            f"{python} brings the {called} to its pixels",
            stacklevel=3,
        )


def _alike(one, other):
    return 1 / _ALIKE <= one / other <= _ALIKE


def _times(factor):
    return {0.5: "half", 2: "twice"}.get(round(factor, 2), f"{factor:.3g} times")


def _variable(given):
    if hasattr(given, "dims") and not hasattr(given, "data_vars"):
        return given
    found = [name for name, each in given.data_vars.items() if each.ndim >= 3]
    if VARIABLE in found:
        return given[VARIABLE]
    if len(found) != 1:
        raise ValueError(
            f"`frames` must have a variable {VARIABLE}, or one alone of three axes. Received: {list(given.data_vars)}"
        )
    return given[found[0]]


def _of_forecasts(maps):
    """Returns the names of the coordinates that tell when a forecast was made: a forecast of it has its own."""
    names = ("forecast_reference_time", "forecast_period", "lead")
    return [name for name in maps.coords if maps[name].attrs.get("standard_name", name) in names]


def _times_behind(maps, minutes):
    """Returns what tells the times of so many maps behind the last, None of maps without times."""
    if "time" not in maps.coords:
        return None
    times = maps.time.values
    if all(hasattr(time, "calendar") for time in times.flat):  # dates as cftime has them
        if times_behind(times, 1) is None:
            raise ValueError(
                f"`frames` must be at one interval within the last {len(times)} maps, which dates of another calendar "
                f"tell from two on. Received: {', '.join(map(str, times))}"
            )
        return functools.partial(times_behind, times)
    if not np.issubdtype(times.dtype, np.datetime64) or np.isnat(times).any():
        raise ValueError(
            f"`frames` must have times of datetime64 or cftime, none missing. Received: dtype {times.dtype}"
        )
    if minutes is None and are_months(times):  # which are not of one length
        return functools.partial(times_behind, times)
    steps = np.diff(times).astype("timedelta64[ns]")
    if minutes is None and not len(steps):
        raise ValueError(
            "`frames` must have the attribute interval_minutes where the model sees one map alone. Received: none"
        )
    usual = np.median(steps.astype("int64")) if minutes is None else float(minutes) * 60e9
    usual = np.timedelta64(round(usual / 1e9) * 10**9 if usual >= 1e9 else round(usual), "ns")
    for index, step in enumerate(steps):
        if usual <= np.timedelta64(0, "s") or abs(step - usual) > STRAYING * usual:
            raise ValueError(
                f"`frames` must be at one interval within the last {len(times)} maps, here "
                f"{usual / np.timedelta64(1, 'm'):g} minutes. Received: {step / np.timedelta64(1, 'm'):g} minutes from "
                f"{times[index].astype('datetime64[s]')} to {times[index + 1].astype('datetime64[s]')}; `fill_gaps` of "
                "`read_radar` (`--fill-gaps`) interpolates one or two missing maps"
            )
    return lambda count: times[-1] + np.arange(1, count + 1) * usual


def _scale(maps, text):
    """Returns how pixels stand for the maps' numbers, None for pixels."""
    units = maps.attrs.get("units")
    if text is not None:
        return parse_scale(text)
    if rate_factor(units):
        scale = scale_of_units(RATE_UNITS)
        warnings.warn(
            f"`scale` is {scale}, as the maps are in {units} and nothing else is said", stacklevel=4
        )
        return scale
    if units not in (None, "", "1"):
        raise ValueError(f"`scale` must be given for maps in units of their own. Received: units {units!r}")
    return None


def _in_units(maps, scale):
    """Returns maps in the units of a scale: mm/h of all rates of rain."""
    units = maps.attrs.get("units")
    factor = units_factor(None if units == "1" else units, scale.units if scale else "", "`frames`")
    if factor == 1:
        return maps
    attributes = {name: each for name, each in maps.attrs.items() if name != "standard_name"}
    found = maps * np.float32(factor)
    found.attrs = {**attributes, "units": RATE_UNITS}
    return found
