"""Data sets prepared once for all tests that read them."""

import pytest

from mslstm_keras.data.catalogue import find_builder
from mslstm_keras.data.preparation import prepare
from tests.support.optdigits import OPTDIGITS, TEST_CLIPS, TRAIN_CLIPS


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Folder with the data set optdigits prepared, cut down to a few clips."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        config = find_builder(OPTDIGITS).builder_config
        patch.setattr(config, "train_clips", TRAIN_CLIPS)
        patch.setattr(config, "test_clips", TEST_CLIPS)
        prepare(OPTDIGITS, folder)
    return folder


@pytest.fixture(scope="session")
def variant(tmp_path_factory):
    """Folder with `moving_mnist_clips/mine` prepared, a variant of optdigits."""
    folder = tmp_path_factory.mktemp("variant")
    settings = {"train_clips": "3", "test_clips": "2", "motion": "srivastava"}
    builder = prepare(OPTDIGITS, folder, variant="mine", settings=settings)
    assert builder.info.full_name == "moving_mnist_clips/mine/1.0.0"
    return folder
