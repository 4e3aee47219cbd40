"""Figures and animations: forecasts beside the truth, and training curves.

Everything is drawn on canvases of its own, so nothing that a program has set up for its own figures changes.
"""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from mslstm_keras.files import replacing, write_gif

DPI = 100  # pixels per inch; sizes below are pixels
WIDTH = 1600
COLUMNS = 10  # more frames than this are thinned out evenly
LARGEST_PANEL = 220
GAP = 6
LABEL_WIDTH = 120
BAR_WIDTH = 90
TEXT_HEIGHT = 30
ANIMATED_PANEL = 256
INK = "#222222"
PALE = "#bbbbbb"
COLOURS = ("#1f6fb4", "#d1495b", "#2e933c", "#8e5ea2", "#e08e0b", "#00798c", "#6c757d")


def forecast_figure(
    context: np.ndarray,
    truth: np.ndarray | None,
    forecast: np.ndarray,
    path: str | os.PathLike,
    *,
    title: str | None = None,
    lead_labels: Sequence[str] | None = None,
) -> None:
    """Draws a forecast as a PNG: rows of input, truth, forecast and difference, one column per frame.

    The difference is forecast - truth: red where the forecast is too bright, blue where it is too dark. More
    than ten frames are thinned out evenly, the first and the last staying.

    Args:
        context: floats (time, height, width, channels) in [0, 1], the frames that the model has seen. Three
            channels are red, green and blue; of any other number, the first is drawn.
        truth: what came then, of the shape of `forecast`. None leaves out truth and difference.
        forecast: floats (lead time, height, width, channels).
        path: PNG file to write.
        title: str. Heading. Default: none.
        lead_labels: label of each forecast frame, such as "+5 min". Default: "t+1", "t+2", ...

    Raises:
        ValueError: if the arrays do not belong together, or the labels are not one per forecast frame.
        OSError: if the file cannot be written; what was there before stays.
    """
    context, truth, forecast = _checked(context, truth, forecast)
    steps = len(forecast)
    labels = [f"t+{lead}" for lead in range(1, steps + 1)] if lead_labels is None else list(lead_labels)
    if len(labels) != steps:
        raise ValueError(
            f"`lead_labels` must be one per forecast frame, {steps}. Received: {len(labels)} labels"
        )
    past = [f"t−{len(context) - 1 - index}" if index < len(context) - 1 else "t" for index in range(len(context))]
    rows = [("input", context, past), ("forecast", forecast, labels)]
    if truth is not None:
        rows[1:] = [("truth", truth, labels), ("forecast", forecast, None), ("difference", _difference(truth, forecast), None)]
    ...
