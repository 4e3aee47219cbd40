"""Models that break one contract each are told so. What keeps them all: `tests/models/test_contracts.py`."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from mslstm_keras import architecture
from mslstm_keras.contracts import models as contracts
from mslstm_keras.contracts.rules import BrokenContract
from tests.support.own_cells import GoodCell

pytestmark = pytest.mark.usefixtures("own_registry", "many_models")
registered = keras.saving.register_keras_serializable(package="tests")
GAINS = itertools.count(1.0)


@registered
class MixingCell(GoodCell):
    def call(self, inputs, states):
        return super().call(inputs - ops.mean(inputs, axis=0, keepdims=True), states)


@registered
class StoppedCell(GoodCell):
    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.stopped = self.conv()

    def call(self, inputs, states):
        return super().call(inputs + ops.stop_gradient(self.stopped(inputs)), states)


@registered
class RestingCell(GoodCell):
    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.half = self.conv()

    def call(self, inputs, states):
        return super().call(self.half(inputs) * np.array([1, 0, 1, 0], "float32"), states)


@registered
class InfiniteCell(GoodCell):
    def call(self, inputs, states):
        h, states = super().call(inputs, states)
        return ops.sqrt(ops.relu(h) * 0.0), states


@registered
class CountingCell(GoodCell):
    """Keeps something from call to call that is no state."""

    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def call(self, inputs, states):
        if not keras.backend.is_keras_tensor(inputs):
            self.calls.assign_add(1.0)
        h, states = super().call(inputs, states)
        return h + self.calls, states


@registered
class MemorylessCell(GoodCell):
    def call(self, inputs, states):
        return super().call(inputs, [ops.zeros_like(state) for state in states])


@registered
class UnsavedCell(GoodCell):
    """Is another one in every process that makes it."""

    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.gain = next(GAINS)

    def call(self, inputs, states):
        h, states = super().call(inputs, states)
        return self.gain * h, states


@registered
class UnseededCell(GoodCell):
    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.start = self.add_weight(
            shape=(filters,), initializer=lambda shape, dtype: np.random.default_rng().normal(size=shape)
        )

    def call(self, inputs, states):
        return super().call(inputs + self.start, states)


@registered
class NoisyCell(GoodCell):
    def call(self, inputs, states):
        h, states = super().call(inputs, states)
        return h + keras.random.normal((1, *h.shape[1:])), states


@registered
class SingleCell(GoodCell):
    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(filters, kernel_size, **{**kwargs, "dtype": "float32"})


@registered
class SquareCell(GoodCell):
    def state_shapes(self, inputs_shape):
        batch, height, *_ = inputs_shape
        return [(batch, height, height, self.filters)] * 2

    def compute_output_shape(self, inputs_shape, states_shape=None):
        return self.state_shapes(inputs_shape)[0], self.state_shapes(inputs_shape)

    def call(self, inputs, states):
        return super().call(inputs[:, :, : inputs.shape[1]], states)


def own(cell_class):
    """Registers the models `own` and `ms_own` of a cell."""

    @architecture
    def own(filters, layers, **options):
        return [cell_class(filters, **options) for _ in range(layers)]


@pytest.mark.parametrize("name", ["own", "ms_own"])
def test_models_of_a_good_cell_keep_all(name):
    own(GoodCell)
    for check in contracts.model_contracts(name).values():
        check()


@pytest.mark.parametrize(
    ("cell_class", "contract", "message"),
    [
        (MixingCell, "does not mix the clips of a batch", r"^clip 0 must be predicted in a batch of three as it is "
         r"alone, up to 1e-06\. Received: a difference of \d"),
        (StoppedCell, "trains every weight", r"^stopped_cell/\S+ must have a gradient\. Received: none, no "
         r"prediction depends on it$"),
        (RestingCell, "trains every weight", r"of every filter\. Received: zeros of the filters \[1, 3\]$"),
        (InfiniteCell, "trains every weight", r"that is finite\. Received: NaN or infinity$"),
        (CountingCell, "predicts step by step what it predicts at once", r"^a model must predict a clip as its step "
         r"does frame by frame, up to 1e-06\. Received: a difference of \d"),
        (MemorylessCell, "depends on earlier frames alone, and on all of them", r"^frame 0 must change the prediction "
         r"of frame 2, which follows it\. Received: no change$"),
        (UnsavedCell, "is the same when it is saved and loaded", r"^a model must predict the same when it is saved "
         r"and loaded\. Received: a difference of \d"),
        (UnseededCell, "is the same by the same seed", r" must be the same when it is drawn by the same seed\. "
         r"Received: a difference of \d"),
        (NoisyCell, "is the same by the same seed", r"^models of the same weights must predict the same\. Received: "),
        (SingleCell, "computes in mixed_bfloat16", r"must have the policy 'mixed_bfloat16', .* Received: "
         r"\['float32', 'mixed_bfloat16'\], then \['float32'\]$"),
        (SquareCell, "takes any height and width that divide", r"^a model must declare predictions of shape "
         r"\(None, 4, 16, 32, 3\)\. Received: "),
    ],
)  # fmt: skip
def test_a_model_that_breaks_a_contract_is_told_so(cell_class, contract, message):
    own(cell_class)
    check = contracts.model_contracts("own")[contract]
    with pytest.raises(BrokenContract, match=message):
        check()


def test_a_model_that_looks_ahead_is_told_so():
    own(GoodCell)
    model = contracts.small_model("own")
    message = r"^frame 1 must not change the prediction of frame 1\. Received: a change of \d"
    with pytest.raises(BrokenContract, match=message):
        contracts.check_causality(model, lambda frames: model(frames + np.roll(frames, -1, 1), training=True))


def test_a_forecast_that_is_told_the_truth_is_told_so():
    own(GoodCell)
    model = contracts.small_model("own")
    predict, train = contracts.traced(model)
    message = r"^frames behind the context must not change a forecast\. Received: a difference of \d"
    with pytest.raises(BrokenContract, match=message):
        contracts.check_inference_never_sees_the_future(model, train, train)
    message = r"^frames behind the context must change what is predicted in training\. Received: no change$"
    with pytest.raises(BrokenContract, match=message):
        contracts.check_inference_never_sees_the_future(model, predict, predict)


def test_shapes_are_those_of_the_clip():
    own(GoodCell)
    model = contracts.small_model("own")
    message = (
        r"^a model must declare predictions of shape \(None, 4, 8, 4, 1\)\. Received: \(None, 4, 8, 8, 1\)$"
    )
    with pytest.raises(BrokenContract, match=message):
        contracts.check_symbolic_and_eager_shapes(model, (8, 4, 1))
