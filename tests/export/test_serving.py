"""Folders for TensorFlow Serving, as far as they can be tried without its binary: all that it reads is read here."""

import re
import shlex
import sys

import numpy as np
import pytest
import tensorflow as tf

from mslstm_keras.contracts.models import CONTEXT_FRAMES, FORECAST_FRAMES, random_frames, small_model
from mslstm_keras.export.saved_model import export_saved_model
from mslstm_keras.export.serving import WARM_UP, write_serving_folder, write_warm_up_requests
from tests.support.equations import assert_close

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
pytestmark = pytest.mark.usefixtures("many_models")


@pytest.fixture(scope="module")
def models(toy):
    """Two models, of which the second has maps of several sizes."""
    return {"toy": toy, "sms_lstm": small_model("sms_lstm", filters=2)}


@pytest.fixture(scope="module")
def serving(models, tmp_path_factory):
    """A folder that serves both, and the command that starts its server."""
    folder = tmp_path_factory.mktemp("serving") / "all of them"
    return folder, write_serving_folder(folder, models)


def requests(version):
    """Returns the warm-up requests of a SavedModel."""
    from tensorflow_serving.apis import prediction_log_pb2

    records = tf.data.TFRecordDataset(str(version / WARM_UP)).as_numpy_iterator()
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    assert {log.WhichOneof("log_type") for log in logs} == {"predict_log"}
    return [log.predict_log.request for log in logs]


def test_the_folder_holds_what_a_server_reads_and_nothing_else(serving):
    folder, _ = serving
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    model = {
        "saved_model.pb",
        "fingerprint.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "assets.extra/tf_serving_warmup_requests",
    }
    assert found == {"models.config", "batching.config"} | {
        f"{name}/1/{path}" for name in ("toy", "sms_lstm") for path in model
    }


def test_every_warm_up_request_is_answered(serving):
    folder, _ = serving
    for name in ("toy", "sms_lstm"):
        signatures = tf.saved_model.load(folder / name / "1").signatures
        asked = []
        for request in requests(folder / name / "1"):
            signature = request.model_spec.signature_name
            inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
            (batch_size,) = {len(value) for value in inputs.values()}
            answer = signatures[signature](**inputs)
            assert {len(value) for value in answer.values()} == {batch_size}
            assert all(np.all(np.isfinite(value)) for value in answer.values())
            frames = inputs.get("frames", inputs.get("frame"))
            assert np.ptp(frames) > 0
            asked.append((request.model_spec.name, signature, batch_size))
        assert len(set(asked)) == len(asked)
        assert set(asked) == {(name, signature, size) for signature in signatures for size in (1, 2, 4, 8)}


def test_warm_up_requests_are_the_same_every_time_and_of_any_size(serving, toy, tmp_path):
    folder, _ = serving
    export_saved_model(toy, tmp_path / "1")
    assert write_warm_up_requests(tmp_path / "1", "toy") == 16
    again, first = (path / WARM_UP for path in (tmp_path / "1", folder / "toy" / "1"))
    assert again.read_bytes() == first.read_bytes()
    assert write_warm_up_requests(tmp_path / "1", "other", batch_sizes=[3]) == 4
    assert {request.model_spec.name for request in requests(tmp_path / "1")} == {"other"}
    inputs = [value for request in requests(tmp_path / "1") for value in request.inputs.values()]
    assert {value.tensor_shape.dim[0].size for value in inputs} == {3}


def test_the_servers_protocol_reads_the_list_of_models(serving):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    folder, _ = serving
    text = (folder / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert [(each.name, each.base_path, each.model_platform) for each in config] == [
        (name, f"/models/{name}", "tensorflow") for name in ("toy", "sms_lstm")
    ]


def test_batches_are_of_the_sizes_that_are_warm(serving):
    """No package holds the protocol of this file: its lines are looked at."""
    folder, _ = serving
    lines = (folder / "batching.config").read_text().splitlines()
    values = [re.fullmatch(r"(\w+) \{ value: (\d+) \}|(\w+): (\d+)", line).groups() for line in lines]
    found = [(name or field, int(value or number)) for name, value, field, number in values]
    sizes = [value for name, value in found if name == "allowed_batch_sizes"]
    assert sizes == [1, 2, 4, 8] and dict(found)["max_batch_size"] == sizes[-1]
    assert {name for name, _ in found} == {
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
        "allowed_batch_sizes",
    }


def test_the_command_mounts_the_folder_where_its_files_say(serving):
    folder, command = serving
    assert shlex.split(command) == [
        *["docker", "run", "--rm", "-p", "8500:8500", "-p", "8501:8501", "-v", f"{folder}:/models:ro"],
        *["tensorflow/serving", "--model_config_file=/models/models.config", "--enable_batching"],
        "--batching_parameters_file=/models/batching.config",
    ]


def test_openvino_reads_the_folder_that_is_served(serving, toy):
    """Its own Model Server takes folders of TensorFlow Serving as they are."""
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(serving[0] / "toy" / "1", "CPU", precision)
    for batch in (1, 3):
        frames = random_frames(CONTEXT_FRAMES, batch, toy.input_shape[2:])
        expected = np.array(toy(frames))[:, -FORECAST_FRAMES:]
        assert_close(compiled({"frames": frames})[0], expected, 1e-4)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "`models` must be models under names of letters, digits, `_`, `-` and `.`. Received: models=[]"),
        (["toy", "../toy"], "Received: models=['toy', '../toy']"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(models, names, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        write_serving_folder(tmp_path / "serving", dict.fromkeys(names, models["toy"]))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_as_it_is(models, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="`folder` must be new or empty"):
        write_serving_folder(tmp_path, models)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_extra_is_named_where_it_is_missing(models, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'mslstm_keras[serving]'")):
        write_serving_folder(tmp_path / "serving", models)
    assert list(tmp_path.iterdir()) == []
