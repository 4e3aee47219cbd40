"""A server of each protocol stands in for TensorFlow Serving: it checks what it is asked and answers as documented."""

import contextlib
import json
import re
import socket
import sys
import threading
import urllib.parse
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from mslstm_keras.export import client
from mslstm_keras.export.client import predict
from tests.support.processes import run_without_keras

SHAPE, FORECAST = (2, 3, 4, 6, 2), 2
REFUSED, BUSY = "Servable not found for request: Latest(toy)", "The batch scheduling queue is full"


def random_frames(dtype="float32", shape=SHAPE):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, shape, "uint8") if dtype == "uint8" else rng.random(shape).astype(dtype)


def forecast_of(frames):
    """Stands for a model: any function will do whose result tells the frames, their order and their type."""
    future = frames[:, -FORECAST:]
    return 255 - future if frames.dtype == np.uint8 else future / np.float32(3)


def message(text):
    return f"^{re.escape(text)}$"


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that were waited between tries, if only they had been."""
    seconds = []
    monkeypatch.setattr(client.time, "sleep", seconds.append)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return seconds


# REST


def http_answer(status, content):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%b" % (status, len(content), content)


def in_decimals(forecast):
    """Returns numbers as the server writes them: a float32 in the fewest digits that tell it from others."""
    if forecast.dtype == np.uint8:
        return forecast.tolist()
    return np.array([float(str(value)) for value in forecast.ravel()]).reshape(forecast.shape).tolist()


class Handler(BaseHTTPRequestHandler):
    """Gives the answers that the test has put there, of which None is silence, and then the forecast."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers["Content-Type"], body))
        if not self.server.answers:
            dtype = "uint8" if body["signature_name"] == "uint8" else "float32"
            outputs = in_decimals(forecast_of(np.array(body["inputs"]["frames"]).astype(dtype)))
            self.wfile.write(http_answer(200, {"outputs": outputs}))
            return
        answer = self.server.answers.pop(0)
        if answer is None:
            self.server.ended.wait(10)
        else:
            self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def rest():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests, server.answers, server.ended = [], [], threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}/v1/models/toy"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_rest_gives_the_forecast_exactly(rest, dtype, waits):
    frames = random_frames(dtype)
    received = predict(rest.url, frames)
    assert received.dtype == dtype
    np.testing.assert_array_equal(received, forecast_of(frames))
    [(path, content_type, body)] = rest.requests
    assert (path, content_type) == ("/v1/models/toy:predict", "application/json")
    assert body.keys() == {"signature_name", "inputs"} and body["inputs"].keys() == {"frames"}
    assert body["signature_name"] == {"float32": "serving_default", "uint8": "uint8"}[dtype]
    sent = np.array(body["inputs"]["frames"])
    assert sent.dtype == {"float32": "float64", "uint8": "int64"}[dtype]
    np.testing.assert_array_equal(sent, frames)
    assert waits == []


def test_rest_of_a_version(rest):
    predict(f"{rest.url}/versions/12", random_frames())
    assert [path for path, *_ in rest.requests] == ["/v1/models/toy/versions/12:predict"]


def test_another_signature_takes_floats_of_any_value(rest):
    frames = random_frames("float64") * 100
    frames[0, 0, 0, 0] = np.nan, -1  # no data
    received = predict(rest.url, frames, signature="rain_rate")
    np.testing.assert_array_equal(received, forecast_of(frames.astype("float32")))
    [(_, _, body)] = rest.requests
    assert body["signature_name"] == "rain_rate"
    np.testing.assert_array_equal(body["inputs"]["frames"], frames.astype("float32"))


def test_one_of_several_outputs_is_the_forecast(rest):
    frames = random_frames()
    outputs = {"attention": [1.0], "forecast": forecast_of(frames).tolist()}
    rest.answers.append(http_answer(200, {"outputs": outputs}))
    np.testing.assert_array_equal(predict(rest.url, frames), forecast_of(frames))


PASSING = {
    **{str(status): http_answer(status, {"error": BUSY}) for status in (429, 502, 503, 504)},
    "closed": b"",
    "cut": http_answer(200, {"outputs": [1.0, 2.0]})[:-5],
}


@pytest.mark.parametrize("answer", PASSING.values(), ids=PASSING)
def test_rest_tries_again_what_may_pass(rest, answer, waits):
    rest.answers += [answer, answer]
    frames = random_frames()
    np.testing.assert_array_equal(predict(rest.url, frames), forecast_of(frames))
    assert len(rest.requests) == 3
    assert rest.requests[0] == rest.requests[1] == rest.requests[2]
    assert waits == [0.5, 1]


@pytest.mark.parametrize(("options", "seconds"), [({}, [0.5, 1, 2]), ({"retries": 0}, [])])
def test_rest_gives_up(rest, options, seconds, waits):
    rest.answers += [http_answer(503, {"error": BUSY})] * 9
    tries = len(seconds) + 1
    expected = f"{rest.url} is out of reach (tries: {tries}): HTTP 503: {BUSY}"
    with pytest.raises(ConnectionError, match=message(expected)):
        predict(rest.url, random_frames(), **options)
    assert len(rest.requests) == tries
    assert waits == seconds


def test_rest_does_not_wait_for_ever(rest, waits):
    rest.answers += [None, None]
    expected = f"{rest.url} is out of reach (tries: 2): timed out"
    with pytest.raises(ConnectionError, match=message(expected)):
        predict(rest.url, random_frames(), timeout=0.2, retries=1)
    assert len(rest.requests) == 2
    assert waits == [0.5]


REFUSALS = {
    "json": ({"error": REFUSED}, REFUSED),
    "lines": ({"error": "first\n\tsecond"}, "first second"),
    "escaped": (rb"""{ "error": "Missing \'inputs\' key" }""", r"""{ "error": "Missing \'inputs\' key" }"""),
    "page": (b"<html>\r\n<h1>No \xff</h1>", "<html> <h1>No \ufffd</h1>"),
    "long": ({"error": "x" * 9999}, "x" * 500),
}


@pytest.mark.parametrize(
    ("status", "answer"), [(400, "json"), (404, "json"), (500, "json"), *((400, name) for name in REFUSALS)]
)
def test_rest_refusals_are_final(rest, status, answer, waits):
    content, reason = REFUSALS[answer]
    rest.answers.append(http_answer(status, content))
    with pytest.raises(ValueError, match=message(f"{rest.url} refuses: HTTP {status}: {reason}")):
        predict(rest.url, random_frames())
    assert len(rest.requests) == 1
    assert waits == []


def nested(*shape, value=0.5):
    return {"outputs": np.full(shape, value).tolist()}


def with_pixel(pixel):
    answer = nested(2, FORECAST, 4, 6, 2)
    answer["outputs"][1][1][3][5][1] = pixel
    return answer


NOT_FINITE = "values that are not finite, or no float32"
NO_FORECASTS = {
    "page": (b"<html>\n</html>", "<html> </html>"),
    "deep": (b"[" * 100_000, "[" * 500),
    "list": ([1], "[1]"),
    "rows": ({"predictions": [1]}, '{"predictions": [1]}'),
    "null": ({"outputs": None}, '{"outputs": null}'),
    "others": ({"outputs": {"a": [1]}}, '{"outputs": {"a": [1]}}'),
    "scalar": ({"outputs": 1.5}, f"shape () to frames of shape {SHAPE}"),
    "rank": (nested(2, 2, 4, 6), f"shape (2, 2, 4, 6) to frames of shape {SHAPE}"),
    "batch": (nested(1, 2, 4, 6, 2), f"shape (1, 2, 4, 6, 2) to frames of shape {SHAPE}"),
    "size": (nested(2, 2, 6, 4, 2), f"shape (2, 2, 6, 4, 2) to frames of shape {SHAPE}"),
    "empty": (nested(2, 0), f"shape (2, 0) to frames of shape {SHAPE}"),
    "texts": (nested(2, 2, 4, 6, 2, value="1"), "<U1 to frames of float32"),
    "nothing": (with_pixel(None), "object to frames of float32"),
    "nan": (with_pixel(np.nan), NOT_FINITE),
    "infinite": (with_pixel(-np.inf), NOT_FINITE),
    "large": (with_pixel(1e39), NOT_FINITE),
}


@pytest.mark.parametrize(("content", "received"), NO_FORECASTS.values(), ids=NO_FORECASTS)
def test_rest_answers_that_are_no_forecast(rest, content, received, waits):
    rest.answers.append(http_answer(200, content))
    expected = f"{rest.url} must answer with a forecast. Received: {received}"
    with pytest.raises(ValueError, match=message(expected)):
        predict(rest.url, random_frames())
    assert len(rest.requests) == 1
    assert waits == []


def test_rest_answers_whose_lists_have_different_lengths(rest):
    rest.answers.append(http_answer(200, with_pixel([])))
    expected = f"{rest.url} must answer with a forecast. Received: "
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}.*inhomogeneous"):
        predict(rest.url, random_frames())


@pytest.mark.parametrize(
    ("value", "received"),
    [
        (0.5, "float64 to frames of uint8"),
        (256, "values that are not finite, or no uint8"),
        (-1, "values that are not finite, or no uint8"),
    ],
)
def test_rest_answers_that_are_no_bytes(rest, value, received):
    rest.answers.append(http_answer(200, nested(2, FORECAST, 4, 6, 2, value=value)))
    expected = f"{rest.url} must answer with a forecast. Received: {received}"
    with pytest.raises(ValueError, match=message(expected)):
        predict(rest.url, random_frames("uint8"))


def test_an_answer_in_another_protocol(rest):
    rest.answers.append(b"SSH-2.0-OpenSSH\r\n")
    expected = f"{rest.url} must answer with a forecast. Received: not HTTP, SSH-2.0-OpenSSH"
    with pytest.raises(ValueError, match=message(expected)):
        predict(rest.url, random_frames())


def test_an_unknown_host_is_asked_once(monkeypatch, waits):
    def fails(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    monkeypatch.setenv("no_proxy", "toys.invalid")
    url = "http://toys.invalid:8501/v1/models/toy"
    expected = f"{url} is out of reach (tries: 1): [Errno {socket.EAI_NONAME}] Name or service not known"
    with pytest.raises(ConnectionError, match=message(expected)):
        predict(url, random_frames())
    assert waits == []


@contextlib.contextmanager
def closed_port():
    """A port that nobody else gets and that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "https", "grpc"])
def test_refused_connections(scheme, waits):
    if scheme == "grpc":
        pytest.importorskip("tensorflow_serving")
    with closed_port() as port:
        url = f"{scheme}://127.0.0.1:{port}/{'' if scheme == 'grpc' else 'v1/models/'}toy"
        expected = f"^{re.escape(f'{url} is out of reach (tries: 3): ')}.*Connection refused"
        with pytest.raises(ConnectionError, match=expected) as caught:
            predict(url, random_frames(), retries=2)
    assert len(str(caught.value).splitlines()) == 1
    assert waits == [0.5, 1]


@pytest.mark.parametrize("module", ["export", "deploy"])  # where it is, and where it was
def test_rest_needs_numpy_alone(rest, tmp_path, module):
    frames = random_frames()
    np.save(tmp_path / "frames.npy", frames)
    script = f"""
    for name in ("tensorflow_serving", "grpc", "google"):
        sys.modules[name] = None  # importing it would fail
    import numpy as np
    from mslstm_keras.{module}.client import predict

    np.save("forecast.npy", predict({rest.url!r}, np.load("frames.npy")))
    """
    run_without_keras(script, tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "forecast.npy"), forecast_of(frames))


# gRPC


def as_tensor(array):
    """Returns a tensor as the server writes it: values in the field of their type, not in `tensor_content`."""
    import tensorflow as tf

    tensor = tf.make_tensor_proto(0, array.dtype, ())
    tensor.ClearField("int_val")
    tensor.ClearField("float_val")
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    (tensor.int_val if array.dtype == np.uint8 else tensor.float_val).extend(array.ravel().tolist())
    return tensor


@pytest.fixture
def grpc_server():
    pytest.importorskip("tensorflow_serving")
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    state = SimpleNamespace(requests=[], answers=[], ended=threading.Event())

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        """Gives the answers that the test has put there: outputs, a status, or None, which is silence."""

        def Predict(self, request, context):
            state.requests.append(request)
            if state.answers:
                outputs = state.answers.pop(0)
            else:
                frames = tf.make_ndarray(request.inputs["frames"])
                outputs = {"forecast": as_tensor(forecast_of(frames))}
            if outputs is None:
                state.ended.wait(10)
            if not isinstance(outputs, dict):
                code, details = outputs or ("ABORTED", "")
                context.abort(grpc.StatusCode[code], details)
            return predict_pb2.PredictResponse(outputs=outputs)

    unlimited = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
    with futures.ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, options=unlimited)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
        state.url = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}/toy"
        server.start()
        yield state
        state.ended.set()
        server.stop(None).wait()


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_grpc_gives_the_forecast_exactly(grpc_server, dtype, waits):
    import tensorflow as tf

    frames = random_frames(dtype)
    sent = frames if dtype == "uint8" else frames.astype("float32")
    received = predict(grpc_server.url, frames)
    assert received.dtype == sent.dtype
    np.testing.assert_array_equal(received, forecast_of(sent))
    [request] = grpc_server.requests
    assert request.model_spec.name == "toy" and not request.model_spec.HasField("version")
    assert request.model_spec.signature_name == ("uint8" if dtype == "uint8" else "serving_default")
    assert list(request.inputs) == ["frames"]
    arrived = tf.make_ndarray(request.inputs["frames"])
    assert arrived.dtype == sent.dtype
    np.testing.assert_array_equal(arrived, sent)
    assert waits == []


def test_grpc_of_a_version_and_a_signature(grpc_server):
    predict(f"{grpc_server.url}/12", 100 * random_frames(), signature="rain_rate")
    [request] = grpc_server.requests
    assert (request.model_spec.name, request.model_spec.version.value) == ("toy", 12)
    assert request.model_spec.signature_name == "rain_rate"


def test_grpc_messages_may_be_larger_than_its_default(grpc_server):
    frames = random_frames(shape=(1, FORECAST, 800, 800, 1))
    assert frames.nbytes > 4 * 2**20
    np.testing.assert_array_equal(predict(grpc_server.url, frames), forecast_of(frames))
    assert [request.ByteSize() > frames.nbytes for request in grpc_server.requests] == [True]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"])
def test_grpc_tries_again_what_may_pass(grpc_server, code, waits):
    grpc_server.answers += [(code, BUSY)] * 2
    frames = random_frames()
    np.testing.assert_array_equal(predict(grpc_server.url, frames), forecast_of(frames))
    assert len(grpc_server.requests) == 3
    assert waits == [0.5, 1]


def test_grpc_gives_up(grpc_server, waits):
    grpc_server.answers += [("UNAVAILABLE", BUSY)] * 9
    expected = f"{grpc_server.url} is out of reach (tries: 4): UNAVAILABLE: {BUSY}"
    with pytest.raises(ConnectionError, match=message(expected)):
        predict(grpc_server.url, random_frames())
    assert len(grpc_server.requests) == 4
    assert waits == [0.5, 1, 2]


def test_grpc_does_not_wait_for_ever(grpc_server, waits):
    grpc_server.answers += [None, None]
    expected = f"{grpc_server.url} is out of reach (tries: 2): DEADLINE_EXCEEDED: "
    with pytest.raises(ConnectionError, match=f"^{re.escape(expected)}"):
        predict(grpc_server.url, random_frames(), timeout=0.5, retries=1)
    assert len(grpc_server.requests) == 2
    assert waits == [0.5]


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "INTERNAL"])
def test_grpc_refusals_are_final(grpc_server, code, waits):
    grpc_server.answers.append((code, f"{REFUSED}\nat last"))
    expected = f"{grpc_server.url} refuses: {code}: {REFUSED} at last"
    with pytest.raises(ValueError, match=message(expected)):
        predict(grpc_server.url, random_frames())
    assert len(grpc_server.requests) == 1
    assert waits == []


def test_grpc_answers_that_are_no_forecast(grpc_server):
    import tensorflow as tf

    frames = random_frames()
    unknown, long = as_tensor(forecast_of(frames)), as_tensor(forecast_of(frames))
    unknown.dtype = 0
    long.float_val.append(0.5)
    unfinished = forecast_of(frames)
    unfinished[1, 1, 3, 5, 1] = np.nan
    for outputs, received in (
        ({"state_01": unknown, "state_00": unknown}, "outputs ['state_00', 'state_01']"),
        ({"forecast": unknown}, "Cannot convert the argument"),
        ({"forecast": long}, ""),
        ({"forecast": as_tensor(frames[0])}, f"shape {SHAPE[1:]} to frames of shape {SHAPE}"),
        ({"forecast": as_tensor(frames[:, :0])}, f"shape (2, 0, 4, 6, 2) to frames of shape {SHAPE}"),
        ({"forecast": tf.make_tensor_proto("text", shape=SHAPE)}, "object to frames of float32"),
        ({"forecast": as_tensor(unfinished)}, "values that are not finite, or no float32"),
    ):
        grpc_server.answers.append(outputs)
        expected = f"{grpc_server.url} must answer with a forecast. Received: {received}"
        with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
            predict(grpc_server.url, frames)


@pytest.mark.parametrize("module", ["grpc", "tensorflow_serving.apis"])
def test_grpc_names_the_extra_that_is_missing(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    expected = f"grpc:// needs pip install 'mslstm_keras[serving]' ({module} is not there)"
    with pytest.raises(ImportError, match=message(expected)):
        predict("grpc://127.0.0.1:8500/toy", random_frames())


# Arguments


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "127.0.0.1:8501/v1/models/toy",
        "ftp://127.0.0.1/v1/models/toy",
        "http://127.0.0.1:8501",
        "http://127.0.0.1:8501/v1/models/",
        "http://127.0.0.1:8501/v1/models/toy/",
        "http://127.0.0.1:8501/v1/models/toy:predict",
        "http://127.0.0.1:8501/v1/models/toy/versions/latest",
        "http://127.0.0.1:8501/v1/models/toy?a=b",
        "http://127.0.0.1:8501/v1/models/toy\n",
        "http://127.0.0.1:65536/v1/models/toy",
        "http://127.0.0.1:rest/v1/models/toy",
        "http://somebody@127.0.0.1:8501/v1/models/toy",
        "http://127.0.0.1:8501/v1/models/t\u00f6y",
        "grpc://127.0.0.1/toy",
        "grpc://127.0.0.1:8500",
        "grpc://127.0.0.1:8500/toy/latest",
        "grpc://127.0.0.1:8500/v1/models/toy",
        "grpc://127.0.0.1:99999/toy",
    ],
)
def test_wrong_urls(url):
    expected = (
        "`url` must be http://host:8501/v1/models/NAME[/versions/V], or https, or grpc://host:8500/NAME[/V]. "
        f"Received: url={url!r}"
    )
    with pytest.raises(ValueError, match=message(expected)):
        predict(url, random_frames())


@pytest.mark.parametrize("host", ["localhost", "serving", "gpu-1.example.org", "10.0.0.1", "[::1]"])
def test_hosts(host):
    rest = client.REST.fullmatch(f"https://{host}/v1/models/ms_lstm.v-1")
    assert urllib.parse.urlsplit(rest.string).netloc == host
    address = client.GRPC.fullmatch(f"grpc://{host}:8500/ms_lstm.v-1/3")
    assert address["server"] == f"{host}:8500"
    assert (address["name"], address["version"]) == ("ms_lstm.v-1", "3")


SHAPE_RULE = "`frames` must have shape (batch, time, height, width, channels), no axis empty."
SIGNATURE_RULE = "`signature` must be uint8 where `frames` are uint8, and only there."
RANGE_RULE = "`frames` must lie in [0, 1] where they are floats."


@pytest.mark.parametrize(
    ("frames", "options", "expected"),
    [
        (random_frames()[0], {}, f"{SHAPE_RULE} Received: frames.shape=(3, 4, 6, 2)"),
        (random_frames()[:0], {}, f"{SHAPE_RULE} Received: frames.shape=(0, 3, 4, 6, 2)"),
        (0.5, {}, f"{SHAPE_RULE} Received: frames.shape=()"),
        (np.zeros(SHAPE, int), {}, "`frames` must be floats or uint8. Received: frames.dtype=int64"),
        (np.zeros(SHAPE, bool), {}, "`frames` must be floats or uint8. Received: frames.dtype=bool"),
        (np.zeros(SHAPE, complex), {}, "`frames` must be floats or uint8. Received: frames.dtype=complex128"),
        (np.full(SHAPE, 1.5), {}, f"{RANGE_RULE} Received: values from 1.5 to 1.5"),
        (np.full(SHAPE, -0.5), {}, f"{RANGE_RULE} Received: values from -0.5 to -0.5"),
        (np.full(SHAPE, np.nan), {}, f"{RANGE_RULE} Received: values from nan to nan"),
        *(
            (
                random_frames(dtype),
                {"signature": signature},
                f"{SIGNATURE_RULE} Received: signature={signature!r}, frames.dtype={dtype}",
            )
            for dtype, signature in (
                ("uint8", "serving_default"),
                ("uint8", "rain_rate"),
                ("float32", "uint8"),
            )
        ),
        *(
            (
                random_frames(),
                {"timeout": timeout},
                f"`timeout` must lie in (0, 86400] seconds. Received: timeout={timeout}",
            )
            for timeout in (0, -1.0, float("nan"), float("inf"))
        ),
        *(
            (
                random_frames(),
                {"retries": retries},
                f"`retries` must be a whole number of at least 0. Received: retries={retries!r}",
            )
            for retries in (-1, 1.0, None)
        ),
    ],
)
def test_wrong_arguments_are_not_sent(rest, frames, options, expected):
    with pytest.raises(ValueError, match=message(expected)):
        predict(rest.url, frames, **options)
    assert rest.requests == []
