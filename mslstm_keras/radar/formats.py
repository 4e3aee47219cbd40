"""Which format a radar file has, told from its content."""

import contextlib
import re
import sys
import threading
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

import h5py
import numpy as np

from mslstm_keras.formats.checks import damage_of
from mslstm_keras.radar import bom, fmi, knmi, meteoswiss, mrms, odim, radolan
from mslstm_keras.radar.maps import WHOLE_FILE, RadarMap

_File = TypeVar("_File", Path, h5py.File, contravariant=True)


class Reader(Protocol[_File]):
    """Reads a radar map of one format."""

    def __call__(self, file: _File, /, *, pixels: bool) -> "ReadMap | None":
        """Reads a map of rain rate, rain depth or reflectivity.

        Args:
            file: path of an unpacked file under its own name, which may tell what the content does not; or an HDF5
                file that is open.
            pixels: whether to read its values; otherwise only what it says of itself.

        Returns:
            What the map says of itself, and its values, floats (height, width) of its quantity: mm/h, mm or dBZ, minus
            infinity without echo. The first row is the northern one. Where nothing was observed they are NaN, or
            negative rates or depths. None for a picture like any other, which says nothing of radar.

        Raises:
            ValueError: if it says that it is such a map, but is damaged or another one than can be read; in words that
                follow the name of the file.
            ImportError: if a package that the format needs is not installed.
        """


ReadMap: TypeAlias = tuple[RadarMap, np.ndarray | None]
"""What a map says of itself, and its values if they were asked for."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_LONGEST_START = 64
# Readers by how files start.
_BY_START: tuple[tuple[Callable[[bytes], bool], Reader[Path]], ...] = (
    (meteoswiss.is_gif, meteoswiss.read_gif),
    (fmi.is_pgm, fmi.read_pgm),
    (fmi.is_tiff, fmi.read_geotiff),
    (mrms.is_grib, mrms.read_mrms),
    (radolan.is_radolan, radolan.read_radolan),
    (radolan.is_ascii_grid, radolan.read_ascii_grid),
)
# What is of radar and is not read, by how it starts.
_NOT_READ = (
    (re.compile(rb"AR2V|ARCHIVE2\."), "a volume of NEXRAD, Level II"),
    (re.compile(rb"(\x01\r\r\n.{0,8}\r\r\n)?SDUS\d\d ", re.DOTALL), "a product of NEXRAD, Level III"),
    (re.compile(rb"\x1b\0.{10}\x1a\0", re.DOTALL), "a product of IRIS (Sigmet)"),
    (re.compile(rb"<(volume|product) "), "a volume or product of Rainbow"),
    (re.compile(rb"\0\0\x02\0\x07[\xc0-\xff]\0[\x01-\x0c]"), "a field of Nimrod"),  # years up to 2047
    (re.compile(rb"BUFR"), "BUFR"),
)
_PACKINGS = {
    _ZIP: "a zip archive",
    b"\xfd7zXZ\0": "packed by xz",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"\x1f\x9d": "packed by compress",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
}
DECODING = threading.RLock()
"""Held while a map is decoded: dask has several threads, and neither decoders nor filters of warnings bear them."""


class UnknownFormatError(ValueError):
    """A file that is no radar map of a known format.

    Nor does it say that it is one, so that it may be right as something else, such as a picture.
    """

    def __init__(self, name: object, reason: str = "") -> None:
        super().__init__(
            f"A radar map must be of a known format. Received: {name}" + (f": {reason}" if reason else "")
        )


def read_map(name: object, path: Path, *, pixels: bool, product: str | None = None) -> ReadMap:
    """Reads a radar map of any known format.

    Args:
        name: what an error calls the file.
        path: unpacked file, under its own name.
        pixels: whether to read its values; otherwise only what it says of itself.
        product: of several quantities of rain in one file that one is read whose name has it in it.

    Returns:
        What the map says of itself, and its values, NaN where not observed.

    Raises:
        UnknownFormatError: if it is of no known format, and nothing in it says that it is a radar map.
        ValueError: naming the file, if it is damaged or no map of rain.
        ImportError: if a package that its format needs is not installed.
    """
    with path.open("rb") as file:
        start = file.read(_LONGEST_START)
    with DECODING, _quiet():
        if start.startswith(_HDF5):
            found = _read_hdf5(name, path, pixels, product)
        else:
            if start.startswith(_ZIP) and _has_pickled_dates(path):
                raise ValueError(
                    "A radar map must not be a pickled object, which runs what its file says, as the dates of "
                    f"MeteoNet's `.npz` do. Received: {name}"
                )
            reader = next((read for is_format, read in _BY_START if is_format(start)), None)
            found = None
            if reader:
                with damage_of(name, WHOLE_FILE, decoder_errors=(MemoryError,)):
                    found = reader(path, pixels=pixels)
    if found is None:
        for pattern, what in _NOT_READ:
            if pattern.match(start):
                raise _not_read(name, what)
        packing = next((how for magic, how in _PACKINGS.items() if start.startswith(magic)), "")
        raise UnknownFormatError(name, packing and f"{packing}; unpack it first")
    return found


def _not_read(name: object, what: str) -> ValueError:
    return ValueError(
        "A radar map must be of a format that is read; rain rates on a grid in NetCDF, made of another one, are "
        f"forecast as they are. Received: {name}: {what}"
    )


def _is_polar(file: h5py.File) -> bool:
    """Whether an HDF5 file holds sweeps of CfRadial (1 and 2), KNMI or GAMIC."""
    if {"azimuth", "elevation"} <= file.keys() or "sweep_group_name" in file:
        return True
    return {"overview", "scan1"} <= file.keys() or (
        "scan0" in file
        and "what" in file
        and odim.text(file["what"].attrs.get("object", "")) in ("PVOL", "SCAN")
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what decoders say besides their errors.

    Such as rasterio, which prints that it cannot print damaged bytes.
    """
    hooks = sys.unraisablehook, sys.excepthook
    sys.unraisablehook, sys.excepthook = lambda _: None, lambda *_: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook, sys.excepthook = hooks


def _has_pickled_dates(path: Path) -> bool:
    """Whether a zip file holds the dates of MeteoNet. Only the header of that array is read."""
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        with zipfile.ZipFile(path) as archive, archive.open("dates.npy") as file:
            _, _, dtype = headers[np.lib.format.read_magic(file)](file)
    except (KeyError, ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError):
        return False  # another one, or damaged
    return dtype.hasobject


def _read_hdf5(name: object, path: Path, pixels: bool, product: str | None) -> ReadMap | None:
    """Returns what was read, or None if an HDF5 file is no radar map."""
    try:
        file = h5py.File(path, "r")
    except (
        OSError,
        RuntimeError,
        KeyError,
        ValueError,
        MemoryError,
    ) as error:  # nobody knows what it would be
        raise UnknownFormatError(name, " ".join(str(error).split())) from error
    with damage_of(name, WHOLE_FILE, decoder_errors=(MemoryError,)):
        with file:
            if knmi.is_knmi(file):
                return knmi.read_knmi(file, pixels=pixels)
            if odim.is_odim(file):
                return odim.read_odim(file, pixels=pixels, product=product)
            rainfields, polar = bom.is_rainfields(file), _is_polar(file)
        if rainfields:
            return bom.read_rainfields(path, pixels=pixels)
    if polar:
        raise _not_read(name, "sweeps around a radar")
    return None
