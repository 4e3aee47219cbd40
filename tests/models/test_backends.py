"""JAX and PyTorch compute what TensorFlow computes: predictions, a training step, files; JAX scheduled sampling too."""

import importlib.util
import os
from pathlib import Path

import keras
import numpy as np
import pytest

from mslstm_keras import ObservedFrames, Rollout, ScheduledSampling
from mslstm_keras.contracts.models import random_frames, small_model
from mslstm_keras.models.rollout import find_layer
from tests.support.contracts import PARTS, chosen_models, trained_one_step
from tests.support.equations import randomise
from tests.support.processes import run_script

PLANE = np.array([[1, 1, 0, 1], [1, 0, 1, 0]], "float32")

pytestmark = [pytest.mark.usefixtures("many_models"), pytest.mark.slow]
ROOT = Path(__file__).parents[2]


def outputs(model, **options):
    """Returns predictions, those fed with a given plane, and loss and weights after one step."""
    frames = random_frames()
    predictions = model(frames)
    sampled = find_layer(model, Rollout)(frames, PLANE, training=True)
    # A large step: the weights show the gradients, not what they were before.
    loss, weights = trained_one_step(model, optimizer=keras.optimizers.SGD(1.0), **options)
    results = {"predictions": predictions, "sampled": sampled, "loss": loss}
    results.update({f"weight {number}": weight for number, weight in enumerate(weights)})
    return {key: keras.ops.convert_to_numpy(value) for key, value in results.items()}


def write_outputs(folder):
    """Writes the outputs of all models of a folder, built anew with their weights and loaded from their files."""
    for path in sorted(Path(folder).glob("*.keras")):
        model = small_model(path.stem)
        with np.load(path.with_suffix(".weights.npz")) as weights:
            model.set_weights(list(weights.values()))
        loaded = keras.models.load_model(path)(random_frames())
        written = path.with_suffix(f".{keras.backend.backend()}.npz")
        np.savez(written, loaded=keras.ops.convert_to_numpy(loaded), **outputs(model))


def write_checkpoints(folder):
    """Writes the outputs of one model for each way of keeping less."""
    for checkpoint in (None, "step", "sqrt"):
        model = small_model("ms_lstm", checkpoint=checkpoint)
        np.savez(Path(folder, f"checkpoint_{checkpoint}.npz"), **outputs(model))


def write_sampling(folder):
    """Writes the mean losses that `fit` reports under a falling rate, and those of the frames it should draw."""
    model = small_model("conv_lstm", layers=1)
    layer, rollout = find_layer(model, ObservedFrames), find_layer(model, Rollout)
    frames, truth = random_frames(), random_frames(seed=1)
    losses = []
    for step in range(3):
        layer.set_truth_rate(1.0, 1.0 - step / 4, step)
        predictions = rollout(frames, layer(frames, training=True), training=True)
        losses.append(float(keras.ops.mean(keras.ops.square(predictions - truth))))
    layer.set_truth_rate(1.0, 0.0, 0)
    model.compile(keras.optimizers.SGD(0.0), "mse")  # the weights stay, so each loss is that of its draws
    reported = []
    model.fit(
        *(np.concatenate([each] * 3) for each in (frames, truth)),
        batch_size=len(frames),
        shuffle=False,
        verbose=0,
        callbacks=[
            ScheduledSampling(4),
            keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: reported.append(logs["loss"])),
        ],
    )
    np.savez(
        Path(folder, "sampling.npz"),
        backend=keras.backend.backend(),
        losses=losses,
        reported=np.array(reported, "float32"),
        rates=layer.truth_rate.numpy(),
        steps=int(model.optimizer.iterations),
    )


@pytest.fixture(scope="module")
def folder(request, tmp_path_factory):
    """Folder with all models of the chosen tests, and what they give on TensorFlow."""
    folder = tmp_path_factory.mktemp("backends")
    for name in chosen_models(request):
        model = small_model(name)
        randomise(model, seed=1, scale=1.0)  # weights that others can have from here alone
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.weights.npz", *model.get_weights())
        np.savez(folder / f"{name}.tensorflow.npz", **outputs(model, run_eagerly=True))
    return folder


def run_on(backend, folder, *functions, **environment):
    """Calls functions of this module with the folder, in another process on a backend of Keras."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    calls = "; ".join(f"tests.models.test_backends.{each.__name__}(sys.argv[1])" for each in functions)
    script = f"import sys; import tests.models.test_backends; {calls}"
    options = {**os.environ, "KERAS_BACKEND": backend, **environment}
    child = run_script(script, ROOT, folder, env=options)
    assert child.returncode == 0, child.stderr
    return folder


@pytest.fixture(scope="module")
def jax_folder(folder):
    return run_on(
        "jax",
        folder,
        *(write_outputs, write_checkpoints, write_sampling),
        JAX_PLATFORMS="cpu",  # an accelerator may be taken by the process of the tests
        # Compiling takes longer than all that is run; a model that was loaded is the program that was saved.
        JAX_DISABLE_MOST_OPTIMIZATIONS="1",
        JAX_COMPILATION_CACHE_DIR=str(folder / "compiled"),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
        JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
    )


@pytest.fixture(scope="module")
def torch_folder(folder):
    return run_on("torch", folder, write_outputs)


@pytest.fixture(params=PARTS)
def name(request):
    return request.param


@pytest.fixture(params=["jax", "torch"])
def both(request, name, folder):
    """The outputs of a model on another backend and on TensorFlow."""
    request.getfixturevalue(f"{request.param}_folder")
    with (
        np.load(folder / f"{name}.{request.param}.npz") as other,
        np.load(folder / f"{name}.tensorflow.npz") as tensorflow,
    ):
        return dict(other), dict(tensorflow)


def assert_agree(other, tensorflow):
    np.testing.assert_allclose(other, tensorflow, rtol=0, atol=1e-5 * np.abs(tensorflow).max())


def test_predictions_agree(both):
    other, tensorflow = both
    assert_agree(other["predictions"], tensorflow["predictions"])


def test_frames_drawn_by_scheduled_sampling_are_fed_alike(both):
    other, tensorflow = both
    assert_agree(other["sampled"], tensorflow["sampled"])
    assert np.any(tensorflow["sampled"] != tensorflow["predictions"])


def test_training_steps_agree(both):
    other, tensorflow = both
    assert_agree(other["loss"], tensorflow["loss"])
    for key in tensorflow:
        if key.startswith("weight"):
            assert_agree(other[key], tensorflow[key])


@pytest.mark.parametrize("checkpoint", ["step", "sqrt"])
def test_checkpoints_change_nothing(jax_folder, checkpoint):
    with (
        np.load(jax_folder / "checkpoint_None.npz") as kept,
        np.load(jax_folder / f"checkpoint_{checkpoint}.npz") as less,
    ):
        for key in kept:
            assert_agree(less[key], kept[key])


def test_a_file_of_one_backend_is_read_by_the_other(both):
    other, _ = both
    np.testing.assert_array_equal(other["loaded"], other["predictions"])


def test_fit_brings_rate_and_step_of_scheduled_sampling_into_each_step(jax_folder):
    with np.load(jax_folder / "sampling.npz") as sampling:
        losses, reported = sampling["losses"], sampling["reported"]
        assert sampling["backend"] == "jax" and sampling["steps"] == 3
        np.testing.assert_array_equal(sampling["rates"], [1, 0])
    means = np.cumsum(losses) / [1, 2, 3]  # Keras reports the mean of the epoch so far
    assert np.abs(np.diff(means)).min() > 1e-3 * means.max()
    np.testing.assert_allclose(reported, means, rtol=1e-5)
