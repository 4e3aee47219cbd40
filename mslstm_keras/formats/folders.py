"""Folders of images: which files are the frames of a clip, and in which order."""

import warnings
from pathlib import Path

from mslstm_keras.formats.checks import check_kind, listing, reading
from mslstm_keras.formats.pictures import PICTURES, bare_name
from mslstm_keras.formats.videos import VIDEOS
from mslstm_keras.timing.names import FrameOrder, order_frames

_SYSTEM = (
    *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "$recycle.bin"),
    *("system volume information", "__macosx", "@eadir", "#recycle", "lost+found"),
)
"""What operating systems and their servers leave in folders; hidden files besides."""

_STREAM = ":zone.identifier"
"""What Windows notes of a file that was loaded down, a file of its own where Linux copies it."""

_COMPANIONS = (
    *(".txt", ".md", ".rst", ".html", ".htm", ".pdf", ".log", ".py", ".sh", ".ipynb"),
    *(".json", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".toml", ".ini", ".md5", ".sha1", ".sha256"),
    *(".wld", ".pgw", ".pngw", ".tfw", ".tifw", ".tiffw", ".jgw", ".jpgw", ".gfw", ".bpw", ".prj", ".kml"),
    *(".ovr", ".msk", ".aux", ".cpg", ".dbf", ".shp", ".shx"),
)
_COMPANION_NAMES = (
    *("readme", "license", "licence", "copying", "notice", "authors"),
    *("checksums", "md5sums", "sha1sums", "sha256sums"),
)
"""What people keep beside images, and is none: notes, tables, and where a map lies."""


def is_system_file(path: Path) -> bool:
    """Whether a file or folder is hidden, or left by an operating system: nothing that people mean."""
    name = path.name.lower()
    return name.startswith(".") or name in _SYSTEM or name.endswith(_STREAM)


def frame_files(folder: Path) -> FrameOrder:
    """Lists the images of a folder in the order of their names, see `listed_files` and `order_frames`.

    Raises:
        ValueError: as they do, and if there is a film among them.
    """
    images = listed_files(folder)
    film = next((path for path in images if path.suffix.lower() in VIDEOS), None)
    if film is not None:
        raise ValueError(
            f"`{folder}` must hold images. Received: a film, which is a clip by itself, give its path: {film}"
        )
    return order_frames(images, [bare_name(path) for path in images])


def listed_files(folder: Path) -> list[Path]:
    """Lists the files of a folder that are its frames, sorted as texts.

    Hidden files and those of operating systems are passed over. Notes, tables and files that say where a map lies are
    named in one warning. Every other file counts, whatever its suffix. Links are followed.

    Raises:
        ValueError: if the folder cannot be read, holds no such file, a sub-folder or what is no file, such as a pipe or
            a link to nothing, or holds a frame twice, as `1.png` and `1.jpg`.
    """
    with reading(folder):
        found = sorted(path for path in folder.iterdir() if not is_system_file(path))
    folders: list[Path] = []
    beside: list[Path] = []
    images: list[Path] = []
    for path in found:
        kind = folders if path.is_dir() else beside if is_companion(path) else images
        kind.append(path)
    if folders and not images and len(folders) == 1:
        raise ValueError(
            f"`{folder}` must hold images. Received: a sub-folder alone, give its path: {folders[0]}"
        )
    if folders:
        names = listing(path.name for path in folders)
        raise ValueError(
            f"`{folder}` must hold the images of one clip and no sub-folder, give the path of one. Received: {names}"
        )
    if not images:
        others = (
            f" but {listing(path.name for path in beside)}; np.save makes `.npy` of numbers" if beside else ""
        )
        raise ValueError(f"`{folder}` must hold images ({', '.join(PICTURES)}). Received: none{others}")
    if beside:
        warnings.warn(f"`{folder}`: no frames are {listing(path.name for path in beside)}", stacklevel=6)
    first: dict[str, Path] = {}
    for path in images:
        check_kind(path)
        if first.setdefault(bare_name(path), path) != path:
            raise ValueError(
                f"`{folder}` must hold every frame once. Received: {first[bare_name(path)].name} and {path.name}"
            )
    return images


def is_companion(path: Path) -> bool:
    """Whether a file is what people keep beside images, such as a note or a table, and is none."""
    name = path.name.lower()
    return path.suffix.lower() in _COMPANIONS or name in _COMPANION_NAMES
