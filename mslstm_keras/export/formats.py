"""Models in the forms that servers and other runtimes load, each compared with Keras before it is kept."""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from mslstm_keras.export.saved_model import check_new, export_saved_model, require_tensorflow_backend
from mslstm_keras.files import replacing, system_error
from mslstm_keras.importing import check_installed
from mslstm_keras.models.rollout import Rollout, find_layer

TOLERANCE = 1e-4
OPSET = 18  # of ONNX

Run = Callable[[np.ndarray], np.ndarray]


def format_of(path: str | os.PathLike[str]) -> str:
    """Returns the format whose file has the suffix of a path; `saved_model` where none has."""
    suffix = Path(path).suffix
    return next((name for name, kind in FORMATS.items() if suffix in kind.suffixes[:1]), "saved_model")


def export_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    scale: str | None = None,
) -> float:
    """Exports a model, runs it in its own runtime and compares its forecast with that of Keras.

    | format | path | batch | extra |
    |---|---|---|---|
    | `saved_model` | folder, see `export_saved_model` | any | |
    | `onnx` | file `.onnx` | any | `onnx` |
    | `litert` | file `.tflite`; the frames are unrolled | 1 | `litert` |
    | `openvino` | file `.xml`, with a `.bin` beside it | any | `openvino` |

    All take `frames`, float32 (batch, context_frames, height, width, channels) in [0, 1], and return `forecast`,
    float32 (batch, forecast_frames, height, width, channels).

    Args:
        model: model of `create_model`.
        path: file or folder to write. A folder must be new or empty.
        format: str. One of the formats above. Default: the one whose file has the suffix of `path`, else a SavedModel.
        scale: str. As in `export_saved_model`, of that format alone.

    Returns:
        The largest deviation of a pixel from Keras' own forecast.

    Raises:
        ValueError: if the backend is not TensorFlow, an argument breaks its rule, or the deviation is above 1e-4.
        ImportError: if the extra of the format is not installed.
        OSError: if the files cannot be written. Whatever is raised, nothing is left of them.
    """
    require_tensorflow_backend()
    format = format_of(path) if format is None else format
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {', '.join(FORMATS)}. Received: format={format!r}")
    kind, path = FORMATS[format], Path(path)
    if kind.suffixes and path.suffix != kind.suffixes[0]:
        raise ValueError(f"`path` must end in {kind.suffixes[0]}. Received: path={str(path)!r}")
    if scale is not None and format != "saved_model":
        raise ValueError(
            f"`scale` must be None for {format}, which has no signature in units. Received: scale={scale!r}"
        )
    if not kind.suffixes:
        check_new(path)
    check_installed(format, format, kind.modules)
    rollout = find_layer(model, Rollout)
    frames = np.random.default_rng(0).random((1, rollout.context_frames, *_frame_shape(rollout)), "float32")
    expected = keras.ops.convert_to_numpy(model(frames))[:, -rollout.forecast_frames :]
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, path.name)
        kind.write(model, written, scale)
        deviation = float(np.abs(kind.load(written)(frames) - expected).max())
        if not deviation <= TOLERANCE:
            raise ValueError(
                f"`format` must give the forecast of Keras up to {TOLERANCE:g}. Received: format={format!r}, which is "
                f"off by {deviation:.1e}"
            )
        _publish(written, path, kind.suffixes)
    return deviation


def _frame_shape(rollout):
    return rollout.step.inputs[0].shape[1:]


def _write_saved_model(model, path, scale):
    export_saved_model(model, path, scale=scale)


def _load_saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    return lambda frames: loaded.signatures["serving_default"](frames=tf.constant(frames))["forecast"].numpy()


def _write_onnx(model, path, _):
    import onnx
    import tensorflow as tf
    import tf2onnx

    from mslstm_keras.export.signatures import clip_signatures

    function, specs = clip_signatures(model, find_layer(model, Rollout), None)["serving_default"]
    proto, _ = tf2onnx.convert.from_function(tf.function(function, input_signature=specs), specs, opset=OPSET)
    (output,) = proto.graph.output
    for node in proto.graph.node:
        node.output[:] = ["forecast" if name == output.name else name for name in node.output]
    output.name = "forecast"
    onnx.checker.check_model(proto)
    onnx.save(proto, path)


def _load_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return lambda frames: session.run(["forecast"], {"frames": frames})[0]


def _write_litert(model, path, _):
    import tensorflow as tf

    from mslstm_keras.export.signatures import clip_signatures

    unrolled = _unrolled(model)
    function, (spec,) = clip_signatures(unrolled, find_layer(unrolled, Rollout), None)["serving_default"]
    spec = tf.TensorSpec((1, *spec.shape[1:]), spec.dtype, name=spec.name)
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serving_default", function, [spec])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        path.write_bytes(converter.convert())


def _unrolled(model):
    """Returns a model of the same weights that copies its step for each frame: LiteRT has no loop of tensors."""

    def copied(layer):
        config = layer.get_config()
        return layer.from_config({**config, "unroll": True} if isinstance(layer, Rollout) else config)

    unrolled = keras.models.clone_model(model, clone_function=copied)
    unrolled.set_weights(model.get_weights())
    return unrolled


def _load_litert(path):
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(os.fspath(path)).get_signature_runner("serving_default")
    return lambda frames: run(frames=frames)["forecast"]


def _write_openvino(model, path, _):
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        export_saved_model(model, Path(folder, "model"))
        # Not `openvino.convert_model`: it reports to its makers, and forks this process for each of 150 events.
        converted = openvino.Core().read_model(Path(folder, "model"))
        openvino.save_model(converted, path, compress_to_fp16=False)


def _load_openvino(path):
    import openvino

    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda frames: compiled({"frames": frames})["forecast"]


def _publish(written: Path, path: Path, suffixes: tuple[str, ...]) -> None:
    """Moves what was written to its place, whole or not at all."""
    if not suffixes and path.is_dir():
        path.rmdir()  # raises if there is something in it
    with ExitStack() as stack:
        for suffix in suffixes or (
            path.suffix,
        ):  # what is entered first takes its place last: that which is named
            temporary = stack.enter_context(replacing(path.with_suffix(suffix)))
            try:
                shutil.move(written.with_suffix(suffix), temporary)
            except shutil.Error as error:  # a list of the files that could not be copied to another disk
                raise system_error(str(error), path) from error


@dataclass(frozen=True)
class _Format:
    """How a format is written and run; the first suffix is that of the path."""

    write: Callable[[keras.Model, Path, str | None], None]
    load: Callable[[Path], Run]
    suffixes: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


FORMATS = {
    "saved_model": _Format(_write_saved_model, _load_saved_model),
    "onnx": _Format(_write_onnx, _load_onnx, (".onnx",), ("onnx", "tf2onnx", "onnxruntime")),
    "litert": _Format(_write_litert, _load_litert, (".tflite",), ("ai_edge_litert",)),
    "openvino": _Format(_write_openvino, _load_openvino, (".xml", ".bin"), ("openvino",)),
}
