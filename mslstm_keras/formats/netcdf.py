"""Frames of NetCDF files and Zarr stores, opened by xarray."""

import contextlib
import io
import itertools
import math
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from mslstm_keras.formats.checks import (
    LITTLE,
    MOST_PER_BYTE,
    check_array,
    check_count,
    listing,
    reading,
    whole_data_set,
)
from mslstm_keras.formats.labels import Labels, texts_of
from mslstm_keras.formats.packing import PACKED, are_values, stored_dtype, units_of, unpack
from mslstm_keras.formats.sequence import Sequence
from mslstm_keras.importing import needed
from mslstm_keras.timing.times import read_times, time_order

if TYPE_CHECKING:
    import xarray

NETCDF = (".nc", ".nc4", ".cdf")
ZARR = (".zarr",)
_MARKS = ("zarr.json", ".zgroup", ".zarray")  # files of a store
ZIP = (".zip",)  # of a store; no kind of its own, as zips hold anything

_LARGEST_CLASSIC = 2**33  # bytes: one variable alone cannot be read of a file in this form
_MOST_UNPACKED = 4  # of a zip, whose chunks are packed already: bytes that one of its bytes stands for

# Of an axis: `axis` and `standard_name` of its coordinate by the CF conventions, and names without numbers behind.
_STANDARD = {
    "time": "T",
    "latitude": "Y",
    "grid_latitude": "Y",
    "projection_y_coordinate": "Y",
    "longitude": "X",
    "grid_longitude": "X",
    "projection_x_coordinate": "X",
}
_NAMES = {
    "T": "time times t timestamp timestamps valid_time datetime date frame frames step lead_time leadtime "
    "forecast_time nt",
    "Y": "y lat latitude rlat yc ny nlat northing south_north north_south row rows j",
    "X": "x lon longitude rlon xc nx nlon easting west_east east_west col cols column columns i",
    "C": "channel channels band bands rgb rgba c",
}
_ONE_TIME = ("frame", "frames", "timestamps", "nt")  # what the axis of time of one frame is called
TIME_NAMES = frozenset(_NAMES["T"].split())
_ROLES = {name: role for role, names in _NAMES.items() for name in names.split()}
# What is packed and missing is told by `unpack`, and nothing is read before its size is checked.
_AS_STORED: dict[str, Any] = {"mask_and_scale": False, "decode_times": False, "create_default_indexes": False}

_REFERENCE = "forecast_reference_time"  # which is no time of a frame where there is another
_SCALAR = "no axis"  # in place of the names of the axes of a single number
_NAMELESS = r"phony_dim_\d+|dim_\d+"


def is_zarr(path: Path) -> bool:
    """Returns whether a folder, or a `.zip`, is a Zarr store."""
    if path.is_dir():
        return path.suffix.lower() == ".zarr" or holds_store(path)
    return path.suffix.lower() in ZARR + ZIP


def holds_store(folder: Path) -> bool:
    """Returns whether a folder has the files of a Zarr store."""
    return any((folder / mark).is_file() for mark in _MARKS)


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
            store, groups = _open_zarr(path, stack) if is_zarr(path) else _open_netcdf(path, stack)
        variables = {
            f"{group.rstrip('/')}/{key}": (data, key)
            for group, data in groups.items()
            for key, variable in data.data_vars.items()
            if variable.ndim >= (2 if of_one else 3) and np.issubdtype(variable.dtype, np.number)
        }
        if name is None:
            variables = _frames_among(variables)
        chosen = _choose(path, variables, name, of_one)
        data, key = variables[chosen]
        with reading(path):
            data, order, single, assumed = _with_axes(data, str(key), of_one)
            shape = tuple(data.sizes[axis] for axis in order)
            dtype = stored_dtype(data[key].dtype, data[key].attrs)
        if np.issubdtype(dtype, np.integer) and are_values(data[key].attrs):
            check_count(path, shape)
        else:
            check_array(path, shape, dtype, any_numbers)
        with reading(path):
            _check_claim(store, chosen)
            lacking = _lacking_chunks(store, chosen)
            stored = _values(data[key].variable.isel(dict.fromkeys(single, 0)).transpose(*order))
            values, valid_range = unpack(stored, data[key].attrs)
            axes, undated = _times(store, data, order[0], chosen)
            rows, columns = _called(order[1], "y"), _called(order[2], "x")
            axes_of_places = {order[1]: rows, order[2]: columns}
            places, lost = _places(store, data, str(key), order[0], axes_of_places, chosen)
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


def _open_netcdf(path: Path, stack: contextlib.ExitStack) -> "tuple[Any, Mapping[str, xarray.Dataset]]":
    """Opens a file: its HDF5, or None for the classic form, and group -> variables, none of which is read."""
    import h5netcdf
    import xarray

    if not h5py.is_hdf5(path):
        if path.stat().st_size > _LARGEST_CLASSIC:
            raise ValueError(f"NetCDF-3 of more than {_LARGEST_CLASSIC} bytes; nccopy -k nc4 rewrites it")
        content = (
            path.read_bytes()
        )  # SciPy maps a file that it opens itself, and leaves it open where it is damaged
        if content[:3] != b"CDF":
            packed = content[:2] == b"\x1f\x8b" or content[:3] == b"BZh"
            raise ValueError("packed: unpack it (gunzip, bunzip2)" if packed else "no NetCDF")
        if content[:4] == b"CDF\5":
            raise ValueError("NetCDF-3 with 64-bit data; nccopy -k nc4 rewrites it")
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


def _open_zarr(path: Path, stack: contextlib.ExitStack) -> "tuple[Any, Mapping[str, xarray.Dataset]]":
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
                raise ValueError(f"no Zarr store, but {listing(names)}: unpack it, and give what is in it")
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


def _check_beside(store: Any, name: str, beside: str) -> None:
    """Makes sure of the same of a variable beside one that is named, or in a group that this lies in."""
    if store is not None:
        places = [str(place / beside) for place in PurePosixPath(name).parents]
        _check_claim(store, next((place for place in places if place.strip("/") in store), places[0]))


def _check_claim(store: Any, name: str) -> None:
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


def _values(variable: "xarray.Variable") -> np.ndarray:
    """Returns the values of a variable; those of all chunks fit, but a chunk may itself claim that it holds more."""
    try:
        return variable.values
    except MemoryError as error:
        raise ValueError("it takes more memory than there is, or a chunk of it claims so") from error


def _lacking_chunks(store: Any, name: str) -> str | None:
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


def _choose(path: Path, variables: Mapping[str, Any], name: str | None, of_one: bool) -> str:
    """Returns the one variable that can be a clip, or the one that is named."""
    wanted = None if name is None else "/" + name.strip("/")
    found = [key for key in variables if wanted in (None, key)]
    if len(found) != 1:
        rule = f"one variable of time, y and x, or say which by {path.parent.name if of_one else path.name}:/name"
        raise ValueError(
            f"`{path}` must hold {f'the variable {wanted}, of time, y and x' if wanted else rule}. "
            f"Received: {listing(found or variables)}"
        )
    return found[0]


def _frames_among(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the variables that may be frames: no places and no bounds, and those of time where there are any."""
    bounds = {
        str(each.attrs.get("bounds")) for data, _ in variables.values() for each in data.variables.values()
    }
    frames = {
        name: (data, key)
        for name, (data, key) in variables.items()
        if _stated_role(data[key].attrs) not in ("X", "Y") and str(key) not in bounds
    }
    longer = {name: found for name, found in frames.items() if found[0][found[1]].ndim >= 3}
    return longer or frames or dict(variables)


def _with_axes(
    data: "xarray.Dataset", key: str, of_one: bool
) -> "tuple[xarray.Dataset, list[str], list[str], str | None]":
    """Returns the variables, of which one frame gets an axis of time, and its axes as `_axes` does."""
    variable = data[key]
    roles = {str(axis): _role(data, str(axis)) for axis in variable.dims}
    others = [role for axis, role in roles.items() if data.sizes[axis] > 1 or role in ("X", "Y")]
    known = {"X", "Y"} <= {*others} and {*others} <= {"X", "Y", "C"}
    if not of_one or not (variable.ndim == 2 or (known and "T" not in roles.values())):
        return data, *_axes(data, key)
    if known:
        time = next(name for name in _ONE_TIME if name not in data.variables and name not in data.sizes)
    else:  # nothing says what the axes are
        time = "dim_99" if all(re.fullmatch(_NAMELESS, axis) for axis in roles) else "file"
    data = data.assign({key: variable.expand_dims({time: 1})})
    return data, *_axes(data, key)


def _called(axis: str, plain: str) -> str:
    """Returns what an axis of places is called: as in the file, if it has a name for it."""
    return plain if re.fullmatch(_NAMELESS, axis) or axis == "channel" else axis


def _role(data: "xarray.Dataset", axis: str) -> str | None:
    """Returns what an axis is: T, Y, X, Z, C (channels), or None where nothing says so."""
    attributes = data.variables[axis].attrs if axis in data.variables else {}
    stated = _stated_role(attributes)
    by_name = _ROLES.get(re.sub(r"[_\d]+$", "", axis.lower()))
    if axis.lower() in ("height", "width") and {"height", "width"} <= {
        str(each).lower() for each in data.sizes
    }:
        by_name = "Y" if axis.lower() == "height" else "X"
    return stated or by_name


def _stated_role(attributes: Mapping[str, Any]) -> str | None:
    """Returns what an axis is by the attributes of its coordinate."""
    units = str(attributes.get("units", ""))
    if " since " in units:
        return "T"
    angle = re.fullmatch(r"degrees?_?(n|e|north|east)", units.lower())
    if angle:
        return {"n": "Y", "e": "X"}[angle[1][0]]
    return str(attributes.get("axis", "")).upper() or _STANDARD.get(str(attributes.get("standard_name")))


def _axes(data: "xarray.Dataset", key: str) -> tuple[list[str], list[str], str | None]:
    """Returns the axes of a variable as a clip has them, those of one place that are left out, and what is assumed."""
    axes = [str(axis) for axis in data[key].dims]
    roles = {axis: _role(data, axis) for axis in axes}
    known = set(roles.values())
    order = {role: [axis for axis in axes if roles[axis] == role] for role in "TYXC"}
    single: list[str] = []
    for axis in axes:
        alike = order.get(roles[axis] or "", [])
        several = len(alike) > 1
        if data.sizes[axis] == 1 and (several or roles[axis] not in ("T", "Y", "X", "C")):
            if roles[axis] is None and len(axes) - len(single) <= 3:
                continue
            single.append(axis)
            if several:
                alike.remove(axis)
    left = [axis for axis in axes if axis not in single]
    unknown = [axis for axis in left if roles[axis] is None]
    assumed = None
    if not known & {"T", "Y", "X"} and len(left) in (3, 4):
        if not all(re.fullmatch(_NAMELESS, axis) for axis in left):
            assumed = f"its axes {', '.join(left)} are taken for time, y, x" + ", channels" * (len(left) - 3)
        return left, single, assumed
    lacking = [role for role in "YX" if not order[role]]
    if not order["T"] and len(unknown) == 1:
        order["T"] = unknown
        assumed = f"its axis {unknown[0]} is taken for time"
    elif order["T"] and unknown and len(unknown) == len(lacking):
        order |= {role: [axis] for role, axis in zip(lacking, unknown, strict=True)}
        assumed = f"its axes {', '.join(unknown)} are taken for {', '.join(lacking).lower()}"
    found = [axis for role in "TYXC" for axis in order[role]]
    if sorted(found) != sorted(left) or any(len(order[role]) != 1 for role in "TYX") or len(order["C"]) > 1:
        sizes = ", ".join(f"{axis} {data.sizes[axis]}" for axis in axes)
        raise ValueError(f"axes {sizes}, which are not one of time, one of y and one of x")
    return found, single, assumed


def _may_be_time(name: str, variable: "xarray.Variable") -> bool:
    return name.lower() in TIME_NAMES or " since " in str(variable.attrs.get("units", ""))


def _times(
    store: Any, data: "xarray.Dataset", axis: str, name: str
) -> tuple[dict[str, np.ndarray], str | None]:
    """Returns what tells the times of an axis, and what is to be said of units that are none of dates."""
    of_one = data.sizes[axis] == 1  # whose time may have no axis
    along = {
        str(each): variable.set_dims((axis,)) if not variable.dims else variable
        for each, variable in data.variables.items()
        if variable.dims == (axis,) or (of_one and not variable.dims and _may_be_time(str(each), variable))
    }
    references = {
        each for each, variable in along.items() if _REFERENCE in (each, variable.attrs.get("standard_name"))
    }
    if references < {each for each, variable in along.items() if _may_be_time(each, variable)}:
        along = {each: variable for each, variable in along.items() if each not in references}
    dated = [each for each, variable in along.items() if " since " in str(variable.attrs.get("units", ""))]
    texts = [
        each
        for each, variable in along.items()
        if (each == axis or each.lower() in TIME_NAMES) and not np.issubdtype(variable.dtype, np.number)
    ]
    # The coordinate of the axis is its time by the CF conventions, if it is one.
    chosen = [axis] if axis in dated else [*dated, *texts]
    if not chosen:
        scalars = [each for each in along if not data.variables[each].dims]
        chosen = [axis] if axis in along else scalars[:1]
    axes, undated = {}, None
    for each in chosen:
        _check_beside(store, name, each)
        variable = along[each]
        axes[each] = _values(variable)
        if each in texts:
            continue
        axes[each], message = dates_of(axes[each], variable.attrs)
        undated = undated or message
    return axes, undated


def dates_of(numbers: np.ndarray, attributes: Mapping[str, Any]) -> tuple[np.ndarray, str | None]:
    """Returns the dates that numbers are by their units and calendar, and what is to be said if they are none."""
    import xarray

    alone = xarray.Dataset({"times": ("frame", numbers, dict(attributes))})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xarray.SerializationWarning)  # of dates beyond 2262
            return xarray.decode_cf(alone, decode_timedelta=False)["times"].values, None
    except (ValueError, OverflowError):
        units = attributes.get("units")
        return numbers, f"its times, {units}, are not read as dates; the numbers are taken as they stand"


def _places(
    store: Any, data: "xarray.Dataset", key: str, time: str, axes: Mapping[str, str], name: str
) -> "tuple[xarray.Dataset | None, str | None]":
    """Returns the coordinates of a variable along rows and columns, and its projection, and what is left out of them.

    There are none where the file says no places.
    """
    import xarray

    said = data[key].attrs
    mappings = set(re.findall(r"[^\s:]+", str(said.get("grid_mapping", ""))))
    beside = {*str(said.get("coordinates", "")).split(), *map(str, data[key].coords)}
    found: dict[str, Any] = {}
    left_out = []
    for each in map(str, data.variables):
        variable = data.variables[each]
        if each in mappings and not variable.dims:
            found[each] = ((), np.int32(0), variable.attrs)  # whose value means nothing, and may not be there
            continue
        along = [str(axis) for axis in variable.dims if axis != time]
        is_place = (
            each in axes or _role(data, each) in ("Y", "X") or (each in beside and time not in variable.dims)
        )
        if (
            each == key
            or not along
            or not {*along} <= {*axes}
            or not is_place
            or _may_be_time(each, variable)
        ):
            continue
        try:
            _check_beside(store, name, each)
            values = _values(variable)
        except ValueError:
            left_out.append(f"{each} (not all of it is stored)")
            continue
        if time in variable.dims:
            values = np.moveaxis(values, variable.dims.index(time), 0)
            if any(not np.array_equal(values[0], other, equal_nan=True) for other in values[1:]):
                left_out.append(f"{each} (it changes with time)")
                continue
            values = values[0]
        found[each] = ([axes[axis] for axis in along], values, variable.attrs)
    try:
        places = xarray.decode_cf(xarray.Dataset(coords=found), decode_times=False, decode_coords=False)
    except (ValueError, TypeError, OverflowError):  # attributes that are none of the conventions
        places = xarray.Dataset(coords=found)
    for place in places.coords.values():
        place.attrs.pop("bounds", None)  # which are not taken along
        place.encoding.clear()
    lost = f"of its places are left out: {', '.join(left_out)}" if left_out else None
    return (places if found else None), lost
