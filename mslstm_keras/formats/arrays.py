"""Frames of array files: NumPy's and HDF5."""

import contextlib
import math
import os
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

import numpy as np

from mslstm_keras.formats.checks import (
    MOST_PER_BYTE,
    are_channels_first,
    check_array,
    check_axes,
    check_frame,
    check_missing,
    how_to_choose,
    listing,
    reading,
    whole_data_set,
)
from mslstm_keras.formats.coordinates import dates_of
from mslstm_keras.formats.labels import Labels, texts_of, words_of
from mslstm_keras.formats.netcdf import NETCDF, read_netcdf
from mslstm_keras.formats.packing import MISSING, PACKED, are_values, stored_dtype, units_of, unpack
from mslstm_keras.formats.sequence import Sequence
from mslstm_keras.formats.stores import TIME_NAMES, ZARR, ZIP
from mslstm_keras.importing import needed
from mslstm_keras.timing.times import read_times, time_order

if TYPE_CHECKING:
    import h5py

ARRAYS = (".npy", ".npz")
HDF5 = (".h5", ".hdf5")


def read_array(path: Path, any_numbers: bool = False) -> np.ndarray:
    """Reads the one array of a file, (time, height, width, channels): uint8, bools and floats without NaN.

    Args:
        path: file.
        any_numbers: bool. Takes other integers, and NaN, too.
    """

    def check(shape, dtype):
        check_array(path, shape, dtype, any_numbers)
        if _is_moving_mnist(path, shape):
            raise ValueError(
                f"`{path}` must be one clip, np.load(...)[:, 0] of this file. Received: {shape[1]} clips, as "
                f"published (time, number, height, width), shape {shape}"
            )

    frames = _load(path, check)
    check_axes(path, frames.shape)
    if frames.dtype.kind == "f" and not any_numbers:
        check_missing(frames, path)
    return frames if frames.ndim == 4 else frames[..., np.newaxis]


def read_frame(path: Path, any_numbers: bool = False) -> np.ndarray:
    """Reads the one array of a file that is a frame by itself, (height, width, channels), see `read_array`."""
    frame = _load(path, lambda shape, dtype: check_frame(path, shape, dtype, any_numbers))
    if frame.dtype.kind == "f" and not any_numbers:
        check_missing(frame, path)
    return frame if frame.ndim == 3 else frame[..., np.newaxis]


def _load(path: Path, check: Callable[[tuple[int, ...], np.dtype], None]) -> np.ndarray:
    """Reads the one array of a `.npy` or `.npz` file, whose shape and dtype are checked before its values are read."""
    with contextlib.ExitStack() as stack:
        with reading(path):
            file: IO[bytes] = stack.enter_context(open(path, "rb"))
            stored = os.fstat(file.fileno()).st_size
        if path.suffix.lower() == ".npz":
            file, stored = _open_member(path, file, stored, stack)
        with reading(path):
            shape, dtype = _npy_header(file)
            claimed, left = math.prod(shape) * dtype.itemsize, stored - file.tell()
        check(shape, dtype)
        with reading(path):
            if claimed != left:
                raise ValueError(f"shape {shape} of {dtype} takes {claimed} bytes, there are {left}")
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)


def open_clips(path: str | os.PathLike[str]) -> np.ndarray:
    """Opens a `.npy` file of clips, which stays on the disk.

    Returns:
        uint8 (number, time, height, width, channels), read as it is looked at.

    Raises:
        ValueError: if the file cannot be read or holds something else.
    """
    try:
        clips = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise ValueError(f"`data` must be a readable .npy file. Received: {path} ({error})") from error
    if _is_moving_mnist(Path(path), clips.shape):
        warnings.warn(
            f"`{path}` is read as the published Moving MNIST, (time, number, ...): {clips.shape[1]} clips of "
            f"{clips.shape[0]} frames",
            stacklevel=2,
        )
        clips = clips.swapaxes(0, 1)
    elif clips.ndim == 5 and are_channels_first(clips.shape):
        raise ValueError(
            "`data` must have its channels behind (np.moveaxis(clips, 2, -1)), (number, time, height, width, "
            f"channels). Received: {path} of shape {clips.shape}"
        )
    elif clips.ndim == 4 and clips.shape[-1] in (1, 3, 4) and clips.shape[-2] > 2 * clips.shape[-1]:
        raise ValueError(
            "`data` must hold several clips, (number, time, height, width, channels); one clip, (time, height, width, "
            f"channels), is trained on in a folder. Received: {path} of shape {clips.shape}"
        )
    if clips.dtype != np.uint8 or clips.ndim not in (4, 5) or len(clips) < 2:
        raise ValueError(
            "`data` must hold at least two uint8 clips (number, time, height, width) or (number, time, height, "
            f"width, channels), values 0 .. 255. Received: {path} of shape {clips.shape}, dtype {clips.dtype}"
        )
    return clips if clips.ndim == 5 else clips[..., np.newaxis]


def _is_moving_mnist(path: Path, shape: tuple[int, ...]) -> bool:
    """Returns whether a file is `mnist_test_seq.npy`, or a copy, which is (20 frames, clips, 64, 64).

    The shape alone cannot tell: 20 clips of 12 frames have one like it.
    """
    return (
        path.name.lower().startswith("mnist_test_seq")
        and len(shape) in (4, 5)
        and (shape[0], *shape[2:4]) == (20, 64, 64)
    )


def _open_member(
    path: Path, file: IO[bytes], stored: int, stack: contextlib.ExitStack
) -> tuple[IO[bytes], int]:
    """Opens the one array in a `.npz` file of so many bytes; returns it with its size in bytes."""
    with reading(path):
        archive = stack.enter_context(zipfile.ZipFile(file))
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    if len(names) != 1:
        raise ValueError(
            f"`{path}` must hold one array. Received: {len(names)} ({listing(names)}); "
            'np.save("clip.npy", np.load(...)["NAME"]) makes a file of one'
        )
    with reading(path):
        member = archive.infolist()[0]
        packed = min(member.compress_size, stored)
        if member.file_size > MOST_PER_BYTE * packed:
            raise ValueError(f"{member.file_size} bytes of values claimed, which {packed} bytes cannot hold")
        return stack.enter_context(archive.open(member)), member.file_size


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Reads shape and dtype of the array in a `.npy` file; what follows is the values."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"version {version} of the format, which no array of numbers has")
    shape, _, dtype = readers[version](file)
    return shape, dtype


def read_hdf5(path: Path, name: str | None, any_numbers: bool = False, *, of_one: bool = False) -> Sequence:
    """Reads one data set of a file; its attributes say which values are packed or missing, see `unpack`.

    A file of NetCDF-4, which names the axes of a data set, is read as such. With `of_one`, a data set of two axes is
    one frame.
    """
    import h5py

    with contextlib.ExitStack() as stack:
        with reading(path):
            file = stack.enter_context(h5py.File(path, "r"))
        data_set = _find_data_set(path, file, name, of_one)
        with reading(path):
            shape, attributes = file[data_set].shape, dict(file[data_set].attrs)
            if of_one and (len(shape) == 2 or _are_colours(shape)):
                shape = (1, *shape)
            dtype = stored_dtype(file[data_set].dtype, attributes)
        if "DIMENSION_LIST" in attributes:
            return read_netcdf(path, data_set, any_numbers, of_one=of_one)
        if are_values(attributes) and np.issubdtype(dtype, np.integer):
            dtype = np.dtype("float32")  # that of the values
        check_array(path, shape, dtype, any_numbers)
        with reading(path):
            stored = whole_data_set(file, data_set)[()].reshape(shape)
            frames, valid_range = unpack(stored, attributes)
            axes = _times_beside(path, file, data_set, len(frames))
    if stored.dtype.kind == "f" and not any_numbers and not any(name in attributes for name in MISSING):
        check_missing(frames, path)
    check_axes(path, shape)
    times = read_times(path, axes, of_one=of_one)
    order = None if times is None or times.dtype.kind == "U" else time_order(path, times)
    if times is not None and order is not None:
        frames, times = frames[order], times[order]
    return Sequence(
        frames if frames.ndim == 4 else frames[..., np.newaxis],
        units_of(attributes),
        valid_range,
        levels=stored.dtype == np.uint8 and not are_values(attributes),
        unpacked=any(name in attributes for name in PACKED),
        labels=Labels(data_set.rpartition("/")[2], texts_of(attributes), times),
    )


def _are_colours(shape: tuple[int, ...]) -> bool:
    """Returns whether an array of three axes is one picture, (height, width, channels), by its shape."""
    return len(shape) == 3 and shape[2] in (1, 3, 4)


def _times_beside(path: Path, file: "h5py.File", data_set: str, count: int) -> dict[str, np.ndarray]:
    """Returns the times of so many frames that stand beside them, or in a group that they lie in.

    Numbers with units of the CF conventions are dates.
    """
    import h5py

    axes: dict[str, np.ndarray] = {}
    shapes = ((count,), ()) if count == 1 else ((count,),)
    for parent in PurePosixPath(data_set).parents:
        group = file[str(parent)]
        for name in group:
            if name.lower() not in TIME_NAMES or getattr(group.get(name), "shape", None) not in shapes:
                continue
            stored = whole_data_set(group, name)
            are_texts = h5py.check_string_dtype(stored.dtype) is not None
            axes[name] = np.atleast_1d((stored.asstr(errors="replace") if are_texts else stored)[()])
            said = words_of(stored.attrs, ("units", "calendar"))
            if " since " in said.get("units", ""):
                with needed("Times of HDF5 with units", "netcdf"):
                    import xarray  # noqa: F401
                axes[name], message = dates_of(axes[name], said)
                if message:
                    warnings.warn(f"`{path}`: {message}", stacklevel=5)
        if axes:
            break
    return axes


def _find_data_set(path: Path, file: "h5py.File", name: str | None, of_one: bool) -> str:
    """Returns the path within an HDF5 file of the data set that is named, or of the one that can be a clip."""
    import h5py

    axes = {}

    def collect(key, found):
        if isinstance(found, h5py.Dataset):
            axes["/" + key] = found.ndim

    with reading(path):
        file.visititems(collect)
    if name is None:
        names = [key for key, count in axes.items() if count in (3, 4)]
        names = names or [key for key, count in axes.items() if of_one and count == 2]
        rule = f"one data set of 3 or 4 axes, or {how_to_choose(path, of_one)}"
    else:
        names = [key for key in axes if key == "/" + name.strip("/")]
        rule = f"the data set /{name.strip('/')}"
    if len(names) != 1:
        raise ValueError(f"`{path}` must hold {rule}. Received: {listing(names or axes)}")
    return names[0]


def split_data_set(path: Path) -> tuple[Path, str | None]:
    """Splits `clip.h5:/name`, or `folder:/name`, into file and name; there is no name where there is no such colon."""
    suffixes = "|".join(map(re.escape, HDF5 + NETCDF + ZARR + ZIP))
    parts = re.fullmatch(r"(.+):(.+)", str(path), re.S)
    if parts is None or path.exists():
        return path, None
    is_file = re.fullmatch(rf".+(?:{suffixes})", parts[1], re.I | re.S)
    return (Path(parts[1]), parts[2]) if is_file or Path(parts[1]).is_dir() else (path, None)
