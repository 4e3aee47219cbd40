"""Tests of the TFDS builder on the small clips of `dummy_data/` and on folders written here."""

import dataclasses
import math
import shutil
from typing import ClassVar

import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds

from mslstm_keras.frames.read import read_clip
from tfds_builders.frames_from_folder.frames_from_folder_dataset_builder import Builder
from tfds_builders.frames_from_folder.make_dummy_data import FOLDER as DUMMY_DATA
from tfds_builders.random_access import random_access

# Source and first frame of every example.
WINDOWS = {
    "train": [("animation.gif", 0), ("floats.npz", 0), ("images", 0), ("levels.npy", 0), ("levels.npy", 20)],
    "test": [("measured.h5", 0), ("measured.h5", 20)],
}


class FramesFromFolderTest(tfds.testing.DatasetBuilderTestCase):
    """Prepares and reads the default config."""

    DATASET_CLASS = Builder
    SPLITS: ClassVar[dict[str, int]] = {split: len(windows) for split, windows in WINDOWS.items()}


def prepare(data_dir, manual_dir, **fields):
    config = Builder.builder_configs["clips"]
    if fields:
        config = dataclasses.replace(config, name="mine", **fields)
    builder = Builder(config=config, data_dir=data_dir)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def folder_of(folder, **clips):
    folder.mkdir()
    for name, clip in clips.items():
        np.save(folder / f"{name}.npy", clip)
    return folder


def random_levels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


def left(data_dir):
    """Returns the files, and the unfinished folders, that TFDS left; its own notes of configs do not count."""
    entries = [path for path in data_dir.rglob("*") if ".config" not in path.parts]
    return [path for path in entries if path.is_file() or "incomplete" in path.name]


def test_examples_are_the_windows_of_the_files_in_order(tmp_path):
    builder = prepare(tmp_path, DUMMY_DATA)
    assert builder.info.features["frames"].shape == (20, None, None, 1)
    assert builder.info.disable_shuffling
    for split, windows in WINDOWS.items():
        source = random_access(builder, split)
        examples = list(tfds.as_numpy(builder.as_dataset(split=split)))
        assert len(source) == len(examples) == len(windows)
        for number, (name, first) in enumerate(windows):
            expected = np.rint(read_clip(DUMMY_DATA / name)[first : first + 20] * 255)
            for example in (source[number], examples[number]):
                assert (example["source"], example["first_frame"]) == (name.encode(), first)
                assert (example["frames"].shape, example["frames"].dtype) == ((20, 6, 8, 1), "uint8")
                np.testing.assert_array_equal(example["frames"], expected)


def test_a_variant(tmp_path):
    clips = {name: random_levels(9, 12, 16, 3, seed=seed) for seed, name in enumerate("abc")}
    folder = folder_of(tmp_path / "clips", **clips)
    fields = {"window": 4, "stride": 2, "channels": 3, "size": (6, 4), "dtype": "float32", "test_share": 0.6}
    builder = prepare(tmp_path / "data", folder, **fields)
    assert builder.info.features["frames"].shape == (4, 6, 4, 3)
    assert builder.info.features["frames"].np_dtype == np.float32
    assert {split: info.num_examples for split, info in builder.info.splits.items()} == {
        "train": 3,
        "test": 6,
    }
    for split in ("train", "test"):
        for example in random_access(builder, split):
            clip = read_clip(folder / example["source"].decode(), 3, size=(6, 4))
            first = example["first_frame"]
            assert first in (0, 2, 4)
            np.testing.assert_array_equal(example["frames"], clip[first : first + 4])


def test_float_frames_are_kept_or_rounded(tmp_path):
    frames = np.random.default_rng(0).random((2, 3, 4, 1), "float32")
    folder = folder_of(tmp_path / "clips", a=frames, b=frames)
    for dtype, expected in (("float32", frames), ("uint8", np.rint(frames * 255))):
        example = random_access(prepare(tmp_path / dtype, folder, window=2, dtype=dtype), "train")[0]
        assert example["frames"].dtype == dtype
        np.testing.assert_array_equal(example["frames"], expected)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_missing_pixels_are_kept_in_a_mask(tmp_path, dtype):
    random = np.random.default_rng(0)
    clips = {f"{name}.h5": random.random((4, 3, 5, 2), "float32") for name in "ab"}
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, clip in clips.items():
        clip[random.random(clip.shape[:3]) < 0.3] = -1
        clip[1, 0, 0] = 0.5, -1
        with h5py.File(folder / name, "w") as file:
            file.create_dataset("rain", data=clip).attrs["_FillValue"] = np.float32(-1)
    fields = {"window": 2, "channels": 2, "dtype": dtype}
    with pytest.raises(ValueError, match="must have no missing pixels, unless `mask` is true"):
        prepare(tmp_path / "none", folder, **fields)
    builders = [prepare(tmp_path / name, folder, mask=True, **fields) for name in ("one", "two")]
    examples = [
        [dict(each) for split in ("train", "test") for each in random_access(b, split)] for b in builders
    ]
    assert len(examples[0]) == 4
    for example, again in zip(*examples, strict=True):
        first = example["first_frame"]
        clip = clips[example["source"].decode()][first : first + 2]
        assert (example["mask"].dtype, example["frames"].dtype) == (bool, dtype)
        np.testing.assert_array_equal(example["mask"], ~(clip == -1).any(-1, keepdims=True))
        levels = np.where(clip == -1, 0, clip)
        expected = np.rint(levels * 255) if dtype == "uint8" else levels
        np.testing.assert_array_equal(example["frames"], expected)
        for key, value in example.items():
            np.testing.assert_array_equal(again[key], value)
    assert "mask" not in Builder(data_dir=tmp_path).info.features


def test_videos_and_names_that_are_no_utf8(tmp_path):
    av = pytest.importorskip("av")
    folder = folder_of(tmp_path / "clips", **{"\udcff": random_levels(4, 16, 16)})
    with av.open(str(folder / "b.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height = stream.width = 16
        stream.pix_fmt = "yuv420p"
        for level in (50, 100, 150, 200):
            image = np.full((16, 16, 3), level, "uint8")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    builder = prepare(tmp_path / "data", folder, window=4)
    examples = {split: random_access(builder, split)[0] for split in ("train", "test")}
    assert {example["source"] for example in examples.values()} == {b"\xff.npy", b"b.mp4"}
    (video,) = (example["frames"] for example in examples.values() if example["source"] == b"b.mp4")
    np.testing.assert_allclose(video[:, 0, 0, 0], [50, 100, 150, 200], atol=4)


def test_one_size_only(tmp_path):
    folder = folder_of(tmp_path / "clips", a=random_levels(2, 4, 4), b=random_levels(2, 4, 5))
    with pytest.raises(ValueError, match=r"as large as those of .*\(4, [45]\), unless `size`.* \(4, [45]\)$"):
        prepare(tmp_path / "data", folder, window=2)
    assert left(tmp_path / "data") == []
    builder = prepare(tmp_path / "data", folder, window=2, size=(4, 4))
    assert builder.info.splits["train"].num_examples == 1


def test_short_clips(tmp_path):
    folder = folder_of(tmp_path / "clips", a=random_levels(5, 4, 4), b=random_levels(4, 4, 4))
    np.save(folder / "c.npy", random_levels(6, 4, 4))
    with pytest.raises(ValueError, match=r"b\.npy` must have at least `window` = 5 frames .* Received: 4"):
        prepare(tmp_path / "data", folder, window=5)
    assert left(tmp_path / "data") == []
    with pytest.warns(UserWarning, match=r"b\.npy` is passed over: 4 frames, `window` = 5"):
        builder = prepare(tmp_path / "data", folder, window=5, skip_short=True)
    assert sum(info.num_examples for info in builder.info.splits.values()) == 2


@pytest.mark.filterwarnings("ignore:.*is passed over")
def test_a_split_without_a_window(tmp_path):
    folder = folder_of(tmp_path / "clips", a=random_levels(5, 4, 4), b=random_levels(4, 4, 4))
    with pytest.raises(ValueError, match=r"at least `window` = 5 .* each split. Received: none among b\.npy"):
        prepare(tmp_path / "data", folder, window=5, skip_short=True)
    assert left(tmp_path / "data") == []


@pytest.mark.parametrize("name", ["animation.gif", "floats.npz", "levels.npy", "measured.h5", "images/7.png"])
def test_a_damaged_source(tmp_path, name):
    folder = shutil.copytree(DUMMY_DATA, tmp_path / "clips")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=rf"{name}` must be a clip that can be read. Received: damaged"):
        prepare(tmp_path / "data", folder)
    assert left(tmp_path / "data") == []


def test_a_missing_folder(tmp_path):
    with pytest.raises(
        ValueError, match=r"`manual_dir` must hold your clips: `mslstm .* Received: .*missing"
    ):
        prepare(tmp_path / "data", tmp_path / "missing")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window": 0}, "`window` must be an integer of at least 1. Received: window=0"),
        ({"window": 2.0}, "`window` must be an integer .* Received: window=2.0"),
        ({"window": None}, "`window` must be an integer .* Received: window=None"),
        ({"stride": 0}, "`stride` must be an integer .* Received: stride=0"),
        ({"channels": 0}, "`channels` must be an integer .* Received: channels=0"),
        ({"size": (0, 4)}, r"`size` must be two positive integers.* Received: size=\(0, 4\)"),
        ({"dtype": "float16"}, "`dtype` must be one of uint8, float32. Received: dtype='float16'"),
        ({"test_share": 0}, "`test_share` must lie between 0 and 1. Received: test_share=0"),
        ({"test_share": 1.0}, "`test_share` must lie between 0 and 1. Received: test_share=1.0"),
        ({"interval": 0}, "`interval` must be a positive number. Received: interval=0"),
        ({"spacing": math.inf}, "`spacing` must be a positive number. Received: spacing=inf"),
    ],
)
def test_configs_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Builder.builder_configs["clips"], name="mine", **fields)
