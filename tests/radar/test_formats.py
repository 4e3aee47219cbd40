"""Tests of how the format of a file is found, and of damaged files of every format."""

import gzip
import lzma
import random
import resource

import h5py
import numpy as np
import pytest

from mslstm_keras.radar.files import find_sources
from mslstm_keras.radar.formats import UnknownFormatError, read_map
from tests.support import radar_files

TIME = radar_files.stamps("2020-01-01T15:05", 1)[0]
SMALL = radar_files.codes(0, (12, 10))
SWISS = radar_files.codes(0, (640, 710), 150)


def knmi(path):
    radar_files.write_knmi(path, TIME, SMALL)


def odim(path):
    radar_files.write_odim(path, TIME, SMALL)


def radolan(path):
    path.write_bytes(radar_files.radolan(TIME, radar_files.codes(0, (900, 900))))


def pgm(path):
    path.write_bytes(radar_files.pgm(TIME, SMALL))


def geotiff(path):
    radar_files.write_geotiff(path, TIME, SMALL)


def gif(path):
    radar_files.write_gif(path, TIME, SWISS)


def mrms(path):
    path.write_bytes(radar_files.grib(TIME, SMALL))


def rainfields(path):
    radar_files.write_rainfields(path, TIME, SMALL)


WRITERS = {
    "KNMI": knmi,
    "EUMETNET OPERA": odim,
    "DWD": radolan,
    "FMI": pgm,
    "FMI ": geotiff,
    "MeteoSwiss": gif,
    "NOAA": mrms,
    "BoM": rainfields,
}


@pytest.mark.parametrize("service", WRITERS)
def test_the_content_tells_the_format(tmp_path, service):
    path = tmp_path / "a.file"
    WRITERS[service](path)
    found, values = read_map(path, path, pixels=True)
    assert found.service == service.strip() and values.shape == found.grid.shape
    said, nothing = read_map(path, path, pixels=False)
    assert said == found and nothing is None


@pytest.mark.parametrize("content", [b"", b"text", b"P6 1 1 255\n000", b"RY is no product of radar"])
def test_unknown_formats(tmp_path, content):
    path = tmp_path / "a.file"
    path.write_bytes(content)
    with pytest.raises(UnknownFormatError, match=f"must be of a known format. Received: {path}"):
        read_map(path, path, pixels=True)
    with h5py.File(path, "w") as file:
        file["speed"] = SMALL
    with pytest.raises(UnknownFormatError):
        read_map(path, path, pixels=True)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"AR2V0006.001", "a volume of NEXRAD, Level II"),
        (b"SDUS54 KOUN 202003\r\r\nN0RTLX", "a product of NEXRAD, Level III"),
        (b"\x01\r\r\n123 \r\r\nSDUS54 KOUN 202003\r\r\n", "a product of NEXRAD, Level III"),
        (b"\x1b\0\x08\0" + bytes(8) + b"\x1a\0\x08\0", "a product of IRIS"),
        (b'<volume version="5.34.16">', "a volume or product of Rainbow"),
        (b"\0\0\x02\0" + np.array([2019, 9, 12], ">i2").tobytes(), "a field of Nimrod"),
        (b"BUFR\0", "BUFR"),
    ],
)
def test_other_formats_of_radar(tmp_path, content, what):
    path = tmp_path / "a.file"
    path.write_bytes(content + bytes(100))
    with pytest.raises(
        ValueError, match=f"NetCDF, made of another one, .* Received: {path}: {what}"
    ) as raised:
        read_map(path, path, pixels=False)
    assert not isinstance(raised.value, UnknownFormatError)  # it is no picture


def cf_radial(file):
    file["azimuth"], file["elevation"], file["DBZH"] = np.zeros(9), np.zeros(9), np.zeros((9, 5))


def cf_radial_2(file):
    file["sweep_group_name"] = np.array([b"sweep_0"])


def knmi_volume(file):
    file.create_group("overview"), file.create_group("scan1")


def gamic(file):
    file.create_group("scan0")
    file.create_group("what").attrs["object"] = "PVOL"


@pytest.mark.parametrize("write", [cf_radial, cf_radial_2, knmi_volume, gamic])
def test_sweeps(tmp_path, write):
    path = tmp_path / "a.file"
    with h5py.File(path, "w") as file:
        write(file)
    with pytest.raises(
        ValueError, match=f"^A radar map .* as they are. Received: {path}: sweeps around a radar"
    ):
        read_map(path, path, pixels=False)


@pytest.mark.parametrize(
    ("pack", "how"),
    [(lzma.compress, "packed by xz"), (lambda content: b"PK\x03\x04" + content, "a zip archive")],
)
def test_what_has_to_be_unpacked(tmp_path, pack, how):
    path = tmp_path / "a.file"
    path.write_bytes(pack(b"map"))
    with pytest.raises(UnknownFormatError, match=f"Received: {path}: {how}; unpack it first"):
        read_map(path, path, pixels=False)


def test_pickles_are_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("was run",))

    path = tmp_path / "rainfall_NW_2016_08.3.npz"
    np.savez(path, data=SMALL, dates=np.array([Bomb()], object))
    with pytest.raises(ValueError, match=f"must not be a pickled object, .* Received: {path}"):
        read_map(path, path, pixels=True)


@pytest.mark.parametrize("service", WRITERS)
def test_damage(tmp_path, capfd, service):
    """Files cut off and files with some bytes changed: a map or one line that names the file, and nothing else."""
    path = tmp_path / "a.file"
    WRITERS[service](path)
    content = path.read_bytes()
    chance = random.Random(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for turn in range(60):
        damaged = bytearray(content)
        if turn % 3 == 0:
            del damaged[chance.randrange(len(content)) :]
        else:
            for _ in range(chance.choice((1, 3, 20))):
                damaged[chance.randrange(min(len(content), (600, 10**9)[turn % 2]))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            read_map(path, path, pixels=True)
        except ValueError as error:
            refused += 1
            assert str(path) in str(error) and len(str(error).splitlines()) == 1
    assert refused >= 15
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert capfd.readouterr() == ("", "")


def altered_knmi(chance, number, content):
    for _ in range(chance.randrange(1, 6)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    if chance.random() < 0.1:
        del content[chance.randrange(len(content)) :]
    return content


def altered_radolan(chance, number, content):
    """Every second time in the header, every fourth time packed."""
    end = content.index(b"\x03") + 1 if number % 2 else len(content)
    if number % 4 == 3:
        content = bytearray(gzip.compress(content, 1))
    for _ in range(chance.randrange(1, 4)):
        content[chance.randrange(end) % len(content)] = chance.choice([chance.randrange(256), 32, 57])
    if chance.random() < 0.2:
        del content[chance.randrange(len(content)) :]
    return content


@pytest.mark.slow
@pytest.mark.parametrize("service", ["KNMI", "DWD"])
def test_ten_thousand_altered_files_are_read_or_refused(tmp_path, service):
    chance, outcomes = random.Random(8), {"read": 0, "refused": 0}
    path = tmp_path / "RAD_NL25_RAP_5min_202001011505.h5"
    if service == "KNMI":
        knmi(path)
        alter, content = altered_knmi, path.read_bytes()
    else:
        path = tmp_path / radar_files.radolan_name(TIME)
        alter, content = altered_radolan, radar_files.radolan(TIME, radar_files.codes(0, (200, 200)))
    for number in range(10_000):
        path.write_bytes(alter(chance, number, bytearray(content)))
        [source], _ = find_sources(path)
        try:
            with source.unpacked() as plain:
                said, values = read_map(source, plain, pixels=True)
        except ValueError as error:
            assert str(path) in str(error)
            outcomes["refused"] += 1
        else:
            rate, _ = said.rain_rate(values)
            assert rate.shape == said.grid.shape and rate.dtype == np.float32
            assert not ((rate < 0) | (rate > 492)).any()
            outcomes["read"] += 1
    assert min(outcomes.values()) > 500
