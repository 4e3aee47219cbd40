"""Configs of `dwd_radar_clips`: where the maps come from and how clips are made of them."""

from typing import Any

CONFIGS: dict[str, dict[str, Any]] = {
    "germany": {
        "description": "RYDL.hdf5, means of the rain rate, float32; clips do not overlap.",
        "source": "rydl",
    },
    "germany_reference": {
        "description": "RYDL.hdf5, means of 8-bit pixels; clips do not overlap.",
        "source": "rydl",
        "mean": "pixel",
        "dtype": "uint8",
    },
    "radolan": {
        "description": "RADOLAN RY files; the last fifth of the maps is the test part.",
        "source": "ry",
        "test_share": 0.2,
    },
    "knmi": {
        "description": "KNMI or ODIM files; a clip may start every 5 minutes; the last fifth is the test part.",
        "source": "knmi",
        "stride": 5,
        "crop": (760, 700),
        "test_share": 0.2,
    },
    "knmi_hours": {
        "description": "KNMI or ODIM files of a few hours: a map every 10 minutes, half of the maps in each part.",
        "source": "knmi",
        "interval": 10,
        "stride": 5,
        "crop": (760, 700),
        "test_share": 0.5,
    },
    "radar": {
        "description": "Any folder of radar maps that `read_radar` reads, each map; the last fifth is the test part.",
        "source": "radar",
        "interval": None,
        "test_share": 0.2,
    },
    "synthetic": {
        "description": "Synthetic showers that grow, drift and decay; imitates the clips of `germany`.",
        "source": "synthetic",
        "block": 1,
    },
}
"""Name -> description, and the fields that differ from the defaults of `DwdRadarClipsConfig`."""
