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
from mslstm_keras.deploy.export import export, export_saved_model
from mslstm_keras.deploy.forecast import Forecaster, forecast
from mslstm_keras.deploy.presets import from_preset, list_presets, save_to_preset
from mslstm_keras.deploy.serving import write_serving_folder, write_warm_up_requests
from mslstm_keras.deploy.zoo import (
    add_pretrained,
    list_pretrained,
    load_model,
    load_pretrained,
    load_runs,
    verify_pretrained,
)
from mslstm_keras.layers.gates import GateConv
from mslstm_keras.layers.patch import DepthToSpace, SpaceToDepth
from mslstm_keras.models.registry import architecture, create_model, list_models
from mslstm_keras.models.rollout import ObservedFrames, Rollout, SpatiotemporalRNN
from mslstm_keras.models.step import build_step
from mslstm_keras.study.architecture import draw_architecture
from mslstm_keras.study.comparison import (
    comparison_animation,
    comparison_figure,
    contact_sheet,
    lead_time_figure,
)
from mslstm_keras.study.cost import Cost, cost
from mslstm_keras.study.evaluation import evaluate_models, sample_forecasts
from mslstm_keras.study.extrapolation import optical_flow_extrapolation
from mslstm_keras.study.memory import training_memory
from mslstm_keras.study.receptive_field import (
    effective_receptive_field,
    layer_outputs,
    theoretical_receptive_field,
)
from mslstm_keras.study.report import write_report
from mslstm_keras.study.search_space import build_hypermodel
from mslstm_keras.study.tuning import tune
from mslstm_keras.training.data import Clips, describe, prepare, split_clips, stream_clips
from mslstm_keras.training.fit import train, train_seeds
from mslstm_keras.training.losses import FrameL1L2
from mslstm_keras.training.metrics.categorical import CSI, FAR, FSS, HSS, POD
from mslstm_keras.training.metrics.frame import (
    BalancedMAE,
    BalancedMSE,
    FrameGDL,
    FrameMAE,
    FrameMSE,
    FramePSNR,
    FrameSSIM,
    PixelMAE,
    PixelMSE,
)
from mslstm_keras.training.metrics.perceptual import lpips_distance
from mslstm_keras.training.protocols import Protocol, find_protocol
from mslstm_keras.training.recipes import Recipe, find_recipe, list_recipes
from mslstm_keras.training.sampling import ReverseScheduledSampling, ScheduledSampling
from mslstm_keras.training.scores import evaluate

__version__ = "0.1.0"

__all__ = [
    "CSI",
    "FAR",
    "FSS",
    "HSS",
    "POD",
    "BalancedMAE",
    "BalancedMSE",
    "CMSLSTMCell",
    "CausalLSTMCell",
    "Clips",
    "ConvLSTMCell",
    "Cost",
    "Decoupling",
    "DepthToSpace",
    "Forecaster",
    "FrameGDL",
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
    "PixelMAE",
    "PixelMSE",
    "PrecipLSTMCell",
    "PredRNNCell",
    "Protocol",
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
    "build_hypermodel",
    "build_step",
    "comparison_animation",
    "comparison_figure",
    "contact_sheet",
    "cost",
    "create_model",
    "describe",
    "draw_architecture",
    "effective_receptive_field",
    "evaluate",
    "evaluate_models",
    "export",
    "export_saved_model",
    "find_protocol",
    "find_recipe",
    "forecast",
    "from_preset",
    "layer_outputs",
    "lead_time_figure",
    "list_models",
    "list_presets",
    "list_pretrained",
    "list_recipes",
    "load_model",
    "load_pretrained",
    "load_reference_parameters",
    "load_runs",
    "lpips_distance",
    "optical_flow_extrapolation",
    "prepare",
    "read_clip",
    "sample_forecasts",
    "save_to_preset",
    "split_clips",
    "stream_clips",
    "theoretical_receptive_field",
    "train",
    "train_seeds",
    "training_memory",
    "tune",
    "verify_pretrained",
    "write_clip",
    "write_report",
    "write_serving_folder",
    "write_warm_up_requests",
]
