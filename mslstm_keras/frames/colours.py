"""Colours of a scale, as of radar maps: recognised, and turned into the values that they stand for."""

import csv
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from mslstm_keras.frames.checks import reading

Colour = str | tuple[int, int, int]

_FEW, _MANY = 64, 256  # colours of a scale in steps, and of a smooth one
_CHROMA, _FAINT = 0.4, 0.1  # largest less smallest of red, green and blue, in [0, 1]


def is_colour_scale(images: Iterable[np.ndarray]) -> bool:
    """Whether pictures are painted in the colours of a scale, whose brightness is no value.

    That is so where few colours (at most 64, each four times or more) of three hues or more are mostly strong; or where
    at most 256, or any number as in a JPEG, of four hues or more nearly all are. Colours of a camera are many and
    mostly faint. Hues are counted in sixths of the circle, greys not at all.

    Args:
        images: uint8 (height, width, 3) each.
    """
    seen, bins, pixels = np.zeros(2**24, bool), np.zeros(2**12, np.int64), 0
    for image in images:
        seen[packed(image)] = True
        red, green, blue = np.moveaxis(image >> 4, -1, 0).astype(np.int64)
        bins += np.bincount((red * 256 + green * 16 + blue).ravel(), minlength=bins.size)
        pixels += image.shape[0] * image.shape[1]
    colours = np.flatnonzero(seen)
    if colours.size <= _MANY and 4 * colours.size <= pixels:
        levels = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], -1) / 255
        counts = np.ones(colours.size)
        share, hues = (0.5, 3) if colours.size <= _FEW else (0.8, 4)
    else:
        places = np.flatnonzero(bins)
        levels = np.stack([places >> 8, places >> 4 & 15, places & 15], -1) / 15
        counts = bins[places].astype(float)
        share, hues = 0.8, 4
    chroma = np.ptp(levels, axis=-1)
    coloured, strong = chroma > _FAINT, chroma >= _CHROMA
    total = counts[coloured].sum()
    if not total or counts[strong].sum() < share * total:
        return False
    sixths = np.bincount(_sixth(levels[strong], chroma[strong]), counts[strong], minlength=6)
    least = 1 if colours.size <= _MANY else 0.03 * total
    return bool(np.count_nonzero(sixths >= least) >= hues)


def _sixth(levels: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Returns the hues in sixths of the circle: 0 red, 1 yellow, 2 green, 3 cyan, 4 blue, 5 magenta."""
    red, green, blue = levels.T
    largest = levels.argmax(-1)
    hue = np.choose(largest, [(green - blue) / chroma, 2 + (blue - red) / chroma, 4 + (red - green) / chroma])
    return np.rint(hue).astype(int) % 6


def packed(pixels: np.ndarray) -> np.ndarray:
    """Returns the number 65536 red + 256 green + blue of every pixel, uint8 (..., 1 or 3)."""
    levels = np.broadcast_to(pixels, (*pixels.shape[:-1], 3)).astype(np.int64)
    return levels[..., 0] << 16 | levels[..., 1] << 8 | levels[..., 2]


def read_colour_scale(scale: str | os.PathLike[str] | Mapping[Colour, float]) -> dict[int, float]:
    """Reads which colour stands for which value.

    Args:
        scale: CSV file of rows `#rrggbb,value` or `red,green,blue,value` (0 .. 255), with or without a line of names; or
            a mapping from such colours, "#rrggbb" or (red, green, blue), to values.

    Returns:
        Number of the colour, see `packed`, to its value in [0, 1], or NaN where it stands for no observation.

    Raises:
        ValueError: if a row is no colour and value, a value lies outside of [0, 1], a colour stands twice, or there is
            none.
    """
    if isinstance(scale, Mapping):
        name, rows = "colour_scale", [(*_parts(colour), value) for colour, value in scale.items()]
    else:
        path = Path(scale)
        name = str(path)
        with reading(path):
            rows = [row for row in csv.reader(path.read_text("utf-8-sig").splitlines()) if "".join(row).strip()]
        if rows and not re.search("[0-9]", rows[0][-1]) and rows[0][-1].strip().lower() != "nan":
            rows = rows[1:]  # names of the columns
    table: dict[int, float] = {}
    for row in rows:
        colour, value = _colour(row[:-1]), _number(row[-1])
        if colour is None or value is None or not (np.isnan(value) or 0 <= value <= 1):
            raise ValueError(
                f"`{name}` must have rows #rrggbb,value or red,green,blue,value, with values in [0, 1] or nan. "
                f"Received: {','.join(map(str, row))}"
            )
        if colour in table:
            raise ValueError(f"`{name}` must hold every colour once. Received: #{colour:06x} twice")
        table[colour] = value
    if not table:
        raise ValueError(f"`{name}` must hold colours and their values. Received: none")
    return table


def _parts(colour: Colour) -> tuple:
    return (colour,) if isinstance(colour, str) else tuple(colour)


def _colour(parts: Iterable) -> int | None:
    words = [str(part).strip() for part in parts]
    if len(words) == 1 and re.fullmatch("#[0-9a-fA-F]{6}", words[0]):
        return int(words[0][1:], 16)
    if len(words) == 3 and all(word.isdecimal() and int(word) <= 255 for word in words):
        red, green, blue = map(int, words)
        return red << 16 | green << 8 | blue
    return None


def _number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None


def to_values(pixels: np.ndarray, table: dict[int, float], path: Path) -> np.ndarray:
    """Returns the values that the colours of a picture stand for, float32 (height, width, 1).

    Args:
        pixels: uint8 (height, width, 1 or 3).
        table: from `read_colour_scale`.
        path: what an error calls the picture.

    Raises:
        ValueError: if a colour is not in the table, such as a mixture that a JPEG or a smaller copy makes; or if the
            picture has no colours of 8 bits.
    """
    if pixels.dtype != np.uint8:
        raise ValueError(f"`{path}` must have colours of 8 bits for a colour scale. Received: {pixels.dtype}")
    numbers, places, counts = np.unique(packed(pixels), return_inverse=True, return_counts=True)
    for number, count in zip(numbers, counts, strict=True):
        if number not in table:
            raise ValueError(
                f"`{path}` must have no colours but those of its colour scale. Received: #{number:06x} in {count} pixels"
            )
    values = np.array([table[number] for number in numbers], "float32")
    return values[places].reshape(*pixels.shape[:2], 1)
