"""How a contract tells that it is broken."""

import numpy as np
import pytest

from mslstm_keras.contracts.rules import BrokenContract, require, require_close


def test_what_holds_is_passed_over():
    require(True, "never said")
    require_close(np.ones(2), np.ones(2), 0, "never said")
    require_close(np.ones(2), np.array([1, 1.5]), 0.5, "never said")


def test_what_does_not_hold_is_said_with_the_numbers():
    with pytest.raises(BrokenContract, match=r"^sides must match$"):
        require([], "sides must match")
    with pytest.raises(BrokenContract, match=r"^they must agree\. Received: a difference of 0\.25$"):
        require_close(np.ones(2), np.array([1, 1.25]), 0.2, "they must agree")
    with pytest.raises(BrokenContract, match=r"^they must agree\. Received: shape \(2,\), not \(1,\)$"):
        require_close(np.ones(2), np.ones(1), 0.2, "they must agree")


def test_nan_is_close_to_nothing():
    with pytest.raises(BrokenContract, match=r"Received: a difference of nan$"):
        require_close(np.array([np.nan]), np.array([np.nan]), 1, "they must agree")
