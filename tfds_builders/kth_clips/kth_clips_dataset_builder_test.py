"""Tests of the TFDS builder on the small videos of `dummy_data/` and on synthetic figures."""

import dataclasses
import hashlib
import shutil
from contextlib import ExitStack
from typing import ClassVar
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mslstm_keras.formats.videos import resized
from tfds_builders.kth_clips import synthetic_walkers, videos
from tfds_builders.kth_clips.kth_clips_dataset_builder import Builder, KthClipsConfig
from tfds_builders.kth_clips.make_dummy_data import FOLDER as DUMMY_DATA
from tfds_builders.kth_clips.make_dummy_data import FRAMES, PERSONS
from tfds_builders.kth_clips.synthetic_walkers import walking_figure
from tfds_builders.kth_clips.videos import read_frames
from tfds_builders.random_access import random_access

# Windows per split, in which there is one person, by action; the dummy ranges are 1-30 and 32-64, the trimmed
# ones 3-30 and 31-62.
CLIPS = {
    "three_actions": 4 + 4 + 9,
    "trimmed": 3 + 3 + 8,
    "six_actions": 4 * 2 + 2 * 11,
    "synthetic": 6 + 4 + 6,
}


def accept_dummy_data(enter):
    """Lets the dummy files pass the checks and leaves two synthetic persons, until the contexts end."""
    sources = {
        name: source._replace(
            digest=hashlib.new(source.algorithm, (DUMMY_DATA / name).read_bytes()).hexdigest()
        )
        for name, source in videos._SOURCES.items()
    }
    enter(mock.patch.dict(videos._SOURCES, sources))
    enter(mock.patch.object(synthetic_walkers, "PERSONS", PERSONS))


class _ConfigTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        accept_dummy_data(cls.enterClassContext)


class ThreeActionsTest(_ConfigTest):
    """Prepares and reads `three_actions`."""

    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["three_actions"]
    SPLITS: ClassVar[dict[str, int]] = dict.fromkeys(("train", "test"), CLIPS["three_actions"])


class TrimmedTest(_ConfigTest):
    """Prepares and reads `trimmed`."""

    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["trimmed"]
    SPLITS: ClassVar[dict[str, int]] = dict.fromkeys(("train", "test"), CLIPS["trimmed"])


class SixActionsTest(_ConfigTest):
    """Prepares and reads `six_actions`."""

    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["six_actions"]
    SPLITS: ClassVar[dict[str, int]] = dict.fromkeys(("train", "test"), CLIPS["six_actions"])


class SyntheticTest(_ConfigTest):
    """Prepares and reads `synthetic`."""

    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["synthetic"]
    SPLITS: ClassVar[dict[str, int]] = dict.fromkeys(("train", "test"), CLIPS["synthetic"])


del _ConfigTest  # it has no config to test


@pytest.fixture
def dummy_files():
    with ExitStack() as stack:
        accept_dummy_data(stack.enter_context)
        yield


def prepare(data_dir, config="three_actions", manual_dir=DUMMY_DATA, **changes):
    config = dataclasses.replace(Builder.builder_configs[config], **changes) if changes else config
    builder = tfds.builder("kth_clips", config=config, data_dir=data_dir)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def test_clips_are_the_frames_of_the_videos_in_order(tmp_path, dummy_files):
    clips = random_access(prepare(tmp_path, name="small", size=32), "test")
    assert len(clips) == CLIPS["three_actions"]
    firsts = {"walking": [1, 11, 32, 42], "jogging": [1, 11, 32, 42]}
    firsts["running"] = [1, 4, 7, 10, 32, 35, 38, 41, 44]
    expected = [(action, first) for action, numbers in firsts.items() for first in numbers]
    for clip, (action, first) in zip(clips, expected, strict=True):
        video = f"person17_{action}_d1"
        assert (clip["video"].decode(), clip["first_frame"]) == (video, first)
        wanted = {video: [videos.FrameRange(video, 1, FRAMES)]}
        ((_, frames),) = read_frames(DUMMY_DATA / f"{action}.zip", wanted, 32)
        np.testing.assert_array_equal(clip["frames"], frames[first - 1 : first + 19])


def test_windows_of_six_actions_end_with_the_clip(tmp_path, dummy_files):
    builder = prepare(tmp_path, "six_actions", name="small_six", size=16)
    clips = list(random_access(builder, "train"))
    boxing = [int(clip["first_frame"]) for clip in clips if b"boxing" in clip["video"]]
    assert boxing == [3, 33]  # ranges 3-30 and 31-62 touch: one run, cut as 33-62 and 3-32
    running = [int(clip["first_frame"]) for clip in clips if b"running" in clip["video"]]
    assert running == list(range(3, 34, 3))
    assert clips[0]["frames"].shape == (30, 16, 16, 1)


def test_persons_are_in_one_split(tmp_path, dummy_files):
    builder = prepare(tmp_path, name="persons", size=8)
    persons = {
        split: {clip["video"].decode()[:8] for clip in random_access(builder, split)}
        for split in builder.info.splits
    }
    assert persons == {"train": {"person01"}, "test": {"person17"}}


def test_synthetic_clips_are_the_figures_scaled(tmp_path, dummy_files):
    clips = random_access(prepare(tmp_path, "synthetic"), "train")
    figure = walking_figure("walking", 1)
    for clip, first in zip(list(clips)[:6], range(1, 61, 10), strict=True):
        assert (clip["video"], clip["first_frame"]) == (b"person01_walking_d1", first)
        for frame, source in zip(clip["frames"], figure[first - 1 :], strict=False):
            np.testing.assert_array_equal(frame[..., 0], resized(source, (128, 128)))


def write_list(place, *lines):
    (place / "00sequences.txt").write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda place: (place / "running.zip").write_bytes(b"PK"), "running.zip: "),
        (
            lambda place: write_list(
                place, "person01_running_d1 frames 1-65", "person17_running_d1 frames 1-30"
            ),
            f"person01_running_d1_uncomp.avi, frames 1-65 of {FRAMES}",
        ),
        (
            lambda place: write_list(
                place, "person09_walking_d1 frames 1-30", "person17_walking_d1 frames 1-30"
            ),
            "without person09",
        ),
        (  # 19 frames are no window
            lambda place: write_list(
                place, "person01_walking_d1 frames 1-30", "person17_walking_d1 frames 2-20"
            ),
            "must hold a window of 20 frames for each split. Received: none of walking, jogging, running by persons "
            "17 to 25, the test split",
        ),
    ],
)
def test_nothing_half_prepared_is_left(tmp_path, damage, message):
    shutil.copytree(DUMMY_DATA, tmp_path / "manual")
    builder_folder = tmp_path / "data"
    damage(tmp_path / "manual")
    with pytest.raises(ValueError, match=message):
        prepare(builder_folder, manual_dir=tmp_path / "manual", name="damaged", verify=False, size=8)
    left = [path for path in (builder_folder / "kth_clips").iterdir() if path.name != ".config"]
    assert [path for folder in left for path in folder.rglob("*")] == []


def test_files_that_are_not_the_published_ones(tmp_path):
    with pytest.raises(ValueError, match=r"00sequences.txt must be the published file, sha256 4a1287ee"):
        prepare(tmp_path)


def test_without_manual_folder_files_are_downloaded(tmp_path, dummy_files):
    asked = []

    def download(self, url):
        asked.append(url)
        return DUMMY_DATA / url.rpartition("/")[2]

    builder = tfds.builder("kth_clips/three_actions", data_dir=tmp_path)
    with mock.patch.object(tfds.download.DownloadManager, "download", download):
        builder.download_and_prepare()
    names = ["00sequences.txt", "walking.zip", "jogging.zip", "running.zip"]
    assert asked == [f"https://www.csc.kth.se/cvap/actions/{name}" for name in names]
    assert builder.info.splits["test"].num_examples == CLIPS["three_actions"]


def test_declared_configs(tmp_path):
    assert list(Builder.builder_configs) == ["three_actions", "trimmed", "six_actions", "synthetic"]
    for config in Builder.BUILDER_CONFIGS:
        builder = tfds.builder(f"kth_clips/{config.name}", data_dir=tmp_path)
        frames = 30 if config.name == "six_actions" else 20
        assert builder.info.features["frames"].shape == (frames, 128, 128, 1)
        assert builder.info.features["frames"].np_dtype == np.uint8
        assert builder.info.disable_shuffling
    assert "Synthetic" in config.description
    assert "schuldt2004recognizing" in builder.info.citation


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": ()}, r"`actions` must be different ones of .* Received: actions=\(\)"),
        ({"actions": ("walking", "walking"), "strides": (1, 1)}, "`actions` must be different ones"),
        (
            {"actions": ("boxing",), "strides": (1,), "lists": "synthetic"},
            "`actions` must be .*'running'.. Received",
        ),
        (
            {"strides": (10, 10)},
            r"`strides` must be a positive integer for each .* Received: strides=\(10, 10\)",
        ),
        ({"strides": ("10", 10, 3)}, "`strides` must be a positive integer for each"),
        ({"strides": (10, 2.5, 3)}, "`strides` must be a positive integer for each"),
        ({"actions": (["walking"], "jogging", "running")}, "`actions` must be different ones"),
        ({"strides": (10, 10, 0)}, "`strides` must be a positive integer for each"),
        ({"window": 0}, "`window` and `size` must be positive. Received: window=0, size=128"),
        ({"lists": "mine"}, "`lists` must be one of .* Received: lists='mine'"),
    ],
)
def test_wrong_configs(changes, message):
    with pytest.raises(ValueError, match=message):
        KthClipsConfig(name="mine", **changes)
