"""Maps in the HDF5 format of KNMI, of the Netherlands.

They are decoded here, not by pysteps (1.21), which takes 0.01 mm and 65535 as given, whatever the calibration of the
file says, and the kilometres of its projection for metres.
"""

import re
from typing import Any

import h5py
import numpy as np

from mslstm_keras.formats.checks import whole_data_set
from mslstm_keras.radar.grids import Grid
from mslstm_keras.radar.maps import DEPTH, LICENCES, RATE, REFLECTIVITY, RadarMap, check_no_data, check_shape
from mslstm_keras.radar.odim import marked, number, text

_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_CALIBRATION = re.compile(rf"GEO\s*=\s*{_NUMBER}\s*\*\s*PV\s*(?:\+?\s*{_NUMBER})?")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_UNITS = {"MM": DEPTH, "MM/H": RATE, "DBZ": REFLECTIVITY}
_DURATION = re.compile(r"(?<!\d)(\d+)_?(min|mi|h)(?![a-z])", re.IGNORECASE)


def is_knmi(file: h5py.File) -> bool:
    """Whether an HDF5 file is KNMI's."""
    return "image1" in file and "overview" in file


def read_knmi(file: h5py.File, *, pixels: bool) -> tuple[RadarMap, np.ndarray | None]:
    """Reads the one image of rain or reflectivity of a file; see `formats.Reader`.

    Reference: Roozekrans & Holleman, "KNMI HDF5 Data Format Specification, v3.5" (2003).
    """
    overview = file["overview"].attrs
    quantities = _quantities(file)
    rain = [name for name, (quantity, _) in quantities.items() if quantity]
    if len(rain) != 1:
        raise ValueError(
            "must hold one image of rain or reflectivity, holds "
            + (", ".join(f"{name} of {parameter}" for name, (_, parameter) in quantities.items()))
        )
    image, (quantity, parameter) = file[rain[0]].attrs, quantities[rain[0]]
    start, end = (_time(overview[f"product_datetime_{name}"]) for name in ("start", "end"))
    product = text(image.get("image_product_name", overview.get("product_group_name", parameter)))
    stored = whole_data_set(file, f"{rain[0]}/image_data")
    if stored.dtype.kind not in "ui":
        raise ValueError(f"must hold whole numbers, holds {stored.dtype}")
    found = RadarMap(
        service="KNMI",
        product=product,
        quantity=quantity,
        time=end,
        grid=_grid(file, check_shape(stored.shape)),
        minutes=_minutes(start, end, product) if quantity == DEPTH else None,
        licence=LICENCES["KNMI"],
    )
    return found, _values(stored[()], file[rain[0]], quantity) if pixels else None


def _quantities(file: h5py.File) -> dict[str, tuple[str, str]]:
    """Returns image -> its quantity, "" for others than those of rain, and what the file calls it."""
    found = {}
    for name in sorted(name for name in file if re.fullmatch(r"image\d+", name)):
        parameter = text(file[name].attrs["image_geo_parameter"])
        unit = re.search(r"\[(.+)\]", parameter)
        found[name] = (_UNITS.get(unit[1].upper(), "") if unit else "", parameter)
    return found


def _values(raw: np.ndarray, image: h5py.Group, quantity: str) -> np.ndarray:
    calibration = image["calibration"].attrs
    formula = text(calibration["calibration_formulas"]).strip()
    parts = _CALIBRATION.fullmatch(formula)
    if not parts:
        raise ValueError(f"calibration must be GEO=a*PV+b, is {formula}")
    gain, offset = float(parts[1]), float(parts[2] or 0)
    if not (np.isfinite(gain) and np.isfinite(offset) and gain > 0):
        raise ValueError(f"calibration must be finite and grow with PV, is {formula}")
    values = raw * gain + offset
    if quantity == REFLECTIVITY:
        values[raw == 0] = -np.inf  # no echo
    codes = [name for name in ("calibration_missing_data", "calibration_out_of_image") if name in calibration]
    for name in codes:
        values[marked(raw, calibration[name])] = np.nan
    if not codes:
        check_no_data(raw)
    return values


def _time(attribute: Any) -> np.datetime64:
    """Returns the time of `26-AUG-2010;00:05:00.000`; strptime would take the names of months from the locale."""
    stamp = text(attribute)
    try:
        day, month, year = stamp[:11].split("-")
        return np.datetime64(f"{year}-{1 + _MONTHS.index(month.upper()):02}-{day}T{stamp[12:20]}", "s")
    except ValueError as error:
        raise ValueError(f"times must be written 26-AUG-2010;00:05:00.000, one is {stamp!r}") from error


def _minutes(start: np.datetime64, end: np.datetime64, product: str) -> float | None:
    """Returns the time of summation; some products have it in their name alone."""
    if end != start:
        return (end - start) / np.timedelta64(1, "m")
    named = _DURATION.search(product)
    return None if named is None else float(named[1]) * (60 if named[2].lower() == "h" else 1)


def _grid(file: h5py.File, shape: tuple[int, int]) -> Grid:
    if "geographic" not in file:
        return Grid.unplaced(shape)
    geographic = file["geographic"].attrs
    projection = text(file["geographic/map_projection"].attrs["projection_proj4_params"])
    projection = re.sub(r"(?<![+\w])(?=[xy]_0=)", "+", projection)  # a plus is missing in many
    scale = 1.0
    if text(geographic.get("geo_dim_pixel", "KM,KM")).upper().startswith("KM"):
        scale = 1000.0
        # The earth is stated in the same kilometres.
        projection = re.sub(
            r"\+([ab])=([\d.]+)",
            lambda axis: f"+{axis[1]}={float(axis[2]) * (1000 if float(axis[2]) < 1e5 else 1):.10g}",
            projection,
        )
    stated = [
        number(geographic.get(f"geo_number_{sides}", side))
        for sides, side in zip(("rows", "columns"), shape, strict=True)
    ]
    if stated != [*shape]:
        raise ValueError(f"must have {stated[0]:g} rows and {stated[1]:g} columns as it says, has {shape}")
    dx, dy = (number(geographic[f"geo_pixel_size_{axis}"]) * scale for axis in "xy")
    left, top = (number(geographic[f"geo_{name}_offset"]) for name in ("column", "row"))
    if not dx > 0 > dy:
        raise ValueError(f"must have its northern row first, has pixels of {dx:g} x {dy:g} m")
    return Grid(projection, shape, left * dx, top * dy, dx, -dy)
