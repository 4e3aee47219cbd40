"""Configs of `taxibj_clips`: what the clips show and which of them there are."""

from typing import Any

CONFIGS: dict[str, dict[str, Any]] = {
    "inflow": {
        "description": "Inflow, float32, no frame in both train and test clips.",
    },
    "both": {
        "description": "As `inflow`, with the outflow as second channel.",
        "channels": 2,
    },
    "reference_order": {
        "description": "Windows of the paper's code: newest frame first, 8 bit, 19,560 train and 1,344 test clips.",
        "dtype": "uint8",
        "disjoint": False,
        "reference_order": True,
    },
    "synthetic": {
        "description": "Synthetic flows with daily and weekly cycles in the manner of `inflow`; needs no files.",
        "test_windows": 96,
        "synthetic_weeks": 3,
    },
}
"""Name -> description, and the fields that differ from the defaults of `TaxibjClipsConfig`."""
