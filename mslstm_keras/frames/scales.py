"""Numbers in units of their own as pixels in [0, 1], and back."""

import math
import re
import warnings
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mslstm_keras.frames.rain import RAIN_SCALES, RainScale

RULE = (
    "`range` must be LOW:HIGH, log:LOW:HIGH or rain:CODE, and units if you like, such as '0:655 bikes/h', "
    f"'log:0:100 mm/h' or 'rain:dwd' (codes: {', '.join(RAIN_SCALES)})."
)


@dataclass(frozen=True)
class LinearScale:
    """Numbers between two ends.

        p = (v - low) / (high - low)

    Attributes:
        low: float. The number of pixel 0.
        high: float. The number of pixel 1.
        units: str. What the numbers are counted in; may be empty.

    Raises:
        ValueError: if the ends are not finite, or `low` is not below `high`.
    """

    low: float
    high: float
    units: str = ""
    prefix: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"{RULE} LOW must be below HIGH. Received: {self.low}:{self.high}")

    def __str__(self) -> str:
        return f"{self.prefix}{self.low:.17g}:{self.high:.17g} {self.units}".strip()

    @property
    def ends(self) -> tuple[float, float]:
        """The numbers of pixels 0 and 1."""
        return self.low, self.high

    def to_pixel(self, values: np.ndarray) -> np.ndarray:
        """Returns the pixels of numbers, also beyond [0, 1]; NaN stays NaN."""
        return (np.asarray(values) - self.low) / (self.high - self.low)

    def to_value(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the numbers of pixels; NaN stays NaN."""
        return np.asarray(pixels) * (self.high - self.low) + self.low


@dataclass(frozen=True)
class LogScale(LinearScale):
    """Numbers between two ends, of which small ones differ more than large ones.

        p = log(1 + v - low) / log(1 + high - low)              v > low - 1

    Attributes, errors: see `LinearScale`.
    """

    prefix: ClassVar[str] = "log:"

    def to_pixel(self, values: np.ndarray) -> np.ndarray:
        """Returns the pixels of numbers, also beyond 1; those below `low` have minus infinity at most."""
        above = np.asarray(values) - self.low
        with np.errstate(divide="ignore"):
            return np.log1p(np.maximum(above, -1)) / math.log1p(self.high - self.low)

    def to_value(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the numbers of pixels; NaN stays NaN."""
        return np.expm1(np.asarray(pixels) * math.log1p(self.high - self.low)) + self.low


Scale = LinearScale | LogScale | RainScale
"""How pixels stand for numbers."""


def parse_scale(text: str) -> Scale:
    """Returns the scale that a text stands for; `str` of a scale is such a text.

    Args:
        text: "LOW:HIGH" or "log:LOW:HIGH", with units behind a space if you like, or "rain:CODE" with a key of
            `mslstm_keras.frames.RAIN_SCALES`.

    Raises:
        ValueError: if it is none of these.
    """
    rain = re.fullmatch(r"rain:(\w+)", text.strip())
    if rain and rain[1] in RAIN_SCALES:
        return RAIN_SCALES[rain[1]]
    number = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
    parts = re.fullmatch(rf"(log:)?({number}):({number})(?:\s+(\S.*))?", text.strip())
    if not parts:
        raise ValueError(f"{RULE} Received: {text!r}")
    kind = LogScale if parts[1] else LinearScale
    return kind(float(parts[2]), float(parts[3]), parts[4] or "")


@dataclass
class Coder:
    """Makes pixels of numbers, which may come in parts, and counts those beyond the scale's ends.

    Attributes:
        scale: how pixels stand for the numbers.
        name: str. What warnings and errors call the numbers.
    """

    scale: Scale
    name: str
    _seen: "Ends" = field(init=False, repr=False)
    _beyond: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        self._seen = Ends(self.name)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Returns float32 in [0, 1], clipped; NaN, where nothing was observed, stays NaN.

        Raises:
            ValueError: if a value is infinite.
        """
        values = np.asarray(values, np.result_type(values, "float32"))
        self._seen(values)
        low, high = self.scale.ends
        self._beyond += int(np.count_nonzero((values < low) | (values > high)))
        # Clipped before, too: the logarithm of a rate below 0 would be a missing number.
        return np.clip(self.scale.to_pixel(np.clip(values, low, high)), 0, 1).astype("float32")

    @property
    def may_be_pixels(self) -> bool:
        """Whether all numbers so far lie in [0, 1], and would be other pixels as they stand."""
        return self._seen.low >= 0 and 0 < self._seen.high <= 1 and self.scale.ends != (0, 1)

    def report(self) -> None:
        """Warns of what was clipped."""
        if self._beyond:
            low, high = self.scale.ends
            warnings.warn(
                f"{self.name}: {self._beyond} of {self._seen.count} values lie beyond {low:g} .. {high:g} "
                f"{self.scale.units}".rstrip()
                + f", from {self._seen.low:g} to {self._seen.high:g}, and are clipped",
                stacklevel=3,
            )


@dataclass
class Ends:
    """Notes the least and the largest of numbers, which may come in parts.

    Attributes:
        name: str. What errors call the numbers.
        low: float, infinite before there is a number.
        high: float, minus infinity before there is a number.
        count: int. Numbers so far, the missing ones too.
    """

    name: str = "values"
    low: float = math.inf
    high: float = -math.inf
    count: int = 0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Returns zeros, float32, NaN where a number is missing.

        Raises:
            ValueError: if a number is infinite.
        """
        values = np.asarray(values, np.result_type(values, "float32"))
        self.low = min(self.low, float(np.fmin.reduce(values, axis=None, initial=np.inf)))
        self.high = max(self.high, float(np.fmax.reduce(values, axis=None, initial=-np.inf)))
        self.count += values.size
        infinite = np.isinf(values)
        if infinite.any():
            raise ValueError(
                f"`{self.name}` must hold finite numbers. Received: {np.count_nonzero(infinite)} infinite"
            )
        return np.where(np.isnan(values), np.float32(np.nan), np.float32(0))


def to_pixels(values: np.ndarray, scale: Scale, *, name: str) -> np.ndarray:
    """Returns numbers as pixels. Those beyond the scale's ends are clipped, and a warning says how many.

    Args:
        values: array of numbers; NaN where nothing was observed.
        scale: how pixels stand for them.
        name: str. What the warning calls the numbers.

    Returns:
        float32 in [0, 1] of the same shape; NaN where nothing was observed.

    Raises:
        ValueError: if a value is infinite.
    """
    coder = Coder(scale, name)
    pixels = coder(values)
    coder.report()
    return pixels


RATE_UNITS = "mm/h"
_DEPTHS = {
    **dict.fromkeys(("mm", "kg m-2", "kg/m2", "l m-2", "l/m2"), 1.0),
    **dict.fromkeys(("millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("in", "inch", "inches"), 25.4),
}
"""Millimetres of water. A kilogram, or a litre, is 1 mm high on a square metre. Metres are left out: m/s is of wind."""
_HOURS = {
    **dict.fromkeys(("s", "sec", "second"), 1 / 3600),
    **dict.fromkeys(("min", "minute"), 1 / 60),
    **dict.fromkeys(("h", "hr", "hour"), 1.0),
    **dict.fromkeys(("d", "day"), 24.0),
}
_RATE = re.compile(
    rf"(?P<number>[0-9.]+(?:e-?[0-9]+)? )?(?P<depth>{'|'.join(_DEPTHS)}) ?"
    rf"(?:(?:/|per) ?(?P<count>[0-9]+)? ?(?P<time>{'|'.join(_HOURS)})s?|(?P<inverse>{'|'.join(_HOURS)})-?1)"
)


def rate_factor(units: str | None) -> float | None:
    """Returns how many mm/h one of these units is, such as 3600 of "kg m-2 s-1"; None if it is no rate of rain."""
    plain = re.sub(
        r"\.(?![0-9])", " ", (units or "").lower().replace("**", "").replace("^", "").replace("*", " ")
    )
    match = _RATE.fullmatch(" ".join(plain.split()))
    if match is None:
        return None
    hours = _HOURS[match["time"] or match["inverse"]] * int(match["count"] or 1)
    if not hours:
        return None
    return float(match["number"] or 1) * _DEPTHS[match["depth"]] / hours


def scale_of_units(units: str | None) -> Scale | None:
    """Returns the scale of numbers in these units: that of the German radar for rates of rain in mm/h; else None."""
    return RAIN_SCALES["dwd"] if rate_factor(units) == 1 else None


def units_factor(units: str | None, of_scale: str, name: str) -> float:
    """Returns what numbers in some units are multiplied by for a scale in others: 1 but for rates of rain.

    A warning says which rates are read as mm/h, and of other quantities that the units differ.

    Args:
        units: those of the numbers; None where nobody knows them.
        of_scale: units of the scale; "" for numbers without.
        name: str. What warnings and the error call the numbers.

    Raises:
        ValueError: if the scale is one of rain, and the numbers are something else.
    """
    if not of_scale or not units or _plain(of_scale) == _plain(units):
        return 1.0
    factor = rate_factor(units)
    if rate_factor(of_scale) != 1:
        warnings.warn(f"{name} has numbers in {units}, which are read as {of_scale}", stacklevel=3)
        return 1.0
    if factor is None:
        raise ValueError(
            f"{name} must hold rates of rain, as the scale is in {of_scale}: divide a depth by the hours that it is "
            "summed over, and bring a reflectivity to rates by its Z-R relation. A scale without units (`--range "
            f"LOW:HIGH`) takes numbers as they stand. Received: units {units}"
        )
    if factor != 1:
        warnings.warn(f"{name}: rates in {units} are read as mm/h, times {factor:g}", stacklevel=3)
    return factor


def _plain(units: str) -> str:
    return "".join(units.split()).casefold()


def scale_of_values(low: float, high: float, units: str) -> LinearScale:
    """Returns the linear scale whose ends are the least and the largest of some values.

    Raises:
        ValueError: if there are no two different values.
    """
    if not low < high:
        raise ValueError(
            f"`range` must be given where the values do not differ. Received: values from {low} to {high}"
        )
    return LinearScale(float(low), float(high), units)
