"""Cells that break one contract each are told so. What keeps them all: `tests/cells/test_base.py`."""

import keras
import numpy as np
import pytest
from keras import ops

from mslstm_keras.contracts.cells import CELL_CONTRACTS, check_registration
from mslstm_keras.contracts.rules import BrokenContract
from tests.support.own_cells import GoodCell

registered = keras.saving.register_keras_serializable(package="tests")


class UnregisteredCell(GoodCell):
    pass


@registered
class ForgetfulCell(GoodCell):
    def __init__(self, filters, kernel_size=3, gain=1.0, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.gain = gain

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size}


@registered
class GrowingCell(GoodCell):
    def get_config(self):
        return {**super().get_config(), "filters": self.filters + 1, "kernel_size": self.kernel_size}


@registered
class NamelessCell(GoodCell):
    def __init__(self, filters):
        super().__init__(filters)


@registered
class CellOfOnes(GoodCell):
    def get_initial_state(self, batch_size=None):
        return [ops.ones_like(state) for state in super().get_initial_state(batch_size)]


@registered
class CellOfOtherStart(GoodCell):
    def get_initial_state(self, batch_size=None):
        h, c = super().get_initial_state(batch_size)
        return [h, c[:, ::2]]


@registered
class CellOfOneShape(GoodCell):
    def state_shapes(self, inputs_shape):
        return super().state_shapes(inputs_shape)[:1]


@registered
class CellOfOneStart(GoodCell):
    def get_initial_state(self, batch_size=None):
        return super().get_initial_state(batch_size)[:1]


@registered
class CellWithASpareLayer(GoodCell):
    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.spare = self.conv()


@registered
class LateCell(GoodCell):
    def call(self, inputs, states):
        output, states = super().call(inputs, states)
        if not keras.backend.is_keras_tensor(inputs):
            self.late = self.add_weight(shape=(1,), name="late")
        return output, states


@registered
class CellWithoutWeights(GoodCell):
    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        del self.mix

    def call(self, inputs, states):
        h, c = states
        return inputs + h, [inputs, c]


@registered
class NarrowCell(GoodCell):
    def call(self, inputs, states):
        h, (_, c) = super().call(inputs, states)
        return h, [h, c[..., :2]]


@registered
class CellOfOneState(GoodCell):
    def call(self, inputs, states):
        h, _ = super().call(inputs, states)
        return h, [h]


@registered
class BoastingCell(GoodCell):
    def compute_output_shape(self, inputs_shape, states_shape=None):
        return (*inputs_shape[:-1], 2 * self.filters), self.state_shapes(inputs_shape)


@registered
class CellOfOneSample(GoodCell):
    def call(self, inputs, states):
        h, (_, c) = super().call(inputs, states)
        return h, [h, ops.mean(c, axis=0, keepdims=True)]


@registered
class CellOfAForeignLayer(GoodCell):
    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.foreign = keras.layers.Conv2D(filters, 1)

    def call(self, inputs, states):
        return super().call(self.foreign(inputs), states)


@registered
class CellOfSingleStates(GoodCell):
    def get_initial_state(self, batch_size=None):
        return [ops.cast(state, "float32") for state in super().get_initial_state(batch_size)]


CONFIGURATION, START = "is made again of its configuration", "begins with states of zeros"
BUILD, SHAPES = "makes its weights in build and uses all layers", "returns the shapes that it declares"


@pytest.mark.parametrize("contract", CELL_CONTRACTS)
def test_a_good_cell_keeps_all(contract):
    CELL_CONTRACTS[contract](GoodCell)


@pytest.mark.parametrize(
    ("cell_class", "contract", "message"),
    [
        (UnregisteredCell, "is registered with Keras", r"by @keras\.saving\.register_keras_serializable.* Received: "
         r"the registered name 'UnregisteredCell'$"),
        (ForgetfulCell, CONFIGURATION, r"^`get_config` must return every argument .* Received: no gain$"),
        (GrowingCell, CONFIGURATION, r"must have the same configuration\. Received: GrowingCell of \{.*'filters': 6"),
        (CellOfOnes, START, r"^state 'h' must begin as zeros .* Received: a difference of 1$"),
        (CellOfOtherStart, START, r"^state 'c' must begin .* Received: shape \(2, 4, 12, 4\), not \(2, 8, 12, 4\)$"),
        (CellOfOneShape, START, r"must be of the same states\. Received: 2 names and 1 shapes$"),
        (CellOfOneStart, START, r"^`get_initial_state` must return 2 states, .* Received: 1$"),
        (CellWithASpareLayer, BUILD, r"^`call` must use every layer .* Received: conv\w*, never used$"),
        (CellWithoutWeights, BUILD, r"^a cell must have weights\. Received: none$"),
        (NarrowCell, SHAPES, r"of a real call .* \(8, 12, 4\)\], as `state_shapes` says\. Received: .*\(8, 12, 2\)\]$"),
        (CellOfOneState, SHAPES, r"^`call` must return a state for each of \('h', 'c'\)\. Received: 1 states$"),
        (BoastingCell, SHAPES, r"^`compute_output_shape` must return .* Received: \(\(2, 8, 12, 8\)"),
        (CellOfOneSample, SHAPES, r"of a real call must have the inputs' batch size\. Received: \{1, 2\}$"),
        (CellOfAForeignLayer, "has one dtype policy", r"'mixed_bfloat16'\. Received: \{.*: 'float32'\}$"),
        (CellOfSingleStates, "has one dtype policy", r"^states must have the dtypes \{'h': 'bfloat16', 'c': 'float32'\}"
         r"\. Received: \{'h': 'float32', 'c': 'float32'\}$"),
    ],
)  # fmt: skip
def test_a_cell_that_breaks_a_contract_is_told_so(cell_class, contract, message):
    with pytest.raises(BrokenContract, match=message):
        CELL_CONTRACTS[contract](cell_class)


@pytest.mark.parametrize(
    ("cell_class", "contract", "kind", "message"),
    [
        (NamelessCell, CONFIGURATION, TypeError, "unexpected keyword argument"),
        (LateCell, BUILD, ValueError, "cannot add new elements of state"),
    ],
)
def test_what_keras_itself_refuses_is_told_in_its_words(cell_class, contract, kind, message):
    with pytest.raises(kind, match=message):
        CELL_CONTRACTS[contract](cell_class)


def test_a_name_that_another_class_has_taken_is_no_registration():
    @registered
    class TakenCell(GoodCell):
        pass

    first = TakenCell

    @registered
    class TakenCell(GoodCell):
        pass

    check_registration(TakenCell)
    with pytest.raises(BrokenContract, match=r"Received: the registered name 'tests>TakenCell'$"):
        check_registration(first)


def test_maps_are_no_squares():
    seen = []

    @registered
    class SquareCell(GoodCell):
        def call(self, inputs, states):
            seen.append(inputs.shape[1:3])
            return super().call(inputs, states)

    CELL_CONTRACTS[SHAPES](SquareCell)
    assert {tuple(np.array(shape)) for shape in seen} == {(8, 12)}
