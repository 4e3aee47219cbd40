"""Clips read from the files that people have: arrays, animations, videos, HDF5 and folders of images.

A clip is an array (time, height, width, channels) of values in [0, 1].
"""

import contextlib
import math
import os
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from tfds_builders.source_files import MOST_PER_BYTE, whole_data_set

ARRAYS = (".npy", ".npz")
ANIMATIONS = (".gif", ".webp", ".tif", ".tiff")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
HDF5 = (".h5", ".hdf5")
CLIPS = ARRAYS + ANIMATIONS + VIDEOS + HDF5
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MOST_VALUES = 2**30
"""Of a clip, before it is resized: 4 GiB as float32."""
LUMA = np.array([0.299, 0.587, 0.114], "float32")  # ITU-R BT.601: how bright red, green and blue look

_NAMES_SHOWN = 10


def read_clip(
    path: str | os.PathLike, channels: int = 1, *, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Reads a clip from an array file, an animation, a video, an HDF5 file or a folder of images.

    - `.npy`, or `.npz` of one array: (time, height, width) or (time, height, width, channels); uint8 is
      divided by 255, floats are in [0, 1] already.
    - `.h5`, `.hdf5`: the one data set of 3 or 4 axes, as an array above. Where there are several,
      `clip.h5:/group/name` says which.
    - `.gif`, `.webp`, `.tif`, `.tiff`: every frame; what is transparent is black.
    - `.mp4`, `.avi`, `.mov`, `.mkv`, `.webm`: every frame; grey is the luminance of the video, full range.
      Needs `pip install 'mslstm_keras[video]'`.
    - A folder: its `.png`, `.jpg`, `.jpeg`, `.bmp`, `.tif` and `.tiff` images, of one size, 2 before 10.

    Colour becomes grey by its brightness, 0.299 red + 0.587 green + 0.114 blue; grey becomes colour by
    standing three times.

    Args:
        path: file or folder.
        channels: int. Channels to return: 1 (grey), 3 (red, green, blue), or what an array file has.
        size: (height, width) in pixels that every frame is resized to, by Pillow's `BILINEAR`: where a frame
            shrinks, all of its pixels count. Both sides scale on their own. Default: as in the file.

    Returns:
        float32 (time, height, width, channels), values in [0, 1].

    Raises:
        ValueError: naming the file, if it is missing, of another kind, damaged, cut off, empty or of more
            than 2^30 values, holds other shapes, other types or values outside [0, 1], or its channels cannot
            become `channels`; if `size` is not two positive integers.
        ImportError: for a video where PyAV is not installed.
    """
    if size is not None:
        check_size(size)
    path, data_set = _split_data_set(Path(path))
    with _reading(path):
        path.stat()
    suffix = path.suffix.lower()
    if path.is_dir():
        clip = _read_folder(path, channels)
    elif suffix in ARRAYS:
        clip = _to_clip(_read_array(path), channels, path)
    elif suffix in HDF5:
        clip = _to_clip(_read_hdf5(path, data_set), channels, path)
    elif suffix in VIDEOS:
        clip = _to_clip(_read_video(path, channels, size), channels, path)
    elif suffix in ANIMATIONS:
        clip = _stack([(path, picture) for picture in _read_pictures(path)], channels)
    else:
        kinds = ", ".join(CLIPS)
        raise ValueError(f"`path` must be a folder of images or end in one of {kinds}. Received: {path}")
    return clip if size in (None, clip.shape[1:3]) else _resize(clip, size)


def check_size(size: tuple[int, int]) -> None:
    """Makes sure that `size` is (height, width) in pixels.

    Raises:
        ValueError: if it is not two positive integers.
    """
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f"`size` must be two positive integers, (height, width). Received: size={size}")


def check_frames(frames: np.ndarray, *, name: str = "frames") -> np.ndarray:
    """Makes sure that frames of any shape hold what a model takes: floats in [0, 1].

    Args:
        frames: array or nested lists.
        name: str. What an error calls them.

    Returns:
        The frames as float32.

    Raises:
        ValueError: if there are none, or they are not floats, not finite or not in [0, 1].
    """
    try:
        frames = np.asarray(frames)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"`{name}` must be one array. Received: {error}") from error
    if not np.issubdtype(frames.dtype, np.floating):
        hint = " (divide by 255)" if frames.dtype == np.uint8 else ""
        raise ValueError(f"`{name}` must hold floats in [0, 1]{hint}. Received: dtype {frames.dtype}")
    if not frames.size:
        raise ValueError(f"`{name}` must not be empty. Received: shape {frames.shape}")
    low, high = frames.min(), frames.max()
    if not (np.isfinite(low) and np.isfinite(high)):  # a NaN anywhere is the minimum and the maximum
        count = np.count_nonzero(~np.isfinite(frames))
        raise ValueError(
            f"`{name}` must be finite. Received: {count} NaN or infinite of {frames.size} values"
        )
    if low < 0 or high > 1:
        raise ValueError(f"`{name}` must lie in [0, 1]. Received: values from {low} to {high}")
    return frames.astype("float32", copy=False)


def counting_order(path: Path) -> tuple[list[str | int], str]:
    """Key that sorts files by the numbers in their names: `frame10` after `frame2`."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [int(part) if part.isdecimal() else part for part in parts], path.name


def _read_folder(path: Path, channels: int) -> np.ndarray:
    """Reads the images of a folder, each of one frame."""
    with _reading(path):
        files = [file for file in path.iterdir() if file.suffix.lower() in IMAGES and file.name[0] != "."]
    if not files:
        raise ValueError(f"`{path}` must hold images ({', '.join(IMAGES)}). Received: none")
    pictures = []
    for file in sorted(files, key=counting_order):
        frames = _read_pictures(file)
        if len(frames) > 1:
            raise ValueError(f"`{file}` must hold one frame, being one of a folder. Received: {len(frames)}")
        pictures.append((file, frames[0]))
        _check_count(path, (len(pictures), *frames[0].shape))
    return _stack(pictures, channels)


def _read_array(path: Path) -> np.ndarray:
    """Reads the one array of a file, (time, height, width, channels), uint8 or floats."""
    with contextlib.ExitStack() as stack:
        with _reading(path):
            file = stack.enter_context(open(path, "rb"))
            stored = os.fstat(file.fileno()).st_size
        if path.suffix.lower() == ".npz":
            file, stored = _open_member(path, file, stored, stack)
        with _reading(path):
            shape, dtype = _npy_header(file)
            claimed, left = math.prod(shape) * dtype.itemsize, stored - file.tell()
        _check_array(path, shape, dtype)
        with _reading(path):
            if claimed != left:
                raise ValueError(f"shape {shape} of {dtype} takes {claimed} bytes, there are {left}")
            file.seek(0)
            frames = np.lib.format.read_array(file, allow_pickle=False)
    return frames if frames.ndim == 4 else frames[..., np.newaxis]


def _open_member(
    path: Path, file: IO[bytes], stored: int, stack: contextlib.ExitStack
) -> tuple[IO[bytes], int]:
    """Opens the one array in a `.npz` file of so many bytes; returns it with its size in bytes."""
    with _reading(path):
        archive = stack.enter_context(zipfile.ZipFile(file))
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    if len(names) != 1:
        raise ValueError(f"`{path}` must hold one array. Received: {len(names)} ({_listing(names)})")
    with _reading(path):
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


def _read_hdf5(path: Path, name: str | None) -> np.ndarray:
    """Reads one data set of a file, (time, height, width, channels), uint8 or floats."""
    import h5py

    with contextlib.ExitStack() as stack:
        with _reading(path):
            file = stack.enter_context(h5py.File(path, "r"))
        data_set = _find_data_set(path, file, name)
        with _reading(path):
            shape, dtype = file[data_set].shape, file[data_set].dtype
        _check_array(path, shape, dtype)
        with _reading(path):
            frames = whole_data_set(file, data_set)[()]
    return frames if frames.ndim == 4 else frames[..., np.newaxis]


def _find_data_set(path: Path, file, name: str | None) -> str:
    """Returns the path within an HDF5 file of the data set that is named, or of the one that can be a clip."""
    import h5py

    axes = {}

    def collect(key, found):
        if isinstance(found, h5py.Dataset):
            axes["/" + key] = found.ndim

    with _reading(path):
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


def _split_data_set(path: Path) -> tuple[Path, str | None]:
    """Splits `clip.h5:/name` into file and name; there is no name where there is no such colon."""
    parts = re.fullmatch(rf"(.+(?:{'|'.join(map(re.escape, HDF5))})):(.+)", str(path), re.I | re.S)
    return (Path(parts[1]), parts[2]) if parts and not path.exists() else (path, None)


def _read_video(path: Path, channels: int, size: tuple[int, int] | None) -> np.ndarray:
    """Reads every frame of a video, uint8 (time, height, width, 1 or 3)."""
    from tfds_builders.video import frames_of

    frames = []
    for frame in frames_of(path, grey=channels == 1, size=size):
        frames.append(frame)
        _check_count(path, (len(frames), *frame.shape))
    return np.stack(frames)


def _listing(names: Iterable[str]) -> str:
    """Returns the first of the names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more if names else "none"


def _check_array(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Makes sure that an array of this shape and dtype can be a clip."""
    if len(shape) not in (3, 4):
        raise ValueError(
            f"`{path}` must be (time, height, width) or (time, height, width, channels). "
            f"Received: shape {shape}"
        )
    if dtype != np.uint8 and not np.issubdtype(dtype, np.floating):
        raise ValueError(f"`{path}` must hold uint8 or floats in [0, 1]. Received: dtype {dtype}")
    _check_count(path, shape)


def _check_count(path: Path, shape: tuple[int, ...]) -> None:
    """Makes sure, before memory is taken, that a clip is not too large."""
    if math.prod(shape) > MOST_VALUES:
        raise ValueError(f"`{path}` must hold at most {MOST_VALUES} values. Received: shape {shape}")


def _read_pictures(path: Path) -> list[np.ndarray]:
    """Reads every frame of a picture, each (height, width, 1 or 3) of unsigned integers or floats."""
    from PIL import Image

    pictures = []
    with contextlib.ExitStack() as stack:
        with _reading(path):
            if path.suffix.lower() == ".gif" and path.read_bytes().rstrip(b"\0")[-1:] != b";":
                raise ValueError("no end mark")  # Pillow does not miss frames that are cut off
            image = stack.enter_context(Image.open(str(path)))
            count = getattr(image, "n_frames", 1)
        for index in range(count):
            with _reading(path):
                image.seek(index)
            _check_count(path, (count, image.height, image.width))
            with _reading(path):
                pictures.append(_pixels(image))
    return pictures


def _pixels(image) -> np.ndarray:
    """Returns the pixels of a Pillow image, (height, width, 1 or 3); transparent ones are black."""
    from PIL import Image

    if image.mode in ("1", "L", "F") or image.mode.startswith("I;16"):
        pixels = np.asarray(image)[..., np.newaxis]
        return pixels.astype("uint8") * 255 if image.mode == "1" else pixels
    if image.mode == "I":
        raise ValueError("32-bit integers, whose full scale is unknown")
    black = Image.new("RGBA", image.size, "black")
    return np.asarray(Image.alpha_composite(black, image.convert("RGBA")))[..., :3]


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns whatever a decoder raises into one error that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # how Pillow tells of a TIFF that is cut off
            yield
    except MemoryError:
        raise
    except Exception as error:
        detail = str(error) or type(error).__name__
        reason = getattr(error, "strerror", None) or f"damaged, cut off or of another kind ({detail})"
        raise ValueError(f"`{path}` must be a clip that can be read. Received: {reason}") from error


def _stack(pictures: list[tuple[Path, np.ndarray]], channels: int) -> np.ndarray:
    """Puts pictures, each with the file that it is from, into one clip."""
    frames = [_to_clip(picture, channels, path) for path, picture in pictures]
    for (path, _), frame in zip(pictures, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise ValueError(
                f"`{path}` must have frames of one size, (height, width). "
                f"Received: {frame.shape[:2]} after {frames[0].shape[:2]}"
            )
    return np.stack(frames)


def _to_clip(pixels: np.ndarray, channels: int, path: Path) -> np.ndarray:
    """Returns pixels (..., channels) as float32 in [0, 1], grey or colour as asked for."""
    if np.issubdtype(pixels.dtype, np.unsignedinteger):
        pixels = pixels / np.float32(np.iinfo(pixels.dtype).max)
    frames = check_frames(pixels, name=str(path))
    if frames.shape[-1] == channels:
        return frames
    if (frames.shape[-1], channels) == (3, 1):
        return (frames @ LUMA)[..., np.newaxis]
    if (frames.shape[-1], channels) == (1, 3):
        return np.repeat(frames, 3, axis=-1)
    raise ValueError(
        "`channels` must be 1, 3 or what the file has, and only 1 and 3 become each other. "
        f"Received: channels={channels} for {frames.shape[-1]} in {path}"
    )


def _resize(clip: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes every frame, each channel by itself."""
    from PIL import Image

    resized = np.empty((len(clip), *size, clip.shape[-1]), "float32")
    for index, channel in np.ndindex(len(clip), clip.shape[-1]):
        image = Image.fromarray(clip[index, ..., channel])
        resized[index, ..., channel] = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return resized
