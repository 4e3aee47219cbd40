"""Numbers of the public PyTorch implementation, where they are at hand.

The files are looked for in the folder named by the environment variable `MSLSTM_GOLDEN`, else in
`../shared/golden` beside the checkout. Without them the tests that need them are skipped.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(os.environ.get("MSLSTM_GOLDEN", Path(__file__).parents[2] / "shared" / "golden"))


def load_golden(name):
    """Returns the arrays of a golden file such as "cells/ConvLSTM" and its meta data; skips without it."""
    path = FOLDER / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"golden file not at hand: {name}.npz (set MSLSTM_GOLDEN to their folder)")
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files if key != "meta"}
        return arrays, json.loads(str(file["meta"]))
