"""Packages of the extra `radar`, which a file's format decides on."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needed(what: str) -> Iterator[None]:
    """Turns the error of a package that is not installed into one that says how to install it.

    Args:
        what: what the package is needed for.

    Raises:
        ImportError: if a package is not installed.
    """
    try:
        yield
    except ImportError as error:
        name = f" {error.name.partition('.')[0]}" if error.name else ""
        raise ImportError(
            f"{what[0].upper()}{what[1:]} needs the package{name}: pip install 'mslstm_keras[radar]' ({error})"
        ) from error
