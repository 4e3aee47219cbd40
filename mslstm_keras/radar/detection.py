"""Whether files are radar maps, told by the content of the first of them."""

import itertools
import os
from collections.abc import Iterator

from mslstm_keras.formats.pictures import PICTURES, unpacked_suffix
from mslstm_keras.radar.files import Source, find_sources, is_archive, members
from mslstm_keras.radar.formats import UnknownFormatError, read_map
from mslstm_keras.radar.sequence import wide_kind

_TRIED, _KINDS, _MEMBERS = 2, 10, 10
"""Files of one kind of name that are tried, kinds, and files of an archive, which have to be unpacked one by one."""


def holds_radar_maps(path: str | os.PathLike[str]) -> bool:
    """Returns whether one of the first files of a kind of name is a map that `read_radar` reads.

    Args:
        path: folder, file or glob; of an archive, what is in it.

    Raises:
        ValueError: if none is, but one says that it is a radar map and cannot be read: as a picture it would be wrong.
        ImportError: if it may be one, is no picture, and a package that its format needs is not installed.
    """
    refused: list[ValueError] = []
    try:
        if any(_is_map(source, refused) for source in _candidates(path)):
            return True
    except ValueError:  # links in a circle, nothing there, a damaged archive
        pass
    if refused:
        raise refused[0]
    return False


def _candidates(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Yields the first files of each kind of name, as maps may lie beside many pictures of them."""
    tried: dict[tuple[str, str], int] = {}
    for source in itertools.chain(*find_sources(path)):
        kind = wide_kind(source.path)
        if tried.get(kind, 0) == _TRIED or (kind not in tried and len(tried) == _KINDS):
            continue
        tried[kind] = tried.get(kind, 0) + 1
        if is_archive(source):
            yield from itertools.islice(members(source), _MEMBERS)
        else:
            yield source


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
