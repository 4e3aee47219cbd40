"""PredRNN-V2: the decoupling loss by itself, and as a part of the loss of a model."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.cells.pred_rnn import PredRNNCell
from mslstm_keras.cells.pred_rnn_v2 import Decoupling, pred_rnn_v2
from mslstm_keras.contracts import models as contracts
from mslstm_keras.contracts.models import CONTEXT_FRAMES, FORECAST_FRAMES, STEPS, random_frames
from mslstm_keras.models.registry import dtype_policy
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.models.step import PENALTY, build_step
from mslstm_keras.training.losses import FrameL1L2
from tests.support.equations import assert_close, conv, randomise, weights

OFFSET = 0.125
FRAME_LOSS = 8 * 8 * (OFFSET**2 + OFFSET)  # of predictions that are wrong by it everywhere

small_model = functools.partial(contracts.small_model, layers=3)


def decoupling(delta_c, delta_m, adapter, weight=0.01):
    """Returns the penalty of each sample: weight sum_cells sum_channels |cos(a, b)|, the angle over the pixels."""
    total = 0
    for pair in zip(delta_c, delta_m, strict=True):
        a, b = (conv(np.array(delta, "float64"), *adapter) for delta in pair)
        norms = np.sqrt((a**2).sum((1, 2)) * (b**2).sum((1, 2)))
        total += (abs((a * b).sum((1, 2))) / norms).sum(-1)
    return weight * total


def random_increments(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [[rng.normal(size=shape).astype("float32") for shape in shapes] for _ in range(2)]


def random_decoupling(shapes, **options):
    """Returns a layer with random weights, and increments for it."""
    layer, increments = Decoupling(**options), random_increments(shapes)
    layer(*increments)
    randomise(layer)
    return layer, *increments


@pytest.mark.parametrize("weight", [0.01, 0.5])
@pytest.mark.parametrize(
    "shapes", [[(2, 5, 7, 4)], [(2, 8, 8, 4), (2, 4, 4, 4), (2, 8, 8, 4)]], ids=["one cell", "pyramid"]
)
def test_equations_of_the_penalty(shapes, weight):
    layer, delta_c, delta_m = random_decoupling(shapes, weight=weight)
    penalty = layer(delta_c, delta_m)
    assert tuple(penalty.shape) == (2, 1, 1, 1)
    expected = decoupling(delta_c, delta_m, weights(layer.adapter), weight)
    assert_close(penalty[:, 0, 0, 0], expected, 1e-6)


def test_equal_and_opposite_increments_cost_most_and_orthogonal_ones_nothing():
    layer, (delta,), _ = random_decoupling([(2, 4, 4, 3)], weight=1.0)
    kernel, bias = layer.adapter.weights
    kernel.assign(np.eye(3)[None, None])
    bias.assign(np.zeros(3))
    left, right = delta.copy(), delta.copy()
    left[:, :, 2:], right[:, :, :2] = 0, 0
    for other, cost in ((delta, 3.0), (-2 * delta, 3.0)):  # a cosine of one for each channel
        assert_close(layer([delta], [other]), np.full((2, 1, 1, 1), cost), 1e-6)
    assert_close(layer([left], [right]), np.zeros((2, 1, 1, 1)), 1e-6)


def test_weight_is_that_of_the_paper_unless_told_otherwise():
    assert Decoupling().weight == 0.01


def test_one_adapter_serves_all_cells():
    layer, _, _ = random_decoupling([(2, 8, 8, 4), (2, 4, 4, 4)])
    assert [weight.shape for weight in layer.weights] == [(1, 1, 4, 4), (4,)]


def test_configuration_of_the_penalty():
    layer = Decoupling(0.5, name="apart", dtype="mixed_bfloat16")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is Decoupling
    assert copy.get_config() == layer.get_config()
    assert (copy.weight, copy.name, copy.dtype_policy.name) == (0.5, "apart", "mixed_bfloat16")
    assert keras.saving.get_registered_name(Decoupling) == "mslstm_keras>Decoupling"


@pytest.mark.parametrize("empty", [(True, True), (True, False)], ids=["both", "one"])
def test_increments_of_zero_cost_nothing_and_have_a_gradient(empty):
    """As on black frames, before any bias has been learned; also where XLA compiles the gradient."""
    layer = Decoupling()
    increments = [
        [tf.constant(delta * (not zero)) for delta in deltas]
        for deltas, zero in zip(random_increments([(2, 4, 4, 3)]), empty, strict=True)
    ]
    layer(*increments)

    @tf.function(jit_compile=True)
    def differentiate(increments):
        with tf.GradientTape() as tape:
            tape.watch(increments)
            penalty = layer(*increments)
        variables = [variable.value for variable in layer.trainable_variables]
        return penalty, tape.gradient(penalty, [increments, variables])

    penalty, gradients = differentiate(increments)
    assert_close(penalty, np.zeros((2, 1, 1, 1)))
    for gradient in tf.nest.flatten(gradients):
        assert np.all(np.isfinite(gradient))


def test_stack_is_of_fresh_cells_that_hand_out_increments():
    cells = pred_rnn_v2(4, 3, kernel_size=5)
    assert [type(cell) for cell in cells] == [PredRNNCell] * 3
    assert len({id(cell) for cell in cells}) == 3
    for cell in cells:
        assert (cell.filters, cell.kernel_size, cell.increments) == (4, 5, True)


def streamed_penalty(model, frames):
    """Returns the penalty by hand: the mean over samples and steps, from the increments of each step."""
    step = find_layer(model, Rollout).step
    names = [tensor.name for tensor in step.inputs[1:]]
    (layer,) = (layer for layer in step.layers if isinstance(layer, Decoupling))
    prediction, *states = (np.zeros((len(frames), *tensor.shape[1:]), "float32") for tensor in step.outputs)
    penalties = []
    for time in range(STEPS):
        frame = frames[:, time] if time < CONTEXT_FRAMES else prediction
        prediction, *states = (np.array(output) for output in step([frame, *states]))
        deltas = [
            [state for name, state in zip(names, states, strict=True) if name.endswith(increment)]
            for increment in ("delta_c", "delta_m")
        ]
        assert [len(each) for each in deltas] == [3, 3]
        penalties.append(decoupling(*deltas, weights(layer.adapter), layer.weight))
        np.testing.assert_allclose(states[names.index(PENALTY)][:, 0, 0, 0], sum(penalties), rtol=1e-6)
    return np.mean(penalties)


@pytest.mark.parametrize("name", ["pred_rnn_v2", "ms_pred_rnn_v2"])
def test_the_loss_of_a_model_is_the_mean_penalty_of_its_steps(name):
    model, frames = small_model(name), random_frames(batch=3)
    expected = streamed_penalty(model, frames)
    assert expected > 0.01
    for training in (False, True):  # nothing is sampled before a schedule begins
        model(frames, training=training)
        (penalty,) = model.losses
        assert tuple(penalty.shape) == ()
        np.testing.assert_allclose(penalty, expected, rtol=1e-5)
    assert [weight.shape for layer in model.layers for weight in layer.weights].count((1, 1, 4, 4)) == 1


def test_the_weight_of_a_penalty_of_ones_own_is_saved(tmp_path):
    step = build_step((8, 8, 1), 4, pred_rnn_v2(4, 3), (1, 2, 1), penalty=Decoupling(0.5))
    frames = keras.Input((None, 8, 8, 1))
    plane = keras.Input((STEPS,))
    model = keras.Model([frames, plane], Rollout(step, CONTEXT_FRAMES, FORECAST_FRAMES)(frames, plane))
    randomise(model)
    inputs = [random_frames(), np.array([[1, 1, 0, 0]] * 2, "float32")]
    model(inputs)
    (penalty,) = model.losses
    np.testing.assert_allclose(penalty, streamed_penalty(model, inputs[0]), rtol=1e-5)
    assert penalty > 0.5

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded(inputs)
    np.testing.assert_allclose(loaded.losses, [penalty], rtol=1e-6)


def compiled(**options):
    """Returns a model that is compiled, frames and targets, and what they cost by hand."""
    model, frames = small_model("pred_rnn_v2", **options), random_frames()
    targets = np.array(model(frames)) + OFFSET
    model.compile(keras.optimizers.SGD(1e-2), FrameL1L2())
    return model, frames, targets, FRAME_LOSS + streamed_penalty(model, frames)


def trained(**options):
    """Returns the loss of a step by hand and as it is reported, and the weights after the step."""
    model, frames, targets, expected = compiled(**options)
    loss = model.train_on_batch(frames, targets)
    return expected, loss, [weight.numpy() for weight in model.trainable_variables]


@pytest.fixture(scope="module")
def plainly_trained():
    return trained()


def test_penalty_is_a_part_of_the_loss(plainly_trained):
    expected, loss, _ = plainly_trained
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert expected > 1.001 * FRAME_LOSS  # not by rounding


def test_evaluation_reports_the_penalty_too():
    model, frames, targets, expected = compiled()
    np.testing.assert_allclose(model.evaluate(frames, targets, verbose=0), expected, rtol=1e-5)


def test_training_moves_the_adapter(plainly_trained):
    """Only the penalty depends on it."""
    before = small_model("pred_rnn_v2").trainable_variables
    moved = [
        np.any(old.numpy() != new)
        for old, new in zip(before, plainly_trained[2], strict=True)
        if "decoupling" in old.path
    ]
    assert moved == [True, True]


@pytest.mark.parametrize(
    "options",
    [
        {"checkpoint": "step"},
        {"checkpoint": "sqrt"},
        {"unroll": True},
        {"checkpoint": "sqrt", "unroll": True},
    ],
    ids=str,
)
def test_penalty_and_its_gradient_are_the_same_however_the_steps_are_run(plainly_trained, options):
    expected, loss, after = trained(**options)
    np.testing.assert_allclose(expected, plainly_trained[0], rtol=1e-6)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for one, other in zip(after, plainly_trained[2], strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


def test_a_batch_cut_for_threads_has_the_same_penalty(monkeypatch, plainly_trained):
    monkeypatch.setattr("mslstm_keras.layers.lanes.lanes", lambda *_: 2)
    _, loss, _ = trained()
    np.testing.assert_allclose(loss, plainly_trained[1], rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_penalty_stays_in_single_precision(policy):
    expected = streamed_penalty(small_model("pred_rnn_v2"), random_frames())
    with dtype_policy(policy):
        model = small_model("pred_rnn_v2")
    step = find_layer(model, Rollout).step
    dtypes = {state.name: state.dtype for state in step.inputs[1:]}
    assert dtypes.pop(PENALTY) == step.outputs[-1].dtype == "float32"
    memories = {dtypes.pop(name) for name in ("cell_1_c", "cell_2_c", "cell_3_c", "m")}
    assert memories == {"float32"} and set(dtypes.values()) == {policy.removeprefix("mixed_")}

    @tf.function  # a loop of the graph holds its states to their dtypes
    def penalty():
        model(random_frames(), training=True)
        return model.losses

    (received,) = penalty()
    assert received.dtype == "float32"
    np.testing.assert_allclose(received, expected, rtol=0.05)
