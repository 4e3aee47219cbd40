"""How files and folders are written: whole or not at all."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Writes a file or a folder so that `path` never shows half of it.

    The block writes to the temporary path that it is given, which lies in the same folder and keeps the
    whole name as its end, so every suffix stays. When the block ends, what it wrote is flushed to the disk
    and renamed to `path`. When it raises, the temporary is removed and `path` is what it was. Folders above
    that are missing are made, and taken away again when the block raises.

    A process killed inside the block leaves `.partial-*` behind and `path` as it was. A folder that exists
    already is swapped by two renames: killed between them, the old one is still there as `.replaced-*`.

    Args:
        path: file or folder to write.

    Yields:
        Path of the temporary, which does not exist yet: make a file or a folder of it.

    Raises:
        OSError: if writing fails (a file where a folder must be, disk full), naming `path` where the system gives a
            reason.
    """
    path = Path(path)
    temporary = path.with_name(f".partial-{secrets.token_hex(4)}-{path.name}")
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        if made:
            path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        _rename(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # what cannot be removed must not hide why it has to be
            _remove(temporary)
        with contextlib.suppress(OSError):  # another process may have put something there
            for folder in made:
                folder.rmdir()
        unknown = (None, str(temporary), temporary, str(path.parent), path.parent)
        if isinstance(error, OSError) and error.errno and error.filename in unknown:
            with contextlib.suppress(AttributeError):  # errors of some libraries cannot be told it
                error.filename = str(path)  # nobody knows the temporary name
        raise


def remove_partial(folder: str | os.PathLike[str]) -> None:
    """Removes what processes killed inside `replacing` left in a folder.

    A folder that such a process had swapped away gets its name back, unless the new one has it.
    """
    for path in Path(folder).glob(".partial-*"):
        _remove(path)
    for old in Path(folder).glob(f".replaced-{'[0-9a-f]' * 8}-*"):
        path = old.with_name(old.name.split("-", 2)[2])
        if path.exists():
            _remove(old)
        else:
            os.replace(old, path)


def _flush(path: Path) -> None:
    """Returns when the disk holds a file, or a folder with all that is in it."""
    for entry in (*path.rglob("*"), path):
        _fsync(entry)


def _fsync(entry: Path) -> None:
    """Returns when the disk holds a file's bytes, or a folder's names."""
    descriptor = os.open(entry, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(temporary: Path, path: Path) -> None:
    """Gives `temporary` the name `path`, taking away what had it."""
    if not (temporary.is_dir() and path.is_dir()):
        os.replace(temporary, path)  # a rename replaces a file, yet never a folder that holds something
    else:
        old = path.with_name(f".replaced-{secrets.token_hex(4)}-{path.name}")
        os.replace(path, old)
        try:
            os.replace(temporary, path)
        except BaseException:
            os.replace(old, path)
            raise
        _remove(old)
    _fsync(path.parent)


def _remove(path: Path) -> None:
    """Removes a file, a link or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
