"""Fields of a data class, written as text on a command line."""

import inspect
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from mslstm_keras.naming import nearest


def read_settings(kind: type, settings: Mapping[str, str], noun: str) -> dict[str, Any]:
    """Returns the values of fields that `--set field=value` gives as text.

    A text is a str where the field is one, else JSON; arrays become tuples, whole numbers floats where the field is
    one.

    Args:
        kind: data class whose annotations say what a field holds; fields that it inherits cannot be set.
        settings: name of a field -> text.
        noun: str. What an error calls an instance of the class.

    Raises:
        ValueError: if a field is unknown (with the nearest names) or a text is no value of its type.
    """
    return {name: _read(check_field(kind, name, noun), name, text) for name, text in settings.items()}


def check_field(kind: type, name: str, noun: str) -> Any:
    """Returns the annotation of a field.

    Raises:
        ValueError: if there is no such field (with the nearest names).
    """
    annotations = inspect.get_annotations(kind, eval_str=True)
    if name not in annotations:
        raise ValueError(
            f"`{noun}` has no such field; it has {nearest(name, annotations)}. Received: {name!r}"
        )
    return annotations[name]


def tuples(value: Any) -> Any:
    """Returns plain data with tuples where JSON has lists."""
    if isinstance(value, Mapping):
        return {key: tuples(one) for key, one in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def _read(annotation, name, text):
    if annotation is str:
        return text
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    return _checked(annotation, name, value, text)


def read_fields(kind: type, fields: Mapping[str, Any], noun: str) -> dict[str, Any]:
    """Returns the values of fields that a file of JSON holds: arrays become tuples, whole numbers floats as above.

    Args:
        kind: data class, as in `read_settings`.
        fields: name of a field -> value.
        noun: str. What an error calls an instance of the class.

    Raises:
        ValueError: if a field is unknown (with the nearest names) or a value is not of its type.
    """
    return {
        name: _checked(check_field(kind, name, noun), name, value, value) for name, value in fields.items()
    }


def _checked(annotation, name, value, received):
    allowed = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    classes = tuple(typing.get_origin(one) or one for one in allowed)
    if type(value) is int and int not in classes and float in classes:
        value = float(value)
    value = tuples(value)
    if not isinstance(value, classes) or (isinstance(value, bool) and bool not in classes):
        expected = annotation if len(allowed) > 1 else annotation.__name__
        raise ValueError(f"`{name}` must be {expected}, written as JSON. Received: {received!r}")
    return value
