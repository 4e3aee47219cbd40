"""Which files of a folder are the frames of a clip."""

import os
import warnings

import numpy as np
import pytest
from PIL import Image

from mslstm_keras.formats.folders import frame_files, is_system_file
from mslstm_keras.frames.read import read_clip
from tests.support.clip_files import save_folder

LEVELS = [np.full((2, 3), level, "uint8") for level in (51, 102, 153, 204)]


def folder_of(folder, *names):
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_files_of_systems_are_passed_over(tmp_path):
    names = ["._1.png", ".DS_Store", "Thumbs.db", "desktop.ini", "Icon\r", "1.png:Zone.Identifier"]
    folder = folder_of(tmp_path / "a", "1.png", "2.png", *names)
    for name in ("@eaDir", "__MACOSX", ".git"):
        (folder / name).mkdir()
    assert [path.name for path in frame_files(folder).paths] == ["1.png", "2.png"]
    assert all(is_system_file(folder / name) for name in names)


def test_files_beside_images_are_named_once(tmp_path):
    folder = folder_of(tmp_path / "a", "1.tif", "2.tif", "README", "1.tfw", "2.tif.aux.xml", "labels.CSV")
    with pytest.warns(UserWarning, match="no frames are") as warned:
        order = frame_files(folder)
    assert [path.name for path in order.paths] == ["1.tif", "2.tif"]
    assert [str(each.message) for each in warned] == [
        f"`{folder}`: no frames are 1.tfw, 2.tif.aux.xml, README, labels.CSV"
    ]


def test_of_many_files_beside_images_the_first_are_named(tmp_path):
    folder = folder_of(
        tmp_path / "a", *(f"{index:02}{suffix}" for index in range(12) for suffix in (".tif", ".tfw"))
    )
    named = ", ".join(f"{index:02}.tfw" for index in range(10))
    with pytest.warns(UserWarning, match=rf"a`: no frames are {named} and 2 more$"):
        assert len(frame_files(folder).paths) == 12


@pytest.mark.parametrize("name", ["3.npy", "3.mp4", "3.zip", "3.png.part", "notes", "3.svg", "3.nef"])
def test_a_file_that_is_no_image_is_refused(tmp_path, name):
    save_folder(tmp_path / "a", LEVELS[:2], ["1.png", "2.png"])
    (tmp_path / "a" / name).write_bytes(b"no image at all" * 20)
    with pytest.raises(ValueError, match=rf"a.*{name}"):
        read_clip(tmp_path / "a")


@pytest.mark.parametrize(
    "names", [["running.mp4", "walking.mp4"], ["1.AVI"], ["1.png", "2.png", "film.webm"]]
)
def test_films_are_clips_by_themselves(tmp_path, names):
    folder = folder_of(tmp_path / "a", *names)
    with pytest.raises(
        ValueError, match=r"a film, which is a clip by itself, give its path: .*(running|1|film)\.\w+$"
    ):
        read_clip(folder)


def test_an_animation_is_a_clip_by_itself(tmp_path):
    (tmp_path / "a").mkdir()
    first, *others = map(Image.fromarray, LEVELS)
    first.save(tmp_path / "a" / "1.gif", save_all=True, append_images=others)
    with pytest.raises(
        ValueError, match=r"1\.gif` must hold one frame, .*; a clip by itself .* Received: 4$"
    ):
        read_clip(tmp_path / "a")


def test_tables_alone_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"Received: none but 1\.csv, 2\.csv; np.save makes"):
        read_clip(folder_of(tmp_path / "a", "1.csv", "2.csv"))


def test_a_folder_within(tmp_path):
    folder = folder_of(tmp_path / "a", "1.png")
    (folder / "more").mkdir()
    with pytest.raises(
        ValueError, match=r"a` must hold the images of one clip and no sub-folder, .* of one. Received: more$"
    ):
        frame_files(folder)
    (folder / "1.png").unlink()
    with pytest.raises(ValueError, match=r"Received: a sub-folder alone, give its path: .*a/more$"):
        frame_files(folder)
    (folder / "others").mkdir()
    with pytest.raises(ValueError, match=r"no sub-folder, .* Received: more, others$"):
        frame_files(folder)


@pytest.mark.parametrize("other", ["01.jpg", "01.png.gz", "01.PNG"])
def test_a_frame_that_is_there_twice(tmp_path, other):
    folder = folder_of(tmp_path / "a", "01.png", "02.png", other)
    with pytest.raises(ValueError, match=r"must hold every frame once. Received: .*01\.") as error:
        frame_files(folder)
    assert all(name in str(error.value) for name in ("01.png", other))


def test_links_are_followed(tmp_path):
    save_folder(tmp_path / "store", LEVELS[:2], ["x.png", "y.png"])
    (tmp_path / "a").mkdir()
    for name, target in (("1.png", "y.png"), ("2.png", "x.png")):
        (tmp_path / "a" / name).symlink_to(tmp_path / "store" / target)
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    np.testing.assert_allclose(read_clip(tmp_path / "linked")[:, 0, 0, 0], [0.4, 0.2], atol=1e-6)


def test_links_that_lead_nowhere(tmp_path):
    save_folder(tmp_path / "a", LEVELS[:1], ["1.png"])
    link = tmp_path / "a" / "2.png"
    for target in ("missing.png", "2.png"):
        link.symlink_to(target)
        with pytest.raises(ValueError, match=r"a/2\.png` must be a clip that can be read"):
            read_clip(tmp_path / "a")
        link.unlink()
    link.symlink_to(tmp_path / "a")
    with pytest.raises(ValueError, match=r"no sub-folder, .* Received: 2\.png$"):
        read_clip(tmp_path / "a")


@pytest.mark.parametrize("name", ["2.png", "a.npy", "a.gif", "a.mp4"])
def test_a_pipe_is_refused_before_it_is_opened(tmp_path, name):
    save_folder(tmp_path / "d", LEVELS[:1], ["1.png"])
    os.mkfifo(tmp_path / name)  # to open it waits for ever
    (tmp_path / "d" / name).symlink_to(tmp_path / name)
    for path in (tmp_path / name, tmp_path / "d"):
        with pytest.raises(ValueError, match=f"{name}` must be a file or a folder. Received: a pipe"):
            read_clip(path)


def test_a_whole_folder_is_read_without_a_word(tmp_path):
    save_folder(tmp_path / "a", LEVELS, [f"20240501_00{minute:02}.png" for minute in (0, 5, 10, 15)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_clip(tmp_path / "a")) == 4


@pytest.mark.parametrize(
    ("names", "gap"),
    [
        (("1.png", "2.png", "4.png", "5.png"), r"missing: 3\)"),
        (
            [f"r20240501{clock}.png" for clock in ("0000", "0005", "0010", "0030")],
            r"interval is 5 minutes.*20 minutes between .*missing: 2024-05-01 00:15:00",
        ),
    ],
)
def test_a_gap_is_told_of(tmp_path, names, gap):
    save_folder(tmp_path / "a", LEVELS, names)
    with pytest.warns(UserWarning, match=gap):
        clip = read_clip(tmp_path / "a")
    np.testing.assert_allclose(clip[:, 0, 0, 0], [0.2, 0.4, 0.6, 0.8], atol=1e-6)
