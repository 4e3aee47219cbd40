"""Rain rates as pixels: how radar sets code mm/h in values of [0, 1]."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

QUANTITY = "rain rate"
"""What data sets of rain call what they hold."""


@dataclass(frozen=True)
class RainScale:
    """Code of rain rates by the logarithm of reflectivity.

        Z   = a R^b                                             R in mm/h, Z in mm^6 m^-3
        dBZ = 10 log10 Z
        p   = (dBZ - lowest) / (highest - lowest)               clipped to [0, 1] where `clipped`

    Attributes:
        log_a: 10 log10 a, dBZ of a rate of 1 mm/h.
        b: float.
        lowest: dBZ of pixel 0.
        highest: dBZ of pixel 1.
        clipped: bool. Rates beyond both ends have their pixel; otherwise no rain at all is minus infinity.
    """

    log_a: float
    b: float
    lowest: float
    highest: float
    clipped: bool = True
    units: ClassVar[str] = "mm/h"

    def __str__(self) -> str:
        return next(f"rain:{name}" for name, scale in RAIN_SCALES.items() if scale == self)

    @property
    def ends(self) -> tuple[float, float]:
        """Rates in mm/h between which pixels differ: none at all, and that of pixel 1."""
        return 0.0, float(self.to_rate(np.ones(())))

    def to_pixel(self, rate: np.ndarray) -> np.ndarray:
        """Returns the pixels of rain rates in mm/h; NaN stays NaN."""
        with np.errstate(divide="ignore"):
            dbz = self.log_a + 10 * self.b * np.log10(rate)
        pixel = (dbz - self.lowest) / (self.highest - self.lowest)
        return np.clip(pixel, 0, 1) if self.clipped else pixel

    def to_rate(self, pixel: np.ndarray) -> np.ndarray:
        """Returns the rain rates, mm/h, of pixels; pixel 0 is that of `lowest`, not of no rain."""
        dbz = np.asarray(pixel) * (self.highest - self.lowest) + self.lowest
        return 10 ** ((dbz - self.log_a) / (10 * self.b))

    def to_value(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the rain rates, mm/h, of pixels of a forecast: pixel 0 is no rain; NaN stays NaN."""
        pixels = np.asarray(pixels)
        return np.where(pixels <= 0, np.zeros((), pixels.dtype), self.to_rate(pixels))


def _z_r(a, b, lowest, highest):
    return RainScale(10 * np.log10(a).item(), b, lowest, highest)


RAIN_SCALES = {
    "dwd": _z_r(256, 1.42, -10, 60),
    "hko": RainScale(10 * np.log10(58.53).item(), 1.56, -10, 60, clipped=False),
    "meteonet": _z_r(200, 1.6, 0, 70),
    "rainf": _z_r(200, 1.6, 0, 70),
    "brasil": _z_r(300, 1.4, 0, 60),
}
"""Radar set -> its code: German Weather Service, Hong Kong Observatory, MeteoNet, RAIN-F, Brazil."""
