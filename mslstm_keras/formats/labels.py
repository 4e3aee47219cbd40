"""What a file says of its frames beside their values: names, times and places."""

import dataclasses
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mslstm_keras.timing.times import times_behind

if TYPE_CHECKING:
    import xarray

_KEPT = ("long_name", "standard_name", "units", "grid_mapping")
_EVEN = 1e-3  # of a pixel: centres of pixels may lie so far from where evenly spaced ones would


@dataclasses.dataclass(frozen=True)
class Labels:
    """Names, times and places of the frames of a file.

    Attributes:
        name: str. What the file calls its numbers.
        attributes: what it says of them in words, such as `long_name`, `standard_name` and `grid_mapping`.
        times: datetime64 (time,), growing; numbers, or dates of another calendar, where the file has these; None where
            it says no times.
        rows: what it calls the axis of rows.
        columns: and that of columns.
        places: `xarray.Dataset` of coordinates along these two axes, and of the projection; None where there is none.
        units: what the forecast is measured in; None for numbers without units.
        unobserved: booleans (height, width, channels), where the last frame is missing; None if it is whole.
    """

    name: str
    attributes: dict[str, str]
    times: np.ndarray | None = None
    rows: str = "y"
    columns: str = "x"
    places: "xarray.Dataset | None" = None
    units: str | None = None
    unobserved: np.ndarray | None = None

    def cut_out(self, crop: tuple[int, int, int, int] | None) -> "Labels":
        """Returns the labels of rows `top` to `bottom - 1` and columns `left` to `right - 1`."""
        if crop is None or self.places is None:
            return self
        top, bottom, left, right = crop
        window = {self.rows: slice(top, bottom), self.columns: slice(left, right)}
        places = self.places.isel({axis: part for axis, part in window.items() if axis in self.places.dims})
        return dataclasses.replace(self, places=places)

    def resized(self, before: tuple[int, int], after: tuple[int, int]) -> "Labels":
        """Returns the labels of frames that are brought to another size on the same area.

        Only places that are evenly spaced have new ones; a warning names those that are left out.
        """
        if before == after or self.places is None:
            return self
        centres, lost = {}, []
        for name, place in self.places.coords.items():
            if not place.dims:
                continue
            sides = {self.rows: 0, self.columns: 1}
            old, new = (size[sides.get(str(place.dims[0]), 0)] for size in (before, after))
            found = _centres(place.values, old, new) if place.ndim == 1 else None
            if found is None:
                lost.append(str(name))
            else:
                centres[name] = (place.dims, found, place.attrs)
        if lost:
            warnings.warn(
                f"the forecast has no {', '.join(lost)}: frames are resized, and these are not evenly spaced",
                stacklevel=2,
            )
        kept = self.places.drop_dims([self.rows, self.columns], errors="ignore")
        return dataclasses.replace(self, places=kept.assign_coords(centres))

    def put_on(self, forecast: "xarray.Dataset") -> "xarray.Dataset":
        """Returns a forecast with the times and places of what was given, NaN where its last frame is missing.

        Args:
            forecast: variables with the axes `frame`, which counts from 1 behind the last frame, `y`, `x` and perhaps
                others, as `mslstm_keras.frames.maps.frames_as_maps` makes them.
        """
        import xarray

        of_frames = [name for name, each in forecast.data_vars.items() if {"y", "x"} <= set(each.dims)]
        if self.unobserved is not None:
            observed = xarray.DataArray(~self.unobserved, dims=("y", "x", "channel"))
            channels = forecast.sizes.get("channel")
            if channels != observed.sizes["channel"]:  # colour became grey, or grey colour
                observed = observed.all("channel")
            forecast = forecast.assign({name: forecast[name].where(observed) for name in of_frames})
        called = self.attributes.get("long_name", self.name)
        facts = {"long_name": f"forecast of {called}"}
        if "standard_name" in self.attributes and self.units == self.attributes.get("units"):
            facts["standard_name"] = self.attributes["standard_name"]  # which goes with the units of the file
        mapping = {}
        named = self.attributes.get("grid_mapping", "")  # "crs", or "crs: x y"
        if named and self.places is not None and {*re.findall(r"[^\s:]+", named)} <= {*self.places.coords}:
            mapping["grid_mapping"] = named
        for name in of_frames:
            forecast[name].attrs.update({**(facts if name == "forecast" else {}), **mapping})
        forecast = self._timed(forecast).rename({"y": self.rows, "x": self.columns})
        return forecast if self.places is None else forecast.assign_coords(self.places.coords)

    def _timed(self, forecast):
        times = None if self.times is None else times_behind(self.times, forecast.sizes["frame"])
        if self.times is None or times is None:
            warnings.warn(
                "the forecast counts its frames, as what it is made of says no times at one interval",
                stacklevel=3,
            )
            return forecast
        known = forecast_coordinates(self.times[-1], times)
        return forecast.drop_vars("frame").rename(frame="time").assign_coords(known)


def texts_of(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Returns those attributes of numbers that are words which a forecast of them keeps."""
    return words_of(attributes, _KEPT)


def words_of(attributes: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """Returns attributes that are words, which HDF5 may hold as bytes."""
    found = {name: attributes[name] for name in names if name in attributes}
    texts = {
        name: each.decode(errors="replace") if isinstance(each, bytes) else each
        for name, each in found.items()
    }
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def forecast_coordinates(last: Any, times: np.ndarray) -> dict[str, Any]:
    """Returns coordinates by the CF conventions of a forecast: its times, and how far they lie behind the last one."""
    minutes = np.array([(time - last) / np.timedelta64(1, "m") for time in times], "float64")
    return {
        "time": ("time", times, {"standard_name": "time", "long_name": "time that a map is for"}),
        "forecast_reference_time": (
            (),
            last,
            {"standard_name": "forecast_reference_time", "long_name": "time of the last map given"},
        ),
        "forecast_period": (
            "time",
            minutes,
            {
                "standard_name": "forecast_period",
                "long_name": "time since the last map",
                "units": "minutes",
            },
        ),
    }


def _centres(centres: np.ndarray, old: int, new: int) -> np.ndarray | None:
    """Returns the centres of new pixels between the same edges; None if those of the old ones are not evenly spaced."""
    if old < 2 or not np.issubdtype(centres.dtype, np.number):
        return None
    centres = centres.astype("float64")
    step = (centres[-1] - centres[0]) / (old - 1)
    if not np.allclose(np.diff(centres), step, rtol=_EVEN, atol=0):
        return None
    return centres[0] - step / 2 + step * old / new * (np.arange(new) + 0.5)
