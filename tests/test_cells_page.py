"""What `docs/cells.md` says, done with few steps. After each command the process forgets the file."""

import re
from pathlib import Path

import numpy as np
import pytest

from mslstm_keras.cli import main
from mslstm_keras.frames.write import write_clip
from mslstm_keras.search.results import read_results
from mslstm_keras.zoo.index import list_pretrained
from tests.support.examples import blocks, commands_of
from tests.support.own_cells import MY_CELLS, PAGE, forget_files

SMALLER = [
    "filters=2",
    "layers=3",
    "patch_size=8",
    "batch_size=2",
    "steps=2",
    "interval_steps=1",
    "decay_steps=0",
]
SETTINGS = [word for setting in SMALLER for word in ("--set", setting)]
MORE = {
    "train": SETTINGS,
    "tune": [*SETTINGS, "--trials", "1"],
    "evaluate": ["--clips", "2"],
    "zoo": ["--clips", "2"],
}
OF_DATA = ("train", "tune", "evaluate", "zoo")


@pytest.mark.slow
@pytest.mark.usefixtures("own_registry")
@pytest.mark.filterwarnings("ignore:currentThread.. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:getName.. is deprecated:DeprecationWarning")
def test_every_example_runs(tmp_path, monkeypatch, optdigits_dir):
    monkeypatch.chdir(tmp_path)
    Path("my_cells.py").write_text(MY_CELLS)
    write_clip("clip.gif", np.random.default_rng(0).random((10, 64, 64, 1), "float32"), scale=1)
    done = []
    for words in commands_of("".join(blocks("bash", PAGE))):
        data = ["--data-dir", str(optdigits_dir)] if words[0] in OF_DATA else []
        assert main([*words, *MORE.get(words[0], []), *data]) == 0, words
        forget_files()
        done.append(words[0])
    assert done == ["check", "cost", "train", "evaluate", "tune", "zoo", "forecast"]
    assert Path("future.gif").exists() and set(list_pretrained("my_zoo")) == {"ms_foo_digits"}
    results = read_results(Path("runs/search"))
    assert [trial["status"] for trial in results["trials"]] == ["completed"]
    names = {}
    exec(blocks("python", PAGE)[1], names)
    assert names["model"].output_shape == (None, 19, 64, 64, 1)
    assert {layer.name for layer in names["trained"].layers} == {"frames", "observed", "rollout"}


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGE):
        assert (Path(__file__).parents[1] / "docs" / link).exists(), link
