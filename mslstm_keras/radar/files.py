"""Files of radar maps: those of folders, links, globs and archives, plain or packed."""

import bz2
import contextlib
import glob
import gzip
import os
import re
import shutil
import tarfile
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mslstm_keras.formats.checks import damage_of
from mslstm_keras.radar.maps import WHOLE_FILE

MOST_BYTES = 2**29
"""Of an unpacked map. The largest that are given away have a tenth of that."""

MOST_OF_ARCHIVE = 2**36
"""Bytes of all files of an archive."""

_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}
_SUFFIXES = (".gz", ".bz2")
_PIECE = 2**20
# What lies beside maps and is known to be none.
_NO_MAP = re.compile(
    r"\..*|thumbs\.db|desktop\.ini|(readme|licen[cs]e|copying|attribution|changelog|index)\b.*"
    r"|.*\.(txt|md|rst|html?|pdf|json|ya?ml|xml|csv|log|py|ipynb|md5|sha\d+|sha\d+sums?|docx?|bib)",
    re.IGNORECASE,
)


class Folder:
    """A folder for what is unpacked, removed when nobody needs it any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="radar-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}  # another process reads it and leaves it to this one


@dataclass(frozen=True)
class Source:
    """A file, packed or not, that may hold a map.

    Attributes:
        path: where it lies.
        shown: what messages call it.
        folder: keeps the folder of an archive's files alive.
        archive: archive that the file was in.
    """

    path: Path
    shown: str
    folder: Folder | None = None
    archive: Path | None = None

    def __str__(self) -> str:
        return self.shown

    @property
    def file(self) -> Path:
        """The file that the user has: the archive, if it was in one."""
        return self.archive or self.path

    @contextlib.contextmanager
    def unpacked(self) -> Iterator[Path]:
        """Gives a plain file of the same name, but for `.gz` and `.bz2`, and of the same content.

        Raises:
            ValueError: if the file is missing, damaged or of more than `MOST_BYTES`.
        """
        with damage_of(self, WHOLE_FILE):
            opener = _opener(self.path)
        if opener is None:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="radar-") as folder:
            path = self.path
            for depth in range(3):  # a packed file may be packed again
                with damage_of(self, WHOLE_FILE), opener(path, "rb") as packed:
                    name = path.name[: -len(path.suffix)] if path.suffix.lower() in _SUFFIXES else path.name
                    path = Path(folder, str(depth), name)
                    path.parent.mkdir()
                    with path.open("wb") as plain:
                        _copy(packed, plain)
                opener = _opener(path)
                if opener is None:
                    break
            yield path


def _opener(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(3)
    return next((opener for magic, opener in _PACKED.items() if start.startswith(magic)), None)


def _copy(packed: Any, plain: BinaryIO) -> None:
    """Copies piece by piece, so that a small file that claims to be huge takes neither memory nor disk."""
    size = 0
    while piece := packed.read(_PIECE):
        size += len(piece)
        if size > MOST_BYTES:
            raise ValueError(f"must hold at most {MOST_BYTES} bytes unpacked, holds more")
        plain.write(piece)


def find_sources(
    path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
) -> tuple[list[Source], list[Source]]:
    """Returns the files of a path: of a folder and all folders within, those that links lead to too, or of a glob.

    Hidden files, texts, tables and the like are known to be no maps and are left out, but not if they are named.

    Args:
        path: a folder, a file, a glob such as `maps/*.h5`, or several of these.

    Returns:
        (named, found): files that were named one by one, and those that lay in a folder or matched a glob.

    Raises:
        ValueError: if a path is missing, a link leads nowhere or into a folder that it lies in.
    """
    named, found = [], []
    for one in [path] if isinstance(path, str) or not isinstance(path, Iterable) else list(path):
        if not isinstance(one, str | os.PathLike) or not str(one):
            raise ValueError(
                f"`path` must be a folder, a file or a glob, or several of these. Received: {one!r}"
            )
        place = Path(one).expanduser()
        if place.is_dir():
            found += _walk(place)
        elif place.exists():
            named.append(place)
        elif matches := glob.glob(str(place), recursive=True):
            for match in sorted(map(Path, matches)):
                found += _walk(match) if match.is_dir() else [] if _NO_MAP.fullmatch(match.name) else [match]
        else:
            raise ValueError(f"`path` must be a folder, a file or a glob that matches some. Received: {one}")
    return [Source(file, str(file)) for file in named], [Source(file, str(file)) for file in found]


def _walk(folder: Path, above: tuple[str, ...] = ()) -> list[Path]:
    """Returns the files of a folder and of those within, `above` being the real paths of those that it lies in."""
    files = []
    above = (*above, os.path.realpath(folder))
    with damage_of(folder, "A folder of radar maps must be one that can be read."):
        inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in inside:
        path = folder / entry.name
        if entry.is_dir():
            if os.path.realpath(path) in above:
                raise ValueError(
                    f"A link in a folder of radar maps must not lead back to it. Received: {path}"
                )
            if path.name[0] != ".":
                files += _walk(path, above)
        elif not _NO_MAP.fullmatch(path.name):
            if entry.is_file():
                files.append(path)
            elif entry.is_symlink() and not path.exists():
                raise ValueError(f"A link in a folder of radar maps must lead to a file. Received: {path}")
    return files


def is_archive(source: Source) -> bool:
    """Whether a file is a tar archive, packed or not."""
    with damage_of(source, WHOLE_FILE):
        return source.path.stat().st_size > 0 and tarfile.is_tarfile(source.path)


def members(source: Source) -> Iterator[Source]:
    """Unpacks a tar archive into a temporary folder, file by file; they stay packed themselves.

    Yields:
        The files, in the order of the archive, each as soon as it is unpacked.

    Raises:
        ValueError: if the archive is damaged, or a file in it is too large.
    """
    folder = Folder()
    size = 0
    with (
        damage_of(source, "An archive of radar maps must be whole."),
        tarfile.open(source.path, "r|*") as archive,
    ):
        for index, member in enumerate(archive):
            name = Path(member.name).name
            if not member.isfile() or _NO_MAP.fullmatch(name):
                continue
            size += member.size
            if member.size > MOST_BYTES or size > MOST_OF_ARCHIVE:
                raise ValueError(f"its file {member.name} must be smaller, claims {member.size} bytes")
            place = folder.path / str(index) / name
            place.parent.mkdir()
            content = archive.extractfile(member)
            assert content is not None  # as it is a file
            with content, place.open("wb") as file:
                shutil.copyfileobj(content, file, _PIECE)
            if place.stat().st_size != member.size:
                raise ValueError(f"its file {member.name} is cut off")
            yield Source(place, f"{source}:{member.name}", folder, source.archive or source.path)
