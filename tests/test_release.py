"""What `.ci/release` refuses before it builds anything."""

import shutil
import subprocess

import pytest

from tests.test_architecture import ROOT

ADDRESS = "https://example.org/mslstm_keras"


def git(folder, *words):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path):
    """Returns a committed tree with the script and what it looks at."""
    for name, text in {
        "mslstm_keras/__init__.py": '__version__ = "3.2.1"\n',
        "CHANGELOG.md": "## [3.2.1] - 2026-01-31\n",
        "CITATION.cff": "version: 3.2.1\n",
        ".gitignore": "dist/\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "release", tmp_path / ".ci")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "all")
    return tmp_path


def refused(folder, *words):
    """Returns what the script says; `python` is one that builds nothing, so that a tree in order fails there."""
    path = folder / "bin"
    path.mkdir()
    (path / "python").write_text("#!/bin/sh\necho building >&2\nexit 3\n")
    (path / "python").chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", 'PATH="$1:$PATH"; shift; exec .ci/release "$@"', "-", path, *words],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == (3 if done.stderr == "building\n" else 2)
    assert not (folder / "dist" / "3.2.1" / "built").exists()
    return done.stderr


def test_a_tree_in_order_is_built(tree):
    (tree / ".gitignore").write_text("dist/\nbin/\n")
    git(tree, "commit", "-qam", "bin")
    assert refused(tree, ADDRESS) == "building\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("CHANGELOG.md", "## [3.2.1]\n", "CHANGELOG.md must have a dated section [3.2.1]"),
        ("CITATION.cff", "version: 3.2.0\n", "CITATION.cff must be of version 3.2.1"),
    ],
)
def test_a_version_that_is_not_everywhere_is_refused(tree, name, text, said):
    (tree / name).write_text(text)
    (tree / ".gitignore").write_text("dist/\nbin/\n")
    git(tree, "commit", "-qam", "other")
    assert said in refused(tree, ADDRESS)


def test_what_is_not_committed_is_refused(tree):
    (tree / "new.py").write_text("")
    assert "not committed" in refused(tree, ADDRESS)


@pytest.mark.parametrize("words", [[], ["example.org"], ["https://"]])
def test_an_address_is_needed(tree, words):
    assert "address of the repository must be given" in refused(tree, *words)


def test_a_version_is_built_once(tree):
    (tree / ".gitignore").write_text("dist/\nbin/\n")
    git(tree, "commit", "-qam", "bin")
    (tree / "dist" / "3.2.1").mkdir(parents=True)
    assert "dist/3.2.1 is there already" in refused(tree, ADDRESS)
