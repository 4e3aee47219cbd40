"""Clips made while they are read."""

import functools
import hashlib
import re

import numpy as np
import pytest

from mslstm_keras.data.catalogue import find_builder
from mslstm_keras.data.splits import split_clips
from mslstm_keras.data.streams import made_clips, stream_clips
from tests.support.optdigits import OPTDIGITS
from tfds_builders.moving_mnist_clips import objects
from tfds_builders.moving_mnist_clips.make_dummy_data import FOLDER as DUMMY_DATA
from tfds_builders.moving_mnist_clips.moving_digits import moving_digits
from tfds_builders.moving_mnist_clips.objects import load_objects


def test_only_moving_objects_are_streamed():
    message = "`data` must be a config of moving_mnist_clips to be made while it is read. Received: 'kth_clips/trimmed'"
    with pytest.raises(ValueError, match=re.escape(message)):
        stream_clips("kth_clips/trimmed", seed=0)


def test_stream_is_the_generator_with_the_recipes_seed():
    clips = stream_clips(OPTDIGITS, seed=9)
    assert clips.count is None
    indices = np.array([5, 1_000_000])
    expected = moving_digits(load_objects("optdigits", "train"), indices, motion="paper", seed=9)
    np.testing.assert_array_equal(clips.read(indices), expected)
    assert (stream_clips(OPTDIGITS, seed=10).read(indices) != expected).any()


@pytest.mark.parametrize("split", ["train", "test"])
def test_made_clips_are_those_of_the_prepared_split(data_dir, split):
    prepared, made = split_clips(OPTDIGITS, split, data_dir), made_clips(OPTDIGITS, split)
    numbers = np.arange(prepared.count)
    expected = prepared.read(numbers)
    read = made.read(numbers)
    assert (read.dtype, len(read)) == ("uint8", prepared.count)
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(made.read(np.array([2, 0, 2])), expected[[2, 0, 2]])
    # `data_dir` was prepared with fewer clips; as it is declared, the config has more.
    assert made.count == getattr(find_builder(OPTDIGITS).builder_config, f"{split}_clips") > prepared.count


def test_public_test_clips_are_read_from_their_file(monkeypatch):
    path = DUMMY_DATA / "mnist_test_seq.npy"
    monkeypatch.setattr(objects, "_TEST_SEQUENCE_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    clips = made_clips("moving_mnist_clips/srivastava", "test", DUMMY_DATA)
    sequence = np.load(path)  # time first
    assert clips.count == sequence.shape[1] > 1
    for number in range(clips.count):
        np.testing.assert_array_equal(clips.read(np.array([number]))[0, ..., 0], sequence[:, number])


@pytest.mark.parametrize(
    "make", [functools.partial(stream_clips, seed=0), functools.partial(made_clips, split="test")]
)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "moving_mnist_clips/optdigit",
            "`data` must be a config of moving_mnist_clips to be made while it is read. "
            "Received: 'moving_mnist_clips/optdigit'",
        ),
        (
            "moving_mnist/paper",
            "`data` must be a known data set, such as moving_mnist_clips. Received: 'moving_mnist/paper'",
        ),
    ],
)
def test_unknown_configs_are_not_made(make, data, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make(data)
