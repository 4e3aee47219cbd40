"""An evaluation as one table, a row for each model: for a page, a paper or a program."""

import csv
import io
import itertools
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

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
_UNKNOWN = score_text(None)
_SCORES_ABREAST = 3  # with intervals and a name as long as those of the zoo, as wide as a page of `article`


def publication_table(evaluation: Mapping[str, Any], kind: str) -> str:
    """Returns an evaluation as a table: a row for each model and baseline, then the paper's.

    The best score of each column is bold, but for CSV; the paper's are marked and not ranked. Intervals of 95 % over
    clips stand behind the scores. Where the evaluation holds costs, of `mslstm evaluate --cost`, there are columns of
    parameters, multiply-accumulates, the memory that training takes and seconds of a forecast in each runtime. All that
    is wider than a page of `article`, so LaTeX has it as tables below one another: scores, three of them abreast, with
    the intervals in lines of their own, then costs, then seconds.

    Args:
        evaluation: of `evaluate_models`.
        kind: str. "md" (Markdown), "tex" (LaTeX tabulars; needs the package booktabs) or "csv" (numbers in their own
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


class _Cell(NamedTuple):
    """A cost or a score, and the interval of 95 % that stands with it."""

    text: str
    interval: str = ""


class _Columns(NamedTuple):
    """Columns of a table, without that of the names."""

    headings: list[str]
    rows: list[list[_Cell]]

    def between(self, first: int, last: int) -> "_Columns":
        return _Columns(self.headings[first:last], [row[first:last] for row in self.rows])


def _costs(evaluation: Mapping[str, Any]) -> _Columns:
    columns = cost_columns(evaluation)
    rows = []
    for source, name, _ in rows_with_means(evaluation):
        costs = [values.get(name) if source == "models" else None for values in columns.values()]
        rows.append([_Cell(_UNKNOWN if cost is None else _three_digits(cost)) for cost in costs])
    return _Columns(list(columns), rows)


def _three_digits(number):
    """Returns a number without an exponent, whose zeros of more digits stand for what is not known."""
    return np.format_float_positional(number, precision=3, fractional=False, trim="-")


def _scores(evaluation: Mapping[str, Any], bold: Callable[[str], str]) -> _Columns:
    metrics, own = protocol_of(evaluation).metrics, evaluation["models"].values()
    best = {
        metric: best_of(metric, [scores.get(metric, {}).get("mean") for scores in own]) for metric in metrics
    }
    rows = []
    for source, _, scores in rows_with_means(evaluation):
        cells = []
        for metric in metrics:
            values = scores.get(metric) or {}
            text = score_text(values.get("mean"))
            if source == "models" and best[metric] is not None and values.get("mean") == best[metric]:
                text = bold(text)
            if values.get("deviation") is not None:  # over seeds
                text += f" ± {score_text(values['deviation'])}"
            cells.append(_Cell(text, interval_text(values.get("interval")).strip()))
        rows.append(cells)
    return _Columns([score_label(evaluation, metric) for metric in metrics], rows)


def _caption(evaluation):
    what = f"{evaluation['data']}: {counted_clips(evaluation)}, means over {counted_frames(evaluation)}"
    return f"{what}; in brackets 95 % intervals over clips"


def _markdown(evaluation: Mapping[str, Any]) -> Iterator[str]:
    costs, scores = _costs(evaluation), _scores(evaluation, lambda text: f"**{text}**")
    headings = ["", *costs.headings, *scores.headings]
    yield f"{_caption(evaluation)}."
    yield ""
    yield f"| {' | '.join(headings)} |"
    yield "|---|" + "---:|" * (len(headings) - 1)
    for (source, name, _), *row in zip(rows_with_means(evaluation), costs.rows, scores.rows, strict=True):
        cells = [shown_name(source, name), *(" ".join(filter(None, cell)) for cells in row for cell in cells)]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _latex(evaluation: Mapping[str, Any]) -> Iterator[str]:
    names = [(source, shown_name(source, name)) for source, name, _ in rows_with_means(evaluation)]
    costs, scores = _costs(evaluation), _scores(evaluation, lambda text: rf"\textbf{{{text}}}")
    parts = math.ceil(len(scores.headings) / _SCORES_ABREAST)
    bounds = [len(scores.headings) * part // parts for part in range(parts + 1)]
    facts = sum(heading in costs.headings for heading, _ in COSTS.values())
    tables = [scores.between(first, last) for first, last in itertools.pairwise(bounds)]
    tables += [costs.between(0, facts), costs.between(facts, len(costs.headings))]
    yield f"% {_caption(evaluation)}. Needs \\usepackage{{booktabs}}."
    yield r"{\footnotesize\setlength{\tabcolsep}{3pt}"
    for number, table in enumerate(table for table in tables if table.headings):
        if number:
            yield ""
            yield r"\medskip"
        yield from _tabular(names, table)
    yield "}"


def _tabular(names: Sequence[tuple[str, str]], table: _Columns) -> Iterator[str]:
    """Yields the lines of a table in LaTeX, without the names of which it knows nothing."""
    yield rf"\noindent\begin{{tabular}}{{@{{}}l{'r' * len(table.headings)}@{{}}}}"
    yield r"\toprule"
    yield _latex_row(["", *map(_latex_heading, table.headings)])
    yield r"\midrule"
    before = "models"
    for (source, name), cells in zip(names, table.rows, strict=True):
        if all(cell.text == _UNKNOWN for cell in cells):
            continue
        if source != before:
            yield r"\midrule"
        before = source
        # The cells of scores hold commands of their own, and nothing else that LaTeX would take for one.
        yield _latex_row([_escaped(name), *(cell.text.replace("±", r"$\pm$") for cell in cells)])
        if any(cell.interval for cell in cells):
            yield _latex_row(["", *(cell.interval and rf"\scriptsize {cell.interval}" for cell in cells)])
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _latex_row(cells):
    return " & ".join(cells) + r" \\"


def _latex_heading(heading):
    """Returns a heading in lines that are about as long as the numbers below it."""
    parts = re.split(r"(?<=,) | (?=\()", _escaped(heading))
    lines = r"\\".join(line for part in parts for line in textwrap.wrap(part, 11))
    return rf"\shortstack[r]{{{lines}}}"


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
