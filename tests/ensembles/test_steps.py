"""STEPS, on rain whose motion is known."""

import io
import re
import sys
import warnings
from contextlib import redirect_stdout

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mslstm_keras.ensembles.steps import steps_ensemble
from mslstm_keras.frames.rain import RAIN_SCALES

SIZE = 96
GRID = {"spacing": 1000.0, "interval": 5.0}
needs_pysteps = pytest.mark.usefixtures("pysteps")


@pytest.fixture(scope="module")
def pysteps():
    for name in ("cv2", "pysteps"):
        pytest.importorskip(name)


def moving_rain(frames, right, scale="dwd"):
    """Returns pixels (frames, SIZE, SIZE, 1) of a field of rain that moves by `right` pixels a frame."""
    field = gaussian_filter(np.random.default_rng(0).standard_normal((SIZE, SIZE + right * frames)), 5)
    rate = 10 * np.maximum(field / field.std() - 0.3, 0)
    starts = [right * (frames - 1 - time) for time in range(frames)]
    rates = np.stack([rate[:, start : start + SIZE] for start in starts])
    return np.clip(RAIN_SCALES[scale].to_pixel(np.where(rates < 0.1, 0, rates)), 0, 1)[..., None]


@needs_pysteps
@pytest.mark.parametrize("scale", ["dwd", "hko"])
def test_members_are_apart_and_closer_to_what_comes_than_the_last_map(scale):
    frames = moving_rain(8, 3, scale)
    members = steps_ensemble(frames[:5], 3, 4, rain_scale=scale, **GRID)
    assert members.shape == (4, 3, SIZE, SIZE, 1) and members.dtype == np.float32
    assert members.min() >= 0 and members.max() <= 1
    inside = np.s_[:, :, :, 24:]  # rain that was seen
    rates, truth = (RAIN_SCALES[scale].to_value(each)[inside] for each in (members, frames[np.newaxis, 5:]))
    still = RAIN_SCALES[scale].to_value(frames[np.newaxis, 4:5])[inside]
    errors = ((rates.mean(axis=0) - truth[0]) ** 2).mean(axis=(1, 2, 3))
    assert (errors < 0.7 * ((still - truth)[0] ** 2).mean(axis=(1, 2, 3))).all()
    spread = rates.std(axis=0).mean(axis=(1, 2, 3))
    assert 0 < spread[0] < spread[2]


@needs_pysteps
def test_a_seed_gives_the_same_members_and_another_one_others():
    frames = moving_rain(3, 2)
    one, same, other = (steps_ensemble(frames, 1, 2, seed=seed, **GRID) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other) and not np.array_equal(one[0], one[1])


@needs_pysteps
def test_no_rain_stays_no_rain():
    members = steps_ensemble(np.zeros((4, SIZE, SIZE, 1), "float32"), 2, 3, **GRID)
    np.testing.assert_array_equal(members, np.zeros((3, 2, SIZE, SIZE, 1)))


@needs_pysteps
def test_says_nothing_and_leaves_the_filters_of_warnings_alone():
    filters, printed = list(warnings.filters), io.StringIO()
    with redirect_stdout(printed):
        steps_ensemble(moving_rain(3, 1), 1, 2, **GRID)
    assert printed.getvalue() == ""
    assert warnings.filters == filters


def test_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", sys)  # any module: OpenCV need not be there for this
    monkeypatch.setitem(sys.modules, "pysteps", None)
    with pytest.raises(ImportError, match=re.escape("needs pip install 'mslstm_keras[nowcast]'")):
        steps_ensemble(np.zeros((3, 8, 8, 1)), 1, 2, **GRID)


@pytest.mark.parametrize("shape", [(2, 8, 8, 1), (4, 8, 8), (4, 8, 8, 3)])
def test_refuses_shapes(shape):
    message = re.escape(f"(context_frames, height, width, 1) with 3 frames or more. Received: {shape}")
    with pytest.raises(ValueError, match=message):
        steps_ensemble(np.zeros(shape), 1, 2, **GRID)


def test_refuses_other_arguments():
    context = np.zeros((3, 8, 8, 1))
    with pytest.raises(ValueError, match=r"`members` must be a positive integer\. Received: members=0"):
        steps_ensemble(context, 1, 0, **GRID)
    with pytest.raises(ValueError, match="`forecast_frames` must be a positive integer"):
        steps_ensemble(context, 0, 2, **GRID)
    for value in (1.5, -0.1, np.nan):
        with pytest.raises(ValueError, match=r"`context` must hold numbers in \[0, 1\]"):
            steps_ensemble(context + value, 1, 2, **GRID)
    with pytest.raises(ValueError, match=r"`rain_scale` must be one of dwd, .* Received: rain_scale='mm'"):
        steps_ensemble(context, 1, 2, rain_scale="mm", **GRID)
