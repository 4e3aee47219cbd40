import shutil
import sys
from pathlib import Path

import pytest

from mslstm_keras import create_model
from mslstm_keras.insight import draw_architecture


@pytest.fixture(scope="module")
def model():
    return create_model("ms_lstm", (8, 8, 1), 2, 2, filters=2, layers=3)


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")


@pytest.mark.usefixtures("installed")
def test_the_step_is_drawn(model, tmp_path, monkeypatch):
    drawn = []

    def plot_model(step, path, **options):
        drawn.append(([layer.name for layer in step.layers], options))
        Path(path).write_text("a drawing")

    monkeypatch.setattr("keras.utils.plot_model", plot_model)
    draw_architecture(model, tmp_path / "a.svg")
    ((names, options),) = drawn
    assert {"frame", "embed", "cell_1_h", "cell_3_c5", "head"} <= set(names)
    assert options["show_layer_names"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]
    assert (tmp_path / "a.svg").read_text() == "a drawing"


@pytest.mark.usefixtures("installed")
def test_a_drawing_that_fails_leaves_what_was_there(model, tmp_path, monkeypatch):
    def plot_model(step, path, **options):
        Path(path).write_text("half a dr")
        raise OSError(28, "No space left on device")

    (tmp_path / "a.png").write_text("old")
    monkeypatch.setattr("keras.utils.plot_model", plot_model)
    with pytest.raises(OSError, match=r"No space left on device: '.*a.png'"):
        draw_architecture(model, tmp_path / "a.png")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_graphviz_draws_it(model, tmp_path):
    pytest.importorskip("pydot")
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    draw_architecture(model, tmp_path / "a.svg")
    picture = (tmp_path / "a.svg").read_text()
    assert all(name in picture for name in ("MKLSTMCell", "MaxPooling2D", "cell_2_c5", "head"))


@pytest.mark.usefixtures("installed")
def test_what_is_missing_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ValueError, match=r"`dot` must be installed .* Graphviz .* Received: no such command"):
        draw_architecture(model, tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(
        ImportError, match=r"needs pip install 'mslstm_keras\[study\]' \(pydot is not there\)"
    ):
        draw_architecture(model, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"`path` must end in .png, .svg or .pdf. Received: .*a.jpg"):
        draw_architecture(model, tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []
