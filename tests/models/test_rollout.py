"""The roll-out with a step whose output is known by hand: what is fed, when, and what is drawn."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.cells.conv_lstm import ConvLSTMCell
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import ObservedFrames, Rollout, SpatiotemporalRNN, find_layer
from mslstm_keras.models.step import build_step
from tests.support.equations import assert_close, randomise

MAP = (2, 3)


def counting_step():
    """Predicts (first channel of the frame + 1, number of calls so far): what was fed shows in channel 0."""
    frame, calls = keras.Input((*MAP, 2), name="frame"), keras.Input((*MAP, 1), name="calls")
    value = keras.layers.Conv2D(1, 1, use_bias=False, name="first")(frame)
    step = keras.Model([frame, calls], [keras.ops.concatenate([value + 1, calls + 1], -1), calls + 1])
    step.get_layer("first").set_weights([np.array([[[[1], [0]]]], "float32")])
    return step


def clip(values, batch=2):
    """Frames whose first channel has the given value at each time, plus 1000 for each sample."""
    frames = np.zeros((batch, len(values), *MAP, 2), "float32")
    frames[..., 0] = np.array(values)[:, None, None] + 1000 * np.arange(batch)[:, None, None, None]
    return frames


def plane(*rows):
    return np.array(rows, "float32")


def read(predictions):
    """Returns the values of channels 0 and 1, (batch, time), which are the same all over the map."""
    predictions = np.array(predictions)
    np.testing.assert_array_equal(predictions, np.broadcast_to(predictions[:, :, :1, :1], predictions.shape))
    return predictions[:, :, 0, 0, 0].tolist(), predictions[:, :, 0, 0, 1].tolist()


def observing(context_frames, forecast_frames, unroll=False):
    """Returns a whole model around the counting step, as `create_model` makes them."""
    frames = keras.Input((None, *MAP, 2))
    observed = ObservedFrames(context_frames, forecast_frames, seed=3)(frames)
    predictions = Rollout(counting_step(), context_frames, forecast_frames, unroll=unroll)(frames, observed)
    return keras.Model(frames, predictions)


def conv_lstm_rollout(context_frames=2, forecast_frames=2, **options):
    step = build_step((4, 6, 1), 3, [ConvLSTMCell(3), ConvLSTMCell(3)], (1, 1))
    randomise(step)
    return Rollout(step, context_frames, forecast_frames, **options)


@pytest.mark.parametrize(
    ("row", "values"),
    [
        ([1, 1, 1, 1], [11, 21, 31, 41]),  # every frame is fed
        ([1, 1, 1, 0], [11, 21, 31, 32]),  # its own prediction is fed behind the context
        ([1, 0, 0, 0], [11, 12, 13, 14]),
        ([1, 0, 1, 0], [11, 12, 31, 32]),  # back to the truth, then feedback from there
        ([0, 1, 1, 1], [1, 21, 31, 41]),  # the prediction before the first is zero
    ],
)
def test_feeds_the_frame_where_observed_and_the_last_prediction_elsewhere(row, values):
    predictions = Rollout(counting_step(), 3, 2)(clip([10, 20, 30, 40], batch=1), plane(row))
    assert read(predictions) == ([values], [[1, 2, 3, 4]])


def test_every_sample_has_its_own_plane_and_states():
    predictions = Rollout(counting_step(), 2, 2)(clip([10, 20, 30]), plane([1, 1, 0], [1, 0, 1]))
    assert read(predictions) == ([[11, 21, 22], [1011, 1012, 1031]], [[1, 2, 3], [1, 2, 3]])


def test_states_start_anew_in_every_call():
    rollout = Rollout(counting_step(), 2, 2)
    first, second = (rollout(clip([10, 20, 30]), plane([1, 1, 1], [1, 1, 1])) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("context_frames", "forecast_frames", "values"),
    [
        (1, 1, [11]),
        (1, 3, [11, 12, 13]),
        (3, 1, [11, 21, 31]),
        (3, 2, [11, 21, 31, 32]),
        (2, 5, [11, 21, 22, 23, 24, 25]),
    ],
)
def test_lengths(context_frames, forecast_frames, values):
    model = observing(context_frames, forecast_frames)
    steps = context_frames + forecast_frames - 1
    assert find_layer(model, Rollout).steps == len(values) == steps
    assert model.output_shape == (None, steps, *MAP, 2)
    for length in (context_frames, steps):
        predictions, calls = read(model(clip([10, 20, 30, 40, 50, 60][:length], batch=1)))
        assert predictions == [values]
        assert calls == [list(range(1, steps + 1))]


@pytest.mark.parametrize("unroll", [False, True])
def test_context_alone_gives_what_the_whole_clip_gives(unroll):
    model = observing(2, 3, unroll)
    whole = clip([10, 20, 30, 40])
    np.testing.assert_array_equal(model(whole[:, :2]), model(whole))
    np.testing.assert_array_equal(model.predict(whole[:, :2], verbose=0), model(whole))


@pytest.mark.parametrize("length", [1, 3, 5])
@pytest.mark.parametrize("unroll", [False, True])
def test_other_lengths_are_refused(length, unroll):
    rule = re.escape("`frames` must be 2 frames long to predict, or 4 to train (context_frames + ")
    received = re.escape(f"Received: frames.shape=(2, {length}, 2, 3, 2)")
    with pytest.raises(ValueError, match=f"{rule}.*{received}"):
        Rollout(counting_step(), 2, 3, unroll=unroll)(clip([10] * length), np.ones((2, 4), "float32"))
    with pytest.raises(ValueError, match=r"`frames` must be 2 frames long to predict"):
        observing(2, 3, unroll).predict(clip([10] * length), verbose=0)


@pytest.mark.parametrize("shape", [(2, 2, 1, 3, 2), (2, 2, 2, 4, 2), (2, 2, 2, 3, 1), (2, 2, 3, 2)], ids=str)
def test_frames_of_another_size_are_refused(shape):
    rule = re.escape(
        "`frames` must have the shape (None, None, 2, 3, 2), where None is the batch or the time."
    )
    received = re.escape(f"Received: frames.shape={shape}")
    with pytest.raises(ValueError, match=f"{rule} {received}$"):
        Rollout(counting_step(), 2, 3)(np.ones(shape, "float32"), np.ones((2, 4), "float32"))


@pytest.mark.parametrize("shape", [(2, 1), (2, 3), (4,), (2, 4, 1)], ids=str)
def test_planes_of_another_length_are_refused(shape):
    received = re.escape(f"Received: observed.shape={shape}")
    with pytest.raises(ValueError, match=rf"`observed` must have the shape \(None, 4\).* {received}$"):
        Rollout(counting_step(), 2, 3)(clip([10, 20]), np.ones(shape, "float32"))


def test_a_clip_without_its_batch_axis_is_refused():
    """Keras adds an axis behind it, and height becomes time, which may have as many frames as there are rows."""
    model = create_model("conv_lstm", (8, 8, 1), 8, 2, filters=1, layers=1)
    frames = np.ones((8, 8, 8, 1), "float32")
    with pytest.raises(ValueError, match=r"`frames` must have the shape .* frames.shape=\(8, 8, 8, 1, 1\)"):
        model(frames)
    with pytest.raises(ValueError, match=r"`frames` must have the shape \(None, None, 8, 8, 1\)"):
        model.predict(frames, verbose=0)


@pytest.mark.parametrize("option", ["go_backwards", "return_sequences", "return_state", "stateful"])
def test_options_of_other_loops_are_refused(option):
    with pytest.raises(
        ValueError, match=rf"`kwargs` must be those of `keras.layers.Layer`.* Received: {{'{option}': True}}$"
    ):
        Rollout(counting_step(), 2, 3, **{option: True})


# Keras says of each layer that it does so.
@pytest.mark.filterwarnings("ignore:Layer .* does not support masking:UserWarning")
def test_no_mask_of_frames_is_one_of_predictions():
    """A loss would leave out the predictions that stand where a frame was masked, of other times than its own."""
    model = observing(2, 3)
    frames = keras.Input((None, *MAP, 2))
    masked = keras.Model(frames, model(keras.layers.Masking()(frames)))
    clips, truth = clip([10, 0, 30, 40]), clip([20, 30, 40, 50])
    for each in (model, masked):
        each.compile(loss="mse")
    assert masked.evaluate(clips, truth, verbose=0) == model.evaluate(clips, truth, verbose=0)


class ChangingCell(ConvLSTMCell):
    """A cell behind a layer that changes variables: where its pixels are dropped, or what they are on average."""

    def __init__(self, filters, kind):
        super().__init__(filters)
        self.changing = kind()

    def call(self, inputs, states):
        return super().call(self.changing(inputs), states)


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (lambda: keras.layers.Dropout(0.5, seed=1), "seed_generator_state"),
        (keras.layers.BatchNormalization, "moving_mean"),
    ],
    ids=["Dropout", "BatchNormalization"],
)
@pytest.mark.parametrize("checkpoint", ["step", "sqrt"])
def test_a_step_that_changes_variables_is_not_run_again(kind, changed, checkpoint):
    step = build_step((4, 6, 1), 3, [ChangingCell(3, kind)], (1,))
    frames, observed = np.ones((1, 3, 4, 6, 1), "float32"), plane([1, 1, 0])
    Rollout(step, 2, 2)(frames, observed, training=True)
    rollout = Rollout(step, 2, 2, checkpoint=checkpoint)
    rollout(frames, observed, training=False)
    with pytest.raises(
        ValueError, match=rf"`checkpoint` must be None for .* checkpoint='{checkpoint}', changed .*{changed}"
    ):
        rollout(frames, observed, training=True)


def test_unrolled_is_the_loop():
    loop = conv_lstm_rollout(3, 3)
    unrolled = Rollout(loop.step, 3, 3, unroll=True)
    frames = np.random.default_rng(0).random((2, 5, 4, 6, 1), dtype="float32")
    observed = plane([1, 1, 1, 0, 1], [1, 0, 1, 1, 0])
    variables = [variable.value for variable in loop.step.trainable_variables]

    def output_and_gradients(rollout):
        with tf.GradientTape() as tape:
            predictions = rollout(frames, observed)
            loss = tf.reduce_sum(predictions**2)
        return [predictions, *tape.gradient(loss, variables)]

    expected = output_and_gradients(loop)
    for rollout in (loop, unrolled):
        for value, reference in zip(tf.function(output_and_gradients)(rollout), expected, strict=True):
            np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("unroll", [False, True])
def test_time_may_be_unknown_while_tracing(unroll):
    rollout = conv_lstm_rollout(2, 3, unroll=unroll)
    frames = np.random.default_rng(0).random((2, 4, 4, 6, 1), dtype="float32")
    observed = plane([1, 1, 0, 0], [1, 1, 0, 0])
    expected = rollout(frames, observed)

    @tf.function(input_signature=[tf.TensorSpec((None, None, 4, 6, 1)), tf.TensorSpec((None, 4))])
    def traced(frames, observed):
        predictions = rollout(frames, observed)
        assert predictions.shape.as_list() == [None, 4, 4, 6, 1]
        return predictions

    for length in (2, 4):
        assert_close(traced(frames[:, :length], observed), expected, 1e-6)
    assert_close(traced(frames[:1], observed[:1]), expected[:1], 1e-6)


def test_cells_may_compute_in_another_dtype_than_the_step():
    step = build_step((4, 6, 1), 3, [ConvLSTMCell(3, dtype="mixed_bfloat16"), ConvLSTMCell(3)], (1, 1))
    randomise(step)
    rollout = Rollout(step, 2, 3)
    frames, observed = np.ones((2, 4, 4, 6, 1), "float32"), plane([1, 1, 0, 0], [1, 1, 0, 0])
    predictions = tf.function(rollout)(frames, observed)
    assert predictions.dtype == "float32"
    assert_close(predictions, rollout(frames, observed), 1e-2)


@pytest.mark.parametrize(("policy", "bits"), [("mixed_float16", 11), ("mixed_bfloat16", 8)])
def test_a_memory_counts_in_steps_that_half_precision_rounds_away(policy, bits):
    """From 1 on half precision goes in steps of 2^(1 - bits); less than half of that is nothing."""
    increment = 0.75 * 2.0**-bits
    layer = SpatiotemporalRNN(ConvLSTMCell(1, dtype=policy), return_state=True, dtype=policy)
    layer.build((1, 300, 2, 2, 1))
    kernel, bias = layer.weights
    kernel.assign(0 * kernel)
    bias.assign([20, 20, np.arctanh(increment), 0])  # keep all, take in all
    states = [np.zeros((1, 2, 2, 1), "float32"), np.ones((1, 2, 2, 1), "float32")]
    _, _, c = tf.function(layer)(np.zeros((1, 300, 2, 2, 1), "float32"), initial_state=states)
    # Behind the last step `keras.layers.RNN` rounds what it returns, once.
    assert_close(keras.ops.cast(c, "float32"), np.full(c.shape, 1 + 300 * increment), 2.0**-bits)


def test_what_is_not_observed_leaks_nothing_not_even_nan():
    rollout = conv_lstm_rollout(2, 3)
    frames = np.random.default_rng(0).random((2, 4, 4, 6, 1), dtype="float32")
    observed = plane([1, 1, 0, 0], [1, 0, 0, 1])
    masked = np.where(observed[:, :, None, None, None] > 0, frames, np.nan)
    variables = [variable.value for variable in rollout.step.trainable_variables]

    def output_and_gradients(frames):
        with tf.GradientTape() as tape:
            predictions = rollout(frames, observed)
            loss = tf.reduce_sum(predictions**2)
        return [predictions, *tape.gradient(loss, variables)]

    for value, clean in zip(output_and_gradients(masked), output_and_gradients(frames), strict=True):
        assert np.all(np.isfinite(value))
        np.testing.assert_array_equal(value, clean)


def test_saved_and_loaded(tmp_path):
    model = observing(2, 3, unroll=True)
    find_layer(model, ObservedFrames).set_truth_rate(0.5, 0.25, 7)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    rollout, observed = find_layer(loaded, Rollout), find_layer(loaded, ObservedFrames)
    assert (rollout.context_frames, rollout.forecast_frames, rollout.unroll) == (2, 3, True)
    assert (observed.context_frames, observed.forecast_frames) == (2, 3)
    assert observed.get_config()["seed"] == 3
    np.testing.assert_array_equal(loaded(clip([10, 20])), model(clip([10, 20])))


def test_registered_names():
    names = [keras.saving.get_registered_name(kind) for kind in (SpatiotemporalRNN, Rollout, ObservedFrames)]
    assert names == [f"mslstm_keras>{name}" for name in ("SpatiotemporalRNN", "Rollout", "ObservedFrames")]


def drawn(layer, batch=2, training=True):
    return np.array(layer(np.zeros((batch, 1, *MAP, 2), "float32"), training=training))


def observed_frames(rates=None, step=0, lengths=(3, 3), **options):
    layer = ObservedFrames(*lengths, **options)
    layer.build((None, None, *MAP, 2))
    if rates is not None:
        layer.set_truth_rate(*rates, step)
    return layer


@pytest.mark.parametrize("training", [False, True])
def test_only_the_context_is_seen_by_default(training):
    layer = observed_frames(lengths=(3, 2))
    np.testing.assert_array_equal(drawn(layer, training=training), [[1, 1, 1, 0]] * 2)
    assert layer.compute_output_shape((None, 7, *MAP, 2)) == (None, 4)


def test_nothing_is_drawn_outside_training():
    layer = observed_frames((0.0, 1.0))
    np.testing.assert_array_equal(drawn(layer, training=False), [[1, 1, 1, 0, 0]] * 2)
    np.testing.assert_array_equal(layer(np.zeros((2, 3, *MAP, 2), "float32")), [[1, 1, 1, 0, 0]] * 2)


@pytest.mark.parametrize(
    ("rates", "row"),
    [
        ((1, 1), [1, 1, 1, 1, 1]),
        ((0, 0), [1, 0, 0, 0, 0]),
        ((0, 1), [1, 0, 0, 1, 1]),
        ((1, 0), [1, 1, 1, 0, 0]),
    ],
)
def test_certain_rates(rates, row):
    np.testing.assert_array_equal(drawn(observed_frames(rates), batch=50), [row] * 50)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_frequencies_are_the_rates(dtype):
    planes = drawn(observed_frames((0.3, 0.8), dtype=dtype), batch=10_000)
    assert set(np.unique(planes)) == {0, 1} and planes.dtype == (
        "float32" if dtype == "float32" else "float16"
    )
    # Five standard deviations of a mean of 10,000 draws are less than 0.025.
    np.testing.assert_allclose(planes.mean(0, dtype="float64"), [1, 0.3, 0.3, 0.8, 0.8], atol=0.025)
    correlation = np.corrcoef(planes[:, 1:].astype("float64"), rowvar=False)
    np.testing.assert_allclose(correlation, np.eye(4), atol=0.05)


def test_draws_are_a_function_of_seed_and_step_alone():
    reference = drawn(observed_frames((0.5, 0.5), step=7, seed=1), batch=1000)
    layer = observed_frames(seed=1)
    for step in (3, 7, 8, 7):  # neither earlier steps nor earlier draws count
        layer.set_truth_rate(0.5, 0.5, step)
        drawn(layer)
        np.testing.assert_equal(np.array_equal(drawn(layer, batch=1000), reference), step == 7)


@pytest.mark.parametrize(("seed", "step"), [(1, 8), (2, 7), (7, 1), (0, 0)])
def test_other_seeds_and_steps_draw_independently(seed, step):
    one = drawn(observed_frames((0.5, 0.5), step=7, seed=1), batch=5000)[:, 1:]
    other = drawn(observed_frames((0.5, 0.5), step=step, seed=seed), batch=5000)[:, 1:]
    assert abs((one == other).mean() - 0.5) < 0.02


def test_rates_and_step_reach_a_traced_model():
    layer = observed_frames(seed=1)
    traced = tf.function(lambda frames: layer(frames, training=True))
    frames = np.zeros((50, 1, *MAP, 2), "float32")
    np.testing.assert_array_equal(traced(frames), [[1, 1, 1, 0, 0]] * 50)
    for step in (7, 8):
        layer.set_truth_rate(0.5, 0.5, step)
        expected = drawn(observed_frames((0.5, 0.5), step=step, seed=1), batch=50)
        np.testing.assert_array_equal(traced(frames), expected)


def test_sampling_decides_what_is_fed_in_training():
    model = observing(2, 4)
    layer = find_layer(model, ObservedFrames)
    layer.set_truth_rate(0.5, 0.5, 11)
    frames = clip([10, 20, 30, 40, 50], batch=20)
    expected = find_layer(model, Rollout)(frames, drawn(layer, batch=20))
    np.testing.assert_array_equal(model(frames, training=True), expected)
    fed = np.array(expected)[:, :, 0, 0, 0] - 1000 * np.arange(20)[:, None]
    assert len(np.unique(fed, axis=0)) > 5
    assert read(model(frames))[0][0] == [11, 21, 22, 23, 24]


def test_rates_are_no_trainable_weights():
    layer = observed_frames()
    assert not layer.trainable_variables
    assert [weight.shape for weight in layer.weights] == [(2,)]
    assert layer.truth_rate.dtype == "float32"


@pytest.mark.parametrize("kind", [ObservedFrames, lambda *lengths: Rollout(counting_step(), *lengths)])
@pytest.mark.parametrize("value", [0, -1, 2.0, None])
def test_lengths_must_be_positive(kind, value):
    received = re.escape(f"={value!r}")
    with pytest.raises(
        ValueError, match=rf"`context_frames` must be a positive integer\. .*context_frames{received}$"
    ):
        kind(value, 2)
    with pytest.raises(
        ValueError, match=rf"`forecast_frames` must be a positive integer\. .*forecast_frames{received}$"
    ):
        kind(2, value)


def test_find_layer():
    model = observing(2, 2)
    assert isinstance(find_layer(model, Rollout), Rollout)
    assert isinstance(find_layer(model, ObservedFrames), ObservedFrames)
    with pytest.raises(
        ValueError, match=r"`model` must have one Rollout layer, .* Received: 'other' with 0$"
    ):
        find_layer(keras.Sequential([keras.layers.Dense(1)], name="other"), Rollout)
    both = keras.Sequential([observed_frames(), observed_frames()], name="twice")
    with pytest.raises(ValueError, match=r"`model` must have one ObservedFrames layer, .* 'twice' with 2$"):
        find_layer(both, ObservedFrames)


def lone_cell(**options):
    layer = SpatiotemporalRNN(ConvLSTMCell(3), **options)
    layer.build((None, None, 4, 6, 2))
    randomise(layer)
    return layer


def random_sequence(length=5):
    return np.random.default_rng(0).normal(size=(2, length, 4, 6, 2)).astype("float32")


def by_hand(layer, sequence):
    states, outputs = layer.cell.get_initial_state(2), []
    for x in np.moveaxis(sequence, 1, 0):
        output, states = layer.cell(x, states)
        outputs.append(np.array(output))
    return np.stack(outputs, 1), [np.array(state) for state in states]


@pytest.mark.parametrize("unroll", [False, True])
def test_lone_cell_runs_through_time(unroll):
    layer = lone_cell(return_sequences=True, return_state=True, unroll=unroll)
    sequence = random_sequence()
    outputs, states = by_hand(layer, sequence)
    result, *result_states = layer(sequence)
    assert_close(result, outputs, 1e-6)
    for state, expected in zip(result_states, states, strict=True):
        assert_close(state, expected, 1e-6)
    layer.return_sequences = False
    assert_close(layer(sequence)[0], outputs[:, -1], 1e-6)


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("return_state", [False, True])
def test_lone_cell_s_symbolic_shape_is_the_eager_one(return_sequences, return_state):
    layer = lone_cell(return_sequences=return_sequences, return_state=return_state)
    symbolic = layer(keras.Input((5, 4, 6, 2)))
    eager = layer(random_sequence())
    symbolic, eager = (list(result) if return_state else [result] for result in (symbolic, eager))
    assert [(2, *tensor.shape[1:]) for tensor in symbolic] == [tuple(tensor.shape) for tensor in eager]
    assert len(symbolic) == (3 if return_state else 1)


def test_lone_cell_goes_on_from_given_states():
    layer = lone_cell(return_sequences=True, return_state=True)
    sequence = random_sequence()
    whole, *last_states = layer(sequence)
    _, *states = layer(sequence[:, :2])
    rest, *rest_states = layer(sequence[:, 2:], initial_state=states)
    assert_close(rest, np.array(whole)[:, 2:], 1e-6)
    for state, expected in zip(rest_states, last_states, strict=True):
        assert_close(state, expected, 1e-6)


def test_lone_cells_in_a_functional_model_saved_and_loaded(tmp_path):
    frames = keras.Input((None, 4, 6, 2))
    hidden = lone_cell(return_sequences=True)(frames)
    output, *states = SpatiotemporalRNN(ConvLSTMCell(4, kernel_size=5), return_state=True)(hidden)
    model = keras.Model(frames, [output, *states])
    assert model.output_shape == [(None, 4, 6, 4)] * 3
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    sequence = random_sequence()
    for result, expected in zip(loaded(sequence), model(sequence), strict=True):
        np.testing.assert_array_equal(result, expected)
