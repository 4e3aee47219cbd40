"""Rain maps brought to another number of pixels, on the same area."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from mslstm_keras.integers import is_whole
from mslstm_keras.radar.grids import pixel_steps
from mslstm_keras.radar.maps import MOST_PIXELS

if TYPE_CHECKING:
    import xarray

_LEAST_OBSERVED = 0.5
"""Part of a new pixel's area that must have been observed."""

_ROUNDING = 1e-9
_UNITS = {"m": (0.001, "km"), "degrees_east": (1, "degrees")}


def resize_maps(maps: "xarray.Dataset", height: int, width: int) -> "xarray.Dataset":
    """Brings rain maps to another number of pixels on the same area, by means over areas, and says so in a warning.

        R'_i = sum_j a_ij R_j / sum_j a_ij            over the pixels j that were observed

    a_ij is the area that new pixel i and pixel j share. The amount of rain stays where all was observed; highest rates
    become lower. A new pixel is NaN if less than half of its area was observed. Where there are more pixels than
    before, this is the pixel in which a new one lies, or the mean of those that it lies across, and no interpolation.

    Args:
        maps: `rain_rate` (time, y, x), as `read_radar` returns it. Of lazy maps, lazy ones are returned.
        height: int. Rows.
        width: int. Columns.

    Returns:
        Maps of `height` x `width` pixels. The edges of the area and the grid mapping stay; `x` and `y` are the centres
        of the new pixels.

    Raises:
        ValueError: if `height` or `width` is no positive number, or there would be more than 2^26 pixels; if maps have
            other axes, or their places are not evenly spaced.
    """
    import xarray

    for name, side in (("height", height), ("width", width)):
        if not is_whole(side):
            raise ValueError(f"`{name}` must be a positive number of pixels. Received: {name}={side!r}")
    if height * width > MOST_PIXELS:
        raise ValueError(
            f"`height` x `width` must be at most {MOST_PIXELS} pixels. Received: {height} x {width}"
        )
    rates = maps.rain_rate
    if rates.dims != ("time", "y", "x") or not rates.size:
        raise ValueError(
            f"`maps` must hold rain_rate (time, y, x), none empty. Received: {dict(rates.sizes)}"
        )
    before = rates.shape[1:]
    if before == (height, width):
        return maps
    steps = pixel_steps(maps)
    if steps is None and {"x", "y"} & {*maps.coords}:
        raise ValueError(
            f"`maps` must have evenly spaced `x` and `y`, of more than one pixel. Received: {before[0]} x {before[1]}"
        )
    weights = [_shares(old, new) for old, new in zip(before, (height, width), strict=True)]
    resized = xarray.apply_ufunc(
        lambda values: _resized(values, *weights),
        rates,
        input_core_dims=[["y", "x"]],
        output_core_dims=[["y", "x"]],
        exclude_dims={"y", "x"},
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {"y": height, "x": width}, "allow_rechunk": True},
        output_dtypes=[np.float32],
        keep_attrs=True,
    )
    resized.attrs["cell_methods"] = f"{rates.attrs.get('cell_methods', '')} area: mean".lstrip()
    found = maps.drop_dims(["y", "x"]).assign(rain_rate=resized)
    units = ""
    if steps is not None:
        sizes = [step * old / new for step, old, new in zip(steps, before, (height, width), strict=True)]
        places = {
            axis: (axis, _centres(maps[axis].values, step, size, new), maps[axis].attrs)
            for axis, step, size, new in zip("yx", steps, sizes, (height, width), strict=True)
        }
        found = found.assign_coords(places)
        units = _written(sizes, maps.x.attrs.get("units"))
    warnings.warn(
        f"the maps are brought from {before[0]} x {before[1]} to {height} x {width} pixels{units}, by means over areas",
        stacklevel=2,
    )
    return found


def _shares(old: int, new: int) -> Any:
    """Returns which part of each new pixel of a row lies in each old one, a sparse matrix (new, old)."""
    from scipy.sparse import csr_array

    # Edges of both, so that each piece between two of them lies in one pixel of either; in whole numbers.
    edges = np.unique(np.concatenate([np.arange(old + 1) * new, np.arange(new + 1) * old]))
    pieces, starts = np.diff(edges) / old, edges[:-1]
    return csr_array((pieces, (starts // old, starts // new)), (new, old))


def _resized(values: np.ndarray, rows: Any, columns: Any) -> np.ndarray:
    """Returns maps (..., height, width) by the shares of their rows and columns."""
    resized = np.empty((*values.shape[:-2], rows.shape[0], columns.shape[0]), "float32")
    for index in np.ndindex(values.shape[:-2]):
        observed = ~np.isnan(values[index])
        area, amount = (
            (columns @ (rows @ part).T).T
            for part in (observed.astype("float64"), np.where(observed, values[index], 0.0).astype("float64"))
        )
        enough = area >= _LEAST_OBSERVED - _ROUNDING
        resized[index] = np.where(enough, amount / np.where(enough, area, 1), np.nan)
    return resized


def _centres(centres: np.ndarray, step: float, size: float, count: int) -> np.ndarray:
    """Returns the centres of new pixels of a size, between the same edges."""
    return centres[0] - step / 2 + size * (np.arange(count) + 0.5)


def _written(sizes: list[float], units: str | None) -> str:
    """Returns the size of a pixel as it is written; nothing where nobody knows it."""
    if units not in _UNITS:
        return ""
    factor, name = _UNITS[units]
    height, width = (f"{abs(size) * factor:.4g}" for size in sizes)
    return f" of {height} {name}" if height == width else f" of {height} x {width} {name}"
