"""Maps in the RADOLAN format of DWD, of Germany: binary composites and their ASCII grids.

Binary files are decoded by wradlib. pysteps (1.21) guesses the length of the header, and subtracts 0.01 mm from RY, RW
and YW. ASCII grids are read by rasterio, as wradlib takes a hundred times as long.
"""

import functools
import re
from pathlib import Path

import numpy as np

from mslstm_keras.importing import needed
from mslstm_keras.radar.grids import Grid
from mslstm_keras.radar.maps import DEPTH, LICENCES, REFLECTIVITY, RadarMap, check_shape

_LONGEST_HEADER = 1024  # bytes; real ones have up to 400
_REFLECTIVITY = {"RX": 1, "EX": 1, "WX": 1, "WN": 2}  # bytes of a pixel
_DEPTH = (
    *("RY", "RZ", "RW", "RH", "RB", "RL", "RU", "EH", "EB", "EW", "EY", "EZ", "YW", "RV", "RQ", "RS"),
    *("SQ", "SH", "SF", "W1", "W2", "W3", "W4"),
)
_NAMED = {"RY": 5, "YW": 5, "RW": 60, "RH": 60, "RB": 60, "SF": 1440}  # minutes, of grids that say nothing
_CLUTTER = 249  # of the products of 8 bits


def is_radolan(start: bytes) -> bool:
    """Whether a file that starts like this is a RADOLAN composite."""
    return re.match(rb"[A-Z%][A-Z0-9]\d{6}\d{5}\d{4}BY", start) is not None


def read_radolan(path: Path, *, pixels: bool) -> tuple[RadarMap, np.ndarray | None]:
    """Reads a binary composite; see `formats.Reader`. Files have the southern row first; here it is the northern one.

    Pixels with the clutter bit keep their value, as in wradlib; those with the clutter code of the products of 8
    bits have none.

    Raises:
        ValueError: if its header disagrees with its size, too.

    Reference: Deutscher Wetterdienst, RADOLAN/RADVOR composite format; Heistermann, Jacobi & Pfaff, "An open
    source library for processing weather radar data (wradlib)", HESS 17 (2013).
    """
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    # Before the header is parsed, as local products have other headers.
    product, radar = start[:2].decode("ascii"), start[8:13].decode("ascii")
    if product not in (*_REFLECTIVITY, *_DEPTH):
        raise ValueError(f"must be a product of rain or reflectivity, is {product}")
    if radar != "10000":
        raise ValueError(f"must be a composite, radar 10000, is of radar {radar}")
    with needed("A RADOLAN composite", "radar"):
        from wradlib.io.radolan import parse_dwd_composite_header, read_radolan_composite
    stop = start.find(b"\x03")
    if stop < 0:
        raise ValueError(f"no end of header within {_LONGEST_HEADER} bytes")
    header = parse_dwd_composite_header(start[:stop].decode("ascii"))
    shape = check_shape((header["nrow"], header["ncol"]))
    size = shape[0] * shape[1] * _REFLECTIVITY.get(product, 2)
    body = path.stat().st_size - stop - 1
    if not size == header["datasize"] == body:
        raise ValueError(f"header must be followed by {size} bytes, says {header['datasize']}, has {body}")
    if not 0 < header.get("precision", 0) <= 1:
        raise ValueError(f"header must say a precision in (0, 1], says {header.get('precision')}")
    found = RadarMap(
        service="DWD",
        product=f"RADKLIM {product} {header['reanalysisversion']}"
        if "reanalysisversion" in header
        else f"RADOLAN {product}",
        quantity=REFLECTIVITY if product in _REFLECTIVITY else DEPTH,
        time=np.datetime64(header["datetime"].replace(tzinfo=None), "s")
        + np.timedelta64(header.get("predictiontime", 0), "m"),
        grid=_grid(shape, header.get("formatversion", 3)),
        minutes=None if product in _REFLECTIVITY else header["intervalseconds"] / 60,
        issued=np.datetime64(header["datetime"].replace(tzinfo=None), "s")
        if "predictiontime" in header
        else None,
        licence=LICENCES["DWD"],
    )
    if not pixels:
        return found, None
    values, _ = read_radolan_composite(str(path), missing=np.nan)
    values = values.astype(np.float64, copy=False).reshape(shape)
    if product in _REFLECTIVITY:
        if _REFLECTIVITY[product] == 1:
            values[values >= _CLUTTER] = np.nan
        values = values / 2 - 32.5
    return found, values[::-1]


def is_ascii_grid(start: bytes) -> bool:
    """Whether a file that starts like this is an ASCII grid."""
    return re.match(rb"ncols\s+\d+\s+nrows\s+\d+\s", start) is not None


def read_ascii_grid(path: Path, *, pixels: bool) -> tuple[RadarMap, np.ndarray | None]:
    """Reads a RADOLAN map as an ASCII grid of tenths of a millimetre; see `formats.Reader`.

    The name of the file alone, such as `RW_20221018-0050.asc`, tells product and time.
    """
    named = re.search(r"(?<![A-Z])([A-Z]{2})_(\d{4})(\d{2})(\d{2})-(\d{2})(\d{2})", path.name)
    if not named or named[1] not in _NAMED:
        raise ValueError(f"an ASCII grid must be named as DWD does, RW_20221018-0050.asc, is {path.name}")
    with needed("An ASCII grid", "radar"):
        import rasterio
        import wradlib  # noqa: F401, for its grids
    with rasterio.open(path, driver="AAIGrid") as file:
        shape = check_shape(file.shape)
        if path.stat().st_size < 2 * shape[0] * shape[1]:
            raise ValueError(f"must hold {shape[0]} x {shape[1]} numbers, has {path.stat().st_size} bytes")
        if file.nodata != -1:
            raise ValueError(
                f"must mark missing values by -1, as tenths of a millimetre do, has {file.nodata}"
            )
        grid = _grid(shape, 3)
        if abs(file.transform.c - grid.left) > grid.dx or abs(file.transform.f - grid.top) > grid.dy:
            raise ValueError(
                f"must lie on DWD's grid, {grid}, is at {file.transform.c:g}, {file.transform.f:g}"
            )
        found = RadarMap(
            service="DWD",
            product=f"RADOLAN {named[1]}",
            quantity=DEPTH,
            time=np.datetime64(f"{named[2]}-{named[3]}-{named[4]}T{named[5]}:{named[6]}", "s"),
            grid=grid,
            minutes=_NAMED[named[1]],
            licence=LICENCES["DWD"],
        )
        if not pixels:
            return found, None
        raw = file.read(1)
    if (raw % 1).any():
        raise ValueError("must hold tenths of a millimetre, which are whole numbers, holds fractions")
    return found, np.where(raw == -1, np.nan, raw / 10.0)


@functools.lru_cache(maxsize=16)
def _grid(shape: tuple[int, int], version: int) -> Grid:
    from wradlib.georef import create_crs, get_radolan_coordinates

    # As wradlib tells the earth of a file by the version of its format.
    crs = create_crs("dwd-radolan-wgs84" if version >= 5 else "dwd-radolan-sphere")
    x, y = get_radolan_coordinates(*shape, crs=crs, mode="center")
    dx, dy = x[1] - x[0], y[1] - y[0]
    return Grid(crs.to_wkt(), shape, float(x[0] - dx / 2), float(y[-1] + dy / 2), float(dx), float(dy))
