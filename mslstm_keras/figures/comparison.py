"""Several models beside each other: forecasts with truth and difference, scores by lead time, animations."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from mslstm_keras.figures.animation import check_animation, write_animation
from mslstm_keras.figures.drawing import (
    GREY,
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
    largest_size,
    save,
    thinned,
    time_labels,
)
from mslstm_keras.figures.rain import rain_difference_look, rain_look

if TYPE_CHECKING:
    from mslstm_keras.frames.rain import RainScale

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
        fps: float in [0.01, 50]. Frames per second.

    Raises:
        ValueError: if the arrays do not belong together, hold infinite values, a forecast holds NaN, there is no
            forecast, `fps` is out of range, or the suffix is another.
        ImportError: if PyAV, which MP4 needs, is not installed.
        OSError: if the file cannot be written; what was there before stays.
    """
    check_animation(path, fps)
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
    write_animation(path, images, fps)


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
