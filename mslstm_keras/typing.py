"""Types that signatures share and no library has."""

from collections.abc import Callable
from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A tensor of any backend, a symbolic one, or an array that becomes one: Keras has no type for them all."""

Progress: TypeAlias = Callable[[int, int], None]
"""Function that is called with how many of how many parts of a work are done."""

Shape: TypeAlias = tuple[Any, ...]
"""Sides of a tensor: ints, or None where one is not known yet; which of them, only the place can tell."""
