"""Prints, for named models, their costs beside the paper's and how near they come to the public implementation.

`python -m tests.support.parity [NAME ...]`: rows of the table of `docs/models.md`, all of it by default. Models of the
public code need the golden files (see `tests/support/golden.py`).
"""

import sys
from collections import defaultdict

import numpy as np

from mslstm_keras import list_models
from mslstm_keras.cost.account import count_cost
from mslstm_keras.cost.published import DATA_SETS
from tests.export.test_convert import MODEL_FILES, batch_major, named, run_model
from tests.support.golden import MODELS

PAPERS = {
    "conv_lstm": "ConvLSTM",
    "sms_lstm": "SMS-LSTM",
    "tms_lstm": "TMS-LSTM",
    "ms_lstm": "MS-LSTM",
    "traj_gru": "TrajGRU",
    "pred_rnn": "PredRNN",
    "pred_rnn_plus_plus": "PredRNN++",
    "pred_rnn_v2": "PredRNN-V2",
    "mim": "MIM",
    "motion_rnn": "MotionRNN",
    "precip_lstm": "PrecipLSTM",
    "cms_lstm": "CMS-LSTM",
    "mode_rnn": "MoDeRNN",
}
SET = DATA_SETS["moving_mnist"]


def deviations(names):
    """Returns name -> largest deviation of a frame's pixel, and of a gradient by its tensor's largest number."""
    found = defaultdict(lambda: (0.0, 0.0))
    for file in (file for file, name in MODEL_FILES.items() if name in names):
        arrays, _, predictions, _, placements, gradients = run_model(file)
        forward = np.abs(predictions - batch_major(arrays["output/frames"])).max()
        backward, golden = 0.0, named(arrays, "grad/")
        for placement, gradient in zip(placements, gradients, strict=True):
            for part in placement.parts:
                if part.name in golden:
                    expected = part.of_theirs(golden[part.name])
                    apart = np.abs(part.of_ours(gradient) - expected).max() / np.abs(expected).max()
                    backward = max(backward, apart)
        name = MODEL_FILES[file]
        found[name] = max(found[name][0], forward), max(found[name][1], backward)
    return found


def title(name):
    """Returns what the paper calls a model, of others the name."""
    plain = name.removeprefix("ms_")
    return PAPERS.get(name) or PAPERS.get(plain, plain) + ", pyramid" * (plain != name)


def row(name, deviation):
    each = count_cost(name, SET.frame_shape, SET.context_frames, SET.forecast_frames)
    printed = next((s.table[name].parameters for s in DATA_SETS.values() if name in s.table), None)
    cells = [
        f"`{name}`",
        title(name),
        f"{each.parameters / 1e6:.3f}",
        "-" if each.excesses is None else f"{each.public_parameters / 1e6:.3f}",
        f"{printed}" if printed else "-",
        f"{each.paper_macs / 1e9:.1f}",
        "-" if each.excesses is None else f"{each.public_macs / 1e9:.1f}",
        f"{each.printed.macs}" if each.printed else "-",
        *(f"{value:.0e}" if value else "-" for value in deviation),
    ]
    return f"| {' | '.join(cells)} |"


def print_table(names):
    """Prints the rows of some models, or the whole table."""
    if not names:
        places = {name: place for place, name in enumerate(MODELS.values())}
        names = sorted(list_models(), key=lambda name: (name not in PAPERS, places.get(name, len(places))))
        costs = "parameters, M | public code | paper | MACs, G | public code | paper"
        print(f"| name | model | {costs} | forward | backward |")
        print("|---" * 10 + "|")
    found = deviations(names)
    for name in names:
        print(row(name, found[name]), flush=True)


if __name__ == "__main__":
    print_table(sys.argv[1:])
