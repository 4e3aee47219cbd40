"""Tests of the TFDS builder on the small files of `dummy_data/` and on synthetic flows."""

import dataclasses
import itertools
import shutil
from typing import ClassVar
from unittest import mock

import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfds_builders.random_access import random_access
from tfds_builders.taxibj_clips import flow_clips
from tfds_builders.taxibj_clips.flows import FILES
from tfds_builders.taxibj_clips.make_dummy_data import FOLDER as DUMMY_DATA
from tfds_builders.taxibj_clips.synthetic_flows import synthetic_flows
from tfds_builders.taxibj_clips.taxibj_clips_dataset_builder import Builder, TaxibjClipsConfig

TEST_WINDOWS = 20
# Runs of the dummy files have 96, 48, 48, 96 and 96 frames.
WINDOWS, REFERENCE_WINDOWS = 384 - 5 * 7, 384 - 5 * 8


class DummyFilesCase(tfds.testing.DatasetBuilderTestCase):
    """Prepares configs from the dummy files, unchecked."""

    DATASET_CLASS = Builder

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for config in Builder.BUILDER_CONFIGS:
            if config.synthetic_weeks is None:
                cls.enterClassContext(mock.patch.object(config, "check_md5", False))
                cls.enterClassContext(mock.patch.object(config, "test_windows", TEST_WINDOWS))


class ForwardTest(DummyFilesCase):
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["inflow", "both"]
    SPLITS: ClassVar[dict[str, int]] = {"train": WINDOWS - TEST_WINDOWS - 7, "test": TEST_WINDOWS}


class ReferenceOrderTest(DummyFilesCase):
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["reference_order"]
    SPLITS: ClassVar[dict[str, int]] = {"train": REFERENCE_WINDOWS - TEST_WINDOWS, "test": TEST_WINDOWS}


class SyntheticTest(DummyFilesCase):
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["synthetic"]
    SPLITS: ClassVar[dict[str, int]] = {"train": 788, "test": 96}


del DummyFilesCase  # not a test by itself


def variant(name, **fields):
    return dataclasses.replace(Builder.builder_configs[name], name="mine", **fields)


def prepare(tmp_path, config, manual_dir=DUMMY_DATA):
    builder = Builder(config=config, data_dir=tmp_path / "data")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def read(builder, split):
    examples = list(tfds.as_numpy(builder.as_dataset(split=split)))
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}


@pytest.fixture(scope="module")
def dummy_days():
    """Dates and counts of the whole days of the dummy files, and the first frame of each run."""
    dates, counts = [], []
    for name in FILES:
        with h5py.File(DUMMY_DATA / name) as file:
            dates.append(file["date"][()].astype(np.int64))
            counts.append(file["data"][()])
    dates, counts = np.concatenate(dates), np.concatenate(counts).clip(0)
    whole = dates // 100 != 20140302
    return dates[whole], counts[whole], (0, 96, 144, 192, 288)


def test_clips_are_those_of_the_files(tmp_path, dummy_days):
    dates, counts, _ = dummy_days
    builder = prepare(tmp_path, variant("both", check_md5=False, test_windows=TEST_WINDOWS))
    least, most = counts[:-TEST_WINDOWS].min(), counts[:-TEST_WINDOWS].max()
    train, test = read(builder, "train"), read(builder, "test")
    for part, index, first in ((train, 0, 0), (train, 89, 96), (test, 0, 384 - 27), (test, 19, 384 - 8)):
        expected = (counts[first : first + 8].transpose(0, 2, 3, 1) - least) / (most - least)
        np.testing.assert_allclose(part["frames"][index], expected.clip(0, 1), atol=1e-6)
        assert part["time"][index] == dates[first]
    np.testing.assert_array_equal(np.unique(np.append(train["minimum"], test["minimum"])), [least])
    np.testing.assert_array_equal(np.unique(np.append(train["maximum"], test["maximum"])), [most])
    taxis = train["minimum"][0] + train["frames"][0] * (train["maximum"][0] - train["minimum"][0])
    np.testing.assert_allclose(taxis, counts[:8].transpose(0, 2, 3, 1), atol=1e-3)


def test_no_frame_is_in_both_parts(tmp_path, dummy_days):
    dates, _, _ = dummy_days
    config = variant("inflow", check_md5=False, test_windows=TEST_WINDOWS)
    builder = prepare(tmp_path, config)
    last, first = read(builder, "train")["time"][-1], read(builder, "test")["time"][0]
    assert dates.tolist().index(first) - dates.tolist().index(last) == 8
    shared = prepare(tmp_path, dataclasses.replace(config, name="shared", disjoint=False))
    assert shared.info.splits["train"].num_examples == WINDOWS - TEST_WINDOWS


def test_reference_order_is_the_public_definition(tmp_path, dummy_days):
    dates, counts, runs = dummy_days
    builder = prepare(tmp_path, variant("reference_order", check_md5=False, test_windows=TEST_WINDOWS))
    scaled = counts / counts[:-TEST_WINDOWS].max()
    runs = [*runs, 384]
    indices = [i for first, end in itertools.pairwise(runs) for i in range(first + 8, end)]
    expected = np.stack([[scaled[i - k, 0] for k in range(1, 9)] for i in indices])[..., np.newaxis]
    parts = [read(builder, split) for split in ("train", "test")]
    frames = np.concatenate([part["frames"] for part in parts])
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, (expected.clip(0, 1) * 255).astype(np.uint8))
    times = np.concatenate([part["time"] for part in parts])
    np.testing.assert_array_equal(times, dates[np.array(indices) - 1])


def test_the_last_frames_have_no_part_in_the_scale(tmp_path):
    shutil.copytree(DUMMY_DATA, tmp_path / "manual")
    with h5py.File(tmp_path / "manual" / "BJ16_M32x32_T30_InOut.h5", "a") as file:
        file["data"][-TEST_WINDOWS, 0, 9, 9] = 5_000
        file["data"][-TEST_WINDOWS - 1, 1, 9, 9] = 1_000
    builder = prepare(
        tmp_path, variant("inflow", check_md5=False, test_windows=TEST_WINDOWS), tmp_path / "manual"
    )
    test = read(builder, "test")
    assert (test["maximum"] == 1_000).all()  # of the outflow, though only the inflow is stored
    assert test["frames"].max() == test["frames"][0, 7, 9, 9, 0] == 1


def test_some_of_the_files_suffice_without_the_check(tmp_path):
    (tmp_path / "manual" / "TaxiBJ").mkdir(parents=True)
    shutil.copy(DUMMY_DATA / "BJ15_M32x32_T30_InOut.h5", tmp_path / "manual" / "TaxiBJ")
    config = variant("inflow", check_md5=False, test_windows=TEST_WINDOWS)
    builder = prepare(tmp_path, config, tmp_path / "manual")
    assert builder.info.splits["train"].num_examples == 96 - 7 - TEST_WINDOWS - 7


def assert_nothing_prepared(tmp_path):
    # TFDS writes down which configs it was asked for, but not that one of them is there.
    assert [path.name for path in (tmp_path / "data" / "taxibj_clips").glob("*/*")] == ["metadata.json"]


def test_files_with_another_md5_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"BJ13_M32x32_T30_InOut.h5 must have the MD5"):
        prepare(tmp_path, Builder.builder_configs["inflow"])
    assert_nothing_prepared(tmp_path)


def test_a_damaged_file_leaves_nothing(tmp_path):
    shutil.copytree(DUMMY_DATA, tmp_path / "manual")
    damaged = tmp_path / "manual" / "BJ16_M32x32_T30_InOut.h5"
    damaged.write_bytes(damaged.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r"must be a whole HDF5 file .*BJ16_M32x32_T30_InOut.h5"):
        prepare(tmp_path, variant("inflow", check_md5=False, test_windows=TEST_WINDOWS), tmp_path / "manual")
    assert_nothing_prepared(tmp_path)


@pytest.mark.parametrize("exists", [False, True])
def test_no_files(tmp_path, exists):
    if exists:
        (tmp_path / "manual").mkdir()
    with pytest.raises(
        ValueError,
        match=r"`manual_dir` must hold the files of TaxiBJ: `mslstm .* Manual directory .* is empty\.$",
    ):
        prepare(tmp_path, Builder.builder_configs["inflow"], tmp_path / "manual")


def test_too_few_windows(tmp_path):
    with pytest.raises(
        ValueError, match=r"`test_windows` must leave windows for training.*1344 of 349 windows"
    ):
        prepare(tmp_path, variant("inflow", check_md5=False))
    assert_nothing_prepared(tmp_path)


def test_the_count_of_the_real_files_is_known(tmp_path, monkeypatch):
    config = variant("reference_order", test_windows=TEST_WINDOWS)
    find_files = "tfds_builders.taxibj_clips.taxibj_clips_dataset_builder.find_files"
    monkeypatch.setattr(find_files, lambda folder, check_md5: [folder / name for name in FILES])
    with pytest.raises(
        ValueError, match=r"must give 19,560 train and 1,344 test windows .* Received: -1,000 and"
    ):
        prepare(tmp_path, config)
    monkeypatch.setitem(flow_clips._REFERENCE_WINDOWS, "train", REFERENCE_WINDOWS - 1_344)
    assert prepare(tmp_path, config).info.splits["test"].num_examples == TEST_WINDOWS


def test_synthetic_flows_go_the_same_way(tmp_path):
    builder = prepare(tmp_path, variant("synthetic", synthetic_weeks=2, dtype="uint8", channels=2))
    counts = synthetic_flows(2)[1]
    clip = random_access(builder, "test")[95]
    assert clip["time"] == 2001011441
    maximum = counts[:-96].max()
    assert clip["maximum"] == maximum
    expected = (counts[-8:] / maximum).clip(0, 1).transpose(0, 2, 3, 1) * 255
    np.testing.assert_array_equal(clip["frames"], expected.astype(np.uint8))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("channels", 3, r"`channels` must be one of \(1, 2\). Received: channels=3"),
        ("dtype", "int8", r"`dtype` must be one of \('float32', 'uint8'\). Received: dtype='int8'"),
        ("test_windows", 0, "`test_windows` must be at least 1. Received: test_windows=0"),
    ],
)
def test_config_values_are_checked(field, value, message):
    with pytest.raises(ValueError, match=message):
        TaxibjClipsConfig(name="mine", **{field: value})


@pytest.mark.parametrize(
    ("name", "channels", "dtype", "test_windows", "disjoint", "reference_order", "weeks"),
    [
        ("inflow", 1, np.float32, 1_344, True, False, None),
        ("both", 2, np.float32, 1_344, True, False, None),
        ("reference_order", 1, np.uint8, 1_344, False, True, None),
        ("synthetic", 1, np.float32, 96, True, False, 3),
    ],
)
def test_declared_configs(tmp_path, name, channels, dtype, test_windows, disjoint, reference_order, weeks):
    builder = tfds.builder(f"taxibj_clips/{name}", data_dir=tmp_path)
    config = builder.builder_config
    assert (config.test_windows, config.disjoint, config.check_md5) == (test_windows, disjoint, True)
    assert (config.reference_order, config.synthetic_weeks) == (reference_order, weeks)
    features = builder.info.features
    assert (features["frames"].shape, features["frames"].np_dtype) == ((8, 32, 32, channels), dtype)
    assert sorted(features) == ["frames", "maximum", "minimum", "time"]
    assert builder.info.disable_shuffling
    assert "synthetic" in builder.info.description and "zhang2017deep" in builder.info.citation


def test_configs_are_all_declared():
    assert list(Builder.builder_configs) == ["inflow", "both", "reference_order", "synthetic"]
