"""Clips by number, as frames that a model takes."""

import numpy as np
import pytest

from mslstm_keras.data.clips import Clips


def test_bytes_become_a_255th():
    levels = np.arange(256, dtype="uint8").reshape(2, 4, 8, 4, 1)
    frames = Clips(lambda numbers: levels[numbers], 2).frames(np.array([1, 0]))
    assert frames.dtype == "float32"
    np.testing.assert_array_equal(frames, levels[[1, 0]].astype("float32") / np.float32(255))
    assert (frames.min(), frames.max()) == (0, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_stay(dtype):
    values = np.random.default_rng(0).random((3, 2, 4, 4, 1)).astype(dtype)
    frames = Clips(lambda numbers: values[numbers], 3).frames(np.array([2, 0]))
    assert frames.dtype == "float32"
    np.testing.assert_array_equal(frames, values[[2, 0]].astype("float32"))
