"""How good the probabilities of forecasts are, drawn: reliability, spread beside error, and ranks."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mslstm_keras.figures.drawing import (
    FAINT,
    INK,
    LINES,
    WARNING,
    WIDTH,
    new_figure,
    save,
    write_heading,
    write_legend,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHTS = (480, 160, 460)  # of the rows: reliability, its counts, and the rest
COLUMNS = 3


def probability_figure(
    scores: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    synthetic: bool = False,
) -> None:
    """Draws how good probabilities are as a PNG.

    - Reliability, a panel for each threshold: how often it was reached, over the probability of the forecast, and below
      it the share of forecasts of each probability, on a logarithmic scale. On the diagonal forecasts are right. Single
      forecasts say 0 or 1 and are left out. What is recalibrated is dotted, in the colour of what it recalibrates.
    - Spread and error by lead time: dashed the spread of members, drawn through the RMSE of their mean. Where they are
      equal, the spread tells how large the error will be.
    - Ranks of the truth among the members, as multiples of what would be if all were equally frequent: flat is right,
      high ends mean members that are too much alike.

    Args:
        scores: what `mslstm_keras.ensembles.scoring.score_ensembles` returns.
        path: PNG file to write.
        title: str. Heading. Default: none.
        synthetic: bool. Says that the data are synthetic.

    Raises:
        ValueError: if there are no probabilities but those of single forecasts.
        OSError: if the file cannot be written; what was there before stays.

    References:
        Wilks 2019, Statistical Methods in the Atmospheric Sciences, 4th edition, chapter 9. Hamill 2001,
        https://doi.org/10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2
    """
    shown = {
        name: told
        for name, told in scores["forecasts"].items()
        if told.get("members") != 1 and "recalibrates" not in told
    }
    recalibrated = {
        told["recalibrates"]: told
        for told in scores["forecasts"].values()
        if told.get("recalibrates") in shown
    }
    if not shown:
        raise ValueError("`scores` must be of more than single forecasts. Received: none")
    colours = {name: LINES[index % len(LINES)] for index, name in enumerate(shown)}
    ensembles = {name: told for name, told in shown.items() if "members" in told}
    thresholds = [f"{threshold:g}" for threshold in scores["thresholds"]]
    columns = max(len(thresholds), 2 if ensembles else 1)
    figure = new_figure(min(WIDTH, 700 * columns), 110 + sum(HEIGHTS[: 3 if ensembles else 2]))
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.12)
    grid = figure.add_gridspec(
        3 if ensembles else 2, 2 * columns, height_ratios=HEIGHTS[: 3 if ensembles else 2]
    )
    for index, threshold in enumerate(thresholds):
        place = slice(2 * index, 2 * index + 2)
        curves, counts = figure.add_subplot(grid[0, place]), figure.add_subplot(grid[1, place])
        curves.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1.8)
        heading = f"reliability, {threshold} {scores['units']} and more"
        for style, those in (("-", shown), (":", recalibrated)):
            drawn = {name: told["reliability"][threshold] for name, told in those.items()}
            _draw_reliability(curves, drawn, colours, style)
            _draw_counts(counts, drawn, colours, style)
        if recalibrated:
            heading += " (dotted: recalibrated)"
        write_heading(curves, heading, "", "observed frequency")
        write_heading(counts, "", "forecast probability", "share")
    if ensembles:
        _draw_spread(figure.add_subplot(grid[2, :columns]), ensembles, colours, scores)
        _draw_ranks(figure.add_subplot(grid[2, columns:]), ensembles, colours)
    write_legend(
        figure,
        {name: {"color": colour, "linewidth": 2.5} for name, colour in colours.items()},
        columns=COLUMNS,
        title=": ".join(filter(None, ("synthetic data" if synthetic else "", title))) or None,
        colour=WARNING if synthetic else INK,
    )
    save(figure, path)


def _draw_reliability(
    axes: "Axes", reliability: Mapping[str, Any], colours: Mapping[str, str], style: str
) -> None:
    for name, of_name in reliability.items():
        forecast, observed = (np.array(of_name[key], "float64") for key in ("forecast", "observed"))
        there = ~np.isnan(forecast)  # a line through the bins that forecasts fell into
        line = axes.plot(forecast[there], observed[there], style, color=colours[name], marker="o")[0]
        line.set(markersize=6, linewidth=2.5)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticklabels=[])


def _draw_counts(
    axes: "Axes", reliability: Mapping[str, Any], colours: Mapping[str, str], style: str
) -> None:
    for name, of_name in reliability.items():
        count, forecast = np.array(of_name["count"], "float64"), np.array(of_name["forecast"], "float64")
        there = count > 0
        line = axes.plot(forecast[there], count[there] / count.sum(), style, color=colours[name], marker="o")[
            0
        ]
        line.set(markersize=4, linewidth=1.5)
    axes.set(xlim=(-0.02, 1.02), yscale="log")


def _draw_spread(
    axes: "Axes", ensembles: Mapping[str, Any], colours: Mapping[str, str], scores: Mapping[str, Any]
) -> None:
    step, unit = (scores["interval"], "minutes") if scores["interval"] else (1, "frames")
    for name, told in ensembles.items():
        for key, style in (("rmse", "-"), ("spread", "--")):
            values = np.array(told[key]["per_frame"], "float64")  # None becomes NaN and leaves a gap
            leads = step * np.arange(1, len(values) + 1)
            axes.plot(
                leads, values, color=colours[name], linestyle=style, marker="o", markersize=5, linewidth=2.5
            )
    write_heading(axes, "spread (dashed) and RMSE of the mean", f"lead time ({unit})", scores["units"])
    axes.set_ylim(bottom=0)


def _draw_ranks(axes: "Axes", ensembles: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    axes.axhline(1, color=FAINT, linestyle="--", linewidth=1.8)
    for name, told in ensembles.items():
        count = np.array(told["ranks"]["count"], "float64")
        if count.any():
            edges = np.linspace(0, 1, len(count) + 1)
            axes.stairs(count * len(count) / count.sum(), edges, color=colours[name], linewidth=2.5)
    write_heading(axes, "ranks of the truth", "share of members below the truth", "times what is flat")
    axes.set_ylim(bottom=0)
