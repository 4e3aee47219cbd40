"""Commands about models."""

import json
import re
import sys

import numpy as np
import tensorflow as tf

import mslstm_keras
from mslstm_keras.zoo.loading import load_model
from tests.export.test_convert import reference_parameters
from tests.support.commands import NAME


def test_a_model_is_exported(mslstm, succeed, tiny_zoo, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    printed = succeed("export", NAME, "--zoo", tiny_zoo, "--format", "onnx", "--output", path, "--json")
    facts = json.loads(printed)
    assert 0 <= facts.pop("deviation") < 1e-5
    assert facts == {"path": str(path), "format": "onnx"} and path.stat().st_size > 0
    # A radar model, by what its data is said to be.
    folder = tmp_path / "new" / "model"
    ended = mslstm("export", NAME, "--zoo", tiny_zoo, "--output", folder, "--range", "rain:dwd")
    assert re.fullmatch(rf"{folder}: \d\.\de[+-]\d\d from Keras at most\n", ended.out)
    assert "rain_rate" in tf.saved_model.load(folder).signatures
    monkeypatch.chdir(tmp_path)
    (serving,) = ended.next
    assert succeed(*serving).startswith("docker run ")
    assert (tmp_path / "serving" / NAME / "1" / "saved_model.pb").exists()


def test_a_folder_for_tensorflow_serving_is_written(succeed, tiny_zoo, tmp_path):
    printed = succeed("serving", NAME, "--zoo", tiny_zoo, "--output", tmp_path / "serving")
    assert printed.startswith("docker run ") and f"{tmp_path}/serving:/models:ro" in printed
    assert (tmp_path / "serving" / NAME / "1" / "saved_model.pb").exists()
    assert f'name: "{NAME}"' in (tmp_path / "serving" / "models.config").read_text()


def test_weights_of_pytorch_become_a_model(succeed, fail, monkeypatch, tmp_path):
    """PyTorch's own reader is tested in `export/test_convert.py`."""
    model = mslstm_keras.create_model(
        "traj_gru", (8, 12, 2), 2, 3, filters=4, layers=2, links=3, half_pixel_offset=True
    )
    parameters, clip = (
        reference_parameters(model),
        np.random.default_rng(0).random((1, 2, 8, 12, 2), "float32"),
    )
    mslstm_keras.export.load_reference_parameters(model, parameters)
    monkeypatch.setattr("mslstm_keras.export.convert.read_checkpoint", lambda path: parameters)
    words = ["--model", "traj_gru", "--frame", "8x12", "--context", 2, "--forecast", 3, "--set", "links=3"]
    output = tmp_path / "model.keras"
    assert succeed("convert", "a.pth", output, *words).startswith(f"{output}: traj_gru, ")
    np.testing.assert_array_equal(load_model(output)(clip), model(clip))
    output.unlink()
    assert "as (3, 3, 4, 10)" in fail("convert", "a.pth", output, *words, "--set", "links=5")
    del parameters["fc.conv_fc.bias"]
    assert "missing=['fc.conv_fc.bias']" in fail("convert", "a.pth", output, *words)


def test_pytorch_is_asked_for_by_name(fail, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    words = ["--model", "ms_lstm", "--frame", "64x64"]
    assert "pip install 'mslstm_keras[torch]'" in fail("convert", "a.pth", tmp_path / "b.keras", *words)


def test_costs_of_the_papers_models_and_of_ones_own_frames(succeed):
    table = succeed("cost", "--dataset", "taxibj", "--models", "conv_lstm", "ms_lstm").splitlines()
    assert [line.split()[0] for line in table[2:4]] == ["conv_lstm", "ms_lstm"]
    assert [line.split()[7] for line in table[2:4]] == ["3.2", "5.9"]
    words = ["--frame", "16x8x3", "--context", 2, "--forecast", 1, "--filters", 4, "--batch-size", 3]
    (found,) = json.loads(succeed("cost", *words, "--models", "conv_lstm", "--json"))
    expected = mslstm_keras.cost.count_cost("conv_lstm", (16, 8, 3), 2, 1, 4, 3).to_dict()
    assert found == json.loads(json.dumps(expected))
