import numpy as np
import pytest
from PIL import Image

from mslstm_keras.deploy.clips import check_frames, read_clip, write_clip
from tests.processes import no_file_larger_than


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


# What is not read


@pytest.mark.parametrize("name", ["a.npy", "a.gif", "frames/", "a.xyz"])
def test_a_missing_file(tmp_path, name):
    with pytest.raises(ValueError, match=r"`.*/\w+(\.\w+)?` must be a clip .* No such file or directory"):
        read_clip(f"{tmp_path}/{name}")


def test_another_suffix(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"video")
    with pytest.raises(ValueError, match=r"`path` must be a folder .* \.npy, .*\.gif.* Received: .*a\.mp4"):
        read_clip(tmp_path / "a.mp4")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".gif", ".webp", ".tif"])
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
    return [folder / f"a.{kind}" for kind in ("npy", "npz", "gif", "webp", "tif", "tiff")]


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
        (np.full((2, 4, 4), None), "must be a clip that can be read. .*Object arrays cannot be loaded"),
    ],
)
def test_arrays_that_are_no_clip(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=r"a\.npy` " + message):
        read_clip(tmp_path / "a.npy")


@pytest.mark.parametrize("count", [0, 2])
def test_an_archive_of_other_than_one_array(tmp_path, count):
    np.savez(tmp_path / "a.npz", **{f"clip_{index}": np.zeros((2, 2, 2)) for index in range(count)})
    with pytest.raises(ValueError, match=rf"a\.npz` must hold one array. Received: {count} "):
        read_clip(tmp_path / "a.npz")


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


# Writing


def test_numbers_are_written_as_they_are(tmp_path):
    frames = 3 * random_frames(3, 4, 5, 2) - 1
    write_clip(tmp_path / "a.npy", frames.astype("float64"))
    written = np.load(tmp_path / "a.npy")
    assert written.dtype == "float32"
    np.testing.assert_array_equal(written, frames)


@pytest.mark.parametrize(("channels", "tolerance"), [(1, 0.5 / 255 + 1e-6), (3, 0.15)])
def test_a_gif_comes_back(tmp_path, channels, tolerance):
    frames = np.linspace(0, 1, 5 * 6 * 7 * channels, dtype="float32").reshape(5, 6, 7, channels)
    write_clip(tmp_path / "a.gif", frames, scale=1)
    np.testing.assert_allclose(read_clip(tmp_path / "a.gif", channels), frames, atol=tolerance)


def test_pictures_are_clipped(tmp_path):
    write_clip(tmp_path / "a.gif", np.array([-2, 3], "float32").reshape(1, 1, 2, 1), scale=1)
    np.testing.assert_array_equal(read_clip(tmp_path / "a.gif").ravel(), [0, 1])


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        ((64, 64), None, (256, 256)),
        ((50, 200), None, (300, 1200)),
        ((300, 300), None, (300, 300)),
        ((8, 6), 3, (24, 18)),
    ],
)
def test_small_gifs_are_enlarged_by_whole_squares(tmp_path, size, scale, expected):
    frames = random_frames(2, *size, 1)
    write_clip(tmp_path / "a.gif", frames, scale=scale)
    clip = read_clip(tmp_path / "a.gif")
    assert clip.shape == (2, *expected, 1)
    factor = expected[0] // size[0]
    np.testing.assert_allclose(clip[:, ::factor, ::factor], frames, atol=0.01)
    np.testing.assert_allclose(clip[:, factor - 1 :: factor, factor - 1 :: factor], frames, atol=0.01)


@pytest.mark.parametrize(("fps", "milliseconds"), [(5, 200), (4, 250), (50, 20), (0.5, 2000), (12, 80)])
def test_frames_per_second(tmp_path, fps, milliseconds):
    write_clip(tmp_path / "a.gif", random_frames(2, 4, 4, 1), fps=fps)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info["duration"] == milliseconds


@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_strip(tmp_path, channels):
    levels = random_levels(13, 3, 4, channels)
    write_clip(tmp_path / "a.png", levels / np.float32(255), scale=2)
    with Image.open(tmp_path / "a.png") as image:
        strip = np.asarray(image.convert("RGB"))
    assert strip.shape == (2 * 6 + 4, 10 * (8 + 4) - 4, 3)
    np.testing.assert_array_equal(strip[0:6:2, 12:20:2], np.broadcast_to(levels[1], (3, 4, 3)))
    np.testing.assert_array_equal(strip[11:16:2, 25:32:2], np.broadcast_to(levels[12], (3, 4, 3)))
    assert (strip[6:10] == 255).all()
    assert (strip[:, 8:12] == 255).all()
    assert (strip[10:, 36:] == 255).all()


def test_a_film_strip_fills_a_page(tmp_path):
    write_clip(tmp_path / "a.png", random_frames(10, 64, 64, 1))
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (10 * 128 + 9 * 4, 128)


def test_a_suffix_that_is_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must end in \.npy, \.gif or \.png. Received: .*a\.mp4"):
        write_clip(tmp_path / "a.mp4", random_frames(2, 4, 4, 1))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((4, 4, 1), "float32"), r"Received: shape \(4, 4, 1\), dtype float32"),
        (np.zeros((0, 4, 4, 1), "float32"), r"Received: shape \(0, 4, 4, 1\), dtype float32"),
        (np.zeros((2, 4, 4, 1), "uint8"), r"Received: shape \(2, 4, 4, 1\), dtype uint8"),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".gif", ".png"])
def test_frames_that_are_not_written(tmp_path, suffix, frames, message):
    with pytest.raises(
        ValueError, match=r"`frames` must be floats \(time, height, width, channels\).* " + message
    ):
        write_clip(tmp_path / f"a{suffix}", frames)


@pytest.mark.parametrize("suffix", [".gif", ".png"])
@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (np.zeros((2, 4, 4, 2)), {}, r"`frames` must have 1 or 3 channels .* Received: shape \(2, 4, 4, 2\)"),
        (np.full((2, 4, 4, 1), np.nan), {}, "`frames` must be finite to be drawn. Received: NaN"),
        (np.zeros((2, 4, 4, 1)), {"scale": 0}, "`scale` must be a whole number .* Received: scale=0"),
        (np.zeros((2, 4, 4, 1)), {"scale": 1.5}, "`scale` must be a whole number .* Received: scale=1.5"),
    ],
)
def test_pictures_that_are_not_drawn(tmp_path, suffix, frames, options, message):
    with pytest.raises(ValueError, match=message):
        write_clip(tmp_path / f"a{suffix}", frames, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".npy", ".gif", ".png"])
def test_a_full_disk_leaves_what_was_there(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text("old")
    with no_file_larger_than(500), pytest.raises(OSError):
        write_clip(path, random_frames(6, 32, 32, 1))
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


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
