"""What a search varies: fields of a recipe, as plain data, and as hyperparameters of KerasTuner."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.settings import check_field, read_settings, tuples
from mslstm_keras.training.fit import compiled_model
from mslstm_keras.training.recipes import Recipe

if TYPE_CHECKING:
    import keras_tuner

OPTION = "options."
KERNEL_SIZES = ((3,), (3, 5), (5, 7), (3, 5, 7))
RANGE = {"low", "high", "log"}

Space = Mapping[str, Sequence[Any] | Mapping[str, Any]]


def default_space(recipe: Recipe) -> dict[str, list[Any]]:
    """Returns what is searched where nothing else is said: the recipe's own values, and some around them.

    Kernel sizes, where the model's cells have several; half and double the channels and the patches; 2, 4 or 6 layers,
    unless the recipe says at which scales its own are; a third and the triple of the learning rate. What does not fit
    together, such as patches and frames, is left out by the search.
    """
    frames = recipe.frame_shape, recipe.context_frames, recipe.forecast_frames
    step = find_layer(create_model(recipe.model, *frames, **recipe.model_options()), Rollout).step
    space: dict[str, list[Any]] = {}
    if any(hasattr(layer, "kernel_sizes") for layer in step.layers):
        space["options.kernel_sizes"] = list(KERNEL_SIZES)
    space["filters"] = _around(recipe.filters)
    if recipe.scales is None:
        space["layers"] = sorted({2, 4, 6, recipe.layers})
    space["learning_rate"] = [float(f"{recipe.learning_rate * factor:.3g}") for factor in (1 / 3, 1, 3)]
    space["patch_size"] = _around(recipe.patch_size)
    return space


def checked_space(space: Space) -> dict[str, Any]:
    """Returns a space with its values as a recipe holds them.

    Args:
        space: name of a field of `Recipe`, or "options." and an option of the model's cells -> what it may be: a list
            of values, or a range {"low": least, "high": largest, "log": bool}, of ints where both ends are, else of
            floats; with "log" (default False) evenly over the logarithm.

    Raises:
        ValueError: if it is empty, a field is unknown or cannot be varied, or a value is none of that field.
    """
    if not space:
        raise ValueError("`space` must hold at least one field. Received: none")
    return {field: _checked(field, values) for field, values in space.items()}


def declare(hyperparameters: "keras_tuner.HyperParameters", space: Space, recipe: Recipe) -> dict[str, Any]:
    """Adds a checked space to hyperparameters of KerasTuner, the recipe's own values as the defaults.

    Returns:
        field -> value, as the hyperparameters have it.
    """
    return {
        field: _declare(hyperparameters, field, values, _own(recipe, field))
        for field, values in space.items()
    }


def varied(recipe: Recipe, space: Space, values: Mapping[str, Any]) -> Recipe:
    """Returns a recipe with the values that hyperparameters of KerasTuner have; those it does not know are left out.

    Raises:
        ValueError: if the values do not fit each other.
    """
    fields, options = {}, dict(recipe.options)
    for field, possible in space.items():
        value = _decoded(possible, values[field])
        if field.startswith(OPTION):
            options[field.removeprefix(OPTION)] = value
        else:
            fields[field] = value
    return dataclasses.replace(recipe, **fields, options=options)


def rounded(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns values of hyperparameters with five digits where they are floats of a range.

    A chief hands floats to its workers in single precision, in which five digits are safe: both read the same recipe.
    """
    ranges = {field for field, possible in space.items() if isinstance(possible, Mapping)}
    return {field: _rounded(value) if field in ranges else value for field, value in values.items()}


def varied_values(recipe: Recipe, space: Space) -> dict[str, Any]:
    """Returns what a recipe has for the fields of a space."""
    return {field: _own(recipe, field) for field in space}


def build_hypermodel(recipe: Recipe, space: Space | None = None) -> "keras_tuner.HyperModel":
    """Returns a model of KerasTuner: the compiled model of a recipe, some of whose fields are searched.

    It serves every tuner of KerasTuner, which trains it on arrays or a `tf.data.Dataset` of frames 0 .. T - 2 and 1 ..
    T - 1 that its `search` is given, under a `distribution_strategy` if it has one; `objective` is
    `keras_tuner.Objective("val_frame_mse", "min")`. Fields that say how to train, such as `steps`, are then up to
    `search`. Where values do not fit each other the trial fails, and the search goes on.

    Args:
        recipe: the recipe that is varied.
        space: field -> values, as `checked_space` describes them, such as {"filters": [8, 16], "options.kernel_sizes":
            [(3,), (3, 5)], "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}. Default: `default_space`.

    Returns:
        `keras_tuner.HyperModel`.

    Raises:
        ValueError: if the space breaks its rules.
    """
    import keras_tuner

    searched = checked_space(default_space(recipe) if space is None else space)

    class RecipeModel(keras_tuner.HyperModel):
        """The compiled model of a recipe."""

        def build(self, hp):
            values = declare(hp, searched, recipe)
            try:
                return compiled_model(varied(recipe, searched, values))
            except ValueError as error:
                raise keras_tuner.errors.FailedTrialError(str(error)) from error

    return RecipeModel(name=recipe.name)


def _around(value):
    return sorted({max(1, value // 2), value, 2 * value})


def _checked(field, values):
    if not field.startswith(OPTION):
        check_field(Recipe, field, "recipe")
    if field in ("name", "options", "validation_clips", "validation_split"):
        raise ValueError(
            f"`space` must not vary {field!r}: trials could not be compared. Received: {values!r}"
        )
    if isinstance(values, Mapping):
        return _checked_range(field, values)
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(
            f"`space` must hold a list of values, or a range with low and high, for {field!r}. Received: {values!r}"
        )
    return [_checked_value(field, value) for value in values]


def _checked_range(field, values):
    ends = [values.get(end) for end in ("low", "high")]
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends)
    log = values.get("log", False)
    if not numbers or not set(values) <= RANGE or not isinstance(log, bool) or not ends[0] < ends[1]:
        raise ValueError(
            f"`space` must hold low < high, and log as a bool, for the range of {field!r}. Received: {dict(values)}"
        )
    if log and ends[0] <= 0:
        raise ValueError(f"`space` must hold low > 0 for {field!r}, as log is true. Received: {dict(values)}")
    low, high = (_checked_value(field, end) for end in ends)
    return {"low": low, "high": high, "log": log}


def _checked_value(field, value):
    if field.startswith(OPTION):
        return tuples(json.loads(json.dumps(value)))
    text = value if isinstance(value, str) else json.dumps(value)
    return read_settings(Recipe, {field: text}, "recipe")[field]


def _own(recipe, field):
    if field.startswith(OPTION):
        return recipe.options.get(field.removeprefix(OPTION))
    return getattr(recipe, field)


def _declare(hyperparameters, field, values, own):
    if isinstance(values, Mapping):
        low, high = values["low"], values["high"]
        whole = isinstance(low, int) and isinstance(high, int)
        make = hyperparameters.Int if whole else hyperparameters.Float
        default = own if isinstance(own, (int, float)) and low <= own <= high else low
        return make(field, low, high, sampling="log" if values["log"] else "linear", default=default)
    choices = _encoded(values)
    default = choices[values.index(own)] if own in values else choices[0]
    return hyperparameters.Choice(field, choices, default=default)


def _encoded(values):
    """Returns values as `Choice` takes them: ints, floats or texts; all else as JSON."""
    kinds = {type(value) for value in values}
    if len(kinds) == 1 and kinds <= {int, float, str}:
        return list(values)
    return [json.dumps(value) for value in values]


def _decoded(values, received):
    if isinstance(values, Mapping):
        return _rounded(received)
    choices = _encoded(values)
    if isinstance(received, float):
        return min(values, key=lambda value: abs(value - received))
    return values[choices.index(received)]


def _rounded(value):
    return value if isinstance(value, int) else float(f"{value:.5g}")
