"""How many levels a picture has in its file, which Pillow makes 256 or 65536 of."""

import re
import struct
from typing import Any

import numpy as np

_BITS, _SAMPLE_FORMAT = 258, 339  # tags of TIFF
_FLOATS = 3
_HEAD = 2**16  # bytes, within which a picture says what it is
_HIGH, _TWELVE = 0x40, 0x20  # flags of AVIF


def packed_bits(stored: str) -> int | None:
    """Returns the bits of a level as Pillow says that they are packed: 4 of "L;4"."""
    found = re.search(r";([0-9]+)", stored)
    return int(found[1]) if found else None


def largest_level(image: Any) -> int | None:
    """Returns the largest level that the file of an image can hold, such as 1023; None where it holds floats.

    It is known before the pixels are loaded only.
    """
    stored = image.tile[0][3] if image.tile else ""
    rawmode = stored if isinstance(stored, str) else str(stored[0]) if stored else ""
    if image.format == "TIFF":
        if _FLOATS in image.tag_v2.get(_SAMPLE_FORMAT, (1,)):
            return None
        return 2 ** max(image.tag_v2.get(_BITS, (1,))) - 1
    if image.format == "PPM" and isinstance(stored, tuple) and isinstance(stored[1], int) and stored[1] > 0:
        return stored[1]
    if image.mode == "F":
        return None
    if image.format == "SGI" and image.tile and image.tile[0][0].upper() == "SGI16":
        return 2**16 - 1
    if image.format == "JPEG2000":
        return 2 ** _bits_of_jpeg2000(_head(image)) - 1
    if image.format == "AVIF":
        return 2 ** _bits_of_avif(_head(image)) - 1
    return 2 ** (packed_bits(rawmode) or 8) - 1


def as_in_file(levels: np.ndarray, kind: str, largest: int | None) -> np.ndarray:
    """Returns levels as they stand in a file, of those that Pillow made full scale of.

    Levels of fewer than 8 bits in a PNG, or a TIFF, stay those of 8 bits, as which every program shows them.

    Args:
        levels: uint8, or uint16.
        kind: Pillow's name of the kind of file.
        largest: see `largest_level`.
    """
    most = np.iinfo(levels.dtype).max
    if largest is None or largest >= most:
        return levels
    if kind == "PPM":
        return np.rint(levels * np.float64(largest / most)).astype(levels.dtype)
    if kind == "JPEG2000":
        return levels >> (levels.dtype.itemsize * 8 - largest.bit_length())
    return levels


def _head(image: Any) -> bytes:
    file = image.fp
    if file is None:
        return b""
    place = file.tell()
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(place)
    return head


def _bits_of_jpeg2000(head: bytes) -> int:
    place = head.find(b"\xff\x4f\xff\x51")  # where the code begins; then sizes, and the bands
    bands = head[place + 40 : place + 42] if place >= 0 else b""
    if len(bands) < 2:
        return 8
    sizes = head[place + 42 : place + 42 + 3 * struct.unpack(">H", bands)[0] : 3]
    return max(((size & 0x7F) + 1 for size in sizes), default=8)


def _bits_of_avif(head: bytes) -> int:
    place = head.find(b"av1C")
    flags = head[place + 6] if 0 <= place < len(head) - 6 else 0
    return (12 if flags & _TWELVE else 10) if flags & _HIGH else 8
