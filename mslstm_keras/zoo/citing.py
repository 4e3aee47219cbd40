"""What to cite for a trained model: the papers of its cells and of its data."""

import re
from importlib import resources

from mslstm_keras.cells.registry import ARCHITECTURES
from mslstm_keras.data.catalogue import BUILDERS
from mslstm_keras.training.recipes import Recipe

_RECORD = re.compile(r"(?:^% models: (?P<models>.*)\n)?(?P<text>^@\w+\{(?P<key>[^,]+),\n(?:.*\n)*?\}$)", re.M)
MIRRORED = "ms_lstm"
"""Model whose paper describes every mirrored pyramid."""


def citations(recipe: Recipe) -> list[str]:
    """Returns BibTeX records for a recipe: the paper of the model, of a pyramid also that of MS-LSTM, then the data's.

    A model or data of somebody else have none.
    """
    models = resources.files("mslstm_keras.cells").joinpath("references.bib").read_text(encoding="utf-8")
    names = {recipe.model}
    if known := ARCHITECTURES.get(recipe.model):
        names |= {known.stack.__name__, *([MIRRORED] if known.pyramid else [])}
    found = {
        record["key"]: record["text"]
        for record in _RECORD.finditer(models)
        if names & set(record["models"].split())
    }
    data = recipe.data.partition("/")[0]
    if data in BUILDERS:
        bib = resources.files(f"tfds_builders.{data}").joinpath("CITATIONS.bib").read_text(encoding="utf-8")
        for record in _RECORD.finditer(bib):
            found.setdefault(record["key"], record["text"])
    return list(found.values())
