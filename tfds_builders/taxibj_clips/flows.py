"""TaxiBJ's files: finding, checking and reading them."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from mslstm_keras.formats.checks import damage_of, whole_data_set

SLOTS_PER_DAY = 48
CELLS = 32
"""Side of the grid over Beijing."""

FILES = {
    "BJ13_M32x32_T30_InOut.h5": "24cec8a5310d4982ffcee43c7aa3ad70",
    "BJ14_M32x32_T30_InOut.h5": "bfe5144413e950207cad50999b3910ab",
    "BJ15_M32x32_T30_InOut.h5": "70fa80fcb4441f2df18d3dde246dc5fb",
    "BJ16_M32x32_T30_InOut.h5": "6592f29581f0ed5fc930d2c7f40f8e6f",
}
"""File -> MD5, in order of time."""

_FOLDERS = (".", "TaxiBJ", "taxibj")
_DATE_DIGITS = 10
_WHOLE_FILE = "A TaxiBJ file must be a whole HDF5 file with `date` and `data`."


class Flows(NamedTuple):
    """Flows of one file.

    Attributes:
        dates: int64 (count,), strictly growing, written YYYYMMDDSS with the half hour of the day SS in 1 .. 48.
        counts: float32 (count, 2, 32, 32), finite: taxis that enter (channel 0) and leave (channel 1) each cell
            within the half hour.
    """

    dates: np.ndarray
    counts: np.ndarray


def find_files(manual_dir: str | os.PathLike, *, check_md5: bool = True) -> list[Path]:
    """Finds TaxiBJ's files.

    Args:
        manual_dir: folder that holds them, in itself or in its subfolder `TaxiBJ/` or `taxibj/`.
        check_md5: bool. True: all four files must be there and have the known MD5. False: those that are there,
            at least one, are taken as they are.

    Returns:
        Paths in order of time.

    Raises:
        ValueError: if files are missing or one has another MD5.
    """
    places = [Path(manual_dir).expanduser() / folder for folder in _FOLDERS]
    found = {
        name: next((place / name for place in places if (place / name).is_file()), None) for name in FILES
    }
    missing = [name for name, path in found.items() if path is None]
    if missing and (check_md5 or len(missing) == len(FILES)):
        required = "all of" if check_md5 else "at least one of"
        raise ValueError(
            f"`manual_dir` must hold {required} {', '.join(FILES)}, in itself or in its subfolder TaxiBJ/ or "
            f"taxibj/. Received: manual_dir={str(manual_dir)!r} without {', '.join(missing)}"
        )
    if check_md5:
        for path in found.values():
            _check_md5(path)
    return [path for path in found.values() if path is not None]


def _check_md5(path):
    with path.open("rb") as file:
        received = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if received != FILES[path.name]:
        raise ValueError(
            f"{path.name} must have the MD5 {FILES[path.name]}. Other files are taken with `check_md5=False`: "
            "`mslstm data prepare taxibj_clips/inflow --variant mine --set check_md5=false --manual-dir FOLDER`. "
            f"Received: {path} with MD5 {received}"
        )


def read_files(paths: Sequence[str | os.PathLike]) -> list[Flows]:
    """Reads files that follow each other in time, each by `read_flows`.

    Raises:
        ValueError: if one of them cannot be read, or begins before the one in front of it has ended.
    """
    files = []
    for number, path in enumerate(paths):
        flows = read_flows(path)
        if files and len(files[-1].dates) and len(flows.dates) and flows.dates[0] <= files[-1].dates[-1]:
            raise ValueError(
                f"A TaxiBJ file must begin after the one in front of it has ended. Received: {path} from "
                f"{flows.dates[0]}, {paths[number - 1]} until {files[-1].dates[-1]}"
            )
        files.append(flows)
    return files


def read_flows(path: str | os.PathLike) -> Flows:
    """Reads one file: HDF5 with `date`, 10 bytes each, and `data` of any integer or float type.

    Args:
        path: file to read.

    Returns:
        Its flows, every frame in the order of the file; negative counts are kept.

    Raises:
        ValueError: if it is no whole HDF5 file, or holds something else than `check_flows` takes.
    """
    with damage_of(path, _WHOLE_FILE), h5py.File(path, "r") as file:
        dates, counts = whole_data_set(file, "date"), whole_data_set(file, "data")
        # Shapes and types come first: what else the file holds is not worth its memory.
        _check_arrays(dates, counts)
        return check_flows(dates[()], counts[()])


def _check_arrays(dates, counts):
    if dates.dtype != np.dtype(f"S{_DATE_DIGITS}") or len(dates.shape) != 1:
        raise ValueError(
            f"`date` must be byte strings of length {_DATE_DIGITS}, shape (count,). "
            f"Received: shape {dates.shape}, dtype {dates.dtype}"
        )
    expected = (len(dates), 2, CELLS, CELLS)
    if counts.dtype.kind not in "iuf" or counts.shape != expected:
        raise ValueError(
            f"`data` must be integers or floats of shape {expected}, one frame for each date. "
            f"Received: shape {counts.shape}, dtype {counts.dtype}"
        )


def check_flows(dates: np.ndarray, counts: np.ndarray) -> Flows:
    """Checks the content of a file.

    Args:
        dates: `S10` (count,), YYYYMMDDSS with SS in 01 .. 48, strictly growing.
        counts: integers or floats (count, 2, 32, 32), finite.

    Raises:
        ValueError: if one of them is something else.
    """
    _check_arrays(dates, counts)
    dates = _parse(dates)
    wrong = np.flatnonzero(np.diff(dates) <= 0)
    if len(wrong):
        first = wrong[0]
        raise ValueError(
            "`date` must grow from each to the next, none twice. "
            f"Received: {dates[first + 1]} at {first + 1} after {dates[first]}"
        )
    with np.errstate(over="ignore"):
        counts = counts.astype(np.float32)
    finite = np.isfinite(counts).all(axis=(1, 2, 3))
    if not finite.all():
        raise ValueError(
            "`data` must be finite numbers, also as float32. "
            f"Received: something else at date {dates[np.argmin(finite)]}"
        )
    return Flows(dates, counts)


def _parse(dates):
    """Int64 of byte strings YYYYMMDDSS that are days and slots of the calendar."""
    digits = np.ascontiguousarray(dates).view(np.uint8).reshape(len(dates), _DATE_DIGITS) - np.uint8(ord("0"))
    numbers = digits.astype(np.int64) @ 10 ** np.arange(_DATE_DIGITS)[::-1]
    months, days, slots = _calendar(numbers)
    possible = (digits <= 9).all(axis=1)
    possible &= (numbers // 10_000 % 100 >= 1) & (numbers // 10_000 % 100 <= 12)
    possible &= days.astype("datetime64[M]") == months
    possible &= (slots >= 1) & (slots <= SLOTS_PER_DAY)
    if not possible.all():
        raise ValueError(
            f"`date` must be written YYYYMMDDSS, with SS in 01 .. {SLOTS_PER_DAY}. "
            f"Received: {dates[np.argmin(possible)]!r} at {np.argmin(possible)}"
        )
    return numbers


def _calendar(dates):
    """Month (datetime64), day (datetime64) and slot (1 .. 48) of int64 dates."""
    year, month, day = dates // 1_000_000, dates // 10_000 % 100, dates // 100 % 100
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    return months, months.astype("datetime64[D]") + (day - 1), dates % 100


def slot_numbers(dates: np.ndarray) -> np.ndarray:
    """Returns the half hours from 1970 to each date, int64 (count,), of dates as in `Flows`."""
    _, days, slots = _calendar(dates)
    return days.astype(np.int64) * SLOTS_PER_DAY + slots - 1
