"""Source files compared: by names, by what they hold, and quickly where they stand as they were."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess

import pytest

from tfds_builders import source_files
from tfds_builders.source_files import Sources


def paths_in(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix().removesuffix(".gz"): path for path in files}


@pytest.fixture
def folder(tmp_path):
    """Three files."""
    folder = tmp_path / "first"
    (folder / "b").mkdir(parents=True)
    for name, content in (("a", "one"), ("b/c", "two"), ("d", "six")):
        (folder / name).write_text(content)
    return folder


@pytest.fixture
def sources(folder):
    return Sources.of(folder, paths_in(folder), paths_in(folder))


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files that are hashed."""
    names, of = [], source_files._sha256
    monkeypatch.setattr(source_files, "_sha256", lambda path: names.append(path.name) or of(path))
    return names


def test_the_fingerprint_is_that_of_sha256sum(folder, sources):
    listed = subprocess.run(
        ["sha256sum", "a", "b/c", "d"], cwd=folder, capture_output=True, check=True
    ).stdout
    assert sources.fingerprint == hashlib.sha256(listed).hexdigest()
    assert sources.summary() == {
        "folder": str(folder),
        "files": 3,
        "bytes": 9,
        "fingerprint": sources.fingerprint,
    }
    assert Sources.from_plain(json.loads(json.dumps(sources.to_plain()))) == sources


def test_nothing_is_hashed_where_all_stands(folder, sources, hashed):
    assert sources.difference(folder, paths_in(folder)) is None
    assert hashed == []


def test_the_content_decides_elsewhere_even_at_the_same_size_and_time(folder, sources, hashed, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "second")  # with its times
    assert sources.difference(moved, paths_in(moved)) is None
    assert hashed == ["a", "c", "d"]
    time = (moved / "d").stat().st_mtime_ns
    (moved / "d").write_text("sea")
    os.utime(moved / "d", ns=(time, time))
    assert sources.difference(moved, paths_in(moved)) == "d has another content"


def test_another_time_alone_is_no_difference(folder, sources, hashed):
    os.utime(folder / "a", (1, 1))
    assert sources.difference(folder, paths_in(folder)) is None
    assert hashed == ["a"]


def test_packed_files_are_what_is_in_them(folder, sources):
    (folder / "a.gz").write_bytes(gzip.compress(b"one"))
    (folder / "a").unlink()
    assert sources.difference(folder, paths_in(folder)) is None
    (folder / "a.gz").write_bytes(gzip.compress(b"own"))
    assert sources.difference(folder, paths_in(folder)) == "a has another content"
    (folder / "a.gz").write_bytes(b"own")
    with pytest.raises(ValueError, match=r"must be whole and readable\. Received: .*a\.gz: "):
        sources.difference(folder, paths_in(folder))


def test_names_come_first(folder, sources):
    (folder / "b" / "c").write_text("other")
    (folder / "e").write_text("new")
    assert sources.difference(folder, paths_in(folder)) == "e is new"
    (folder / "a").unlink()
    assert sources.difference(folder, paths_in(folder)) == "a is missing"
    (folder / "e").unlink()
    assert sources.difference(folder, paths_in(folder), partly=True) == "b/c has another content"


def test_large_folders_are_compared_in_samples_and_that_is_said(
    folder, sources, hashed, monkeypatch, tmp_path
):
    monkeypatch.setattr(source_files, "_MOST_BYTES", 2 * source_files._OPENING + 100)
    moved = shutil.copytree(folder, tmp_path / "second")
    with pytest.warns(UserWarning, match="^1 of 3 source files are compared by name and size alone"):
        assert sources.difference(moved, paths_in(moved)) is None
    assert hashed == ["a", "d"]
    (moved / "b" / "c").write_text("longer")
    with pytest.warns(UserWarning, match="^1 of 3 source files"):
        assert sources.difference(moved, paths_in(moved)) == "b/c has another size"


def test_parts_agree_in_names_and_in_what_both_have_read(folder):
    of = {name: Sources.of(folder, paths_in(folder), [name]) for name in ("a", "d")}
    assert of["a"].conflict(of["d"]) is None
    joined = of["a"].joined([of["d"]])
    assert [name for name, file in joined.files.items() if file.sha256] == ["a", "d"]
    (folder / "a").write_text("new")
    later = Sources.of(folder, paths_in(folder), ["a"])
    assert of["d"].conflict(later) is None
    assert of["a"].conflict(later) == "a has another content"
    assert of["a"].changed(paths_in(folder)) == "a"
    assert of["d"].changed(paths_in(folder)) is None


def test_only_files_of_the_folder_make_it_the_source(folder, tmp_path):
    elsewhere = tmp_path / "download"
    elsewhere.write_text("one")
    assert Sources.of(folder, {"a": elsewhere}, ["a"]).folder is None
    assert Sources.of(folder, {"a": elsewhere, "d": folder / "d"}, ["a"]).folder == str(folder)
