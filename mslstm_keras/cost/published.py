"""The paper's tables of training cost, and what the public code that they were measured on has besides our models."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cells.cms_lstm import BLOCKS, CMSLSTMCell
from mslstm_keras.cells.conv_lstm import ConvLSTMCell
from mslstm_keras.cells.mim import MIMCell
from mslstm_keras.cells.mk_lstm import MKLSTMCell
from mslstm_keras.cells.mode_rnn import MoDeRNNCell
from mslstm_keras.cells.motion_rnn import FLOWS, MotionCell, MotionGRU
from mslstm_keras.cells.precip_lstm import PrecipLSTMCell
from mslstm_keras.cells.pred_rnn import PredRNNCell
from mslstm_keras.cells.pred_rnn_plus_plus import CausalLSTMCell, GradientHighwayUnit
from mslstm_keras.cells.traj_gru import TrajGRUCell
from mslstm_keras.cost.counting import count


@dataclass(frozen=True)
class Printed:
    """Figures of a model as the paper prints them, to one decimal.

    Attributes:
        parameters: millions.
        memory: of a training step on one of four GPUs, in GB.
        macs: "FLOPs" of the paper, in 10^9: multiply-accumulates of one clip.
    """

    parameters: float
    memory: float
    macs: float


@dataclass(frozen=True)
class DataSet:
    """A data set of the paper: shape and number of its frames, and the table of training cost.

    Attributes:
        frame_shape: (height, width, channels).
        context_frames: frames given.
        forecast_frames: frames to forecast.
        table: name of a model -> figures as printed.
    """

    frame_shape: tuple[int, int, int]
    context_frames: int
    forecast_frames: int
    table: dict[str, Printed]


DATA_SETS = {
    "moving_mnist": DataSet(  # Tables 1 and 2
        (64, 64, 1),
        10,
        10,
        {
            "conv_lstm": Printed(0.4, 3.6, 34.4),
            "sms_lstm": Printed(0.4, 2.7, 15.1),
            "tms_lstm": Printed(1.9, 9.5, 147.3),
            "pred_rnn": Printed(0.9, 6.3, 69.8),
            "pred_rnn_plus_plus": Printed(1.4, 8.8, 94.7),
            "pred_rnn_v2": Printed(0.9, 7.3, 70.8),
            "mim": Printed(1.8, 11.0, 143.0),
            "motion_rnn": Printed(1.9, 11.8, 146.2),
            "ms_lstm": Printed(1.9, 5.2, 64.5),
        },
    ),
    "taxibj": DataSet(  # Table 4
        (32, 32, 1),
        4,
        4,
        {
            "conv_lstm": Printed(0.4, 2.1, 3.2),
            "traj_gru": Printed(0.5, 2.3, 3.6),
            "pred_rnn": Printed(0.9, 2.4, 6.4),
            "pred_rnn_plus_plus": Printed(1.4, 2.7, 8.7),
            "mim": Printed(1.8, 2.8, 13.2),
            "motion_rnn": Printed(1.9, 2.9, 13.5),
            "cms_lstm": Printed(1.1, 5.6, 11.5),
            "ms_lstm": Printed(1.9, 2.3, 5.9),
        },
    ),
    "kth": DataSet(  # Table 6
        (128, 128, 1),
        10,
        10,
        {
            "conv_lstm": Printed(0.4, 8.3, 137.7),
            "traj_gru": Printed(0.5, 18.1, 154.2),
            "pred_rnn": Printed(0.9, 18.4, 279.3),
            "pred_rnn_plus_plus": Printed(1.4, 27.7, 378.7),
            "mim": Printed(1.8, 35.7, 571.9),
            "motion_rnn": Printed(1.9, 38.7, 584.8),
            "ms_lstm": Printed(1.9, 14.5, 257.9),
        },
    ),
    "germany": DataSet(  # Table 7
        (180, 180, 1),
        4,
        4,
        {
            "conv_lstm": Printed(0.4, 6.8, 100.3),
            "traj_gru": Printed(0.5, 14.0, 112.4),
            "pred_rnn": Printed(0.9, 14.3, 203.5),
            "pred_rnn_plus_plus": Printed(1.4, 21.1, 275.9),
            "mim": Printed(1.8, 27.1, 416.7),
            "motion_rnn": Printed(1.9, 29.4, 426.1),
            "precip_lstm": Printed(1.8, 38.3, 398.5),
            # Not the rule's 187.9, which frames of 180 x 180 give; 212 x 212 would give 260.6.
            "ms_lstm": Printed(1.9, 14.8, 260.6),
        },
    ),
}

FILTERS = 32  # of every model of the tables


def find_data_set(name: str) -> DataSet:
    """Returns one of `DATA_SETS`.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in DATA_SETS:
        raise ValueError(f"`dataset` must be one of {', '.join(DATA_SETS)}. Received: dataset={name!r}")
    return DATA_SETS[name]


def find_printed(
    name: str, frame_shape: Sequence[int], context_frames: int, forecast_frames: int
) -> Printed | None:
    """Returns the figures of a model on a data set that has such frames, None where the paper has none."""
    for data_set in DATA_SETS.values():
        frames = data_set.frame_shape, data_set.context_frames, data_set.forecast_frames
        if frames == (tuple(frame_shape), context_frames, forecast_frames):
            return data_set.table.get(name)
    return None


@dataclass(frozen=True)
class Excess:
    """Something that the public code has and our model has not.

    Attributes:
        what: in words.
        parameters: number of weights.
        macs: multiply-accumulates of one step by the paper's rule; none where the weights are built and never used.
    """

    what: str
    parameters: int = 0
    macs: int = 0


BIASES = "a bias for each convolution, not for each gate"
HIGHWAY = "highway convolutions of every layer but the second, built and never run"
MODULES = "modules N and S of the first layer, run and not used"
FORGET = "forget gates of the other layers, run and not used"
MOTION = "MotionGRU of the top layer, run and not used"
KEYS = "biases of the attention's keys, which the softmax does not see"
SOFTMAX = "softmax of the attention, counted as 3 n - 1 for a row of n"

# Of a cell, of MK-LSTM for each kernel size, in units of its filters: biases that the public code has beyond ours.
EXCESS_BIASES = {
    ConvLSTMCell: 4,
    MKLSTMCell: 5,
    TrajGRUCell: 3,
    PredRNNCell: 9,
    CausalLSTMCell: 0,
    GradientHighwayUnit: 2,
    MIMCell: 17,
    PrecipLSTMCell: 17,
    CMSLSTMCell: 7,
    MoDeRNNCell: 8,
}


def excesses(cells: Sequence[SpatiotemporalCell]) -> list[Excess] | None:
    """Returns what the public code has besides a stack of built cells, equal kinds added up.

    The public code has one class of cell for all levels of a model; what a level does not need of it is computed, or at
    least built, all the same.

    Args:
        cells: those of a model, from the first level to the top.

    Returns:
        List of `Excess`; None if the public code has no such cells.
    """
    kinds = {type(part) for cell in cells for part in _parts(cell)}
    if not kinds <= {*EXCESS_BIASES, MotionCell}:
        return None
    parameters: Counter[str] = Counter()
    macs: Counter[str] = Counter()
    for below, cell in itertools.pairwise((None, *cells)):
        for each in _excesses_of(cell, below, kinds):
            parameters[each.what] += each.parameters
            macs[each.what] += each.macs
    return [
        Excess(what, parameters[what], macs[what]) for what in parameters if parameters[what] or macs[what]
    ]


def _parts(cell):
    return (cell, cell.cell) if isinstance(cell, MotionCell) else (cell,)


def _excesses_of(cell, below, kinds):
    inner = _parts(cell)[-1]
    filters, pixels = cell.filters, math.prod(cell.inputs_shape[1:3])
    kernel = cell.kernel_size**2 * filters**2
    sizes = len(inner.kernel_sizes) if isinstance(inner, MKLSTMCell) else 1
    yield Excess(BIASES, EXCESS_BIASES[type(inner)] * sizes * filters)
    if isinstance(cell, CausalLSTMCell) and not isinstance(below, GradientHighwayUnit):
        yield Excess(HIGHWAY, 4 * kernel + 4 * filters)
    if isinstance(inner, MIMCell):
        yield Excess(FORGET, 2 * kernel + 2 * filters, 2 * kernel * pixels)
    elif MIMCell in kinds:
        yield Excess(MODULES, 17 * kernel + 17 * filters, 17 * kernel * pixels)
    if MotionCell in kinds and not isinstance(cell, MotionCell):
        yield _motion_gru(cell)
    if isinstance(cell, CMSLSTMCell):
        yield Excess(KEYS, len(BLOCKS) * filters)
        rows = 2 * pixels
        yield Excess(SOFTMAX, macs=sum(rows * (3 * rows // blocks**2 - 1) for blocks in BLOCKS))


def _motion_gru(cell):
    _, height, width, _ = cell.inputs_shape
    shapes = (height, width, cell.filters), *[(height // 2, width // 2, 2 * FLOWS)] * 2
    gru = MotionGRU(cell.filters)
    inputs = [keras.Input(shape) for shape in shapes]
    gru(*inputs)
    return Excess(MOTION, gru.count_params(), count(lambda tensors: gru(*tensors), inputs).paper_macs)
