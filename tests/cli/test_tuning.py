"""The command that searches."""

import json

import pytest

from tests.support.commands import SETTINGS


@pytest.mark.filterwarnings("ignore:currentThread.. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:getName.. is deprecated:DeprecationWarning")
def test_a_search_is_a_table_and_files(mslstm, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "mslstm_keras.search.tuner.run_trial", lambda recipe, folder, **more: 10.0 / recipe.filters
    )
    run = tmp_path / "search"
    words = [
        "tune",
        "optdigits_quick",
        *SETTINGS,
        "--run-dir",
        run,
        "--vary",
        "filters=[1,2,3]",
        "--searcher",
        "grid",
    ]
    words += ["--trials", "5", "--max-parameters", "2000"]
    ended = mslstm(*words)
    assert (ended.status, ended.error) == (0, "")
    lines = ended.out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == ["trial 0", "trial 0", "trial 1", "trial 1"]
    assert lines[1] == "trial 0: val_frame_mse 10"
    assert [line.split()[:2] for line in lines[5:7]] == [["1", "2"], ["0", "1"]]
    assert lines[-2].startswith("refused: filters=3: parameters 2,")
    assert lines[-1] == f"{run / 'best.json'}: the recipe of trial 1"
    (train,) = ended.next
    assert train == ["train", str(run / "best.json")]
    again = mslstm(*words)
    assert again.status == 2
    assert again.error.startswith(
        "mslstm: `run_dir` must be new; resume to go on with what it holds. Received: "
    )
    resumed = mslstm(*words, "--resume", "--json")
    assert resumed.status == 0 and resumed.next == [train]
    assert json.loads(resumed.out) == json.loads((run / "results.json").read_text())
    assert (run / "pareto.png").exists()
