"""What a file says of its frames, beside their values."""

import h5py
import numpy as np
import pytest

from mslstm_keras.formats.arrays import read_hdf5
from mslstm_keras.formats.sequence import Sequence


def test_frames_alone_say_nothing():
    sequence = Sequence(np.zeros((2, 4, 4, 1), "float32"))
    facts = (sequence.units, sequence.valid_range, sequence.labels, sequence.unpacked)
    assert facts == (None, None, None, False)


def test_hdf5_with_units_and_a_valid_range(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["rain"] = np.array([0, 10, 250, 255], "uint8").reshape(1, 2, 2)
        attributes = {"units": "dBZ", "scale_factor": 0.5, "add_offset": -32.0, "_FillValue": np.uint8(255)}
        file["rain"].attrs.update({**attributes, "valid_range": np.array([0, 240], "uint8")})
    sequence = read_hdf5(tmp_path / "a.h5", None)
    np.testing.assert_array_equal(sequence.values.ravel(), [-32, -27, np.nan, np.nan])
    assert (sequence.units, sequence.unpacked) == ("dBZ", True)
    assert sequence.valid_range == pytest.approx((-32, 88))
