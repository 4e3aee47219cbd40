"""Presets from Hugging Face and Kaggle: fetched by the hosts' own libraries, verified, and kept in a cache."""

import functools
import importlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from mslstm_keras.files import remove_partial, replacing
from mslstm_keras.importing import needed
from mslstm_keras.locks import locked
from mslstm_keras.naming import is_plain
from mslstm_keras.zoo.checksums import CHECKSUMS, PRESET_FILES, verify_preset

CACHE = "MSLSTM_KERAS_CACHE"  # environment variable
LATEST = "latest"  # version in the cache of what is named without one
FORMS = "hf://USER/REPOSITORY[@REVISION] or kaggle://USER/MODEL/FRAMEWORK/VARIATION[/VERSION]"


def is_remote(preset: str | os.PathLike[str]) -> bool:
    """Returns whether a name is that of a preset on a host."""
    return os.fspath(preset).startswith(tuple(f"{scheme}://" for scheme in _HOSTS))


def remote_name(preset: str) -> str:
    """Returns what a preset on a host is called there: its repository or model.

    Raises:
        ValueError: as `fetch_preset`.
    """
    return _read_handle(preset)[1][1]


def fetch_preset(preset: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Returns a folder with the files of a preset on a host, fetched if the cache does not hold them whole.

    A folder of `save_to_preset` is uploaded to either host as it is; other files that lie beside it there are left out.
    A revision or version that was fetched before is taken from the cache and verified again; the host is not asked. The
    same holds for a preset named without one, which stands for `main`, or for the version that was the latest when it
    was first fetched. To fetch a later one, name it, or delete the folder.

    Args:
        preset: str. `hf://USER/REPOSITORY[@REVISION]` or `kaggle://USER/MODEL/FRAMEWORK/VARIATION[/VERSION]`.
        cache_dir: folder that keeps what is fetched; by default that of the environment variable
            `MSLSTM_KERAS_CACHE`, else `mslstm_keras` in the folder of Keras, `~/.keras`.

    Raises:
        ValueError: if `preset` has neither form, or a file on the host is missing, truncated or altered.
        ImportError: if the library of the host is not installed.
        OSError: if it cannot be fetched. After any error nothing of it is left in the cache.
    """
    scheme, parts = _read_handle(preset)
    folder = _cache(cache_dir).joinpath(scheme, *parts)
    if _is_whole(folder):
        return folder
    library = _library(scheme)
    with locked(folder.parent):
        if not _is_whole(folder):  # another process may have fetched it meanwhile
            remove_partial(folder.parent)  # with the lock held, nobody is writing it any more
            with replacing(folder) as temporary:
                _download(preset, functools.partial(_HOSTS[scheme].download, library, parts), temporary)
    return folder


def _read_handle(preset):
    """Returns the scheme and the plain names below it that tell presets apart."""
    scheme, _, handle = os.fspath(preset).partition("://")
    parts = _HOSTS[scheme].parts(handle) if scheme in _HOSTS else None
    if parts is None or not all(map(is_plain, parts)):
        raise ValueError(f"`preset` must be {FORMS}. Received: preset={preset!r}")
    return scheme, parts


def _cache(cache_dir):
    if cache_dir is None:
        cache_dir = os.environ.get(CACHE) or Path(os.environ.get("KERAS_HOME") or "~/.keras", "mslstm_keras")
    return Path(cache_dir).expanduser()


def _library(scheme):
    with needed(f"{scheme}://", scheme):
        return importlib.import_module(_HOSTS[scheme].library)


def _is_whole(folder):
    try:
        verify_preset(folder)
    except ValueError:
        return False
    return True


def _download(preset, download, folder):
    """Makes a folder of the files of a preset, without what else a host has or a library writes beside them."""
    downloaded = folder / "downloaded"
    try:
        downloaded.mkdir(parents=True)
        download(downloaded)
    except Exception as error:  # the libraries answer with many kinds of exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OSError(f"{preset} cannot be fetched: {reason}") from error
    for name in (CHECKSUMS, *PRESET_FILES):
        if (downloaded / name).exists():  # what is missing is named below
            os.replace(downloaded / name, folder / name)
    shutil.rmtree(downloaded)
    try:
        verify_preset(folder)
    except ValueError as error:
        raise ValueError(
            str(error).replace(str(folder), preset)
        ) from error  # nobody knows the temporary name


def _hugging_face_parts(handle):
    repository, at, revision = handle.partition("@")
    parts = (*repository.split("/"), revision if at else "main")
    return parts if len(parts) == 3 else None


def _fetch_hugging_face(huggingface_hub, parts, folder):
    user, repository, revision = parts
    huggingface_hub.snapshot_download(
        f"{user}/{repository}", revision=revision, local_dir=folder, allow_patterns=[CHECKSUMS, *PRESET_FILES]
    )


def _kaggle_parts(handle):
    parts = tuple(handle.split("/"))
    if len(parts) == 4:
        return (*parts, LATEST)
    return parts if len(parts) == 5 and re.fullmatch("[1-9][0-9]*", parts[4]) else None


def _fetch_kaggle(kagglehub, parts, folder):
    *names, version = parts
    kagglehub.model_download(
        "/".join(names if version == LATEST else parts), output_dir=os.fspath(folder), force_download=True
    )


class _Host(NamedTuple):
    library: str
    parts: Callable[[str], tuple[str, ...] | None]  # of a handle; None if it is none
    download: Callable[[ModuleType, tuple[str, ...], Path], None]


_HOSTS = {
    "hf": _Host("huggingface_hub", _hugging_face_parts, _fetch_hugging_face),
    "kaggle": _Host("kagglehub", _kaggle_parts, _fetch_kaggle),
}
