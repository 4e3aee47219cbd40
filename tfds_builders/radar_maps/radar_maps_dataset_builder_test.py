"""Tests of the TFDS builder on the small maps of `dummy_data/`, and on real ones."""

import dataclasses
import os
import re
import shutil
from pathlib import Path
from typing import ClassVar
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mslstm_keras.radar.read import read_radar
from tests.support.radar_files import stamps, write_odim
from tfds_builders.metadata import read_metadata
from tfds_builders.radar_maps.make_dummy_data import FOLDER as DUMMY_DATA
from tfds_builders.radar_maps.make_dummy_data import SHORT, SMALL, depth
from tfds_builders.radar_maps.radar_maps_dataset_builder import Builder, RadarMapsConfig

REAL = Path(os.environ.get("MSLSTM_DATA", Path(__file__).parents[3] / "shared" / "data")) / "radar"


class RadarMapsTest(tfds.testing.DatasetBuilderTestCase):
    """Prepares and reads the config with the events of the dummy files."""

    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["europe"]
    SPLITS: ClassVar[dict[str, int]] = {"train": 30, "test": 6}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (config,) = Builder.BUILDER_CONFIGS
        for field, value in SMALL.items():
            cls.enterClassContext(mock.patch.object(config, field, value))


def small(**changes):
    return RadarMapsConfig(name="small", **SMALL | changes)


def prepare(data_dir, manual_dir=DUMMY_DATA, **changes):
    builder = Builder(data_dir=data_dir, config=small(**changes))
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def read(builder, split):
    return list(tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False)))


def test_clips_are_parts_of_their_maps(tmp_path):
    builder = prepare(tmp_path)
    maps = {f"{folder}/*": read_radar(DUMMY_DATA / folder).rain_rate.load() for folder in ("long", "short")}
    found = {split: read(builder, split) for split in ("train", "test")}
    assert {clip["event"] for clip in found["test"]} == {b"long/*"}
    assert {clip["event"] for clip in found["train"]} == {b"long/*", b"short/*"}
    half = np.datetime64("2010-08-26T00:30")
    for split, clips in found.items():
        for clip in clips:
            event, time = clip["event"].decode(), np.datetime64(clip["time"].decode())
            if event == "long/*":
                assert (time + np.timedelta64(15, "m") < half) if split == "train" else (time >= half)
            there = maps[event].sel(time=slice(time, None))[:4]
            length = len(there)
            assert length == (4 if event == "long/*" else 3)
            np.testing.assert_array_equal(clip["mask"].any((1, 2, 3)), np.arange(4) < length)
            assert not clip["frames"][~clip["mask"]].any()
            # What is in a clip is in its maps, as often as in a part of them.
            for frame, rates in zip(clip["frames"][:length, ..., 0], there.values, strict=True):
                pixels = (np.log1p(rates.astype("float64")) / np.log(101)).astype("float32")
                parts = np.lib.stride_tricks.sliding_window_view(pixels, (8, 8))[::8, ::8].reshape(-1, 64)
                assert np.isclose(np.sort(parts, axis=1), np.sort(frame.ravel()), atol=1e-6).all(1).any()
    assert read_metadata(builder.data_dir)["scale"] == "log:0:100 mm/h"
    config = builder.builder_config
    assert (config.interval, config.quantity, config.spacing) == (5, "rain rate", 1000)


def test_pixels_of_another_size(tmp_path):
    maps = shutil.copytree(DUMMY_DATA, tmp_path / "maps")
    shutil.rmtree(maps / "short")
    (maps / "short").mkdir()
    for number, time in enumerate(stamps("2020-01-01T15:00", 3)):
        write_odim(maps / "short" / f"{number}.h5", time, depth(number, SHORT), pixel=2000.0)
    message = r"must have pixels of `spacing` = 1000 m, up to a tenth. Received: (19|20)\d\d m of short/\*"
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path / "data", maps)


@pytest.mark.parametrize("test", [("long/*", 0.5, 1), ("long/*.h5", 0, 1)])
def test_no_map_is_learned_from_and_tested_on(tmp_path, test):
    message = rf"must not share maps. Received: RAD_\w+.h5 in long/\* and {re.escape(test[0])}$"
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path, test=(test,))


def test_rates_beyond_the_scale_are_clipped_and_said(tmp_path):
    with pytest.warns(
        UserWarning, match=r"of the (train|test) part: .* lie beyond 0 .. 2.5 mm/h, .* and are clipped"
    ):
        builder = prepare(tmp_path, scale="log:0:2.5 mm/h")
    assert max(clip["frames"].max() for clip in read(builder, "train")) == 1


def test_every_round_has_as_many_clips_of_each_event(tmp_path):
    with mock.patch("tfds_builders.radar_maps.radar_maps_dataset_builder._ROUND", 10):
        clips = read(prepare(tmp_path), "train")
    events = [clip["event"] for clip in clips]
    for first in (0, 10, 20):
        assert events[first : first + 10] == [b"long/*"] * 5 + [b"short/*"] * 5


def test_the_seed_gives_the_clips(tmp_path):
    one, same, other = (
        np.stack([clip["frames"] for clip in read(prepare(tmp_path / name, seed=seed), "train")])
        for name, seed in (("one", 3), ("same", 3), ("other", 4))
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_an_event_that_is_not_there(tmp_path):
    shutil.copytree(DUMMY_DATA / "long", tmp_path / "maps" / "long")
    with pytest.raises(
        ValueError, match=r"`manual_dir` must hold radar maps short/\*, see the README of radar_maps"
    ):
        prepare(tmp_path / "data", tmp_path / "maps")


def test_an_event_that_is_too_short(tmp_path):
    with pytest.raises(
        ValueError, match=r"Each event must have 4 maps .* every 5 min. Received: 3 maps of short/\*"
    ):
        prepare(tmp_path, least=4)
    with pytest.raises(ValueError, match=r"Each event must have 3 maps .* every 10 min"):
        prepare(tmp_path, interval=10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interval": 0}, "`interval` must be at least 1. Received: interval=0"),
        ({"train_clips": 0}, "`train_clips` must be at least 1"),
        ({"test_clips": 0}, "`test_clips` must be at least 1"),
        ({"least": 5}, "`least` must lie in 2 .. window=4. Received: least=5"),
        ({"least": 1}, "`least` must lie in 2 .. window=4. Received: least=1"),
        ({"crop": 12}, "`crop` must be a multiple of 8. Received: crop=12"),
        ({"crop": 0}, "`crop` must be a multiple of 8. Received: crop=0"),
        ({"scale": "0:x"}, "`range` must be LOW:HIGH"),
        ({"train": ()}, "`train` must name at least one event"),
        (
            {"test": (("long/*", 0.5, 0.5),)},
            r"`test` must hold shares of 0 <= first < last <= 1. Received: \('long",
        ),
    ],
)
def test_faults_of_a_config(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)


@pytest.mark.skipif(
    not REAL.is_dir(), reason="real radar maps are not at hand (set MSLSTM_DATA to the folder of radar/)"
)
@pytest.mark.filterwarnings("ignore:Rain above", "ignore:rain rates of the")
def test_real_maps(tmp_path):
    config = dataclasses.replace(Builder.builder_configs["europe"], name="few", train_clips=6, test_clips=8)
    builder = Builder(data_dir=tmp_path, config=config)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=REAL))
    for split, count in (("train", 6), ("test", 8)):
        clips = read(builder, split)
        assert len(clips) == count
        for clip in clips:
            assert clip["frames"].shape == clip["mask"].shape == (18, 96, 96, 1)
            assert 0 <= clip["frames"].min() <= clip["frames"].max() <= 1
            assert clip["mask"][:12].mean() > 0.8
