"""Coasts and borders of states on the grid of a map, from Natural Earth by way of cartopy."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyproj
    import xarray

RESOLUTION = "50m"  # 1 : 50 million; the finest, 10m, shows no more on a map of a country
LAYERS = (("physical", "coastline"), ("cultural", "admin_0_boundary_lines_land"))
STEP = 0.25  # degrees between points at most, as straight lines on a globe are not straight on a map
MARGIN = 1.0  # degrees around the map, more than `STEP`
TOLERANCE = 0.2  # of a pixel


def coast_lines(maps: "xarray.DataArray") -> list[np.ndarray]:
    """Returns the coasts and borders on a map, from Natural Earth at 1 : 50 million.

    They are there where cartopy is installed and has Natural Earth's files at hand: none is fetched.

    Args:
        maps: has the axes y and x, the centres of pixels in metres and `spatial_ref` or another grid mapping of the CF
            conventions, or longitude and latitude in degrees.

    Returns:
        Lines (points, 2) within the map: x to the right and y down from its upper left corner, in pixels. None where
        cartopy is not installed or the map does not say where it is. Where files are missing or damaged, a warning
        says so.

    Reference: Natural Earth, public domain, naturalearthdata.com.
    """
    try:
        import cartopy.io.shapereader  # noqa: F401
        import shapely
    except ImportError:
        return []
    from pyproj import Transformer

    crs = _projection(maps)
    if crs is None or min(maps.shape[-2:]) < 2:
        return []
    geometries = [geometry for path in _files() for geometry in _read(path)]
    if not geometries:
        return []
    height, width = maps.shape[-2:]
    left, right, top, bottom = (float(maps[axis][place]) for axis in ("x", "y") for place in (0, -1))
    step_x, step_y = (right - left) / (width - 1), (bottom - top) / (height - 1)
    to_map = Transformer.from_crs("EPSG:4326", crs, always_xy=True)

    across, down = np.meshgrid(np.linspace(0, width, 65), np.linspace(0, height, 65))
    places = to_map.transform(
        left + (across - 0.5) * step_x, top + (down - 0.5) * step_y, direction="INVERSE"
    )
    east, north = (place[np.isfinite(place)] for place in places)
    if not east.size:
        return []
    middle = np.degrees(np.angle(np.exp(1j * np.radians(east)).mean()))
    east = _turned(east - middle)

    lines = shapely.segmentize(shapely.get_parts(geometries), STEP)
    points, numbers = shapely.get_coordinates(lines, return_index=True)
    turned = _turned(points[:, 0] - middle)
    near = (np.abs(turned - (east.min() + east.max()) / 2) < np.ptp(east) / 2 + MARGIN) & (
        np.abs(points[:, 1] - (north.min() + north.max()) / 2) < np.ptp(north) / 2 + MARGIN
    )
    x, y = to_map.transform(np.where(near, middle + turned, np.nan), np.where(near, points[:, 1], np.nan))
    if crs.is_geographic:  # 190 degrees east are 170 west
        x = (left + right) / 2 + _turned(x - (left + right) / 2)
    pixels = np.stack([(x - left) / step_x + 0.5, (y - top) / step_y + 0.5], axis=-1)
    there = np.isfinite(pixels).all(-1)
    # A line ends where the next one begins, behind the last point that is near, and where the globe is cut open.
    joined = there[:-1] & there[1:] & (numbers[:-1] == numbers[1:]) & (np.abs(np.diff(turned)) < 180)
    runs = np.split(pixels, np.flatnonzero(~joined) + 1)
    whole = [shapely.linestrings(run) for run in runs if len(run) > 1]
    cut = shapely.get_parts([shapely.clip_by_rect(line, 0, 0, width, height) for line in whole])
    return [
        shapely.get_coordinates(line)
        for line in shapely.simplify(cut, TOLERANCE)
        if shapely.get_type_id(line) == shapely.GeometryType.LINESTRING and not line.is_empty
    ]


def _projection(maps: "xarray.DataArray") -> "pyproj.CRS | None":
    """Returns the projection of a map, None where nobody says."""
    from pyproj import CRS

    if not {"x", "y"} <= {*maps.coords}:
        return None
    mapping = maps.coords.get(maps.attrs.get("grid_mapping", "spatial_ref"))
    units = maps.x.attrs.get("units")
    if mapping is not None and {"crs_wkt", "grid_mapping_name"} & {*mapping.attrs} and units == "m":
        return CRS.from_cf(mapping.attrs)
    return CRS("EPSG:4326") if units == "degrees_east" else None


def _files() -> list[Path]:
    """Returns those of Natural Earth's files that are on the disk where cartopy looks for them."""
    from cartopy import config
    from cartopy.io import Downloader

    found, missing = [], []
    for category, name in LAYERS:
        facts = {"config": config, "resolution": RESOLUTION, "category": category, "name": name}
        kept = Downloader.from_config(("shapefiles", "natural_earth", RESOLUTION, category, name))
        paths = [kept.pre_downloaded_path(facts), kept.target_path(facts)]
        at_hand = [path for path in paths if path is not None and path.exists()]
        found += at_hand[:1]
        missing += [] if at_hand else [(RESOLUTION, category, name)]
    if missing:
        fetched = "; ".join(f"get{layer}" for layer in missing)
        warnings.warn(
            "maps are drawn without some or all coasts and borders, as cartopy has no files of them yet. With a "
            f'network: python -c "from cartopy.io.shapereader import natural_earth as get; {fetched}"',
            stacklevel=4,
        )
    return found


def _read(path: Path) -> list[Any]:
    """Returns the geometries of a file; none of one that is damaged, which a warning says."""
    from cartopy.io.shapereader import Reader

    try:
        return [geometry for geometry in Reader(path).geometries() if geometry is not None]
    except Exception as error:  # whatever the reader that cartopy has found raises
        reason = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(
            f"maps are drawn without the lines of {path}, which is damaged or cut off ({reason}): remove it and fetch "
            "it anew",
            stacklevel=5,
        )
        return []


def _turned(degrees: np.ndarray) -> np.ndarray:
    """Returns angles in [-180, 180)."""
    return (degrees + 180) % 360 - 180
