"""Maps of MRMS (GRIB2) of NOAA, of the United States.

They are decoded here by pygrib, as pysteps (1.21) does it, but for this: pysteps knows -3 as missing and takes -1 for a
rain rate, and takes five times as long.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mslstm_keras.frames.checks import MOST_PER_BYTE
from mslstm_keras.radar.grids import Grid
from mslstm_keras.radar.maps import LICENCES, RATE, RadarMap, check_shape
from mslstm_keras.radar.packages import needed

_RAIN_RATE = (209, 6, 1)  # MRMS's own discipline, category and number


def is_grib(start: bytes) -> bool:
    """Whether a file that starts like this is GRIB."""
    return start[:4] == b"GRIB"


def read_mrms(path: Path, *, pixels: bool) -> tuple[RadarMap, np.ndarray | None]:
    """Reads the product PrecipRate, at every point of its grid.

    Args:
        path: unpacked file.
        pixels: whether to read its values; otherwise only what it says of itself.

    Returns:
        What the map says of itself, and its values, NaN where not observed.

    Raises:
        ValueError: if it is another product.

    Reference: Zhang et al., "Multi-Radar Multi-Sensor (MRMS) quantitative precipitation estimation", BAMS 97 (2016).
    """
    with needed("a GRIB map"):
        import pygrib
    with path.open("rb") as file:
        _check_length(file.read(16), path.stat().st_size)
    with _quiet_eccodes(), contextlib.closing(pygrib.open(str(path))) as file:
        message = file.message(1)
        kind = tuple(message[name] for name in ("discipline", "parameterCategory", "parameterNumber"))
        if kind != _RAIN_RATE:
            raise ValueError(f"must be MRMS's PrecipRate, parameter {_RAIN_RATE}, is {kind}")
        shape = check_shape((message["Nj"], message["Ni"]))
        if shape[0] * shape[1] > MOST_PER_BYTE * path.stat().st_size:
            raise ValueError(f"must hold {shape[0]} x {shape[1]} values, has {path.stat().st_size} bytes")
        found = RadarMap(
            service="NOAA",
            product="MRMS PrecipRate",
            quantity=RATE,
            time=_time(message),
            grid=_grid(message, shape),
            licence=LICENCES["NOAA"],
        )
        if not pixels:
            return found, None
        values = np.ma.filled(message.values, np.nan)
        if values.shape != shape:
            raise ValueError(f"must hold {shape[0]} x {shape[1]} values, holds {values.shape}")
    return found, values[::-1] if message["jScansPositively"] else values


@contextlib.contextmanager
def _quiet_eccodes() -> Iterator[None]:
    """Keeps back what the C library writes of a damaged file, as its error says the same."""
    yield


def _check_length(start: bytes, size: int) -> None:
    stated = int.from_bytes(start[8:16], "big")
    if start[7:8] != b"\x02" or stated > size:
        raise ValueError(f"must be GRIB of edition 2 and of {stated} bytes, has {size}")


def _time(message: Any) -> np.datetime64:
    return np.datetime64(
        f"{message['year']:04}-{message['month']:02}-{message['day']:02}"
        f"T{message['hour']:02}:{message['minute']:02}:{message['second']:02}",
        "s",
    )


def _grid(message: Any, shape: tuple[int, int]) -> Grid:
    if message["gridType"] != "regular_ll":
        raise ValueError(f"must be on a regular grid of longitude and latitude, is {message['gridType']}")
    first, last = message["longitudeOfFirstGridPointInDegrees"], message["longitudeOfLastGridPointInDegrees"]
    north, south = sorted(
        (message["latitudeOfFirstGridPointInDegrees"], message["latitudeOfLastGridPointInDegrees"]), reverse=True
    )
    dx, dy = message["iDirectionIncrementInDegrees"], message["jDirectionIncrementInDegrees"]
    if abs(last - first - dx * (shape[1] - 1)) > dx / 2 or abs(north - south - dy * (shape[0] - 1)) > dy / 2:
        raise ValueError(f"must have a grid of {shape} points between its corners")
    first = (first + 180) % 360 - 180
    parameters = message.projparams
    projection = f"+proj=longlat +a={parameters['a']} +b={parameters['b']} +no_defs"
    return Grid(projection, shape, first - dx / 2, north + dy / 2, dx, dy)
