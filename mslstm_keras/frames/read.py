"""Clips read from the files that people have: arrays, animations, videos, HDF5 and folders of images.

A clip is an array (time, height, width, channels) of values in [0, 1].
"""

import os
from pathlib import Path

import numpy as np

from mslstm_keras.frames.arrays import ARRAYS, HDF5, read_array, read_hdf5, split_data_set
from mslstm_keras.frames.checks import check_count, check_frames, check_size, reading
from mslstm_keras.frames.names import counting_order
from mslstm_keras.frames.pictures import ANIMATIONS, IMAGES, read_pictures
from mslstm_keras.frames.videos import VIDEOS

CLIPS = ARRAYS + ANIMATIONS + VIDEOS + HDF5
LUMA = np.array([0.299, 0.587, 0.114], "float32")  # ITU-R BT.601: how bright red, green and blue look


def read_clip(
    path: str | os.PathLike[str], channels: int = 1, *, size: tuple[int, int] | None = None
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
    path, data_set = split_data_set(Path(path))
    with reading(path):
        path.stat()
    suffix = path.suffix.lower()
    if path.is_dir():
        clip = _read_folder(path, channels)
    elif suffix in ARRAYS:
        clip = _to_clip(read_array(path), channels, path)
    elif suffix in HDF5:
        clip = _to_clip(read_hdf5(path, data_set), channels, path)
    elif suffix in VIDEOS:
        clip = _to_clip(_read_video(path, channels, size), channels, path)
    elif suffix in ANIMATIONS:
        clip = _stack([(path, picture) for picture in read_pictures(path)], channels)
    else:
        kinds = ", ".join(CLIPS)
        raise ValueError(f"`path` must be a folder of images or end in one of {kinds}. Received: {path}")
    return clip if size in (None, clip.shape[1:3]) else _resize(clip, size)


def _read_folder(path: Path, channels: int) -> np.ndarray:
    """Reads the images of a folder, each of one frame."""
    with reading(path):
        files = [file for file in path.iterdir() if file.suffix.lower() in IMAGES and file.name[0] != "."]
    if not files:
        raise ValueError(f"`{path}` must hold images ({', '.join(IMAGES)}). Received: none")
    pictures = []
    for file in sorted(files, key=counting_order):
        frames = read_pictures(file)
        if len(frames) > 1:
            raise ValueError(f"`{file}` must hold one frame, being one of a folder. Received: {len(frames)}")
        pictures.append((file, frames[0]))
        check_count(path, (len(pictures), *frames[0].shape))
    return _stack(pictures, channels)


def _read_video(path: Path, channels: int, size: tuple[int, int] | None) -> np.ndarray:
    """Reads every frame of a video, uint8 (time, height, width, 1 or 3)."""
    from mslstm_keras.frames.videos import frames_of

    frames = []
    for frame in frames_of(path, grey=channels == 1, size=size):
        frames.append(frame)
        check_count(path, (len(frames), *frame.shape))
    return np.stack(frames)


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
