"""What the frames of a data set stand for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataFacts:
    """What the frames of a data set stand for; None where nothing says so.

    Attributes:
        quantity: str. What was measured, such as "rain rate".
        scale: str. How pixels stand for its numbers, see `mslstm_keras.frames.parse_scale`.
        interval_minutes: float. Minutes from one frame to the next.
        spacing_metres: float. Metres on the ground from one pixel to the next.
        licence: str. Who made the data, and under which licence.
    """

    quantity: str | None = None
    scale: str | None = None
    interval_minutes: float | None = None
    spacing_metres: float | None = None
    licence: str | None = None
