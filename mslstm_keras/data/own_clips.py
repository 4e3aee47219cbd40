"""Clips of the user's own: a folder of them, a file, or a prepared data set, found without further words."""

import dataclasses
import os
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mslstm_keras.data.catalogue import builder_class, configs_of, find_builder, prepared_variants
from mslstm_keras.data.clips import Clips
from mslstm_keras.data.preparation import prepare
from mslstm_keras.data.splits import split_clips
from mslstm_keras.settings import read_settings

FOLDERS = "frames_from_folder"  # the data set of folders of clips


@dataclasses.dataclass(frozen=True)
class OwnClips:
    """What there is to learn from.

    Attributes:
        data: str. Name by which recipes know it.
        shape: (time, height, width, channels) of a clip.
        train: `Clips` of the train split.
        held_out: int. Clips of the test split.
    """

    data: str
    shape: tuple[int, int, int, int]
    train: Clips
    held_out: int


def label_of(data: str | os.PathLike[str]) -> str:
    """Returns the name that a folder, a file or a data set gives to what is made of it, of letters, digits and `_`.

    >>> label_of("../my clips/"), label_of("frames_from_folder/street"), label_of("taxibj_clips/inflow")
    ('my_clips', 'street', 'taxibj_clips_inflow')
    """
    path = Path(data)
    name = os.fspath(data).removeprefix(f"{FOLDERS}/")
    if path.is_dir():
        name = path.resolve().name
    elif path.suffix == ".npy":
        name = path.stem
    name = re.sub(r"\W+", "_", name).strip("_")
    return name if re.match(r"[a-zA-Z]", name) else f"clips_{name}"


def find_clips(
    data: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    settings: Mapping[str, str] | None = None,
    longest: int = 20,
    tell: Callable[[str], None] | None = None,
) -> OwnClips:
    """Finds the clips that one word names. Those of a folder are prepared, if they are not.

    Args:
        data: str. A folder of clips, a `.npy` file of uint8 clips, or "name/config" of a prepared data set.
        data_dir: folder of prepared data sets; TFDS' own by default.
        settings: as in `plan_folder`; only folders have any.
        longest: int, as in `plan_folder`.
        tell: function that is called with what was found in a folder, before it is prepared.

    Raises:
        ValueError: if there is no such thing, and as `plan_folder`, `prepare` and `split_clips` do.
    """
    folder = Path(data)
    if folder.is_dir():
        plan = plan_folder(folder, data_dir, settings=settings, longest=longest)
        if tell is not None:
            tell(plan.remark)
        prepare(plan.data, data_dir, folder, variant=plan.variant, settings=plan.settings)
        data = plan.name
    elif settings:
        raise ValueError(
            f"{', '.join(f'`{name}`' for name in settings)} must be left out where the clips are made already. "
            f"Received: {data}"
        )
    elif folder.suffix != ".npy" and (folder.exists() or len(folder.parts) != 2):
        raise ValueError(
            "`data` must be a folder of clips, a .npy file of uint8 clips (number, time, height, width), or a prepared "
            f"data set, NAME/CONFIG. Received: {data!r}"
        )
    train, test = (split_clips(data, split, data_dir) for split in ("train", "test"))
    return OwnClips(data, train.read(np.array([0])).shape[1:], train, test.count or 0)


@dataclasses.dataclass(frozen=True)
class FolderPlan:
    """How a folder of clips is prepared.

    Attributes:
        data, variant, settings: arguments of `prepare`.
        name: str. "frames_from_folder/NAME", by which recipes then know it.
        remark: str. What was found, for people.
        assumed: field -> value that nobody gave.
    """

    data: str
    variant: str | None
    settings: Mapping[str, str]
    name: str
    remark: str
    assumed: Mapping[str, Any]


def plan_folder(
    folder: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    variant: str | None = None,
    settings: Mapping[str, str] | None = None,
    longest: int = 20,
) -> FolderPlan:
    """Finds how a folder of clips is to be prepared: what its clips tell need not be given.

    Args:
        folder: folder of clips.
        data_dir: folder of prepared data sets; TFDS' own by default.
        variant: str. Name of the data set; by default that of the folder, and then it may be prepared already.
        settings: fields of `frames_from_folder`, as text; they stay as they are.
        longest: int. Frames of an example, where the clips have as many.

    Raises:
        ValueError: if a clip cannot be read, the clips do not tell one size, number of channels or length, or the
            folder was prepared with other settings (with what to do).
    """
    folder, settings, configs = Path(folder), settings or {}, configs_of(FOLDERS)
    name = variant or label_of(folder)
    if variant is None:
        name = f"{name}_folder" if name in configs else name
        if name in prepared_variants(Path(find_builder(FOLDERS, data_dir).data_dir).parents[1], configs):
            data = f"{FOLDERS}/{name}"
            _check_settings(find_builder(data, data_dir), folder, settings)
            return FolderPlan(data, None, {}, data, f"{folder}: prepared before, as {data}", {})
    from tfds_builders.frames_from_folder.survey import survey

    base = builder_class(FOLDERS).builder_configs[next(iter(configs))]
    given = read_settings(type(base), settings, "config")
    with warnings.catch_warnings(action="ignore"):  # whoever reads the clips to prepare them says so again
        found = survey(folder, dataclasses.replace(base, **given), {*given}, longest)
    assumed = {field: value for field, value in found.fields.items() if field not in given}
    changed = {field: str(value) for field, value in assumed.items() if value != getattr(base, field)}
    words = ", ".join(f"{field}={value:.3g}" for field, value in assumed.items())
    said = f" (assumed: {words})" if assumed else ""
    return FolderPlan(
        FOLDERS,
        name,
        {**settings, **changed},
        f"{FOLDERS}/{name}",
        f"{folder}, as {FOLDERS}/{name}: {found.text}{said}",
        assumed,
    )


def _check_settings(builder, folder, settings):
    """Makes sure that a data set was prepared as it is asked for; longer clips do as well."""
    config = builder.builder_config
    given = read_settings(type(config), settings, "config")
    other = {
        name: value
        for name, value in given.items()
        if (config.window < value if name == "window" else getattr(config, name) != value)
    }
    if other:
        before = ", ".join(f"{name}={getattr(config, name)}" for name in other)
        raise ValueError(
            f"`data` must be asked for as it was prepared before, {before} (`mslstm data prepare {FOLDERS} "
            f"--manual-dir {folder} --variant NAME --set ...` makes another one, or remove {builder.data_dir}). "
            f"Received: {', '.join(f'{name}={value}' for name, value in other.items())}"
        )
