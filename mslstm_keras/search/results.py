"""What a search has found: scores beside costs, as files, as a table and as a figure."""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mslstm_keras.evaluation import pareto
from mslstm_keras.evaluation.comparison import is_synthetic
from mslstm_keras.figures.drawing import (
    FAINT,
    INK,
    LINES,
    TEXT,
    WARNING,
    WIDTH,
    dress,
    new_figure,
    points,
    save,
)
from mslstm_keras.files import replacing

RESULTS, TABLE, FIGURE, BEST = "results.json", "results.csv", "pareto.png", "best.json"
COSTS = {  # cost -> what a panel says
    "parameters": "parameters",
    "macs": "multiply-accumulates",
    "training_memory": "memory of training, bytes",
}
HEIGHT = 620
MOST_LABELS = 8


def write_results(
    run_dir: Path,
    search: Mapping[str, Any],
    objective: str,
    trials: Sequence[Mapping[str, Any]],
    refused: Sequence[Mapping[str, Any]],
    finished: bool,
) -> None:
    """Writes `results.json`, `results.csv`, and, once a trial has a score, `pareto.png` and `best.json`.

    Args:
        run_dir: folder of the search.
        search: what is searched, as plain data.
        objective: str. Name of the score. Less is better.
        trials: a dict of each trial, in the order in which they began, with "trial", "values" (field -> value),
            "recipe", "continues", "parameters", "macs", "training_memory", "score" and "status".
        refused: a dict of each combination that was refused, with "values" and "reason".
        finished: bool. Whether the search has ended.

    Raises:
        OSError: if a file cannot be written. What was there before stays.
    """
    results = {
        "recipe": search["recipe"]["name"],
        "data": search["recipe"]["data"],
        "searcher": search["searcher"],
        "objective": objective,
        "caps": search["caps"],
        "finished": finished,
        "best": _best(trials),
        "trials": list(trials),
        "refused": list(refused),
    }
    write_json(run_dir / RESULTS, results)
    with replacing(run_dir / TABLE) as temporary:
        temporary.write_text(results_csv(results))
    if results["best"] is not None:
        best = next(trial["recipe"] for trial in trials if trial["trial"] == results["best"])
        write_json(run_dir / BEST, {**best, "name": f"{best['name']}_tuned"})
        pareto_figure(results, run_dir / FIGURE)


def read_results(run_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the content of `results.json` of a search.

    Raises:
        ValueError: if it cannot be read.
    """
    path = Path(run_dir, RESULTS)
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"`run_dir` must hold a readable {RESULTS}. Received: {path} ({error})") from error


def write_json(path: Path, facts: Any) -> None:
    """Writes plain data as a JSON file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n")


def results_csv(results: Mapping[str, Any]) -> str:
    """Returns the trials of a search as CSV, one line for each."""
    text = io.StringIO()
    fields = _fields(results)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", *fields, "steps", *COSTS, "score", "status"])
    for trial in results["trials"]:
        values = [_text(trial["values"][field]) for field in fields]
        costs = [trial[cost] for cost in COSTS]
        score = "" if trial["score"] is None else trial["score"]
        writer.writerow([trial["trial"], *values, trial["recipe"]["steps"], *costs, score, trial["status"]])
    return text.getvalue()


def results_table(results: Mapping[str, Any]) -> Iterator[str]:
    """Yields the lines of a table of trials, the best one first. Lines on what was refused, and why, follow."""
    fields, front = _fields(results), pareto_front(results["trials"], "parameters")
    head = ["trial", *fields, "steps", "parameters", "MACs, G", "memory, GB", results["objective"], "status"]
    rows = []
    for trial in sorted(results["trials"], key=lambda each: (each["score"] is None, each["score"])):
        row = [trial["trial"], *(_text(trial["values"][field]) for field in fields)]
        row += [f"{trial['recipe']['steps']:,}", f"{trial['parameters']:,}", f"{trial['macs'] / 1e9:.3g}"]
        row += [f"{trial['training_memory'] / 1e9:.2f}"]
        row += ["-" if trial["score"] is None else f"{trial['score']:.4g}", trial["status"]]
        row[-1] += " *" if trial["trial"] in front else ""
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [f"{cell:>{width}}" for cell, width in zip(row[:-1], widths, strict=False)]
        yield "  ".join([*cells, row[-1]])
    if front:
        yield "* no other trial has both a better score and fewer parameters"
    for each in results["refused"]:
        values = ", ".join(f"{field}={_text(value)}" for field, value in each["values"].items())
        yield f"refused: {values}: {each['reason']}"


def pareto_front(trials: Sequence[Mapping[str, Any]], cost: str) -> list[str]:
    """Returns the trials that no other beats, the cheapest first: none costs less, or as much, and scores better, or as
    well.

    Args:
        trials: as `write_results` takes them. Trials without a score do not count.
        cost: "parameters", "macs" or "training_memory".
    """
    scored = [trial for trial in trials if trial["score"] is not None]
    return pareto.pareto_front({trial["trial"]: (trial[cost], trial["score"]) for trial in scored}, -1)


def pareto_figure(results: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Draws scores beside costs as a PNG, a panel for each cost. The trials that none beats are joined and numbered.

    Args:
        results: content of `results.json` of a search.
        path: file to write.

    Raises:
        ValueError: if no trial has a score.
        OSError: if the file cannot be written. What was there before stays.
    """
    from matplotlib.ticker import EngFormatter, MaxNLocator

    trials = {trial["trial"]: trial for trial in results["trials"] if trial["score"] is not None}
    if not trials:
        raise ValueError("`results` must hold a trial with a score. Received: none")
    figure = new_figure(WIDTH, HEIGHT)
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.15)
    synthetic = is_synthetic(results["data"])
    heading = f"{results['recipe']} on {results['data']}, {results['searcher']} search"
    style = {"fontsize": points(TEXT + 4), "fontweight": "bold", "ha": "left", "x": 0.01}
    figure.suptitle(
        f"synthetic data: {heading}" if synthetic else heading, color=WARNING if synthetic else INK, **style
    )
    panels = figure.subplots(1, len(COSTS), sharey=True)
    for axes, (cost, label) in zip(panels, COSTS.items(), strict=True):
        front = pareto_front(list(trials.values()), cost)
        others = [trial for name, trial in trials.items() if name not in front]
        style = {"linestyle": "", "marker": "o", "markersize": 9, "color": FAINT, "alpha": 0.7}
        axes.plot([each[cost] for each in others], [each["score"] for each in others], **style)
        xs, ys = [trials[name][cost] for name in front], [trials[name]["score"] for name in front]
        axes.plot(xs, ys, drawstyle="steps-post", marker="o", markersize=10, linewidth=2.5, color=LINES[0])
        for name, x, y in list(zip(front, xs, ys, strict=True))[-MOST_LABELS:]:
            place = {"textcoords": "offset points", "ha": "left", "va": "bottom"}
            axes.annotate(name, (x, y), (6, 5), **place, fontsize=points(TEXT), color=LINES[0])
        dress(axes)
        axes.margins(x=0.1, y=0.1)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(label, fontsize=points(TEXT), color=INK)
    panels[0].set_ylabel(f"{results['objective']}, less is better", fontsize=points(TEXT), color=INK)
    save(figure, path)


def _best(trials):
    scored = [trial for trial in trials if trial["score"] is not None]
    return min(scored, key=lambda trial: trial["score"])["trial"] if scored else None


def _fields(results):
    return list(dict.fromkeys(field for trial in results["trials"] for field in trial["values"]))


def _text(value):
    return value if isinstance(value, str) else json.dumps(value)
