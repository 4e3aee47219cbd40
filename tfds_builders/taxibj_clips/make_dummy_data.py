"""Writes `dummy_data/`: files of the real format with a few days of made-up flows, for the builder's tests.

Run as `python -m tfds_builders.taxibj_clips.make_dummy_data`.
"""

from pathlib import Path

import h5py
import numpy as np

from tfds_builders.taxibj_clips.flows import CELLS, FILES, SLOTS_PER_DAY

FOLDER = Path(__file__).with_name("dummy_data")

FIRST_DAYS = (20130701, 20140301, 20150301, 20151101)
DAYS = (2, 3, 2, 2)
"""First day and number of days of each file; the second day of the second file lacks a slot."""


def days(first: int, count: int) -> np.ndarray:
    """All dates of days of one month, `S10` (48 count,)."""
    return np.array(
        [f"{day}{slot:02}" for day in range(first, first + count) for slot in range(1, SLOTS_PER_DAY + 1)],
        "S10",
    )


def squares(count: int, first: int) -> np.ndarray:
    """Flows in squares of 8 x 8 cells that wax and wane, one cell below 0, int16 (count, 2, 32, 32)."""
    frame = np.arange(first, first + count)[:, None, None, None]
    channel, row, column = np.indices((2, 4, 4))
    flows = frame % SLOTS_PER_DAY * 4 + frame % (3 + row + column + channel)
    flows = flows.repeat(CELLS // 4, axis=2).repeat(CELLS // 4, axis=3).astype(np.int16)
    flows[:, 0, 0, 0] = -3
    return flows


def write_file(path: Path, dates: np.ndarray, data: np.ndarray) -> None:
    """Writes a file of flows."""
    with h5py.File(path, "w") as file:
        file.create_dataset("date", data=dates, compression="gzip")
        file.create_dataset("data", data=data, compression="gzip", shuffle=True)


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    written = 0
    for name, first, count in zip(FILES, FIRST_DAYS, DAYS, strict=True):
        dates = days(first, count)
        if count == 3:
            dates = np.delete(dates, SLOTS_PER_DAY + 10)
        write_file(FOLDER / name, dates, squares(len(dates), written))
        written += len(dates)


if __name__ == "__main__":
    main()
