"""What the frames of a data set stand for."""

from mslstm_keras.data.facts import DataFacts


def test_nothing_is_known_by_default():
    assert DataFacts() == DataFacts(quantity=None, scale=None, interval_minutes=None, spacing_metres=None)
