"""Configs of `kth_clips`: which videos the clips come from, and how they are cut."""

from typing import Any

CONFIGS: dict[str, dict[str, Any]] = {
    "three_actions": {
        "description": "Walking, jogging, running; frame ranges of the data set's own 00sequences.txt.",
    },
    "trimmed": {
        "description": "Walking, jogging, running; MCNet's trimmed frame lists, without frames that are empty.",
        "lists": "trimmed",
    },
    "six_actions": {
        "description": "All six actions, 30 frames cut backward (10 -> 20), as PredRNN and OpenSTL do.",
        "actions": ("boxing", "handclapping", "handwaving", "walking", "jogging", "running"),
        "strides": (30, 30, 30, 30, 3, 3),
        "window": 30,
        "from_end": True,
        "lists": "trimmed",
    },
    "synthetic": {
        "description": "Synthetic: made-up figures that walk, jog and run, no people. Needs no download.",
        "lists": "synthetic",
    },
}
"""Name -> description, and the fields that differ from the defaults of `KthClipsConfig`."""
