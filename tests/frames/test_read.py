"""Tests of reading clips: every kind of file, whole, damaged, of other content, and lying about its size."""

import io
import resource
import struct
import sys
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mslstm_keras.frames import read as clip_files
from mslstm_keras.frames.checks import check_frames, check_size
from mslstm_keras.frames.names import counting_order
from mslstm_keras.frames.read import read_clip

MPEG4 = {".avi": "mpeg4", ".mp4": "mpeg4", ".mov": "mpeg4", ".mkv": "mpeg4", ".webm": "libvpx"}


def random_frames(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


def random_levels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


def save_frames(path, levels, **options):
    first, *others = [Image.fromarray(image) for image in levels]
    first.save(path, save_all=True, append_images=others, **options)


def save_folder(folder, levels, names):
    folder.mkdir()
    for name, image in zip(names, levels, strict=True):
        Image.fromarray(image).save(folder / name)


def save_hdf5(path, **data_sets):
    with h5py.File(path, "w") as file:
        for name, values in data_sets.items():
            file[name] = values


def save_video(path, levels):
    """Writes smooth colour frames; even sides."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(MPEG4[path.suffix], rate=10)
        stream.height, stream.width = levels.shape[1:3]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for image in levels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))


def ramps(frames, height=32, width=48):
    """Grey that brightens to the right and with time, uint8 (frames, height, width, 3)."""
    levels = np.linspace(20, 180, width)[None, None, :, None] + 8 * np.arange(frames)[:, None, None, None]
    return np.broadcast_to(np.rint(levels), (frames, height, width, 3)).astype("uint8")


# Reading


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


def test_colour_becomes_grey_by_its_brightness(tmp_path):
    levels = np.zeros((4, 1, 1, 3), "uint8")
    levels[0, ..., 0] = levels[1, ..., 1] = levels[2, ..., 2] = 255
    levels[3] = 255
    np.save(tmp_path / "a.npy", levels)
    clip = read_clip(tmp_path / "a.npy")
    assert clip.shape == (4, 1, 1, 1)
    np.testing.assert_allclose(clip.ravel(), [0.299, 0.587, 0.114, 1], atol=1e-6)
    assert clip.max() <= 1


def test_grey_becomes_colour(tmp_path):
    frames = random_frames(2, 3, 4)
    np.save(tmp_path / "a.npy", frames)
    np.testing.assert_array_equal(read_clip(tmp_path / "a.npy", 3), np.stack([frames] * 3, -1))


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".gif", {}), (".webp", {"lossless": True}), (".tif", {}), (".tiff", {"compression": "tiff_lzw"})],
)
def test_every_frame_of_a_picture_is_read(tmp_path, suffix, options):
    levels = random_levels(4, 9, 7)
    save_frames(tmp_path / f"a{suffix}", levels, **options)
    clip = read_clip(tmp_path / f"a{suffix}")
    assert clip.dtype == "float32"
    np.testing.assert_allclose(clip[..., 0], levels / 255, atol=1e-6)


def test_a_colour_picture_keeps_its_colours(tmp_path):
    levels = random_levels(3, 6, 5, 3)
    save_frames(tmp_path / "a.webp", levels, lossless=True)
    np.testing.assert_allclose(read_clip(tmp_path / "a.webp", 3), levels / 255, atol=1e-6)


def test_transparent_pixels_are_black(tmp_path):
    levels = np.full((1, 2, 2, 4), 255, "uint8")
    levels[0, 0, 0, 3] = 0
    save_folder(tmp_path / "a", levels, ["0.png"])
    np.testing.assert_allclose(read_clip(tmp_path / "a")[0, ..., 0], [[0, 1], [1, 1]], atol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits(tmp_path, suffix):
    levels = np.array([[[0, 1, 32768, 65535]]], "uint16")
    save_folder(tmp_path / "a", levels, [f"0{suffix}"])
    np.testing.assert_allclose(read_clip(tmp_path / "a")[0, ..., 0], levels[0] / 65535, atol=1e-7)


def test_one_bit(tmp_path):
    save_folder(tmp_path / "a", np.array([[[False, True]]]), ["0.png"])
    np.testing.assert_array_equal(read_clip(tmp_path / "a")[0, ..., 0], [[0, 1]])


def test_float_pictures(tmp_path):
    frames = random_frames(2, 3, 4)
    save_frames(tmp_path / "a.tif", frames)
    np.testing.assert_array_equal(read_clip(tmp_path / "a.tif")[..., 0], frames)


def test_images_of_a_folder_follow_their_numbers(tmp_path):
    names = ["frame2.png", "frame010.png", "Frame1.PNG", "frame11.bmp", "frame9.tif"]
    save_folder(tmp_path / "a", [np.full((2, 3), level, "uint8") for level in (51, 153, 0, 204, 102)], names)
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    (tmp_path / "a" / "._frame2.png").write_text("what macOS leaves beside an image")
    clip = read_clip(tmp_path / "a")
    assert clip.shape == (5, 2, 3, 1)
    np.testing.assert_allclose(clip[:, 0, 0, 0], [0, 0.2, 0.4, 0.6, 0.8], atol=1e-6)


def test_grey_and_colour_images_in_one_folder(tmp_path):
    images = [np.full((2, 2), 51, "uint8"), np.full((2, 2, 3), 102, "uint8")]
    save_folder(tmp_path / "a", images, ["0.png", "1.png"])
    for channels in (1, 3):
        clip = read_clip(tmp_path / "a", channels)
        assert clip.shape == (2, 2, 2, channels)
        np.testing.assert_allclose(clip[:, 0, 0], [[0.2] * channels, [0.4] * channels], atol=1e-6)


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_counting_order_is_that_of_the_numbers(tmp_path_factory, numbers):
    paths = [tmp_path_factory.getbasetemp() / f"frame{number}.png" for number in numbers]
    assert sorted(paths, key=counting_order) == [paths[0].with_name(f"frame{n}.png") for n in sorted(numbers)]


@pytest.mark.parametrize("suffix", MPEG4)
def test_videos(tmp_path, suffix):
    levels = ramps(7)
    save_video(tmp_path / f"a{suffix}", levels)
    for channels in (1, 3):
        clip = read_clip(tmp_path / f"a{suffix}", channels)
        assert clip.dtype == "float32"
        np.testing.assert_allclose(clip, levels[..., :channels] / 255, atol=0.03)


def test_a_video_is_resized(tmp_path):
    save_video(tmp_path / "a.avi", ramps(3))
    clip = read_clip(tmp_path / "a.avi", size=(16, 12))
    expected = ramps(3).reshape(3, 16, 2, 12, 4, 3).mean((2, 4))[..., :1] / 255
    np.testing.assert_allclose(clip, expected, atol=0.03)


def test_videos_need_pyav(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"video")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install 'mslstm_keras\[video\]'"):
        read_clip(tmp_path / "a.mp4")


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


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_shrink_to_the_mean_of_their_pixels(tmp_path, channels):
    frames = random_frames(2, 1, 1, channels).repeat(8, axis=1).repeat(6, axis=2)
    np.save(tmp_path / "a.npy", frames)
    clip = read_clip(tmp_path / "a.npy", channels, size=(4, 2))
    assert clip.shape == (2, 4, 2, channels)
    np.testing.assert_allclose(clip, frames[:, :4, :2], rtol=1e-6)
    np.save(tmp_path / "a.npy", random_frames(1, 64, 64, channels))
    np.testing.assert_allclose(read_clip(tmp_path / "a.npy", channels, size=(2, 2)), 0.5, atol=0.1)


def test_enlarged_frames_stay_within_their_range(tmp_path):
    np.save(tmp_path / "a.npy", random_levels(3, 5, 4) // 128 * 255)
    clip = read_clip(tmp_path / "a.npy", size=(11, 13))
    assert clip.shape == (3, 11, 13, 1)
    assert (clip.min(), clip.max()) == (0, 1)


@pytest.mark.parametrize("size", [(4,), (4, 4, 1), (0, 4), (4, -1), (4.0, 4), ("4", "4")])
def test_sizes_that_are_none(tmp_path, size):
    np.save(tmp_path / "a.npy", random_levels(3, 5, 4))
    for check in (check_size, lambda size: read_clip(tmp_path / "a.npy", size=size)):
        with pytest.raises(ValueError, match=r"`size` must be two positive integers.* Received: size=\("):
            check(size)


# What is not read


@pytest.mark.parametrize("name", ["a.npy", "a.gif", "frames/", "a.xyz", "a.h5", "a.mp4"])
def test_a_missing_file(tmp_path, name):
    with pytest.raises(ValueError, match=r"`.*/\w+(\.\w+)?` must be a clip .* No such file or directory"):
        read_clip(f"{tmp_path}/{name}")


def test_another_suffix(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"video")
    with pytest.raises(ValueError, match=r"`path` must be a folder .* \.npy, .*\.gif.* Received: .*a\.txt"):
        read_clip(tmp_path / "a.txt")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".gif", ".webp", ".tif", ".h5"])
@pytest.mark.parametrize("content", [b"", b"no clip at all" * 9])
def test_a_file_of_another_kind(tmp_path, suffix, content):
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"a\{suffix}` must be a clip that can be read. Received: damaged, "
    ):
        read_clip(tmp_path / f"a{suffix}")


def whole_files(folder):
    levels = random_levels(4, 12, 10)
    levels[:, :6] = 0
    np.save(folder / "a.npy", levels)
    np.savez_compressed(folder / "a.npz", clip=levels)
    save_frames(folder / "a.gif", levels)
    save_frames(folder / "a.webp", levels, lossless=True)
    save_frames(folder / "a.tif", levels)
    save_frames(folder / "a.tiff", levels, compression="tiff_lzw")
    save_hdf5(folder / "a.h5", clip=levels)
    with h5py.File(folder / "a.hdf5", "w") as file:
        file.create_dataset("clip", data=levels, chunks=(3, 5, 7), compression="gzip", fletcher32=True)
    return [folder / f"a.{kind}" for kind in ("npy", "npz", "gif", "webp", "tif", "tiff", "h5", "hdf5")]


@pytest.mark.filterwarnings("ignore")  # as users run it: a decoder's warning alone stops nothing
def test_a_file_that_is_cut_off(tmp_path):
    for path in whole_files(tmp_path):
        data, clip = path.read_bytes(), read_clip(path)
        for length in range(0, len(data), 7):
            path.write_bytes(data[:length])
            try:
                np.testing.assert_array_equal(read_clip(path), clip)  # nothing that counts is missing
                assert length > len(data) - 16
            except ValueError as error:
                assert f"`{path}` must be a clip that can be read. Received: damaged, cut off" in str(error)


def test_damaged_bytes_raise_nothing_else(tmp_path):
    rng = np.random.default_rng(0)
    refused = 0
    for path in whole_files(tmp_path):
        data = path.read_bytes()
        for _ in range(30):
            damaged = bytearray(data)
            # not where sizes stand: gigabytes would be asked for
            for place in rng.integers(30, min(len(data), 600), 3):
                damaged[place] = rng.integers(0, 256)
            path.write_bytes(damaged)
            try:
                clip = read_clip(path)
                assert clip.ndim == 4
                assert 0 <= clip.min() <= clip.max() <= 1
            except ValueError as error:
                assert str(path) in str(error)
                refused += 1
    assert refused > 30


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4), "float32"), r"must be \(time, height, width\) or .* Received: shape \(4, 4\)"),
        (np.zeros((1, 2, 3, 4, 1), "float32"), r"must be .* Received: shape \(1, 2, 3, 4, 1\)"),
        (np.zeros((0, 4, 4), "float32"), r"must not be empty. Received: shape \(0, 4, 4, 1\)"),
        (np.zeros((2, 4, 4), "int64"), r"must hold uint8 or floats in \[0, 1\]. Received: dtype int64"),
        (np.zeros((2, 4, 4), "uint16"), "must hold uint8 or floats .* Received: dtype uint16"),
        (np.zeros((2, 4, 4), "bool"), "must hold uint8 or floats .* Received: dtype bool"),
        (np.zeros((2, 4, 4), "complex64"), "must hold uint8 or floats .* Received: dtype complex64"),
        (np.full((2, 4, 4), 255.0), r"must lie in \[0, 1\]. Received: values from 255.0 to 255.0"),
        (np.full((2, 4, 4, 3), 255.0), r"must lie in \[0, 1\]. Received: values from 255.0 to 255.0"),
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
    with pytest.raises(ValueError, match=rf"a\.npz` must hold one array. Received: {count} "):
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


def test_a_video_that_is_cut_off(tmp_path):
    path = tmp_path / "a.avi"
    save_video(path, ramps(5))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ValueError, match=r"a\.avi"):
        read_clip(path)


# Sizes that lie, and sizes that are too large


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


def test_clips_that_are_too_large(tmp_path, monkeypatch):
    levels = ramps(4, 16, 16)
    save_folder(tmp_path / "images", levels, [f"{index}.png" for index in range(4)])
    save_video(tmp_path / "a.avi", levels)
    np.save(tmp_path / "a.npy", levels)
    np.savez(tmp_path / "a.npz", levels)
    save_hdf5(tmp_path / "a.h5", clip=levels)
    for name in ("a.gif", "a.webp", "a.tif"):
        save_frames(tmp_path / name, levels)
    for path in tmp_path.iterdir():
        for most, fits in ((4 * 16 * 16 * 3, True), (4 * 16 * 16 - 1, False)):
            monkeypatch.setattr(clip_files, "MOST_VALUES", most)
            if fits:
                assert read_clip(path).shape == (4, 16, 16, 1)
            else:
                with pytest.raises(ValueError, match=rf"{path.name}` must hold at most {most} values"):
                    read_clip(path)


@pytest.mark.parametrize(("held", "asked"), [(2, 1), (4, 3), (1, 2), (3, 2), (1, 0)])
def test_channels_that_do_not_become_each_other(tmp_path, held, asked):
    np.save(tmp_path / "a.npy", random_frames(2, 3, 3, held))
    with pytest.raises(ValueError, match=rf"`channels` must be .* channels={asked} for {held} in .*a\.npy"):
        read_clip(tmp_path / "a.npy", asked)


def test_a_folder_without_images(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match=r"must hold images \(\.png, .*\). Received: none"):
        read_clip(tmp_path)


def test_a_folder_of_several_sizes(tmp_path):
    save_folder(tmp_path / "a", [np.zeros((4, 4), "uint8"), np.zeros((4, 5), "uint8")], ["0.png", "1.png"])
    with pytest.raises(ValueError, match=r"1\.png` must have frames of one size.* \(4, 5\) after \(4, 4\)"):
        read_clip(tmp_path / "a")


def test_a_folder_with_a_damaged_image(tmp_path):
    save_folder(tmp_path / "a", random_levels(2, 20, 20), ["0.png", "1.png"])
    damaged = tmp_path / "a" / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"1\.png` must be a clip that can be read. Received: damaged"):
        read_clip(tmp_path / "a")


def test_a_folder_with_an_animation(tmp_path):
    (tmp_path / "a").mkdir()
    save_frames(tmp_path / "a" / "0.tif", random_levels(3, 4, 4))
    with pytest.raises(ValueError, match=r"0\.tif` must hold one frame.* Received: 3"):
        read_clip(tmp_path / "a")


def test_whole_numbers_of_unknown_scale(tmp_path):
    Image.fromarray(np.zeros((2, 2), "int32")).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif` .*32-bit integers, whose full scale is unknown"):
        read_clip(tmp_path / "a.tif")


def test_values_of_float_pictures_are_checked(tmp_path):
    save_frames(tmp_path / "a.tif", 3 * random_frames(2, 3, 4) + 1)
    with pytest.raises(ValueError, match=r"a\.tif` must lie in \[0, 1\]"):
        read_clip(tmp_path / "a.tif")


# Checking


def test_frames_that_a_model_takes():
    frames = random_frames(2, 3, 4, 4, 1).astype("float64")
    checked = check_frames(frames)
    assert checked.dtype == "float32"
    np.testing.assert_array_equal(checked, frames.astype("float32"))
    np.testing.assert_array_equal(check_frames([[0.0, 1.0]]), [[0, 1]])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((2, 2), "uint8"), r"must hold floats in \[0, 1\] \(divide by 255\). Received: dtype uint8"),
        (np.zeros((2, 2), "int64"), r"must hold floats in \[0, 1\]. Received: dtype int64"),
        (np.zeros((2, 2), "bool"), r"must hold floats in \[0, 1\]. Received: dtype bool"),
        (np.array(["0.5"]), r"must hold floats in \[0, 1\]. Received: dtype <U3"),
        ([[0.5, None]], r"must hold floats in \[0, 1\]. Received: dtype object"),
        ([[0.5], [0.5, 0.5]], "must be one array. Received: .*inhomogeneous"),
        (np.zeros((0, 4, 4, 1)), r"must not be empty. Received: shape \(0, 4, 4, 1\)"),
        ([0.5, np.nan, np.inf], "must be finite. Received: 2 NaN or infinite of 3 values"),
        ([0.5, -np.inf], "must be finite. Received: 1 NaN or infinite of 2 values"),
        ([0.5, -0.1], r"must lie in \[0, 1\]. Received: values from -0.1 to 0.5"),
        ([0.5, 255.0], r"must lie in \[0, 1\]. Received: values from 0.5 to 255.0"),
        ([0.5, 1.0000001], r"must lie in \[0, 1\]. Received: values from 0.5 to 1.0000001"),
    ],
)
def test_frames_that_a_model_does_not_take(frames, message):
    with pytest.raises(ValueError, match="^`inputs` " + message):
        check_frames(frames, name="inputs")
    with pytest.raises(ValueError, match=r"^`frames` "):
        check_frames(frames)


# Altered files, many


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
