"""What an ensemble forecasts, on a sheet: mean, spread and probabilities in rows, lead times in columns."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mslstm_keras.figures.coasts import coast_lines
from mslstm_keras.figures.drawing import (
    LARGEST_PANEL,
    Bar,
    Look,
    Row,
    block_means,
    block_side,
    draw_rows,
    evenly_spaced,
    largest_size,
    panel_size,
    save,
    time_labels,
)
from mslstm_keras.figures.rain import NO_RAIN, check_maps, moments, rain_look, scale_bar

if TYPE_CHECKING:
    import xarray

LEAD_TIMES = 6  # columns: panels are as large as a page allows
PROBABILITIES = tuple(range(10, 100, 10))  # per cent, where colours change
CHANCE = "chance of \N{GREATER-THAN OR EQUAL TO}"


def probability_look() -> Look:
    """Returns the look of probabilities in [0, 1]: steps of 10 %, light grey below 10 %."""
    import matplotlib
    from matplotlib.colors import BoundaryNorm, ListedColormap

    # No blue, the colours of rain; from light to dark without a turn, below light grey too.
    *between, above = matplotlib.colormaps["YlOrBr"](np.linspace(0.25, 1, len(PROBABILITIES)))
    colours = ListedColormap(between).with_extremes(under=NO_RAIN, over=above)
    # Shares of members are rounded: 1 of 10 is 10 %.
    norm = BoundaryNorm([each / 100 - 1e-6 for each in PROBABILITIES], colours.N)
    norm.extend = colours.colorbar_extend = "both"  # type: ignore[assignment]  # the stub says bool
    ticks = {each / 100 - 1e-6: f"{each}" for each in PROBABILITIES}
    return Look({"cmap": colours, "norm": norm}, ticks, "%")


def rain_probability_figure(
    observed: "xarray.DataArray",
    forecast: "xarray.DataArray",
    path: str | os.PathLike[str],
    *,
    spread: np.ndarray | None = None,
    probabilities: Mapping[float, np.ndarray] | None = None,
    title: str | None = None,
) -> None:
    """Draws a forecast of rain with its spread and probabilities as a PNG, below the last maps that were observed.

    Of more than six lead times six are drawn, evenly spaced, the first and the last among them. Rates and spread are in
    the colours of `rain_look`, probabilities in those of `probability_look`. Coasts and a scale bar are drawn as in
    `rain_forecast_figure`. Maps of more than 220 pixels a side are drawn by the means of blocks.

    Args:
        observed: rain rates in mm/h with the axes time, y and x; NaN is hatched.
        forecast: rain rates of the times behind, on the same grid: the mean of an ensemble, or one forecast.
        path: file to write, ending in .png.
        spread: floats (time, y, x) in mm/h, their standard deviation over members. Default: none.
        probabilities: threshold in mm/h -> floats (time, y, x) in [0, 1], of reaching it. Default: none.
        title: str. Heading. Default: none.

    Raises:
        ValueError: if maps have other axes or units, no times, times that do not rise, or different grids; or if the
            suffix is another.
        OSError: if the file cannot be written; what was there before stays.
    """
    check_maps(observed, forecast)
    past, times = observed[-LEAD_TIMES:], moments(observed, forecast)
    labels = [lead for _, lead in times]
    side = block_side(forecast.shape[1:], LARGEST_PANEL)
    sides = tuple(-(-length // side) for length in forecast.shape[1:])
    width, _ = panel_size(np.empty((1, *sides)), LARGEST_PANEL)
    last = times[len(observed) - 1][0]
    _draw(
        {
            "observed": (past.values, labels[: len(observed)][-LEAD_TIMES:]),
            "forecast" if spread is None else "mean": (forecast.values, labels[len(observed) :]),
        },
        spread,
        {f"{CHANCE} {threshold:g} mm/h": each for threshold, each in (probabilities or {}).items()},
        rain_look(),
        None,
        path,
        f"{title}, from {last} UTC" if title else f"From {last} UTC",
        scale_bar=scale_bar(forecast, width / sides[1] / side, width),
        coasts=[line / side for line in coast_lines(forecast)],
    )


def clip_probability_figure(
    observed: np.ndarray,
    forecast: np.ndarray,
    path: str | os.PathLike[str],
    *,
    spread: np.ndarray | None = None,
    probabilities: Mapping[float, np.ndarray] | None = None,
    ends: tuple[float, float] = (0, 1),
    units: str = "",
    title: str | None = None,
) -> None:
    """Draws a forecast of a clip with its spread and probabilities as a PNG, below the last frames that it saw.

    See `rain_probability_figure`: frames are grey, the spread is dark where there is none.

    Args:
        observed: floats (time, height, width, 1), in units or in [0, 1]; NaN is hatched.
        forecast: floats (lead time, height, width, 1): the mean of an ensemble, or one forecast.
        path: file to write, ending in .png.
        spread: floats (lead time, height, width, 1), their standard deviation over members. Default: none.
        probabilities: threshold -> floats (lead time, height, width, 1) in [0, 1], of reaching it. Default: none.
        ends: values of black and of white.
        units: str. What is written above the scale of greys.
        title: str. Heading. Default: none.

    Raises:
        ValueError: if there is more than one channel, or the suffix is another.
        OSError: if the file cannot be written; what was there before stays.
    """
    for name, frames in (("observed", observed), ("forecast", forecast)):
        if frames.ndim != 4 or frames.shape[-1] != 1 or not frames.size:
            raise ValueError(
                f"`{name}` must be (time, height, width, 1), no axis empty, to be drawn. "
                f"Received: shape {frames.shape}"
            )
    low, high = ends
    grey = Look({"cmap": "gray", "vmin": low, "vmax": high}, {low: f"{low:g}", high: f"{high:g}"}, units)
    largest = largest_size(spread) if spread is not None else 0
    widest = Look(
        {"cmap": "inferno", "vmin": 0, "vmax": largest or 1},
        {0: "0", largest or 1: f"{largest or 1:.2g}"},
        units,
    )
    past = observed[-LEAD_TIMES:]
    _draw(
        {
            "observed": (past[..., 0], time_labels(len(past))),
            "forecast" if spread is None else "mean": (forecast[..., 0], time_labels(0, len(forecast))),
        },
        None if spread is None else spread[..., 0],
        {
            f"{CHANCE} {threshold:g} {units}".rstrip(): each[..., 0]
            for threshold, each in (probabilities or {}).items()
        },
        grey,
        widest,
        path,
        title,
    )


def _draw(
    frames: Mapping[str, tuple[np.ndarray, Sequence[str]]],
    spread: np.ndarray | None,
    probabilities: Mapping[str, np.ndarray],
    look: Look,
    spread_look: Look | None,
    path: str | os.PathLike[str],
    title: str | None,
    **options: Any,
) -> None:
    """Draws rows of frames with their labels, of their spread and of probabilities, and a colour bar for each look.

    The spread is drawn as the frames where it has no look of its own.
    """
    if os.path.splitext(path)[1].lower() != ".png":
        raise ValueError(f"`path` must end in .png. Received: path={os.fspath(path)!r}")
    rows = [_row(name, images, look, labels) for name, (images, labels) in frames.items()]
    ends = [(look, len(rows))]
    if spread is not None:
        rows.append(_row("spread", spread, spread_look or look))
        ends = [*ends, (spread_look, len(rows))] if spread_look else [(look, len(rows))]
    rows += [_row(name, images, probability_look()) for name, images in probabilities.items()]
    ends.append((probability_look(), len(rows)))
    bars, first = [], 0
    for drawn, end in ends:
        if end > first:
            bars.append(Bar(drawn, first, end - 1))
        first = end
    save(draw_rows(rows, title, panel_width=LARGEST_PANEL, bars=bars, **options), path)


def _row(name, images, look, labels=None):
    """Returns a row of at most six images as they are drawn: large ones by the means of blocks."""
    chosen = evenly_spaced(len(images), LEAD_TIMES)
    side = block_side(images.shape[1:], LARGEST_PANEL)
    drawn = np.stack([block_means(np.asarray(images[index], "float32"), side) for index in chosen])
    return Row(name, drawn, labels and [labels[index] for index in chosen], look)
