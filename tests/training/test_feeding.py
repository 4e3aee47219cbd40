"""Clips by number, the order they come in, and the batches made of them."""

import functools
import json
import multiprocessing
import re
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import tfds_builders
from mslstm_keras.data.catalogue import describe, find_builder, list_data
from mslstm_keras.data.clips import Clips
from mslstm_keras.data.preparation import prepare
from mslstm_keras.data.splits import split_clips
from mslstm_keras.data.streams import stream_clips
from mslstm_keras.training.feeding import (
    Share,
    batch_indices,
    scoring_batches,
    training_batches,
    training_clips,
    validation_clips,
)
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.training.sampling import draw_observed
from tests.support import forked
from tests.support.processes import no_file_larger_than
from tfds_builders import parts
from tfds_builders.moving_mnist_clips.moving_digits import SPLIT_SEEDS, moving_digits
from tfds_builders.moving_mnist_clips.objects import load_objects
from tfds_builders.random_access import random_access

OPTDIGITS = "moving_mnist_clips/optdigits"
TRAIN_CLIPS, TEST_CLIPS = 11, 4


def recipe(**changes):
    fields = {"context_frames": 3, "forecast_frames": 2, "frame_shape": (4, 6, 2), "batch_size": 3}
    return Recipe("test", **{**fields, "steps": 8, "interval_steps": 4, **changes})


def numbered_clips(count, time=5):
    """Clips whose pixels tell the clip's number (channel 0) and the frame's (channel 1)."""

    def read(indices):
        clips = np.zeros((len(indices), time, 4, 6, 2), "uint8")
        clips[..., 0] = np.asarray(indices)[:, None, None, None]
        clips[..., 1] = 10 * np.arange(time)[:, None, None]
        return clips

    return Clips(read, count)


def numbers(batch):
    return (batch[:, 0, 0, 0, 0] * 255).round().astype(int).tolist()


def arrays(batches):
    """Returns the frames and the frames that follow them, of every batch."""
    return [(x["frames"].numpy(), y.numpy()) for x, y, *_ in batches]


def planes(batches):
    return [x["observed"].numpy() for x, *_ in batches]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        config = find_builder(OPTDIGITS).builder_config
        patch.setattr(config, "train_clips", TRAIN_CLIPS)
        patch.setattr(config, "test_clips", TEST_CLIPS)
        prepare(OPTDIGITS, folder)
    return folder


@pytest.mark.parametrize("count", [12, 13, 14])  # what is less than a batch of three is dropped
@pytest.mark.parametrize("seed", [0, 7])
def test_every_epoch_is_a_permutation(count, seed):
    epochs = [
        np.concatenate([batch_indices(4 * epoch + step, 3, count, seed) for step in range(4)])
        for epoch in range(6)
    ]
    for epoch in epochs:
        assert len(set(epoch)) == 12
        assert set(epoch) <= set(range(count))
    assert len({tuple(epoch) for epoch in epochs}) == 6
    # A clip that is dropped in one epoch is not in all others.
    assert set(np.concatenate(epochs)) == set(range(count))


def test_order_depends_on_the_seed_and_on_nothing_before():
    steps = range(9)
    straight = [batch_indices(step, 3, 13, 1).tolist() for step in steps]
    assert [batch_indices(step, 3, 13, 1).tolist() for step in reversed(steps)] == straight[::-1]
    np.random.default_rng(0).random()
    np.random.seed(0)  # noqa: NPY002
    assert [batch_indices(step, 3, 13, 1).tolist() for step in steps] == straight
    assert [batch_indices(step, 3, 13, 2).tolist() for step in steps] != straight


def test_endless_clips_come_once_each():
    taken = np.concatenate([batch_indices(step, 3, None, 5) for step in range(4)])
    assert taken.tolist() == list(range(12))


def test_batches_hold_pixels_from_0_to_1_and_the_frames_that_follow():
    (x, y), *_ = arrays(training_batches(numbered_clips(9, time=7), recipe()))
    assert x.shape == y.shape == (3, 4, 4, 6, 2)
    assert x.dtype == y.dtype == "float32"
    expected = np.array([0, 10, 20, 30, 40], "float32") / 255
    np.testing.assert_array_equal(x[0, :, 0, 0, 1], expected[:-1])
    np.testing.assert_array_equal(y[0, :, 0, 0, 1], expected[1:])
    np.testing.assert_array_equal(y[:, :-1], x[:, 1:])


def test_all_levels_of_grey_are_a_255th():
    levels = np.arange(256, dtype="uint8").reshape(1, 2, 8, 16, 1)
    clips = Clips(lambda indices: levels, 1)
    fields = {"context_frames": 1, "forecast_frames": 1, "frame_shape": (8, 16, 1), "batch_size": 1}
    ((x, y),) = arrays(training_batches(clips, recipe(**fields, steps=1, interval_steps=1)))
    np.testing.assert_array_equal(
        np.concatenate([x, y], axis=1).ravel(), np.arange(256, dtype="float32") / np.float32(255)
    )


@pytest.mark.parametrize("count", [10, None])
@pytest.mark.parametrize("first_step", [0, 1, 4, 7, 8])
def test_a_resumed_run_gets_the_batches_that_are_left(count, first_step):
    straight = arrays(training_batches(numbered_clips(count), recipe(seed=3)))
    batches = training_batches(numbered_clips(count), recipe(seed=3), first_step)
    assert len(straight) == 8
    assert len(batches) == 8 - first_step  # its cardinality, known before it is run
    resumed = arrays(batches)
    assert len(resumed) == 8 - first_step
    for (x, y), (expected_x, expected_y) in zip(resumed, straight[first_step:], strict=True):
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)


def test_batches_are_those_of_the_step_numbers():
    taken = [numbers(x) for x, _ in arrays(training_batches(numbered_clips(10), recipe(seed=3)))]
    assert taken == [batch_indices(step, 3, 10, 3).tolist() for step in range(8)]
    taken = [numbers(x) for x, _ in arrays(training_batches(numbered_clips(None), recipe(seed=3)))]
    assert taken == np.arange(24).reshape(8, 3).tolist()


def test_batches_tell_which_frames_are_fed():
    fields = recipe(seed=3, sampling_steps=6)
    found = planes(training_batches(numbered_clips(10), fields, 2))
    assert len(found) == 6
    for step, plane in enumerate(found, 2):
        assert plane.dtype == "float32"
        np.testing.assert_array_equal(plane, draw_observed(fields, step))


@pytest.mark.parametrize("count", [10, None])
def test_parts_of_a_batch_are_the_batch(count):
    """Hosts that each read their part, and parts whose gradients are averaged, see the clips of the whole."""
    fields = recipe(batch_size=6, sampling_steps=6)
    clips = numbered_clips(count)
    whole = training_batches(clips, fields)
    hosts = [training_batches(clips, fields, share=Share(number, 3)) for number in range(3)]
    pieces = training_batches(clips, recipe(batch_size=6, sampling_steps=6, gradient_accumulation_steps=2))
    assert len(pieces) == 2 * len(whole)
    assert pieces.element_spec[1].shape[0] == 3
    for see in (planes, lambda batches: [x for x, _ in arrays(batches)], lambda b: [y for _, y in arrays(b)]):
        expected = see(whole)
        together = [np.concatenate(rows) for rows in zip(*map(see, hosts), strict=True)]
        np.testing.assert_array_equal(together, expected)
        np.testing.assert_array_equal(np.reshape(see(pieces), np.shape(expected)), expected)


def test_a_part_goes_on_behind_a_step():
    fields = recipe(batch_size=6, gradient_accumulation_steps=2)
    straight = arrays(training_batches(numbered_clips(10), fields, share=Share(1, 3)))
    resumed = arrays(training_batches(numbered_clips(10), fields, 5, Share(1, 3)))
    np.testing.assert_array_equal(resumed, straight[10:])


def test_scoring_takes_clips_in_order_and_fills_the_last_batch_with_clips_that_do_not_count():
    batches = scoring_batches(numbered_clips(20), recipe(), count=8, batch_size=3)
    assert len(batches) == 3
    found = arrays(batches)
    assert [numbers(x) for x, _ in found] == [[0, 1, 2], [3, 4, 5], [6, 7, 0]]
    for x, y in found:
        assert x.shape[1:] == y.shape[1:] == (4, 4, 6, 2)
        np.testing.assert_array_equal(y[:, :-1], x[:, 1:])
    assert not found[2][0][2].any() and not found[2][1][2].any()
    assert np.all(np.array(planes(batches)) == [1, 1, 1, 0])
    weights = np.concatenate([weights for *_, weights in batches])
    np.testing.assert_allclose(weights, [9 / 8] * 8 + [0], rtol=1e-7)  # as much as nine clips in all


@pytest.mark.parametrize("count", [1, 5, 7, 8])
def test_parts_of_scoring_batches_are_the_batch(count):
    """Also where a host has nothing but clips that do not count."""
    whole = list(scoring_batches(numbered_clips(20), recipe(), count, 4))
    hosts = [scoring_batches(numbered_clips(20), recipe(), count, 4, Share(number, 4)) for number in range(4)]
    for batches in zip(whole, *hosts, strict=True):
        for expected, *pieces in zip(*map(leaves, batches), strict=True):
            np.testing.assert_array_equal(np.concatenate(pieces), expected)


def leaves(batch):
    x, y, weights = batch
    return x["frames"], x["observed"], y, weights


@pytest.mark.parametrize("make", [training_batches, lambda *a: scoring_batches(*a, count=2, batch_size=2)])
@pytest.mark.parametrize(
    "changes", [{"forecast_frames": 3}, {"frame_shape": (4, 6, 1)}, {"frame_shape": (8, 6, 2)}]
)
def test_clips_that_do_not_fit_are_refused(make, changes):
    message = (
        r"`frame_shape`, `context_frames` and `forecast_frames` must fit the clips: .* Received: clips of "
    )
    with pytest.raises(ValueError, match=message + re.escape("shape (5, 4, 6, 2)")):
        make(numbered_clips(20), recipe(**changes))


def test_too_few_clips_are_refused():
    message = "`batch_size` must not be above the 2 clips. Received: batch_size=3"
    with pytest.raises(ValueError, match=re.escape(message)):
        training_batches(numbered_clips(2), recipe())
    message = "`count`, `validation_clips` of a recipe, must not be above the 2 clips. Received: count=3"
    with pytest.raises(ValueError, match=re.escape(message)):
        scoring_batches(numbered_clips(2), recipe(), count=3, batch_size=2)


@pytest.mark.parametrize(("split", "count"), [("train", TRAIN_CLIPS), ("test", TEST_CLIPS)])
def test_a_prepared_split_holds_the_generators_clips(data_dir, split, count):
    clips = split_clips(OPTDIGITS, split, data_dir)
    assert clips.count == count
    images = load_objects("optdigits", split)
    expected = moving_digits(images, range(count), motion="paper", seed=SPLIT_SEEDS[split])
    read = clips.read(np.arange(count))
    assert read.dtype == "uint8"
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(clips.read(np.array([2, 0, 2])), expected[[2, 0, 2]])  # any order


def test_preparing_again_does_nothing(data_dir):
    files = {path: path.stat().st_mtime_ns for path in data_dir.rglob("*") if path.is_file()}
    assert files
    prepare(OPTDIGITS, data_dir)
    assert {path: path.stat().st_mtime_ns for path in data_dir.rglob("*") if path.is_file()} == files


def test_a_prepared_split_trains_and_scores(data_dir):
    fields = recipe(context_frames=10, forecast_frames=10, frame_shape=(64, 64, 1), steps=4)
    clips = split_clips(OPTDIGITS, "train", data_dir)
    x, y = arrays(training_batches(clips, fields, 2))[0]
    expected = clips.read(batch_indices(2, 3, TRAIN_CLIPS, 0)).astype("float32") / np.float32(255)
    np.testing.assert_array_equal(x, expected[:, :-1])
    np.testing.assert_array_equal(y, expected[:, 1:])


@pytest.fixture(scope="module")
def variant(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variant")
    settings = {"train_clips": "3", "test_clips": "2", "motion": "srivastava"}
    builder = prepare(OPTDIGITS, folder, variant="mine", settings=settings)
    assert builder.info.full_name == "moving_mnist_clips/mine/1.0.0"
    return folder


def test_a_variant_is_read_by_its_name(variant):
    clips = split_clips("moving_mnist_clips/mine", "train", variant)
    expected = moving_digits(
        load_objects("optdigits", "train"), range(3), motion="srivastava", seed=SPLIT_SEEDS["train"]
    )
    np.testing.assert_array_equal(clips.read(np.arange(3)), expected)


def test_variants_are_described_and_offered(variant):
    facts = describe("moving_mnist_clips/mine", variant)
    assert facts["clips"] == {"train": 3, "test": 2}
    assert facts["data"] == "moving_mnist_clips/mine"
    assert facts["bytes"] > 0
    assert facts["description"].startswith(
        "Variant of optdigits: train_clips = 3, test_clips = 2, motion = srivastava. optdigits: Digits that come with "
    )
    json.dumps(facts)
    with pytest.raises(ValueError, match="`data` must be a known config of moving_mnist_clips, such as mine"):
        find_builder("moving_mnist_clips/min", variant)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "mine"}, "`variant` must be new. Received: variant='mine', known or prepared in "),
        ({"variant": "paper"}, "`variant` must be new. Received: variant='paper', known or prepared in "),
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
    def wait():
        begun.value = 1
        time.sleep(120)

    parts.make_part = functools.partial(parts.make_part, on_example=wait)
    prepare(data_dir=folder, part=(2, 2), **IN_PARTS[name])


@pytest.mark.parametrize("name", IN_PARTS)
def test_a_killed_part_is_made_anew(name, tmp_path, of_one_process):
    begun = forked.shared_number()
    process = forked.start(prepare_until_killed, tmp_path, name, begun)
    deadline = time.monotonic() + 120
    while begun.value < 0:
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert end(process) == -signal.SIGKILL
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
            "`variant` must be new. Received: variant='mine', known or prep",
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


def test_what_is_not_prepared_is_described_all_the_same(tmp_path):
    facts = describe("dwd_radar_clips/synthetic", tmp_path)
    assert facts["clips"] == {}
    assert "synthetic" in facts["description"].lower()
    assert "csi_0.5" in facts["scores"]
    assert "frames" in facts["features"]
    assert facts["config"]["interval"] == 30
    json.dumps(facts)


@pytest.mark.parametrize(
    ("data", "minutes"),
    [("taxibj_clips/both", 30), ("dwd_radar_clips/germany", 30), ("dwd_radar_clips/knmi_hours", 10)],
)
def test_configs_know_the_minutes_between_frames(data, minutes, tmp_path):
    assert find_builder(data, tmp_path).builder_config.interval == minutes


def test_minutes_between_frames_are_those_of_the_config(monkeypatch, data_dir):
    assert split_clips(OPTDIGITS, "test", data_dir).interval is None
    builder = find_builder(OPTDIGITS, data_dir)
    monkeypatch.setattr(builder.builder_config, "interval", 10, raising=False)
    assert split_clips(OPTDIGITS, "test", data_dir).interval == 10


def test_unprepared_data_is_refused_with_the_command(tmp_path):
    message = (
        f"`data` must be prepared, by `mslstm data prepare {OPTDIGITS}`. Received: {OPTDIGITS!r}, without a "
        f"split 'train' in {tmp_path}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        split_clips(OPTDIGITS, "train", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_sources_must_exist(tmp_path):
    with pytest.raises(ValueError, match=r"`manual_dir` must be a folder. Received: manual_dir='.*missing'"):
        prepare(OPTDIGITS, tmp_path / "data", tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("use", [find_builder, prepare, lambda data: split_clips(data, "train")])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "moving_mnist/paper",
            "`data` must be a known data set, such as moving_mnist_clips. Received: 'moving_mnist/paper'",
        ),
        (
            "moving_mnist_clips/optdigit",
            "`data` must be a known config of moving_mnist_clips, such as optdigits. Received: "
            "'moving_mnist_clips/optdigit'",
        ),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(use, data, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        use(data)


def test_listed_names_are_known():
    assert OPTDIGITS in list_data()
    for data in list_data():
        assert find_builder(data).info.full_name == f"{data}/1.0.0"
    assert find_builder("moving_mnist_clips").builder_config.name == "paper"


def test_only_moving_objects_are_streamed():
    message = "`data` must be a config of moving_mnist_clips to be made while it is read. Received: 'kth_clips/trimmed'"
    with pytest.raises(ValueError, match=re.escape(message)):
        stream_clips("kth_clips/trimmed", seed=0)


def test_floats_are_taken_as_they_are():
    levels = np.random.default_rng(0).random((9, 5, 4, 6, 2))
    ((x, y),) = arrays(training_batches(Clips(lambda i: levels[i], 9), recipe(steps=1, interval_steps=1)))
    expected = levels[batch_indices(0, 3, 9, 0)].astype("float32")
    np.testing.assert_array_equal(np.concatenate([x, y[:, -1:]], axis=1), expected)


def test_stream_is_the_generator_with_the_recipes_seed():
    clips = stream_clips(OPTDIGITS, seed=9)
    assert clips.count is None
    indices = np.array([5, 1_000_000])
    expected = moving_digits(load_objects("optdigits", "train"), indices, motion="paper", seed=9)
    np.testing.assert_array_equal(clips.read(indices), expected)
    assert (stream_clips(OPTDIGITS, seed=10).read(indices) != expected).any()


@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_file_of_clips_is_split_at_its_last_tenth(tmp_path, channels):
    whole = np.random.default_rng(0).integers(0, 256, (25, 3, 4, 4, *channels), dtype="uint8")
    np.save(tmp_path / "clips.npy", whole)
    train, test = (split_clips(str(tmp_path / "clips.npy"), split) for split in ("train", "test"))
    assert (train.count, test.count) == (23, 2)
    whole = whole.reshape(25, 3, 4, 4, -1)
    np.testing.assert_array_equal(train.read(np.array([22, 0])), whole[[22, 0]])
    np.testing.assert_array_equal(test.read(np.arange(2)), whole[23:])


def test_a_small_file_of_clips_keeps_one_for_tests(tmp_path):
    np.save(tmp_path / "clips.npy", np.zeros((2, 3, 4, 4), "uint8"))
    assert [split_clips(str(tmp_path / "clips.npy"), split).count for split in ("train", "test")] == [1, 1]


@pytest.mark.parametrize(
    "content",
    [np.zeros((5, 3, 4, 4), "float32"), np.zeros((5, 3, 4), "uint8"), np.zeros((1, 3, 4, 4), "uint8")],
)
def test_files_of_something_else_are_refused(tmp_path, content):
    np.save(tmp_path / "clips.npy", content)
    message = f"shape {content.shape}, dtype {content.dtype}"
    with pytest.raises(
        ValueError, match=r"`data` must hold at least two uint8 clips .*" + re.escape(message)
    ):
        split_clips(str(tmp_path / "clips.npy"), "train")


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "archive", "objects"])
def test_unreadable_files_are_refused(tmp_path, damage):
    path = tmp_path / "clips.npy"
    if damage == "archive":
        np.savez(tmp_path / "clips.npz", np.zeros((5, 3, 4, 4), "uint8"))
        (tmp_path / "clips.npz").rename(path)
    elif damage == "objects":
        np.save(path, np.array([{}, {}]), allow_pickle=True)
    elif damage != "missing":
        np.save(path, np.zeros((5, 3, 4, 4), "uint8"))
        content = {"empty": b"", "truncated": path.read_bytes()[:-1], "text": b"clip,frame\n"}
        path.write_bytes(content[damage])
    message = f"`data` must be a readable .npy file. Received: {path} ("
    with pytest.raises(ValueError, match=re.escape(message)):
        split_clips(str(path), "train")


def held_out(path, **changes):
    fields = {"frame_shape": (4, 4, 1), "data": str(path), "validation_clips": 3, "validation_split": "train"}
    return Recipe("held_out", **{**fields, **changes})


def test_clips_held_out_are_the_last_of_the_train_split_and_not_learned_from(tmp_path):
    clips = np.random.default_rng(0).integers(
        0, 256, (20, 4, 4, 4, 1), dtype="uint8"
    )  # the last two are for tests
    np.save(tmp_path / "clips.npy", clips)
    recipe = held_out(tmp_path / "clips.npy")
    learned, scored = training_clips(recipe), validation_clips(recipe)
    assert (learned.count, scored.count) == (15, 3)
    np.testing.assert_array_equal(learned.read(np.arange(15)), clips[:15])
    np.testing.assert_array_equal(scored.read(np.arange(3)), clips[15:18])


def test_clips_of_the_test_split_leave_the_train_split_whole(tmp_path):
    clips = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 4, 1), dtype="uint8")
    np.save(tmp_path / "clips.npy", clips)
    recipe = held_out(tmp_path / "clips.npy", validation_split="test")
    assert training_clips(recipe).count == 18
    np.testing.assert_array_equal(validation_clips(recipe).read(np.arange(2)), clips[18:])


def test_not_all_clips_can_be_held_out(tmp_path):
    np.save(tmp_path / "clips.npy", np.zeros((20, 4, 4, 4), "uint8"))
    message = (
        "`validation_clips` must be below the 18 train clips that they are held out of. "
        "Received: validation_clips=18"
    )
    for clips in (training_clips, validation_clips):
        with pytest.raises(ValueError, match=re.escape(message)):
            clips(held_out(tmp_path / "clips.npy", validation_clips=18))


def test_clips_held_out_of_a_stream_are_others_of_the_same_objects():
    recipe = Recipe(
        "stream", data=OPTDIGITS, stream=True, validation_clips=2, validation_split="train", seed=3
    )
    learned, scored = training_clips(recipe), validation_clips(recipe)
    assert learned.count is scored.count is None
    images = load_objects("optdigits", "train")
    for clips, seed in ((learned, 3), (scored, 3 + 2**31)):
        expected = moving_digits(images, np.arange(2), motion="paper", seed=seed)
        np.testing.assert_array_equal(clips.read(np.arange(2)), expected)
