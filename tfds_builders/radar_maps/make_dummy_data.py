"""Writes `dummy_data/`: small made-up maps of two events, for the builder's tests.

Run as `python -m tfds_builders.radar_maps.make_dummy_data`.
"""

from pathlib import Path

import numpy as np

from tests.support.radar_files import stamps, write_knmi, write_odim

FOLDER = Path(__file__).with_name("dummy_data")
LONG, SHORT = (24, 32), (16, 20)  # sizes of the maps of both events
SMALL = {
    "train": (("long/*", 0, 0.6), ("short/*", 0, 1)),
    "test": (("long/*", 0.6, 1),),
    "window": 4,
    "least": 3,
    "crop": 8,
    "train_clips": 30,
    "test_clips": 6,
}
"""Fields of the config that makes clips of them."""


def depth(number: int, size: tuple[int, int]) -> np.ndarray:
    """Rain of map `number` in 0.01 mm per 5 min, uint16: a square that moves to the east, no rain in the west."""
    values = np.zeros(size, np.uint16)
    values[4:14, 8 + number : 14 + number] = 20 + number
    return values


def main() -> None:
    """Writes the files."""
    for folder in ("long", "short"):
        (FOLDER / folder).mkdir(parents=True, exist_ok=True)
    for number, time in enumerate(stamps("2010-08-26T00:00", 10)):
        write_knmi(
            FOLDER / "long" / f"RAD_NL25_RAP_5min_{time.item():%Y%m%d%H%M}.h5", time, depth(number, LONG)
        )
    for number, time in enumerate(stamps("2020-01-01T15:00", 3)):
        write_odim(
            FOLDER / "short" / f"composite_{time.item():%Y%m%d%H%M}.h5",
            time,
            depth(number, SHORT),
            pixel=1000.0,
        )


if __name__ == "__main__":
    main()
