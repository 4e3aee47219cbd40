"""What is searched, and how."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from mslstm_keras.cost.account import count_cost
from mslstm_keras.models.registry import dtype_policy
from mslstm_keras.search.space import Space, varied, varied_values
from mslstm_keras.training.recipes import Recipe, rescaled

CAPS = {"max_parameters": "parameters", "max_macs": "macs", "max_memory": "training_memory"}  # cap -> cost


@dataclass(frozen=True)
class Search:
    """What is searched, and how.

    Attributes:
        recipe: the recipe that is varied. Its validation clips are held out of training.
        space: field -> values, checked.
        searcher: "random", "hyperband", "bayesian" or "grid".
        caps: name of a cap, one of `CAPS` -> the most that a trial may cost. A cap that is missing does not bind.
    """

    recipe: Recipe
    space: Space
    searcher: str
    caps: Mapping[str, int]

    def trial_recipe(self, values: Mapping[str, Any]) -> Recipe:
        """Returns the recipe of a trial with these values of its hyperparameters.

        Raises:
            ValueError: if the values do not fit each other.
        """
        recipe = varied(self.recipe, self.space, values)
        return shortened(recipe, values["tuner/epochs"]) if "tuner/epochs" in values else recipe

    def values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of a trial's hyperparameters as a recipe holds them, ready for JSON."""
        return json.loads(json.dumps(varied_values(varied(self.recipe, self.space, values), self.space)))

    def cost(self, values: Mapping[str, Any]) -> dict[str, int]:
        """Returns what a trial costs: "parameters", "macs" and "training_memory" in bytes. Nothing is trained for it.

        Raises:
            ValueError: if the values do not fit each other, or the trial would cost more than a cap allows.
        """
        recipe = varied(self.recipe, self.space, values)
        try:
            with dtype_policy(recipe.dtype):
                counted = count_cost(
                    recipe.model,
                    recipe.frame_shape,
                    recipe.context_frames,
                    recipe.forecast_frames,
                    batch_size=recipe.batch_size,
                    **recipe.model_options(),
                )
        finally:
            keras.utils.clear_session(free_memory=False)  # a search counts many models
        costs = {
            "parameters": counted.parameters,
            "macs": counted.total_macs,
            "training_memory": counted.training_memory,
        }
        for cap, most in self.caps.items():
            if costs[CAPS[cap]] > most:
                raise ValueError(f"{CAPS[cap]} {costs[CAPS[cap]]:,} are above {cap}={most:,}")
        return costs

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        return json.loads(json.dumps({**dataclasses.asdict(self), "recipe": self.recipe.to_dict()}))


def shortened(recipe: Recipe, intervals: int) -> Recipe:
    """Returns a recipe of that many intervals, whose schedules take the same part of the training as before."""
    return rescaled(recipe, intervals * recipe.interval_steps)
