"""Random access to a prepared TFDS data set that `tf.data` can still read."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


class DataSource(Protocol):
    """What TFDS calls a data source: examples by their number, one or several at a time."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> dict[str, Any]: ...

    def __getitems__(self, numbers: list[int]) -> list[dict[str, Any]]: ...


def _add_array_record(builder: "tfds.core.DatasetBuilder") -> None:
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from mslstm_keras.compat import ArrayRecordFileAdapter

    place = Path(builder.data_dir)
    suffix = tfds.core.FileFormat.ARRAY_RECORD.file_suffix
    with tempfile.TemporaryDirectory(dir=place, prefix="incomplete.") as folder:
        written = []
        for split in builder.info.splits.values():
            template = split.filename_template.replace(filetype_suffix=suffix)
            names = sorted(template.sharded_filenames(split.num_shards))
            for source, name in zip(sorted(split.filepaths), names, strict=True):
                records = tf.data.TFRecordDataset(os.fspath(source)).as_numpy_iterator()
                try:
                    ArrayRecordFileAdapter.write_examples(
                        Path(folder, name), ((None, record) for record in records)
                    )
                except RuntimeError as error:  # how ArrayRecord tells of a full disk
                    # Behind it are the temporary name and places in the file.
                    reason = str(error).partition(";")[0]
                    raise OSError(f"{place / name} cannot be written: {reason}") from error
                written.append(name)
        builder.info.add_alternative_file_format(tfds.core.FileFormat.ARRAY_RECORD)
        builder.info.write_dataset_info_json(folder)
        # The new files count only once the description of the data set names them, so it comes last.
        for name in (*written, "dataset_info.json"):
            os.replace(Path(folder, name), place / name)


def has_random_access(reader: "tfds.core.DatasetBuilder") -> bool:
    """Returns whether the files for random access to a prepared data set are written.

    Args:
        reader: of `tfds.builder_from_directory`. TFDS restores alternative formats in no other builder.
    """
    import tensorflow_datasets as tfds

    return tfds.core.FileFormat.ARRAY_RECORD in reader.info.available_file_formats()


def random_access(builder: "tfds.core.DatasetBuilder", split: str) -> DataSource:
    """Examples of a prepared data set by their number.

    Of the formats of TFDS, `tfrecord` (the default) has no random access and `array_record` no `tf.data`. The
    first call for a `tfrecord` data set writes the same examples as `array_record` files beside it, what TFDS
    calls an alternative file format, so that `tfds.load` goes on working. (TFDS' own converter needs
    apache-beam.)

    Args:
        builder: builder whose `download_and_prepare` has been called, now or earlier.
        split: name of the split.

    Returns:
        The examples, dicts of arrays.

    Raises:
        ValueError: if the data set is not prepared or has no such split.
    """
    import tensorflow_datasets as tfds

    if not builder.info.splits:
        raise ValueError(
            "`builder` must be prepared by `download_and_prepare` first. "
            f"Received: builder of {builder.info.full_name} in {builder.data_dir}"
        )
    if split not in builder.info.splits:
        raise ValueError(f"`split` must be one of {sorted(builder.info.splits)}. Received: split={split!r}")
    reader = tfds.builder_from_directory(builder.data_dir)
    if not has_random_access(reader):
        _add_array_record(reader)
    return reader.as_data_source(split)
