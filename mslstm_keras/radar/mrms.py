"""Maps of MRMS (GRIB2) of NOAA, of the United States.

rasterio reads what they say of themselves, Pillow their values, which are a PNG picture. pysteps (1.21) takes -1, one
of the codes of missing values, for a rain rate, and pygrib below it ends the process where a byte of the header is
damaged; rasterio (1.4) gives no rain at all where a byte of the picture is.
"""

import io
import math
import struct
from pathlib import Path

import numpy as np

from mslstm_keras.importing import needed
from mslstm_keras.radar.grids import Grid
from mslstm_keras.radar.maps import LICENCES, RATE, RadarMap, check_shape

_NORTHWARDS = 0x40  # bit of the scanning mode of a grid: the southern row is the first
_RAIN_RATE = ("209", "6", "1")  # MRMS's own discipline, category and number


def is_grib(start: bytes) -> bool:
    """Whether a file that starts like this is GRIB."""
    return start[:4] == b"GRIB"


def read_mrms(path: Path, *, pixels: bool) -> tuple[RadarMap, np.ndarray | None]:
    """Reads the product PrecipRate, at every point of its grid; see `formats.Reader`.

    Pixels that were not observed are negative, as in the file.

    Reference: Zhang et al., "Multi-Radar Multi-Sensor (MRMS) quantitative precipitation estimation", BAMS 97 (2016).
    """
    with needed("A GRIB map", "radar"):
        import rasterio
    with path.open("rb") as plain:
        edition = plain.read(8)[-1]
    if edition != 2:
        raise ValueError(f"must be of GRIB edition 2, is of edition {edition}")
    with rasterio.open(path, driver="GRIB") as file:
        said = file.tags(1)
        kind = (said.get("GRIB_DISCIPLINE"), *said.get("GRIB_PDS_TEMPLATE_NUMBERS", "").split()[:2])
        if kind != _RAIN_RATE or file.count != 1:
            raise ValueError(f"must hold MRMS's PrecipRate alone, parameter {_RAIN_RATE}, holds {kind}")
        shape = check_shape(file.shape)
        if file.crs is None or not file.crs.is_geographic:
            raise ValueError("must be on a grid of longitude and latitude")
        found = RadarMap(
            service="NOAA",
            product="MRMS PrecipRate",
            quantity=RATE,
            time=np.datetime64(int(said["GRIB_VALID_TIME"].split()[0]), "s"),
            grid=Grid.of_raster(file),
            licence=LICENCES["NOAA"],
        )
    return found, _values(path.read_bytes(), shape) if pixels else None


def _values(content: bytes, shape: tuple[int, int]) -> np.ndarray:
    """Returns (reference + 2^E packed) / 10^D, the packed values being a PNG picture.

    Reference: WMO Manual on Codes, FM 92 GRIB, edition 2, data representation template 5.41.
    """
    from PIL import Image

    sections = _sections(content)
    kind, reference, binary, decimal, bits = struct.unpack(">HfHHB", sections[5][4:15])
    if kind != 41 or bits not in (8, 16):
        raise ValueError(
            f"must be packed as PNG of 8 or 16 bits, is packed by template {kind} of {bits} bits"
        )
    with Image.open(io.BytesIO(sections[7]), formats=["PNG"]) as picture:
        if picture.size[::-1] != shape or picture.mode != ("L" if bits == 8 else "I;16"):
            raise ValueError(
                f"must be a picture of {shape} of {bits} bits, is {picture.size[::-1]}, {picture.mode}"
            )
        picture.verify()
    with Image.open(io.BytesIO(sections[7]), formats=["PNG"]) as picture:
        packed = np.asarray(picture)
    # Exponents have a bit for their sign.
    binary, decimal = (-(one & 0x7FFF) if one & 0x8000 else one for one in (binary, decimal))
    scale = math.ldexp(1.0, binary) / 10.0**decimal
    values = packed * scale + reference / 10.0**decimal
    return values[::-1] if _scanning(sections[3]) == _NORTHWARDS else values


def _scanning(section: bytes) -> int:
    """Returns the scanning mode of a grid of longitude and latitude whose rows run from west to east.

    Reference: WMO Manual on Codes, FM 92 GRIB, edition 2, grid definition template 3.0 and flag table 3.4.
    """
    (template,) = struct.unpack_from(">H", section, 7)
    if template != 0 or section[66] & ~_NORTHWARDS:
        raise ValueError(
            "must have rows of longitude and latitude that run from west to east, "
            f"has grid template {template}, scanning mode {section[66]}"
        )
    return section[66]


def _sections(content: bytes) -> dict[int, bytes]:
    """Returns the sections of a GRIB2 file by their numbers, without length and number."""
    found, start = {}, 16
    while content[start : start + 4] != b"7777":
        length, number = struct.unpack_from(">IB", content, start)
        if length < 5 or start + length > len(content):
            raise ValueError(f"section {number} must be of {length} bytes, is cut off")
        found[number] = content[start + 5 : start + length]
        start += length
    return found
