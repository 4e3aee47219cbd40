"""Frames of array files: NumPy's and HDF5."""

import contextlib
import math
import os
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from mslstm_keras.frames.checks import MOST_PER_BYTE, check_array, reading, whole_data_set

if TYPE_CHECKING:
    import h5py

ARRAYS = (".npy", ".npz")
HDF5 = (".h5", ".hdf5")

_NAMES_SHOWN = 10


def read_array(path: Path) -> np.ndarray:
    """Reads the one array of a file, (time, height, width, channels), uint8 or floats."""
    with contextlib.ExitStack() as stack:
        with reading(path):
            file: IO[bytes] = stack.enter_context(open(path, "rb"))
            stored = os.fstat(file.fileno()).st_size
        if path.suffix.lower() == ".npz":
            file, stored = _open_member(path, file, stored, stack)
        with reading(path):
            shape, dtype = _npy_header(file)
            claimed, left = math.prod(shape) * dtype.itemsize, stored - file.tell()
        check_array(path, shape, dtype)
        with reading(path):
            if claimed != left:
                raise ValueError(f"shape {shape} of {dtype} takes {claimed} bytes, there are {left}")
            file.seek(0)
            frames = np.lib.format.read_array(file, allow_pickle=False)
    return frames if frames.ndim == 4 else frames[..., np.newaxis]


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
    if clips.dtype != np.uint8 or clips.ndim not in (4, 5) or len(clips) < 2:
        raise ValueError(
            "`data` must hold at least two uint8 clips (number, time, height, width) or (number, time, height, "
            f"width, channels), values 0 .. 255. Received: {path} of shape {clips.shape}, dtype {clips.dtype}"
        )
    return clips if clips.ndim == 5 else clips[..., np.newaxis]


def _open_member(
    path: Path, file: IO[bytes], stored: int, stack: contextlib.ExitStack
) -> tuple[IO[bytes], int]:
    """Opens the one array in a `.npz` file of so many bytes; returns it with its size in bytes."""
    with reading(path):
        archive = stack.enter_context(zipfile.ZipFile(file))
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    if len(names) != 1:
        raise ValueError(f"`{path}` must hold one array. Received: {len(names)} ({_listing(names)})")
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


def read_hdf5(path: Path, name: str | None) -> np.ndarray:
    """Reads one data set of a file, (time, height, width, channels), uint8 or floats."""
    import h5py

    with contextlib.ExitStack() as stack:
        with reading(path):
            file = stack.enter_context(h5py.File(path, "r"))
        data_set = _find_data_set(path, file, name)
        with reading(path):
            shape, dtype = file[data_set].shape, file[data_set].dtype
        check_array(path, shape, dtype)
        with reading(path):
            frames = whole_data_set(file, data_set)[()]
    return frames if frames.ndim == 4 else frames[..., np.newaxis]


def _find_data_set(path: Path, file: "h5py.File", name: str | None) -> str:
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
        rule = f"one data set of 3 or 4 axes, or say which by {path.name}:/name"
    else:
        names = [key for key in axes if key == "/" + name.strip("/")]
        rule = f"the data set /{name.strip('/')}"
    if len(names) != 1:
        raise ValueError(f"`{path}` must hold {rule}. Received: {_listing(names or axes)}")
    return names[0]


def split_data_set(path: Path) -> tuple[Path, str | None]:
    """Splits `clip.h5:/name` into file and name; there is no name where there is no such colon."""
    parts = re.fullmatch(rf"(.+(?:{'|'.join(map(re.escape, HDF5))})):(.+)", str(path), re.I | re.S)
    return (Path(parts[1]), parts[2]) if parts and not path.exists() else (path, None)


def _listing(names: Iterable[str]) -> str:
    """Returns the first of the names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more if names else "none"
