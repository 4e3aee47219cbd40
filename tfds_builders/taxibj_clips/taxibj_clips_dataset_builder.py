"""TFDS builder of `taxibj_clips`: 8 half hours of taxi flows over Beijing."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfds_builders.manual_folder import manual_folder
from tfds_builders.parts import PartBuilder
from tfds_builders.taxibj_clips.configs import CONFIGS
from tfds_builders.taxibj_clips.flow_clips import (
    FRAMES,
    Scale,
    check_reference_count,
    clean,
    clip_frames,
    join,
    split_windows,
    window_positions,
)
from tfds_builders.taxibj_clips.flows import CELLS, Flows, check_flows, find_files, read_files
from tfds_builders.taxibj_clips.synthetic_flows import synthetic_flows


@dataclasses.dataclass(eq=False, kw_only=True)
class TaxibjClipsConfig(tfds.core.BuilderConfig):
    """What the clips show and which of them there are.

    Attributes:
        channels: int. 1 (default): inflow; 2: inflow and outflow.
        dtype: "float32" (default): pixels in [0, 1]; "uint8": 255 times as much, cut to whole numbers.
        test_windows: int, 1,344 by default: the last windows are for the test. As many frames at the end of the
            series have no part in the scale.
        disjoint: bool, True by default: train windows that share a frame with a test window are left out.
        reference_order: bool, False by default. True: the newest frame comes first, and the last window of each
            uninterrupted run is not made.
        check_md5: bool, True by default: all four files must be there and have their known MD5. False: any of
            them, with any content of their format.
        synthetic_weeks: int or None (default). Makes so many weeks of synthetic flows, 2 at least, instead of
            reading files.

    Raises:
        ValueError: if a value is none of these.
    """

    channels: int = 1
    dtype: str = "float32"
    test_windows: int = 1_344
    disjoint: bool = True
    reference_order: bool = False
    check_md5: bool = True
    synthetic_weeks: int | None = None

    def __post_init__(self):
        for name, known in (("channels", (1, 2)), ("dtype", ("float32", "uint8"))):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {known}. Received: {name}={getattr(self, name)!r}")
        if self.test_windows < 1:
            raise ValueError(f"`test_windows` must be at least 1. Received: test_windows={self.test_windows}")

    @property
    def interval(self) -> int:
        """Minutes between two frames."""
        return 30

    @property
    def quantity(self) -> str:
        """What was counted."""
        return "inflow of taxis" if self.channels == 1 else "inflow and outflow of taxis"


class Builder(PartBuilder):
    """Clips of taxi flows, 8 half hours over a grid of 32 x 32 cells."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Get BJ13_M32x32_T30_InOut.h5, BJ14_M32x32_T30_InOut.h5, BJ15_M32x32_T30_InOut.h5 and BJ16_M32x32_T30_InOut.h5
    of TaxiBJ from https://1drv.ms/f/s!Akh6N7xv3uVmhOhDKwx3bm5zpHkDOQ or http://pan.baidu.com/s/1qYq7ja8 in a
    browser and put them into the manual folder or into its subfolder TaxiBJ/. The config `synthetic` needs no files.
    """
    BUILDER_CONFIGS: ClassVar[list[TaxibjClipsConfig]] = [
        TaxibjClipsConfig(name=name, **fields) for name, fields in CONFIGS.items()
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        frames = tfds.features.Tensor(
            shape=(FRAMES, CELLS, CELLS, config.channels), dtype=np.dtype(config.dtype), encoding="zlib"
        )
        limit = tfds.features.Scalar(np.float32)
        # Without shuffling, clips stay in order of time.
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {"frames": frames, "time": tfds.features.Scalar(np.int64), "minimum": limit, "maximum": limit}
            ),
            homepage="https://arxiv.org/abs/1610.00081",
            disable_shuffling=True,
        )

    def source_files(
        self, folder: Path | None, dl_manager: tfds.download.DownloadManager | None = None
    ) -> Mapping[str, Path]:
        """Returns the files of TaxiBJ, checked as the config says."""
        config = self.builder_config
        if folder is None or config.synthetic_weeks is not None:
            return {}
        return {path.name: path for path in find_files(folder, check_md5=config.check_md5)}

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        config = self.builder_config
        files = self._read_files(dl_manager)
        positions = window_positions([file.dates for file in files], reference_order=config.reference_order)
        if self._is_reference:
            check_reference_count(len(positions))
        train, test = split_windows(positions, config.test_windows, disjoint=config.disjoint)
        flows = join(files)
        scale = Scale.of(flows.counts[: -config.test_windows])
        return self.of_part(
            {"train": train, "test": test},
            lambda _, windows: self._generate_examples(flows, windows, scale),
        )

    def check_clips(self, clips: Mapping[str, int]) -> None:
        """Checks that the parts of the real files in reference order are as many clips as are published."""
        if self._is_reference and not self.builder_config.disjoint:
            check_reference_count(sum(clips.values()))

    @property
    def _is_reference(self) -> bool:
        config = self.builder_config
        return config.reference_order and config.check_md5 and config.synthetic_weeks is None

    def _read_files(self, dl_manager) -> list[Flows]:
        config = self.builder_config
        if config.synthetic_weeks is not None:
            return [clean(check_flows(*synthetic_flows(config.synthetic_weeks)))]
        folder = manual_folder(dl_manager, "the files of TaxiBJ")
        paths = find_files(folder, check_md5=config.check_md5)
        return [clean(file) for file in read_files(paths)]

    def _generate_examples(
        self, flows: Flows, positions: np.ndarray, scale: Scale
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        config = self.builder_config
        for index, position in enumerate(positions.tolist()):
            yield (
                index,
                {
                    "frames": clip_frames(
                        flows.counts,
                        position,
                        scale,
                        channels=config.channels,
                        dtype=config.dtype,
                        reference_order=config.reference_order,
                    ),
                    "time": flows.dates[position + (FRAMES - 1 if config.reference_order else 0)],
                    "minimum": scale.minimum,
                    "maximum": scale.maximum,
                },
            )
