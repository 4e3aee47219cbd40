"""The card of a zoo entry: what a person wants to know before using a model."""

import json
from pathlib import Path
from typing import Any

from mslstm_keras.data.catalogue import known_facts
from mslstm_keras.evaluation.protocols import (
    data_scale,
    find_protocol,
    interval_text,
    metric_label,
    score_text,
)
from mslstm_keras.zoo.citing import citations
from mslstm_keras.zoo.entry import ZooEntry


def write_card(entry: ZooEntry, folder: Path) -> None:
    """Writes `README.md` of a zoo entry into its versioned folder.

    Args:
        entry: the entry.
        folder: its versioned folder.

    Raises:
        OSError: if the file cannot be written.
    """
    (folder / "README.md").write_text("\n".join(_lines(entry)) + "\n", encoding="utf-8")


def score_table(rows: dict[str, dict[str, Any]], scale: str | None = None) -> list[str]:
    """Returns the lines of a Markdown table of scores: one row per label, one column per metric, with intervals.

    Args:
        rows: label -> metric -> "mean" and perhaps "interval".
        scale: how pixels stand for numbers in units, see `metric_label`.
    """
    metrics = list(next(iter(rows.values())))
    heads = [metric_label(metric, scale) for metric in metrics]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(metrics)]
    for label, scores in rows.items():
        found = (scores[metric] for metric in metrics)
        values = [score_text(each["mean"]) + interval_text(each.get("interval")) for each in found]
        lines.append(f"| {label} | " + " | ".join(values) + " |")
    return lines


def lead_time_table(rows: dict[str, dict[str, Any]], metric: str, scale: str | None = None) -> list[str]:
    """Returns the lines of a Markdown table of one score by lead time: one row per label; see `score_table`."""
    count = len(next(iter(rows.values()))[metric]["per_frame"])
    lines = [
        f"| {metric_label(metric, scale)} | " + " | ".join(f"+{lead}" for lead in range(1, count + 1)) + " |"
    ]
    lines.append("|---|" + "---|" * count)
    for label, scores in rows.items():
        lines.append(f"| {label} | " + " | ".join(map(score_text, scores[metric]["per_frame"])) + " |")
    return lines


def _lines(entry):
    recipe, scores, scale = entry.recipe, entry.scores, data_scale(entry.recipe)
    height, width, channels = recipe.frame_shape
    rows = {entry.name: scores["model"], "persistence (last frame repeated)": scores["persistence"]}
    yield f"# {entry.name}"
    yield ""
    yield (
        f"`{recipe.model}` with {entry.parameters:,} parameters: {recipe.context_frames} frames of {height} x "
        f"{width} x {channels} in, the next {recipe.forecast_frames} out. Trained on `{recipe.data}`{_facts(recipe)}, "
        f"{entry.clips_seen:,} clips seen."
    )
    licence = known_facts(recipe.data).licence
    if licence:
        yield f"\nThe data: {licence}"
    yield "\n![truth, forecast and difference of test clips](samples.gif)"
    yield "\n## Use"
    yield "\n```python"
    yield "import mslstm_keras"
    yield f'\nmodel = mslstm_keras.load_pretrained("{entry.name}")'
    yield f"future = mslstm_keras.forecast(model, frames)  # floats in [0, 1], (time, {height}, {width}, {channels})"
    yield "```"
    yield (
        "\nThis folder is a Keras model for `keras.models.load_model` (after `import mslstm_keras`) and a "
        "TensorFlow SavedModel with the signature `serving_default`: `frames` -> `forecast`. (What `pip` installs has "
        f"no SavedModels; `mslstm export {entry.name}` writes this one.) The weights are stored in float16 and "
        "computed with in float32; the scores are of these weights."
    )
    if entry.note:
        yield "\n## What it is good for"
        yield f"\n{entry.note.strip()}"
    yield "\n## Scores"
    yield (
        f"\nThe {'forecast frames' if scores['frames'] == 'forecast' else 'predicted frames'} of the first "
        f"{scores['clips']:,} test clips of `{recipe.data}`; predictions clipped to [0, 1]. Made by "
        f"`mslstm evaluate --model {entry.name} --dataset {recipe.data} --clips {scores['clips']}`. In brackets: 95 % "
        "intervals by the bootstrap over clips, which takes clips as independent of one another.\n"
    )
    yield from score_table(rows, scale)
    for metric in find_protocol(recipe.data).by_lead_time:
        yield ""
        yield from lead_time_table(rows, metric, scale)
    if entry.comparison:
        yield "\n## Runs made to compare with"
        yield "\nScored on the same clips. What differs from the recipe below stands behind each.\n"
        runs = {label: run["scores"]["model"] for label, run in entry.comparison.items()}
        yield from score_table(runs, scale)
        yield ""
        for label, run in entry.comparison.items():
            yield f"- {label}: {run['clips_seen']:,} clips seen; {_differences(run['recipe'], recipe.to_dict())}"
    yield "\n## Training"
    yield "\n![training curve](curve.png)"
    yield (
        f"\n{_training(entry)} `curve.csv` has one line per interval. Made by `mslstm train recipe.json"
        f"{f' --initial {recipe.initial}' if recipe.initial else ''}`, where `recipe.json` is:\n"
    )
    yield "```json"
    yield json.dumps(recipe.to_dict(), indent=2)
    yield "```"
    yield (
        "\nVersions: "
        + ", ".join(f"{package} {version}" for package, version in entry.versions.items())
        + "."
    )
    if entry.cost:
        yield "\n## Cost"
        yield (
            f"\n{entry.parameters:,} parameters; {entry.cost['macs'] / 1e9:.2f} G multiply-accumulates for a forecast, "
            f"which took {entry.cost['seconds']:.2g} s (one clip, {entry.cost['device']})."
        )
    if records := citations(recipe):
        yield "\n## Cite"
        yield "\nThe papers of the model and of its data; the package itself by its `CITATION.cff`.\n"
        yield "```bibtex"
        yield "\n\n".join(records)
        yield "```"
    yield "\n## Limits"
    yield (
        f"\nIt has seen `{recipe.data}` and nothing else: on other frames its forecasts mean little. Forecasts blur "
        "with lead time, as the squared error asks for. Values are not clipped to [0, 1]."
    )


def _training(entry):
    """Returns how long the training took and on what, a sentence."""
    if entry.training is None:
        return "On what it was trained, and how long that took, was not recorded."
    minutes = entry.training["seconds"] / 60
    return f"Trained in {minutes:,.0f} minutes on {entry.training['device']}, seed {entry.recipe.seed}."


def _facts(recipe):
    """Returns what the data of a recipe stand for, in brackets; nothing where it does not say so."""
    facts = [recipe.quantity] if recipe.quantity else []
    if recipe.interval_minutes:
        facts.append(f"a frame each {recipe.interval_minutes:g} minutes")
    if recipe.spacing_metres:
        facts.append(f"pixels of {recipe.spacing_metres / 1000:g} km")
    return f" ({', '.join(facts)})" if facts else ""


def _differences(fields, others):
    """Names the fields in which a recipe differs from another, but for its name."""
    different = [
        f"`{key}` = {value}" for key, value in fields.items() if key != "name" and value != others[key]
    ]
    return ", ".join(different) or "the same recipe"
