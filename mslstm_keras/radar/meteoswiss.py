"""Maps of MeteoSwiss as GIF pictures, whose palette is a table of rain."""

import re
from pathlib import Path

import numpy as np

from mslstm_keras.radar.grids import Grid
from mslstm_keras.radar.maps import DEPTH, RATE, RadarMap
from mslstm_keras.radar.packages import pysteps_importers

_PRODUCTS = {"AQC": DEPTH, "CPC": DEPTH, "AZC": DEPTH, "RZC": RATE}
_SHAPE = (640, 710)


def is_gif(start: bytes) -> bool:
    """Whether a file that starts like this is a GIF picture."""
    return start[:4] == b"GIF8"


def read_gif(path: Path, *, pixels: bool) -> tuple[RadarMap, np.ndarray | None]:
    """Reads a map by pysteps. Product, time and time of summation are in its comment or its name.

    Args:
        path: unpacked file, under its own name.
        pixels: whether to return its values.

    Returns:
        What the map says of itself, and its values, NaN where not observed.

    Raises:
        ValueError: if it is no map of rain of MeteoSwiss.
    """
    from PIL import Image

    with Image.open(path, formats=["GIF"]) as picture:
        size, comment = picture.size[::-1], picture.info.get("comment", b"")
    if size != _SHAPE:
        raise ValueError(
            f"must have the {_SHAPE[0]} x {_SHAPE[1]} pixels of the Swiss domain, has {size[0]} x {size[1]}"
        )
    comment = comment.decode("ascii", "replace") if isinstance(comment, bytes) else comment
    named = re.search(r"PRDT=([A-Z]{3})(\d{2})(\d{3})(\d{2})(\d{2})", comment)
    named = named or re.match(r"([A-Z]{3})(\d{2})(\d{3})(\d{2})(\d{2})", path.name)
    if not named or named[1] not in _PRODUCTS:
        raise ValueError(f"must be one of {', '.join(_PRODUCTS)} by its comment or its name, is {path.name}")
    product = named[1]
    summed = re.search(r"ACCUm=(\d+)", comment) or re.search(r"_(\d{5})\.", path.name)
    minutes = float(summed[1]) if summed and _PRODUCTS[product] == DEPTH else None
    day = np.datetime64(f"20{named[2]}-01-01", "D") + int(named[3]) - 1
    if not (1 <= int(named[3]) <= 366 and int(named[4]) < 24 and int(named[5]) < 60):
        raise ValueError(
            f"times must be year, day of the year, hour and minute, one is {''.join(named.groups()[1:])}"
        )
    with path.open("rb") as file:  # which pysteps would leave open
        values, _, facts = pysteps_importers().import_mch_gif(file, product, "mm", minutes)
    found = RadarMap(
        service="MeteoSwiss",
        product=product,
        quantity=_PRODUCTS[product],
        time=day.astype("datetime64[s]") + np.timedelta64(int(named[4]) * 60 + int(named[5]), "m"),
        grid=Grid.between(
            facts["projection"],
            _SHAPE,
            west=facts["x1"],
            south=facts["y1"],
            east=facts["x2"],
            north=facts["y2"],
        ),
        minutes=minutes,
    )
    return found, values if pixels else None
