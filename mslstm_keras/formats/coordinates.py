"""What the axes of a variable are, by the CF conventions and by their names, and its times and places."""

import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mslstm_keras.formats.checks import NotReadError
from mslstm_keras.formats.stores import AXIS_NAMES, TIME_NAMES, check_beside, values_of

if TYPE_CHECKING:
    import xarray

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
_ONE_TIME = ("frame", "frames", "timestamps", "nt")  # what the axis of time of one frame is called
_ROLES = {name: role for role, names in AXIS_NAMES.items() for name in names.split()}
_REFERENCE = "forecast_reference_time"  # which is no time of a frame where there is another
_NAMELESS = r"phony_dim_\d+|dim_\d+"


def with_axes(
    data: "xarray.Dataset", key: str, of_one: bool
) -> "tuple[xarray.Dataset, list[str], list[str], str | None]":
    """Returns the variables, of which one frame gets an axis of time, and its axes as `_axes` does."""
    variable = data[key]
    roles = {str(axis): _role(data, str(axis)) for axis in variable.dims}
    others = [role for axis, role in roles.items() if data.sizes[axis] > 1 or role in ("X", "Y")]
    known = {"X", "Y"} <= {*others} and {*others} <= {"X", "Y", "C"}
    if not of_one or not (variable.ndim == 2 or (known and "T" not in roles.values())):
        return data, *_axes(data, key)
    if {"X", "Y"} & {*others}:
        time = next(name for name in _ONE_TIME if name not in data.variables and name not in data.sizes)
    else:  # nothing says what the axes are
        time = "dim_99" if all(re.fullmatch(_NAMELESS, axis) for axis in roles) else "file"
    data = data.assign({key: variable.expand_dims({time: 1})})
    return data, *_axes(data, key)


def called(axis: str, plain: str) -> str:
    """Returns what an axis of places is called: as in the file, if it has a name for it."""
    return plain if re.fullmatch(_NAMELESS, axis) or axis == "channel" else axis


def _role(data: "xarray.Dataset", axis: str) -> str | None:
    """Returns what an axis is: T, Y, X, Z, C (channels), or None where nothing says so."""
    attributes = data.variables[axis].attrs if axis in data.variables else {}
    stated = stated_role(attributes)
    by_name = _ROLES.get(re.sub(r"[_\d]+$", "", axis.lower()))
    if axis.lower() in ("height", "width") and {"height", "width"} <= {
        str(each).lower() for each in data.sizes
    }:
        by_name = "Y" if axis.lower() == "height" else "X"
    return stated or by_name


def stated_role(attributes: Mapping[str, Any]) -> str | None:
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
        are = "axes {} are" if len(unknown) > 1 else "axis {} is"
        assumed = f"its {are.format(', '.join(unknown))} taken for {', '.join(lacking).lower()}"
    found = [axis for role in "TYXC" for axis in order[role]]
    if sorted(found) != sorted(left) or any(len(order[role]) != 1 for role in "TYX") or len(order["C"]) > 1:
        sizes = ", ".join(f"{axis} {data.sizes[axis]}" for axis in axes)
        further = [axis for axis in left if roles[axis] not in ("T", "Y", "X", "C")]
        how = ""
        if len(further) == 1 and all(len(order[role]) == 1 for role in "TYX"):
            how = (
                f"; save one of {further[0]} as a file of its own, by xarray's isel({further[0]}=0).to_netcdf"
            )
        raise NotReadError(f"axes {sizes}, which are not one of time, one of y and one of x{how}")
    return found, single, assumed


def _may_be_time(name: str, variable: "xarray.Variable") -> bool:
    return name.lower() in TIME_NAMES or " since " in str(variable.attrs.get("units", ""))


def times_along(
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
        check_beside(store, name, each)
        variable = along[each]
        axes[each] = values_of(variable)
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


def places_along(
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
            check_beside(store, name, each)
            values = values_of(variable)
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
