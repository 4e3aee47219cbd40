"""The command line: what it prints, what it writes, and one line and status 2 for whatever the user got wrong."""

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
import tomllib

import numpy as np
import pytest
import tensorflow as tf

import mslstm_keras
from mslstm_keras import cli
from mslstm_keras.cli import main
from mslstm_keras.data.catalogue import list_data
from mslstm_keras.files import replacing
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.training.recipes import RECIPES, Recipe
from mslstm_keras.zoo.loading import load_model
from tests.support.commands import OPTDIGITS, ROOT, SETTINGS
from tests.support.processes import run_script


def parsers(parser=None, words=()):
    """Yields the words of every sub-command, and its parser."""
    parser = cli.make_parser() if parser is None else parser
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for name, child in ((name, child) for group in groups for name, child in group.choices.items()):
        yield from parsers(child, (*words, name))
    if not groups:
        yield words, parser


COMMANDS = dict(parsers())


# Help


def test_these_are_the_commands():
    zoo = {("zoo", name) for name in ("list", "table", "show", "verify", "add", "renew")}
    data = {("data", name) for name in ("list", "prepare", "info", "show")}
    studies = (
        "receptive-field",
        "layers",
        "architecture",
        "compare",
        "curves",
        "table",
        "pareto",
        "probabilities",
    )
    study = {("study", name) for name in studies}
    names = (
        "demo",
        "forecast",
        "train",
        "tune",
        "evaluate",
        "models",
        "check",
        "recipes",
        "convert",
        "cost",
        "export",
        "serving",
        "completion",
    )
    assert set(COMMANDS) == zoo | data | study | {(name,) for name in names}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_an_example_that_is_a_command(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    program, *example = shlex.split(text.partition("example: ")[2])
    assert program == "mslstm"
    assert tuple(example[: len(words)]) == words
    assert cli.make_parser().parse_args(example).run


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_can_be_quiet(words):
    (quiet,) = [action for action in COMMANDS[words]._actions if action.dest == "quiet"]
    assert quiet.option_strings == ["-q", "--quiet"]


def test_commands_that_make_or_load_models_import_files():
    taking = {
        words for words, parser in COMMANDS.items() for action in parser._actions if action.dest == "imports"
    }
    studies = ("receptive-field", "layers", "architecture", "compare", "probabilities")
    study = {("study", name) for name in studies}
    names = ("train", "tune", "evaluate", "cost", "forecast", "export", "serving")
    assert taking == study | {("zoo", "add"), ("zoo", "renew")} | {(name,) for name in names}


@pytest.mark.parametrize("words", [[], ["zoo"], ["data"], ["study"]])
def test_groups_name_their_commands(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        if command[: len(words)] == tuple(words):
            assert command[len(words)] in text.split()
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"{mslstm_keras.__version__}\n"


@pytest.mark.parametrize(
    "words",
    ["", "nonsense", "forecast", "forecast --model a --input b", "forecast --horizon ten", "train",
     "train optdigits_quick --set filters", "tune", "tune optdigits_quick --vary filters",
     "tune optdigits_quick --vary filters=[1", "zoo show", "evaluate --model a --dataset b --clips x",
     "evaluate --model a --dataset b --output c.txt", "zoo add r --beside b",
     "cost --frame 8x8", "convert a b.txt --model ms_lstm --frame 8x8", "convert a b.keras --model ms_lstm --frame 8"],
)  # fmt: skip
def test_words_that_are_no_command_end_with_status_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words.split())
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert re.search(r"^mslstm.*: error: ", error, re.MULTILINE)
    assert "Traceback" not in error


# What it does


def test_models_recipes_and_data_are_listed(succeed):
    assert succeed("models").split() == mslstm_keras.list_models()
    assert json.loads(succeed("models", "--json")) == mslstm_keras.list_models()
    assert [line.split()[0] for line in succeed("recipes").splitlines()] == list(RECIPES)
    assert json.loads(succeed("recipes", "--json")) == {name: one.to_dict() for name, one in RECIPES.items()}
    assert succeed("data", "list").split() == json.loads(succeed("data", "list", "--json")) == list_data()


def test_a_recipe_is_shown_with_what_its_fields_mean(succeed, fail):
    recipe = RECIPES["optdigits_quick"]
    lines = succeed("recipes", "optdigits_quick").splitlines()
    assert lines[lines.index("* filters = 8  (default: 32)") + 1] == "      int. Channels of every cell."
    assert "  motion = false" in lines and "  scales = null" in lines
    marked = {line.split()[1] for line in lines[1:] if line.startswith("* ")}
    plain = Recipe(recipe.name)
    assert marked == {name for name, value in recipe.to_dict().items() if value != plain.to_dict()[name]}
    facts = json.loads(succeed("recipes", "optdigits_quick", "--json"))
    assert {name: fact["value"] for name, fact in facts.items()} == recipe.to_dict()
    assert {name: fact["default"] for name, fact in facts.items()} == plain.to_dict()
    assert facts["layers"]["meaning"] == "int. Number of levels."
    assert fail("recipes", "optdigits_quik") == (
        "mslstm: `recipe` must be a known recipe, such as optdigits_quick. Received: 'optdigits_quik'\n"
    )


def test_the_console_script(tiny_run, files, clip, tmp_path):
    """In a process of its own, by the entry point that pyproject.toml declares."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, function = scripts["mslstm"].split(":")
    script = f"import sys; from {module} import {function}; sys.exit({function}())"
    output = tmp_path / "out.npy"
    words = ["forecast", "--model", tiny_run, "--input", files / "clip.gif", "--output", output]
    child = run_script(script, ROOT, *words)
    assert child.returncode == 0, child.stderr
    assert child.stdout == f"{output}: 4 frames of (64, 64, 1)\n"
    np.testing.assert_allclose(np.load(output), forecast(load_model(tiny_run), clip), atol=0.02)


# What the user got wrong


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train optdigits_quik", "`recipe` must be a known recipe, such as optdigits_quick. Received: "),
        ("train optdigits_quick --set filter=2", "`recipe` has no such field; it has filters. Received: 'filter'"),
        ("train optdigits_quick --set filters=two", "`filters` must be int, written as JSON. Received: 'two'"),
        ("train optdigits_quick --set model=ms_lstn", "`name` must be a known model, such as ms_lstm"),
        ("train optdigits_quick --set frame_shape=[60,64,1]", "`frame_shape` must have a height and width"),
        ("train optdigits_quick --set data=moving_mnist", "`data` must be a known data set, such as"),
        ("train optdigits_quick --set stream=false --data-dir .", "`mslstm data prepare moving_mnist_clips/optdigits`"),
        (f"train optdigits_quick --run-dir file {' '.join(SETTINGS)}", "File exists: 'file'"),
        (f"train optdigits_quick --run-dir file/run {' '.join(SETTINGS)}", "Not a directory: 'file/run'"),
        ("evaluate --model {run} --dataset moving_mnist", "must be a known data set, such as moving_mnist_clips."),
        ("evaluate --model {run} --dataset moving_mnist_clips/papr", "must be a known config of moving_mnist_clips"),
        ("evaluate --model {run} --dataset {digits} --data-dir .", "must be prepared, by `mslstm data prepare mov"),
        ("evaluate --model {run} --dataset missing.npy", "`data` must be a readable .npy file. Received: missing.npy"),
        ("evaluate --model {run} {data} --clips 0", "`count` must lie in 1 .. 20 clips. Received: count=0"),
        ("evaluate --model {run} {data} --clips 21", "`count` must lie in 1 .. 20 clips. Received: count=21"),
        ("evaluate --model {run} {data} --clips 1 --output file/a/b.json", "Not a directory: 'file/a/b.json'"),
        ("evaluate --model file {data}", "`model` must be a Keras model that can be read. Received: file ("),
        ("evaluate --model nothing {data} --zoo {zoo}", "`name` must be a model of the zoo, such as ms_lstm_m"),
        ("data prepare moving_mnist --data-dir .", "must be a known data set, such as moving_mnist_clips"),
        ("data prepare moving_mnist_clips/x --data-dir .", "must be a known config of moving_mnist_clips, such as"),
        ("data prepare moving_mnist_clips --data-dir . --part 5/4", "from 1/N to N/N. Received: part=5/4"),
        ("data prepare moving_mnist_clips/optdigits --data-dir . --manual-dir file", "`manual_dir` must be a folder"),
        ("zoo list --zoo missing", "`zoo` must be a folder with a readable index.json. Received: missing/index.json"),
        ("zoo show ms_lstm --zoo {zoo}", "`name` must be a model of the zoo, such as ms_lstm_moving_mnist"),
        ("train optdigits_quick --devices 2", "`devices` must be 'all', at most as many as there are"),
        ("train optdigits_quick --hosts a:1,b:2 --rank 0", "`hosts` must be on the JAX backend"),
        ("train optdigits_quick --hosts a:1,b:2", "`--rank` must be given with `--hosts`. Received: rank=None"),
        ("zoo verify a b --zoo {zoo}", "`name` must be a model of the zoo, such as ms_lstm_moving_mnist."),
        ("zoo add missing --zoo new", "`run_dir` must hold a checkpoint.keras. Received: run_dir='missing'"),
        ("zoo add {run} --zoo new --name a/b", "`name` must be letters, digits"),
        ("zoo add {run} --zoo file --clips 1 --data-dir {folder}", "Not a directory: 'file/index.json'"),
        ("zoo add {run} --zoo new --data-dir .", "`mslstm data prepare moving_mnist_clips/optdigits`"),
        ("cost --dataset kht", "`dataset` must be one of moving_mnist, taxibj, kth, germany. Received: dataset='kht'"),
        ("cost --frame 8x8x1", "`--context` and `--forecast` must come with `--frame`. Received: context=None"),
        ("cost --models conv_lst", "`name` must be a known model, such as conv_lstm"),
        ("export {run} --output model.onnx --format litert", "`path` must end in .tflite. Received: path='model.onnx'"),
        ("export {run} --output new --range rain:fmi", "`range` must be LOW:HIGH, log:LOW:HIGH or rain:CODE"),
        ("export {run} --output a.onnx --format onnx --range rain:dwd", "`scale` must be None for onnx, which"),
        ("export {run} --output {folder}", "`folder` must be new or empty. Received: folder='"),
        ("export {run} --output file/a/model", "Not a directory: 'file/a/model'"),
        ("export file --output new", "`model` must be a Keras model that can be read. Received: file ("),
        ("serving {run} {run} --output new", "`models` must be models of different names. Received: models=["),
        ("serving {run} --output {folder}", "`folder` must be new or empty. Received: folder='"),
        ("demo --zoo missing", "`zoo` must be a folder with a readable index.json. Received: missing/index.json"),
        ("demo --zoo {zoo} --output file", "Not a directory: 'file/demo.png'"),
    ],
)  # fmt: skip
def test_faults_of_the_other_commands(
    fail, tiny_zoo, tiny_run, optdigits_dir, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    data = f"--dataset {OPTDIGITS} --data-dir {optdigits_dir}"
    error = fail(
        *words.format(run=tiny_run, zoo=tiny_zoo, data=data, digits=OPTDIGITS, folder=optdigits_dir).split()
    )
    assert message in error


@pytest.mark.parametrize(
    ("words", "module", "extra"),
    [
        ("tune optdigits_quick --run-dir search", "keras_tuner", "tuner"),
        ("study architecture {run} --output step.png", "pydot", "study"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(
    fail, tiny_zoo, tiny_run, tmp_path, monkeypatch, words, module, extra
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    said = f"needs pip install 'mslstm_keras[{extra}]' ({module} is not there)\n"
    assert fail(*words.format(run=tiny_run, zoo=tiny_zoo).split()).endswith(said)


def test_what_keras_wraps_is_one_line(fail, tiny_run, files, monkeypatch):
    """The model's own error about too few frames comes wrapped in colours and in the arguments of the layer."""
    monkeypatch.setattr(
        "mslstm_keras.forecasting.forecaster.forecast",
        lambda model, frames, horizon, progress: model(frames[np.newaxis, :2]),
    )
    error = fail(
        "forecast", "--model", tiny_run, "--input", files / "clip.npy", "--output", files / "out.npy"
    )
    assert error.startswith("mslstm: `frames` must be 3 frames long to predict, or 6 to train")
    assert error.endswith("Received: frames.shape=(1, 2, 64, 64, 1)\n")


def test_what_tensorflow_says_of_a_full_disk_is_one_line(fail, monkeypatch):
    def write(name):
        raise tf.errors.ResourceExhaustedError(
            None,
            None,
            "{{function_node __wrapped__Save_device_/job:localhost}} /a/b; No space left\n\ton device [Op:Save]",
        )

    monkeypatch.setattr("mslstm_keras.training.recipes.find_recipe", write)
    assert fail("train", "any") == "mslstm: /a/b; No space left on device\n"


def test_an_error_without_words_is_named(fail, monkeypatch):
    def fault():
        raise OSError

    monkeypatch.setattr("mslstm_keras.data.catalogue.list_data", fault)
    assert fail("data", "list") == "mslstm: OSError\n"


def test_an_interruption_is_no_fault(mslstm, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("mslstm_keras.training.fit.train", interrupt)
    ended = mslstm("train", "optdigits_quick")
    assert (ended.status, ended.out, ended.error) == (130, "", "mslstm: interrupted\n")


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "ended by SIGTERM"),
        (signal.SIGHUP, 129, "ended by SIGHUP"),
    ],
)
@pytest.mark.parametrize("passed_on", [True, False])
def test_a_signal_ends_a_command_that_clears_up(
    mslstm, monkeypatch, tmp_path, number, status, words, passed_on
):
    def work():
        with replacing(tmp_path / "file") as temporary:
            temporary.write_text("half")
            try:
                os.kill(os.getpid(), number)
                time.sleep(10)
            except KeyboardInterrupt:
                if passed_on:
                    raise
                raise ValueError("what a library makes of it") from None

    monkeypatch.setattr("mslstm_keras.data.catalogue.list_data", work)
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)  # the tests may be run where they are ignored, as behind `nohup`
    try:
        ended = mslstm("data", "list")
        assert signal.getsignal(number) == usual
    finally:
        signal.signal(number, before)
    assert (ended.status, ended.out, ended.error) == (status, "", f"mslstm: {words}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_so(mslstm, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        monkeypatch.setattr(
            "mslstm_keras.data.catalogue.list_data", lambda: os.kill(os.getpid(), signal.SIGHUP) or []
        )
        assert mslstm("data", "list", "--json").status == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_reader_that_has_gone_is_no_fault(monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        assert main(["recipes"]) == 128 + signal.SIGPIPE
        print("what Python writes when it ends", flush=True)
    assert capsys.readouterr().err == ""


def test_streams_that_are_closed_are_no_files_of_ours(tmp_path):
    script = """
        import os, sys
        sys.path.insert(0, sys.argv[1])
        from mslstm_keras.cli import main
        status = main(["completion", "bash"])
        file = open("opened", "w")
        print(status, file.fileno() > 2, [os.fstat(number).st_rdev != 0 for number in range(3)], file=file)
    """
    command = [
        "sh",
        "-c",
        'exec "$@" <&- >&- 2>&-',
        "sh",
        sys.executable,
        "-c",
        textwrap.dedent(script),
        ROOT,
    ]
    subprocess.run(command, cwd=tmp_path, timeout=120)
    assert (tmp_path / "opened").read_text() == "0 True [True, True, True]\n"


def test_a_mistake_of_ours_is_not_hidden(mslstm, monkeypatch):
    def mistake():
        raise KeyError("bug")

    monkeypatch.setattr("mslstm_keras.data.catalogue.list_data", mistake)
    with pytest.raises(KeyError):
        mslstm("data", "list")
