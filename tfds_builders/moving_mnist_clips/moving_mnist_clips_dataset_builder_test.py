"""Tests of the TFDS builder on the small files of `dummy_data/`."""

import gzip
import hashlib
from contextlib import ExitStack
from typing import ClassVar
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfds_builders.moving_mnist_clips import objects
from tfds_builders.moving_mnist_clips.make_dummy_data import FOLDER as DUMMY_DATA
from tfds_builders.moving_mnist_clips.moving_digits import SPLIT_SEEDS, moving_digits
from tfds_builders.moving_mnist_clips.moving_mnist_clips_dataset_builder import Builder
from tfds_builders.parts import check_same_sources
from tfds_builders.random_access import random_access

TRAIN_CLIPS, TEST_CLIPS = 3, 2


def accept_dummy_data(enter):
    """Lets the dummy files pass the checks and makes the configs small, until the contexts end."""
    sources = {}
    for name, source in objects._IDX_SOURCES.items():
        files = {
            split: DUMMY_DATA / source.folder / f"{file}.gz" for split, file in objects._IDX_FILES.items()
        }
        md5 = {
            split: hashlib.md5(gzip.decompress(file.read_bytes())).hexdigest()
            for split, file in files.items()
        }
        sources[name] = source._replace(md5=md5)
    enter(mock.patch.dict(objects._IDX_SOURCES, sources))
    sha256 = hashlib.sha256((DUMMY_DATA / "mnist_test_seq.npy").read_bytes()).hexdigest()
    enter(mock.patch.object(objects, "_TEST_SEQUENCE_SHA256", sha256))
    for config in Builder.BUILDER_CONFIGS:
        enter(mock.patch.object(config, "train_clips", TRAIN_CLIPS))
        if config.test_clips is not None:
            enter(mock.patch.object(config, "test_clips", TEST_CLIPS))


class MovingMnistClipsTest(tfds.testing.DatasetBuilderTestCase):
    """Prepares and reads every config."""

    DATASET_CLASS = Builder
    SPLITS: ClassVar[dict[str, int]] = {"train": TRAIN_CLIPS, "test": TEST_CLIPS}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        accept_dummy_data(cls.enterClassContext)


@pytest.fixture
def dummy_files():
    with ExitStack() as stack:
        accept_dummy_data(stack.enter_context)
        yield


def prepare(config, data_dir):
    builder = tfds.builder(f"moving_mnist_clips/{config}", data_dir=data_dir)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=DUMMY_DATA))
    return builder


def expected_clips(config, split):
    if config.test_clips is None and split == "test":
        return objects.load_test_sequence(manual_dir=DUMMY_DATA).swapaxes(0, 1)[..., np.newaxis]
    images = objects.load_objects(config.source, split, manual_dir=DUMMY_DATA)
    count = TRAIN_CLIPS if split == "train" else TEST_CLIPS
    return moving_digits(images, range(count), motion=config.motion, seed=SPLIT_SEEDS[split])


@pytest.mark.parametrize("config", Builder.BUILDER_CONFIGS, ids=lambda config: config.name)
def test_random_access_gives_the_clips_of_the_generator(tmp_path, dummy_files, config):
    builder = prepare(config.name, tmp_path)
    for split in ("train", "test"):
        source, expected = random_access(builder, split), expected_clips(config, split)
        assert len(source) == len(expected)
        for index in reversed(range(len(expected))):
            np.testing.assert_array_equal(source[index]["frames"], expected[index])
        several = [example["frames"] for example in source.__getitems__([1, 0, 1])]
        np.testing.assert_array_equal(several, expected[[1, 0, 1]])


def test_clips_come_in_order_from_record_files(tmp_path, dummy_files):
    builder = prepare("paper", tmp_path)
    read = [example["frames"] for example in tfds.as_numpy(builder.as_dataset(split="train"))]
    np.testing.assert_array_equal(read, expected_clips(builder.builder_config, "train"))


@pytest.mark.parametrize(
    ("name", "source", "motion", "train_clips", "test_clips"),
    [
        ("paper", "mnist", "paper", 10_500, 4_500),
        ("srivastava", "mnist", "srivastava", 10_000, None),
        ("fashion", "fashion", "srivastava", 10_000, 10_000),
        ("optdigits", "optdigits", "paper", 2_000, 500),
    ],
)
def test_declared_configs(tmp_path, name, source, motion, train_clips, test_clips):
    builder = tfds.builder(f"moving_mnist_clips/{name}", data_dir=tmp_path)
    config = builder.builder_config
    assert (config.source, config.motion) == (source, motion)
    assert (config.train_clips, config.test_clips) == (train_clips, test_clips)
    assert builder.info.features["frames"].shape == (20, 64, 64, 1)
    assert builder.info.features["frames"].np_dtype == np.uint8
    assert builder.info.disable_shuffling
    assert "paper" in builder.info.description and "srivastava2015unsupervised" in builder.info.citation


def test_configs_are_all_declared():
    assert list(Builder.builder_configs) == ["paper", "srivastava", "fashion", "optdigits"]


def test_without_manual_folder_files_are_downloaded(tmp_path, dummy_files):
    asked = []

    def download(self, url):
        asked.append(url)
        folder = "fashion-mnist" if "fashion" in url else "mnist"
        return DUMMY_DATA / folder / url.rpartition("/")[2]

    builder = tfds.builder("moving_mnist_clips/fashion", data_dir=tmp_path)
    with mock.patch.object(tfds.download.DownloadManager, "download", download):
        builder.download_and_prepare()
    assert len(asked) == 2
    assert builder.info.splits["test"].num_examples == TEST_CLIPS
    names = ["t10k-images-idx3-ubyte", "train-images-idx3-ubyte"]
    assert (list(builder.sources.files), builder.sources.folder) == (names, None)
    check_same_sources(builder, DUMMY_DATA)
    with pytest.raises(
        ValueError, match=r"before, downloaded \(.*train-images-idx3-ubyte has another content$"
    ):
        other = tmp_path / "other"
        other.mkdir()
        (other / "train-images-idx3-ubyte").write_bytes(b"other")
        check_same_sources(builder, other)
