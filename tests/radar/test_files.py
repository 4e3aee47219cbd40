"""Tests of how files are found: folders, links, globs, archives, and what is packed."""

import bz2
import errno
import gzip
import io
import os
import pickle
import tarfile
import tempfile

import pytest

from mslstm_keras.radar import files
from mslstm_keras.radar.files import find_sources, is_archive, members
from tests.support.processes import no_file_larger_than


def names(sources):
    return [source.path.name for source in sources]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "maps"
    (folder / "day" / "hour").mkdir(parents=True)
    for name in ("b.h5", "a.h5", "day/c.h5", "day/hour/d.h5"):
        (folder / name).write_bytes(b"map")
    return folder


def test_folders_within_folders(folder):
    named, found = find_sources(folder)
    assert named == [] and names(found) == ["a.h5", "b.h5", "c.h5", "d.h5"]
    assert names(find_sources(str(folder / "*.h5"))[1]) == ["a.h5", "b.h5"]
    assert names(find_sources(str(folder / "**/*.h5"))[1]) == ["a.h5", "b.h5", "c.h5", "d.h5"]
    named, found = find_sources([folder / "b.h5", folder / "day"])
    assert (names(named), names(found)) == (["b.h5"], ["c.h5", "d.h5"])
    with pytest.raises(
        ValueError, match=r"must be a folder, a file or a glob that matches some. Received: .*x"
    ):
        find_sources(folder / "*.x")


def test_what_is_known_to_be_no_map(folder):
    known = (
        "README",
        "readme.md",
        "LICENSE",
        "list.txt",
        ".DS_Store",
        "._a.h5",
        "Thumbs.db",
        "a.json",
        "SHA256SUMS.txt",
    )
    for name in known:
        (folder / name).write_bytes(b"x")
    (folder / ".git").mkdir()
    (folder / ".git" / "e.h5").write_bytes(b"x")
    (folder / "stations.dat").write_bytes(b"x")
    assert names(find_sources(folder)[1]) == ["a.h5", "b.h5", "c.h5", "d.h5", "stations.dat"]
    assert names(find_sources(folder / "README")[0]) == ["README"]  # who names it, wants it


def test_links(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "e.h5").write_bytes(b"map")
    (folder / "elsewhere").symlink_to(other)
    (folder / "f.h5").symlink_to(other / "e.h5")
    assert names(find_sources(folder)[1]) == ["a.h5", "b.h5", "c.h5", "d.h5", "e.h5", "f.h5"]
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert len(find_sources(link)[1]) == 6
    (folder / "g.h5").symlink_to(other / "nothing")
    with pytest.raises(ValueError, match=r"must lead to a file. Received: .*g.h5"):
        find_sources(folder)


@pytest.mark.parametrize("path", [None, 5, "", b"maps", [None], [""]])
def test_what_is_no_path(path):
    with pytest.raises(ValueError, match="`path` must be a folder, a file or a glob, or several of these"):
        find_sources(path)


def test_loops(folder, tmp_path):
    (folder / "day" / "up").symlink_to(folder)
    with pytest.raises(ValueError, match=r"must not lead back to it. Received: .*up"):
        find_sources(folder)
    (folder / "day" / "up").unlink()
    other = tmp_path / "other"
    other.mkdir()
    (folder / "day" / "other").symlink_to(other)
    (other / "day").symlink_to(folder / "day")
    with pytest.raises(ValueError, match=r"must not lead back to it. Received: .*day/other/day"):
        find_sources(folder)


@pytest.mark.parametrize(
    ("name", "content", "plain"),
    [
        ("a.h5", b"map", "a.h5"),
        ("a.h5.gz", gzip.compress(b"map"), "a.h5"),
        ("a.h5.bz2", bz2.compress(b"map"), "a.h5"),
        ("a.h5", gzip.compress(b"map"), "a.h5"),  # the content counts
        ("a.h5.bz2.gz", gzip.compress(bz2.compress(b"map")), "a.h5"),
    ],
)
def test_what_is_packed(tmp_path, name, content, plain):
    (tmp_path / name).write_bytes(content)
    [source], _ = find_sources(tmp_path / name)
    with source.unpacked() as path:
        assert (path.name, path.read_bytes()) == (plain, b"map")
    assert os.listdir(tmp_path) == [name]
    assert path.exists() == (content == b"map")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_damaged_packing(tmp_path, monkeypatch, pack):
    path = tmp_path / "a.h5.gz"
    content = pack(os.urandom(1000))
    for damaged in (content[:-5], content[:50] + bytes([content[50] ^ 255]) + content[51:]):
        path.write_bytes(damaged)
        [source], _ = find_sources(path)
        with pytest.raises(ValueError, match=f"must be whole .* Received: {path}"), source.unpacked():
            pass
    monkeypatch.setattr(files, "MOST_BYTES", 999)
    path.write_bytes(content)
    with (
        pytest.raises(ValueError, match="must hold at most 999 bytes unpacked, holds more"),
        source.unpacked(),
    ):
        pass


def pack_archive(path, mode, contents):
    with tarfile.open(path, mode) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2"])
def test_archives(tmp_path, mode):
    path = tmp_path / "archive"
    contents = {
        "day/b.h5.gz": gzip.compress(b"second"),
        "a.h5": b"first",
        "README.txt": b"x",
        "../../c.h5": b"third",
    }
    pack_archive(path, mode, contents)
    [source], _ = find_sources(path)
    assert is_archive(source)
    found = [*members(source)]
    assert {str(one) for one in found} == {f"{path}:{name}" for name in contents if "README" not in name}
    read = {}
    for one in found:
        with one.unpacked() as plain:
            read[plain.name] = plain.read_bytes()
    assert read == {"a.h5": b"first", "b.h5": b"second", "c.h5": b"third"}
    assert {one.file for one in found} == {source.file} == {path}
    folder = found[0].folder.path
    assert folder.is_dir() and not (tmp_path.parent.parent / "c.h5").exists()
    copied = pickle.loads(pickle.dumps(found))
    assert copied[0].path == found[0].path
    del copied
    assert folder.is_dir()
    del found, one
    assert not folder.exists()


def test_archives_are_unpacked_as_far_as_they_are_asked_for(tmp_path):
    pack_archive(tmp_path / "archive", "w", {f"{number}.h5": b"map" for number in range(5)})
    [source], _ = find_sources(tmp_path / "archive")
    first = next(members(source))
    assert [path.name for path in first.folder.path.glob("*/*")] == ["0.h5"]


def test_damaged_archives(tmp_path, monkeypatch):
    path = tmp_path / "archive.tar.gz"
    pack_archive(path, "w:gz", {f"{number}.h5": os.urandom(5000) for number in range(5)})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    [source], _ = find_sources(path)
    with pytest.raises(ValueError, match=f"An archive of radar maps must be whole. Received: {path}"):
        [*members(source)]
    path.write_bytes(content)
    monkeypatch.setattr(files, "MOST_BYTES", 4999)
    with pytest.raises(ValueError, match=r"its file 0.h5 must be smaller, claims 5000 bytes"):
        [*members(source)]
    path.write_bytes(b"")
    assert not is_archive(source)


def test_temporary_files_that_cannot_be_written_are_no_damage(tmp_path):
    maps = os.urandom(2**20)
    pack_archive(tmp_path / "archive.tar", "w", {"0.h5": maps})
    (tmp_path / "a.h5.gz").write_bytes(gzip.compress(maps))
    [archive], _ = find_sources(tmp_path / "archive.tar")
    [packed], _ = find_sources(tmp_path / "a.h5.gz")
    with no_file_larger_than(2**19):
        with pytest.raises(OSError, match=f"File too large: '{tempfile.gettempdir()}'") as unpacking:
            [*members(archive)]
        with pytest.raises(OSError, match="File too large") as plain, packed.unpacked():
            pass
    assert unpacking.value.errno == plain.value.errno == errno.EFBIG
