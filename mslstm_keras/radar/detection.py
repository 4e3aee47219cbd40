"""Whether files are radar maps, told by the content of the first of them."""

import itertools
import os

from mslstm_keras.formats.pictures import PICTURES, unpacked_suffix
from mslstm_keras.radar.files import find_sources, is_archive, members
from mslstm_keras.radar.formats import read_map

_TRIED = 10
"""Files of a folder or an archive in which the first radar map must be."""


def holds_radar_maps(path: str | os.PathLike[str]) -> bool:
    """Returns whether one of the first files of a path is a map that `read_radar` reads.

    Args:
        path: folder, file or glob; of an archive, what is in it.

    Raises:
        ImportError: if it may be one, is no picture, and a package that its format needs is not installed.
    """
    try:
        found = itertools.chain(*find_sources(path))
        inside = itertools.chain.from_iterable(
            members(source) if is_archive(source) else [source] for source in found
        )
        for source in itertools.islice(inside, _TRIED):
            try:
                with source.unpacked() as place:
                    read_map(source, place, pixels=False)
                return True
            except ValueError:
                continue  # damaged, or something else
            except ImportError:
                if unpacked_suffix(source.path) not in PICTURES:  # a TIFF is a picture to most people
                    raise
    except ValueError:  # links in a circle, nothing there, a damaged archive
        pass
    return False
