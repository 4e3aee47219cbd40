"""Folders of NetCDF or HDF5 files, each of one time or of several: the frames of one clip."""

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mslstm_keras.formats.arrays import HDF5, read_hdf5
from mslstm_keras.formats.checks import check_count
from mslstm_keras.formats.folders import is_companion, is_system_file, listed_files
from mslstm_keras.formats.netcdf import NETCDF, read_netcdf
from mslstm_keras.formats.pictures import bare_name, unpacked_suffix
from mslstm_keras.formats.sequence import Sequence
from mslstm_keras.timing.names import order_frames
from mslstm_keras.timing.times import read_times, time_order

if TYPE_CHECKING:
    import xarray

_ROUNDING = 1e-2  # of a pixel: places that are the same may differ by so much
Read = Callable[..., Sequence]


def is_series(folder: Path) -> bool:
    """Returns whether the files of a folder are NetCDF alone, or HDF5 alone, by their suffixes."""
    return folder.is_dir() and _reader(folder) is not None


def _reader(folder: Path) -> Read | None:
    files = (path for path in folder.iterdir() if not is_system_file(path) and not is_companion(path))
    suffixes = {unpacked_suffix(path) for path in files if not path.is_dir()}
    if not suffixes:
        return None
    return read_netcdf if suffixes <= {*NETCDF} else read_hdf5 if suffixes <= {*HDF5} else None


def read_series(folder: Path, name: str | None, any_numbers: bool = False) -> Sequence:
    """Reads one variable of every file, in the order of their times; of their names, where they say no times.

    Args:
        folder: folder of which `is_series` says so.
        name: path of the variable in the files; None where there is only one that can be a clip or a frame.
        any_numbers: bool. Takes whole numbers without units, too.

    Raises:
        ValueError: if a file is damaged or has another content, or files differ in the size of frames, in units, valid
            range or places, or some say times and others do not.
        ImportError: if what reads the files is not installed.
    """
    read = _reader(folder)
    if read is None:
        raise ValueError(f"`{folder}` must hold NetCDF files alone, or HDF5 files alone. Received: others")
    files = listed_files(folder)
    try:
        by_names = order_frames(files, [bare_name(path) for path in files])
        files, unclear = list(by_names.paths), None
    except ValueError as error:  # which matters only if the files say no times
        by_names, unclear = None, error
    parts: list[Sequence] = []
    for file, part in _read_each(folder, files, read, name, any_numbers):
        parts.append(part)
        _check_alike(files[0], parts[0], file, part)
        check_count(folder, (sum(len(each.values) for each in parts), *part.values.shape[1:]))
    values, times = np.concatenate([part.values for part in parts]), _times(folder, files, parts)
    if times is not None:
        order = time_order(folder, times)
        if order is not None:
            values, times = values[order], times[order]
    elif by_names is None:
        raise ValueError(f"`{folder}` must hold files that say their times, or names that do: {unclear}")
    elif gaps := by_names.gaps():
        warnings.warn(f"`{folder}`: {gaps}", stacklevel=4)
    labels = parts[0].labels
    return dataclasses.replace(
        parts[0],
        values=values,
        unpacked=any(part.unpacked for part in parts),
        labels=None if labels is None else dataclasses.replace(labels, times=times),
    )


def _read_each(
    folder: Path, files: list[Path], read: Read, name: str | None, any_numbers: bool
) -> Iterator[tuple[Path, Sequence]]:
    """Reads files one by one; at the end, what several of them gave as a warning is given once."""
    told: dict[str, list[Path]] = {}
    for file in files:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            part = read(file, name, any_numbers, of_one=True)
        for warning in caught:
            told.setdefault(str(warning.message).replace(f"`{file}`", f"`{folder}`"), []).append(file)
        yield file, part
    for message, of in told.items():
        warnings.warn(
            message + (f" ({of[0].name})" if len(of) == 1 else f" ({len(of)} files, such as {of[0].name})"),
            stacklevel=5,
        )


def _check_alike(first: Path, one: Sequence, second: Path, other: Sequence) -> None:
    """Makes sure that two files have frames of one kind, at one place.

    Raises:
        ValueError: if they do not.
    """
    kinds: dict[str, Callable[[Sequence], object]] = {
        "variable": lambda each: each.labels and each.labels.name,
        "size, (height, width, channels)": lambda each: each.values.shape[1:],
        "units": lambda each: each.units,
        "valid range": lambda each: each.valid_range,
        "kind of numbers": lambda each: "levels" if each.levels else "values",
    }
    for what, of in kinds.items():
        if of(one) != of(other):
            raise ValueError(
                f"`{second}` must have frames of one {what}, with the others. "
                f"Received: {of(other)} after {of(one)} in {first.name}"
            )
    if one.labels and other.labels and not _same_places(one.labels.places, other.labels.places):
        raise ValueError(
            f"`{second}` must have the places of the others. Received: others than those of {first.name}"
        )


def _same_places(one: "xarray.Dataset | None", other: "xarray.Dataset | None") -> bool:
    if one is None or other is None:
        return one is other
    return {*one.variables} == {*other.variables} and all(
        place.dims == other[name].dims
        and _close(place.values, other[name].values)
        and (place.dims or _same_facts(place.attrs, other[name].attrs))
        for name, place in one.variables.items()
    )


def _same_facts(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    """Returns whether two projections are one, which stands in their attributes."""
    return {*one} == {*other} and all(np.array_equal(fact, other[name]) for name, fact in one.items())


def _close(one: np.ndarray, other: np.ndarray) -> bool:
    if not all(np.issubdtype(each.dtype, np.number) for each in (one, other)):
        return np.array_equal(one, other)
    seen = one[~np.isnan(one)]
    spacing = np.ptp(seen) / max((1, *one.shape)) if seen.size else 0
    return np.allclose(one, other, rtol=0, atol=_ROUNDING * spacing, equal_nan=True)


def _times(folder: Path, files: list[Path], parts: list[Sequence]) -> np.ndarray | None:
    """Returns the times that files say of their frames; None where none says any, or all the same.

    Raises:
        ValueError: if some files say times, and others do not.
    """
    said = [None if part.labels is None else part.labels.times for part in parts]
    found = [times for times in said if times is not None]
    if not found:
        return None
    if len(found) < len(files):
        lacking = next(file for file, times in zip(files, said, strict=True) if times is None)
        raise ValueError(f"`{lacking}` must say its time, as others do. Received: none")
    texts = [times.dtype.kind == "U" for times in found]
    if all(texts):
        times = read_times(folder, {"time": np.concatenate(found)})
        if times is None:
            return None
        found = [times]
    kinds = [_kind(times) for times in found]
    if len({*kinds}) > 1:
        file, kind = next((file, kind) for file, kind in zip(files, kinds, strict=True) if kind != kinds[0])
        raise ValueError(
            f"`{file}` must say its time as the others do. Received: {kind} after {kinds[0]} in {files[0].name}"
        )
    times = np.concatenate(found)
    # Numbers may count the frames of each file by itself.
    if times.dtype.kind in "iuf" and len(np.unique(times)) < len(times):
        return None
    if len(np.unique(times)) == 1 < len(files):
        warnings.warn(
            f"`{folder}`: all files say the same time, {times[0]}, so frames are in the order of the names",
            stacklevel=5,
        )
        return None
    return times


def _kind(times: np.ndarray) -> str:
    """Returns what times are, in words."""
    if times.dtype.kind == "O":
        return f"dates of the calendar {times[0].calendar}"
    return {"M": "dates", "U": "texts"}.get(times.dtype.kind, "numbers")
