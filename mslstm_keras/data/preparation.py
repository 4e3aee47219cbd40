"""Data sets made ready to be read, in one process or in parts."""

import contextlib
import dataclasses
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mslstm_keras.data.catalogue import (
    builder_class,
    configs_of,
    find_builder,
    prepared_variants,
    variant_builder,
)
from mslstm_keras.locks import locked
from mslstm_keras.settings import read_settings
from tfds_builders.part_processes import errors_of_the_disk, make_parts

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def prepare(
    data: str,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
    *,
    variant: str | None = None,
    settings: Mapping[str, str] | None = None,
    part: tuple[int, int] | None = None,
    processes: int = 1,
) -> "tfds.core.DatasetBuilder":
    """Makes a data set ready for reading; does nothing where it is ready already, from the same source files.

    It has the same clips under the same numbers, whether it is made in one process or in parts. A part that has failed
    or was killed is never taken for a finished one, and parts are never taken for the data set. Of two calls for one
    data set, or one variant with the same settings, the second waits and finds it ready; calls for its parts run side
    by side. What a call that was killed has left is removed, with a warning.

    Args:
        data: str, "name/config".
        data_dir: folder of prepared data sets; TFDS' own by default.
        manual_dir: folder of source files that are at hand; what is not there is downloaded where it can be. A data set
            that is ready must have been made of the same files, wherever they lay, see `check_sources`.
        variant: str. Name of a variant of that config, which then is read as "name/variant".
        settings: fields of the config, as text, in which the variant differs, such as {"interval": "5"}.
        part: (k, n). Makes only the k-th of n parts, so that n processes, or n hosts that share `data_dir`, make one
            data set. A finished part is not made again. A call that finds all parts finished joins them; if none did,
            repeat any of the calls.
        processes: int. How many parts are made at once, each in a process of its own, and then joined. A script that
            calls this needs the guard `if __name__ == "__main__"`.

    Returns:
        The builder of the data set, without splits while parts are missing.

    Raises:
        ValueError: if the name or a field is unknown, the variant's name is that of a config or of other settings,
            there are settings without a variant, there is no such part, the data set or the parts that are there are of
            another number, other settings or other source files, or a source file is not what it should be.
        OSError: if the disk is full, or a process that makes a part was killed.
    """
    import tensorflow_datasets as tfds

    from tfds_builders.parts import (
        Part,
        check_same_sources,
        fetch_sources,
        is_prepared,
        join_parts,
        make_part,
    )
    from tfds_builders.random_access import has_random_access, random_access

    if processes < 1 or (part and processes > 1):
        raise ValueError(
            "`processes` must be at least 1, and 1 where `part` is given. "
            f"Received: processes={processes}, part={part}"
        )
    chosen = Part(*part) if part else None
    folder = None if manual_dir is None else _existing(manual_dir)

    def find():
        builder = find_builder(data, data_dir)
        if variant is not None or settings:
            builder = _variant(builder, variant, settings or {})
        return builder

    builder = find()
    config = tfds.download.DownloadConfig(manual_dir=None if manual_dir is None else os.fspath(manual_dir))
    ready, place = is_prepared(builder), Path(builder.data_dir)
    if folder is not None:
        check_same_sources(builder, folder)
    if chosen and not ready:
        with errors_of_the_disk():
            make_part(builder, chosen, config)  # several do that at once, without a lock
    # Another process that has just put the data set there goes on with its files for random access.
    whole = ready and has_random_access(tfds.builder_from_directory(place)) and not _left(place)
    with contextlib.nullcontext() if whole else locked(place.parent, place.name):
        for path in _left(place):  # nobody is at work on it, as the lock is held
            warnings.warn(f"removed what a preparation that was killed has left: {path}", stacklevel=2)
            shutil.rmtree(path)
        if not ready:
            builder = find()  # another process may have made it meanwhile
            if folder is not None:
                check_same_sources(builder, folder)
        with errors_of_the_disk():
            if not is_prepared(builder) and not chosen:
                if processes > 1:
                    fetch_sources(builder, config)
                    make_parts(builder, processes, config)
                else:
                    builder.download_and_prepare(download_config=config)
            if part or processes > 1:
                builder = join_parts(builder) or builder
        for split in builder.info.splits:
            random_access(builder, split)
    return builder


def check_sources(
    data: str, manual_dir: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None
) -> None:
    """Checks that a data set was made of the source files in a folder; does nothing where it is not prepared.

    They are the same if their names, within the folder, and their contents are; where the folder lies and when files
    were changed does not matter. A data set that was prepared before its sources were recorded has a warning.

    Args:
        data: str, "name/config" or "name/variant".
        manual_dir: folder of source files. Those that can be downloaded may be missing.
        data_dir: folder of prepared data sets; TFDS' own by default.

    Raises:
        ValueError: if it was made of other files, naming both folders, the first difference and what to do.
    """
    from tfds_builders.parts import check_same_sources

    check_same_sources(find_builder(data, data_dir), _existing(manual_dir))


def _existing(manual_dir):
    if not os.path.isdir(manual_dir):
        raise ValueError(f"`manual_dir` must be a folder. Received: manual_dir={os.fspath(manual_dir)!r}")
    return Path(manual_dir)


def _left(place):
    """Returns the folders in which a data set is being made, or was when its process was killed."""
    return [*place.parent.glob(f"incomplete.*_{place.name}"), *place.glob("incomplete.*")]


def _variant(builder, name, settings):
    """Returns the builder of a config that differs from the builder's own; the same may be prepared already."""
    if not re.fullmatch(r"[a-zA-Z]\w*", name or ""):
        raise ValueError(
            f"`variant` must name what the settings make, in letters and digits. Received: {name!r}"
        )
    kind, configs = builder_class(builder.name), configs_of(builder.name)
    if builder.builder_config.name not in configs:
        raise ValueError(
            f"`data` must be a config that variants start from: {', '.join(configs)}. Received: a variant"
        )
    place = Path(builder.data_dir).parents[1]
    base = builder.builder_config
    fields = read_settings(type(base), settings, "config")
    if "synthetic" not in name and "synthetic" in " ".join((base.name, *settings, *settings.values())):
        raise ValueError(
            f"`variant` must hold the word synthetic, as the clips are. Received: variant={name!r}"
        )
    changes = ", ".join(f"{field} = {value}" for field, value in fields.items())
    description = f"Variant of {base.name}: {changes or 'no other settings'}. {base.name}: {base.description}"
    config = dataclasses.replace(base, name=name, description=description, **fields)
    prepared = name in prepared_variants(place, ())
    same = (
        prepared
        and find_builder(f"{builder.name}/{name}", place.parent).info.config_description == description
    )
    if name in configs or (prepared and not same):
        raise ValueError(
            "`variant` must be new, or have the settings that it was prepared with before. Received: "
            f"variant={name!r}, known or prepared in {place}"
        )
    return variant_builder(kind, config, os.fspath(place.parent))
