"""SavedModels, loaded where nothing of this package is."""

import json
import re

import keras
import numpy as np
import pytest

from mslstm_keras.deploy.export import export_saved_model
from mslstm_keras.models.registry import create_model
from tests.equations import assert_close, randomise
from tests.processes import no_file_larger_than, run_script

CONTEXT, FORECAST, FRAME = 3, 2, (8, 4, 2)
SERVE = """
    import json, sys
    sys.modules["mslstm_keras"] = None  # importing it would fail
    import numpy as np
    import tensorflow as tf

    serve = tf.saved_model.load("model").signatures["serving_default"]
    takes = serve.structured_input_signature
    print(json.dumps([
        {name: [spec.shape.as_list(), spec.dtype.name] for name, spec in takes[1].items()},
        {name: [spec.shape.as_list(), spec.dtype.name] for name, spec in serve.structured_outputs.items()},
        len(takes[0]),
    ]))
    frames = np.load("frames.npy")
    for count in (1, 3):
        np.save(f"forecast_{count}.npy", serve(frames=tf.constant(frames[:count]))["forecast"])
"""


@pytest.fixture(scope="module")
def model():
    model = create_model("conv_lstm", FRAME, CONTEXT, FORECAST, filters=2, layers=1)
    randomise(model)
    return model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    export_saved_model(model, folder)
    return folder


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_tensorflow_alone_serves_it(model, exported):
    frames = np.random.default_rng(0).random((3, CONTEXT, *FRAME), "float32")
    np.save(exported.parent / "frames.npy", frames)
    child = run_script(SERVE, exported.parent)
    assert child.returncode == 0, child.stderr
    takes, gives, positional = json.loads(child.stdout)
    assert takes == {"frames": [[None, CONTEXT, *FRAME], "float32"]}
    assert gives["forecast"][1] == "float32"
    assert list(gives) == ["forecast"]
    assert positional == 0
    expected = model.predict(frames, verbose=0)[:, -FORECAST:]
    for count in (1, 3):
        assert_close(np.load(exported.parent / f"forecast_{count}.npy"), expected[:count], 1e-5)


def test_an_empty_folder_is_filled_and_another_left_alone(model, tmp_path):
    empty, full, file = tmp_path / "empty", tmp_path / "full", tmp_path / "file"
    empty.mkdir()
    export_saved_model(model, str(empty))
    assert "saved_model.pb" in listing(empty)
    full.mkdir()
    for path in (full / "thesis.txt", file):
        path.write_text("the only copy")
    for folder in (full, file):
        message = re.escape(f"`folder` must be new or empty. Received: folder={str(folder)!r}")
        with pytest.raises(ValueError, match=message):
            export_saved_model(model, folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "full"]
    assert (full / "thesis.txt").read_text() == file.read_text() == "the only copy"


@pytest.mark.parametrize("size", [100, 20_000])  # the variables are larger than 100, the graph than 20,000
def test_a_full_disk_is_an_os_error_and_leaves_nothing(model, tmp_path, size):
    message = f"{tmp_path / 'model'} cannot be written: File too large"
    with no_file_larger_than(size), pytest.raises(OSError, match=f"^{re.escape(message)}"):
        export_saved_model(model, tmp_path / "model")
    assert listing(tmp_path) == []


def test_a_model_without_a_roll_out_is_refused(tmp_path):
    inputs = keras.Input((3,))
    with pytest.raises(ValueError, match=r"`model` must have one Rollout layer"):
        export_saved_model(keras.Model(inputs, inputs + 1), tmp_path / "model")
    assert listing(tmp_path) == []
