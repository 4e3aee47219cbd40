"""The demo, on a small model of the name that it asks for."""

import shutil
import socket

import numpy as np
import pytest
from PIL import Image

from mslstm_keras.cli import main
from mslstm_keras.data.splits import split_clips
from mslstm_keras.evaluation.scores import evaluate
from mslstm_keras.forecasting import demo as demo_module
from mslstm_keras.forecasting.demo import CLIPS, MODEL, demo
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.zoo.loading import load_pretrained


@pytest.fixture(scope="module")
def digits(optdigits_dir):
    """The test clips of embedded digits, as they come out of the prepared data set."""
    return split_clips("moving_mnist_clips/optdigits", "test", optdigits_dir)


@pytest.fixture
def no_network(monkeypatch):
    def connect(*arguments):
        raise AssertionError("the demo reached for the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)


@pytest.mark.usefixtures("no_network")
def test_forecasts_the_first_clip_and_scores_them_all(tiny_zoo, tmp_path, digits, monkeypatch):
    shown = []

    def recording(draw):
        def record(*arrays, **options):
            shown.append(arrays)
            draw(*arrays, **options)

        return record

    for name in ("forecast_figure", "forecast_animation"):
        monkeypatch.setattr(demo_module, name, recording(getattr(demo_module, name)))
    folder = tmp_path / "new" / "pictures"
    model = load_pretrained(MODEL, tiny_zoo)
    scores = demo(model, folder)

    assert scores == evaluate(model, digits, count=CLIPS)
    frames = digits.read(np.array([0]))[0] / np.float32(255)
    assert [arrays[-1] for arrays in shown] == [folder / "demo.png", folder / "demo.gif"]
    for context, truth, prediction, _ in shown:
        np.testing.assert_array_equal(context, frames[:3])
        np.testing.assert_array_equal(truth, frames[3:7])
        np.testing.assert_array_equal(prediction, forecast(model, frames[:3]))
    assert sorted(path.name for path in folder.iterdir()) == ["demo.gif", "demo.png"]
    with Image.open(folder / "demo.gif") as gif:
        assert gif.n_frames == 3 + 4
    with Image.open(folder / "demo.png") as png:
        assert min(png.size) > 300


def test_the_command_refuses_a_damaged_zoo_before_anything_is_written(tiny_zoo, tmp_path, capsys):
    zoo = shutil.copytree(tiny_zoo, tmp_path / "zoo")
    file = zoo / MODEL / "1" / "model.weights.h5"
    file.unlink()
    assert main(["demo", "--output", str(tmp_path / "pictures"), "--zoo", str(zoo)]) == 2
    assert f"{file} is missing" in capsys.readouterr().err
    assert not (tmp_path / "pictures").exists()
