"""Clips read from the files that people have: arrays, animations, videos, HDF5 and folders of images.

A clip is an array (time, height, width, channels) of values in [0, 1].
"""

import os
from pathlib import Path

import numpy as np

from mslstm_keras.frames.arrays import ARRAYS, HDF5, read_array, read_hdf5, split_data_set
from mslstm_keras.frames.checks import ROUNDING, check_count, check_crop, check_frames, check_size, reading
from mslstm_keras.frames.fitting import Fitting
from mslstm_keras.frames.names import counting_order
from mslstm_keras.frames.netcdf import NETCDF, ZARR, is_zarr, read_netcdf
from mslstm_keras.frames.pictures import ANIMATIONS, IMAGES, read_pictures
from mslstm_keras.frames.sequence import Sequence
from mslstm_keras.frames.videos import VIDEOS
from mslstm_keras.integers import is_whole

CLIPS = ARRAYS + ANIMATIONS + VIDEOS + HDF5 + NETCDF + ZARR
LUMA = np.array([0.299, 0.587, 0.114], "float32")  # ITU-R BT.601: how bright red, green and blue look


def read_clip(
    path: str | os.PathLike[str],
    channels: int = 1,
    *,
    size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
    fill: float = 0.0,
) -> np.ndarray:
    """Reads a clip from an array file, an animation, a video, NetCDF, Zarr, HDF5 or a folder of images.

    - `.npy`, or `.npz` of one array: (time, height, width) or (time, height, width, channels); uint8 is
      divided by 255, floats are in [0, 1] already, booleans are 0 and 1.
    - `.h5`, `.hdf5`: the one data set of 3 or 4 axes, as an array above. Where there are several,
      `clip.h5:/group/name` says which. Values are unpacked by the attributes of the CF conventions
      (`scale_factor`, `add_offset`, `_Unsigned`); by `_FillValue`, `missing_value` and `valid_range` some are missing.
    - `.nc`, `.nc4`, `.cdf` (NetCDF), `.zarr` (a folder) and `.zip` of one: the one variable of time, y and x, in
      whatever order; unpacked as above. Frames are sorted by their times; a warning tells of a gap, of uneven
      intervals and of a time that comes twice. Needs `pip install 'mslstm_keras[netcdf]'`.
    - `.gif`, `.webp`, `.apng`, `.tif`, `.tiff`: every frame; what is transparent is black. Where frames last
      unevenly long, those that last longer stand several times, with a warning; the last may pause.
    - Videos (`.mp4`, `.avi`, `.mov`, `.mkv`, `.webm`, `.mpg` and others): every frame, turned as players turn it; grey
      is the luminance of the video, full range; what is transparent is black. Frames that last longer stand
      several times, too; a warning tells of uneven times, oblong pixels and interlacing. Needs
      `pip install 'mslstm_keras[video]'`.
    - A folder: its `.png`, `.jpg`, `.jpeg`, `.bmp`, `.tif` and `.tiff` images, of one size, 2 before 10.

    Colour becomes grey by its brightness, 0.299 red + 0.587 green + 0.114 blue; grey becomes colour by
    standing three times.

    Args:
        path: file or folder.
        channels: int. Channels to return: 1 (grey), 3 (red, green, blue), or what an array file has.
        size: (height, width) in pixels that every frame is resized to, by Pillow's `BILINEAR`: where a frame
            shrinks, all of its pixels count. Both sides scale on their own. Default: as in the file.
        crop: (top, bottom, left, right) in pixels of the file: rows `top` to `bottom - 1`, columns `left` to
            `right - 1`, cut out before frames are resized. Default: all.
        fill: float in [0, 1]. What takes the place of pixels that the file marks as missing, before frames are
            resized; a warning counts them. NaN keeps them as NaN.

    Returns:
        float32 (time, height, width, channels), values in [0, 1].

    Raises:
        ValueError: naming the file, if it is missing, of another kind, damaged, cut off, empty or of more
            than 2^30 values (of films and folders, after they are cut out and resized), holds other shapes, other
            types or values outside [0, 1], or its channels cannot become `channels`; if `size` is not two
            positive integers, `crop` does not lie within the frames, or `fill` is neither in [0, 1] nor NaN.
        ImportError: for a video where PyAV is not installed, NetCDF or Zarr where xarray is not.
    """
    if not is_whole(channels, 0):
        raise ValueError(f"`channels` must be a whole number. Received: channels={channels!r}")
    if size is not None:
        check_size(size)
    if crop is not None:
        check_crop(crop)
    if not (0 <= fill <= 1 or fill != fill):
        raise ValueError(f"`fill` must lie in [0, 1] or be NaN. Received: fill={fill}")
    path, data_set = split_data_set(Path(path))
    with reading(path):
        path.stat()
    suffix = path.suffix.lower()
    fitting = Fitting(path, size, crop, fill)
    if is_zarr(path) or suffix in NETCDF:
        clip = fitting(_to_clip(_in_unit_range(read_netcdf(path, data_set), path), channels, path))
    elif path.is_dir():
        clip = _read_folder(path, channels, fitting)
    elif suffix in ARRAYS:
        clip = fitting(_to_clip(read_array(path), channels, path))
    elif suffix in HDF5:
        clip = fitting(_to_clip(_in_unit_range(read_hdf5(path, data_set), path), channels, path))
    elif suffix in VIDEOS:
        clip = _to_clip(_read_video(path, channels, size, crop), channels, path)
    elif suffix in ANIMATIONS:
        clip = fitting(_stack([(path, picture) for picture in read_pictures(path)], channels))
    else:
        kinds = ", ".join(CLIPS)
        raise ValueError(f"`path` must be a folder of images or end in one of {kinds}. Received: {path}")
    fitting.report()
    return clip


def _in_unit_range(sequence: Sequence, path: Path) -> np.ndarray:
    """Returns the values of a sequence that lie in [0, 1].

    Raises:
        ValueError: with the range and the units, if others are there.
    """
    values = sequence.values
    low, high = (
        np.fmin.reduce(values, axis=None, initial=np.inf),
        np.fmax.reduce(values, axis=None, initial=-np.inf),
    )
    if values.size and (low < -ROUNDING or high > 1 + ROUNDING) and low <= high:
        units = f" {sequence.units}" if sequence.units else ""
        packed = ", unpacked by scale_factor and add_offset" if sequence.unpacked else ""
        raise ValueError(
            f"The frames of `{path}` must lie in [0, 1]. Received: values from {low} to {high}{units}{packed}"
        )
    return values


def _read_folder(path: Path, channels: int, fitting: Fitting) -> np.ndarray:
    """Reads the images of a folder, each of one frame."""
    with reading(path):
        files = [file for file in path.iterdir() if file.suffix.lower() in IMAGES and file.name[0] != "."]
    if not files:
        raise ValueError(f"`{path}` must hold images ({', '.join(IMAGES)}). Received: none")
    pictures: list[tuple[Path, np.ndarray]] = []
    whole: tuple[int, ...] = ()
    for file in sorted(files, key=counting_order):
        frames = read_pictures(file)
        if len(frames) > 1:
            raise ValueError(f"`{file}` must hold one frame, being one of a folder. Received: {len(frames)}")
        picture = _to_clip(frames[0], channels, file)
        whole = whole or picture.shape
        _check_same_size(file, picture.shape, whole)
        pictures.append((file, fitting(picture)))
        check_count(path, (len(pictures), *pictures[0][1].shape))
    return _stack(pictures, channels)


def _read_video(
    path: Path, channels: int, size: tuple[int, int] | None, crop: tuple[int, int, int, int] | None
) -> np.ndarray:
    """Reads every frame of a video, uint8 (time, height, width, 1 or 3)."""
    from mslstm_keras.frames.videos import frames_of

    frames = []
    for frame in frames_of(path, grey=channels == 1, size=size, crop=crop):
        frames.append(frame)
        check_count(path, (len(frames), *frame.shape))
    return np.stack(frames)


def _stack(pictures: list[tuple[Path, np.ndarray]], channels: int) -> np.ndarray:
    """Puts pictures, each with the file that it is from, into one clip."""
    frames = [_to_clip(picture, channels, path) for path, picture in pictures]
    for (path, _), frame in zip(pictures, frames, strict=True):
        _check_same_size(path, frame.shape, frames[0].shape)
    return np.stack(frames)


def _check_same_size(path: Path, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    if shape != first:
        raise ValueError(
            f"`{path}` must have frames of one size, (height, width). Received: {shape[:2]} after {first[:2]}"
        )


def _to_clip(pixels: np.ndarray, channels: int, path: Path) -> np.ndarray:
    """Returns pixels (..., channels) as float32 in [0, 1], NaN where missing, grey or colour as asked for."""
    if np.issubdtype(pixels.dtype, np.unsignedinteger):
        pixels = pixels / np.float32(np.iinfo(pixels.dtype).max)
    frames = check_frames(pixels, name=str(path), missing=True)
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
