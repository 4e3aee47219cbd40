"""Frames with named axes, as xarray has them, written to NetCDF and Zarr."""

import datetime
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mslstm_keras.files import replacing
from mslstm_keras.formats.stores import holds_store
from mslstm_keras.importing import check_installed

if TYPE_CHECKING:
    import xarray

SUFFIXES = (".nc", ".zarr")
CHUNK = 512  # pixels: side of the parts of a map that are compressed together


def frames_as_maps(frames: np.ndarray, units: str = "1") -> "xarray.Dataset":
    """Returns a forecast of which neither times nor places are known.

    Args:
        frames: floats (time, height, width, channels).
        units: str. What they are counted in.

    Returns:
        `xarray.Dataset` of `forecast` (frame, y, x), or (frame, y, x, channel) of several channels. There are no times:
        `frame` counts from 1, the frame behind the last one that was given.

    Raises:
        ImportError: if xarray is not installed.
    """
    import xarray

    dims: tuple[str, ...] = ("frame", "y", "x", "channel")
    if frames.shape[-1] == 1:
        dims, frames = dims[:-1], frames[..., 0]
    numbers = np.arange(1, len(frames) + 1, dtype="int32")
    return xarray.Dataset(
        {"forecast": (dims, frames.astype("float32", copy=False), {"long_name": "forecast", "units": units})},
        {"frame": ("frame", numbers, {"long_name": "frames behind the last one given", "units": "1"})},
        {"title": "Forecast of frames"},
    )


def check_writer(path: str | os.PathLike[str]) -> None:
    """Makes sure that a NetCDF file or a Zarr store can be written there.

    Raises:
        ImportError: if what writes it is not installed.
        ValueError: if there is a folder that holds something else than a store, which would be replaced.
    """
    path = Path(path)
    backend = "zarr" if path.suffix.lower() == ".zarr" else "h5netcdf"
    check_installed("NetCDF or Zarr", "netcdf", ["xarray", backend])
    if path.is_dir() and not holds_store(path) and any(path.iterdir()):
        raise ValueError(
            f"`path` must be new, empty or a Zarr store. Received: {path}, a folder of something else"
        )


def write_maps(path: str | os.PathLike[str], maps: "xarray.Dataset") -> None:
    """Writes maps as NetCDF-4 or Zarr by the CF conventions 1.11, compressed without loss.

    Args:
        path: file ending in `.nc`, or folder ending in `.zarr`.
        maps: variables of floats with axes such as `time`, `y` and `x`, and their coordinates.

    Raises:
        ValueError: for another suffix.
        ImportError: if xarray, or what it writes the file by, is not installed.
        OSError: if the file cannot be written; what was there before stays.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"`path` must end in {' or '.join(SUFFIXES)}. Received: {path}")
    check_writer(path)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    history = f"{maps.attrs.get('history', '')}\n{now}: written by mslstm_keras".lstrip()
    maps = maps.drop_encoding().assign_attrs(Conventions="CF-1.11", history=history)
    encoding: dict[Any, dict[str, Any]] = {name: {"_FillValue": None} for name in maps.coords}
    for name, values in maps.coords.items():
        if not {"standard_name", "long_name"} & set(values.attrs):
            values.attrs["long_name"] = str(name)
        if np.issubdtype(values.dtype, np.datetime64):
            values.attrs["units_metadata"] = "leap_seconds: none"
            whole = np.all(values.values == values.values.astype("datetime64[s]"))
            encoding[name] |= {
                "units": f"{'seconds' if whole else 'microseconds'} since 1970-01-01 00:00:00",
                "calendar": "standard",
                "dtype": "int64",
            }
    with replacing(path) as temporary:
        if suffix == ".zarr":
            maps.to_zarr(
                temporary, encoding=encoding, zarr_format=2
            )  # 3 says nothing of consolidated metadata
            return
        for name, values in maps.data_vars.items():
            # Those of places, whatever they are called.
            axes = [dim for dim in values.dims if dim != "channel"][-2:]
            chunks = [min(CHUNK if dim in axes else 1, size) for dim, size in values.sizes.items()]
            packing = {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": tuple(chunks)}
            encoding[name] = {**packing, "_FillValue": np.float32(np.nan)}
        # Through memory: where the disk is full HDF5 ends the whole process.
        content = io.BytesIO()
        maps.to_netcdf(content, engine="h5netcdf", encoding=encoding)
        temporary.write_bytes(content.getbuffer())
