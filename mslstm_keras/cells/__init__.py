"""The cells, one paper's equations a file. To import this package registers all of them, and their models."""

from mslstm_keras.cells.cms_lstm import CMSLSTMCell
from mslstm_keras.cells.conv_lstm import ConvLSTMCell
from mslstm_keras.cells.mim import MIMCell
from mslstm_keras.cells.mk_lstm import MKLSTMCell
from mslstm_keras.cells.mode_rnn import MoDeRNNCell
from mslstm_keras.cells.motion_rnn import MotionCell
from mslstm_keras.cells.precip_lstm import PrecipLSTMCell
from mslstm_keras.cells.pred_rnn import PredRNNCell
from mslstm_keras.cells.pred_rnn_plus_plus import CausalLSTMCell, GradientHighwayUnit
from mslstm_keras.cells.pred_rnn_v2 import Decoupling
from mslstm_keras.cells.traj_gru import TrajGRUCell

__all__ = [
    "CMSLSTMCell",
    "CausalLSTMCell",
    "ConvLSTMCell",
    "Decoupling",
    "GradientHighwayUnit",
    "MIMCell",
    "MKLSTMCell",
    "MoDeRNNCell",
    "MotionCell",
    "PrecipLSTMCell",
    "PredRNNCell",
    "TrajGRUCell",
]
