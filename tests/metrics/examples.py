"""One of every metric, rain for them to score, and a fit whose truth is masked."""

import keras
import numpy as np

from mslstm_keras.metrics.categorical import CSI, FAR, FSS, HSS, POD
from mslstm_keras.metrics.frame import (
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
from mslstm_keras.metrics.units import ValueMAE
from mslstm_keras.training.losses import FrameL1L2

FRAME_METRICS = (
    FrameMSE,
    FrameMAE,
    PixelMSE,
    PixelMAE,
    FrameGDL,
    FrameSSIM,
    FramePSNR,
    BalancedMSE,
    BalancedMAE,
)
TABLE_METRICS = (POD, FAR, CSI, HSS)


def one_of_every(frames):
    """Returns one metric of every class, none of which has a score of 0 on `rain_frames`."""
    events = [kind(frames, threshold=2.0) for kind in TABLE_METRICS]
    others = [FSS(frames, threshold=2.0, window=3), ValueMAE(frames, scale="log:0:100 mm")]
    return [*(kind(frames) for kind in FRAME_METRICS), *events, *others]


def rain_frames(shape=(7, 3, 12, 14, 1), seed=0):
    """Returns pixels of rain on both sides of 2 mm/h, pixel 0.548, and a prediction that leaves [0, 1]."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.2, 1, shape).astype("float32")
    return truth, (truth + rng.normal(0, 0.2, shape)).astype("float32")


def masked_frames():
    """Returns frames, truth and which pixels of it are observed; the others are not a number."""
    rng = np.random.default_rng(0)
    frames, truth = rng.random((2, 5, 3, 4, 6, 1), dtype="float32")
    mask = rng.random(truth.shape) > 0.4
    return frames, np.where(mask, truth, np.float32(np.nan)), mask


def masked_fit():
    """Returns history, scores and predictions of a small model whose sample weights are a mask of pixels."""
    frames, truth, mask = masked_frames()
    layers = [keras.Input(frames.shape[1:]), keras.layers.Dense(1, kernel_initializer="ones")]
    metrics = [FrameMSE(2), PixelMSE(2), CSI(2, threshold=2.0)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(1e-2), FrameL1L2(), weighted_metrics=metrics)
    options = {"sample_weight": mask, "batch_size": 2, "verbose": 0}
    history = model.fit(frames, truth, shuffle=False, epochs=2, **options).history
    logs = model.evaluate(frames, truth, return_dict=True, **options)
    return history, logs, model.predict(frames, verbose=0)
