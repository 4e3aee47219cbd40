"""A zoo to be changed."""

import shutil

import pytest


@pytest.fixture
def zoo(tiny_zoo, tmp_path):
    """A copy of the zoo, to be changed."""
    return shutil.copytree(tiny_zoo, tmp_path / "zoo")
