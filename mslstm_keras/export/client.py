"""Forecasts asked of a TensorFlow Serving, over REST with nothing but NumPy, or over gRPC."""

import http.client
import itertools
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np

from mslstm_keras.importing import needed
from mslstm_keras.integers import is_whole

FLOATS, BYTES = "serving_default", "uint8"  # signatures of `export_saved_model`
FIRST_WAIT = 0.5  # seconds
LONGEST_TIMEOUT = 86_400  # seconds
MESSAGE_LENGTH = 500  # characters: a server may repeat the frames that it refuses
PASSING_STATUS = (429, 502, 503, 504)  # of HTTP
PASSING_CODES = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")  # of gRPC

HOST, NAME, VERSION = r"(?:\[[\da-fA-F:.]+\]|[\w-]{1,63}(?:\.[\w-]{1,63})*)", r"[\w.-]+", r"\d{1,18}"
REST = re.compile(
    rf"https?://{HOST}(?::(?P<port>\d{{1,5}}))?/v1/models/{NAME}(?:/versions/{VERSION})?", re.ASCII
)
GRPC = re.compile(
    rf"grpc://(?P<server>{HOST}:(?P<port>\d{{1,5}}))/(?P<name>{NAME})(?:/(?P<version>{VERSION}))?", re.ASCII
)


def predict(
    url: str,
    frames: np.ndarray,
    *,
    signature: str | None = None,
    timeout: float = 60,
    retries: int = 3,
) -> np.ndarray:
    """Asks a TensorFlow Serving for the forecast of a model of `export_saved_model`.

    | protocol | url | bytes sent for a float, a uint8 | extra |
    |---|---|---|---|
    | REST | `http://host:8501/v1/models/NAME`, or https | about 20, 5: numbers as text | |
    | gRPC | `grpc://host:8500/NAME`; nothing is encrypted | 4, 1 | `serving` |

    Without a version, the server answers with its latest. Faults that may pass (refused or broken connections,
    timeouts, an overloaded server) are tried again after 0.5 s, 1 s, 2 s and so on.

    Args:
        url: str. As above; `/versions/V` (REST) or `/V` (gRPC) behind it chooses a version.
        frames: (batch, context_frames, height, width, channels), floats in [0, 1] or uint8.
        signature: str. `serving_default` for floats and `uint8` for uint8 by default. Others, such as `rain_rate`,
            take floats, of any value.
        timeout: float in (0, 86400]. Seconds that a try may take; over REST, that the server may be silent.
        retries: int >= 0. Tries after the first.

    Returns:
        Forecast (batch, forecast_frames, height, width, channels), float32 or uint8 as `frames`.

    Raises:
        ValueError: if an argument breaks its rule, the server refuses it, or its answer is no forecast.
        ConnectionError: if the server is out of reach or overloaded, after all tries.
        ImportError: if the extra `serving` is not installed, for gRPC alone.
    """
    address = REST.fullmatch(str(url)) or GRPC.fullmatch(str(url))
    if address is None or int(address["port"] or 0) > 65_535:
        raise ValueError(
            "`url` must be http://host:8501/v1/models/NAME[/versions/V], or https, or grpc://host:8500/NAME[/V]. "
            f"Received: url={url!r}"
        )
    if not 0 < timeout <= LONGEST_TIMEOUT:
        raise ValueError(
            f"`timeout` must lie in (0, {LONGEST_TIMEOUT}] seconds. Received: timeout={timeout!r}"
        )
    if not is_whole(retries, 0):
        raise ValueError(f"`retries` must be a whole number of at least 0. Received: retries={retries!r}")
    frames, signature = _checked_frames(frames, signature)
    protocol = _rest if address.re is REST else _grpc
    outputs = _persistently(protocol(address, frames, signature, timeout), url, retries)
    return _checked_forecast(outputs, frames, url)


def _checked_frames(frames, signature):
    frames = np.asarray(frames)
    if frames.ndim != 5 or not frames.size:
        raise ValueError(
            "`frames` must have shape (batch, time, height, width, channels), no axis empty. Received: "
            f"frames.shape={frames.shape}"
        )
    if np.issubdtype(frames.dtype, np.floating):
        frames = frames.astype("float32", copy=False)
    elif frames.dtype != np.uint8:
        raise ValueError(f"`frames` must be floats or uint8. Received: frames.dtype={frames.dtype}")
    if signature is None:
        signature = BYTES if frames.dtype == np.uint8 else FLOATS
    # Over REST, where numbers have no types, the server would take bytes for floats.
    if (signature == BYTES) != (frames.dtype == np.uint8):
        raise ValueError(
            f"`signature` must be {BYTES} where `frames` are uint8, and only there. Received: "
            f"signature={signature!r}, frames.dtype={frames.dtype}"
        )
    if signature == FLOATS and not ((frames >= 0) & (frames <= 1)).all():
        raise ValueError(
            "`frames` must lie in [0, 1] where they are floats. Received: values from "
            f"{frames.min():g} to {frames.max():g}"
        )
    return frames, signature


def _persistently(ask: Callable[[], Any], url: str, retries: int) -> Any:
    for tries in itertools.count(1):
        try:
            return ask()
        except OSError as error:
            if tries > retries or not isinstance(error, ConnectionError | TimeoutError):
                reason = _line(str(error))
                raise ConnectionError(f"{url} is out of reach (tries: {tries}): {reason}") from error
        time.sleep(FIRST_WAIT * 2 ** (tries - 1))


def _rest(address, frames, signature, timeout):
    """Returns a function that asks once and raises ConnectionError or TimeoutError where that may help again."""
    url = address.string
    # Written as float64, each float32 is what it was when the server has read it.
    content = json.dumps({"signature_name": signature, "inputs": {"frames": frames.tolist()}})
    request = urllib.request.Request(f"{url}:predict", content.encode(), {"Content-Type": "application/json"})

    def ask():
        try:
            status, answer = _post(request, timeout)
        except (ConnectionError, http.client.IncompleteRead) as error:
            raise ConnectionError(str(error)) from error
        except http.client.HTTPException as error:
            raise _no_forecast(url, f"not HTTP, {_line(str(error))}") from error
        except urllib.error.URLError as error:
            raise error.reason if isinstance(error.reason, OSError) else error from None
        if status in PASSING_STATUS:
            raise ConnectionError(f"HTTP {status}: {_error_message(answer)}")
        if status >= 300:
            raise ValueError(f"{url} refuses: HTTP {status}: {_error_message(answer)}")
        outputs = _json_object(answer).get("outputs")
        if isinstance(outputs, dict):  # the server leaves out the name of an only output
            outputs = outputs.get("forecast")
        if outputs is None:
            raise _no_forecast(url, _line(answer.decode(errors="replace")))
        return outputs

    return ask


def _post(request, timeout):
    """Returns status and content of the answer, an error's too."""
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def _json_object(content):
    """Returns the object, or an empty one where there is none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _error_message(content):
    # Some servers escape quotes in a way that is not JSON; proxies in front of them answer with pages.
    return _line(str(_json_object(content).get("error") or content.decode(errors="replace")))


def _grpc(address, frames, signature, timeout):
    """Returns a function as `_rest` does."""
    with needed("grpc://", "serving"):
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    url = address.string
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = address["name"], signature
    if address["version"]:
        request.model_spec.version.value = int(address["version"])
    request.inputs["frames"].CopyFrom(tf.make_tensor_proto(frames))
    unlimited = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))

    def ask():
        # A channel that has failed to connect does so again for a while, without trying: each try has its own.
        with grpc.insecure_channel(address["server"], unlimited) as channel:
            try:
                stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
                response = stub.Predict(request, timeout=timeout)
            except grpc.RpcError as error:
                reason = f"{error.code().name}: {_line(str(error.details()))}"
                if error.code().name in PASSING_CODES:
                    raise ConnectionError(reason) from error
                raise ValueError(f"{url} refuses: {reason}") from error
        if "forecast" not in response.outputs:
            raise _no_forecast(url, f"outputs {sorted(response.outputs)}")
        try:
            return tf.make_ndarray(response.outputs["forecast"])
        except (TypeError, ValueError) as error:
            raise _no_forecast(url, _line(str(error))) from error

    return ask


def _checked_forecast(outputs, frames, url):
    try:
        forecast = np.asarray(outputs)
    except ValueError as error:  # lists of different lengths
        raise _no_forecast(url, _line(str(error))) from error
    shape = (frames.shape[0], *forecast.shape[1:2], *frames.shape[2:])
    if forecast.shape != shape or not forecast.size:
        raise _no_forecast(url, f"shape {forecast.shape} to frames of shape {frames.shape}")
    kinds, limits = ("iu", np.iinfo("uint8")) if frames.dtype == np.uint8 else ("iuf", np.finfo("float32"))
    if forecast.dtype.kind not in kinds:
        raise _no_forecast(url, f"{forecast.dtype} to frames of {frames.dtype}")
    if not ((forecast >= limits.min) & (forecast <= limits.max)).all():
        raise _no_forecast(url, f"values that are not finite, or no {frames.dtype}")
    return forecast.astype(frames.dtype, copy=False)


def _no_forecast(url, received):
    return ValueError(f"{url} must answer with a forecast. Received: {received}")


def _line(text):
    """Returns a message that fits into one line of another."""
    return " ".join(text.split())[:MESSAGE_LENGTH]
