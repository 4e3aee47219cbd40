"""Tests of the TFDS builder on the small files of `dummy_data/` and on real radar maps."""

import contextlib
import dataclasses
import gzip
import os
import resource
import shutil
from pathlib import Path
from typing import ClassVar
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from mslstm_keras.radar.read import open_maps
from tests.support.radar_files import digits, pgm, stamps, write_odim
from tfds_builders import parts
from tfds_builders.dwd_radar_clips import clips
from tfds_builders.dwd_radar_clips.dwd_radar_clips_dataset_builder import Builder, DwdRadarClipsConfig
from tfds_builders.dwd_radar_clips.make_dummy_data import FOLDER as DUMMY_DATA
from tfds_builders.dwd_radar_clips.make_dummy_data import KNMI_SIZE, SIZE, depth, times, write_rydl
from tfds_builders.metadata import read_metadata

REAL = Path(os.environ.get("MSLSTM_DATA", Path(__file__).parents[3] / "shared" / "data")) / "radar"
needs_real_maps = pytest.mark.skipif(
    not REAL.is_dir(), reason="real radar maps are not at hand (set MSLSTM_DATA to the folder of radar/)"
)

# The same configs for the small maps of the dummy files.
SMALL = {
    "germany": {"map_size": SIZE},
    "germany_reference": {"map_size": SIZE},
    "radolan": {"test_share": 0.5},
    "knmi": {"map_size": KNMI_SIZE, "crop": SIZE, "test_share": 0.5},
    "knmi_hours": {"map_size": KNMI_SIZE, "crop": SIZE, "interval": 30},
    "radar": {"block": 2, "test_share": 0.5},
    "synthetic": {"map_size": (24, 24)},
}


def small(config, **changes):
    fields = {"name": f"{config}_small"} | SMALL[config] | changes
    return dataclasses.replace(Builder.builder_configs[config], **fields)


class _SmallMapsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for config in Builder.BUILDER_CONFIGS:
            for field, value in SMALL[config.name].items():
                cls.enterClassContext(mock.patch.object(config, field, value))


class DwdRadarClipsTest(_SmallMapsTest):
    """Prepares and reads the configs of RYDL.hdf5."""

    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["germany", "germany_reference"]
    SPLITS: ClassVar[dict[str, int]] = {"train": 2, "test": 1}


class KnmiTest(_SmallMapsTest):
    """Prepares and reads the configs of KNMI files."""

    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["knmi", "knmi_hours"]
    SPLITS: ClassVar[dict[str, int]] = {"train": 1, "test": 1}


class RadolanTest(_SmallMapsTest):
    """Prepares and reads the config of RADOLAN files."""

    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["radolan"]
    SPLITS: ClassVar[dict[str, int]] = {"train": 1, "test": 1}


class RadarTest(_SmallMapsTest):
    """Prepares and reads the config of any folder of maps, whose size and interval are found."""

    EXAMPLE_DIR = DUMMY_DATA / "knmi"
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["radar"]
    SPLITS: ClassVar[dict[str, int]] = {"train": 1, "test": 1}


class SyntheticTest(_SmallMapsTest):
    """Prepares and reads the synthetic clips."""

    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[str]] = ["synthetic"]
    SPLITS: ClassVar[dict[str, int]] = {"train": 240, "test": 60}


del _SmallMapsTest  # not a test itself


def prepare(config, data_dir, manual_dir=DUMMY_DATA):
    builder = Builder(data_dir=data_dir, config=config)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def read(builder, split):
    return list(tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False)))


def pixel(rate):
    """(10 log10(256 R^1.42) + 10) / 70 of a rate in mm/h, clipped, one number at a time."""
    return min(max((10 * np.log10(256 * rate**1.42) + 10) / 70, 0), 1) if rate > 0 else 0.0


def expected_frame(number, size=SIZE):
    """Frame of dummy map `number`, block by block."""
    rate = (depth(number, size)[: SIZE[0]] / 100).astype(np.float16).astype(np.float64) * 12
    blocks = [[rate[i : i + 5, j : j + 5].mean() for j in range(0, 10, 5)] for i in range(0, 10, 5)]
    return np.array([[pixel(value) for value in row] for row in blocks])[..., np.newaxis]


def test_frames_are_the_pixels_of_the_mean_rates_of_their_maps(tmp_path):
    builder = prepare(small("germany"), tmp_path)
    train, test = read(builder, "train"), read(builder, "test")
    assert [str(clip["time"], "ascii") for clip in train + test] == [
        "2013-06-01T00:00",
        "2014-06-01T00:00",
        "2016-06-01T00:00",
    ]
    # In the dummy file map 8 of the first night, at 00:05, lies between the maps of the first clip.
    for clip, first in zip(train + test, (0, 9, 18), strict=True):
        expected = [expected_frame(first + k) for k in range(8)]
        np.testing.assert_allclose(clip["frames"], expected, rtol=1e-5, atol=1e-6)
        assert clip["frames"].dtype == np.float32 and clip["mask"].dtype == bool and clip["mask"].all()


def test_reference_config_has_8_bit_means_of_pixels(tmp_path):
    frames = read(prepare(small("germany_reference"), tmp_path), "train")[1]["frames"]
    rate = (depth(9) / 100).astype(np.float16).astype(np.float64) * 12
    pixels = np.array([[pixel(value) for value in row] for row in rate])
    expected = [
        [round(255 * pixels[i : i + 5, j : j + 5].mean()) for j in range(0, 10, 5)] for i in range(0, 10, 5)
    ]
    np.testing.assert_array_equal(frames[0, ..., 0], expected)
    assert frames.dtype == np.uint8


@pytest.mark.parametrize(("part", "share"), [("train", 0), ("test", 1)])
def test_one_part_only(tmp_path, part, share):
    builder = prepare(small("knmi", test_share=share), tmp_path)
    # 16 half-hours, windows of 8 starting every 5 minutes: 9 starts, at the maps that are there.
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {part: 9}


def test_years_in_neither_part_are_left_out_and_said(tmp_path, caplog):
    prepare(small("germany"), tmp_path)
    assert "left out the maps of 2018 (2), which are in neither part" in caplog.text


def test_nothing_left_out_nothing_said(tmp_path, caplog):
    prepare(small("knmi"), tmp_path)
    assert "left out" not in caplog.text


def nothing_prepared(data_dir):
    # TFDS keeps the names of the configs in `.config`, prepared or not.
    found = (data_dir / "dwd_radar_clips").rglob("*")
    return not [path for path in found if path.is_file() and ".config" not in path.parts]


def test_empty_part_names_the_years(tmp_path):
    config = small("germany", name="late", test_years=(2017, 2017))
    with pytest.raises(
        ValueError,
        match=r"The test part must hold 8 maps.*every 30 min.* 0 maps.*2013 \(9\), 2014 \(9\), 2016 \(8\)",
    ):
        prepare(config, tmp_path)
    assert nothing_prepared(tmp_path)


def test_gap_that_leaves_no_window(tmp_path):
    with pytest.raises(
        ValueError, match=r"The train part must hold 9 maps.*Received: 8 maps.*knmi, .* 2010 \(16\)"
    ):
        prepare(small("knmi", window=9), tmp_path)


def copy_of_dummy_data(tmp_path):
    shutil.copytree(DUMMY_DATA, tmp_path / "manual")
    return tmp_path / "manual"


def test_damaged_map_stops_with_its_name_and_preparing_goes_on_where_it_was(tmp_path):
    manual = tmp_path / "manual"
    manual.mkdir()
    stamps = np.concatenate([times("2013-06-01T00:00", 64, 30), times("2016-06-01T00:00", 8, 30)])
    maps = {time: (depth(n) / 100).astype(np.float32) for n, time in enumerate(stamps)}
    bad = {stamps[60]: maps[stamps[60]][:9]}
    write_rydl(manual / "RYDL.hdf5", maps | bad)
    with pytest.raises(
        ValueError, match=r"Received: .*RYDL.hdf5/201306020600: must have shape \(10, 10\), has \(9, 10\)"
    ):
        prepare(small("germany"), tmp_path, manual)
    assert nothing_prepared(tmp_path)
    stored = [path.name for path in (tmp_path / "downloads").rglob("*") if path.is_file()]
    assert stored == ["000000.h5"]


def test_second_run_reads_nothing_twice(tmp_path):
    manual = copy_of_dummy_data(tmp_path)
    first = [clip["frames"] for clip in read(prepare(small("germany"), tmp_path, manual), "train")]
    shutil.rmtree(tmp_path / "dwd_radar_clips")
    with mock.patch.object(clips, "_save", side_effect=AssertionError("made again")):
        again = [clip["frames"] for clip in read(prepare(small("germany"), tmp_path, manual), "train")]
    np.testing.assert_array_equal(first, again)
    with (
        mock.patch.object(clips, "_save", side_effect=ZeroDivisionError("made anew")),
        pytest.raises(ZeroDivisionError, match="made anew"),
    ):
        prepare(small("germany", name="other", block=2), tmp_path, manual)


@contextlib.contextmanager
def files_of_at_most(size):
    """Lets every file that grows beyond `size` bytes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_leaves_nothing(tmp_path):
    for size in (1000, 3000):  # twice in one process, as HDF5 does not survive the second failure
        with files_of_at_most(size), pytest.raises(OSError, match="File too large"):
            prepare(small("germany"), tmp_path)
        assert nothing_prepared(tmp_path)
    assert not [path for path in (tmp_path / "downloads").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["germany", "knmi", "radolan"])
def test_manual_folder_without_the_files(tmp_path, name):
    manual = tmp_path / "manual"
    with pytest.raises(
        ValueError,
        match=f"`manual_dir` must hold the files of {name}_small: `mslstm .* Received: .* is empty\\.$",
    ):
        prepare(small(name), tmp_path, manual)
    manual.mkdir()
    (manual / "notes.txt").write_text("none")
    message = "must hold RYDL.hdf5, from" if name == "germany" else "a glob that matches some"
    with pytest.raises(ValueError, match=f"{message}.*Received: .*{manual}"):
        prepare(small(name), tmp_path, manual)
    assert nothing_prepared(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "hail"}, r"`source` must be one of .*Received: source='hail'"),
        ({"product": "RY"}, r"`product` must be None .*Received: product='RY', source='rydl'"),
        ({"mean": "median"}, r"`mean` must be one of .*Received: mean='median'"),
        ({"dtype": "float16"}, r"`dtype` must be one of .*Received: dtype='float16'"),
        ({"interval": 0}, "`interval` must be a multiple of 5 minutes, at least 5. Received: interval=0"),
        ({"interval": 12}, "`interval` must be a multiple of 5 .*interval=12"),
        ({"stride": -5}, "`stride` must be a multiple of 5 .*stride=-5"),
        ({"window": 1}, "`window` must be at least 2 maps. Received: window=1"),
        ({"block": 0}, "`block` must divide .*Received: block=0"),
        ({"source": "radar", "interval": 0}, "`interval` must be a multiple of 1 minutes.*interval=0"),
        ({"block": 7}, r"`block` must divide the height and width that are kept, \(900, 900\). .*block=7"),
        ({"crop": (1000, 900)}, r"`crop` must lie within maps of \(900, 900\). Received: crop=\(1000, 900\)"),
        ({"crop": (0, 900)}, r"`crop` must lie within .*Received: crop=\(0, 900\)"),
        ({"crop": (900,)}, r"`crop` must be two integers. Received: crop=\(900,\)"),
        ({"crop": ("a", "b")}, r"`crop` must be two integers. Received: crop=\('a', 'b'\)"),
        ({"map_size": (900.0, 900)}, r"`map_size` must be two integers. Received: map_size=\(900.0, 900\)"),
        ({"train_years": (2006,)}, r"`train_years` must be two integers. Received: train_years=\(2006,\)"),
        ({"test_share": 1.5}, r"`test_share` must lie in \[0, 1\]. Received: test_share=1.5"),
        ({"test_years": (2014, 2015)}, r"must not share a year. .*test_years=\(2014, 2015\)"),
    ],
)
def test_config_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Builder.builder_configs["germany"], **changes)


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("germany", (8, 180, 180, 1), np.float32),
        ("germany_reference", (8, 180, 180, 1), np.uint8),
        ("radolan", (8, 180, 180, 1), np.float32),
        ("knmi", (8, 152, 140, 1), np.float32),
        ("knmi_hours", (8, 152, 140, 1), np.float32),
        ("radar", (8, None, None, 1), np.float32),
        ("synthetic", (8, 180, 180, 1), np.float32),
    ],
)
def test_declared_configs(tmp_path, name, shape, dtype):
    builder = Builder(data_dir=tmp_path, config=name)
    features = builder.info.features
    assert features["frames"].shape == features["mask"].shape == shape
    assert features["frames"].np_dtype == dtype
    assert builder.info.disable_shuffling
    assert "RADOLAN" in builder.info.description and "ayzel2020rainnet" in builder.info.citation
    assert next(iter(Builder.builder_configs)) == "germany" and len(Builder.builder_configs) == 7
    assert ("synthetic" in builder.builder_config.description.lower()) == (name == "synthetic")


def test_sizes_of_yw_and_its_own_window():
    config = DwdRadarClipsConfig(name="yw", source="yw", window=12, test_share=0)
    assert config.size == config.kept_of((1100, 900)) == (1100, 900) and config.test_share == 0


@pytest.fixture
def maps(tmp_path):
    (tmp_path / "maps").mkdir()
    return tmp_path / "maps"


def prepare_radar(maps, **changes):
    config = dataclasses.replace(Builder.builder_configs["radar"], **{"name": "mine", "block": 2} | changes)
    return prepare(config, maps.with_name("data"), maps)


def of_service(service, folder, time, number):
    """Writes a map of one rate of a service."""
    values = np.full((12, 10), number, np.uint16)
    if service == "FMI":
        path = folder / f"{digits(time)}_fmi.radar.composite.lowest_FIN_SUOMI1.pgm.gz"
        path.write_bytes(gzip.compress(pgm(time, values)))
        return (10 ** ((number / 2 - 32) / 10) / 200) ** (1 / 1.6)  # (number - 64) / 2 dBZ
    write_odim(folder / f"T_PABV21_C_EUOC_{digits(time)}00.hdf", time, values)
    return number / 10


@pytest.mark.parametrize("service", ["FMI", "EUMETNET OPERA"])
def test_maps_of_any_service_and_no_clip_across_a_gap(maps, service):
    """Two events months apart: the size, the interval and the rates are those of the maps."""
    times = np.concatenate([stamps("2016-09-28T14:45", 10), stamps("2017-05-09T10:45", 9)])
    rates = {str(time)[:16]: of_service(service, maps, time, 100 + n) for n, time in enumerate(times)}
    builder = prepare_radar(maps, stride=5, test_share=0)
    clips = read(builder, "train")
    starts = [*times[:3], *times[10:12]]
    assert [clip["time"].decode() for clip in clips] == [str(start)[:16] for start in starts]
    for clip, start in zip(clips, starts, strict=True):
        assert clip["frames"].shape == clip["mask"].shape == (8, 6, 5, 1) and clip["mask"].all()
        expected = [pixel(rates[str(time)[:16]]) for time in stamps(start, 8)]
        np.testing.assert_allclose(clip["frames"][:, 2, 3, 0], expected, rtol=1e-5)
    assert read_metadata(builder.data_dir)["interval"] == 5
    spacing = read_metadata(builder.data_dir)["spacing"]
    assert spacing == builder.builder_config.block * open_maps(maps).said.grid.spacing


def test_size_and_crop_of_the_maps_are_checked(maps):
    for time in stamps("2016-09-28T14:45", 8):
        of_service("FMI", maps, time, 100)
    for changes, message in (
        ({"map_size": (14, 10)}, r"`map_size` must be that of the maps. .*=\(14, 10\), maps of \(12, 10\)"),
        ({"block": 5}, r"`block` must divide the height and width that are kept, \(12, 10\). .*block=5"),
        ({"crop": (14, 10)}, r"`crop` must lie within maps of \(12, 10\). Received: crop=\(14, 10\)"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare_radar(maps, test_share=0, **changes)
    builder = prepare_radar(maps, test_share=0, block=5, crop=(10, 5))
    assert builder.info.features["frames"].shape == (8, 2, 1, 1)


def test_parts_of_maps_of_any_service(maps):
    for number, time in enumerate(stamps("2016-09-28T14:45", 19)):
        of_service("EUMETNET OPERA", maps, time, number)
    whole = prepare_radar(maps, stride=5, test_share=0)
    builder = Builder(data_dir=maps.with_name("parts"), config=whole.builder_config)
    manual = tfds.download.DownloadConfig(manual_dir=maps)
    for number in (1, 2, 3):
        parts.make_part(builder, parts.Part(number, 3), manual)
    joined = parts.join_parts(builder)
    assert read_metadata(joined.data_dir) == read_metadata(whole.data_dir)
    for ours, theirs in zip(read(joined, "train"), read(whole, "train"), strict=True):
        assert ours["time"] == theirs["time"]
        np.testing.assert_array_equal(ours["frames"], theirs["frames"])


def test_one_map_has_no_interval(maps):
    of_service("FMI", maps, stamps("2016-09-28T14:45", 1)[0], 100)
    with pytest.raises(ValueError, match=f"must hold more than one radar map. Received: one in {maps}"):
        prepare_radar(maps)


def test_only_one_of_several_products(maps):
    for time in stamps("2016-09-28T14:45", 8):
        of_service("EUMETNET OPERA", maps, time, 7)
        write_odim(
            maps / f"T_PASH21_{digits(time)}.hdf",
            time,
            np.full((12, 10), 7, np.uint16),
            "ACRR",
            minutes=60,
            prodname=np.bytes_("Sum of an hour"),
        )
    with pytest.raises(ValueError, match="one kind; `product` or a glob chooses"):
        prepare_radar(maps, test_share=0)
    builder = prepare_radar(maps, test_share=0, product="hour")
    assert len(parts.sources_of(builder).files) == 8
    np.testing.assert_allclose(read(builder, "train")[0]["frames"], pixel(0.7), rtol=1e-5)


def test_bilinear_resizing_to_a_fifth_takes_the_centre():
    rate = (np.random.default_rng(6).random((20, 30)) * 9).astype(np.float32)
    resized = tf.image.resize(rate[..., np.newaxis], (4, 6), antialias=False)
    np.testing.assert_allclose(resized[..., 0], rate[2::5, 2::5], rtol=1e-6)


@needs_real_maps
def test_real_knmi_hours(tmp_path):
    # 62 maps in a row; 8 half-hours span 43 of them, so that two parts would have none.
    config = dataclasses.replace(Builder.builder_configs["knmi"], name="hours", test_share=0)
    builder = prepare(config, tmp_path, REAL)
    assert builder.info.splits["train"].num_examples == 62 - 43 + 1
    first, second, *_ = read(builder, "train")
    assert (first["time"], second["time"]) == (b"2010-08-26T00:00", b"2010-08-26T00:05")
    assert first["frames"].shape == (8, 152, 140, 1) and 0.05 < (first["frames"] > 0).mean() < 0.25
    assert not (first["frames"][~first["mask"]] > 0.9).any() and first["mask"].any()
    with pytest.raises(ValueError, match=r"The test part must hold 8 maps.* 12 maps of .*2010 \(62\)"):
        prepare(Builder.builder_configs["knmi"], tmp_path, REAL)


@needs_real_maps
def test_a_few_real_hours_give_both_parts_and_no_map_is_in_both(tmp_path):
    builder = prepare("knmi_hours", tmp_path, REAL)
    used = {}
    for split in ("train", "test"):
        clips_of_part = read(builder, split)
        starts = [np.datetime64(clip["time"].decode(), "m") for clip in clips_of_part]
        assert len(starts) == 31 - 15 + 1 and set(np.diff(starts).astype(int)) == {5}
        used[split] = {start + np.timedelta64(10 * k, "m") for start in starts for k in range(8)}
        # Maps lie 10 minutes apart: what a clip shows next, a clip that starts 10 minutes later shows first.
        np.testing.assert_array_equal(clips_of_part[0]["frames"][1:], clips_of_part[2]["frames"][:-1])
    assert len(used["train"]) == len(used["test"]) == 31
    assert max(used["train"]) + np.timedelta64(5, "m") == min(used["test"])


@needs_real_maps
@pytest.mark.parametrize(
    ("source", "shape", "clips_"), [("ry", (8, 180, 180, 1), 1), ("yw", (8, 220, 180, 1), 1)]
)
def test_real_radolan_hour(tmp_path, source, shape, clips_):
    config = DwdRadarClipsConfig(name=source, source=source, interval=5, test_share=0)
    builder = prepare(config, tmp_path, REAL)
    clip, *others = read(builder, "train")
    assert len(others) == clips_ - 1 and clip["frames"].shape == shape
    assert clip["time"] == {"ry": b"2020-01-01T15:00", "yw": b"2017-08-16T00:55"}[source]
    assert not clip["frames"][:, :2, :2].any() and not clip["mask"].all()
