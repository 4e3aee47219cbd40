"""TFDS builder of `kth_clips`: windows of grey frames of people who walk, jog and run."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from mslstm_keras.formats.videos import resized
from tfds_builders.kth_clips.configs import CONFIGS
from tfds_builders.kth_clips.sequences import (
    ACTIONS,
    SPLIT_PERSONS,
    FrameRange,
    action_of,
    by_video,
    window_firsts,
)
from tfds_builders.kth_clips.synthetic_walkers import GAITS, synthetic_ranges, walking_figure
from tfds_builders.kth_clips.videos import LISTS, find_files, find_videos, read_frames, read_lists
from tfds_builders.manual_folder import given_folder
from tfds_builders.parts import PartBuilder

_SYNTHETIC = "synthetic"


@dataclasses.dataclass(eq=False, kw_only=True)
class KthClipsConfig(tfds.core.BuilderConfig):
    """Which videos the clips come from, and how they are cut.

    Attributes:
        actions: actions in the order of the examples, of walking, jogging, running, boxing, handwaving and
            handclapping.
        strides: frames from one window to the next, for each action.
        window: frames of a clip. Default 20.
        from_end: whether windows are cut backward from the last frame of each run of frames, see
            `window_firsts`. Default False: forward within each range.
        size: pixels, height and width of a frame. Default 128.
        lists: frame ranges, `"sequences"` (`00sequences.txt`), `"trimmed"` (MCNet's lists) or `"synthetic"`
            (made-up walkers instead of videos; walking, jogging and running only). Default `"sequences"`.
        verify: whether zips and lists must have the published checksums. Default True.

    Raises:
        ValueError: if a value is none of these.
    """

    actions: tuple[str, ...] = ("walking", "jogging", "running")
    strides: tuple[int, ...] = (10, 10, 3)
    window: int = 20
    from_end: bool = False
    size: int = 128
    lists: str = "sequences"
    verify: bool = True

    def __post_init__(self):
        known = tuple(GAITS) if self.lists == _SYNTHETIC else ACTIONS
        if not self.actions or any(self.actions.count(one) > 1 or one not in known for one in self.actions):
            raise ValueError(f"`actions` must be different ones of {known}. Received: actions={self.actions}")
        positive = all(isinstance(stride, int) and stride > 0 for stride in self.strides)
        if len(self.strides) != len(self.actions) or not positive:
            raise ValueError(
                "`strides` must be a positive integer for each of `actions`. "
                f"Received: strides={self.strides}, actions={self.actions}"
            )
        if min(self.window, self.size) < 1:
            raise ValueError(
                f"`window` and `size` must be positive. Received: window={self.window}, size={self.size}"
            )
        if self.lists not in (*LISTS, _SYNTHETIC):
            raise ValueError(f"`lists` must be one of {(*LISTS, _SYNTHETIC)}. Received: lists={self.lists!r}")


class Builder(PartBuilder):
    """Clips of walking, jogging and running people, uint8 (20, 128, 128, 1)."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Files that are in the manual folder are used; those that are not there are downloaded. Wanted are
    walking.zip, jogging.zip and running.zip (for `six_actions` boxing.zip, handwaving.zip and handclapping.zip
    too) and 00sequences.txt from https://www.csc.kth.se/cvap/actions/, each as it comes; for `trimmed` and
    `six_actions`, instead of 00sequences.txt, train_data_list_trimmed.txt and test_data_list.txt from
    https://github.com/rubenvillegas/iclr2017mcnet/tree/master/data/KTH. In place of a zip the unpacked videos
    may lie in a subfolder: walking/person01_walking_d1_uncomp.avi and so on. The data set is for
    non-commercial use. `synthetic` needs nothing.
    """
    fetches = True
    BUILDER_CONFIGS: ClassVar[list[KthClipsConfig]] = [
        KthClipsConfig(name=name, **fields) for name, fields in CONFIGS.items()
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        shape = (config.window, config.size, config.size, 1)
        features = {
            "frames": tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="zlib"),
            "video": tfds.features.Text(),
            "first_frame": np.int64,
        }
        # Without shuffling, clips keep the order of actions, videos and frames.
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            homepage="https://www.csc.kth.se/cvap/actions/",
            disable_shuffling=True,
        )

    def source_files(
        self, folder: Path | None, dl_manager: tfds.download.DownloadManager | None = None
    ) -> Mapping[str, Path]:
        """Returns the lists of frames, and the zips or the videos of folders in place of zips."""
        config = self.builder_config
        if config.lists == _SYNTHETIC:
            return {}
        return find_files(config.lists, config.actions, manual_dir=folder, dl_manager=dl_manager)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        config = self.builder_config
        if config.lists == _SYNTHETIC:
            ranges, places = synthetic_ranges(), dict.fromkeys(config.actions)
        else:
            where = {
                "manual_dir": given_folder(dl_manager),
                "dl_manager": dl_manager,
                "verify": config.verify,
            }
            ranges = read_lists(config.lists, **where)
            places = {action: find_videos(action, **where) for action in config.actions}
        videos = {}
        for split in SPLIT_PERSONS:
            grouped = by_video(ranges, actions=config.actions, split=split)
            videos[split] = [each for of_action in grouped.values() for each in of_action.items()]
            if not any(self._firsts(*each) for each in videos[split]):
                persons = SPLIT_PERSONS[split]
                raise ValueError(
                    f"Frame lists must hold a window of {config.window} frames for each split. Received: none of "
                    f"{', '.join(config.actions)} by persons {persons[0]} to {persons[-1]}, the {split} split"
                )
        return self.of_part(
            videos,
            lambda _, of_part: self._generate_examples(of_part, places),
        )

    def _generate_examples(
        self, videos: Sequence[tuple[str, list[FrameRange]]], places: Mapping[str, Any]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        config, key = self.builder_config, 0
        for action, of_action in itertools.groupby(videos, lambda each: action_of(each[0])):
            wanted, place = dict(of_action), places[action]
            read = (
                _synthetic_frames(wanted, config.size)
                if place is None
                else read_frames(place, wanted, config.size)
            )
            for video, frames in read:
                for first in self._firsts(video, wanted[video]):
                    window = frames[first - 1 : first - 1 + config.window]
                    yield key, {"frames": window, "video": video, "first_frame": first}
                    key += 1

    def _firsts(self, video: str, ranges: Sequence[FrameRange]) -> list[int]:
        """Returns the first frames of the windows of a video."""
        config = self.builder_config
        stride = config.strides[config.actions.index(action_of(video))]
        return window_firsts(ranges, window=config.window, stride=stride, from_end=config.from_end)


def _synthetic_frames(videos: Mapping[str, Any], size: int) -> Iterator[tuple[str, np.ndarray]]:
    for video in videos:
        person, action, _ = video.split("_")
        frames = walking_figure(action, int(person.removeprefix("person")))
        yield video, np.stack([resized(frame, (size, size)) for frame in frames])[..., np.newaxis]
