"""Tests of finding, splitting and cutting sources."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tfds_builders.frames_from_folder.sources import WindowReader, files_of, list_sources, split_sources

NAMES = st.lists(st.text("abc012", min_size=1, max_size=6), unique=True, min_size=2, max_size=30)
SHARES = st.floats(0.01, 0.99)


def reader(**fields):
    defaults = {
        "window": 2,
        "stride": 2,
        "channels": 1,
        "size": None,
        "dtype": "uint8",
        "skip_short": False,
        "data_set": None,
    }
    return WindowReader(**(defaults | fields))


# Listing


def test_sources_follow_their_numbers_and_hidden_ones_are_left_out(tmp_path):
    for name in (
        "clip10.npy",
        "Clip9.GIF",
        "clip2.h5",
        ".DS_Store",
        "._clip2.h5",
        "b.mp4",
        "Thumbs.db",
        "desktop.ini",
    ):
        (tmp_path / name).touch()
    for name in ("clip1", ".git", "@eaDir"):
        (tmp_path / name).mkdir()
    names = [path.name for path in list_sources(str(tmp_path))]
    assert names == ["b.mp4", "clip1", "clip2.h5", "Clip9.GIF", "clip10.npy"]


@pytest.mark.parametrize("name", ["README.txt", "a.png", "clip", "a.npy.zip"])
def test_a_file_of_another_kind(tmp_path, name):
    (tmp_path / "a.npy").touch()
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=rf"must hold nothing but clip files.* Received: .*/{name}$"):
        list_sources(tmp_path)


def test_a_link_to_nothing(tmp_path):
    (tmp_path / "a.npy").symlink_to("missing.npy")
    with pytest.raises(ValueError, match=r"must hold nothing but clip files.* Received: .*/a\.npy$"):
        list_sources(tmp_path)


def test_folders_without_sources(tmp_path):
    (tmp_path / ".hidden").touch()
    with pytest.raises(
        ValueError, match=r"`manual_dir` must hold clip files or folders.* Received: .*, empty"
    ):
        list_sources(tmp_path)
    for path in (tmp_path / "missing", tmp_path / ".hidden"):
        with pytest.raises(ValueError, match=r"must be the folder of your clips. Received: .*, not a folder"):
            list_sources(path)


# Splitting


@given(NAMES, SHARES)
def test_every_source_is_in_one_split_and_none_is_empty(names, share):
    sources = [Path("folder", name) for name in names]
    splits = split_sources(sources, share)
    assert set(splits) == {"train", "test"}
    for chosen in splits.values():
        assert chosen == [source for source in sources if source in chosen]
    assert sorted(splits["train"] + splits["test"]) == sorted(sources)
    assert 1 <= len(splits["test"]) < len(sources)
    assert abs(len(splits["test"]) - share * len(sources)) <= 1


@given(NAMES, SHARES, st.randoms())
def test_the_split_depends_on_nothing_but_the_names(names, share, random):
    test = {path.name for path in split_sources([Path("here", name) for name in names], share)["test"]}
    random.shuffle(names)
    assert test == {
        path.name for path in split_sources([Path("there", name) for name in names], share)["test"]
    }


@given(NAMES, SHARES)
def test_one_more_source_moves_one_other_at_most(names, share):
    sources = [Path(name) for name in names]
    before = set(split_sources(sources, share)["test"])
    after = set(split_sources([*sources, Path("new")], share)["test"])
    assert len((before ^ after) - {Path("new")}) <= 1


def test_a_single_source_is_split_in_time(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(10, dtype="uint8")[:, None, None] * np.ones((3, 4), "uint8"))
    (source,) = sources = list_sources(tmp_path)
    assert split_sources(sources, 0.3) == {"train": sources, "test": sources}
    cut = reader(window=2, stride=1, test_share=0.3)
    starts = {split: [first for first, _ in cut.windows(source, split)] for split in ("train", "test")}
    assert starts == {"train": [0, 1, 2, 3, 4, 5], "test": [7, 8]}  # none goes from one into the other
    assert [int(frames[0].max()) for _, frames in cut.windows(source, "test")] == [7, 8]
    assert cut.ends(sources) == (0, 6)
    with pytest.raises(ValueError, match=r"at least `window` = 4 frames for the test split .* Received: 3$"):
        list(reader(window=4, test_share=0.3).windows(source, "test"))


# Cutting


@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 8))
def test_windows_are_pieces_of_the_clip(tmp_path_factory, frames, window, stride):
    path = tmp_path_factory.getbasetemp() / "windows.npy"
    levels = 255 - np.arange(frames, dtype="uint8").repeat(6).reshape(frames, 3, 2)
    np.save(path, levels)
    cut = reader(window=window, stride=stride)
    if frames < window:
        with pytest.raises(ValueError, match=rf"windows\.npy` must have at least `window` = {window} frames"):
            list(cut.windows(path))
        return
    windows = list(cut.windows(path))
    assert [first for first, _ in windows] == list(range(0, frames - window + 1, stride))
    for first, piece in windows:
        assert piece.dtype == "uint8"
        np.testing.assert_array_equal(piece[..., 0], levels[first : first + window])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_levels_come_back(tmp_path, dtype):
    levels = np.arange(256, dtype="uint8").reshape(2, 8, 16)
    np.save(tmp_path / "a.npy", levels)
    ((_, frames),) = reader(dtype=dtype).windows(tmp_path / "a.npy")
    assert frames.dtype == dtype
    np.testing.assert_array_equal(frames[..., 0], levels if dtype == "uint8" else levels / np.float32(255))


def test_a_short_source_is_passed_over_with_a_warning(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((1, 3, 2), "uint8"))
    with pytest.warns(UserWarning, match=r"a\.npy` is passed over: 1 frames, `window` = 2"):
        assert list(reader(skip_short=True).windows(tmp_path / "a.npy")) == []


def test_sources_of_another_size(tmp_path):
    for name, width in (("a", 2), ("b", 2), ("c", 5)):
        np.save(tmp_path / f"{name}.npy", np.zeros((2, 3, width), "uint8"))
    cut = reader()
    assert len([*cut.windows(tmp_path / "a.npy"), *cut.windows(tmp_path / "b.npy")]) == 2
    with pytest.raises(ValueError, match=r"c\.npy` must .* those of a\.npy, \(3, 2\), .*Received: \(3, 5\)"):
        list(cut.windows(tmp_path / "c.npy"))


def test_the_data_set_of_hdf5_files_is_named_once(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["two"] = np.zeros((2, 3, 2)), np.ones((2, 3, 2))
    np.save(tmp_path / "b.npy", np.zeros((2, 3, 2)))
    cut = reader(data_set="two")
    assert [int(frames.max()) for _, frames in cut.windows(tmp_path / "a.h5")] == [255]
    assert [int(frames.max()) for _, frames in cut.windows(tmp_path / "b.npy")] == [0]
    with pytest.raises(ValueError, match=r"one data set of 3 or 4 axes.* Received: /one, /two"):
        list(reader().windows(tmp_path / "a.h5"))


def test_pictures_in_the_colours_of_a_scale(tmp_path):
    colours = np.array([[0, 0, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0]], "uint8").repeat(4, 0)
    (tmp_path / "maps").mkdir()
    for index in range(2):
        Image.fromarray(colours.reshape(4, 4, 3)).save(tmp_path / "maps" / f"{index}.png")
    with pytest.raises(ValueError, match="few strong colours"):
        list(reader().windows(tmp_path / "maps"))
    (tmp_path / "scale.csv").write_text("#0000ff,0\n#00ff00,0.2\n#ffff00,0.6\n#ff0000,1\n")
    cut = reader(colour_scale=str(tmp_path / "scale.csv"))
    ((_, frames),) = cut.windows(tmp_path / "maps")
    np.testing.assert_array_equal(frames[1, :, 0, 0], [0, 51, 153, 255])


def test_colours_of_other_sources_are_as_they_are(tmp_path):
    np.save(tmp_path / "a.npy", np.full((2, 3, 2), 7, "uint8"))
    ((_, frames),) = reader(colour_scale=str(tmp_path / "none.csv")).windows(tmp_path / "a.npy")
    assert np.all(frames == 7)


def test_a_linked_folder_is_a_source(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "day").symlink_to(tmp_path / "store")
    assert list_sources(tmp_path / "clips") == [tmp_path / "clips" / "day"]


def test_the_files_of_clips_are_those_that_are_read(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("a.npy", "b/2.png", "b/10.PNG", "b/.hidden.png", "b/notes.txt"):
        (tmp_path / name).touch()
    files = files_of([tmp_path / "a.npy", tmp_path / "b"])
    assert files == {name: tmp_path / name for name in ("a.npy", "b/10.PNG", "b/2.png")}
