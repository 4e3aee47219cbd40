"""Folders of NetCDF and HDF5 files, as satellites, models and loggers leave them: one file a time."""

import warnings

import h5py
import numpy as np
import pytest
import xarray

from mslstm_keras.frames.read import clip_shape, data_range, read_clip, read_labelled, scale_in

VALUES = np.random.default_rng(0).random((5, 4, 6), "float32")
TIMES = np.datetime64("2024-05-01T00:00", "ns") + np.arange(5) * np.timedelta64(30, "m")
PLACES = {"lat": 50 + 0.1 * np.arange(4), "lon": 5 + 0.1 * np.arange(6)}


def maps(number, time=None, values=VALUES, **attributes):
    """One map, (lat, lon); with a time, which has no axis."""
    coords = PLACES if time is None else {**PLACES, "time": time}
    return xarray.Dataset({"rain": (("lat", "lon"), values[number], attributes)}, coords)


def save(folder, name, data):
    folder.mkdir(exist_ok=True)
    data.to_netcdf(folder / name, engine="scipy" if name.endswith(".cdf") else "h5netcdf")


def saying(**attributes):
    return lambda data: data.assign(rain=data.rain.assign_attrs(attributes))


def read(folder, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_labelled(folder, 1, **options)


@pytest.mark.parametrize("suffix", [".nc", ".nc4", ".cdf"])
@pytest.mark.parametrize(
    "shaped",
    [
        lambda data: data,  # (lat, lon), and a time beside
        lambda data: data.expand_dims("time"),
        lambda data: data.transpose("lon", "lat").expand_dims("time", axis=2),
    ],
)
def test_one_map_a_file(tmp_path, suffix, shaped):
    for number, time in enumerate(TIMES):
        save(
            tmp_path / "maps",
            f"rain_20240501_{number // 2:02d}{number % 2 * 30:02d}{suffix}",
            shaped(maps(number, time)),
        )
    clip = read(tmp_path / "maps")
    np.testing.assert_array_equal(clip.frames[..., 0], VALUES)
    np.testing.assert_array_equal(clip.labels.times, TIMES)
    np.testing.assert_array_equal(clip.labels.places.lat, PLACES["lat"])
    assert clip_shape(tmp_path / "maps") == (5, 4, 6, 1)
    assert data_range(tmp_path / "maps") == (VALUES.min(), VALUES.max())


def test_several_maps_a_file(tmp_path):
    whole = xarray.concat([maps(number, time) for number, time in enumerate(TIMES)], "time")
    for name, part in (("day1", slice(0, 2)), ("day2", slice(2, 5))):
        save(tmp_path / "maps", f"{name}.nc", whole.isel(time=part))
    np.testing.assert_array_equal(read(tmp_path / "maps").frames[..., 0], VALUES)


def test_times_in_the_files_go_before_names(tmp_path):
    for number, time in enumerate(TIMES):
        save(tmp_path / "maps", f"{4 - number}.nc", maps(number, time))
    with pytest.warns(
        UserWarning, match="frames are sorted by their times, 2024-05-01T00:00 to 2024-05-01T02:00"
    ):
        clip = read_clip(tmp_path / "maps")
    np.testing.assert_array_equal(clip[..., 0], VALUES)


def test_names_that_tell_nothing_do_not_matter_beside_times(tmp_path):
    for name, number in zip(("one", "two", "three"), (1, 0, 2), strict=True):
        save(tmp_path / "maps", f"{name}.nc", maps(number, TIMES[number]))
    with pytest.warns(UserWarning, match="frames are sorted by their times"):
        np.testing.assert_array_equal(read_clip(tmp_path / "maps")[..., 0], VALUES[:3])
    for path in (tmp_path / "maps").iterdir():
        data = xarray.load_dataset(path).drop_vars("time")
        save(tmp_path / "maps", path.name, data)
    with pytest.raises(ValueError, match=r"must hold files that say their times, or names that do: .*one"):
        read_clip(tmp_path / "maps")


@pytest.mark.parametrize("counted", [False, True])
def test_files_without_times_are_in_the_order_of_their_names(tmp_path, counted):
    for number in (0, 1, 2, 4):
        data = maps(number)
        data = data.expand_dims(time=[0]) if counted else data  # every file begins to count anew
        save(tmp_path / "maps", f"rain_{number + 8}.nc", data)
    with pytest.warns(UserWarning, match=r"gaps: 2 between rain_10\.nc and rain_12\.nc \(missing: 11\)"):
        clip = read_labelled(tmp_path / "maps", 1)
    np.testing.assert_array_equal(clip.frames[..., 0], VALUES[[0, 1, 2, 4]])
    assert clip.labels.times is None


def test_files_of_one_time_are_in_the_order_of_their_names(tmp_path):
    for number in range(3):
        save(tmp_path / "maps", f"{2 - number}.nc", maps(number, TIMES[0]))
    with pytest.warns(
        UserWarning, match="all files say the same time, 2024-05-01T00:00:00.* order of the names"
    ):
        clip = read_labelled(tmp_path / "maps", 1)
    np.testing.assert_array_equal(clip.frames[..., 0], VALUES[[2, 1, 0]])
    assert clip.labels.times is None


def test_places_may_be_unknown_beyond_the_horizon(tmp_path):
    """A geostationary satellite sees pixels that are no place on earth."""
    latitudes = np.where(np.eye(4, 6) > 0, np.nan, np.linspace(0, 1, 24).reshape(4, 6))
    for number, time in enumerate(TIMES):
        data = maps(number, time).assign_coords(
            latitude=(("lat", "lon"), latitudes, {"units": "degrees_north"})
        )
        save(tmp_path / "maps", f"{number}.nc", data)
    np.testing.assert_array_equal(read(tmp_path / "maps").labels.places.latitude, latitudes)


def test_a_gap_between_times_is_told(tmp_path):
    for number in (0, 1, 3, 4):
        save(tmp_path / "maps", f"{number}.nc", maps(number, TIMES[number]))
    with pytest.warns(
        UserWarning, match="a gap: the interval is 0:30:00, and 1 frames are missing, 2024-05-01T01:00"
    ):
        read_clip(tmp_path / "maps")


def test_what_files_say_is_said_once(tmp_path):
    values = 5 * VALUES.copy()
    values[1:, 0, 0] = np.nan
    for number, time in enumerate(TIMES):
        save(tmp_path / "maps", f"{number}.nc", maps(number, time, values, units="kg m-2 s-1"))
    with pytest.warns(UserWarning) as said:
        clip = read_labelled(tmp_path / "maps", 1, scale="0:100000 mm/h")
    texts = [str(each.message) for each in said]
    assert len(texts) == 2
    assert "rates in kg m-2 s-1 are read as mm/h, times 3600" in texts[0]
    assert "4 of 120 values are missing and read as 0" in texts[1]
    assert clip.labels.units == "mm/h" and clip.labels.unobserved.sum() == 1
    assert scale_in(tmp_path / "maps") == "rain:dwd"


def test_what_is_assumed_of_several_files_is_said_once(tmp_path):
    for number in range(3):
        data = xarray.Dataset({"rain": (("a", "b"), VALUES[number])})
        save(tmp_path / "maps", f"{number}.nc", data)
    with pytest.warns(UserWarning) as said:
        clip = read_clip(tmp_path / "maps")
    np.testing.assert_array_equal(clip[..., 0], VALUES[:3])
    (text,) = (str(each.message) for each in said)
    assert "its axes file, a, b are taken for time, y, x (3 files, such as 0.nc)" in text


def test_one_axis_that_is_known_tells_the_other(tmp_path):
    for number in range(3):
        data = xarray.Dataset({"rain": (("b", "lat"), VALUES[number].T)}, {"lat": PLACES["lat"]})
        save(tmp_path / "maps", f"{number}.nc", data)
    with pytest.warns(UserWarning, match="its axis b is taken for x"):
        np.testing.assert_array_equal(read_clip(tmp_path / "maps")[..., 0], VALUES[:3])


def test_a_variable_is_named(tmp_path):
    for number, time in enumerate(TIMES):
        data = maps(number, time).assign(quality=(("lat", "lon"), 1 - VALUES[number]))
        save(tmp_path / "maps", f"{number}.nc", data)
    with pytest.raises(ValueError, match=r"or say which by maps:/name\. Received: /rain, /quality"):
        read_clip(tmp_path / "maps")
    for word in ("/quality", "quality"):
        clip = read(f"{tmp_path / 'maps'}:{word}")
        np.testing.assert_array_equal(clip.frames[..., 0], 1 - VALUES)


@pytest.mark.parametrize("suffix", [".nc", ".h5"])
def test_the_current_folder_is_named_too(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    with h5py.File(f"0{suffix}", "w") as file:
        file["rain"] = file["quality"] = VALUES[0]
    with pytest.raises(ValueError, match=r"or say which by \.:/name\. Received: "):
        read_clip(".")
    np.testing.assert_array_equal(read_clip(".:/rain")[..., 0], VALUES[:1])


def test_coordinates_are_no_frames(tmp_path):
    grid = np.linspace(0, 1, 24, dtype="float32").reshape(4, 6)
    for number, time in enumerate(TIMES):
        data = maps(number, time).assign(
            latitude=(("lat", "lon"), 50 + grid, {"units": "degrees_north"}),
            lat_bounds=(("lat", "edge"), np.zeros((4, 2))),
        )
        data.lat.attrs["bounds"] = "lat_bounds"
        save(tmp_path / "maps", f"{number}.nc", data)
    clip = read(tmp_path / "maps")
    np.testing.assert_array_equal(clip.frames[..., 0], VALUES)
    np.testing.assert_array_equal(clip.labels.places.latitude, 50 + grid)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            lambda data: data.isel(lat=slice(3)),
            r"one size, .* Received: \(3, 6, 1\) after \(4, 6, 1\) in 0\.nc",
        ),
        (lambda data: data.assign_coords(lon=data.lon + 1), "must have the places of the others"),
        (lambda data: data.drop_vars("lon"), "must have the places of the others"),
        (lambda data: data.drop_vars("time"), r"3\.nc` must say its time, as others do"),
        (lambda data: data.rename(rain="snow"), r"3\.nc` must hold the variable /rain"),
        (lambda data: data.rename(rain="snow"), r"one variable, with the others\. Received: snow after rain"),
        (
            lambda data: data.assign_coords(time=3.0),
            r"3\.nc` must say its time as the others do\. Received: numbers after dates in 0\.nc",
        ),
        (saying(units="mm"), r"frames of one units, with the others\. Received: mm after None"),
        (saying(valid_max=np.float32(9)), "one valid range, with the others"),
    ],
)
def test_files_that_are_not_alike_are_refused(tmp_path, other, message):
    for number, time in enumerate(TIMES):
        data = maps(number, time)
        save(tmp_path / "maps", f"{number}.nc", other(data) if number == 3 else data)
    path = f"{tmp_path / 'maps'}:/rain" if "hold the variable" in message else tmp_path / "maps"
    with pytest.raises(ValueError, match=message):
        read_clip(path)


def test_satellites_over_two_places_are_not_one_clip(tmp_path):
    """GOES-East and -West have the same x and y; what differs is said by attributes of the projection."""
    for number, longitude in enumerate((-75.0, -137.0)):
        crs = ((), 0, {"grid_mapping_name": "geostationary", "longitude_of_projection_origin": longitude})
        data = maps(number, TIMES[number], grid_mapping="crs").assign(crs=crs)
        save(tmp_path / "maps", f"{number}.nc", data)
    with pytest.raises(ValueError, match="must have the places of the others"):
        read_clip(tmp_path / "maps")


def test_places_that_differ_by_rounding_are_the_same(tmp_path):
    for number, time in enumerate(TIMES):
        data = maps(number, time).assign_coords(lon=np.linspace(-1, 1, 6) + number * 1e-15)
        save(tmp_path / "maps", f"{number}.nc", data)
    np.testing.assert_array_equal(read(tmp_path / "maps").frames[..., 0], VALUES)


@pytest.mark.parametrize(
    "shaped",
    [
        lambda data: data.reset_coords("time"),  # no attribute names it
        lambda data: data.assign_coords(time=str(data.time.values)[:16]).reset_coords("time"),
        lambda data: data.expand_dims(band=[1]),
        lambda data: data.expand_dims(height=1).assign_coords(height=("height", [2.0], {"axis": "Z"})),
    ],
)
def test_what_lies_beside_one_map(tmp_path, shaped):
    for number, time in enumerate(TIMES):
        data = shaped(maps(number, time).isel({}))
        save(tmp_path / "maps", f"{number}.nc", data)
    clip = read(tmp_path / "maps")
    np.testing.assert_array_equal(clip.frames[..., 0], VALUES)
    np.testing.assert_array_equal(clip.labels.times, TIMES)


def test_a_line_of_a_scan_has_its_own_time(tmp_path):
    for number in range(2):
        scanned = TIMES[number] + np.arange(4) * np.timedelta64(1, "s")
        save(tmp_path / "maps", f"{number}.nc", maps(number).assign_coords(time=("lat", scanned)))
    clip = read(tmp_path / "maps")
    np.testing.assert_array_equal(clip.frames[..., 0], VALUES[:2])
    assert clip.labels.times is None and "time" not in clip.labels.places.coords


def test_texts_of_times_are_read_together(tmp_path):
    """The first could be the second of January, all of them are not."""
    for number, day in enumerate((1, 2, 3)):
        save(tmp_path / "maps", f"{3 - number}.nc", maps(number).assign(time=((), f"0{day}/02/2024")))
    with pytest.warns(
        UserWarning, match="frames are sorted by their times, 2024-02-01T00:00 to 2024-02-03T00:00"
    ):
        np.testing.assert_array_equal(read_clip(tmp_path / "maps")[..., 0], VALUES[:3])
    for number, word in enumerate(("left", "right", "top")):
        save(tmp_path / "words", f"{number}.nc", maps(number).assign(time=((), word)))
    with pytest.warns(UserWarning, match="its times left, right, top are not read, frames stay in the order"):
        np.testing.assert_array_equal(read_clip(tmp_path / "words")[..., 0], VALUES[:3])


def test_bounds_of_places_are_no_frames(tmp_path):
    grid = np.linspace(0, 1, 24).reshape(4, 6)
    for number, time in enumerate(TIMES):
        data = maps(number, time)
        for name, units in (("lat2", "degrees_north"), ("lon2", "degrees_east")):
            data = data.assign_coords(
                {name: (("lat", "lon"), grid, {"units": units, "bounds": f"{name}_corners"})}
            )
            data = data.assign({f"{name}_corners": (("lat", "lon", "corner"), np.zeros((4, 6, 4)))})
        save(tmp_path / "maps", f"{number}.nc", data)
    np.testing.assert_array_equal(read(tmp_path / "maps").frames[..., 0], VALUES)


def test_times_of_hdf5_have_units(tmp_path):
    (tmp_path / "maps").mkdir()
    for number, (base, hours) in enumerate((("2024-01-01", 12), ("2024-01-02", 6))):
        with h5py.File(tmp_path / "maps" / f"{number}.h5", "w") as file:
            file["group/rain"] = VALUES[number]
            file["time"] = hours
            file["time"].attrs["units"] = np.bytes_(f"hours since {base}")
    clip = read(tmp_path / "maps")
    np.testing.assert_array_equal(clip.frames[..., 0], VALUES[:2])
    assert clip.labels.times.astype("datetime64[h]").astype(str).tolist() == [
        "2024-01-01T12",
        "2024-01-02T06",
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_hdf5_frames_of_several_channels(tmp_path, channels):
    values = np.random.default_rng(1).random((3, 4, 6, channels), "float32")
    (tmp_path / "maps").mkdir()
    for number in range(3):
        with h5py.File(tmp_path / "maps" / f"{number}.h5", "w") as file:
            file["rain"] = values[number]
    np.testing.assert_array_equal(read_clip(tmp_path / "maps", channels), values)


def test_a_file_that_is_cut_off_is_named(tmp_path):
    for number, time in enumerate(TIMES):
        save(tmp_path / "maps", f"{number}.nc", maps(number, time))
    whole = (tmp_path / "maps" / "2.nc").read_bytes()
    (tmp_path / "maps" / "2.nc").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"2\.nc` must be a clip that can be read"):
        read_clip(tmp_path / "maps")


@pytest.mark.parametrize("dtype", ["uint8", "float32", "uint16"])
def test_hdf5_of_one_frame_a_file(tmp_path, dtype):
    stored = VALUES if dtype == "float32" else (250 * VALUES).astype(dtype)
    (tmp_path / "maps").mkdir()
    for number in range(5):
        with h5py.File(tmp_path / "maps" / f"f{number}.h5", "w") as file:
            file["frame"] = stored[number]
            file["time"] = str(TIMES[number])[:16]
    scale = {"uint8": None, "float32": None, "uint16": "0:250"}[dtype]
    clip = read(tmp_path / "maps", scale=scale)
    divisor = {"uint8": 255, "float32": 1, "uint16": 250}[dtype]
    np.testing.assert_allclose(clip.frames[..., 0], stored / divisor, atol=1e-6)
    np.testing.assert_array_equal(clip.labels.times, TIMES)


def test_a_folder_of_other_files_is_read_as_before(tmp_path):
    save(tmp_path / "maps", "0.nc", maps(0))
    (tmp_path / "maps" / "notes.txt").write_text("rain")
    with pytest.warns(UserWarning, match="no frames are notes.txt"):
        assert read_clip(tmp_path / "maps").shape == (1, 4, 6, 1)
    np.save(tmp_path / "maps" / "1.npy", VALUES[1])
    with pytest.warns(UserWarning, match="no frames are"), pytest.raises(ValueError, match=r"0\.nc"):
        read_clip(tmp_path / "maps")
