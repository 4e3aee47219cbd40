"""Files of the KTH data set: where they are, whether they are the real ones, and the frames in them."""

import contextlib
import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mslstm_keras.formats.checks import damage_of
from mslstm_keras.formats.videos import frames_of
from tfds_builders.kth_clips.sequences import FrameRange, parse_sequences, parse_trimmed

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_KTH = "https://www.csc.kth.se/cvap/actions/"
_MCNET = (
    "https://raw.githubusercontent.com/rubenvillegas/iclr2017mcnet/"
    "24d1daf70a177093865cb5767dd8d018305e7659/data/KTH/"
)


class _Source(NamedTuple):
    address: str
    algorithm: str
    digest: str


_SOURCES = {
    "walking.zip": _Source(_KTH, "sha1", "a3e81537271a0ab4576591774baa38c2d97b7e3a"),
    "jogging.zip": _Source(_KTH, "sha1", "21943bdbcef9dad106db0d74661e49eaeaa15a25"),
    "running.zip": _Source(_KTH, "sha1", "da83bb313edfd4455fffdda6263696fa10d43c6f"),
    "boxing.zip": _Source(_KTH, "sha1", "adb36ed9c29c846d44d2ba15f348bd115c951bbd"),
    "handwaving.zip": _Source(_KTH, "sha1", "0792f7cd69f7f895a205c08ac212ddaa7177e370"),
    "handclapping.zip": _Source(_KTH, "sha1", "d3b81261aa822ef63d0d1523f945bfaff27814d2"),
    "00sequences.txt": _Source(
        _KTH, "sha256", "4a1287ee0318ea6662c74fe66d4cfdadeb627996d1c34ac2fed38e628ab1eb4b"
    ),
    "train_data_list_trimmed.txt": _Source(
        _MCNET, "sha256", "958f4b6f7f13127a835e7426fa929fbb63ad96ea4baf630149b4849222198329"
    ),
    "test_data_list.txt": _Source(
        _MCNET, "sha256", "3ad055328011a51c76eac9b5564cb0fef6073ed58cdd0dc92966e53a937d7913"
    ),
}

_LISTS = {
    "sequences": (parse_sequences, ("00sequences.txt",)),
    "trimmed": (parse_trimmed, ("train_data_list_trimmed.txt", "test_data_list.txt")),
}
LISTS = tuple(_LISTS)

# A KTH video has about 2 MB; a zip may claim any size.
_MOST_BYTES = 2**26
_WHOLE_ZIP = "A zip must be whole and readable."


def find_files(
    lists: str,
    actions: Sequence[str],
    *,
    manual_dir: str | os.PathLike | None = None,
    dl_manager: "tfds.download.DownloadManager | None" = None,
) -> dict[str, Path]:
    """Files that frames of some actions come from, unchecked: `read_lists` and `find_videos` check them.

    Args:
        lists: see `read_lists`.
        actions: names of actions.
        manual_dir: folder to look in first.
        dl_manager: TFDS download manager. None: what is not there is left out.

    Returns:
        Name, such as `walking.zip` or `walking/person01_walking_d1_uncomp.avi`, -> file.

    Raises:
        ValueError: if a file can neither be found nor downloaded.
    """
    files = {}
    for name in (*_LISTS[lists][1], *(f"{action}.zip" for action in actions)):
        folder = _unpacked(name.removesuffix(".zip"), manual_dir)
        if folder:
            files |= {f"{folder.name}/{path.name}": path for path in folder.glob("*.avi")}
        elif dl_manager is not None or (manual_dir is not None and Path(manual_dir, name).is_file()):
            files[name] = find_file(name, manual_dir=manual_dir, dl_manager=dl_manager, verify=False)
    return files


def _unpacked(action: str, manual_dir: str | os.PathLike | None) -> Path | None:
    """Returns the folder of unpacked videos of an action that stands in for its zip, if there is one."""
    if manual_dir is None or Path(manual_dir, f"{action}.zip").is_file():
        return None
    folder = Path(manual_dir, action)
    return folder if folder.is_dir() else None


def find_file(
    name: str,
    *,
    manual_dir: str | os.PathLike | None = None,
    dl_manager: "tfds.download.DownloadManager | None" = None,
    verify: bool = True,
) -> Path:
    """Path of a file of the data set, in the manual folder or else downloaded.

    Args:
        name: `walking.zip` (and so on for the other five actions), `00sequences.txt`,
            `train_data_list_trimmed.txt` or `test_data_list.txt`.
        manual_dir: folder to look in first.
        dl_manager: TFDS download manager. None: nothing is downloaded.
        verify: bool. Check the SHA-1 of a zip, the SHA-256 of a list.

    Raises:
        ValueError: if the file is nowhere, or is another one than published.
    """
    address, algorithm, digest = _SOURCES[name]
    path = Path(manual_dir or "", name)
    if manual_dir is None or not path.is_file():
        try:
            if dl_manager is None:
                raise ValueError("not asked for")
            path = Path(dl_manager.download(address + name))
        except Exception as error:
            raise ValueError(
                f"`manual_dir` must hold {name} where {address}{name} cannot be downloaded. "
                f"Received: manual_dir={manual_dir}, download: {error}"
            ) from error
    if verify:
        with path.open("rb") as file:
            received = hashlib.file_digest(file, algorithm).hexdigest()
        if received != digest:
            raise ValueError(
                f"{name} must be the published file, {algorithm} {digest}, unless `verify` is False. "
                f"Received: {path} with {algorithm} {received}"
            )
    return path


def find_videos(
    action: str,
    *,
    manual_dir: str | os.PathLike | None = None,
    dl_manager: "tfds.download.DownloadManager | None" = None,
    verify: bool = True,
) -> Path:
    """Path of the zip of an action, or of the subfolder of the manual folder with its unpacked AVIs.

    Args:
        action: name of the action.
        manual_dir: folder with `ACTION.zip`, or with `ACTION/personPP_ACTION_dN_uncomp.avi`.
        dl_manager: TFDS download manager, for a zip that is not there.
        verify: bool. Check the SHA-1 of a zip. Unpacked videos have none.

    Raises:
        ValueError: if the zip is nowhere, or is another one than published.
    """
    return _unpacked(action, manual_dir) or find_file(
        f"{action}.zip", manual_dir=manual_dir, dl_manager=dl_manager, verify=verify
    )


def read_lists(
    lists: str,
    *,
    manual_dir: str | os.PathLike | None = None,
    dl_manager: "tfds.download.DownloadManager | None" = None,
    verify: bool = True,
) -> list[FrameRange]:
    """Frame ranges of all videos.

    Args:
        lists: `"sequences"` (the data set's own `00sequences.txt`) or `"trimmed"` (MCNet's two lists, without
            the frames that show nobody).
        manual_dir: folder with the files.
        dl_manager: TFDS download manager, for files that are not there.
        verify: bool. Check the SHA-256 of the files.

    Raises:
        ValueError: if a file is nowhere, is another one than published, or no such list.
    """
    parse, names = _LISTS[lists]
    ranges = []
    for name in names:
        path = find_file(name, manual_dir=manual_dir, dl_manager=dl_manager, verify=verify)
        ranges += parse(path.read_bytes().decode("ascii", errors="replace"), str(path))
    return ranges


def read_frames(
    place: Path, wanted: Mapping[str, Sequence[FrameRange]], size: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Decodes videos of one action, each once and as far as its ranges reach.

    Nothing is unpacked to the disk: members of a zip are decoded in memory.

    Args:
        place: zip, or folder of AVIs, see `find_videos`.
        wanted: video -> ranges of its frames.
        size: int, pixels. Height and width; KTH's 160 x 120 are squeezed into the square.

    Yields:
        Video and its frames from the first on, uint8 (time, size, size, 1).

    Raises:
        ValueError: if the zip is damaged or has a member that would be unpacked elsewhere, if a video is
            missing, damaged or shorter than its ranges.
    """
    with _opened(place) as (source_of, members):
        for video, ranges in wanted.items():
            name = f"{video}_uncomp.avi"
            if name not in members:
                raise ValueError(
                    f"Every video of the frame list must be there. Received: {place} without {name}"
                )
            end = max(ranges, key=lambda part: part.last)
            source = source_of(members[name])
            frames = list(islice(frames_of(source, size=size, name=f"{place}: {name}"), end.last))
            if len(frames) < end.last:
                raise ValueError(
                    "A range of the frame list must lie within its video. "
                    f"Received: {place}: {name}, frames {end.first}-{end.last} of {len(frames)}"
                )
            yield video, np.stack(frames)


@contextlib.contextmanager
def _opened(place: Path):
    """Yields a function that gives what `frames_of` takes, and what to call it with, by file name."""
    if place.is_dir():
        yield Path, {path.name: path for path in place.glob("*.avi")}
        return
    with contextlib.ExitStack() as stack:
        with damage_of(place, _WHOLE_ZIP):
            archive = stack.enter_context(zipfile.ZipFile(place))
        members = _members(archive, place)
        yield lambda member: _unzipped(archive, member, place), members


def _members(archive: zipfile.ZipFile, place: Path) -> dict[str, zipfile.ZipInfo]:
    """AVI files of a zip by name; their folders do not matter."""
    members = {}
    for member in archive.infolist():
        path = PurePosixPath(member.filename)
        outside = path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in path.parts[0]
        if outside or stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(
                "Members of a zip must be files within it, without `..`, absolute paths or links. "
                f"Received: {place}: {member.filename!r}"
            )
        if path.suffix != ".avi":
            continue
        if path.name in members or member.file_size > _MOST_BYTES:
            raise ValueError(
                f"A video must be in the zip once, with at most {_MOST_BYTES} bytes. "
                f"Received: {place}: {member.filename!r} of {member.file_size} bytes"
            )
        members[path.name] = member
    return members


def _unzipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path) -> io.BytesIO:
    with damage_of(f"{place}: {member.filename}", _WHOLE_ZIP):
        return io.BytesIO(archive.read(member))
