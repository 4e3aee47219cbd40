"""Locks of folders that several processes may write. A lock ends with the process that holds it, however that ends."""

import contextlib
import errno
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

LOCK = ".lock"
_PATIENCE_SECONDS = 2.0  # before it is said what is waited for
_UNSUPPORTED = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
_LONGEST_NAME = 200  # of a holder in a message: what is in the file is anybody's


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str], name: str | None = None) -> Iterator[None]:
    """Holds a lock of a folder, once no other process does.

    Until then it waits, and warns after two seconds of which process it waits for.

    The lock is a file in the folder, `.lock` or `.lock-NAME`, which is removed when the block ends. A process that is
    killed leaves the file, but not the lock. Where the file system has no locks, or `filelock` is not installed, a
    warning says so and the block runs without.

    Args:
        folder: folder that the block writes; made if it does not exist, and then removed again if it stays empty.
        name: str. What in the folder the lock is of; the folder itself by default.

    Raises:
        OSError: if the lock cannot be written.
    """
    with _held(Path(folder), name):
        yield


@contextlib.contextmanager
def claimed(folder: str | os.PathLike[str], argument: str = "run_dir") -> Iterator[None]:
    """Holds the lock of a folder as `locked` does, and raises an error where another process holds it.

    Args:
        folder: folder that the block writes, such as that of a run.
        argument: str. What the error calls the folder.

    Raises:
        ValueError: naming the folder and the process that holds its lock.
        OSError: if the lock cannot be written.
    """
    with _held(Path(folder), None, refuses=argument):
        yield


@contextlib.contextmanager
def _held(folder, name, *, refuses=None):
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    file = folder / (LOCK if name is None else f"{LOCK}-{name}")
    try:
        lock = _acquire(folder, file, refuses, of=folder if name is None else folder / name)
        try:
            yield
        finally:
            if lock is not None:
                # While it is held: who waits then finds that the file has gone, and makes the next one.
                with contextlib.suppress(OSError):
                    file.unlink()
                lock.release()
    finally:
        with contextlib.suppress(OSError):  # a folder that holds something stays, and so do those around it
            for path in made:
                path.rmdir()


def _acquire(folder, file, refuses, of):
    """Returns the lock that is held, or None where there are no locks; `refuses` is the argument that is refused."""
    try:
        import filelock
    except ImportError:
        folder.mkdir(parents=True, exist_ok=True)
        _warn(f"filelock is not installed: nothing keeps two processes from writing {of} at once")
        return None
    # For all to open: the next to write the folder may be another user. No marker files in place of locks, which would
    # outlive their process.
    lock = filelock.FileLock(file, mode=0o666, fallback_to_soft=False, on_acquired=_sign)
    timeout = 0.0 if refuses else _PATIENCE_SECONDS
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=timeout)
            return lock
        except FileNotFoundError:
            continue  # another process has just removed the folder, in which it has written nothing
        except filelock.Timeout:
            if refuses:
                raise ValueError(
                    f"`{refuses}` must not be written by another process. Received: {refuses}={str(of)!r}, "
                    f"held by {_holder(file)}"
                ) from None
            _warn(f"waiting for {_holder(file)}, which is writing {of}")
            timeout = -1.0
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            with contextlib.suppress(OSError):
                file.unlink()
            _warn(
                f"{of} is on a file system without locks ({os.strerror(error.errno)}): nothing keeps two processes "
                "from writing it at once"
            )
            return None


def _sign(descriptor):
    """Writes into the file of a lock who holds it."""
    with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


def _holder(file):
    """Returns the name of who holds a lock, in words."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        text = ""
    name = "".join(filter(str.isprintable, text.partition("\n")[0]))[:_LONGEST_NAME]
    return name or "another process"


def _warn(message):
    warnings.warn(message, stacklevel=2)
