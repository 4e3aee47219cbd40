"""Readers of radar maps in HDF5: RYDL.hdf5 (all maps in one file), KNMI and ODIM (one map per file)."""

import collections
import logging
import math
import re
from pathlib import Path

import h5py
import numpy as np

from mslstm_keras.formats.checks import damage_of, whole_data_set
from tfds_builders.dwd_radar_clips.radar_maps import (
    STEP,
    WHOLE_FILE,
    Series,
    rain_rate,
    series_of_files,
    times_of,
)

_NUMBER = r"([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)"
_CALIBRATION = re.compile(rf"GEO\s*=\s*{_NUMBER}\s*\*\s*PV\s*(?:\+\s*)?{_NUMBER}?")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def _stored(file: h5py.File, name: str, size: tuple[int, int]) -> np.ndarray:
    """Reads a map; its claims are checked before memory is taken."""
    found = whole_data_set(file, name)
    if found.dtype.kind not in "fiu" or found.dtype.itemsize > 8:
        raise ValueError(f"must hold real numbers, holds {found.dtype}")
    if found.shape != size:
        raise ValueError(f"must have shape {size}, has {found.shape}")
    return found[()]


def open_rydl(path: Path, *, size: tuple[int, int]) -> Series:
    """The maps of `RYDL.hdf5`: data sets named `YYYYMMDDHHMM`, rain depth in mm per 5 min, of any real type.

    The names are listed once, into memory; maps are read one by one. Rows keep the order of the file, which
    does not say which side is north. Names that are no time stamps are left out, with a warning.

    Args:
        path: file.
        size: height and width of the maps in pixels.

    Raises:
        ValueError: if the file is damaged, holds no map, or if a map is not of this size or not of real
            numbers when it is read.

    Reference: Ayzel, Scheffer & Heistermann, "RainNet v1.0", GMD 13 (2020), doi:10.5281/zenodo.3629951.
    """
    with damage_of(path, WHOLE_FILE):
        file = h5py.File(path, "r")
        keys = sorted(file)
        names = [key for key in keys if re.fullmatch(r"\d{12}", key)]
        if not names:
            raise ValueError("no data set is named YYYYMMDDHHMM")
        times = times_of(names)
    if len(names) < len(keys):
        logging.getLogger(__name__).warning(
            "%s: left out %d names that are no time stamps", path, len(keys) - len(names)
        )

    def rate(index: int) -> tuple[np.ndarray, np.ndarray]:
        with damage_of(path / names[index], WHOLE_FILE):
            return rain_rate(_stored(file, names[index], size))

    state = path.stat()
    return Series(str(path), times, rate, f"{path.resolve()} {state.st_size} {state.st_mtime_ns}")


def _text(value: object) -> str:
    value = np.ravel(value)[0]
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


def _knmi_time(attribute: object) -> np.datetime64:
    """Time of `26-AUG-2010;00:05:00.000`; strptime would take the names of months from the locale."""
    text = _text(attribute)
    try:
        day, month, year = text[:11].split("-")
        return np.datetime64(f"{year}-{1 + _MONTHS.index(month.upper()):02}-{day}T{text[12:17]}", "m")
    except ValueError as error:
        raise ValueError(f"times must be written 26-AUG-2010;00:05:00.000, one is {text!r}") from error


def _check_interval(start: np.datetime64, end: np.datetime64) -> None:
    if end - start != np.timedelta64(STEP, "m"):
        raise ValueError(f"must sum {STEP} minutes of rain, sums {start} to {end}")


def _check_time(received: np.datetime64, time: np.datetime64) -> None:
    if received != time:
        raise ValueError(f"is of {received} by its attributes, of {time} by its name")


def _calibrated(raw: np.ndarray, gain: float, offset: float) -> np.ndarray:
    if not (math.isfinite(gain) and math.isfinite(offset)):
        raise ValueError(f"calibration must be finite, is {gain} * value + {offset}")
    with np.errstate(over="ignore", invalid="ignore"):
        return raw * np.float64(gain) + offset


def _knmi_depth(file: h5py.File, size: tuple[int, int], time: np.datetime64) -> np.ndarray:
    overview, calibration = file["overview"].attrs, file["image1/calibration"].attrs
    end = _knmi_time(overview["product_datetime_end"])
    _check_time(end, time)
    _check_interval(_knmi_time(overview["product_datetime_start"]), end)
    quantity = _text(file["image1"].attrs["image_geo_parameter"])
    if quantity != "ACCUMULATED_PRECIPITATION_[MM]":
        raise ValueError(f"must be accumulated precipitation in mm, is {quantity}")
    formula = _CALIBRATION.fullmatch(_text(calibration["calibration_formulas"]).strip())
    if not formula:
        raise ValueError(f"calibration must be GEO=a*PV+b, is {calibration['calibration_formulas']}")
    raw = _stored(file, "image1/image_data", size)
    codes = [np.ravel(calibration[f"calibration_{name}"])[0] for name in ("missing_data", "out_of_image")]
    depth = _calibrated(raw, float(formula[1]), float(formula[2] or 0))
    return np.where((raw == codes[0]) | (raw == codes[1]), np.nan, depth)


def _odim_depth(file: h5py.File, size: tuple[int, int], time: np.datetime64) -> np.ndarray:
    def stamp(what, name):
        return times_of([_text(what[f"{name}date"]) + _text(what[f"{name}time"])])[0]

    groups = [file[name].attrs for name in ("dataset1/data1/what", "dataset1/what", "what") if name in file]
    what = collections.ChainMap(*map(dict, groups))
    _check_time(stamp(what, ""), time)
    quantity = _text(what["quantity"])
    if quantity == "ACRR":
        _check_interval(stamp(what, "start"), stamp(what, "end"))
    elif quantity != "RATE":
        raise ValueError(f"quantity must be ACRR (mm) or RATE (mm/h), is {quantity}")
    raw = _stored(file, "dataset1/data1/data", size)
    gain, offset, nodata, undetect = (
        float(np.ravel(what[name])[0]) for name in ("gain", "offset", "nodata", "undetect")
    )
    depth = _calibrated(raw, gain, offset) / (60 / STEP if quantity == "RATE" else 1)
    return np.where(raw == nodata, np.nan, np.where(raw == undetect, 0, depth))


def read_hdf5_map(path: Path, *, size: tuple[int, int], time: np.datetime64) -> tuple[np.ndarray, np.ndarray]:
    """One map of 5 minutes of rain in the KNMI format (`image1`) or the ODIM format (`dataset1/data1`).

    Calibration, codes of missing data and times are those of the file's attributes; both formats have the
    northern row first.

    Args:
        path: file.
        size: height and width in pixels that the map must have.
        time: datetime64[m] that the attributes must have: KNMI's end of the product, ODIM's nominal time.

    Returns:
        (rate, observed): float32 (height, width) in mm/h, bool (height, width).

    Raises:
        ValueError: if the file is damaged, lacks an attribute, or is no such map.

    Reference: Roozekrans & Holleman, "KNMI HDF5 Data Format Specification, v3.5" (2003); Michelson et al.,
    "EUMETNET OPERA weather radar information model for implementation with the HDF5 file format".
    """
    with damage_of(path, WHOLE_FILE), h5py.File(path, "r") as file:
        depth = (_knmi_depth if "image1" in file else _odim_depth)(file, size, time)
        return rain_rate(depth)


def open_hdf5_maps(folder: Path, *, size: tuple[int, int]) -> Series:
    """The maps of a folder of KNMI or ODIM files whose names hold `YYYYMMDDHHMM` and end in h5, hdf or hdf5.

    Raises:
        ValueError: if there is no such file or two for one time, or if a file is damaged when it is read.
    """
    name = re.compile(r"(?<!\d)(\d{12})(?:\d\d)?(?!\d).*\.(?:h5|hdf5?)$")
    return series_of_files(folder, name, "{}", lambda path, time: read_hdf5_map(path, size=size, time=time))
