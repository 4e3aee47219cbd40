"""TFDS builder of the user's own clips. See README.md."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from mslstm_keras.formats.checks import check_size
from mslstm_keras.frames.scales import parse_scale, scale_of_values
from tfds_builders.frames_from_folder.configs import CONFIGS
from tfds_builders.frames_from_folder.sources import (
    WindowReader,
    files_of,
    list_sources,
    split_mask,
    split_sources,
    to_dtype,
)
from tfds_builders.manual_folder import manual_folder
from tfds_builders.parts import PartBuilder

_DTYPES = ("uint8", "float32")
_OF_DATA = "data"


@dataclasses.dataclass(eq=False, kw_only=True)
class FramesFromFolderConfig(tfds.core.BuilderConfig):
    """How the clips of a folder are cut, converted and split.

    Attributes:
        window: int, frames per example.
        stride: int, frames from the start of an example to the start of the next. None: `window`, so that no
            frame is in two examples.
        channels: int, 1 (grey), 3 (red, green, blue), or what array files have.
        size: (height, width) in pixels that frames are resized to (Pillow's `BILINEAR`, each side on its own).
            None: as in the files, which must then be of one size.
        dtype: "uint8", levels 0 .. 255, to which floats are rounded; or "float32", values in [0, 1].
        test_share: float between 0 and 1, share of the files (not of the frames) kept for the test split; of a single
            file, share of its frames, the last ones.
        skip_short: bool, pass over files of fewer frames than `window` with a warning; otherwise an error.
        data_set: name of the data set in every HDF5 file. None: the only one of 3 or 4 axes.
        mask: bool, keep which pixels are missing in the files, in a feature `mask`.
        colour_scale: path of the table of the colours in which all pictures are painted, see `read_clip`. None: they
            are grey, or of a camera.
        range: how numbers become pixels, as `mslstm_keras.frames.parse_scale` takes it, such as "0:655 bikes/h"; or
            "data", with units if you like, from the least to the largest number that is trained on. None: as the
            attributes of the files say, or all numbers lie in [0, 1].
        interval: float, minutes from one frame to the next. None: nobody says so.
        spacing: float, metres on the ground from one pixel to the next, of frames of `size`. None: nobody says so.

    Raises:
        ValueError: if a value is out of range.
    """

    window: int = 20
    stride: int | None = None
    channels: int = 1
    size: tuple[int, int] | None = None
    dtype: str = "uint8"
    test_share: float = 0.1
    skip_short: bool = False
    data_set: str | None = None
    mask: bool = False
    colour_scale: str | None = None
    range: str | None = None
    interval: float | None = None
    spacing: float | None = None

    def __post_init__(self):
        for field in ("window", "stride", "channels"):
            value = getattr(self, field)
            if not (field == "stride" and value is None) and not (isinstance(value, int) and value >= 1):
                raise ValueError(f"`{field}` must be an integer of at least 1. Received: {field}={value!r}")
        if self.size is not None:
            check_size(self.size)
        if self.dtype not in _DTYPES:
            raise ValueError(f"`dtype` must be one of {', '.join(_DTYPES)}. Received: dtype={self.dtype!r}")
        if self.range is not None and self.range.split()[:1] != [_OF_DATA]:
            parse_scale(self.range)
        for field in ("interval", "spacing"):
            value = getattr(self, field)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"`{field}` must be a positive number. Received: {field}={value!r}")
        if not 0 < self.test_share < 1:
            raise ValueError(f"`test_share` must lie between 0 and 1. Received: test_share={self.test_share}")


class Builder(PartBuilder):
    """Windows of the user's own clips, uint8 or float32 (window, height, width, channels)."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    The manual folder is the folder of your clips: .npy, .npz, .gif, .webp, .apng, .avif, .tif, .mp4, .avi, .mov,
    .mkv, .webm, .h5 and .hdf5 files, and sub-folders of images, each one clip. Nothing else may be in it, except hidden
    files and those of operating systems.
    """
    BUILDER_CONFIGS: ClassVar[list[FramesFromFolderConfig]] = [
        FramesFromFolderConfig(name=name, **fields) for name, fields in CONFIGS.items()
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        frames, mask = (
            tfds.features.Tensor(
                shape=(config.window, *(config.size or (None, None)), channels), dtype=dtype, encoding="zlib"
            )
            for channels, dtype in ((config.channels, np.dtype(config.dtype)), (1, np.bool_))
        )
        features = {"frames": frames, "source": tfds.features.Text(), "first_frame": np.int64}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features | ({"mask": mask} if config.mask else {})),
            disable_shuffling=True,
        )

    def source_files(
        self, folder: Path | None, dl_manager: tfds.download.DownloadManager | None = None
    ) -> Mapping[str, Path]:
        """Returns the clip files, and the images of sub-folders."""
        return {} if folder is None else files_of(list_sources(folder))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        config = self.builder_config
        sources = list_sources(manual_folder(dl_manager, "your clips"))
        splits = split_sources(sources, config.test_share)
        reader = WindowReader(
            window=config.window,
            stride=config.stride or config.window,
            channels=config.channels,
            size=config.size,
            dtype=config.dtype,
            skip_short=config.skip_short,
            data_set=config.data_set,
            mask=config.mask,
            colour_scale=config.colour_scale,
            test_share=config.test_share if len(sources) == 1 else None,
        )
        reader.scale = _scale(config.range, reader, splits["train"])
        if reader.scale is not None:
            self.facts = {"scale": reader.scale}
        if self.part.number > 1:
            reader.measure(splits["train"][0])
        return self.of_part(
            splits,
            lambda split, sources: self._generate_examples(split, sources, reader),
            reads=lambda _, sources: files_of(sources),
        )

    def _generate_examples(
        self, split: str, sources: list[Path], reader: WindowReader
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        number = 0
        for source in sources:
            for first, frames in reader.windows(source, split):
                name = bytes(Path(source.name))  # as there are names that are no UTF-8
                example = {"frames": frames, "source": name, "first_frame": first}
                if reader.mask:
                    frames, observed = split_mask(frames)
                    example |= {"frames": to_dtype(frames, reader.dtype), "mask": observed}
                yield number, example
                number += 1
        if not number and self.part.count == 1:
            raise ValueError(
                f"`manual_dir` must hold a clip of at least `window` = {reader.window} frames for each split. "
                f"Received: none among {', '.join(source.name for source in sources)}"
            )


def _scale(given: str | None, reader: WindowReader, sources: list[Path]) -> str | None:
    """Returns how numbers become pixels: as it is given, by the training sources, or as the first of them says."""
    if given is None:
        return reader.scale_in(sources[0])
    word, _, units = given.partition(" ")
    if word == _OF_DATA:
        return str(scale_of_values(*reader.ends(sources), units.strip()))
    return str(parse_scale(given))
