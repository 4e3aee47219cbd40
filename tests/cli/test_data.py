"""Commands on data sets."""

import json
import re
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mslstm_keras.data.catalogue import find_builder
from mslstm_keras.data.splits import split_clips
from tests.support.commands import OPTDIGITS, SETTINGS, width_of
from tests.support.processes import no_file_larger_than


def test_a_variant_is_prepared_and_looked_at(mslstm, succeed, tmp_path):
    place = ["--data-dir", tmp_path]
    settings = ["--set", "train_clips=3", "--set", "test_clips=2"]
    ended = mslstm("data", "prepare", OPTDIGITS, "--variant", "few", *settings, *place, "--json")
    facts = json.loads(ended.out.splitlines()[-1])  # the lines before tell of progress
    assert facts["clips"] == {"train": 3, "test": 2}
    assert (facts["data"], facts["prepared_before"]) == ("moving_mnist_clips/few", False)
    again = mslstm("data", "prepare", OPTDIGITS, "--variant", "few", *settings, *place)
    assert again.out == f"{facts['folder']}: 3 train clips, 2 test clips, prepared before\n"
    lines = succeed("data", "info", "moving_mnist_clips/few", *place).splitlines()
    assert lines[0] == "moving_mnist_clips/few"
    assert any(line.startswith("clips: 3 train, 2 test, ") for line in lines)
    assert lines[-1] == "scored by mse, mae, ssim, psnr"
    sheet = tmp_path / "sheet.png"
    text = succeed(
        "data", "show", "moving_mnist_clips/few", *place, "--clips", 9, "--first", 1, "--output", sheet
    )
    assert text == f"{sheet}: 2 of 3 train clips\n"
    assert width_of(sheet) > 10 * 64


def test_what_is_not_prepared_is_told_with_the_command(succeed, tmp_path):
    lines = succeed("data", "info", "kth_clips/trimmed", "--data-dir", tmp_path).splitlines()
    assert "not prepared: mslstm data prepare kth_clips/trimmed" in lines
    facts = json.loads(succeed("data", "info", "kth_clips/trimmed", "--data-dir", tmp_path, "--json"))
    assert facts["clips"] == {}


def test_data_is_prepared(mslstm, tmp_path, monkeypatch):
    config = find_builder(OPTDIGITS).builder_config
    monkeypatch.setattr(config, "train_clips", 3)
    monkeypatch.setattr(config, "test_clips", 2)
    first = mslstm("data", "prepare", OPTDIGITS, "--data-dir", tmp_path)
    folder = tmp_path / OPTDIGITS / "1.0.0"
    assert first.status == 0
    assert first.out.splitlines()[-1] == f"{folder}: 3 train clips, 2 test clips"
    monkeypatch.chdir(tmp_path)
    show, train = first.next
    assert train == ["train", "--data", OPTDIGITS, "--data-dir", str(tmp_path)]
    assert mslstm(*show).out == "clips.png: 3 of 3 train clips\n"
    again = mslstm("data", "prepare", OPTDIGITS, "--data-dir", tmp_path, "--json")
    expected = {"data": OPTDIGITS, "folder": str(folder), "clips": {"train": 3, "test": 2}}
    expected["prepared_before"] = True
    assert json.loads(again.out) == expected
    assert split_clips(OPTDIGITS, "test", tmp_path).count == 2


def test_data_is_prepared_in_parts(mslstm, tmp_path):
    words = ["data", "prepare", OPTDIGITS, "--data-dir", tmp_path, "--variant", "few"]
    words += ["--set", "train_clips=3", "--set", "test_clips=2"]
    folder = tmp_path / "moving_mnist_clips" / "few" / "1.0.0"
    first = mslstm(*words, "--part", "2/3")
    assert (first.status, first.out) == (0, f"{folder}: part 2 of 3 is made; missing: 1, 3\n")
    second = mslstm(*words, "--part", "3/3", "--json")
    expected = {"data": "moving_mnist_clips/few", "folder": str(folder), "clips": {}, "missing_parts": [1]}
    expected["prepared_before"] = False
    assert json.loads(second.out) == expected
    other = mslstm(*words, "--part", "1/2")
    assert (other.status, other.out, other.error.count("\n")) == (2, "", 1)
    assert other.error.startswith("mslstm: `part` must be one of 3, as the other parts are (or remove ")
    tfds.disable_progress_bar()  # as --quiet does
    try:
        rest = mslstm(*words, "--processes", "3")
    finally:
        tfds.enable_progress_bar()
    assert (rest.status, rest.out) == (0, f"{folder}: 3 train clips, 2 test clips\n")


def test_a_source_file_that_is_another_is_named(mslstm, tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\x00\x00\x08\x03" + bytes(12))
    words = [
        "data",
        "prepare",
        "moving_mnist_clips/paper",
        "--data-dir",
        tmp_path / "data",
        "--manual-dir",
        tmp_path,
    ]
    ended = mslstm(*words)
    assert ended.status == 2
    assert re.search(r"^mslstm: .*train-images-idx3-ubyte.*$", ended.error.splitlines()[-1])
    assert not list(tmp_path.rglob("*.tfrecord*"))


def write_clips(folder, value):
    folder.mkdir()
    for name in "abc":
        np.save(folder / f"{name}.npy", np.full((6, 16, 16), value, "uint8"))
    return folder


@pytest.fixture
def prepared(mslstm, tmp_path):
    """The words that prepare clips; those of `first/` are prepared."""
    words = ["data", "prepare", "frames_from_folder", "--data-dir", tmp_path / "data"]
    variant = ["--variant", "mine", "--set", "window=4", "--manual-dir", write_clips(tmp_path / "first", 50)]
    assert mslstm(*words, *variant).status == 0
    words[2] = "frames_from_folder/mine"
    return words


def test_a_folder_says_itself_how_it_is_prepared(mslstm, tmp_path):
    folder = write_clips(tmp_path / "street", 50)
    words = ["data", "prepare", "frames_from_folder", "--manual-dir", folder, "--data-dir", tmp_path / "data"]
    place = tmp_path / "data" / "frames_from_folder" / "street" / "1.0.0"
    first = mslstm(*words)
    assert first.status == 0
    assert (
        f"{folder}, as frames_from_folder/street: 3 clips of 6 frames, 16 x 16, 1 channel; 2 to train, 1 for tests; "
        "examples of 6 frames, one every 6 (assumed: window=6, channels=1, test_share=0.1)" in first.out
    )
    assert (
        "it is named frames_from_folder/street after the folder; the same words find it again\n" in first.out
    )
    assert first.out.splitlines()[-1] == f"{place}: 2 train clips, 1 test clips"
    again = mslstm(*words)
    assert again.out.splitlines() == [
        f"{folder}: prepared before, as frames_from_folder/street",
        f"{place}: 2 train clips, 1 test clips, prepared before from {folder}",
    ]
    named = mslstm(*words, "--variant", "street")  # looked through again, with the same settings
    assert named.out.splitlines()[-1] == again.out.splitlines()[-1]
    other = mslstm(*words, "--set", "window=3", "--variant", "short", "--json")
    facts = json.loads(other.out.splitlines()[-1])
    assert (facts["data"], facts["clips"]) == ("frames_from_folder/short", {"train": 4, "test": 2})
    assert facts["assumed"] == {"channels": 1, "test_share": 0.1}
    fixed = mslstm("data", "prepare", "frames_from_folder/clips", *words[3:])  # a config is what it is
    assert fixed.status == 2 and "must have at least `window` = 20 frames" in fixed.error


def test_sources_that_were_prepared_before_are_named(prepared, succeed, tmp_path):
    place = tmp_path / "data" / "frames_from_folder" / "mine" / "1.0.0"
    line = f"{place}: 2 train clips, 1 test clips, prepared before from {tmp_path / 'first'}\n"
    moved = shutil.copytree(tmp_path / "first", tmp_path / "moved")
    for sources in ([], ["--manual-dir", tmp_path / "first"], ["--manual-dir", moved]):
        assert succeed(*prepared, *sources) == line
    lines = succeed("data", "info", "frames_from_folder/mine", "--data-dir", tmp_path / "data").splitlines()
    (line,) = [line for line in lines if line.startswith("source files: ")]
    assert re.fullmatch(
        rf"source files: 3, 4,992 bytes in {tmp_path / 'first'}, SHA-256 of names and contents [0-9a-f]{{64}}",
        line,
    )


def test_other_sources_are_refused_in_one_line_by_preparation_and_training(prepared, fail, tmp_path):
    second = write_clips(tmp_path / "second", 200)
    place = tmp_path / "data" / "frames_from_folder" / "mine" / "1.0.0"
    expected = (
        "mslstm: `manual_dir` must hold the source files that frames_from_folder/mine was prepared from before, in "
        f"{tmp_path / 'first'} (prepare the new ones under a name of their own with `--variant NAME`, or remove "
        f"{place}). Received: manual_dir='{second}', a.npy has another content\n"
    )
    assert fail(*prepared, "--manual-dir", second) == expected
    words = ["train", "optdigits_quick", *SETTINGS, "--set", "stream=false", "--data-dir", tmp_path / "data"]
    words += ["--set", "data=frames_from_folder/mine", "--set", "frame_shape=[16,16,1]"]
    words += ["--set", "validation_clips=0", "--run-dir", tmp_path / "run", "--manual-dir"]
    assert fail(*words, second) == expected


def test_minutes_between_frames_are_told(succeed, tmp_path):
    for data, minutes in (("taxibj_clips/inflow", 30), ("dwd_radar_clips/knmi_hours", 10)):
        lines = succeed("data", "info", data, "--data-dir", tmp_path).splitlines()
        assert f"{minutes} minutes between frames" in lines
        assert ("5 km between pixels" in lines) == data.startswith("dwd")
        assert f"frames are of the {'rain rate' if data.startswith('dwd') else 'inflow of taxis'}" in lines


def test_a_full_disk_is_one_line_and_leaves_nothing(mslstm, tmp_path):
    words = ["data", "prepare", OPTDIGITS, "--data-dir", tmp_path, "--variant", "few"]
    words += ["--set", "train_clips=60", "--set", "test_clips=2"]
    with no_file_larger_than(50_000):
        ended = mslstm(*words)
    assert (ended.status, ended.out.count("Traceback")) == (2, 0)
    assert re.fullmatch(r"mslstm: .*File too large.*", ended.error.splitlines()[-1])
    assert "Traceback" not in ended.error
    assert [path.name for path in (tmp_path / "moving_mnist_clips").iterdir()] == [".config"]
