"""The data sets as TensorFlow Datasets has them."""

from mslstm_keras.data.catalogue import BUILDERS
from tests.support.processes import run_script
from tests.test_architecture import ROOT

REGISTERS = """
import sys
import tensorflow_datasets as tfds

names = sys.argv[1:]
assert not set(names) & set(tfds.list_builders())
import mslstm_keras.datasets
assert set(names) <= set(tfds.list_builders())
for name in names:
    module = sys.modules[f"tfds_builders.{name}"]
    assert getattr(mslstm_keras.datasets, name) is module
    assert tfds.builder_cls(name).__module__ == f"tfds_builders.{name}.{name}_dataset_builder"
"""


def test_importing_them_registers_them_with_tfds():
    child = run_script(REGISTERS, ROOT, *BUILDERS)
    assert child.returncode == 0, child.stderr
