"""What a command costs to start, and what it leaves unsaid."""

import io
import json
import logging
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

from mslstm_keras.cli import main
from mslstm_keras.cli.quiet import quiet_libraries
from mslstm_keras.zoo.index import list_pretrained
from tests.support.commands import ROOT, SETTINGS
from tests.support.processes import run_script, run_without_keras

LIGHT = """
from mslstm_keras.cli import main

for words in {commands!r}:
    try:
        status = main(words)
    except SystemExit as end:  # how argparse ends --help
        status = end.code
    assert not status, words
"""
COMMANDS = [
    ["--version"],
    ["--help"],
    *([name, "--help"] for name in ("demo", "forecast", "models", "export", "serving", "convert", "cost")),
    *([name, "--help"] for name in ("train", "evaluate", "recipes", "tune", "data", "zoo", "study")),
    *([group, name, "--help"] for group, name in (("data", "prepare"), ("zoo", "add"), ("study", "compare"))),
    *(["models"], ["models", "--json"], ["recipes"], ["recipes", "--json"]),
    *(["zoo", "list"], ["zoo", "list", "--json"], ["data", "list"], ["data", "list", "--json"]),
]


def test_commands_that_need_no_tensor_import_no_keras(tmp_path):
    lines = run_without_keras(LIGHT.format(commands=COMMANDS), tmp_path)
    assert "ms_lstm_moving_mnist" in " ".join(lines)


def run(*words, **environment):
    """Runs a command in a process of its own; returns what it said on stderr."""
    inherited = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    child = subprocess.run(
        [sys.executable, "-m", "mslstm_keras", *map(str, words)],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert child.returncode == 0, child.stderr
    return child.stderr


@pytest.mark.slow
def test_libraries_are_quiet_unless_the_user_asks_for_their_log(tiny_zoo, tmp_path):
    np.save(tmp_path / "clip.npy", np.zeros((3, 64, 64, 1), "float32"))
    words = [
        "forecast",
        "--model",
        "ms_lstm_moving_mnist",
        "--zoo",
        tiny_zoo,
        "--input",
        tmp_path / "clip.npy",
    ]
    words += ["--output", tmp_path / "future.npy", "--quiet"]  # how far it is, where it takes long, is no log
    assert run(*words) == ""
    assert "oneDNN" in run(*words, TF_CPP_MIN_LOG_LEVEL="0", TF_ENABLE_ONEDNN_OPTS="1")


def test_a_warning_is_one_line(capsys):
    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with quiet_libraries():
            warnings.warn("two\nlines", stacklevel=1)
    assert capsys.readouterr().err == "mslstm: warning: two lines\n"
    assert warnings.showwarning == before


@pytest.mark.parametrize(
    ("level", "heard"), [(None, ["fault"]), ("2", ["fault"]), ("1", ["traced", "fault"])]
)
def test_the_log_in_python_is_of_errors(monkeypatch, caplog, level, heard):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    if level:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    log = logging.getLogger("tensorflow")
    with quiet_libraries():
        log.warning("traced")
        log.error("fault")
    assert caplog.messages == heard
    log.warning("behind it")
    assert caplog.messages == [*heard, "behind it"]


SILENT = """
import importlib.util
import os
from mslstm_keras.cli.quiet import quiet_libraries

os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
os.environ.update({environment})
del sys.modules["tensorflow"]
sys.path.insert(0, ".")
with quiet_libraries():
    importlib.util.find_spec("tensorflow")  # TensorFlow Datasets looks whether it is there
    try:
        import tensorflow
    except RuntimeError as error:
        print(error)
    os.write(2, b"behind it\\n")
"""


@pytest.mark.parametrize(
    ("environment", "fails", "heard"),
    [
        ({}, False, ["behind it"]),
        ({}, True, ["its log", "behind it"]),
        ({"TF_CPP_MIN_LOG_LEVEL": "1"}, False, ["its log", "behind it"]),
    ],
)
def test_what_is_said_while_importing_is_heard_where_it_fails(tmp_path, environment, fails, heard):
    text = "import os\nos.write(2, b'its log\\n')\n" + "raise RuntimeError('broken')\n" * fails
    (tmp_path / "tensorflow.py").write_text(text)
    script = "os.dup2(1, 2)\n" + SILENT.format(environment=environment).replace("import os\n", "")
    lines = run_without_keras("import os\n" + script, tmp_path)
    assert [line for line in lines if line != "broken"] == heard


QUIET_BARS = """
import sys
import mslstm_keras.cli.quiet as quiet

if {before}:
    import tensorflow_datasets
quiet.hide_progress()
import tensorflow_datasets as tfds
bar = tfds.core.utils.tqdm_utils.tqdm(range(2), desc="bar")
print(list(bar))
"""


@pytest.mark.parametrize("before", [True, False])
def test_progress_bars_of_data_sets_are_hidden(before):
    child = run_script(QUIET_BARS.format(before=before), ROOT)
    assert (child.returncode, child.stdout) == (0, "[0, 1]\n"), child.stderr
    assert "bar" not in child.stderr


def test_names_that_are_no_text_are_printed_all_the_same(monkeypatch):
    """What Python makes of bytes that are no UTF-8, and of letters that the output does not know."""
    monkeypatch.setattr("mslstm_keras.data.catalogue.list_data", lambda: ["\udcff/ü"])
    for encoding, printed in (("utf-8", "\\udcff/ü\n"), ("ascii", "\\udcff/\\xfc\n")):
        stream = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["data", "list"]) == 0
        assert stream.buffer.getvalue().decode(encoding) == printed


def test_a_name_that_a_library_cannot_take_is_told(tiny_run, tmp_path, capsys):
    assert main(["export", str(tiny_run), "--output", str(tmp_path / "\udcff")]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"mslstm: Names must be text in utf-8 here\. Received: '.{1,220}'\n", error)
    assert "\\udcff" in error
    assert not list(tmp_path.iterdir())


def test_quiet_leaves_out_progress_and_remarks(succeed, tmp_path):
    run = tmp_path / "run"
    assert "8 clips" in succeed("train", "optdigits_quick", *SETTINGS, "--run-dir", run)
    assert succeed("train", "optdigits_quick", "--resume", "--set", "steps=6", "--run-dir", run, "-q") == ""
    np.save(tmp_path / "clip.npy", np.zeros((3, 64, 64, 1), "float32"))
    words = ["forecast", "--model", run, "--input", tmp_path / "clip.npy", "--output", tmp_path / "out.npy"]
    assert succeed(*words) == f"{tmp_path / 'out.npy'}: 2 frames of (64, 64, 1)\n"
    assert succeed(*words, "--quiet") == ""
    assert (
        succeed(
            "study", "layers", run, "--input", tmp_path / "clip.npy", "--output", tmp_path / "a.png", "-q"
        )
        == ""
    )


def test_quiet_keeps_what_was_asked_for(succeed, tmp_path):
    assert succeed("zoo", "verify", "--quiet") == ""
    assert json.loads(succeed("zoo", "verify", "--quiet", "--json")).keys() == list_pretrained().keys()
    for words in (["models"], ["recipes"], ["zoo", "list"], ["data", "list"]):
        assert succeed(*words, "-q") == succeed(*words) != ""


def test_quiet_keeps_warnings_and_errors(mslstm, fail, monkeypatch):
    assert "`recipe` must be a known recipe" in fail("train", "optdigits_quik", "--quiet")
    monkeypatch.setattr(
        "mslstm_keras.data.catalogue.list_data",
        lambda: warnings.warn("one is skipped", stacklevel=1) or ["two"],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        ended = mslstm("data", "list", "-q")
    assert (ended.out, ended.error) == ("two\n", "mslstm: warning: one is skipped\n")
