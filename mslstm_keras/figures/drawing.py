"""What figures are made of: pixel-exact panels in rows or side by side, their labels, scales and colour bars.

Each figure has a canvas of its own, so what a program has set up for its own figures stays as it is.
"""

import math
import os
import textwrap
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mslstm_keras.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.text import Text

Box = tuple[float, float, float, float]  # left, top, width and height, in pixels from the upper left

# Sizes are pixels, chosen to be read when a page shows a figure at half its size.
WIDTH = 1600
COLUMNS = 10
LARGEST_PANEL = 220
SHEET_COLUMNS = 4
SHEET_PANEL = 300
ANIMATED_PANEL = 256
FORECAST_PANEL = 600  # of a forecast by itself: its longer side is more than half of that
GAP = 6
LABEL_WIDTH = 150  # of row names
LABEL_LETTERS = 10  # of a line of a row name
LONGEST_WORD = 14  # that is not broken
BAR_WIDTH = 100  # of the colour bar and its numbers
TEXT_HEIGHT = 36
TEXT = 20
DPI = 100
INK = "#222222"
FAINT = "#8a8a8a"
EDGE = "#cccccc"
COAST = "#4a4a4a"
LINES = ("#1f6fb4", "#d1495b", "#2e933c", "#8e5ea2", "#e08e0b", "#00798c", "#7a5c45")
WARNING = LINES[1]
MINUS = "\N{MINUS SIGN}"
# Hatched, as there is no colour that no look has: grey is a pixel, white no difference, light grey no rain.
MISSING = {"facecolor": "#b8b8b8", "edgecolor": "#8f8f8f", "hatch": "////", "linewidth": 0}
MISSING_LEGEND = "no data"


@dataclass(frozen=True)
class Look:
    """How values become colours, and the colour bar that says so.

    Attributes:
        style: arguments of `Axes.imshow`.
        ticks: value -> what is written beside it on the colour bar.
        unit: written above the colour bar.
    """

    style: dict[str, Any]
    ticks: dict[float, str] = field(default_factory=dict)
    unit: str = ""


GREY = Look({"cmap": "gray", "vmin": 0, "vmax": 1})


@dataclass(frozen=True)
class Row:
    """Images of a figure beside each other.

    Attributes:
        name: what is written left of them.
        images: floats (count, height, width) or, in colours, (count, height, width, 3); NaN where nothing was observed.
        labels: what is written above each image; None leaves no room for it.
        look: how the images are drawn.
    """

    name: str
    images: np.ndarray
    labels: Sequence[str] | None = None
    look: Look = GREY


@dataclass(frozen=True)
class Panel:
    """Images of an animation, one after the other.

    Attributes:
        name: its heading.
        images: floats (time, height, width) or, in colours, (time, height, width, 3); NaN where nothing was observed.
        look: how the images are drawn.
        shows_input: bool. Is headed "input" until the forecast begins.
    """

    name: str
    images: np.ndarray
    look: Look = GREY
    shows_input: bool = True


@dataclass(frozen=True)
class Bar:
    """A colour bar of a figure.

    Attributes:
        look: whose colours it shows.
        first: number of the row that it begins beside.
        last: number of the row that it ends beside.
    """

    look: Look
    first: int
    last: int


@dataclass(frozen=True)
class ScaleBar:
    """How long a way is in a picture.

    Attributes:
        length: in pixels.
        name: what is written beside it, such as "50 km".
    """

    length: float
    name: str


def checked_frames(given: Mapping[str, Any], observed: Container[str] = ()) -> dict[str, np.ndarray]:
    """Returns frames as float32 if they can be drawn together.

    Args:
        given: name of an argument -> floats (time, height, width, channels); all have the frames of the first.
        observed: names of those that were observed, not computed: missing pixels of theirs are NaN.

    Raises:
        ValueError: if one has not four axes, an empty axis, infinite values, NaN where it is computed, or other frames.
    """
    checked, first = {}, next(iter(given))
    for name, values in given.items():
        frames = checked[name] = np.asarray(values, "float32")
        if frames.ndim != 4 or not frames.size:
            raise ValueError(
                f"`{name}` must be (time, height, width, channels), no axis empty. "
                f"Received: shape {frames.shape}"
            )
        if name in observed and np.isinf(frames).any():
            raise ValueError(
                f"`{name}` must be finite, or NaN where pixels are missing. Received: infinite values"
            )
        if name not in observed and not np.isfinite(frames).all():
            raise ValueError(f"`{name}` must be finite. Received: NaN or infinite values")
        if frames.shape[1:] != checked[first].shape[1:]:
            raise ValueError(
                f"`{name}` must have frames of the shape of `{first}`, {checked[first].shape[1:]}. "
                f"Received: {frames.shape[1:]}"
            )
    return checked


def check_same_length(frames: Mapping[str, np.ndarray], name: str, other: str) -> None:
    """Raises a ValueError if one of the arrays has not as many frames as another."""
    if len(frames[name]) != len(frames[other]):
        raise ValueError(
            f"`{name}` must have as many frames as `{other}`, {len(frames[other])}. "
            f"Received: {len(frames[name])}"
        )


def as_drawn(frames: np.ndarray) -> np.ndarray:
    """Returns frames as images in [0, 1]: three channels are colours, of any other number the first is drawn."""
    return np.clip(frames if frames.shape[-1] == 3 else frames[..., 0], 0, 1)


def block_side(shape: Sequence[int], largest: int) -> int:
    """Returns the side of the least blocks of which an image has at most so many in height and in width."""
    return -(-max(shape) // largest)


def block_means(image: np.ndarray, side: int) -> np.ndarray:
    """Returns the means of the pixels of blocks that are there; blocks at the edges may be smaller.

    Args:
        image: floats (height, width, ...), NaN where nothing was observed.
        side: of a block, in pixels.
    """
    height, width = (-(-length // side) for length in image.shape[:2])
    edges = [(0, side * height - image.shape[0]), (0, side * width - image.shape[1])]
    edges += [(0, 0)] * (image.ndim - 2)
    blocks = np.pad(image, edges, constant_values=np.nan)
    blocks = blocks.reshape(height, side, width, side, *image.shape[2:])
    there = ~np.isnan(blocks)
    count = there.sum((1, 3))
    total = np.where(there, blocks, 0).sum((1, 3), dtype="float64")
    return np.where(count, total / np.maximum(count, 1), np.nan).astype("float32")


def difference(truth: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Returns forecast - truth of images, the mean over colours, (time, height, width)."""
    signed = forecast - truth
    return signed.mean(-1) if signed.ndim == 4 else signed


def largest_size(images: np.ndarray) -> float:
    """Returns the largest size, whatever the sign, of the pixels that are there."""
    return float(np.nanmax(np.abs(images), initial=0))


def difference_look(largest: float) -> Look:
    """Returns the look of differences up to a size: white for none, full colour at the next tenth."""
    limit = max(math.ceil(largest * 10) / 10, 0.1)
    ticks = {-limit: f"{MINUS}{limit:.1f}", 0: "0", limit: f"+{limit:.1f}"}
    return Look({"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}, ticks)


def time_label(lead: float, interval: float | None = None) -> str:
    """Returns what a time is called: t+2, or +60 min where frames are 30 minutes apart."""
    sign = MINUS if lead < 0 else "+"
    if interval is None:
        return f"t{sign}{abs(lead)}" if lead else "t"
    amount, unit = (interval, "min") if interval >= 1 else (60 * interval, "s")
    return f"{sign if lead else ''}{abs(lead) * amount:g} {unit}"


def time_labels(context_frames: int, forecast_frames: int = 0, interval: float | None = None) -> list[str]:
    """Returns the `time_label` of every frame: ..., t-1, t for the context, and t+1, t+2, ... for the forecast."""
    return [time_label(lead, interval) for lead in range(1 - context_frames, forecast_frames + 1)]


def clock(context_frames: int, forecast_frames: int, interval: float | None = None) -> list[str]:
    """Returns what stands below the pictures of an animation, time by time."""
    if interval is None:
        past = [f"{number}/{context_frames}" for number in range(1, context_frames + 1)]
        future = [f"+{lead}" for lead in range(1, forecast_frames + 1)]
    else:
        past = time_labels(context_frames, 0, interval)
        future = time_labels(0, forecast_frames, interval)
    return [f"input {time}" for time in past] + [f"forecast {time}" for time in future]


def evenly_spaced(count: int, most: int = COLUMNS) -> np.ndarray:
    """Returns the indices of at most ten, or `most`, of so many images, evenly spaced in time; first and last stay."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def thinned(images: np.ndarray, labels: Sequence[str] | None) -> tuple[np.ndarray, Sequence[str] | None]:
    """Returns at most ten images with their labels, evenly spaced in time."""
    chosen = evenly_spaced(len(images))
    return images[chosen], labels and [labels[index] for index in chosen]


def draw_rows(
    rows: Sequence[Row],
    title: str | None,
    *,
    panel_width: int | None = None,
    bars: Sequence[Bar] = (),
    scale_bar: ScaleBar | None = None,
    coasts: Sequence[np.ndarray] = (),
    synthetic: bool = False,
) -> "Figure":
    """Draws rows of images as a figure, its axes in the order of the images; colour bars stand on the right.

    Panels are at most as wide as given, else so wide that the longest row fits into a page. A scale bar stands at the
    bottom. All images have the same coasts.
    """
    columns = max(len(row.images) for row in rows)
    free = WIDTH - LABEL_WIDTH - BAR_WIDTH - (columns - 1) * GAP
    width, height = panel_size(rows[0].images, panel_width or min(free // columns, LARGEST_PANEL))
    top = TEXT_HEIGHT + 2 * GAP if title or synthetic else 0
    tops = []
    for row in rows:
        tops.append(top + (TEXT_HEIGHT if row.labels else 0))
        top = tops[-1] + height + GAP
    right = LABEL_WIDTH + columns * (width + GAP) - GAP
    missing = any(np.isnan(row.images).any() for row in rows)
    foot = TEXT_HEIGHT if missing or scale_bar else 0
    figure = new_figure(right + (BAR_WIDTH if bars else 2 * GAP), top + GAP + foot)
    _write_title(figure, LABEL_WIDTH, title, synthetic)
    if missing:
        _write_missing(figure, LABEL_WIDTH)
    if scale_bar:
        _draw_scale_bar(figure, right, scale_bar)
    for row, top in zip(rows, tops, strict=True):
        _write_row_name(figure, row.name, top + height / 2)
        for index, image in enumerate(row.images):
            left = LABEL_WIDTH + index * (width + GAP)
            if row.labels:
                place = (left + width / 2, top - TEXT_HEIGHT / 2 + 2)
                label = write_text(figure, *place, row.labels[index], TEXT, color=FAINT)
                _fitted(label, width)
            draw_panel(figure, (left, top, width, height), image, row.look, missing, coasts)
    for bar in bars:
        box = (right + 2 * GAP, tops[bar.first], 14, tops[bar.last] + height - tops[bar.first])
        _draw_bar(figure, box, bar.look)
    return figure


def draw_panels(
    panels: Sequence[Panel],
    clock: Sequence[str],
    context_frames: int,
    *,
    columns: int | None = None,
    panel_width: int = ANIMATED_PANEL,
    bar: Look | None = None,
    scale_bar: ScaleBar | None = None,
    coasts: Sequence[np.ndarray] = (),
    title: str | None = None,
    synthetic: bool = False,
) -> np.ndarray:
    """Draws panels side by side, so many beside each other, one picture per time: uint8 (time, height, width, 3).

    Below the panels stands the clock's text of each time, and a scale bar; a colour bar stands right of the first row.
    All panels have the same coasts.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    columns = columns or len(panels)
    width, height = panel_size(panels[0].images, panel_width)
    margin, rows = 2 * GAP, -(-len(panels) // columns)
    first = GAP + (TEXT_HEIGHT + GAP if title or synthetic else 0)
    right = 2 * margin + columns * (width + margin) - margin
    bottom = first + rows * (TEXT_HEIGHT + height + margin) + GAP + TEXT_HEIGHT
    missing = any(np.isnan(panel.images).any() for panel in panels)
    foot = TEXT_HEIGHT if missing or scale_bar else 0
    figure = new_figure(right + (BAR_WIDTH - margin if bar else 0), bottom + foot)
    _write_title(figure, margin, title, synthetic)
    if missing:
        _write_missing(figure, margin)
    if scale_bar:
        _draw_scale_bar(figure, right - margin, scale_bar)
    headings, pictures = [], []
    for index, panel in enumerate(panels):
        left = margin + index % columns * (width + margin)
        top = first + index // columns * (TEXT_HEIGHT + height + margin) + TEXT_HEIGHT
        heading = write_text(figure, left + width / 2, top - TEXT_HEIGHT / 2, panel.name, TEXT, weight="bold")
        headings.append(_fitted(heading, width))
        first_image = panel.images[0]
        pictures.append(
            draw_panel(figure, (left, top, width, height), first_image, panel.look, missing, coasts)
        )
    if bar:
        _draw_bar(figure, (right, first + TEXT_HEIGHT, 14, height), bar)
    canvas = FigureCanvasAgg(figure)
    clock_text = write_text(figure, right / 2, bottom - TEXT_HEIGHT / 2 - GAP, max(clock, key=len), TEXT)
    _fitted(clock_text, right - margin)
    frames = []
    for time, reading in enumerate(clock):
        clock_text.set_text(reading)
        ahead = time >= context_frames
        for panel, heading, picture in zip(panels, headings, pictures, strict=True):
            picture.set_data(_shown(panel.images[time]))
            heading.set_text(panel.name if ahead or not panel.shows_input else "input")
            heading.set_color(INK if ahead else FAINT)
        canvas.draw()
        frames.append(np.array(canvas.buffer_rgba())[..., :3])
    return np.stack(frames)


def draw_sheet(
    images: Mapping[str, np.ndarray],
    look: Look,
    title: str | None,
    *,
    side: int = SHEET_PANEL,
    names_above: bool = False,
    scale_bar: ScaleBar | None = None,
    coasts: Sequence[np.ndarray] = (),
) -> "Figure":
    """Draws images (height, width) of any shapes, four beside each other, the lines of its name below or above each.

    The longer side of each is `side` pixels; a scale bar stands at the bottom. All have the same coasts.
    """
    margin, line = 2 * GAP, TEXT + GAP
    names = list(images)
    rows = [names[start : start + SHEET_COLUMNS] for start in range(0, len(names), SHEET_COLUMNS)]
    sizes = {
        name: [round(length * side / max(image.shape)) for length in image.shape]
        for name, image in images.items()
    }
    top = TEXT_HEIGHT + 2 * GAP if title else GAP
    tops = []
    for row in rows:
        tops.append(top)
        lines = max(name.count("\n") + 1 for name in row)
        top += max(sizes[name][0] for name in row) + lines * line + 2 * margin
    missing = any(np.isnan(image).any() for image in images.values())
    right = margin + len(rows[0]) * (side + margin)
    figure = new_figure(right + BAR_WIDTH, top + (TEXT_HEIGHT if missing or scale_bar else 0))
    _write_title(figure, margin, title, synthetic=False)
    if missing:
        _write_missing(figure, margin)
    if scale_bar:
        _draw_scale_bar(figure, right - margin, scale_bar)
    for top, row in zip(tops, rows, strict=True):
        tallest = max(sizes[name][0] for name in row)
        words_top = top if names_above else top + tallest + GAP
        if names_above:
            top += max(name.count("\n") + 1 for name in row) * line + GAP
        for column, name in enumerate(row):
            height, width = (max(length, 1) for length in sizes[name])
            middle = margin + column * (side + margin) + side / 2
            box = (middle - width / 2, top + (tallest - height) / 2, width, height)
            draw_panel(figure, box, images[name], look, missing, coasts)
            for number, words in enumerate(name.split("\n")):
                place = (middle, words_top + (number + 0.5) * line)
                colour, weight = (FAINT, "normal") if number else (INK, "bold")
                text = write_text(figure, *place, words, TEXT - 2, color=colour, weight=weight)
                _fitted(text, side)
        if row is rows[0]:
            _draw_bar(figure, (right, top, 14, tallest), look)
    return figure


def panel_size(images: np.ndarray, width: int) -> tuple[int, int]:
    """Returns the size of a panel at most `width` wide; pixels that are enlarged stay equal squares."""
    rows, columns = images.shape[1:3]
    if width >= 2 * columns:
        width -= width % columns
    return width, max(1, round(width * rows / columns))


def new_figure(width: int, height: int) -> "Figure":
    """Returns an empty figure with its own canvas, of a size in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def draw_panel(
    figure: "Figure",
    box: Box,
    image: np.ndarray,
    look: Look = GREY,
    missing: bool = False,
    coasts: Sequence[np.ndarray] = (),
) -> "AxesImage":
    """Draws one image in a thin frame at (left, top, width, height); NaN, if any is `missing`, is hatched.

    Coasts are drawn above it: lines (points, 2) in pixels of the image from its upper left corner.
    """
    from matplotlib.collections import LineCollection

    axes = _add_axes(figure, box)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=EDGE, linewidth=1.5, zorder=-1)  # its inner half lies below the image
    if missing:
        axes.patch.set(**MISSING)  # the ground, which shows through
    shown = axes.imshow(_shown(image), aspect="auto", **look.style)
    if coasts:
        middles = [line - 0.5 for line in coasts]  # as Matplotlib counts pixels from the middle of the first
        axes.add_collection(LineCollection(middles, colors=COAST, linewidths=0.8), autolim=False)
    return shown


def _shown(image: np.ndarray) -> np.ndarray:
    """Returns an image as Matplotlib takes it: colours are bytes, as it does not round to them."""
    return image if image.ndim == 2 else colour_bytes(image)


def colour_bytes(image: np.ndarray) -> np.ndarray:
    """Returns colours (height, width, 3) in [0, 1] as uint8 (height, width, 4); missing pixels are transparent."""
    missing = np.isnan(image).any(-1, keepdims=True)
    return np.rint(255 * np.concatenate([np.where(missing, 0, image), ~missing], axis=-1)).astype("uint8")


def write_text(
    figure: "Figure",
    x: float,
    y: float,
    text: str,
    size: float,
    *,
    color: str = INK,
    ha: str = "center",
    **style: Any,
) -> "Text":
    """Writes text of a size in pixels, its middle `y` pixels below the top."""
    across, down = figure.bbox.width, figure.bbox.height
    style |= {"fontsize": points(size), "color": color, "ha": ha, "va": "center", "parse_math": False}
    return figure.text(x / across, 1 - y / down, text, **style)


def dress(axes: "Axes") -> None:
    """Gives the axes of curves a light grid and takes away what is not needed."""
    axes.tick_params(labelsize=points(TEXT - 2), colors=INK, length=0)
    axes.grid(color=EDGE, linewidth=0.8, alpha=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(EDGE)
    axes.margins(x=0.01)


def write_heading(axes: "Axes", heading: str, x: str = "", y: str = "") -> None:
    """Writes the heading of a panel of curves and the names of its axes, and dresses it."""
    style: dict[str, Any] = {"loc": "left", "fontsize": points(TEXT), "fontweight": "bold", "color": INK}
    axes.set_title(heading, **style, parse_math=False)
    axes.set_xlabel(x, fontsize=points(TEXT - 2), color=INK, parse_math=False)
    axes.set_ylabel(y, fontsize=points(TEXT - 2), color=INK, parse_math=False)
    dress(axes)


def write_legend(
    figure: "Figure",
    styles: Mapping[str, Mapping[str, Any]],
    *,
    columns: int,
    title: str | None = None,
    colour: str = INK,
) -> None:
    """Writes above all panels of curves a title in a colour, and which curve is which.

    Args:
        figure: with the layout "constrained".
        styles: name -> arguments of matplotlib's `Line2D`.
        columns: int. Names beside one another.
        title: str. Default: none.
        colour: str. Of the title.
    """
    from matplotlib.lines import Line2D

    legend = figure.legend(
        [Line2D([], [], **style) for style in styles.values()],
        list(styles),
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        fontsize=points(TEXT),
        labelcolor=INK,
        handlelength=2.4,
        alignment="left",
        title=title,
        title_fontproperties={"size": points(TEXT + 4), "weight": "bold"},
    )
    legend.get_title().set(color=colour, parse_math=False)
    for text in legend.get_texts():
        text.set_parse_math(False)


def points(pixels: float) -> float:
    """Returns a font size in points."""
    return pixels * 72 / DPI


def save(figure: "Figure", path: str | os.PathLike[str], *, colours: int | None = None) -> None:
    """Writes a figure as a PNG; of few colours, which lines and text need, it is a third of the size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    with replacing(path) as temporary:
        canvas = FigureCanvasAgg(figure)
        canvas.print_png(temporary)
        if colours is not None:
            with Image.open(temporary) as picture:
                few = picture.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
            few.save(temporary, format="PNG", optimize=True)


def _write_title(figure: "Figure", left: float, title: str | None, synthetic: bool) -> None:
    """Writes a heading, made to fit; that of synthetic data says so, in the colour of warnings."""
    if title or synthetic:
        words = ("synthetic data" if synthetic else "", title or "")
        style = {"color": WARNING if synthetic else INK, "ha": "left", "weight": "bold"}
        heading = write_text(
            figure, left, (TEXT_HEIGHT + 3 * GAP) / 2, ": ".join(filter(None, words)), TEXT + 6, **style
        )
        _fitted(heading, figure.bbox.width - left - 2 * GAP)


def _write_missing(figure: "Figure", left: float) -> None:
    """Writes at the bottom what the ground of missing pixels means, beside a piece of it."""
    middle = figure.bbox.height - TEXT_HEIGHT / 2
    axes = _add_axes(figure, (left, middle - TEXT / 2, 2 * TEXT, TEXT))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=EDGE, linewidth=0.8)
    axes.patch.set(**MISSING)
    write_text(figure, left + 2 * TEXT + 2 * GAP, middle, MISSING_LEGEND, TEXT - 2, color=FAINT, ha="left")


def _draw_scale_bar(figure: "Figure", right: float, scale_bar: ScaleBar) -> None:
    """Draws a scale bar at the bottom, its name left of it."""
    middle, left = figure.bbox.height - TEXT_HEIGHT / 2, right - scale_bar.length
    axes = _add_axes(figure, (left, middle - GAP / 2, scale_bar.length, GAP))
    axes.set(xticks=[], yticks=[], facecolor=INK)
    axes.spines[:].set_visible(False)
    write_text(figure, left - GAP, middle, scale_bar.name, TEXT - 2, ha="right")


def _write_row_name(figure: "Figure", name: str, middle: float) -> None:
    """Writes the name of a row in lines; only words that would be too small to read are broken."""
    words = name.replace("_", " ")
    longest = max(map(len, words.split()), default=0)
    lines = textwrap.wrap(words, max(LABEL_LETTERS, min(longest, LONGEST_WORD)))
    label = write_text(
        figure, LABEL_WIDTH - 16, middle, "\n".join(lines), TEXT + 2, ha="right", weight="bold"
    )
    _fitted(label, LABEL_WIDTH - 16 - GAP)


def _fitted(text: "Text", width: float) -> "Text":
    """Returns a text, made smaller where it is wider than so many pixels."""
    for _ in range(2):  # letters are set on whole pixels, so that small ones are wider than their size says
        size: float = text.get_fontsize()  # type: ignore[assignment]  # the stub says str too; it is in points
        text.set_fontsize(size * min(1, width / (text.get_window_extent().width or 1)))
    return text


def _draw_bar(figure: "Figure", box: Box, look: Look) -> None:
    """Draws the colours of a look and what they stand for, its unit above them."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    left, top, width, height = box
    style = dict(look.style)
    norm = style.get("norm") or Normalize(style["vmin"], style["vmax"])
    if look.unit:
        write_text(figure, left, top + TEXT / 2, look.unit, TEXT - 3, ha="left")
        top, height = top + TEXT + GAP, height - TEXT - GAP
    axes = _add_axes(figure, (left, top, width, height))
    bar = figure.colorbar(ScalarMappable(norm, style["cmap"]), cax=axes, extendfrac=0.04)
    bar.set_ticks(list(look.ticks), labels=list(look.ticks.values()))
    bar.ax.minorticks_off()
    axes.tick_params(labelsize=points(TEXT - 3), colors=INK, length=0)
    axes.spines["outline"].set_edgecolor(EDGE)


def _add_axes(figure: "Figure", box: Box) -> "Axes":
    """Adds axes at (left, top, width, height) in pixels from the upper left."""
    left, top, width, height = box
    across, down = figure.bbox.width, figure.bbox.height
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))
