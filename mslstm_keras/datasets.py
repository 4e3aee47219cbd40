"""The data sets as TensorFlow Datasets has them.

    import tensorflow_datasets as tfds
    import mslstm_keras.datasets

    clips = tfds.load("taxibj_clips/synthetic", split="test")

The import registers every data set with TFDS. `mslstm_keras.datasets.taxibj_clips` is the package of one, with its
`configs`; it is the same module as `tfds_builders.taxibj_clips`, where TFDS looks for its files.
"""

import importlib

from mslstm_keras.data.catalogue import BUILDERS, builder_class

for _name in BUILDERS:
    builder_class(_name)
    globals()[_name] = importlib.import_module(f"tfds_builders.{_name}")
