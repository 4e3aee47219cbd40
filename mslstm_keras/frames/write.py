"""Clips written to files: numbers, animations and film strips.

A clip is an array (time, height, width, channels) of values in [0, 1].
"""

import io
import itertools
import os
from pathlib import Path

import numpy as np

from mslstm_keras.files import replacing
from mslstm_keras.formats.checks import without_mask
from mslstm_keras.frames.maps import SUFFIXES, check_writer, frames_as_maps, write_maps
from mslstm_keras.frames.scales import parse_scale
from mslstm_keras.integers import is_whole

GIF_SIDE = 256  # pixels: the least that shows what is in a clip of 64 x 64
STRIP_WIDTH = 1600  # pixels
STRIP_COLUMNS = 10
STRIP_GAP = 4  # pixels
GIF_COLOURS = 255  # of a palette, which has room for one more


def _check_suffix(path: str | os.PathLike[str]) -> None:
    """Makes sure that `write_clip` knows the kind of a file by its suffix, and has what writes it.

    Raises:
        ValueError: if it does not.
        ImportError: if what writes it is not installed.
    """
    if Path(path).suffix.lower() not in (".npy", ".gif", ".png", *SUFFIXES):
        raise ValueError(f"`path` must end in .npy, .gif, .png, .nc or .zarr. Received: {path}")
    if Path(path).suffix.lower() in SUFFIXES:
        check_writer(path)


def write_clip(
    path: str | os.PathLike[str],
    frames: np.ndarray,
    *,
    fps: float = 5,
    scale: int | None = None,
    value_scale: str | None = None,
) -> None:
    """Writes a clip: the numbers (`.npy`, `.nc`, `.zarr`), an animation (`.gif`) or a film strip (`.png`).

    `.npy`, NetCDF and Zarr hold the values as they are, or the numbers that they stand for. Pictures show them clipped
    to [0, 1], every pixel enlarged to a square; a film strip runs in rows of ten frames.

    Args:
        path: file to write, ending in `.npy`, `.nc`, `.gif` or `.png`, or folder ending in `.zarr`.
        frames: floats (time, height, width, channels); 1 or 3 channels for a picture. What a masked array hides
            is 0, with a warning.
        fps: float in [0.01, 50]. Frames per second of an animation.
        scale: int >= 1. Side of a pixel's square. Default: the shorter side of an animation gets at least 256
            pixels, a film strip at most 1600 in width.
        value_scale: how pixels stand for numbers in their units, as the `scale` of `read_clip`, see
            `mslstm_keras.frames.parse_scale`: `.npy`, NetCDF and Zarr then hold these numbers, of pixels clipped to
            [0, 1]. Pictures show the pixels.

    Raises:
        ValueError: for another suffix, rank, number of channels, `fps`, `scale` or `value_scale`, or a picture of
            values that are not finite.
        ImportError: if what writes NetCDF or Zarr is not installed.
        OSError: if the file cannot be written; what was there before stays.
    """
    path, frames = Path(path), np.asarray(without_mask(frames))
    if frames.ndim != 4 or not frames.size or not np.issubdtype(frames.dtype, np.floating):
        raise ValueError(
            "`frames` must be floats (time, height, width, channels), no axis empty. "
            f"Received: shape {frames.shape}, dtype {frames.dtype}"
        )
    _check_suffix(path)
    suffix, units = path.suffix.lower(), "1"
    if value_scale is not None and suffix in (".npy", *SUFFIXES):
        frames, units = numbers_of(frames, value_scale), parse_scale(value_scale).units or units
    if suffix == ".npy":
        write_array(path, frames)
    elif suffix == ".gif":
        least = -(-GIF_SIDE // min(frames.shape[1:3]))
        write_gif(path, _enlarge(_to_bytes(frames), least if scale is None else scale), fps=fps)
    elif suffix == ".png":
        _write_strip(path, _to_bytes(frames), scale)
    else:
        write_maps(path, frames_as_maps(frames, units))


def numbers_of(frames: np.ndarray, scale: str | None) -> np.ndarray:
    """Returns pixels as the numbers that they stand for, of pixels clipped to [0, 1]; without a scale as they are."""
    return frames if scale is None else parse_scale(scale).to_value(np.clip(frames, 0, 1)).astype("float32")


def write_array(path: str | os.PathLike[str], values: np.ndarray) -> None:
    """Writes floats of any shape as float32 in a file of NumPy.

    Raises:
        OSError: if the file cannot be written; what was there before stays.
    """
    content = io.BytesIO()  # NumPy's own way to write a file does not tell a full disk from other faults
    np.save(content, values.astype("float32", copy=False))
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


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
    if not is_whole(scale):
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


def _nearest(colours: list[int], index: int) -> int:
    """Returns the place of the colour that differs least from another one of a palette, by one level at best.

    A palette that has room gets one: a neighbour by one level, of its blue.
    """
    table = np.reshape(colours, (-1, 3))
    apart = np.abs(table - table[index]).sum(1)
    apart[apart == 0] = np.iinfo(apart.dtype).max  # itself, and palettes may hold a colour twice
    if apart.min() > 1 and len(table) <= GIF_COLOURS:
        red, green, blue = table[index].tolist()
        colours += [red, green, blue ^ 1]
        return len(table)
    return int(apart.argmin())


def check_fps(fps: float) -> None:
    """Raises a ValueError if an animation cannot run so fast, or so slowly: players of GIFs do not."""
    if not 0.01 <= fps <= 50:
        raise ValueError(f"`fps` must lie in [0.01, 50]. Received: fps={fps}")


def write_gif(
    path: str | os.PathLike[str], images: np.ndarray, *, fps: float, colours: int = GIF_COLOURS
) -> None:
    """Writes an animation that loops for ever.

    Grey images keep their levels; colour images share one palette, so nothing flickers. A frame that is as the one
    before differs by one level of one pixel, its last, as Pillow would leave the frame out.

    Args:
        path: file to write.
        images: uint8 (time, height, width) or (time, height, width, 3).
        fps: float in [0.01, 50]. Frames per second; GIF rounds a frame's time to hundredths of a second.
        colours: int in [2, 255]. Size of the palette of colour images.

    Raises:
        ValueError: if `fps` or `colours` is out of range.
        OSError: if the file cannot be written.
    """
    from PIL import Image

    check_fps(fps)
    if not 2 <= colours <= GIF_COLOURS:
        raise ValueError(f"`colours` must lie in [2, {GIF_COLOURS}]. Received: colours={colours}")
    palette = None
    if images.ndim == 4:
        montage = Image.fromarray(images.reshape(-1, *images.shape[2:]))
        # No colour is far from its own: of rare ones, the default leaves none.
        montage = montage.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        palette = list(montage.getpalette() or [])
        images = np.asarray(montage).reshape(images.shape[:3])
    images = images.copy()
    for previous, image in itertools.pairwise(images):
        if not np.array_equal(previous, image):
            continue
        # Pillow drops a frame equal to the one before: clips would shrink.
        if palette is None:
            image[-1, -1] ^= 1
        else:
            image[-1, -1] = _nearest(palette, image[-1, -1])
    pictures = [Image.fromarray(image) for image in images]
    if palette is not None:
        for picture in pictures:
            picture.putpalette(palette)
    with replacing(path) as temporary:
        pictures[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=round(100 / fps) * 10,
            loop=0,
        )
