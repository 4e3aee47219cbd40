"""TFDS builder of `moving_mnist_clips`: 20 frames of two objects that move and bounce."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfds_builders.manual_folder import given_folder
from tfds_builders.moving_mnist_clips.configs import CONFIGS
from tfds_builders.moving_mnist_clips.moving_digits import SPLIT_SEEDS, moving_digits
from tfds_builders.moving_mnist_clips.objects import find_files, load_objects, load_test_sequence
from tfds_builders.parts import PartBuilder

_FRAMES, _SIZE = 20, 64
_RENDERED_TOGETHER = 256


@dataclasses.dataclass(eq=False, kw_only=True)
class MovingMnistClipsConfig(tfds.core.BuilderConfig):
    """What moves in the clips, how, and how many clips there are.

    Attributes:
        source: source of the objects, see `load_objects`.
        motion: rules of motion and overlap, see `moving_digits`.
        train_clips: number of train clips, made from the train objects.
        test_clips: number of test clips, made from the test objects. None: the public `mnist_test_seq.npy`.
    """

    source: str
    motion: str
    train_clips: int
    test_clips: int | None


class Builder(PartBuilder):
    """Clips of two moving, bouncing, overlapping objects, uint8 (20, 64, 64, 1)."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Nothing has to be downloaded by hand. Files that are already there are used instead of a download:
    train-images-idx3-ubyte and t10k-images-idx3-ubyte (plain or .gz) in the manual folder or in its subfolder
    mnist/ or fashion-mnist/, and mnist_test_seq.npy in the manual folder or in mnist/.
    """
    fetches = True
    BUILDER_CONFIGS: ClassVar[list[MovingMnistClipsConfig]] = [
        MovingMnistClipsConfig(name=name, **fields) for name, fields in CONFIGS.items()
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        frames = tfds.features.Tensor(shape=(_FRAMES, _SIZE, _SIZE, 1), dtype=np.uint8, encoding="zlib")
        # Without shuffling, clip i of the split is clip i of the generator.
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"frames": frames}),
            homepage="https://arxiv.org/abs/1502.04681",
            disable_shuffling=True,
        )

    def source_files(
        self, folder: Path | None, dl_manager: tfds.download.DownloadManager | None = None
    ) -> Mapping[str, Path]:
        """Returns the files of images, and that of the public test clips."""
        config = self.builder_config
        return find_files(config.source, config.test_clips is None, manual_dir=folder, dl_manager=dl_manager)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        config = self.builder_config
        files = {"manual_dir": given_folder(dl_manager), "dl_manager": dl_manager}
        images = {"train": load_objects(config.source, "train", **files)}
        clips = {"train": range(config.train_clips)}
        if config.test_clips is None:
            sequence = load_test_sequence(**files)
            clips["test"] = range(sequence.shape[1])
        else:
            images["test"] = load_objects(config.source, "test", **files)
            clips["test"] = range(config.test_clips)

        def generate(split, numbers):
            if split in images:
                return self._generate_examples(images[split], numbers, SPLIT_SEEDS[split])
            return _public_examples(sequence, numbers)

        return self.of_part(clips, generate)

    def _generate_examples(
        self, images: np.ndarray, clips: range, seed: int
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for first in range(0, len(clips), _RENDERED_TOGETHER):
            indices = clips[first : first + _RENDERED_TOGETHER]
            rendered = moving_digits(
                images, indices, motion=self.builder_config.motion, frames=_FRAMES, size=_SIZE, seed=seed
            )
            for index, frames in zip(indices, rendered, strict=True):
                yield index, {"frames": frames}


def _public_examples(sequence: np.ndarray, clips: range) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    for index in clips:
        yield index, {"frames": sequence[:, index, :, :, np.newaxis]}
