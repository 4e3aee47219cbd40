"""Maps of Rainfields (NetCDF) of the Bureau of Meteorology, of Australia.

They are decoded by xarray: pysteps (1.21) decodes the same values, but places the grid half a pixel off and rounds its
projection.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from mslstm_keras.formats.checks import whole_data_set
from mslstm_keras.importing import needed
from mslstm_keras.radar.grids import Grid
from mslstm_keras.radar.maps import DEPTH, RadarMap, check_no_data, check_shape
from mslstm_keras.radar.odim import text

if TYPE_CHECKING:
    import xarray as xr


def is_rainfields(file: h5py.File) -> bool:
    """Whether an HDF5 file is of Rainfields: one map at one time. Others may name what they hold so, too."""
    sides = {
        name: file[name].ndim
        for name in ("precipitation", "valid_time")
        if isinstance(file.get(name), h5py.Dataset)
    }
    return sides == {"precipitation": 2, "valid_time": 0}


def read_rainfields(path: Path, *, pixels: bool) -> tuple[RadarMap, np.ndarray | None]:
    """Reads a map of rain depth in mm; see `formats.Reader`."""
    with needed("A NetCDF map", "radar"):
        import xarray as xr
    with h5py.File(path, "r") as file:
        for name in ("precipitation", "x", "y"):
            whole_data_set(file, name)
        stored = file["precipitation"]
        if pixels and not {"_FillValue", "missing_value"} & stored.attrs.keys():
            check_no_data(stored[()])
    with xr.open_dataset(path, engine="h5netcdf", decode_timedelta=False) as data:
        rain = data["precipitation"].transpose("y", "x")
        shape = check_shape(rain.shape)
        if rain.attrs.get("units") not in ("kg m-2", "mm"):
            raise ValueError(f"must be of rain depth in kg m-2 or mm, is in {rain.attrs.get('units')}")
        start, end = (
            np.datetime64(data[name].values.item(), "ns").astype("datetime64[s]")
            for name in ("start_time", "valid_time")
        )
        x, y = (_metres(data[name]) for name in "xy")
        dx, dy = (x[-1] - x[0]) / (len(x) - 1), (y[0] - y[-1]) / (len(y) - 1)
        if not (dx > 0 and dy != 0 and np.allclose(np.diff(x), dx) and np.allclose(np.diff(y), -dy)):
            raise ValueError("must be on a regular grid")
        mapping = data[rain.attrs.get("grid_mapping", rain.encoding.get("grid_mapping", "proj"))]
        found = RadarMap(
            service="BoM",
            product=f"Rainfields {text(data.attrs.get('title', 'rain'))}, radar {data.attrs.get('station_name', '')}",
            quantity=DEPTH,
            time=end,
            grid=Grid(_projection(_items(mapping)), shape, x[0] - dx / 2, max(y) + abs(dy) / 2, dx, abs(dy)),
            minutes=(end - start) / np.timedelta64(1, "m"),
            licence=str(data.attrs.get("licence", "")),
        )
        if not pixels:
            return found, None
        values = rain.values.astype(np.float64)
    return found, values if dy > 0 else values[::-1]


def _items(mapping: "xr.DataArray") -> tuple[tuple[str, str | tuple[float, ...]], ...]:
    return tuple(
        (name, value if isinstance(value, str) else tuple(np.ravel(value).tolist()))
        for name, value in sorted(mapping.attrs.items())
    )


@functools.lru_cache(maxsize=64)  # as pyproj takes longer for it than everything else takes
def _projection(items: tuple[tuple[str, str | tuple[float, ...]], ...]) -> str:
    with needed("The projection of a radar map", "radar"):
        import pyproj
    mapping = {
        name: value if isinstance(value, str) else list(value) if len(value) > 1 else value[0]
        for name, value in items
    }
    return pyproj.CRS.from_cf(mapping).to_wkt()


def _metres(coordinate: "xr.DataArray") -> np.ndarray:
    units = coordinate.attrs.get("units", "no unit")
    if units not in ("m", "km"):
        raise ValueError(f"coordinates must be in m or km, are in {units}")
    return coordinate.values.astype(np.float64) * (1000 if units == "km" else 1)
