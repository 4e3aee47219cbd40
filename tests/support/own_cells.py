"""A cell that keeps every contract: those of the tests break one each. Files of cells, and how they are forgotten."""

import sys
from pathlib import Path

import keras
from keras import ops

from mslstm_keras import SpatiotemporalCell
from mslstm_keras.cells.registry import ARCHITECTURES
from mslstm_keras.importing import IMPORTED, IMPORTED_AS
from mslstm_keras.layers.gates import memory
from tests.support.examples import blocks

PAGE = (Path(__file__).parents[2] / "docs" / "cells.md").read_text()
MY_CELLS = blocks("python", PAGE)[0]
"""The file `my_cells.py` of docs/cells.md: a cell `FooCell`, and the models `foo` and `ms_foo`."""


@keras.saving.register_keras_serializable(package="tests")
class GoodCell(SpatiotemporalCell):
    state_names = ("h", "c")

    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.mix = self.gates(3)

    def call(self, inputs, states):
        h, c = states
        i, g, o = self.mix([inputs, h])
        c = memory(c, i, -i, g)
        h = ops.sigmoid(o) * ops.tanh(c)
        return h, [h, c]


def write_my_cells(folder, name="my_cells.py", text=MY_CELLS):
    """Writes a file of cells, and returns its path."""
    path = folder / name
    path.write_text(text)
    return path


def forget_files():
    """Makes this process as one that has imported no file of cells."""
    IMPORTED.clear()
    known = keras.saving.get_custom_objects()
    stacks = {name: made.stack.__module__ for name, made in ARCHITECTURES.items()}
    classes = {name: value.__module__ for name, value in known.items()}
    for table, modules in (
        (ARCHITECTURES, stacks),
        (known, classes),
        (sys.modules, {name: name for name in sys.modules}),
    ):
        for name in [name for name, module in modules.items() if module.startswith(IMPORTED_AS)]:
            del table[name]
