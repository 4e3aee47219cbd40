"""What the pages of the documentation say, done. Tutorials are run where the site is built."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import mslstm_keras
from mslstm_keras.cli import make_parser
from mslstm_keras.cost.counting import Count
from mslstm_keras.forecasting import watch
from mslstm_keras.search.results import read_results
from tests.support.examples import blocks, commands_of, run_commands
from tests.support.radar_files import write_knmi_maps

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
}


OTHERS = "python3() { :; }; python() { :; }; pip() { :; }; hf() { :; }; pytest() { :; }; eval() { :; }\n"
"""Programs of which the pages have commands, too."""


def block(language, page, part=""):
    """Returns the only block of a language on a page that holds a part."""
    (code,) = [code for code in blocks(language, PAGES[page]) if part in code]
    return code


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
    (onnx,) = re.findall("mslstm export .*onnx(?= )", block("bash", "docs/serving.md", "model.onnx"))
    run_commands(onnx)
    run_commands(block("bash", "docs/serving.md", "mslstm serving"))
    exported, docker = capsys.readouterr().out.splitlines()[-2:]
    assert re.fullmatch(r"model\.onnx: \d\.\de-\d\d from Keras at most", exported)
    assert docker.startswith("docker run ") and f"-v {tmp_path}/serving:/models:ro" in docker
    names = {}
    with HTTPServer(("localhost", 8501), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        exec(block("python", "docs/serving.md", "predict"), names)
        server.shutdown()
        thread.join()
    expected = mslstm_keras.load_pretrained("ms_lstm_moving_mnist")(names["frames"])[:, -10:]
    np.testing.assert_allclose(names["forecast"], expected, atol=1e-5)


def test_example_of_presets_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(block("python", "docs/serving.md", "save_to_preset"), names)
    for one, two in zip(names["model"].weights, names["again"].weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_python_of_grids_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_knmi_maps(tmp_path / "maps", 6, (24, 32))
    names = {}
    exec(block("python", "docs/grids.md", "ms.forecast"), names)
    assert names["future"].shape == (10, 120, 90, 1)
    exec(block("python", "docs/grids.md", "warn_of_other_data"), {})


@pytest.mark.filterwarnings("ignore:maps are drawn without some or all coasts:UserWarning")
def test_python_of_radar_runs(tmp_path, monkeypatch, capsys):
    """The last block waits for maps for ever; here a second one would not come."""
    monkeypatch.chdir(tmp_path)
    write_knmi_maps(tmp_path / "maps", 31, (24, 32))
    monkeypatch.setattr(
        watch, "watch", lambda *words, real=watch.watch, **named: islice(real(*words, **named), 1)
    )
    names = {}
    for code in blocks("python", PAGES["docs/radar.md"]):
        exec(code, names)
    assert names["future"].rain_rate.shape == (12, 24, 32)
    for name in ("rain.png", "future.png", "future.html"):
        assert Path(name).stat().st_size > 1000, name
    assert capsys.readouterr().out.startswith("2010-08-26T02:30")


def test_python_of_probabilities_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_knmi_maps(tmp_path / "maps", 6, (24, 32))
    names = {}
    exec(block("python", "docs/probabilities.md"), names)
    assert names["members"].shape == (8, 12, 24, 32)
    assert names["chance"].shape == names["around"].shape == (12, 24, 32)


def run_as_printed(words, folder):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMAND = f'mslstm() {{ "{sys.executable}" -m mslstm_keras "$@"; }}\n'
TWO_DEVICES = "from mslstm_keras.training.devices import split_processor\nassert split_processor(2)\n"


@pytest.mark.slow
def test_examples_of_several_devices_run(tmp_path):
    example = block("python", "README.md", "MirroredStrategy")
    checks = (
        "assert strategy.num_replicas_in_sync == 2 and len(history.history['loss']) == 2\n"
        "assert history.history['loss'][1] < history.history['loss'][0] and 'frame_mse' in history.history\n"
    )
    run_as_printed([sys.executable, "-c", TWO_DEVICES + example + checks], tmp_path)
    example = block("bash", "docs/training.md", "--devices 2")
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
    example = block("python", "docs/search.md")
    names = {}
    exec(example, names)
    assert set(names["best"]) == {"options.kernel_sizes", "learning_rate"}
    assert {trial.status for trial in names["tuner"].oracle.trials.values()} == {"COMPLETED"}


@pytest.mark.slow
def test_bash_example_of_a_search_runs(tmp_path):
    """One combination is within the cap, the other is not."""
    example = block("bash", "docs/search.md", "--run-dir runs/search")
    printed = run_as_printed(["bash", "-ec", COMMAND + example], tmp_path)
    results = read_results(tmp_path / "runs" / "search")
    assert [trial["status"] for trial in results["trials"]] == ["completed"]
    assert [refused["values"] for refused in results["refused"]] == [{"options.kernel_sizes": [5, 7]}]
    best = tmp_path / "runs" / "search" / "best.json"
    assert mslstm_keras.find_recipe(str(best)).options == {"kernel_sizes": (3,)}
    assert (best.parent / "pareto.png").exists() and "refused: options.kernel_sizes=[5, 7]: " in printed


ROWS = re.findall(
    r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|.*\| [\de-]+ \| [\de-]+ \|$",
    PAGES["docs/models.md"],
    re.MULTILINE,
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


COMMANDS = [
    pytest.param(words, id=f"{page}: {' '.join(words)[:60]}")
    for page, text in PAGES.items()
    for example in blocks("bash", text)
    for words in commands_of(OTHERS + example.replace(".venv/bin/", "").replace(" &\n", "\n"))
]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_one(words):
    """Words, options and choices are what the command takes; what is trained and where files lie, other tests try."""
    make_parser().parse_args(words)


def test_tests_that_pages_name_are_there():
    found = {
        name for text in PAGES.values() for name in re.findall(r"(?:tests|tfds_builders)/\S+?\.py\b", text)
    }
    assert len(found) > 10
    assert [name for name in sorted(found) if not (ROOT / name).exists()] == []


def test_links_lead_somewhere():
    for page, text in PAGES.items():
        for link in re.findall(r"\]\(([^)#:]+)[)#]", text):
            assert (ROOT / page).parent.joinpath(link).exists(), (page, link)
