"""Types that signatures share and no library has."""

from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A tensor of any backend, a symbolic one, or an array that becomes one: Keras has no type for them all."""

Shape: TypeAlias = tuple[Any, ...]
"""Sides of a tensor: ints, or None where one is not known yet; which of them, only the place can tell."""
