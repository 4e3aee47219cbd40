"""Zips and folders of videos: what is read, and what is refused."""

import io
import re
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mslstm_keras.formats.videos import read_video
from tfds_builders.kth_clips import videos
from tfds_builders.kth_clips.make_dummy_data import FOLDER, FRAMES, avi, moving_bar
from tfds_builders.kth_clips.sequences import FrameRange
from tfds_builders.kth_clips.videos import find_file, find_files, find_videos, read_frames, read_lists

VIDEO = "person01_walking_d1"
AVI = f"{VIDEO}_uncomp.avi"
WANTED = {VIDEO: [FrameRange(VIDEO, 1, 30), FrameRange(VIDEO, 32, 60)]}
CONTENT = avi(moving_bar(FRAMES, 1))


def zipped(path, *members):
    """A zip of (name or ZipInfo, content)."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def read(place, wanted=WANTED, size=32):
    return dict(read_frames(place, wanted, size))


@pytest.mark.parametrize("name", [AVI, f"walking/{AVI}"])
def test_frames_of_a_zip_as_far_as_wanted(tmp_path, name):
    place = zipped(tmp_path / "walking.zip", ("readme.txt", "hello"), (name, CONTENT))
    frames = read(place)
    expected = read_video(io.BytesIO(CONTENT), size=32, stop=60)
    assert list(frames) == [VIDEO] and frames[VIDEO].shape == (60, 32, 32, 1)
    np.testing.assert_array_equal(frames[VIDEO], expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["walking.zip"]


def test_frames_of_unpacked_videos(tmp_path):
    (tmp_path / "walking").mkdir()
    (tmp_path / "walking" / AVI).write_bytes(CONTENT)
    assert find_videos("walking", manual_dir=tmp_path) == tmp_path / "walking"
    assert read(tmp_path / "walking")[VIDEO].shape == (60, 32, 32, 1)


def test_frames_show_the_scene_squeezed(tmp_path):
    place = zipped(tmp_path / "walking.zip", (AVI, CONTENT))
    frame = read(place)[VIDEO][10, ..., 0]
    assert frame.shape == (32, 32) and frame[16].argmax() == pytest.approx(11, abs=2)
    assert (frame[:6] < 90).all() and frame[10, 11] > 180  # the bar begins in row 6 of 24, so 8 of 32


@pytest.mark.parametrize(
    "name", ["../" + AVI, "a/../" + AVI, "/" + AVI, "..\\" + AVI, "C:/" + AVI, "../x.txt"]
)
def test_members_outside_the_zip(tmp_path, name):
    member = zipfile.ZipInfo("x")
    member.filename = name
    (tmp_path / "manual").mkdir()
    place = zipped(tmp_path / "manual" / "walking.zip", (AVI, CONTENT), (member, CONTENT))
    with pytest.raises(
        ValueError,
        match=r"files within it, without `\.\.`.* Received: .*walking.zip: " + re.escape(repr(name)),
    ):
        read(place)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [place]


def test_links_in_a_zip(tmp_path):
    member = zipfile.ZipInfo(AVI)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(ValueError, match=f"absolute paths or links. Received: .*walking.zip: '{AVI}'"):
        read(zipped(tmp_path / "walking.zip", (member, "/etc/passwd")))


def test_a_video_is_in_the_zip_once(tmp_path):
    place = zipped(tmp_path / "walking.zip", (AVI, CONTENT), (f"again/{AVI}", CONTENT))
    with pytest.raises(
        ValueError, match=f"A video must be in the zip once.* Received: .*walking.zip: 'again/{AVI}'"
    ):
        read(place)


def test_a_member_that_claims_a_huge_size(tmp_path):
    place = zipped(tmp_path / "walking.zip", (AVI, CONTENT))
    content = bytearray(place.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (2**31).to_bytes(4, "little")
    place.write_bytes(content)
    with pytest.raises(ValueError, match=f"at most 67108864 bytes. Received: .* of {2**31} bytes"):
        read(place)


def test_a_missing_video(tmp_path):
    place = zipped(tmp_path / "walking.zip", (AVI.replace("01", "02"), CONTENT))
    with pytest.raises(
        ValueError,
        match=f"Every video of the frame list must be there. Received: .*walking.zip without {AVI}",
    ):
        read(place)


def test_a_range_beyond_the_video(tmp_path):
    place = zipped(tmp_path / "walking.zip", (AVI, CONTENT))
    wanted = {VIDEO: [FrameRange(VIDEO, 60, 65), FrameRange(VIDEO, 1, 30)]}
    with pytest.raises(
        ValueError, match=f"must lie within its video. Received: .*{AVI}, frames 60-65 of {FRAMES}"
    ):
        read(place, wanted)


def test_a_damaged_video(tmp_path):
    place = zipped(tmp_path / "walking.zip", (AVI, CONTENT[: len(CONTENT) // 2]))
    with pytest.raises(
        ValueError, match=f"A video must be whole and decodable. Received: .*walking.zip: {AVI}: "
    ):
        read(place)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x00" * 100])
def test_no_zip(tmp_path, content):
    place = tmp_path / "walking.zip"
    place.write_bytes(content)
    with pytest.raises(ValueError, match=r"A zip must be whole and readable. Received: .*walking.zip: "):
        read(place)


def test_altered_zips_read_or_are_refused(tmp_path):
    place, outcomes = tmp_path / "walking.zip", {True: 0, False: 0}
    small = {VIDEO: [FrameRange(VIDEO, 1, 3)]}
    content = zipped(place, (AVI, avi(moving_bar(3, 1)))).read_bytes()
    rng = np.random.default_rng(8)
    for _ in range(500):
        altered = bytearray(content)
        tail = len(content) - 160 if rng.random() < 0.7 else 0
        for position in rng.integers(tail, len(content), rng.integers(1, 4)):
            altered[position] = rng.integers(256)
        place.write_bytes(altered[: rng.integers(len(content))] if rng.random() < 0.1 else altered)
        try:
            outcomes[read(place, small, 16)[VIDEO].shape == (3, 16, 16, 1)] += 1
        except ValueError as error:
            assert "walking.zip" in str(error)
            outcomes[False] += 1
    assert min(outcomes.values()) > 20


@pytest.mark.parametrize(("name", "algorithm"), [("walking.zip", "sha1"), ("00sequences.txt", "sha256")])
def test_files_must_be_the_published_ones(name, algorithm):
    with pytest.raises(
        ValueError, match=f"{name} must be the published file, {algorithm} .* Received: .*{name} with"
    ):
        find_file(name, manual_dir=FOLDER)
    assert find_file(name, manual_dir=FOLDER, verify=False) == FOLDER / name


def test_checksums_file_agrees():
    """TFDS checks downloads by `checksums.tsv`, `find_file` all files by its table."""
    lines = Path(videos.__file__).with_name("checksums.tsv").read_text().splitlines()
    published = {name: (url, digest) for url, _, digest, name in (line.split("\t") for line in lines)}
    assert published == {
        name: (address + name, digest)
        for name, (address, algorithm, digest) in videos._SOURCES.items()
        if algorithm == "sha256"
    }


def test_files_that_are_nowhere(tmp_path):
    message = (
        r"`manual_dir` must hold boxing.zip where https://www.csc.kth.se/cvap/actions/boxing.zip cannot be"
    )
    with pytest.raises(
        ValueError, match=f"{message} downloaded. Received: manual_dir=.*, download: not asked for"
    ):
        find_videos("boxing", manual_dir=tmp_path)
    with pytest.raises(ValueError, match=message):
        find_videos("boxing")


def test_a_list_of_other_bytes(tmp_path):
    (tmp_path / "00sequences.txt").write_bytes(b"person01_walking_d1 frames 1-75\nperson\xff\x00\n")
    with pytest.raises(ValueError, match=r"Received: .*00sequences.txt, line 2: 'person"):
        read_lists("sequences", manual_dir=tmp_path, verify=False)


def test_the_files_that_frames_come_from(tmp_path):
    (tmp_path / "walking").mkdir()
    (tmp_path / "walking" / AVI).write_bytes(CONTENT)
    (tmp_path / "running.zip").write_bytes(b"")
    expected = {f"walking/{AVI}": tmp_path / "walking" / AVI, "running.zip": tmp_path / "running.zip"}
    assert find_files("sequences", ["walking", "running"], manual_dir=tmp_path) == expected
    (tmp_path / "00sequences.txt").write_text("")
    (tmp_path / "walking.zip").write_bytes(b"")  # comes before the folder
    names = ["00sequences.txt", "walking.zip", "running.zip"]
    assert list(find_files("sequences", ["walking", "running"], manual_dir=tmp_path)) == names
    assert find_files("trimmed", ["boxing"]) == {}
