import numpy as np
import pytest
from PIL import Image, ImageSequence

from mslstm_keras.frames.read import read_clip
from mslstm_keras.frames.write import GIF_COLOURS, write_clip, write_gif
from tests.support.processes import no_file_larger_than


def random_frames(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


def random_levels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


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
    with pytest.raises(
        ValueError, match=r"`path` must end in \.npy, \.gif, \.png, \.nc or \.zarr\. Received: .*\.mp4"
    ):
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


def gif_frames(path):
    with Image.open(path) as image:
        frames, times = [], []
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            times.append(image.info["duration"])
        return np.stack(frames), times, image.info["loop"]


def test_gif_of_grey_images_is_exact(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 9, 12), dtype="uint8")
    write_gif(tmp_path / "a.gif", images, fps=5)
    frames, times, loop = gif_frames(tmp_path / "a.gif")
    np.testing.assert_array_equal(frames, np.repeat(images[..., None], 3, -1))
    assert times == [200] * 4
    assert loop == 0  # for ever


def test_gif_of_colour_images_shares_a_palette(tmp_path):
    ramp = np.linspace(0, 255, 64).astype("uint8")
    images = [np.stack(np.broadcast_arrays(ramp[:, None], ramp[::-1] // (t + 1), 128), -1) for t in range(3)]
    images = np.stack(images).astype("uint8")
    write_gif(tmp_path / "a.gif", images, fps=50)
    frames, times, _ = gif_frames(tmp_path / "a.gif")
    assert np.abs(frames.astype(int) - images).mean() < 6
    assert len(np.unique(frames.reshape(-1, 3), axis=0)) <= 256
    assert times == [20] * 3


@pytest.mark.parametrize("shape", [(5, 4, 4), (5, 4, 4, 3)])
def test_gif_keeps_frames_that_do_not_change(tmp_path, shape):
    images = np.full(shape, 200, "uint8")
    images[-1] = 10
    write_gif(tmp_path / "a.gif", images, fps=4)
    frames, times, _ = gif_frames(tmp_path / "a.gif")
    assert times == [250] * 5
    assert (frames[:4, :-1] == 200).all()
    assert (frames[4] == 10).all()


@pytest.mark.parametrize("colours", [2, 3, 1000])
def test_a_still_colour_clip_stays_still(tmp_path, colours):
    pixels = random_levels(30, 40, 3)
    if colours < 1000:
        pixels = np.array([[0, 0, 0], [255, 255, 255], [200, 30, 30]], "uint8")[:colours][
            pixels[..., 0] % colours
        ]
    clip = np.stack([pixels] * 6) / np.float32(255)
    write_clip(tmp_path / "a.gif", clip, scale=1)
    read = read_clip(tmp_path / "a.gif", 3)
    assert len(read) == 6
    assert np.abs(read - read[:1]).max() <= (0.005 if colours < 1000 else 0.05)
    if colours < 1000:
        np.testing.assert_allclose(read, clip, atol=0.005)


@pytest.mark.parametrize("fps", [0, -1, 0.009, 51, float("nan")])
def test_gif_refuses_a_speed_that_players_do_not_show(tmp_path, fps):
    with pytest.raises(ValueError, match=r"`fps` must lie in \[0.01, 50\].* Received: fps="):
        write_gif(tmp_path / "a.gif", np.zeros((1, 2, 2), "uint8"), fps=fps)
    assert list(tmp_path.iterdir()) == []


def test_the_slowest_gif(tmp_path):
    write_gif(tmp_path / "a.gif", np.zeros((2, 2, 2), "uint8"), fps=0.01)
    assert gif_frames(tmp_path / "a.gif")[1] == [100_000] * 2


def test_what_a_mask_hides_is_written_as_nothing(tmp_path):
    frames = np.ma.masked_less(random_frames(2, 4, 4, 1), 0.5)
    with pytest.warns(UserWarning, match="`frames` has a mask"):
        write_clip(tmp_path / "a.npy", frames)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), frames.filled(0))


def test_numbers_are_written_in_their_units(tmp_path):
    frames = np.array([-0.1, 0, 0.5, 1.2], "float32").reshape(1, 2, 2, 1)
    write_clip(tmp_path / "a.npy", frames, value_scale="100:300 K")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy").ravel(), [100, 100, 200, 300])
    with pytest.raises(ValueError, match="`range` must be LOW:HIGH"):
        write_clip(tmp_path / "b.npy", frames, value_scale="K")


def test_a_gif_of_few_colours_has_no_colour_far_from_its_own(tmp_path):
    """Rare colours are those that people look for: the heaviest rain, the largest error."""
    ramp = np.linspace(0, 255, 64).astype("uint8")
    images = np.zeros((2, 64, 64, 3), "uint8")
    images[0, ..., 1] = ramp  # many pixels of 64 greens
    images[1, 0, :, 0] = ramp[::-1]  # and one row of reds
    sizes = {}
    for colours, most in ((16, 40), (GIF_COLOURS, 1)):
        write_gif(tmp_path / "a.gif", images, fps=4, colours=colours)
        sizes[colours] = (tmp_path / "a.gif").stat().st_size
        with Image.open(tmp_path / "a.gif") as file:
            shown = np.stack([frame.convert("RGB") for frame in ImageSequence.Iterator(file)])
        assert np.abs(shown.astype(int) - images).max() <= most
    assert sizes[16] < sizes[GIF_COLOURS]
    for colours in (1, 256):
        with pytest.raises(
            ValueError, match=rf"`colours` must lie in \[2, 255\]. Received: colours={colours}"
        ):
            write_gif(tmp_path / "b.gif", images, fps=4, colours=colours)
    assert not (tmp_path / "b.gif").exists()
