"""What happens around the import of another package, whenever that is."""

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def needed(what: str, extra: str) -> Iterator[None]:
    """Turns the error of a package that is not installed into one line that says how to install it.

    Args:
        what: what the packages that are imported within the context are needed for: the beginning of the line.
        extra: the extra of this package that brings them, as pyproject.toml lists it.

    Raises:
        ImportError: if a package is not installed.
    """
    try:
        yield
    except ImportError as error:
        reason = f"{error.name} is not there" if isinstance(error, ModuleNotFoundError) else error
        raise ImportError(f"{what} needs pip install 'mslstm_keras[{extra}]' ({reason})") from error


def check_installed(what: str, extra: str, modules: Sequence[str]) -> None:
    """Makes sure that packages are there, without importing them: before what takes long and ends with their use.

    Args:
        what: what they are needed for: the beginning of the line that is raised.
        extra: the extra of this package that brings them, as pyproject.toml lists it.
        modules: names of their modules.

    Raises:
        ImportError: if one is not installed.
    """
    with needed(what, extra):
        for module in modules:
            if importlib.util.find_spec(module) is None:
                raise ModuleNotFoundError(name=module)


Context = Callable[[], AbstractContextManager[Any]]


def around_import(package: str, context: Context) -> None:
    """Lets a package that is not yet imported be imported within a context, once, when somebody imports it.

    Args:
        package: name of a top-level package.
        context: function that returns the context.
    """
    sys.meta_path.insert(0, _Around(package, context))


def after_import(package: str, action: Callable[[], None], *, user: str) -> None:
    """Calls a function once, right after somebody imports a package that is not yet imported.

    Where a module of `user` imports it, the function is called when the outermost of these modules is done: it may then
    import all of them, and finds none half made.

    Args:
        package: name of a top-level package.
        action: function to call.
        user: name of a top-level package that imports `package`.
    """
    sys.meta_path.insert(0, _After(package, action, user))


class _Around(MetaPathFinder):
    """Finds nothing of its own: whoever finds the package also loads it."""

    def __init__(self, package: str, context: Context):
        self.package, self.context = package, context

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.package:
            return None
        sys.meta_path.remove(self)
        return _loaded_within(importlib.util.find_spec(fullname), self.context)


class _After(_Around):
    """Finds the modules of its user as Python does, too, to know when one is being made."""

    def __init__(self, package: str, action: Callable[[], None], user: str):
        super().__init__(package, self._importing)
        self.action, self.user = action, user
        self.in_the_making, self.due = 0, False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.startswith(f"{self.user}."):
            return _loaded_within(PathFinder.find_spec(fullname, path, target), self._making)
        return super().find_spec(fullname, path, target)

    @contextlib.contextmanager
    def _importing(self) -> Iterator[None]:
        yield
        self.due = True
        self._act()

    @contextlib.contextmanager
    def _making(self) -> Iterator[None]:
        self.in_the_making += 1
        try:
            yield
        finally:
            self.in_the_making -= 1
            self._act()

    def _act(self) -> None:
        if self.due and not self.in_the_making:
            self.due = False
            self.action()


def _loaded_within(spec: ModuleSpec | None, context: Context) -> ModuleSpec | None:
    """Returns a spec whose module is executed within a context."""
    if spec is None or spec.loader is None:
        return spec
    execute = spec.loader.exec_module

    def exec_module(module: ModuleType) -> None:
        with context():
            execute(module)

    spec.loader.exec_module = exec_module  # type: ignore[method-assign]
    return spec
