"""Reader of RADOLAN binary files of the products RY and YW: radar composites of Germany every 5 minutes."""

import gzip
import io
import re
from pathlib import Path

import numpy as np

from mslstm_keras.formats.checks import damage_of
from tfds_builders.dwd_radar_clips.radar_maps import STEP, WHOLE_FILE, Series, rain_rate, series_of_files

_LONGEST_HEADER = 1024  # bytes; real ones have about 150


def _content(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        content = (gzip.GzipFile(fileobj=file) if packed else file).read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"more than {limit} bytes")
    return content


def _check(header: bytes, body: int, product: str, size: tuple[int, int], time: np.datetime64) -> None:
    """Checks the header before wradlib takes memory for what it claims."""
    from wradlib.io.radolan import parse_dwd_composite_header

    received = parse_dwd_composite_header(header.decode("ascii"))
    required = {
        "producttype": product.upper(),
        "radarid": "10000",  # a composite, not one station
        "nrow": size[0],
        "ncol": size[1],
        "datasize": 2 * size[0] * size[1],
        "intervalseconds": 60 * STEP,
        "datetime": time.item(),
    }
    for key, value in required.items():
        if received.get(key) != value:
            raise ValueError(f"header must say {key} {value}, says {received.get(key)}")
    if not 0 < received.get("precision", 0) <= 1:
        raise ValueError(f"header must say a precision in (0, 1] mm, says {received.get('precision')}")
    if body != required["datasize"]:
        raise ValueError(f"header must be followed by {required['datasize']} bytes, not {body}")


def read_radolan(
    path: Path, *, product: str, size: tuple[int, int], time: np.datetime64
) -> tuple[np.ndarray, np.ndarray]:
    """One RADOLAN map.

    Files have the southern row first; here the northern row is first, as an image is shown. Pixels with the
    clutter bit keep their value, as in wradlib.

    Args:
        path: binary file, plain or gzip.
        product: `"ry"` or `"yw"`.
        size: height and width in pixels, that the header must have.
        time: datetime64[m] that the header must have.

    Returns:
        (rate, observed): float32 (height, width) in mm/h, bool (height, width).

    Raises:
        ValueError: if the file is damaged or its header disagrees with its size or with the arguments.
        ImportError: if wradlib is not installed.

    Reference: Deutscher Wetterdienst, RADOLAN/RADVOR composite format; Heistermann, Jacobi & Pfaff, "An open
    source library for processing weather radar data (wradlib)", HESS 17 (2013).
    """
    try:
        from wradlib.io.radolan import read_radolan_composite
    except ImportError as error:
        raise ImportError("RADOLAN files are read by wradlib: pip install 'mslstm_keras[radar]'") from error
    with damage_of(path, WHOLE_FILE):
        content = _content(path, _LONGEST_HEADER + 2 * size[0] * size[1])
        stop = content.find(b"\x03", 0, _LONGEST_HEADER)
        if stop < 0:
            raise ValueError(f"no end of header within {_LONGEST_HEADER} bytes")
        _check(content[:stop], len(content) - stop - 1, product, size, time)
        depth, _ = read_radolan_composite(io.BytesIO(content))
        return rain_rate(depth.reshape(size)[::-1])


def open_radolan(folder: Path, *, product: str, size: tuple[int, int]) -> Series:
    """The RADOLAN maps of a folder and its subfolders, named as DWD does.

    Names are `raa01-PRODUCT[version]_10000-YYMMDDHHMM-dwd---bin[.gz]`.

    Args:
        folder: folder.
        product: `"ry"` or `"yw"`. Files of other products are left alone.
        size: height and width in pixels.

    Raises:
        ValueError: if there is no such file or two for one time, or if a file is damaged when it is read.
    """
    name = re.compile(rf"^raa\d\d-{product}[^-]*-(\d{{10}})-.*bin(?:\.gz)?$")
    return series_of_files(
        folder, name, "20{}", lambda path, time: read_radolan(path, product=product, size=size, time=time)
    )
