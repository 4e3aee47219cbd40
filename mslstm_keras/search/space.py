"""What a search varies: fields of a recipe, as plain data and as hyperparameters of KerasTuner."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mslstm_keras.integers import plain
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.settings import check_field, read_settings, tuples
from mslstm_keras.training.recipes import Recipe

if TYPE_CHECKING:
    import keras_tuner

OPTION = "options."
KERNEL_SIZES = ((3,), (3, 5), (5, 7), (3, 5, 7))
RANGE = {"low", "high", "log"}

Space = Mapping[str, Sequence[Any] | Mapping[str, Any]]


def default_space(recipe: Recipe) -> dict[str, list[Any]]:
    """Returns what is searched by default: the recipe's own values, and some around them.

    These are several kernel sizes, if the model's cells take more than one; half, once and twice the channels and the
    patch size; 2, 4 or 6 layers, unless the recipe gives the scales of its layers; a third, once and three times the
    learning rate. The search leaves out what does not fit together, such as patches and frames.
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
        space: name of a field of `Recipe`, or "options." and an option of the model's cells -> what it may be. That is
            a list of values, or a range {"low": least, "high": largest, "log": bool}. A range is of ints if both ends
            are ints, else of floats. With "log" (default False) it is searched evenly over the logarithm.

    Raises:
        ValueError: if it is empty, a field is unknown or cannot be varied, or a field cannot have a value.
    """
    if not space:
        raise ValueError("`space` must hold at least one field. Received: none")
    return {field: _checked(field, values) for field, values in space.items()}


def declare(hyperparameters: "keras_tuner.HyperParameters", space: Space, recipe: Recipe) -> dict[str, Any]:
    """Adds a checked space to hyperparameters of KerasTuner. The recipe's own values are the defaults.

    Returns:
        field -> value that the hyperparameters have.
    """
    return {
        field: _declare(hyperparameters, field, values, _own(recipe, field))
        for field, values in space.items()
    }


def varied(recipe: Recipe, space: Space, values: Mapping[str, Any]) -> Recipe:
    """Returns a recipe with values of hyperparameters of KerasTuner. Values of no field of the space are ignored.

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
    """Returns values of hyperparameters, with floats of a range rounded to five digits.

    A chief hands floats to its workers in single precision. Five digits survive that, so both read the same recipe.
    """
    ranges = {field for field, possible in space.items() if isinstance(possible, Mapping)}
    return {field: _rounded(value) if field in ranges else value for field, value in values.items()}


def varied_values(recipe: Recipe, space: Space) -> dict[str, Any]:
    """Returns what a recipe has for the fields of a space."""
    return {field: _own(recipe, field) for field in space}


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
        return _checked_range(field, {key: plain(value) for key, value in values.items()})
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(
            f"`space` must hold a list of values, or a range with low and high, for {field!r}. Received: {values!r}"
        )
    return [_checked_value(field, plain(value)) for value in values]


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
    """Returns values as `Choice` takes them: ints, floats or texts as they are, all else as JSON."""
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
