"""Which trials a search makes: KerasTuner's oracles, with caps on what a trial may cost."""

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mslstm_keras.search.results import write_json, write_results
from mslstm_keras.search.search import Search
from mslstm_keras.search.space import declare, rounded
from mslstm_keras.search.trials import OBJECTIVE, last_words

if TYPE_CHECKING:
    import keras_tuner
    from keras_tuner import Oracle  # what `Admitting` is mixed into; at run time it is imported late
else:
    Oracle = object

MOST_REFUSED = 100  # in a row; then there is hardly anything else
MOST_FAILED = 3  # where none has succeeded


class Admitting(Oracle):
    """What every oracle of a search has besides KerasTuner's: it asks again for values that it refuses.

    An oracle lives in the chief, or in the only process. It keeps what trials cost and why values were refused, and
    writes its files whole or not at all.
    """

    def __init__(self, search: Search, run_dir: Path, progress: Callable[[str], None], **options: Any):
        self.search, self.run_dir, self.progress = search, run_dir, progress
        self.costs: dict[str, dict[str, int]] = {}
        self.refused: dict[str, str] = {}
        super().__init__(**options)
        self.verbose = 0

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns values for a trial that are admitted and new."""
        if _only_failures(self):
            return {"status": "STOPPED", "values": None}
        response = super().populate_space(trial_id)
        if response["status"] == "RUNNING" and not self._new_and_admitted(response["values"]):
            # The optimum of a Gaussian process stays where it is until there is another score.
            values = self._random_values()
            response = {"status": "RUNNING" if values else "STOPPED", "values": values}
        if response["status"] == "RUNNING":
            response["values"] = rounded(self.search.space, response["values"])
        return response

    def _random_values(self):
        for _ in range(MOST_REFUSED):
            values = super()._random_values()
            if values is None or self._admits(values):
                return values
            self._tried_so_far.add(self._compute_values_hash(values))
        return None

    def _new_and_admitted(self, values):
        return not self._duplicate(values) and self._admits(values)

    def _admits(self, values: Mapping[str, Any]) -> bool:
        """Whether a trial of these values may be trained; what it costs is then known."""
        key = self.key(values)
        if key not in self.costs and key not in self.refused:
            try:
                self.costs[key] = self.search.cost(values)
            except (ValueError, TypeError) as error:
                self.refused[key] = " ".join(str(error).split())
        return key in self.costs

    def key(self, values: Mapping[str, Any]) -> str:
        """Returns one text for values that mean the same."""
        try:
            return json.dumps(self.search.values(values))
        except ValueError:  # no recipe has them
            return json.dumps({field: values[field] for field in self.search.space})

    def create_trial(self, tuner_id: str) -> "keras_tuner.engine.trial.Trial":
        """Hands out a trial, and tells of it."""
        trial = super().create_trial(tuner_id)
        if trial.status == "RUNNING":
            costs = self.costs[self.key(trial.hyperparameters.values)]
            values = self.search.values(trial.hyperparameters.values)
            self.progress(
                f"trial {trial.trial_id}: {', '.join(f'{name}={value}' for name, value in values.items())} "
                f"({costs['parameters']:,} parameters)"
            )
        return trial

    def end_trial(self, trial: "keras_tuner.engine.trial.Trial") -> None:
        """Takes in a trial that has ended, tells of it, and writes the results."""
        # A worker hands back what it was handed, in single precision.
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
        record = {"trial": trial.trial_id, "values": self.search.values(values)}
        record |= {"recipe": self.search.trial_recipe(values).to_dict()}
        record |= {"continues": values.get("tuner/trial_id") or None, **self.costs[self.key(values)]}
        record |= {"score": trial.score, "status": trial.status.lower()}
        if trial.status == "FAILED":
            record["reason"] = last_words(self._trial_folder(trial))
        return record

    def _trial_folder(self, trial):
        return self.run_dir / f"trial_{trial.trial_id}"

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "costs": self.costs, "refused": self.refused}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.costs, self.refused = state["costs"], state["refused"]

    def save(self) -> None:
        write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial):
        write_json(Path(self._get_trial_dir(trial.trial_id), "trial.json"), trial.get_state())

    def reload(self) -> None:
        """Takes up the search as it stood; trials that were running come first.

        KerasTuner writes the trial before its own state, so that one killed between the two knows less than its trials.
        """
        super().reload()
        running = [trial for _, trial in sorted(self.trials.items()) if trial.status == "RUNNING"]
        for trial in running:
            trial.metrics = type(trial.metrics)()
            self._admits(trial.hyperparameters.values)
        self._retry_queue = [trial.trial_id for trial in reversed(running)]
        self.start_order = sorted(self.trials, key=int)
        self.end_order += [
            each for each in self.start_order if each not in self.end_order + self._retry_queue
        ]


def _only_failures(oracle: Oracle) -> bool:
    ended = [oracle.trials[trial_id].status for trial_id in oracle.end_order]
    return len(ended) >= MOST_FAILED and set(ended) == {"FAILED"}


def make_oracle(
    search: Search, run_dir: Path, max_trials: int | None, progress: Callable[[str], None]
) -> "keras_tuner.Oracle":
    """Returns the oracle of a search, which hands out the values of trials and takes in their scores.

    Args:
        search: what is searched, and how.
        run_dir: folder of the search.
        max_trials: int or None. Trials in all; None for as many as there are.
        progress: function of a line of text, called when a trial begins and ends.
    """
    import keras_tuner

    class Grid(keras_tuner.Oracle):
        """All combinations in order. KerasTuner's own forgets on reloading where it is."""

        def populate_space(self, trial_id):
            fields = [hyperparameter.name for hyperparameter in self.hyperparameters.space]
            possible = [hyperparameter.values for hyperparameter in self.hyperparameters.space]
            for combination in itertools.product(*possible):
                values = dict(zip(fields, combination, strict=True))
                if self._new_and_admitted(values):
                    return {"status": "RUNNING", "values": values}
            return {"status": "STOPPED", "values": None}

    kinds = {
        "random": keras_tuner.oracles.RandomSearchOracle,
        "hyperband": keras_tuner.oracles.HyperbandOracle,
        "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
        "grid": Grid,
    }
    hyperparameters = keras_tuner.HyperParameters()
    declare(hyperparameters, search.space, search.recipe)
    options = {
        "objective": keras_tuner.Objective(OBJECTIVE, "min"),
        "hyperparameters": hyperparameters,
        "seed": search.recipe.seed + 1,  # KerasTuner takes 0 for none
        "max_consecutive_failed_trials": None,  # it would end the chief with its lock held: `_only_failures`
    }
    if search.searcher == "hyperband":
        options["max_epochs"] = search.recipe.steps // search.recipe.interval_steps
    else:
        options["max_trials"] = max_trials
    kind = type("SearchOracle", (Admitting, kinds[search.searcher]), {})
    oracle = kind(search, run_dir, progress, **options)
    oracle.max_trials = max_trials  # Hyperband has no such argument and yet obeys
    return oracle
