"""Preparing data sets: again, as variants, in parts, in processes, on a full disk."""

import contextlib
import functools
import gzip
import json
import multiprocessing
import os
import re
import shutil
import signal
import threading
import time
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

import tfds_builders
from mslstm_keras import compat
from mslstm_keras.data import preparation
from mslstm_keras.data.catalogue import describe, find_builder
from mslstm_keras.data.preparation import check_sources, prepare
from mslstm_keras.data.splits import split_clips
from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.frames.scales import parse_scale
from tests.support import forked
from tests.support.optdigits import OPTDIGITS
from tests.support.processes import no_file_larger_than
from tests.support.radar_files import radolan, radolan_name
from tfds_builders import parts
from tfds_builders.radar_maps.make_dummy_data import SMALL as SMALL_RADAR
from tfds_builders.random_access import random_access


def test_preparing_again_does_nothing(data_dir):
    files = {path: path.stat().st_mtime_ns for path in data_dir.rglob("*") if path.is_file()}
    assert files
    prepare(OPTDIGITS, data_dir)
    assert {path: path.stat().st_mtime_ns for path in data_dir.rglob("*") if path.is_file()} == files


def test_files_for_random_access_that_another_process_is_to_write_are_waited_for(tmp_path, monkeypatch):
    """Hosts find the data set as soon as one has put it there; whoever holds the lock removes what is unfinished."""
    few = {"variant": "few", "settings": {"train_clips": "3", "test_clips": "2"}}
    with monkeypatch.context() as patched:
        patched.setattr("tfds_builders.random_access.random_access", lambda *_: None)
        builder = prepare(OPTDIGITS, tmp_path, **few)
    held = []

    @contextlib.contextmanager
    def held_by_another(folder, name):
        held.append(folder / name)
        for split in ("train", "test"):
            random_access(find_builder("moving_mnist_clips/few", tmp_path), split)
        files.update((path, path.stat().st_mtime_ns) for path in Path(builder.data_dir).iterdir())
        yield

    files = {}
    monkeypatch.setattr(preparation, "locked", held_by_another)
    for _ in range(2):  # the second finds all of it
        prepare("moving_mnist_clips/few", tmp_path)
        assert {path: path.stat().st_mtime_ns for path in Path(builder.data_dir).iterdir()} == files
    assert held == [Path(builder.data_dir)]
    assert list(Path(builder.data_dir).glob("*.array_record*"))


def write_clips(folder, value, names="abc"):
    folder.mkdir(exist_ok=True)
    for name in names:
        np.save(folder / f"{name}.npy", np.full((20, 16, 16), value, "uint8"))
    return folder


@pytest.fixture(scope="module")
def of_first(tmp_path_factory):
    """Folder with `first/`, and in `data/` with `frames_from_folder` prepared of it; tests copy it."""
    folder = tmp_path_factory.mktemp("of_first")
    prepare("frames_from_folder", folder / "data", write_clips(folder / "first", 50))
    return folder


@pytest.fixture
def clips_of_first(of_first, tmp_path):
    """`first/` and `data/`, as if they had been prepared here, but for the folder that is named."""
    return shutil.copytree(of_first, tmp_path / "copy")


def test_the_same_sources_elsewhere_and_touched_change_nothing(of_first, clips_of_first):
    files = {path: path.stat().st_mtime_ns for path in clips_of_first.rglob("*") if path.is_file()}
    os.utime(clips_of_first / "first" / "a.npy", (1, 1))
    files[clips_of_first / "first" / "a.npy"] = 10**9
    data_dir = clips_of_first / "data"
    prepare("frames_from_folder", data_dir, clips_of_first / "first")
    prepare("frames_from_folder", data_dir)
    assert {path: path.stat().st_mtime_ns for path in clips_of_first.rglob("*") if path.is_file()} == files
    sources = describe("frames_from_folder", data_dir)["sources"]
    assert (sources["folder"], sources["files"]) == (str(of_first / "first"), 3)


def add(folder):
    write_clips(folder, 50, "d")


def remove(folder):
    (folder / "c.npy").unlink()


def change(folder):
    write_clips(folder, 51, "b")


def put_what_is_no_clip(folder):
    (folder / "notes.txt").write_text("none")


@pytest.mark.parametrize(
    ("alter", "difference"),
    [
        (add, "d.npy is new"),
        (remove, "c.npy is missing"),
        (change, "b.npy has another content"),
        (put_what_is_no_clip, "not read: `manual_dir` must hold nothing but clip files"),
    ],
)
@pytest.mark.parametrize("how", [{}, {"part": (1, 2)}, {"processes": 2}])
def test_other_sources_are_refused(clips_of_first, of_first, alter, difference, how):
    folder, data_dir = clips_of_first / "first", clips_of_first / "data"
    alter(folder)
    message = (
        f"`manual_dir` must hold the source files that frames_from_folder/clips was prepared from before, in "
        f"{of_first / 'first'} (prepare the new ones under a name of their own with `--variant NAME`, or remove "
        f"{data_dir / 'frames_from_folder' / 'clips' / '1.0.0'}). Received: manual_dir={str(folder)!r}, {difference}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        prepare("frames_from_folder", data_dir, folder, **how)
    with pytest.raises(ValueError, match=re.escape(message)):
        check_sources("frames_from_folder", folder, data_dir)


def test_a_variant_of_other_sources_has_its_own(clips_of_first, tmp_path):
    data_dir, second = clips_of_first / "data", write_clips(tmp_path / "second", 200)
    prepare("frames_from_folder", data_dir, second, variant="mine", settings={"window": "5"})
    prepare("frames_from_folder/mine", data_dir, second)
    with pytest.raises(ValueError, match=r"a\.npy has another content$"):
        prepare("frames_from_folder/mine", data_dir, clips_of_first / "first")
    assert split_clips("frames_from_folder/mine", "train", data_dir).read(np.array([0])).max() == 200
    assert split_clips("frames_from_folder", "train", data_dir).read(np.array([0])).max() == 50


@pytest.mark.parametrize("how", [{}, {"part": (2, 2)}, {"processes": 2}])
def test_parts_of_other_sources_are_refused(tmp_path, how):
    first, second = (write_clips(tmp_path / name, value) for name, value in (("first", 50), ("second", 9)))
    prepare("frames_from_folder", tmp_path / "data", first, part=(1, 2))
    with pytest.raises(
        ValueError, match=rf"before, in {first} \(or remove .*1\.0\.0\.parts to start anew\)\. .* content$"
    ):
        prepare("frames_from_folder", tmp_path / "data", second, **how)


def test_of_data_prepared_before_sources_were_recorded_that_is_said(clips_of_first):
    place = clips_of_first / "data" / "frames_from_folder" / "clips" / "1.0.0"
    for name in ("metadata.json", "sources.json"):
        (place / name).unlink()
    with pytest.warns(UserWarning, match=f"^{place} was prepared before source files were recorded"):
        prepare("frames_from_folder", clips_of_first / "data", clips_of_first / "first")
    prepare("frames_from_folder", clips_of_first / "data")
    assert describe("frames_from_folder", clips_of_first / "data")["sources"] is None


SOURCES = {
    "taxibj_clips": ("inflow", {"check_md5": "false", "test_windows": "20"}, {"BJ16_M32x32_T30_InOut.h5"}),
    "kth_clips": (
        "three_actions",
        {"size": "16", "verify": "false"},
        {"00sequences.txt", "walking.zip", "jogging.zip", "running.zip"},
    ),
    "dwd_radar_clips": ("germany", {"map_size": "[10,10]", "window": "2", "stride": "30"}, {"RYDL.hdf5"}),
    "radar_maps": (
        "europe",
        {name: json.dumps(value) for name, value in SMALL_RADAR.items()},
        {
            *(f"long/RAD_NL25_RAP_5min_201008260{minutes // 5 * 5:03}.h5" for minutes in range(0, 50, 5)),
            *(f"short/composite_2020010115{minutes:02}.h5" for minutes in (0, 5, 10)),
        },
    ),
}


def test_radar_files_count_if_their_maps_are_in_clips(tmp_path):
    """The content of a map that follows no other does not matter, as it is in no clip; that of the others does."""
    folder = shutil.copytree(IN_PARTS["dwd"]["manual_dir"], tmp_path / "sources")
    settings = {"window": "2", "stride": "30", "test_share": "0.5"}
    arguments = {"variant": "mine", "settings": settings}
    late = folder / "radolan" / "raa01-ry_10000-2101010000-dwd---bin.gz"  # follows no other
    late.write_bytes(b"")
    last = np.datetime64("2021-01-02T00:00")  # opened to see what maps there are, as the first is
    content = gzip.compress(radolan(last, np.zeros((900, 900), np.uint16)))
    (late.parent / f"{radolan_name(last)}.gz").write_bytes(content)
    builder = prepare("dwd_radar_clips/radolan", tmp_path / "data", folder, **arguments)
    files = parts.sources_of(builder).files
    name = late.name.removesuffix(".gz")
    assert len(files) == 18
    assert [each for each, file in files.items() if not file.sha256] == [name, radolan_name(last)]
    late.write_bytes(b"more")
    prepare("dwd_radar_clips/mine", tmp_path / "data", folder)
    flat = tmp_path / "flat"  # without the sub-folder, unpacked
    flat.mkdir()
    for path in (folder / "radolan").iterdir():
        content = path.read_bytes()
        (flat / path.name.removesuffix(".gz")).write_bytes(
            content if path == late else gzip.decompress(content)
        )
    prepare("dwd_radar_clips/mine", tmp_path / "data", flat)
    first, second, *_ = sorted(flat.iterdir())
    second.write_bytes(second.read_bytes() + b" ")
    with pytest.raises(ValueError, match=f"{second.name} has another content$"):
        prepare("dwd_radar_clips/mine", tmp_path / "data", flat)
    first.write_bytes(first.read_bytes() + b" ")
    with pytest.raises(
        ValueError, match=rf"not read: A radar map must be whole .* Received: {first}: header"
    ):
        prepare("dwd_radar_clips/mine", tmp_path / "data", flat)


@pytest.mark.parametrize("name", SOURCES)
def test_each_builder_knows_its_sources(name, tmp_path):
    config, settings, known = SOURCES[name]
    first = sorted(known)[0]
    folder = shutil.copytree(Path(tfds_builders.__file__).parent / name / "dummy_data", tmp_path / "sources")
    builder = prepare(f"{name}/{config}", tmp_path / "data", folder, variant="mine", settings=settings)
    files = parts.sources_of(builder).files
    assert known <= {*files} and all(file.sha256 for file in files.values())
    data = f"{name}/mine"
    prepare(data, tmp_path / "data", folder)
    (path,) = folder.rglob(first)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ValueError, match=f"Received: .*sources', .*{first} has another content$"):
        prepare(data, tmp_path / "data", folder)
    path.unlink()
    if name == "kth_clips":  # would be downloaded
        prepare(data, tmp_path / "data", folder)
    else:
        with pytest.raises(ValueError, match=f"{first} is missing$|must hold at least one"):
            prepare(data, tmp_path / "data", folder)


def test_a_variant_keeps_its_fields_and_its_interval(tmp_path):
    arguments = IN_PARTS["dwd"] | {"settings": IN_PARTS["dwd"]["settings"] | {"interval": "60"}}
    prepare(data_dir=tmp_path, **arguments)
    assert split_clips("dwd_radar_clips/mine", "train", tmp_path).interval == 60
    facts = describe("dwd_radar_clips/mine", tmp_path)
    assert facts["interval"] == facts["config"]["interval"] == 60
    assert facts["config"]["map_size"] == (10, 10)
    assert facts["description"].startswith("Variant of germany: map_size = (10, 10), window = 2, ")


def waiting(begun):
    """Returns a function that waits for ever when it is called, and says so."""

    def wait(*_, **__):
        begun.value = 1
        time.sleep(120)

    return wait


def kill_once_begun(process, begun):
    """Kills a process as soon as it waits in a function of `waiting`."""
    deadline = time.monotonic() + 120
    while begun.value < 0:
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert end(process) == -signal.SIGKILL


def prepare_whole_until_killed(folder, stage, begun):
    owner = {"_join": parts.PartBuilder, "write_examples": compat.ArrayRecordFileAdapter, "write_json": parts}
    setattr(owner[stage], stage, waiting(begun))
    for part in [(1, 2), (2, 2)] if stage == "_join" else [None]:
        prepare(data_dir=folder, part=part, **IN_PARTS["frames"])


@pytest.mark.parametrize("stage", ["_join", "write_json", "write_examples"])
def test_what_a_killed_preparation_leaves_is_removed(stage, tmp_path, of_one_process):
    """Killed while parts are joined, when all clips are written, and while they are written for random access."""
    begun = forked.shared_number()
    process = forked.start(prepare_whole_until_killed, tmp_path, stage, begun)
    kill_once_begun(process, begun)
    (left,) = tmp_path.rglob("incomplete.*")
    assert list(left.iterdir()) or stage != "write_json"
    assert bool(list(tmp_path.glob("*/*/1.0.0/dataset_info.json"))) == (stage == "write_examples")
    arguments = IN_PARTS["frames"]
    if stage == "write_examples":  # it is prepared
        arguments = {"data": "frames_from_folder/mine", "manual_dir": arguments["manual_dir"]}
    with pytest.warns(UserWarning, match=f"^removed what a preparation that was killed has left: {left}"):
        prepare(data_dir=tmp_path, **arguments)
    for path in tmp_path.glob("*/mine/1.0.0.parts"):
        assert stage == "_join"
        shutil.rmtree(path)
    assert prepared_in(tmp_path) == of_one_process["frames"]


NEW_VARIANT = "`variant` must be new, or have the settings that it was prepared with before."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "mine"}, f"{NEW_VARIANT} Received: variant='mine', known or prepared in "),
        ({"variant": "paper"}, f"{NEW_VARIANT} Received: variant='paper', known or prepared in "),
        ({"settings": {"train_clips": "3"}}, "`variant` must name what the settings make"),
        (
            {"variant": "../x"},
            "`variant` must name what the settings make, in letters and digits. Received: '../x'",
        ),
        (
            {"variant": "x", "settings": {"train_clip": "3"}},
            "`config` has no such field; it has train_clips, test_clips. Received: 'train_clip'",
        ),
        (
            {"variant": "x", "settings": {"train_clips": "many"}},
            "`train_clips` must be int, written as JSON. Received: 'many'",
        ),
    ],
)
def test_variants_that_cannot_be_made_are_refused(variant, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        prepare(OPTDIGITS, variant, **arguments)


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        ("dwd_radar_clips/synthetic", {}),
        ("dwd_radar_clips/germany", {"source": "synthetic"}),
        ("taxibj_clips/inflow", {"synthetic_weeks": "3"}),
    ],
)
def test_what_is_synthetic_must_be_called_so(tmp_path, data, settings):
    message = "`variant` must hold the word synthetic, as the clips are. Received: variant='mine'"
    with pytest.raises(ValueError, match=re.escape(message)):
        prepare(data, tmp_path, variant="mine", settings=settings)


def test_a_full_disk_leaves_nothing_prepared_and_the_name_free(tmp_path):
    few = {"variant": "few", "settings": {"train_clips": "60", "test_clips": "2"}}
    with no_file_larger_than(50_000), pytest.raises(OSError, match="File too large"):
        prepare(OPTDIGITS, tmp_path, **few)
    assert list(tmp_path.rglob("dataset_info.json")) == []
    assert list(tmp_path.rglob("*incomplete*")) == []
    prepare(OPTDIGITS, tmp_path, **few)
    assert split_clips("moving_mnist_clips/few", "train", tmp_path).count == 60


def test_a_folder_whose_name_is_no_text_is_told(tmp_path):
    few = {"variant": "few", "settings": {"train_clips": "2", "test_clips": "2"}}
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        prepare(OPTDIGITS, tmp_path / "\udcff", **few)
    assert list(tmp_path.rglob("dataset_info.json")) == []


IN_PARTS = {
    name.partition("_")[0]: {
        "data": f"{name}/{config}",
        "manual_dir": Path(tfds_builders.__file__).parent / name / "dummy_data",
        "variant": "mine",
        "settings": settings,
    }
    for name, config, settings in (
        ("frames_from_folder", "clips", {"window": "7", "stride": "3"}),
        ("dwd_radar_clips", "germany", {"map_size": "[10,10]", "window": "2", "stride": "30"}),
        ("taxibj_clips", "inflow", {"check_md5": "false", "test_windows": "20"}),
    )
}


def prepared_in(data_dir):
    """Returns the files of a data set, those that tell of it with their content, and its examples in their order.

    The records of one example differ from process to process, in the order of its features.
    """
    place = next(data_dir.glob("*/*/1.0.0"))
    paths = [path for path in place.rglob("*") if path.is_file()]
    told = {path.name: path.read_text() if path.suffix == ".json" else path.stat().st_size for path in paths}
    builder = find_builder("/".join(place.parts[-3:-1]), data_dir)
    clips = {split: list(random_access(builder, split)) for split in builder.info.splits}
    examples = {
        split: [{name: np.asarray(value).tobytes() for name, value in clip.items()} for clip in of_split]
        for split, of_split in clips.items()
    }
    return told, examples, [path.name for path in place.parent.iterdir()]


@pytest.fixture(scope="module")
def of_one_process(tmp_path_factory):
    """Name -> what is prepared in one process."""
    folders = {name: tmp_path_factory.mktemp(name) for name in IN_PARTS}
    for name, arguments in IN_PARTS.items():
        prepare(data_dir=folders[name], **arguments)
    return {name: prepared_in(folder) for name, folder in folders.items()}


def end(process):
    process.join(120)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def prepare_parts(folder, part):
    for name, arguments in IN_PARTS.items():
        prepare(data_dir=folder / name, part=part, **arguments)


def test_two_processes_that_share_a_folder_make_what_one_makes(tmp_path, of_one_process):
    """Radar, TaxiBJ and a folder of clips, one after the other in both processes, which often finish at once."""
    for process in [forked.start(prepare_parts, tmp_path, (number, 2)) for number in (1, 2)]:
        assert end(process) == 0
    for name, expected in of_one_process.items():
        assert prepared_in(tmp_path / name) == expected, name
    prepare_parts(tmp_path, (2, 2))  # once more: all of it is there, and the variant need not be new


def prepare_until_killed(folder, name, begun):
    parts.make_part = functools.partial(parts.make_part, on_example=waiting(begun))
    prepare(data_dir=folder, part=(2, 2), **IN_PARTS[name])


@pytest.mark.parametrize("name", IN_PARTS)
def test_a_killed_part_is_made_anew(name, tmp_path, of_one_process):
    begun = forked.shared_number()
    process = forked.start(prepare_until_killed, tmp_path, name, begun)
    kill_once_begun(process, begun)
    (left,) = tmp_path.glob("*/*/1.0.0.parts/*")
    assert left.name.startswith(".2-of-2-")
    builder = prepare(data_dir=tmp_path, part=(1, 2), **IN_PARTS[name])
    assert not builder.info.splits
    assert left.exists() and not (tmp_path / builder.name / builder.builder_config.name / "1.0.0").exists()
    builder = prepare(data_dir=tmp_path, part=(2, 2), **IN_PARTS[name])
    assert prepared_in(tmp_path) == of_one_process[name]
    assert sum(split.num_examples for split in builder.info.splits.values()) > 2


def test_a_full_disk_while_a_part_is_made_leaves_nothing_of_it(tmp_path):
    few = {"variant": "few", "settings": {"train_clips": "60", "test_clips": "2"}}
    with no_file_larger_than(50_000), pytest.raises(OSError, match="File too large"):
        prepare(OPTDIGITS, tmp_path, part=(1, 2), **few)
    (folder,) = tmp_path.glob("*/*/1.0.0.parts")
    assert list(folder.iterdir()) == []


def test_processes_make_what_one_makes(tmp_path, of_one_process):
    builder = prepare(data_dir=tmp_path, processes=3, **IN_PARTS["frames"])
    assert prepared_in(tmp_path) == of_one_process["frames"]
    assert (
        split_clips("frames_from_folder/mine", "train", tmp_path).count
        == builder.info.splits["train"].num_examples
    )


def test_the_process_that_fails_is_named_and_what_is_finished_is_kept(tmp_path):
    clips = shutil.copytree(IN_PARTS["frames"]["manual_dir"], tmp_path / "clips")
    content = (clips / "levels.npy").read_bytes()
    (clips / "levels.npy").write_bytes(content[:-1])
    arguments = IN_PARTS["frames"] | {"manual_dir": clips}
    prepare(data_dir=tmp_path / "data", part=(1, 2), **arguments)
    with pytest.raises(ValueError, match=r"^Part 2/2: `.*levels\.npy` must be a clip that can be read\."):
        prepare(data_dir=tmp_path / "data", processes=2, **arguments)
    (folder,) = (tmp_path / "data").glob("*/*/1.0.0.parts")
    assert [path.name for path in folder.iterdir()] == ["1-of-2"]
    assert not list((tmp_path / "data").glob("*/*/1.0.0"))
    (clips / "levels.npy").write_bytes(content)
    assert prepare(data_dir=tmp_path / "data", processes=2, **arguments).info.splits


def test_a_process_that_is_killed_is_named_and_the_others_end(tmp_path):
    def kill():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            ready = [child for child in multiprocessing.active_children() if child.name == "part 2/2"]
            if ready and len(list(tmp_path.glob("*/*/1.0.0.parts/.*"))) == 2:
                ready[0].kill()
                return
            time.sleep(0.01)

    many = {"variant": "many", "settings": {"train_clips": "1000000", "test_clips": "2"}}
    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(
        OSError, match=r"^Part 2/2: its process was killed by SIGKILL; parts that are finished"
    ):
        prepare(OPTDIGITS, tmp_path, processes=2, **many)
    killer.join()
    assert not multiprocessing.active_children()
    (left,) = tmp_path.glob("*/*/1.0.0.parts/*")
    assert left.name.startswith(".2-of-2-")
    assert not list(tmp_path.glob("*/*/1.0.0"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"part": (5, 4)}, "`part` must be K/N, the K-th of N parts, from 1/N to N/N. Received: part=5/4"),
        ({"part": (0, 4)}, "from 1/N to N/N. Received: part=0/4"),
        (
            {"processes": 0},
            "`processes` must be at least 1, and 1 where `part` is given. Received: processes=0",
        ),
        ({"processes": 2, "part": (1, 2)}, "Received: processes=2, part=(1, 2)"),
        (
            {"part": (1, 2), "variant": "mine"},
            f"{NEW_VARIANT} Received: variant='mine', known or prepared in ",
        ),
    ],
)
def test_parts_that_cannot_be_made_are_refused(variant, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        prepare(OPTDIGITS, variant, **arguments)


def test_a_variant_of_a_variant_is_refused(variant):
    with pytest.raises(
        ValueError, match="`data` must be a config that variants start from: paper, srivastava,"
    ):
        prepare("moving_mnist_clips/mine", variant, variant="other")


def test_a_folder_of_sources_must_exist(tmp_path):
    with pytest.raises(ValueError, match=r"`manual_dir` must be a folder. Received: manual_dir='.*missing'"):
        prepare(OPTDIGITS, tmp_path / "data", tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def flows(tmp_path):
    """Folder of two clips of whole numbers, one of them for tests."""
    folder = tmp_path / "flows"
    folder.mkdir()
    for index, name in enumerate("ab"):
        flow = np.random.default_rng(index).integers(0, 200 + 300 * index, (4, 3, 5, 2))
        np.save(folder / f"{name}.npy", flow)
    return folder


SETTINGS = {"window": "2", "channels": "2", "dtype": "float32"}


def clips_of(tmp_path, folder, *, parts=1, **settings):
    """Returns the training clips of a variant that is prepared of a folder."""
    for number in range(1, parts + 1):
        part = {"part": (number, parts)} if parts > 1 else {}
        prepare(
            "frames_from_folder/clips",
            tmp_path / "data",
            folder,
            variant="mine",
            settings=SETTINGS | settings,
            **part,
        )
    return split_clips("frames_from_folder/mine", "train", tmp_path / "data")


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(("given", "scale"), [("-50:700 bikes/h", "-50:700 bikes/h"), ("data", None)])
def test_numbers_in_units(tmp_path, flows, given, scale, parts):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        clips = clips_of(tmp_path, flows, parts=parts, range=given)
    assert any("are clipped" in str(each.message) for each in said) == (given == "data")  # of the test clip
    frames = clips.frames(np.arange(2))
    (train,) = (
        flow
        for flow in map(np.load, flows.iterdir())
        if np.allclose(frames[0], pixels(flow[:2], clips.scale))
    )
    assert clips.scale == (scale or f"{train.min()}:{train.max()}")
    np.testing.assert_allclose(frames.reshape(train.shape), pixels(train, clips.scale), atol=1e-6)


def pixels(flow, scale):
    low, high = parse_scale(scale).ends
    return (flow - low) / (high - low)


def test_numbers_beyond_a_range_are_clipped_with_a_warning(tmp_path, flows):
    with pytest.warns(UserWarning, match=r"lie beyond 0 \.\. 100 cars") as said:
        clips = clips_of(tmp_path, flows, range="0:100 cars")
    assert sum("are clipped" in str(each.message) for each in said) == 2  # once a file
    assert clips.frames(np.arange(1)).max() == 1


def test_the_scale_that_files_say(tmp_path):
    rates = np.random.default_rng(0).lognormal(0, 1, (2, 3, 5, 2)).astype("float32")
    (tmp_path / "clips").mkdir()
    for name in "ab":
        with h5py.File(tmp_path / "clips" / f"{name}.h5", "w") as file:
            file.create_dataset("rain", data=rates).attrs["units"] = "mm/h"
    clips = clips_of(tmp_path, tmp_path / "clips")
    assert clips.scale == "rain:dwd"
    np.testing.assert_allclose(clips.frames(np.arange(1))[0], RAIN_SCALES["dwd"].to_pixel(rates), atol=1e-6)


def test_a_range_that_is_none(tmp_path, flows):
    with pytest.raises(ValueError, match="`range` must be LOW:HIGH"):
        clips_of(tmp_path, flows, range="bikes")
    with pytest.raises(ValueError, match="divide by the largest"):
        clips_of(tmp_path, flows)


def test_interval_and_spacing_of_frames_are_what_one_says(tmp_path, flows):
    clips = clips_of(tmp_path, flows, range="0:1000 bikes/h", interval="60", spacing="500")
    assert (clips.interval, clips.spacing, clips.quantity) == (60, 500, None)
