"""The step: which cell works at which scale, and the arithmetic between cells, with cells known by hand."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cells.conv_lstm import ConvLSTMCell
from mslstm_keras.cells.mk_lstm import MKLSTMCell
from mslstm_keras.cost.account import count_cost
from mslstm_keras.layers.patch import DepthToSpace, SpaceToDepth
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.resizing import resized_model
from mslstm_keras.models.step import build_step
from tests.support.equations import assert_close, randomise
from tests.support.golden import load_golden
from tests.support.slow_layers import advected


class EchoCell(SpatiotemporalCell):
    """Adds its state to its input: the state marks which cell a value has passed."""

    state_names = ("c",)

    def call(self, inputs, states):
        return inputs + states[0], [inputs]


class ZigzagCell(SpatiotemporalCell):
    """Hands its input on and adds one to the memory that goes up the stack."""

    state_names = ("m",)
    zigzag_states = ("m",)

    def call(self, inputs, states):
        return inputs, [states[0] + 1]


class BothCell(SpatiotemporalCell):
    """Has a memory of its own and one that goes up the stack."""

    state_names = ("c", "m")
    zigzag_states = ("m",)

    def call(self, inputs, states):
        c, m = states
        return inputs + c, [inputs, 2 * m + inputs]


class LocalMCell(SpatiotemporalCell):
    """Keeps a state for itself that other cells hand up under the same name."""

    state_names = ("m",)

    def call(self, inputs, states):
        return inputs + states[0], [inputs]


def pool(x):
    """Maximum of each 2x2 square."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max((2, 4))


def enlarge(x):
    """Bilinear by two: new pixel centres lie a quarter of an old pixel beside the old centres."""
    for axis in (1, 2):
        before = np.concatenate([x.take([0], axis), x.take(range(x.shape[axis] - 1), axis)], axis)
        behind = np.concatenate([x.take(range(1, x.shape[axis]), axis), x.take([-1], axis)], axis)
        pairs = np.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * behind], axis + 1)
        x = pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def transparent(frame_shape, levels, scales, **options):
    """Returns a step whose embedding and head hand the (patched) frame on as it is."""
    patch_size = options.get("patch_size", 1)
    step = build_step(frame_shape, frame_shape[-1] * patch_size**2, levels, scales, **options)
    for name in ("embed", "head"):
        kernel, bias = step.get_layer(name).weights
        kernel.assign(np.eye(kernel.shape[-1])[None, None])
        bias.assign(np.zeros(bias.shape))
    return step


def random_inputs(step, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(batch, *tensor.shape[1:])).astype("float32") for tensor in step.inputs]


def shapes(tensors):
    return [tensor.shape for tensor in tensors]


def test_plain_structure():
    step = build_step((8, 12, 3), 4, [ConvLSTMCell(4) for _ in range(3)], (1, 1, 1))
    states = [f"cell_{number}_{name}" for number in (1, 2, 3) for name in ("h", "c")]
    assert [tensor.name for tensor in step.inputs] == ["frame", *states]
    assert shapes(step.inputs) == [(None, 8, 12, 3)] + [(None, 8, 12, 4)] * 6
    assert shapes(step.outputs) == shapes(step.inputs)
    assert step.name == "step"


def test_pyramid_structure():
    levels = [ConvLSTMCell(4), MKLSTMCell(4), ConvLSTMCell(4), MKLSTMCell(4), ConvLSTMCell(4)]
    step = build_step((8, 12, 3), 4, levels, (1, 2, 4, 2, 1))
    names = [["h", "c"], ["h", "c3", "c5"], ["h", "c"], ["h", "c3", "c5"], ["h", "c"]]
    expected = [("frame", (None, 8, 12, 3))]
    for number, (own, scale) in enumerate(zip(names, (1, 2, 4, 2, 1), strict=True), 1):
        expected += [(f"cell_{number}_{name}", (None, 8 // scale, 12 // scale, 4)) for name in own]
    assert [(tensor.name, tensor.shape) for tensor in step.inputs] == expected
    assert shapes(step.outputs) == shapes(step.inputs)
    kinds = [type(layer).__name__ for layer in step.layers]
    assert (kinds.count("MaxPooling2D"), kinds.count("UpSampling2D"), kinds.count("Add")) == (2, 2, 2)


def test_plain_stack_is_the_cells_one_after_the_other():
    step = transparent((4, 6, 2), [EchoCell(2) for _ in range(3)], (1, 1, 1))
    frame, *states = random_inputs(step)
    a, b, c = states
    expected = [frame + a + b + c, frame, frame + a, frame + a + b]
    for output, values in zip(step([frame, *states]), expected, strict=True):
        assert_close(output, values)


def test_embed_and_head_are_1x1_convolutions_with_bias():
    step = build_step((4, 6, 2), 3, [EchoCell(3)], (1,))
    rng = np.random.default_rng(0)
    for weight in step.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    (w_in, b_in), (w_out, b_out) = step.get_layer("embed").get_weights(), step.get_layer("head").get_weights()
    assert w_in.shape == (1, 1, 2, 3) and w_out.shape == (1, 1, 3, 2)
    frame, state = random_inputs(step)
    output, new_state = step([frame, state])
    assert_close(new_state, frame @ w_in[0, 0] + b_in)
    assert_close(output, (frame @ w_in[0, 0] + b_in + state) @ w_out[0, 0] + b_out)


def test_pyramid_pools_enlarges_and_adds_the_skip():
    step = transparent((8, 12, 2), [EchoCell(2) for _ in range(5)], (1, 2, 4, 2, 1))
    frame, a, b, c, d, e = random_inputs(step)
    one = frame + a  # level 1, which is the outer skip
    two = pool(one) + b  # level 2, the inner skip
    three = pool(two) + c
    four = enlarge(three) + two + d
    five = enlarge(four) + one + e
    expected = [five, frame, pool(one), pool(two), enlarge(three) + two, enlarge(four) + one]
    for output, values in zip(step([frame, a, b, c, d, e]), expected, strict=True):
        assert_close(output, values)


def test_ups_pair_with_downs_like_brackets():
    step = transparent((4, 8, 1), [EchoCell(1) for _ in range(7)], (1, 2, 2, 1, 2, 1, 1))
    frame, a, b, c, d, e, f, g = random_inputs(step)
    one = frame + a
    four = enlarge(pool(one) + b + c) + one + d
    six = enlarge(pool(four) + e) + four + f
    assert_close(step([frame, a, b, c, d, e, f, g])[0], six + g)


def test_zigzag_state_goes_up_the_stack_resized_without_skip():
    step = transparent((8, 12, 2), [ZigzagCell(2) for _ in range(5)], (1, 2, 4, 2, 1))
    assert [(tensor.name, tensor.shape) for tensor in step.inputs] == [
        ("frame", (None, 8, 12, 2)),
        ("m", (None, 8, 12, 2)),
    ]
    frame, m = random_inputs(step)
    output, m_out = step([frame, m])
    assert_close(m_out, enlarge(enlarge(pool(pool(m + 1) + 1) + 1) + 1) + 1)
    assert_close(output, enlarge(enlarge(pool(pool(frame))) + pool(frame)) + frame)


def test_zigzag_beside_own_states():
    step = transparent((4, 8, 1), [BothCell(1), EchoCell(1), BothCell(1)], (1, 2, 1))
    assert [tensor.name for tensor in step.inputs] == ["frame", "cell_1_c", "m", "cell_2_c", "cell_3_c"]
    frame, a, m, b, c = random_inputs(step)
    one, m_one = frame + a, 2 * m + frame
    two = pool(one) + b
    into_three = enlarge(two) + one
    m_three = 2 * enlarge(pool(m_one)) + into_three
    expected = [into_three + c, frame, m_three, pool(one), into_three]
    for output, values in zip(step([frame, a, m, b, c]), expected, strict=True):
        assert_close(output, values)


@pytest.mark.parametrize("levels", [(ZigzagCell, LocalMCell), (LocalMCell, ZigzagCell)])
def test_a_cell_s_own_state_is_not_the_zigzag_state_of_that_name(levels):
    step = transparent((4, 6, 2), [level(2) for level in levels], (1, 1))
    own = f"cell_{levels.index(LocalMCell) + 1}_m"
    assert {tensor.name for tensor in step.inputs} == {"frame", "m", own}
    inputs = dict(zip([tensor.name for tensor in step.inputs], random_inputs(step), strict=True))
    outputs = dict(zip(inputs, step(list(inputs.values())), strict=True))
    assert_close(outputs["frame"], inputs["frame"] + inputs[own])
    assert_close(outputs["m"], inputs["m"] + 1)


def test_a_level_may_be_several_cells():
    levels = [ZigzagCell(1), (EchoCell(1), ZigzagCell(1), EchoCell(1)), [EchoCell(1), ZigzagCell(1)]]
    step = build_step((4, 8, 1), 1, levels, (1, 2, 1))
    assert [(tensor.name, tensor.shape) for tensor in step.inputs] == [
        ("frame", (None, 4, 8, 1)),
        ("m", (None, 4, 8, 1)),
        ("cell_2_c", (None, 2, 4, 1)),
        ("cell_4_c", (None, 2, 4, 1)),
        ("cell_5_c", (None, 4, 8, 1)),
    ]


def test_cells_of_a_level_run_one_after_the_other():
    step = transparent((4, 8, 1), [EchoCell(1), (EchoCell(1), EchoCell(1)), EchoCell(1)], (1, 2, 1))
    frame, a, b, c, d = random_inputs(step)
    one = frame + a
    expected = [enlarge(pool(one) + b + c) + one + d, frame, pool(one), pool(one) + b]
    for output, values in zip(step([frame, a, b, c, d])[:4], expected, strict=True):
        assert_close(output, values)


def test_patches_become_channels_and_back():
    step = transparent((8, 12, 3), [EchoCell(12), EchoCell(12)], (1, 1), patch_size=2)
    assert shapes(step.inputs) == [(None, 8, 12, 3), (None, 4, 6, 12), (None, 4, 6, 12)]
    frame, a, b = random_inputs(step)
    output, first, second = step([frame, a, b])
    patches = np.array(SpaceToDepth(2)(frame))
    assert_close(first, patches)
    assert_close(second, patches + a)
    assert_close(SpaceToDepth(2)(output), patches + a + b)
    np.testing.assert_array_equal(step([frame, 0 * a, 0 * b])[0], frame)


def test_scales_count_from_the_patched_frame():
    step = build_step((16, 24, 1), 4, [ConvLSTMCell(4) for _ in range(3)], (1, 2, 1), patch_size=4)
    assert {tensor.name: tensor.shape for tensor in step.inputs}["cell_2_h"] == (None, 2, 3, 4)
    assert step.get_layer("head").filters == 16
    assert step.outputs[0].shape == (None, 16, 24, 1)


def test_states_have_the_cells_dtype():
    levels = [ConvLSTMCell(2, dtype="mixed_bfloat16"), ConvLSTMCell(2)]
    dtypes = [state.dtype for state in build_step((4, 4, 1), 2, levels, (1, 1)).inputs[1:]]
    assert dtypes == ["bfloat16", "float32", "float32", "float32"]  # h, then c


@pytest.mark.parametrize(
    ("unit", "layer", "by_hand"),
    [
        ("unit_maxpool", keras.layers.MaxPooling2D(2), pool),
        ("unit_upsample", keras.layers.UpSampling2D(2, interpolation="bilinear"), enlarge),
    ],
)
def test_golden_resizing(unit, layer, by_hand):
    arrays, _ = load_golden(f"cells/{unit}")
    arrays = {name: np.moveaxis(array, 1, -1) for name, array in arrays.items()}
    x = tf.constant(arrays["input/input"])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        dot = tf.reduce_sum(y * arrays["cotangent/output/y"])
    assert_close(y, arrays["output/y"], 1e-6)
    assert_close(by_hand(arrays["input/input"]), arrays["output/y"], 1e-6)
    assert_close(tape.gradient(dot, x), arrays["grad_in/input"])


@pytest.mark.parametrize(
    ("count", "scales", "message"),
    [
        (0, (), r"`scales` must hold one integer for each of `levels`\. Received: scales=() for 0 levels"),
        (
            3,
            (1, 1),
            r"`scales` must hold one integer for each of `levels`\. Received: scales=(1, 1) for 3 levels",
        ),
        (2, (2, 2), r"`scales` must start at 1\. Received: scales=(2, 2)"),
        (
            3,
            (1, 4, 1),
            r"`scales` must stay, double or halve from one level to the next\. Received: scales=(1, 4, 1)",
        ),
        (4, (1, 2, 4, 1), r"`scales` must stay, double or halve .* Received: scales=(1, 2, 4, 1)"),
        (3, (1, 0, 1), r"`scales` must stay, double or halve .* Received: scales=(1, 0, 1)"),
        (3, (1, 0.5, 1), r"`scales` must stay, double or halve .* Received: scales=(1, 0.5, 1)"),
        (3, (1, 3, 1), r"`scales` must stay, double or halve .* Received: scales=(1, 3, 1)"),
        (3, (1, 2, 4), r"`scales` must return to its first value so that .* Received: scales=(1, 2, 4)"),
        (
            2,
            (1, 2),
            r"`scales` must return to its first value so that ups match downs\. Received: scales=(1, 2)",
        ),
    ],
)
def test_scales_are_checked(count, scales, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)") + "$"):
        build_step((8, 8, 1), 2, [EchoCell(2) for _ in range(count)], scales)


@pytest.mark.parametrize(
    "frame_shape", [(8, 8), (8, 8, 1, 1), (None, 8, 1), (8, 0, 1), (8, 8, -1), (8.0, 8, 1)]
)
def test_frame_shape_must_be_three_positive_integers(frame_shape):
    received = re.escape(f"Received: frame_shape={frame_shape}")
    with pytest.raises(ValueError, match=rf"`frame_shape` must be three positive integers .* {received}$"):
        build_step(frame_shape, 2, [EchoCell(2)], (1,))


@pytest.mark.parametrize("patch_size", [0, -2, 2.0, None])
def test_patch_size_must_be_positive(patch_size):
    received = re.escape(f"Received: patch_size={patch_size!r}")
    with pytest.raises(ValueError, match=rf"`patch_size` must be a positive integer\. {received}$"):
        build_step((8, 8, 1), 2, [EchoCell(2)], (1,), patch_size=patch_size)


@pytest.mark.parametrize("frame_shape", [(12, 16, 1), (16, 12, 1), (9, 9, 1)])
def test_sides_must_divide(frame_shape):
    rule = r"height and width that divide by patch_size x the largest scale = 2 x 4 = 8\. "
    received = re.escape(f"Received: frame_shape={frame_shape}")
    with pytest.raises(ValueError, match=rf"`frame_shape` must have a {rule}{received}$"):
        build_step(frame_shape, 2, [EchoCell(2) for _ in range(5)], (1, 2, 4, 2, 1), patch_size=2)


@pytest.mark.parametrize(
    ("levels", "scales", "sizes"),
    [
        ([ZigzagCell(2), ZigzagCell(4)], (1, 1), r"\(4, 8, 2\) below and \(4, 8, 4\) above"),
        ([EchoCell(2), ZigzagCell(2), EchoCell(2)], (1, 2, 1), r"\(2, 4, 2\) below and \(4, 8, 2\) above"),
    ],
)
def test_zigzag_state_must_leave_as_it_enters(levels, scales, sizes):
    with pytest.raises(ValueError, match=rf"`levels` must hand up .* Received: 'm' of shape {sizes}$"):
        build_step((4, 8, 1), 2, levels, scales)


@pytest.mark.parametrize("patch_size", [1, 2])
def test_with_motion_the_next_frame_is_this_one_moved_and_changed(patch_size):
    step = build_step((4, 6, 2), 3, [ConvLSTMCell(3)], (1,), patch_size=patch_size, motion=True)
    frame = np.random.default_rng(0).random((2, 4, 6, 2), "float32")
    states = [np.zeros((2, *state.shape[1:]), "float32") for state in step.inputs[1:]]
    np.testing.assert_array_equal(step([frame, *states])[0], frame)  # untrained it is persistence
    for name in ("head", "motion"):
        for weight in step.get_layer(name).weights:
            weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    seen = keras.Model(
        step.inputs, [step.outputs[0], *(step.get_layer(name).output for name in ("head", "motion"))]
    )
    moved, change, motion = map(np.asarray, seen([frame, *states]))
    assert np.abs(motion).max() > 0.5
    # A vector for each patch, enlarged bilinearly to pixels; a change for each pixel.
    flow = motion if patch_size == 1 else enlarge(motion)
    if patch_size > 1:
        change = np.asarray(DepthToSpace(patch_size)(change))
    assert_close(moved, advected(frame, flow) + change)


def test_a_model_with_motion_is_saved_resized_and_counted(tmp_path):
    options = {"filters": 2, "layers": 2, "patch_size": 2, "motion": True}
    model = create_model("ms_lstm", (8, 12, 1), 3, 2, **options)
    randomise(model, seed=3, scale=0.3)
    frames = np.random.default_rng(0).random((2, 3, 8, 12, 1), "float32")
    expected = model.predict(frames, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(frames, verbose=0), expected)
    larger = resized_model(model, (16, 12, 1))
    tall = np.concatenate([frames, frames[:, :, ::-1]], axis=2)
    made = create_model("ms_lstm", (16, 12, 1), 3, 2, **options)
    made.set_weights(model.get_weights())
    assert_close(larger.predict(tall, verbose=0), made.predict(tall, verbose=0))
    plain = count_cost("ms_lstm", (8, 12, 1), 3, 2, **{**options, "motion": False})
    moving = count_cost("ms_lstm", (8, 12, 1), 3, 2, **options)
    assert moving.parameters - plain.parameters == 2 * 2 + 2  # of the 1x1 convolution that makes the flow
    assert moving.total_macs > plain.total_macs
