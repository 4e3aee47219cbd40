"""Forecasts of clips as film strips and animations, each frame with its lead time, behind the frames before it."""

import os

import numpy as np

from mslstm_keras.figures.animation import forecast_suffix, write_animation
from mslstm_keras.figures.drawing import (
    COLUMNS,
    FORECAST_PANEL,
    LARGEST_PANEL,
    Panel,
    Row,
    block_means,
    block_side,
    checked_frames,
    clock,
    draw_panels,
    draw_rows,
    save,
    time_labels,
)


def clip_forecast_figure(
    observed: np.ndarray,
    forecast: np.ndarray,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    fps: float = 5,
) -> None:
    """Draws the forecast of a clip behind the frames that the model saw.

    A PNG is a film strip: a row of the last ten frames of the input at most, and rows of ten frames of the forecast,
    labelled ..., t-1, t and t+1, t+2, ... in frames. A GIF, which loops for ever, and an MP4 run through all frames;
    below stands the number of a frame of the input, or the lead time of one of the forecast.

    Every pixel becomes a square. Frames of more than 220 pixels a side, in an animation 600, are drawn by the means of
    blocks. Values are clipped to [0, 1].

    Args:
        observed: floats (time, height, width, channels) in [0, 1]. One channel is grey, three are red, green and blue,
            two, such as inflow and outflow, are drawn grey by themselves. Pixels that were not observed are NaN: they
            are hatched, and a line says so.
        forecast: floats (lead time, height, width, channels), the frames behind.
        path: file to write; its suffix, .png, .gif or .mp4, says which kind.
        title: str. Heading. Default: none.
        fps: float in [0.01, 50]. Frames per second of an animation.

    Raises:
        ValueError: if the arrays do not belong together, have another number of channels, hold infinite values, or the
            forecast NaN; if `fps` is out of range, or the suffix is another.
        ImportError: if PyAV, which MP4 needs, is not installed.
        OSError: if the file cannot be written; what was there before stays.
    """
    suffix = forecast_suffix(path, fps)
    frames = checked_frames({"observed": observed, "forecast": forecast}, observed=("observed",))
    largest = LARGEST_PANEL if suffix == ".png" else FORECAST_PANEL
    past, future = (channels_as_drawn(given, largest) for given in frames.values())
    height, width = next(iter(past.values())).shape[1:3]
    panel_width = largest // max(height, width) * width
    if suffix == ".png":
        save(draw_rows(_rows(past, future), title, panel_width=panel_width), path)
        return
    pictures = draw_panels(
        [Panel(f"forecast{name}", np.concatenate([past[name], future[name]])) for name in past],
        clock(len(frames["observed"]), len(frames["forecast"]), None),
        len(frames["observed"]),
        panel_width=panel_width,
        title=title,
    )
    write_animation(path, pictures, fps)


def channels_as_drawn(frames: np.ndarray, largest: int) -> dict[str, np.ndarray]:
    """Returns frames (time, height, width, channels) in colours: one of two channels each, else all.

    Args:
        frames: floats, NaN where nothing was observed.
        largest: pixels of the longer side; larger frames become the means of blocks.

    Returns:
        What stands behind the name of the frames -> floats (time, height, width, 3) in [0, 1]. Grey too is drawn as a
        colour: levels of Matplotlib's grey are up to one of 255 darker.

    Raises:
        ValueError: for more than three channels.
    """
    count = frames.shape[-1]
    if count > 3:
        raise ValueError(f"`observed` must have 1 to 3 channels to be drawn. Received: shape {frames.shape}")
    side = block_side(frames.shape[1:3], largest)
    values = np.stack([block_means(image, side) for image in np.clip(frames, 0, 1)])
    if count == 2:
        return {f", channel {number + 1}": values[..., [number] * 3] for number in range(2)}
    return {"": values if count == 3 else values.repeat(3, -1)}


def _rows(past: dict[str, np.ndarray], future: dict[str, np.ndarray]) -> list[Row]:
    """Returns the rows of a film strip: ten frames each; only the uppermost of several channels is labelled."""
    rows = []
    for name, channels in (("input", past), ("forecast", future)):
        count = len(next(iter(channels.values())))
        labels = time_labels(count) if channels is past else time_labels(0, count)
        starts = [max(count - COLUMNS, 0)] if channels is past else range(0, count, COLUMNS)
        for start in starts:
            chosen = slice(start, start + COLUMNS)
            rows += [
                Row(f"{name}{channel}", images[chosen], None if place else labels[chosen])
                for place, (channel, images) in enumerate(channels.items())
            ]
    return rows
