"""Cells become a step, a step a roll-out, and both a named model."""

from mslstm_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
