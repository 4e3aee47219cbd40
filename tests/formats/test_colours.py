"""Colours of a scale: recognised, and turned into values."""

import io

import numpy as np
import pytest
from PIL import Image

from mslstm_keras.formats.colours import ColoursSeen, packed, read_colour_scale, to_values
from mslstm_keras.frames.read import read_clip
from tests.support.clip_files import save_folder

RADAR = {
    "#000000": 0.0,
    "#00a0ff": 0.2,
    "#00ff00": 0.4,
    "#ffff00": 0.6,
    "#ffa000": 0.8,
    "#ff0000": 0.9,
    "#a000a0": 1.0,
}
COLOURS = np.array([[int(name[place : place + 2], 16) for place in (1, 3, 5)] for name in RADAR], "uint8")


def field(side=64, seed=0):
    """A smooth field in [0, 1]."""
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(2, 6))
    y, x = np.meshgrid(*[np.linspace(0, 4, side)] * 2, indexing="ij")
    sums = sum(np.sin(a * x + b * y) for a, b in waves.T)
    return (sums - sums.min()) / np.ptp(sums)


def radar(side=64):
    return COLOURS[np.minimum((field(side) * len(COLOURS)).astype(int), len(COLOURS) - 1)]


def rainbow(side=128):
    """A smooth scale of full colours: blue, cyan, green, yellow, red."""
    value = 4 * field(side)[..., None]
    levels = np.clip(2 - np.abs(value - np.array([4, 2, 0])), 0, 1)
    return np.rint(255 * levels).astype("uint8")


def photo(side=64, seed=0):
    """What a camera sees: smooth light, faint colours of all hues, a few strong ones, noise."""
    rng = np.random.default_rng(seed)
    light = 60 + 130 * field(side, seed)[..., None]
    tint = np.stack([field(side, seed + place) for place in (1, 2, 3)], -1) - 0.5
    image = light + 90 * tint + rng.normal(0, 4, (side, side, 3))
    image[:6, :6] = [220, 30, 40]
    image[:6, 6:12] = [30, 60, 210]
    image[6:12, :6] = [240, 220, 30]
    return np.clip(np.rint(image), 0, 255).astype("uint8")


def jpeg(image, quality=75):
    stored = io.BytesIO()
    Image.fromarray(image).save(stored, "JPEG", quality=quality)
    return np.asarray(Image.open(stored))


def indexed(image, colours):
    return np.asarray(Image.fromarray(image).quantize(colours).convert("RGB"))


def are_scale(*images):
    colours = ColoursSeen()
    for image in images:
        colours.add(image)
    return colours.are_scale()


def test_scales_are_recognised():
    assert are_scale(radar())
    assert are_scale(rainbow())
    assert are_scale(jpeg(radar()))
    assert are_scale(jpeg(rainbow()))


def test_colours_of_all_pictures_count():
    parts = [np.full((4, 4, 3), colour, "uint8") for colour in COLOURS]
    assert not any(are_scale(part) for part in parts)
    assert are_scale(*parts)


@pytest.mark.parametrize("seed", range(4))
def test_colours_of_cameras_are_none(seed):
    image = photo(seed=seed)
    for picture in (image, jpeg(image), indexed(image, 256), indexed(image, 32), image[::8, ::8]):
        assert not are_scale(picture)


def test_greys_and_one_hue_are_none():
    grey = np.rint(255 * field()[..., None]).astype("uint8").repeat(3, -1)
    assert not are_scale(grey)
    assert not are_scale(grey[..., :1])
    blue = grey.copy()
    blue[..., 2] = 255
    assert not are_scale(blue)
    assert not are_scale(np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8"))


@pytest.mark.parametrize("palette", [False, True])
def test_a_scale_is_refused_as_grey(tmp_path, palette):
    (tmp_path / "a").mkdir()
    picture = Image.fromarray(radar())
    for name in ("1.png", "2.png"):
        (picture.quantize(16) if palette else picture).save(tmp_path / "a" / name)
    with pytest.raises(
        ValueError, match=r"few strong colours .* no value; give .*`colour_scale`.*`channels=3`"
    ):
        read_clip(tmp_path / "a")
    np.testing.assert_allclose(read_clip(tmp_path / "a", 3)[0], radar() / 255, atol=1e-6)


def test_a_photo_is_brightness_without_a_word(tmp_path):
    save_folder(tmp_path / "a", [photo(seed=seed) for seed in (0, 1)], ["1.png", "2.png"])
    clip = read_clip(tmp_path / "a")
    np.testing.assert_allclose(clip[0, ..., 0], photo() @ [0.299, 0.587, 0.114] / 255, atol=1e-6)


def test_a_grey_palette_is_grey(tmp_path):
    picture = Image.fromarray(np.array([[0, 1, 2, 3]], "uint8"))
    picture.putpalette([9, 9, 9, 200, 200, 200, 30, 30, 30, 255, 255, 255])
    picture.save(tmp_path / "a.png")
    np.testing.assert_allclose(read_clip(tmp_path / "a.png").ravel() * 255, [9, 200, 30, 255], atol=1e-4)


ROWS = [f"{name},{value}" for name, value in RADAR.items()]


@pytest.mark.parametrize(
    "lines",
    [
        ROWS,
        ["colour,value", *ROWS],
        [
            "red,green,blue,value",
            *(f"{r},{g},{b},{v}" for (r, g, b), v in zip(COLOURS, RADAR.values(), strict=True)),
        ],
    ],
    ids=["hexadecimal", "with_names", "levels"],
)
def test_colours_become_values(tmp_path, lines):
    save_folder(tmp_path / "a", [radar(), radar()[::-1]], ["1.png", "2.png"])
    (tmp_path / "scale.csv").write_text("\n".join([*lines, ""]))
    clip = read_clip(tmp_path / "a", colour_scale=tmp_path / "scale.csv")
    expected = np.minimum((field() * len(RADAR)).astype(int), len(RADAR) - 1)
    np.testing.assert_allclose(clip[0, ..., 0], np.array(list(RADAR.values()))[expected], atol=1e-6)
    np.testing.assert_array_equal(clip[1], clip[0, ::-1])
    np.testing.assert_array_equal(read_clip(tmp_path / "a", colour_scale=RADAR), clip)


def test_a_colour_that_means_not_observed(tmp_path):
    save_folder(tmp_path / "a", [radar()], ["1.png"])
    black = np.count_nonzero((radar() == 0).all(-1))
    with pytest.warns(UserWarning, match=rf"`.*a`: {black} of \d+ values are missing and read as 0"):
        clip = read_clip(tmp_path / "a", colour_scale=RADAR | {"#000000": float("nan")})
    np.testing.assert_array_equal(clip, read_clip(tmp_path / "a", colour_scale=RADAR))


def test_values_in_the_units_of_a_scale(tmp_path):
    save_folder(tmp_path / "a", [radar(), radar()[::-1]], ["1.png", "2.png"])
    rates = {colour: 50 * value for colour, value in RADAR.items()}
    clip = read_clip(tmp_path / "a", colour_scale=rates, scale="0:50 mm/h")
    np.testing.assert_allclose(clip, read_clip(tmp_path / "a", colour_scale=RADAR), atol=1e-6)
    with pytest.raises(ValueError, match=r"values in \[0, 1\], or any with a `scale` \(`--range`\)"):
        read_clip(tmp_path / "a", colour_scale=rates)
    with pytest.raises(ValueError, match=r"with finite values or nan. Received: .*inf"):
        read_clip(tmp_path / "a", colour_scale={**rates, "#123456": np.inf}, scale="0:50 mm/h")


def test_a_colour_that_is_not_in_the_table(tmp_path):
    image = radar()
    image[3, 4:6] = [1, 2, 250]
    save_folder(tmp_path / "a", [radar(), image], ["1.png", "2.png"])
    with pytest.raises(ValueError, match=r"2\.png` .* colour scale. Received: #0102fa in 2 pixels"):
        read_clip(tmp_path / "a", colour_scale=RADAR)
    Image.fromarray(radar()).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg` must have no colours but those"):
        read_clip(tmp_path / "a.jpg", colour_scale=RADAR)


def test_what_has_no_colours(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4, 3), "uint8"))
    with pytest.raises(ValueError, match=r"`colour_scale` must come with pictures .*channels=1 for .*a\.npy"):
        read_clip(tmp_path / "a.npy", colour_scale=RADAR)
    Image.fromarray(radar()).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"`colour_scale` must come with .* Received: channels=3"):
        read_clip(tmp_path / "a.png", 3, colour_scale=RADAR)
    with pytest.raises(ValueError, match=r"colours of 8 bits for a colour scale. Received: uint16"):
        to_values(np.zeros((2, 2, 1), "uint16"), read_colour_scale(RADAR), tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold colours and their values. Received: none"),
        ("#ff0000,2", r"must have rows .* values in \[0, 1\], or any with a `scale` .* Received: #ff0000,2"),
        ("#ff00,0.2", "must have rows .* Received: #ff00,0.2"),
        ("1,2,300,0.5", "must have rows .* Received: 1,2,300,0.5"),
        ("#ff0000,0.5\nred,0.2", "must have rows .* Received: red,0.2"),
        ("#ff0000,high", "must have rows .* Received: #ff0000,high"),
        ("#ff0000,0.5\n255,0,0,0.6", "must hold every colour once. Received: #ff0000 twice"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, message):
    (tmp_path / "scale.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"scale\.csv` {message}"):
        read_colour_scale(tmp_path / "scale.csv")


def test_a_table_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"A colour scale must be a CSV file .*scale\.csv: No such file"):
        read_colour_scale(tmp_path / "scale.csv")


def test_numbers_of_colours():
    assert packed(np.array([[1, 2, 3], [255, 0, 0]], "uint8")).tolist() == [0x010203, 0xFF0000]
    assert packed(np.array([[7]], "uint8")).tolist() == [0x070707]
    assert read_colour_scale({"#0000FF": 0.5, (1, 0, 0): 1}) == {0xFF: 0.5, 0x10000: 1.0}
