"""Commands about models."""

import json
import re
import sys

import numpy as np
import pytest
import tensorflow as tf

import mslstm_keras
from mslstm_keras.importing import import_file
from mslstm_keras.zoo.loading import load_model
from tests.export.test_convert import reference_parameters
from tests.support.commands import NAME
from tests.support.own_cells import MY_CELLS, forget_files, write_my_cells


def test_a_model_is_exported(mslstm, succeed, tiny_zoo, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    printed = succeed("export", NAME, "--zoo", tiny_zoo, "--output", path, "--json")
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


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("a.onnx", "onnx"),
        ("a.tflite", "litert"),
        ("a.xml", "openvino"),
        ("a.bin", "saved_model"),
        ("a/1", "saved_model"),
    ],
)
def test_the_suffix_tells_the_format(succeed, tiny_zoo, tmp_path, monkeypatch, path, format):
    written = []
    monkeypatch.setattr(
        "mslstm_keras.export.formats.export_model",
        lambda model, path, kind, scale: written.append(kind) or 0.0,
    )
    succeed("export", NAME, "--zoo", tiny_zoo, "--output", tmp_path / path, "--json")
    succeed("export", NAME, "--zoo", tiny_zoo, "--output", tmp_path / path, "--json", "--format", "litert")
    assert written == [format, "litert"]


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


SMALL = ["--frame", "8x8x1", "--context", "2", "--forecast", "2"]


@pytest.mark.parametrize("words", [["--frame", "8x8x1", "--context", 2], ["--forecast", 2], SMALL[2:]])
def test_lengths_are_those_of_ones_own_frames(fail, words):
    assert "`--context` and `--forecast` must come with `--frame`. Received: " in fail("cost", *words)


@pytest.mark.usefixtures("own_registry")
def test_a_model_of_an_own_file_is_counted(succeed, fail, tmp_path):
    path = write_my_cells(tmp_path)
    assert "`name` must be a known model" in fail("cost", "--models", "foo", *SMALL)
    words = ["cost", "--import", path, "--import", path, "--models", "foo", "ms_foo", *SMALL, "--json"]
    assert [cost["name"] for cost in json.loads(succeed(*words))] == ["foo", "ms_foo"]
    forget_files()
    wrong = write_my_cells(tmp_path, "wrong.py", "x = 1\n1 / 0\n")
    said = fail("cost", "--import", wrong, "--models", "conv_lstm", *SMALL)
    assert said.startswith("mslstm: `file` must be a Python file that runs. Received: ")
    assert said.endswith("wrong.py, line 2: ZeroDivisionError: division by zero\n")


@pytest.mark.usefixtures("own_registry")
def test_a_model_whose_file_is_not_imported_says_so(succeed, fail, files, tmp_path):
    path = write_my_cells(tmp_path)
    import_file(path)
    model = mslstm_keras.create_model("foo", (64, 64, 1), 2, 2, filters=1, layers=1, patch_size=16)
    model.save(tmp_path / "mine.keras")
    forget_files()
    words = ["forecast", "--model", tmp_path / "mine.keras", "--input", files / "clip.npy", "--output"]
    said = fail(*words, tmp_path / "out.npy")
    assert said == (
        "mslstm: `model` must be loaded with the file that registers its class 'my_cells>FooCell': add "
        f"--import FILE.py, or import that file before. Received: {tmp_path / 'mine.keras'}\n"
    )
    succeed(*words, tmp_path / "out.npy", "--import", path)
    assert np.load(tmp_path / "out.npy").shape == (2, 64, 64, 1)


@pytest.mark.filterwarnings("default:FooCell is in no model")
@pytest.mark.usefixtures("own_registry", "many_models")
def test_the_contracts_of_a_file_are_checked(succeed, mslstm, tmp_path):
    path = write_my_cells(tmp_path)
    lines = succeed("check", path, "--quiet").splitlines()
    assert len(lines) > 20 and all(line.endswith(": passed") for line in lines)
    assert lines[0] == "FooCell is registered with Keras: passed"
    forget_files()
    text = MY_CELLS.split("@architecture")[0].replace("return h, [h, c]", "return h, [h, c[..., :1]]")
    narrow = write_my_cells(tmp_path, "narrow.py", text)
    for more in ([], ["--json"]):
        ended = mslstm("check", narrow, *more)
        forget_files()
        rule, warning = (
            "mslstm: `file` must keep every contract. Received: ",
            "mslstm: warning: FooCell is in no model",
        )
        assert ended.status == 2 and ended.error.startswith(warning)
        assert ended.error.splitlines()[-1] == f"{rule}{narrow}, which breaks 1 of 6"
        broken = "returns the shapes that it declares"
        if more:
            facts = {fact["contract"]: fact["error"] for fact in json.loads(ended.out)}
            assert {contract for contract, error in facts.items() if error} == {broken}
        else:
            (line,) = [line for line in ended.out.splitlines() if not line.endswith(": passed")]
            assert re.match(
                rf"FooCell {broken}: FAILED, output and states of a real call .*\(8, 12, 1\)\]$", line
            )
