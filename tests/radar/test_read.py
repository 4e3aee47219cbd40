"""Tests of `read_radar`: what its data set says, laziness, order, gaps, duplicates, kinds that do not go together."""

import bz2
import gzip
import pickle
import tarfile
import warnings

import h5py
import numpy as np
import pytest
from PIL import Image

import mslstm_keras as ms
from mslstm_keras.radar import read as module
from tests.support.radar_files import (
    codes,
    digits,
    grib,
    pgm,
    radolan,
    radolan_name,
    stamps,
    write_knmi,
    write_odim,
)

TIMES = stamps("2010-08-26T00:00", 12)
SIZE = (12, 10)


def knmi(folder, time, values=None, **changes):
    values = codes(int(time.astype(int) // 300 % 1000), SIZE) if values is None else values
    return write_knmi(folder / f"RAD_NL25_RAP_5min_{digits(time)}.h5", time, values, **changes)


def rate(time):
    return (codes(int(time.astype(int) // 300 % 1000), SIZE) * np.float32(0.12)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """Folder of twelve Dutch maps, 5 minutes apart."""
    for time in TIMES:
        knmi(tmp_path, time)
    return tmp_path


def test_the_data_set(folder):
    import pyproj

    data = ms.read_radar(folder)
    rain = data.rain_rate
    assert rain.dims == ("time", "y", "x") and rain.shape == (12, *SIZE) and rain.dtype == np.float32
    np.testing.assert_array_equal(data.time.values, TIMES.astype("datetime64[ns]"))
    np.testing.assert_allclose(rain.values, np.stack([rate(time) for time in TIMES]), atol=1e-5)
    assert rain.attrs["units"] == "mm/h" and rain.attrs["standard_name"] == "rainfall_rate"
    mapping = data[rain.attrs["grid_mapping"]].attrs
    assert pyproj.CRS.from_cf(mapping).ellipsoid.semi_major_metre == 6378137
    assert data.y.values[0] > data.y.values[-1] and data.x.attrs["units"] == "m"
    expected = {"service": "KNMI", "product": "RAD_NL25_RAP_5min", "interval_minutes": 5.0}
    assert expected.items() <= data.attrs.items() and "CC BY 4.0" in data.attrs["licence"]
    assert data.attrs["Conventions"].startswith("CF-")


def test_it_survives_a_file(folder, tmp_path):
    import xarray as xr

    data = ms.read_radar(folder)
    data.to_netcdf(tmp_path / "out.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as found:
        xr.testing.assert_equal(
            found.load().drop_vars("spatial_ref"), data.compute().drop_vars("spatial_ref")
        )


class TestLaziness:
    def test_opening_reads_no_pixel(self, tmp_path, monkeypatch):
        """Of 2,000 maps, two are asked what they are; all others but the one of which pixels are asked stay closed."""
        times = stamps("2010-08-26T00:00", 2000)
        for time in times:
            (tmp_path / f"RAD_NL25_RAP_5min_{digits(time)}.h5").touch()
        for time in times[[0, 700, -1]]:
            knmi(tmp_path, time)
        asked = []

        def read_map(name, path, *, pixels, product):
            asked.append((path.name, pixels))
            return original(name, path, pixels=pixels, product=product)

        original = module.read_map
        monkeypatch.setattr(module, "read_map", read_map)
        data = ms.read_radar(tmp_path)
        assert data.sizes["time"] == 2000
        assert asked == [(f"RAD_NL25_RAP_5min_{digits(time)}.h5", False) for time in times[[0, -1]]]
        del asked[:]
        np.testing.assert_allclose(data.rain_rate[700], rate(times[700]), atol=1e-5)
        assert asked == [(f"RAD_NL25_RAP_5min_{digits(times[700])}.h5", True)]
        with pytest.raises(ValueError, match=r"must be of a known format. Received: .*201008260005.h5"):
            data.rain_rate[1].values  # noqa: B018

    def test_a_name_that_lies_is_found_out(self, folder):
        (folder / f"RAD_NL25_RAP_5min_{digits(TIMES[3])}.h5").unlink()
        write_knmi(folder / f"RAD_NL25_RAP_5min_{digits(TIMES[3])}.h5", TIMES[4], codes(0, SIZE))
        data = ms.read_radar(folder)
        with pytest.raises(
            ValueError, match=r"is of 2010-08-26T00:20:00 by its content, of 2010-08-26T00:15:00"
        ):
            data.rain_rate[3].values  # noqa: B018

    def test_names_that_tell_no_time(self, folder):
        for number, time in enumerate(TIMES[::-1]):
            (folder / f"RAD_NL25_RAP_5min_{digits(time)}.h5").rename(folder / f"map{number}.h5")
        data = ms.read_radar(folder)
        np.testing.assert_array_equal(data.time.values, TIMES.astype("datetime64[ns]"))
        np.testing.assert_allclose(data.rain_rate[1], rate(TIMES[1]), atol=1e-5)

    def test_maps_go_to_other_processes(self, folder):
        data = pickle.loads(pickle.dumps(ms.read_radar(folder)))
        np.testing.assert_allclose(data.rain_rate[1], rate(TIMES[1]), atol=1e-5)


class TestGaps:
    def test_are_said(self, folder):
        for time in TIMES[[3, 7, 8, 9]]:
            (folder / f"RAD_NL25_RAP_5min_{digits(time)}.h5").unlink()
        said = "4 radar maps are missing, 5 minutes apart: 2010-08-26 00:15, 3 from 2010-08-26 00:35 to "
        with pytest.warns(UserWarning, match=said):
            data = ms.read_radar(folder)
        assert data.sizes["time"] == 8 and data.attrs["interval_minutes"] == 5

    def test_are_filled_where_short(self, folder):
        for time in TIMES[[3, 5, 6, 8, 9, 10]]:
            (folder / f"RAD_NL25_RAP_5min_{digits(time)}.h5").unlink()
        with pytest.warns(UserWarning) as said:
            data = ms.read_radar(folder, fill_gaps=2)
        assert [str(one.message).partition(":")[0] for one in said] == [
            "3 missing radar maps are filled, linearly in time",
            "3 radar maps are missing, 5 minutes apart",
        ]
        kept = np.delete(TIMES, [8, 9, 10])
        np.testing.assert_array_equal(data.time.values, kept.astype("datetime64[ns]"))
        rain = data.rain_rate.values
        before, behind = rate(TIMES[4]), rate(TIMES[7])
        np.testing.assert_allclose(rain[3], (rate(TIMES[2]) + rate(TIMES[4])) / 2, atol=1e-4)
        np.testing.assert_allclose(rain[5], before + (behind - before) / 3, atol=1e-4)
        np.testing.assert_allclose(rain[6], before + (behind - before) * 2 / 3, atol=1e-4)
        np.testing.assert_allclose(rain[7], behind, atol=1e-5)

    def test_what_is_missing_in_a_neighbour_is_missing(self, folder):
        values = codes(0, SIZE)
        values[0, 0] = 65535
        knmi(folder, TIMES[2], values)
        (folder / f"RAD_NL25_RAP_5min_{digits(TIMES[3])}.h5").unlink()
        with pytest.warns(UserWarning, match="1 missing radar maps are filled"):
            filled = ms.read_radar(folder, fill_gaps=1).rain_rate[3].values
        assert np.isnan(filled[0, 0]) and np.isfinite(filled).sum() == filled.size - 1

    @pytest.mark.parametrize("fill_gaps", [-1, 3, 1.0, None, True])
    def test_arguments(self, folder, fill_gaps):
        with pytest.raises(ValueError, match="`fill_gaps` must be an integer in"):
            ms.read_radar(folder, fill_gaps=fill_gaps)


class TestDuplicates:
    def test_of_the_same_content_are_taken_once(self, folder):
        path = folder / f"RAD_NL25_RAP_5min_{digits(TIMES[2])}.h5"
        (folder / "again").mkdir()
        (folder / "again" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        (folder / "link.h5").symlink_to(path)
        with pytest.warns(UserWarning, match="2 radar maps are there twice and are taken once, such as"):
            assert ms.read_radar(folder).sizes["time"] == 12

    def test_of_other_content_are_refused(self, folder):
        (folder / "again").mkdir()
        other = knmi(folder / "again", TIMES[2], codes(77, SIZE))
        with pytest.raises(ValueError, match=f"one for each time. Received: two different ones .*{other}"):
            ms.read_radar(folder)


class TestKinds:
    def test_products(self, tmp_path):
        for time in TIMES[:3]:
            write_odim(
                tmp_path / f"T_PAAH22_{digits(time)}.hdf", time, codes(0, SIZE), prodname=np.bytes_("Rate")
            )
        other = tmp_path / f"T_PASH22_{digits(TIMES[0])}.hdf"
        write_odim(other, TIMES[0], codes(0, SIZE), "ACRR", minutes=60, prodname=np.bytes_("Sum of an hour"))
        said = f"`product` or a glob chooses. Received: product: Rate and Sum of an hour: .* and {other}"
        with pytest.raises(ValueError, match=said):
            ms.read_radar(tmp_path)
        assert ms.read_radar(tmp_path, product="rate").sizes["time"] == 3
        assert ms.read_radar(tmp_path, product="PASH").attrs["product"] == "Sum of an hour"
        assert ms.read_radar(tmp_path / "*PASH*").attrs["product"] == "Sum of an hour"
        with pytest.raises(ValueError, match=r"of Rate, Sum of an hour. Received: product='hail'"):
            ms.read_radar(tmp_path, product="hail")

    def test_several_quantities_in_one_file(self, tmp_path):
        for time in TIMES[:3]:
            path = write_odim(
                tmp_path / f"{digits(time)}.h5", time, codes(0, SIZE), "DBZH", prodname=np.bytes_("Composite")
            )
            write_odim(tmp_path / "hour", time, codes(1, SIZE), "ACRR", minutes=60)
            with h5py.File(path, "a") as file, h5py.File(tmp_path / "hour") as other:
                other.copy("dataset1", file, "dataset2")
                file.create_group("dataset1/how").attrs.update(zr_a=200.0, zr_b=1.6)
        (tmp_path / "hour").unlink()
        with pytest.warns(UserWarning) as said:
            data = ms.read_radar(tmp_path)
        assert data.attrs["source"] == "weather radar, rain depth"
        assert [str(one.message) for one in said] == [
            "of the quantities in the files ACRR is read; `product` chooses another, of DBZH",
            "each map is the rain of 60 minutes, yet they are 5 minutes apart: rates are means over 60 minutes",
        ]
        data = ms.read_radar(tmp_path, product="dbzh")
        assert data.attrs["source"] == "weather radar, reflectivity"
        np.testing.assert_allclose(
            data.rain_rate[0, -1], (10 ** (codes(0, SIZE)[-1] / 100) / 200) ** (1 / 1.6), rtol=1e-5
        )

    def test_a_product_is_a_text(self, folder):
        with pytest.raises(
            ValueError, match=r"`product` must be part of a name, a text. Received: product=5"
        ):
            ms.read_radar(folder, product=5)

    def test_services(self, folder):
        other = write_odim(folder / "a.hdf", TIMES[0], codes(0, SIZE))
        with pytest.raises(ValueError, match=f"service: KNMI and EUMETNET OPERA: .*5min.* and {other}"):
            ms.read_radar(folder)

    def test_grids(self, folder):
        other = folder / f"other_{digits(stamps('2010-08-26T01:00', 1)[0])}.h5"
        write_knmi(other, stamps("2010-08-26T01:00", 1)[0], codes(0, (6, 5)))
        with pytest.raises(ValueError, match=f"grid: 12 x 10 pixels .* and 6 x 5 pixels .* and {other}"):
            ms.read_radar(folder)

    def test_a_grid_of_one_map_is_found_out_when_it_is_read(self, folder):
        path = knmi(folder, TIMES[5], codes(0, (6, 5)))
        with pytest.raises(ValueError, match=f"{path}: grid: 12 x 10 .* and 6 x 5"):
            ms.read_radar(folder).rain_rate.values  # noqa: B018

    def test_intervals(self, folder):
        for time in TIMES[1:9]:
            (folder / f"RAD_NL25_RAP_5min_{digits(time)}.h5").unlink()
        knmi(folder, TIMES[9] - np.timedelta64(120, "s"))
        with pytest.raises(
            ValueError, match=r"must be at multiples of one interval. Received: 2 minutes from"
        ):
            ms.read_radar(folder)

    def test_what_is_no_map(self, folder):
        (folder / "stations.dat").write_bytes(b"52.1 5.2")
        (folder / "README").write_bytes(b"about")
        with pytest.warns(UserWarning, match="1 files are no radar maps .* left out: .*stations.dat"):
            assert ms.read_radar(folder).sizes["time"] == 12
        Image.new("L", (8, 8)).save(folder / "quicklook.gif")
        (folder / "RAD_201008260100.h5.tmp").write_bytes(b"\x89HDF\r\n\x1a\n, half")
        write_odim(folder / "volume.h5", TIMES[0], codes(0, SIZE), object=np.bytes_("PVOL"))
        with pytest.warns(UserWarning) as said:
            assert ms.read_radar(folder).sizes["time"] == 12
        [text] = [str(one.message) for one in said]
        assert text.startswith("4 files are no radar maps that can be read and are left out: ")
        for part in ("quicklook.gif", "h5.tmp: Unable to", "volume.h5: must be a map, is an object PVOL"):
            assert part in text
        with pytest.raises(ValueError, match=r"must be of a known format. Received: .*stations.dat"):
            ms.read_radar([folder / "stations.dat"])
        (folder / "none").mkdir()
        with pytest.raises(ValueError, match=r"`path` must hold radar maps. Received: none in .*none"):
            ms.read_radar(folder / "none")

    @pytest.mark.parametrize("named", ["RAD_NL25_RAP_5min_{}.h5", "map{}.h5"])
    @pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n, half"])
    def test_a_damaged_one_among_many(self, tmp_path, named, content):
        for number, time in enumerate(TIMES):
            name = named.format(digits(time) if "RAD" in named else number)
            path = write_knmi(tmp_path / name, time, codes(number, SIZE))
        path.write_bytes(content)
        said = f"must be whole .*; a glob in quotes chooses files. Received: {path}.*, among others named like it"
        with pytest.raises(ValueError, match=said):
            ms.read_radar(tmp_path)

    def test_none_that_can_be_read(self, tmp_path):
        (tmp_path / "a.gif").write_bytes(b"GIF89a")
        (tmp_path / "b.pgm").write_bytes(pgm(TIMES[0], codes(0, SIZE), obstime=None))
        with pytest.raises(ValueError, match=r"b.pgm: must say of which time it is, has no `obstime`"):
            ms.read_radar(tmp_path)


class TestRain:
    def test_relations(self, tmp_path):
        path = tmp_path / "201609281445_fmi.pgm.gz"
        values = np.full(SIZE, 128)  # 32 dBZ
        path.write_bytes(gzip.compress(pgm(np.datetime64("2016-09-28T14:45", "s"), values)))
        said = r"of FMI are of reflectivity .*: Z = 200 R\^1.6 is assumed; `z_r` of `read_radar` sets another"
        with pytest.warns(UserWarning, match=said):
            data = ms.read_radar(path)
        np.testing.assert_allclose(data.rain_rate, (10**3.2 / 200) ** (1 / 1.6), rtol=1e-6)
        assert data.rain_rate.attrs["z_r"] == [200, 1.6] and "Z = 200 R^1.6" in data.attrs["comment"]
        data = ms.read_radar(path, z_r=(223, 1.53))
        np.testing.assert_allclose(data.rain_rate, (10**3.2 / 223) ** (1 / 1.53), rtol=1e-6)
        for z_r in ((0, 1.6), (200,), (200, np.nan), 200, "200", ("a", "b"), (200, None)):
            with pytest.raises(ValueError, match="`z_r` must be"):
                ms.read_radar(path, z_r=z_r)

    def test_a_relation_that_means_nothing(self, tmp_path):
        knmi(tmp_path, TIMES[0])
        with pytest.warns(UserWarning, match="`z_r` is passed over: the maps of KNMI are of rain depth"):
            ms.read_radar(tmp_path, z_r=(223, 1.53))
        path = write_odim(tmp_path / "other.hdf", TIMES[0], codes(0, SIZE), "DBZH")
        with h5py.File(path, "a") as file:
            file.create_group("how").attrs.update(zr_a=256.0, zr_b=1.42)
        with pytest.warns(UserWarning, match=r"passed over: .* have their own, \(256.0, 1.42\)"):
            assert ms.read_radar(path, z_r=(223, 1.53)).rain_rate.attrs["z_r"] == [256, 1.42]

    def test_hail_is_said_once(self, tmp_path):
        values = codes(0, SIZE)
        values[-1, :4] = 60000
        for time in TIMES[:4]:
            knmi(tmp_path, time, values)
        data = ms.read_radar(tmp_path)
        with pytest.warns(UserWarning, match=r"Rain above 492 mm/h is hail .*: 4 pixels of ") as said:
            rain = data.rain_rate.values
        assert len(said) == 1 and (rain[:, -1, :4] == 492).all()

    def test_degrees(self, tmp_path):
        (tmp_path / "a.grib2.gz").write_bytes(gzip.compress(grib(TIMES[0], codes(0, SIZE) / 10)))
        data = ms.read_radar(tmp_path)
        assert data.x.attrs["standard_name"] == "longitude" and data.y.attrs["units"] == "degrees_north"
        assert data.spatial_ref.attrs["grid_mapping_name"] == "latitude_longitude"
        assert "interval_minutes" not in data.attrs  # one map has none


class TestArchives:
    def nowcast(self, folder, issued):
        path = folder / f"DE1200_RV{digits(issued, '%y%m%d%H%M')}.tar.bz2"
        with tarfile.open(path, "w:bz2") as archive:
            for lead in (0, 5, 10):
                name = path.name.removesuffix(".tar.bz2") + f"_{lead:03}"
                content = radolan(issued, codes(lead, (900, 900)), product="RV", extra=f"VV {lead:03}")
                (folder / name).write_bytes(content)
                archive.add(folder / name, name)
                (folder / name).unlink()
        return path

    def test_nowcasts(self, tmp_path):
        path = self.nowcast(tmp_path, TIMES[0])
        said = "2 of the 3 maps are forecasts .* issued 2010-08-26 00:00 for 2010-08-26 00:05 to 2010-08-26 00:10"
        with pytest.warns(UserWarning, match=said):
            data = ms.read_radar(path)
        np.testing.assert_array_equal(data.time.values, TIMES[:3].astype("datetime64[ns]"))
        assert data.attrs["forecast_reference_time"] == "2010-08-26T00:00:00Z"
        np.testing.assert_allclose(data.rain_rate[2], codes(10, (900, 900))[::-1] * 0.12, rtol=1e-6)
        self.nowcast(tmp_path, TIMES[1])
        with pytest.raises(ValueError, match=r"Nowcasts must be of one issue; a glob chooses. Received: "):
            ms.read_radar(tmp_path)

    def test_the_first_maps_of_many_nowcasts(self, tmp_path):
        for time in TIMES[:4]:
            content = radolan(time, codes(0, (900, 900)), product="RV", extra="VV 000")
            (tmp_path / f"DE1200_RV{digits(time, '%y%m%d%H%M')}_000").write_bytes(content)
        data = ms.read_radar(tmp_path)
        assert data.sizes["time"] == 4 and "forecast_reference_time" not in data.attrs

    def test_maps_within(self, tmp_path):
        path = tmp_path / "RY.tar"
        with tarfile.open(path, "w") as archive:
            for number, time in enumerate(TIMES):
                name = f"{radolan_name(time)}.bz2"
                (tmp_path / name).write_bytes(bz2.compress(radolan(time, codes(number, (900, 900)))))
                archive.add(tmp_path / name, name)
                (tmp_path / name).unlink()
        data = ms.read_radar(tmp_path)
        assert data.sizes["time"] == 12
        np.testing.assert_allclose(data.rain_rate[11], codes(11, (900, 900))[::-1] * 0.12, rtol=1e-6)


def test_times_may_have_seconds(tmp_path):
    for time in TIMES[:3] + np.array([0, 7, -4]).astype("timedelta64[s]"):
        write_odim(tmp_path / f"composite_{digits(time, '%Y%m%d%H%M%S')}.h5", time, codes(0, SIZE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = ms.read_radar(tmp_path)
    assert data.attrs["interval_minutes"] == 5 and str(data.time.values[1])[:19] == "2010-08-26T00:05:07"


def test_maps_without_xarray_and_projections(folder, monkeypatch):
    """What data sets are made of: maps of one projection are compared, and read, without knowing it."""
    import sys

    for name in ("dask.array", "xarray", "pyproj"):
        monkeypatch.setitem(sys.modules, name, None)
    maps = module.open_maps(folder)
    assert maps.timetable.minutes == 5 and [entry.time for entry in maps.entries] == [*TIMES]
    np.testing.assert_allclose(maps.read(7), rate(TIMES[7]), atol=1e-5)


def test_packages_that_are_missing(folder, monkeypatch):
    import sys

    for name in ("dask.array", "xarray"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(
            ImportError, match=r"Reading radar maps needs .*pip install 'mslstm_keras\[radar\]'"
        ):
            ms.read_radar(folder)


def without_place(path):
    with h5py.File(path, "a") as file:
        file.pop("geographic", None)
        file.pop("where", None)


@pytest.mark.parametrize("write", [write_knmi, write_odim])
def test_maps_that_do_not_say_where_they_are(tmp_path, write):
    for number, time in enumerate(TIMES[:3]):
        without_place(write(tmp_path / f"{digits(time)}.h5", time, codes(number, SIZE)))
    with pytest.warns(UserWarning, match="do not say where they are: x and y are numbers of pixels"):
        data = ms.read_radar(tmp_path)
    assert data.rain_rate.shape == (3, *SIZE) and "grid_mapping" not in data.rain_rate.attrs
    np.testing.assert_array_equal(data.x, np.arange(10))
    np.testing.assert_array_equal(data.y, np.arange(12)[::-1])
    assert np.nanmax(data.rain_rate.values) > 0
    write(tmp_path / f"{digits(TIMES[3])}.h5", TIMES[3], codes(3, SIZE))  # it says where it is
    with pytest.raises(ValueError, match="nobody says where"):
        ms.read_radar(tmp_path)
