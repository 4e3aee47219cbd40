"""An evaluation as one table, a row for each model: for a page, a paper or a program."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mslstm_keras.evaluation.comparison import (
    counted_clips,
    counted_frames,
    protocol_of,
    rows_with_means,
    score_label,
    shown_name,
)
from mslstm_keras.evaluation.protocols import best_of, interval_text, score_text

RUNTIMES = {
    "keras": "Keras",
    "saved_model": "SavedModel",
    "onnx": "ONNX Runtime",
    "litert": "LiteRT",
    "openvino": "OpenVINO",
}
COSTS = {
    "parameters": ("parameters, millions", 1e6),
    "macs": ("MACs, billions", 1e9),
    "memory": ("memory of training, MB", 1e6),
}
"""Fact of a model's cost -> heading, and unit."""


def publication_table(evaluation: Mapping[str, Any], kind: str) -> str:
    """Returns an evaluation as a table: a row for each model and baseline, then the paper's.

    The best score of each column is bold, but for CSV; the paper's are marked and not ranked. Intervals of 95 % over
    clips stand behind the scores. Where the evaluation holds costs, of `mslstm evaluate --cost`, there are columns of
    parameters, multiply-accumulates, the memory that training takes and seconds of a forecast in each runtime.

    Args:
        evaluation: of `evaluate_models`.
        kind: str. "md" (Markdown), "tex" (a LaTeX tabular; needs the package booktabs) or "csv" (numbers in their own
            units, with a line of names above).

    Returns:
        Text that ends with a line break.

    Raises:
        ValueError: if the kind is another one.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(KINDS)}. Received: kind={kind!r}")
    return "\n".join(KINDS[kind](evaluation)) + "\n"


def cost_columns(evaluation: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Returns heading -> name -> cost in the unit of the heading, of the costs that an evaluation holds."""
    costs = evaluation.get("cost", {})
    columns = {
        heading: {name: cost[key] and cost[key] / unit for name, cost in costs.items()}
        for key, (heading, unit) in COSTS.items()
    }
    columns |= {
        f"seconds, {runtime}": {name: cost["seconds"].get(key) for name, cost in costs.items()}
        for key, runtime in RUNTIMES.items()
    }
    return {
        heading: values
        for heading, values in columns.items()
        if any(value is not None for value in values.values())
    }


def _cells(
    evaluation: Mapping[str, Any], bold: Callable[[str], str]
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Returns headings, and (source, cells) of each row."""
    metrics, costs = protocol_of(evaluation).metrics, cost_columns(evaluation)
    own = evaluation["models"].values()
    best = {
        metric: best_of(metric, [scores.get(metric, {}).get("mean") for scores in own]) for metric in metrics
    }
    rows = []
    for source, name, scores in rows_with_means(evaluation):
        cells = [shown_name(source, name)]
        for of_models in costs.values():
            value = of_models.get(name) if source == "models" else None
            cells.append("-" if value is None else f"{value:.3g}")
        for metric in metrics:
            values = scores.get(metric) or {}
            text = score_text(values.get("mean"))
            if source == "models" and best[metric] is not None and values.get("mean") == best[metric]:
                text = bold(text)
            cells.append(text + _behind(values))
        rows.append((source, cells))
    return ["", *costs, *(score_label(evaluation, metric) for metric in metrics)], rows


def _behind(values):
    """Returns what stands behind a mean: the deviation over seeds, and the interval over clips."""
    deviation = f" ± {score_text(values['deviation'])}" if values.get("deviation") is not None else ""
    return deviation + interval_text(values.get("interval"))


def _caption(evaluation):
    what = f"{evaluation['data']}: {counted_clips(evaluation)}, means over {counted_frames(evaluation)}"
    return f"{what}; in brackets 95 % intervals over clips"


def _markdown(evaluation: Mapping[str, Any]) -> Iterator[str]:
    headings, rows = _cells(evaluation, lambda text: f"**{text}**")
    yield f"{_caption(evaluation)}."
    yield ""
    yield f"| {' | '.join(headings)} |"
    yield "|---|" + "---:|" * (len(headings) - 1)
    for _, cells in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _latex(evaluation: Mapping[str, Any]) -> Iterator[str]:
    headings, rows = _cells(evaluation, lambda text: rf"\textbf{{{text}}}")
    yield f"% {_caption(evaluation)}. Needs \\usepackage{{booktabs}}."
    yield rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}"
    yield r"\toprule"
    yield _latex_row(rf"\shortstack{{{_escaped(_broken(heading))}}}" for heading in headings)
    yield r"\midrule"
    before = "models"
    for source, cells in rows:
        if source != before:
            yield r"\midrule"
        before = source
        # The cells of scores hold commands of their own, and nothing else that LaTeX would take for one.
        yield _latex_row([_escaped(cells[0]), *(cell.replace("±", r"$\pm$") for cell in cells[1:])])
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _latex_row(cells):
    return " & ".join(cells) + r" \\"


def _broken(heading):
    """Returns a heading in two lines, as LaTeX has them, where brackets or a comma let it be broken."""
    for mark in (" (", ", "):
        first, found, rest = heading.partition(mark)
        if found:
            return first + mark.rstrip(" (") + "\\\\" + mark.lstrip(", ").lstrip() + rest
    return heading


def _escaped(text):
    for letter in "&%$#_{}":
        text = text.replace(letter, f"\\{letter}")
    return text


def _csv(evaluation: Mapping[str, Any]) -> Iterator[str]:
    metrics = protocol_of(evaluation).metrics
    costs = evaluation.get("cost", {})
    facts = [key for key in COSTS if any(cost.get(key) is not None for cost in costs.values())]
    runtimes = [name for name in RUNTIMES if any(name in cost["seconds"] for cost in costs.values())]
    parts = ("", "_low", "_high", "_deviation")
    head = ["source", "name", *facts, *(f"seconds_{name}" for name in runtimes)]
    yield _csv_row([*head, *(metric + part for metric in metrics for part in parts)])
    for source, name, scores in rows_with_means(evaluation):
        cost = (costs.get(name) if source == "models" else None) or {"seconds": {}}
        row = [source, name, *(cost.get(fact) for fact in facts)]
        row += [cost["seconds"].get(runtime) for runtime in runtimes]
        for metric in metrics:
            values = scores.get(metric) or {}
            row += [values.get("mean"), *(values.get("interval") or (None, None)), values.get("deviation")]
        yield _csv_row(row)


def _csv_row(values: Sequence[Any]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()


KINDS = {"md": _markdown, "tex": _latex, "csv": _csv}
