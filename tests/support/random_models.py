"""Models with random weights, and clips for them."""

import numpy as np

from mslstm_keras import create_model
from tests.support.equations import randomise

SIDE = 32


def model_of(name, side=SIDE, context=2, forecast=2, **options):
    sizes = {"filters": 4, "layers": 4, **options}
    model = create_model(name, (side, side, 1), context, forecast, **sizes)
    randomise(model)
    return model


def clips(batch=1, time=3, side=SIDE, channels=1):
    return np.random.default_rng(5).random((batch, time, side, side, channels), dtype="float32")
