"""Packages of the extra `radar`, which a file's format decides on."""

import contextlib
import importlib
import io
import warnings
from collections.abc import Iterator
from typing import Any


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


def pysteps_importers() -> Any:
    """Returns `pysteps.io.importers`, without what pysteps prints and changes when it is imported.

    Raises:
        ImportError: if pysteps is not installed.
    """
    with needed("this format of radar maps"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(io.StringIO()):
            return importlib.import_module("pysteps.io.importers")
