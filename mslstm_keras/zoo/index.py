"""The zoo: trained models with their recipes, scores and checksums."""

import contextlib
import os
from pathlib import Path

from mslstm_keras.locks import locked
from mslstm_keras.naming import nearest
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.zoo.checksums import read_listing, verify
from mslstm_keras.zoo.entry import ZooEntry

INDEX, VERSION = "index.json", "1"
SAVED_MODEL = "fingerprint.pb", "saved_model.pb", "variables/"
"""Files and folders of a SavedModel. A zoo that `pip` has installed has none of them: it would be twice as large."""


def zoo_folder() -> Path:
    """Returns the folder of the zoo that came with the package."""
    package = Path(__file__).resolve().parents[1]
    installed, checkout = package / "weights", package.parent / "zoo"
    return installed if installed.is_dir() else checkout


def list_pretrained(zoo: str | os.PathLike[str] | None = None) -> dict[str, ZooEntry]:
    """Returns the entries of a zoo by name.

    Args:
        zoo: folder of a zoo; by default that of the package.

    Raises:
        ValueError: if the folder has no index or the index cannot be read.
    """
    index = Path(zoo_folder() if zoo is None else zoo) / INDEX
    try:
        entries = read_listing(index, "entries")
        return {
            name: ZooEntry(name=name, **{**fields, "recipe": Recipe.from_dict(fields["recipe"])})
            for name, fields in sorted(entries.items())
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"`zoo` must be a folder with a readable {INDEX}. Received: {index} ({error})"
        ) from error


def find_pretrained(name: str, zoo: str | os.PathLike[str] | None = None) -> ZooEntry:
    """Returns an entry of a zoo.

    Raises:
        ValueError: if there is none of that name (with the nearest names).
    """
    entries = list_pretrained(zoo)
    if name not in entries:
        raise ValueError(
            f"`name` must be a model of the zoo, such as {nearest(name, entries)}. Received: name={name!r}"
        )
    return entries[name]


def verify_pretrained(name: str, zoo: str | os.PathLike[str] | None = None) -> Path:
    """Checks size and SHA-256 of every file of an entry.

    Returns:
        The entry's versioned folder, as `keras.models.load_model` takes it and, if `holds_saved_model`,
        `tf.saved_model.load`.

    Raises:
        ValueError: naming the file that is missing, truncated, altered, a link, or not in the index.
    """
    place = Path(zoo_folder() if zoo is None else zoo)
    find_pretrained(name, place)
    try:
        return _verified(name, place)
    except ValueError:
        # Another process may be replacing the entry, whose files and line of the index change one after the other.
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(place))
            except OSError:  # nobody can: it cannot be written
                pass
            else:
                return _verified(name, place)
        raise


def _verified(name: str, zoo: Path) -> Path:
    files, folder = find_pretrained(name, zoo).files, zoo / name
    if not holds_saved_model(folder / VERSION):
        served = tuple(f"{VERSION}/{path}" for path in SAVED_MODEL)
        files = {path: listed for path, listed in files.items() if not path.startswith(served)}
    verify(folder, files, "`zoo` must hold every file of an entry as the index lists it")
    return folder / VERSION


def holds_saved_model(folder: Path) -> bool:
    """Returns whether anything of a SavedModel is in the versioned folder of an entry."""
    return any((folder / path).exists() for path in SAVED_MODEL)
