"""A report of an evaluation: one HTML file that needs nothing beside it."""

import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mslstm_keras.evaluation.comparison import (
    BASELINES,
    by_lead_time,
    counted_clips,
    counted_frames,
    difference_sentences,
    missing_note,
    protocol_of,
    rows_with_means,
    score_label,
    shown_name,
)
from mslstm_keras.evaluation.curves import arrow, lead_time_figure, lead_time_metrics
from mslstm_keras.evaluation.protocols import best_of, score_text
from mslstm_keras.evaluation.provenance import versions
from mslstm_keras.figures.comparison import comparison_animation, comparison_figure
from mslstm_keras.figures.drawing import time_label
from mslstm_keras.figures.markup import data_uri, fact_list, page
from mslstm_keras.files import replacing

NOTHING = "–"

STYLE = """
h3 { font-size: 1.05rem; margin: 1.4rem 0 .4rem; }
.synthetic { color: var(--warning); }
p.synthetic { border: 2px solid; border-radius: .4rem; padding: .5rem .8rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.caption { color: var(--faint); margin: 1.4rem 0 .2rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--edge); text-align: right; white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; min-width: 5.5rem; }
th:first-child { text-align: left; padding-left: 0; position: sticky; left: 0; background: var(--ground); }
tr.baseline, tr.paper { color: var(--faint); } tr.paper { background: var(--band); }
tr.paper th:first-child { background: var(--band); }
tbody th { font-weight: normal; }
.wide img { max-width: max(100%, 60rem); }
pre { background: var(--band); padding: .7rem; overflow-x: auto; border-radius: .3rem; }
summary { cursor: pointer; }
"""


def write_report(
    evaluation: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    samples: Sequence[Mapping[str, Any]] = (),
    title: str | None = None,
    command: str | None = None,
) -> None:
    """Writes an evaluation as one HTML file: tables of scores, curves by lead time, samples, how it was made.

    The file names no other: pictures are part of it, it has no scripts, and it can be read without a network. The best
    score of each column among models and baselines is bold; the paper's numbers are marked and not ranked. Where the
    data are synthetic, heading, notes and pictures say so.

    Args:
        evaluation: of `evaluate_models`.
        path: HTML file to write.
        samples: clips to show, each {"context": ..., "truth": ..., "forecasts": {name: ...}} as
            `comparison_figure` takes them, and, if wanted, "rain_scale" and "title".
        title: str. Heading. Default: "Evaluation on" and the data set.
        command: str. The command that made the evaluation, to be repeated by the reader. Default: not shown.

    Raises:
        ValueError: if there is no model, or a sample cannot be drawn.
        OSError: if the file cannot be written; what was there before stays.
    """
    if not evaluation["models"]:
        raise ValueError("`evaluation` must hold at least one model. Received: none")
    for sample in samples:
        if missing := {"context", "truth", "forecasts"} - set(sample):
            raise ValueError(
                "`samples` must each hold context, truth and forecasts. "
                f"Received: one without {', '.join(sorted(missing))}"
            )
    title = title or f"Evaluation on {evaluation['data']}"
    with tempfile.TemporaryDirectory() as folder:
        sections = [
            *_heading(evaluation, title),
            *_means(evaluation),
            *_lead_times(evaluation, Path(folder)),
            *_samples(evaluation, samples, Path(folder)),
            *_making(command),
        ]
    text = page(title + (" (synthetic data)" if evaluation["synthetic"] else ""), sections, style=STYLE)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _heading(evaluation: Mapping[str, Any], title: str) -> Iterator[str]:
    """Yields the heading, and what was evaluated."""
    synthetic = evaluation["synthetic"]
    warning = ' <span class="synthetic">(synthetic data)</span>' if synthetic else ""
    yield f"<h1>{escape(title)}{warning}</h1>"
    if synthetic:
        yield (
            '<p class="synthetic"><strong>Synthetic data.</strong> The clips come from a generator that imitates the '
            "real data set. Scores on them say nothing about it.</p>"
        )
    counted = {
        "forecast": "those of the forecast",
        "all": "all that were predicted, those inside the input too, as the public code counts",
    }
    clips = f"{evaluation['clips']:,}{' (synthetic)' if synthetic else ''}"
    facts = {
        "Data set": evaluation["data"],
        "Clips": counted_clips(evaluation) if "archive" in evaluation else clips,
        "Frames counted": counted[evaluation["frames"]],
    }
    if evaluation["interval"]:
        facts["Time between frames"] = time_label(1, evaluation["interval"])[1:]
    yield from fact_list(facts)


def _means(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Yields the table of means, its best scores in bold."""
    rows = rows_with_means(evaluation)
    metrics = list(dict.fromkeys(metric for _, _, scores in rows for metric in scores))
    best = {
        metric: best_of(
            metric, [scores.get(metric, {}).get("mean") for scores in evaluation["models"].values()]
        )
        for metric in metrics
    }
    yield "<h2>Scores</h2>"
    yield from _table(
        f"Means over {counted_frames(evaluation)}{_synthetic(evaluation)}; ↑ more is better, ↓ less is better, "
        "the best is bold",
        [f"{score_label(evaluation, metric)}{arrow(metric)}" for metric in metrics],
        [
            (source, name, [_mean(scores.get(metric, {}), best[metric], source) for metric in metrics])
            for source, name, scores in rows
        ],
    )
    if any("deviation" in values for _, _, scores in rows for values in scores.values()):
        yield '<p class="note">± is the standard deviation over the runs of a model.</p>'
    if sentences := list(difference_sentences(evaluation)):
        yield f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"
    missing = f"{note}." if (note := missing_note(evaluation)) else ""
    unranked = "The paper's numbers are not ranked with the others." if evaluation["published"] else ""
    if note := " ".join(filter(None, [missing, unranked, evaluation["note"]])):
        yield f'<p class="note">{escape(note, quote=False)}</p>'


def _lead_times(evaluation: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Yields curves and tables by lead time."""
    metrics = lead_time_metrics(evaluation)
    if not metrics:
        return
    yield "<h2>Scores by lead time</h2>"
    lead_time_figure(evaluation, folder / "curves.png")
    yield from _picture(
        folder / "curves.png",
        f"Scores by lead time{_synthetic(evaluation)}; baselines dashed, the paper's dotted",
    )
    protocol = protocol_of(evaluation)
    so_far = [metric for metric in metrics if protocol.cumulative and metric in protocol.by_lead_time]
    if so_far:
        lead_time_figure(evaluation, folder / "so_far.png", metrics=so_far, cumulative=True)
        caption = f"Means over the lead times so far{_synthetic(evaluation)}"
        yield from _picture(folder / "so_far.png", caption)
    for metric in metrics:
        yield from _lead_time_table(evaluation, metric)


def _lead_time_table(evaluation: Mapping[str, Any], metric: str) -> Iterator[str]:
    """Yields the table of one metric, a column per lead time, the best of each in bold."""
    found = by_lead_time(evaluation, metric)
    leads = sorted(set().union(*found.values()))
    own = [values for (source, _), values in found.items() if source == "models"]
    best = {lead: best_of(metric, [values.get(lead) for values in own]) for lead in leads}
    rows = [
        (source, name, [_number(values.get(lead), best[lead], source) for lead in leads])
        for (source, name), values in found.items()
    ]
    caption = f"{score_label(evaluation, metric)}{arrow(metric)} by lead time{_synthetic(evaluation)}"
    yield from _table(caption, [time_label(lead, evaluation["interval"]) for lead in leads], rows)


def _samples(
    evaluation: Mapping[str, Any], samples: Sequence[Mapping[str, Any]], folder: Path
) -> Iterator[str]:
    """Yields each sample as a figure and as an animation."""
    if samples:
        yield "<h2>Samples</h2>"
    for number, sample in enumerate(samples, 1):
        name = sample.get("title") or f"Sample {number}"
        options = {key: evaluation[key] for key in ("interval", "synthetic")}
        options["rain_scale"] = sample.get("rain_scale")
        truth, forecasts = sample["truth"], sample["forecasts"]
        comparison_figure(sample["context"], truth, forecasts, folder / "sample.png", **options)
        comparison_animation(
            truth, forecasts, folder / "sample.gif", context=sample["context"], fps=2, **options
        )
        caption = f"{name}: input, truth, and forecast and difference of each model{_synthetic(evaluation)}"
        yield f"<h3>{escape(name)}</h3>"
        yield from _picture(folder / "sample.png", caption)
        yield "<details open><summary>Animation</summary>"
        yield from _picture(
            folder / "sample.gif", f"{name}: truth and forecasts in time{_synthetic(evaluation)}"
        )
        yield "</details>"


def _making(command: str | None) -> Iterator[str]:
    """Yields the command and the versions of what ran it."""
    yield "<h2>How it was made</h2>"
    if command:
        yield f"<pre><code>{escape(command)}</code></pre>"
    found = versions("matplotlib")
    yield from fact_list({"Python": found.pop("python"), **found})


def _table(
    caption: str, columns: Sequence[str], rows: Sequence[tuple[str, str, Sequence[str]]]
) -> Iterator[str]:
    """Yields a table that scrolls by itself where the page is narrow; its cells are HTML, all else is text."""
    yield f'<p class="caption">{escape(caption)}</p>'
    yield f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    yield f'<thead><tr><th scope="col">Model</th>{head}</tr></thead>'
    yield "<tbody>"
    for source, name, cells in rows:
        kind = "paper" if source == "published" else "baseline" if name in BASELINES else "model"
        values = "".join(f"<td>{cell}</td>" for cell in cells)
        yield f'<tr class="{kind}"><th scope="row">{escape(shown_name(source, name))}</th>{values}</tr>'
    yield "</tbody></table></div>"


def _picture(path: Path, caption: str) -> Iterator[str]:
    """Yields a PNG, which scrolls by itself where the page is narrow, or a GIF, which is made to fit."""
    kind = path.suffix[1:]
    text = escape(caption)
    yield f'<figure><div class="{"wide" if kind == "png" else "fit"}">'
    yield f'<img src="{data_uri(path.read_bytes(), kind)}" alt="{text}"></div>'
    yield f"<figcaption>{text}</figcaption></figure>"


def _mean(scores: Mapping[str, Any], best: float | None, source: str) -> str:
    """Returns the cell of a mean, with its deviation if there is one."""
    cell = _number(scores.get("mean"), best, source)
    deviation = scores.get("deviation")
    return cell if deviation is None else f"{cell} ± {score_text(deviation)}"


def _number(value: float | None, best: float | None, source: str) -> str:
    """Returns the cell of a score; what is not there, or is not defined, is a dash."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = score_text(value)
    return f"<strong>{text}</strong>" if source == "models" and value == best else text


def _synthetic(evaluation: Mapping[str, Any]) -> str:
    return ", synthetic data" if evaluation["synthetic"] else ""
