"""Configs of `radar_maps`: which maps clips are cut out of."""

from typing import Any

CONFIGS: dict[str, dict[str, Any]] = {
    "europe": {
        "description": "Rain of the Netherlands, Finland, Germany and Europe; for tests other events, and Switzerland.",
        "licence": "maps of KNMI, FMI, Deutscher Wetterdienst and EUMETNET OPERA, all CC BY 4.0.",
        "train": (
            ("knmi/*", 0, 2 / 3),
            ("fmi/20160928*", 0, 1),
            ("dwd/raa01-yw2017*", 0, 1),
            ("opera_cirrus/*", 0, 1),
        ),
        "test": (
            ("knmi/*", 2 / 3, 1),
            ("fmi/20170509*", 0, 1),
            ("mch/*15135*", 0, 1),
            ("mch/*17031*", 0, 1),
        ),
    },
}
"""Name -> description, and the fields that differ from the defaults of `RadarMapsConfig`."""
