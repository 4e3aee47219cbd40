"""Clips: frames read from files, checked, and written to files.

A clip is an array (time, height, width, channels) of values in [0, 1].
"""

import contextlib
import io
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mslstm_keras.files import replacing, write_gif

ARRAYS = (".npy", ".npz")
ANIMATIONS = (".gif", ".webp", ".tif", ".tiff")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
LUMA = np.array([0.299, 0.587, 0.114], "float32")  # ITU-R BT.601: how bright red, green and blue look
GIF_SIDE = 256  # pixels: the least that shows what is in a clip of 64 x 64
STRIP_WIDTH = 1600  # pixels
STRIP_COLUMNS = 10
STRIP_GAP = 4  # pixels


def read_clip(path: str | os.PathLike, channels: int = 1) -> np.ndarray:
    """Reads a clip from an array file, an animation or a folder of images.

    - `.npy`, or `.npz` of one array: (time, height, width) or (time, height, width, channels); uint8 is
      divided by 255, floats are in [0, 1] already.
    - `.gif`, `.webp`, `.tif`, `.tiff`: every frame; what is transparent is black.
    - A folder: its `.png`, `.jpg`, `.jpeg`, `.bmp`, `.tif` and `.tiff` images, of one size, 2 before 10.

    Colour becomes grey by its brightness, 0.299 red + 0.587 green + 0.114 blue; grey becomes colour by
    standing three times.

    Args:
        path: file or folder.
        channels: int. Channels to return: 1 (grey), 3 (red, green, blue), or what an array file has.

    Returns:
        float32 (time, height, width, channels), values in [0, 1].

    Raises:
        ValueError: naming the file, if it is missing, of another kind, damaged, cut off or empty, holds
            other shapes, other types or values outside [0, 1], or its channels cannot become `channels`.
    """
    path = Path(path)
    with _reading(path):
        path.stat()
    suffix = path.suffix.lower()
    if path.is_dir():
        return _read_folder(path, channels)
    if suffix in ARRAYS:
        return _to_clip(_read_array(path), channels, path)
    if suffix in ANIMATIONS:
        return _stack([(path, picture) for picture in _read_pictures(path)], channels)
    kinds = ", ".join(ARRAYS + ANIMATIONS)
    raise ValueError(f"`path` must be a folder of images or end in one of {kinds}. Received: {path}")


def write_clip(
    path: str | os.PathLike, frames: np.ndarray, *, fps: float = 5, scale: int | None = None
) -> None:
    """Writes a clip: the numbers (`.npy`), an animation (`.gif`) or a film strip (`.png`).

    `.npy` holds the values as they are. Pictures show them clipped to [0, 1], every pixel enlarged to a
    square; a film strip runs in rows of ten frames.

    Args:
        path: file to write, ending in `.npy`, `.gif` or `.png`.
        frames: floats (time, height, width, channels); 1 or 3 channels for a picture.
        fps: float in (0, 50]. Frames per second of an animation.
        scale: int >= 1. Side of a pixel's square. Default: the shorter side of an animation gets at least 256
            pixels, a film strip at most 1600 in width.

    Raises:
        ValueError: for another suffix, rank, number of channels, `fps` or `scale`, or a picture of values
            that are not finite.
        OSError: if the file cannot be written; what was there before stays.
    """
    path, frames = Path(path), np.asarray(frames)
    if frames.ndim != 4 or not frames.size or not np.issubdtype(frames.dtype, np.floating):
        raise ValueError(
            "`frames` must be floats (time, height, width, channels), no axis empty. "
            f"Received: shape {frames.shape}, dtype {frames.dtype}"
        )
    suffix = path.suffix.lower()
    if suffix == ".npy":
        content = io.BytesIO()  # NumPy's own way to write a file does not tell a full disk from other faults
        np.save(content, frames.astype("float32", copy=False))
        with replacing(path) as temporary:
            temporary.write_bytes(content.getbuffer())
    elif suffix == ".gif":
        least = -(-GIF_SIDE // min(frames.shape[1:3]))
        write_gif(path, _enlarge(_to_bytes(frames), least if scale is None else scale), fps=fps)
    elif suffix == ".png":
        _write_strip(path, _to_bytes(frames), scale)
    else:
        raise ValueError(f"`path` must end in .npy, .gif or .png. Received: {path}")


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


def _read_folder(path: Path, channels: int) -> np.ndarray:
    """Reads the images of a folder, each of one frame."""
    with _reading(path):
        files = [file for file in path.iterdir() if file.suffix.lower() in IMAGES and file.name[0] != "."]
    if not files:
        raise ValueError(f"`{path}` must hold images ({', '.join(IMAGES)}). Received: none")
    pictures = []
    for file in sorted(files, key=_counting_order):
        frames = _read_pictures(file)
        if len(frames) > 1:
            raise ValueError(f"`{file}` must hold one frame, being one of a folder. Received: {len(frames)}")
        pictures.append((file, frames[0]))
    return _stack(pictures, channels)


def _counting_order(file: Path) -> tuple:
    """Sorts `frame10` after `frame2`."""
    parts = re.split(r"([0-9]+)", file.name.lower())
    return [int(part) if part.isdecimal() else part for part in parts], file.name


def _read_array(path: Path) -> np.ndarray:
    """Reads the one array of a file, (time, height, width, channels), uint8 or floats."""
    with _reading(path), open(path, "rb") as file:
        if path.suffix.lower() == ".npz":
            with np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
                names = archive.files
                frames = archive[names[0]] if len(names) == 1 else None
        else:
            names, frames = [path.name], np.lib.format.read_array(file, allow_pickle=False)
    if len(names) != 1:
        raise ValueError(f"`{path}` must hold one array. Received: {len(names)} ({', '.join(names)})")
    if frames.ndim not in (3, 4):
        raise ValueError(
            f"`{path}` must be (time, height, width) or (time, height, width, channels). "
            f"Received: shape {frames.shape}"
        )
    if frames.dtype != np.uint8 and not np.issubdtype(frames.dtype, np.floating):
        raise ValueError(f"`{path}` must hold uint8 or floats in [0, 1]. Received: dtype {frames.dtype}")
    return frames if frames.ndim == 4 else frames[..., np.newaxis]


def _read_pictures(path: Path) -> list[np.ndarray]:
    """Reads every frame of a picture, each (height, width, 1 or 3) of unsigned integers or floats."""
    from PIL import Image

    with _reading(path):
        if path.suffix.lower() == ".gif" and path.read_bytes().rstrip(b"\0")[-1:] != b";":
            raise ValueError("no end mark")  # Pillow does not miss frames that are cut off
        with Image.open(str(path)) as image:
            pictures = []
            for index in range(getattr(image, "n_frames", 1)):
                image.seek(index)
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


def _to_bytes(frames: np.ndarray) -> np.ndarray:
    """Returns floats as levels to draw: uint8 (time, height, width) or (time, height, width, 3)."""
    if frames.shape[-1] not in (1, 3):
        raise ValueError(f"`frames` must have 1 or 3 channels to be drawn. Received: shape {frames.shape}")
    if not np.isfinite(frames).all():
        raise ValueError("`frames` must be finite to be drawn. Received: NaN or infinite values")
    levels = np.rint(np.clip(frames, 0, 1) * 255).astype("uint8")
    return levels[..., 0] if frames.shape[-1] == 1 else levels


def _enlarge(images: np.ndarray, scale: int) -> np.ndarray:
    """Makes every pixel of (time, height, width, ...) a square of side `scale`."""
    if not isinstance(scale, int) or scale < 1:
        raise ValueError(f"`scale` must be a whole number of at least 1. Received: scale={scale!r}")
    return images.repeat(scale, axis=1).repeat(scale, axis=2)


def _write_strip(path: Path, images: np.ndarray, scale: int | None) -> None:
    """Draws uint8 images side by side on white, in rows of ten."""
    from PIL import Image

    columns = min(len(images), STRIP_COLUMNS)
    if scale is None:
        scale = max(1, STRIP_WIDTH // (columns * images.shape[2]))
    images = _enlarge(images, scale)
    height, width = (side + STRIP_GAP for side in images.shape[1:3])
    rows = -(-len(images) // columns)
    strip = np.full((rows * height - STRIP_GAP, columns * width - STRIP_GAP, *images.shape[3:]), 255, "uint8")
    for index, image in enumerate(images):
        top, left = index // columns * height, index % columns * width
        strip[top : top + image.shape[0], left : left + image.shape[1]] = image
    with replacing(path) as temporary:
        Image.fromarray(strip).save(temporary)
