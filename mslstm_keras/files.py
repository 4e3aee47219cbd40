"""How files and folders are written: whole or not at all."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

_END = 50  # characters of a name that a temporary has, too: it may be no longer than 255 bytes


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Writes a file or a folder so that `path` never shows half of it.

    The block writes to the temporary path that it is given, which lies in the same folder and ends as the
    name does, so every suffix stays. When the block ends, what it wrote is flushed to the disk and renamed to
    `path`. When it raises, the temporary is removed and `path` is what it was. Folders above that are missing
    are made, and taken away again when the block raises. A link stays, and what it points to is written.

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
    named = path = Path(path)
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    temporary = path.with_name(f".partial-{secrets.token_hex(4)}-{path.name[-_END:]}")
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
        if isinstance(error, OSError) and error.errno and _is_unknown(error, temporary):
            with contextlib.suppress(AttributeError):  # errors of some libraries cannot be told it
                error.filename = str(named)  # nobody knows the temporary name
                del error.filename2  # of a rename or a copy, which is the same
        raise


def check_writable(path: str | os.PathLike[str]) -> None:
    """Makes sure that something can be written in the place of a path, before what takes long. Nothing is left of it.

    Raises:
        OSError: if nothing can, as in a folder that may only be read.
    """
    with contextlib.suppress(_TriedError), replacing(path) as temporary:
        temporary.touch()
        raise _TriedError


class _TriedError(Exception):
    """Ends an attempt that has succeeded."""


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


def system_error(text: str, path: str | os.PathLike[str]) -> OSError:
    """Returns the error of the system whose words a library has put into an error of its own.

    Args:
        text: words of the library.
        path: what could not be written.
    """
    for number in errno.errorcode:
        if os.strerror(number) in text:
            return OSError(number, os.strerror(number), os.fspath(path))
    return OSError(f"{os.fspath(path)} cannot be written: {text}")


def _is_unknown(error: OSError, temporary: Path) -> bool:
    """Returns whether an error names what is temporary, the folder around it, or nothing."""
    named = [
        Path(os.path.abspath(name))
        for name in (error.filename, error.filename2)
        if isinstance(name, (str, Path))
    ]
    mine = Path(os.path.abspath(temporary))
    return not named or any(name == mine.parent or name.is_relative_to(mine) for name in named)


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
    while True:
        try:
            if temporary.is_dir() and path.is_dir():
                _swap(temporary, path)
            else:
                # A rename replaces a file, yet never a folder that holds something.
                os.replace(temporary, path)
            break
        except OSError as error:
            # Another process replaces the same folder, and was between its two renames or has just ended them.
            if not (temporary.is_dir() and error.errno in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST)):
                raise
    _fsync(path.parent)


def _swap(temporary: Path, path: Path) -> None:
    """Puts a folder in the place of another one, and removes that."""
    old = path.with_name(f".replaced-{secrets.token_hex(4)}-{path.name}")
    try:
        os.replace(path, old)
        os.replace(temporary, path)
        _remove(old)
    except BaseException:
        if path.exists():
            _remove(old)
        else:
            os.replace(old, path)
        raise


def _remove(path: Path) -> None:
    """Removes a file, a link or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
