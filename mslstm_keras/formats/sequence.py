"""Frames, and what their file says of them."""

from dataclasses import dataclass

import numpy as np

from mslstm_keras.formats.labels import Labels


@dataclass(frozen=True)
class Sequence:
    """Frames in the units of their file.

    Attributes:
        values: float32 (time, height, width, channels), NaN where the file marks a pixel as missing.
        units: what the values are measured in, such as "mm/h"; None for plain numbers and for levels, which are
            divided by 255 already.
        valid_range: (lowest, highest) that the file allows for its values, or None.
        levels: whether the values are levels of grey or colour, divided by 255.
        unpacked: whether the values were packed by `scale_factor` and `add_offset`.
        labels: names, times and places, or None.
    """

    values: np.ndarray
    units: str | None = None
    valid_range: tuple[float, float] | None = None
    levels: bool = False
    unpacked: bool = False
    labels: Labels | None = None
