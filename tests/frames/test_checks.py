"""Tests of what is checked before a source file is believed."""

import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds

from mslstm_keras.frames.checks import damage_of, whole_data_set
from tfds_builders.manual_folder import manual_folder

VALUES = np.arange(60, dtype=np.float32).reshape(12, 5)


class DecoderMemoryError(MemoryError):
    """As PyAV has one, for a file that asks for too much."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("too short"), "too short"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError("no signature"), "OSError: no signature"),
        (KeyError("data"), "KeyError: 'data'"),
        (ValueError(), "ValueError: "),
        (DecoderMemoryError("far too much"), "DecoderMemoryError: far too much"),
    ],
)
def test_damage_names_the_file_and_the_reason(error, reason):
    with (
        pytest.raises(ValueError) as received,
        damage_of("a.h5", "Rule.", decoder_errors=(DecoderMemoryError,)),
    ):
        raise error
    assert str(received.value) == f"Rule. Received: a.h5: {reason}"
    assert received.value.__cause__ is error


@pytest.mark.parametrize("kind", [MemoryError, ImportError, KeyboardInterrupt])
def test_what_is_no_damage(kind):
    with pytest.raises(kind), damage_of("a.h5", "Rule."):
        raise kind


@pytest.mark.parametrize("exists", [False, True])
def test_manual_folder(tmp_path, exists):
    folder = tmp_path / "manual"
    if exists:
        folder.mkdir()
    arguments = {"download_dir": tmp_path, "manual_dir": folder, "manual_dir_instructions": "long\nlist"}
    with pytest.raises(ValueError) as received:
        manual_folder(tfds.download.DownloadManager(**arguments), "clips")
    assert str(received.value) == (
        "`manual_dir` must hold clips: `mslstm data prepare NAME --manual-dir FOLDER`. "
        f"Received: Manual directory {folder} does not exist or is empty."
    )
    folder.mkdir(exist_ok=True)
    (folder / "clip.npy").touch()
    assert manual_folder(tfds.download.DownloadManager(**arguments), "clips") == folder


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        yield file


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (5, 2)},
        {"chunks": (100, 100), "maxshape": (None, None), "compression": "gzip"},
        {"chunks": (1, 5), "compression": "lzf", "shuffle": True, "fletcher32": True},
    ],
)
def test_whole_data_sets(file, options):
    file.create_dataset("group/values", data=VALUES, **options)
    np.testing.assert_array_equal(whole_data_set(file, "group/values")[()], VALUES)
    np.testing.assert_array_equal(whole_data_set(file["group"], "values")[()], VALUES)


@pytest.mark.parametrize("options", [{}, {"chunks": (4, 5), "maxshape": (None, 5)}])
def test_data_sets_without_values(file, options):
    file.create_dataset("values", shape=(0, 5), dtype="f4", **options)
    assert whole_data_set(file, "values").shape == (0, 5)


@pytest.mark.parametrize("options", [{"compression": 9}, {"scaleoffset": 0}])
def test_zeros_are_not_taken_for_a_lie(file, options):
    """No values are packed more closely."""
    file.create_dataset("values", data=np.zeros((900, 900), "i8"), chunks=(900, 900), **options)
    assert not whole_data_set(file, "values")[()].any()


def test_no_data_set(file):
    file.create_group("group")
    for name, kind in (("group", "Group"), ("values", "nothing")):
        with pytest.raises(ValueError, match=f"`{name}` must be one of its data sets. Received: {kind}"):
            whole_data_set(file, name)


def test_values_that_nobody_wrote(file):
    file.create_dataset("values", VALUES.shape, "f4")
    with pytest.raises(ValueError, match=r"must fit in the 0 bytes that are stored .* Received: 240 bytes"):
        whole_data_set(file, "values")


def test_values_that_were_not_written_to_their_end(file):
    values = file.create_dataset("values", VALUES.shape, "f4", chunks=(4, 2))
    values[:9, :3] = 1
    with pytest.raises(
        ValueError, match=r"`values` must have been written to its end. Received: 6 of 9 chunks"
    ):
        whole_data_set(file, "values")


def test_claims_beyond_what_is_stored(file):
    file.create_dataset("values", (2**40, 5), "f4", chunks=(4, 5))[0, 0] = 1
    with pytest.raises(
        ValueError, match=r"must fit in the 80 bytes that are stored of it. Received: \d+ bytes"
    ):
        whole_data_set(file, "values")
    file.create_dataset("none in 64 bits", (2**40, 2**24), "f4", chunks=(4, 5))
    with pytest.raises(ValueError, match=r"Received: \d{20} bytes claimed"):
        whole_data_set(file, "none in 64 bits")


def test_values_in_other_files(file, tmp_path):
    VALUES.tofile(tmp_path / "raw")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["values"] = VALUES
    layout = h5py.VirtualLayout(VALUES.shape, "f4")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "values", VALUES.shape)
    file.create_dataset("raw", VALUES.shape, "f4", external=[(str(tmp_path / "raw"), 0, VALUES.nbytes)])
    file.create_virtual_dataset("virtual", layout)
    file["link"] = h5py.ExternalLink("other.h5", "/values")
    for name in ("raw", "virtual", "link"):
        assert file[name].shape == VALUES.shape
        with pytest.raises(
            ValueError, match=f"`{name}` must have its values in the file. Received: those of"
        ):
            whole_data_set(file, name)
