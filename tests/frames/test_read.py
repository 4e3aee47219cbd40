"""Reading clips: every kind of file, whole, resized, damaged, too large; and folders of images."""

import math
import sys

import h5py
import numpy as np
import pytest
import xarray
from PIL import Image

from mslstm_keras.formats import checks
from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.frames.read import clip_shape, data_range, read_clip, read_labelled, scale_in
from mslstm_keras.frames.scales import parse_scale
from tests.support.clip_files import random_frames, random_levels, save_folder, save_frames, save_hdf5

MPEG4 = {".avi": "mpeg4", ".mp4": "mpeg4", ".mov": "mpeg4", ".mkv": "mpeg4", ".webm": "libvpx"}


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


def test_the_shape_of_a_clip_before_it_is_read(tmp_path):
    grey = random_levels(3, 6, 8)
    colour = random_levels(3, 6, 8, 3)
    strong = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]], "uint8")[grey % 4]  # of a scale
    for name, levels, channels in (("grey", grey, 1), ("colour", colour, 3), ("scale", strong, 1)):
        save_folder(tmp_path / name, levels, ["1.png", "2.png", "3.png"])
        save_frames(tmp_path / f"{name}.tif", levels)
        for path in (tmp_path / name, tmp_path / f"{name}.tif"):
            assert clip_shape(path) == (3, 6, 8, channels)
    np.save(tmp_path / "a.npy", random_frames(3, 6, 8, 2) * 300)  # whatever the numbers stand for
    assert clip_shape(tmp_path / "a.npy") == (3, 6, 8, 2)
    save_hdf5(tmp_path / "a.h5", one=random_frames(3, 6, 8), two=random_frames(5, 6, 8))
    assert clip_shape(f"{tmp_path / 'a.h5'}:two") == (5, 6, 8, 1)
    with pytest.raises(ValueError, match=r"missing.gif"):
        clip_shape(tmp_path / "missing.gif")


def test_the_shape_of_a_video_before_it_is_read(tmp_path):
    save_video(tmp_path / "grey.mp4", ramps(4))
    assert clip_shape(tmp_path / "grey.mp4") == (4, 32, 48, 1)
    save_video(tmp_path / "red.mp4", ramps(4) * np.array([1, 0, 0], "uint8"))
    assert clip_shape(tmp_path / "red.mp4") == (4, 32, 48, 3)


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


def test_images_of_a_folder_follow_their_numbers(tmp_path):
    names = ["frame2.png", "frame010.png", "Frame1.PNG", "frame11.bmp", "frame9.tif"]
    save_folder(tmp_path / "a", [np.full((2, 3), level, "uint8") for level in (51, 153, 0, 204, 102)], names)
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    (tmp_path / "a" / "._frame2.png").write_text("what macOS leaves beside an image")
    with pytest.warns(UserWarning) as warned:
        clip = read_clip(tmp_path / "a")
    beside, gap = [str(each.message) for each in warned]
    assert beside.endswith("no frames are notes.txt")
    assert gap.endswith("7 between frame2.png and frame9.tif (missing: 3, 4, 5 ...)")
    assert {each.filename for each in warned} == {__file__}
    assert clip.shape == (5, 2, 3, 1)
    np.testing.assert_allclose(clip[:, 0, 0, 0], [0, 0.2, 0.4, 0.6, 0.8], atol=1e-6)


def test_grey_and_colour_images_in_one_folder(tmp_path):
    images = [np.full((2, 2), 51, "uint8"), np.full((2, 2, 3), 102, "uint8")]
    save_folder(tmp_path / "a", images, ["0.png", "1.png"])
    for channels in (1, 3):
        clip = read_clip(tmp_path / "a", channels)
        assert clip.shape == (2, 2, 2, channels)
        np.testing.assert_allclose(clip[:, 0, 0], [[0.2] * channels, [0.4] * channels], atol=1e-6)


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


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_what_is_nearly_black_is_told_of(tmp_path, dtype):
    mask = (ramps(3)[..., 0] > 100).astype("uint8")
    np.save(tmp_path / "a.npy", mask if dtype == "uint8" else mask / np.float32(255))
    with pytest.warns(
        UserWarning, match="has no value above 1/255 and is nearly black; where 1 is to be white"
    ):
        assert read_clip(tmp_path / "a.npy").max() == np.float32(1 / 255)
    if dtype == "uint8":
        assert read_clip(tmp_path / "a.npy", scale="0:1").max() == 1
    np.save(tmp_path / "a.npy", 0 * mask)
    assert read_clip(tmp_path / "a.npy").max() == 0


@pytest.mark.parametrize("options", [{"size": 8}, {"crop": 8}, {"fill": "0"}, {"size": "ab"}])
def test_options_of_another_kind_are_refused(tmp_path, options):
    np.save(tmp_path / "a.npy", random_frames(2, 4, 4, 1))
    (name,) = options
    with pytest.raises(ValueError, match=f"^`{name}` must .* Received: {name}="):
        read_clip(tmp_path / "a.npy", **options)


def test_videos_need_pyav(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"video")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install 'mslstm_keras\[video\]'"):
        read_clip(tmp_path / "a.mp4")


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


def test_a_video_that_is_cut_off(tmp_path):
    path = tmp_path / "a.avi"
    save_video(path, ramps(5))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ValueError, match=r"a\.avi"):
        read_clip(path)


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
            monkeypatch.setattr(checks, "MOST_VALUES", most)
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


@pytest.mark.parametrize("channels", [True, 1.0, "1", -1])
def test_channels_are_a_whole_number(tmp_path, channels):
    with pytest.raises(ValueError, match=r"`channels` must be a whole number. Received: channels="):
        read_clip(tmp_path / "a.npy", channels)


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


def test_numbers_in_units_become_pixels(tmp_path):
    flows = np.array([0, 10, 655, 700], "int64").reshape(1, 2, 2) * np.ones((3, 1, 1), "int64")
    np.save(tmp_path / "flows.npy", flows)
    with pytest.warns(
        UserWarning, match=r"flows\.npy: 3 of 12 values lie beyond 0 \.\. 655 bikes/h, from 0 to 700, and"
    ):
        clip = read_clip(tmp_path / "flows.npy", scale="0:655 bikes/h")
    np.testing.assert_allclose(clip[..., 0], np.clip(flows / 655, 0, 1), rtol=1e-6)
    with pytest.raises(ValueError, match="divide by the largest"):
        read_clip(tmp_path / "flows.npy")


def test_a_scale_takes_levels_of_pictures_as_they_stand(tmp_path):
    (tmp_path / "d").mkdir()
    for index in range(2):
        Image.fromarray(np.full((4, 4), 50 + index, "uint8")).save(tmp_path / "d" / f"{index}.png")
    clip = read_clip(tmp_path / "d", scale="0:100")
    np.testing.assert_allclose(clip[:, 0, 0, 0], [0.5, 0.51], rtol=1e-6)


@pytest.mark.parametrize("suffix", ["npy", "h5", "nc"])
def test_the_scale_of_a_model_is_none_of_levels(tmp_path, suffix):
    levels = np.arange(48, dtype="uint8").reshape(3, 4, 4)
    path = tmp_path / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, levels)
    elif suffix == "h5":
        with h5py.File(path, "w") as file:
            file["levels"] = levels
    else:
        xarray.DataArray(levels, dims=("time", "y", "x"), name="levels").to_netcdf(path, engine="h5netcdf")
    with pytest.warns(
        UserWarning, match=r"a\.\w+` holds uint8, .* levels 0 \.\. 255 .* data, 0:100 cars; .*`--range`"
    ):
        read = read_labelled(path, 1, data_scale="0:100 cars")
    assert read.scale is None
    np.testing.assert_allclose(read.frames[..., 0], levels / 255, rtol=1e-6)
    np.testing.assert_allclose(read_clip(path, scale="0:100")[..., 0], levels / 100, rtol=1e-6)


def test_pictures_are_levels_without_a_word(tmp_path):
    save_frames(tmp_path / "a.gif", random_levels(3, 5, 4))
    assert read_labelled(tmp_path / "a.gif", 1, data_scale="0:100 cars").scale is None


def test_numbers_are_read_in_the_units_of_a_model(tmp_path):
    np.save(tmp_path / "a.npy", np.full((3, 4, 4), 25.0))
    read = read_labelled(tmp_path / "a.npy", 1, data_scale="0:100 cars")
    assert read.scale == "0:100 cars" and np.all(read.frames == 0.25)
    np.save(tmp_path / "b.npy", np.full((3, 4, 4), 0.25))
    assert read_labelled(tmp_path / "b.npy", 1).scale is None


@pytest.mark.parametrize("name", ["a.npy", "a.nc"])
def test_numbers_that_may_be_pixels_are_told_of(tmp_path, name):
    def save(level, **attributes):
        values = np.full((3, 4, 4), np.float32(level))
        np.save(tmp_path / name, values) if name == "a.npy" else save_netcdf(
            tmp_path / name, values, **attributes
        )

    save(0.5)
    with pytest.warns(
        UserWarning, match=r"numbers in \[0, 1\] without units, .* data, 0:100 cars; `--range 0:1`"
    ):
        read = read_labelled(tmp_path / name, 1, data_scale="0:100 cars")
    np.testing.assert_allclose(read.frames, 0.005)
    for scale in ("0:1", "0:100"):  # says nothing where somebody has said it
        assert read_labelled(tmp_path / name, 1, scale=scale, data_scale="0:100 cars").scale == scale
    assert read_labelled(tmp_path / name, 1, data_scale="0:1 cars").scale == "0:1 cars"
    for level in (0, 2):  # nor of what can be no pixels, or is nothing
        save(level)
        read_labelled(tmp_path / name, 1, data_scale="0:100 cars")
    if name == "a.nc":
        save(0.5, units="cars")
        read_labelled(tmp_path / name, 1, data_scale="0:100 cars")


def test_missing_numbers_stay_missing(tmp_path):
    values = np.full((3, 4, 4), 25.0)
    values[0, 0] = np.nan
    np.save(tmp_path / "a.npy", values)
    clip = read_clip(tmp_path / "a.npy", scale="0:100", fill=np.nan)
    np.testing.assert_array_equal(np.isnan(clip[..., 0]), np.isnan(values))
    assert data_range(tmp_path / "a.npy") == (25, 25)


def save_netcdf(path, values, **attributes):
    data = xarray.DataArray(np.float32(values), dims=("time", "y", "x"), name="v", attrs=attributes)
    data.to_netcdf(path, engine="h5netcdf")


@pytest.mark.parametrize("engine", ["scipy", "h5netcdf"])
@pytest.mark.parametrize(
    "name", ["wrfout_d01_2024-05-01_00:00:00", "a.grd", "folder/wrfout_d01", "folder/1.dat"]
)
def test_netcdf_of_another_name_is_told(tmp_path, name, engine):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    data = xarray.DataArray(np.zeros((2, 2, 2)), dims=("time", "y", "x"), name="v")
    data.to_netcdf(tmp_path / "a.nc", engine=engine)
    (tmp_path / "a.nc").rename(path)
    with pytest.raises(
        ValueError, match=rf"{path.name}.*: NetCDF or HDF5, whose name must end in \.nc or \.h5$"
    ):
        read_clip(path.parent if "folder" in name else path)


@pytest.mark.parametrize("name", ["a.csv", "a.mat", "a.pt"])
def test_what_is_of_no_kind_may_become_an_array(tmp_path, name):
    with h5py.File(tmp_path / name, "w") as file:
        file["clip"] = np.zeros((2, 2, 2))
    if name != "a.mat":  # of MATLAB 7.3, which is HDF5 with its axes the other way round
        (tmp_path / name).write_bytes(b"some other content")
    with pytest.raises(ValueError, match=rf"Received: .*{name}: np.save makes `\.npy` of an array"):
        read_clip(tmp_path / name)


@pytest.mark.parametrize("units", ["mm/h", "mm h-1", "mm h**-1", "kg m-2 h-1", "mm/hr", "mm/hour"])
def test_rates_of_rain_are_coded_as_radar(tmp_path, units):
    rates = np.array([0, 0.5, 2, 50]).reshape(1, 2, 2)
    save_netcdf(tmp_path / "rain.nc", rates, units=units)
    with pytest.warns(UserWarning, match=r"rain\.nc` is read by the scale that its attributes say, rain:dwd"):
        clip = read_clip(tmp_path / "rain.nc")
    np.testing.assert_allclose(clip[..., 0], RAIN_SCALES["dwd"].to_pixel(rates), atol=1e-6)


@pytest.mark.parametrize(
    ("units", "factor"),
    [("kg m-2 s-1", 3600), ("mm/5min", 12), ("mm d-1", 1 / 24), ("0.01 mm/h", 0.01), ("in/hr", 25.4)],
)
@pytest.mark.parametrize("scale", [None, "rain:dwd", "0:100 mm/h"])
def test_other_rates_of_rain_are_converted(tmp_path, units, factor, scale):
    rates = np.array([0, 0.5, 2, 50]).reshape(1, 2, 2)
    save_netcdf(tmp_path / "rain.nc", rates / factor, units=units)
    with pytest.warns(UserWarning) as said:
        clip = read_clip(tmp_path / "rain.nc", scale=scale)
    assert f"rates in {units} are read as mm/h, times {factor:g}" in str(said[0].message)
    assert len(said) == 1 + (scale is None)
    np.testing.assert_allclose(clip[..., 0], parse_scale(scale or "rain:dwd").to_pixel(rates), atol=1e-5)
    assert scale_in(tmp_path / "rain.nc") == "rain:dwd"


@pytest.mark.parametrize("units", ["dBZ", "mm", "m s-1", "K"])
@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_clip(path, scale="0:100 mm/h"),
        lambda path: read_labelled(path, 1, data_scale="rain:dwd"),
    ],
)
def test_what_is_no_rate_of_rain_is_not_read_as_one(tmp_path, units, read):
    save_netcdf(tmp_path / "a.nc", np.full((2, 2, 2), 5), units=units)
    with pytest.raises(
        ValueError, match=f"a.nc` must hold rates of rain, .* mm/h: divide a depth by .*: units {units}$"
    ):
        read(tmp_path / "a.nc")
    np.testing.assert_allclose(read_clip(tmp_path / "a.nc", scale="0:100"), 0.05)


def test_other_units_than_those_of_the_scale_are_told(tmp_path):
    save_netcdf(tmp_path / "a.nc", np.full((2, 2, 2), 5), units="K")
    with pytest.warns(UserWarning, match=r"a\.nc` has numbers in K, which are read as degC$"):
        clip = read_clip(tmp_path / "a.nc", scale="0:100 degC")
    np.testing.assert_allclose(clip, 0.05)
    read_clip(tmp_path / "a.nc", scale="0:100 k")  # says nothing


@pytest.mark.parametrize("name", ["a.h5", "a.nc", "a.zarr"])
def test_whole_numbers_without_units_are_read_by_a_scale(tmp_path, name):
    counts = np.random.default_rng(0).integers(0, 1000, (3, 4, 5)).astype("uint16")
    flow = xarray.DataArray(counts, dims=("time", "y", "x"), name="flow")
    if name == "a.h5":
        save_hdf5(tmp_path / name, flow=counts)
    elif name == "a.nc":
        flow.to_netcdf(tmp_path / name, engine="h5netcdf")
    else:
        flow.to_dataset().to_zarr(tmp_path / name, zarr_format=2)
    by_model = read_labelled(tmp_path / name, 1, data_scale="0:1000").frames
    for clip in (read_clip(tmp_path / name, scale="0:1000"), by_model):
        np.testing.assert_allclose(clip[..., 0], counts / 1000, atol=1e-6)
    assert data_range(tmp_path / name) == (counts.min(), counts.max())
    assert clip_shape(tmp_path / name) == (3, 4, 5, 1)
    with pytest.raises(
        ValueError, match=r"Received: dtype uint16 .* \(`--range LOW:HIGH`\) takes them as they stand$"
    ):
        read_clip(tmp_path / name)


def test_what_is_not_a_number_is_missing_where_there_is_a_scale(tmp_path):
    save_hdf5(tmp_path / "a.h5", rain=np.array([[[1, np.nan]]], "float32"))
    clip = read_clip(tmp_path / "a.h5", scale="0:2", fill=np.nan)
    np.testing.assert_array_equal(clip[..., 0], [[[0.5, np.nan]]])
    with pytest.raises(ValueError, match="must be finite"):
        read_clip(tmp_path / "a.h5")


def test_lengths_of_time_are_no_numbers(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 4), "m8[s]"))
    with pytest.raises(ValueError, match=r"Received: dtype timedelta64\[s\]"):
        read_clip(tmp_path / "a.npy", scale="0:1")


def test_a_valid_range_is_a_scale(tmp_path):
    save_netcdf(tmp_path / "t.nc", [[[263, 283], [293, 303]]], units="K", valid_range=np.float32([253, 313]))
    with pytest.warns(UserWarning, match=r"t\.nc` is read by the scale that its attributes say, 253:313 K"):
        clip = read_clip(tmp_path / "t.nc")
    np.testing.assert_allclose(clip[0, ..., 0], [[1 / 6, 0.5], [2 / 3, 5 / 6]], rtol=1e-5)


@pytest.mark.parametrize("name", ["a.nc", "a.zarr", "store", "store.h5"])
def test_the_scale_in_a_file(tmp_path, name):
    data = xarray.DataArray(np.zeros((2, 3, 4), "float32"), dims=("time", "y", "x"), name="v")
    data.attrs.update(units="K", valid_range=[253.0, 313.0])
    if name == "a.nc":
        data.to_netcdf(tmp_path / name, engine="h5netcdf")
    else:
        data.to_dataset().to_zarr(tmp_path / name, zarr_format=2)
    assert scale_in(tmp_path / name) == "253:313 K"
    np.save(tmp_path / "b.npy", data)
    assert scale_in(tmp_path / "b.npy") is None


@pytest.mark.parametrize("suffix", [".nc", ".h5", ".mp4", ".npy"])
def test_a_folder_of_images_may_have_any_suffix(tmp_path, suffix):
    save_folder(tmp_path / f"a{suffix}", np.full((2, 4, 4), 51, "uint8"), ["0.png", "1.png"])
    np.testing.assert_allclose(read_clip(tmp_path / f"a{suffix}"), np.full((2, 4, 4, 1), 0.2), rtol=1e-6)
    assert scale_in(tmp_path / f"a{suffix}") is None


def test_units_of_numbers_in_the_unit_range_are_told(tmp_path):
    save_netcdf(tmp_path / "a.nc", np.full((1, 2, 2), 0.5), units="kg")
    with pytest.warns(UserWarning, match=r"a\.nc` has numbers in \[0, 1\] kg, which are taken as pixels"):
        read_clip(tmp_path / "a.nc")


@pytest.mark.parametrize("kind", ["npy", "h5", "nc", "folder", "gif"])
def test_the_range_of_the_first_frames(tmp_path, kind):
    levels = np.arange(10, dtype="uint8").reshape(10, 1, 1) * np.ones((1, 4, 4), "uint8")
    path = tmp_path / f"a.{kind}"
    if kind == "npy":
        np.save(path, levels)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["levels"] = levels
    elif kind == "nc":
        xarray.DataArray(levels, dims=("time", "y", "x"), name="v").to_netcdf(path, engine="h5netcdf")
    elif kind == "folder":
        path.mkdir()
        for index, image in enumerate(levels):
            Image.fromarray(image).save(path / f"{index}.png")
    else:
        first, *others = map(Image.fromarray, levels)
        first.save(path, save_all=True, append_images=others)
    assert data_range(path) == (0, 9)
    assert data_range(path, counted=lambda count: count - 3) == (0, 6)
    assert data_range(path, counted=lambda count: 0) == (math.inf, -math.inf)


def save_arrays(folder, frames, names=None):
    folder.mkdir()
    for index, frame in enumerate(frames):
        np.save(folder / (names[index] if names else f"f{index}.npy"), frame)
    return folder


def test_a_folder_of_arrays_is_a_clip(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (12, 6, 5), "uint8")
    folder = save_arrays(tmp_path / "levels", levels)
    np.testing.assert_allclose(read_clip(folder)[..., 0], levels / 255, atol=1e-6)
    assert clip_shape(folder) == (12, 6, 5, 1)
    floats = save_arrays(tmp_path / "floats", np.random.default_rng(0).random((3, 6, 5, 2)))
    assert read_clip(floats, 2).shape == clip_shape(floats) == (3, 6, 5, 2)
    np.testing.assert_array_equal(read_clip(floats, 2)[1], np.load(floats / "f1.npy").astype("float32"))
    halves = read_clip(folder, size=(3, 5), crop=(0, 6, 0, 5))
    assert halves.shape == (12, 3, 5, 1)


def test_a_folder_of_numbers_needs_their_range(tmp_path):
    counts = np.random.default_rng(0).integers(0, 1000, (4, 6, 5))
    for dtype in ("int32", "float64"):
        folder = save_arrays(tmp_path / dtype, counts.astype(dtype))
        read = read_labelled(folder, 1, data_scale="0:1000 bikes/h")
        np.testing.assert_allclose(read.frames[..., 0], counts / 1000, atol=1e-6)
        assert read.scale == "0:1000 bikes/h" and data_range(folder) == (counts.min(), counts.max())
        np.testing.assert_allclose(read_clip(folder, scale="0:2000")[..., 0], counts / 2000, atol=1e-6)
        with pytest.raises(ValueError, match=r"must hold uint8 or floats|must lie in"):
            read_clip(folder)
    gaps = save_arrays(tmp_path / "gaps", np.where(counts > 500, np.nan, counts))
    with pytest.raises(ValueError, match="must be finite"):
        read_clip(gaps)
    with pytest.warns(UserWarning, match="missing"):
        assert read_clip(gaps, scale="0:1000").max() <= 0.5
    levels = save_arrays(tmp_path / "levels", counts.astype("uint8"))
    with pytest.warns(UserWarning, match="holds uint8, which is read as levels"):
        read = read_labelled(levels, 1, data_scale="0:1000 bikes/h")
    np.testing.assert_allclose(read.frames[..., 0], counts.astype("uint8") / 255, atol=1e-6)
    assert read.scale is None


def test_what_no_folder_of_arrays_is(tmp_path):
    frames = np.zeros((2, 6, 5), "uint8")
    mixed = save_arrays(tmp_path / "mixed", frames)
    Image.fromarray(frames[0]).save(mixed / "f2.png")
    with pytest.raises(
        ValueError, match=r"images, or arrays of one frame each, not both\. Received: f2\.png and f0\.npy"
    ):
        read_clip(mixed)
    clips = save_arrays(tmp_path / "clips", np.zeros((2, 3, 4, 6, 5), "uint8"))
    with pytest.raises(
        ValueError, match=r"f0\.npy` must be .*being one frame of a folder. Received: shape \(3, 4, 6, 5\)"
    ):
        read_clip(clips)
    kinds = save_arrays(tmp_path / "kinds", [frames[0], frames[1].astype("float32")])
    with pytest.raises(
        ValueError, match=r"must be of one dtype with the others\. Received: float32 after uint8"
    ):
        read_clip(kinds)
    sizes = save_arrays(tmp_path / "sizes", [frames[0], frames[1].T])
    with pytest.raises(ValueError, match="must have frames of one size"):
        read_clip(sizes)
    with pytest.raises(ValueError, match=r"`colour_scale` must come with pictures\. Received: arrays"):
        read_clip(save_arrays(tmp_path / "own", frames), colour_scale={"#ffffff": 1.0})


def test_several_clips_in_one_folder_are_told(tmp_path):
    levels = np.zeros((4, 6, 5), "uint8")
    save_folder(tmp_path / "a", levels, ["cam0_t0.png", "cam0_t1.png", "cam1_t0.png", "cam1_t1.png"])
    with pytest.warns(
        UserWarning, match=r"cam1_t0\.png comes behind cam0_t1\.png, .* a folder each"
    ) as warned:
        assert len(read_clip(tmp_path / "a")) == 4
    assert [each.filename for each in warned] == [__file__]
