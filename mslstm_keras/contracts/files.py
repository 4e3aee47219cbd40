"""The contracts of the cells and models of one file."""

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cells.registry import ARCHITECTURES
from mslstm_keras.contracts.cells import CELL_CONTRACTS
from mslstm_keras.contracts.models import model_contracts, small_model
from mslstm_keras.importing import import_file
from mslstm_keras.models.rollout import Rollout, find_layer


class Checked(NamedTuple):
    """A contract that was looked at.

    Attributes:
        name: of the cell's class, or of the model.
        contract: what it should do.
        error: why it does not; None where it does.
    """

    name: str
    contract: str
    error: Exception | None


def check_file(file: str | os.PathLike[str]) -> Iterator[Checked]:
    """Runs the contracts of every cell and every model that a file registers, one after the other.

    Args:
        file: path of a `.py` file, which is imported.

    Yields:
        `Checked`, in the order of the file.

    Raises:
        ValueError: if the file cannot be imported, if it registers nothing, or if the backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"`check_file` must be asked on the TensorFlow backend. Received: {keras.backend.backend()!r}"
        )
    module = import_file(file)
    cells = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, SpatiotemporalCell)
        and value.__module__ == module.__name__
    ]
    names = [name for name, made in ARCHITECTURES.items() if made.stack.__module__ == module.__name__]
    if not cells and not names:
        raise ValueError(
            "`file` must hold a SpatiotemporalCell or a function with @architecture. Received: "
            f"file={os.fspath(file)!r} with neither"
        )
    for cell in cells:
        for contract, check in CELL_CONTRACTS.items():
            yield _checked(cell.__name__, contract, check, cell)
    used = set()
    for name in names:
        yield (made := _checked(name, "can be made", small_model, name))
        if made.error:
            continue  # and of a model that is not there no more is said
        used |= {type(layer) for layer in find_layer(small_model(name), Rollout).step.layers}
        for contract, holds in model_contracts(name).items():
            yield _checked(name, contract, holds)
    for cell in set(cells) - used:
        warnings.warn(
            f"{cell.__name__} is in no model that could be made: what only models show was not checked. A function "
            "with @architecture makes one",
            stacklevel=2,
        )


def _checked(name: str, contract: str, check: Callable[..., Any], *arguments: Any) -> Checked:
    try:
        check(*arguments)
    except Exception as error:  # a user's cell may raise anything
        return Checked(name, contract, error)
    return Checked(name, contract, None)
