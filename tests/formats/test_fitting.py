"""Frames cut out, filled and resized while they are read."""

import h5py
import numpy as np
import pytest

from mslstm_keras.formats import checks
from mslstm_keras.formats.checks import check_crop
from mslstm_keras.frames.read import read_clip
from tests.support.clip_files import random_frames, random_levels, save_folder, save_frames


def test_a_part_of_every_kind(tmp_path):
    levels = random_levels(3, 12, 10)
    np.save(tmp_path / "a.npy", levels)
    save_frames(tmp_path / "a.gif", levels)
    save_folder(tmp_path / "a", levels, ["0.png", "1.png", "2.png"])
    for name in ("a.npy", "a.gif", "a"):
        clip = read_clip(tmp_path / name, crop=(2, 10, np.int64(4), 8))
        np.testing.assert_allclose(clip[..., 0], levels[:, 2:10, 4:8] / 255, atol=1e-6)
        small = read_clip(tmp_path / name, crop=(2, 10, 4, 8), size=(4, 2))
        np.testing.assert_allclose(small.mean((1, 2, 3)), levels[:, 2:10, 4:8].mean((1, 2)) / 255, atol=0.05)
        with pytest.raises(ValueError, match=r"`crop` must lie within the frames .*\(12, 10\)"):
            read_clip(tmp_path / name, crop=(2, 13, 4, 8))


@pytest.mark.parametrize(
    "crop", [(0, 4), (4, 4, 0, 4), (0, 4, 4, 0), (-1, 4, 0, 4), (0, 4.0, 0, 4), (0, True, 0, 1)]
)
def test_parts_that_are_none(tmp_path, crop):
    np.save(tmp_path / "a.npy", random_levels(3, 5, 4))
    for check in (check_crop, lambda crop: read_clip(tmp_path / "a.npy", crop=crop)):
        with pytest.raises(
            ValueError, match=r"`crop` must be \(top, bottom, left, right\).* Received: crop=\("
        ):
            check(crop)


def test_only_what_is_kept_of_a_folder_counts(tmp_path, monkeypatch):
    levels = random_levels(4, 16, 16)
    save_folder(tmp_path / "a", levels, [f"{index}.png" for index in range(4)])
    monkeypatch.setattr(checks, "MOST_VALUES", 4 * 64)
    assert read_clip(tmp_path / "a", size=(8, 8)).shape == (4, 8, 8, 1)
    assert read_clip(tmp_path / "a", crop=(8, 16, 0, 8)).shape == (4, 8, 8, 1)
    with pytest.raises(ValueError, match="must hold at most 256 values"):
        read_clip(tmp_path / "a")


def save_missing(path):
    """A clip of which the upper half is missing."""
    frames = random_frames(2, 8, 6) / 2
    frames[:, :4] = np.nan
    with h5py.File(path, "w") as file:
        file["rain"] = frames
        file["rain"].attrs["_FillValue"] = np.float32(np.nan)
    return frames


def test_missing_values_are_filled_before_frames_shrink(tmp_path):
    save_missing(tmp_path / "a.h5")
    with pytest.warns(UserWarning, match="48 of 96 values are missing and read as 0.25"):
        clip = read_clip(tmp_path / "a.h5", size=(2, 2), fill=0.25)
    np.testing.assert_allclose(clip[:, 0].ravel(), 0.25, atol=0.15)
    assert np.isfinite(clip).all()
    assert np.isnan(read_clip(tmp_path / "a.h5", size=(2, 2), fill=np.nan)[:, 0]).all()


def test_what_is_missing_outside_of_the_part_is_no_matter(tmp_path):
    frames = save_missing(tmp_path / "a.h5")
    np.testing.assert_array_equal(read_clip(tmp_path / "a.h5", crop=(4, 8, 0, 6))[..., 0], frames[:, 4:])
    with pytest.raises(ValueError, match=r"a\.h5` must hold values. Received: all 48 are missing"):
        read_clip(tmp_path / "a.h5", crop=(0, 4, 0, 6))


@pytest.mark.parametrize("fill", [-0.5, 1.5, np.inf])
def test_fills_that_are_none(tmp_path, fill):
    np.save(tmp_path / "a.npy", random_levels(3, 5, 4))
    with pytest.raises(ValueError, match=r"`fill` must lie in \[0, 1\] or be NaN. Received: fill="):
        read_clip(tmp_path / "a.npy", fill=fill)
