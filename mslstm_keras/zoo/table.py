"""All entries of a zoo as tables."""

import itertools
from collections.abc import Iterator, Mapping

from mslstm_keras.evaluation.protocols import data_scale, metric_label, score_text
from mslstm_keras.evaluation.published_scores import published_scores
from mslstm_keras.zoo.entry import ZooEntry
from mslstm_keras.zoo.index import VERSION

BEHIND_NAME = "clips seen", "parameters"


def zoo_tables(entries: Mapping[str, ZooEntry], folder: str) -> Iterator[str]:
    """Returns the lines of Markdown tables, one for each data set: the best model by MSE first, persistence last.

    Args:
        entries: name -> entry, as `list_pretrained` returns them.
        folder: str. Folder of the zoo, as the links to the cards begin.

    Yields:
        Lines of tables of name, clips seen, parameters, scores, the paper's MSE where it has one for the data, and
        card, with an empty line between two tables. The paper's models are larger and have seen more clips.
    """
    by_data = sorted(entries.values(), key=lambda entry: (entry.recipe.data, _mse(entry)))
    for number, (data, group) in enumerate(itertools.groupby(by_data, lambda entry: entry.recipe.data)):
        if number:
            yield ""
        models = list(group)
        first = models[0]
        metrics = list(first.scores["model"])
        papers = {name: scores["mse"] for name, scores in published_scores(data).items() if "mse" in scores}
        paper = ["the paper's MSE"] if papers else []
        heads = [f"`{data}`", *BEHIND_NAME, *(_label(metric, first) for metric in metrics), *paper, "card"]
        yield f"| {' | '.join(heads)} |"
        yield "|---" * len(heads) + "|"
        for entry in models:
            scores = [score_text(entry.scores["model"][metric]["mean"]) for metric in metrics]
            facts = f"{entry.clips_seen:,}", f"{entry.parameters:,}"
            scores += [score_text(papers.get(entry.recipe.model, {}).get("mean")) for _ in paper]
            card = f"[card]({folder}/{entry.name}/{VERSION}/README.md)"
            yield f"| {' | '.join([f'`{entry.name}`', *facts, *scores, card])} |"
        scores = [score_text(first.scores["persistence"][metric]["mean"]) for metric in metrics]
        yield f"| {' | '.join(['persistence', '-', '-', *scores, *('-' for _ in paper), '-'])} |"


def _mse(entry):
    return entry.scores["model"]["mse"]["mean"]


def _label(metric, entry):
    """Returns what a column is called."""
    return metric_label(metric, data_scale(entry.recipe)).replace(" (sum over a frame)", "")
