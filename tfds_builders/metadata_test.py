"""What a data set knows of itself, in one file."""

import json

import pytest
import tensorflow_datasets as tfds

from tests.support.processes import no_file_larger_than
from tfds_builders.metadata import METADATA, read_metadata, update_metadata


def test_facts_are_added_and_others_kept(tmp_path):
    assert read_metadata(tmp_path) == {}
    update_metadata(tmp_path, sources=None, scaling={"offset": 0.5, "factor": [1, 2]})
    update_metadata(tmp_path, sources={"folder": "a\udcff"})
    expected = {"sources": {"folder": "a\udcff"}, "scaling": {"offset": 0.5, "factor": [1, 2]}}
    assert read_metadata(tmp_path) == expected
    assert [path.name for path in tmp_path.iterdir()] == [METADATA]


def test_tfds_reads_the_file(tmp_path):
    update_metadata(tmp_path, scaling={"factor": 2})
    metadata = tfds.core.MetadataDict()
    metadata.load_metadata(tmp_path)
    assert metadata == {"scaling": {"factor": 2}}


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1'])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / METADATA).write_text(content)
    with pytest.raises(
        ValueError, match=rf"must be a JSON object, .* Received: {tmp_path}/{METADATA}: [^\n]+$"
    ):
        read_metadata(tmp_path)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    update_metadata(tmp_path, scaling={"factor": 2})
    with no_file_larger_than(100), pytest.raises(OSError, match="File too large"):
        update_metadata(tmp_path, note="x" * 1_000)
    assert [path.name for path in tmp_path.iterdir()] == [METADATA]
    assert json.loads((tmp_path / METADATA).read_text()) == {"scaling": {"factor": 2}}
