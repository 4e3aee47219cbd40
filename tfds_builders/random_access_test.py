"""Tests of random access beside `tf.data`, on a tiny data set in several shards."""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.file_adapters import ArrayRecordFileAdapter

from tests.support.processes import no_file_larger_than
from tfds_builders.random_access import random_access

COUNT = 7


class CountingNumbers(tfds.core.GeneratorBasedBuilder):
    """Example i holds the number i, in the test split the number 100 + i."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        feature = tfds.features.Tensor(shape=(2,), dtype=np.uint8, encoding="zlib")
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict({"number": feature}),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0), "test": self._generate_examples(100)}

    def _generate_examples(self, first):
        for number in range(COUNT):
            yield number, {"number": np.full(2, first + number, np.uint8)}


def prepared(data_dir, **options):
    builder = CountingNumbers(data_dir=data_dir, **options)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=3))
    return builder


def files(data_dir):
    return {path: path.stat().st_mtime_ns for path in data_dir.rglob("*") if path.is_file()}


@pytest.mark.parametrize("again", [False, True], ids=["same builder", "builder made again"])
def test_both_ways_of_reading(tmp_path, again):
    builder = prepared(tmp_path)
    for split, first in (("train", 0), ("test", 100)):
        if again:
            builder = CountingNumbers(data_dir=tmp_path)
        source = random_access(builder, split)
        assert len(source) == COUNT
        assert [int(source[i]["number"][0]) - first for i in (6, 0, 3)] == [6, 0, 3]
        assert [int(e["number"][0]) - first for e in source.__getitems__([2, 2, 5])] == [2, 2, 5]
        examples = tfds.as_numpy(builder.as_dataset(split=split))
        assert [int(example["number"][1]) - first for example in examples] == list(range(COUNT))
    assert len(list(tmp_path.rglob("*.array_record-*-of-00003"))) == 6


def test_files_are_written_once(tmp_path):
    builder = prepared(tmp_path)
    random_access(builder, "train")
    before = files(tmp_path)
    random_access(builder, "test")
    random_access(prepared(tmp_path), "train")
    assert files(tmp_path) == before


def test_array_record_data_set_stays_as_it_is(tmp_path):
    builder = prepared(tmp_path, file_format="array_record")
    before = files(tmp_path)
    assert int(random_access(builder, "train")[5]["number"][0]) == 5
    assert files(tmp_path) == before


def test_failure_leaves_the_data_set_as_it_was(tmp_path):
    builder = prepared(tmp_path)
    before = files(tmp_path)

    def write_half(path, examples):
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    with (
        mock.patch.object(ArrayRecordFileAdapter, "write_examples", write_half),
        pytest.raises(OSError, match="No space left"),
    ):
        random_access(builder, "train")
    assert files(tmp_path) == before
    assert int(random_access(builder, "train")[5]["number"][0]) == 5


def test_a_full_disk_is_an_os_error_of_what_could_not_be_written(tmp_path):
    builder = prepared(tmp_path)
    before = files(tmp_path)
    said = (
        r"/1\.0\.0/counting_numbers-\w+\.array_record-00000-of-00003 cannot be written: [^;]*File too large$"
    )
    with no_file_larger_than(100), pytest.raises(OSError, match=said):
        random_access(builder, "train")
    assert files(tmp_path) == before


def test_refused(tmp_path):
    builder = CountingNumbers(data_dir=tmp_path)
    with pytest.raises(ValueError, match=r"`builder` must be prepared .* counting_numbers/1\.0\.0 in "):
        random_access(builder, "train")
    with pytest.raises(ValueError, match=r"`split` must be one of \['test', 'train'\]. .*'validation'"):
        random_access(prepared(tmp_path), "validation")
