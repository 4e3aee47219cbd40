"""Video prediction with Keras 3: MS-LSTM and its baselines, their data, training and trained weights.

Here are the names that are typed daily; all others are in the package of their subject, such as `mslstm_keras.metrics`.
Each is listed in the `__init__.pyi` of its package and loaded when it is first used.
"""

from mslstm_keras import lazy
from mslstm_keras.registration import register_with_keras

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
register_with_keras()
