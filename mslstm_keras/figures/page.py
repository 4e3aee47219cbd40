"""Forecasts as pages of HTML: a slider through what was observed and what is forecast, in one file."""

import io
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from mslstm_keras import __version__
from mslstm_keras.figures.clips import channels_as_drawn
from mslstm_keras.figures.coasts import coast_lines
from mslstm_keras.figures.drawing import (
    COAST,
    MISSING_LEGEND,
    ScaleBar,
    block_side,
    checked_frames,
    clock,
    colour_bytes,
)
from mslstm_keras.figures.markup import data_uri, fact_list, page
from mslstm_keras.figures.rain import (
    NO_RAIN,
    RAIN_COLOURS,
    RAIN_LEVELS,
    check_maps,
    drawn_rates,
    moments,
    scale_bar,
)
from mslstm_keras.files import replacing
from mslstm_keras.frames.write import check_fps

if TYPE_CHECKING:
    import xarray
    from PIL import Image

LARGEST_PICTURE = 1000  # pixels: a file of twenty such maps of rain has a few MB at most

# Without scripts, all moments stand in a grid. The script shows one of them at a time.
STYLE = """
[hidden] { display: none !important; }
#controls { display: flex; gap: .8rem; align-items: center; }
#controls button { font: inherit; min-width: 5rem; padding: .3rem .8rem; }
#controls input { flex: 1; min-width: 0; }
#moments { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(14rem, 100%), 1fr)); gap: 1rem; }
#moments.single { display: block; }
#moments figure { margin: .8rem 0; }
figcaption { font-variant-numeric: tabular-nums; margin-bottom: .3rem; }
figcaption strong { color: var(--ink); margin-right: .5rem; }
.forecast strong { color: var(--warning); }
.pictures { display: flex; flex-wrap: wrap; gap: .8rem; }
.picture { flex: 1; min-width: min(14rem, 100%); }
.missing, .picture img { background: repeating-linear-gradient(135deg, #b8b8b8 0 4px, #8f8f8f 4px 5px); }
.picture img { width: 100%; image-rendering: pixelated; border-radius: 0; }
.map { position: relative; }
.map svg { position: absolute; left: 0; top: 0; width: 100%; height: 100%; }
.outlines { position: absolute; width: 0; height: 0; }
.kilometres, .name { font-size: .85rem; color: var(--faint); }
.kilometres svg { display: block; width: 100%; height: 5px; margin-top: .4rem; }
.kilometres rect { fill: var(--ink); }
.scale { display: flex; flex-wrap: wrap; gap: .2rem .9rem; list-style: none; padding: 0; margin: .8rem 0;
  font-size: .9rem; font-variant-numeric: tabular-nums; }
.scale li { display: flex; gap: .35rem; align-items: center; }
.scale svg { width: 1.5rem; height: 1rem; border: 1px solid var(--edge); }
"""

SCRIPT = """
const figures = [...document.querySelectorAll("#moments > figure")];
const slider = document.getElementById("slider");
const button = document.getElementById("play");
let timer = null;

function show(index) {
  slider.value = index;
  figures.forEach((figure, number) => { figure.hidden = number !== index; });
  slider.setAttribute("aria-valuetext", figures[index].querySelector("figcaption").textContent);
}

function pause() {
  clearInterval(timer);
  timer = null;
  button.textContent = "Play";
}

function play() {
  timer = setInterval(() => show((Number(slider.value) + 1) % figures.length), Number(button.dataset.milliseconds));
  button.textContent = "Pause";
}

slider.addEventListener("input", () => { pause(); show(Number(slider.value)); });
button.addEventListener("click", () => (timer === null ? play() : pause()));
document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  pause();
  show(Math.min(Math.max(Number(slider.value) + step, 0), figures.length - 1));
});

document.getElementById("moments").classList.add("single");
document.getElementById("controls").hidden = false;
show(Number(slider.value));
"""


@dataclass(frozen=True)
class Moment:
    """What a page shows at one time.

    Attributes:
        ahead: bool. Is a forecast, not observed.
        label: when it is, as it is written behind "observed" or "forecast".
        pictures: what each is of -> PNG.
    """

    ahead: bool
    label: str
    pictures: Mapping[str, bytes]

    @property
    def kind(self) -> str:
        """What it is called."""
        return "forecast" if self.ahead else "observed"


def rain_forecast_page(
    observed: "xarray.DataArray",
    forecast: "xarray.DataArray",
    path: str | os.PathLike[str],
    *,
    title: str = "Forecast of rain",
    facts: Mapping[str, str] | None = None,
    fps: float = 4,
) -> None:
    """Writes a forecast of rain as one HTML file with a slider through the maps, observed and forecast.

    The maps can be played, and the keys left and right step through them; each has its time in UTC and its lead time,
    which counts from the last observed map. The colour scale in mm/h is that of `rain_look`; a bar says how long so
    many kilometres are, and coasts and borders are drawn, see `rain_forecast_figure`. The file loads nothing, so it
    works without a network; without scripts, all maps are shown.

    A map of more than 1000 pixels a side is drawn by the means of blocks, see `rain_sheet`.

    Args:
        observed: rain rates in mm/h with the axes time, y and x, see `rain_forecast_figure`.
        forecast: rain rates of the times behind, on the same grid.
        path: file to write.
        title: str. Heading.
        facts: name -> text, written below the maps, such as {"Licence": "CC BY 4.0"}. Default: none.
        fps: float in [0.01, 50]. Maps per second when they are played.

    Raises:
        ValueError: if maps have other axes or units, no times, times that do not rise, different grids, or negative or
            infinite values; or if `fps` is out of range.
        OSError: if the file cannot be written; what was there before stays.
    """
    check_maps(observed, forecast)
    side = block_side(forecast.shape[1:], LARGEST_PICTURE)
    times, missing = moments(observed, forecast), False
    shown: list[Moment] = []
    for name, maps in (("observed", observed), ("forecast", forecast)):
        for rates in maps:
            values = drawn_rates(name, np.asarray(rates, "float32"), side)
            missing |= bool(np.isnan(values).any())
            time, lead = times[len(shown)]
            shown.append(Moment(name == "forecast", f"{time} UTC, {lead}", {"rain": _rain_png(values)}))
    size = values.shape
    coasts = [line / side for line in coast_lines(forecast)]
    _write(
        path,
        title,
        shown,
        size,
        facts,
        fps,
        scale_bar=scale_bar(forecast, 1 / side, size[1]),
        coasts=coasts,
        legend=_rain_legend(missing),
    )


def clip_forecast_page(
    observed: np.ndarray,
    forecast: np.ndarray,
    path: str | os.PathLike[str],
    *,
    title: str = "Forecast of a clip",
    facts: Mapping[str, str] | None = None,
    fps: float = 5,
) -> None:
    """Writes the forecast of a clip as one HTML file with a slider through its frames, see `rain_forecast_page`.

    Each frame of the forecast has its lead time in frames. Frames of more than 1000 pixels a side are drawn by the
    means of blocks. Values are clipped to [0, 1].

    Args:
        observed: floats (time, height, width, channels) in [0, 1], NaN where nothing was observed, see
            `clip_forecast_figure`.
        forecast: floats (lead time, height, width, channels), the frames behind.
        path: file to write.
        title: str. Heading.
        facts: name -> text, written below the frames. Default: none.
        fps: float in [0.01, 50]. Frames per second when they are played.

    Raises:
        ValueError: if the arrays do not belong together, have more than three channels, hold infinite values, or the
            forecast NaN; or if `fps` is out of range.
        OSError: if the file cannot be written; what was there before stays.
    """
    frames = checked_frames({"observed": observed, "forecast": forecast}, observed=("observed",))
    drawn = [channels_as_drawn(given, LARGEST_PICTURE) for given in frames.values()]
    counts = [len(given) for given in frames.values()]
    labels = [f"frame {words.partition(' ')[2]}" for words in clock(counts[0], counts[1], None)]
    shown: list[Moment] = []
    for ahead, count, channels in zip((False, True), counts, drawn, strict=True):
        for number in range(count):
            pictures = {f"frame{name}": _frame_png(images[number]) for name, images in channels.items()}
            shown.append(Moment(ahead, labels[len(shown)], pictures))
    missing = bool(np.isnan(frames["observed"]).any())
    size = next(iter(drawn[0].values())).shape[1:3]
    _write(path, title, shown, size, facts, fps, legend=_legend({}, missing) if missing else ())


def _write(
    path: str | os.PathLike[str],
    title: str,
    shown: Sequence[Moment],
    size: Sequence[int],
    facts: Mapping[str, str] | None,
    fps: float,
    *,
    scale_bar: ScaleBar | None = None,
    coasts: Sequence[np.ndarray] = (),
    legend: Sequence[str] = (),
) -> None:
    """Writes the page of pictures that all have one size, (height, width)."""
    check_fps(fps)
    height, width = size
    across = width * len(shown[0].pictures)
    # The whole of a picture is to be seen at once, on a screen that is wide, too.
    style = STYLE + f"#moments.single figure {{ max-width: calc(75vh * {across / height:.4f}); }}\n"
    last = sum(not moment.ahead for moment in shown) - 1
    sections = [
        f"<h1>{escape(title)}</h1>",
        '<noscript><p class="note">Scripts are off, so all pictures are shown at once.</p></noscript>',
        '<div id="controls" hidden>',
        f'<button id="play" type="button" data-milliseconds="{1000 / fps:.0f}">Play</button>',
        f'<input id="slider" type="range" min="0" max="{len(shown) - 1}" value="{last}" aria-label="Time">',
        "</div>",
        '<div id="moments">',
        *(line for moment in shown for line in _figure(moment, height, width, scale_bar, bool(coasts))),
        "</div>",
        *(_outlines(coasts) if coasts else ()),
        *legend,
        "<h2>About this forecast</h2>",
        *fact_list({**(facts or {}), "Made by": f"mslstm-keras {__version__}"}),
    ]
    with replacing(path) as temporary:
        temporary.write_text(page(title, sections, style=style, script=SCRIPT), encoding="utf-8")


def _figure(
    moment: Moment, height: int, width: int, scale_bar: ScaleBar | None, has_coasts: bool
) -> Iterator[str]:
    """Yields what is shown at one time."""
    yield f'<figure class="{moment.kind}"><figcaption><strong>{moment.kind}</strong> {moment.label}</figcaption>'
    yield '<div class="pictures">'
    for name, content in moment.pictures.items():
        text = escape(f"{name}, {moment.kind}: {moment.label}")
        uri = data_uri(content, "png")
        yield f'<div class="picture"><div class="map"><img src="{uri}" width="{width}" height="{height}" alt="{text}">'
        if has_coasts:
            yield f'<svg viewBox="0 0 {width} {height}" aria-hidden="true"><use href="#coasts"/></svg>'
        yield "</div>"
        if scale_bar:
            bar = f'<rect width="{scale_bar.length:.2f}" height="1"/>'
            yield (
                f'<div class="kilometres"><svg viewBox="0 0 {width} 1" preserveAspectRatio="none" '
                f'aria-hidden="true">{bar}</svg>{scale_bar.name}</div>'
            )
        if len(moment.pictures) > 1:
            yield f'<div class="name">{escape(name)}</div>'
        yield "</div>"
    yield "</div></figure>"


def _outlines(coasts: Sequence[np.ndarray]) -> Iterator[str]:
    """Yields the lines that all maps show."""
    path = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line) for line in coasts)
    yield '<svg class="outlines" aria-hidden="true"><defs>'
    yield f'<path id="coasts" d="{path}" fill="none" stroke="{COAST}" vector-effect="non-scaling-stroke"/>'
    yield "</defs></svg>"


def _rain_legend(missing: bool) -> list[str]:
    """Returns the colours of rain rates and what they stand for."""
    steps = [f"{low:g}–{high:g}" for low, high in itertools.pairwise(RAIN_LEVELS)]
    names = [f"below {RAIN_LEVELS[0]:g}", *steps, f"{RAIN_LEVELS[-1]:g} and more"]
    colours = dict(zip(names, (NO_RAIN, *RAIN_COLOURS), strict=True))
    return _legend(colours, missing, "mm/h")


def _legend(colours: Mapping[str, str], missing: bool, unit: str = "") -> list[str]:
    """Returns a list of colours, and of the ground of missing pixels if there are any."""
    square = '<svg class="{}" aria-hidden="true"><rect width="100%" height="100%" fill="{}"/></svg>'
    items = [square.format("colour", colour) + name for name, colour in colours.items()]
    items += [square.format("missing", "none") + MISSING_LEGEND] if missing else []
    first = [f"<li>{unit}</li>"] if unit else []
    return [
        '<ul class="scale" aria-label="Colours">',
        *first,
        *(f"<li>{item}</li>" for item in items),
        "</ul>",
    ]


def _rain_png(rates: np.ndarray) -> bytes:
    """Returns rain rates (height, width) as a PNG in the colours of rain, transparent where they are missing."""
    from PIL import Image, ImageColor

    missing = np.isnan(rates)
    levels = np.searchsorted(RAIN_LEVELS, np.where(missing, 0, rates), side="right")
    colours = (NO_RAIN, *RAIN_COLOURS)
    image = Image.fromarray(np.where(missing, len(colours), levels).astype("uint8"))
    image.putpalette([part for colour in (*colours, "#000000") for part in ImageColor.getrgb(colour)])
    return _png(image, transparency=len(colours))


def _frame_png(image: np.ndarray) -> bytes:
    """Returns a frame (height, width, 3) in [0, 1] as a PNG, transparent where it is missing."""
    from PIL import Image

    levels = colour_bytes(image)
    if (levels[..., 3] == 255).all():
        grey = (levels[..., :3] == levels[..., :1]).all()
        levels = levels[..., 0] if grey else levels[..., :3]
    return _png(Image.fromarray(levels))


def _png(image: "Image.Image", **options: int) -> bytes:
    """Returns the bytes of a PNG."""
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True, **options)
    return content.getvalue()
