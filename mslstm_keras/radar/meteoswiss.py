"""Maps of MeteoSwiss as GIF pictures, whose numbers or colours stand for rain.

They are decoded here: pysteps has no wheel, so that whoever installs it needs a compiler.
"""

import csv
import functools
import re
from pathlib import Path

import numpy as np

from mslstm_keras.radar.maps import DEPTH, RATE, RadarMap
from mslstm_keras.radar.odim import SWISS, swiss_grid

_PRODUCTS = {"AQC": DEPTH, "CPC": DEPTH, "AZC": DEPTH, "RZC": RATE}
_NAME = re.compile(r"([A-Z]{3})(\d{2})(\d{3})(\d{2})(\d{2})")  # product, year, day of the year, hour, minute
_COLOURED = {"AZC": "sum", "RZC": "rate"}
# Of the colours of the tables v103 (rates) and V104 (sums) of MeteoSwiss's Metranet, as pysteps 1.21 has them. White is
# not among them: in that of rates it is both no rain and no data, and pysteps takes it as no data.
_TABLES = Path(__file__).with_suffix(".csv")


def is_gif(start: bytes) -> bool:
    """Whether a file that starts like this is a GIF picture."""
    return start[:4] == b"GIF8"


def read_gif(path: Path, *, pixels: bool) -> tuple[RadarMap, np.ndarray | None] | None:
    """Reads a map; see `formats.Reader`. None if neither its comment nor its name is MeteoSwiss's.

    Product, time and time of summation are in its comment or its name.

    Of AQC and CPC, numbers n of the pixels stand for depths, of RZC and AZC their colours, by a table.

        D = (10^((n - 71.5) / 20) / 316)^(1 / 1.5) mm for 1 < n < 251; 255 is not observed, all others are no rain

    Reference: pysteps 1.21, `import_mch_gif`.
    """
    from PIL import Image, UnidentifiedImageError

    called = _NAME.match(path.name)
    swiss = called is not None and called[1] in _PRODUCTS
    try:
        with Image.open(path, formats=["GIF"]) as picture:
            size, comment = picture.size[::-1], picture.info.get("comment", b"")
    except UnidentifiedImageError:
        if swiss:
            raise
        return None
    comment = comment.decode("ascii", "replace") if isinstance(comment, bytes) else comment
    named = re.search(f"PRDT={_NAME.pattern}", comment) or called
    if not (swiss or "PRDT=" in comment or "meteoswiss" in comment.lower()):
        return None
    if size != SWISS:
        raise ValueError(f"must have the 640 x 710 pixels of the Swiss domain, has {size[0]} x {size[1]}")
    if not named or named[1] not in _PRODUCTS:
        raise ValueError(f"must be one of {', '.join(_PRODUCTS)} by its comment or its name, is {path.name}")
    product = named[1]
    summed = re.search(r"ACCUm=(\d+)", comment) or re.search(r"_(\d{5})\.", path.name)
    minutes = float(summed[1]) if summed and _PRODUCTS[product] == DEPTH else None
    day = np.datetime64(f"20{named[2]}-01-01", "D") + np.timedelta64(int(named[3]) - 1, "D")
    in_year = str(day).startswith(f"20{named[2]}")  # a day 366 is only in some
    if not (in_year and int(named[4]) < 24 and int(named[5]) < 60):
        raise ValueError(
            f"times must be year, day of the year, hour and minute, one is {''.join(named.groups()[1:])}"
        )
    found = RadarMap(
        service="MeteoSwiss",
        product=product,
        quantity=_PRODUCTS[product],
        time=day.astype("datetime64[s]") + np.timedelta64(int(named[4]) * 60 + int(named[5]), "m"),
        grid=swiss_grid(),
        minutes=minutes,
    )
    if not pixels:
        return found, None
    with Image.open(path, formats=["GIF"]) as picture:
        if product not in _COLOURED:
            return found, _depths()[np.asarray(picture)]
        colours = np.asarray(picture.convert("RGB")) @ np.array([2**16, 2**8, 1])
    table = _amounts(_COLOURED[product])
    present, places = np.unique(colours, return_inverse=True)
    amounts = np.array([table.get(colour, np.nan) for colour in present.tolist()])
    return found, amounts[places].reshape(SWISS)


@functools.cache
def _depths() -> np.ndarray:
    """Returns number of a pixel -> mm."""
    numbers = np.arange(256)
    depths = (10 ** ((numbers - 71.5) / 20) / 316) ** (1 / 1.5)
    depths[(numbers < 2) | (numbers > 250)] = 0
    depths[255] = np.nan
    return depths


@functools.cache
def _amounts(table: str) -> dict[int, float]:
    """Returns colour, as 0xRRGGBB -> mm or mm/h of a table; of colours that stand in it twice, the higher one."""
    unit = {"rate": "mm/h", "sum": "mm"}[table]
    with _TABLES.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row[f"{table} colour"]]
    return {int(row[f"{table} colour"][1:], 16): float(row[unit]) for row in rows}
