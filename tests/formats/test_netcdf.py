"""NetCDF and Zarr written by xarray: axes, times, packing, groups; and files that are damaged or lie."""

import gzip
import sys
import tracemalloc
import warnings
import zipfile

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray
import zarr

from mslstm_keras.formats.netcdf import read_netcdf
from mslstm_keras.frames.read import read_clip
from tests.support.clip_files import random_frames, random_levels, save_folder

START = np.datetime64("2024-05-01T00:00", "ns")
KINDS = ("a.nc", "classic.nc", "a.nc4", "a.cdf", "a.zarr", "older.zarr", "a.zip")


def rain(values=None, dims=("time", "y", "x"), minutes=(0, 5, 10, 15), **attributes):
    values = random_frames(4, 6, 5) if values is None else values
    times = START + np.array(minutes) * np.timedelta64(60, "s")
    return xarray.DataArray(values, dims=dims, coords={"time": times}, name="rain", attrs=attributes)


def save(path, data, **encoding):
    data = data.to_dataset() if isinstance(data, xarray.DataArray) else data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a version of Zarr does not say of itself
        if path.suffix == ".zarr":
            version = 2 if path.stem == "older" else 3
            data.to_zarr(path, zarr_format=version, encoding=encoding, consolidated=False)
        elif path.suffix == ".zip":
            with zarr.storage.ZipStore(path, mode="w") as store:
                data.to_zarr(store, encoding=encoding, consolidated=False)
        elif path.stem == "classic":
            data.to_netcdf(path, format="NETCDF3_CLASSIC", engine="scipy", encoding=encoding)
        else:
            data.to_netcdf(path, engine="h5netcdf", encoding=encoding)


@pytest.mark.parametrize("name", KINDS)
def test_one_variable(tmp_path, name):
    data = rain()
    save(tmp_path / name, data)
    clip = read_clip(tmp_path / name)
    assert clip.dtype == "float32"
    np.testing.assert_array_equal(clip[..., 0], data.values)
    np.testing.assert_array_equal(read_clip(f"{tmp_path / name}:/rain"), clip)


@pytest.mark.parametrize("name", ["rain", "rain.avi", "rain.npy", "rain.gif", "rain.h5"])
def test_a_store_may_have_any_name(tmp_path, name):
    save(tmp_path / "a.zarr", rain())
    store = (tmp_path / "a.zarr").rename(tmp_path / name)
    np.testing.assert_array_equal(read_clip(store)[..., 0], rain().values)


@pytest.mark.parametrize("name", KINDS)
def test_packed_values_and_missing_ones(tmp_path, name):
    data = rain()
    data[:, :2] = np.nan
    save(tmp_path / name, data, rain={"dtype": "int16", "scale_factor": 1e-4, "_FillValue": np.int16(-1)})
    with pytest.warns(UserWarning, match="40 of 120 values are missing and read as 0"):
        clip = read_clip(tmp_path / name)
    np.testing.assert_allclose(clip[..., 0], data.fillna(0).values, atol=6e-5)
    assert np.isnan(read_clip(tmp_path / name, fill=np.nan)[:, :2]).all()


@pytest.mark.parametrize("name", KINDS)
def test_levels(tmp_path, name):
    levels = random_levels(4, 6, 5)
    if name.startswith("classic"):  # which has no unsigned numbers
        save(tmp_path / name, rain(levels.view("int8"), _Unsigned="true"))
    else:
        save(tmp_path / name, rain(levels))
    np.testing.assert_array_equal(read_clip(tmp_path / name, fill=np.nan)[..., 0], levels / np.float32(255))


def test_what_a_file_says(tmp_path):
    save(tmp_path / "a.nc", rain(units="mm/h", valid_range=np.array([0, 200], "float32")))
    sequence = read_netcdf(tmp_path / "a.nc", None)
    assert (sequence.units, sequence.valid_range, sequence.unpacked) == ("mm/h", (0, 200), False)
    np.testing.assert_array_equal(sequence.labels.times, rain().time.values)


def test_values_beyond_one_are_refused_with_their_units(tmp_path):
    save(tmp_path / "a.nc", rain(2.5 + 0 * random_frames(4, 6, 5), units="mm"))
    with pytest.raises(
        ValueError, match=r"frames of `.*a\.nc` must lie in \[0, 1\] unless .* Received: .* 2.5 to 2.5 mm$"
    ):
        read_clip(tmp_path / "a.nc")


@pytest.mark.parametrize(
    ("names", "axes"),
    [
        (("y", "x", "time"), (1, 2, 0)),
        (("longitude", "latitude", "time"), (2, 1, 0)),
        (("time", "west_east", "south_north"), (0, 2, 1)),
        (("time", "lon_1", "lat_1"), (0, 2, 1)),
        (("width", "height", "time"), (2, 1, 0)),
    ],
)
def test_axes_in_another_order(tmp_path, names, axes):
    values = random_frames(4, 6, 5)
    order = [names[axes.index(axis)] for axis in range(3)]
    data = xarray.DataArray(values, dims=order, coords={"time": rain().time.values}, name="rain")
    save(tmp_path / "a.nc", data.transpose(*names))
    np.testing.assert_array_equal(read_clip(tmp_path / "a.nc")[..., 0], values)


def test_axes_by_their_attributes(tmp_path):
    values = random_frames(4, 6, 5)
    data = xarray.DataArray(
        values,
        dims=("a", "b", "c"),
        coords={
            "a": ("a", np.arange(4.0), {"axis": "T"}),
            "b": ("b", np.arange(6.0), {"standard_name": "projection_y_coordinate"}),
            "c": ("c", np.arange(5.0), {"units": "degrees_east"}),
        },
        name="rain",
    )
    save(tmp_path / "a.nc", data.transpose("c", "a", "b"))
    np.testing.assert_array_equal(read_clip(tmp_path / "a.nc")[..., 0], values)


def test_latitudes_stay_as_they_are_stored(tmp_path):
    for latitudes in ([50.0, 51, 52, 53, 54, 55], [55.0, 54, 53, 52, 51, 50]):
        data = rain(dims=("time", "lat", "lon")).assign_coords(lat=latitudes)
        save(tmp_path / "a.nc", data)
        np.testing.assert_array_equal(read_clip(tmp_path / "a.nc")[..., 0], data.values)


def test_axes_of_one_place_are_left_out_and_channels_come_last(tmp_path):
    data = rain().expand_dims(level=[500.0], member=[1]).transpose("member", "time", "level", "y", "x")
    save(tmp_path / "a.nc", data)
    np.testing.assert_array_equal(read_clip(tmp_path / "a.nc")[..., 0], rain().values)
    colours = random_frames(4, 3, 6, 5)
    save(tmp_path / "b.nc", rain(colours, ("time", "band", "y", "x")))
    np.testing.assert_array_equal(read_clip(tmp_path / "b.nc", 3), np.moveaxis(colours, 1, -1))


def test_one_frame(tmp_path):
    save(tmp_path / "a.nc", rain(random_frames(1, 6, 5), minutes=[0]))
    assert read_clip(tmp_path / "a.nc").shape == (1, 6, 5, 1)


def test_axes_that_say_nothing_are_taken_with_a_word(tmp_path):
    data = xarray.DataArray(random_frames(4, 6, 5), dims=("level", "y", "x"), name="rain")
    save(tmp_path / "a.nc", data)
    with pytest.warns(UserWarning, match="its axis level is taken for time"):
        assert read_clip(tmp_path / "a.nc").shape == (4, 6, 5, 1)
    save(tmp_path / "b.nc", data.rename(y="p", x="q"))
    with pytest.warns(UserWarning, match="its axes level, p, q are taken for time, y, x"):
        assert read_clip(tmp_path / "b.nc").shape == (4, 6, 5, 1)


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_masks_are_zeros_and_ones_where_there_is_nothing_else(tmp_path, name):
    frames = random_frames(4, 6, 5)
    save(tmp_path / name, rain(frames > 0.5))
    np.testing.assert_array_equal(read_clip(tmp_path / name)[..., 0], frames > 0.5)
    both = rain(frames).to_dataset(name="rain").assign(seen=rain(frames > 0.5))
    save(tmp_path / f"both{name}", both)
    np.testing.assert_array_equal(read_clip(tmp_path / f"both{name}")[..., 0], frames)


def test_axes_that_are_no_clip_are_refused(tmp_path):
    save(tmp_path / "a.nc", rain(random_frames(4, 2, 6, 5), ("time", "member", "y", "x")))
    with pytest.raises(
        ValueError,
        match=r"a\.nc` .* Received: axes time 4, member 2, y 6, x 5, which are not one of time, .*; save one of member",
    ):
        read_clip(tmp_path / "a.nc")
    save(
        tmp_path / "b.nc",
        xarray.DataArray(random_frames(3, 2, 6, 5), dims=("run", "member", "y", "x"), name="rain"),
    )
    with pytest.raises(ValueError, match=r"axes run 3, member 2, y 6, x 5, which are not .* one of x$"):
        read_clip(tmp_path / "b.nc")


@pytest.mark.parametrize("name", ["a.nc", "classic.nc", "a.zarr"])
@pytest.mark.parametrize(
    ("minutes", "message"),
    [
        ((0, 5, 20, 25), "a gap: the interval is 0:05:00, and 2 frames are missing, 2024-05-01T00:10, "),
        ((0, 5, 5, 10), "several frames have the same time: 2024-05-01T00:05"),
        ((0, 5, 17, 23), "uneven intervals"),
    ],
)
def test_times_that_are_not_even_are_told_of(tmp_path, name, minutes, message):
    save(tmp_path / name, rain(minutes=minutes))
    with pytest.warns(UserWarning, match=message):
        np.testing.assert_array_equal(read_clip(tmp_path / name)[..., 0], rain().values)


def test_frames_are_sorted_by_their_times(tmp_path):
    save(tmp_path / "a.nc", rain(minutes=(10, 0, 15, 5)))
    with pytest.warns(UserWarning, match="frames are sorted by their times"):
        clip = read_clip(tmp_path / "a.nc")
    np.testing.assert_array_equal(clip[..., 0], rain().values[[1, 3, 0, 2]])


def test_days_of_another_calendar(tmp_path):
    times = xarray.date_range("2023-02-27", periods=4, calendar="noleap", use_cftime=True)
    save(tmp_path / "a.nc", rain().assign_coords(time=times))
    np.testing.assert_array_equal(read_clip(tmp_path / "a.nc")[..., 0], rain().values)


TEXTS = np.array(["2024-05-01_00:10:00", "2024-05-01_00:00:00", "2024-05-01_00:15:00", "2024-05-01_00:05:00"])


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("kind", ["U", "S", "O"])
@pytest.mark.parametrize("variable", ["time", "Times"])
def test_times_that_are_texts(tmp_path, name, kind, variable):
    data = rain().drop_vars("time").to_dataset()
    data = data.assign({variable: ("time", TEXTS.astype(kind))})
    save(tmp_path / name, data)
    with pytest.warns(UserWarning, match="frames are sorted by their times, 2024-05-01T00:00"):
        sequence = read_netcdf(tmp_path / name, None)
    np.testing.assert_array_equal(sequence.values[..., 0], rain().values[[1, 3, 0, 2]])
    np.testing.assert_array_equal(sequence.labels.times, rain().time.values)


def test_texts_that_are_no_times_are_told_of(tmp_path):
    save(tmp_path / "a.nc", rain().assign_coords(time=["left", "right", "top", "bottom"]))
    with pytest.warns(UserWarning, match="its times left, right, top, bottom are not read, frames stay"):
        np.testing.assert_array_equal(read_clip(tmp_path / "a.nc")[..., 0], rain().values)


def test_two_axes_of_times_that_disagree(tmp_path):
    data = rain().rename(time="Time").drop_vars("Time").to_dataset()
    minutes = ("Time", [0, 5, 10, 15], {"units": "minutes since 2024-05-01"})
    save(tmp_path / "a.nc", data.assign(Times=("Time", TEXTS.astype("S")), XTIME=minutes))
    with pytest.warns(UserWarning, match="its times in XTIME and Times tell two orders and are not read"):
        np.testing.assert_array_equal(read_clip(tmp_path / "a.nc")[..., 0], rain().values)


@pytest.mark.parametrize("name", ["a.nc", "classic.nc", "a.zarr"])
@pytest.mark.parametrize("units", ["months since 2024-01-01", "seconds since epoch"])
def test_units_that_are_none_of_dates(tmp_path, name, units):
    save(tmp_path / name, rain().assign_coords(time=("time", [0, 1, 2, 3], {"units": units})))
    with pytest.warns(UserWarning, match=f"its times, {units}, are not read as dates; the numbers are taken"):
        sequence = read_netcdf(tmp_path / name, None)
    np.testing.assert_array_equal(sequence.labels.times, [0, 1, 2, 3])


def test_netcdf_under_the_name_of_hdf5(tmp_path):
    save(tmp_path / "a.nc", rain(minutes=(0, 5, 20, 25)).transpose("y", "x", "time"))
    (tmp_path / "a.nc").rename(tmp_path / "a.h5")
    with pytest.warns(UserWarning, match="a gap"):
        np.testing.assert_array_equal(read_clip(tmp_path / "a.h5")[..., 0], rain().values)


def test_several_variables_and_groups(tmp_path):
    data = rain().to_dataset().assign(snow=1 - rain())
    save(tmp_path / "a.nc", data)
    with pytest.raises(ValueError, match=r"one variable .* a\.nc:/name. Received: /rain, /snow$"):
        read_clip(tmp_path / "a.nc")
    np.testing.assert_array_equal(read_clip(f"{tmp_path}/a.nc:snow")[..., 0], 1 - rain().values)
    with pytest.raises(ValueError, match=r"the variable /hail, of time, y and x. Received: /rain, /snow"):
        read_clip(f"{tmp_path}/a.nc:/hail")
    for name, options in (("b.nc", {"engine": "h5netcdf"}), ("b.zarr", {})):
        tree = xarray.DataTree.from_dict({"/radar/best": rain().to_dataset()})
        if options:
            tree.to_netcdf(tmp_path / name, **options)
        else:
            tree.to_zarr(tmp_path / name, consolidated=False)
        for place in ("", ":/radar/best/rain"):
            np.testing.assert_array_equal(read_clip(f"{tmp_path}/{name}{place}")[..., 0], rain().values)


def test_a_folder_with_an_ending_is_still_one_of_images(tmp_path):
    save_folder(tmp_path / "a.d", random_levels(2, 4, 4), ["0.png", "1.png"])
    assert read_clip(tmp_path / "a.d").shape == (2, 4, 4, 1)


def test_chunks_that_zarr_does_not_have_are_told_of(tmp_path):
    save(tmp_path / "a.zarr", rain(), rain={"chunks": (1, 6, 5)})
    (tmp_path / "a.zarr" / "rain" / "c" / "2" / "0" / "0").unlink()
    with pytest.warns(UserWarning) as told:
        read_clip(tmp_path / "a.zarr")
    assert any("1 of 4 chunks are not stored and read as nan" in str(each.message) for each in told)


@pytest.mark.parametrize("package", ["xarray", "h5netcdf", "zarr"])
def test_without_a_package(tmp_path, monkeypatch, package):
    save(tmp_path / "a.nc", rain())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'mslstm_keras\[netcdf\]'"):
        read_clip(tmp_path / "a.nc")


# Damage


def refused_without_memory(path, message):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as refused:
            read_clip(path)
        assert "\n" not in str(refused.value)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_a_variable_of_netcdf_that_claims_too_much(tmp_path):
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file.create_dataset("rain", (1000, 1000, 1000), "float32", chunks=(1, 10, 10))
    read = r"a\.nc` must be a clip .* fit in the 0 bytes that are stored of it. Received: 4000000000 bytes claimed"
    refused_without_memory(tmp_path / "a.nc", read)
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file.create_dataset("rain", (2**40, 2**10, 2**13), "float32", chunks=(1, 10, 10))
    refused_without_memory(tmp_path / "a.nc", "must hold at most 1073741824 values")


def test_times_of_netcdf_that_claim_too_much(tmp_path):
    with h5py.File(tmp_path / "a.nc", "w") as file:
        times = file.create_dataset("time", (4,), "float64", chunks=(2**28,), maxshape=(None,))
        times.make_scale("time")
        times.attrs["units"] = "seconds since 2024-05-01"
        variable = file.create_dataset("rain", data=random_frames(4, 6, 5))
        for axis, name in enumerate(("time", "y", "x")):
            if axis:
                file[name] = np.arange(float(variable.shape[axis]))
                file[name].make_scale(name)
            variable.dims[axis].attach_scale(file[name])
    refused_without_memory(tmp_path / "a.nc", r"a\.nc` must be a clip .* Received: 2147483648 bytes claimed")


def test_the_classic_form_that_claims_too_much(tmp_path):
    save(tmp_path / "classic.nc", rain())
    content = (tmp_path / "classic.nc").read_bytes()
    place = content.index(b"\0\0\0\1x\0\0\0") + 8
    for side in (2**14, 2**30):
        (tmp_path / "classic.nc").write_bytes(
            content[:place] + side.to_bytes(4, "big") + content[place + 4 :]
        )
        refused_without_memory(tmp_path / "classic.nc", r"classic\.nc` must")


@pytest.mark.parametrize("shape", [(1000, 1000, 1000), (2**40, 2**10, 2**13)])
def test_zarr_that_claims_too_much(tmp_path, shape):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array(
        "rain", shape=shape, chunks=(1, 10, 10), dtype="float32", dimension_names=("time", "y", "x")
    )
    message = "4000000000 bytes of values claimed" if shape[0] == 1000 else "hold at most 1073741824 values"
    refused_without_memory(tmp_path / "a.zarr", rf"a\.zarr` must .*{message}")


def test_a_zip_that_unpacks_to_much_more(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("c/0", bytes(2**27))
    refused_without_memory(
        tmp_path / "a.zip", r"a\.zip` must .*134217728 bytes claimed by \d+ bytes of a zip"
    )


def test_a_zip_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("0.png", b"")
    refused_without_memory(
        tmp_path / "a.zip",
        r"a\.zip` must be .* Received: no Zarr store, but 0\.png: unpack it, and give what is in it$",
    )
    (tmp_path / "b.zarr").mkdir()
    refused_without_memory(tmp_path / "b.zarr", r"b\.zarr` must be a clip that can be read")


@pytest.mark.filterwarnings("ignore")  # as users run it: a decoder's warning alone stops nothing
@pytest.mark.parametrize("name", ["a.nc", "classic.nc", "a.zip"])
def test_altered_files(tmp_path, name):
    """Each is read to a clip, or refused by one line that names it; what is cut off is refused."""
    path, rng, refused = tmp_path / name, np.random.default_rng(0), 0
    save(path, rain())
    content = path.read_bytes()
    for number in range(60):
        altered = bytearray(content)
        if number % 3:
            for place in rng.integers(len(content), size=3):
                altered[place] = rng.integers(256)
        else:
            altered = altered[: rng.integers(len(content) - 100)]
        path.write_bytes(altered)
        try:
            clip = read_clip(path)
            assert clip.ndim == 4 and 0 <= clip.min() <= clip.max() <= 1
            assert number % 3
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
    assert refused >= 20


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_that_was_written_without_xarray(tmp_path, version):
    values = random_frames(4, 6, 5)
    zarr.save_array(tmp_path / "alone.zarr", values, zarr_format=version)
    group = zarr.open_group(tmp_path / "group.zarr", mode="w", zarr_format=version)
    group["rain"] = values
    for name in ("alone.zarr", "group.zarr"):
        np.testing.assert_array_equal(read_clip(tmp_path / name)[..., 0], values)
    day = group.create_group("day")
    day["rain"] = values[::-1]
    day["time"] = np.array([30, 20, 10, 0])
    day["time"].attrs["units"] = "minutes since 2024-05-01"
    with pytest.raises(ValueError, match=r"or say which by group\.zarr:/name. Received: /rain, /day/rain"):
        read_clip(tmp_path / "group.zarr")
    with pytest.warns(
        UserWarning, match="frames are sorted by their times, 2024-05-01T00:00 to 2024-05-01T00:30"
    ):
        np.testing.assert_array_equal(read_clip(f"{tmp_path}/group.zarr:/day/rain")[..., 0], values)
    colours = random_levels(4, 6, 5, 3)
    zarr.save_array(tmp_path / "colours.zarr", colours, zarr_format=version)
    np.testing.assert_allclose(read_clip(tmp_path / "colours.zarr", 3), colours / np.float32(255))


@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_array_that_lacks_chunks_or_claims_too_much(tmp_path, version):
    made = {"shape": (4, 6, 5), "dtype": "float32", "chunks": (2, 6, 5), "zarr_format": version}
    array = zarr.create_array(tmp_path / "a.zarr", **made)
    array[:2] = 0.5
    with pytest.warns(UserWarning, match=r"1 of 2 chunks are not stored and read as 0\.0"):
        assert read_clip(tmp_path / "a.zarr").mean() == 0.25
    made = {"shape": (4000, 400, 400), "dtype": "float32", "zarr_format": version}
    zarr.create_array(tmp_path / "b.zarr", **made)
    with pytest.raises(ValueError, match="bytes of values claimed"):
        read_clip(tmp_path / "b.zarr")


def test_a_projection_that_was_never_written(tmp_path):
    """Of a grid mapping only the attributes count, so many programs leave its value out."""
    with h5netcdf.File(tmp_path / "a.nc", "w") as file:
        file.dimensions = {"time": 2, "y": 4, "x": 5}
        rain = file.create_variable("rain", ("time", "y", "x"), "f4", data=random_frames(2, 4, 5))
        rain.attrs["grid_mapping"] = "crs"
        file.create_variable("crs", (), "i4").attrs["grid_mapping_name"] = "latitude_longitude"
    labels = read_netcdf(tmp_path / "a.nc", None).labels
    assert labels.places.crs.attrs["grid_mapping_name"] == "latitude_longitude"


def test_coordinates_of_the_group_around(tmp_path):
    with h5netcdf.File(tmp_path / "a.nc", "w") as file:
        file.dimensions = {"time": 2, "y": 4, "x": 5}
        time = file.create_variable("time", ("time",), "i4", data=np.array([1, 0]))
        time.attrs["units"] = "hours since 2024-01-01"
        file.create_variable("y", ("y",), "f8", data=np.arange(4.0))
        rain = random_frames(2, 4, 5)
        file.create_group("data").create_variable("rain", ("time", "y", "x"), "f4", data=rain)
    with pytest.warns(
        UserWarning, match="frames are sorted by their times, 2024-01-01T00:00 to 2024-01-01T01:00"
    ):
        sequence = read_netcdf(tmp_path / "a.nc", None)
    np.testing.assert_array_equal(sequence.values[..., 0], rain[::-1])
    np.testing.assert_array_equal(sequence.labels.places.y, np.arange(4))


@pytest.mark.parametrize(
    "units", [("degrees_N", "degrees_E"), ("degree_north", "degree_east"), ("degreeN", "degreeE")]
)
def test_units_of_latitude_and_longitude(tmp_path, units):
    data = rain(dims=("time", "b", "a"))
    data = data.assign_coords(
        {"a": ("a", np.arange(5), {"units": units[1]}), "b": ("b", np.arange(6), {"units": units[0]})}
    )
    save(tmp_path / "a.nc", data.transpose("a", "time", "b"))
    np.testing.assert_array_equal(read_clip(tmp_path / "a.nc")[..., 0], data.values)


def test_axes_that_only_their_place_tells(tmp_path):
    data = rain().rename(time="ocean_time", y="eta_rho", x="xi_rho")
    save(tmp_path / "a.nc", data)
    with pytest.warns(UserWarning, match="its axes eta_rho, xi_rho are taken for y, x"):
        np.testing.assert_array_equal(read_clip(tmp_path / "a.nc")[..., 0], data.values)


@pytest.mark.parametrize("moves", [False, True])
def test_places_with_an_axis_of_time(tmp_path, moves):
    """WRF repeats latitudes and longitudes for each time, as its grid might move."""
    latitudes = np.repeat(np.linspace(50, 51, 30).reshape(1, 6, 5), 4, axis=0)
    latitudes[3] += moves
    data = rain().to_dataset().assign_coords(XLAT=(("time", "y", "x"), latitudes, {"units": "degree_north"}))
    save(tmp_path / "a.nc", data)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        labels = read_netcdf(tmp_path / "a.nc", "rain").labels
    texts = [str(each.message) for each in said]
    if moves:
        assert labels.places is None or "XLAT" not in labels.places
        assert len(texts) == 1 and "places are left out: XLAT (it changes with time)" in texts[0]
    else:
        np.testing.assert_array_equal(labels.places.XLAT, latitudes[0])
        assert not texts


def test_times_of_analyses(tmp_path):
    data = rain().isel(time=[1, 0])
    data["time"].attrs["standard_name"] = "forecast_reference_time"
    save(tmp_path / "a.nc", data)
    with pytest.warns(UserWarning, match="frames are sorted by their times"):
        np.testing.assert_array_equal(read_clip(tmp_path / "a.nc")[..., 0], rain().values[:2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"CDF"), "packed: unpack it"),
        (b"", "no NetCDF"),
        (b"<html>not found</html>", "no NetCDF"),
    ],
)
def test_what_is_no_netcdf(tmp_path, content, message):
    (tmp_path / "a.nc").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_clip(tmp_path / "a.nc")
