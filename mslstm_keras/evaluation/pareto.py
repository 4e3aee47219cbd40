"""Scores beside what they cost: which models no other beats in both."""

import os
from collections.abc import Mapping
from typing import Any

from mslstm_keras.evaluation.comparison import protocol_of, score_label
from mslstm_keras.evaluation.curves import arrow
from mslstm_keras.evaluation.protocols import direction
from mslstm_keras.evaluation.tables import cost_columns
from mslstm_keras.figures.drawing import FAINT, INK, LINES, TEXT, new_figure, points, save, write_heading

WIDTH, HEIGHT = 1350, 840


def pareto_front(points_: Mapping[str, tuple[float, float]], better: int) -> list[str]:
    """Returns the names that no other beats: none costs less, or as much, and scores better, or as well.

    Args:
        points_: name -> (cost, score).
        better: int. 1 where more of the score is better, -1 where less is.

    Returns:
        Names, the cheapest first. Of equal points all are named.
    """

    def beaten(name):
        cost, score = points_[name]
        return any(
            other_cost <= cost
            and better * other >= better * score
            and (other_cost < cost or better * other > better * score)
            for other_cost, other in points_.values()
        )

    return sorted((name for name in points_ if not beaten(name)), key=lambda name: points_[name])


def pareto_figure(
    evaluation: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    metric: str | None = None,
    cost: str | None = None,
) -> list[str]:
    """Draws the models of an evaluation by what they cost and what they score, as a PNG.

    Bars are 95 % intervals over clips. A line joins those that no other beats in both.

    Args:
        evaluation: of `mslstm evaluate --cost`.
        path: PNG file to write.
        metric: name of the score. Default: the first one.
        cost: heading of the cost, as `publication_table` has it, or its beginning. Default: multiply-accumulates.

    Returns:
        The names of the models that no other beats.

    Raises:
        ValueError: if score or cost are not there, or nobody knows which way the score is better.
        OSError: if the file cannot be written; what was there before stays.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    columns = cost_columns(evaluation)
    wanted = [heading for heading in columns if heading.startswith(cost or "MACs")]
    if not wanted:
        there = "; ".join(columns) or "none, as it was made without --cost"
        raise ValueError(f"`cost` must begin one of those that are there: {there}. Received: cost={cost!r}")
    metric = protocol_of(evaluation).metrics[0] if metric is None else metric
    models = {name: scores[metric] for name, scores in evaluation["models"].items() if metric in scores}
    if not models or not direction(metric):
        raise ValueError(
            f"`metric` must be a score that is there and of which more or less is better. Received: metric={metric!r}"
        )
    found = {
        name: (columns[wanted[0]].get(name), scores["mean"])
        for name, scores in models.items()
        if scores["mean"] is not None
    }
    known = {name: (cost, score) for name, (cost, score) in found.items() if cost is not None}
    if not known:
        raise ValueError(f"`evaluation` must hold a model with {wanted[0]} and {metric}. Received: none")
    front = pareto_front(known, direction(metric))
    figure = new_figure(WIDTH, HEIGHT)
    figure.set_layout_engine("constrained", w_pad=0.2, h_pad=0.15)
    axes = figure.subplots()
    axes.plot(*zip(*(known[name] for name in front), strict=True), color=FAINT, linewidth=1.5, zorder=1)
    for name, (x, y) in known.items():
        colour = LINES[0] if name in front else FAINT
        if interval := models[name].get("interval"):
            axes.plot([x, x], interval, color=colour, linewidth=1.5, zorder=2)
        axes.plot([x], [y], "o", color=colour, markersize=8, zorder=3)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    title = f"{score_label(evaluation, metric)}{arrow(metric)}{' (synthetic data)' if evaluation['synthetic'] else ''}"
    write_heading(axes, title, wanted[0])
    axes.margins(x=0.12, y=0.08)
    low, high = axes.get_xlim()
    near = high < 10 * low  # then 1, 2 and 5 leave an axis without a second number
    axes.xaxis.set_major_locator(MaxNLocator(6) if near else LogLocator(subs=(1, 2, 5)))
    _write_names(figure, axes, known)
    save(figure, path)
    return front


def _write_names(figure, axes, known):
    """Writes each name beside its point, below those that are in its way."""
    figure.draw_without_rendering()  # so that places on the picture are known
    style: dict[str, Any] = {"fontsize": points(TEXT - 4), "color": INK, "parse_math": False}
    taken: list[Any] = []
    for name in sorted(known, key=lambda name: -known[name][1]):
        text = axes.annotate(name, known[name], xytext=(7, 5), textcoords="offset points", **style)
        box = text.get_window_extent()
        while any(box.overlaps(other) for other in taken):
            across, up = text.get_position()
            text.set_position((across, up - 2))
            box = text.get_window_extent()
        taken.append(box)
