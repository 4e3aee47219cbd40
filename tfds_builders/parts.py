"""Data sets made in parts, by processes of one machine or by hosts that share a folder, and joined.

Everything that several processes may do at once ends in one rename of a folder, which happens or does not: there
are no locks, which a shared folder often lacks.
"""

import contextlib
import functools
import inspect
import io
import itertools
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from mslstm_keras.formats.checks import damage_of
from tfds_builders.manual_folder import given_folder
from tfds_builders.metadata import read_json, update_metadata, write_json
from tfds_builders.source_files import Sources

_SOURCES = "sources.json"
_RECORD = "part.json"


@dataclass(frozen=True)
class Part:
    """One of the parts, of about equal size, in which a data set is made.

    Attributes:
        number: int from 1.
        count: int. How many parts there are. With 1, the default, the part is the whole.

    Raises:
        ValueError: if there is no such part.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(
                f"`part` must be K/N, the K-th of N parts, from 1/N to N/N. Received: part={self}"
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def folder(self) -> str:
        """Name of the part's folder."""
        return f"{self.number}-of-{self.count}"

    def of(self, units: Sequence) -> Sequence:
        """Returns the part's share of what a data set is made of: neighbours, in their order.

            units[(k - 1) U // n : k U // n]                    k of n parts, U units

        The shares of all parts, one after the other, are the units.
        """
        first, last = ((number * len(units)) // self.count for number in (self.number - 1, self.number))
        return units[first:last]


class PartBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A TFDS builder that can also make a part of its data set, see `make_part`.

    Its `_split_generators` ends with `return self.of_part(...)`. Its examples must keep the order of their keys
    (`disable_shuffling=True`), so that the parts, one after the other, are the whole.

    What it makes knows its sources, see `source_files`, and its config: `metadata.json` and `sources.json`.
    """

    part = Part()
    """Part that is made."""

    facts: Mapping[str, Any] = {}
    """What a builder finds out of its sources, the same in every part: plain data by name, kept in the metadata."""

    fetches = False
    """Whether source files that are not in the user's folder are downloaded."""

    _whole: "PartBuilder | None" = None  # builder of the whole, in that of a part
    _on_example: Callable[[], None] | None = None
    _made: Sequence["_Made"] = ()  # parts to join, instead of making anything
    _before: Sequence["_Made"] = ()  # parts that are made already, whose sources a part must have too
    _manager: tfds.download.DownloadManager | None = None  # while it is made
    _paths: Mapping[str, Path] = MappingProxyType({})  # its source files
    sources: Sources | None = None
    """What it was made of, once that is made."""

    @property
    def downloads(self) -> Path:
        """Folder of downloads, and of what a builder keeps between its runs; one for all parts."""
        return Path((self._whole or self).data_dir_root, "downloads")

    def source_files(
        self, folder: Path | None, dl_manager: tfds.download.DownloadManager | None = None
    ) -> Mapping[str, Path]:
        """Returns the files that the data set is made of, name -> file; none where it needs none.

        Args:
            folder: folder of source files that the user named, if there is one that holds anything.
            dl_manager: fetches what is not there. None: that is left out.

        Raises:
            ValueError: if a file is not what it should be, as far as names and published checksums tell.
        """
        return {}

    def of_part(
        self,
        units: Mapping[str, Sequence],
        generate: Callable[[str, Sequence], Iterator],
        reads: Callable[[str, Sequence], Iterable[str]] | None = None,
    ) -> dict[str, Iterator]:
        """Returns the generators of the examples of a part, which may be the whole.

        Args:
            units: split -> what its examples are made of, one unit after the other, such as files or windows.
            generate: makes the generator of the examples of (split, its units).
            reads: gives the names of the source files that the examples of (split, its units) depend on with their
                content. Default: all.

        Returns:
            Split -> examples. A part that is not the whole leaves out splits of which it has no example.

        Raises:
            ValueError: if parts are there of other source files.
        """
        folder = self._manager and given_folder(self._manager)
        if self._manager:
            self._paths = self.source_files(folder, self._manager)
        shares = {split: self.part.of(of_split) for split, of_split in units.items()}
        read = self._paths if reads is None else {name for each in shares.items() for name in reads(*each)}
        self.sources = Sources.of(folder, self._paths, read)
        for made in self._before:
            _check_sources_alike(made, self.part, self.sources)
        generators = {split: generate(split, of_split) for split, of_split in shares.items()}
        if self.part.count == 1:
            return generators
        self._units = {split: len(of_split) for split, of_split in units.items()}
        counted = {split: self._counted(generator) for split, generator in generators.items()}
        firsts = {split: next(generator, None) for split, generator in counted.items()}
        return {
            split: itertools.chain([firsts[split]], generator)
            for split, generator in counted.items()
            if firsts[split] is not None
        }

    def check_clips(self, clips: Mapping[str, int]) -> None:
        """Checks the number of examples of each split of the whole, also where it was joined from parts."""

    def _counted(self, generator):
        for example in generator:
            yield example
            if self._on_example:
                self._on_example()

    def _download_and_prepare(self, dl_manager, download_config) -> None:
        if self._made:
            first, *others = (made.sources for made in self._made)
            self.sources = first.joined(others)
            self.facts = self._made[0].record["facts"]
            splits = [self._join(split) for split in self._made[0].record["units"]]
            self.check_clips({split.name: split.num_examples for split in splits})
            self.info.set_splits(tfds.core.SplitDict(splits))
        else:
            dl_manager.download = functools.cache(dl_manager.download)  # `source_files` asks once more
            self._manager = dl_manager
            super()._download_and_prepare(dl_manager, download_config)
            changed = self.sources.changed(self._paths)
            if changed:
                raise ValueError(
                    "Source files must not change while a data set is made of them. "
                    f"Received: {self._paths[changed]}, which did"
                )
        # TFDS has put a folder here that it renames when the data set is whole.
        write_json(Path(self.data_dir, _SOURCES), self.sources.to_plain())
        update_metadata(self.data_dir, config=_fields(self), sources=self.sources.summary(), **self.facts)

    def _join(self, name: str) -> "tfds.core.SplitInfo":
        """Writes the records of all parts of a split, into the same files as in one process."""
        from mslstm_keras.compat import ShardConfig, TfRecordFileAdapter, get_shard_boundaries

        splits = [made.splits[name] for made in self._made if name in made.splits]
        count, size = (sum(getattr(split, of) for split in splits) for of in ("num_examples", "num_bytes"))
        if not count:
            raise ValueError(
                f"The source files must give clips for each split. Received: none for {name}, in any of the "
                f"{len(self._made)} parts"
            )
        records = itertools.chain.from_iterable(made.records(name) for made in self._made)
        template = self._get_filename_template(name)
        shards = ShardConfig().get_number_shards(size, count)
        lengths = np.diff([0, *get_shard_boundaries(count, shards)]).tolist()
        for shard, length in enumerate(lengths):
            path = template.sharded_filepath(shard_index=shard, num_shards=shards)
            TfRecordFileAdapter.write_examples(path, itertools.islice(records, length))
        next(records, None)  # the last part checks its own end
        return tfds.core.SplitInfo(
            name=name, shard_lengths=lengths, num_bytes=size, filename_template=template
        )


class _Made:
    """A part that is made.

    Attributes:
        folder: where it is.
        part: which it is.
        record: what `make_part` wrote of it: "part", "settings", "units", "facts", "sources".
        sources: what it was made of.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _damage_of(folder):
            self.record = json.loads((folder / _RECORD).read_text())
            self.part = Part(*self.record["part"])
            self.sources = Sources.from_plain(self.record["sources"])

    @property
    def splits(self) -> Mapping[str, Any]:
        """Split -> what TFDS knows of it."""
        with _damage_of(self.folder):
            (place,) = self.folder.glob("*/*/*/dataset_info.json")
            return tfds.builder_from_directory(place.parent).info.splits

    def records(self, name: str) -> Iterator[tuple[None, bytes]]:
        """Yields the serialized examples of a split, as TFDS' adapters take them."""
        import tensorflow as tf

        splits = self.splits
        if name not in splits:
            return
        for path, length in zip(splits[name].filepaths, splits[name].shard_lengths, strict=True):
            with _damage_of(self.folder):
                found = 0
                for record in tf.data.TFRecordDataset(os.fspath(path)).as_numpy_iterator():
                    found += 1
                    yield None, record
                if found != length:
                    raise ValueError(f"{found} of {length} clips in {path.name}")


def make_part(
    builder: PartBuilder,
    part: Part,
    download_config: tfds.download.DownloadConfig | None = None,
    on_example: Callable[[], None] | None = None,
) -> None:
    """Makes a part of a data set; does nothing where it is made already, or the data set is whole.

    A part appears by one rename when it is finished. Two processes may make the same part: the first that
    finishes counts. What a killed process leaves (`.K-of-N-*`) is ignored, and removed when parts are joined.

    Args:
        builder: of the data set.
        part: which one.
        download_config: as `download_and_prepare` takes it.
        on_example: called after each example that is made.

    Raises:
        ValueError: if parts are there of another number, of other settings or of other source files; and what
            `download_and_prepare` raises.
    """
    if is_prepared(builder):
        return
    folder, settings = parts_folder(builder), _settings(builder)
    made = _made_parts(folder)
    _check_alike(made, folder, part, settings)
    if part in [one.part for one in made]:
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{part.folder}-") as temporary:
            place = Path(temporary, part.folder)
            maker = _again(builder, place)
            maker.part, maker._whole, maker._on_example, maker._before = part, builder, on_example, made
            with _in_silence():
                maker.download_and_prepare(download_dir=maker.downloads, download_config=download_config)
            record = {
                "part": [part.number, part.count],
                "settings": settings,
                "units": maker._units,
                "facts": dict(maker.facts),
                "sources": maker.sources.to_plain(),
            }
            (place / _RECORD).write_text(json.dumps(record))
            os.rename(place, folder / part.folder)
    except Exception:  # of any kind: harmless if another process has made the part meanwhile
        if not ((folder / part.folder).is_dir() or is_prepared(builder)):
            raise


def join_parts(builder: PartBuilder) -> PartBuilder | None:
    """Joins the parts of a data set if all of them are made, and then removes them.

    What comes out has the examples, the order and the files of what `download_and_prepare` makes in one process.
    (The bytes of a record may differ, as protocol buffers leave the order of an example's features open, in two
    runs of one process too.) It appears by one rename: of several processes that join at once, the first that
    finishes counts.

    Returns:
        Builder of the data set, or None while parts are missing, see `missing_parts`.

    Raises:
        ValueError: if a part is damaged, parts do not fit together, or a split has no clips.
    """
    folder = parts_folder(builder)
    try:
        if not is_prepared(builder):
            made = _made_parts(folder)
            _check_alike(made, folder, None, _settings(builder))
            if made and len(made) == made[0].part.count:
                maker = _again(builder, builder.data_dir_root)
                maker._made = made
                with _in_silence():
                    maker.download_and_prepare()
    except Exception:  # of any kind: harmless if another process has joined and removed them meanwhile
        if not is_prepared(builder):
            raise
    if not is_prepared(builder):
        return None
    shutil.rmtree(folder, ignore_errors=True)
    return builder if builder.info.splits else _again(builder, builder.data_dir_root)


def missing_parts(builder: PartBuilder, count: int) -> list[Part]:
    """Returns those of `count` parts that are not made yet; none if the data set is whole."""
    if is_prepared(builder):
        return []
    made = [one.part for one in _made_parts(parts_folder(builder))]
    return [part for part in (Part(number, count) for number in range(1, count + 1)) if part not in made]


def fetch_sources(builder: PartBuilder, download_config: tfds.download.DownloadConfig) -> None:
    """Downloads the source files of a data set and looks them through, so that its parts find them there.

    Raises:
        ValueError: if a source file is missing or not what it should be, as far as that is known before it is
            read.
    """
    # What TFDS' own `tfds build --download_only` calls.
    manager = builder._make_download_manager(download_dir=None, download_config=download_config)
    builder._split_generators(manager)


def check_same_sources(builder: PartBuilder, folder: Path) -> None:
    """Checks that a data set, or the parts of it that are made, are of the source files in a folder.

    Does nothing where nothing is made yet. Warns of a data set that was made before sources were recorded.

    Raises:
        ValueError: if it is of other files, naming both folders, the first difference and what to do.
    """
    if is_prepared(builder):
        made, place = sources_of(builder), Path(builder.data_dir)
        if made is None:
            warnings.warn(
                f"{place} was prepared before source files were recorded: nothing tells whether it was made of "
                f"those in {folder}",
                stacklevel=2,
            )
            return
        remedy = f"prepare the new ones under a name of their own with `--variant NAME`, or remove {place}"
    else:
        parts, place = _made_parts(parts_folder(builder)), parts_folder(builder)
        if not parts:
            return
        first, *others = (part.sources for part in parts)
        made, remedy = first.joined(others), f"or remove {place} to start anew"
    try:
        paths = builder.source_files(folder)
        difference = made.difference(folder, paths, partly=builder.fetches)
    except ValueError as error:
        difference = f"not read: {error}"
        raise _of_other_files(builder, made, remedy, folder, difference) from error
    if difference:
        raise _of_other_files(builder, made, remedy, folder, difference)


def _of_other_files(builder, made, remedy, folder, difference):
    data = builder.info.full_name.rpartition("/")[0]
    before = f"in {made.folder}" if made.folder else "downloaded"
    return ValueError(
        f"`manual_dir` must hold the source files that {data} was prepared from before, {before} ({remedy}). "
        f"Received: manual_dir={os.fspath(folder)!r}, {difference}"
    )


def sources_of(builder: tfds.core.DatasetBuilder) -> Sources | None:
    """Returns what a prepared data set was made of; None if it was made before that was recorded.

    Raises:
        ValueError: if the record is damaged.
    """
    path = Path(builder.data_dir, _SOURCES)
    plain = read_json(path)
    with damage_of(path, "The record of source files must be as it was written."):
        return None if plain is None else Sources.from_plain(plain)


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    """Returns whether a data set is whole, without the warnings of TFDS' own method where it is not."""
    return Path(builder.data_dir, "dataset_info.json").exists()


def parts_folder(builder: PartBuilder) -> Path:
    """Returns the folder of the parts of a data set."""
    return Path(f"{builder.data_dir}.parts")


@contextlib.contextmanager
def _damage_of(folder: Path) -> Iterator[None]:
    from tensorflow.errors import OpError

    try:
        yield
    except (ValueError, LookupError, TypeError, OSError, OpError) as error:
        raise ValueError(
            f"A part must be whole: remove {folder} and make it again. "
            f"Received: {type(error).__name__}: {error}"
        ) from error


def _in_silence():
    """Keeps TFDS from saying where it puts a data set that is to be moved, or that it downloads what it does not."""
    return contextlib.redirect_stdout(io.StringIO())


def _again(builder, data_dir):
    return type(builder)(config=builder.builder_config, data_dir=os.fspath(data_dir))


def _settings(builder):
    """Returns what all parts must have in common and what is known before they are made, as text."""
    fields = {field: repr(value) for field, value in _fields(builder).items()}
    return {"version": str(builder.version), **fields}


def _fields(builder):
    """Returns field -> value of a config."""
    config = builder.builder_config
    return {field: getattr(config, field) for field in inspect.get_annotations(type(config))}


def _made_parts(folder):
    """Returns the parts that are made, in their order."""
    made = [_Made(path) for path in folder.glob("*") if re.fullmatch(r"\d+-of-\d+", path.name)]
    return sorted(made, key=lambda one: (one.part.count, one.part.number))


def _check_alike(made, folder, part, settings):
    """Checks that parts belong to one whole with these settings and, if a part is given, with as many parts."""
    remedy = f"(or remove {folder} to start anew)"
    wanted = [(part, {"settings": settings})]
    for other, record in [*((one.part, one.record) for one in made[1:]), *wanted] if made else ():
        first, expected = made[0].part, made[0].record
        if other and other.count != first.count:
            raise ValueError(
                f"`part` must be one of {first.count}, as the other parts are {remedy}. Received: part={other}"
            )
        for field, value in record["settings"].items():
            before = expected["settings"].get(field)
            if value != before:
                raise ValueError(
                    f"All parts must have the same settings {remedy}. Received: {field}={before} in part "
                    f"{first}, {field}={value} in {f'part {other}' if other else 'what is to be joined'}"
                )
    for other in made[1:]:
        _check_sources_alike(made[0], other.part, other.sources)


def _check_sources_alike(made, other, sources):
    """Checks that the sources of another part do not contradict those of a part that is made."""
    difference = made.sources.conflict(sources)
    if difference:
        raise ValueError(
            f"All parts must be made of the same source files (or remove {made.folder.parent} to start anew). "
            f"Received: parts {made.part} and {other}, for which {difference}"
        )
