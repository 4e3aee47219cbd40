"""TFDS builder of `dwd_radar_clips`: rain radar maps of Germany, or of any weather service, that follow each other."""

import dataclasses
import functools
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from mslstm_keras.frames.rain import QUANTITY
from tfds_builders.dwd_radar_clips.clips import MEANS, make_clips, reduce_map, split_series, time_windows
from tfds_builders.dwd_radar_clips.configs import CONFIGS
from tfds_builders.dwd_radar_clips.radar_folder import open_radar_folder
from tfds_builders.dwd_radar_clips.radar_maps import STEP, Series
from tfds_builders.dwd_radar_clips.rydl import open_rydl
from tfds_builders.dwd_radar_clips.synthetic_rain import synthetic_rain
from tfds_builders.manual_folder import manual_folder
from tfds_builders.parts import PartBuilder

SIZES = {
    "rydl": (900, 900),
    "ry": (900, 900),
    "yw": (1100, 900),
    "knmi": (765, 700),
    "synthetic": (180, 180),
}
"""Source -> height and width of its maps in pixels, where they are known before the maps are there."""

SPACINGS = {"rydl": 1000, "ry": 1000, "yw": 1000, "knmi": 1000, "synthetic": 5000}
"""Source -> metres between two pixels of its maps, where they are known before the maps are there."""

_SOURCES = (*SIZES, "radar")
_RYDL = "RYDL.hdf5"
_FOLDERS = {"rydl": "rydl", "ry": "radolan", "yw": "radolan", "knmi": "knmi"}
_NAMES = {"ry": "raa*-ry*", "yw": "raa*-yw*", "knmi": "*.h[5d]*"}


@dataclasses.dataclass(eq=False, kw_only=True)
class DwdRadarClipsConfig(tfds.core.BuilderConfig):
    """Where the maps come from and how clips are made of them.

    Attributes:
        source: `"rydl"` (the file RYDL.hdf5), `"radar"` (a folder of maps that `mslstm_keras.read_radar` reads), of
            such a folder `"ry"` or `"yw"` (RADOLAN files with DWD's names) or `"knmi"` (HDF5 files), or `"synthetic"`.
        product: part of the name of the product, or of the files, where a folder holds several. None, the default:
            all maps must be of one product.
        interval: minutes between two maps of a clip, a multiple of 5, of `"radar"` of 1. None: that of the maps.
            Default: 30.
        window: maps of a clip. Default: 8, four given and four to forecast.
        stride: least minutes between the starts of two clips, a multiple as `interval` is. None, the default: window
            times interval, so that clips do not overlap.
        block: source pixels per side that become one pixel. Default: 5.
        mean: `"rate"`, `"pixel"` or `"centre"`, see `reduce_map`. Default: `"rate"`.
        dtype: `"float32"`, pixels in [0, 1], or `"uint8"`, 0 .. 255. Default: `"float32"`.
        map_size: height and width of the source's maps in pixels, which is checked. None, the default: what is usual
            for the source, see `SIZES`; of `"radar"` that of the maps.
        crop: height and width that are kept of a map, from its first row and column; multiples of `block`.
            None, the default: the whole map.
        test_share: share of the maps, the last in time, that are the test part; 0 or 1 make one part only.
            None, the default: parts by years.
        train_years: first and last year of the train part. Default: 2006 and 2014.
        test_years: first and last year of the test part. Default: 2015 and 2017.

    Raises:
        ValueError: if a field is out of range.
    """

    source: str
    product: str | None = None
    interval: int | None = 30
    window: int = 8
    stride: int | None = None
    block: int = 5
    mean: str = "rate"
    dtype: str = "float32"
    map_size: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    test_share: float | None = None
    train_years: tuple[int, int] = (2006, 2014)
    test_years: tuple[int, int] = (2015, 2017)

    def __post_init__(self) -> None:
        for name, values in (("source", _SOURCES), ("mean", MEANS), ("dtype", ("float32", "uint8"))):
            if getattr(self, name) not in values:
                raise ValueError(
                    f"`{name}` must be one of {values}. Received: {name}={getattr(self, name)!r}"
                )
        if self.product is not None and self.source in ("rydl", "synthetic"):
            raise ValueError(
                f"`product` must be None where `source` is no folder of maps. Received: product={self.product!r}, "
                f"source={self.source!r}"
            )
        step = 1 if self.source == "radar" else STEP
        for name in ("interval", "stride"):
            value = getattr(self, name)
            if value is not None and (value < step or value % step):
                raise ValueError(
                    f"`{name}` must be a multiple of {step} minutes, at least {step}. Received: {name}={value}"
                )
        for name in ("map_size", "crop", "train_years", "test_years"):
            pair = getattr(self, name)
            if pair is not None and not (len(pair) == 2 and all(isinstance(value, int) for value in pair)):
                raise ValueError(f"`{name}` must be two integers. Received: {name}={pair}")
        if self.window < 2:
            raise ValueError(f"`window` must be at least 2 maps. Received: window={self.window}")
        if self.block < 1:
            raise ValueError(f"`block` must divide the height and width. Received: block={self.block}")
        if self.size:
            self.kept_of(self.size)
        if self.test_share is not None and not 0 <= self.test_share <= 1:
            raise ValueError(f"`test_share` must lie in [0, 1]. Received: test_share={self.test_share}")
        (train_first, train_last), (test_first, test_last) = self.train_years, self.test_years
        if max(train_first, test_first) <= min(train_last, test_last):
            raise ValueError(
                "`train_years` and `test_years` must not share a year. "
                f"Received: train_years={self.train_years}, test_years={self.test_years}"
            )

    @property
    def quantity(self) -> str:
        """What was measured."""
        return QUANTITY

    @property
    def spacing(self) -> int | None:
        """Metres between two pixels of a clip; None where only the maps tell."""
        of_maps = SPACINGS.get(self.source)
        return of_maps and of_maps * self.block

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the source's maps in pixels; None where only the maps tell."""
        size = self.map_size or SIZES.get(self.source)
        return None if size is None else (size[0], size[1])

    def kept_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the height and width that are kept of maps of `size`.

        Raises:
            ValueError: if `size` is not `map_size`, or `block` and `crop` do not go with it.
        """
        if self.size not in (None, size):
            raise ValueError(
                f"`map_size` must be that of the maps. Received: map_size={self.size}, maps of {size}"
            )
        kept = size if self.crop is None else (self.crop[0], self.crop[1])
        if any(side % self.block for side in kept):
            raise ValueError(
                f"`block` must divide the height and width that are kept, {kept}. Received: block={self.block}"
            )
        if any(not 0 < side <= whole for side, whole in zip(kept, size, strict=True)):
            raise ValueError(f"`crop` must lie within maps of {size}. Received: crop={self.crop}")
        return kept


class Builder(PartBuilder):
    """Clips of radar maps coded as pixels, float32 or uint8 (time, height, width, 1)."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Configs `germany` and `germany_reference`: RYDL.hdf5 (https://doi.org/10.5281/zenodo.3629951) in the manual
    folder or its subfolder rydl/.
    Config `radolan`: RADOLAN files under their own names (raa01-ry_10000-YYMMDDHHMM-dwd---bin, plain or .gz;
    raa01-yw... with source="yw") in the subfolder radolan/ or the manual folder itself, subfolders included.
    Configs `knmi` and `knmi_hours`: HDF5 files (.h5, .hdf, .hdf5) in the subfolder knmi/ or the manual folder,
    subfolders included.
    Config `radar`: radar maps of a weather service that `mslstm_keras.read_radar` reads, packed or in archives too, in
    the manual folder, subfolders included.
    Config `synthetic` needs no files.
    """
    BUILDER_CONFIGS: ClassVar[list[DwdRadarClipsConfig]] = [
        DwdRadarClipsConfig(name=name, **fields) for name, fields in CONFIGS.items()
    ]
    _series: Series | None = None  # while it is made

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        # Without a size, the maps tell it when the data set is prepared.
        kept = config.crop or (config.kept_of(config.size) if config.size else None)
        shape = (config.window, *((side // config.block for side in kept) if kept else (None, None)), 1)
        tensor = functools.partial(tfds.features.Tensor, shape=shape, encoding="zlib")
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "frames": tensor(dtype=np.dtype(config.dtype).type),
                    "mask": tensor(dtype=np.bool_),
                    "time": tfds.features.Text(),
                }
            ),
            homepage="https://doi.org/10.5281/zenodo.3629951",
            disable_shuffling=True,  # clips come in the order of time
        )

    def source_files(
        self, folder: Path | None, dl_manager: tfds.download.DownloadManager | None = None
    ) -> Mapping[str, Path]:
        """Returns the radar files."""
        config = self.builder_config
        if folder is None or config.source == "synthetic":
            return {}
        place = _place(config, folder)
        if config.source == "rydl":
            return {_RYDL: place / _RYDL} if (place / _RYDL).is_file() else {}
        # While it is made, the folder is open already.
        series = self._series if dl_manager else _open_folder(config, place)
        return {_name(path, place): path for path in series.files}

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        config = self.builder_config
        series, place = _open(config, dl_manager)
        self._series = series
        config.kept_of(series.size)
        interval = config.interval or series.minutes
        if interval is None:
            raise ValueError(
                f"`manual_dir` must hold more than one radar map. Received: one in {series.source}"
            )
        if config.interval is None:
            self.facts = {"interval": interval}
        if series.spacing:
            self.facts = {**self.facts, "spacing": series.spacing * config.block}
        parts = split_series(
            series,
            test_share=config.test_share,
            train_years=config.train_years,
            test_years=config.test_years,
        )
        _say_left_out(series, parts)
        windows = {
            name: time_windows(
                part.times,
                window=config.window,
                interval=interval,
                stride=config.stride or config.window * interval,
            )
            for name, part in parts.items()
        }
        for name, of_part in windows.items():
            if not len(of_part):
                raise ValueError(
                    f"The {name} part must hold {config.window} maps that follow each other every "
                    f"{interval:g} min; see `test_share`, `train_years`, `test_years`. Received: "
                    f"{len(parts[name].times)} maps of {series.source}, which has maps of {_years(series)}"
                )
        # Not in the folder of the data set: TFDS removes that one when preparing fails.
        store = self.downloads / "dwd_radar_clips"
        return self.of_part(
            windows,
            lambda name, of_part: self._generate_examples(parts[name], of_part, store),
            reads=None if not series.files else lambda name, of_part: _read(parts[name], of_part, place),
        )

    def _generate_examples(
        self, series: Series, windows: np.ndarray, store: Path
    ) -> Iterator[tuple[int, dict[str, object]]]:
        config = self.builder_config
        height, width = config.kept_of(series.size)
        reduction = {"block": config.block, "mean": config.mean, "dtype": config.dtype}

        def reduce(*maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return reduce_map(*(values[:height, :width] for values in maps), **reduction)

        recipe = f"{self.version} {series.size} {(height, width)} {reduction}"
        clips = make_clips(series, windows, reduce, store, recipe)
        starts = np.datetime_as_string(series.times[windows[:, 0]])
        for index, (start, (pixels, observed)) in enumerate(zip(starts, clips, strict=True)):
            example = {
                "frames": pixels[..., np.newaxis],
                "mask": observed[..., np.newaxis],
                "time": str(start),
            }
            yield index, example


def _open(
    config: DwdRadarClipsConfig, dl_manager: tfds.download.DownloadManager
) -> tuple[Series, Path | None]:
    """Finds the source in the manual folder and opens it; returns it and its folder."""
    if config.source == "synthetic":
        return synthetic_rain(config.size), None
    folder = _place(config, manual_folder(dl_manager, f"the files of {config.name}"))
    if config.source != "rydl":
        return _open_folder(config, folder), folder
    if not (folder / _RYDL).is_file():
        raise ValueError(
            f"`manual_dir` must hold {_RYDL}, from https://doi.org/10.5281/zenodo.3629951. Received: {folder}"
        )
    return open_rydl(folder / _RYDL, size=config.size), folder


def _place(config: DwdRadarClipsConfig, folder: Path) -> Path:
    """Returns the folder of the source files, which is the manual folder or its subfolder."""
    inner = folder / _FOLDERS.get(config.source, "")
    return inner if inner.is_dir() else folder


def _open_folder(config: DwdRadarClipsConfig, folder: Path) -> Series:
    return open_radar_folder(folder, names=_NAMES.get(config.source), product=config.product)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix().removesuffix(".gz")


def _read(series: Series, windows: np.ndarray, folder: Path) -> Iterable[str]:
    """Returns the names of the files whose maps are in windows."""
    return {_name(series.files[index], folder) for index in np.unique(windows)}


def _years(series: Series) -> str:
    years, counts = np.unique(series.times.astype("datetime64[Y]"), return_counts=True)
    return ", ".join(f"{year} ({count})" for year, count in zip(years, counts, strict=True)) or "no year"


def _say_left_out(series: Series, parts: dict[str, Series]) -> None:
    used = np.concatenate([part.times for part in parts.values()])
    left_out = series.where(~np.isin(series.times, used))
    if len(left_out.times):
        logging.getLogger(__name__).warning(
            "%s: left out the maps of %s, which are in neither part", series.source, _years(left_out)
        )
