"""What a benchmark found: tables for people, JSON for programs, a figure for pages."""

import argparse
import json
import math
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.machine import describe_machine, machine_lines
from benchmarks.measure import Sample

PANEL_HEIGHT = 3.6  # inches
PANEL_WIDTH = (9.0, 3.8)  # alone, and beside others


@dataclass
class Report:
    """The result of a benchmark.

    Attributes:
        name: str. The benchmark.
        results: plain data, one entry for each thing that was measured.
        tables: title -> rows, each column -> text.
        notes: lines that a reader of the tables must know.
        drawings: one function of matplotlib's axes for each panel of the figure.
        columns: int. Panels beside each other.
    """

    name: str
    results: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    drawings: list[Callable[[Any], None]] = field(default_factory=list)
    columns: int = 1

    def publish(self, options: argparse.Namespace) -> None:
        """Prints the tables; writes the files that the options ask for, whole or not at all.

        Raises:
            OSError: if a file cannot be written.
        """
        machine = describe_machine()
        for line in self._lines(machine, options.command):
            print(line)
        self.save_results(options, machine)
        if options.figure:
            save_figure(self.drawings, self.columns, options.figure)

    def save_results(self, options: argparse.Namespace, machine: Mapping[str, Any]) -> None:
        """Writes what has been found so far as JSON, whole or not at all, if the options ask for it.

        Raises:
            OSError: if the file cannot be written.
        """
        from mslstm_keras.files import replacing

        if options.json:
            content = {
                "benchmark": self.name,
                "command": options.command,
                "machine": machine,
                "notes": self.notes,
                "results": self.results,
            }
            with replacing(options.json) as temporary:
                temporary.write_text(json.dumps(content, indent=1) + "\n")

    def _lines(self, machine, command):
        yield f"command: {command}"
        yield from machine_lines(machine)
        for title, rows in self.tables.items():
            yield ""
            yield title
            yield from table_lines(rows)
        yield from ["", *self.notes] if self.notes else []


def table_lines(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Returns lines of a table; rows may lack columns. The first column is aligned left, the others right."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def number(value: float) -> str:
    """Returns a number with three digits that count, never with an exponent."""
    decimals = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(decimals, 0)}f}"


def cells(sample: Sample, unit: str) -> dict[str, str]:
    """Returns the columns median and range of a sample."""
    return {
        f"median {unit}": number(sample.median),
        f"range {unit}": f"{number(sample.low)} .. {number(sample.high)}",
    }


def save_figure(drawings: Sequence[Callable[[Any], None]], columns: int, path: str | os.PathLike) -> None:
    """Draws panels, so many beside each other, on a canvas of its own and writes them as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from mslstm_keras.files import replacing

    rows = -(-len(drawings) // columns)
    figure = Figure((PANEL_WIDTH[columns > 1] * columns, PANEL_HEIGHT * rows), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    for draw, axes in zip(drawings, figure.subplots(rows, columns, squeeze=False).flat, strict=False):
        draw(axes)
    with replacing(path) as temporary:
        figure.canvas.print_png(temporary)


def draw_bars(axes: Any, samples: Mapping[str, Sample], *, title: str, unit: str) -> None:
    """Draws one horizontal bar for each sample, as long as its median, its range as a thin line."""
    from mslstm_keras.figures.drawing import EDGE, INK, LINES

    names = list(samples)[::-1]
    medians = [samples[name].median for name in names]
    below = [samples[name].median - samples[name].low for name in names]
    above = [samples[name].high - samples[name].median for name in names]
    axes.barh(names, medians, xerr=[below, above], color=LINES[0], ecolor=INK, height=0.6)
    axes.set_title(textwrap.fill(title, 90), fontsize=10)
    axes.set_xlabel(unit)
    axes.set_xlim(left=0)
    _plain(axes, EDGE)
    axes.grid(axis="x", color=EDGE, linewidth=0.6)


def draw_curves(
    axes: Any,
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    x: str,
    y: str,
    scale: str = "log",
) -> None:
    """Draws label -> (x values, y values) as lines with a mark at each point; x is logarithmic, y as `scale` says.

    All curves share their x values.
    """
    from mslstm_keras.figures.drawing import EDGE, LINES

    for index, (label, (xs, ys)) in enumerate(curves.items()):
        axes.plot(xs, ys, marker="o", color=LINES[index % len(LINES)], label=label)
    axes.set_xscale("log")
    axes.set_xticks(xs, labels=[f"{value:g}" for value in xs])
    axes.minorticks_off()
    if scale == "log":
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(0, 1.1 * max(max(ys) for _, ys in curves.values()))
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    _plain(axes, EDGE)
    axes.grid(color=EDGE, linewidth=0.6)
    axes.legend(fontsize=8, frameon=False)


def _plain(axes, edge):
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(edge)
