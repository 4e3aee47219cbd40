"""Rain maps written as GeoTIFF, for QGIS and other programs that know places."""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mslstm_keras.files import replacing
from mslstm_keras.importing import check_installed
from mslstm_keras.radar.grids import pixel_steps

if TYPE_CHECKING:
    import xarray

SUFFIXES = (".tif", ".tiff")
_TILE = 256  # pixels: side of the parts of a band that are compressed together


def check_writer() -> None:
    """Raises an ImportError if what writes a GeoTIFF is not installed."""
    check_installed("A GeoTIFF", "radar", ["pyproj", "rasterio"])


def write_geotiff(path: str | os.PathLike[str], maps: "xarray.Dataset") -> None:
    """Writes rain maps as one GeoTIFF: a band for each time, float32 in mm/h, NaN where nothing was observed.

    The northern row is the first and the western column the first, however the maps have them. The description of a
    band is the time that it is for, in UTC, and of a forecast its lead time, such as "2010-08-26T00:25:00Z, +5 min".
    The attributes of the maps become tags of the file. Bands are compressed without loss, in tiles.

    Maps that do not say where they are, or say it in a way that GeoTIFF has no word for, are written without a place,
    with a warning.

    Args:
        path: file ending in `.tif` or `.tiff`.
        maps: `rain_rate` (time, y, x), as `read_radar` and `forecast` return it; `x` and `y` are the centres of the
            pixels and `spatial_ref` the projection. Of lazy maps one is in memory at a time.

    Raises:
        ValueError: for another suffix, or if there are no maps, or they have other axes or no times.
        ImportError: if rasterio is not installed.
        OSError: if the file cannot be written; what was there before stays.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"`path` must end in {' or '.join(SUFFIXES)}. Received: {path}")
    rates = maps.rain_rate
    if rates.dims != ("time", "y", "x") or not rates.size or "time" not in rates.coords:
        raise ValueError(
            "`maps` must hold rain_rate (time, y, x) with times, none empty. Received: "
            f"{dict(rates.sizes)}, coordinates {[*rates.coords]}"
        )
    check_writer()
    for axis, rises in (("y", False), ("x", True)):
        if axis in rates.coords:
            rates = rates.sortby(axis, ascending=rises)
    place, reason = _place(rates)
    content, kept = _content(rates, place, _tags(maps))
    if not kept:
        reason = reason or "a GeoTIFF has no word for their projection"
        warnings.warn(f"{path} does not say where its maps are, as {reason}", stacklevel=2)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _place(rates: "xarray.DataArray") -> tuple[dict[str, Any], str]:
    """Returns the projection and the geotransform of maps, or why there is none."""
    import pyproj
    import rasterio

    steps = pixel_steps(rates)
    name = rates.attrs.get("grid_mapping", rates.encoding.get("grid_mapping", "spatial_ref"))
    if name not in rates.coords:
        return {}, "they have no grid mapping"
    if steps is None:
        return {}, "their `x` and `y` are not evenly spaced"
    for axis in "yx":
        units = rates[axis].attrs.get("units", "m")
        if units != "m" and not units.startswith("degree"):
            return {}, f"their `{axis}` is in {units}, neither in m nor in degrees"
    try:
        crs = rasterio.crs.CRS.from_wkt(pyproj.CRS.from_cf(rates[name].attrs).to_wkt())
    except (pyproj.exceptions.CRSError, rasterio.errors.CRSError, KeyError):
        return {}, "their grid mapping cannot be read"
    height, width = steps
    west, north = float(rates.x[0]) - width / 2, float(rates.y[0]) - height / 2
    return {"crs": crs, "transform": rasterio.Affine(width, 0, west, 0, height, north)}, ""


def _content(rates: "xarray.DataArray", place: dict[str, Any], tags: dict[str, str]) -> tuple[bytes, bool]:
    """Returns the bytes of a file, and whether it says where its maps are.

    They are made in memory, as GDAL says nothing of a disk that is full when it closes a file.
    """
    import rasterio
    from rasterio.io import MemoryFile

    count, height, width = rates.shape
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": "float32",
        "nodata": np.nan,
        "compress": "deflate",
        "predictor": 3,
        "tiled": True,
        "blockxsize": _TILE,
        "blockysize": _TILE,
        "interleave": "band",
        "bigtiff": "if_safer",
    }
    # Otherwise GDAL writes what a GeoTIFF has no word for into a second file.
    with warnings.catch_warnings(), rasterio.Env(GDAL_PAM_ENABLED="NO"), MemoryFile(ext=".tif") as memory:
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)  # `write_geotiff` says it
        with memory.open(**profile, **place) as file:
            file.update_tags(**tags)
            for band in range(1, count + 1):
                rate = rates[band - 1]
                description, facts = _moment(rate)
                file.write(rate.values.astype("float32", copy=False), band)
                file.set_band_description(band, description)
                file.set_band_unit(band, rates.attrs.get("units", ""))
                file.update_tags(band, **facts)
        with memory.open() as file:
            kept = file.crs is not None
        return memory.read(), kept


def _moment(rate: "xarray.DataArray") -> tuple[str, dict[str, str]]:
    """Returns the description of a band, and its tags: the time that it is for, and its lead time."""
    time = _iso(rate.time.values)
    if "forecast_reference_time" not in rate.coords:
        return time, {"valid_time": time}
    lead = (rate.time.values - rate.forecast_reference_time.values) / np.timedelta64(1, "s")
    return f"{time}, +{lead / 60:g} min", {"valid_time": time, "lead_time": f"PT{lead:g}S"}


def _tags(maps: "xarray.Dataset") -> dict[str, str]:
    tags = {str(name): str(value) for name, value in maps.attrs.items()}
    tags["units"] = str(maps.rain_rate.attrs.get("units", ""))
    if "forecast_reference_time" in maps.coords:
        tags["forecast_reference_time"] = _iso(maps.forecast_reference_time.values)
    return tags


def _iso(time: np.ndarray) -> str:
    return f"{np.datetime_as_string(time, 's')}Z"
