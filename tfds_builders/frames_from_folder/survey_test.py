"""Tests of what the clips of a folder tell, on folders written here."""

import dataclasses
import re

import h5py
import numpy as np
import pytest
from PIL import Image

from tfds_builders.frames_from_folder.frames_from_folder_dataset_builder import Builder
from tfds_builders.frames_from_folder.survey import survey

BASE = Builder.builder_configs["clips"]


def levels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")


def found(folder, longest=20, **given):
    return survey(folder, dataclasses.replace(BASE, **given), {*given}, longest)


def save_gif(path, frames):
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others)


def save_images(folder, frames):
    folder.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number}.png")


def grey_ramp(count, height=12, width=16):
    """Frames of which a GIF keeps every one, each another grey."""
    return np.repeat(np.arange(count, dtype="uint8"), height * width).reshape(count, height, width)


def test_clips_of_several_kinds(tmp_path):
    save_gif(tmp_path / "a.gif", grey_ramp(9))
    np.save(tmp_path / "b.npy", levels(7, 12, 16))
    save_images(tmp_path / "c", levels(8, 12, 16))
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["frames"] = levels(30, 12, 16)
    fields, text = found(tmp_path)
    assert fields == {"window": 7, "channels": 1, "test_share": 0.1}
    assert text == (
        "4 clips of 7 to 30 frames, 12 x 16, 1 channel; 3 to train, 1 for tests; examples of 7 frames, one every 7"
    )
    assert found(tmp_path, longest=4).fields["window"] == 4
    assert found(tmp_path, window=3, stride=1).text.endswith("examples of 3 frames, one every 1")
    assert found(tmp_path, window=20, skip_short=True).fields["window"] == 20


def test_many_channels_must_be_named(tmp_path):
    """An array of several clips looks like one of many channels."""
    np.save(tmp_path / "all.npy", levels(5, 20, 16, 16))
    message = r"`channels` must be given where they are more than 4 .* --set channels=16.* 16 channels of .*all\.npy$"
    with pytest.raises(ValueError, match=message):
        found(tmp_path)
    assert found(tmp_path, channels=16).fields["channels"] == 16


def test_colour_is_kept_where_a_clip_has_any(tmp_path):
    noise = levels(4, 12, 16, 3)
    save_images(tmp_path / "grey", np.repeat(noise[..., :1], 3, axis=-1))  # stored as colours
    np.save(tmp_path / "b.npy", noise[..., 0])
    assert found(tmp_path).fields["channels"] == 1
    save_images(tmp_path / "colour", noise)
    assert found(tmp_path).fields["channels"] == 3
    assert found(tmp_path, channels=1).fields["channels"] == 1
    np.save(tmp_path / "two.npy", noise[..., :2])
    message = (
        "All clips must have as many channels, or be grey and colour. Received: 1 (such as b.npy), 2 (such as "
        "two.npy), 3 (such as colour)"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        found(tmp_path)


def test_colours_of_a_scale_are_no_channels(tmp_path):
    scale = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]], "uint8")
    for name in "ab":
        save_images(tmp_path / name, scale[levels(4, 12, 16) % 4])
    assert found(tmp_path).fields["channels"] == 1  # which the reader then refuses, and says why


def test_two_channels(tmp_path):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", levels(4, 12, 16, 2))
    assert found(tmp_path).fields["channels"] == 2
    assert "12 x 16, 2 channels; " in found(tmp_path).text


def test_clips_of_several_sizes_need_one(tmp_path):
    for name, width in (("a", 16), ("b", 20), ("c", 16)):
        np.save(tmp_path / f"{name}.npy", levels(4, 12, width))
    message = (
        "`size`, (height, width), must be given where clips are of several sizes, such as --size 12x16 of `mslstm "
        'train`, --set "size=[12,16]" of `mslstm data prepare`. Received: 12 x 16 (2, such as a.npy), 12 x 20 (1, such '
        "as b.npy)"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        found(tmp_path)
    assert "clips of 4 frames, 6 x 8, " in found(tmp_path, size=(6, 8)).text


def test_a_clip_that_is_too_short_is_named(tmp_path):
    np.save(tmp_path / "a.npy", levels(9, 12, 16))
    np.save(tmp_path / "b.npy", levels(5, 12, 16))
    message = f"must not be above 5, the frames of the shortest clip, {tmp_path / 'b.npy'} (take it out, or pass over"
    with pytest.raises(ValueError, match=re.escape(message)):
        found(tmp_path, window=6)
    assert found(tmp_path, window=6, skip_short=True).fields["window"] == 6
    np.save(tmp_path / "c.npy", levels(1, 12, 16))
    message = (
        f"`{tmp_path / 'c.npy'}` must have a frame to be given and one to forecast; images of one clip belong"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        found(tmp_path)


@pytest.mark.parametrize(
    ("count", "given", "window", "test_share"),
    [
        (300, {}, 20, 0.1),  # thirty frames for tests
        (60, {}, 20, 1 / 3),
        (31, {}, 10, 10 / 31),
        (4, {}, 2, 0.5),
        (40, {"window": 20}, 20, 0.5),
        (60, {"window": 4}, 4, 0.1),
        (60, {"window": 4, "test_share": 0.5}, 4, 0.5),
    ],
)
def test_a_single_clip_is_split_by_time(count, given, window, test_share, tmp_path):
    np.save(tmp_path / "a.npy", levels(count, 12, 16))
    fields, text = found(tmp_path, **given)
    assert (fields["window"], fields["test_share"]) == (window, test_share)
    assert (
        f"1 clip of {count} frames, " in text
        and f"the last {round(test_share * count)} frames for tests" in text
    )


@pytest.mark.parametrize(("count", "given", "least"), [(3, {}, 4), (30, {"window": 16}, 32)])
def test_a_single_clip_that_is_too_short_for_both_is_refused(count, given, least, tmp_path):
    np.save(tmp_path / "a.npy", levels(count, 12, 16))
    message = (
        f"`{tmp_path / 'a.npy'}`, the only clip, must have {least} frames or more, .*Received: {count} frames"
    )
    with pytest.raises(ValueError, match=message):
        found(tmp_path, **given)
