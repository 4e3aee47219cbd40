"""Video prediction with Keras 3: MS-LSTM and its baselines, their data, training and trained weights."""

from mslstm_keras.cells.base import SpatiotemporalCell
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
from mslstm_keras.deploy.clips import read_clip, write_clip
from mslstm_keras.deploy.convert import load_reference_parameters
from mslstm_keras.deploy.entry import ZooEntry
from mslstm_keras.deploy.export import export_saved_model
from mslstm_keras.deploy.forecast import Forecaster, forecast
from mslstm_keras.deploy.zoo import (
    add_pretrained,
    list_pretrained,
    load_model,
    load_pretrained,
    verify_pretrained,
)
from mslstm_keras.layers.gates import GateConv
from mslstm_keras.layers.patch import DepthToSpace, SpaceToDepth
from mslstm_keras.models.registry import architecture, create_model, list_models
from mslstm_keras.models.rollout import ObservedFrames, Rollout, SpatiotemporalRNN
from mslstm_keras.models.step import build_step
from mslstm_keras.study.architecture import draw_architecture
from mslstm_keras.study.cost import Cost, cost
from mslstm_keras.study.memory import training_memory
from mslstm_keras.study.receptive_field import (
    effective_receptive_field,
    layer_outputs,
    theoretical_receptive_field,
)
from mslstm_keras.training.data import Clips, prepare, split_clips, stream_clips
from mslstm_keras.training.fit import train
from mslstm_keras.training.losses import FrameL1L2
from mslstm_keras.training.metrics.frame import FrameMAE, FrameMSE, FramePSNR, FrameSSIM
from mslstm_keras.training.recipes import Recipe, find_recipe, list_recipes
from mslstm_keras.training.sampling import ReverseScheduledSampling, ScheduledSampling
from mslstm_keras.training.scores import evaluate

__version__ = "0.1.0"

__all__ = [
    "CMSLSTMCell",
    "CausalLSTMCell",
    "Clips",
    "ConvLSTMCell",
    "Cost",
    "Decoupling",
    "DepthToSpace",
    "Forecaster",
    "FrameL1L2",
    "FrameMAE",
    "FrameMSE",
    "FramePSNR",
    "FrameSSIM",
    "GateConv",
    "GradientHighwayUnit",
    "MIMCell",
    "MKLSTMCell",
    "MoDeRNNCell",
    "MotionCell",
    "ObservedFrames",
    "PrecipLSTMCell",
    "PredRNNCell",
    "Recipe",
    "ReverseScheduledSampling",
    "Rollout",
    "ScheduledSampling",
    "SpaceToDepth",
    "SpatiotemporalCell",
    "SpatiotemporalRNN",
    "TrajGRUCell",
    "ZooEntry",
    "add_pretrained",
    "architecture",
    "build_step",
    "cost",
    "create_model",
    "draw_architecture",
    "effective_receptive_field",
    "evaluate",
    "export_saved_model",
    "find_recipe",
    "forecast",
    "layer_outputs",
    "list_models",
    "list_pretrained",
    "list_recipes",
    "load_model",
    "load_pretrained",
    "load_reference_parameters",
    "prepare",
    "read_clip",
    "split_clips",
    "stream_clips",
    "theoretical_receptive_field",
    "train",
    "training_memory",
    "verify_pretrained",
    "write_clip",
]
