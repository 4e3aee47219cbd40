"""Figures and animations: forecasts beside the truth, training curves, and what layers see and put out.

Each is drawn on a canvas of its own, so what a program has set up for its own figures stays as it is.
"""

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mslstm_keras.files import replacing, write_gif

# Sizes are pixels, chosen to be read when a page shows a figure at half its size.
WIDTH = 1600
COLUMNS = 10
LARGEST_PANEL = 220
ANIMATED_PANEL = 256
GAP = 6
LABEL_WIDTH = 150  # of row names
LABEL_LETTERS = 10  # of a line of a row name
BAR_WIDTH = 100  # of the colour bar and its numbers
TEXT_HEIGHT = 36
TEXT = 20
DPI = 100
INK = "#222222"
FAINT = "#8a8a8a"
EDGE = "#cccccc"
LINES = ("#1f6fb4", "#d1495b", "#2e933c", "#8e5ea2", "#e08e0b", "#00798c", "#7a5c45")


def forecast_figure(
    context: np.ndarray,
    truth: np.ndarray | None,
    forecast: np.ndarray,
    path: str | os.PathLike,
    *,
    title: str | None = None,
    lead_labels: Sequence[str] | None = None,
) -> None:
    """Draws a forecast as a PNG: rows input, truth, forecast and difference, one column per frame.

    The difference is forecast - truth: red where the forecast is too bright, blue where it is too dark. More
    than ten frames are thinned out evenly; the first and the last stay.

    Args:
        context: floats (time, height, width, channels) in [0, 1], the frames that the model saw. Three
            channels are red, green and blue; of any other number, the first is drawn.
        truth: what came then, of the shape of `forecast`. None leaves out truth and difference.
        forecast: floats (lead time, height, width, channels).
        path: PNG file to write.
        title: str. Heading. Default: none.
        lead_labels: one label per forecast frame, such as "+5 min". Default: t+1, t+2, ...

    Raises:
        ValueError: if the arrays do not belong together, hold NaN or infinite values, or the labels are not
            one per forecast frame.
        OSError: if the file cannot be written; what was there before stays.
    """
    context, truth, forecast = _checked(context, truth, forecast)
    if lead_labels is None:
        lead_labels = [f"t+{lead}" for lead in range(1, len(forecast) + 1)]
    if len(lead_labels) != len(forecast):
        raise ValueError(
            f"`lead_labels` must be one per forecast frame, {len(forecast)}. Received: {len(lead_labels)}"
        )
    rows = [("input", context, _time_labels(len(context))), ("forecast", forecast, lead_labels)]
    if truth is not None:
        rows[1:] = [
            ("truth", truth, lead_labels),
            ("forecast", forecast, None),
            ("difference", _difference(truth, forecast), None),
        ]
    rows = [(name, *_thinned(images, labels)) for name, images, labels in rows]
    _save(_draw_rows(rows, title), path)


def forecast_animation(
    context: np.ndarray,
    truth: np.ndarray | None,
    forecast: np.ndarray,
    path: str | os.PathLike,
    *,
    fps: float = 4,
) -> None:
    """Draws a forecast as a GIF that loops for ever: truth, forecast and |difference| side by side.

    The input runs first, in the panels of truth and forecast alike.

    Args:
        context: floats (time, height, width, channels) in [0, 1], the frames that the model saw. Three
            channels are red, green and blue; of any other number, the first is drawn.
        truth: what came then, of the shape of `forecast`. None leaves the forecast alone.
        forecast: floats (lead time, height, width, channels).
        path: GIF file to write.
        fps: float in (0, 50]. Frames per second.

    Raises:
        ValueError: if the arrays do not belong together, hold NaN or infinite values, or `fps` is out of
            range.
        OSError: if the file cannot be written; what was there before stays.
    """
    context, truth, forecast = _checked(context, truth, forecast)
    panels = [("forecast", np.concatenate([context, forecast]), {})]
    if truth is not None:
        error = np.abs(_difference(truth, forecast))
        blank = np.zeros((len(context), *error.shape[1:]))
        panels.insert(0, ("truth", np.concatenate([context, truth]), {}))
        panels.append(("|difference|", np.concatenate([blank, error]), _difference_style(error)))
    write_gif(path, _draw_panels(panels, len(context)), fps=fps)


def curve_figure(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    path: str | os.PathLike,
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
    figure = _figure(1350, 810, layout="constrained")
    axes = figure.add_subplot()
    for index, (label, (xs, ys)) in enumerate(curves.items()):
        marker = "o" if len(xs) == 1 else ""
        axes.plot(xs, ys, marker=marker, color=LINES[index % len(LINES)], linewidth=2.5, label=label)
    for label, value in (reference_lines or {}).items():
        _reference_line(axes, label, value)
    axes.set_xlabel(x, fontsize=_points(TEXT), color=INK)
    axes.set_ylabel(y, fontsize=_points(TEXT), color=INK)
    if title:
        axes.set_title(title, loc="left", fontsize=_points(TEXT + 4), fontweight="bold", color=INK, pad=14)
    _dress(axes, len(curves))
    _save(figure, path)


def layers_figure(
    outputs: Mapping[str, np.ndarray],
    path: str | os.PathLike,
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
            labels = None if index else _time_labels(context_frames, steps)
        else:
            images = np.moveaxis(maps[step - 1], -1, 0)
            labels = [f"channel {channel}" for channel in range(1, len(images) + 1)]
        rows.append((name, *_thinned(_stretched(images), labels)))
    _save(_draw_rows(rows, title), path)


def receptive_field_figure(
    fields: Mapping[str, tuple[np.ndarray, tuple[int, int, int] | None]],
    path: str | os.PathLike,
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
        rows.append((name, *_thinned(_stretched(np.sqrt(dependence)), _time_labels(len(dependence)))))
    figure = _draw_rows(rows, title)
    last_columns = np.cumsum([len(images) for _, images, _ in rows]) - 1
    for column, (_, box) in zip(last_columns, fields.values(), strict=True):
        if box:
            top, left, side = box
            style = {"fill": False, "edgecolor": LINES[1], "linewidth": 1.8}
            figure.axes[column].add_patch(Rectangle((left - 0.5, top - 0.5), side, side, **style))
    _save(figure, path)


def _time_labels(context_frames: int, steps: int | None = None) -> list[str]:
    """Returns t-2, t-1, t for the context, and t+1, t+2, ... for the steps behind it."""
    past = [f"t\N{MINUS SIGN}{age}" for age in range(context_frames - 1, 0, -1)]
    future = [f"t+{lead}" for lead in range(1, (steps or 0) - context_frames + 1)]
    return [*past, "t", *future]


def _stretched(images: np.ndarray) -> np.ndarray:
    """Returns images whose least value is 0 and whose largest is 1; 0 where all are equal."""
    low, high = np.min(images), np.max(images)
    return (images - low) / (high - low or 1)


def _reference_line(axes, label: str, value: float) -> None:
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
        fontsize=_points(TEXT),
    )


def _dress(axes, curves: int) -> None:
    """Gives axes a light grid and, above them, a legend in one line."""
    axes.tick_params(labelsize=_points(TEXT - 2), colors=INK, length=0)
    axes.grid(color=EDGE, linewidth=0.8, alpha=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(EDGE)
    axes.margins(x=0.01)
    legend = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": curves, "frameon": False}
    axes.legend(**legend, fontsize=_points(TEXT), labelcolor=INK)


def _checked(context, truth, forecast) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Returns the frames as they are drawn, (time, height, width) or (time, height, width, 3), in [0, 1]."""
    given = {"context": context, "forecast": forecast} | ({} if truth is None else {"truth": truth})
    given = {name: np.asarray(frames, "float32") for name, frames in given.items()}
    for name, frames in given.items():
        if frames.ndim != 4 or not frames.size:
            raise ValueError(
                f"`{name}` must be (time, height, width, channels), no axis empty. "
                f"Received: shape {frames.shape}"
            )
        if not np.isfinite(frames).all():
            raise ValueError(f"`{name}` must be finite. Received: NaN or infinite values")
        if frames.shape[1:] != given["context"].shape[1:]:
            raise ValueError(
                f"`{name}` must have frames of the shape of `context`, {given['context'].shape[1:]}. "
                f"Received: {frames.shape[1:]}"
            )
    if truth is not None and len(given["truth"]) != len(given["forecast"]):
        raise ValueError(
            f"`truth` must have as many frames as `forecast`, {len(given['forecast'])}. "
            f"Received: {len(given['truth'])}"
        )
    drawn = {name: np.clip(f if f.shape[-1] == 3 else f[..., 0], 0, 1) for name, f in given.items()}
    return drawn["context"], drawn.get("truth"), drawn["forecast"]


def _difference(truth: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Returns forecast - truth, the mean over colours, (time, height, width)."""
    difference = forecast - truth
    return difference.mean(-1) if difference.ndim == 4 else difference


def _difference_style(difference: np.ndarray) -> dict[str, Any]:
    """Returns how to draw a difference: white for none, full colour at the next tenth."""
    limit = max(math.ceil(np.abs(difference).max() * 10) / 10, 0.1)
    return {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}


def _thinned(images: np.ndarray, labels: Sequence[str] | None) -> tuple[np.ndarray, list[str] | None]:
    """Returns at most ten images with their labels, evenly spaced in time."""
    chosen = np.linspace(0, len(images) - 1, min(len(images), COLUMNS)).round().astype(int)
    return images[chosen], labels and [labels[index] for index in chosen]


def _draw_rows(rows: list[tuple[str, np.ndarray, list[str] | None]], title: str | None):
    """Draws rows of (name, images, labels) as a figure; the difference gets a colour bar."""
    columns = max(len(images) for _, images, _ in rows)
    margin = BAR_WIDTH if rows[-1][0] == "difference" else 2 * GAP
    free = WIDTH - LABEL_WIDTH - BAR_WIDTH - (columns - 1) * GAP
    width, height = _panel_size(rows[0][1], min(free // columns, LARGEST_PANEL))
    top = TEXT_HEIGHT + 2 * GAP if title else 0
    bottom = top + sum(height + GAP + (TEXT_HEIGHT if labels else 0) for _, _, labels in rows)
    figure = _figure(LABEL_WIDTH + columns * (width + GAP) - GAP + margin, bottom + GAP)
    if title:
        heading = _write(figure, LABEL_WIDTH, top / 2 + GAP / 2, title, TEXT + 6, ha="left", weight="bold")
        room = (figure.bbox.width - LABEL_WIDTH - 2 * GAP) / heading.get_window_extent().width
        heading.set_fontsize(heading.get_fontsize() * min(1, room))
    for name, images, labels in rows:
        top += TEXT_HEIGHT if labels else 0
        name_lines = "\n".join(textwrap.wrap(name.replace("_", " "), LABEL_LETTERS))
        _write(figure, LABEL_WIDTH - 16, top + height / 2, name_lines, TEXT + 2, ha="right", weight="bold")
        style = _difference_style(images) if name == "difference" else {}
        for index, image in enumerate(images):
            left = LABEL_WIDTH + index * (width + GAP)
            if labels:
                _write(figure, left + width / 2, top - TEXT_HEIGHT / 2 + 2, labels[index], TEXT, color=FAINT)
            panel = _panel(figure, (left, top, width, height), image, **style)
        if name == "difference":
            _colour_bar(figure, (left + width + 2 * GAP, top, 14, height), panel)
        top += height + GAP
    return figure


def _colour_bar(figure, box: tuple[float, float, float, float], panel) -> None:
    """Draws the colours of a difference and what they stand for."""
    axes, end = _axes(figure, box), panel.get_clim()[1]
    bar = figure.colorbar(panel, cax=axes)
    bar.set_ticks([-end, 0, end], labels=[f"\N{MINUS SIGN}{end:.1f}", "0", f"+{end:.1f}"])
    axes.tick_params(labelsize=_points(TEXT - 3), colors=INK, length=0)
    axes.spines["outline"].set_edgecolor(EDGE)


def _draw_panels(panels: list[tuple[str, np.ndarray, dict]], context_frames: int) -> np.ndarray:
    """Draws (name, images, style) side by side, one picture per time: uint8 (time, height, width, 3)."""
    width, height = _panel_size(panels[0][1], ANIMATED_PANEL)
    margin = 2 * GAP
    figure = _figure(
        2 * margin + len(panels) * (width + margin) - margin, height + 2 * TEXT_HEIGHT + 2 * margin
    )
    headings, pictures = [], []
    for index, (name, images, style) in enumerate(panels):
        left = margin + index * (width + margin)
        headings.append(_write(figure, left + width / 2, TEXT_HEIGHT / 2 + GAP, name, TEXT, weight="bold"))
        pictures.append(_panel(figure, (left, TEXT_HEIGHT + GAP, width, height), images[0], **style))
    clock = _write(figure, figure.bbox.width / 2, figure.bbox.height - TEXT_HEIGHT / 2 - GAP, "", TEXT)
    frames = []
    for time in range(len(panels[0][1])):
        lead = time - context_frames + 1
        clock.set_text(f"forecast +{lead}" if lead > 0 else f"input {time + 1}/{context_frames}")
        for (name, images, _), heading, picture in zip(panels, headings, pictures, strict=True):
            picture.set_data(images[time])
            heading.set_text(name if lead > 0 or name == "|difference|" else "input")
            heading.set_color(INK if lead > 0 else FAINT)
        figure.canvas.draw()
        frames.append(np.array(figure.canvas.buffer_rgba())[..., :3])
    return np.stack(frames)


def _panel_size(images: np.ndarray, width: int) -> tuple[int, int]:
    """Returns the size of a panel at most `width` wide; pixels that are enlarged stay equal squares."""
    rows, columns = images.shape[1:3]
    if width >= 2 * columns:
        width -= width % columns
    return width, max(1, round(width * rows / columns))


def _figure(width: int, height: int, layout: str | None = None):
    """Returns an empty figure with its own canvas, of a size in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width / DPI, height / DPI), dpi=DPI, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _axes(figure, box: tuple[float, float, float, float]):
    """Adds axes at (left, top, width, height) in pixels from the upper left."""
    left, top, width, height = box
    across, down = figure.bbox.width, figure.bbox.height
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def _panel(figure, box: tuple[float, float, float, float], image: np.ndarray, **style: Any):
    """Draws one image in a thin frame; grey from 0 to 1 unless `style` says otherwise."""
    axes = _axes(figure, box)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=EDGE, linewidth=0.8)
    return axes.imshow(image, aspect="auto", **{"cmap": "gray", "vmin": 0, "vmax": 1} | style)


def _write(
    figure, x: float, y: float, text: str, size: float, *, color: str = INK, ha="center", **style: Any
):
    """Writes text of a size in pixels, its middle `y` pixels below the top."""
    across, down = figure.bbox.width, figure.bbox.height
    style |= {"fontsize": _points(size), "color": color, "ha": ha, "va": "center"}
    return figure.text(x / across, 1 - y / down, text, **style)


def _points(pixels: float) -> float:
    """Returns a font size in points."""
    return pixels * 72 / DPI


def _save(figure, path: str | os.PathLike) -> None:
    """Writes a figure as a PNG."""
    with replacing(path) as temporary:
        figure.canvas.print_png(temporary)
