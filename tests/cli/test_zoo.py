"""Commands on trained models."""

import json
import shutil

import pytest

import mslstm_keras
from mslstm_keras.cli import progress
from tests.support.commands import NAME, OPTDIGITS, ROOT, listing
from tests.support.processes import run_script


def test_zoo_is_listed_shown_and_verified(succeed, tiny_zoo):
    (line,) = succeed("zoo", "list", "--zoo", tiny_zoo).splitlines()
    entry = mslstm_keras.list_pretrained(tiny_zoo)[NAME]
    mse = entry.scores["model"]["mse"]["mean"]
    assert line.split() == [NAME, "conv_lstm", OPTDIGITS, "8", "clips", "seen", "MSE", f"{mse:.1f}"]
    (facts,) = json.loads(succeed("zoo", "list", "--zoo", tiny_zoo, "--json")).values()
    assert json.loads(succeed("zoo", "show", NAME, "--zoo", tiny_zoo, "--json")) == facts
    assert facts["scores"] == entry.scores
    assert facts["recipe"]["name"] == "tiny"
    card = (tiny_zoo / NAME / "1" / "README.md").read_text()
    assert succeed("zoo", "show", NAME, "--zoo", tiny_zoo) == card
    assert f"| `{NAME}` | 8 |" in succeed("zoo", "table", "--zoo", tiny_zoo)
    assert succeed("zoo", "verify", "--zoo", tiny_zoo) == f"{NAME}: every file is as listed\n"
    folders = json.loads(succeed("zoo", "verify", NAME, "--zoo", tiny_zoo, "--json"))
    assert folders == {NAME: str(tiny_zoo / NAME / "1")}


def test_long_names_stay_apart_in_the_list(succeed):
    lines = succeed("zoo", "list").splitlines()
    entries = mslstm_keras.list_pretrained().values()
    assert [line.split()[:3] for line in lines] == [
        [entry.name, entry.recipe.model, entry.recipe.data] for entry in entries
    ]
    assert len({line.index(" clips seen") for line in lines}) == 1


def test_a_run_is_added_to_a_zoo(mslstm, succeed, tiny_run, other_run, tmp_path, optdigits_dir, monkeypatch):
    zoo, note = tmp_path / "zoo", tmp_path / "note.md"
    note.write_text("For tests, and no use else.\n")
    added = mslstm(
        *("zoo", "add", tiny_run, "--zoo", zoo, "--name", "mine", "--clips", 2, "--data-dir", optdigits_dir),
        *("--beside", f"the other={other_run}", "--note", note, "--json"),
    )
    entry = mslstm_keras.list_pretrained(zoo)["mine"]
    assert json.loads(added.out)["scores"] == entry.scores
    verify, table = added.next
    assert succeed(*verify) == "mine: every file is as listed\n"
    assert "| `mine` | 8 |" in succeed(*table)
    assert entry.scores["clips"] == 2
    assert list(entry.comparison) == ["the other"]
    assert entry.note in (zoo / "mine" / "1" / "README.md").read_text()
    mslstm_keras.load_pretrained("mine", zoo)
    monkeypatch.setattr(progress, "PAUSE", 0)
    ended = mslstm("zoo", "renew", "mine", "--zoo", zoo, "--clips", 3, "--data-dir", optdigits_dir)
    renewed = ended.out
    assert ended.error == "scoring clips for mine: 3 of 3\n"
    monkeypatch.undo()
    again = mslstm_keras.list_pretrained(zoo)["mine"]
    assert renewed.startswith("mine ")
    assert (again.scores["clips"], again.note) == (3, entry.note)
    shutil.rmtree(zoo / "mine" / "1" / "variables")
    for name in ("saved_model.pb", "fingerprint.pb"):
        (zoo / "mine" / "1" / name).unlink()
    said = "mine: every file is as listed (no SavedModel; mslstm export mine writes it)\n"
    assert succeed("zoo", "verify", "--zoo", zoo) == said


@pytest.mark.slow
def test_a_disk_that_is_full_when_a_zoo_is_written(tiny_zoo, other_run, tmp_path, optdigits_dir):
    """The whole command, in a process of its own: TensorFlow, HDF5 and Pillow all write to that disk."""
    zoo = shutil.copytree(tiny_zoo, tmp_path / "zoo")
    before = {path: (zoo / path).read_bytes() for path in listing(zoo) if (zoo / path).is_file()}
    script = """
        import resource, sys
        from mslstm_keras.cli import main
        for size in (20_000, 100_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))
            status = main(sys.argv[1:])
            print(status)
        sys.exit(status)
    """
    words = ["zoo", "add", other_run, "--zoo", zoo, "--name", NAME, "--clips", 1, "--data-dir", optdigits_dir]
    child = run_script(script, ROOT, *words)
    assert (child.stdout, child.returncode) == ("2\n2\n", 2), child.stderr
    ours = [line for line in child.stderr.splitlines() if line.startswith("mslstm: ")]
    assert len(ours) == 2
    assert all(line.endswith(f"File too large: '{zoo / NAME}'") for line in ours)
    assert "Traceback" not in child.stderr
    assert {path: (zoo / path).read_bytes() for path in listing(zoo) if (zoo / path).is_file()} == before
    assert sorted(path.name for path in zoo.iterdir()) == ["index.json", NAME]
    mslstm_keras.load_pretrained(NAME, zoo)
