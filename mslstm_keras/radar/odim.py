"""Maps in the ODIM format (HDF5) of EUMETNET OPERA and of most services of Europe.

They are decoded here, not by pysteps (1.21), which is wrong where a file is not as OPERA's of its day: pixels without
echo become the offset, in Germany less than no rain, and in Switzerland missing; attributes must be bytes, the quantity
one of three; and it reads the quality of every pixel, which takes five times as long.
"""

import functools
import re
from collections import ChainMap
from typing import Any

import h5py
import numpy as np

from mslstm_keras.formats.checks import whole_data_set
from mslstm_keras.radar.grids import Grid, projected
from mslstm_keras.radar.maps import DEPTH, LICENCES, RATE, REFLECTIVITY, RadarMap, check_no_data, check_shape

_QUANTITIES = {
    "RATE": RATE,
    "ACRR": DEPTH,
    "DBZH": REFLECTIVITY,
    "DBZV": REFLECTIVITY,
    "DBZ": REFLECTIVITY,
    "TH": REFLECTIVITY,
    "TV": REFLECTIVITY,
}
# Originating centres, WMO common code table C-11.
_CENTRES = {
    "74": "Met Office",
    "78": "DWD",
    "80": "Italian Weather Service",
    "82": "SMHI",
    "85": "Meteo-France",
    "86": "FMI",
    "88": "MET Norway",
    "94": "DMI",
    "99": "KNMI",
    "215": "MeteoSwiss",
    "247": "EUMETNET OPERA",
}
_MAPS = ("COMP", "IMAGE", "CVOL")
"""Objects that lie on a grid on the ground."""
_NO_MAPS = ("SCAN", "VP", "RHI", "XSEC", "VSP", "HSP", "RAY", "AZIM")
"""Products that stand upright or run around a radar, whatever their object."""
_NOWCASTS = ("RV", "RS", "WN")  # of DWD, whose end of the data is the time that is forecast
SWISS = (640, 710)
"""(height, width) of the radar domain of MeteoSwiss."""


@functools.cache
def swiss_grid() -> Grid:
    """Returns the radar domain of MeteoSwiss, CCS4, which its older files do not state."""
    return Grid(
        "+proj=somerc +lat_0=46.9524055555556 +lon_0=7.43958333333333 +k_0=1 +x_0=600000 +y_0=200000 +ellps=bessel "
        "+towgs84=674.374,15.056,405.346,0,0,0,0 +units=m +no_defs",
        SWISS,
        255000.0,
        480000.0,
        1000.0,
        1000.0,
    )


def text(value: Any) -> str:
    """Returns an attribute of an HDF5 file as text, however it was written; "" of an empty one."""
    if isinstance(value, h5py.Empty):
        return ""
    value = np.ravel(value)[0]
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def number(value: Any) -> float:
    """Returns an attribute of an HDF5 file as a finite number.

    Raises:
        ValueError: if it is none.
    """
    found = float(np.ravel(value)[0])
    if not np.isfinite(found):
        raise ValueError(f"attributes must be finite, one is {found}")
    return found


def marked(raw: np.ndarray, code: Any) -> np.ndarray:
    """Returns which pixels have a code, an attribute of an HDF5 file, however it was written.

    Text is equal to no number, and 1e20 of 64 bits to none of 32.
    """
    found = float(np.ravel(code)[0])
    with np.errstate(over="ignore"):
        return raw == (raw.dtype.type(found) if raw.dtype.kind == "f" else found)


def is_odim(file: h5py.File) -> bool:
    """Whether an HDF5 file is ODIM's: by its word, or by its groups, as some leave the word out."""
    if text(file.attrs.get("Conventions", "")).startswith("ODIM"):
        return True
    group = file.get("dataset1")
    return isinstance(group, h5py.Group) and ("what" in group or "data1" in group)


def read_odim(
    file: h5py.File, *, pixels: bool, product: str | None = None
) -> tuple[RadarMap, np.ndarray | None]:
    """Reads a map; see `formats.Reader`.

    Where a file holds several quantities that one is read whose name has `product` in it, else the rain rate, else the
    depth, else reflectivity. The map says which others there are.

    Raises:
        ValueError: if a part is missing that has no default, too.

    Reference: Michelson et al., "EUMETNET OPERA weather radar information model for implementation with the HDF5
    file format", version 2.4 (2021).
    """
    kind = text(file["what"].attrs.get("object", "COMP")) if "what" in file else "COMP"
    if kind.upper() not in _MAPS:
        raise ValueError(f"must be a map, is an object {kind}")
    quantity, beside, data, groups = _rain(file, product)
    what = ChainMap(*(dict(group["what"].attrs) for group in groups if "what" in group))
    how = ChainMap(*(dict(group["how"].attrs) for group in groups if "how" in group))
    where = ChainMap(*(dict(group["where"].attrs) for group in groups if "where" in group))
    if (made := text(what.get("product", "COMP"))).upper() in _NO_MAPS or "rscale" in where:
        raise ValueError(f"must be a map, is the product {made}{' of a radar' if 'rscale' in where else ''}")
    stored = whole_data_set(file, data)
    shape = check_shape(stored.shape)
    stated = tuple(
        number(where.get(name, side)) for name, side in zip(("ysize", "xsize"), shape, strict=True)
    )
    if stated != shape:
        raise ValueError(f"must have {stated[0]:g} rows and {stated[1]:g} columns as it says, has {shape}")
    if stored.dtype.kind not in "fiu" or stored.dtype.itemsize > 8:
        raise ValueError(f"must hold real numbers, holds {stored.dtype}")
    service = _service(text(what.get("source", "")))
    nominal, start, end = (_time(what, prefix) for prefix in ("", "start", "end"))
    # A depth is of the time until its end; some services give the start of that as nominal.
    times = (end, nominal) if quantity == "ACRR" else (nominal, end, start)
    time = next((each for each in times if each is not None), None)
    if time is None:
        raise ValueError("must say of which time it is, has no `what/date` and `what/time`")
    name = text(what.get("prodname", "")) or f"{text(what.get('product', 'COMP'))} {quantity}"
    issued = None
    if service == "DWD" and name.startswith(_NOWCASTS) and nominal is not None and end is not None:
        time, issued = end, nominal
    found = RadarMap(
        service=service,
        product=name,
        quantity=_QUANTITIES[quantity],
        time=time,
        grid=_grid(where, shape, service),
        minutes=_minutes(start, end) if quantity == "ACRR" else None,
        z_r=(number(how["zr_a"]), number(how["zr_b"]))
        if _QUANTITIES[quantity] == REFLECTIVITY and "zr_a" in how and "zr_b" in how
        else None,
        issued=issued,
        licence=LICENCES.get(service, ""),
        code=quantity,
        beside=beside,
    )
    return found, _values(stored[()], what) if pixels else None


def _service(source: str) -> str:
    """Returns who made a map, by its `what/source`."""
    centre = re.search(r"ORG:0*(\d+)", source)
    service = _CENTRES.get(centre[1], "") if centre else ""
    return service or ("DWD" if re.search(r"WMO:10\d{3}", source) else source) or "unknown"


def _values(raw: np.ndarray, what: ChainMap[str, Any]) -> np.ndarray:
    gain, offset = (number(what.get(name, default)) for name, default in (("gain", 1.0), ("offset", 0.0)))
    if gain == 0:
        raise ValueError("`what/gain` must not be 0, which makes all pixels equal")
    with np.errstate(all="ignore"):
        values = raw * np.float64(gain) + offset if (gain, offset) != (1, 0) else raw.astype(np.float64)
    if "undetect" in what:
        # No rain at all; as reflectivity, that is minus infinity.
        dry = -np.inf if _QUANTITIES[text(what.get("quantity", "RATE"))] == REFLECTIVITY else 0.0
        values[marked(raw, what["undetect"])] = dry
    if "nodata" in what:
        values[marked(raw, what["nodata"])] = np.nan
    else:
        check_no_data(raw)
    return values


def _rain(file: h5py.File, product: str | None) -> tuple[str, tuple[str, ...], str, list[h5py.Group]]:
    """Returns a quantity of rain, the others that could be meant, and where it is.

    That is the name of its data set, and the groups that say what it is, the closest first.
    """
    found: dict[str, list[tuple[str, list[h5py.Group]]]] = {}
    swiss = "what" in file and _service(text(file["what"].attrs.get("source", ""))) == "MeteoSwiss"
    for dataset in _numbered(file, "dataset"):
        for data in _numbered(file[dataset], "data"):
            groups = [file[f"{dataset}/{data}"], file[dataset], file]
            quantities = [
                g["what"].attrs["quantity"] for g in groups if "what" in g and "quantity" in g["what"].attrs
            ]
            # The Swiss leave it out where it is the rain rate.
            name = text(quantities[0]) if quantities else "RATE" if swiss else "no named quantity"
            found.setdefault(name, []).append((f"{dataset}/{data}/data", groups))
    held = [quantity for quantity in _QUANTITIES if quantity in found]
    if not held:
        raise ValueError(f"must hold one of {', '.join(_QUANTITIES)}, holds {', '.join(found) or 'no data'}")
    wanted = (product or "").upper()
    asked = [quantity for quantity in held if wanted and (wanted in quantity or quantity in wanted.split())]
    quantity, *beside = asked or held
    if len(found[quantity]) > 1:
        raise ValueError(f"must hold one map of {quantity}, holds {len(found[quantity])}")
    return quantity, tuple(beside), *found[quantity][0]


def _numbered(group: h5py.Group, name: str) -> list[str]:
    names = [key for key in group if re.fullmatch(rf"{name}\d+", key) and isinstance(group[key], h5py.Group)]
    return sorted(names, key=lambda key: int(key.removeprefix(name)))


def _time(what: ChainMap[str, Any], prefix: str) -> np.datetime64 | None:
    if f"{prefix}date" not in what or f"{prefix}time" not in what:
        return None
    clock, pattern = text(what[f"{prefix}time"]), r"\d{12}(\d\d)?"
    if not isinstance(np.ravel(what[f"{prefix}time"])[0], str | bytes):
        # A number has lost the zeros before it. 10000 is one o'clock; 1000 may be ten, or ten minutes past midnight.
        clock, pattern = clock.zfill(6) if len(clock) >= 5 else clock, r"\d{14}"
    stamp = text(what[f"{prefix}date"]) + clock
    if not re.fullmatch(pattern, stamp):
        raise ValueError(f"times must be written YYYYMMDD and HHMMSS, one is {stamp!r}")
    stamp = stamp.ljust(14, "0")
    return np.datetime64(
        f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[8:10]}:{stamp[10:12]}:{stamp[12:]}", "s"
    )


def _minutes(start: np.datetime64 | None, end: np.datetime64 | None) -> float | None:
    return None if start is None or end is None else (end - start) / np.timedelta64(1, "m")


def _grid(where: ChainMap[str, Any], shape: tuple[int, int], service: str) -> Grid:
    if "projdef" not in where:
        if service == "MeteoSwiss" and shape == SWISS:
            return swiss_grid()
        return Grid.unplaced(shape)
    projection = text(where["projdef"])
    corners = {
        corner: projected(projection, number(where[f"{corner}_lon"]), number(where[f"{corner}_lat"]))
        for corner in ("LL", "UL", "UR", "LR")
        if f"{corner}_lon" in where and f"{corner}_lat" in where
    }
    if len(corners) < 2:
        return Grid.unplaced(shape)
    for low, high, axis in (("LL", "UR", 0), ("UL", "LR", 0), ("LL", "UR", 1), ("LR", "UL", 1)):
        if {low, high} <= corners.keys() and corners[low][axis] >= corners[high][axis]:
            raise ValueError(
                "must have its northern row and its western column first, "
                f"its corner {high} is not {('east', 'north')[axis]} of {low}"
            )
    x, y = zip(*corners.values(), strict=True)
    grid = Grid.between(projection, shape, west=min(x), south=min(y), east=max(x), north=max(y))
    # Corners are rounded to a fraction of a pixel, its size is not; some state it in kilometres.
    sides = {}
    for name, side in (("xscale", grid.dx), ("yscale", grid.dy)):
        stated = [number(where[name]) * unit for unit in (1, 1000)] if name in where else [side]
        close = [one for one in stated if abs(one - side) <= 0.02 * side]
        if not close:
            raise ValueError(f"`where/{name}` must agree with the corners, {side:g}, is {stated[0]:g}")
        sides[name] = close[0]
    return Grid(projection, shape, grid.left, grid.top, sides["xscale"], sides["yscale"])
