"""Clips found by one word: a folder, a file, or a prepared data set."""

import re
import shutil
import time

import numpy as np
import pytest

from mslstm_keras.data import own_clips
from mslstm_keras.data.own_clips import find_clips, label_of, plan_folder
from tests.support import forked
from tests.support.optdigits import OPTDIGITS


def levels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


@pytest.fixture
def street(tmp_path):
    """Folder of three clips of 6, 7 and 8 frames."""
    folder = tmp_path / "my street-2"
    folder.mkdir()
    for number, count in enumerate((6, 7, 8)):
        np.save(folder / f"{number}.npy", levels(count, 8, 12, seed=number))
    return folder


def test_labels(street, tmp_path, monkeypatch):
    monkeypatch.chdir(street)
    assert label_of(".") == label_of(street) == label_of(f"{street}/") == "my_street_2"
    assert label_of("clips/day 1.npy") == "day_1"
    assert label_of("2024.npy") == "clips_2024"
    assert label_of("frames_from_folder/street") == "street"
    assert label_of("moving_mnist_clips/paper") == "moving_mnist_clips_paper"


def test_a_folder_is_prepared_and_found_again(street, tmp_path):
    told = []
    for _ in range(2):
        clips = find_clips(str(street), tmp_path / "data", tell=told.append)
        assert (clips.data, clips.shape) == ("frames_from_folder/my_street_2", (6, 8, 12, 1))
        assert (clips.train.count, clips.held_out) == (2, 1)
    assert told == [
        f"{street}, as frames_from_folder/my_street_2: 3 clips of 6 to 8 frames, 8 x 12, 1 channel; 2 to train, 1 for "
        "tests; examples of 6 frames, one every 6 (assumed: window=6, channels=1, test_share=0.1)",
        f"{street}: prepared before, as frames_from_folder/my_street_2",
    ]


def late(function, planned, place):
    """Returns a function that is called once a data set is there, and says that it waits for that."""

    def wait(*arguments, **options):
        planned.value = 1
        deadline = time.monotonic() + 120
        while not (place / "dataset_info.json").exists():
            assert time.monotonic() < deadline, "nobody prepares it"
            time.sleep(0.01)
        return function(*arguments, **options)

    return wait


def find_in_a_process(folder, data_dir, planned=None):
    if planned is not None:
        place = data_dir / "frames_from_folder" / "my_street_2" / "1.0.0"
        own_clips.prepare = late(own_clips.prepare, planned, place)
    clips = find_clips(str(folder), data_dir)
    assert (clips.data, clips.shape) == ("frames_from_folder/my_street_2", (6, 8, 12, 1))
    assert (clips.train.count, clips.held_out) == (2, 1)


def ended(process):
    process.join(120)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def test_hosts_that_start_at_once_on_a_folder_prepare_it_once(street, tmp_path):
    hosts = [forked.start(find_in_a_process, street, tmp_path / "data") for _ in range(2)]
    assert [ended(host) for host in hosts] == [0, 0]
    place = tmp_path / "data" / "frames_from_folder" / "my_street_2"
    assert [path.name for path in place.iterdir()] == ["1.0.0"]
    assert not list((place / "1.0.0").glob("incomplete*"))


def test_a_host_that_finds_the_folder_prepared_after_it_has_looked_through_it(street, tmp_path):
    planned = forked.shared_number()
    host = forked.start(find_in_a_process, street, tmp_path / "data", planned)
    deadline = time.monotonic() + 120
    while planned.value < 0:
        assert host.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    find_in_a_process(street, tmp_path / "data")
    assert ended(host) == 0


def test_a_folder_that_was_killed_before_its_last_rename_is_prepared_anew(street, tmp_path):
    find_clips(str(street), tmp_path / "data")
    place = tmp_path / "data" / "frames_from_folder" / "my_street_2"
    shutil.move(place / "1.0.0", place / "incomplete.AB12CD_1.0.0")
    with pytest.warns(UserWarning, match="^removed what a preparation that was killed has left: "):
        clips = find_clips(str(street), tmp_path / "data")
    assert (clips.train.count, clips.held_out) == (2, 1)
    assert [path.name for path in place.iterdir()] == ["1.0.0"]


def test_a_folder_that_has_changed_is_refused(street, tmp_path):
    find_clips(str(street), tmp_path / "data")
    np.save(street / "3.npy", levels(6, 8, 12))
    with pytest.raises(ValueError, match=r"prepared from before, in .* Received: .*, 3.npy is new"):
        find_clips(str(street), tmp_path / "data")


def test_other_settings_than_before_are_refused(street, tmp_path):
    find_clips(str(street), tmp_path / "data", settings={"window": "5"})
    find_clips(str(street), tmp_path / "data", settings={"window": "4"})  # longer clips do
    place = tmp_path / "data" / "frames_from_folder" / "my_street_2" / "1.0.0"
    message = (
        f"`data` must be asked for as it was prepared before, window=5, size=None (`mslstm data prepare "
        f"frames_from_folder --manual-dir {street} --variant NAME --set ...` makes another one, or remove {place}). "
        "Received: window=6, size=(4, 6)"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        find_clips(str(street), tmp_path / "data", settings={"window": "6", "size": "[4,6]"})


def test_what_is_given_is_not_found(street, tmp_path):
    settings = {"window": "3", "channels": "3", "stride": "1", "range": "0:255"}
    plan = plan_folder(street, tmp_path, settings=settings, variant="mine")
    assert (plan.data, plan.variant, plan.name) == ("frames_from_folder", "mine", "frames_from_folder/mine")
    assert (plan.settings, plan.assumed) == (settings, {"test_share": 0.1})
    assert plan_folder(street, tmp_path).settings == {"window": "6"}  # the rest is as in every config


def test_a_folder_that_has_the_name_of_a_config(street, tmp_path):
    folder = street.rename(tmp_path / "clips")
    assert plan_folder(folder, tmp_path / "data").name == "frames_from_folder/clips_folder"


def test_a_file_of_clips(tmp_path):
    path = tmp_path / "own.npy"
    np.save(path, levels(11, 5, 8, 12, 2))
    clips = find_clips(str(path))
    assert (clips.data, clips.shape, clips.train.count, clips.held_out) == (str(path), (5, 8, 12, 2), 10, 1)
    with pytest.raises(ValueError, match=f"`size`, `range` must be left out where .* Received: {path}"):
        find_clips(str(path), settings={"size": "[4,6]", "range": "0:1"})


def test_a_prepared_data_set(optdigits_dir):
    clips = find_clips(OPTDIGITS, optdigits_dir)
    assert (clips.data, clips.shape, clips.train.count, clips.held_out) == (OPTDIGITS, (20, 64, 64, 1), 4, 20)


def test_what_is_not_there_is_refused(tmp_path):
    (tmp_path / "film.mp4").touch()
    for data in ("missing", str(tmp_path / "film.mp4"), "a/b/c"):
        with pytest.raises(ValueError, match=r"`data` must be a folder of clips, a .npy file .* Received: "):
            find_clips(data)
    with pytest.raises(
        ValueError, match="`data` must be prepared, by `mslstm data prepare kth_clips/trimmed`"
    ):
        find_clips("kth_clips/trimmed", tmp_path)
    with pytest.raises(ValueError, match=r"`data` must be a readable .npy file"):
        find_clips(str(tmp_path / "missing.npy"))
