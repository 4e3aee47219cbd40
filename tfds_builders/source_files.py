"""The files that a data set was made of, and whether others are the same."""

import dataclasses
import gzip
import hashlib
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mslstm_keras.formats.checks import damage_of

_MOST_BYTES = 2**32  # hashed to compare files: some seconds
_OPENING = 2**18  # bytes that could be hashed while a file is opened


class SourceFile(NamedTuple):
    """What is known of a source file.

    Attributes:
        size: int, bytes on the disk.
        mtime_ns: int. When it was last changed, in nanoseconds.
        sha256: of its content, which of a `.gz` file is what is packed in it. None: its content was not read.
    """

    size: int
    mtime_ns: int
    sha256: str | None

    @classmethod
    def of(cls, path: Path, read: bool) -> "SourceFile":
        """Returns what is known of a file, with the checksum of its content if it is `read`."""
        state = path.stat()
        return cls(state.st_size, state.st_mtime_ns, _sha256(path) if read else None)

    def stands(self, path: Path) -> bool:
        """Returns whether a file has the size and the time of change that are known; quick."""
        state = path.stat()
        return (state.st_size, state.st_mtime_ns) == (self.size, self.mtime_ns)


@dataclass(frozen=True)
class Sources:
    """The source files of a data set, or of a part of it.

    Attributes:
        folder: str. Folder that the user named, absolute; None if no source file is in it.
        files: name -> what is known of the file. A name is the path within the folder, or the file's own name.
    """

    folder: str | None
    files: Mapping[str, SourceFile]

    @classmethod
    def of(cls, folder: Path | None, paths: Mapping[str, Path], read: Iterable[str]) -> "Sources":
        """Returns what is known of files, with checksums of those that are read."""
        names = set(read)
        files = {name: SourceFile.of(paths[name], name in names) for name in sorted(paths)}
        used = folder is not None and any(path.is_relative_to(folder) for path in paths.values())
        return cls(os.fspath(folder.resolve()) if used else None, files)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Sources":
        """Returns what `to_plain` has made plain data of."""
        return cls(plain["folder"], {name: SourceFile(*file) for name, file in plain["files"].items()})

    def to_plain(self) -> dict[str, Any]:
        """Returns plain data, for JSON."""
        return dataclasses.asdict(self)

    def summary(self) -> dict[str, Any]:
        """Returns {"folder", "files": their number, "bytes", "fingerprint"}, plain data."""
        return {
            "folder": self.folder,
            "files": len(self.files),
            "bytes": sum(file.size for file in self.files.values()),
            "fingerprint": self.fingerprint,
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the lines that `sha256sum` writes of the files, by name; "-" stands for a content not read."""
        lines = (f"{file.sha256 or '-'}  {name}\n" for name, file in sorted(self.files.items()))
        return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()

    def difference(self, folder: Path, paths: Mapping[str, Path], *, partly: bool = False) -> str | None:
        """Compares with files that are at hand.

        Names must agree, then contents. A file that is in the same folder, of the same size and not changed since
        has the same content; of others the SHA-256 decides. At most 4 GiB are hashed for that, spread evenly over
        the files; a warning says how many others are compared by their sizes alone.

        Args:
            folder: where they are.
            paths: name -> file.
            partly: bool. Files that are not there count for nothing.

        Returns:
            The first difference, in words, or None.
        """
        names = _other_name(self.files, paths, partly)
        if names:
            return names
        same_folder = self.folder == os.fspath(folder.resolve())
        suspects = [
            name
            for name in sorted(paths)
            if self.files[name].sha256 and not (same_folder and self.files[name].stands(paths[name]))
        ]
        hashed = _affordable({name: paths[name].stat().st_size for name in suspects})
        if len(hashed) < len(suspects):
            warnings.warn(
                f"{len(suspects) - len(hashed)} of {len(paths)} source files are compared by name and size alone, as "
                "to read all would take long",
                stacklevel=2,
            )
        for name in suspects:
            found = SourceFile.of(paths[name], read=name in hashed)
            if name in hashed and found.sha256 != self.files[name].sha256:
                return f"{name} has another content"
            if name not in hashed and found.size != self.files[name].size:
                return f"{name} has another size"
        return None

    def changed(self, paths: Mapping[str, Path]) -> str | None:
        """Returns the name of the first file that was read and has been changed since, or None."""
        read = (name for name, file in self.files.items() if file.sha256)
        return next((name for name in read if not self.files[name].stands(paths[name])), None)

    def conflict(self, other: "Sources") -> str | None:
        """Returns in what two parts cannot be of the same files, in words: a name, or what both have read."""
        names = _other_name(self.files, other.files)
        if names:
            return names
        for name, file in self.files.items():
            if (
                None not in (file.sha256, other.files[name].sha256)
                and file.sha256 != other.files[name].sha256
            ):
                return f"{name} has another content"
        return None

    def joined(self, others: Iterable["Sources"]) -> "Sources":
        """Returns the sources of several parts: of each file what a part knows that has read it."""
        files = dict(self.files)
        for other in others:
            files |= {
                name: file for name, file in other.files.items() if file.sha256 and not files[name].sha256
            }
        return dataclasses.replace(self, files=files)


def _other_name(files, others, partly=False):
    """Returns the first name that only one side has, in words."""
    for name in sorted({*files} ^ {*others}):
        if name in others:
            return f"{name} is new"
        if not partly:
            return f"{name} is missing"
    return None


def _affordable(sizes):
    """Returns the names of the files, evenly spread, that may be hashed."""
    costs = {name: size + _OPENING for name, size in sizes.items()}
    step = -(-sum(costs.values()) // _MOST_BYTES) or 1
    left, chosen = _MOST_BYTES, set()
    for name in list(costs)[::step]:
        if costs[name] <= left:
            chosen.add(name)
            left -= costs[name]
    return chosen


def _sha256(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with damage_of(path, "A source file must be whole and readable."), opened(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
