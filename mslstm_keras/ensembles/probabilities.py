"""Probabilities that forecasts give: by members, or by the places around one."""

import numpy as np
from scipy import ndimage

from mslstm_keras.integers import is_whole


def ensemble_mean(members: np.ndarray) -> np.ndarray:
    """Returns the mean over members (members, ...), NaN where one is: float32."""
    return _checked(members).mean(axis=0, dtype="float64").astype("float32")


def ensemble_spread(members: np.ndarray) -> np.ndarray:
    """Returns the standard deviation of a sample over members (members, ...), NaN where one is: float32.

        s = sqrt(sum_m (x_m - mean)^2 / (M - 1))

    Raises:
        ValueError: if there are less than two members.
    """
    members = _checked(members)
    if len(members) < 2:
        raise ValueError(f"`members` must be 2 or more to have a spread. Received: {len(members)}")
    return members.std(axis=0, ddof=1, dtype="float64").astype("float32")


def exceedance_probability(members: np.ndarray, threshold: float) -> np.ndarray:
    """Returns the share of members that reach a threshold.

        p = |{m: x_m >= threshold}| / M

    Args:
        members: floats (members, ...).
        threshold: float, in the units of `members`.

    Returns:
        float32 in [0, 1], shaped as a member; NaN where one of them is NaN.

    Raises:
        ValueError: if there is no member or `threshold` is not finite.
    """
    members = _checked(members)
    share = (members >= checked_threshold(threshold)).mean(axis=0)
    return np.where(np.isnan(members).any(axis=0), np.nan, share).astype("float32")


def neighbourhood_probability(frames: np.ndarray, threshold: float, side: int) -> np.ndarray:
    """Returns the share of pixels around each that reach a threshold, as probabilities of one forecast.

        p(x) = |{x' in window(x), observed: f(x') >= threshold}| / |{x' in window(x), observed}|

    The window is a square around the pixel; at the edges it is the part that lies on the grid. A window of even side
    reaches one pixel farther up and to the left.

    Args:
        frames: floats (..., height, width), NaN where nothing is known.
        threshold: float, in the units of `frames`.
        side: int. Of the window, in pixels.

    Returns:
        float32 in [0, 1], shaped as `frames`; NaN where they are.

    Raises:
        ValueError: if `frames` has no such axes, `threshold` is not finite or `side` is not positive.

    Reference:
        Theis, Hense, Damrath 2005, Probabilistic precipitation forecasts from a deterministic model: a pragmatic
        approach. https://doi.org/10.1017/S1350482705001763
    """
    frames = np.asarray(frames)
    if frames.ndim < 2 or not frames.size:
        raise ValueError(f"`frames` must be (..., height, width). Received: frames.shape={frames.shape}")
    if not is_whole(side):
        raise ValueError(f"`side` must be a positive number of pixels. Received: side={side!r}")
    known = ~np.isnan(frames)
    window = (*(1,) * (frames.ndim - 2), side, side)
    reached, counted = (
        ndimage.uniform_filter(each.astype("float64"), window, mode="constant")
        for each in (frames >= checked_threshold(threshold), known)
    )
    share = np.divide(reached, counted, where=known, out=np.full(frames.shape, np.nan))
    # Sums that run along an axis are rounded.
    return np.clip(share, 0, 1).astype("float32")


def checked_threshold(threshold: float) -> float:
    """Returns a threshold.

    Raises:
        ValueError: if it is not finite.
    """
    if not np.isfinite(threshold):
        raise ValueError(f"`threshold` must be a finite number. Received: threshold={threshold!r}")
    return threshold


def _checked(members):
    members = np.asarray(members)
    if not members.ndim or not members.size:
        raise ValueError(
            f"`members` must be (members, ...), not empty. Received: members.shape={members.shape}"
        )
    return members
