"""Array files: whole, damaged, of other content, and lying about their size."""

import io
import re
import resource
import struct
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

from mslstm_keras.formats.arrays import open_clips
from mslstm_keras.frames.read import read_clip
from tests.support.clip_files import random_frames, random_levels, save_hdf5


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_are_read_as_they_are(tmp_path, dtype):
    frames = random_frames(3, 5, 4, 2).astype(dtype)
    np.save(tmp_path / "a.npy", frames)
    clip = read_clip(tmp_path / "a.npy", channels=2)
    assert clip.dtype == "float32"
    np.testing.assert_array_equal(clip, frames.astype("float32"))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".NPY"])
def test_bytes_without_a_channel_axis(tmp_path, suffix):
    levels = random_levels(3, 5, 4)
    with open(tmp_path / f"a{suffix}", "wb") as file:
        (np.savez if suffix == ".npz" else np.save)(file, levels)
    np.testing.assert_array_equal(read_clip(str(tmp_path / f"a{suffix}"))[..., 0], levels / np.float32(255))


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".H5"])
@pytest.mark.parametrize("dtype", ["uint8", "float16", ">f4", "float64"])
def test_hdf5(tmp_path, suffix, dtype):
    levels = random_levels(4, 5, 3)
    values = levels if dtype == "uint8" else (levels / 255).astype(dtype)
    save_hdf5(tmp_path / f"a{suffix}", **{"camera/clip": values, "times": np.arange(4)})
    clip = read_clip(tmp_path / f"a{suffix}")
    assert (clip.shape, clip.dtype) == ((4, 5, 3, 1), "float32")
    np.testing.assert_allclose(clip[..., 0], levels / 255, atol=1e-3 if dtype == "float16" else 1e-6)


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_chunks_larger_than_the_clip(tmp_path, compression):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(
            "clip",
            data=np.zeros((1, 4, 4, 2), "uint8"),
            maxshape=(None, 4, 4, 2),
            chunks=(999, 4, 4, 2),
            compression=compression,
        )
    assert read_clip(tmp_path / "a.h5", 2).shape == (1, 4, 4, 2)


def test_an_hdf5_data_set_is_chosen_by_its_name(tmp_path):
    first, second = random_levels(2, 3, 4), random_levels(2, 3, 4, seed=1)
    save_hdf5(tmp_path / "a.h5", **{"b": first, "c/d": second, "one": np.zeros(3)})
    for name, levels in (("/b", first), ("b", first), ("/c/d", second), ("c/d/", second)):
        np.testing.assert_allclose(read_clip(f"{tmp_path}/a.h5:{name}")[..., 0], levels / 255, atol=1e-6)


def test_a_colon_in_a_file_name(tmp_path):
    (tmp_path / "a.h5:").mkdir()
    save_hdf5(tmp_path / "a.h5:" / "b.h5", clip=random_levels(2, 3, 4))
    assert read_clip(tmp_path / "a.h5:" / "b.h5").shape == (2, 3, 4, 1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4), "float32"), r"must be \(time, height, width\) or .* Received: shape \(4, 4\)"),
        (np.zeros((1, 2, 3, 4, 1), "float32"), r"must be .* Received: shape \(1, 2, 3, 4, 1\)"),
        (np.zeros((0, 4, 4), "float32"), r"must not be empty. Received: shape \(0, 4, 4, 1\)"),
        (np.zeros((2, 4, 4), "int64"), r"must hold uint8 or floats in \[0, 1\]. Received: dtype int64"),
        (np.zeros((2, 4, 4), "uint16"), "must hold uint8 or floats .* Received: dtype uint16"),
        (
            np.zeros((2, 4, 4), "uint16"),
            "must .* dtype uint16 .divide by the largest value .*65535, or 4095 of 12 bits",
        ),
        (np.zeros((2, 4, 4), "complex64"), "must hold uint8 or floats .* Received: dtype complex64"),
        (
            np.full((2, 4, 4), 255.0),
            r"must lie in \[0, 1\] unless .*`--range.* Received: values from 255 to 255",
        ),
        (np.full((2, 4, 4, 3), 255.0), r"must lie in \[0, 1\] unless .* Received: values from 255 to 255"),
        (np.full((2, 4, 4), -0.5), "must lie in .* Received: values from -0.5 to -0.5"),
        (np.full((2, 4, 4), np.nan), "must be finite. Received: 32 NaN or infinite of 32 values"),
        (np.full((2, 4, 4), None), "must hold uint8 or floats .* Received: dtype object"),
    ],
)
def test_arrays_that_are_no_clip(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", array)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match=rf"{name}` " + message):
            read_clip(tmp_path / name)
    if array.dtype != object and array.ndim in (3, 4):
        save_hdf5(tmp_path / "a.h5", clip=array)
        with pytest.raises(ValueError, match=r"a\.h5` " + message):
            read_clip(tmp_path / "a.h5")


@pytest.mark.parametrize("count", [0, 2])
def test_an_archive_of_other_than_one_array(tmp_path, count):
    np.savez(tmp_path / "a.npz", **{f"clip_{index}": np.zeros((2, 2, 2)) for index in range(count)})
    with pytest.raises(ValueError, match=rf"a\.npz` must hold one array. Received: {count} .*np.save"):
        read_clip(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("data_sets", "name", "message"),
    [
        ({}, "", "one data set of 3 or 4 axes, or say which by a.h5:/name. Received: none"),
        ({"a": np.zeros(3), "b/c": np.zeros((2, 2))}, "", "one data set .* Received: /a, /b/c"),
        ({"a": np.zeros((2, 2, 2)), "b": np.zeros((2, 2, 2, 1)), "c": 1}, "", "one .* Received: /a, /b$"),
        (dict.fromkeys("abcdefghijklm", np.zeros((2, 2, 2))), "", "one .* /i, /j and 3 more"),
        ({"a": np.zeros((2, 2, 2))}, ":/b", "the data set /b. Received: /a"),
        ({"a/b": np.zeros((2, 2, 2))}, ":/a", "the data set /a. Received: /a/b"),
    ],
)
def test_hdf5_data_sets_that_are_not_found(tmp_path, data_sets, name, message):
    save_hdf5(tmp_path / "a.h5", **data_sets)
    with pytest.raises(ValueError, match=r"a\.h5` must hold " + message):
        read_clip(f"{tmp_path}/a.h5{name}")


def test_an_hdf5_data_set_of_other_axes_by_its_name(tmp_path):
    save_hdf5(tmp_path / "a.h5", a=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"a\.h5` must be \(time, height, width\) .* shape \(2, 2\)"):
        read_clip(f"{tmp_path}/a.h5:/a")


def test_hdf5_values_in_other_files_are_not_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(24)))
    save_hdf5(tmp_path / "other.h5", clip=random_levels(2, 3, 4))
    layout = h5py.VirtualLayout((2, 3, 4), "uint8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "clip", (2, 3, 4))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", (2, 3, 4), "uint8", external=[(str(secret), 0, 24)])
        file.create_virtual_dataset("virtual", layout)
        file["link"] = h5py.ExternalLink("other.h5", "/clip")
    for name in ("raw", "virtual"):
        with pytest.raises(ValueError, match=r"a\.h5` must .*`/\w+` must have its values in the file"):
            read_clip(f"{tmp_path}/a.h5:{name}")
    with pytest.raises(ValueError, match=r"a\.h5` must hold the data set /link. Received: /raw, /virtual"):
        read_clip(f"{tmp_path}/a.h5:link")


def npy_header(shape, descr="|u1"):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    return header.getvalue()


def refused_without_memory(path, message):
    """Returns when `read_clip` has refused a file without taking a megabyte."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            read_clip(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize(
    ("shape", "held"), [((10**4, 100, 100), 99), ((2, 3, 4), 25), ((2, 3, 4), 23), ((-1, 3, 4), 24)]
)
def test_a_header_of_another_size(tmp_path, suffix, shape, held):
    content = npy_header(shape) + bytes(held)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("clip.npy", content)
    else:
        path.write_bytes(content)
    refused_without_memory(path, rf"a\{suffix}` must be .* takes {np.prod(shape)} bytes, there are {held}\)")


@pytest.mark.parametrize("claimed", [2**29, 2**32 - 2])
def test_an_archive_that_claims_to_unpack_to_gigabytes(tmp_path, claimed):
    path = tmp_path / "a.npz"
    header = npy_header((claimed - 128, 1, 1))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clip.npy", header)
    content = path.read_bytes()
    for place in (content.index(b"PK\3\4") + 22, content.index(b"PK\1\2") + 24):
        content = content[:place] + struct.pack("<I", claimed) + content[place + 4 :]
    path.write_bytes(content)
    refused_without_memory(
        path, rf"a\.npz` must be .* \({claimed} bytes of values claimed, which [0-9]+ bytes cannot"
    )


@pytest.mark.parametrize("shape", [(1000, 1000, 1000), (2**40, 2**10, 2**13)])
def test_an_hdf5_data_set_that_was_never_filled(tmp_path, shape):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("clip", shape, "uint8", chunks=(1, 10, 10))
    message = (
        "fit in the 0 bytes that are stored of it. Received: 1000000000 bytes claimed"
        if shape[0] == 1000
        else "must hold at most 1073741824"
    )
    refused_without_memory(tmp_path / "a.h5", message)


def test_hdf5_chunks_of_gigabytes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(
            "clip", (2, 2, 2), "uint8", chunks=(2**10, 2**10, 2**11), maxshape=(None,) * 3, compression="gzip"
        )
    refused_without_memory(tmp_path / "a.h5", rf"Received: {2**31} bytes claimed")


def altered(rng, content):
    """Returns bytes of which a few are other ones, or that are cut off."""
    content = bytearray(content)
    for place in rng.integers(len(content), size=rng.integers(1, 4)):
        content[place] = rng.integers(256)
    return content[: rng.integers(len(content))] if rng.random() < 0.1 else content


def altered_files(suffix):
    levels = random_levels(4, 6, 5)
    for options in (
        {},
        {"chunks": (2, 3, 5), "compression": "gzip", "shuffle": True},
        {"compression": "lzf"},
    ):
        content = io.BytesIO()
        if suffix == ".h5":
            with h5py.File(content, "w") as file:
                file.create_dataset("camera/clip", data=levels, **options)
        elif suffix == ".npy":
            np.save(content, levels / np.float32(255) if options else levels)
        else:
            (np.savez_compressed if options else np.savez)(content, levels)
        yield content.getvalue()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # as users run it: a reader's warning alone stops nothing
@pytest.mark.parametrize("suffix", [".h5", ".npy", ".npz"])
def test_ten_thousand_altered_files(tmp_path, suffix):
    """Each is read to a clip, or refused by an error that names it; none takes memory that it only claims."""
    rng = np.random.default_rng(0)
    path, contents, refused = tmp_path / f"a{suffix}", list(altered_files(suffix)), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(10_000):
        path.write_bytes(altered(rng, contents[number % len(contents)]))
        try:
            clip = read_clip(path)
            assert (clip.ndim, clip.dtype) == (4, "float32")
            assert 0 <= clip.min() <= clip.max() <= 1
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    assert 1000 < refused < 9900


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_booleans_are_zero_and_one(tmp_path, suffix):
    frames = random_frames(2, 3, 4) > 0.5
    if suffix == ".h5":
        save_hdf5(tmp_path / "a.h5", clip=frames)
    else:
        (np.save if suffix == ".npy" else np.savez)(tmp_path / f"a{suffix}", frames)
    np.testing.assert_array_equal(read_clip(tmp_path / f"a{suffix}")[..., 0], frames)


def test_rounding_beyond_the_ends_is_clipped(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[[1 + 2e-7, -1e-7, 0.5]]], "float32"))
    np.testing.assert_array_equal(read_clip(tmp_path / "a.npy").ravel(), [1, 0, 0.5])
    np.save(tmp_path / "a.npy", np.array([[[1.001, 0]]], "float16"))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        read_clip(tmp_path / "a.npy")


def test_moving_mnist_as_published(tmp_path):
    published = random_levels(20, 3, 64, 64)
    path = tmp_path / "mnist_test_seq.npy"
    np.save(path, published)
    with pytest.warns(UserWarning, match=r"published Moving MNIST, .*: 3 clips of 20 frames"):
        clips = open_clips(path)
    np.testing.assert_array_equal(clips[..., 0], published.swapaxes(0, 1))
    with pytest.raises(
        ValueError, match=r"must be one clip, np.load\(...\)\[:, 0\] of this file. Received: 3 clips"
    ):
        read_clip(path)


@pytest.mark.parametrize(
    ("name", "shape"), [("clips.npy", (20, 3, 64, 64)), ("mnist_test_seq.npy", (3, 20, 64, 64))]
)
def test_other_clips_of_such_a_shape_stay_as_they_are(tmp_path, name, shape):
    np.save(tmp_path / name, random_levels(*shape))
    assert open_clips(tmp_path / name).shape == (*shape, 1)


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_before_height_and_width_are_refused(tmp_path, channels, suffix):
    levels, path = random_levels(4, channels, 16, 16), tmp_path / f"a{suffix}"
    np.save(path, levels) if suffix == ".npy" else save_hdf5(path, data=levels)
    with pytest.raises(ValueError, match=r"must have its channels behind \(np.moveaxis\(frames, 1, -1\)\)"):
        read_clip(path, 16)


@pytest.mark.parametrize("shape", [(48, 64, 3), (200, 30, 1), (30, 200, 2)])
@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_one_picture_and_sensors_are_no_clip(tmp_path, shape, suffix):
    levels, path = random_levels(*shape), tmp_path / f"a{suffix}"
    np.save(path, levels) if suffix == ".npy" else save_hdf5(path, data=levels)
    with pytest.raises(ValueError, match=r": one picture, \(height, width, channels\), or sensors"):
        read_clip(path)


def test_channels_of_clips_before_height_and_width_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", random_levels(4, 3, 1, 16, 16))
    with pytest.raises(ValueError, match=r"must have its channels behind \(np.moveaxis\(clips, 2, -1\)\)"):
        open_clips(tmp_path / "a.npy")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_one_clip_is_no_array_of_clips(tmp_path, channels):
    np.save(tmp_path / "a.npy", random_levels(40, 16, 16, channels))
    with pytest.raises(ValueError, match=r"`data` must hold several clips.* is trained on in a folder"):
        open_clips(tmp_path / "a.npy")


@pytest.mark.parametrize("shape", [(16, 16, 8), (8, 8, 7), (60, 80, 10), (16, 16, 8, 3)])
@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_time_that_may_come_last_is_said(tmp_path, shape, suffix):
    levels, path = random_levels(*shape), tmp_path / f"a{suffix}"
    np.save(path, levels) if suffix == ".npy" else save_hdf5(path, clip=levels)
    said = f"is read as {shape[0]} frames of {shape[1]} x {shape[2]}; if it is (height, width, time), np.moveaxis"
    with pytest.warns(UserWarning, match=re.escape(said)) as warned:
        assert read_clip(path, (*shape, 1)[3]).shape[:3] == shape[:3]
    assert [each.filename for each in warned] == [__file__]


@pytest.mark.parametrize("shape", [(20, 64, 64), (8, 16, 12), (16, 8, 4), (8, 8, 12), (7, 7, 6), (9, 9, 9)])
def test_frames_of_usual_sides_are_not(tmp_path, shape):
    np.save(tmp_path / "a.npy", random_levels(*shape))
    assert read_clip(tmp_path / "a.npy").shape == (*shape, 1)


def test_what_holds_several_clips_or_one_frame_is_told(tmp_path):
    np.save(tmp_path / "clips.npy", random_levels(3, 8, 16, 12))
    with pytest.raises(
        ValueError, match=r"channels=1 for 12 in .*shape \(3, 8, 16, 12\); if it is several .*, clips\[0\]$"
    ):
        read_clip(tmp_path / "clips.npy")
    save_hdf5(tmp_path / "storms.h5", vil=random_levels(3, 16, 16, 12))  # as SEVIR has them
    with pytest.raises(
        ValueError, match=r"\(clips, height, width, time\), .* np.moveaxis\(clips\[0\], -1, 0\)$"
    ):
        read_clip(tmp_path / "storms.h5")
    np.save(tmp_path / "keras.npy", random_levels(3, 8, 16, 12, 1))
    with pytest.raises(ValueError, match=r"Received: shape \(3, 8, 16, 12, 1\): several clips"):
        read_clip(tmp_path / "keras.npy")
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "clip.npy", random_levels(8, 16, 12))
    with pytest.raises(
        ValueError, match=r"shape \(8, 16, 12\); if it is a clip by itself, .*, give its path"
    ):
        read_clip(tmp_path / "folder")
    np.save(tmp_path / "two.npy", random_levels(8, 16, 12, 2))
    with pytest.raises(ValueError, match=r"channels=1 for 2 in .*two\.npy$"):
        read_clip(tmp_path / "two.npy")
    np.save(tmp_path / "frame.npy", random_levels(16, 12))
    with pytest.raises(ValueError, match=r"\(16, 12\): a frame, of which a folder is a clip, or sensors"):
        read_clip(tmp_path / "frame.npy")


@pytest.mark.parametrize(
    ("name", "times", "first"),
    [
        ("time", np.array([3, 1, 2]), "1 to 3"),
        ("Timestamps", [b"2024-01-01T00:10", b"2024-01-01T00:00", b"2024-01-01T00:05"], "2024-01-01T00:00"),
        ("t", ["2024-01-01T00:10Z", "2024-01-01T00:00Z", "2024-01-01T02:05+02:00"], "2024-01-01T00:00"),
        (
            "t",
            ["2024-01-01T00:00:00.200", "2024-01-01T00:00:00", "2024-01-01T00:00:00.100"],
            "2024-01-01T00:00",
        ),
        ("time", [b"202401010010", b"202401010000", b"202401010005"], "2024-01-01T00:00 to 2024-01-01T00:10"),
        ("time", [202401010010, 202401010000, 202401010005], "2024-01-01T00:00 to 2024-01-01T00:10"),
    ],
)
def test_hdf5_frames_are_sorted_by_the_times_beside_them(tmp_path, name, times, first):
    levels = random_levels(3, 5, 4)
    save_hdf5(tmp_path / "a.h5", **{"camera/clip": levels, f"camera/{name}": times})
    with pytest.warns(UserWarning, match=f"frames are sorted by their times, {first}"):
        clip = read_clip(tmp_path / "a.h5")
    np.testing.assert_allclose(clip[..., 0], levels[[1, 2, 0]] / 255, atol=1e-6)


@pytest.mark.parametrize(
    "beside",
    [
        {"time": np.arange(3)},
        {"time": np.arange(4)[::-1]},
        {"x/time": [3, 2, 1]},
    ],
)
def test_hdf5_frames_stay_where_there_are_no_times_that_fall(tmp_path, beside):
    levels = random_levels(3, 5, 4)
    save_hdf5(tmp_path / "a.h5", clip=levels, **beside)
    np.testing.assert_allclose(read_clip(tmp_path / "a.h5")[..., 0], levels / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        (
            {"time": [b"a", b"c", b"b"]},
            "its times a, c, b are not read, frames stay in the order of the file",
        ),
        ({"time": [3, 2, 1], "step": [0, 1, 2]}, "its times in step and time tell two orders"),
    ],
)
def test_hdf5_frames_stay_with_a_word_where_times_are_not_clear(tmp_path, beside, message):
    levels = random_levels(3, 5, 4)
    save_hdf5(tmp_path / "a.h5", clip=levels, **beside)
    with pytest.warns(UserWarning, match=message):
        clip = read_clip(tmp_path / "a.h5")
    np.testing.assert_allclose(clip[..., 0], levels / 255, atol=1e-6)
