"""Pictures of every kind and depth."""

import numpy as np
import pytest
from PIL import Image

from mslstm_keras.frames.read import read_clip
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


def test_whole_numbers_of_unknown_scale(tmp_path):
    Image.fromarray(np.zeros((2, 2), "int32")).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif` .*32-bit integers, whose full scale is unknown"):
        read_clip(tmp_path / "a.tif")


def test_values_of_float_pictures_are_checked(tmp_path):
    save_frames(tmp_path / "a.tif", 3 * random_frames(2, 3, 4) + 1)
    with pytest.raises(ValueError, match=r"a\.tif` must lie in \[0, 1\]"):
        read_clip(tmp_path / "a.tif")
