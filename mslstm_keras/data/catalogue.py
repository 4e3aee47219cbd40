"""Which data sets there are, and what is known of them."""

import dataclasses
import importlib
import inspect
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mslstm_keras.data.facts import DataFacts
from mslstm_keras.naming import nearest
from mslstm_keras.settings import tuples

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

BUILDERS = (
    "moving_mnist_clips",
    "taxibj_clips",
    "kth_clips",
    "dwd_radar_clips",
    "radar_maps",
    "frames_from_folder",
)
"""Data sets of `tfds_builders`."""


def list_data() -> list[str]:
    """Returns the names "data set/config" that recipes and `prepare` take."""
    return [f"{name}/{config}" for name in BUILDERS for config in configs_of(name)]


def configs_of(data: str) -> Mapping[str, Mapping[str, Any]]:
    """Returns the configs of a data set, name -> fields, without TensorFlow Datasets.

    Args:
        data: str, "name" or "name/config".

    Raises:
        ValueError: if there is no such data set (with the nearest names).
    """
    name = data.partition("/")[0]
    if name not in BUILDERS:
        raise ValueError(
            f"`data` must be a known data set, such as {nearest(name, BUILDERS)}. Received: {data!r}"
        )
    return importlib.import_module(f"tfds_builders.{name}.configs").CONFIGS


def find_builder(data: str, data_dir: str | os.PathLike[str] | None = None) -> "tfds.core.DatasetBuilder":
    """Returns the TFDS builder of "name/config".

    Args:
        data: str. A data set of `tfds_builders` and one of its configs, by default the first, or a variant that
            `prepare` has made in `data_dir`.
        data_dir: folder of prepared data sets; TFDS' own (~/tensorflow_datasets) by default.

    Raises:
        ValueError: if name or config are unknown (with the nearest names).
        ImportError: if TensorFlow Datasets is not installed.
    """
    name, _, config = data.partition("/")
    configs = configs_of(data)
    try:
        import tensorflow_datasets as tfds

        from mslstm_keras.compat import DATA_DIR
        from tfds_builders.metadata import read_metadata
    except ImportError as error:
        raise ImportError(
            f"Prepared data sets are read by TensorFlow Datasets: pip install tensorflow tensorflow-datasets ({data!r})"
        ) from error
    folder = os.fspath(DATA_DIR if data_dir is None else data_dir)
    builder = builder_class(name)
    if not config or config in configs:
        return builder(config=config or None, data_dir=folder)
    place = Path(folder, name, config, str(builder.VERSION))
    if not (place / "dataset_info.json").exists():
        known = nearest(config, [*configs, *prepared_variants(Path(folder, name), configs)])
        raise ValueError(f"`data` must be a known config of {name}, such as {known}. Received: {data!r}")
    reader = tfds.builder_from_directory(place)
    fields, kind = read_metadata(place).get("config"), type(builder.BUILDER_CONFIGS[0])
    if fields is None or not {*fields} <= {field.name for field in dataclasses.fields(kind)}:
        return reader  # prepared by a version that kept no fields, or has others
    description = reader.info.config_description
    return variant_builder(builder, kind(name=config, description=description, **tuples(fields)), folder)


def describe(data: str, data_dir: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Returns what is known of a data set, as plain data.

    Args:
        data: str, "name/config" or "name/variant".
        data_dir: folder of prepared data sets; TFDS' own by default.

    Returns:
        {"data", "description", "config": field -> value, "features": name -> text, "folder": where it is or would be,
        "clips": split -> count, none where it is not prepared, "bytes": size on the disk, "quantity": what was measured
        or None, "interval": minutes between two frames or None, "spacing": metres between two pixels or None, "range":
        how pixels stand for numbers in units or None, "sources": {"folder", "files": their number, "bytes",
        "fingerprint": SHA-256 of names and contents} of the source files, or None where it is not prepared, or was
        before they were recorded}.

    Raises:
        ValueError: if name or config are unknown (with the nearest names).
    """
    from tfds_builders.metadata import read_metadata

    builder = find_builder(data, data_dir)
    config, kind = builder.builder_config, type(builder_class(builder.name).BUILDER_CONFIGS[0])
    # A variant that was prepared before they were kept has lost its fields.
    fields = inspect.get_annotations(kind) if isinstance(config, kind) else ()
    facts = facts_of(builder)
    return {
        "data": builder.info.full_name.rpartition("/")[0],
        "description": " ".join((getattr(config, "description", None) or builder.info.description).split()),
        "config": {name: getattr(config, name) for name in fields},
        "features": {name: repr(feature) for name, feature in builder.info.features.items()},
        "folder": str(builder.data_dir),
        "clips": {name: split.num_examples for name, split in builder.info.splits.items()},
        "bytes": builder.info.dataset_size or 0,
        "quantity": facts.quantity,
        "interval": facts.interval_minutes,
        "spacing": facts.spacing_metres,
        "range": facts.scale,
        "sources": read_metadata(builder.data_dir).get("sources"),
    }


def facts_of(builder: "tfds.core.DatasetBuilder") -> DataFacts:
    """Returns what the frames of a data set stand for: as its preparation found, else as its config has it."""
    from tfds_builders.metadata import read_metadata

    return _facts(read_metadata(builder.data_dir), builder.builder_config)


def known_facts(data: str) -> DataFacts:
    """Returns what the frames of "name/config" stand for as far as the name tells, whether it is prepared or not."""
    name, _, config = data.partition("/")
    if name not in BUILDERS or config not in configs_of(name):
        return DataFacts()
    return _facts({}, builder_class(name).builder_configs[config])


def _facts(metadata, config):
    def said(name):
        return metadata.get(name, getattr(config, name, None))

    return DataFacts(
        said("quantity"), metadata.get("scale"), said("interval"), said("spacing"), said("licence")
    )


def prepared_variants(place: Path, configs: Iterable[str]) -> list[str]:
    """Returns the names of prepared variants of the data set in a folder, without those of its own configs."""
    # A preparation that failed leaves no such file, one that goes on or was killed may have it in a folder of its own.
    found = (path.parts[-3:-1] for path in place.glob("*/*/dataset_info.json"))
    prepared = {name for name, version in found if not version.startswith("incomplete.")}
    return sorted(prepared - {*configs})


def variant_builder(
    kind: type["tfds.core.DatasetBuilder"], config: "tfds.core.BuilderConfig", data_dir: str
) -> "tfds.core.DatasetBuilder":
    """Returns the builder of a config that its class does not list, without the warning of TFDS that it does not."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return kind(config=config, data_dir=data_dir)
    finally:
        logger.setLevel(level)


def builder_class(name: str) -> type["tfds.core.DatasetBuilder"]:
    """Returns the class of the builder of a data set of `BUILDERS`."""
    return importlib.import_module(f"tfds_builders.{name}.{name}_dataset_builder").Builder
