"""Several models beside each other: forecasts with truth and difference, scores by lead time, animations."""

import fractions
import io
import os
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from mslstm_keras.figures.drawing import (
    GREY,
    MINUS,
    SHEET_PANEL,
    Bar,
    Look,
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
    draw_sheet,
    largest_size,
    save,
    thinned,
    time_labels,
)
from mslstm_keras.files import replacing
from mslstm_keras.frames.write import write_gif

if TYPE_CHECKING:
    from mslstm_keras.frames.rain import RainScale

RAIN_LEVELS = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 50)
RAIN_DIFFERENCES = (0.5, 2, 5, 10, 20)
NO_RAIN = "#ededed"
# From light to dark without a turn, so that the order of rates shows to every kind of colour vision and in grey.
RAIN_COLOURS = (
    "#c5e4f3",
    "#8cc6ec",
    "#4aa3df",
    "#2a7fc4",
    "#4d63bd",
    "#6c42ad",
    "#751f80",
    "#5c0a4c",
    "#2d0418",
)
PANELS_BESIDE = 4


def comparison_figure(
    context: np.ndarray,
    truth: np.ndarray,
    forecasts: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    rain_scale: "RainScale | None" = None,
    differences: bool = True,
    every: int = 1,
    title: str | None = None,
    synthetic: bool = False,
    interval: float | None = None,
) -> None:
    """Draws forecasts of several models as a PNG: rows input, truth, and forecast and difference of each model.

    The difference is forecast - truth: red where the forecast is too bright, blue where it is too dark. All differences
    share one scale. More than ten frames of a row are thinned out evenly; the first and the last stay.

    Args:
        context: floats (time, height, width, channels) in [0, 1], the frames that the models saw. Three channels are
            red, green and blue; of any other number, the first is drawn. Pixels that were not observed are NaN, here
            and in `truth`: they are hatched, and a line says so.
        truth: floats (lead time, height, width, channels), what came then.
        forecasts: name of a model -> floats of the shape of `truth`.
        path: PNG file to write.
        rain_scale: code of rain rates, see `mslstm_keras.frames.rain`. Rates in mm/h are drawn then, in the colours of
            `rain_look`. Default: grey pixels.
        differences: bool. Draws the differences.
        every: int. Draws each `every`-th frame: the last of the input and every so many before it, of the forecast the
            lead times every, 2 every, ...
        title: str. Heading. Default: none.
        synthetic: bool. The heading says that the data are synthetic.
        interval: float. Minutes between two frames; times are labelled by them. Default: t-1, t, t+1, ...

    Raises:
        ValueError: if the arrays do not belong together, hold infinite values, a forecast holds NaN, there is no
            forecast, or `every` is not in 1 .. the number of forecast frames.
        OSError: if the file cannot be written; what was there before stays.

    Reference: Ma, Zhang & Liu, "MS-LSTM", Applied Soft Computing 147 (2023), figures 6, 7, 9 and 11.
    """
    frames = _checked({"context": context}, truth, forecasts)
    if every not in range(1, len(frames["truth"]) + 1):
        raise ValueError(f"`every` must be from 1 to {len(frames['truth'])}. Received: every={every!r}")
    seen, ahead = slice((len(frames["context"]) - 1) % every, None, every), slice(every - 1, None, every)
    past = time_labels(len(frames["context"]), 0, interval)
    future = time_labels(0, len(frames["truth"]), interval)
    values = {name: _values(images, rain_scale) for name, images in frames.items()}
    look = GREY if rain_scale is None else rain_look()
    rows = [
        Row("input", *thinned(values["context"][seen], past[seen]), look),
        Row("truth", *thinned(values["truth"][ahead], future[ahead]), look),
    ]
    drawn = {name: thinned(values[_key(name)][ahead], None)[0] for name in forecasts}
    errors = {name: difference(rows[1].images, images) for name, images in drawn.items()}
    error_look = _error_look(errors.values(), rain_scale)
    for name, images in drawn.items():
        rows.append(Row(name, images, look=look))
        if differences:
            rows.append(Row("difference", errors[name], look=error_look))
    bars = [Bar(look, 0, 1)] if look.ticks else []
    bars += [Bar(error_look, 2, 3)] if differences else []
    save(draw_rows(rows, title, bars=bars, synthetic=synthetic), path)


def contact_sheet(
    clips: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    rain_scale: "RainScale | None" = None,
    title: str | None = None,
    synthetic: bool = False,
) -> None:
    """Draws clips as a PNG, one row each.

    Args:
        clips: name -> floats (time, height, width, channels) in [0, 1], all of one shape. Three channels are red,
            green and blue; of any other number, the first is drawn. More than ten frames are thinned out evenly.
            Pixels that were not observed are NaN: they are hatched, and a line says so.
        path: file to write.
        rain_scale: code of rain rates; rates in mm/h are drawn then. Default: grey pixels.
        title: str. Heading. Default: none.
        synthetic: bool. The heading says that the data are synthetic.

    Raises:
        ValueError: if there is no clip, shapes differ, or values are infinite.
        OSError: if the file cannot be written; what was there before stays.
    """
    if not clips:
        raise ValueError("`clips` must hold at least one clip. Received: none")
    frames = checked_frames(clips, observed=clips)
    count = len(next(iter(frames.values())))
    labels = [str(number) for number in range(1, count + 1)]
    look = GREY if rain_scale is None else rain_look()
    rows = [
        Row(name, *thinned(_values(images, rain_scale), None if index else labels), look)
        for index, (name, images) in enumerate(frames.items())
    ]
    bars = [Bar(look, 0, len(rows) - 1)] if look.ticks else []
    save(draw_rows(rows, title, bars=bars, synthetic=synthetic), path)


def rain_sheet(
    maps: Mapping[str, np.ndarray], path: str | os.PathLike[str], *, title: str | None = None
) -> None:
    """Draws rain maps of any sizes beside each other as a PNG, all in the colours of `rain_look`.

    A map with more pixels than its place is drawn by the means of blocks: of those pixels of a block that were
    observed, so that the amount of rain stays, but not its highest rates.

    Args:
        maps: what is written below a map, in lines -> its rain rates, floats (height, width) in mm/h, such as
            `read_radar(...).rain_rate[0]`. Pixels that were not observed are NaN: they are hatched, and a line says so.
        path: file to write.
        title: str. Heading. Default: none.

    Raises:
        ValueError: if there is no map, or one has other axes, or negative or infinite values.
        OSError: if the file cannot be written; what was there before stays.
    """
    if not maps:
        raise ValueError("`maps` must hold at least one map. Received: none")
    images = {}
    for name, rates in maps.items():
        image = np.asarray(rates, "float32")
        if image.ndim != 2 or not image.size:
            raise ValueError(
                f"`{name}` must be (height, width), no axis empty. Received: shape {image.shape}"
            )
        if np.isinf(image).any() or (image < 0).any():
            raise ValueError(f"`{name}` must hold rain rates or NaN. Received: negative or infinite values")
        images[name] = _block_means(image, -(-max(image.shape) // SHEET_PANEL))
    save(draw_sheet(images, rain_look(), title), path)


def _block_means(image: np.ndarray, side: int) -> np.ndarray:
    """Returns the means of the pixels of blocks that are there; blocks at the edges may be smaller."""
    height, width = (-(-length // side) for length in image.shape)
    edges = [(0, side * blocks - length) for blocks, length in zip((height, width), image.shape, strict=True)]
    blocks = np.pad(image, edges, constant_values=np.nan).reshape(height, side, width, side)
    there = ~np.isnan(blocks)
    count = there.sum((1, 3))
    total = np.where(there, blocks, 0).sum((1, 3), dtype="float64")
    return np.where(count, total / np.maximum(count, 1), np.nan).astype("float32")


def comparison_animation(
    truth: np.ndarray,
    forecasts: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    context: np.ndarray | None = None,
    rain_scale: "RainScale | None" = None,
    title: str | None = None,
    synthetic: bool = False,
    interval: float | None = None,
    fps: float = 4,
) -> None:
    """Draws truth and forecasts of several models side by side in time, as a GIF that loops for ever or an MP4.

    An MP4 holds H.264 where PyAV has an encoder of it, else MPEG-4 part 2; its sides are made even by a white edge.

    Args:
        truth: floats (lead time, height, width, channels) in [0, 1]. Three channels are red, green and blue; of any
            other number, the first is drawn. Pixels that were not observed are NaN, here and in `context`: they are
            hatched, and a line says so.
        forecasts: name of a model -> floats of the shape of `truth`.
        path: file to write; its suffix, .gif or .mp4, says which kind.
        context: floats (time, height, width, channels), the frames that the models saw; they run first, in all panels
            alike. Default: none.
        rain_scale: code of rain rates, see `comparison_figure`. Default: grey pixels.
        title: str. Heading. Default: none.
        synthetic: bool. The heading says that the data are synthetic.
        interval: float. Minutes between two frames; the clock shows them. Default: it counts frames.
        fps: float in (0, 50]. Frames per second.

    Raises:
        ValueError: if the arrays do not belong together, hold infinite values, a forecast holds NaN, there is no
            forecast, `fps` is out of range, or the suffix is another.
        ImportError: if PyAV, which MP4 needs, is not installed.
        OSError: if the file cannot be written; what was there before stays.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in (".gif", ".mp4"):
        raise ValueError(f"`path` must end in .gif or .mp4. Received: path={os.fspath(path)!r}")
    if not 0 < fps <= 50:
        raise ValueError(f"`fps` must lie in (0, 50]. Received: fps={fps}")
    frames = _checked({} if context is None else {"context": context}, truth, forecasts)
    values = {name: _values(images, rain_scale) for name, images in frames.items()}
    past = values.get("context", values["truth"][:0])
    look = GREY if rain_scale is None else rain_look()
    panels = [Panel("truth", np.concatenate([past, values["truth"]]), look)]
    panels += [Panel(name, np.concatenate([past, values[_key(name)]]), look) for name in forecasts]
    rows = -(-len(panels) // PANELS_BESIDE)
    images = draw_panels(
        panels,
        clock(len(past), len(values["truth"]), interval),
        len(past),
        columns=-(-len(panels) // rows),
        bar=look if look.ticks else None,
        title=title,
        synthetic=synthetic,
    )
    if suffix == ".gif":
        write_gif(path, images, fps=fps)
    else:
        _write_mp4(path, images, fps)


def rain_look() -> Look:
    """Returns the look of rain rates in mm/h: steps at 0.1, 0.5, 1, ... 50, light grey below 0.1."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    colours = ListedColormap(RAIN_COLOURS[:-1]).with_extremes(under=NO_RAIN, over=RAIN_COLOURS[-1])
    norm = BoundaryNorm(RAIN_LEVELS, colours.N)
    norm.extend = colours.colorbar_extend = "both"  # type: ignore[assignment]  # the stub says bool
    return Look({"cmap": colours, "norm": norm}, {level: f"{level:g}" for level in RAIN_LEVELS}, "mm/h")


def rain_difference_look() -> Look:
    """Returns the look of differences in mm/h: white up to 0.5, red too much, blue too little."""
    import matplotlib
    from matplotlib.colors import BoundaryNorm, ListedColormap

    levels = [*(-level for level in reversed(RAIN_DIFFERENCES)), *RAIN_DIFFERENCES]
    below, *between, above = matplotlib.colormaps["RdBu_r"](np.linspace(0, 1, len(levels) + 1))
    between[len(between) // 2] = (1, 1, 1, 1)
    colours = ListedColormap(between).with_extremes(under=below, over=above)
    norm = BoundaryNorm(levels, colours.N)
    norm.extend = colours.colorbar_extend = "both"  # type: ignore[assignment]  # the stub says bool
    ticks = {level: f"{MINUS if level < 0 else '+'}{abs(level):g}" for level in levels}
    return Look({"cmap": colours, "norm": norm}, ticks, "mm/h")


def _checked(
    given: Mapping[str, np.ndarray], truth: np.ndarray, forecasts: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns the frames of all arguments; those of a forecast by `_key` of its name."""
    if not forecasts:
        raise ValueError("`forecasts` must hold at least one model. Received: none")
    named = {_key(name): images for name, images in forecasts.items()}
    frames = checked_frames({**given, "truth": truth, **named}, observed=("context", "truth"))
    for name in named:
        check_same_length(frames, name, "truth")
    return frames


def _key(name: str) -> str:
    return f"forecasts[{name!r}]"


def _values(frames: np.ndarray, rain_scale: "RainScale | None") -> np.ndarray:
    """Returns what is drawn of frames: grey or colour, or rain rates in mm/h."""
    return as_drawn(frames) if rain_scale is None else rain_scale.to_rate(np.clip(frames[..., 0], 0, 1))


def _error_look(errors: Iterable[np.ndarray], rain_scale: "RainScale | None") -> Look:
    """Returns the look that all differences share."""
    if rain_scale is not None:
        return rain_difference_look()
    return difference_look(max(map(largest_size, errors)))


def _write_mp4(path: str | os.PathLike[str], images: np.ndarray, fps: float) -> None:
    """Writes pictures, uint8 (time, height, width, 3), as a video."""
    try:
        import av
    except ImportError as error:
        raise ImportError("MP4 needs PyAV: pip install 'mslstm_keras[video]'") from error
    odd = [(0, side % 2) for side in images.shape[1:3]]
    images = np.pad(images, [(0, 0), *odd, (0, 0)], constant_values=255)
    rate = fractions.Fraction(fps).limit_denominator(1000)
    video = io.BytesIO()
    with av.open(video, "w", format="mp4") as container:
        # The stub tells by a few names of encoders which of them are for videos.
        stream: av.VideoStream = container.add_stream(_encoder(av), rate=rate)  # type: ignore[assignment]
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = "yuv420p"  # what every player shows
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with replacing(path) as temporary:
        temporary.write_bytes(video.getvalue())


def _encoder(av: ModuleType) -> str:
    """Returns the name of the best encoder that this build of PyAV has."""
    try:
        return av.Codec("h264", "w").name
    except av.codec.codec.UnknownCodecError:
        return "mpeg4"
