"""What happens around the import of another package, whenever that is."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def around_import(package: str, context: Callable[[], AbstractContextManager[Any]]) -> None:
    """Lets a package that is not yet imported be imported within a context, once, when somebody imports it.

    Args:
        package: name of a top-level package.
        context: function that returns the context.
    """
    sys.meta_path.insert(0, _Around(package, context))


class _Around(MetaPathFinder):
    """Finds nothing of its own: whoever finds the package also loads it."""

    def __init__(self, package: str, context: Callable[[], AbstractContextManager[Any]]):
        self.package, self.context = package, context

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.package:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            with self.context():
                execute(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
