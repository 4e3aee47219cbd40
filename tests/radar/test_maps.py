"""Tests of rain rates from the values of maps, and of the differences that keep maps apart."""

import dataclasses

import numpy as np
import pytest

from mslstm_keras.radar.grids import Grid
from mslstm_keras.radar.maps import DEPTH, MOST_PIXELS, RATE, REFLECTIVITY, RadarMap, check_shape
from tests.support.radar_files import LAEA

GRID = Grid(LAEA, (1, 5), 0.0, 0.0, 1.0, 1.0)
TIME = np.datetime64("2020-01-01T00:00", "s")
MAP = RadarMap("EUMETNET OPERA", "COMP RATE", RATE, TIME, GRID)


def test_rates_are_taken_as_they_are():
    rate, clipped = MAP.rain_rate(np.array([[0.0, -0.0, 1.5, -1.0, np.nan]]))
    np.testing.assert_array_equal(rate, np.array([[0, 0, 1.5, np.nan, np.nan]], np.float32))
    assert rate.dtype == np.float32 and not np.signbit(rate[0, :2]).any() and clipped == 0


def test_depths_become_rates_by_their_own_time():
    rate, _ = dataclasses.replace(MAP, quantity=DEPTH, minutes=15.0).rain_rate(np.array([[1.0, 0.0]]))
    np.testing.assert_array_equal(rate, [[4, 0]])
    found, _ = dataclasses.replace(MAP, quantity=DEPTH, minutes=5.0).rain_rate(np.arange(100)[None] * 0.01)
    # Prepared clips are made of these very floats.
    np.testing.assert_array_equal(found, (np.arange(100)[None] * 0.01).astype(np.float32) * np.float32(12))
    for minutes in (None, 0.0, -5.0):
        with pytest.raises(ValueError, match="must say over how many minutes its rain is summed"):
            dataclasses.replace(MAP, quantity=DEPTH, minutes=minutes)


@pytest.mark.parametrize("relation", [(200.0, 1.6), (256.0, 1.42)])
def test_reflectivities_become_rates(relation):
    one = dataclasses.replace(MAP, quantity=REFLECTIVITY).with_relation(relation)
    rates = np.array([0.1, 1.0, 30.0])
    dbz = 10 * np.log10(relation[0] * rates ** relation[1])
    found, _ = one.rain_rate(np.array([*dbz, -np.inf, -32.0, np.nan])[None])
    np.testing.assert_allclose(found, np.array([[*rates, 0, 0, np.nan]]), rtol=1e-6)


def test_a_relation_of_the_file_counts_more():
    one = dataclasses.replace(MAP, quantity=REFLECTIVITY, z_r=(300.0, 1.4))
    assert one.with_relation((200.0, 1.6)).z_r == (300.0, 1.4)
    assert MAP.with_relation((200.0, 1.6)).z_r is None
    with pytest.raises(ValueError, match="Z = a R\\^b must have finite a, b > 0"):
        dataclasses.replace(MAP, z_r=(200.0, 0.0))


def test_hail_is_clipped_and_counted():
    rate, clipped = MAP.rain_rate(np.array([[492.0, 492.5, 1e30, np.inf, 1.0]]))
    np.testing.assert_array_equal(rate, np.array([[492, 492, 492, 492, 1]], np.float32))
    assert clipped == 3


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("service", "KNMI", "service: EUMETNET OPERA and KNMI"),
        ("product", "other", "product: COMP RATE and other"),
        ("z_r", (200.0, 1.6), "Z-R relation: None and"),
        ("grid", dataclasses.replace(GRID, left=5.0), "grid: 1 x 5 pixels"),
        ("grid", dataclasses.replace(GRID, projection=LAEA.replace("10.0", "11.0")), "projection: "),
    ],
)
def test_differences(name, value, said):
    assert MAP.difference(dataclasses.replace(MAP, time=TIME + np.timedelta64(300, "s"))) == ""
    assert MAP.difference(dataclasses.replace(MAP, **{name: value})).startswith(said)
    depth = dataclasses.replace(MAP, quantity=DEPTH, minutes=5.0)
    longer = dataclasses.replace(depth, minutes=60.0)
    assert depth.difference(longer) == "time that rain is summed over: 5.0 and 60.0"


def test_shapes():
    assert check_shape((np.int64(3), 4)) == (3, 4)
    for shape in ((3,), (0, 4), (1, 2, 3)):
        with pytest.raises(ValueError, match="must have rows and columns"):
            check_shape(shape)
    with pytest.raises(ValueError, match="must have at most"):
        check_shape((1, MOST_PIXELS + 1))
