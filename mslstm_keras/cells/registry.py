"""The named stacks of cells, which cells register themselves."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar, overload

import keras

from mslstm_keras.cells.base import SpatiotemporalCell

Level = SpatiotemporalCell | Sequence[SpatiotemporalCell]
Stack = Callable[..., Sequence[Level]]
AnyStack = TypeVar("AnyStack", bound=Stack)
Penalty = Callable[[], keras.layers.Layer]


class Architecture(NamedTuple):
    """What a named model is made of.

    Attributes:
        stack: function (filters, layers, **options) -> list of levels.
        pyramid: bool. Whether it is a mirrored pyramid or a plain stack.
        penalty: function () -> layer of a loss besides that of the frames, or None.
    """

    stack: Stack
    pyramid: bool
    penalty: Penalty | None


ARCHITECTURES: dict[str, Architecture] = {}
"""Name of a model -> what it is made of; filled by `architecture`."""


@overload
def architecture(
    stack: AnyStack, *, pyramid: str | None = None, penalty: Penalty | None = None
) -> AnyStack: ...


@overload
def architecture(
    *, pyramid: str | None = None, penalty: Penalty | None = None
) -> Callable[[AnyStack], AnyStack]: ...


def architecture(
    stack: Stack | None = None, *, pyramid: str | None = None, penalty: Penalty | None = None
) -> Stack | Callable[[Stack], Stack]:
    """Registers a stack of cells under its function's name, and its mirrored pyramid beside it.

    Args:
        stack: function (filters, layers, **options) -> list of levels, each a fresh cell or a tuple of
            fresh cells run one after the other.
        pyramid: str. Name of the pyramid; "ms_" + the plain name by default.
        penalty: function () -> a fresh layer, for models that have a loss besides that of the frames; see
            `build_step`.

    Returns:
        The function itself, so that it serves as a decorator, with or without arguments.
    """
    if stack is None:
        return lambda function: architecture(function, pyramid=pyramid, penalty=penalty)
    names = stack.__name__, pyramid or f"ms_{stack.__name__}"
    for name in names:
        if name in ARCHITECTURES or names.count(name) > 1:
            raise ValueError(f"`name` of an architecture must be new. Received: name={name!r}")
    plain, pyramid = names
    ARCHITECTURES[plain] = Architecture(stack, False, penalty)
    ARCHITECTURES[pyramid] = Architecture(stack, True, penalty)
    return stack
