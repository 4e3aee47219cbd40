"""What a user's type checker makes of the package: nothing to say of a right program, every mistake of a wrong one."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import mslstm_keras

pytest.importorskip("mypy", reason="no type checker: pip install mypy")

RIGHT = """
from typing import Any, assert_type

import numpy as np

import mslstm_keras as ms
from mslstm_keras.cells import ConvLSTMCell
from mslstm_keras.figures import comparison_figure

frames = np.zeros((10, 64, 64, 1), "float32")
model = ms.create_model("ms_lstm", (64, 64, 1), 10, 10, filters=8, kernel_sizes=(3, 5))
model.compile("adam", ms.FrameL1L2(), metrics=[ms.FrameMSE(10), ms.metrics.CSI(10, threshold=2.0)])
model.fit(frames[None, :-1], frames[None, 1:])

recipe = ms.find_recipe("optdigits_quick").with_settings({"steps": "100", "interval_steps": "50"})
assert_type(recipe, ms.Recipe)
assert_type(recipe.frame_shape, tuple[int, int, int])
trained = ms.train(recipe, "runs/quick", resume=True, devices=["CPU:0", "CPU:1"])
own = ms.Recipe("own", model="conv_lstm", frame_shape=(32, 32, 1), options={"kernel_size": 5})

clips = ms.split_clips(recipe.data, "test")
assert_type(clips, ms.Clips)
assert_type(clips.count, int | None)
assert_type(ms.evaluate(trained, clips, count=4), dict[str, Any])
scores = ms.evaluate_models({"one": trained, "two": [model, model]}, clips, recipe.data)

pretrained = ms.load_pretrained("ms_lstm_moving_mnist")
future = ms.forecast(pretrained, ms.read_clip("clip.gif", size=(64, 64)), horizon=20)
assert_type(future, np.ndarray)
ms.write_clip("forecast.gif", future)
live = ms.Forecaster(pretrained)
for frame in frames:
    assert_type(live.push(frame), np.ndarray)
assert_type(live.forecast(5), np.ndarray)
comparison_figure(frames[:4], frames[4:], {"own": future}, "comparison.png", title=None)

assert_type(ms.list_models(), list[str])
assert_type(ms.cost.count_cost("conv_lstm", (64, 64, 1), 10, 10).public_macs, int | None)
assert_type(ms.insight.theoretical_receptive_field(model).side, int | None)
assert_type(ms.__version__, str)


@ms.architecture
def two_cells(filters: int, layers: int, **options: Any) -> list[ConvLSTMCell]:
    return [ConvLSTMCell(filters, **options) for _ in range(layers)]


@ms.architecture(pyramid="pyramid_of_two")
def other_cells(filters: int, layers: int, **options: Any) -> list[ms.SpatiotemporalCell]:
    return [*two_cells(filters, layers, **options)]


assert_type(two_cells(8, 2), list[ConvLSTMCell])
assert_type(other_cells(8, 2), list[ms.SpatiotemporalCell])
"""

# Each line that ends in "# wrong" has one mistake.
WRONG = """
import numpy as np

import mslstm_keras as ms
from mslstm_keras import no_such_name  # wrong
from mslstm_keras.figures import comparison_figures  # wrong

frames = np.zeros((10, 64, 64, 1), "float32")
model = ms.create_model("ms_lstm", 64, 10, 10)  # wrong
model = ms.create_model("ms_lstm", (64, 64, 1), 10)  # wrong
metrics = [ms.FrameMSE("ten"), ms.FrameSSIM(10)]  # wrong
event = ms.metrics.CSI(10)  # wrong
event = ms.metrics.CriticalSuccess(10, threshold=2.0)  # wrong
recipe = ms.Recipe("own", step=100)  # wrong
recipe = ms.find_recipe("optdigits_quick").with_settings({"steps": 100})  # wrong
recipe.steps = 200  # wrong
model = ms.train("optdigits_quick", "runs/quick")  # wrong
ms.evaluate(model, frames)  # wrong
ms.read_clip("clip.gif", 1, (64, 64))  # wrong
ms.forecast(model, frames, horizon="all")  # wrong
ms.forecasts(model, frames)  # wrong
live = ms.Forecaster(model)
live.push("frame.png").mean()  # wrong
live.push(frames[0]).average()  # wrong
steps: str = recipe.steps  # wrong
"""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory):
    """Program -> line -> what mypy, as strict as it can be, says of it outside of the package's repository."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "right.py").write_text(RIGHT)
    (folder / "wrong.py").write_text(WRONG)
    # Keras and others have no types of their own. No configuration: a user has not that of the repository.
    words = ["-m", "mypy", "--strict", "--ignore-missing-imports", "--config-file=", "right.py", "wrong.py"]
    if tuple(map(int, version("numpy").split(".")[:2])) < (2, 2):  # its arrays have no default of their types
        words.insert(3, "--allow-any-generics")
    paths = {"PYTHONPATH": os.fspath(Path(mslstm_keras.__file__).parents[1]), "MYPYPATH": ""}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=os.environ | paths, capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = {"right.py": {}, "wrong.py": {}}
    for program, line, text in re.findall(r"^(.+?):(\d+): error: (.+)$", done.stdout, re.M):
        found[program][int(line)] = text
    return found


def test_a_right_program(complaints):
    assert complaints["right.py"] == {}


def test_each_mistake_is_found_where_it_is(complaints):
    wrong = [number for number, line in enumerate(WRONG.split("\n"), 1) if line.endswith("# wrong")]
    assert sorted(complaints["wrong.py"]) == wrong
