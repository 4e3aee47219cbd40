"""Commands that look inside models and draw."""

import json

from PIL import Image


def test_receptive_fields_of_named_and_of_trained_models(succeed, tiny_run, files):
    words = ["study", "receptive-field", "conv_lstm", "motion_rnn", tiny_run]
    head, *lines = succeed(*words, "--frame", "32x32x1").splitlines()
    assert head.split() == ["model", "cells", "paper", "all", "paths"]
    rows = [
        ["conv_lstm", "3", "7x7", "7x7"],
        ["motion_rnn", "3", "7x7", "-"],
        [str(tiny_run), "1", "24x24", "24x24"],
    ]
    assert [line.split()[:4] for line in lines] == rows
    assert lines[1].endswith("  without bound: maps are sampled along flows, which depend on the data")
    output = files / "fields.png"
    clips = ["--input", files / "clip.npy", files / "clip.gif"]
    facts = json.loads(succeed("study", "receptive-field", tiny_run, "--json", *clips, "--output", output))
    field = facts[str(tiny_run)]
    assert (field["paper"], field["side"], field["cells"][0]["kernel_size"]) == (24, 24, 3)
    assert 0 < field["effective"] <= 24
    with Image.open(output) as picture:
        assert picture.width > 3 * 64


def test_layers_are_drawn(succeed, tiny_run, files):
    output = files / "layers.png"
    words = ["study", "layers", tiny_run, "--input", files / "clip.npy", "--output", output]
    assert succeed(*words) == f"{output}: 1 cells, 6 steps\n"
    with Image.open(output) as picture:
        in_time = picture.size
    assert succeed(*words, "--horizon", 2, "--step", 4) == f"{output}: 1 cells, 4 steps\n"
    with Image.open(output) as picture:
        assert picture.size != in_time


def test_architectures_are_drawn(succeed, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "mslstm_keras.insight.architecture.draw_architecture", lambda model, path: drawn.append(model.name)
    )
    assert (
        succeed("study", "architecture", "sms_lstm", "--output", tmp_path / "a.svg")
        == f"{tmp_path / 'a.svg'}\n"
    )
    assert drawn == ["sms_lstm"]


def test_faults_of_studies(fail, tiny_run, files, monkeypatch):
    monkeypatch.chdir(files)
    assert "`--input` must name a clip" in fail("study", "receptive-field", "conv_lstm", "--output", "a.png")
    assert "`name` must be a model of the zoo" in fail("study", "receptive-field", "conv_lstn")
    drawing = ["study", "layers", tiny_run, "--output", "a.png", "--input"]
    assert "at least 3 frames" in fail(*drawing, "short.npy")
    assert "`step` must be from 1 to 6. Received: step=7" in fail(*drawing, "clip.npy", "--step", 7)
    assert "`path` must end in .png" in fail("study", "architecture", "conv_lstm", "--output", "a.txt")
    assert "`frame_shape` must have" in fail("study", "receptive-field", "ms_lstm", "--frame", "30x32x1")
