"""Scores drawn by lead time."""

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mslstm_keras.evaluation.comparison import BASELINES, by_lead_time, score_label, shown_name
from mslstm_keras.evaluation.protocols import direction
from mslstm_keras.figures.drawing import (
    FAINT,
    LINES,
    TEXT,
    WARNING,
    WIDTH,
    new_figure,
    save,
    write_heading,
    write_legend,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST_CURVES = 3  # panels of curves beside each other
CURVES_HEIGHT = 480
MOST_TICKS = 10
DASHES = ("--", "-.", (0, (6, 2, 1, 2, 1, 2)))  # of baselines
MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">")  # of the paper's curves, more than there are colours


def lead_time_figure(
    evaluation: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    metrics: Sequence[str] | None = None,
    cumulative: bool = False,
) -> None:
    """Draws scores by lead time as a PNG, one panel per metric.

    Models have colours, baselines are grey and dashed, the paper's numbers are dotted and marked "the paper's"; a model
    and the paper's of the same name share their colour. Over several seeds a band shows mean -+ deviation.

    Args:
        evaluation: of `evaluate_models`.
        path: PNG file to write.
        metrics: names of scores. Default: all that are there by lead time.
        cumulative: bool. Draws the means over the lead times so far, without bands, as the paper does for radar.

    Raises:
        ValueError: if a metric is not there by lead time, or none is.
        OSError: if the file cannot be written; what was there before stays.

    Reference: Ma, Zhang & Liu, "MS-LSTM", Applied Soft Computing 147 (2023), figures 8 and 10.
    """
    known = lead_time_metrics(evaluation)
    metrics = known if metrics is None else list(metrics)
    if not metrics or not set(metrics) <= set(known):
        raise ValueError(
            f"`metrics` must be among those that are there by lead time: {', '.join(known) or 'none'}. "
            f"Received: {', '.join(metrics) or 'none'}"
        )
    columns = min(len(metrics), 2 if len(metrics) in (2, 4) else LARGEST_CURVES)
    rows = -(-len(metrics) // columns)
    width, height = (WIDTH, CURVES_HEIGHT * rows) if columns > 1 else (1350, round(1.4 * CURVES_HEIGHT))
    figure = new_figure(width, 130 + height)
    figure.set_layout_engine("constrained", w_pad=0.2, h_pad=0.15)
    styles = _line_styles(evaluation)
    for metric, axes in zip(metrics, figure.subplots(rows, columns, squeeze=False).flat, strict=False):
        _draw_lead_times(axes, evaluation, metric, styles, cumulative)
    for axes in figure.axes[len(metrics) :]:
        axes.remove()
    warning = f"synthetic data: {evaluation['data']}" if evaluation["synthetic"] else None
    _write_legend(figure, styles, warning)
    save(figure, path)


def lead_time_metrics(evaluation: Mapping[str, Any]) -> list[str]:
    """Returns the names of the scores that an evaluation holds by lead time, of models or the paper."""
    found = dict.fromkeys(
        metric
        for scores in (*evaluation["models"].values(), *evaluation["published"].values())
        for metric, values in scores.items()
        if values.get("per_frame")
    )
    return list(found)


def arrow(metric: str) -> str:
    """Returns a space and an arrow, up for scores of which more is better, down where less is; "" for others."""
    return (" ↓", "", " ↑")[1 + direction(metric)]


def _line_styles(evaluation: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Returns how the curve of each ("models" or "published", name) is drawn."""
    colours, dashes, markers = (itertools.cycle(each) for each in (LINES, DASHES, MARKERS))
    styles = {}
    models = [name for name in evaluation["models"] if name not in BASELINES]
    own = {name: next(colours) for name in models}
    # Colours begin again with another marker.
    rounds = {
        name: ("o", *MARKERS)[index // len(LINES) % (1 + len(MARKERS))] for index, name in enumerate(models)
    }
    # The paper's have other colours as long as there are some, so that none looks like a model of another name.
    colours = itertools.cycle([colour for colour in LINES if colour not in own.values()] or LINES)
    for name in evaluation["models"]:
        style = {"color": own[name]} if name in own else {"color": FAINT, "linestyle": next(dashes)}
        styles["models", name] = {**style, "marker": rounds.get(name, "o"), "markersize": 6, "linewidth": 2.5}
    for name in evaluation["published"]:
        if any(values.get("per_frame") for values in evaluation["published"][name].values()):
            colour = own.get(name) or next(colours)
            style = {"color": colour, "linestyle": ":", "marker": next(markers)}
            styles["published", name] = {**style, "markersize": 6, "linewidth": 1.8}
    return styles


def _draw_lead_times(
    axes: "Axes",
    evaluation: Mapping[str, Any],
    metric: str,
    styles: Mapping[tuple[str, str], dict[str, Any]],
    so_far: bool,
) -> None:
    """Draws the curves of one metric, with its name as their heading."""
    step, unit = (evaluation["interval"], "minutes") if evaluation["interval"] else (1, "frames")
    shown = set()
    for (source, name), values in by_lead_time(evaluation, metric, so_far=so_far).items():
        style, leads = styles[source, name], step * np.array(list(values))
        curve = np.array(list(values.values()), "float64")  # None, of files, becomes NaN and leaves a gap
        axes.plot(leads, curve, **style)
        deviations = evaluation[source][name][metric].get("per_frame_deviation")
        if deviations and not so_far:
            deviation = np.array(deviations, "float64")
            band = {"color": style["color"], "alpha": 0.18, "linewidth": 0}
            axes.fill_between(leads, curve - deviation, curve + deviation, **band)
        shown |= set(leads.tolist())
    if len(shown) <= MOST_TICKS:
        axes.set_xticks(sorted(shown))
    heading = f"{score_label(evaluation, metric)}{', mean so far' if so_far else ''}{arrow(metric)}"
    write_heading(axes, heading, f"lead time ({unit})")
    axes.margins(x=0.04)


def _write_legend(
    figure: "Figure", styles: Mapping[tuple[str, str], dict[str, Any]], title: str | None
) -> None:
    """Writes above all panels a warning, and which curve is which."""
    named = {shown_name(*each): style for each, style in styles.items()}
    letters = max(map(len, named))
    columns = max(1, min(len(named), int(figure.bbox.width // (0.62 * TEXT * letters + 90))))
    write_legend(figure, named, columns=columns, title=title, colour=WARNING)
