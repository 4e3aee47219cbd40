"""What a zoo knows of a trained model."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mslstm_keras.naming import is_plain
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.zoo.checksums import Files, check_listing


def check_name(name: str) -> None:
    """Raises ValueError if a name is no plain name of a folder: an index may come from anywhere."""
    if not is_plain(name):
        raise ValueError(f"`name` must be letters, digits, `_`, `-` and `.`. Received: name={name!r}")


@dataclasses.dataclass(frozen=True)
class ZooEntry:
    """A trained model of a zoo.

    An entry and its files lie in the folder of its name. An index that says otherwise raises ValueError.

    Attributes:
        name: str. Name of the entry and of its folder.
        recipe: the recipe that it was trained by.
        clips_seen: int. Training clips seen so far.
        parameters: int. Trained parameters.
        scores: result of `mslstm_keras.evaluate` on the test split of the recipe's data.
        comparison: label -> {"recipe", "clips_seen", "scores"} of other runs, made to compare with.
        versions: package -> version it was trained with.
        files: path below the entry's folder -> {"size": bytes, "sha256": str}.
        note: str. What it is good for and what not, in Markdown, for the card; may be empty.
        training: {"device": str, "seconds": float}, on what it was trained and how long; None where that was not
            recorded.
        cost: {"macs": int, of a forecast, "seconds": float, that the forecast of one clip took, "device": str}.
    """

    name: str
    recipe: Recipe
    clips_seen: int
    parameters: int
    scores: Mapping[str, Any]
    comparison: Mapping[str, Any]
    versions: Mapping[str, str]
    files: Files
    note: str = ""
    training: Mapping[str, Any] | None = None
    cost: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name)
        check_listing(self.files)
