"""TFDS builder of `radar_maps`: clips cut out of radar maps of several weather services. See README.md."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from mslstm_keras.frames.rain import QUANTITY
from mslstm_keras.frames.scales import Coder, parse_scale
from tfds_builders.dwd_radar_clips.radar_folder import open_radar_folder
from tfds_builders.dwd_radar_clips.radar_maps import Series
from tfds_builders.manual_folder import manual_folder
from tfds_builders.parts import PartBuilder
from tfds_builders.radar_maps.configs import CONFIGS
from tfds_builders.radar_maps.crops import GRID, Event, event_windows

_ALIKE = 1.1
_ROUND = 1000
"""Clips that are drawn of all events before the next are: each map is read once for so many."""


@dataclasses.dataclass(eq=False, kw_only=True)
class RadarMapsConfig(tfds.core.BuilderConfig):
    """Which maps clips are cut out of.

    Attributes:
        train: events of the train part, each (glob, first, last): files below the manual folder that `read_radar`
            reads, all of one product, and from which to which share of their maps, in the order of time.
        test: events of the test part.
        interval: minutes between two maps of a clip, which the events must have. Default: 5.
        spacing: metres on the ground between two pixels, which the maps must have up to a tenth. Default: 1000.
        scale: how pixels stand for mm/h, see `mslstm_keras.frames.parse_scale`; rates beyond its ends are clipped,
            with a warning. Default: "log:0:100 mm/h".
        window: maps of a clip. Default: 18, six given and twelve to forecast.
        least: how many of them an event that is shorter must have; the others are missing. Default: 12.
        crop: side of a clip in pixels, a multiple of 8. Default: 96.
        train_clips: number of clips. Default: 6000.
        test_clips: number of clips. Default: 512.
        seed: of the draws. Default: 0.
        licence: who made the maps of the train part, and under which licence. Default: none is known.

    Raises:
        ValueError: if a field is out of range.
    """

    train: tuple[tuple[str, float, float], ...]
    test: tuple[tuple[str, float, float], ...]
    interval: int = 5
    spacing: float = 1000.0
    scale: str = "log:0:100 mm/h"
    window: int = 18
    least: int = 12
    crop: int = 96
    train_clips: int = 6000
    test_clips: int = 512
    seed: int = 0
    licence: str | None = None

    @property
    def quantity(self) -> str:
        """What the pixels stand for."""
        return QUANTITY

    def __post_init__(self) -> None:
        for name in ("interval", "spacing", "train_clips", "test_clips"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={getattr(self, name)}")
        if not 2 <= self.least <= self.window:
            raise ValueError(f"`least` must lie in 2 .. window={self.window}. Received: least={self.least}")
        if self.crop < GRID or self.crop % GRID:
            raise ValueError(f"`crop` must be a multiple of {GRID}. Received: crop={self.crop}")
        for name in ("train", "test"):
            events = getattr(self, name)
            if not events:
                raise ValueError(f"`{name}` must name at least one event. Received: {name}={events}")
            for pattern, first, last in events:
                if not 0 <= first < last <= 1:
                    raise ValueError(
                        f"`{name}` must hold shares of 0 <= first < last <= 1. Received: {(pattern, first, last)}"
                    )
        parse_scale(self.scale)


class Draw(NamedTuple):
    """What a clip is cut out of.

    Attributes:
        round: how many rounds of clips come before.
        event: number of the event.
        window: number of the window of the event.
        number: number of the clip before they are put into the order of their maps.
    """

    round: int
    event: int
    window: int
    number: int


class Builder(PartBuilder):
    """Clips of rain as pixels, float32 (time, height, width, 1)."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    The manual folder holds a folder of maps for each service, as the globs of the config name them: knmi/, fmi/, dwd/,
    opera_cirrus/ and mch/ of `europe`. The README of the data set says where they come from.
    """
    BUILDER_CONFIGS: ClassVar[list[RadarMapsConfig]] = [
        RadarMapsConfig(name=name, **fields) for name, fields in CONFIGS.items()
    ]
    _opened: Mapping[str, Sequence[Series]] = {}  # while it is made

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        shape = (config.window, config.crop, config.crop, 1)
        frames, mask = (
            tfds.features.Tensor(shape=shape, dtype=dtype, encoding="zlib")
            for dtype in (np.float32, np.bool_)
        )
        text = tfds.features.Text()
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {"frames": frames, "mask": mask, "event": text, "time": text}
            ),
            homepage="https://github.com/pySTEPS/pysteps-data",
            disable_shuffling=True,
        )

    def source_files(
        self, folder: Path | None, dl_manager: tfds.download.DownloadManager | None = None
    ) -> Mapping[str, Path]:
        """Returns the radar files of all events."""
        if folder is None:
            return {}
        # While it is made, they are open already.
        opened = self._opened if dl_manager else self._open(folder)
        return {
            _name(path, folder): path
            for of_part in opened.values()
            for each in of_part
            for path in each.files
        }

    def _open(self, folder: Path) -> dict[str, list[Series]]:
        config = self.builder_config
        opened = {
            part: [_series(folder, *event) for event in getattr(config, part)] for part in ("train", "test")
        }
        for series in (each for of_part in opened.values() for each in of_part):
            _check_spacing(series, config.spacing)
        _check_apart(opened["train"], opened["test"])
        return opened

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        config = self.builder_config
        folder = manual_folder(dl_manager, f"the radar maps of {config.name}")
        self._opened = self._open(folder)
        self.facts = {"scale": config.scale}
        windows = {
            part: [self._windows(series) for series in of_part] for part, of_part in self._opened.items()
        }
        draws = {
            part: self._draws(part, number, getattr(config, f"{part}_clips"), windows[part])
            for number, part in enumerate(self._opened)
        }

        def reads(part: str, drawn: Sequence[Draw]) -> Iterable[str]:
            for event, window in {(draw.event, draw.window) for draw in drawn}:
                maps = windows[part][event][window]
                files = self._opened[part][event].files
                yield from (_name(files[index], folder) for index in maps.tolist() if index >= 0)

        return self.of_part(
            draws, lambda part, drawn: self._generate_examples(part, drawn, windows[part]), reads=reads
        )

    def _windows(self, series: Series) -> np.ndarray:
        config = self.builder_config
        found = event_windows(
            series.times, window=config.window, least=config.least, interval=config.interval
        )
        if not len(found):
            raise ValueError(
                f"Each event must have {config.least} maps that follow each other every {config.interval} min. "
                f"Received: {len(series.times)} maps of {series.source}, every {series.minutes} min"
            )
        return found

    def _draws(self, part: str, code: int, count: int, windows: Sequence[np.ndarray]) -> list[Draw]:
        """Returns what the clips of a part are cut out of: the events in turn, of each one any window."""
        random = np.random.default_rng([self.builder_config.seed, code])
        events = np.arange(count) % len(windows)
        return sorted(
            Draw(number // _ROUND, event, int(random.integers(len(windows[event]))), number)
            for number, event in enumerate(events.tolist())
        )

    def _generate_examples(
        self, part: str, drawn: Sequence[Draw], windows: Sequence[np.ndarray]
    ) -> Iterator[tuple[int, dict[str, object]]]:
        config = self.builder_config
        code = list(self._opened).index(part)
        events = [Event(series, config.window) for series in self._opened[part]]
        to_pixels = Coder(parse_scale(config.scale), f"rain rates of the {part} part")
        last = None
        for index, draw in enumerate(drawn):
            event, window = events[draw.event], windows[draw.event][draw.window]
            if last not in (None, event):
                last.map.cache_clear()  # maps of the event before would stay in memory
            last = event
            random = np.random.default_rng([config.seed, code, draw.number])
            rate, observed = event.cut(window, config.crop, random)
            example = {
                "frames": to_pixels(rate)[..., np.newaxis],
                "mask": observed[..., np.newaxis],
                "event": event.series.source,
                "time": str(event.series.times[window[0]]),
            }
            yield index, example
        to_pixels.report()


def _series(folder: Path, pattern: str, first: float, last: float) -> Series:
    """Opens an event: a share of the maps of files below a folder."""
    place, _, names = pattern.rpartition("/")
    if not any((folder / place).glob(names)):
        raise ValueError(
            f"`manual_dir` must hold radar maps {pattern}, see the README of radar_maps. Received: {folder}"
        )
    series = open_radar_folder(folder / place, names=names)
    numbers = np.arange(len(series.times))
    kept = (numbers >= math.floor(first * len(numbers))) & (numbers < math.floor(last * len(numbers)))
    return dataclasses.replace(series.where(kept), source=pattern)


def _check_spacing(series: Series, spacing: float) -> None:
    """Checks the metres from pixel to pixel, where maps say them."""
    if series.spacing and not 1 / _ALIKE <= series.spacing / spacing <= _ALIKE:
        raise ValueError(
            f"The maps of an event must have pixels of `spacing` = {spacing:g} m, up to a tenth. "
            f"Received: {series.spacing:.0f} m of {series.source}"
        )


def _check_apart(train: Iterable[Series], test: Iterable[Series]) -> None:
    """Checks that no map is both for training and for tests, whatever globs name it."""
    learned = {place: each.source for each in train for place in zip(each.files, each.times, strict=True)}
    for each in test:
        for place in zip(each.files, each.times, strict=True):
            if place in learned:
                raise ValueError(
                    "`train` and `test` must not share maps. "
                    f"Received: {place[0].name} in {learned[place]} and {each.source}"
                )


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix().removesuffix(".gz")
