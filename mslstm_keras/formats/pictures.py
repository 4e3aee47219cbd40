"""Frames of pictures and animations, decoded by Pillow."""

import bz2
import contextlib
import dataclasses
import gzip
import io
import lzma
import math
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from mslstm_keras.formats.checks import MOST_VALUES, NotReadError, check_count, reading, renaming
from mslstm_keras.formats.depths import as_in_file, largest_level, packed_bits
from mslstm_keras.formats.remarks import Remarks
from mslstm_keras.formats.stacks import check_stacks, stacks_of
from mslstm_keras.timing.durations import at_equal_steps

if TYPE_CHECKING:
    from PIL import Image

ANIMATIONS = (".gif", ".webp", ".apng", ".avif", ".tif", ".tiff")
PICTURES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", *ANIMATIONS),
    *(
        ".jp2",
        ".j2k",
        ".j2c",
        ".jpc",
        ".jpf",
        ".jpx",
        ".pbm",
        ".pgm",
        ".ppm",
        ".pnm",
        ".pfm",
        ".tga",
        ".pcx",
        ".dcx",
    ),
    *(
        ".sgi",
        ".rgb",
        ".rgba",
        ".bw",
        ".ras",
        ".qoi",
        ".ico",
        ".icns",
        ".cur",
        ".avifs",
        ".fli",
        ".flc",
        ".psd",
    ),
    *(".dds", ".xbm", ".xpm", ".msp", ".im"),
)
"""Suffixes of pictures. In a folder, a file of any suffix may be a picture."""

_PIECE = 2**20  # bytes
_PACKED = {".gz": (b"\x1f\x8b", gzip), ".bz2": (b"BZh", bz2), ".xz": (b"\xfd7zXZ\0", lzma)}
_NOT_READ = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "PCD", "WMF"}
"""What Pillow names, and either leaves to other programs or reads without the scale of its values."""
_RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw")
"""Raw pictures of cameras: Pillow finds nothing but the small preview in them."""
_ONE_PICTURE = ("CUR", "ICNS", "ICO", "MPO", "PSD")
"""Kinds whose further pictures are previews, other sizes and layers of the first."""

_SUBFILE, _OLD_SUBFILE, _BITS, _WHITE_IS_ZERO, _SAMPLE_FORMAT = 254, 255, 258, 262, 339  # tags of TIFF
_LAYOUT, _EXTRA_BANDS, _SEPARATE = 284, 338, 2  # and the layout of bands one behind the other
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_OF_8 = 255
_OF_8_BITS = ("L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_METADATA, _NO_DATA = 42112, 42113  # of GDAL


def unpacked_suffix(path: Path) -> str:
    """Returns the suffix of a file, that of its content if it is compressed: `.png` of `a.png.gz`."""
    name = path.with_suffix("") if path.suffix.lower() in _PACKED else path
    return name.suffix.lower()


def bare_name(path: Path) -> str:
    """Returns the name of a picture without its suffixes."""
    name = path.stem if path.suffix.lower() in _PACKED else path.name
    return Path(name).stem if Path(name).suffix.lower() in PICTURES else name


def read_pictures(path: Path, as_stored: bool = False, remarks: Remarks | None = None) -> list[np.ndarray]:
    """Reads every frame of a picture, each (height, width, 1 or 3) of unsigned integers or floats.

    Unsigned integers reach from 0 to the largest of their type. Floats are in [0, 1], but for those that the file
    itself holds and those that its scale makes.

    The kind is told by the content. The picture stands upright, as its orientation (EXIF) says. What is transparent is
    black; what a GeoTIFF marks as missing is NaN, in float32. Previews, thumbnails and masks are no frames. Frames
    of an animation come at equal steps, see `at_equal_steps`.

    Args:
        path: file.
        as_stored: bool. Keeps levels as the numbers that they are in the file, those of 12 bits and those beside
            missing ones too, which are divided by the largest that can be otherwise.
        remarks: gets what is assumed and left out. Default: nobody is told.

    Raises:
        ValueError: if the file cannot be read, holds channels or slices as pages, fewer pages than it says, or, with
            `as_stored`, colours of more than 8 bits.
    """
    remarks = remarks or Remarks(path)
    pictures: list[np.ndarray] = []
    durations: list[float | None] = []
    with contextlib.ExitStack() as stack:
        with reading(path):
            image = stack.enter_context(_opened(path))
            frames, stacks = _frames(image), stacks_of(image)
        check_stacks(path, stacks, [index for index, _ in frames], remarks)
        for index, mask in frames:
            with reading(path):
                if image.tell() != index:
                    image.seek(index)
            check_count(path, (len(frames), image.height, image.width))
            with reading(path):
                pixels = _pixels(image, as_stored, path, remarks)
                durations.append(image.info.get("duration"))
                if mask is not None:
                    image.seek(mask)
                    pixels = _without(pixels, ~np.asarray(image.convert("1")), as_stored)
                pictures.append(pixels)
    return at_equal_steps(path, pictures, durations)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens a picture, whatever its suffix."""
    from PIL import Image, TiffImagePlugin, UnidentifiedImageError

    suffix = unpacked_suffix(path)
    if suffix in _RAW:
        raise ValueError("a raw picture of a camera, which must be developed first")
    Image.init()
    for (order, meaning, kind, fill, bits, extra), modes in list(TiffImagePlugin.OPEN_INFO.items()):
        if meaning == 1:  # grey; a mask (4) is stored as one, and not known to Pillow
            TiffImagePlugin.OPEN_INFO.setdefault((order, 4, kind, fill, bits, extra), modes)
    # Kinds without a mark at their beginning could be anything: their suffix must name them.
    kinds = [
        kind
        for kind, (_, accept) in Image.OPEN.items()
        if kind not in _NOT_READ and (accept is not None or Image.EXTENSION.get(suffix) == kind)
    ]
    with _Bounded(path) as file:
        content = _unpacked(file)
        try:
            image = Image.open(content, formats=kinds)
        except UnidentifiedImageError:
            content.seek(0)
            if content.read(4) in _TIFF:
                raise ValueError(
                    "a TIFF that Pillow does not read, as those of 16-bit and 64-bit floats; save 32-bit floats, or "
                    "an array by np.save"
                ) from None
            renamed = renaming(path)
            raise (
                NotReadError(renamed) if renamed else ValueError("no kind of picture that is known")
            ) from None
        with image:
            if image.format == "GIF":
                _check_end_of_gif(content)
            yield image


def _check_end_of_gif(content: IO[bytes]) -> None:
    """Makes sure that a GIF has its end mark; Pillow does not miss frames that are cut off.

    What comes behind the mark is no part of it.

    Raises:
        ValueError: if the file ends before.
    """
    place = content.tell()
    content.seek(10)  # behind the mark of its kind and the size
    content.seek(2 + _table_of_gif(content.read(1)), io.SEEK_CUR)
    while (mark := content.read(1)) != b";":
        if not mark:
            raise ValueError("no end mark")
        if mark == b",":
            content.seek(8, io.SEEK_CUR)
            content.seek(_table_of_gif(content.read(1)) + 1, io.SEEK_CUR)
        elif mark == b"!":
            content.seek(1, io.SEEK_CUR)
        else:
            continue  # bytes between the blocks, which Pillow passes over, too
        while (length := content.read(1)) not in (b"", b"\0"):
            content.seek(length[0], io.SEEK_CUR)
    content.seek(place)


def _table_of_gif(flags: bytes) -> int:
    """Returns the bytes of a table of colours, by the flags before it."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


class _Bounded(io.BufferedReader):
    """A file that is asked for no more than it has: to read what a damaged one claims takes the memory for it."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._end = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(self._end - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """Returns a file, or the content of one that is compressed."""
    head = file.read(6)
    file.seek(0)
    for mark, packer in _PACKED.values():
        if head.startswith(mark):
            content = io.BytesIO()
            # Piece by piece: to read so much at once takes the memory for it, however little there is.
            for piece in iter(partial(packer.open(file).read, _PIECE), b""):
                if content.tell() + len(piece) > MOST_VALUES:
                    raise ValueError(f"more than {MOST_VALUES} bytes when it is unpacked")
                content.write(piece)
            content.seek(0)
            return content
    return file


def _frames(image: Any) -> list[tuple[int, int | None]]:
    """Returns the number of every frame of a file, and that of its mask."""
    if image.format in _ONE_PICTURE:
        return [(image.tell(), None)]
    count = getattr(image, "n_frames", 1)
    if not count:
        raise ValueError("it says that it holds no picture")
    if image.format != "TIFF":
        first = int(bool(getattr(image, "default_image", False)))  # of an APNG, for who cannot show it
        return [(index, None) for index in range(first, count)]
    frames: list[tuple[int, int | None]] = []
    for index in range(count):
        image.seek(index)
        kind = image.tag_v2.get(_SUBFILE, int(image.tag_v2.get(_OLD_SUBFILE) == 2))
        if kind & 4 and not kind & 1 and frames:
            frames[-1] = (frames[-1][0], index)
        elif not kind & 5:
            frames.append((index, None))
    if not frames:
        raise ValueError("nothing but thumbnails")
    return frames


@dataclasses.dataclass(frozen=True)
class _Tags:
    """What a TIFF says of its values: `values = scale x stored + offset`, in `bits`, but for `no_data`."""

    bits: int | None = None
    kind: int = 1
    """1: without a sign, 2: with a sign, 3: floats."""
    white_is_zero: bool = False
    no_data: float | None = None
    scale: float = 1.0
    offset: float = 0.0

    @property
    def scaled(self) -> bool:
        return (self.scale, self.offset) != (1, 0)


def _tags(image: Any) -> _Tags:
    if image.format != "TIFF":
        return _Tags()
    tags = image.tag_v2
    rule = {"scale": 1.0, "offset": 0.0}
    found: dict[str, set[float]] = {"scale": set(), "offset": set()}
    if _METADATA in tags:
        for item in ElementTree.fromstring(tags[_METADATA].strip("\0 \n")).iter("Item"):
            role = item.get("role", "").lower()
            if role in found and item.text:
                found[role].add(float(item.text))
    for role, numbers in found.items():
        if len(numbers) > 1:
            raise ValueError(f"bands of several kinds, {role} {sorted(numbers)}")
        rule[role] = numbers.pop() if numbers else rule[role]
    no_data = str(tags[_NO_DATA]).strip("\0 \n") if _NO_DATA in tags else ""
    return _Tags(
        bits=tags.get(_BITS, (1,))[0],
        kind=tags.get(_SAMPLE_FORMAT, (1,))[0],
        white_is_zero=tags.get(_WHITE_IS_ZERO) == 0,
        no_data=float(no_data) if no_data else None,
        **rule,
    )


def _pixels(image: Any, as_stored: bool, path: Path, remarks: Remarks) -> np.ndarray:
    """Returns the pixels of the frame at which an image stands, (height, width, 1 or 3)."""
    from PIL import ImageOps

    tags, kind, largest = _tags(image), image.format, largest_level(image)
    _note_bands(image, largest, remarks)
    # How bits are packed, which is forgotten when they are read.
    stored = str(image.tile[0][3]) if image.tile else ""
    image.load()
    image = ImageOps.exif_transpose(image)
    if not tags.scaled:
        remarks.depth(None if largest is None else largest.bit_length(), path)
    if largest is not None and largest > _MOST_OF_8 and image.mode in _OF_8_BITS:
        _note_cut(largest.bit_length(), as_stored, remarks)
    if image.mode not in ("1", "L", "F", "I") and not image.mode.startswith("I;16"):
        if tags.scaled:
            raise ValueError("a scale and an offset of colours, which are no values")
        colours = _colours(image, stored, remarks)
        if as_stored:
            colours = as_in_file(colours, kind, largest)
        return _without(colours, _is_missing(np.asarray(image), tags), as_stored)
    if tags.white_is_zero and (as_stored or tags.scaled):
        raise ValueError(
            "0 is white, so that a scale may be of the numbers or of the brightness; save 0 as black"
        )
    values = np.asarray(image)
    if image.mode == "I" and kind in ("PNG", "PPM"):
        values = values.astype("uint16")
    elif tags.kind == 2:
        values = values.view("int8") if image.mode == "L" else values
    elif image.mode == "I":
        values = values.view("uint32")
    missing = _is_missing(values, tags)
    if tags.scaled:
        values = values * np.float32(tags.scale) + np.float32(tags.offset)
    elif (image.mode == "I" and kind not in ("PNG", "PPM")) or tags.kind == 2:
        if not as_stored:
            raise NotReadError(
                f"{tags.bits or 32}-bit integers, whose full scale is unknown; a `scale` (`--range LOW:HIGH`) takes "
                "them as they stand"
            )
    elif image.mode == "F":
        if tags.white_is_zero:
            raise ValueError("floats of which 0 is white")
    else:
        values = _full_scale(values, tags, as_stored)
        values = as_in_file(values, kind, largest) if as_stored else values
    return _without(_opaque(values, image, stored, remarks)[..., np.newaxis], missing, as_stored)


def _note_bands(image: Any, largest: int | None, remarks: Remarks) -> None:
    """Notes the bands of a TIFF that are neither colour nor opacity: Pillow leaves them out.

    Raises:
        ValueError: if bands of more than 8 bits lie one behind the other: Pillow reads their bytes as pixels.
    """
    if image.format != "TIFF":
        return
    tags = image.tag_v2
    several, deep = len(tags.get(_BITS, (1,))) > 1, largest is not None and largest > _MOST_OF_8
    if several and deep and tags.get(_LAYOUT) == _SEPARATE:
        raise ValueError("bands of more than 8 bits, one behind the other; save them pixel by pixel")
    unnamed = tags.get(_EXTRA_BANDS, ()).count(0)
    if unnamed:
        remarks.add(f"bands that are neither colour nor opacity are left out, {unnamed} of each picture")


def _note_cut(bits: int, as_stored: bool, remarks: Remarks) -> None:
    """Notes that Pillow leaves 8 bits of deeper levels.

    Raises:
        ValueError: if the levels are asked for as they stand in the file.
    """
    if as_stored:
        raise ValueError(
            f"{bits} bits a colour, of which 8 can be read, so that a scale takes them for other numbers; save one "
            "grey channel of 16 bits, or an array"
        )
    remarks.add(f"levels of {bits} bits are cut to 8")


def _full_scale(values: np.ndarray, tags: _Tags, as_stored: bool) -> np.ndarray:
    """Returns grey levels from 0, black, to white: the largest of their type; of their bits if `as_stored`."""
    if values.dtype == bool:
        return values.astype("uint8") * np.uint8(255)
    if values.dtype == np.uint8 or tags.bits is None:
        return values  # Pillow scales and turns those of 8 bits
    most = 2**tags.bits - 1
    values = most - values if tags.white_is_zero else values
    return values if as_stored or most == np.iinfo(values.dtype).max else values / np.float32(most)


def _is_missing(values: np.ndarray, tags: _Tags) -> np.ndarray | None:
    """Returns which pixels are marked as missing; a colour is where all of its bands are."""
    if tags.no_data is None or math.isnan(tags.no_data):
        return None  # NaN is so by itself
    mark = tags.no_data
    if np.issubdtype(values.dtype, np.floating):
        with np.errstate(over="ignore"):
            missing = values == np.float32(mark)
    else:
        if tags.white_is_zero and values.dtype in (bool, np.uint8):
            mark = (1 if values.dtype == bool else 255) - mark
        missing = values == mark
    return missing.all(-1) if missing.ndim == 3 else missing


def _without(pixels: np.ndarray, missing: np.ndarray | None, as_stored: bool) -> np.ndarray:
    """Returns pixels of which the missing ones are NaN; levels are in [0, 1] then, if not `as_stored`."""
    if missing is None or not missing.any():
        return pixels
    if missing.shape != pixels.shape[:2]:
        raise ValueError(f"a mask of another size, {missing.shape} for {pixels.shape[:2]}")
    if np.issubdtype(pixels.dtype, np.unsignedinteger) and not as_stored:
        pixels = pixels / np.float32(np.iinfo(pixels.dtype).max)
    pixels = pixels.astype("float32")
    pixels[missing] = np.nan
    return pixels


def _opaque(values: np.ndarray, image: "Image.Image", stored: str, remarks: Remarks) -> np.ndarray:
    """Returns grey levels of which the one that is transparent, if there is one, is black."""
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        remarks.opacity(values.size, 0)
        return values
    bits = packed_bits(stored)
    if image.mode == "L" and bits in (2, 4):
        clear *= 255 // (2**bits - 1)  # the level is named as it is packed
    remarks.opacity(values.size, int(np.count_nonzero(values == clear)))
    return np.where(values == clear, values.dtype.type(0), values)


def _colours(image: "Image.Image", stored: str, remarks: Remarks) -> np.ndarray:
    """Returns red, green and blue, uint8 (height, width, 3); what is transparent is black."""
    from PIL import Image

    if image.mode == "LAB":
        raise ValueError("colours of CIELAB, which must be converted to red, green and blue first")
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and packed_bits(stored) == 16:
        image.info["transparency"] = tuple(level >> 8 for level in clear)
    black = Image.new("RGBA", image.size, "black")
    picture = image.convert("RGBA")
    opacity = np.asarray(picture)[..., 3]
    remarks.opacity(opacity.size, int(np.count_nonzero(opacity < 255)))
    return np.asarray(Image.alpha_composite(black, picture))[..., :3]
