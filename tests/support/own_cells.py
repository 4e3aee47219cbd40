"""A cell that keeps every contract: those of the tests break one each."""

from pathlib import Path

import keras
from keras import ops

from mslstm_keras import SpatiotemporalCell
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
