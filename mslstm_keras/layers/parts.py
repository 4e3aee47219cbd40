"""Layers that are parts of another."""

from typing import Any

import keras


def options_of_parts(layer: keras.layers.Layer) -> dict[str, Any]:
    """Returns what a layer hands to each of its parts, which compute in its dtype and are frozen with it."""
    return {"dtype": layer.dtype_policy.name, "trainable": layer.trainable}
