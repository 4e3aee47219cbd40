"""Tests of data sets that are made in parts: joined, they are what is made as a whole, file by file."""

import dataclasses
import importlib
import os
import shutil
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_datasets.core.utils import shard_utils

from tfds_builders import parts
from tfds_builders.parts import Part, PartBuilder, fetch_sources, join_parts, make_part, missing_parts
from tfds_builders.radar_maps.make_dummy_data import SMALL as SMALL_RADAR
from tfds_builders.random_access import random_access
from tfds_builders.taxibj_clips import flow_clips
from tfds_builders.taxibj_clips.flows import FILES

# Data set -> config and fields that make it small; `manual_dir` is its folder `dummy_data/`.
SMALL = {
    "moving_mnist_clips": ("optdigits", {"train_clips": 9, "test_clips": 2}),
    "taxibj_clips": ("reference_order", {"check_md5": False, "test_windows": 20}),
    "kth_clips": ("three_actions", {"size": 16, "verify": False}),
    "dwd_radar_clips": ("germany", {"map_size": (10, 10), "window": 2, "stride": 30}),
    "radar_maps": ("europe", SMALL_RADAR),
    "frames_from_folder": ("clips", {"window": 7, "stride": 3}),
}


def builder_of(name, data_dir, **changes):
    kind = importlib.import_module(f"tfds_builders.{name}.{name}_dataset_builder").Builder
    config, fields = SMALL[name]
    config = dataclasses.replace(kind.builder_configs[config], name="small", **fields | changes)
    return kind(config=config, data_dir=os.fspath(data_dir))


def manual(folder):
    return tfds.download.DownloadConfig(manual_dir=os.fspath(folder))


def dummy_data(name):
    return manual(Path(__file__).parent / name / "dummy_data")


def files(data_dir):
    """Returns path -> content of all files but those that a builder keeps between its runs.

    Contents can be compared as all is made in one process: the order of the features in a record is the process's.
    """
    paths = [path for path in Path(data_dir).rglob("*") if path.is_file()]
    contents = {str(path.relative_to(data_dir)): path.read_bytes() for path in paths}
    return {path: content for path, content in contents.items() if not path.startswith("downloads/")}


def whole(name, data_dir, config=None, **changes):
    """Returns the files of a data set made in one process."""
    builder_of(name, data_dir, **changes).download_and_prepare(download_config=config or dummy_data(name))
    return files(data_dir)


@given(st.integers(0, 60), st.integers(1, 80))
def test_parts_hold_every_unit_once_and_in_order(units, count):
    shares = [Part(number, count).of(range(units)) for number in range(1, count + 1)]
    assert [unit for share in shares for unit in share] == list(range(units))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_default_part_is_the_whole():
    assert Part().of("units") == "units"


@pytest.mark.parametrize("part", [(5, 4), (0, 4), (1, 0), (-1, -1)])
def test_parts_that_are_none(part):
    with pytest.raises(
        ValueError, match=rf"`part` must be K/N, the K-th of N parts, .* Received: part={part[0]}/{part[1]}$"
    ):
        Part(*part)


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("name", SMALL)
def test_joined_parts_are_the_files_of_one_process(name, count, tmp_path):
    """With five parts, some have no clip of one of the splits, or none at all."""
    builder = builder_of(name, tmp_path / "parts")
    order = np.random.default_rng(0).permutation(count) + 1
    made = []
    for number in order:
        assert join_parts(builder) is None
        make_part(builder, Part(int(number), count), dummy_data(name), lambda: made.append(1))
    joined = join_parts(builder)
    assert files(tmp_path / "parts") == whole(name, tmp_path / "whole")
    assert len(made) == sum(split.num_examples for split in joined.info.splits.values()) > count
    assert not parts.parts_folder(builder).exists()
    for split in joined.info.splits:
        assert len(random_access(joined, split)) == joined.info.splits[split].num_examples


@pytest.mark.parametrize("interval", [5, 10])
def test_no_radar_window_is_lost_at_midnight(interval, tmp_path):
    """Nine maps from 2013-12-31 23:30 on: the windows of a year, and of a day, reach into the next one."""
    module = "tfds_builders.dwd_radar_clips.dwd_radar_clips_dataset_builder.open_rydl"
    series = importlib.import_module("tfds_builders.dwd_radar_clips.radar_maps").Series(
        "maps",
        np.datetime64("2013-12-31T23:30") + 5 * np.arange(9),
        lambda index: (np.full((10, 10), index, np.float32), np.ones((10, 10), bool)),
        (10, 10),
    )
    changes = {"interval": interval, "stride": 5, "test_share": 0}
    with mock.patch(module, lambda *_, **__: series):
        alone = whole("dwd_radar_clips", tmp_path / "whole", **changes)
        builder = builder_of("dwd_radar_clips", tmp_path / "parts", **changes)
        for number in (1, 2, 3):
            make_part(builder, Part(number, 3), dummy_data("dwd_radar_clips"))
    joined = join_parts(builder)
    assert files(tmp_path / "parts") == alone
    starts = [str(clip["time"], "ascii") for clip in random_access(joined, "train")]
    assert starts == [str(time) for time in series.times[: 9 - interval // 5]]


def test_several_files_of_a_split_are_those_of_one_process(tmp_path):
    few = mock.patch.object(shard_utils.ShardConfig, "get_number_shards", lambda *_: 2)
    with few:
        alone = whole("taxibj_clips", tmp_path / "whole")
        builder = builder_of("taxibj_clips", tmp_path / "parts")
        for number in (1, 2, 3):
            make_part(builder, Part(number, 3), dummy_data("taxibj_clips"))
        join_parts(builder)
    assert any(path.endswith("00001-of-00002") for path in alone)
    assert files(tmp_path / "parts") == alone


@pytest.fixture
def folder(tmp_path):
    """Four clips of 5 frames; c.npy is the test split."""
    (tmp_path / "clips").mkdir()
    for seed, name in enumerate("abcd"):
        clip = np.random.default_rng(seed).integers(0, 256, (5, 4, 6), "uint8")
        np.save(tmp_path / "clips" / f"{name}.npy", clip)
    return tmp_path / "clips"


@pytest.fixture
def builder(tmp_path):
    return builder_of("frames_from_folder", tmp_path / "data", window=2, stride=1)


def make(builder, folder, number, count=2):
    make_part(builder, Part(number, count), manual(folder))


def refuse(message, use, *arguments):
    """Checks that the message comes, and that nothing is taken for a data set."""
    with pytest.raises(ValueError, match=message):
        use(*arguments)
    assert not list(Path(arguments[0].data_dir_root).glob("*/*/1.0.0"))


def test_a_part_that_is_made_is_not_made_again(builder, folder):
    make(builder, folder, 1)
    before = files(builder.data_dir_root)
    make_part(builder, Part(1, 2), manual(folder), lambda: pytest.fail("made again"))
    assert files(builder.data_dir_root) == before
    assert missing_parts(builder, 2) == [Part(2, 2)]
    make(builder, folder, 2)
    assert join_parts(builder).info.splits["train"].num_examples == 12
    before = files(builder.data_dir_root)
    make(builder, folder, 2)  # of a data set that is whole
    assert join_parts(builder) and missing_parts(builder, 2) == []
    assert files(builder.data_dir_root) == before


def test_parts_of_another_number_are_refused(builder, folder):
    make(builder, folder, 1)
    refuse(
        r"`part` must be one of 2, as the other parts are \(or remove .*1\.0\.0\.parts to start anew\)\. "
        "Received: part=2/3$",
        make,
        builder,
        folder,
        2,
        3,
    )


def test_parts_of_other_settings_are_refused_and_never_joined(builder, folder):
    make(builder, folder, 1)
    other = builder_of("frames_from_folder", builder.data_dir_root, window=2, stride=2)
    message = (
        r"All parts must have the same settings \(or .*\)\. Received: stride=1 in part 1/2, stride=2 in "
    )
    refuse(message + "part 2/2", make, other, folder, 2)
    make(builder, folder, 2)
    refuse(message + "what is to be joined", join_parts, other)


def test_parts_that_were_made_at_once_with_other_settings_are_never_joined(tmp_path, builder, folder):
    make(builder, folder, 1)
    other = builder_of("frames_from_folder", tmp_path / "other", window=2, stride=2)
    make(other, folder, 2)
    shutil.move(parts.parts_folder(other) / "2-of-2", parts.parts_folder(builder))
    refuse("the same settings .* stride=1 in part 1/2, stride=2 in part 2/2", join_parts, builder)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda folder: (folder / "d.npy").rename(folder / "e.npy"), "d.npy is missing"),
        (lambda folder: shutil.copy(folder / "d.npy", folder / "e.npy"), "e.npy is new"),
    ],
)
def test_parts_of_other_files_are_refused_and_never_joined(tmp_path, builder, folder, change, difference):
    """Before the second is made, and where both were made at once."""
    make(builder, folder, 1)
    change(folder)
    message = (
        r"must be made of the same source files \(or remove .*\)\. "
        f"Received: parts 1/2 and 2/2, for which {difference}$"
    )
    refuse(message, make, builder, folder, 2)
    other = builder_of("frames_from_folder", tmp_path / "other", window=2, stride=1)
    make(other, folder, 2)
    shutil.move(parts.parts_folder(other) / "2-of-2", parts.parts_folder(builder))
    refuse(message, join_parts, builder)


@pytest.mark.parametrize("name", ["taxibj_clips", "kth_clips"])
def test_parts_that_read_one_file_of_two_contents_are_never_joined(tmp_path, name):
    """Of files whose content all parts read, the names do not suffice."""
    copy = shutil.copytree(Path(__file__).parent / name / "dummy_data", tmp_path / "sources")
    builder = builder_of(name, tmp_path / "data")
    make(builder, copy, 1)
    path = next(path for path in sorted(copy.rglob("*")) if path.suffix in (".h5", ".txt"))
    if path.suffix == ".txt":
        path.write_text(path.read_text() + "\n")
    else:
        with h5py.File(path, "a") as file:
            file.attrs["note"] = "changed"
    refuse(f"parts 1/2 and 2/2, for which {path.name} has another content$", make, builder, copy, 2)


def test_a_file_that_changes_meanwhile_is_named_and_nothing_is_made(builder, folder):
    def change():
        np.save(folder / "a.npy", np.zeros((5, 4, 6), "uint8"))

    with pytest.raises(ValueError, match=r"must not change while .* Received: .*a\.npy, which did$"):
        make_part(builder, Part(1, 2), manual(folder), change)
    assert not list(parts.parts_folder(builder).iterdir())


def test_frames_of_two_parts_must_be_of_one_size(builder, folder):
    np.save(folder / "d.npy", np.zeros((5, 4, 7), "uint8"))
    make(builder, folder, 1)
    refuse(r"d\.npy` must have frames .* as large as those of a\.npy, \(4, 6\)", make, builder, folder, 2)
    assert [path.name for path in parts.parts_folder(builder).iterdir()] == ["1-of-2"]


@pytest.mark.filterwarnings("ignore:.*is passed over")
def test_a_split_without_a_clip_in_any_part(tmp_path, folder):
    np.save(folder / "c.npy", np.zeros((1, 4, 6), "uint8"))
    builder = builder_of("frames_from_folder", tmp_path / "data", window=2, stride=1, skip_short=True)
    for number in (1, 2):
        make(builder, folder, number)
    refuse("must give clips for each split. Received: none for test, in any of the 2", join_parts, builder)
    assert len(list(parts.parts_folder(builder).iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "shorter", "without file", "without record", "record"])
def test_a_damaged_part_is_named_and_made_again(builder, folder, damage, tmp_path):
    for number in (1, 2):
        make(builder, folder, number)
    part = parts.parts_folder(builder) / "2-of-2"
    (records,) = part.rglob("*train.tfrecord*")
    if damage == "cut":
        records.write_bytes(records.read_bytes()[:-9])
    elif damage == "shorter":
        records.write_bytes(b"")
    elif damage == "without file":
        records.unlink()
    elif damage == "without record":
        (part / "part.json").unlink()
    else:
        (part / "part.json").write_text('{"part": [2, 2]')
    refuse(rf"A part must be whole: remove {part} and make it again\. Received: \w+: ", join_parts, builder)
    shutil.rmtree(part)
    make(builder, folder, 2)
    join_parts(builder)
    changes = {"window": 2, "stride": 1}
    assert files(builder.data_dir_root) == whole(
        "frames_from_folder", tmp_path / "whole", manual(folder), **changes
    )


def test_a_part_that_fails_leaves_nothing(builder, folder):
    (folder / "d.npy").write_bytes(b"\x93NUMPY")
    make(builder, folder, 1)
    refuse(r"d\.npy` must be a clip that can be read", make, builder, folder, 2)
    assert [path.name for path in parts.parts_folder(builder).iterdir()] == ["1-of-2"]
    assert join_parts(builder) is None


def test_a_join_that_fails_leaves_the_parts(builder, folder):
    for number in (1, 2):
        make(builder, folder, number)
    before = files(builder.data_dir_root)
    adapter = "tensorflow_datasets.core.file_adapters.TfRecordFileAdapter.write_examples"
    with mock.patch(adapter, side_effect=OSError("No space left")), pytest.raises(OSError, match="No space"):
        join_parts(builder)
    assert {path: before[path] for path in before} == {
        path: content for path, content in files(builder.data_dir_root).items() if path in before
    }
    assert not list(Path(builder.data_dir).parent.glob("*incomplete*"))
    assert join_parts(builder).info.splits["test"].num_examples == 4


def test_two_that_join_at_once_give_one_data_set(builder, folder, tmp_path):
    for number in (1, 2):
        make(builder, folder, number)
    join, other = (
        PartBuilder._join,
        builder_of("frames_from_folder", builder.data_dir_root, window=2, stride=1),
    )

    def overtaken(self, name):
        if name == "test":  # the other one joins, publishes and removes the parts, when this one has begun
            with mock.patch.object(PartBuilder, "_join", join):
                assert join_parts(other)
        return join(self, name)

    with mock.patch.object(PartBuilder, "_join", overtaken):
        assert join_parts(builder).info.splits["train"].num_examples == 12
    alone = whole("frames_from_folder", tmp_path / "whole", manual(folder), window=2, stride=1)
    assert files(builder.data_dir_root) == alone
    assert [path.name for path in Path(builder.data_dir).parent.iterdir()] == ["1.0.0"]


def test_two_that_publish_at_once_give_one_data_set(builder, folder, tmp_path):
    """As above, but the other one is faster by the last rename only."""
    for number in (1, 2):
        make(builder, folder, number)
    check, other = (
        PartBuilder.check_clips,
        builder_of("frames_from_folder", builder.data_dir_root, window=2, stride=1),
    )

    def overtaken(self, clips):
        with mock.patch.object(PartBuilder, "check_clips", check):
            assert join_parts(other)

    with mock.patch.object(PartBuilder, "check_clips", overtaken):
        assert join_parts(builder).info.splits["train"].num_examples == 12
    alone = whole("frames_from_folder", tmp_path / "whole", manual(folder), window=2, stride=1)
    assert files(builder.data_dir_root) == alone
    assert [path.name for path in Path(builder.data_dir).parent.iterdir()] == ["1.0.0"]


@pytest.mark.parametrize("joined", [False, True])
def test_two_that_make_one_part_at_once(builder, folder, tmp_path, joined):
    """The other one is faster; if `joined`, the data set is whole before this one has made its part."""
    make(builder, folder, 2)
    overtaken = []

    def other():
        if not overtaken:
            overtaken.append(1)
            make(builder, folder, 1)
            if joined:
                assert join_parts(builder)

    make_part(builder, Part(1, 2), manual(folder), other)
    assert join_parts(builder).info.splits["train"].num_examples == 12
    alone = whole("frames_from_folder", tmp_path / "whole", manual(folder), window=2, stride=1)
    assert files(builder.data_dir_root) == alone


def test_the_count_of_the_real_files_is_checked_of_the_whole(tmp_path, monkeypatch):
    find_files = "tfds_builders.taxibj_clips.taxibj_clips_dataset_builder.find_files"
    monkeypatch.setattr(find_files, lambda folder, check_md5: [folder / name for name in FILES])
    builder = builder_of("taxibj_clips", tmp_path, check_md5=True)
    config = dummy_data("taxibj_clips")
    message = "must give 19,560 train and 1,344 test windows in reference order. Received: -1,000 and 1,344"
    refuse(message, make_part, builder, Part(1, 2), config)
    with monkeypatch.context() as patch:
        patch.setitem(flow_clips._REFERENCE_WINDOWS, "train", -1_000)
        for number in (1, 2):
            make_part(builder, Part(number, 2), config)
    refuse(message, join_parts, builder)
    monkeypatch.setitem(flow_clips._REFERENCE_WINDOWS, "train", -1_000)
    assert join_parts(builder).info.splits["test"].num_examples == 20


def test_sources_are_looked_through_and_nothing_is_made(builder, folder):
    fetch_sources(builder, manual(folder))
    assert files(builder.data_dir_root) == {}
    (folder / "notes.txt").write_text("none")
    with pytest.raises(ValueError, match=r"nothing but clip files, .* Received: .*notes\.txt"):
        fetch_sources(builder, manual(folder))


def test_parts_keep_reduced_radar_maps_beside_the_whole(tmp_path):
    builder = builder_of("dwd_radar_clips", tmp_path)
    make_part(builder, Part(1, 2), dummy_data("dwd_radar_clips"))
    assert list((tmp_path / "downloads" / "dwd_radar_clips").rglob("*.h5"))
    assert not list(parts.parts_folder(builder).rglob("*.h5"))
