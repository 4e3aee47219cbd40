"""What a zoo knows of a trained model."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mslstm_keras.training.recipes import Recipe


@dataclasses.dataclass(frozen=True)
class ZooEntry:
    """A trained model of a zoo.

    Attributes:
        name: str. Name of the entry and of its folder.
        recipe: the recipe that it was trained by.
        clips_seen: int. Training clips seen so far.
        parameters: int. Trained parameters.
        scores: result of `mslstm_keras.evaluate` on the test split of the recipe's data.
        comparison: label -> {"recipe", "clips_seen", "scores"} of other runs, made to compare with.
        versions: package -> version it was trained with.
        files: path below the entry's folder -> {"size": bytes, "sha256": str}.
    """

    name: str
    recipe: Recipe
    clips_seen: int
    parameters: int
    scores: Mapping[str, Any]
    comparison: Mapping[str, Any]
    versions: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]]
