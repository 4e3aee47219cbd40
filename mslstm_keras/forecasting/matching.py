"""Probability matching: the rates of a forecast become those that were observed last."""

from typing import TYPE_CHECKING

import numpy as np

from mslstm_keras.forecasting.maps import VARIABLE

if TYPE_CHECKING:
    import xarray

COMMENT = "rates of the forecast matched, by rank, to those of the last map"


def match_rates(forecast: "xarray.Dataset", maps: "xarray.Dataset") -> "xarray.Dataset":
    """Gives each map of a forecast the rates of the last map that was observed, in the order of its own.

        R'_k[p_i] = R_0[q_i]        i = 1, 2, ...

    with p_1, p_2, ... the pixels where it is forecast to rain and q_1, q_2, ... those of the last map, both from the
    highest rate to the lowest. Where rain lies is forecast; how much of it there is stays as it was. A mean over what
    may come, which blurs, so keeps its heavy rain, and loses its drizzle. If it rains in more pixels than in the last
    map the lowest become 0; if in fewer, the lowest rates of the last map are not there. Rain that grows or decays is
    not seen in the rates.

    Args:
        forecast: of rain, as `mslstm_keras.forecast` returns it.
        maps: those that it goes on from; the last one counts.

    Returns:
        A new dataset. Its `comment` says what was done.

    Raises:
        ValueError: if one of them holds no rain rates, or the maps are of another size.

    Reference: Ebert, "Ability of a Poor Man's Ensemble to Predict the Probability and Distribution of Precipitation",
    Monthly Weather Review 129 (2001).
    """
    for name, each in (("forecast", forecast), ("maps", maps)):
        if VARIABLE not in each:
            raise ValueError(f"`{name}` must hold {VARIABLE} (time, y, x). Received: {list(each)}")
    rates, last = forecast[VARIABLE], maps[VARIABLE].isel(time=-1)
    if rates.shape[1:] != last.shape:
        raise ValueError(
            f"`maps` must be of the size of the forecast, {rates.shape[1:]}. Received: {last.shape}"
        )
    told = "; ".join(filter(None, [forecast.attrs.get("comment"), COMMENT]))
    matched = rates.copy(data=matched_values(rates.values, last.values))
    return forecast.assign({VARIABLE: matched}).assign_attrs(comment=told)


def matched_values(forecast: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Returns the maps of a forecast with the values of one map, which is at least 0, or NaN where it is unknown.

    Args:
        forecast: (time, ...), NaN where it is unknown.
        observed: (...).
    """
    known = np.isfinite(observed)
    values = np.sort(observed[known])[::-1].astype(forecast.dtype)
    matched = np.where(known & np.isfinite(forecast), np.zeros_like(forecast), forecast)
    for before, after in zip(forecast, matched, strict=True):
        wet = np.flatnonzero(known & (before > 0))
        wet = wet[np.argsort(-before.ravel()[wet], kind="stable")]
        np.put(after, wet, values[: len(wet)])
    return matched
