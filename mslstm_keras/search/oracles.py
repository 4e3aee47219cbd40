"""Which trials a search makes: KerasTuner's oracles, which refuse what would cost too much.

This module imports KerasTuner, which takes seconds. Import it inside functions.
"""

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial

from mslstm_keras.search.results import write_json, write_results
from mslstm_keras.search.search import Search
from mslstm_keras.search.space import declare, rounded
from mslstm_keras.search.trials import OBJECTIVE, last_words

Values = Mapping[str, Any]

MOST_REFUSED = 100  # values in a row; then there is hardly anything left
MOST_FAILED = 3  # trials, where none has succeeded


class Admitting(keras_tuner.Oracle):
    """What the oracles of a search add to those of KerasTuner: they try only what the search admits, and report.

    An oracle lives in the chief, or in the only process. It keeps what trials cost and why values were refused. Its
    files are written whole or not at all.

    Args:
        search: what is searched, and how.
        run_dir: folder of the search.
        progress: function of a line of text, called when a trial begins and ends.
        **limits: what limits the oracle, such as `max_trials`.
    """

    def __init__(self, search: Search, run_dir: Path, progress: Callable[[str], None], **limits: Any):
        self.search, self.run_dir, self.progress = search, run_dir, progress
        self.costs: dict[str, dict[str, int]] = {}
        self.refused: dict[str, str] = {}
        hyperparameters = keras_tuner.HyperParameters()
        declare(hyperparameters, search.space, search.recipe)
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "min"),
            hyperparameters=hyperparameters,
            seed=search.recipe.seed + 1,  # KerasTuner takes 0 for none
            max_consecutive_failed_trials=None,  # it would end the chief with its lock held: `_only_failures`
            **limits,
        )
        self.verbose = 0

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns values for a trial that are new and admitted."""
        if self._only_failures():
            return {"status": "STOPPED", "values": None}
        response = self._propose(trial_id)
        if response["status"] == "RUNNING" and not self._new_and_admitted(response["values"]):
            # The optimum of a Gaussian process stays where it is until there is another score.
            values = self._random_values()
            response = {"status": "RUNNING" if values else "STOPPED", "values": values}
        if response["status"] == "RUNNING":
            response["values"] = rounded(self.search.space, response["values"])
        return response

    def _propose(self, trial_id):
        """Returns a status and values, of which the latter may be neither new nor admitted."""
        return super().populate_space(trial_id)

    def _random_values(self):
        for _ in range(MOST_REFUSED):
            values = super()._random_values()
            if values is None or self._admits(values):
                return values
        return None

    def _duplicate(self, values):
        """Returns whether values need not be looked at: they have been tried or refused."""
        return super()._duplicate(values) or self._key(values) in self.refused

    def _new_and_admitted(self, values: Values) -> bool:
        return not self._duplicate(values) and self._admits(values)

    def _admits(self, values: Values) -> bool:
        """Returns whether a trial of these values may be trained. Notes what it costs, or why it may not."""
        key = self._key(values)
        if key not in self.costs and key not in self.refused:
            try:
                self.costs[key] = self.search.cost(values)
            except (ValueError, TypeError) as error:
                self.refused[key] = " ".join(str(error).split())
        return key in self.costs

    def _key(self, values: Values) -> str:
        """Returns one text for values that mean the same."""
        try:
            return json.dumps(self.search.values(values))
        except ValueError:  # no recipe has them
            return json.dumps({field: values[field] for field in self.search.space})

    def _only_failures(self) -> bool:
        ended = [self.trials[trial_id].status for trial_id in self.end_order]
        return len(ended) >= MOST_FAILED and set(ended) == {"FAILED"}

    def create_trial(self, tuner_id: str) -> Trial:
        """Hands out a trial, and tells of it."""
        trial = super().create_trial(tuner_id)
        if trial.status == "RUNNING":
            costs = self.costs[self._key(trial.hyperparameters.values)]
            values = self.search.values(trial.hyperparameters.values)
            self.progress(
                f"trial {trial.trial_id}: {', '.join(f'{name}={value}' for name, value in values.items())} "
                f"({costs['parameters']:,} parameters)"
            )
        return trial

    def end_trial(self, trial: Trial) -> None:
        """Takes in a trial that has ended, tells of it, and writes the results."""
        # A worker hands back the values that it was given in single precision.
        trial.hyperparameters = self.trials[trial.trial_id].hyperparameters
        super().end_trial(trial)
        ended = self.trials[trial.trial_id]
        if ended.status == "COMPLETED":
            self.progress(f"trial {ended.trial_id}: {OBJECTIVE} {ended.score:.4g}")
        else:
            self.progress(f"trial {ended.trial_id}: failed, {last_words(self._trial_folder(ended))}")
        self.report()

    def report(self, finished: bool = False) -> None:
        """Writes the results so far."""
        trials = [self._record(self.trials[trial_id]) for trial_id in self.start_order]
        refused = [{"values": json.loads(key), "reason": reason} for key, reason in self.refused.items()]
        write_results(self.run_dir, self.search.to_dict(), OBJECTIVE, trials, refused, finished)

    def _record(self, trial):
        values = trial.hyperparameters.values
        record = {
            "trial": trial.trial_id,
            "values": self.search.values(values),
            "recipe": self.search.trial_recipe(values).to_dict(),
            "continues": values.get("tuner/trial_id") or None,
            **self.costs[self._key(values)],
            "score": trial.score,
            "status": trial.status.lower(),
        }
        if trial.status == "FAILED":
            record["reason"] = last_words(self._trial_folder(trial))
        return record

    def _trial_folder(self, trial):
        return self.run_dir / f"trial_{trial.trial_id}"

    def save(self) -> None:
        """Writes the state of the search."""
        write_json(self.run_dir / "oracle.json", self.get_state())

    def _save_trial(self, trial):
        folder = self._trial_folder(trial)
        folder.mkdir(exist_ok=True)
        write_json(folder / "trial.json", trial.get_state())

    def get_state(self) -> dict[str, Any]:
        """Returns the state of the search, all but its trials, as plain data."""
        return {**super().get_state(), "costs": self.costs, "refused": self.refused}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up the search as it stood, its trials being read already. Those that were running come first.

        A trial is written before the state. If the search was killed between the two, the state lacks that trial.
        """
        order = sorted(self.trials, key=int)
        running = [trial_id for trial_id in order if self.trials[trial_id].status == "RUNNING"]
        ended = state["end_order"]
        ended = ended + [trial_id for trial_id in order if trial_id not in ended + running]
        queue = running[::-1]  # KerasTuner takes the last one first
        orders = {"start_order": order, "end_order": ended, "retry_queue": queue, "ongoing_trials": {}}
        super().set_state({**state, **orders})
        self.costs, self.refused = state["costs"], state["refused"]
        for trial_id in running:
            trial = self.trials[trial_id]
            trial.metrics = type(trial.metrics)()
            self._admits(trial.hyperparameters.values)


class RandomOracle(Admitting, keras_tuner.oracles.RandomSearchOracle):
    """Values at random."""


class HyperbandOracle(Admitting, keras_tuner.oracles.HyperbandOracle):
    """Short trainings of many values at random, longer ones of the best."""


class BayesianOracle(Admitting, keras_tuner.oracles.BayesianOptimizationOracle):
    """Values that a Gaussian process of the scores so far suggests."""


class GridOracle(Admitting, keras_tuner.Oracle):
    """All combinations in order, but for those that are refused.

    KerasTuner's own oracle of a grid forgets where it is when it is reloaded.
    """

    def _propose(self, trial_id):
        fields = [hyperparameter.name for hyperparameter in self.hyperparameters.space]
        possible = [hyperparameter.values for hyperparameter in self.hyperparameters.space]
        for combination in itertools.product(*possible):
            values = dict(zip(fields, combination, strict=True))
            if self._new_and_admitted(values):
                return {"status": "RUNNING", "values": values}
        return {"status": "STOPPED", "values": None}


def make_oracle(
    search: Search, run_dir: Path, max_trials: int | None, progress: Callable[[str], None]
) -> keras_tuner.Oracle:
    """Returns the oracle of a search, which hands out the values of trials and takes in their scores.

    Args:
        search: what is searched, and how.
        run_dir: folder of the search.
        max_trials: int or None. Trials in all; None for as many as there are.
        progress: function of a line of text, called when a trial begins and ends.
    """
    if search.searcher == "hyperband":
        intervals = search.recipe.steps // search.recipe.interval_steps
        oracle = HyperbandOracle(search, run_dir, progress, max_epochs=intervals)
        oracle.max_trials = max_trials  # it has no such argument, and obeys all the same
        return oracle
    kinds = {"random": RandomOracle, "bayesian": BayesianOracle, "grid": GridOracle}
    return kinds[search.searcher](search, run_dir, progress, max_trials=max_trials)
