"""On Keras' JAX backend the package needs no TensorFlow: the main jobs, where importing it fails."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mslstm_keras.cli import main
from mslstm_keras.training.fit import read_recipe
from mslstm_keras.zoo.index import list_pretrained
from mslstm_keras.zoo.loading import load_pretrained
from tests.support.processes import WITHOUT_TENSORFLOW

ROOT = Path(__file__).parents[1]
SETTINGS = {
    **{"model": "ms_lstm", "filters": 2, "layers": 3, "patch_size": 8, "context_frames": 2},
    **{"forecast_frames": 2, "batch_size": 2, "steps": 4, "interval_steps": 2, "sampling_steps": 4},
    **{"decay_steps": 0, "validation_clips": 3},
}
SCRIPT = """
import hashlib
from pathlib import Path
import numpy as np
import mslstm_keras as ms
from mslstm_keras.cli import main
from tfds_builders.moving_mnist_clips import objects

FILES = {"train": "train", "test": "t10k"}
words = sys.argv[1:]
run = ["train", "optdigits_quick", *words, "--run-dir", "run", "--backend", "jax"]
assert main(run) == 0
assert main([*run, "--resume", "--set", "steps=8"]) == 0
# Clips of digits from the files of MNIST; those of the test are small, and have sums of their own.
sums = {split: hashlib.md5(Path(f"{name}-images-idx3-ubyte").read_bytes()).hexdigest() for split, name in FILES.items()}
objects._IDX_SOURCES["mnist"] = objects._IDX_SOURCES["mnist"]._replace(md5=sums)
further = ["train", "paper_moving_mnist", *words, "--set", "stream=true", "--manual-dir", ".", "--backend", "jax"]
assert main([*further, "--initial", "run", "--run-dir", "further"]) == 0
assert main([*further, "--initial", "run", "--run-dir", "further", "--resume", "--set", "steps=6"]) == 0
assert main([*further, "--initial", "further/checkpoint.keras", "--run-dir", "last", "--set", "steps=2"]) == 0
model = ms.load_model("run")
np.savez("weights.npz", *model.get_weights())
trained = ms.load_pretrained("ms_lstm_moving_mnist")
frames = np.random.default_rng(0).random((10, 64, 64, 1), "float32")
np.save("clip.npy", frames)
np.save("future.npy", ms.forecast(trained, frames, 3))
assert main("forecast --model ms_lstm_moving_mnist --input clip.npy --horizon 3 --output cli.npy".split()) == 0
created = ms.create_model("pred_rnn_v2", (8, 8, 1), 2, 2, filters=2, layers=2)
assert created.predict_on_batch(np.zeros((1, 2, 8, 8, 1), "float32")).shape == (1, 3, 8, 8, 1)
assert ms.split_clips("clips.npy", "train").count == 9
assert main(["evaluate", "--model", "run", "--dataset", "moving_mnist_clips/paper", "--data-dir", "."]) == 2
print("tensorflow" in sys.modules)
"""


def run_on_jax(folder, blocked):
    """Returns what the script printed to stdout and to stderr, run in a folder."""
    np.save(folder / "clips.npy", np.zeros((10, 4, 8, 8, 1), "uint8"))
    for name, count in (("train", 6), ("t10k", 3)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype="uint8")
        header = np.array([0x803, *images.shape], ">u4")
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header.tobytes() + images.tobytes())
    words = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n" + WITHOUT_TENSORFLOW * blocked + SCRIPT
    command = [sys.executable, "-c", script, *words]
    child = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert child.returncode == 0, child.stderr
    return child.stdout, child.stderr


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    folder = tmp_path_factory.mktemp("without")
    return folder, *run_on_jax(folder, blocked=True)


def test_tensorflow_is_never_imported(without):
    _, out, _ = without
    assert out.splitlines()[-1] == "False"


def test_what_is_left_out_is_said_in_one_line(without):
    folder, _, errors = without
    lines = [line for line in errors.splitlines() if line.startswith("mslstm: ")]
    assert lines[0] == (
        "mslstm: warning: TensorBoard's log needs pip install 'mslstm_keras[tensorboard]' (tensorflow is blocked): "
        "run/tensorboard is not written"
    )
    assert re.fullmatch(
        r"mslstm: Prepared data sets are read by TensorFlow Datasets: pip install .*", lines[-1]
    )
    assert not (folder / "run" / "tensorboard").exists()


def test_the_command_forecasts_what_python_does(without):
    folder, *_ = without
    np.testing.assert_array_equal(np.load(folder / "cli.npy"), np.load(folder / "future.npy"))


def test_a_training_goes_on_from_the_weights_of_another(without):
    folder, *_ = without
    run, further, last = (read_recipe(folder / name) for name in ("run", "further", "last"))
    assert (run.steps, further.steps, last.steps) == (8, 6, 2)
    assert (further.initial, further.initial_clips) == ("run", 8 * run.batch_size)
    assert (last.initial, last.initial_clips) == ("further/checkpoint.keras", 0)
    lines = (folder / "further" / "log.csv").read_text().splitlines()
    assert [int(line.split(",")[1]) for line in lines[1:]] == [20, 24, 28]  # clips, of both trainings


@pytest.mark.slow
def test_its_run_becomes_an_entry_of_a_zoo_where_tensorflow_is(without, optdigits_dir, tmp_path):
    folder, *_ = without
    zoo, data = tmp_path / "zoo", ["--data-dir", str(optdigits_dir)]
    words = ["zoo", "add", str(folder / "run"), "--name", "of_jax", "--zoo", str(zoo), "--clips", "2", *data]
    assert main(words) == 0
    with np.load(folder / "weights.npz") as weights:
        found = load_pretrained("of_jax", zoo).get_weights()
        for expected, weight in zip(weights.values(), found, strict=True):  # stored in half precision
            np.testing.assert_array_equal(weight, expected.astype("float16").astype(expected.dtype))
    assert list_pretrained(zoo)["of_jax"].clips_seen == 16


@pytest.mark.slow
def test_weights_are_those_of_a_training_beside_tensorflow(without, tmp_path):
    folder, *_ = without
    run_on_jax(tmp_path, blocked=False)
    expected, found = (np.load(path / "weights.npz") for path in (tmp_path, folder))
    assert len(expected.files) > 10
    for name in expected.files:
        np.testing.assert_array_equal(found[name], expected[name])
    assert (tmp_path / "run" / "tensorboard").exists()
