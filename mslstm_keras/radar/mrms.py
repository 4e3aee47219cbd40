"""Maps of MRMS (GRIB2) of NOAA, of the United States.

They are decoded by rasterio. pysteps (1.21) takes -1, one of the codes of missing values, for a rain rate, and the
library below it ends the process where a byte of the header is damaged.
"""

from pathlib import Path

import numpy as np

from mslstm_keras.frames.checks import MOST_PER_BYTE
from mslstm_keras.radar.grids import Grid
from mslstm_keras.radar.maps import LICENCES, RATE, RadarMap, check_shape
from mslstm_keras.radar.packages import needed

_RAIN_RATE = ("209", "6", "1")  # MRMS's own discipline, category and number


def is_grib(start: bytes) -> bool:
    """Whether a file that starts like this is GRIB."""
    return start[:4] == b"GRIB"


def read_mrms(path: Path, *, pixels: bool) -> tuple[RadarMap, np.ndarray | None]:
    """Reads the product PrecipRate, at every point of its grid.

    Args:
        path: unpacked file.
        pixels: whether to read its values; otherwise only what it says of itself.

    Returns:
        What the map says of itself, and its values, negative where not observed.

    Raises:
        ValueError: if it is another product.

    Reference: Zhang et al., "Multi-Radar Multi-Sensor (MRMS) quantitative precipitation estimation", BAMS 97 (2016).
    """
    with needed("a GRIB map"):
        import rasterio
    size = path.stat().st_size
    with path.open("rb") as file:
        stated = int.from_bytes(file.read(16)[8:], "big")
    if stated > size:
        raise ValueError(f"must be of {stated} bytes, has {size}")
    with rasterio.open(path, driver="GRIB") as file:
        said = file.tags(1)
        kind = (said.get("GRIB_DISCIPLINE"), *said.get("GRIB_PDS_TEMPLATE_NUMBERS", "").split()[:2])
        if kind != _RAIN_RATE or file.count != 1:
            raise ValueError(f"must hold MRMS's PrecipRate alone, parameter {_RAIN_RATE}, holds {kind}")
        shape = check_shape(file.shape)
        if shape[0] * shape[1] > MOST_PER_BYTE * size:
            raise ValueError(f"must hold {shape[0]} x {shape[1]} values, has {size} bytes")
        if file.crs is None or not file.crs.is_geographic or not file.transform.e < 0 < file.transform.a:
            raise ValueError("must be on a grid of longitude and latitude")
        bounds = file.bounds
        found = RadarMap(
            service="NOAA",
            product="MRMS PrecipRate",
            quantity=RATE,
            time=np.datetime64(int(said["GRIB_VALID_TIME"].split()[0]), "s"),
            grid=Grid.between(
                file.crs.to_wkt(),
                shape,
                west=bounds.left,
                south=bounds.bottom,
                east=bounds.right,
                north=bounds.top,
            ),
            licence=LICENCES["NOAA"],
        )
        return found, file.read(1) if pixels else None
