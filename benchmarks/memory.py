"""Peak memory of a training step, with and without checkpoints; memory of a forecast against its horizon."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks import command
from benchmarks.measure import Sample, in_fresh_process, in_turns, progress
from benchmarks.report import Report, cells, draw_bars, draw_curves, number
from benchmarks.workload import STOCK, STOCK_MODELS, VARIANTS, Workload

MIB = 2**20
REFERENCE = "fast"
NOTES = (
    "activations: the most memory in use in the first training step or later, less what was in use before it; "
    "later: the same without the first step, which is traced and compiled; predicted: `training_memory`. TensorFlow's "
    "own growth, some 100 MiB, is part of what is measured.",
    f"x {REFERENCE}: memory and time by that of {REFERENCE!r}, which keeps all (checkpoint None), by the ratio of "
    "medians. Each is measured in a fresh process, the processes in turns (A B C A B C ...); times are not "
    "interleaved more finely than that.",
)
HORIZON_NOTE = (
    "growth: memory in use behind so many forecast frames less that behind the context; peak: the most until then, "
    "less the same. "
    "Each prediction is fed back and thrown away."
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this benchmark."""
    parser = command.make_parser(
        "memory",
        "Peak memory of a training step, with and without checkpoints, or of a forecast against its horizon.",
        "--models ms_lstm --side 64 --patch-size 4 --repetitions 1 --json memory.json --figure memory.png",
        repetitions=3,
    )
    command.add_workload(parser, models=["ms_lstm"])
    variants = (REFERENCE, "checkpoint_step", "checkpoint_sqrt", "plain")
    command.add_names(parser, "variants", (*VARIANTS, STOCK), variants, "ways to train")
    parser.add_argument(
        "--steps", type=command.positive, default=3, help="training steps behind the first (default: 3)"
    )
    parser.add_argument(
        "--horizon",
        type=command.positive,
        nargs="*",
        metavar="FRAMES",
        help="measure instead a forecast of so many frames (default: 10 100 1000)",
    )
    return parser


def measure(options: argparse.Namespace) -> Report:
    """Measures what the options ask for."""
    report = Report("memory")
    for workload in command.workloads(options):
        progress(str(workload))
        if options.horizon is None:
            _training(report, workload, options)
        else:
            _streaming(report, workload, sorted(set(options.horizon)) or [10, 100, 1000])
    report.notes += NOTES if options.horizon is None else (HORIZON_NOTE,)
    return report


def training_samples(results: Sequence[dict]) -> dict[str, Sample]:
    """Returns what repeated probes of `training_memory` found: `activations` and `later` in MiB, `seconds`."""
    activations = [max(one["first_peak"], one["later_peak"]) - one["before"] for one in results]
    later = [one["later_peak"] - one["before"] for one in results]
    return {
        "activations": Sample(tuple(value / MIB for value in activations)),
        "later": Sample(tuple(value / MIB for value in later)),
        "seconds": Sample(tuple(value for one in results for value in one["seconds"])),
    }


def _training(report: Report, workload: Workload, options: argparse.Namespace) -> None:
    """Adds to the report what the variants need in training."""
    probes = {
        name: partial(
            in_fresh_process,
            "training_memory",
            workload=workload.to_dict(),
            variant=name,
            steps=options.steps,
        )
        for name in options.variants
        if name != STOCK or workload.model in STOCK_MODELS
    }
    found = in_turns(probes, options.repetitions)
    samples = {name: training_samples(results) for name, results in found.items()}
    entries = [_entry(workload, name, samples) for name in samples]
    report.results += entries
    title = f"memory of a training step: {workload}"
    report.tables[title] = [_row(entry, samples[entry["variant"]]) for entry in entries]
    bars = {name: sample["activations"] for name, sample in samples.items()}
    report.drawings.append(partial(draw_bars, samples=bars, title=title, unit="activations, MiB"))


def _entry(workload, name, samples):
    reference = samples.get(REFERENCE)
    ratios = (
        {kind: one.median / reference[kind].median for kind, one in samples[name].items()}
        if reference
        else {}
    )
    predicted = _predicted(workload, name)
    return {
        "workload": workload.to_dict(),
        "variant": name,
        "predicted_mib": predicted,
        "predicted_by_measured": predicted and predicted / samples[name]["activations"].median,
        f"by_{REFERENCE}": ratios,
        **{kind: one.to_dict() for kind, one in samples[name].items()},
    }


def _row(entry, sample):
    ratios = {kind: f"{ratio:.2f}" for kind, ratio in entry[f"by_{REFERENCE}"].items()}
    row = {"variant": entry["variant"], **cells(sample["activations"], "MiB")}
    row |= {"later MiB": number(sample["later"].median)}
    if predicted := entry["predicted_mib"]:
        row |= {"predicted MiB": number(predicted), "by measured": f"{entry['predicted_by_measured']:.2f}"}
    row |= {f"memory x {REFERENCE}": ratios["activations"]} if ratios else {}
    row |= cells(sample["seconds"], "s")
    return row | ({f"time x {REFERENCE}": ratios["seconds"]} if ratios else {})


def _predicted(workload, name):
    """What the library predicts, in MiB; None where it has no word on it."""
    import keras

    import mslstm_keras as ms
    from benchmarks.networks import create

    if name == STOCK or keras.config.backend() != "tensorflow":
        return None
    checkpoint = VARIANTS[name].get("checkpoint")
    return ms.cost.training_memory(create(workload, name), workload.batch_size, checkpoint) / MIB


def _streaming(report: Report, workload: Workload, horizons: Sequence[int]) -> None:
    """Adds to the report what a forecast needs, by its horizon."""
    found = in_fresh_process("streaming_memory", workload=workload.to_dict(), horizons=horizons)
    title = f"memory of a forecast: {workload}"
    before, current, peaks = (np.array(found[name]) / MIB for name in ("before", "current", "peak"))
    report.tables[title] = [
        {"frames": str(frames), "growth MiB": f"{one - before:.1f}", "peak MiB": f"{peak - before:.1f}"}
        for frames, one, peak in zip(horizons, current, peaks, strict=True)
    ]
    report.results.append(
        {
            "workload": workload.to_dict(),
            "frames": list(horizons),
            "before_mib": float(before),
            "growth_mib": (current - before).tolist(),
            "peak_mib": (peaks - before).tolist(),
        }
    )
    curves = {"in use": (horizons, current), "peak": (horizons, peaks)}
    report.drawings.append(
        partial(draw_curves, curves=curves, title=title, x="forecast frames", y="MiB", scale="linear")
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see `benchmarks.command.run`."""
    return command.run(make_parser(), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
