"""Rain maps that weather services give away, read as one `xarray.Dataset`: `mslstm_keras.read_radar`."""

from mslstm_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
