"""What holds under which setting of Keras: every row of `docs/promises.md`, for a model of each kind.

With `-s` it prints how far each is from the reference.
"""

import contextlib
import copy
import functools
import gc
import pickle
import re
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras import FrameL1L2, create_model, forecast
from mslstm_keras.contracts.models import (
    CONTEXT_FRAMES,
    FORECAST_FRAMES,
    FRAME_SHAPE,
    STEPS,
    layers_of,
    small_model,
)
from mslstm_keras.data.clips import Clips
from mslstm_keras.models.registry import told_model
from mslstm_keras.training.feeding import batch_indices, training_batches
from mslstm_keras.training.recipes import Recipe

MODELS = {
    "conv_lstm": "a plain stack",
    "ms_lstm": "a pyramid",
    "pred_rnn_v2": "with a penalty in its loss",
    "cms_lstm": "with attention",
}
PAGE = (Path(__file__).parents[1] / "docs" / "promises.md").read_text()
CLIPS, BATCH, EPOCHS = 8, 2, 2
RATE = 1e-4  # with larger ones the random weights of the pyramid run away, and rounding with them
PROMISES = {}
"""Row of the page -> (check, tolerance): a check of a model's name returns how far it is from the reference."""

pytestmark = pytest.mark.usefixtures("many_models", "forgotten_models")


def promise(row, tolerance=1e-6):
    def note(check):
        PROMISES[row] = check, tolerance
        return check

    return note


@functools.cache
def clips():
    random = np.random.default_rng(0)
    return tuple(random.random((CLIPS, STEPS, *FRAME_SHAPE), dtype="float32") for _ in range(2))


def trained(
    name, data=None, *, optimizer=None, batch_size=BATCH, epochs=EPOCHS, steps=None, callbacks=(), **compiled
):
    """Returns a model after two epochs of gradient descent on eight clips, in their order."""
    model = small_model(name)
    model.compile(optimizer or keras.optimizers.SGD(RATE), FrameL1L2(), **compiled)
    given = {"x": data} if data is not None else dict(zip("xy", clips(), strict=True), batch_size=batch_size)
    options = {"epochs": epochs, "steps_per_epoch": steps, "callbacks": list(callbacks)}
    model.fit(**given, **options, shuffle=False, verbose=0)
    return model


def weights_of(model):
    return np.concatenate([np.ravel(weight) for weight in model.trainable_weights])


@functools.cache
def reference(name):
    weights = weights_of(trained(name))
    assert np.abs(weights - weights_of(small_model(name))).max() > 1e-3  # far beyond every tolerance
    return weights


def off(name, model):
    return np.abs(weights_of(model) - reference(name)).max()


@promise("`fit` on arrays of NumPy, twice", 0)
def numpy_arrays(name):
    return off(name, trained(name))


@promise("`tf.data` of known shapes")
def tf_data(name):
    return off(name, trained(name, tf.data.Dataset.from_tensor_slices(clips()).batch(BATCH)))


@promise("`tf.data` of unknown batch and time")
def tf_data_of_unknown_shapes(name):
    spec = tf.TensorSpec((None, None, *FRAME_SHAPE))
    pairs = [tuple(each[first : first + BATCH] for each in clips()) for first in range(0, CLIPS, BATCH)]
    data = tf.data.Dataset.from_generator(lambda: pairs, output_signature=(spec, spec))
    return off(name, trained(name, data.apply(tf.data.experimental.assert_cardinality(len(pairs)))))


@promise("`keras.utils.PyDataset`")
def py_dataset(name):
    class Pairs(keras.utils.PyDataset):
        def __len__(self):
            return CLIPS // BATCH

        def __getitem__(self, index):
            return tuple(each[index * BATCH : (index + 1) * BATCH] for each in clips())

    return off(name, trained(name, Pairs()))


@promise("a generator of Python, with `steps_per_epoch`")
def generator(name):
    def pairs():
        for _ in range(EPOCHS):
            for first in range(0, CLIPS, BATCH):
                yield tuple(each[first : first + BATCH] for each in clips())

    return off(name, trained(name, pairs(), steps=CLIPS // BATCH))


class Pairs:
    """Pairs of frames and truth by number, as Grain and PyTorch read them."""

    def __len__(self):
        return CLIPS

    def __getitem__(self, index):
        return tuple(each[index] for each in clips())


@promise("a `grain` data set with `repeat`, and `steps_per_epoch`")
def grain_data(name):
    grain = pytest.importorskip("grain")
    data = grain.MapDataset.source(Pairs()).batch(BATCH).repeat()
    return off(name, trained(name, data, steps=CLIPS // BATCH))


@promise("a `DataLoader` of PyTorch")
def torch_data(name):
    data = pytest.importorskip("torch.utils.data")
    return off(name, trained(name, data.DataLoader(Pairs(), batch_size=BATCH)))


@promise("`sample_weight` of ones, for sequences, frames or pixels")
def weights_of_one(name):
    shapes = [clips()[0].shape[:rank] for rank in (1, 2, 4, 5)]
    return max(off(name, weighted(name, np.ones(shape, "float32"))) for shape in shapes)


@promise("`sample_weight` 0 for pixels, whatever lies under them", 0)
def weights_of_zero(name):
    """Nothing that is hidden is seen, be it NaN."""
    weights = np.ones((*clips()[0].shape[:-1], 1), "float32")
    weights[:, 1:, :3] = 0
    trainings = [weighted(name, weights, hidden) for hidden in (0.5, np.nan)]
    return np.abs(np.subtract(*map(weights_of, trainings))).max()


def weighted(name, weights, hidden=None):
    """Returns the model trained with weights; behind those of 0 the truth is replaced."""
    frames, truth = clips()
    if hidden is not None:
        truth = np.where(weights == 0, np.float32(hidden), truth)
    model = small_model(name)
    model.compile(keras.optimizers.SGD(RATE), FrameL1L2())
    options = {"batch_size": BATCH, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
    model.fit(frames, truth, sample_weight=weights, **options)
    return model


@promise('frames or targets of `uint8`: refused, "divide grey levels 0 .. 255 by 255"', 0)
def grey_levels(name):
    model = small_model(name)
    model.compile(keras.optimizers.SGD(RATE), FrameL1L2())
    frames = clips()[0]
    levels = (255 * frames).astype("uint8")
    for run in (
        lambda: model.fit(frames, levels, verbose=0),
        lambda: model.fit(levels, frames, verbose=0),
        lambda: model.evaluate(levels, frames, verbose=0),
        lambda: model.predict(levels, verbose=0),
        lambda: model(levels),
    ):
        with pytest.raises(ValueError, match=r"must hold .* divide grey levels 0 \.\. 255 by 255"):
            run()
    return off_untrained(name, model)


@contextlib.contextmanager
def setting(setter, value):
    """Sets one of `keras.config` for a while."""
    before = getattr(keras.config, setter.removeprefix("set_"))()
    getattr(keras.config, setter)(value)
    try:
        yield
    finally:
        getattr(keras.config, setter)(before)


@promise('`keras.config.set_image_data_format("channels_first")`')
def channels_first(name):
    with setting("set_image_data_format", "channels_first"):
        return off(name, trained(name))


@promise('`keras.config.set_floatx("float64")`', 1e-5)
def double_floats(name):
    reference(name)
    with setting("set_floatx", "float64"):
        return off(name, trained(name))


@promise('the dtype policy "float64"', 1e-5)
def double_policy(name):
    reference(name)
    with setting("set_dtype_policy", "float64"):
        return off(name, trained(name))


@promise('the dtype policies "mixed_float16" and "mixed_bfloat16", forecasts', 5e-2)
def half_policies(name):
    full = predictions(small_model(name))
    found = []
    for policy in ("mixed_float16", "mixed_bfloat16"):
        with setting("set_dtype_policy", policy):
            found.append(np.abs(predictions(small_model(name)) - full).max())
    return max(found)


@promise("`steps_per_execution=2`")
def two_steps_per_execution(name):
    return off(name, trained(name, steps_per_execution=2))


@promise("`steps_per_execution` of more than an epoch")
def more_steps_than_an_epoch(name):
    return off(name, trained(name, steps_per_execution=3 * CLIPS // BATCH))


@promise("`jit_compile=True`", 1e-5)
def jit_compile(name):
    return off(name, trained(name, jit_compile=True))


@promise("`run_eagerly=True`")
def run_eagerly(name):
    return off(name, trained(name, run_eagerly=True))


@promise("`gradient_accumulation_steps=2` on half the batch")
def gradient_accumulation(name):
    optimizer = keras.optimizers.SGD(RATE, gradient_accumulation_steps=2)
    return off(name, trained(name, optimizer=optimizer, batch_size=BATCH // 2))


@promise("EMA of the weights with `SwapEMAWeights`", 1e-6)
def moving_average(name):
    """The average begins with the weights behind the first step, as Keras' does."""
    seen, momentum = [], 0.5

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(weights_of(self.model))

    optimizer = keras.optimizers.SGD(RATE, use_ema=True, ema_momentum=momentum)
    model = trained(
        name, optimizer=optimizer, callbacks=[Note(), keras.callbacks.SwapEMAWeights(swap_on_epoch=False)]
    )
    average = functools.reduce(lambda kept, new: momentum * kept + (1 - momentum) * new, seen)
    return np.abs(weights_of(model) - average).max()


@promise("missing pixels, NaN in `Clips`: as weights of 0, whatever lies there")
def missing_pixels(name):
    random, steps = np.random.default_rng(1), CLIPS // BATCH * EPOCHS
    frames = random.random((CLIPS, STEPS + 1, *FRAME_SHAPE), dtype="float32")
    observed = random.random(frames.shape) > 0.3
    observed[::2, 3] = False
    sizes = {"context_frames": CONTEXT_FRAMES, "forecast_frames": FORECAST_FRAMES}
    sizes |= {"batch_size": BATCH, "steps": 2 * steps, "interval_steps": steps}
    recipe = Recipe("holes", name, FRAME_SHAPE, **sizes, sampling_steps=1)  # then the context alone is fed
    holes = np.where(observed, frames, np.float32(np.nan))
    model = small_model(name)
    told = told_model(model)
    told.compile(keras.optimizers.SGD(RATE), FrameL1L2())
    batches = training_batches(Clips(lambda rows: holes[rows], CLIPS, masked=True), recipe, steps)
    told.fit(batches, shuffle=False, verbose=0)
    rows = np.concatenate([batch_indices(step, BATCH, CLIPS, 0) for step in range(steps, 2 * steps)])
    beside = small_model(name)
    beside.compile(keras.optimizers.SGD(RATE), FrameL1L2())
    seen, anything = np.where(observed, frames, 0)[rows, :-1], np.where(observed, frames, 1e6)[rows, 1:]
    weights = {"sample_weight": observed[rows, 1:], "batch_size": BATCH}
    beside.fit(seen, anything, **weights, shuffle=False, verbose=0)
    moved = np.abs(weights_of(beside) - weights_of(small_model(name))).max()
    assert 1e-3 < moved < 1  # far beyond the tolerance, and far below what the values under the mask would do
    return np.abs(weights_of(model) - weights_of(beside)).max()


def predictions(model):
    return model.predict(clips()[0][:, :CONTEXT_FRAMES], verbose=0)


def forecast_off(name, model):
    return np.abs(predictions(model) - predictions(small_model(name))).max()


@promise("`keras.models.clone_model`, with its weights set", 0)
def clone_model(name):
    model = small_model(name)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return forecast_off(name, clone)


@promise("`copy.deepcopy`", 0)
def deepcopy(name):
    return forecast_off(name, copy.deepcopy(small_model(name)))


@promise("`pickle`", 0)
def pickled(name):
    return forecast_off(name, pickle.loads(pickle.dumps(small_model(name))))


@promise('`model.quantize("int8")`: changes nothing, and Keras warns of every layer', 0)
def quantize(name):
    model = small_model(name)
    with pytest.warns(UserWarning, match="does not have a `quantize` method implemented"):
        model.quantize("int8")
    return forecast_off(name, model)


@promise("`BackupAndRestore`, interrupted in its second epoch", 1e-6)
def backup(name, folder):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    callbacks = [keras.callbacks.BackupAndRestore(folder / "backup")]
    with pytest.raises(KeyboardInterrupt):
        trained(name, callbacks=[*callbacks, Stop()])
    return off(name, trained(name, callbacks=callbacks))


@promise("`ModelCheckpoint(save_freq=N)`, the file of the last step", 1e-6)
def checkpoint(name, folder):
    last = CLIPS // BATCH * EPOCHS
    trained(name, callbacks=[keras.callbacks.ModelCheckpoint(folder / "model.keras", save_freq=last)])
    return off(name, keras.models.load_model(folder / "model.keras"))


@promise("`EarlyStopping(restore_best_weights=True)`", 1e-6)
def early_stopping(name):
    """What is watched is best behind the second epoch and gets worse."""

    class Watched(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["watched"] = abs(epoch - 1)

    stop = keras.callbacks.EarlyStopping("watched", mode="min", patience=1, restore_best_weights=True)
    return off(name, trained(name, epochs=9, callbacks=[Watched(), stop]))


def weights_into(name, folder, *, frame_shape=FRAME_SHAPE, ahead=FORECAST_FRAMES, skip_mismatch=False):
    """Returns a model of other sizes with the weights of the model, from a file."""
    small_model(name).save_weights(folder / "model.weights.h5")
    other = create_model(name, frame_shape, CONTEXT_FRAMES, ahead, filters=4, layers=layers_of(name))
    other.load_weights(folder / "model.weights.h5", skip_mismatch=skip_mismatch)
    return other


def off_untrained(name, model):
    return np.abs(weights_of(model) - weights_of(small_model(name))).max()


@promise("`load_weights` into a model of more frames", 1e-6)
def other_lengths(name, folder):
    frames = clips()[0][0, :CONTEXT_FRAMES]
    longer = weights_into(name, folder, ahead=FORECAST_FRAMES + 2)
    ahead = FORECAST_FRAMES + 2
    return np.abs(forecast(longer, frames) - forecast(small_model(name), frames, ahead)).max()


@promise("`load_weights` into a model of larger frames", 0)
def larger_frames(name, folder):
    larger = weights_into(name, folder, frame_shape=(16, 24, 1))
    return off_untrained(name, larger)


@promise("`load_weights` into a model of more channels: refused", 0)
def more_channels(name, folder):
    # Keras looks for the layers that it could not load in a second place of the file, and warns that it is not there.
    with (
        pytest.warns(UserWarning, match="Skipping nested container"),
        pytest.raises(ValueError, match=r"(?s)could not be loaded.*embed"),
    ):
        weights_into(name, folder, frame_shape=(*FRAME_SHAPE[:2], 3))
    return 0.0


@promise("... with `skip_mismatch=True`: all but embedding and head, of which Keras warns", 0)
def more_channels_skipped(name, folder):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        other = weights_into(name, folder, frame_shape=(*FRAME_SHAPE[:2], 3), skip_mismatch=True)
    assert any("could not be loaded" in str(each.message) for each in said)
    far = {
        one.path: np.abs(one - two).max() if one.shape == two.shape else None
        for one, two in zip(other.trainable_weights, small_model(name).trainable_weights, strict=True)
    }
    ends = {path: far.pop(path) for path in [*far] if path.split("/")[-2] in ("embed", "head")}
    assert None in ends.values()
    return max(far.values())


@promise("Keras' own `model.export`, as a SavedModel", 1e-5)
def keras_export(name, folder):
    model = small_model(name)
    model.export(folder / "exported", format="tf_saved_model", verbose=False)
    exported = tf.saved_model.load(folder / "exported")
    served = exported.serve(clips()[0][:, :CONTEXT_FRAMES])
    return np.abs(np.array(served) - predictions(model)).max()


@promise("Keras' own `model.export` to ONNX, of a model made with `unroll=True` and called once", 1e-5)
def keras_onnx(name, folder):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    model, frames = unrolled(name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)  # tf2onnx under NumPy 2
        model.export(folder / "model.onnx", format="onnx", verbose=False)
    session = runtime.InferenceSession(folder / "model.onnx")
    (served,) = session.run(None, {session.get_inputs()[0].name: frames})
    return np.abs(served - predictions(model)[: len(frames)]).max()


@promise("... to OpenVINO, of such a model", 1e-5)
def keras_openvino(name, folder):
    openvino = pytest.importorskip("openvino")
    model, frames = unrolled(name)
    model.export(str(folder / "model.xml"), format="openvino", verbose=False)
    # It computes in bfloat16 where the processor can.
    compiled = openvino.Core().compile_model(folder / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.abs(compiled([frames])[0] - predictions(model)[: len(frames)]).max()


@promise("... to LiteRT, of such a model", 1e-5)
def keras_litert(name, folder):
    interpreters = pytest.importorskip("ai_edge_litert.interpreter")
    model, frames = unrolled(name)
    model.export(folder / "model.tflite", format="litert", verbose=False)
    interpreter = interpreters.Interpreter(model_path=str(folder / "model.tflite"))
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], frames.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], frames)
    interpreter.invoke()
    return np.abs(interpreter.get_tensor(taken["index"]) - predictions(model)[: len(frames)]).max()


def unrolled(name):
    """Returns the model with a step for each frame in place of a loop, which has been called, and frames for it."""
    model, frames = small_model(name, unroll=True), clips()[0][:BATCH, :CONTEXT_FRAMES]
    model(frames)
    return model, frames


FOUND = {}


@pytest.fixture
def forgotten_models():
    """A trained model is a circle of references, and some hundred megabytes with its graphs."""
    yield
    keras.backend.clear_session()
    gc.collect()


@pytest.fixture(scope="module", autouse=True)
def table():
    """Prints what was found, a row for each promise."""
    yield
    print(f"\n| {'setting':<75} | " + " | ".join(f"{name:<11}" for name in MODELS) + " |")
    for row in PROMISES:
        cells = [f"{FOUND.get((row, name), float('nan')):<11.1e}" for name in MODELS]
        print(f"| {row:<75} | {' | '.join(cells)} |")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("row", PROMISES)
def test_promise(row, name, tmp_path):
    check, tolerance = PROMISES[row]
    more = (
        {"folder": tmp_path} if "folder" in check.__code__.co_varnames[: check.__code__.co_argcount] else {}
    )
    with warnings.catch_warnings():
        # Of Keras itself, from NumPy 2.4 on.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        FOUND[row, name] = check(name, **more)
    assert FOUND[row, name] <= tolerance


def test_the_page_lists_every_promise():
    rows = dict(re.findall(r"^\| ([^-].+?) \| (.+?) \|$", PAGE, re.MULTILINE)[1:])
    assert rows == {row: "the same" if not far else f"{far:.0e}" for row, (_, far) in PROMISES.items()}
