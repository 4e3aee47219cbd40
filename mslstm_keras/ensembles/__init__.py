"""Several forecasts of one clip, and the probabilities that they give."""

from mslstm_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
