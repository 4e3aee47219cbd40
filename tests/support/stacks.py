"""The cells of a model."""

from mslstm_keras.models.rollout import Rollout, find_layer


def cells(model):
    return [layer for layer in find_layer(model, Rollout).step.layers if hasattr(layer, "state_names")]


def heights(model):
    return [cell.inputs_shape[1] for cell in cells(model)]
