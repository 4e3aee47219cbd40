"""Colours of a scale, as of radar maps: recognised, and turned into the values that they stand for."""

import csv
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mslstm_keras.formats.checks import damage_of

Colour = str | tuple[int, int, int]

_FEW, _MANY = 64, 256  # colours of a scale in steps, and of a smooth one
_CHROMA, _FAINT = 0.4, 0.1  # largest less smallest of red, green and blue, in [0, 1]


class ColoursSeen:
    """The colours of the pictures of a clip, which may be those of a scale, whose brightness is no value.

    That is so where few colours (at most 64, each four times or more) of three hues or more are mostly strong; or where
    at most 256, or any number as in a JPEG, of four hues or more nearly all are. Colours of a camera are many and
    mostly faint. Hues are counted in sixths of the circle, greys not at all.
    """

    def __init__(self) -> None:
        self._seen = np.zeros(0, bool)
        self._bins = np.zeros(2**12, np.int64)  # of 16 levels of red, green and blue
        self._pixels = 0

    def add(self, picture: np.ndarray) -> None:
        """Adds the colours of a picture, (height, width, channels); one that is grey or not uint8 has none."""
        if picture.dtype != np.uint8 or picture.shape[-1] != 3:
            return
        if not self._seen.size:
            self._seen = np.zeros(2**24, bool)
        self._seen[packed(picture)] = True
        self._bins += np.bincount(_coarse(picture), minlength=self._bins.size)
        self._pixels += picture.shape[0] * picture.shape[1]

    def are_scale(self) -> bool:
        """Whether they are the colours of a scale."""
        colours = np.flatnonzero(self._seen)
        exact = colours.size <= _MANY and 4 * colours.size <= self._pixels
        if exact:
            levels = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], -1) / 255
            counts = np.ones(colours.size)
        else:
            places = np.flatnonzero(self._bins)
            levels = np.stack([places >> 8, places >> 4 & 15, places & 15], -1) / 15
            counts = self._bins[places].astype(float)
        share, hues = (0.5, 3) if exact and colours.size <= _FEW else (0.8, 4)
        chroma = np.ptp(levels, axis=-1)
        strong = chroma >= _CHROMA
        total = counts[chroma > _FAINT].sum()
        if not total or counts[strong].sum() < share * total:
            return False
        sixths = np.bincount(_sixth(levels[strong], chroma[strong]), counts[strong], minlength=6)
        return bool(np.count_nonzero(sixths >= (1 if exact else 0.03 * total)) >= hues)


def _coarse(picture: np.ndarray) -> np.ndarray:
    """Returns the place of every pixel among 16 levels of red, green and blue."""
    red, green, blue = np.moveaxis((picture >> 4).astype(np.int64), -1, 0)
    return (red << 8 | green << 4 | blue).ravel()


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


def read_colour_scale(
    scale: str | os.PathLike[str] | Mapping[Colour, float], *, any_numbers: bool = False
) -> dict[int, float]:
    """Reads which colour stands for which value.

    Args:
        scale: CSV file of rows `#rrggbb,value` or `red,green,blue,value` (0 .. 255), with or without a line of
            names; or a mapping from such colours, "#rrggbb" or (red, green, blue), to values.
        any_numbers: bool. Values may be any finite numbers, which then become pixels, instead of pixels in [0, 1].

    Returns:
        Number of the colour, see `packed`, to its value, or NaN where it stands for no observation.

    Raises:
        ValueError: if a row is no colour and value, a value is no such number, a colour stands twice, or there is none.
    """
    if isinstance(scale, Mapping):
        name = "colour_scale"
        rows: list[Sequence[object]] = [(*_parts(colour), value) for colour, value in scale.items()]
    else:
        path = Path(scale)
        name = str(path)
        with damage_of(path, "A colour scale must be a CSV file that can be read."):
            lines = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
        rows = [line for line in lines if "".join(line).strip()]
        if rows and _number(rows[0][-1]) is None and _colour(rows[0][:-1]) is None:
            rows = rows[1:]  # names of the columns
    table: dict[int, float] = {}
    for row in rows:
        colour, value = _colour(row[:-1]), _number(row[-1])
        fits = value is not None and (
            np.isnan(value) or (np.isfinite(value) if any_numbers else 0 <= value <= 1)
        )
        if colour is None or value is None or not fits:
            kind = "finite values" if any_numbers else "values in [0, 1], or any with a `scale` (`--range`),"
            raise ValueError(
                f"`{name}` must have rows #rrggbb,value or red,green,blue,value, with {kind} or nan. "
                f"Received: {','.join(map(str, row))}"
            )
        if colour in table:
            raise ValueError(f"`{name}` must hold every colour once. Received: #{colour:06x} twice")
        table[colour] = value
    if not table:
        raise ValueError(f"`{name}` must hold colours and their values. Received: none")
    return table


def _parts(colour: Colour) -> tuple[object, ...]:
    return (colour,) if isinstance(colour, str) else tuple(colour)


def _colour(parts: Sequence[object]) -> int | None:
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
                f"`{path}` must have no colours but those of its colour scale. "
                f"Received: #{number:06x} in {count} pixels"
            )
    values = np.array([table[number] for number in numbers], "float32")
    return values[places].reshape(*pixels.shape[:2], 1)
