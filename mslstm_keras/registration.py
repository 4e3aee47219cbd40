"""Registers the package's classes with Keras as soon as Keras is there.

`import mslstm_keras` alone does not import Keras, which takes seconds. After it `keras.models.load_model` knows every
class of the package all the same, whichever of the two is imported first.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES = (
    "mslstm_keras.models.registry",  # cells, layers and roll-outs
    "mslstm_keras.metrics.categorical",
    "mslstm_keras.metrics.frame",
    "mslstm_keras.training.losses",
    "mslstm_keras.training.optimizers",
)
"""Modules that register classes, or import those that do."""


def register_with_keras() -> None:
    """Registers the classes now where Keras has been imported, else right after somebody imports it."""
    if sys.modules.get("keras"):
        _import_modules()
    else:
        sys.meta_path.insert(0, _AfterKeras())


def _import_modules() -> None:
    for module in MODULES:
        importlib.import_module(module)


class _AfterKeras(MetaPathFinder):
    """Finds nothing of its own: it hands Keras to whoever finds it, and imports our modules behind it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _import_modules()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
