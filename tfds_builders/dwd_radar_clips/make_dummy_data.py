"""Writes `dummy_data/`: files of the real formats with small made-up maps, for the builder's tests.

Run as `python -m tfds_builders.dwd_radar_clips.make_dummy_data`.
"""

import gzip
from pathlib import Path

import h5py
import numpy as np

from tests.support.radar_files import radolan, radolan_name, write_knmi

FOLDER = Path(__file__).with_name("dummy_data")
SIZE = (10, 10)
KNMI_SIZE = (12, 10)  # the last two rows are to be cropped
RADOLAN_SIZE = (900, 900)  # the places of pixels are known of DWD's own grids alone


def depth(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Rain of map `number` in 0.01 mm per 5 min, uint16, dry in its first rows."""
    values = np.random.default_rng(number).integers(0, 300, size, dtype=np.uint16)
    values[: size[0] // 4] = 0
    return values


def write_rydl(path: Path, maps: dict[np.datetime64, np.ndarray], **options) -> None:
    """Writes a file like RYDL.hdf5; `options` are h5py's."""
    with h5py.File(path, "w", libver="latest") as file:
        for time, values in maps.items():
            file.create_dataset(f"{time.item():%Y%m%d%H%M}", data=values, **options)


def times(first: str, count: int, minutes: int) -> np.ndarray:
    """`count` times, one per `minutes`."""
    return np.datetime64(first, "m") + minutes * np.arange(count)


def main() -> None:
    """Writes the files."""
    for name in ("rydl", "radolan", "knmi"):
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
    # Train: two runs of 8 half-hours around a gap, and a map that none needs. Test: one run. 2018: left out.
    stamps = np.concatenate(
        [
            times("2013-06-01T00:00", 8, 30),
            times("2013-06-01T00:05", 1, 30),
            times("2014-06-01T00:00", 9, 30),
            times("2016-06-01T00:00", 8, 30),
            times("2018-06-01T00:00", 2, 30),
        ]
    )
    rydl = {time: (depth(n) / 100).astype(np.float16) for n, time in enumerate(stamps)}
    write_rydl(FOLDER / "rydl" / "RYDL.hdf5", rydl)
    for number, time in enumerate(times("2020-01-01T15:00", 16, 30)):
        path = FOLDER / "radolan" / f"{radolan_name(time)}.gz"
        values = np.zeros(RADOLAN_SIZE, np.uint16)
        values[: SIZE[0], : SIZE[1]] = depth(100 + number)
        path.write_bytes(gzip.compress(radolan(time, values), mtime=0))
    for number, time in enumerate(times("2010-08-26T00:00", 16, 30)):
        path = FOLDER / "knmi" / f"RAD_NL25_RAP_5min_{time.item():%Y%m%d%H%M}.h5"
        write_knmi(path, time, depth(200 + number, KNMI_SIZE))


if __name__ == "__main__":
    main()
