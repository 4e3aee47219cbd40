"""Files that people bring: the folder that they are in, and what is checked before one of them is believed."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

MOST_PER_BYTE = 1032
"""No byte of a deflated file (npz; nearly all HDF5) stands for more, so a header that claims more lies."""

_LITTLE = 2**26  # bytes that may be claimed anyway, as there are filters that pack one value closer still


def manual_folder(dl_manager: "tfds.download.DownloadManager", files: str) -> Path:
    """Returns the folder of source files that the user named.

    Args:
        dl_manager: TFDS download manager of the data set, which must have `MANUAL_DOWNLOAD_INSTRUCTIONS`.
        files: str. What an error says that the folder must hold.

    Raises:
        ValueError: if there is no such folder, or nothing in it.
    """
    try:
        return Path(dl_manager.manual_dir)
    except AssertionError as error:
        received = str(error).partition(" Create it")[0]  # TFDS goes on with all of the instructions
        raise ValueError(
            f"`manual_dir` must hold {files}: `mslstm data prepare NAME --manual-dir FOLDER`. Received: {received}"
        ) from error


@contextlib.contextmanager
def damage_of(name: object, rule: str, *, decoder_errors: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turns whatever a reader raises for a damaged file into one error that names the file.

    Args:
        name: path, or what the error calls the file.
        rule: str. The sentence that the file breaks.
        decoder_errors: errors of a decoder that mean damage though they are errors of memory too.

    Raises:
        ValueError: for every error but those of memory and of missing packages.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError | ImportError) and not isinstance(error, decoder_errors):
            raise
        plain = getattr(error, "strerror", None) or (str(error) if isinstance(error, ValueError) else "")
        raise ValueError(f"{rule} Received: {name}: {plain or f'{type(error).__name__}: {error}'}") from error


def whole_data_set(group: h5py.Group, name: str) -> h5py.Dataset:
    """Returns a data set of an HDF5 file that has all of its values in that file.

    HDF5 reads values that nobody wrote as 0, and those of other files from wherever these lie; a damaged header may
    claim more than memory holds.

    Args:
        group: file or group.
        name: of the data set.

    Raises:
        ValueError: if there is no such data set, or not all of its values are stored. h5py raises other errors
            for a damaged file, see `damage_of`.
    """
    found = group.get(name)
    if not isinstance(found, h5py.Dataset):
        kind = "nothing" if found is None else type(found).__name__
        raise ValueError(f"`{name}` must be one of its data sets. Received: {kind}")
    path = group.file.filename
    if found.is_virtual or found.external or found.file.filename != path:
        raise ValueError(f"`{name}` must have its values in the file. Received: those of other files")
    stored, claimed = min(found.id.get_storage_size(), os.stat(path).st_size), math.prod(found.shape)
    if found.chunks:
        parts = math.prod(-(-side // part) for side, part in zip(found.shape, found.chunks, strict=True))
        claimed = parts * math.prod(found.chunks)
    claimed *= found.dtype.itemsize
    if claimed > (max(MOST_PER_BYTE * stored, _LITTLE) if found.chunks else stored):
        raise ValueError(
            f"`{name}` must fit in the {stored} bytes that are stored of it. "
            f"Received: {claimed} bytes claimed, shape {found.shape}"
        )
    if found.chunks and found.id.get_num_chunks() < parts:
        raise ValueError(
            f"`{name}` must have been written to its end. "
            f"Received: {found.id.get_num_chunks()} of {parts} chunks"
        )
    return found
