"""TensorFlow Datasets builders, one folder each.

Importing `tfds_builders.<name>` does not import TFDS. Importing the module
`tfds_builders.<name>.<name>_dataset_builder` does, and registers the data set, so that
`tfds.load("<name>")` and `tfds.builder("<name>")` find it; `import mslstm_keras.datasets` does so for all of them.
"""
