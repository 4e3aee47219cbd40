"""The model of a recipe for KerasTuner's own tuners.

This module imports KerasTuner, which takes seconds. Import it inside functions.
"""

import keras

from mslstm_keras.importing import needed
from mslstm_keras.search.space import Space, checked_space, declare, default_space, varied
from mslstm_keras.training.fit import compiled_model
from mslstm_keras.training.recipes import Recipe

with needed("A search", "tuner"):
    import keras_tuner


def build_hypermodel(recipe: Recipe, space: Space | None = None) -> keras_tuner.HyperModel:
    """Returns a model of KerasTuner: the compiled model of a recipe, some of whose fields are searched.

    It serves every tuner of KerasTuner. Give the tuner's `search` arrays, or a `tf.data.Dataset`, of frames 0 .. T - 2
    and 1 .. T - 1. The tuner may have a `distribution_strategy`. Its `objective` is
    `keras_tuner.Objective("val_frame_mse", "min")`. Fields that say how to train, such as `steps`, are not used:
    that is up to `search`. Where values do not fit each other the trial fails, and the search goes on.

    Args:
        recipe: the recipe that is varied.
        space: field -> values, as `checked_space` describes them, such as {"filters": [8, 16], "options.kernel_sizes":
            [(3,), (3, 5)], "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}. Default: `default_space`.

    Returns:
        `keras_tuner.HyperModel`.

    Raises:
        ValueError: if the space breaks its rules.
    """
    return RecipeModel(recipe, checked_space(default_space(recipe) if space is None else space))


class RecipeModel(keras_tuner.HyperModel):
    """The compiled model of a recipe.

    Args:
        recipe: the recipe that is varied.
        space: field -> values, checked.
    """

    def __init__(self, recipe: Recipe, space: Space):
        super().__init__(name=recipe.name)
        self.recipe, self.space = recipe, space

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Returns the compiled model of the values that hyperparameters have.

        Raises:
            keras_tuner.errors.FailedTrialError: if the values do not fit each other.
        """
        values = declare(hp, self.space, self.recipe)
        try:
            return compiled_model(varied(self.recipe, self.space, values))
        except ValueError as error:
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
