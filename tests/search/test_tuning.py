"""A search: caps, resumption, failures; with trainings that only say their score, but for the last tests."""

import csv
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from mslstm_keras.locks import claimed
from mslstm_keras.search import chief, oracles, tuner
from mslstm_keras.search import results as tuning_results
from mslstm_keras.search import search as search_module
from mslstm_keras.search.results import read_results
from mslstm_keras.search.search import Search, shortened
from mslstm_keras.search.trials import run_trial
from mslstm_keras.search.tuning import SEARCHERS, tune
from mslstm_keras.training.fit import read_recipe
from mslstm_keras.training.recipes import Recipe, find_recipe

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{name}.. is deprecated:DeprecationWarning")
    for name in ("currentThread", "getName")  # KerasTuner calls them
]
ROOT = Path(__file__).parents[2]
CLIPS = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 4), dtype="uint8")
SPACE = {"filters": [1, 2, 3, 4], "layers": [1, 2, 3]}
PATIENCE = 900  # seconds that nothing takes


@pytest.fixture
def recipe(tmp_path):
    np.save(tmp_path / "clips.npy", CLIPS)
    return Recipe(
        "tiny",
        "tms_lstm",
        frame_shape=(4, 4, 1),
        context_frames=2,
        forecast_frames=2,
        filters=1,
        layers=1,
        data=str(tmp_path / "clips.npy"),
        batch_size=2,
        steps=2,
        interval_steps=1,
        sampling_steps=2,
    )


@pytest.fixture
def trained(monkeypatch):
    """The recipes that were trained; each scores what its filters and layers say, and costs as many parameters."""
    recipes = []

    def train_by(recipe, folder, *, continues=None, **folders):
        recipes.append(recipe)
        return 100.0 - 10 * recipe.filters + recipe.layers

    def cost(name, *clip, batch_size, filters, layers, patch_size, **options):
        if patch_size == 3:
            raise ValueError("`frame_shape` must divide")
        parameters = 100 * filters + layers
        return SimpleNamespace(parameters=parameters, total_macs=10 * parameters, training_memory=parameters)

    monkeypatch.setattr(tuner, "run_trial", train_by)
    monkeypatch.setattr(search_module, "count_cost", cost)
    monkeypatch.setattr(
        tuning_results, "pareto_figure", lambda results, path: None
    )  # drawn anew after each trial
    return recipes


def interrupt_at(monkeypatch, number):
    """Lets trial `number`, counted from 1, be interrupted once."""
    original, begun = tuner.run_trial, []

    def train_by(*arguments, **options):
        begun.append(arguments)
        if len(begun) == number:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(tuner, "run_trial", train_by)


def tried(results):
    return [tuple(trial["values"].values()) for trial in results["trials"]]


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_caps_leave_trials_to_what_they_allow(searcher, recipe, trained, tmp_path):
    recipe = recipe.with_settings({"steps": "9", "decay_steps": "9"})
    results = tune(
        recipe,
        tmp_path / "run",
        space=SPACE,
        searcher=searcher,
        max_trials=6,
        max_parameters=303,
        max_macs=3025,
    )
    trials = results["trials"]
    assert (
        len(trials) == 6 and len({json.dumps([trial["values"], trial["continues"]]) for trial in trials}) == 6
    )
    assert all(trial["parameters"] <= 302 and trial["status"] == "completed" for trial in trials)
    assert results["finished"] and not (tmp_path / "run" / "best.json").samefile(recipe.data)
    assert results["best"] == min(trials, key=lambda trial: trial["score"])["trial"]
    for refused in results["refused"]:
        filters, layers = refused["values"].values()
        assert refused["reason"] == (
            f"parameters {100 * filters + layers} are above max_parameters=303"
            if filters == 4
            else "macs 3,030 are above max_macs=3,025"
        )
    assert {trained_recipe.validation_split for trained_recipe in trained} == {"train"}
    assert {trained_recipe.validation_clips for trained_recipe in trained} == {2}  # a tenth of 27


@pytest.mark.parametrize("searcher", ["random", "bayesian", "grid"])
def test_a_space_comes_to_an_end_and_what_does_not_fit_is_named(searcher, recipe, trained, tmp_path):
    space = {"filters": [1, 2], "patch_size": [1, 3]}
    results = tune(recipe, tmp_path / "run", space=space, searcher=searcher, max_trials=30)
    assert sorted(tried(results)) == [(1, 1), (2, 1)]
    assert {json.dumps(refused["values"]): refused["reason"] for refused in results["refused"]} == {
        '{"filters": 1, "patch_size": 3}': "`frame_shape` must divide",
        '{"filters": 2, "patch_size": 3}': "`frame_shape` must divide",
    }


def test_a_range_of_which_nothing_is_allowed_ends_the_search(recipe, trained, tmp_path):
    space = {"filters": {"low": 50, "high": 10_000}}
    message = "`space` must hold a combination that fits together and keeps to the caps. Received: 100 refused, such as"
    with pytest.raises(ValueError, match=re.escape(message)):
        tune(recipe, tmp_path / "run", space=space, max_memory=10)
    assert len(read_results(tmp_path / "run")["refused"]) == 100


def test_the_gaussian_process_is_asked_for_new_values_only(recipe, trained, tmp_path):
    """Its optimum, four filters, is refused each time."""
    space = {"filters": [1, 2, 3, 4], "layers": [1, 2, 3]}
    results = tune(
        recipe, tmp_path / "run", space=space, searcher="bayesian", max_trials=9, max_parameters=399
    )
    assert len(set(tried(results))) == 9


def test_hyperband_goes_on_with_the_better_ones(recipe, trained, tmp_path):
    recipe = recipe.with_settings({"steps": "18", "interval_steps": "2", "decay_steps": "9"})
    continued = {}
    original = tuner.run_trial

    def train_by(recipe, folder, *, continues=None, **folders):
        continued[folder.name] = continues
        return original(recipe, folder)

    tuner.run_trial = train_by  # put back by the fixture
    space = {"filters": [1, 2, 3, 4], "layers": [1, 2, 3], "patch_size": [1, 2]}
    results = tune(recipe, tmp_path / "run", space=space, searcher="hyperband")
    steps = [trial["recipe"]["steps"] for trial in results["trials"]]
    assert set(steps) == {2, 6, 18} and steps == [recipe.steps for recipe in trained]
    by_name = {trial["trial"]: trial for trial in results["trials"]}
    going_on = [trial for trial in results["trials"] if trial["continues"]]
    assert going_on
    for trial in going_on:
        before = by_name[trial["continues"]]
        assert before["values"] == trial["values"]
        assert trial["recipe"]["steps"] == 3 * before["recipe"]["steps"]
        assert (
            continued[f"trial_{trial['trial']}"] == tmp_path / "run" / f"trial_{trial['continues']}" / "run"
        )
    first = [trial["score"] for trial in results["trials"][:9]]  # the bracket that begins with the shortest
    assert sorted(by_name[trial["continues"]]["score"] for trial in going_on[:3]) == sorted(first)[:3]


def test_schedules_of_a_shortened_training_take_the_same_part_of_it():
    recipe = Recipe("long", steps=400, interval_steps=50, decay_steps=200, sampling_steps=130)
    late = dataclasses.replace(recipe, warmup_steps=41, l1_from=350)
    assert (shortened(late, 2).warmup_steps, shortened(late, 2).l1_from) == (10, 50)
    short = shortened(recipe, 2)
    assert (short.steps, short.decay_steps, short.sampling_steps, short.interval_steps) == (100, 50, 32, 50)
    assert shortened(recipe, 8) == recipe


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_an_interrupted_search_goes_on_without_repeating_a_trial(
    searcher, recipe, trained, tmp_path, monkeypatch
):
    recipe = recipe.with_settings({"steps": "9"})
    options = {"space": SPACE, "searcher": searcher, "max_trials": 5, "max_parameters": 350}
    straight = tune(recipe, tmp_path / "straight", **options)
    trained.clear()
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            tune(recipe, tmp_path / "run", **options)
    before = read_results(tmp_path / "run")
    assert [trial["status"] for trial in before["trials"]] == ["completed"] * 2
    assert not before["finished"] and find_recipe(str(tmp_path / "run" / "best.json")).name == "tiny_tuned"
    resumed = tune(recipe, tmp_path / "run", **options, resume=True)
    assert len(trained) == 5
    assert resumed["trials"] == straight["trials"]
    again = tune(recipe, tmp_path / "run", **options, resume=True)
    assert len(trained) == 5 and again == resumed


@pytest.mark.parametrize("searcher", ["random", "bayesian", "grid"])
def test_a_finished_search_goes_on_with_more_trials(searcher, recipe, trained, tmp_path):
    options = {"space": SPACE, "searcher": searcher}
    tune(recipe, tmp_path / "run", **options, max_trials=2)
    results = tune(recipe, tmp_path / "run", **options, max_trials=4, resume=True)
    assert len(trained) == 4 and len(set(tried(results))) == 4


def test_a_trial_that_its_search_did_not_get_to_note_is_trained(recipe, trained, tmp_path, monkeypatch):
    """Killed between the file of the trial and that of the oracle."""
    options = {"space": SPACE, "searcher": "grid", "max_trials": 3}
    original = oracles.Admitting._save_trial

    def killed(self, trial):
        original(self, trial)
        if trial.trial_id == "1":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(oracles.Admitting, "_save_trial", killed)
        with pytest.raises(KeyboardInterrupt):
            tune(recipe, tmp_path / "run", **options)
    assert json.loads((tmp_path / "run" / "trial_1" / "trial.json").read_text())["status"] == "RUNNING"
    assert "1" not in json.loads((tmp_path / "run" / "oracle.json").read_text())["start_order"]
    results = tune(recipe, tmp_path / "run", **options, resume=True)
    assert [trial["status"] for trial in results["trials"]] == ["completed"] * 3
    assert len(trained) == len(set(tried(results))) == 3


def test_a_folder_that_holds_a_search_is_refused_unless_resuming(recipe, trained, tmp_path):
    run, options = tmp_path / "run", {"searcher": "grid", "max_trials": 1}
    tune(recipe, run, space=SPACE, **options)
    message = f"`run_dir` must be new; resume to go on with what it holds. Received: run_dir={str(run)!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        tune(recipe, run, space=SPACE, **options)
    message = "`run_dir` must hold a search of the same recipe, space, searcher and caps. Received: "
    with pytest.raises(ValueError, match=re.escape(f"{message}{run}, which differs in space, caps")):
        tune(recipe, run, space={"filters": [1]}, **options, max_macs=1, resume=True)
    (run / "search.json").write_text("[")
    with pytest.raises(
        ValueError, match=re.escape(f"`run_dir` must hold a readable search.json. Received: {run} (")
    ):
        tune(recipe, run, space=SPACE, **options, resume=True)
    assert len(trained) == 1


def test_a_second_search_in_a_folder_is_refused_and_leaves_it_alone(recipe, trained, tmp_path):
    run, options = tmp_path / "run", {"space": SPACE, "searcher": "grid", "max_trials": 1}
    message = (
        f"`run_dir` must not be written by another process. Received: run_dir={str(run)!r}, held by process "
    )
    with claimed(run), pytest.raises(ValueError, match=re.escape(message)):
        tune(recipe, run, **options)
    assert not run.exists()
    tune(recipe, run, **options)
    assert len(trained) == 1
    assert not (run / ".lock").exists()


def test_a_failed_trial_is_named_and_the_search_goes_on(recipe, trained, tmp_path, monkeypatch):
    original = tuner.run_trial

    def train_by(recipe, folder, **options):
        if recipe.filters == 1:
            (folder / "train.log").write_text("Epoch 1/2\nmslstm: The loss is infinite\n\n")
            raise ChildProcessError("failed")
        return original(recipe, folder)

    monkeypatch.setattr(tuner, "run_trial", train_by)
    lines = []
    space = {"filters": [1, 2]}
    results = tune(
        recipe, tmp_path / "run", space=space, searcher="grid", max_trials=2, progress=lines.append
    )
    assert [trial["status"] for trial in results["trials"]] == ["failed", "completed"]
    assert results["trials"][0]["reason"] == "mslstm: The loss is infinite"
    assert lines == [
        "trial 0: filters=1 (101 parameters)",
        "trial 0: failed, mslstm: The loss is infinite",
        "trial 1: filters=2 (201 parameters)",
        "trial 1: val_frame_mse 81",
    ]


def test_an_error_of_the_disk_is_not_taken_for_that_of_a_trial(recipe, trained, tmp_path, monkeypatch):
    def train_by(recipe, folder, **options):
        raise OSError("No space left on device")

    options = {"space": {"filters": [1, 2]}, "searcher": "grid"}
    with monkeypatch.context() as patch:
        patch.setattr(tuner, "run_trial", train_by)
        with pytest.raises(OSError, match=r"^No space left on device$"):
            tune(recipe, tmp_path / "run", **options)
    results = tune(recipe, tmp_path / "run", **options, resume=True)
    assert [trial["status"] for trial in results["trials"]] == ["completed"] * 2
    assert tried(results) == [(1,), (2,)]


def test_a_search_of_which_everything_fails_ends(recipe, trained, tmp_path, monkeypatch):
    def train_by(recipe, folder, **options):
        raise ChildProcessError("failed")

    monkeypatch.setattr(tuner, "run_trial", train_by)
    message = r"`recipe` must be trainable\. Received: 3 trials that failed: no output"
    with pytest.raises(ValueError, match=message):
        tune(recipe, tmp_path / "run", space=SPACE, searcher="grid")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"searcher": "rand"}, f"`searcher` must be one of {SEARCHERS}. Received: searcher='rand'"),
        ({"max_trials": 0}, "`max_trials` must be a positive integer. Received: max_trials=0"),
        ({"max_macs": 1.5}, "`max_macs` must be a positive integer. Received: max_macs=1.5"),
        ({"space": {}}, "`space` must hold at least one field. Received: none"),
        (
            {"searcher": "hyperband", "space": {"steps": [2, 4]}},
            "`space` must not vary steps or interval_steps with hyperband, which sets the steps itself. "
            "Received: steps",
        ),
    ],
)
def test_arguments_that_break_a_rule_are_refused(options, message, recipe, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        tune(recipe, tmp_path / "run", **{"space": SPACE, **options})
    assert not (tmp_path / "run").exists()


def test_missing_clips_are_named_before_anything_begins(recipe, tmp_path):
    (tmp_path / "clips.npy").unlink()
    with pytest.raises(ValueError, match=r"`data` must be a readable .npy file"):
        tune(recipe, tmp_path / "run", space=SPACE)
    assert not (tmp_path / "run").exists()


def test_variables_of_a_chief_belong_together(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    message = (
        "`KERASTUNER_TUNER_ID` must be set beside the other variables of a chief and its workers. "
        "Received: KERASTUNER_ORACLE_IP alone"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        tune(recipe, tmp_path / "run", space=SPACE)


def test_a_worker_that_comes_too_late_returns_what_was_found(recipe, trained, tmp_path, monkeypatch):
    results = tune(recipe, tmp_path / "run", space={"filters": [1]}, searcher="grid")
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(free_port()))
    assert tune(recipe, tmp_path / "run", space={"filters": [1]}, searcher="grid") == results
    monkeypatch.setattr(chief, "CHIEF_SECONDS", 0)
    with pytest.raises(OSError, match=r"no chief answers at 127.0.0.1:\d+ \("):
        tune(recipe, tmp_path / "other", space={"filters": [1]}, searcher="grid")


def test_costs_are_those_of_the_model_that_is_trained(recipe):
    search = Search(recipe, {"filters": [2]}, "grid", {})
    costs = search.cost({"filters": 2})
    assert set(costs) == {"parameters", "macs", "training_memory"}
    model = search_module.count_cost("tms_lstm", (4, 4, 1), 2, 2, filters=2, layers=1, batch_size=2)
    assert costs["parameters"] == model.parameters
    assert costs["macs"] == model.total_macs
    assert costs["training_memory"] == model.training_memory


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def start():
    """Starts `mslstm tune` in a process of its own, which ends with the test; a cap leaves one filter of two."""
    started = []

    def start(recipe_file, run, *words, **variables):
        command = [sys.executable, "-m", "mslstm_keras", "tune", recipe_file, "--run-dir", run]
        command += ["--searcher", "grid", "--trials", "5", "--vary", "filters=[1,2]"]
        command += ["--max-parameters", "500", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        with (run.parent / f"{variables.get('KERASTUNER_TUNER_ID', 'alone')}.log").open("a") as log:
            process = subprocess.Popen(
                list(map(str, command)), cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait_for(happened, process):
    deadline = time.monotonic() + PATIENCE
    while not (found := happened()):
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.02)
    return found


def log_of(folder):
    with (folder / "run" / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_killed_search_takes_its_training_along_and_goes_on(recipe, tmp_path, start):
    """A real training, killed behind its first checkpoint: the search goes on with it."""
    path, run = tmp_path / "recipe.json", tmp_path / "run"
    path.write_text(json.dumps({**recipe.to_dict(), "steps": 40}))
    search = start(path, run)
    wait_for((run / "trial_0" / "run" / "checkpoint.keras").exists, search)
    children = psutil.Process(search.pid).children()
    search.send_signal(signal.SIGKILL)
    assert search.wait() == -signal.SIGKILL
    gone, alive = psutil.wait_procs(children, PATIENCE)
    assert gone and not alive
    first = log_of(run / "trial_0")
    assert 1 <= len(first) < 40
    assert start(path, run, "--resume").wait(PATIENCE) == 0
    lines = log_of(run / "trial_0")
    assert len(lines) == 40 and lines[: len(first) - 1] == first[:-1]  # the last may have had no checkpoint
    (trial,) = read_results(run)["trials"]
    assert trial["status"] == "completed"
    np.testing.assert_allclose(trial["score"], float(lines[-1]["val_frame_mse"]))


@pytest.mark.slow
def test_a_chief_and_two_workers(recipe, tmp_path, start):
    path, run = tmp_path / "recipe.json", tmp_path / "run"
    path.write_text(json.dumps(recipe.to_dict()))
    address = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(free_port())}
    names = ("chief", "first", "second")
    words = ("--vary", "learning_rate=[0.1,0.2]")
    processes = [start(path, run, *words, KERASTUNER_TUNER_ID=name, **address) for name in names]
    assert [process.wait(PATIENCE) for process in processes] == [0, 0, 0]
    results = read_results(run)
    assert results["finished"] and sorted(tried(results)) == [(1, 0.1), (1, 0.2)]
    assert [trial["status"] for trial in results["trials"]] == ["completed"] * 2
    assert results["refused"] and find_recipe(str(run / "best.json")).name == "tiny_tuned"
    for trial in results["trials"]:
        score = float(log_of(run / f"trial_{trial['trial']}")[-1]["val_frame_mse"])
        np.testing.assert_allclose(trial["score"], score, rtol=1e-6)
    assert "trial 0: val_frame_mse" in (tmp_path / "chief.log").read_text()


def test_a_worker_that_comes_again_gets_its_trial_again(recipe, trained, tmp_path):
    """As a chief sees one that was killed and started again under its name."""
    search = Search(recipe, {"filters": [1, 2, 3]}, "grid", {})
    oracle = oracles.make_oracle(search, tmp_path, 3, lambda line: None)
    first, second, again = (oracle.create_trial(name) for name in ("first", "second", "first"))
    assert (first.trial_id, second.trial_id, again.trial_id) == ("0", "1", "0")


TRAINING = """
import json, pathlib, sys
words = sys.argv[4:]  # behind -m mslstm_keras train
assert words[1] == "--run-dir" and words[3:5] == ["--resume", "--end-with-input"], words
steps, run = json.loads(pathlib.Path(words[0]).read_text())["steps"], pathlib.Path(words[2])
if steps == 6:
    print("Epoch 1/6")
    sys.exit("mslstm: no such luck")
run.mkdir(exist_ok=True)
(run / "words.json").write_text(json.dumps(words[5:]))
score = "nan" if steps == 8 else "4.5"
with (run / "log.csv").open("a") as file:
    print("step,val_frame_mse", "2,5.5", f"{steps},{score}", sep=chr(10), file=file)
"""


def test_a_trial_is_a_process_of_its_own(recipe, tmp_path, monkeypatch):
    """A script stands for Python; it writes down what it was told."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}{TRAINING}")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    folders = [tmp_path / f"trial_{number}" for number in range(4)]
    for folder in folders:
        folder.mkdir()
    assert run_trial(recipe, folders[0], data_dir="data", manual_dir=tmp_path) == 4.5
    assert find_recipe(str(folders[0] / "recipe.json")) == recipe
    words = json.loads((folders[0] / "run" / "words.json").read_text())
    assert words == ["--data-dir", "data", "--manual-dir", str(tmp_path)]
    longer = recipe.with_settings({"steps": "4"})
    run_trial(longer, folders[1], continues=folders[0] / "run")
    assert read_recipe(folders[1] / "run") == longer
    assert len((folders[1] / "run" / "log.csv").read_text().splitlines()) == 6  # three were there
    with pytest.raises(ChildProcessError, match=r"^mslstm: no such luck \(status 1\)$"):
        run_trial(recipe.with_settings({"steps": "6"}), folders[2])
    with pytest.raises(ChildProcessError, match=r"^val_frame_mse is nan$"):
        run_trial(recipe.with_settings({"steps": "8"}), folders[3])


def test_the_process_of_a_trial_imports_the_same_files(recipe, tmp_path, monkeypatch):
    started = []

    def start(command, **options):
        started.append(command)
        raise OSError("not started")

    monkeypatch.setattr("mslstm_keras.search.trials.subprocess.Popen", start)
    monkeypatch.setattr(
        "mslstm_keras.search.trials.IMPORTED", {tmp_path / "one.py": None, tmp_path / "two.py": None}
    )
    with pytest.raises(OSError, match=r"^not started$"):
        run_trial(recipe, tmp_path)
    words = started[0][started[0].index("--end-with-input") + 1 :]
    assert words == ["--import", str(tmp_path / "one.py"), "--import", str(tmp_path / "two.py")]
