"""How a contract tells that it is broken."""

from typing import Any

import keras
import numpy as np


class BrokenContract(ValueError):
    """What a cell or a model promises does not hold; the message says in what way, with the numbers."""


def require(holds: Any, message: str) -> None:
    """Raises `BrokenContract` with a message unless something holds."""
    if not holds:
        raise BrokenContract(message)


def require_close(received: Any, expected: Any, tolerance: float, what: str) -> None:
    """Raises `BrokenContract` unless two tensors have one shape and differ by a tolerance at most.

    Args:
        received: tensor.
        expected: tensor.
        tolerance: float. With 0 both must be the same to the last bit; NaN is never close.
        what: what must be what, the beginning of the message.
    """
    received, expected = (keras.ops.convert_to_numpy(each) for each in (received, expected))
    require(
        received.shape == expected.shape,
        f"{what}. Received: shape {received.shape}, not {expected.shape}",
    )
    difference = np.abs(received.astype("float64") - expected).max(initial=0)
    require(difference <= tolerance, f"{what}. Received: a difference of {difference:.2g}")
