"""Extrapolation along the optical flow, on rain whose motion is known."""

import io
import re
import sys
import warnings
from contextlib import redirect_stdout

import numpy as np
import pytest

from mslstm_keras.evaluation.extrapolation import optical_flow_extrapolation
from mslstm_keras.frames.rain import RAIN_SCALES

SIZE = 96
needs_pysteps = pytest.mark.usefixtures("pysteps")


@pytest.fixture
def pysteps():
    for name in ("cv2", "pysteps"):
        pytest.importorskip(name)


def moving_rain(frames, velocity, scale="dwd", first=(48, 48)):
    """Returns pixels (frames, SIZE, SIZE, 1) of three cells of rain that move by velocity = (down, right) per frame."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    rate = np.zeros((frames, SIZE, SIZE))
    for down, right, width, peak in ((0, 0, 6, 20), (-14, 9, 4, 8), (11, -12, 5, 12)):
        for t in range(frames):
            y, x = first[0] + down + velocity[0] * t, first[1] + right + velocity[1] * t
            rate[t] += peak * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
    return np.clip(RAIN_SCALES[scale].to_pixel(np.where(rate < 0.1, 0, rate)), 0, 1)[..., None]


def centre(frame):
    """Returns the centre (down, right) of the rain of a frame."""
    total = frame[..., 0].sum()
    return np.array([(axis * frame[..., 0]).sum() / total for axis in np.mgrid[:SIZE, :SIZE]])


@needs_pysteps
@pytest.mark.parametrize("scale", RAIN_SCALES)
@pytest.mark.parametrize("velocity", [(0, 3), (2, 0), (-2, -3), (0.5, -1.5)])
def test_follows_the_motion(scale, velocity):
    frames = moving_rain(8, velocity, scale)
    forecast = optical_flow_extrapolation(frames[:4], 4, scale)
    assert forecast.shape == (4, SIZE, SIZE, 1)
    assert forecast.dtype == np.float32
    moved = (centre(forecast[3]) - centre(frames[3])) / 4
    np.testing.assert_allclose(moved, velocity, atol=0.25)
    error, error_of_persistence = (((each - frames[4:]) ** 2).sum() for each in (forecast, frames[3]))
    assert error < 0.1 * error_of_persistence


@needs_pysteps
def test_of_rain_that_stands_is_the_last_frame():
    frames = moving_rain(3, (0, 0))
    forecast = optical_flow_extrapolation(frames, 2)
    np.testing.assert_allclose(forecast, frames[[2, 2]], atol=1e-4)


@needs_pysteps
def test_no_rain_stays_no_rain():
    np.testing.assert_array_equal(optical_flow_extrapolation(np.zeros((4, SIZE, SIZE, 1), "float32"), 3), 0)


@needs_pysteps
def test_no_rain_comes_from_outside():
    frames = np.maximum(moving_rain(4, (0, 4)), 0.4)  # some rain up to the edges
    forecast = optical_flow_extrapolation(frames, 3)
    assert np.isfinite(forecast).all()
    for step in range(3):
        entered = 4 * (step + 1)
        np.testing.assert_array_equal(forecast[step, :, : entered - 2], 0)
        assert (forecast[step, 20:-20, entered + 2 :] > 0.3).all()


@needs_pysteps
def test_says_nothing_and_leaves_the_filters_of_warnings_alone(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "pysteps"]:
        monkeypatch.delitem(sys.modules, name)
    filters, printed = list(warnings.filters), io.StringIO()
    with redirect_stdout(printed):
        optical_flow_extrapolation(moving_rain(2, (0, 1)), 1)
    assert printed.getvalue() == ""
    assert warnings.filters == filters


@pytest.mark.parametrize("missing", ["pysteps", "cv2"])
def test_says_what_to_install(monkeypatch, missing):
    if missing == "pysteps":
        monkeypatch.setitem(sys.modules, "cv2", sys)  # any module: OpenCV need not be there for this
    monkeypatch.setitem(sys.modules, missing, None)
    message = f"Extrapolation by pysteps needs pip install 'mslstm_keras[nowcast]' ({missing} is not there)"
    with pytest.raises(ImportError, match=f"^{re.escape(message)}$"):
        optical_flow_extrapolation(np.zeros((2, 8, 8, 1)), 1)


@pytest.mark.parametrize("shape", [(1, 8, 8, 1), (4, 8, 8), (4, 8, 8, 3), (4, 0, 8, 1)])
def test_refuses_shapes(shape):
    message = re.escape(f"(context_frames, height, width, 1) with 2 frames or more. Received: {shape}")
    with pytest.raises(ValueError, match=message):
        optical_flow_extrapolation(np.zeros(shape), 1)


@pytest.mark.parametrize(("value", "said"), [(1.5, "0 .. 1.5"), (-0.1, "-0.1 .. 0"), (np.nan, "nan .. nan")])
def test_refuses_what_no_pixel_is(value, said):
    context = np.zeros((2, 8, 8, 1))
    context[1, 2, 3, 0] = value
    with pytest.raises(
        ValueError, match=re.escape(f"`context` must hold numbers in [0, 1]. Received: {said}")
    ):
        optical_flow_extrapolation(context, 1)


@pytest.mark.parametrize("frames", [0, -1, 2.0, "4"])
def test_refuses_numbers_of_frames(frames):
    message = re.escape(f"`forecast_frames` must be a positive integer. Received: forecast_frames={frames!r}")
    with pytest.raises(ValueError, match=message):
        optical_flow_extrapolation(np.zeros((2, 8, 8, 1)), frames)


def test_refuses_an_unknown_scale():
    with pytest.raises(
        ValueError, match=r"`rain_scale` must be one of dwd, .*brasil. Received: rain_scale='mm'"
    ):
        optical_flow_extrapolation(np.zeros((2, 8, 8, 1)), 1, "mm")
