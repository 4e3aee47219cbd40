"""Grids of radar maps: places of the pixels and their projection, as CF conventions write them."""

import functools
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mslstm_keras.importing import needed

if TYPE_CHECKING:
    import rasterio
    import xarray

_DEGREE = 111_195.0  # metres of a meridian, on a sphere of 6371 km
_TOLERANCE = 0.01  # of a pixel, between grids that are one: services round the corners that they state


@dataclass(frozen=True)
class Grid:
    """Regular grid of a map, whose first row is the northern one.

    Attributes:
        projection: what `pyproj.CRS` takes: a PROJ string or WKT. Its unit of length is the metre. Empty where the map
            does not say where it is.
        shape: (height, width) in pixels.
        left: x of the western edge, metres, or degrees east where the projection is geographic.
        top: y of the northern edge, metres, or degrees north.
        dx: width of a pixel, > 0.
        dy: height of a pixel, > 0.

    Raises:
        ValueError: if the projection is none, or in another unit.
    """

    projection: str
    shape: tuple[int, int]
    left: float
    top: float
    dx: float
    dy: float

    def __post_init__(self) -> None:
        if not self.projection:
            return
        # Here, where it is known which file says it.
        units = {axis.unit_name for axis in _crs(self.projection).axis_info}
        if not self.geographic and units != {"metre"}:
            raise ValueError(f"must be in a projection in metres, is in one in {', '.join(sorted(units))}")

    @classmethod
    def between(
        cls, projection: str, shape: tuple[int, int], *, west: float, south: float, east: float, north: float
    ) -> "Grid":
        """Returns the grid of `shape` pixels between four edges.

        Raises:
            ValueError: if it is no grid.
        """
        height, width = shape
        if not (height > 0 and width > 0 and west < east and south < north and np.isfinite(north - south)):
            raise ValueError(f"no grid: {height} x {width} pixels from {west}, {south} to {east}, {north}")
        return cls(projection, (height, width), west, north, (east - west) / width, (north - south) / height)

    @classmethod
    def of_raster(cls, file: "rasterio.io.DatasetReader") -> "Grid":
        """Returns the grid of a file that rasterio has opened.

        Raises:
            ValueError: if it does not say its projection, its northern row is not the first, or it is turned.
        """
        step = file.transform
        if file.crs is None or step.b or step.d or not step.e < 0 < step.a:
            raise ValueError("must be on a grid with its northern row first, and say its projection")
        west, south, east, north = file.bounds
        return cls.between(file.crs.to_wkt(), file.shape, west=west, south=south, east=east, north=north)

    @classmethod
    def unplaced(cls, shape: tuple[int, int]) -> "Grid":
        """Returns the grid of a map that does not say where it is: its pixels by their numbers."""
        return cls("", shape, -0.5, shape[0] - 0.5, 1.0, 1.0)

    @property
    def x(self) -> np.ndarray:
        """Centres of the columns, from west to east."""
        return self.left + (np.arange(self.shape[1]) + 0.5) * self.dx

    @property
    def y(self) -> np.ndarray:
        """Centres of the rows, from north to south."""
        return self.top - (np.arange(self.shape[0]) + 0.5) * self.dy

    @property
    def geographic(self) -> bool:
        """Whether x and y are longitude and latitude."""
        return bool(self.projection) and _crs(self.projection).is_geographic

    @property
    def spacing(self) -> float | None:
        """Metres from one pixel to the next, see `ground_spacing`; None where the map does not say where it is."""
        if not self.projection:
            return None
        latitude = self.top - self.shape[0] * self.dy / 2 if self.geographic else None
        return _side(*_on_ground(self.dy, self.dx, latitude))

    def __str__(self) -> str:
        height, width = self.shape
        if not self.projection:
            return f"{height} x {width} pixels, nobody says where"
        unit = " degrees" if self.geographic else " m"
        return f"{height} x {width} pixels of {self.dx:g}{unit} from ({self.left:g}, {self.top:g})"

    def is_like(self, other: "Grid") -> bool:
        """Whether two grids are the same but for rounding."""
        if self.shape != other.shape or bool(self.projection) != bool(other.projection):
            return False
        if self.projection != other.projection and _crs(self.projection) != _crs(other.projection):
            return False
        ours = np.array(
            [self.left, self.top, self.left + self.dx * self.shape[1], self.top - self.dy * self.shape[0]]
        )
        theirs = (
            other.left,
            other.top,
            other.left + other.dx * other.shape[1],
            other.top - other.dy * other.shape[0],
        )
        return bool(np.all(np.abs(ours - theirs) <= _TOLERANCE * min(self.dx, self.dy)))

    def coordinates(self) -> dict[str, Any]:
        """Returns x, y and the grid mapping `spatial_ref`, if there is one, as coordinates of an `xarray.Dataset`."""
        if not self.projection:
            return {
                axis: (
                    axis,
                    places,
                    {"long_name": f"number of the {name}", "units": "1", "axis": axis.upper()},
                )
                for axis, name, places in (("x", "column", self.x), ("y", "row, from the south", self.y))
            }
        if self.geographic:
            kinds = {
                axis: {
                    "standard_name": name,
                    "long_name": name,
                    "units": f"degrees_{side}",
                    "axis": axis.upper(),
                }
                for axis, name, side in (("x", "longitude", "east"), ("y", "latitude", "north"))
            }
        else:
            kinds = {
                axis: {
                    "standard_name": f"projection_{axis}_coordinate",
                    "long_name": f"{axis} coordinate of projection",
                    "units": "m",
                    "axis": axis.upper(),
                }
                for axis in "xy"
            }
        return {
            "x": ("x", self.x, kinds["x"]),
            "y": ("y", self.y, kinds["y"]),
            "spatial_ref": ((), np.int32(0), self._mapping()),
        }

    def _mapping(self) -> dict[str, Any]:
        with warnings.catch_warnings():
            # That CF has no word for a parameter of a projection, the Swiss one; `crs_wkt` has them all.
            warnings.filterwarnings("ignore", message=".* lost in conversion to CF")
            return _crs(self.projection).to_cf()


def pixel_steps(maps: "xarray.Dataset | xarray.DataArray") -> tuple[float, float] | None:
    """Returns how far it is from a pixel to the next along `y` and along `x`, < 0 where they fall.

    The pixels of a single row or column are taken for squares. None where places are missing, not evenly spaced, or
    of a single pixel.
    """
    steps: dict[str, float] = {}
    for axis in ("y", "x"):
        if axis not in maps.coords:
            return None
        centres = maps[axis].values.astype("float64")
        if len(centres) < 2:
            continue
        step = float(centres[-1] - centres[0]) / (len(centres) - 1)
        if step == 0 or not np.all(np.abs(np.diff(centres) - step) <= _TOLERANCE * abs(step)):
            return None
        steps[axis] = step
    if not steps:
        return None
    alone = abs(next(iter(steps.values())))
    return steps.get("y", -alone), steps.get("x", alone)


def ground_steps(maps: "xarray.Dataset | xarray.DataArray") -> tuple[float, float] | None:
    """Returns how many metres it is from a pixel to the next along `y` and along `x`.

    None where maps do not say where they are. On a grid in degrees it is that at its mean latitude. Metres are those of
    the projection.

    Args:
        maps: with `x` and `y`, in metres or in degrees east and north, as `mslstm_keras.read_radar` returns them.
    """
    steps = pixel_steps(maps)
    units = [maps[axis].attrs.get("units") for axis in "yx"] if steps else []
    if steps and units == ["m", "m"]:
        return _on_ground(*steps, None)
    if steps and units == ["degrees_north", "degrees_east"]:
        return _on_ground(*steps, float(maps.y.mean()))
    return None


def ground_spacing(maps: "xarray.Dataset | xarray.DataArray") -> float | None:
    """Returns how many metres it is from one pixel to the next, see `ground_steps`.

    Of pixels that are no squares it is the side of a square of as much area.
    """
    steps = ground_steps(maps)
    return steps and _side(*steps)


def _on_ground(dy, dx, latitude):
    if latitude is None:
        return abs(dy), abs(dx)
    return abs(dy) * _DEGREE, abs(dx) * _DEGREE * math.cos(math.radians(latitude))


def _side(dy, dx):
    return round(math.sqrt(dy * dx), 1)  # services round the corners that they state


@functools.lru_cache(maxsize=64)
def _crs(projection: str) -> Any:
    with needed("The projection of a radar map", "radar"):
        import pyproj
    try:
        return pyproj.CRS.from_user_input(projection)
    except pyproj.exceptions.CRSError as error:
        raise ValueError(f"must be in a projection that PROJ knows, {projection!r} is none") from error


def projected(projection: str, longitude: float, latitude: float) -> tuple[float, float]:
    """Returns the x and y of a place, in the unit of the projection.

    Raises:
        ValueError: if the place cannot be projected.
    """
    with needed("The projection of a radar map", "radar"):
        import pyproj
    if _crs(projection).is_geographic:
        return longitude, latitude
    x, y = pyproj.Proj(projection)(longitude, latitude)
    if not (np.isfinite(x) and np.isfinite(y)):
        raise ValueError(f"longitude {longitude}, latitude {latitude} lie outside of {projection}")
    return x, y
