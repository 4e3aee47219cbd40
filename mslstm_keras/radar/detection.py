"""Whether files are radar maps, told by the content of the first of them."""

import itertools
import os

from mslstm_keras.formats.pictures import PICTURES, unpacked_suffix
from mslstm_keras.radar.files import Source, find_sources, is_archive, members
from mslstm_keras.radar.formats import UnknownFormatError, read_map

_TRIED = 10
"""Files of a folder or an archive in which the first radar map must be."""


def holds_radar_maps(path: str | os.PathLike[str]) -> bool:
    """Returns whether one of the first files of a path is a map that `read_radar` reads.

    Args:
        path: folder, file or glob; of an archive, what is in it.

    Raises:
        ValueError: if none is, but one says that it is a radar map and cannot be read: as a picture it would be wrong.
        ImportError: if it may be one, is no picture, and a package that its format needs is not installed.
    """
    refused: list[ValueError] = []
    try:
        found = itertools.chain(*find_sources(path))
        inside = itertools.chain.from_iterable(
            members(source) if is_archive(source) else [source] for source in found
        )
        for source in itertools.islice(inside, _TRIED):
            if _is_map(source, refused):
                return True
    except ValueError:  # links in a circle, nothing there, a damaged archive
        pass
    if refused:
        raise refused[0]
    return False


def _is_map(source: Source, refused: list[ValueError]) -> bool:
    """Returns whether a file is a map that can be read; appends why not, if it says that it is one."""
    try:
        with source.unpacked() as place:
            try:
                read_map(source, place, pixels=False)
                return True
            except UnknownFormatError:
                pass
            except ValueError as error:
                refused.append(error)
    except ValueError:
        pass  # packed and damaged: nobody knows what it would be
    except ImportError:
        if unpacked_suffix(source.path) not in PICTURES:  # a TIFF is a picture to most people
            raise
    return False
