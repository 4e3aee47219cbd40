"""What a radar map says of itself, and its values as rain rates."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from mslstm_keras.radar.grids import Grid

WHOLE_FILE = "A radar map must be whole and of its format."

HIGHEST_RATE = 492.0
"""mm/h. It is what 12 bits of 0.01 mm in 5 min hold; more is hail or clutter, not rain."""

MARSHALL_PALMER = (200.0, 1.6)
"""a and b of Z = a R^b, for stratiform rain (Marshall, Hitschfeld & Gunn 1955)."""

NO_ECHO = -32.0
"""dBZ. Services code a pixel without echo as the lowest reflectivity that 8 bits of 0.5 dBZ can say."""

MOST_PIXELS = 2**26
"""Of a map: 256 MiB as float32. The largest that is given away has 36 million."""

LICENCES = {
    "DWD": "CC BY 4.0, Deutscher Wetterdienst",
    "EUMETNET OPERA": "CC BY 4.0, EUMETNET OPERA",
    "FMI": "CC BY 4.0, Finnish Meteorological Institute",
    "KNMI": "CC BY 4.0, KNMI",
    "NOAA": "public domain, NOAA",
}
"""Service -> licence of its open data, where it is known."""

RATE, DEPTH, REFLECTIVITY = "rain rate", "rain depth", "reflectivity"


@dataclass(frozen=True)
class RadarMap:
    """What a file says of its map.

    Attributes:
        service: who made it.
        product: which of the service's products it is.
        quantity: `RATE` (mm/h), `DEPTH` (mm) or `REFLECTIVITY` (dBZ).
        time: datetime64[s], UTC: when the rain fell; the end of the time that a depth is summed over.
        grid: where the pixels are.
        minutes: time that a depth is summed over; None for other quantities.
        z_r: (a, b) of Z = a R^b, where the file gives them.
        issued: datetime64[s] at which a nowcast was made; None for what was observed.
        licence: "" where it is not known.
        code: what its format calls the quantity, such as DBZH, where it has a name for it.
        beside: other such quantities of rain in the same file, of which this one was taken.
    """

    service: str
    product: str
    quantity: str
    time: np.datetime64
    grid: Grid
    minutes: float | None = None
    z_r: tuple[float, float] | None = None
    issued: np.datetime64 | None = None
    licence: str = ""
    code: str = ""
    beside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.quantity == DEPTH and not (self.minutes and 0 < self.minutes < math.inf):
            raise ValueError("must say over how many minutes its rain is summed")
        if self.z_r and not all(0 < number < math.inf for number in self.z_r):
            raise ValueError(f"its relation Z = a R^b must have finite a, b > 0, has {self.z_r}")

    def difference(self, other: "RadarMap") -> str:
        """Returns in which way two maps cannot stand in one sequence; "" if they can."""
        for name in ("service", "product", "quantity", "code", "minutes", "z_r"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                label = {
                    "code": "quantity",
                    "minutes": "time that rain is summed over",
                    "z_r": "Z-R relation",
                }.get(name, name)
                return f"{label}: {ours} and {theirs}"
        if not self.grid.is_like(other.grid):
            if self.grid.shape == other.grid.shape and str(self.grid) == str(other.grid):
                return f"projection: {self.grid.projection} and {other.grid.projection}"
            return f"grid: {self.grid} and {other.grid}"
        return ""

    def with_relation(self, z_r: tuple[float, float]) -> "RadarMap":
        """Returns the map with a Z-R relation, where it needs one and its file gives none."""
        return self if self.z_r or self.quantity != REFLECTIVITY else dataclasses.replace(self, z_r=z_r)

    def rain_rate(self, values: np.ndarray) -> tuple[np.ndarray, int]:
        """Returns the rain rates of the map's values.

            R = values                                  of rates
            R = 60 values / minutes                     of depths
            R = (10^(values / 10) / a)^(1 / b)          of reflectivities; 0 at `NO_ECHO` and below

        Args:
            values: floats of the map's quantity; NaN where nothing was observed. Negative rates and depths are
                codes of missing values, too.

        Returns:
            (rate, clipped): float32 mm/h in [0, `HIGHEST_RATE`], NaN where not observed, and how many pixels
            were above that.
        """
        if self.quantity == REFLECTIVITY:
            a, b = self.z_r or MARSHALL_PALMER
            rate = np.where(np.isnan(values), np.float32(np.nan), np.float32(0))
            echo = values > NO_ECHO  # most pixels have none, and powers take long
            with np.errstate(over="ignore"):
                rate[echo] = 10.0 ** ((values[echo] - 10 * math.log10(a)) / (10 * b))
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                rate = values.astype(np.float32)
                if self.quantity == DEPTH and self.minutes:
                    rate *= np.float32(60 / self.minutes)
            rate[rate < 0] = np.nan
            rate += np.float32(0)  # no minus zero
        high = rate > HIGHEST_RATE
        clipped = int(np.count_nonzero(high))
        if clipped:
            rate[high] = HIGHEST_RATE
        return rate, clipped


def check_no_data(raw: np.ndarray) -> None:
    """Makes sure that the pixels of a file that says no code of missing values hold none that is one elsewhere.

    Raises:
        ValueError: if they are whole numbers, and the highest that their type can hold is among them.
    """
    if raw.dtype.kind in "iu" and (raw == np.iinfo(raw.dtype).max).any():
        raise ValueError(
            f"must say which number is not observed, says none and has pixels of {np.iinfo(raw.dtype).max}"
        )


def check_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns (height, width), once it is known that a map of that shape can be read.

    Raises:
        ValueError: if there are not two sides, or too many pixels.
    """
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"must have rows and columns, has shape {tuple(shape)}")
    if math.prod(shape) > MOST_PIXELS:
        raise ValueError(f"must have at most {MOST_PIXELS} pixels, has shape {tuple(shape)}")
    return int(shape[0]), int(shape[1])
