"""A search over the fields of a recipe by KerasTuner: caps on what a trial costs, and a process for each trial."""

import contextlib
import dataclasses
import io
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mslstm_keras.files import remove_partial
from mslstm_keras.search.oracles import make_oracle
from mslstm_keras.search.results import RESULTS, read_results, write_json
from mslstm_keras.search.search import Search
from mslstm_keras.search.space import Space, checked_space, default_space
from mslstm_keras.search.trials import RUN, run_trial
from mslstm_keras.training.feeding import training_clips, validation_clips
from mslstm_keras.training.recipes import Recipe

if TYPE_CHECKING:
    import keras_tuner

SEARCHERS = ("random", "hyperband", "bayesian", "grid")
SEARCH = "search.json"
TRIALS = 10  # of the searchers that would go on for ever
VALIDATION_CLIPS = 32
CHIEF_SECONDS = 600  # that a worker waits for its chief to come up
VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")


def tune(
    recipe: Recipe,
    run_dir: str | os.PathLike[str],
    *,
    space: Space | None = None,
    searcher: str = "random",
    max_trials: int | None = None,
    max_parameters: int | None = None,
    max_macs: int | None = None,
    max_memory: int | None = None,
    resume: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Searches the fields of a recipe for the best forecast on clips that are held out of training.

    Each trial is a training in a process of its own, `mslstm train`, that ends with this one. Its score is
    `val_frame_mse` of the last interval, of the model that the trial's checkpoint holds: the least over all intervals
    would be that of a model which is not kept, and too good by chance. No test clip is looked at.

    What a trial costs is counted before it starts. Values that do not fit each other, or cost more than a cap allows,
    are named in the results and take the place of no trial. The run folder holds, written anew after every trial,
    `results.json`, `results.csv`, `pareto.png` (scores beside costs) and `best.json`, a recipe that `mslstm train`
    takes; besides a folder for each trial and KerasTuner's state.

    Hyperband trains for numbers of intervals of the recipe, with schedules shortened in proportion, and goes on with
    the better third: with a copy of the trial's run and the schedules of the longer training, in which the learning
    rate is high again. The recipe in `best.json`, trained at one go, may therefore score a little differently.

    With KerasTuner's variables KERASTUNER_TUNER_ID ("chief", or another name for each worker), KERASTUNER_ORACLE_IP and
    KERASTUNER_ORACLE_PORT set, the same call is a chief, which hands out trials, or a worker, which trains them; they
    share `run_dir`. A worker that was killed takes up its trial again when it is started under the same name.

    Args:
        recipe: the recipe that is varied.
        run_dir: folder of the search; made if it does not exist.
        space: field -> values, such as {"filters": [8, 16], "options.kernel_sizes": [(3,), (3, 5)], "learning_rate":
            {"low": 1e-4, "high": 1e-2, "log": True}}. Default: kernel sizes, channels, layers, learning rate and
            patches around those of the recipe.
        searcher: "random", "hyperband", "bayesian" or "grid".
        max_trials: int. Trials in all. Default: 10, of Hyperband and a grid all that belong to it.
        max_parameters: int. Most parameters of a model. Default: any number.
        max_macs: int. Most multiply-accumulates of a forward pass of one clip. Default: any number.
        max_memory: int. Most bytes that training is predicted to take. Default: any number.
        resume: bool. Goes on with the search in `run_dir`, no finished trial of which is repeated; with a larger
            `max_trials` than before, all searchers go on. Starts anew where there is none yet.
        data_dir: folder of prepared TFDS data sets.
        manual_dir: folder of source files, for recipes that stream.
        progress: function of a line of text, called when a trial begins and ends.

    Returns:
        What `results.json` holds.

    Raises:
        ValueError: if an argument breaks its rule, `run_dir` holds a search and `resume` is False, or another search,
            or no trial could be trained.
        OSError: if the run folder cannot be written, or the chief does not answer.
    """
    run_dir = Path(run_dir)
    given = {"max_parameters": max_parameters, "max_macs": max_macs, "max_memory": max_memory}
    caps = {name: most for name, most in given.items() if most is not None}
    _check_numbers(max_trials=max_trials, **caps)
    if searcher not in SEARCHERS:
        raise ValueError(f"`searcher` must be one of {SEARCHERS}. Received: searcher={searcher!r}")
    space = checked_space(default_space(recipe) if space is None else space)
    if searcher == "hyperband" and {"steps", "interval_steps"} & set(space):
        raise ValueError(
            "`space` must not vary steps or interval_steps with hyperband, which sets the steps itself. "
            f"Received: {', '.join(space)}"
        )
    search = Search(_held_out(recipe, data_dir, manual_dir), space, searcher, caps)
    role = _role()
    if role == "worker":
        if not _chief_answers(run_dir):
            return read_results(run_dir)
        _check_same_search(run_dir, search)
    elif (run_dir / SEARCH).exists():
        if not resume:
            raise ValueError(
                f"`run_dir` must be new; resume to go on with what it holds. Received: run_dir={str(run_dir)!r}"
            )
        _check_same_search(run_dir, search)
    else:
        run_dir.mkdir(parents=True, exist_ok=True)
        write_json(run_dir / SEARCH, search.to_dict())
    if role != "worker":
        remove_partial(run_dir)
    _run(search, run_dir, max_trials, role, {"data_dir": data_dir, "manual_dir": manual_dir}, progress)
    results = read_results(run_dir)
    if role != "worker":
        _check_anything_trained(results)
    return results


def _run(search, run_dir, max_trials, role, folders, progress):
    """Runs the search, in the role that the variables of KerasTuner give this process."""
    import grpc

    if max_trials is None and search.searcher in ("random", "bayesian"):
        max_trials = TRIALS
    oracle = make_oracle(search, run_dir, max_trials, progress or (lambda line: None))
    with contextlib.redirect_stdout(io.StringIO()):  # KerasTuner tells that it reloads
        tuner = _tuner(oracle, search, run_dir, folders)
    tuner.save()  # what has been saved is reloaded, even if it is killed in its first trial
    if role == "chief":
        oracle.report()
        _serve(oracle)
    else:
        try:
            tuner.search()
        except grpc.RpcError as error:
            raise OSError(f"the chief does not answer any more ({error.code().name.lower()})") from error
    if role != "worker":
        oracle.report(finished=True)


def _tuner(
    oracle: "keras_tuner.Oracle",
    search: Search,
    run_dir: Path,
    folders: Mapping[str, str | os.PathLike[str] | None],
) -> "keras_tuner.engine.base_tuner.BaseTuner":
    """Returns the tuner that trains each trial in a process of its own."""
    from keras_tuner.engine.base_tuner import BaseTuner

    class ProcessTuner(BaseTuner):
        """Starts `mslstm train` for each trial and reads its log."""

        idle = False

        def run_trial(self, trial):
            values = trial.hyperparameters.values
            past = values.get("tuner/trial_id")
            return run_trial(
                search.trial_recipe(values),
                Path(self.get_trial_dir(trial.trial_id)),
                continues=Path(self.get_trial_dir(past), RUN) if past else None,
                **folders,
            )

        def _try_run_and_update_trial(self, trial):
            # KerasTuner's own prints the traces of all errors, and takes those of the disk for a trial's.
            try:
                self._run_and_update_trial(trial)
                trial.status = "COMPLETED"
            except ChildProcessError as error:
                trial.status, trial.message = "FAILED", str(error)

        def pre_create_trial(self):
            if self.idle:  # the last answer was to wait; KerasTuner would ask again at once
                time.sleep(1)
            self.idle = True

        def on_trial_begin(self, trial):
            self.idle = False

        def save(self):
            if not self._is_worker():
                self.oracle.save()
            write_json(Path(self._get_tuner_fname()), self.get_state())

    return ProcessTuner(oracle, directory=str(run_dir.parent), project_name=run_dir.name)


def _serve(oracle: "keras_tuner.Oracle") -> None:
    """Hands out trials to workers, until all have been told that there are no more.

    KerasTuner's own loop sleeps for 20 seconds at a time while the last trials run.
    """
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer, exit_chief

    address = f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"
    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
    servicer = OracleServicer(oracle)
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"the chief cannot listen at {address}") from error
    server.start()
    while not (servicer.stop_triggered and exit_chief(oracle)):
        time.sleep(0.2)
    server.stop(grace=5).wait()


def _role() -> str:
    """Returns "chief", "worker" or "alone", as KerasTuner's variables say.

    Raises:
        ValueError: if some of them are set and others are not.
    """
    given = [name for name in VARIABLES[1:] if name in os.environ]
    if not given:
        return "alone"
    if missing := [name for name in VARIABLES if name not in os.environ]:
        raise ValueError(
            f"`{missing[0]}` must be set beside the other variables of a chief and its workers. "
            f"Received: {', '.join(given)} alone"
        )
    return "chief" if "chief" in os.environ[VARIABLES[0]] else "worker"


def _chief_answers(run_dir: Path) -> bool:
    """Waits for the chief; returns False where the search has ended and there is none any more.

    Raises:
        OSError: if there is neither.
    """
    address = os.environ["KERASTUNER_ORACLE_IP"], int(os.environ["KERASTUNER_ORACLE_PORT"])
    deadline = time.monotonic() + CHIEF_SECONDS
    while True:
        try:
            socket.create_connection(address, timeout=5).close()
            return True
        except OSError as error:
            if (run_dir / RESULTS).exists() and read_results(run_dir)["finished"]:
                return False
            if time.monotonic() > deadline:
                raise OSError(f"no chief answers at {address[0]}:{address[1]} ({error})") from error
        time.sleep(1)


def _held_out(recipe, data_dir, manual_dir):
    """Returns a recipe that is scored on clips held out of training, and makes sure that its clips are there."""
    if not recipe.validation_clips:
        count = training_clips(recipe, data_dir, manual_dir).count
        clips = VALIDATION_CLIPS if count is None else max(1, min(VALIDATION_CLIPS, count // 10))
        recipe = dataclasses.replace(recipe, validation_clips=clips)
    recipe = dataclasses.replace(recipe, validation_split="train")
    validation_clips(recipe, data_dir, manual_dir)
    return recipe


def _check_numbers(**arguments):
    for name, value in arguments.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")


def _check_same_search(run_dir, search):
    try:
        found = json.loads((run_dir / SEARCH).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"`run_dir` must hold a readable {SEARCH}. Received: {run_dir} ({error})") from error
    wanted = search.to_dict()
    if found != wanted:
        differing = ", ".join(name for name in wanted if found.get(name) != wanted[name])
        raise ValueError(
            f"`run_dir` must hold a search of the same recipe, space, searcher and caps. Received: {run_dir}, "
            f"which differs in {differing or 'fields that are not known'}"
        )


def _check_anything_trained(results):
    if results["best"] is not None:
        return
    failed = [trial["reason"] for trial in results["trials"] if trial["status"] == "failed"]
    if failed:
        raise ValueError(
            f"`recipe` must be trainable. Received: {len(failed)} trials that failed: {failed[-1]}"
        )
    reasons = [each["reason"] for each in results["refused"]]
    raise ValueError(
        "`space` must hold a combination that fits together and keeps to the caps. Received: "
        f"{len(reasons)} refused, such as: {reasons[0] if reasons else 'none'}"
    )
