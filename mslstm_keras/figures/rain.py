"""Rain rates in colours: maps on a sheet, and forecasts behind what was observed."""

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mslstm_keras.figures.animation import forecast_suffix, write_animation
from mslstm_keras.figures.coasts import coast_lines
from mslstm_keras.figures.drawing import (
    FORECAST_PANEL,
    MINUS,
    SHEET_PANEL,
    Look,
    Panel,
    ScaleBar,
    block_means,
    block_side,
    draw_panels,
    draw_sheet,
    evenly_spaced,
    save,
    time_label,
)
from mslstm_keras.frames.scales import scale_of_units
from mslstm_keras.radar.grids import ground_steps

if TYPE_CHECKING:
    import xarray

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
SHEET_OBSERVED = 2  # maps: with ten of the forecast, they fill three rows


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
        images[name] = drawn_rates(name, image, block_side(image.shape, SHEET_PANEL))
    save(draw_sheet(images, rain_look(), title), path)


def rain_forecast_figure(
    observed: "xarray.DataArray",
    forecast: "xarray.DataArray",
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    fps: float = 4,
) -> None:
    """Draws a forecast of rain behind the maps that were observed, in the colours of `rain_look`.

    A PNG is a sheet of the last two observed maps and the forecast; of more than ten forecast maps ten are drawn,
    evenly spaced, the first and the last among them. A GIF, which loops for ever, and an MP4 run through all maps. The
    time that a map is for stands with it, in UTC, and its lead time, which counts from the last observed map. A bar
    says how long so many kilometres are, on a grid in degrees at its mean latitude. Coasts and borders are
    drawn where cartopy is installed and has Natural Earth's files at hand, and the grid says where it is.

    A map of more than 600 pixels a side is drawn by the means of blocks, see `rain_sheet`.

    Args:
        observed: rain rates in mm/h with the axes time, y and x, such as `read_radar(...).rain_rate`; all of its maps
            are read for an animation. Pixels that were not observed are NaN: they are hatched, and a line says so.
        forecast: rain rates of the times behind, on the same grid, such as `forecast(model, observed)`.
        path: file to write; its suffix, .png, .gif or .mp4, says which kind.
        title: str. Heading. Default: none.
        fps: float in [0.01, 50]. Frames per second of an animation.

    Raises:
        ValueError: if maps have other axes or units, no times, times that do not rise, different grids, or negative or
            infinite values; if `fps` is out of range, or the suffix is another.
        ImportError: if PyAV, which MP4 needs, is not installed.
        OSError: if the file cannot be written; what was there before stays.
    """
    suffix = forecast_suffix(path, fps)
    check_maps(observed, forecast)
    if suffix == ".png":
        observed, forecast = observed[-SHEET_OBSERVED:], forecast[evenly_spaced(len(forecast))]
    side = block_side(forecast.shape[1:], FORECAST_PANEL)
    images = [
        drawn_rates(name, np.asarray(rates, "float32"), side)
        for name, maps in (("observed", observed), ("forecast", forecast))
        for rates in maps
    ]
    height, width = images[0].shape
    square = FORECAST_PANEL // max(height, width)  # pixels become whole squares, so that no colours are mixed
    coasts = [line / side for line in coast_lines(forecast)]
    bar = scale_bar(forecast, square / side, square * width)
    times = moments(observed, forecast)
    if suffix == ".png":
        kinds = ["observed"] * len(observed) + ["forecast"] * len(forecast)
        names = [f"{time} UTC\n{kind} {lead}" for (time, lead), kind in zip(times, kinds, strict=True)]
        figure = draw_sheet(
            dict(zip(names, images, strict=True)),
            rain_look(),
            title,
            side=square * max(height, width),
            names_above=True,
            scale_bar=bar,
            coasts=coasts,
        )
        save(figure, path)
        return
    pictures = draw_panels(
        [Panel("forecast", np.stack(images), rain_look())],
        [f"{time} UTC, {lead}" for time, lead in times],
        len(observed),
        panel_width=square * width,
        bar=rain_look(),
        title=title,
        scale_bar=bar,
        coasts=coasts,
    )
    write_animation(path, pictures, fps)


def check_maps(observed: "xarray.DataArray", forecast: "xarray.DataArray") -> None:
    """Raises a ValueError if these are no maps of rain with times, on one grid and one behind the other."""
    for name, maps in (("observed", observed), ("forecast", forecast)):
        if maps.ndim != 3 or maps.dims[0] != "time" or not maps.size:
            raise ValueError(
                f"`{name}` must have the axes time, y and x, none empty. Received: {dict(maps.sizes)}"
            )
        if scale_of_units(maps.attrs.get("units")) is None:
            raise ValueError(f"`{name}` must be in mm/h. Received: units {maps.attrs.get('units')!r}")
        if "time" not in maps.coords or not np.issubdtype(maps.time.dtype, np.datetime64):
            raise ValueError(
                f"`{name}` must have times of datetime64. Received: coordinates {[*maps.coords]}"
            )
    if observed.shape[1:] != forecast.shape[1:]:
        raise ValueError(
            f"`forecast` must be on the grid of `observed`, {observed.shape[1:]}. Received: {forecast.shape[1:]}"
        )
    for axis in forecast.dims[1:]:
        if axis in observed.coords and axis in forecast.coords:
            ours, theirs = observed[axis].values, forecast[axis].values
            if not np.array_equal(ours, theirs):
                raise ValueError(
                    f"`forecast` must be on the grid of `observed`, whose `{axis}` is {ours[0]:g} .. {ours[-1]:g}. "
                    f"Received: {theirs[0]:g} .. {theirs[-1]:g}"
                )
    times = np.concatenate([observed.time.values, forecast.time.values])
    if not (np.diff(times) > np.timedelta64(0, "s")).all():
        raise ValueError(
            "`forecast` must be of times behind those of `observed`, and both must rise. "
            f"Received: {', '.join(np.datetime_as_string(times, 's'))}"
        )


def moments(observed: "xarray.DataArray", forecast: "xarray.DataArray") -> list[tuple[str, str]]:
    """Returns the time of each map and how long it is behind the last observed one, as they are written."""
    times = np.concatenate([observed.time.values, forecast.time.values]).astype("datetime64[s]")
    minutes = (times - times[len(observed) - 1]) / np.timedelta64(1, "m")
    whole = (times == times.astype("datetime64[m]")).all()
    written = [f"{time.item():{'%Y-%m-%d %H:%M' if whole else '%Y-%m-%d %H:%M:%S'}}" for time in times]
    return [(time, time_label(lead, 1)) for time, lead in zip(written, minutes, strict=True)]


def scale_bar(maps: "xarray.DataArray", scale: float, width: int) -> ScaleBar | None:
    """Returns a bar of at most a third of a picture's width; None where the places of pixels are not known.

    Args:
        maps: rain rates, whose `y` and `x` are in metres, or in degrees north and east.
        scale: pixels of the picture for one of the maps.
        width: pixels of the picture.
    """
    steps = ground_steps(maps)
    if steps is None:
        return None
    kilometres = steps[1] / 1000
    most = kilometres / scale * width / 3 * (1 + 1e-9)  # a third of 300 km is 100 km but for rounding
    power = 10.0 ** math.floor(math.log10(most))
    length = max(factor * power for factor in (1, 2, 5) if factor * power <= most)
    return ScaleBar(length * scale / kilometres, f"{length:g} km")


def drawn_rates(name: str, rates: np.ndarray, side: int) -> np.ndarray:
    """Returns rain rates (height, width) as they are drawn, by the means of blocks; `name` is that of an argument."""
    if np.isinf(rates).any() or (rates < 0).any():
        raise ValueError(f"`{name}` must hold rain rates or NaN. Received: negative or infinite values")
    return block_means(rates, side)
