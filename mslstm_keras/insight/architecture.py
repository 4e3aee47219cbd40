"""Drawings of the graph of a step."""

import os
import shutil
from pathlib import Path

import keras

from mslstm_keras.files import replacing
from mslstm_keras.importing import needed
from mslstm_keras.models.rollout import Rollout, find_layer

FORMATS = (".png", ".svg", ".pdf")


def draw_architecture(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Draws one time step of a model: its cells, what scales their maps, and every state that goes in and out.

    Args:
        model: model of `create_model`.
        path: file to write, ending in `.png`, `.svg` or `.pdf`.

    Raises:
        ValueError: if the model has no roll-out, for another suffix, or if Graphviz is not installed.
        ImportError: if pydot is not installed.
        OSError: if the file cannot be written; what was there before stays.
    """
    step, path = find_layer(model, Rollout).step, Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"`path` must end in .png, .svg or .pdf. Received: {path}")
    with needed("A drawing of a graph", "study"):
        import pydot  # noqa: F401
    if shutil.which("dot") is None:
        raise ValueError(
            "`dot` must be installed to draw a graph: Graphviz (graphviz.org). Received: no such command"
        )
    with replacing(path) as temporary:
        keras.utils.plot_model(step, temporary, show_shapes=True, show_layer_names=True, dpi=100)
