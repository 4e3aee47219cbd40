"""What the README says, done."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import mslstm_keras
from mslstm_keras.cli import main
from mslstm_keras.cost.counting import Count
from mslstm_keras.search.results import read_results
from mslstm_keras.zoo.table import zoo_tables
from tests.support.examples import blocks, run_commands

README = (Path(__file__).parents[1] / "README.md").read_text()


def section(heading):
    """Returns what stands below a heading of the second level."""
    (text,) = re.findall(rf"^## {heading}\n(.*?)(?=^## )", README, re.DOTALL | re.MULTILINE)
    return text


def test_python_example_runs():
    (example,) = blocks("python", section("Start"))
    names = {}
    exec(example, names)
    assert names["future"].shape == (20, 64, 64, 1)
    assert names["next_frame"].shape == (64, 64, 1)
    assert names["later"].shape == (5, 64, 64, 1)


class Server(BaseHTTPRequestHandler):
    """Stands for TensorFlow Serving: answers with a signature of the folder that it would serve."""

    def do_POST(self):
        name, _, verb = self.path.removeprefix("/v1/models/").partition(":")
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        signature = tf.saved_model.load(Path("serving", name, "1")).signatures[body["signature_name"]]
        forecast = signature(frames=tf.constant(body["inputs"]["frames"]))["forecast"]
        answer = json.dumps({"outputs": forecast.numpy().tolist()}).encode()
        self.send_response(200 if verb == "predict" else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def test_examples_of_serving_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "localhost")
    (example,) = blocks("bash", section("Serve"))
    run_commands(example)
    exported, docker = capsys.readouterr().out.splitlines()[-2:]
    assert re.fullmatch(r"model\.onnx: \d\.\de-\d\d from Keras at most", exported)
    assert docker.startswith("docker run ") and f"-v {tmp_path}/serving:/models:ro" in docker
    (example,) = blocks("python", section("Serve"))
    names = {}
    with HTTPServer(("localhost", 8501), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        exec(example, names)
        server.shutdown()
        thread.join()
    expected = mslstm_keras.load_pretrained("ms_lstm_moving_mnist")(names["frames"])[:, -10:]
    np.testing.assert_allclose(names["forecast"], expected, atol=1e-5)


def test_example_of_sharing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python", section("Share"))
    names = {}
    exec(example, names)
    for one, two in zip(names["model"].weights, names["again"].weights, strict=True):
        np.testing.assert_array_equal(one, two)


def run_as_printed(words, folder):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMAND = f'mslstm() {{ "{sys.executable}" -m mslstm_keras "$@"; }}\n'
TWO_DEVICES = "from mslstm_keras.training.devices import split_processor\nassert split_processor(2)\n"


@pytest.mark.slow
def test_examples_of_several_devices_run(tmp_path):
    (example,) = blocks("python", section("Train"))
    checks = (
        "assert strategy.num_replicas_in_sync == 2 and len(history.history['loss']) == 2\n"
        "assert history.history['loss'][1] < history.history['loss'][0] and 'frame_mse' in history.history\n"
    )
    run_as_printed([sys.executable, "-c", TWO_DEVICES + example + checks], tmp_path)
    (example,) = [block for block in blocks("bash", section("Train")) if "--devices" in block]
    assert (
        run_as_printed(["bash", "-ec", COMMAND + example], tmp_path).splitlines()[-1]
        == "runs/two: 2 steps, 8 clips"
    )
    assert mslstm_keras.load_model(tmp_path / "runs" / "two").optimizer.iterations == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:currentThread.. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:getName.. is deprecated:DeprecationWarning")
def test_python_example_of_a_search_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python", section("Search"))
    names = {}
    exec(example, names)
    assert set(names["best"]) == {"options.kernel_sizes", "learning_rate"}
    assert {trial.status for trial in names["tuner"].oracle.trials.values()} == {"COMPLETED"}


@pytest.mark.slow
def test_bash_example_of_a_search_runs(tmp_path):
    """One combination is within the cap, the other is not."""
    (example,) = blocks("bash", section("Search"))
    printed = run_as_printed(["bash", "-ec", COMMAND + example], tmp_path)
    results = read_results(tmp_path / "runs" / "search")
    assert [trial["status"] for trial in results["trials"]] == ["completed"]
    assert [refused["values"] for refused in results["refused"]] == [{"options.kernel_sizes": [5, 7]}]
    best = tmp_path / "runs" / "search" / "best.json"
    assert mslstm_keras.find_recipe(str(best)).options == {"kernel_sizes": (3,)}
    assert (best.parent / "pareto.png").exists() and "refused: options.kernel_sizes=[5, 7]: " in printed


ROWS = re.findall(
    r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|.*\| [\de-]+ \| [\de-]+ \|$", README, re.MULTILINE
)
"""Name, parameters here and in the public code, of every row of the table of models."""


def test_table_has_every_model_once():
    assert sorted(name for name, *_ in ROWS) == mslstm_keras.list_models()


@pytest.mark.parametrize(("name", "ours", "public"), ROWS, ids=[name for name, *_ in ROWS])
def test_row_of_a_model(name, ours, public, monkeypatch):
    """What the last two columns say is tested in `export/test_convert.py`."""
    # They take the longest and are not shown.
    monkeypatch.setattr("mslstm_keras.cost.account.training_memory", lambda *_: 0)
    monkeypatch.setattr("mslstm_keras.cost.account.count", lambda *_: Count({}, 0, 0))
    cost = mslstm_keras.cost.count_cost(name, (16, 16, 1), 10, 10)
    assert ours == f"{cost.parameters / 1e6:.3f}"
    assert public == ("-" if cost.excesses is None else f"{cost.public_parameters / 1e6:.3f}")


def test_zoo_tables_are_what_the_zoo_holds():
    assert "\n".join(zoo_tables(mslstm_keras.list_pretrained(), "zoo")) in README


@pytest.mark.parametrize(
    "command", re.findall(r"^mslstm ([^\n\\#]+)", "\n".join(blocks("bash", README)), re.MULTILINE)
)
def test_commands_exist(command, capsys):
    words = [word for word in command.split() if not word.startswith("--")]
    depth = 2 if words[0] in ("zoo", "data", "study") else 1
    with pytest.raises(SystemExit) as stop:
        main([*words[:depth], "--help"])
    assert stop.value.code == 0
    help_text = capsys.readouterr().out
    for option in re.findall(r"--[a-z-]+", command):
        assert option in help_text


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parents[1] / link).exists(), link
