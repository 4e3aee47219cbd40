import errno
import os

import pytest

from mslstm_keras.files import check_writable, remove_partial, replacing, system_error
from tests.support.processes import run_without_keras


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def fill(folder, **texts):
    folder.mkdir()
    (folder / "deep").mkdir()
    for name, text in texts.items():
        (folder / "deep" / name).write_text(text)


@pytest.mark.parametrize("path_type", [str, lambda path: path])
def test_a_file_appears_when_the_block_ends(tmp_path, path_type):
    target = tmp_path / "model.weights.h5"
    with replacing(path_type(target)) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert temporary.name.endswith("model.weights.h5")
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(tmp_path) == ["model.weights.h5"]


def test_a_file_is_replaced(tmp_path):
    target = tmp_path / "index.json"
    target.write_text("old")
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert names(tmp_path) == ["index.json"]


@pytest.mark.parametrize("old", [None, {}, {"a": "old", "b": "old"}])
def test_a_folder_is_replaced(tmp_path, old):
    target = tmp_path / "1"
    if old is not None:
        fill(target, **old)
    with replacing(target) as temporary:
        fill(temporary, a="new")
    assert names(tmp_path) == ["1"]
    assert names(target / "deep") == ["a"]
    assert (target / "deep" / "a").read_text() == "new"


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    target, flushed = tmp_path / "entry", []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: flushed.append((os.fstat(descriptor).st_ino, target.exists()))
    )
    with replacing(target) as temporary:
        fill(temporary, a="new")
    entries = [target / "deep" / "a", target / "deep", target]
    assert sorted(flushed) == sorted(
        [(e.stat().st_ino, False) for e in entries] + [(tmp_path.stat().st_ino, True)]
    )


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_block_leaves_what_was_there(tmp_path, error):
    (tmp_path / "file").write_text("old")
    fill(tmp_path / "folder", a="old")
    with pytest.raises(error), replacing(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise error
    with pytest.raises(error), replacing(tmp_path / "folder") as temporary:
        fill(temporary, a="half")
        raise error
    with pytest.raises(error), replacing(tmp_path / "nothing"):
        raise error
    assert names(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "old"
    assert (tmp_path / "folder" / "deep" / "a").read_text() == "old"


def test_a_failing_second_rename_brings_the_old_folder_back(tmp_path, monkeypatch):
    target = tmp_path / "entry"
    fill(target, a="old")
    rename = os.replace

    def replace(source, destination):
        if ".partial-" in str(source):
            raise PermissionError(13, "Permission denied", str(source))
        rename(source, destination)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(PermissionError), replacing(target) as temporary:
        fill(temporary, a="new")
    assert names(tmp_path) == ["entry"]
    assert (target / "deep" / "a").read_text() == "old"


def test_what_a_killed_process_left_is_removed(tmp_path):
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("whole")
        temporary.with_name(temporary.name + "2").write_text("half")
        fill(temporary.with_name(temporary.name + "3"), a="half")
    fill(tmp_path / ".replaced-folder", a="the only copy")
    assert len(names(tmp_path)) == 4
    remove_partial(tmp_path)
    assert names(tmp_path) == [".replaced-folder", "file"]


def test_a_folder_that_a_killed_process_had_swapped_away_is_put_back(tmp_path):
    fill(tmp_path / ".replaced-0123abcd-one-two", a="old")
    fill(tmp_path / ".replaced-0123abce-three", a="old")
    fill(tmp_path / "three", a="new")
    remove_partial(tmp_path)
    assert names(tmp_path) == ["one-two", "three"]
    assert (tmp_path / "one-two" / "deep" / "a").read_text() == "old"
    assert (tmp_path / "three" / "deep" / "a").read_text() == "new"


def test_a_file_does_not_take_the_place_of_a_folder(tmp_path):
    fill(tmp_path / "entry", a="old")
    with pytest.raises(IsADirectoryError), replacing(tmp_path / "entry") as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["entry"]
    assert names(tmp_path / "entry" / "deep") == ["a"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_points_to_is_written(tmp_path, there):
    target, link = tmp_path / "other" / "file", tmp_path / "link"
    if there:
        target.parent.mkdir()
        target.write_text("old")
    link.symlink_to(target.relative_to(tmp_path))
    with replacing(link) as temporary:
        temporary.write_text("new")
        assert temporary.parent == target.parent
    assert names(tmp_path) == ["link", "other"]
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_link_to_a_folder_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(IsADirectoryError) as caught, replacing(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert str(caught.value) == f"[Errno 21] Is a directory: '{tmp_path / 'link'}'"
    with replacing(tmp_path / "link") as temporary:
        fill(temporary, a="new")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "folder" / "deep") == ["a"]


@pytest.mark.parametrize("name", ["x" * 251 + ".gif", "ü" * 125 + ".gif"])
def test_a_name_may_be_as_long_as_the_system_allows(tmp_path, name):
    with replacing(tmp_path / name) as temporary:
        assert temporary.suffix == ".gif"
        temporary.write_text("new")
    assert names(tmp_path) == [name]


def test_too_long_a_name_is_said_as_it_was_given(tmp_path):
    target = tmp_path / ("x" * 252 + ".gif")
    with pytest.raises(OSError) as caught, replacing(target) as temporary:
        temporary.write_text("new")
    assert str(caught.value) == f"[Errno 36] File name too long: '{target}'"
    assert names(tmp_path) == []


def test_a_folder_that_another_process_replaces_at_the_same_time_is_replaced(tmp_path, monkeypatch):
    target, theirs, away = (tmp_path / name for name in ("entry", "theirs", "away"))
    fill(target, a="old")
    fill(theirs, a="theirs")
    rename = os.replace

    def replace(source, destination):
        if source == target and not away.exists():  # they are between their two renames
            rename(target, away)
        elif destination == target and theirs.exists():  # they end before ours
            rename(theirs, target)
        rename(source, destination)

    monkeypatch.setattr(os, "replace", replace)
    with replacing(target) as temporary:
        fill(temporary, a="ours")
    assert names(tmp_path) == ["away", "entry"]
    assert (target / "deep" / "a").read_text() == "ours"


def test_missing_folders_above_are_made(tmp_path):
    with replacing(tmp_path / "new" / "deep" / "file") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "new" / "deep" / "file").read_text() == "new"
    assert names(tmp_path / "new" / "deep") == ["file"]


def test_folders_that_were_made_go_when_the_block_raises(tmp_path):
    (tmp_path / "old").mkdir()
    for target in ("new/deep/file", "old/deep/file"):
        with pytest.raises(ValueError), replacing(tmp_path / target) as temporary:
            temporary.write_text("half")
            raise ValueError
    assert names(tmp_path) == ["old"]
    assert names(tmp_path / "old") == []


def test_a_folder_that_somebody_else_uses_by_then_stays(tmp_path):
    with pytest.raises(ValueError), replacing(tmp_path / "new" / "deep" / "file"):
        (tmp_path / "new" / "other").write_text("theirs")
        raise ValueError
    assert names(tmp_path / "new") == ["other"]


@pytest.mark.parametrize("place", ["file/clip.npy", "file/deep/clip.npy"])
def test_the_system_error_names_the_target(tmp_path, place):
    (tmp_path / "file").write_text("old")
    with pytest.raises(NotADirectoryError) as caught, replacing(tmp_path / place) as temporary:
        temporary.write_text("new")
    assert str(caught.value) == f"[Errno 20] Not a directory: '{tmp_path / place}'"


def test_the_system_error_of_what_is_moved_into_the_target_names_the_target(tmp_path):
    (tmp_path / "source").write_text("new")
    for inside in ("", "deep"):
        with pytest.raises(OSError) as caught, replacing(tmp_path / "target") as temporary:
            os.link(tmp_path / "source", temporary)
            os.link(tmp_path / "source", temporary / inside)
        assert str(caught.value).endswith(f": '{tmp_path / 'target'}'")
    with pytest.raises(OSError) as caught, replacing(tmp_path / "target"):
        os.link(tmp_path / "no_source", tmp_path / "other")
    assert (
        str(caught.value)
        == f"[Errno 2] No such file or directory: '{tmp_path / 'no_source'}' -> '{tmp_path / 'other'}'"
    )


def test_whether_something_can_be_written_is_found_without_a_trace(tmp_path):
    fill(tmp_path / "folder", a="old")
    for place in ("new/deep/scores.json", "folder", "folder/deep/a"):
        check_writable(tmp_path / place)
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder" / "deep") == ["a"]
    assert (tmp_path / "folder" / "deep" / "a").read_text() == "old"
    with pytest.raises(NotADirectoryError, match=r"folder/deep/a/scores\.json'$"):
        check_writable(tmp_path / "folder" / "deep" / "a" / "scores.json")


def test_what_a_library_tells_of_the_system_becomes_an_error_of_it():
    error = system_error("write() failed: No space left on device; at byte 7", "a")
    assert (error.errno, str(error)) == (errno.ENOSPC, "[Errno 28] No space left on device: 'a'")
    assert str(system_error("no such luck", "a")) == "a cannot be written: no such luck"


def test_a_disk_that_takes_no_more(tmp_path):
    """A process that may write files of 1,000 bytes alone stands for a full disk: both fail in `write`."""
    (tmp_path / "file").write_text("old")
    fill(tmp_path / "folder", a="old")
    script = """
        import resource
        from mslstm_keras.files import replacing
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        for target in ("file", "folder"):
            try:
                with replacing(target) as temporary:
                    if target == "folder":
                        temporary.mkdir()
                        temporary = temporary / "a"
                    temporary.write_text("x" * 5000)
            except OSError as error:
                print(error)
    """
    assert run_without_keras(script, tmp_path) == [
        "[Errno 27] File too large: 'file'",
        "[Errno 27] File too large: 'folder'",
    ]
    assert names(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "old"
    assert (tmp_path / "folder" / "deep" / "a").read_text() == "old"
