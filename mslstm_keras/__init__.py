"""Video prediction with Keras 3: MS-LSTM and its baselines, their data, training and trained weights."""

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.cells.conv_lstm import ConvLSTMCell
from mslstm_keras.cells.mk_lstm import MKLSTMCell
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
from mslstm_keras.study.memory import training_memory
from mslstm_keras.training.data import Clips, prepare, split_clips, stream_clips
from mslstm_keras.training.fit import train
from mslstm_keras.training.losses import FrameL1L2
from mslstm_keras.training.metrics.frame import FrameMAE, FrameMSE, FramePSNR, FrameSSIM
from mslstm_keras.training.recipes import Recipe, find_recipe, list_recipes
from mslstm_keras.training.sampling import ScheduledSampling
from mslstm_keras.training.scores import evaluate

__version__ = "0.1.0"

__all__ = [
    "Clips",
    "ConvLSTMCell",
    "DepthToSpace",
    "Forecaster",
    "FrameL1L2",
    "FrameMAE",
    "FrameMSE",
    "FramePSNR",
    "FrameSSIM",
    "GateConv",
    "MKLSTMCell",
    "ObservedFrames",
    "Recipe",
    "Rollout",
    "ScheduledSampling",
    "SpaceToDepth",
    "SpatiotemporalCell",
    "SpatiotemporalRNN",
    "ZooEntry",
    "add_pretrained",
    "architecture",
    "build_step",
    "create_model",
    "evaluate",
    "export_saved_model",
    "find_recipe",
    "forecast",
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
    "train",
    "training_memory",
    "verify_pretrained",
    "write_clip",
]
