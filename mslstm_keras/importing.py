"""What happens around the import of another package, whenever that is, and the import of a file by its path."""

import contextlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
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


IMPORTED: dict[Path, ModuleType] = {}
"""File -> its module, of all that `import_file` was asked for. Processes that the package starts import them, too."""

IMPORTED_AS = "mslstm_keras.imported."  # no package that is installed has a module of such a name


def import_file(file: str | os.PathLike[str]) -> ModuleType:
    """Runs a file of Python as a module, so that the cells and models that it registers are known.

    The processes that `tune` and `count_cost(measure=True)` start import the same files. A file runs once, however
    often it is named; where a module has been imported from it in another way, that is taken.

    Args:
        file: path of a `.py` file.

    Returns:
        The module, called "mslstm_keras.imported." + the file's name without ".py".

    Raises:
        ValueError: if it is no such file, if a file of the same name was imported from another folder, if it raises an
            error, such as that of an `architecture` whose name is taken, or if it registers an object with Keras under
            a name that is taken.
    """
    path = Path(file).resolve()
    if path.suffix != ".py" or not path.is_file():
        raise ValueError(
            f"`file` must be a Python file, .py, that exists. Received: file={os.fspath(file)!r}"
        )
    if path not in IMPORTED:
        IMPORTED[path] = _module_of(path) or _run_as_module(path)
    return IMPORTED[path]


def _module_of(path):
    """Returns the module that was imported from a file, None if there is none."""
    for module in list(sys.modules.values()):
        source = vars(module).get("__file__") if isinstance(module, ModuleType) else None
        if source and source.endswith(path.name) and Path(source).resolve() == path:
            return module
    return None


def _run_as_module(path):
    import keras  # first, so that it knows the package's own classes

    name = f"{IMPORTED_AS}{path.stem}"
    if name in sys.modules:
        raise ValueError(
            "`file` must have another name than files of other folders. Received: "
            f"{path} and {sys.modules[name].__file__}"
        )
    loader = _Uncached(name, os.fspath(path))
    spec = ModuleSpec(name, loader, origin=os.fspath(path))
    spec.has_location = True
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    known = dict(keras.saving.get_custom_objects())
    try:
        loader.exec_module(module)
        _check_registered_names(known)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"`file` must be a Python file that runs. Received: {path}{_line_of(error, path)}: {reason}"
        ) from error
    return module


def _check_registered_names(known):
    """Raises ValueError, and undoes it, if an object was registered in the place of a known one."""
    import keras

    objects = keras.saving.get_custom_objects()
    replaced = sorted(name for name, value in known.items() if objects.get(name) is not value)
    objects.update(known)
    if replaced:
        raise ValueError(
            f"`package` and name of a class that is registered with Keras must be new. Received: {', '.join(replaced)}"
        )


def _line_of(error, path):
    """Returns where in a file an error was raised, as text."""
    lines = [
        each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == os.fspath(path)
    ]
    if isinstance(error, SyntaxError) and error.filename == os.fspath(path):
        lines.append(error.lineno)
    return f", line {lines[-1]}" if lines else ""


class _Uncached(SourceFileLoader):
    """Leaves no `__pycache__` beside a file that somebody names in a command."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        pass


class _Around(MetaPathFinder):
    """Finds nothing of its own: whoever finds the package also loads it."""

    def __init__(self, package: str, context: Context):
        self.package, self.context = package, context

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.package:
            return None
        place = sys.meta_path.index(self)
        sys.meta_path.remove(self)  # the others find it
        try:
            return _loaded_within(importlib.util.find_spec(fullname), self._once)
        finally:
            sys.meta_path.insert(place, self)  # who looks whether the package is there does not yet import it

    @contextlib.contextmanager
    def _once(self) -> Iterator[None]:
        with self.context():
            yield
            sys.meta_path.remove(self)


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
