"""Whole numbers of Python and of NumPy, and what is none."""

import numpy as np
import pytest

from mslstm_keras.integers import is_whole, plain


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.uint8(255), np.int32(1)])
def test_whole_numbers(value):
    assert is_whole(value)


@pytest.mark.parametrize(
    "value", [True, np.True_, 2.0, np.float32(2), "2", None, 0, np.int64(-1), np.array([2])]
)
def test_what_is_none(value):
    assert not is_whole(value)


def test_the_least():
    assert is_whole(0, 0)
    assert not is_whole(np.int64(1), 2)


def test_numbers_of_python():
    value = plain((np.int64(3), [np.float32(0.5), "name"], None))
    assert value == (3, [0.5, "name"], None)
    assert [type(each) for each in (value[0], value[1][0])] == [int, float]
