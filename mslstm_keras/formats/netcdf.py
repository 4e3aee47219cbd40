"""Frames of NetCDF files and Zarr stores."""

import contextlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mslstm_keras.formats.checks import check_array, check_count, how_to_choose, listing, reading
from mslstm_keras.formats.coordinates import called, places_along, stated_role, times_along, with_axes
from mslstm_keras.formats.labels import Labels, texts_of
from mslstm_keras.formats.packing import PACKED, are_values, stored_dtype, units_of, unpack
from mslstm_keras.formats.sequence import Sequence
from mslstm_keras.formats.stores import (
    check_claim,
    is_zarr,
    lacking_chunks,
    open_netcdf,
    open_zarr,
    values_of,
)
from mslstm_keras.importing import needed
from mslstm_keras.timing.times import read_times, time_order

NETCDF = (".nc", ".nc4", ".cdf")


def read_netcdf(path: Path, name: str | None, any_numbers: bool = False, *, of_one: bool = False) -> Sequence:
    """Reads one variable of (time, y, x), whatever the order in which the file has these axes.

    Args:
        path: NetCDF file (classic form, or NetCDF-4), or Zarr store (folder, or `.zip`).
        name: path of the variable in the file; None where there is only one that can be a clip.
        any_numbers: bool. Takes whole numbers without units, too.
        of_one: bool. Takes a variable of (y, x), too, which is one frame.

    Raises:
        ValueError: if the file is damaged or has another content.
        ImportError: if xarray, or what it reads the file by, is not installed.
    """
    with needed("NetCDF or Zarr", "netcdf"):
        import h5netcdf  # noqa: F401
        import xarray  # noqa: F401
        import zarr  # noqa: F401

    with contextlib.ExitStack() as stack:
        with reading(path):
            store, groups = open_zarr(path, stack) if is_zarr(path) else open_netcdf(path, stack)
        variables = {
            f"{group.rstrip('/')}/{key}": (data, key)
            for group, data in groups.items()
            for key, variable in data.data_vars.items()
            if variable.ndim >= (2 if of_one else 3) and variable.dtype.kind in "iufb"
        }
        if name is None:
            variables = _frames_among(variables)
        chosen = _choose(path, variables, name, of_one)
        data, key = variables[chosen]
        with reading(path):
            data, order, single, assumed = with_axes(data, str(key), of_one)
            shape = tuple(data.sizes[axis] for axis in order)
            dtype = stored_dtype(data[key].dtype, data[key].attrs)
        if np.issubdtype(dtype, np.integer) and are_values(data[key].attrs):
            check_count(path, shape)
        else:
            check_array(path, shape, dtype, any_numbers)
        with reading(path):
            check_claim(store, chosen)
            lacking = lacking_chunks(store, chosen)
            stored = values_of(data[key].variable.isel(dict.fromkeys(single, 0)).transpose(*order))
            values, valid_range = unpack(stored, data[key].attrs)
            axes, undated = times_along(store, data, order[0], chosen)
            rows, columns = called(order[1], "y"), called(order[2], "x")
            axes_of_places = {order[1]: rows, order[2]: columns}
            places, lost = places_along(store, data, str(key), order[0], axes_of_places, chosen)
        attributes = dict(data[key].attrs)
    for message in filter(None, (assumed, lacking, undated, lost)):
        warnings.warn(f"`{path}`: {message}", stacklevel=4)
    times = read_times(path, axes, of_one=of_one)
    sorting = None if times is None or times.dtype.kind == "U" else time_order(path, times)
    if times is not None and sorting is not None:
        values, times = values[sorting], times[sorting]
    return Sequence(
        values if values.ndim == 4 else values[..., np.newaxis],
        units_of(attributes),
        valid_range,
        levels=stored.dtype == np.uint8 and not are_values(attributes),
        unpacked=any(packing in attributes for packing in PACKED),
        labels=Labels(str(key), texts_of(attributes), times, rows, columns, places),
    )


def _choose(path: Path, variables: Mapping[str, Any], name: str | None, of_one: bool) -> str:
    """Returns the one variable that can be a clip, or the one that is named."""
    wanted = None if name is None else "/" + name.strip("/")
    found = [key for key in variables if wanted in (None, key)]
    if len(found) != 1:
        rule = f"one variable of time, y and x, or {how_to_choose(path, of_one)}"
        raise ValueError(
            f"`{path}` must hold {f'the variable {wanted}, of time, y and x' if wanted else rule}. "
            f"Received: {listing(found or variables)}"
        )
    return found[0]


def _frames_among(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the variables that may be frames: no places and no bounds, and those of time where there are any.

    Masks, of booleans, are frames where there is nothing else.
    """
    variables = {
        name: found for name, found in variables.items() if found[0][found[1]].dtype != bool
    } or variables
    bounds = {
        str(each.attrs.get("bounds")) for data, _ in variables.values() for each in data.variables.values()
    }
    frames = {
        name: (data, key)
        for name, (data, key) in variables.items()
        if stated_role(data[key].attrs) not in ("X", "Y") and str(key) not in bounds
    }
    longer = {name: found for name, found in frames.items() if found[0][found[1]].ndim >= 3}
    return longer or frames or dict(variables)
