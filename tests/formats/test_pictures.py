"""Pictures of every kind and depth."""

import bz2
import contextlib
import gzip
import lzma
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from mslstm_keras.formats.pictures import bare_name, read_pictures, unpacked_suffix
from mslstm_keras.frames.read import data_range, read_clip
from tests.support.clip_files import random_frames, random_levels, save_folder, save_frames


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
    with pytest.warns(UserWarning, match="transparent"):
        clip = read_clip(tmp_path / "a")
    np.testing.assert_allclose(clip[0, ..., 0], [[0, 1], [1, 1]], atol=1e-6)


def test_transparent_pictures_are_told_of_once(tmp_path):
    ink = np.zeros((3, 4, 5, 4), "uint8")
    ink[:, 0, :, 3] = 255  # black ink on nothing
    ink[2, ..., 3] = 255
    save_folder(tmp_path / "a", ink, ["0.png", "1.png", "2.png"])
    with pytest.warns(UserWarning) as warned:
        read_clip(tmp_path / "a")
    assert [str(each.message) for each in warned] == [
        f"`{tmp_path / 'a'}`: 30 of 60 pixels (50.00%) are transparent, wholly or partly, in 2 of 3 pictures, and "
        "stand on black"
    ]
    assert warned[0].filename == __file__
    save_folder(tmp_path / "b", ink[2:], ["2.png"])
    read_clip(tmp_path / "b")


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


def test_whole_numbers_of_unknown_scale(tmp_path):
    Image.fromarray(np.zeros((2, 2), "int32")).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif` .*32-bit integers, whose full scale is unknown"):
        read_clip(tmp_path / "a.tif")


def test_values_of_float_pictures_are_checked(tmp_path):
    save_frames(tmp_path / "a.tif", 3 * random_frames(2, 3, 4) + 1)
    with pytest.raises(ValueError, match=r"a\.tif` must lie in \[0, 1\]"):
        read_clip(tmp_path / "a.tif")


# Kinds

LEVELS = np.array([[0, 60], [120, 240]], "uint8").repeat(8, 0).repeat(8, 1)
GREY = (
    "png",
    "apng",
    "jpg",
    "jpe",
    "jfif",
    "bmp",
    "dib",
    "gif",
    "webp",
    "tif",
    "pgm",
    "jp2",
    "tga",
    "pcx",
    "sgi",
    "ico",
)
COLOUR = ("ppm", "qoi", "avif", "dds", "mpo")


@pytest.mark.parametrize("suffix", GREY + COLOUR)
def test_every_kind_of_picture_is_known_by_its_content(tmp_path, suffix):
    picture = Image.fromarray(LEVELS)
    (picture.convert("RGB") if suffix in COLOUR else picture).save(tmp_path / f"a.{suffix}")
    clip = read_clip(tmp_path / f"a.{suffix}")
    assert clip.shape == (1, 16, 16, 1)
    np.testing.assert_allclose(clip[0, ..., 0], LEVELS / 255, atol=0.03)
    if suffix != "tga":  # has no mark of its own
        (tmp_path / "b").mkdir()
        (tmp_path / f"a.{suffix}").rename(tmp_path / "b" / "1.picture")
        np.testing.assert_array_equal(read_clip(tmp_path / "b"), clip)


@pytest.mark.parametrize(("suffix", "packer"), [(".gz", gzip), (".bz2", bz2), (".xz", lzma)])
def test_compressed_pictures(tmp_path, suffix, packer):
    save_folder(tmp_path / "a", [LEVELS, LEVELS.T], ["1.png", "2.png"])
    packed = tmp_path / "a" / f"2.png{suffix}"
    packed.write_bytes(packer.compress((tmp_path / "a" / "2.png").read_bytes()))
    (tmp_path / "a" / "2.png").unlink()
    np.testing.assert_allclose(read_clip(tmp_path / "a")[1, ..., 0], LEVELS.T / 255, atol=1e-6)
    np.testing.assert_allclose(read_clip(packed)[0, ..., 0], LEVELS.T / 255, atol=1e-6)
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(
        ValueError, match=rf"2\.png{suffix}` must be a clip that can be read. Received: damaged"
    ):
        read_clip(packed)


def test_names_without_suffixes(tmp_path):
    assert [bare_name(tmp_path / name) for name in ("t1.25.png", "t1.25", "a.jp2.gz", "a.b")] == [
        "t1.25",
        "t1.25",
        "a",
        "a.b",
    ]
    assert unpacked_suffix(tmp_path / "a.PNG.gz") == ".png"


def test_raw_pictures_of_cameras(tmp_path):
    Image.fromarray(LEVELS).save(tmp_path / "a.tif")
    (tmp_path / "b").mkdir()
    (tmp_path / "a.tif").rename(tmp_path / "b" / "1.nef")
    with pytest.raises(ValueError, match=r"1\.nef` .* raw picture of a camera"):
        read_clip(tmp_path / "b")


# Orientation


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize(
    ("number", "upright"),
    [
        (1, lambda levels: levels),
        (2, np.fliplr),
        (3, lambda levels: np.rot90(levels, 2)),
        (4, np.flipud),
        (5, np.transpose),
        (6, lambda levels: np.rot90(levels, -1)),
        (7, lambda levels: np.rot90(levels, 2).T),
        (8, np.rot90),
    ],
)
def test_pictures_stand_upright(tmp_path, suffix, number, upright):
    levels = np.array([[0, 90], [180, 250], [40, 130]], "uint8").repeat(16, 0).repeat(16, 1)
    exif = Image.Exif()
    exif[0x0112] = number
    Image.fromarray(levels).convert("RGB").save(tmp_path / f"a.{suffix}", exif=exif, quality=95)
    np.testing.assert_allclose(
        read_clip(tmp_path / f"a.{suffix}")[0, ..., 0], upright(levels) / 255, atol=0.06
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_deep_tiffs_stand_upright(tmp_path, dtype):
    full = 1 if dtype == "float32" else np.iinfo(dtype).max
    levels = np.array([[0, full, full], [0, 0, full]], dtype)
    save_tiff(tmp_path / "a.tif", levels, {274: 6})
    np.testing.assert_array_equal(read_clip(tmp_path / "a.tif")[0, ..., 0] * full, np.rot90(levels, -1))


# Previews, thumbnails and masks


def save_tiff(path, pixels, tags, *others):
    """Writes a TIFF of some pages, each (pixels, tags)."""
    pages = []
    for page, numbers in ((pixels, tags), *others):
        directory = ImageFileDirectory_v2()
        for number, value in numbers.items():
            if isinstance(value, str):
                directory.tagtype[number] = 2
            directory[number] = value
        picture = Image.fromarray(page)
        picture.encoderinfo = {"tiffinfo": directory}
        pages.append(picture)
    pages[0].save(path, save_all=True, append_images=pages[1:], **pages[0].encoderinfo)


def test_the_preview_of_a_camera_is_no_frame(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("1.jpg", "2.jpg"):
        first, second = Image.fromarray(LEVELS), Image.fromarray(255 - LEVELS)
        first.save(tmp_path / "a" / name, "MPO", save_all=True, append_images=[second])
    clip = read_clip(tmp_path / "a")
    assert clip.shape == (2, 16, 16, 1)
    np.testing.assert_allclose(clip[1, ..., 0], LEVELS / 255, atol=0.03)


@pytest.mark.parametrize("first", [False, True])
def test_overviews_are_no_frames(tmp_path, first):
    small, large = (LEVELS[::2, ::2], {254: 1}), (LEVELS, {254: 0})
    one, other = (small, large) if first else (large, small)
    save_tiff(tmp_path / "a.tif", *one, other, other if not first else small)
    clip = read_clip(tmp_path / "a.tif")
    assert clip.shape == (1, 16, 16, 1)
    np.testing.assert_allclose(clip[0, ..., 0], LEVELS / 255, atol=1e-6)


def test_a_file_of_thumbnails_alone(tmp_path):
    save_tiff(tmp_path / "a.tif", LEVELS, {254: 1})
    with pytest.raises(ValueError, match=r"a\.tif` .*nothing but thumbnails"):
        read_clip(tmp_path / "a.tif")


def test_pages_of_several_sizes(tmp_path):
    save_tiff(tmp_path / "a.tif", LEVELS, {}, (LEVELS[::2, ::2], {}))
    with pytest.raises(ValueError, match=r"a\.tif` must have frames of one size.* \(8, 8\) after \(16, 16\)"):
        read_clip(tmp_path / "a.tif")


@pytest.mark.parametrize("meaning", [1, 4])
def test_masks_mark_what_is_missing(tmp_path, meaning):
    seen = np.ones((16, 16), bool)
    seen[:3] = False
    save_tiff(tmp_path / "a.tif", LEVELS, {}, (seen, {254: 4}))
    content = (tmp_path / "a.tif").read_bytes()
    place = content.rindex(struct.pack("<HHI", 262, 3, 1)) + 8
    (tmp_path / "a.tif").write_bytes(content[:place] + struct.pack("<H", meaning) + content[place + 2 :])
    (pixels,) = read_pictures(tmp_path / "a.tif")
    assert pixels.dtype == "float32"
    np.testing.assert_array_equal(np.isnan(pixels[..., 0]), ~seen)
    with pytest.warns(UserWarning, match=r"a\.tif`: 48 of 256 values are missing and read as 0"):
        clip = read_clip(tmp_path / "a.tif")
    np.testing.assert_allclose(clip[0, ..., 0], LEVELS / 255 * seen, atol=1e-6)


def test_the_still_of_an_apng_is_no_frame(tmp_path):
    frames = [Image.fromarray(np.full((4, 4), level, "uint8")) for level in (10, 50, 90)]
    for still in (False, True):
        frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], default_image=still)
        clip = read_clip(tmp_path / "a.png")
        np.testing.assert_allclose(clip[:, 0, 0, 0] * 255, [10, 50, 90][still:], atol=1e-4)


# Stacks


def save_stack(path, pages, description):
    """Writes a TIFF of grey pages, of which the first has a description."""
    save_tiff(path, random_levels(4, 5), {270: description}, *[(random_levels(4, 5), {})] * (pages - 1))


def ome(channels, slices, frames, *, uuid=""):
    sizes = f'SizeC="{channels}" SizeZ="{slices}" SizeT="{frames}"'
    data = "".join(f"<TiffData><UUID FileName='a'>urn:uuid:{each}</UUID></TiffData>" for each in uuid)
    return (
        f'<?xml version="1.0"?><OME><Image><Pixels {sizes} SizeX="5" SizeY="4">{data}</Pixels></Image></OME>'
    )


TWO_CHANNELS = {
    "ImageJ": ("ImageJ=1.11a\nimages=6\nchannels=2\nframes=3\n", "2 channels x 3 frames"),
    "ImageJ, slices": ("ImageJ=1.54f\nimages=6\nslices=2\nframes=3\n", "2 slices x 3 frames"),
    "OME": (ome(2, 1, 3), "2 channels x 3 frames"),
    "OME, slices": (ome(1, 2, 3), "2 slices x 3 frames"),
    "tifffile": ('{"shape": [3, 2, 4, 5], "axes": "TCYX"}', "3 frames x 2 channels"),
    "tifffile without names": ('{"shape": [3, 2, 4, 5]}', "3 pictures x 2 pictures"),
}


@pytest.mark.parametrize("case", TWO_CHANNELS)
def test_channels_and_slices_are_no_frames(tmp_path, case):
    description, found = TWO_CHANNELS[case]
    save_stack(tmp_path / "a.tif", 6, description)
    with pytest.raises(
        ValueError, match=rf"a\.tif` must hold one picture for each time\. Received: {found}, as"
    ):
        read_clip(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "description",
    [
        "ImageJ=1.54f\nimages=6\nframes=6\n",
        "ImageJ=1.54f\nunit=um\n",
        ome(1, 1, 6),
        ome(1, 1, 12, uuid="ab"),  # the other half is in another file
        '{"shape": [6, 4, 5]}',
        '{"shape": [6, 1, 4, 5, 1], "axes": "TCYXS"}',
        # Not understood, or of another picture
        '{"shape": [2, 3, 7, 5]}',
        '{"shape": [2, "3", 4, 5]}',
        '{"shape": ' + "[" * 100_000,
        "<OME><Pixels SizeC='x'",
        "ImageJ=1.54f\nchannels=two\n",
        "a film of 6 channels",
    ],
)
def test_stacks_in_time(tmp_path, description):
    save_stack(tmp_path / "a.tif", 6, description)
    assert read_clip(tmp_path / "a.tif").shape == (6, 4, 5, 1)


@pytest.mark.parametrize(
    ("description", "named"),
    [
        ("ImageJ=1.54f\nimages=6\nslices=6\n", r"6 slices, .*ImageJ"),
        (ome(6, 1, 1), r"6 channels, .*OME-XML"),
        ('{"shape": [6, 4, 5], "axes": "ZYX"}', r"6 slices, .*tifffile"),
    ],
)
def test_one_axis_of_another_name_is_taken_for_time(tmp_path, description, named):
    save_stack(tmp_path / "a.tif", 6, description)
    with pytest.warns(UserWarning, match=rf"a\.tif`: its {named}\) says, are read as frames in time$"):
        assert len(read_clip(tmp_path / "a.tif")) == 6


def test_colours_are_no_channels_of_a_stack(tmp_path):
    for description in (ome(3, 1, 2), '{"shape": [2, 4, 5, 3]}'):
        levels = random_levels(2, 4, 5, 3)
        save_tiff(tmp_path / "a.tif", levels[0], {270: description}, (levels[1], {}))
        np.testing.assert_allclose(read_clip(tmp_path / "a.tif", 3), levels / 255, atol=1e-6)


@pytest.mark.parametrize(
    "description", ["ImageJ=1.54f\nimages=10\nframes=10\n", ome(1, 1, 10), '{"shape": [10, 4, 5]}']
)
def test_pictures_without_a_page(tmp_path, description):
    save_stack(tmp_path / "a.tif", 2, description)
    with pytest.raises(
        ValueError,
        match=r"a\.tif` must have a page for every picture\. Received: pages: 2, pictures: 10, as its",
    ):
        read_clip(tmp_path / "a.tif")


def test_more_pages_than_pictures(tmp_path):
    save_stack(tmp_path / "a.tif", 3, '{"shape": [2, 4, 5]}')
    with pytest.warns(UserWarning, match=r"a\.tif`: all of its 3 pages are read, though it has 2, as its"):
        assert len(read_clip(tmp_path / "a.tif")) == 3


def test_pages_that_are_described_one_by_one(tmp_path):
    pages = [(random_levels(4, 5), {270: '{"shape": [4, 5]}'})] * 3
    save_tiff(tmp_path / "a.tif", *pages[0], *pages[1:])
    assert len(read_clip(tmp_path / "a.tif")) == 3


def test_pages_that_are_volumes(tmp_path):
    save_tiff(tmp_path / "a.tif", random_levels(4, 5), {32997: 3})
    with pytest.raises(ValueError, match=r"a\.tif` .*pages that are volumes"):
        read_clip(tmp_path / "a.tif")


def test_bands_without_a_meaning_are_told_of(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("0.tif", "1.tif"):
        levels = random_levels(4, 5, 4)
        save_tiff(tmp_path / "a" / name, levels, {})
        patched(tmp_path / "a" / name, 338, 0)
        with pytest.warns(
            UserWarning,
            match=r"a`: bands that are neither .* are left out, 1 of each picture( \(2 pictures\))?$",
        ) as warned:
            clip = read_clip(tmp_path / "a", 3)
        np.testing.assert_allclose(clip[-1], levels[..., :3] / 255, atol=1e-6)
    assert len(warned) == 1


# What is missing, and how values are stored


@pytest.mark.parametrize(
    ("pixels", "mark", "missing"),
    [
        (np.array([[40, 255]], "uint8"), "255", [False, True]),
        (np.array([[40, 255]], "uint8"), "-9999", [False, False]),
        (np.array([[40, 255]], "uint8"), "255.0", [False, True]),
        (np.array([[4000, 65535]], "uint16"), "65535", [False, True]),
        (np.array([[0.5, -9999]], "float32"), "-9999", [False, True]),
        (np.array([[0.5, np.nan]], "float32"), "nan", [False, True]),
        (np.array([[0.5, np.nan]], "float32"), "-1", [False, True]),
        (np.array([[0.5, -3.4e38]], "float32"), "-3.4e38", [False, True]),
        (np.array([[0.5, np.finfo("float32").min]], "float32"), "-3.40282346638529e+38", [False, True]),
        (np.array([[0.5, 0.1]], "float32"), "0.1", [False, True]),
        (np.array([[[9, 8, 7], [0, 0, 0]]], "uint8"), "0", [False, True]),
        (np.array([[[9, 0, 7], [1, 1, 1]]], "uint8"), "0", [False, False]),
    ],
)
def test_pixels_without_data(tmp_path, pixels, mark, missing):
    save_tiff(tmp_path / "a.tif", pixels, {42113: mark})
    (read,) = read_pictures(tmp_path / "a.tif")
    assert np.isnan(read.astype(float)).any(-1).tolist() == [missing]
    full = 1 if pixels.dtype == "float32" else np.iinfo(pixels.dtype).max
    stored = pixels.reshape(1, 2, -1)[:, :1] / np.float32(full)
    np.testing.assert_allclose(read[:, :1] / (1 if read.dtype == "float32" else full), stored, rtol=1e-6)


def test_missing_pixels_are_0_with_one_warning(tmp_path):
    (tmp_path / "a").mkdir()
    for index, count in enumerate((0, 2, 1)):
        pixels = np.full((2, 3), 51, "uint8")
        pixels[0, :count] = 255
        save_tiff(tmp_path / "a" / f"{index}.tif", pixels, {42113: "255"})
    with pytest.warns(UserWarning) as warned:
        clip = read_clip(tmp_path / "a")
    assert [str(each.message) for each in warned] == [
        f"`{tmp_path / 'a'}`: 3 of 18 values are missing and read as 0"
    ]
    np.testing.assert_allclose(clip[1, ..., 0], [[0, 0, 0.2], [0.2, 0.2, 0.2]], atol=1e-6)


SCALE = (
    '<GDALMetadata>\n  <Item name="OFFSET" sample="0" role="offset">{}</Item>\n'
    '  <Item name="SCALE" sample="0" role="scale">{}</Item>\n  <Item name="UNITS">mm</Item>\n</GDALMetadata>'
)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_scale_and_offset_are_applied(tmp_path, dtype):
    save_tiff(
        tmp_path / "a.tif", np.array([[100, 0, 7]], dtype), {42112: SCALE.format(0.1, 0.005), 42113: "7"}
    )
    (pixels,) = read_pictures(tmp_path / "a.tif")
    np.testing.assert_allclose(pixels.ravel(), [0.6, 0.1, np.nan], rtol=1e-6)


def test_scales_that_are_refused(tmp_path):
    save_tiff(tmp_path / "a.tif", np.array([[100, 0]], "uint8"), {42112: SCALE.format(0, 0.1)})
    with pytest.raises(
        ValueError, match=r"a\.tif` must lie in \[0, 1\] unless .* Received: values from 0 to 10$"
    ):
        read_clip(tmp_path / "a.tif")
    save_tiff(tmp_path / "a.tif", np.zeros((2, 2, 3), "uint8"), {42112: SCALE.format(0, 0.1)})
    with pytest.raises(ValueError, match=r"a\.tif` .*a scale and an offset of colours"):
        read_clip(tmp_path / "a.tif")
    save_tiff(tmp_path / "a.tif", np.full((2, 2), 9, "uint8"), {42112: SCALE.format(0, 1)})
    np.testing.assert_allclose(read_clip(tmp_path / "a.tif"), 9 / 255, rtol=1e-6)


def patched(path, tag, value, kind=3):
    """Changes a number, a short one (3) or a long one (4), in the first directory of a TIFF."""
    content = path.read_bytes()
    place = content.index(struct.pack("<HHI", tag, kind, 1)) + 8
    path.write_bytes(content[:place] + struct.pack("<H", value) + content[place + 2 :])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_tiffs_of_which_0_is_white(tmp_path, dtype):
    full = np.iinfo(dtype).max
    save_tiff(tmp_path / "a.tif", np.array([[0, full // 5, full]], dtype), {42113: str(full)})
    patched(tmp_path / "a.tif", 262, 0)
    (pixels,) = read_pictures(tmp_path / "a.tif")
    np.testing.assert_allclose(pixels.ravel(), [1, 0.8, np.nan], rtol=1e-6)
    with pytest.raises(ValueError, match="0 is white, so that a scale may be of the numbers or of the"):
        read_clip(tmp_path / "a.tif", scale="0:100")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_scale_takes_levels_as_they_stand_beside_missing_ones(tmp_path, dtype):
    (tmp_path / "d").mkdir()
    levels = np.full((2, 4, 4), 50, dtype)
    levels[1, 0, 0] = 7
    for index, picture in enumerate(levels):
        save_tiff(tmp_path / "d" / f"{index}.tif", picture, {42113: "7"})
    clip = read_clip(tmp_path / "d", scale="0:100", fill=np.nan)
    np.testing.assert_array_equal(clip[..., 0], np.where(levels == 7, np.nan, np.float32(0.5)))
    assert data_range(tmp_path / "d") == (50, 50)
    dark = (
        pytest.warns(UserWarning, match="is nearly black") if dtype == "uint16" else contextlib.nullcontext()
    )
    with dark:
        pixels = read_clip(tmp_path / "d", fill=np.nan)
    expected = np.where(levels == 7, np.nan, 50 / np.iinfo(dtype).max)
    np.testing.assert_allclose(pixels[..., 0], expected, rtol=1e-6)


@pytest.mark.parametrize("no_data", [{}, {42113: "7"}])
def test_levels_of_twelve_bits(tmp_path, no_data):
    packed = np.frombuffer(bytes.fromhex("007 032 fff 800".replace(" ", "")), "uint8")[np.newaxis]
    save_tiff(tmp_path / "a.tif", packed, no_data)
    patched(tmp_path / "a.tif", 256, 4, kind=4)
    patched(tmp_path / "a.tif", 258, 12)
    first = np.nan if no_data else 7
    levels = np.array([first, 50, 4095, 2048])
    clip = read_clip(tmp_path / "a.tif", fill=np.nan)
    np.testing.assert_allclose(clip.ravel(), levels / 4095, rtol=1e-6)
    clip = read_clip(tmp_path / "a.tif", scale="0:5000", fill=np.nan)
    np.testing.assert_allclose(clip.ravel(), levels / 5000, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ppm", b"P6 1 1 1023\n" + struct.pack(">3H", 500, 500, 500)),
        (
            "a.sgi",
            struct.pack(">HBBHHHH", 474, 0, 2, 2, 1, 1, 1).ljust(512, b"\0") + struct.pack(">H", 32000),
        ),
        ("a.tif", None),
        ("a.png", None),
    ],
)
def test_levels_that_are_cut_to_8_bits(tmp_path, name, content):
    (tmp_path / "a").mkdir()
    if name == "a.png":
        save_png(tmp_path / "a" / name, 16, 2, struct.pack(">6H", *[32000] * 6))
    elif name == "a.tif":
        save_tiff(tmp_path / "a" / name, np.full((2, 3), 200, "uint8").repeat(2, 1).reshape(2, 2, 3), {})
        content = (tmp_path / "a" / name).read_bytes()
        levels = content.index(struct.pack("<3H", 8, 8, 8))
        content = content[:levels] + struct.pack("<3H", 16, 16, 16) + content[levels + 6 :]
        (tmp_path / "a" / name).write_bytes(content)
        patched(tmp_path / "a" / name, 257, 1, kind=4)
    else:
        (tmp_path / "a" / name).write_bytes(content)
    with pytest.warns(UserWarning, match=r"a`: levels of 1[06] bits are cut to 8$"):
        clip = read_clip(tmp_path / "a")
    assert 0.4 < clip.max() < 0.8
    with pytest.raises(
        ValueError, match=r"1[06] bits a colour, of which 8 can be read, .* grey channel of 16"
    ):
        read_clip(tmp_path / "a", scale="0:65535")


def test_deep_bands_one_behind_the_other(tmp_path):
    save_tiff(tmp_path / "a.tif", np.full((2, 2, 3), 200, "uint8"), {})
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(
        content.replace(struct.pack("<3H", 8, 8, 8), struct.pack("<3H", 16, 16, 16))
    )
    patched(tmp_path / "a.tif", 284, 2)
    with pytest.raises(ValueError, match=r"a\.tif` .*bands of more than 8 bits, one behind the other"):
        read_clip(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("kind", "most", "level"), [("P5", 1023, 500), ("P2", 1023, 500), ("P5", 100, 50), ("P5", 65535, 30000)]
)
def test_a_scale_takes_levels_of_a_pgm_as_they_stand(tmp_path, kind, most, level):
    packed = struct.pack(">H" if most > 255 else ">B", level) if kind == "P5" else f"{level}\n".encode()
    (tmp_path / "a.pgm").write_bytes(f"{kind} 1 1 {most}\n".encode() + packed)
    assert data_range(tmp_path / "a.pgm") == (level, level)
    np.testing.assert_allclose(read_clip(tmp_path / "a.pgm").ravel(), level / most, atol=0.002)


def test_a_scale_takes_levels_of_jpeg_2000_as_they_stand(tmp_path):
    Image.fromarray(np.full((16, 16), 500, "uint16")).save(tmp_path / "a.jp2", irreversible=False)
    content = bytearray((tmp_path / "a.jp2").read_bytes())
    assert data_range(tmp_path / "a.jp2") == (500, 500)
    content[content.index(b"\xff\x4f\xff\x51") + 42] = 11  # 12 bits
    content[content.index(b"ihdr") + 14] = 11
    (tmp_path / "a.jp2").write_bytes(content)
    high = data_range(tmp_path / "a.jp2")[1]
    pixels = read_clip(tmp_path / "a.jp2")
    np.testing.assert_allclose(pixels.max() * 65535 / 16, high, atol=1)


def test_pictures_of_several_depths_in_a_folder(tmp_path):
    images = [np.full((2, 2), 51, "uint8"), np.full((2, 2), 13107, "uint16"), np.full((2, 2), 0.2, "float32")]
    save_folder(tmp_path / "a", images, ["0.png", "1.png", "2.tif"])
    with pytest.warns(
        UserWarning,
        match=r"a`: .* several depths, levels of 8 bits \(0\.png\), levels of 16 bits \(1\.png\), floats \(2\.tif\)",
    ):
        clip = read_clip(tmp_path / "a")
    np.testing.assert_allclose(clip, 0.2, rtol=1e-6)
    save_folder(tmp_path / "b", [images[0] > 9, images[0]], ["0.png", "1.png"])
    read_clip(tmp_path / "b")  # one bit is black and white


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(("white", "told"), [(1023, True), (4095, True), (5000, False), (65535, False)])
def test_levels_of_fewer_bits_than_they_are_stored_in(tmp_path, suffix, white, told):
    levels = np.linspace(0, white, 60).reshape(3, 4, 5).astype("uint16")
    save_folder(tmp_path / "a", levels, [f"{index}.{suffix}" for index in range(3)])
    said = r"a` has levels of 16 bits, of which none is above 1/16 .*--range 0:4095"
    with pytest.warns(UserWarning, match=said) if told else contextlib.nullcontext():
        clip = read_clip(tmp_path / "a")
    np.testing.assert_allclose(clip[..., 0], levels / 65535, rtol=1e-5)
    read_clip(tmp_path / "a", scale=f"0:{white}")  # says nothing


@pytest.mark.parametrize(("dtype", "bits"), [("uint8", 8), ("uint16", 16), ("int32", 32)])
def test_numbers_with_a_sign(tmp_path, dtype, bits):
    save_tiff(tmp_path / "a.tif", np.zeros((2, 2), dtype), {339: 2})
    with pytest.raises(ValueError, match=rf"a\.tif` .*{bits}-bit integers, whose full scale is unknown"):
        read_clip(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32"])
def test_numbers_with_a_sign_are_read_by_a_scale(tmp_path, dtype):
    numbers = np.array([[-100, -25], [0, 100]])
    save_tiff(tmp_path / "a.tif", numbers.astype(dtype), {339: 2})
    np.testing.assert_allclose(
        read_clip(tmp_path / "a.tif", scale="-100:100")[0, ..., 0], (numbers + 100) / 200
    )
    assert data_range(tmp_path / "a.tif") == (-100, 100)


@pytest.mark.parametrize("bits", [16, 64])
def test_floats_that_pillow_does_not_read(tmp_path, bits):
    save_frames(tmp_path / "a.tif", random_frames(1, 8, 8))
    content = (tmp_path / "a.tif").read_bytes()
    said = [struct.pack("<HHII", 258, 3, 1, each) for each in (32, bits)]  # bits of a pixel
    assert content.count(said[0]) == 1
    (tmp_path / "a.tif").write_bytes(content.replace(*said))
    with pytest.raises(
        ValueError, match=r"a\.tif` .*a TIFF that Pillow does not read, .*; save 32-bit floats"
    ):
        read_clip(tmp_path / "a.tif")


def test_big_endian_pictures(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 1023\n" + struct.pack(">HH", 0, 1023))
    np.testing.assert_array_equal(read_clip(tmp_path / "a.pgm").ravel(), [0, 1])
    Image.fromarray(np.array([[0, 13107]], ">u2")).save(tmp_path / "a.tif")
    np.testing.assert_allclose(read_clip(tmp_path / "a.tif").ravel(), [0, 0.2], rtol=1e-6)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LA", "RGBA", "P", "RGB"])
def test_grey_in_every_model_of_colours(tmp_path, mode):
    picture = Image.fromarray(np.full((4, 4), 102, "uint8")).convert("RGB").convert(mode)
    # Packed, as before its version 13 Pillow writes YCbCr plainly without saying how densely it is sampled.
    picture.save(tmp_path / "a.tif", compression="tiff_lzw")
    np.testing.assert_allclose(read_clip(tmp_path / "a.tif"), 0.4, atol=0.005)


def test_cielab(tmp_path):
    profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    change = ImageCms.buildTransform(*profiles, "RGB", "LAB")
    ImageCms.applyTransform(Image.new("RGB", (4, 4)), change).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif` .*colours of CIELAB"):
        read_clip(tmp_path / "a.tif")


# Transparency


def save_png(path, bits, kind, row, clear=b""):
    """Writes a PNG of one row of two pixels, of which one level or colour may be transparent."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 2, 1, bits, kind, 0, 0, 0)
    parts = [
        (b"IHDR", header),
        *[(b"tRNS", clear)] * bool(clear),
        (b"IDAT", zlib.compress(b"\0" + row)),
        (b"IEND", b""),
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


@pytest.mark.parametrize(
    ("bits", "kind", "row", "clear", "expected"),
    [
        (1, 0, b"\x40", [1], [0, 0]),
        (1, 0, b"\x40", [0], [0, 1]),
        (2, 0, b"\x70", [3], [1 / 3, 0]),
        (4, 0, b"\x3f", [15], [0.2, 0]),
        (8, 0, b"\x33\xc8", [200], [0.2, 0]),
        (16, 0, struct.pack(">HH", 13107, 30000), [30000], [0.2, 0]),
        (8, 2, bytes([51] * 3 + [200] * 3), [200] * 3, [0.2, 0]),
    ],
)
def test_a_level_that_is_transparent(tmp_path, bits, kind, row, clear, expected):
    save_png(tmp_path / "a.png", bits, kind, row, struct.pack(f">{len(clear)}H", *clear))
    with pytest.warns(UserWarning, match=r"a\.png`: 1 of 2 pixels \(50\.00%\) are transparent"):
        clip = read_clip(tmp_path / "a.png")
    np.testing.assert_allclose(clip.ravel(), expected, atol=1e-6)


def test_a_deep_colour_that_is_transparent(tmp_path):
    row = struct.pack(">6H", *[13107] * 3, *[30000] * 3)
    save_png(tmp_path / "a.png", 16, 2, row, struct.pack(">3H", *[30000] * 3))
    with pytest.warns(UserWarning) as warned:
        clip = read_clip(tmp_path / "a.png")
    np.testing.assert_allclose(clip.ravel(), [0.2, 0], atol=1e-6)
    cut, clear = [str(each.message) for each in warned]
    assert cut.endswith("a.png`: levels of 16 bits are cut to 8") and "1 of 2 pixels" in clear


def test_palettes_and_animations_that_are_transparent(tmp_path):
    picture = Image.fromarray(np.array([[0, 1]], "uint8"))
    picture.putpalette([51, 51, 51, 200, 200, 200])
    for name in ("a.png", "a.gif"):
        picture.save(tmp_path / name, transparency=1)
    grey = Image.fromarray(np.array([[51, 200]], "uint8"))
    grey.save(tmp_path / "b.gif", transparency=200)
    for name in ("a.png", "a.gif", "b.gif"):
        with pytest.warns(UserWarning, match="1 of 2 pixels"):
            clip = read_clip(tmp_path / name)
        np.testing.assert_allclose(clip.ravel(), [0.2, 0], atol=1e-6)


@pytest.mark.parametrize("palette", [False, True])
def test_bytes_behind_the_end_of_a_gif(tmp_path, palette):
    levels = random_levels(3, 40, 30) // 64 * 64
    pictures = [Image.fromarray(image) for image in levels]
    for picture in pictures * palette:
        picture.putpalette(bytes(range(256)) * 3)
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], comment=b";" * 300)
    content = (tmp_path / "a.gif").read_bytes()
    clip = read_clip(tmp_path / "a.gif")
    for rest in (b"\n", b"\0\0", b";", b"<!-- from a web page -->" * 99):
        (tmp_path / "a.gif").write_bytes(content + rest)
        np.testing.assert_array_equal(read_clip(tmp_path / "a.gif"), clip)
    for place in [at for at, byte in enumerate(content) if byte == ord(";")][:-1]:
        (tmp_path / "a.gif").write_bytes(content[: place + 1])
        with pytest.raises(ValueError, match=r"a\.gif` must be a clip that can be read"):
            read_clip(tmp_path / "a.gif")


@pytest.mark.parametrize("suffix", [".png", ".png.gz", ".png.bz2", ".png.xz"])
def test_claims_take_no_memory(tmp_path, suffix):
    """A chunk that claims 2 GiB, in a file that is unpacked piece by piece."""
    levels = random_levels(6, 5)
    save_frames(tmp_path / "a.png", [levels])
    content = (tmp_path / "a.png").read_bytes()
    place = content.index(b"IDAT") - 4
    content = content[:place] + struct.pack(">I", 2**31 - 1) + content[place + 4 :]
    packer = {".gz": gzip, ".bz2": bz2, ".xz": lzma}.get(suffix[4:])
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(packer.compress(content) if packer else content)
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(read_clip(path)[0, ..., 0], levels / np.float32(255))
    except ValueError as error:
        assert str(path) in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**25


@pytest.mark.filterwarnings("ignore:IM image format is deprecated:DeprecationWarning")
def test_a_file_that_says_it_holds_no_picture(tmp_path):
    path = tmp_path / "a.im"
    Image.new("L", (4, 4)).save(path)
    path.write_bytes(path.read_bytes().replace(b"(no of images): 1", b"(no of images): 0"))
    with pytest.raises(ValueError, match=r"a\.im.*it says that it holds no picture"):
        read_clip(path)
