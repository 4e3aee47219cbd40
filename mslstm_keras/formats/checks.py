"""What is checked before a file, or an array, that people bring is believed."""

import contextlib
import errno
import math
import os
import stat
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mslstm_keras.integers import is_whole

MOST_PER_BYTE = 1032
"""No byte of a deflated file (npz; nearly all HDF5) stands for more, so a header that claims more lies."""

MOST_CHANNELS = 4
"""Of pictures: red, green, blue and opacity."""

MOST_VALUES = 2**30
"""Of a clip, before it is resized: 4 GiB as float32."""

ROUNDING = 1e-6
"""So far beyond 0 and 1 a value still counts as 0 or 1."""

_CLIP_AXES = "(time, height, width) or (time, height, width, channels)"

_NAMES_SHOWN = 10

_FLAT, _SMALLEST = 4, 8  # times as long as wide; pixels a side

_OF_MACHINE = frozenset(  # no fault of the file's
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE}
)

LITTLE = 2**26  # bytes that may be claimed anyway, as there are filters that pack one value closer still


class NotReadError(ValueError):
    """A file that is whole and of a kind, or a layout, that is not read; the text says what to do."""


@contextlib.contextmanager
def damage_of(name: object, rule: str, *, decoder_errors: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turns whatever a reader raises for a damaged file into one error that names the file.

    Args:
        name: path, or what the error calls the file.
        rule: str. The sentence that the file breaks.
        decoder_errors: errors of a decoder that mean damage though they are errors of memory too.

    Raises:
        ValueError: for every error but those of memory, of missing packages, and warnings that are errors.
        OSError: if the disk that temporary files are written to is full, or too many files are open.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_MACHINE:
            raise OSError(error.errno, error.strerror, error.filename or tempfile.gettempdir()) from error
        if isinstance(error, MemoryError | ImportError | Warning) and not isinstance(error, decoder_errors):
            raise
        plain = getattr(error, "strerror", None) or (str(error) if isinstance(error, ValueError) else "")
        raise ValueError(f"{rule} Received: {name}: {plain or f'{type(error).__name__}: {error}'}") from error


def whole_data_set(group: h5py.Group, name: str) -> h5py.Dataset:
    """Returns a data set of an HDF5 file that has all of its values in that file.

    HDF5 reads values that nobody wrote as 0, and those of other files from wherever these lie; a damaged header may
    claim more than memory holds.

    Args:
        group: file or group.
        name: of the data set.

    Raises:
        ValueError: if there is no such data set, not all of its values are stored, or they are packed by a filter that
            is not there. h5py raises other errors for a damaged file, see `damage_of`.
    """
    found = group.get(name)
    if not isinstance(found, h5py.Dataset):
        kind = "nothing" if found is None else type(found).__name__
        raise ValueError(f"`{name}` must be one of its data sets. Received: {kind}")
    path = group.file.filename
    if found.is_virtual or found.external or found.file.filename != path:
        raise ValueError(f"`{name}` must have its values in the file. Received: those of other files")
    stored, claimed = min(found.id.get_storage_size(), os.stat(path).st_size), math.prod(found.shape)
    if found.chunks:
        parts = math.prod(-(-side // part) for side, part in zip(found.shape, found.chunks, strict=True))
        claimed = parts * math.prod(found.chunks)
    claimed *= found.dtype.itemsize
    if claimed > (max(MOST_PER_BYTE * stored, LITTLE) if found.chunks else stored):
        raise ValueError(
            f"`{name}` must fit in the {stored} bytes that are stored of it. "
            f"Received: {claimed} bytes claimed, shape {found.shape}"
        )
    if found.chunks and found.id.get_num_chunks() < parts:
        raise ValueError(
            f"`{name}` must have been written to its end. "
            f"Received: {found.id.get_num_chunks()} of {parts} chunks"
        )
    lacking = _lacking_filter(found)
    if lacking:
        raise NotReadError(
            f"{name} packed by {lacking}, which HDF5 has not here; `pip install hdf5plugin` has it, and the variable "
            "HDF5_PLUGIN_PATH must be what hdf5plugin.PLUGIN_PATH says"
        )
    return found


def _lacking_filter(data_set: h5py.Dataset) -> str | None:
    """Returns the filter that the first chunk of a data set is packed by and that HDF5 has not, or None."""
    if not data_set.chunks or not data_set.id.get_num_chunks():
        return None
    passed_over = data_set.id.get_chunk_info(0).filter_mask  # bits of filters that were not used
    filters = data_set.id.get_create_plist()
    for index in range(filters.get_nfilters()):
        code, _, _, name = filters.get_filter(index)
        if not passed_over >> index & 1 and not h5py.h5z.filter_avail(code):
            return f"{name.decode(errors='replace') or 'a filter'} ({code})"
    return None


def check_size(size: tuple[int, int]) -> None:
    """Makes sure that `size` is (height, width) in pixels.

    Raises:
        ValueError: if it is not two positive integers.
    """
    if np.shape(size) != (2,) or not all(is_whole(side) for side in size):
        raise ValueError(f"`size` must be two positive integers, (height, width). Received: size={size}")


def check_crop(crop: tuple[int, int, int, int]) -> None:
    """Makes sure that `crop` is (top, bottom, left, right) in pixels, each end behind its start.

    Raises:
        ValueError: if it is anything else.
    """
    whole = np.shape(crop) == (4,) and all(is_whole(side, 0) for side in crop)
    if not whole or not (crop[0] < crop[1] and crop[2] < crop[3]):
        raise ValueError(
            "`crop` must be (top, bottom, left, right) in pixels, top before bottom and left before right. "
            f"Received: crop={crop}"
        )


def without_mask(frames: Any, *, name: str = "frames") -> Any:
    """Returns frames with 0 wherever a masked array of NumPy hides a value; a warning counts them.

    Args:
        frames: array, or lists of arrays or numbers.
        name: str. What the warning calls them.
    """
    if isinstance(frames, list | tuple):
        return [without_mask(frame, name=name) for frame in frames]
    if not np.ma.isMaskedArray(frames):
        return frames
    hidden = np.ma.count_masked(frames)
    if hidden:
        warnings.warn(
            f"`{name}` has a mask: {hidden} of {frames.size} values are masked and count as 0", stacklevel=3
        )
    return frames.filled(0)


def check_frames(frames: np.ndarray, *, name: str = "frames", missing: bool = False) -> np.ndarray:
    """Makes sure that frames of any shape hold what a model takes: floats in [0, 1].

    Values that are beyond 0 and 1 by rounding, 1e-6 at most, become 0 and 1. Booleans are 0 and 1.

    Args:
        frames: array or nested lists; what a masked array hides counts as 0, with a warning.
        name: str. What an error calls them.
        missing: bool. Whether NaN, a missing value, may stay.

    Returns:
        The frames as float32.

    Raises:
        ValueError: if there are none, or they are not floats, not finite or not in [0, 1].
    """
    try:
        frames = np.asarray(without_mask(frames, name=name))
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"`{name}` must be one array. Received: {error}") from error
    if frames.dtype == bool:
        frames = frames.astype("float32")
    if not np.issubdtype(frames.dtype, np.floating):
        hint = " (divide by 255)" if frames.dtype == np.uint8 else ""
        raise ValueError(
            f"`{name}` must hold floats in [0, 1]{hint}. Received: dtype {frames.dtype}{_scale_hint(frames.dtype)}"
        )
    if not frames.size:
        raise ValueError(f"`{name}` must not be empty. Received: shape {frames.shape}")
    # A NaN anywhere is the minimum and the maximum, but `fmin` and `fmax` pass over it.
    ends = (np.fmin, np.fmax) if missing else (np.minimum, np.maximum)
    low, high = (end.reduce(frames, axis=None) for end in ends)
    if missing and np.isnan(low):  # all of them
        return frames.astype("float32", copy=False)
    if not (np.isfinite(low) and np.isfinite(high)):
        wrong, kind = (np.isinf(frames), "infinite") if missing else (~np.isfinite(frames), "NaN or infinite")
        raise ValueError(
            f"`{name}` must be finite. Received: {np.count_nonzero(wrong)} {kind} of {frames.size} values"
        )
    if float(low) < -ROUNDING or float(high) > 1 + ROUNDING:
        raise ValueError(f"`{name}` must lie in [0, 1]. Received: values from {low} to {high}")
    frames = frames.astype("float32", copy=False)
    return np.clip(frames, 0, 1) if low < 0 or high > 1 else frames


def _scale_hint(dtype: np.dtype) -> str:
    """Returns what to do with whole numbers whose full scale nobody can know."""
    if dtype == np.uint8 or dtype.kind not in "iu":
        return ""
    such = ", such as 65535, or 4095 of 12 bits," if dtype == np.uint16 else ""
    return f" (divide by the largest value that can be{such} and save floats)"


def check_array(path: Path, shape: tuple[int, ...], dtype: np.dtype, any_numbers: bool = False) -> None:
    """Makes sure that an array of this shape and dtype can be a clip; `any_numbers` takes all integers, too."""
    if len(shape) not in (3, 4):
        found = {
            2: ": a frame, of which a folder is a clip, or sensors, (time, sensors), which lie on no grid",
            5: ": several clips; save one of them, clips[0]",
        }
        raise ValueError(f"`{path}` must be {_CLIP_AXES}. Received: shape {shape}{found.get(len(shape), '')}")
    _check_numbers(path, dtype, any_numbers)
    check_count(path, shape)


def check_frame(path: Path, shape: tuple[int, ...], dtype: np.dtype, any_numbers: bool = False) -> None:
    """Makes sure that an array of this shape and dtype can be a frame of a folder, see `check_array`."""
    if len(shape) not in (2, 3):
        raise ValueError(
            f"`{path}` must be (height, width) or (height, width, channels), being one frame of a folder. "
            f"Received: shape {shape}"
        )
    _check_numbers(path, dtype, any_numbers)
    check_count(path, shape)


def _check_numbers(path: Path, dtype: np.dtype, any_numbers: bool) -> None:
    """Makes sure that a dtype is of uint8, booleans or floats; of any integers where they may be."""
    known, whole = np.issubdtype(dtype, np.floating) or dtype in (np.uint8, bool), dtype.kind in "iu"
    if not known and not (
        any_numbers and whole
    ):  # timedelta64 is no whole number, though NumPy takes it for one
        scale = "; a `scale` (`--range LOW:HIGH`) takes them as they stand" if whole else ""
        raise ValueError(
            f"`{path}` must hold uint8 or floats in [0, 1]. Received: dtype {dtype}{_scale_hint(dtype)}{scale}"
        )


def are_channels_first(shape: tuple[int, ...]) -> bool:
    """Returns whether an array is (..., channels, height, width), as PyTorch has frames: no picture is as flat."""
    return shape[-3] <= MOST_CHANNELS < min(shape[-2:])


def check_axes(path: Path, shape: tuple[int, ...]) -> None:
    """Makes sure that an array without names of its axes looks as a clip does: frames are rarely flat.

    A warning tells of one that looks like (height, width, time).

    Raises:
        ValueError: if it looks like one picture in colour, like sensors, or has its channels first.
    """
    if len(shape) == 4 and are_channels_first(shape):
        raise ValueError(
            f"`{path}` must have its channels behind (np.moveaxis(frames, 1, -1)), (time, height, width, channels). "
            f"Received: shape {shape}"
        )
    first, second, third = shape[:3]
    flat = min(first, second) >= _SMALLEST and _FLAT * third <= min(first, second)
    if flat and len(shape) == 3 and third <= MOST_CHANNELS:
        raise ValueError(
            f"`{path}` must be {_CLIP_AXES}. Received: shape {shape}: one picture, (height, width, channels), or "
            "sensors, (time, sensors, numbers), which lie on no grid"
        )
    square_without_it = third < first == second
    if flat or (square_without_it and first >= _SMALLEST):
        warnings.warn(
            f"`{path}` is read as {first} frames of {second} x {third}; if it is (height, width, time), "
            "np.moveaxis(frames, 2, 0) puts it right",
            stacklevel=5,
        )


def check_missing(frames: np.ndarray, path: Path) -> None:
    """Makes sure that there is no NaN in a file that says nothing of missing values."""
    count = np.count_nonzero(np.isnan(frames))
    if count:
        raise ValueError(
            f"`{path}` must be finite. Received: {count} NaN or infinite of {frames.size} values"
        )


def renaming(path: Path) -> str | None:
    """Returns how to name a file whose content is NetCDF or HDF5 and whose name is of another kind; None of others.

    Files of WRF have no suffix. Those of MATLAB have their axes the other way round.
    """
    if path.suffix.lower() == ".mat":
        return None
    with path.open("rb") as file:
        classic = file.read(3) == b"CDF"
    return "NetCDF or HDF5, whose name must end in .nc or .h5" if classic or h5py.is_hdf5(path) else None


def listing(names: Iterable[str]) -> str:
    """Returns the first of the names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more if names else "none"


def how_to_choose(path: Path, of_one: bool) -> str:
    """Returns how to say which of several data sets, or variables, of a file is meant; with `of_one`, of its folder."""
    place = path.parent if of_one else path
    return f"say which by {place.name or place}:/name"  # the folder "." has no name


def check_count(path: Path, shape: tuple[int, ...]) -> None:
    """Makes sure, before memory is taken, that a clip is not too large."""
    if math.prod(shape) > MOST_VALUES:
        raise ValueError(f"`{path}` must hold at most {MOST_VALUES} values. Received: shape {shape}")


def check_kind(path: Path) -> None:
    """Makes sure that a path is a file or a folder: to open a pipe waits for whoever writes into it.

    Raises:
        ValueError: if it is anything else, or is not there.
    """
    with reading(path):
        kind = path.stat().st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise ValueError(f"`{path}` must be a file or a folder. Received: a pipe, a socket or a device")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns whatever a decoder raises into one error that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # how Pillow tells of a TIFF that is cut off
            yield
    except MemoryError:
        raise
    except NotReadError as error:
        raise ValueError(f"`{path}` must be a clip that can be read. Received: {error}") from error
    except Exception as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        reason = getattr(error, "strerror", None) or f"damaged, cut off or of another kind ({detail})"
        raise ValueError(f"`{path}` must be a clip that can be read. Received: {reason}") from error
