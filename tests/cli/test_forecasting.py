"""Commands that forecast."""

import json
import os
import re
import resource
import shutil
import signal
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import xarray
from PIL import Image

import mslstm_keras
from mslstm_keras.cli import make_parser
from mslstm_keras.ensembles.members import ensemble_forecast
from mslstm_keras.ensembles.probabilities import neighbourhood_probability
from mslstm_keras.figures.rain import NO_RAIN, RAIN_COLOURS, RAIN_LEVELS
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.forecasting.matching import match_rates
from mslstm_keras.frames.read import read_clip
from mslstm_keras.locks import claimed
from mslstm_keras.radar.resizing import resize_maps
from mslstm_keras.training.fit import CHECKPOINT
from mslstm_keras.zoo.loading import load_model
from tests.support.commands import NAME, listing
from tests.support.equations import randomise
from tests.support.pages import read
from tests.support.pictures import gif_frames, pixels, rgb, video_frames
from tests.support.processes import no_file_larger_than
from tests.support.radar_files import codes, digits, pgm, stamps, write_knmi, write_knmi_maps


@pytest.mark.parametrize("source", ["clip.npy", "clip.gif", "frames"])
def test_every_kind_of_input_is_forecast(succeed, tiny_zoo, files, clip, source):
    output = files / "out.npy"
    text = succeed(
        *("forecast", "--model", NAME, "--zoo", tiny_zoo, "--input", files / source),
        *("--horizon", 6, "--output", output),
    )
    assert text == f"{output}: 6 frames of (64, 64, 1)\n"
    model = load_model(NAME, tiny_zoo)
    np.testing.assert_array_equal(np.load(output), forecast(model, read_clip(files / source), 6))
    # Pictures have 256 levels.
    np.testing.assert_allclose(np.load(output), forecast(model, clip, 6), atol=0.02)


def test_pictures_in_the_colours_of_a_scale_are_forecast(mslstm, succeed, tiny_zoo, tmp_path, clip):
    colours = np.array([[0, 0, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0]], "uint8")
    steps = np.rint(3 * clip[..., 0]).astype(int)
    (tmp_path / "maps").mkdir()
    for index, image in enumerate(colours[steps]):
        Image.fromarray(image).save(tmp_path / "maps" / f"{index}.png")
    words = ["forecast", "--model", NAME, "--zoo", tiny_zoo, "--input", tmp_path / "maps"]
    words += ["--output", tmp_path / "out.npy"]
    assert "give the table of the scale as `colour_scale` (`--colour-scale`)" in mslstm(*words).error
    (tmp_path / "scale.csv").write_text("#0000ff,0\n#00ff00,0.25\n#ffff00,0.5\n#ff0000,1\n")
    succeed(*words, "--colour-scale", tmp_path / "scale.csv")
    frames = np.array([0, 0.25, 0.5, 1], "float32")[steps][..., np.newaxis]
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), forecast(load_model(NAME, tiny_zoo), frames))


def test_a_part_of_larger_frames_is_forecast(succeed, fail, capsys, tiny_run, files):
    frames = np.random.default_rng(0).random((12, 100, 150), "float32")
    np.save(files / "large.npy", frames)
    words = ["forecast", "--model", tiny_run, "--input", files / "large.npy", "--output", files / "out.npy"]
    succeed(*words, "--crop", "2:98,10:138", "--size", "64x64")
    clip = read_clip(files / "large.npy", crop=(2, 98, 10, 138), size=(64, 64))
    np.testing.assert_array_equal(np.load(files / "out.npy"), forecast(load_model(tiny_run), clip))
    with pytest.raises(SystemExit):
        fail(*words, "--crop", "2:98")
    assert "must be TOP:BOTTOM,LEFT:RIGHT. Received: '2:98'" in capsys.readouterr().err
    assert "`crop` must lie within the frames" in fail(*words, "--crop", "2:101,0:64")


@pytest.mark.parametrize("suffix", ["npy", "gif", "png", "mp4", "html"])
def test_every_kind_of_output_is_written(succeed, tiny_run, files, clip, suffix):
    output = files / f"out.{suffix}"
    words = ["forecast", "--model", tiny_run, "--input", files / "clip.npy", "--output", output, "--json"]
    assert json.loads(succeed(*words)) == {
        **{"output": str(output), "frames": 4, "shape": [4, 64, 64, 1]},
        "range": None,
    }
    expected = forecast(load_model(tiny_run), clip)
    if suffix == "npy":
        np.testing.assert_array_equal(np.load(output), expected)
        return
    # The three frames that the model sees, then four of the forecast; pixels are squares of 3, in an animation of 9.
    levels = np.rint(255 * np.clip(np.concatenate([clip[-3:], expected]), 0, 1))[..., 0]
    if suffix == "png":
        picture = pixels(output)
        rows = [(84, 3), (318, 4)]
        shown = [picture[top + 1 :, 151 + 198 * column :] for top, count in rows for column in range(count)]
        found = np.stack([image[: 64 * 3 : 3, : 64 * 3 : 3] for image in shown])
    elif suffix == "html":
        page = read(output)
        found = np.stack(page.pixels())[..., :3].astype(int)
        assert "forecast frame +4" in page.text and f"Model{tiny_run.name} Inputclip.npy" in page.text
    else:
        frames, _ = gif_frames(output) if suffix == "gif" else video_frames(output)
        found = frames[:, 84 + 4 :: 9, 12 + 4 :: 9][:, :64, :64]
    assert len(found) == 7
    # A video keeps no edges of digits.
    bound = {"png": 0, "gif": 0, "mp4": 40, "html": 0}[suffix]
    assert np.abs(found - levels[..., np.newaxis])[:, 1:-1, 1:-1].max() <= bound


def test_numbers_in_units_are_forecast_in_units(mslstm, succeed, tiny_run, files, clip):
    words = ["forecast", "--model", tiny_run, "--output", files / "out.npy", "--input"]
    facts = json.loads(succeed(*words, files / "large.npy", "--range", "0:255 cars", "--json"))
    assert facts["range"] == "0:255 cars"
    expected = 255 * np.clip(forecast(load_model(tiny_run), clip), 0, 1)
    np.testing.assert_allclose(np.load(files / "out.npy"), expected, atol=1e-3)
    with warnings.catch_warnings(action="always"):
        ended = mslstm(*words, files / "large.npy", "--range", "0:200")
    assert ended.status == 0 and "values lie beyond 0 .. 200, from 0 to 255, and are clipped" in ended.error
    succeed(*words[:3], "--output", files / "out.nc", "--input", files / "large.npy", "--range", "0:255 cars")
    with xarray.open_dataset(files / "out.nc") as written:
        assert written.forecast.attrs["units"] == "cars"
        np.testing.assert_allclose(written.forecast, expected[..., 0], atol=1e-3)


def test_a_range_may_begin_below_0(succeed, tiny_run, files, clip):
    np.save(files / "signed.npy", 2 * clip - 1)
    words = ["forecast", "--model", tiny_run, "--input", files / "signed.npy", "--output", files / "out.npy"]
    succeed(*words, "--range", "-1:1")
    assert np.load(files / "out.npy").min() < 0


def test_a_shell_leaves_the_home_folder_behind_an_equals_sign(succeed, tiny_run, files, monkeypatch):
    monkeypatch.setenv("HOME", str(files))
    monkeypatch.chdir(files)
    succeed("forecast", "--model", tiny_run, "--input=~/large.npy", "--range=0:255", "--output=~/home.npy")
    assert (files / "home.npy").exists() and not (files / "~").exists()


def temperatures(clip):
    """Maps of a thermal camera, or a satellite: in kelvin, with times, places and a corner that is never seen."""
    kelvin = (270 + 40 * clip[..., 0]).astype("float32")
    kelvin[:, :3, :3] = np.nan
    times = np.datetime64("2024-05-01T00:00", "ns") + np.arange(len(clip)) * np.timedelta64(15, "m")
    places = {"lat": 50 + 0.1 * np.arange(clip.shape[1]), "lon": 5 + 0.1 * np.arange(clip.shape[2])}
    return xarray.DataArray(
        kelvin,
        dims=("time", "lat", "lon"),
        coords={"time": times, **places},
        name="sst",
        attrs={"units": "K", "standard_name": "sea_surface_temperature", "long_name": "temperature"},
    )


@pytest.mark.parametrize("words", [(), ("--members", "2", "--threshold", "290")])
@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_times_and_places_go_on(succeed, tiny_run, files, clip, words, suffix):
    maps = temperatures(clip)
    maps.to_netcdf(files / "sst.nc", engine="h5netcdf")
    out = files / f"future-{len(words)}.{suffix}"
    with warnings.catch_warnings(action="ignore"):
        succeed(
            *(
                "forecast",
                "--model",
                tiny_run,
                "--input",
                files / "sst.nc",
                "--output",
                out,
                "--horizon",
                "3",
            ),
            *("--range", "270:310 K", "--crop", "0:64,0:32", *words),
        )
    with xarray.open_dataset(out, decode_timedelta=False) as written:
        future = written.forecast
        assert future.dims == ("time", "lat", "lon")
        expected = maps.time.values[-1] + np.arange(1, 4) * np.timedelta64(15, "m")
        np.testing.assert_array_equal(written.time, expected)
        assert written.forecast_reference_time == maps.time[-1]
        assert written.forecast_period.values.tolist() == [15, 30, 45]
        np.testing.assert_array_equal(written.lat, maps.lat)
        np.testing.assert_array_equal(written.lon, maps.lon[:32])
        assert (future.attrs["units"], future.attrs["standard_name"]) == ("K", "sea_surface_temperature")
        assert np.isnan(future[:, :3, :3]).all() and np.isfinite(future[:, 3:, 3:]).all()
        assert 270 <= future.min() < future.max() <= 310
        if words:
            probability = written.probability_of_forecast_above_threshold
            assert probability.dims == ("threshold", "time", "lat", "lon")
            assert np.isnan(probability[..., :3, :3]).all()


def test_a_file_of_another_interval_than_the_data_of_the_model_is_told(mslstm, tiny_run, files, clip):
    maps = temperatures(clip).fillna(280)
    maps.to_netcdf(files / "quarters.nc", engine="h5netcdf")
    run = shutil.copytree(tiny_run, files / "hourly")
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps(recipe | {"interval_minutes": 60}))
    given = ("--input", files / "quarters.nc", "--range", "270:310 K", "--output", files / "quarters.npy")
    with warnings.catch_warnings(action="always"):
        ended = mslstm("forecast", "--model", run, *given)
        alike = mslstm("forecast", "--model", tiny_run, *given)
    assert ended.status == alike.status == 0
    assert ended.error.count("`interval` of the frames is 15 minutes, hourly was trained on 60") == 1
    assert "trained on" not in alike.error


def test_one_file_for_each_map(succeed, tiny_run, files, clip):
    maps = temperatures(clip).fillna(280).to_dataset()
    folder = files / "maps"
    folder.mkdir()
    for when in maps.time:
        maps.sel(time=when).to_netcdf(
            folder / f"sst_{when.dt.strftime('%Y%m%d_%H%M').item()}.nc", engine="h5netcdf"
        )
    words = ["forecast", "--model", tiny_run, "--range", "270:310 K", "--output"]
    succeed(*words, files / "series.nc", "--input", f"{folder}:/sst")
    maps.to_netcdf(files / "whole.nc", engine="h5netcdf")
    succeed(*words, files / "one.nc", "--input", files / "whole.nc")
    with xarray.open_dataset(files / "series.nc") as series, xarray.open_dataset(files / "one.nc") as one:
        xarray.testing.assert_equal(series, one)


def test_places_of_resized_frames(mslstm, tiny_run, files, clip):
    maps = temperatures(np.repeat(np.repeat(clip, 2, axis=1), 2, axis=2))
    maps = maps.assign_coords(height=(("lat", "lon"), np.zeros(maps.shape[1:])))
    maps.to_netcdf(files / "large.nc", engine="h5netcdf")
    with warnings.catch_warnings(action="always"):
        ended = mslstm(
            *("forecast", "--model", tiny_run, "--input", files / "large.nc", "--output", files / "half.nc"),
            *("--range", "270:310 K", "--size", "64x64"),
        )
    assert (
        ended.status == 0 and "no height: frames are resized, and these are not evenly spaced" in ended.error
    )
    with xarray.open_dataset(files / "half.nc", decode_timedelta=False) as written:
        np.testing.assert_allclose(written.lat, maps.lat.values.reshape(-1, 2).mean(1))
        np.testing.assert_allclose(written.lon, maps.lon.values.reshape(-1, 2).mean(1))


def test_frames_without_dates_are_counted_with_a_word(mslstm, tiny_run, files, clip):
    maps = xarray.DataArray(
        clip[..., 0], dims=("time", "y", "x"), coords={"time": np.arange(len(clip))}, name="rain"
    )
    maps.to_netcdf(files / "rain.nc", engine="h5netcdf")
    words = ["forecast", "--model", tiny_run, "--input", files / "rain.nc", "--output"]
    with warnings.catch_warnings(action="always"):
        assert "counts its frames, as" in mslstm(*words, files / "out.nc").error
        assert "counts its frames" not in mslstm(*words, files / "out.npy").error
    with xarray.open_dataset(files / "out.nc") as written:
        assert written.forecast.dims == ("frame", "y", "x") and written.frame.values[0] == 1


def test_what_a_file_says_of_its_values_holds_for_their_forecast(succeed, tiny_run, files, clip):
    maps = temperatures(clip).fillna(280).assign_attrs(valid_range=np.array([270, 310], "float32"))
    maps.to_netcdf(files / "valid.nc", engine="h5netcdf")
    with warnings.catch_warnings(action="ignore"):
        facts = json.loads(
            succeed(
                *(
                    "forecast",
                    "--model",
                    tiny_run,
                    "--input",
                    files / "valid.nc",
                    "--output",
                    files / "v.npy",
                ),
                "--json",
            )
        )
    assert facts["range"] == "270:310 K" and np.load(files / "v.npy").min() >= 270


def test_what_is_read_is_not_written_over(fail, tiny_run, files, tmp_path):
    words = ["forecast", "--model", tiny_run, "--input"]
    before = (files / "clip.npy").read_bytes()
    for given, written in (("clip.npy", "clip.npy"), (".", "next.png"), (".", "a/next.png")):
        message = fail(*words, files / given, "--output", files / written)
        assert "`--output` must be another file than `--input`, and outside of it" in message
    assert (files / "clip.npy").read_bytes() == before
    store = tmp_path / "results.zarr"
    store.mkdir()
    (store / "thesis.txt").touch()
    message = fail(*words, files / "clip.npy", "--output", store)
    assert (
        message
        == f"mslstm: `path` must be new, empty or a Zarr store. Received: {store}, a folder of something else\n"
    )
    assert (store / "thesis.txt").exists()


def test_no_input_is_no_folder(mslstm, tiny_run, capsys):
    with pytest.raises(SystemExit, match="2"):
        mslstm("forecast", "--model", tiny_run, "--input", "", "--output", "out.npy")
    assert "argument --input: must name a file or a folder. Received: ''" in capsys.readouterr().err


@pytest.fixture
def maps(tmp_path):
    """Folder of six Dutch maps of 16 x 24 pixels, 5 minutes apart."""
    return write_knmi_maps(tmp_path / "maps", 6, (16, 24))


RAIN = pytest.mark.filterwarnings("ignore:`scale` is rain.dwd")  # see the next test


def test_the_scale_of_radar_maps_is_said(mslstm, tiny_run, maps, tmp_path):
    with warnings.catch_warnings(action="always"):
        ended = mslstm("forecast", "--model", tiny_run, "--input", maps, "--output", tmp_path / "out.npy")
    assert ended.status == 0 and "`scale` is rain:dwd, as the maps are in mm/h" in ended.error


@RAIN
def test_radar_maps_are_forecast_on_their_grid(succeed, tiny_run, maps, tmp_path):
    words = ["forecast", "--model", tiny_run, "--input", maps, "--output"]
    facts = json.loads(succeed(*words, tmp_path / "out.nc", "--json"))
    assert facts["first"] == "2010-08-26T00:30:00" and facts["service"] == "KNMI"
    rates = mslstm_keras.read_radar(maps)
    expected = forecast(load_model(tiny_run), rates)
    with xarray.open_dataset(tmp_path / "out.nc", decode_timedelta=False) as written:
        rain = written.rain_rate
        assert rain.shape == (4, 16, 24) == tuple(facts["shape"]) and rain.attrs["units"] == "mm/h"
        assert rain.attrs["grid_mapping"] in written.variables
        np.testing.assert_array_equal(written.time, expected.time)
        np.testing.assert_array_equal(written.x, rates.x)
        np.testing.assert_allclose(rain, expected.rain_rate, rtol=1e-6)
    succeed(*words, tmp_path / "out.npy")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy")[..., 0], expected.rain_rate, rtol=1e-6)
    succeed(*words, tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        np.testing.assert_allclose(file.read(), expected.rain_rate, rtol=1e-6)
        assert file.xy(0, 0) == (rates.x[0], rates.y[0]) and file.crs.to_dict()["proj"] == "stere"
    assert json.loads(succeed(*words, "-")) == {**facts, "output": "-"}


@RAIN
def test_what_is_no_rain_rate_is_refused(fail, tiny_run, maps, tmp_path):
    """Other units for radar maps, and a radar map that cannot be read, which was taken for a picture."""
    words = ["forecast", "--model", tiny_run, "--output", tmp_path / "out.npy", "--input"]
    message = "`--range` must be in mm/h for radar maps, which are read as rain rates. Received: 0:70 dBZ"
    assert message in fail(*words, maps, "--range", "0:70 dBZ")
    path = tmp_path / "map.pgm"
    path.write_bytes(pgm(np.datetime64("2016-09-28T14:45", "s"), np.zeros((16, 24)), obstime=None))
    assert f"{path}: must say of which time it is, has no `obstime`" in fail(*words, path)


@RAIN
def test_radar_maps_and_their_forecast_are_drawn_in_the_colours_of_rain(
    succeed, fail, tiny_run, maps, tmp_path
):
    """The three maps that the model sees, then four of the forecast: a sheet has two of the former."""
    words = ["forecast", "--model", tiny_run, "--input", maps, "--output"]
    for name in ("out.png", "out.gif", "out.mp4", "out.html"):
        succeed(*words, tmp_path / name)
    sheet, (frames, _), (video, _) = (
        pixels(tmp_path / "out.png"),
        gif_frames(tmp_path / "out.gif"),
        video_frames(tmp_path / "out.mp4"),
    )
    assert len(frames) == len(video) == 7 and frames.shape[1:] == video.shape[1:]
    last = mslstm_keras.read_radar(maps).rain_rate[-1].values
    colours = np.array([rgb(colour) for colour in (NO_RAIN, *RAIN_COLOURS)])
    expected = colours[np.searchsorted(RAIN_LEVELS, last, "right")]
    # Pixels are squares of 25: the last observed map is the second of the sheet, the third of an animation.
    np.testing.assert_allclose(sheet[106 + 12 :: 25, 624 + 12 :: 25][:16, :24], expected, atol=3)
    np.testing.assert_allclose(frames[2][84 + 12 :: 25, 12 + 12 :: 25][:16, :24], expected, atol=16)
    page = read(tmp_path / "out.html")
    shown = page.pixels()
    assert len(shown) == 7
    np.testing.assert_array_equal(shown[2][..., :3], expected)
    assert "ServiceKNMI ProductRAD_NL25_RAP_5min" in page.text and f"Model{tiny_run.name}" in page.text
    assert "Licence of the dataCC BY 4.0" in page.text
    error = fail(*words, tmp_path / "new" / "out.avi")
    assert "`path` must end in .npy, .nc, .zarr, .png, .gif, .mp4, .html, .tif or .tiff. Received: " in error


@RAIN
def test_a_part_of_radar_maps(succeed, fail, tiny_run, maps, tmp_path):
    words = ["forecast", "--model", tiny_run, "--input", maps, "--output", tmp_path / "out.npy"]
    succeed(*words, "--crop", "2:10,4:20")
    assert np.load(tmp_path / "out.npy").shape == (4, 8, 16, 1)
    error = fail(*words, "--crop", "2:10,4:30")
    assert "`crop` must lie within the maps, (height, width) (16, 24)" in error


@RAIN
def test_radar_maps_of_another_size(mslstm, tiny_run, maps, tmp_path):
    words = ["forecast", "--model", tiny_run, "--input", maps, "--output", tmp_path / "out.nc"]
    with warnings.catch_warnings(action="always"):
        ended = mslstm(*words, "--crop", "0:16,2:18", "--size", "8x4")
    assert "the maps are brought from 16 x 16 to 8 x 4 pixels of 2 x 4 km, by means over areas" in ended.error
    with pytest.warns(UserWarning, match="the maps are brought"):
        smaller = resize_maps(mslstm_keras.read_radar(maps).isel(x=slice(2, 18)), 8, 4)
    with xarray.open_dataset(tmp_path / "out.nc", decode_timedelta=False) as written:
        np.testing.assert_allclose(
            written.rain_rate, forecast(load_model(tiny_run), smaller).rain_rate, rtol=1e-6
        )
        np.testing.assert_array_equal(written.x, smaller.x)


@RAIN
def test_maps_of_another_kind_than_the_data_of_the_model_are_said(mslstm, tiny_run, maps, tmp_path):
    """In one line each; not where they are alike."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    recipe = json.loads((run / "recipe.json").read_text())
    words = ["forecast", "--model", run, "--input", maps, "--output", tmp_path / "out.npy"]

    def said(**facts):
        (run / "recipe.json").write_text(json.dumps(recipe | facts))
        with warnings.catch_warnings(action="always"):
            ended = mslstm(*words)
        assert ended.status == 0
        return [line for line in ended.error.splitlines() if "trained on" in line]

    assert said() == said(interval_minutes=5, spacing_metres=1000, quantity="rain rate") == []
    interval, spacing = said(interval_minutes=30, spacing_metres=2000)
    assert "`interval` of the maps is 5 minutes, run was trained on 30" in interval
    assert "pixels of the maps are 1 km, run was trained on 2 km" in spacing and "`--size 8x12`" in spacing
    with warnings.catch_warnings(action="always"):
        ended = mslstm(*words, "--size", "8x12")
    assert "trained on 2 km" not in ended.error and "trained on 30" in ended.error


@RAIN
@pytest.mark.filterwarnings("ignore:.* missing", "ignore:.* interpolated", "ignore:.* filled")
def test_gaps_of_radar_maps(succeed, fail, tiny_run, maps, tmp_path):
    (maps / "RAD_201008260020.h5").unlink()
    words = ["forecast", "--model", tiny_run, "--input", maps, "--output", tmp_path / "out.npy"]
    error = fail(*words)
    assert "at one interval" in error and "10 minutes from 2010-08-26T00:15:00" in error
    succeed(*words, "--fill-gaps", "1")
    assert np.load(tmp_path / "out.npy").shape == (4, 16, 24, 1)


@RAIN
def test_rates_of_radar_maps_are_matched(start, succeed, tiny_run, maps, tmp_path):
    succeed(
        "forecast", "--model", tiny_run, "--input", maps, "--match-rates", "--output", tmp_path / "out.nc"
    )
    given = mslstm_keras.read_radar(maps)
    expected = match_rates(mslstm_keras.forecast(load_model(tiny_run), given), given)
    with xarray.open_dataset(tmp_path / "out.nc", decode_timedelta=False) as written:
        np.testing.assert_allclose(written.rain_rate, expected.rain_rate, rtol=1e-5)
        assert "matched, by rank" in written.attrs["comment"]
    with warnings.catch_warnings(action="ignore"):  # of coasts
        succeed(
            *("forecast", "--model", tiny_run, "--input", maps, "--match-rates"),
            "--output",
            tmp_path / "out.html",
        )
    page = (tmp_path / "out.html").read_text()
    assert f"forecast by {tiny_run.name}, with the rates of the last map" in page
    assert "matched, by rank, to those of the last map" in page
    words = ["forecast", "--model", tiny_run, "--watch", maps, "--output", tmp_path / "out", "--match-rates"]
    watching = start(*words, "--range", "rain:dwd")
    watching.wait_until(lambda: watching.printed().count("\n") == 1)
    np.testing.assert_array_equal(
        as_written(tmp_path / "out" / "20100826T0025Z.nc"), as_written(tmp_path / "out.nc")
    )


@RAIN
@pytest.mark.filterwarnings("ignore:maps are drawn without some or all coasts:UserWarning")
def test_an_ensemble_of_radar_maps(succeed, tiny_run, maps, tmp_path):
    words = ["forecast", "--model", tiny_run, "--input", maps, "--members", 3, "--threshold", 0.5, 2]
    facts = json.loads(succeed(*words, "--output", tmp_path / "out.nc", "--json"))
    members = ensemble_forecast(
        load_model(tiny_run), mslstm_keras.read_radar(maps), members=3
    ).rain_rate.values
    with xarray.open_dataset(tmp_path / "out.nc", decode_timedelta=False) as written:
        assert written.rain_rate.shape == (4, 16, 24) == tuple(facts["shape"])
        assert written.rain_rate.attrs["grid_mapping"] in written.variables
        np.testing.assert_allclose(written.rain_rate_members, members, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(written.rain_rate, members.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(written.rain_rate_spread, members.std(0, ddof=1), rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(written.threshold, [0.5, 2])
        assert "3 members of" in written.attrs["ensemble"] and "seed 0" in written.attrs["ensemble"]
        greatest = written.probability_of_rain_rate_above_threshold.max(("time", "y", "x"))
        np.testing.assert_allclose(facts["greatest_probability"], greatest, atol=1e-6)
    assert (facts["members"], facts["thresholds"]) == (3, [0.5, 2]) and facts["service"] == "KNMI"
    output = tmp_path / "out.png"
    assert succeed(*words, "--output", output) == f"{output}: 4 frames of (16, 24), 3 members\n"
    assert output.stat().st_size > 1000
    assert json.loads(succeed(*words, "--output", "-")) == {**facts, "output": "-"}
    facts = json.loads(succeed(*words[:-3], "--seed", 1, "--output", tmp_path / "seed.nc", "--json"))
    assert (facts["thresholds"], facts["greatest_probability"]) == ([], [])
    with xarray.open_dataset(tmp_path / "seed.nc", decode_timedelta=False) as written:
        assert "threshold" not in written.variables and "seed 1" in written.attrs["ensemble"]
        assert np.nanmax(np.abs(written.rain_rate_members.values - members)) > 1e-3


@RAIN
def test_neighbourhood_probabilities_of_radar_maps(succeed, tiny_run, maps, tmp_path):
    words = ["forecast", "--model", tiny_run, "--input", maps, "--neighbourhood", 5, "--threshold", 1]
    facts = json.loads(succeed(*words, "--output", tmp_path / "out.nc", "--json"))
    assert facts["members"] == 1 and facts["thresholds"] == [1]
    rates = forecast(load_model(tiny_run), mslstm_keras.read_radar(maps)).rain_rate.values
    with xarray.open_dataset(tmp_path / "out.nc", decode_timedelta=False) as written:
        np.testing.assert_allclose(written.rain_rate, rates, rtol=1e-6)
        chance = written.probability_of_rain_rate_above_threshold
        np.testing.assert_allclose(chance[0], neighbourhood_probability(rates, 1, 5), atol=1e-6)
        assert "rain_rate_spread" not in written and "5 x 5" in chance.attrs["comment"]


def write_curves(path, *labels, units="mm/h", interval=5.0):
    """Writes what makes a + (1 - a) p of p, a = 0.1, 0.2, ... by lead time."""
    curves = [{"forecast": [0, 1], "observed": [(lead + 1) / 10, 1]} for lead in range(4)]
    forecasts = {label: {"calibration": {"0.5": curves, "1": curves}} for label in labels}
    path.write_text(json.dumps({"units": units, "interval": interval, "forecasts": forecasts}))
    return path


@RAIN
@pytest.mark.parametrize("words", ["--members 3", "--neighbourhood 5"])
def test_recalibrated_probabilities(succeed, fail, tiny_run, maps, tmp_path, words):
    name = tiny_run.name
    labels = f"{name}, 3 members", f"{name}, 5 x 5 pixels"
    file = write_curves(tmp_path / "a.json", *labels)
    given = ["forecast", "--model", tiny_run, "--input", maps, "--threshold", 0.5, 1, *words.split()]
    succeed(*given, "--output", tmp_path / "plain.nc")
    succeed(*given, "--calibration", file, "--output", tmp_path / "out.nc")
    key = "probability_of_rain_rate_above_threshold"
    plain, found = (
        xarray.load_dataset(tmp_path / file, decode_timedelta=False) for file in ("plain.nc", "out.nc")
    )
    least = np.array([0.1, 0.2, 0.3, 0.4])[:, np.newaxis, np.newaxis]
    np.testing.assert_allclose(found[key], least + (1 - least) * plain[key], atol=1e-6)
    assert "recalibrated" in found[key].attrs["comment"]
    xarray.testing.assert_identical(plain.rain_rate, found.rain_rate)
    given += ["--output", tmp_path / "none.nc", "--calibration"]
    assert f"but '{name}, 7 members'" in fail(*given, write_curves(file, f"{name}, 7 members"))
    assert "Received: 10 minutes for 5" in fail(*given, write_curves(file, *labels, interval=10))
    assert "in 'mm/h'. Received: in 'm'" in fail(*given, write_curves(file, *labels, units="m"))
    assert not (tmp_path / "none.nc").exists()


def test_recalibrated_probabilities_of_seeds(succeed, fail, tiny_run, tmp_path, files):
    for seed in (0, 1):
        shutil.copytree(tiny_run, tmp_path / "runs" / f"seed-{seed}")
    file = write_curves(tmp_path / "a.json", "runs, 2 seeds", units="pixel values", interval=None)
    given = ["forecast", "--input", files / "clip.npy", "--threshold", 0.5, "--calibration", file]
    given += ["--output", files / "out.nc", "--model"]
    succeed(*given, tmp_path / "runs")
    with xarray.open_dataset(files / "out.nc") as found:
        chances, members = found.probability_of_forecast_above_threshold[0], found.forecast_members
        least = np.array([0.1, 0.2, 0.3, 0.4])[:, np.newaxis, np.newaxis]
        expected = least + (1 - least) * (members >= 0.5).mean("realization")
        np.testing.assert_allclose(chances, expected, atol=1e-6)
    error = fail(*given, tmp_path / "runs" / "seed-0", tmp_path / "runs" / "seed-1")
    assert "`--calibration` must come with one `--model`, which may be a folder of several seeds." in error


def test_models_of_several_seeds_are_an_ensemble(succeed, tiny_run, tmp_path, files, clip):
    """By their names, or as the folder that holds them."""
    runs = [tmp_path / "runs" / f"seed-{seed}" for seed in (0, 1)]
    for run in runs:
        shutil.copytree(tiny_run, run)
    other = load_model(tiny_run)
    randomise(other)
    other.save(runs[1] / CHECKPOINT)
    words = ["forecast", "--input", files / "clip.npy", "--json", "--model"]
    facts = json.loads(succeed(*words, *runs, "--threshold", 0.5, "--output", files / "out.npy"))
    assert facts["members"] == 2 and facts["shape"] == [4, 64, 64, 1]
    expected = np.stack([forecast(load_model(run), clip) for run in runs])
    assert np.abs(expected[0] - expected[1]).max() > 0.1
    np.testing.assert_array_equal(np.load(files / "out.npy"), expected)
    assert facts["greatest_probability"] == [(expected >= 0.5).mean(0).max()]
    succeed(*words, tmp_path / "runs", "--output", files / "again.npy")
    np.testing.assert_array_equal(np.load(files / "again.npy"), expected)
    succeed(*words, *runs, "--threshold", 0.5, "--output", files / "out.png")
    assert (files / "out.png").stat().st_size > 1000


def test_an_ensemble_of_numbers_in_units(succeed, tiny_run, files, clip):
    words = ["forecast", "--model", tiny_run, "--input", files / "large.npy", "--range", "0:255 cars"]
    words += ["--members", 4, "--threshold", 5]
    facts = json.loads(succeed(*words, "--output", files / "out.nc", "--json"))
    assert facts["range"] == "0:255 cars" and facts["members"] == 4
    with xarray.open_dataset(files / "out.nc") as written:
        assert written.forecast.attrs["units"] == "cars" == written.threshold.attrs["units"]
        members = written.forecast_members.values
        given = 255 * np.clip(ensemble_forecast(load_model(tiny_run), clip, members=4), 0, 1)
        np.testing.assert_allclose(members, given[..., 0], atol=0.01)
        expected = (members >= 5).mean(0)
        assert len(np.unique(expected)) > 2
        np.testing.assert_allclose(written.probability_of_forecast_above_threshold[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--threshold 1 2", "`--threshold` must come with `--members`, `--neighbourhood` or several models."),
        ("--neighbourhood 3", "`--neighbourhood` must come with `--threshold`. Received: --neighbourhood 3"),
        ("--members 2 --calibration a.json", "`--calibration` must come with `--threshold`. Received: --calibration a"),
        ("--calibration a.json --threshold 1", "`--threshold` must come with `--members`, `--neighbourhood` or"),
        ("--members 2 --threshold 1 --calibration none.json", "none.json"),
        ("--fill-gaps 1", "`--fill-gaps` must be left out of what is no folder, archive or file of radar"),
        ("--match-rates", "`--match-rates` must be left out of what is no folder, archive or file of radar maps."),
        ("--members 2 --match-rates", "`--match-rates` must be left out of ensembles and probabilities."),
        ("--product rain", "`--product` must be left out of what is no folder, archive or file of radar maps."),
        ("--seed 3", "`--seed` must be left out without `--members`. Received: 3"),
        ("--members 1", "`members` must be a number of members, 2 or more. Received: members=1"),
        ("--members 2 --threshold 2 1", "`--threshold` must be values that rise. Received: 2 1"),
        ("--members 2 --threshold nan", "`threshold` must be a finite number. Received: threshold=nan"),
        ("--members 2 --neighbourhood 3 --threshold 1", "`--neighbourhood` must be left out of an ensemble."),
        ("--neighbourhood 0 --threshold 1", "`side` must be a positive number of pixels. Received: side=0"),
        ("--members 2 --output out.gif", "`path` must end in .npy, .nc, .zarr or .png. Received: out.gif"),
        ("--members 2 --output out.html", "`path` must end in .npy, .nc, .zarr or .png. Received: out.html"),
    ],
)  # fmt: skip
def test_faults_of_ensembles(fail, tiny_run, files, words, message):
    given = ["forecast", "--model", tiny_run, "--input", files / "clip.npy", "--output", files / "out.npy"]
    assert message in fail(*given, *words.split())


@pytest.mark.parametrize(
    "words", ["--members 2", "--threshold 1", "--neighbourhood 3", "--seed 1", "--calibration a.json"]
)
def test_a_watched_folder_gives_one_forecast(fail, tiny_run, maps, tmp_path, words):
    error = fail(
        *("forecast", "--model", tiny_run, "--watch", maps, "--output", tmp_path / "out"), *words.split()
    )
    assert f"`{words.split()[0]}` must be left out with `--watch`, which gives one forecast" in error
    error = fail("forecast", "--model", tiny_run, tiny_run, "--watch", maps, "--output", tmp_path / "out")
    assert "`--watch` must have one `--model`" in error


@pytest.fixture
def put(maps, tmp_path):
    """Puts a map into the folder, or another one, at once."""
    times = stamps("2010-08-26T00:00", 20)

    def put(number, folder=maps):
        path = write_knmi(
            tmp_path / f"RAD_{digits(times[number])}.h5", times[number], codes(number, (16, 24))
        )
        return path.rename(folder / path.name)

    return put


def as_written(path):
    with xarray.open_dataset(path, decode_timedelta=False) as written:
        return written.rain_rate.load()


def test_forecasts_of_a_watched_folder_are_those_of_the_command(
    start, succeed, tiny_run, maps, put, tmp_path
):
    """With half a map, a gap, a full disk, a folder that goes, and a command that is killed and started again."""
    out = tmp_path / "out"
    common = ["forecast", "--model", tiny_run, "--range", "rain:dwd"]
    words = [*common, "--watch", maps, "--output", out, "--every-seconds", "0.05"]
    watching = start(*words, "--json")

    def wait_for_line(count):
        watching.wait_until(lambda: watching.printed().count("\n") == count)
        return json.loads(watching.printed().splitlines()[-1])

    def wait_for_words(text):
        watching.wait_until(lambda: text in watching.said())

    def check(facts, time):
        path = out / f"20100826T{time}Z.nc"
        assert facts["output"] == str(path) and facts["frames"] == 4 and facts["service"] == "KNMI"
        assert facts["time"] == f"2010-08-26T{time[:2]}:{time[2:]}:00Z"
        assert facts["seconds"] > 0 and facts["age_seconds"] > 1e8
        succeed(*common, "--input", maps, "--output", tmp_path / "again.nc")
        np.testing.assert_array_equal(as_written(path), as_written(tmp_path / "again.nc"))

    check(wait_for_line(1), "0025")
    whole = put(6, tmp_path)
    path = maps / whole.name
    path.write_bytes(whole.read_bytes()[:-1000])
    wait_for_words(
        "1 files cannot be read and are left out until they change: A radar map must be of a known format. "
        f"Received: {path}: "
    )
    whole.rename(path)
    check(wait_for_line(2), "0030")
    put(8)
    wait_for_words("no forecast from 2010-08-26 00:40 UTC: `frames` must be at one interval")
    put(7)
    check(wait_for_line(3), "0040")
    limit, hard = resource.prlimit(watching.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(watching.process.pid, resource.RLIMIT_FSIZE, (5000, hard))
    put(9)
    wait_for_words(f"the forecast is lost: [Errno 27] File too large: '{out}/20100826T0045Z.nc'")
    assert listing(out) == [".lock", *(f"20100826T{time}Z.nc" for time in ("0025", "0030", "0040"))]
    resource.prlimit(watching.process.pid, resource.RLIMIT_FSIZE, (limit, hard))
    put(10)
    check(wait_for_line(4), "0050")
    shutil.rmtree(out)
    put(11)
    check(wait_for_line(5), "0055")
    watching.process.kill()
    assert watching.end() == -signal.SIGKILL

    (out / ".partial-0123abcd-20100826T0100Z.nc").write_bytes(b"half")
    watching = start(*words)
    watching.wait_until(lambda: not list(out.glob(".partial*")))
    put(12)
    watching.wait_until(lambda: "\n" in watching.printed())
    assert watching.printed().startswith(f"2010-08-26T01:00:00Z: {out}/20100826T0100Z.nc, ")
    watching.process.send_signal(signal.SIGINT)
    assert watching.end() == 130
    assert watching.said() == "mslstm: interrupted\n"
    assert listing(out) == ["20100826T0055Z.nc", "20100826T0100Z.nc"]


@pytest.fixture
def events(monkeypatch):
    """Takes functions; each is called in place of a wait for the next map."""

    def take(*functions):
        left = list(functions)
        clock = SimpleNamespace(sleep=lambda _: left.pop(0)(), monotonic=time.monotonic)
        monkeypatch.setattr("mslstm_keras.forecasting.watch.time", clock)

    return take


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


@RAIN
@pytest.mark.parametrize("kind", ["zarr", "npy", "png"])
def test_kinds_of_forecasts_and_an_end_by_sigterm(mslstm, tiny_run, maps, put, tmp_path, events, kind):
    before, out = signal.getsignal(signal.SIGTERM), tmp_path / "out"
    events(lambda: put(6), terminate)
    ended = mslstm("forecast", "--model", tiny_run, "--watch", maps, "--output", out, "--kind", kind)
    assert (ended.status, ended.error) == (143, "mslstm: ended by SIGTERM\n")
    assert signal.getsignal(signal.SIGTERM) == before
    names = [f"20100826T{time}Z.{kind}" for time in ("0025", "0030")]
    assert sorted(path.name for path in out.iterdir()) == names
    lines = ended.out.splitlines()
    for line, name in zip(lines, names, strict=True):
        assert re.fullmatch(
            rf"2010-08-26T00:\d\d:00Z: {out}/{name}, \d+\.\d\d s, the map is \d+ days old", line
        )


@RAIN
def test_a_part_of_watched_maps_by_carried_states(mslstm, tiny_run, maps, put, tmp_path, events):
    words = ["forecast", "--model", tiny_run, "--watch", maps, "--output", tmp_path / "out", "--kind", "npy"]
    events(lambda: put(6), terminate)
    assert mslstm(*words, "--crop", "2:10,4:20", "--horizon", "6", "--carry-states").status == 143
    rates = mslstm_keras.read_radar(maps).isel(y=slice(2, 10), x=slice(4, 20))
    first, second = (np.load(tmp_path / "out" / f"20100826T{time}Z.npy") for time in ("0025", "0030"))
    model = load_model(tiny_run)
    np.testing.assert_array_equal(first[..., 0], forecast(model, rates.isel(time=slice(6)), 6).rain_rate)
    assert second.shape == (6, 8, 16, 1)
    assert abs(second[..., 0] - forecast(model, rates, 6).rain_rate.values).max() > 1e-6


@RAIN
def test_watched_maps_of_another_kind_are_said_once(mslstm, tiny_run, maps, put, tmp_path, events):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    recipe = json.loads((run / "recipe.json").read_text()) | {"interval_minutes": 30}
    (run / "recipe.json").write_text(json.dumps(recipe))
    words = ["forecast", "--model", run, "--watch", maps, "--output", tmp_path / "out", "--size", "8x12"]
    events(lambda: put(6), terminate)
    with warnings.catch_warnings(action="always"):
        ended = mslstm(*words)
    assert ended.error.count("`interval` of the maps is 5 minutes, run was trained on 30") == 1
    assert len(list((tmp_path / "out").iterdir())) == 2
    rates = mslstm_keras.read_radar(maps)
    with warnings.catch_warnings(action="ignore"):
        expected = forecast(load_model(run), resize_maps(rates, 8, 12)).rain_rate
    with xarray.open_dataset(tmp_path / "out" / "20100826T0030Z.nc", engine="h5netcdf") as written:
        np.testing.assert_array_equal(written.rain_rate, expected)


def test_a_forecast_that_ends_while_it_is_written_leaves_nothing(
    mslstm, tiny_run, maps, tmp_path, monkeypatch
):
    def write(path, content):
        with path.open("wb") as file:
            file.write(content[:10])
            terminate()

    monkeypatch.setattr("pathlib.Path.write_bytes", write)
    words = [
        "forecast",
        "--model",
        tiny_run,
        "--watch",
        maps,
        "--output",
        tmp_path / "out",
        "--range",
        "rain:dwd",
    ]
    assert mslstm(*words).status == 143
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--watch", "maps", "--output", "out", "--kind", "avi"], "`path` must end in .npy, .nc, .zarr"),
        (["--watch", "maps", "--output", "maps/out"], "`--output` must be a folder outside of the watched one"),
        (["--watch", "maps", "--output", "-"], "`--output` must be a folder outside of the watched one"),
        (["--watch", "none", "--output", "out"], "`folder` must be a folder. Received: none"),
        (["--watch", "maps", "--output", "maps/../file"], "File exists: 'maps/../file'"),
        (["--watch", "maps", "--output", "out", "--every-seconds", "0"], "`every_seconds` must be a positive number"),
        (["--watch", "maps", "--output", "out", "--horizon", "0"], "`horizon` must be a positive number of frames"),
        (["--watch", "maps", "--output", "out", "--colour-scale", "a.csv"], "`--colour-scale` must be left out"),
        (["--watch", "maps", "--output", "out", "--crop", "0:8,0:99"], "`crop` must lie within the maps"),
        (["--input", "maps", "--output", "out.nc", "--kind", "nc"], "`--kind` must be left out without `--watch`"),
        (["--input", "maps", "--output", "out.nc", "--carry-states"], "`--carry-states` must be left out without"),
    ],
)  # fmt: skip
def test_faults_of_watching(fail, tiny_run, maps, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert message in fail("forecast", "--model", tiny_run, *words)


def test_help_shows_how_to_watch_and_what_an_ensemble_is(mslstm, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        mslstm("forecast", "--help")
    examples = re.findall(r"such as: mslstm (forecast .*)", capsys.readouterr().out)
    watching, ensemble = (make_parser().parse_args(example.split()) for example in examples)
    assert (str(watching.watch), str(watching.output), watching.kind) == ("maps", "forecasts", "png")
    assert (ensemble.members, ensemble.threshold, str(ensemble.output)) == (8, [1, 5, 10], "future.nc")


def test_one_command_alone_writes_a_folder_of_forecasts(fail, tiny_run, maps, tmp_path):
    with claimed(tmp_path / "out"):
        error = fail("forecast", "--model", tiny_run, "--watch", maps, "--output", tmp_path / "out")
    assert "`--output` must not be written by another process" in error


def test_a_clip_or_a_folder_to_watch(mslstm, capsys):
    for words in ([], ["--input", "clip.gif", "--watch", "maps"]):
        with pytest.raises(SystemExit):
            mslstm("forecast", "--model", NAME, "--output", "out", *words)
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_numbers_with_named_axes_are_written_in_folders_that_are_made(succeed, tiny_run, files, suffix):
    output = files / "new" / "folders" / f"out.{suffix}"
    words = ["forecast", "--model", tiny_run, "--input", files / "narrow.npy", "--output", output]
    assert succeed(*words) == f"{output}: 4 frames of (64, 32, 1)\n"
    with xarray.open_dataset(output) as written:
        assert written.forecast.dims == ("frame", "y", "x")
        expected = forecast(load_model(tiny_run), np.load(files / "narrow.npy"))
        np.testing.assert_array_equal(written.forecast, expected[..., 0])
        assert written.frame.values.tolist() == [1, 2, 3, 4]


def test_a_forecast_of_which_only_the_facts_are_wanted(succeed, tiny_run, files, monkeypatch):
    monkeypatch.chdir(files)
    before = listing(files)
    text = succeed("forecast", "--model", tiny_run, "--input", files / "clip.npy", "--output", "-")
    assert json.loads(text) == {"output": "-", "frames": 4, "shape": [4, 64, 64, 1], "range": None}
    assert listing(files) == before


def test_demo_prints_its_scores(mslstm, succeed, files, tiny_zoo, tmp_path, monkeypatch):
    ended = mslstm("demo", "--zoo", tiny_zoo, "--output", tmp_path / "demo")
    text = ended.out.splitlines()
    assert listing(tmp_path / "demo") == ["demo.gif", "demo.png"]
    assert text[0] == "16 clips, forecast frames"
    assert [line.split()[1] for line in text[3:5]] == [NAME, "persistence"]
    assert text[-1] == f"Wrote {tmp_path / 'demo' / 'demo.png'} and demo.gif"
    monkeypatch.chdir(tmp_path)
    (files / "clip.gif").rename("yourclip.gif")
    (forecast,) = ended.next
    assert succeed(*forecast) == "forecast.gif: 4 frames of (64, 64, 1)\n"
    monkeypatch.setattr("mslstm_keras.forecasting.demo.demo", lambda model, folder: [model.name, str(folder)])
    assert json.loads(succeed("demo", "--json", "--zoo", tiny_zoo)) == ["conv_lstm", "."]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--model": "ms_lstm_mnist"}, f"`name` must be a model of the zoo, such as {NAME}. Received: name="),
        ({"--model": "files/model.keras"}, "must be a Keras model that can be read. Received: files/model.keras ("),
        ({"--model": "files"}, "`model` must be a Keras model that can be read. Received: files ("),
        ({"--zoo": "files"}, "`zoo` must be a folder with a readable index.json. Received: files/index.json"),
        ({"--input": "missing.npy"}, "`missing.npy` must be a clip that can be read. Received: No such file"),
        ({"--input": "files/cut.npy"}, "`files/cut.npy` must be a clip that can be read. Received: damaged, cut off"),
        ({"--input": "files/cut.gif"}, "`files/cut.gif` must be a clip that can be read. Received: damaged, cut off"),
        ({"--input": "files/clip.txt"}, "`path` must be a folder of images or end in one of"),
        ({"--input": "files/short.npy"}, "at least the model's 3 context frames. Received: 2 frames"),
        ({"--input": "files/nan.npy"}, "`files/nan.npy` must be finite. Received: "),
        ({"--input": "files/large.npy"}, "`files/large.npy` must lie in [0, 1] unless a `scale` (`--range"),
        ({"--horizon": "0"}, "`horizon` must be a positive number of frames. Received: horizon=0"),
        ({"--output": "new/out.avi"}, "`path` must end in .npy, .nc, .zarr, .png, .gif, .mp4 or .html. Received: new"),
        ({"--output": "files/clip.txt/out.gif"}, "Not a directory: 'files/clip.txt/out.gif'"),
        ({"--output": "files/clip.gif/out.npy"}, "Not a directory: 'files/clip.gif/out.npy'"),
    ],
)  # fmt: skip
def test_faults_of_a_forecast(fail, tiny_zoo, files, monkeypatch, changes, message):
    monkeypatch.chdir(files.parent)
    options = {
        "--model": NAME,
        "--zoo": tiny_zoo,
        "--input": "files/clip.npy",
        "--output": "out.gif",
        **changes,
    }
    assert message in fail("forecast", *(word for option in options.items() for word in option))


@pytest.mark.parametrize("suffix", ["npy", "gif", "png", "mp4", "html"])
def test_a_disk_that_is_full_when_a_forecast_is_written(fail, tiny_run, files, suffix):
    output = files / f"out.{suffix}"
    with no_file_larger_than(1000):
        error = fail("forecast", "--model", tiny_run, "--input", files / "clip.npy", "--output", output)
    assert error == f"mslstm: [Errno 27] File too large: '{output}'\n"
