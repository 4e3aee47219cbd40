"""Small files of every format that are damaged at random and read, in a process whose memory is limited.

    python -m tests.support.damage clip 5000 SEED FOLDER

prints a JSON object: format -> [read, refused]. Whatever is neither ends it, with the damaged file left in FOLDER.
"""

import bz2
import collections
import gzip
import io
import json
import lzma
import random
import re
import resource
import signal
import struct
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support import radar_files
from tests.support.clip_files import random_levels, save_folder, save_frames, save_hdf5

MOST_MEMORY = 2**30
LONGEST = 60  # seconds that one file may take
TIME = radar_files.stamps("2020-01-01T15:05", 1)[0]
LEVELS = random_levels(3, 20, 24)
MAP = radar_files.codes(0, (20, 24))
# Sides of the files that are written, and what is claimed in their place.
SIDES = (3, 20, 24, 480, 640, 710, 900, 1440)
CLAIMS = (0, 0x7FFF, 0xFFFF, 60_000, 0x7FFFFFFF, 0xFFFFFFFF, 2**40, 2**63 - 1, 2**64 - 1)


def write_video(path, codec):
    import av

    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.height, stream.width = LEVELS.shape[1:]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for frame in LEVELS:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        output.mux(stream.encode())


def write_netcdf(path, **options):
    import xarray as xr

    times = radar_files.stamps("2024-05-01", len(LEVELS)).astype("datetime64[ns]")
    data = xr.Dataset({"rain": (("time", "y", "x"), LEVELS / np.float32(255))}, {"time": times})
    if path.suffix == ".zarr":
        data.to_zarr(path, consolidated=False, **options)
    else:
        data.to_netcdf(path, **options)


def write_zip_of_zarr(path):
    store = path.with_suffix(".zarr")
    write_netcdf(store)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(store.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(store))


def write_ascii_grid(path):
    head = "ncols 900\nnrows 900\nxllcorner -523462\nyllcorner -4658645\ncellsize 1000\nNODATA_value -1\n"
    rows = radar_files.codes(0, (900, 900)).astype(str)
    path.write_text(head + "\n".join(map(" ".join, rows)) + "\n")


def write_archive(path):
    member = path.with_name("map_202001011505.h5")
    radar_files.write_knmi(member, TIME, MAP)
    with tarfile.open(path, "w:bz2") as archive:
        archive.add(member, member.name)


def write_packed(path, opener, content):
    with opener(path, "wb") as file:
        file.write(content)


def write_depth_of_colours(path):
    radar_files.write_gif(path, TIME, radar_files.codes(0, (640, 710), 150), "RZC")


RADOLAN = radar_files.radolan(TIME, radar_files.codes(0, (900, 900)))
CLIPS = {
    "a.npy": lambda path: np.save(path, LEVELS),
    "a.npz": lambda path: np.savez_compressed(path, LEVELS),
    "a.h5": lambda path: save_hdf5(path, clip=LEVELS),
    "a.nc": lambda path: write_netcdf(path, engine="h5netcdf", encoding={"rain": {"zlib": True}}),
    "classic.nc": lambda path: write_netcdf(path, engine="scipy", format="NETCDF3_CLASSIC"),
    "a.zarr": write_netcdf,
    "older.zarr": lambda path: write_netcdf(path, zarr_format=2),
    "a.zip": write_zip_of_zarr,
    "a.avi": lambda path: write_video(path, "mpeg4"),
    "a.mp4": lambda path: write_video(path, "mpeg4"),
    "a.mkv": lambda path: write_video(path, "mjpeg"),
    "a.mpg": lambda path: write_video(path, "mpeg2video"),
    "a.png.gz": lambda path: write_packed(path, gzip.open, picture("PNG")),
    "a.tif.xz": lambda path: write_packed(path, lzma.open, picture("TIFF")),
    "folder": lambda path: save_folder(path, LEVELS, ["1.png", "2.png", "3.png"]),
    **{
        f"a{suffix}": lambda path: save_frames(path, LEVELS)
        for suffix in (".gif", ".webp", ".apng", ".avif", ".tif")
    },
    **{
        f"a{suffix}": lambda path: Image.fromarray(LEVELS[0]).save(path)
        for suffix in (".png", ".jpg", ".bmp", ".jp2", ".pgm", ".tga", ".sgi", ".ico", ".dds", ".im")
    },
    **{
        f"a{suffix}": lambda path: Image.fromarray(LEVELS[0]).convert("RGB").save(path)
        for suffix in (".ppm", ".qoi", ".pcx", ".icns")
    },
}
MAPS = {
    "knmi.h5": lambda path: radar_files.write_knmi(path, TIME, MAP),
    "odim.hdf": lambda path: radar_files.write_odim(path, TIME, MAP),
    "rainfields.nc": lambda path: radar_files.write_rainfields(path, TIME, MAP),
    "map.pgm": lambda path: path.write_bytes(radar_files.pgm(TIME, MAP)),
    "map.pgm.gz": lambda path: write_packed(path, gzip.open, radar_files.pgm(TIME, MAP)),
    "map.tif": lambda path: radar_files.write_geotiff(path, TIME, MAP),
    "map.gif": lambda path: radar_files.write_gif(path, TIME, radar_files.codes(0, (640, 710), 150)),
    "rate.gif": write_depth_of_colours,
    "map.grib2": lambda path: path.write_bytes(radar_files.grib(TIME, MAP)),
    "map.grib2.gz": lambda path: write_packed(path, gzip.open, radar_files.grib(TIME, MAP)),
    radar_files.radolan_name(TIME): lambda path: path.write_bytes(RADOLAN),
    f"{radar_files.radolan_name(TIME)}.bz2": lambda path: write_packed(path, bz2.open, RADOLAN),
    "RW_20200101-1505.asc": write_ascii_grid,
    "maps.tar.bz2": write_archive,
}
FORMATS = {"clip": CLIPS, "radar": MAPS}


def picture(kind):
    content = io.BytesIO()
    Image.fromarray(LEVELS[0]).save(content, kind)
    return content.getvalue()


def read(reader, path):
    """Reads a file to its last value."""
    import mslstm_keras as ms

    if reader == "clip":
        values = ms.read_clip(path, fill=0)
        assert values.ndim == 4 and values.min() >= 0 and values.max() <= 1
    else:
        values = ms.read_radar(path).rain_rate.values
        assert values.ndim == 3 and not (values < 0).any() and not (values > 492).any()
    assert values.dtype == "float32" and values.size


def overwritten(content, chance):
    """Returns content with some bytes of any value, of its beginning more often than not."""
    content = bytearray(content)
    reach = len(content) if chance.random() < 0.4 else min(len(content), 600)
    for _ in range(chance.choice((1, 3, 20))):
        content[chance.randrange(reach)] = chance.randrange(256)
    return bytes(content)


def cut(content, chance):
    """Returns content without its end, or without a piece in its middle."""
    start = chance.randrange(len(content))
    return content[:start] + (content[start + chance.randint(1, 100) :] if chance.random() < 0.3 else b"")


def claimed(content, chance):
    """Returns content that claims another size: in a number that is one of its sides, of whatever width and order."""
    head = content[:20_000]
    forms = {
        struct.pack(form, side): form
        for form in ("<H", ">H", "<I", ">I", "<Q", ">Q")
        for side in (*SIDES, len(content))
        if side < 2 ** (8 * struct.calcsize(form))
    }
    places = [
        (place.start(), form)
        for code, form in forms.items()
        for place in re.finditer(re.escape(code), head, re.DOTALL)
    ]
    texts = [place.span() for place in re.finditer(rb"(?<![\d.])\d{1,6}(?![\d.])", head[:2000])]
    if texts and (not places or chance.random() < 0.5):
        start, end = chance.choice(texts)
        number = chance.choice((b"9" * (end - start), b"60000", b"99999999", b"0"))
        return content[:start] + number + content[end:]
    if not places:
        return overwritten(content, chance)
    start, form = chance.choice(places)
    size = struct.calcsize(form)
    number = min(chance.choice(CLAIMS), 2 ** (8 * size) - 1)
    return content[:start] + struct.pack(form, number) + content[start + size :]


def damaged(content, chance):
    """Returns the content of one of four kinds of damage, and whether its name is to be wrong instead."""
    kind = chance.randrange(4)
    return (overwritten, cut, claimed)[kind](content, chance) if kind < 3 else content, kind == 3


def contents(path):
    """Returns relative path -> content of a file, or of the files of a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {file.relative_to(path.parent): file.read_bytes() for file in files if file.is_file()}


def memory():
    """Returns the bytes of address space that this process has taken."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def main(reader, count, seed, folder):
    """Damages and reads so many files; see the module."""
    import dask

    dask.config.set(scheduler="synchronous")
    warnings.simplefilter("ignore")  # as users run it: a reader's warning alone stops nothing
    chance, folder = random.Random(int(seed)), Path(folder)
    wholes = {}
    for name, write in FORMATS[reader].items():
        path = folder / "whole" / str(len(wholes)) / name
        path.parent.mkdir(parents=True)
        write(path)
        wholes[name] = contents(path)
        read(reader, path)
    # All that readers import is there now.
    resource.setrlimit(resource.RLIMIT_AS, (memory() + MOST_MEMORY,) * 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10
    outcomes = collections.defaultdict(lambda: [0, 0])
    suffixes = [Path(name).suffix for name in wholes]
    for number in range(int(count)):
        name = list(wholes)[number % len(wholes)]
        files = dict(wholes[name])
        hit = chance.choice(sorted(files))
        files[hit], renamed = damaged(files[hit], chance)
        path = folder / "damaged" / str(number) / name
        for place, content in files.items():
            file = path.parent / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        if renamed:
            path = path.rename(path.with_name(f"renamed{chance.choice(suffixes)}"))
        signal.alarm(LONGEST)  # ends this process
        try:
            read(reader, path)
            outcomes[name][0] += 1
        except ValueError as error:
            assert str(path.parent) in str(error), f"{path}: {error}"
            assert len(str(error).splitlines()) == 1, f"{path}: {error}"
            assert not isinstance(error.__cause__, MemoryError), path
            outcomes[name][1] += 1
        signal.alarm(0)
        for file in sorted(path.parent.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        path.parent.rmdir()
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10 - before
    assert taken <= MOST_MEMORY, taken
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
