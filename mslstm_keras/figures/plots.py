"""Figures and animations: forecasts beside the truth, training curves, and what layers see and put out.

Each is drawn on a canvas of its own, so what a program has set up for its own figures stays as it is.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mslstm_keras.figures.drawing import (
    ANIMATED_PANEL,
    FAINT,
    INK,
    LINES,
    TEXT,
    Bar,
    Panel,
    Row,
    as_drawn,
    check_same_length,
    checked_frames,
    clock,
    difference,
    difference_look,
    draw_panels,
    draw_rows,
    dress,
    largest_size,
    new_figure,
    points,
    save,
    thinned,
    time_labels,
)
from mslstm_keras.frames.write import GIF_COLOURS, write_gif

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVE_COLOURS = 64  # lines and their soft edges need no more


def forecast_figure(
    context: np.ndarray,
    truth: np.ndarray | None,
    forecast: np.ndarray,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    lead_labels: Sequence[str] | None = None,
) -> None:
    """Draws a forecast as a PNG: rows input, truth, forecast and difference, one column per frame.

    The difference is forecast - truth: red where the forecast is too bright, blue where it is too dark. More
    than ten frames are thinned out evenly; the first and the last stay.

    Args:
        context: floats (time, height, width, channels) in [0, 1], the frames that the model saw. Three
            channels are red, green and blue; of any other number, the first is drawn. Pixels that were not
            observed are NaN, here and in `truth`: they are hatched, and a line says so.
        truth: what came then, of the shape of `forecast`. None leaves out truth and difference.
        forecast: floats (lead time, height, width, channels).
        path: PNG file to write.
        title: str. Heading. Default: none.
        lead_labels: one label per forecast frame, such as "+5 min". Default: t+1, t+2, ...

    Raises:
        ValueError: if the arrays do not belong together, hold infinite values, the forecast holds NaN, or the labels
            are not one per forecast frame.
        OSError: if the file cannot be written; what was there before stays.
    """
    context, truth, forecast = _checked(context, truth, forecast)
    if lead_labels is None:
        lead_labels = time_labels(0, len(forecast))
    if len(lead_labels) != len(forecast):
        raise ValueError(
            f"`lead_labels` must be one per forecast frame, {len(forecast)}. Received: {len(lead_labels)}"
        )
    rows = [Row("input", *thinned(context, time_labels(len(context))))]
    if truth is None:
        rows.append(Row("forecast", *thinned(forecast, lead_labels)))
        save(draw_rows(rows, title), path)
        return
    signed, _ = thinned(difference(truth, forecast), None)
    look = difference_look(largest_size(signed))
    rows += [
        Row("truth", *thinned(truth, lead_labels)),
        Row("forecast", *thinned(forecast, None)),
        Row("difference", signed, look=look),
    ]
    save(draw_rows(rows, title, bars=[Bar(look, 3, 3)]), path)


def forecast_animation(
    context: np.ndarray,
    truth: np.ndarray | None,
    forecast: np.ndarray,
    path: str | os.PathLike[str],
    *,
    fps: float = 4,
    panel_width: int = ANIMATED_PANEL,
    colours: int = GIF_COLOURS,
) -> None:
    """Draws a forecast as a GIF that loops for ever: truth, forecast and |difference| side by side.

    The input runs first, in the panels of truth and forecast alike.

    Args:
        context: floats (time, height, width, channels) in [0, 1], the frames that the model saw. Three
            channels are red, green and blue; of any other number, the first is drawn. Pixels that were not
            observed are NaN, here and in `truth`: they are hatched, and a line says so.
        truth: what came then, of the shape of `forecast`. None leaves the forecast alone.
        forecast: floats (lead time, height, width, channels).
        path: GIF file to write.
        fps: float in [0.01, 50]. Frames per second.
        panel_width: int. Largest width of a panel, in pixels of the picture.
        colours: int in [2, 255]. How many colours the pictures share: fewer make a smaller file.

    Raises:
        ValueError: if the arrays do not belong together, hold infinite values, the forecast holds NaN, or `fps` or
            `colours` is out of range.
        OSError: if the file cannot be written; what was there before stays.
    """
    context, truth, forecast = _checked(context, truth, forecast)
    panels = [Panel("forecast", np.concatenate([context, forecast]))]
    if truth is not None:
        error = np.abs(difference(truth, forecast))
        both = np.concatenate([np.zeros((len(context), *error.shape[1:])), error])
        panels.insert(0, Panel("truth", np.concatenate([context, truth])))
        panels.append(Panel("|difference|", both, difference_look(largest_size(error)), shows_input=False))
    pictures = draw_panels(panels, clock(len(context), len(forecast)), len(context), panel_width=panel_width)
    write_gif(path, pictures, fps=fps, colours=colours)


def curve_figure(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    path: str | os.PathLike[str],
    *,
    x: str,
    y: str,
    title: str | None = None,
    reference_lines: Mapping[str, float] | None = None,
) -> None:
    """Draws curves, such as those of training, as a PNG.

    Args:
        curves: label -> (x values, y values); values that are not finite leave a gap.
        path: PNG file to write.
        x: str. What the x axis shows, with its unit.
        y: str. What the y axis shows, with its unit.
        title: str. Heading. Default: none.
        reference_lines: label -> y value of a dashed horizontal line, such as the score of persistence.

    Raises:
        ValueError: if there is no curve, or one has not as many x as y values.
        OSError: if the file cannot be written; what was there before stays.
    """
    if not curves:
        raise ValueError("`curves` must hold at least one curve. Received: none")
    for label, (xs, ys) in curves.items():
        if len(xs) != len(ys):
            raise ValueError(
                f"`curves` must have as many x as y values. Received: {len(xs)} and {len(ys)} for {label!r}"
            )
    figure = new_figure(1350, 810)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    for index, (label, (xs, ys)) in enumerate(curves.items()):
        marker = "o" if len(xs) == 1 else ""
        axes.plot(xs, ys, marker=marker, color=LINES[index % len(LINES)], linewidth=2.5, label=label)
    for label, value in (reference_lines or {}).items():
        _reference_line(axes, label, value)
    axes.set_xlabel(x, fontsize=points(TEXT), color=INK)
    axes.set_ylabel(y, fontsize=points(TEXT), color=INK)
    if title:
        axes.set_title(title, loc="left", fontsize=points(TEXT + 4), fontweight="bold", color=INK, pad=14)
    dress(axes)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=len(curves),
        frameon=False,
        fontsize=points(TEXT),
        labelcolor=INK,
    )
    save(figure, path, colours=CURVE_COLOURS)


def layers_figure(
    outputs: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    context_frames: int,
    step: int | None = None,
    title: str | None = None,
) -> None:
    """Draws what layers put out as a PNG: one row per layer.

    Without `step` the columns are steps in time and each picture is the mean size, whatever the sign, over the
    channels; with it they are channels at that step. More than ten are thinned out evenly. Each row has its own grey:
    black is its least value.

    Args:
        outputs: name -> floats (time, height, width, channels), as `layer_outputs` returns them.
        path: PNG file to write.
        context_frames: int. The steps that were fed with the truth; they are labelled t-1, t, the others t+1, t+2, ...
        step: int. Number of the step to draw, 1 for the first. Default: all.
        title: str. Heading. Default: none.

    Raises:
        ValueError: if there is no output, or no such step.
        OSError: if the file cannot be written; what was there before stays.

    Reference: Ma, Zhang & Liu, "MS-LSTM", Applied Soft Computing 147 (2023), figures 4 and 5.
    """
    if not outputs:
        raise ValueError("`outputs` must hold at least one layer. Received: none")
    steps = min(map(len, outputs.values()))
    if step is not None and step not in range(1, steps + 1):
        raise ValueError(f"`step` must be from 1 to {steps}. Received: step={step!r}")
    rows = []
    for index, (name, maps) in enumerate(outputs.items()):
        if step is None:
            images = np.abs(maps).mean(axis=-1)
            labels = None if index else time_labels(context_frames, steps - context_frames)
        else:
            images = np.moveaxis(maps[step - 1], -1, 0)
            labels = [f"channel {channel}" for channel in range(1, len(images) + 1)]
        rows.append(Row(name, *thinned(_stretched(images), labels)))
    save(draw_rows(rows, title), path)


def receptive_field_figure(
    fields: Mapping[str, tuple[np.ndarray, tuple[int, int, int] | None]],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
) -> None:
    """Draws effective receptive fields as a PNG: one row per model, one column per frame.

    The grey is the square root of the dependence, so that what is weak is seen; white is the largest of the row. The
    red square in the last column is the theoretical receptive field, where it has a bound.

    Args:
        fields: name -> (floats (time, height, width) of `effective_receptive_field`, `CellField.box` of its cell).
        path: PNG file to write.
        title: str. Heading. Default: none.

    Raises:
        ValueError: if there is no field.
        OSError: if the file cannot be written; what was there before stays.
    """
    from matplotlib.patches import Rectangle

    if not fields:
        raise ValueError("`fields` must hold at least one model. Received: none")
    rows = []
    for name, (dependence, _) in fields.items():
        rows.append(Row(name, *thinned(_stretched(np.sqrt(dependence)), time_labels(len(dependence)))))
    figure = draw_rows(rows, title)
    last_columns = np.cumsum([len(row.images) for row in rows]) - 1
    for column, (_, box) in zip(last_columns, fields.values(), strict=True):
        if box:
            top, left, side = box
            frame = Rectangle(
                (left - 0.5, top - 0.5), side, side, fill=False, edgecolor=LINES[1], linewidth=1.8
            )
            figure.axes[column].add_patch(frame)
    save(figure, path)


def _stretched(images: np.ndarray) -> np.ndarray:
    """Returns images whose least value is 0 and whose largest is 1; 0 where all are equal."""
    low, high = np.min(images), np.max(images)
    return (images - low) / (high - low or 1)


def _reference_line(axes: "Axes", label: str, value: float) -> None:
    """Draws a dashed line across, its label above its right end."""
    axes.axhline(value, color=FAINT, linestyle="--", linewidth=1.8)
    axes.annotate(
        label,
        (1, value),
        (-4, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        horizontalalignment="right",
        color=FAINT,
        fontsize=points(TEXT),
    )


def _checked(
    context: np.ndarray, truth: np.ndarray | None, forecast: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Returns the frames as they are drawn, (time, height, width) or (time, height, width, 3), in [0, 1]."""
    given = {"context": context, "forecast": forecast} | ({} if truth is None else {"truth": truth})
    frames = checked_frames(given, observed=("context", "truth"))
    if truth is not None:
        check_same_length(frames, "truth", "forecast")
    drawn = {name: as_drawn(images) for name, images in frames.items()}
    return drawn["context"], drawn.get("truth"), drawn["forecast"]
