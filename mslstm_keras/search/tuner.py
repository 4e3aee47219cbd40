"""Who trains the trials: a tuner of KerasTuner that starts a process for each.

This module imports KerasTuner, which takes seconds. Import it inside functions.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial

from mslstm_keras.search.results import write_json
from mslstm_keras.search.search import Search
from mslstm_keras.search.trials import OBJECTIVE, RUN, run_trial


class ProcessTuner(BaseTuner):
    """Asks for trials until there are none left, and trains each in a process of its own.

    Args:
        oracle: hands out the trials. In a worker, that of its chief is asked instead.
        search: what is searched, and how.
        run_dir: folder of the search. What has been saved there is reloaded, the state of the oracle too.
        folders: "data_dir" and "manual_dir" of the trainings.
    """

    def __init__(self, oracle: keras_tuner.Oracle, search: Search, run_dir: Path, folders: Mapping[str, Any]):
        self.trial_recipe, self.folders = search.trial_recipe, folders
        super().__init__(oracle, directory=str(run_dir.parent), project_name=run_dir.name)

    def search(self) -> None:
        """Trains trials until there are none left.

        KerasTuner's own loop asks again at once when it is told to wait, prints the traces of all errors, and takes
        errors of the disk for those of a trial.

        Raises:
            OSError: if a file cannot be written.
            grpc.RpcError: if the chief does not answer.
        """
        while (trial := self.oracle.create_trial(self.tuner_id)).status != "STOPPED":
            if trial.status == "IDLE":
                time.sleep(1)
                continue
            try:
                self.oracle.update_trial(trial.trial_id, {OBJECTIVE: self.run_trial(trial)})
                trial.status = "COMPLETED"
            except ChildProcessError as error:
                trial.status, trial.message = "FAILED", str(error)
            self.oracle.end_trial(trial)

    def run_trial(self, trial: Trial) -> float:
        """Returns the score of a trial."""
        values = trial.hyperparameters.values
        past = values.get("tuner/trial_id")
        return run_trial(
            self.trial_recipe(values),
            Path(self.get_trial_dir(trial.trial_id)),
            continues=Path(self.get_trial_dir(past), RUN) if past else None,
            **self.folders,
        )

    def save(self) -> None:
        """Writes the file by which KerasTuner knows that there is something to reload. The oracle saves itself."""
        write_json(Path(self.project_dir, f"{self.tuner_id}.json"), self.get_state())
