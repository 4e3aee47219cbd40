"""Clips of a prepared split, and of a file."""

import re

import numpy as np
import pytest

from mslstm_keras.data.catalogue import find_builder
from mslstm_keras.data.splits import split_clips
from tests.support.optdigits import OPTDIGITS, TEST_CLIPS, TRAIN_CLIPS
from tests.support.radar import RADAR, prepare_radar
from tfds_builders.moving_mnist_clips.moving_digits import SPLIT_SEEDS, moving_digits
from tfds_builders.moving_mnist_clips.objects import load_objects
from tfds_builders.random_access import random_access


@pytest.mark.parametrize(("split", "count"), [("train", TRAIN_CLIPS), ("test", TEST_CLIPS)])
def test_a_prepared_split_holds_the_generators_clips(data_dir, split, count):
    clips = split_clips(OPTDIGITS, split, data_dir)
    assert clips.count == count
    images = load_objects("optdigits", split)
    expected = moving_digits(images, range(count), motion="paper", seed=SPLIT_SEEDS[split])
    read = clips.read(np.arange(count))
    assert read.dtype == "uint8"
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(clips.read(np.array([2, 0, 2])), expected[[2, 0, 2]])  # any order


def test_a_variant_is_read_by_its_name(variant):
    clips = split_clips("moving_mnist_clips/mine", "train", variant)
    expected = moving_digits(
        load_objects("optdigits", "train"), range(3), motion="srivastava", seed=SPLIT_SEEDS["train"]
    )
    np.testing.assert_array_equal(clips.read(np.arange(3)), expected)


def test_minutes_between_frames_are_those_of_the_config(monkeypatch, data_dir):
    assert split_clips(OPTDIGITS, "test", data_dir).interval is None
    builder = find_builder(OPTDIGITS, data_dir)
    monkeypatch.setattr(builder.builder_config, "interval", 10, raising=False)
    assert split_clips(OPTDIGITS, "test", data_dir).interval == 10


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_missing_pixels_are_nan(tmp_path, dtype):
    """Whatever the data set holds there."""
    observed = prepare_radar(tmp_path, under_the_mask=3.0, dtype=dtype)
    for split, seen in observed.items():
        clips = split_clips(RADAR, split, tmp_path)
        assert clips.masked and clips.count == len(seen)
        frames = clips.frames(np.arange(clips.count))
        assert frames.dtype == "float32"
        np.testing.assert_array_equal(~np.isnan(frames), seen)
        stored = random_access(find_builder(RADAR, tmp_path), split)
        for number, example in enumerate(stored):
            assert example["frames"].dtype == dtype and example["frames"][~seen[number]].all()
            scale = np.float32(255 if dtype == "uint8" else 1)
            expected = example["frames"][seen[number]] / scale
            np.testing.assert_array_equal(frames[number][seen[number]], expected)
    np.testing.assert_array_equal(clips.frames(np.array([2, 0])), frames[[2, 0]])


def test_data_sets_without_a_mask_have_no_missing_pixels(data_dir):
    assert not split_clips(OPTDIGITS, "test", data_dir).masked


def test_unprepared_data_is_refused_with_the_command(tmp_path):
    message = (
        f"`data` must be prepared, by `mslstm data prepare {OPTDIGITS}`. Received: {OPTDIGITS!r}, without a "
        f"split 'train' in {tmp_path}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        split_clips(OPTDIGITS, "train", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_refusal_names_what_is_prepared(data_dir):
    other = "moving_mnist_clips/fashion"
    with pytest.raises(ValueError, match=re.escape(f"{other}/1.0.0 (prepared there: {OPTDIGITS})")):
        split_clips(other, "train", data_dir)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_file_of_clips_is_split_at_its_last_tenth(tmp_path, channels):
    whole = np.random.default_rng(0).integers(0, 256, (25, 3, 4, 4, *channels), dtype="uint8")
    np.save(tmp_path / "clips.npy", whole)
    train, test = (split_clips(str(tmp_path / "clips.npy"), split) for split in ("train", "test"))
    assert (train.count, test.count) == (23, 2)
    whole = whole.reshape(25, 3, 4, 4, -1)
    np.testing.assert_array_equal(train.read(np.array([22, 0])), whole[[22, 0]])
    np.testing.assert_array_equal(test.read(np.arange(2)), whole[23:])


def test_a_small_file_of_clips_keeps_one_for_tests(tmp_path):
    np.save(tmp_path / "clips.npy", np.zeros((2, 3, 4, 4), "uint8"))
    assert [split_clips(str(tmp_path / "clips.npy"), split).count for split in ("train", "test")] == [1, 1]


@pytest.mark.parametrize(
    "content",
    [np.zeros((5, 3, 4, 4), "float32"), np.zeros((5, 3, 4), "uint8"), np.zeros((1, 3, 4, 4), "uint8")],
)
def test_files_of_something_else_are_refused(tmp_path, content):
    np.save(tmp_path / "clips.npy", content)
    message = f"shape {content.shape}, dtype {content.dtype}"
    with pytest.raises(
        ValueError, match=r"`data` must hold at least two uint8 clips .*" + re.escape(message)
    ):
        split_clips(str(tmp_path / "clips.npy"), "train")


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "archive", "objects"])
def test_unreadable_files_are_refused(tmp_path, damage):
    path = tmp_path / "clips.npy"
    if damage == "archive":
        np.savez(tmp_path / "clips.npz", np.zeros((5, 3, 4, 4), "uint8"))
        (tmp_path / "clips.npz").rename(path)
    elif damage == "objects":
        np.save(path, np.array([{}, {}]), allow_pickle=True)
    elif damage != "missing":
        np.save(path, np.zeros((5, 3, 4, 4), "uint8"))
        content = {"empty": b"", "truncated": path.read_bytes()[:-1], "text": b"clip,frame\n"}
        path.write_bytes(content[damage])
    message = f"`data` must be a readable .npy file. Received: {path} ("
    with pytest.raises(ValueError, match=re.escape(message)):
        split_clips(str(path), "train")
