"""Whole numbers, whichever type they come in."""

import numbers
from typing import Any

import numpy as np


def is_whole(value: object, least: int = 1) -> bool:
    """Returns whether a value is a whole number of at least `least`: Python's or NumPy's, but not True or False."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= least


def plain(value: Any) -> Any:
    """Returns a value with Python's numbers in place of NumPy's, in lists and tuples too: Keras saves no others."""
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value
