"""Numbers of the public PyTorch implementation, where they are at hand.

The files are looked for in the folder named by the environment variable `MSLSTM_GOLDEN`, else in
`../shared/golden` beside the checkout. Without them the tests that need them are skipped.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(os.environ.get("MSLSTM_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))

MODELS = {
    "ConvLSTM": "conv_lstm",
    "MS_ConvLSTM": "sms_lstm",
    "MK_LSTM": "tms_lstm",
    "MS_LSTM": "ms_lstm",
    "TrajGRU": "traj_gru",
    "PredRNN": "pred_rnn",
    "PredRNN_Plus2": "pred_rnn_plus_plus",
    "PredRNN_V2": "pred_rnn_v2",
    "MIM": "mim",
    "MotionRNN": "motion_rnn",
    "PrecipLSTM": "precip_lstm",
    "CMS_LSTM": "cms_lstm",
    "MoDeRNN": "mode_rnn",
}
MODELS |= {f"MS_{public}": f"ms_{name}" for public, name in list(MODELS.items())[4:]}
"""Name in the public code -> our name."""

OPTIONS = {"links": "links", "la_window": "window", "ce_iters": "iterations"}
"""Options of our models, by the names they have in the golden files."""


def load_golden(name):
    """Returns the arrays of a golden file such as "cells/ConvLSTM" and its meta data; skips without it."""
    path = FOLDER / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"golden file not at hand: {name}.npz (set MSLSTM_GOLDEN to their folder)")
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files if key != "meta"}
        return arrays, json.loads(str(file["meta"]))
