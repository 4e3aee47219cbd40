"""Maps of FMI, of Finland: PGM, and GeoTIFF as other services use it too.

Both are decoded here: pysteps, which reads PGM, has no wheel, so that whoever installs it needs a compiler, and reads
GeoTIFF by GDAL's own Python, which pip does not install.
"""

import re
import xml.etree.ElementTree
from pathlib import Path

import numpy as np

from mslstm_keras.importing import needed
from mslstm_keras.radar.grids import Grid, projected
from mslstm_keras.radar.maps import DEPTH, LICENCES, RATE, REFLECTIVITY, RadarMap, check_no_data, check_shape

_LONGEST_HEADER = 16384  # bytes; real ones have 1,500
_NO_DATA = 255
# What the headers of PGM leave out: the sphere, and the false easting and northing.
_PROJECTION = (
    "+proj=stere +lon_0={centrallongitude} +lat_0={centrallatitude} +lat_ts={truelatitude} "
    "+a=6371288 +x_0=380886.31 +y_0=3395677.92 +no_defs"
)
_OF_FMI = re.compile(
    rb"^# *(?:obstime|producttype|productname|param|composite_area|projection_name) ", re.MULTILINE
)
_UNITS = {"dbz": REFLECTIVITY, "mm/h": RATE, "mm": DEPTH}
_ITEMS = {"Observation time", "Quantity", "Gain", "Offset", "Nodata", "Undetect"}  # which FMI always writes
_MINUTES = {"": 1, "min": 1, "h": 60}  # by the unit of a time


def is_pgm(start: bytes) -> bool:
    """Whether a file that starts like this is a PGM picture."""
    return start[:2] in (b"P5", b"P2") and start[2:3].isspace()


def _stamp(digits: str) -> np.datetime64:
    if not re.fullmatch(r"\d{12}|\d{14}", digits):
        raise ValueError(f"times must be written YYYYMMDDHHMM, one is {digits!r}")
    parts = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}:{digits[12:] or '00'}"
    return np.datetime64(parts, "s")


def read_pgm(path: Path, *, pixels: bool) -> tuple[RadarMap, np.ndarray | None] | None:
    """Reads a PGM map of reflectivity; see `formats.Reader`. None if its header has no line of FMI's.

        dBZ = (pixel - 64) / 2          255 is not observed

    Raises:
        ValueError: if it does not say where it is, either.

    Reference: pysteps 1.21, `import_fmi_pgm`.
    """
    from PIL import Image

    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    if not _OF_FMI.search(start):
        return None
    lines = re.match(rb"P[25]\n((?:#[^\n]*\n)+)(\d+) +(\d+) *\n *(\d+)\n", start)
    if not lines:
        raise ValueError(f"no header within {_LONGEST_HEADER} bytes")
    said = dict(re.findall(r"# *(\w+) +(.*?) *\n", lines[1].decode("ascii")))
    shape = check_shape((int(lines[3]), int(lines[2])))
    if shape[0] * shape[1] > path.stat().st_size - lines.end():
        raise ValueError(f"must hold {shape[0]} x {shape[1]} pixels, has {path.stat().st_size} bytes")
    if int(lines[4]) != _NO_DATA:
        raise ValueError(
            f"must have pixels up to {_NO_DATA}, which is not observed, has them up to {int(lines[4])}"
        )
    if "reflectivity" not in said.get("param", "").lower():
        raise ValueError(f"must be of reflectivity, is of {said.get('param', 'no `param`')}")
    if "obstime" not in said:
        raise ValueError("must say of which time it is, has no `obstime`")
    area = " ".join(said[name] for name in ("composite_area", "projection_name") if name in said)
    found = RadarMap(
        service="FMI",
        product=" ".join(filter(None, (said.get("producttype"), said.get("productname"), area))) or "PGM",
        quantity=REFLECTIVITY,
        time=_stamp(said["obstime"]),
        grid=_grid(said, shape),
        licence=LICENCES["FMI"],
    )
    if not pixels:
        return found, None
    with Image.open(path, formats=["PPM"]) as picture:
        raw = np.asarray(picture)
    return found, np.where(raw == _NO_DATA, np.nan, (raw - 64.0) / 2.0)


def _grid(said: dict[str, str], shape: tuple[int, int]) -> Grid:
    """Returns the grid between the corners that a header says, (longitude, latitude)."""
    if said.get("type") != "stereographic":
        raise ValueError(f"must be in the stereographic projection, is {said.get('type', 'in none')}")
    numbers = {name: float(said[name]) for name in ("centrallongitude", "centrallatitude", "truelatitude")}
    projection = _PROJECTION.format(**{name: f"{number:.12g}" for name, number in numbers.items()})
    corners: list[float] = []
    for name in ("bottomleft", "topright"):
        longitude, latitude = map(float, said[name].split())
        corners += projected(projection, longitude, latitude)
    west, south, east, north = corners
    return Grid.between(projection, shape, west=west, south=south, east=east, north=north)


def is_tiff(start: bytes) -> bool:
    """Whether a file that starts like this is a TIFF picture."""
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_geotiff(path: Path, *, pixels: bool) -> tuple[RadarMap, np.ndarray | None] | None:
    """Reads a GeoTIFF map by rasterio; see `formats.Reader`.

    Quantity, unit, time and codes are those that FMI writes into `GDAL_METADATA`. Without a gain and an offset there
    those of the band hold, and what GDAL marks as no data is not observed. None if there is neither a quantity nor a
    time.
    """
    with needed("A GeoTIFF", "radar"):
        import rasterio
    try:
        file = rasterio.open(path, driver="GTiff")
    except rasterio.errors.RasterioIOError:  # Pillow knows pictures that GDAL does not
        return None
    with file:
        said, units = _items(file.tags())
        if "Quantity" not in said and "Observation time" not in said:
            return None
        unit = units.get("Quantity", "").lower()
        if unit not in _UNITS:
            raise ValueError(
                f"must say a quantity in {', '.join(_UNITS)}, says {units.get('Quantity', 'none')}"
            )
        if "Observation time" not in said:
            raise ValueError("must say of which time it is, has no `Observation time`")
        if file.count != 1:
            raise ValueError(f"must hold one band, holds {file.count}")
        check_shape(file.shape)
        of_fmi = said.keys() >= _ITEMS and "TM35FIN" in (file.crs.to_wkt() if file.crs else "")
        found = RadarMap(
            service="FMI" if of_fmi else "unknown",
            product=said["Quantity"],
            quantity=_UNITS[unit],
            time=_stamp(said["Observation time"]),
            grid=Grid.of_raster(file),
            minutes=_summed_over(said, units) if _UNITS[unit] == DEPTH else None,
            licence=LICENCES["FMI"] if of_fmi else "",
        )
        if not pixels:
            return found, None
        raw = file.read(1)
        gain, offset = file.scales[0], file.offsets[0]
        whole = rasterio.enums.MaskFlags.all_valid in file.mask_flag_enums[0]
        observed = None if whole else file.read_masks(1) != 0
    if "Gain" in said or "Offset" in said:
        gain, offset = said.get("Gain", 1), said.get("Offset", 0)
    if float(gain) == 0:
        raise ValueError("must have a gain other than 0, which makes all pixels equal")
    values = raw.astype(np.float32) * np.float32(gain) + np.float32(offset)
    if observed is not None:
        values[~observed] = np.nan
    if "Undetect" in said:
        values[raw == float(said["Undetect"])] = -np.inf if unit == "dbz" else 0
    if "Nodata" in said:
        values[raw == float(said["Nodata"])] = np.nan
    elif observed is None:
        check_no_data(raw)
    return found, values


def _items(tags: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Returns name -> value and name -> unit of GDAL's metadata."""
    said, units = dict(tags), {}
    if "GDAL_METADATA" in tags:
        for item in xml.etree.ElementTree.fromstring(tags["GDAL_METADATA"]).iter("Item"):
            said[item.get("name", "")] = (item.text or "").strip()
            units[item.get("name", "")] = item.get("unit", "")
    return said, units


def _summed_over(said: dict[str, str], units: dict[str, str]) -> float | None:
    """Returns the minutes that a depth is summed over, None if none are said."""
    if "Accumulation time" not in said:
        return None
    unit = units.get("Accumulation time", "")
    if unit not in _MINUTES:
        raise ValueError(f"must say its accumulation time in min or h, says it in {unit}")
    return float(said["Accumulation time"]) * _MINUTES[unit]
