"""Listings of folders, with size and SHA-256 of every file: read and checked without trust, compared with the files."""

import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

CHECKSUMS = "checksums.json"
PRESET_FILES = "config.json", "metadata.json", "model.weights.h5"  # those of a preset that it lists
LARGEST_JSON = 2**24  # bytes; real ones have some thousands

Files = Mapping[str, Mapping[str, Any]]  # path below a folder -> {"size": bytes, "sha256": hexadecimal}


def read_listing(path: Path, key: str) -> Any:
    """Returns one value of a JSON file. A file too large for a listing is refused before it is read.

    Raises:
        OSError, ValueError, KeyError, TypeError or RecursionError: if the file is not of that kind.
    """
    size = path.stat().st_size
    if size > LARGEST_JSON:
        raise ValueError(f"it has {size:,} bytes, more than {LARGEST_JSON:,}")
    return json.loads(path.read_text())[key]


def check_listing(files: Files) -> None:
    """Raises ValueError if a path leaves its folder, or has no size and SHA-256."""
    for path, expected in files.items():
        plain = PurePosixPath(path)
        if plain.is_absolute() or ".." in plain.parts or plain.as_posix() != path or "\\" in path:
            raise ValueError(f"`files` must be paths below the folder of the entry. Received: {path!r}")
        size, digest = expected["size"], expected["sha256"]
        if type(size) is not int or size < 0 or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"`files` must have a size and a SHA-256. Received: {path!r}: {expected!r}")


def sums(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns the listing of a folder."""
    return {
        path: {"size": (folder / path).stat().st_size, "sha256": _sha256(folder / path)}
        for path in _paths(folder)
    }


def verify(folder: Path, files: Files, rule: str, *, unlisted: Collection[str] = ()) -> None:
    """Checks every file of a folder.

    Args:
        folder: folder to check.
        files: listing, checked by `check_listing`.
        rule: str. What a message says must hold.
        unlisted: paths that may be there without being listed.

    Raises:
        ValueError: naming the file that is missing, truncated, altered, a link, or not listed.
    """
    for entry in (folder, *folder.rglob("*")):
        if entry.is_symlink():
            raise ValueError(f"{rule}. Received: {entry} is a link")
    for path, expected in files.items():
        file = folder / path
        if not file.is_file():
            raise ValueError(f"{rule}. Received: {file} is missing")
        if file.stat().st_size != expected["size"]:
            raise ValueError(
                f"{rule}. Received: {file} has {file.stat().st_size} bytes, not {expected['size']}"
            )
        if _sha256(file) != expected["sha256"]:
            raise ValueError(f"{rule}. Received: {file} is altered (SHA-256 {_sha256(file)})")
    for path in _paths(folder):
        if path not in files and path not in unlisted:
            raise ValueError(f"{rule}. Received: {folder / path} is not listed")


def verify_preset(folder: str | os.PathLike[str]) -> Path:
    """Checks size and SHA-256 of every file of a folder of `save_to_preset`.

    Returns:
        The folder, as `keras.models.load_model` takes it.

    Raises:
        ValueError: naming the file that is missing, truncated, altered, a link, or not listed; or if the folder was
            not written by `save_to_preset`.
    """
    folder = Path(folder)
    try:
        files = read_listing(folder / CHECKSUMS, "files")
        if sorted(files) != sorted(PRESET_FILES):
            raise ValueError(
                f"it lists {', '.join(map(repr, files))}, not {', '.join(map(repr, PRESET_FILES))}"
            )
        check_listing(files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"`preset` must be a folder that `save_to_preset` wrote, with a readable {CHECKSUMS}. Received: {folder} "
            f"({error})"
        ) from error
    rule = f"`preset` must hold every file as its {CHECKSUMS} lists it"
    verify(folder, files, rule, unlisted=[CHECKSUMS])
    return folder


def _paths(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
