"""Public names that are loaded when they are first used, so that a package costs nothing until then.

A package lists its names once, in an `__init__.pyi` beside its `__init__.py`, where type checkers look for them too.
"""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns what a package needs to load the names of its stub on first use.

        __getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)

    Args:
        package: name of the package.
        file: its `__init__.py`. Each import of the stub beside it, `from module import name as name`, offers a name.
    """
    places = _places(Path(file).with_suffix(".pyi"))

    def __getattr__(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if places[name] == package:
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(places[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__, lambda: sorted(places), sorted(places)


def _places(stub: Path) -> dict[str, str]:
    """Returns name -> the module that the stub imports it from."""
    imports = [node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names}
