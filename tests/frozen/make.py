"""Makes the frozen outputs of the named models: `python -m tests.frozen.make [NAME ...]`.

The numbers were frozen when all models agreed with the public implementation (tests/export/test_convert.py), so
that a checkout without its numbers still notices a change. Weights and frames follow a rule, not an initialiser. All is
computed in double precision: in single, what processors round differently has grown beyond every tolerance by the last
frame of some models.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mslstm_keras import FrameL1L2, create_model, list_models
from mslstm_keras.models.registry import dtype_policy

FOLDER = Path(__file__).parent
SIZES = {"traj_gru": 6, "ms_traj_gru": 6}
"""Model -> size of its weights where it is not 12: with larger ones its maps grow without bounds, and rounding too."""
FRAME_SHAPE = (16, 32, 2)
CONTEXT_FRAMES, FORECAST_FRAMES = 2, 2


def fixed_numbers(shape, index):
    """Numbers in [0, 1) that look random: the fractional parts of golden ratio x n^2 + plastic ratio x index."""
    n = np.arange(1, np.prod(shape) + 1)
    return ((0.6180339887498949 * n**2 + 0.7548776662466927 * (index + 1)) % 1).reshape(shape)


def assign_fixed_weights(model, size):
    """Gives every trainable weight fixed numbers, of a size that keeps all layers out of their linear part."""
    for index, weight in enumerate(model.trainable_variables):
        fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 3
        weight.assign((2 * fixed_numbers(weight.shape, index) - 1) * np.sqrt(size / fan_in))


def frozen_outputs(name):
    """Returns a model's predictions, and the norm of the loss's gradient for every weight, in their order."""
    with dtype_policy("float64"):
        model = create_model(name, FRAME_SHAPE, CONTEXT_FRAMES, FORECAST_FRAMES, filters=4)
    assign_fixed_weights(model, SIZES.get(name, 12))
    clip = fixed_numbers((1, CONTEXT_FRAMES + FORECAST_FRAMES, *FRAME_SHAPE), 0)
    with tf.GradientTape() as tape:
        predictions = model(clip[:, :-1])
        penalties = [keras.ops.cast(each, "float64") for each in model.losses]
        loss = FrameL1L2(dtype="float64")(clip[:, 1:], predictions) + sum(penalties)
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
    return {
        "predictions": keras.ops.convert_to_numpy(predictions),
        "gradient_norms": np.array([np.linalg.norm(gradient) for gradient in gradients]),
    }


if __name__ == "__main__":
    for name in sys.argv[1:] or list_models():
        np.savez_compressed(FOLDER / f"{name}.npz", **frozen_outputs(name))
