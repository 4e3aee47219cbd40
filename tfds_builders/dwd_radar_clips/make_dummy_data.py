"""Writes `dummy_data/`: files of the real formats with small made-up maps, for the builder's tests.

Run as `python -m tfds_builders.dwd_radar_clips.make_dummy_data`.
"""

import gzip
from pathlib import Path

import h5py
import numpy as np

FOLDER = Path(__file__).with_name("dummy_data")
SIZE = (10, 10)
KNMI_SIZE = (12, 10)  # the last two rows are to be cropped


def depth(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Rain of map `number` in 0.01 mm per 5 min, uint16, dry in its first rows."""
    values = np.random.default_rng(number).integers(0, 300, size, dtype=np.uint16)
    values[: size[0] // 4] = 0
    return values


def radolan(
    time: np.datetime64, values: np.ndarray, *, product: str = "RY", precision: str = "E-02"
) -> bytes:
    """Content of a RADOLAN file: header, then rows from south to north; `values` may have flag bits set."""
    stamp = time.astype("datetime64[m]").item()
    rows, columns = values.shape
    text = (
        f"{product}{stamp:%d%H%M}10000{stamp:%m%y}BY{{size:>7}}VS 3SW   2.21.0PR {precision}INT   5"
        f"GP{rows:>4}x{columns:>4}MS 10<boo,ros> "
    )
    body = values.astype("<u2").tobytes()
    header = text.format(size=len(text.format(size=0)) + 1 + len(body))
    return header.encode("ascii") + b"\x03" + body


def radolan_name(time: np.datetime64, product: str = "ry") -> str:
    """DWD's name of a RADOLAN file, without `.gz`."""
    return f"raa01-{product}_10000-{time.astype('datetime64[m]').item():%y%m%d%H%M}-dwd---bin"


def write_rydl(path: Path, maps: dict[np.datetime64, np.ndarray], **options) -> None:
    """Writes a file like RYDL.hdf5; `options` are h5py's."""
    with h5py.File(path, "w", libver="latest") as file:
        for time, values in maps.items():
            file.create_dataset(f"{time.item():%Y%m%d%H%M}", data=values, **options)


def write_knmi(path: Path, time: np.datetime64, values: np.ndarray, **attributes: object) -> None:
    """Writes a KNMI file; `attributes` replace the usual ones of the same name."""
    usual = {
        "overview": {
            "product_datetime_start": np.bytes_(f"{(time - 5).item():%d-%b-%Y;%H:%M:00.000}".upper()),
            "product_datetime_end": np.bytes_(f"{time.item():%d-%b-%Y;%H:%M:00.000}".upper()),
        },
        "image1": {"image_geo_parameter": np.bytes_("ACCUMULATED_PRECIPITATION_[MM]")},
        "image1/calibration": {
            "calibration_formulas": np.bytes_("GEO=0.01*PV+0.0"),
            "calibration_missing_data": np.array([65535]),
            "calibration_out_of_image": np.array([65535]),
        },
    }
    with h5py.File(path, "w", libver="latest") as file:
        for group, names in usual.items():
            for name, value in names.items():
                file.require_group(group).attrs[name] = attributes.get(name, value)
        file["image1"].create_dataset("image_data", data=values)


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
        path.write_bytes(gzip.compress(radolan(time, depth(100 + number)), mtime=0))
    for number, time in enumerate(times("2010-08-26T00:00", 16, 30)):
        path = FOLDER / "knmi" / f"RAD_NL25_RAP_5min_{time.item():%Y%m%d%H%M}.h5"
        write_knmi(path, time, depth(200 + number, KNMI_SIZE))


if __name__ == "__main__":
    main()
