"""NetCDF files and Zarr stores, opened by xarray: what they hold, and whether they hold what they claim."""

import contextlib
import io
import itertools
import math
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from mslstm_keras.formats.checks import LITTLE, MOST_PER_BYTE, NotReadError, listing, whole_data_set

if TYPE_CHECKING:
    import xarray

AXIS_NAMES = {
    "T": "time times t timestamp timestamps valid_time datetime date frame frames step lead_time leadtime "
    "forecast_time nt",
    "Y": "y lat latitude rlat yc ny nlat northing south_north north_south row rows j",
    "X": "x lon longitude rlon xc nx nlon easting west_east east_west col cols column columns i",
    "C": "channel channels band bands rgb rgba c",
}
TIME_NAMES = frozenset(AXIS_NAMES["T"].split())
ZARR = (".zarr",)
ZIP = (".zip",)  # of a store; no kind of its own, as zips hold anything
_MARKS = ("zarr.json", ".zgroup", ".zarray")  # files of a store
_LARGEST_CLASSIC = 2**33  # bytes: one variable alone cannot be read of a file in this form
_MOST_UNPACKED = 4  # of a zip, whose chunks are packed already: bytes that one of its bytes stands for
# What is packed and missing is told by `unpack`, and nothing is read before its size is checked.
_AS_STORED: dict[str, Any] = {"mask_and_scale": False, "decode_times": False, "create_default_indexes": False}
_SCALAR = "no axis"  # in place of the names of the axes of a single number


def is_zarr(path: Path) -> bool:
    """Returns whether a folder, or a `.zip`, is a Zarr store."""
    if path.is_dir():
        return path.suffix.lower() == ".zarr" or holds_store(path)
    return path.suffix.lower() in ZARR + ZIP


def holds_store(folder: Path) -> bool:
    """Returns whether a folder has the files of a Zarr store."""
    return any(os.path.isfile(folder / mark) for mark in _MARKS)  # False where the folder cannot be read


def open_netcdf(path: Path, stack: contextlib.ExitStack) -> "tuple[Any, Mapping[str, xarray.Dataset]]":
    """Opens a file: its HDF5, or None for the classic form, and group -> variables, none of which is read."""
    import h5netcdf
    import xarray

    if not h5py.is_hdf5(path):
        if path.stat().st_size > _LARGEST_CLASSIC:
            raise NotReadError(f"NetCDF-3 of more than {_LARGEST_CLASSIC} bytes; nccopy -k nc4 rewrites it")
        content = (
            path.read_bytes()
        )  # SciPy maps a file that it opens itself, and leaves it open where it is damaged
        if content[:3] != b"CDF":
            if content[:2] == b"\x1f\x8b" or content[:3] == b"BZh":
                raise NotReadError("packed: unpack it (gunzip, bunzip2)")
            raise ValueError("no NetCDF")
        if content[:4] == b"CDF\5":
            raise NotReadError("NetCDF-3 with 64-bit data; nccopy -k nc4 rewrites it")
        data = xarray.open_dataset(io.BytesIO(content), engine="scipy", **_AS_STORED)
        return None, {"/": stack.enter_context(data)}
    file = stack.enter_context(h5py.File(path, "r"))
    dict(file.attrs)  # damaged ones leave h5netcdf's file half made, which says so once more when it goes
    # Opened here, as xarray keeps a file open that it cannot read, and HDF5 then gives old values for a new file.
    stored = stack.enter_context(h5netcdf.File(file, "r", phony_dims="sort"))
    groups, waiting = {}, [stored]
    while waiting:
        group = waiting.pop()
        groups[group.name] = xarray.open_dataset(xarray.backends.H5NetCDFStore(group), **_AS_STORED)
        waiting += group.groups.values()
    return file, _with_inherited(groups)


def open_zarr(path: Path, stack: contextlib.ExitStack) -> "tuple[Any, Mapping[str, xarray.Dataset]]":
    """Opens a store: its group, and group -> variables, none of which is read."""
    import xarray
    import zarr

    place: Any = path
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > _MOST_UNPACKED * path.stat().st_size + LITTLE:
                raise ValueError(f"{unpacked} bytes claimed by {path.stat().st_size} bytes of a zip")
            names = archive.namelist()
            if not any(Path(name).name in _MARKS for name in names):
                raise NotReadError(f"no Zarr store, but {listing(names)}: unpack it, and give what is in it")
            damaged = archive.testzip()  # found by zarr, it would be logged, too
        if damaged:
            raise ValueError(f"{damaged} has another checksum")
        place = stack.enter_context(zarr.storage.ZipStore(path, mode="r"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of files of the system that lie in the folder
        opened = zarr.open(place, mode="r")
        if isinstance(opened, zarr.Array):
            return {"clip": opened}, _without_names({"clip": opened})
        arrays = {name: each for name, each in opened.members(max_depth=None) if isinstance(each, zarr.Array)}
        if not all(map(_names_of_axes, arrays.values())):
            return opened, _without_names(arrays)
        groups = xarray.open_groups(place, engine="zarr", consolidated=False, **_AS_STORED)
        for data in groups.values():
            stack.enter_context(data)
        return opened, _with_inherited(groups)


def _with_inherited(groups: "Mapping[str, xarray.Dataset]") -> "dict[str, xarray.Dataset]":
    """Returns groups with the coordinates of those that they lie in, as the CF conventions have it, section 2.7."""
    import xarray

    found = {}
    for name, data in groups.items():
        whole = data
        for parent in map(str, PurePosixPath(name).parents):
            for each, variable in groups[parent].variables.items() if parent in groups else ():
                sizes = dict(zip(variable.dims, variable.shape, strict=True))
                if each not in whole.variables and sizes.items() <= dict(data.sizes).items():
                    whole = whole.assign_coords(xarray.Coordinates({each: variable}, indexes={}))
        found[name] = whole
    return found


def _names_of_axes(array: Any) -> tuple[str, ...]:
    """Returns what an array of a Zarr store says of its axes; nothing where it was written without xarray."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    return () if None in names else tuple(names) or ((_SCALAR,) if not array.ndim else ())


def _without_names(arrays: Mapping[str, Any]) -> "dict[str, xarray.Dataset]":
    """Returns group -> arrays, of which some have no names of their axes; none is read.

    Times that lie beside frames are theirs, as in HDF5.
    """
    import xarray
    from xarray.core import indexing

    class Stored(xarray.backends.BackendArray):
        def __init__(self, array: Any) -> None:
            self.array, self.shape, self.dtype = array, array.shape, array.dtype

        def __getitem__(self, key: Any) -> Any:
            orthogonal = indexing.IndexingSupport.OUTER
            return indexing.explicit_indexing_adapter(
                key, self.shape, orthogonal, self.array.oindex.__getitem__
            )

    groups: dict[str, dict[str, Any]] = {}
    for path, array in arrays.items():
        group, _, name = f"/{path}".rpartition("/")
        groups.setdefault(group or "/", {})[name] = array
    found, nameless = {}, itertools.count()
    for group, members in groups.items():
        axes = {
            name: list(_names_of_axes(each)[: each.ndim]) or [f"dim_{next(nameless)}" for _ in each.shape]
            for name, each in members.items()
        }
        for name, each in members.items():
            beside = [
                axes[other][0]
                for other, one in members.items()
                if one.ndim > 2 and one.shape[:1] == each.shape
            ]
            if name.lower() in TIME_NAMES and each.ndim == 1 and beside:
                axes[name] = beside[:1]
        found[group] = xarray.Dataset(
            {
                name: (axes[name], indexing.LazilyIndexedArray(Stored(each)), each.attrs.asdict())
                for name, each in members.items()
            }
        )
    return found


def check_beside(store: Any, name: str, beside: str) -> None:
    """Makes sure of the same of a variable beside one that is named, or in a group that this lies in."""
    if store is not None:
        places = [str(place / beside) for place in PurePosixPath(name).parents]
        check_claim(store, next((place for place in places if place.strip("/") in store), places[0]))


def check_claim(store: Any, name: str) -> None:
    """Makes sure that a variable of an HDF5 file or a Zarr store takes no more memory than is stored of it."""
    if (
        store is None
    ):  # the classic form, whose values lie in the file as they are, and are not read beyond its end
        return
    if isinstance(store, h5py.File):
        whole_data_set(store, name)
        return
    array = store[name.strip("/")]
    stored, chunk = array.nbytes_stored(), math.prod(array.shards or array.chunks) * array.dtype.itemsize
    claimed = max(array.nbytes, chunk)
    if claimed > max(MOST_PER_BYTE * stored, LITTLE):
        raise ValueError(f"{claimed} bytes of values claimed, which {stored} bytes cannot hold")


def values_of(variable: "xarray.Variable") -> np.ndarray:
    """Returns the values of a variable; those of all chunks fit, but a chunk may itself claim that it holds more."""
    try:
        return variable.values
    except MemoryError as error:
        raise ValueError("it takes more memory than there is, or a chunk of it claims so") from error


def lacking_chunks(store: Any, name: str) -> str | None:
    """Returns how many chunks a Zarr store does not have, which read as its `fill_value`."""
    if store is None or isinstance(store, h5py.File):
        return None
    array = store[name.strip("/")]
    lacking = array.nchunks - array.nchunks_initialized
    return (
        f"{lacking} of {array.nchunks} chunks are not stored and read as {array.fill_value}"
        if lacking
        else None
    )
