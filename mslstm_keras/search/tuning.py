"""A search over the fields of a recipe by KerasTuner: caps on what a trial costs, and a process for each trial."""

import contextlib
import dataclasses
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mslstm_keras.files import remove_partial
from mslstm_keras.importing import needed
from mslstm_keras.integers import is_whole
from mslstm_keras.locks import claimed
from mslstm_keras.search import chief
from mslstm_keras.search.results import read_results, write_json
from mslstm_keras.search.search import Search
from mslstm_keras.search.space import Space, checked_space, default_space
from mslstm_keras.training.feeding import training_clips, validation_clips
from mslstm_keras.training.recipes import Recipe

SEARCHERS = ("random", "hyperband", "bayesian", "grid")
SEARCH = "search.json"
TRIALS = 10  # of the searchers that would go on for ever
VALIDATION_CLIPS = 32


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

    Each trial is a training in a process of its own, `mslstm train`, which ends when this process ends. Its score is
    `val_frame_mse` of the last interval, which is the score of the model in the trial's checkpoint. The least score of
    all intervals would belong to a model that is not kept, and would be too good by chance. Test clips are not used.

    What a trial costs is counted before it starts. Values that do not fit each other, or cost more than a cap allows,
    are named in the results and do not count as trials. After every trial these files of the run folder are written
    anew: `results.json`, `results.csv`, `pareto.png` (scores beside costs) and `best.json`, a recipe to train
    by. There is also a folder for each trial, and KerasTuner's state.

    Hyperband first trains for few intervals of the recipe, with schedules shortened in proportion. It goes on with the
    better third, from a copy of the trial's run and with the schedules of the longer training, in which the learning
    rate is high again. Training the recipe in `best.json` at one go may therefore score a little differently.

    Several processes can share a search and its `run_dir`, if KerasTuner's variables are set: KERASTUNER_TUNER_ID
    ("chief", or another name for each worker), KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT. The same call is then a
    chief, which hands out trials, or a worker, which trains them. A worker that was killed goes on with its trial when
    it is started again under the same name.

    Args:
        recipe: the recipe that is varied.
        run_dir: folder of the search; made if it does not exist.
        space: field -> values, such as {"filters": [8, 16], "options.kernel_sizes": [(3,), (3, 5)], "learning_rate":
            {"low": 1e-4, "high": 1e-2, "log": True}}. Default: kernel sizes, channels, layers, learning rate and
            patches around those of the recipe.
        searcher: "random", "hyperband", "bayesian" or "grid".
        max_trials: int. Trials in all. Default: 10 of a random or Bayesian search, else all that belong to the search.
        max_parameters: int. Most parameters of a model. Default: any number.
        max_macs: int. Most multiply-accumulates of a forward pass of one clip. Default: any number.
        max_memory: int. Most bytes that training is predicted to take. Default: any number.
        resume: bool. Goes on with the search in `run_dir` and repeats none of its finished trials. If there is no
            search yet, one is started. With a larger `max_trials` than before, a finished search goes on too.
        data_dir: folder of prepared TFDS data sets.
        manual_dir: folder of source files, for recipes that stream. A data set that is prepared must have been made of
            them.
        progress: function of a line of text, called when a trial begins and ends.

    Returns:
        The content of `results.json`.

    Raises:
        ValueError: if an argument breaks its rule, if `run_dir` holds another search, or a search although `resume` is
            False, if another process is searching there, or if no trial could be trained.
        ImportError: if KerasTuner is not installed.
        OSError: if the run folder cannot be written, or the chief does not answer.
    """
    run_dir = Path(run_dir)
    given = {"max_parameters": max_parameters, "max_macs": max_macs, "max_memory": max_memory}
    caps = {name: most for name, most in given.items() if most is not None}
    _check_numbers(max_trials=max_trials, **caps)
    folders = {"data_dir": data_dir, "manual_dir": manual_dir}
    space = _space_to_search(recipe, space, searcher)
    with needed("A search", "tuner"):  # before the folder is made
        import keras_tuner  # noqa: F401
    search = Search(_held_out(recipe, **folders), space, searcher, caps)
    role = chief.find_role()
    if role == "worker" and not chief.wait_for_chief(run_dir):
        return read_results(run_dir)
    # Workers write the folders of their trials alone, and those trainings have locks of their own.
    with contextlib.nullcontext() if role == "worker" else claimed(run_dir):
        _enter_run_dir(run_dir, search, role, resume)
        _run(search, run_dir, max_trials, role, folders, progress or (lambda line: None))
        results = read_results(run_dir)
    if role != "worker":
        _check_anything_trained(results)
    return results


def _space_to_search(recipe, space, searcher):
    """Returns the checked space of a search."""
    if searcher not in SEARCHERS:
        raise ValueError(f"`searcher` must be one of {SEARCHERS}. Received: searcher={searcher!r}")
    space = checked_space(default_space(recipe) if space is None else space)
    if searcher == "hyperband" and {"steps", "interval_steps"} & set(space):
        raise ValueError(
            "`space` must not vary steps or interval_steps with hyperband, which sets the steps itself. "
            f"Received: {', '.join(space)}"
        )
    return space


def _enter_run_dir(run_dir, search, role, resume):
    """Notes the search in its folder, or makes sure that it holds the same search and may be used."""
    if role == "worker":
        _check_same_search(run_dir, search)
        return
    if (run_dir / SEARCH).exists():
        if not resume:
            raise ValueError(
                f"`run_dir` must be new; resume to go on with what it holds. Received: run_dir={str(run_dir)!r}"
            )
        _check_same_search(run_dir, search)
    else:
        write_json(run_dir / SEARCH, search.to_dict())
    remove_partial(run_dir)


def _run(search, run_dir, max_trials, role, folders, progress):
    """Runs the search in the role that this process has."""
    import grpc

    from mslstm_keras.search.oracles import make_oracle
    from mslstm_keras.search.tuner import ProcessTuner

    if max_trials is None and search.searcher in ("random", "bayesian"):
        max_trials = TRIALS
    oracle = make_oracle(search, run_dir, max_trials, progress)
    with contextlib.redirect_stdout(io.StringIO()):  # KerasTuner says when it reloads
        tuner = ProcessTuner(oracle, search, run_dir, folders)
    # Saved before the first trial: a search that is killed during it can be resumed.
    if role != "worker":
        oracle.save()
    tuner.save()
    if role == "chief":
        oracle.report()
        chief.serve(oracle)
    else:
        try:
            tuner.search()
        except grpc.RpcError as error:
            raise OSError(f"the chief does not answer any more ({error.code().name.lower()})") from error
    if role != "worker":
        oracle.report(finished=True)


def _held_out(recipe, data_dir, manual_dir):
    """Returns a recipe that is scored on clips held out of training. Makes sure that its clips are there."""
    if not recipe.validation_clips:
        count = training_clips(recipe, data_dir, manual_dir).count
        clips = VALIDATION_CLIPS if count is None else max(1, min(VALIDATION_CLIPS, count // 10))
        recipe = dataclasses.replace(recipe, validation_clips=clips)
    recipe = dataclasses.replace(recipe, validation_split="train")
    validation_clips(recipe, data_dir, manual_dir)
    return recipe


def _check_numbers(**arguments):
    for name, value in arguments.items():
        if value is not None and not is_whole(value):
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
