"""What is checked before a file, or an array, that people bring is believed."""

import h5py
import numpy as np
import pytest

from mslstm_keras.formats.checks import check_frames, check_size, damage_of, whole_data_set
from mslstm_keras.frames.read import read_clip
from tests.support.clip_files import random_frames, random_levels

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


def packed_by_blosc(file, *, used):
    """Makes a data set that says blosc, which the HDF5 of h5py has not; chunks may lack what a filter makes."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((1, *VALUES.shape))
    plan.set_filter(32001, h5py.h5z.FLAG_OPTIONAL)
    space, kind = h5py.h5s.create_simple((1, *VALUES.shape)), h5py.h5t.IEEE_F32LE
    data_set = h5py.Dataset(h5py.h5d.create(file.id, b"values", kind, space, plan))
    data_set.id.write_direct_chunk((0, 0, 0), VALUES.tobytes(), filter_mask=0 if used else 1)


def test_values_packed_by_a_filter_that_is_not_there(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        packed_by_blosc(file, used=True)
    with pytest.raises(ValueError, match=r"a\.h5` .* Received: /values packed by .*32001.* hdf5plugin"):
        read_clip(tmp_path / "a.h5")


def test_a_filter_that_was_passed_over(file):
    packed_by_blosc(file, used=False)
    np.testing.assert_array_equal(whole_data_set(file, "values")[0], VALUES)


@pytest.mark.parametrize("size", [(4,), (4, 4, 1), (0, 4), (4, -1), (4.0, 4), ("4", "4")])
def test_sizes_that_are_none(tmp_path, size):
    np.save(tmp_path / "a.npy", random_levels(3, 5, 4))
    for check in (check_size, lambda size: read_clip(tmp_path / "a.npy", size=size)):
        with pytest.raises(ValueError, match=r"`size` must be two positive integers.* Received: size=\("):
            check(size)


def test_frames_that_a_model_takes():
    frames = random_frames(2, 3, 4, 4, 1).astype("float64")
    checked = check_frames(frames)
    assert checked.dtype == "float32"
    np.testing.assert_array_equal(checked, frames.astype("float32"))
    np.testing.assert_array_equal(check_frames([[0.0, 1.0]]), [[0, 1]])
    np.testing.assert_array_equal(check_frames(np.array([True, False])), [1, 0])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((2, 2), "uint8"), r"must hold floats in \[0, 1\] \(divide by 255\). Received: dtype uint8"),
        (np.zeros((2, 2), "int64"), r"must hold floats in \[0, 1\]. Received: dtype int64"),
        (
            np.zeros((2, 2), "int64"),
            r"must .* dtype int64 \(divide by the largest value that can be and save floats\)",
        ),
        (np.array(["0.5"]), r"must hold floats in \[0, 1\]. Received: dtype <U3"),
        ([[0.5, None]], r"must hold floats in \[0, 1\]. Received: dtype object"),
        ([[0.5], [0.5, 0.5]], "must be one array. Received: .*inhomogeneous"),
        (np.zeros((0, 4, 4, 1)), r"must not be empty. Received: shape \(0, 4, 4, 1\)"),
        ([0.5, np.nan, np.inf], "must be finite. Received: 2 NaN or infinite of 3 values"),
        ([0.5, -np.inf], "must be finite. Received: 1 NaN or infinite of 2 values"),
        ([0.5, -0.1], r"must lie in \[0, 1\]. Received: values from -0.1 to 0.5"),
        ([0.5, 255.0], r"must lie in \[0, 1\]. Received: values from 0.5 to 255.0"),
        ([0.5, 1.000002], r"must lie in \[0, 1\]. Received: values from 0.5 to 1.000002"),
        ([0.5, -0.000002], r"must lie in \[0, 1\]. Received: values from -2e-06 to 0.5"),
    ],
)
def test_frames_that_a_model_does_not_take(frames, message):
    with pytest.raises(ValueError, match="^`inputs` " + message):
        check_frames(frames, name="inputs")
    with pytest.raises(ValueError, match=r"^`frames` "):
        check_frames(frames)


def test_missing_values_are_not_counted_as_wrong():
    with pytest.raises(ValueError, match=r"^`frames` must be finite. Received: 1 infinite of 4 values$"):
        check_frames([0.5, np.nan, np.nan, np.inf], missing=True)


@pytest.mark.parametrize("nested", [False, True])
def test_what_a_mask_hides_counts_as_nothing(nested):
    frames = np.ma.masked_array(random_frames(3, 4, 4), mask=False)
    frames[:, :2] = np.ma.masked
    with pytest.warns(
        UserWarning, match=r"^`frames` has a mask: \d+ of \d+ values are masked and count as 0$"
    ):
        checked = check_frames(list(frames) if nested else frames)
    np.testing.assert_array_equal(checked, frames.filled(0))


def test_a_mask_that_hides_nothing_is_no_matter():
    frames = random_frames(3, 4, 4)
    np.testing.assert_array_equal(check_frames(np.ma.masked_array(frames, mask=False)), frames)


def test_missing_values_may_stay():
    frames = np.array([0.5, np.nan, 1 + 1e-7], "float32")
    np.testing.assert_array_equal(check_frames(frames, missing=True), np.float32([0.5, np.nan, 1]))
    assert np.isnan(check_frames(frames * np.nan, missing=True)).all()
    for values, message in (([0.5, np.nan, 2], "must lie in"), ([0.5, np.nan, np.inf], "must be finite")):
        with pytest.raises(ValueError, match=message):
            check_frames(np.array(values), missing=True)
