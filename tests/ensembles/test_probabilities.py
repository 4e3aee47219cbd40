"""Mean, spread and probabilities, against loops."""

import re

import numpy as np
import pytest

from mslstm_keras.ensembles.probabilities import (
    ensemble_mean,
    ensemble_spread,
    exceedance_probability,
    neighbourhood_probability,
)

MEMBERS = np.random.default_rng(0).random((5, 2, 7, 9)).astype("float32")
MEMBERS[2, 0, 1, 1] = MEMBERS[:, 1, 3, 4] = np.nan


def test_mean_spread_and_probability_of_every_pixel():
    threshold = float(MEMBERS[0, 0, 0, 0])  # which that member reaches
    found = [ensemble_mean(MEMBERS), ensemble_spread(MEMBERS), exceedance_probability(MEMBERS, threshold)]
    assert {each.dtype for each in found} == {np.dtype("float32")}
    for place in np.ndindex(MEMBERS.shape[1:]):
        values = [float(member[place]) for member in MEMBERS]
        mean = sum(values) / 5
        spread = (sum((value - mean) ** 2 for value in values) / 4) ** 0.5
        share = np.nan if np.isnan(mean) else sum(value >= threshold for value in values) / 5
        np.testing.assert_allclose([each[place] for each in found], [mean, spread, share], rtol=1e-6)
    assert np.isnan(found[2]).sum() == 2


@pytest.mark.parametrize("side", [1, 3, 4, 20])
def test_neighbourhoods_of_every_pixel(side):
    frames, threshold = MEMBERS[2], 0.4
    found = neighbourhood_probability(frames, threshold, side)
    assert found.dtype == "float32"
    before = side // 2
    for time, row, column in np.ndindex(frames.shape):
        window = frames[
            time,
            max(row - before, 0) : max(row - before + side, 0),
            max(column - before, 0) : max(column - before + side, 0),
        ]
        known = window[~np.isnan(window)]
        expected = np.nan if np.isnan(frames[time, row, column]) else np.mean(known >= threshold)
        np.testing.assert_allclose(found[time, row, column], expected, atol=1e-6)


def test_nothing_known_stays_so():
    assert np.isnan(neighbourhood_probability(np.full((4, 4), np.nan), 1, 3)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exceedance_probability(MEMBERS, np.nan), "`threshold` must be a finite number. Received: thresh"),
        (lambda: exceedance_probability(np.zeros((0, 3)), 1), "`members` must be (members, ...), not empty"),
        (lambda: ensemble_mean(np.float32(1)), "Received: members.shape=()"),
        (lambda: ensemble_spread(MEMBERS[:1]), "`members` must be 2 or more to have a spread. Received: 1"),
        (lambda: neighbourhood_probability(MEMBERS, 1, 0), "`side` must be a positive number of pixels. Received"),
        (lambda: neighbourhood_probability(MEMBERS, 1, 2.5), "side=2.5"),
        (lambda: neighbourhood_probability(MEMBERS, np.inf, 3), "`threshold` must be a finite number"),
        (lambda: neighbourhood_probability(np.zeros(3), 1, 3), "`frames` must be (..., height, width). Received"),
    ],
)  # fmt: skip
def test_faults(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
