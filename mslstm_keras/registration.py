"""Registers the package's classes with Keras as soon as Keras is there.

`import mslstm_keras` alone does not import Keras, which takes seconds. After it `keras.models.load_model` knows every
class of the package all the same, whichever of the two is imported first.
"""

import importlib
import sys

from mslstm_keras.importing import after_import

MODULES = (
    "mslstm_keras.models.registry",  # cells, layers and roll-outs
    "mslstm_keras.metrics.categorical",
    "mslstm_keras.metrics.frame",
    "mslstm_keras.metrics.units",
    "mslstm_keras.training.losses",
    "mslstm_keras.training.optimizers",
)
"""Modules that register classes, or import those that do."""


def register_with_keras() -> None:
    """Registers the classes now where Keras has been imported, else right after somebody imports it."""
    if sys.modules.get("keras"):
        _import_modules()
    else:
        after_import("keras", _import_modules, user="mslstm_keras")


def _import_modules() -> None:
    for module in MODULES:
        importlib.import_module(module)
