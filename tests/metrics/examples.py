"""One of every metric, and rain for them to score."""

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
    return [*(kind(frames) for kind in FRAME_METRICS), *events, FSS(frames, threshold=2.0, window=3)]


def rain_frames(shape=(7, 3, 12, 14, 1), seed=0):
    """Returns pixels of rain on both sides of 2 mm/h, pixel 0.548, and a prediction that leaves [0, 1]."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.2, 1, shape).astype("float32")
    return truth, (truth + rng.normal(0, 0.2, shape)).astype("float32")
