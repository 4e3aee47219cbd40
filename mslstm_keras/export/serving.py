"""Folders that TensorFlow Serving serves: models with requests to warm up with, and the server's own settings."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from mslstm_keras.export.saved_model import check_new, export_saved_model
from mslstm_keras.files import replacing
from mslstm_keras.importing import needed
from mslstm_keras.naming import is_plain
from mslstm_keras.typing import Progress

WARM_UP = Path("assets.extra", "tf_serving_warmup_requests")  # where a server looks for them
MODELS, BATCHING = "models.config", "batching.config"
VERSION = "1"  # of every model; a server takes the highest that there is
BATCH_SIZES = (1, 2, 4, 8)
GRPC_PORT, REST_PORT = 8500, 8501
IMAGE = "tensorflow/serving"


def write_serving_folder(
    folder: str | os.PathLike[str],
    models: Mapping[str, keras.Model],
    *,
    scales: Mapping[str, str | None] | None = None,
    progress: Progress | None = None,
) -> str:
    """Exports models into a folder that a TensorFlow Serving is started on.

    | path | what it is |
    |---|---|
    | `NAME/1/` | SavedModel of a model, see `export_saved_model` |
    | `NAME/1/assets.extra/tf_serving_warmup_requests` | see `write_warm_up_requests` |
    | `models.config` | names and places of all models, a `ModelServerConfig` |
    | `batching.config` | lets requests that come together be one batch of up to 8 clips; larger ones are refused |

    Args:
        folder: folder to write; new or empty.
        models: name under which it is served -> model of `create_model`.
        scales: name -> how the model's pixels stand for numbers, as `export_saved_model` takes it.
        progress: function of the number of models that are written, and of all.

    Returns:
        The command that starts the server, with Docker, on ports 8500 (gRPC) and 8501 (REST).

    Raises:
        ValueError: if there is no model, a name is no plain name of a folder, or the folder holds something.
        ImportError: if the extra `serving` is not installed.
        OSError: if the folder cannot be written; there is nothing of it then.
    """
    from google.protobuf import text_format

    config = _protos().ModelServerConfig()
    folder = Path(folder)
    if not models or not all(map(is_plain, models)):
        raise ValueError(
            "`models` must be models under names of letters, digits, `_`, `-` and `.`. Received: models="
            f"{list(models)}"
        )
    check_new(folder)
    with replacing(folder) as temporary:
        for number, (name, model) in enumerate(models.items(), 1):
            version = temporary / name / VERSION
            version.parent.mkdir(parents=True)
            export_saved_model(model, version, scale=(scales or {}).get(name))
            write_warm_up_requests(version, name)
            config.model_config_list.config.add(
                name=name, base_path=f"/models/{name}", model_platform="tensorflow"
            )
            if progress:
                progress(number, len(models))
        (temporary / MODELS).write_text(text_format.MessageToString(config))
        (temporary / BATCHING).write_text(_batching())
    return (
        f"docker run --rm -p {GRPC_PORT}:{GRPC_PORT} -p {REST_PORT}:{REST_PORT} "
        f"-v {shlex.quote(str(folder.resolve()))}:/models:ro {IMAGE} --model_config_file=/models/{MODELS} "
        f"--enable_batching --batching_parameters_file=/models/{BATCHING}"
    )


def write_warm_up_requests(
    folder: str | os.PathLike[str], name: str, *, batch_sizes: Sequence[int] = BATCH_SIZES
) -> int:
    """Writes the requests that a server answers by itself when it loads a model, so that nobody's first one is slow.

    They are a TFRecord file of `PredictionLog`s, `assets.extra/tf_serving_warmup_requests`: for each signature one of
    each batch size, with frames of seeded noise and states of zeros.

    Args:
        folder: folder of a SavedModel of `export_saved_model`.
        name: str. Name under which the model is served.
        batch_sizes: ints. Clips in a request.

    Returns:
        Number of requests.

    Raises:
        ImportError: if the extra `serving` is not installed.
        OSError: if `folder` holds no SavedModel, or the file cannot be written.
    """
    import tensorflow as tf

    protos, folder = _protos(), Path(folder)
    signatures = tf.saved_model.load(folder).signatures
    requests = [
        protos.PredictRequest(
            model_spec={"name": name, "signature_name": signature},
            inputs={
                key: tf.make_tensor_proto(
                    _example(key, (batch_size, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
                )
                for key, spec in function.structured_input_signature[1].items()
            },
        )
        for signature, function in signatures.items()
        for batch_size in batch_sizes
    ]
    (folder / WARM_UP).parent.mkdir(exist_ok=True)
    with replacing(folder / WARM_UP) as temporary, tf.io.TFRecordWriter(os.fspath(temporary)) as file:
        for request in requests:
            log = protos.PredictionLog(predict_log={"request": request})
            file.write(log.SerializeToString())
    return len(requests)


def _example(key, shape, dtype):
    """Returns noise for frames, zeros for the states of `step`."""
    if not key.startswith("frame"):
        return np.zeros(shape, dtype)
    noise = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    return noise if dtype == np.uint8 else (noise / 255).astype(dtype)


def _batching():
    # Requests are padded to sizes that the server has warmed up with; the last must be the largest.
    return (
        f"max_batch_size {{ value: {max(BATCH_SIZES)} }}\n"
        "batch_timeout_micros { value: 5000 }\n"
        "max_enqueued_batches { value: 100 }\n"
        f"num_batch_threads {{ value: {os.cpu_count() or 1} }}\n"
        + "".join(f"allowed_batch_sizes: {size}\n" for size in BATCH_SIZES)
    )


def _protos():
    with needed("TensorFlow Serving", "serving"):
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
        from tensorflow_serving.config import model_server_config_pb2
    return _Protos(
        predict_pb2.PredictRequest,
        prediction_log_pb2.PredictionLog,
        model_server_config_pb2.ModelServerConfig,
    )


class _Protos(NamedTuple):
    PredictRequest: type
    PredictionLog: type
    ModelServerConfig: type
