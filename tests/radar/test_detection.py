"""Radar maps among other files."""

import bz2
import sys
import tarfile

import h5py
import numpy as np
import pytest
from PIL import Image

from mslstm_keras.radar import files
from mslstm_keras.radar.detection import holds_radar_maps
from tests.support.radar_files import codes, digits, stamps, write_knmi, write_odim

TIMES = stamps("2010-08-26T00:00", 2)


@pytest.fixture
def maps(tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    for time in TIMES:
        write_knmi(folder / f"RAD_{digits(time)}.h5", time, codes(1, (12, 10)))
    return folder


def test_maps_are_known_by_their_content(maps, tmp_path):
    file = next(maps.iterdir())
    assert holds_radar_maps(maps) and holds_radar_maps(file) and holds_radar_maps(f"{maps}/*.h5")
    (tmp_path / "packed.bz2").write_bytes(bz2.compress(file.read_bytes()))
    assert holds_radar_maps(tmp_path / "packed.bz2")
    with tarfile.open(tmp_path / "packed.tar", "w") as archive:
        archive.add(file, file.name)
    assert holds_radar_maps(tmp_path / "packed.tar")


def test_no_more_of_an_archive_is_unpacked_than_the_first_map(maps, tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "packed.tar", "w") as archive:
        for file in sorted(maps.iterdir()):
            archive.add(file, file.name)
    monkeypatch.setattr(files, "MOST_OF_ARCHIVE", min(maps.iterdir()).stat().st_size)
    assert holds_radar_maps(tmp_path / "packed.tar")


def test_the_first_file_of_an_archive_may_be_something_else(maps, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"no map")
    with tarfile.open(tmp_path / "packed.tar", "w") as archive:
        for file in (tmp_path / "a.bin", next(maps.iterdir())):
            archive.add(file, file.name)
    assert holds_radar_maps(tmp_path / "packed.tar")


def test_maps_may_lie_among_others_and_deeper(maps):
    (maps / "day").mkdir()
    for path in [*maps.glob("*.h5")]:
        path.rename(maps / "day" / path.name)
    (maps / "README").write_text("maps of a day")
    (maps / "a.bin").write_bytes(b"no map")
    (maps / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n, cut off")
    assert holds_radar_maps(maps)


def test_other_files_are_none(tmp_path):
    (tmp_path / "pictures").mkdir()
    for suffix in ("png", "gif", "tif", "ppm"):
        Image.fromarray(np.zeros((8, 8), "uint8")).save(tmp_path / "pictures" / f"1.{suffix}")
    np.save(tmp_path / "a.npy", np.zeros((3, 8, 8), "uint8"))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["rain"] = np.zeros((3, 8, 8))
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "back").symlink_to(tmp_path / "loop")
    (tmp_path / "damaged.tar").write_bytes(b"ustar" * 400)
    for name in ("pictures", "a.npy", "a.h5", "loop", "damaged.tar", "missing"):
        assert not holds_radar_maps(tmp_path / name), name


def test_odim_is_known(tmp_path):
    write_odim(tmp_path / "a.hdf", TIMES[0], codes(1, (12, 10)))
    assert holds_radar_maps(tmp_path / "a.hdf")


def test_a_picture_is_one_where_the_packages_of_maps_are_missing(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((8, 8), "uint8")).save(tmp_path / "1.tif")
    (tmp_path / "map").write_bytes((tmp_path / "1.tif").read_bytes())
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert not holds_radar_maps(tmp_path / "1.tif")
    with pytest.raises(ImportError, match=r"pip install 'mslstm_keras\[radar\]'"):
        holds_radar_maps(tmp_path / "map")
