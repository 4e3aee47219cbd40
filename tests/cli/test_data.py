"""Commands on data sets."""

import json
import re

from mslstm_keras.data.catalogue import find_builder
from mslstm_keras.data.splits import split_clips
from tests.support.commands import OPTDIGITS, width_of


def test_a_variant_is_prepared_and_looked_at(mslstm, succeed, tmp_path):
    place = ["--data-dir", tmp_path]
    settings = ["--set", "train_clips=3", "--set", "test_clips=2"]
    ended = mslstm("data", "prepare", OPTDIGITS, "--variant", "few", *settings, *place, "--json")
    facts = json.loads(ended.out.splitlines()[-1])  # the lines before tell of progress
    assert facts["clips"] == {"train": 3, "test": 2}
    assert facts["data"] == "moving_mnist_clips/few"
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
    rest = mslstm(*words, "--processes", "3")
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
