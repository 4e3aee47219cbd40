"""Clips read from the files that people have: arrays, animations, videos, HDF5 and folders of images.

A clip is an array (time, height, width, channels) of values in [0, 1].
"""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from mslstm_keras.frames.arrays import ARRAYS, HDF5, read_array, read_hdf5, split_data_set
from mslstm_keras.frames.checks import check_count, check_frames, check_size, reading
from mslstm_keras.frames.colours import Colour, ColoursSeen, read_colour_scale, to_values
from mslstm_keras.frames.folders import frame_files
from mslstm_keras.frames.pictures import ANIMATIONS, PICTURES, read_pictures, unpacked_suffix
from mslstm_keras.frames.videos import VIDEOS

CLIPS = ARRAYS + ANIMATIONS + VIDEOS + HDF5
LUMA = np.array([0.299, 0.587, 0.114], "float32")  # ITU-R BT.601: how bright red, green and blue look


def read_clip(
    path: str | os.PathLike[str],
    channels: int = 1,
    *,
    size: tuple[int, int] | None = None,
    colour_scale: str | os.PathLike[str] | Mapping[Colour, float] | None = None,
) -> np.ndarray:
    """Reads a clip from an array file, an animation, a video, an HDF5 file or a folder of images.

    - `.npy`, or `.npz` of one array: (time, height, width) or (time, height, width, channels); uint8 is
      divided by 255, floats are in [0, 1] already.
    - `.h5`, `.hdf5`: the one data set of 3 or 4 axes, as an array above. Where there are several,
      `clip.h5:/group/name` says which.
    - Pictures, such as `.gif`, `.webp`, `.apng`, `.avif`, `.tif` and `.png`: every frame. Whatever Pillow opens is
      read, compressed by `.gz`, `.bz2` or `.xz` or not. A picture stands upright, as its EXIF says; what is transparent
      is black; previews, thumbnails and masks are no frames. The `SCALE` and `OFFSET` of a GeoTIFF are applied, and
      pixels that it marks as missing are 0, with a warning.
    - `.mp4`, `.avi`, `.mov`, `.mkv`, `.webm`: every frame; grey is the luminance of the video, full range.
      Needs `pip install 'mslstm_keras[video]'`.
    - A folder: images of one size, in the order of the numbers or times in their names: 2 before 10, 1.25 before
      1.5, -20 before 0, 31.01.2024 before 01.02.2024. A gap between numbers or times is a warning that names it.
      Nothing is passed over in silence: notes and tables are named in a warning, anything else that is no
      image is an error; hidden files and those of operating systems do not count.

    Colour becomes grey by its brightness, 0.299 red + 0.587 green + 0.114 blue; grey becomes colour by
    standing three times. Colours of a scale, as on radar maps, are no brightness: with `channels=1` they need
    `colour_scale`.

    Args:
        path: file or folder.
        channels: int. Channels to return: 1 (grey), 3 (red, green, blue), or what an array file has.
        size: (height, width) in pixels that every frame is resized to, by Pillow's `BILINEAR`: where a frame
            shrinks, all of its pixels count. Both sides scale on their own. Default: as in the file.
        colour_scale: which value each colour of a picture stands for: a CSV file of rows `#rrggbb,value` or
            `red,green,blue,value`, or a mapping from "#rrggbb" or (red, green, blue). Values lie in [0, 1]; that of
            a colour that means "not observed" is NaN.

    Returns:
        float32 (time, height, width, channels), values in [0, 1].

    Raises:
        ValueError: naming the file, if it is missing, of another kind, damaged, cut off, empty or of more
            than 2^30 values, holds other shapes, other types or values outside [0, 1], or its channels cannot
            become `channels`; if the names of images tell no order, name a frame twice or follow several
            conventions; if colours are those of a scale, or not in `colour_scale`; if `size` is not two positive
            integers.
        ImportError: for a video where PyAV is not installed.
    """
    if size is not None:
        check_size(size)
    path, data_set = split_data_set(Path(path))
    with reading(path):
        path.stat()
    suffix = unpacked_suffix(path)
    pictured = path.is_dir() or suffix in PICTURES
    table = None
    if colour_scale is not None:
        if channels != 1 or not pictured:
            raise ValueError(
                "`colour_scale` must come with pictures and `channels=1`, as it gives one value for each colour. "
                f"Received: channels={channels} for {path}"
            )
        table = read_colour_scale(colour_scale)
    if path.is_dir():
        clip = _stack(path, _in_values(path, _read_folder(path), channels, table), channels)
    elif suffix in PICTURES:
        pictures = ((path, picture) for picture in read_pictures(path))
        clip = _stack(path, _in_values(path, pictures, channels, table), channels)
    elif suffix in ARRAYS:
        clip = _to_clip(read_array(path), channels, path)
    elif suffix in HDF5:
        clip = _to_clip(read_hdf5(path, data_set), channels, path)
    elif suffix in VIDEOS:
        clip = _to_clip(_read_video(path, channels, size), channels, path)
    else:
        kinds = ", ".join(CLIPS)
        raise ValueError(f"`path` must be a folder of images or end in one of {kinds}. Received: {path}")
    return clip if size in (None, clip.shape[1:3]) else _resize(clip, size)


def _read_folder(path: Path) -> Iterator[tuple[Path, np.ndarray]]:
    """Reads the images of a folder, each of one frame, in the order of their names."""
    files = frame_files(path)
    if gaps := files.gaps():
        warnings.warn(f"`{path}`: {gaps}", stacklevel=5)
    for count, file in enumerate(files.paths, 1):
        frames = read_pictures(file)
        if len(frames) > 1:
            raise ValueError(f"`{file}` must hold one frame, being one of a folder. Received: {len(frames)}")
        check_count(path, (count, *frames[0].shape))
        yield file, frames[0]


def _in_values(
    path: Path, pictures: Iterable[tuple[Path, np.ndarray]], channels: int, table: dict[int, float] | None
) -> Iterator[tuple[Path, np.ndarray]]:
    """Yields pictures whose colours are values: by a table, by brightness, or as they are.

    Raises:
        ValueError: at the end, if they are the colours of a scale, and there is no table.
    """
    colours = ColoursSeen()
    for file, picture in pictures:
        if table is None:
            colours.add(picture)
            yield file, picture
        else:
            yield file, to_values(picture, table, file)
    if channels == 1 and colours.are_scale():
        raise ValueError(
            f"`{path}` must hold grey pictures, or colours of a camera, for `channels=1`. Received: few strong "
            "colours of several hues, those of a scale, whose brightness is no value; give the table of the scale as "
            "`colour_scale` (`--colour-scale`), or read `channels=3`"
        )


def _read_video(path: Path, channels: int, size: tuple[int, int] | None) -> np.ndarray:
    """Reads every frame of a video, uint8 (time, height, width, 1 or 3)."""
    from mslstm_keras.frames.videos import frames_of

    frames = []
    for frame in frames_of(path, grey=channels == 1, size=size):
        frames.append(frame)
        check_count(path, (len(frames), *frame.shape))
    return np.stack(frames)


def _stack(path: Path, pictures: Iterable[tuple[Path, np.ndarray]], channels: int) -> np.ndarray:
    """Puts the pictures of a file or folder, each with the file that it is from, into one clip."""
    pictures = _fill(path, list(pictures))
    frames = [_to_clip(picture, channels, file) for file, picture in pictures]
    for (file, _), frame in zip(pictures, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise ValueError(
                f"`{file}` must have frames of one size, (height, width). "
                f"Received: {frame.shape[:2]} after {frames[0].shape[:2]}"
            )
    return np.stack(frames)


def _fill(path: Path, pictures: list[tuple[Path, np.ndarray]]) -> list[tuple[Path, np.ndarray]]:
    """Makes missing pixels, which are NaN, 0, and says so once."""
    missing = [
        (file, np.count_nonzero(np.isnan(picture).any(-1)))
        for file, picture in pictures
        if np.issubdtype(picture.dtype, np.floating)
    ]
    missing = [(file, count) for file, count in missing if count]
    if missing:
        count = sum(count for _, count in missing)
        warnings.warn(
            f"`{path}`: {count} missing pixels (no data) are 0, the first in {missing[0][0].name}",
            stacklevel=4,
        )
        pictures = [
            (file, np.nan_to_num(picture, nan=0, posinf=np.inf, neginf=-np.inf)) for file, picture in pictures
        ]
    return pictures


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
