"""Clips per second that the input pipeline delivers, beside those that training steps take."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import command
from benchmarks.measure import Sample, progress, time_in_turns
from benchmarks.report import Report, cells, draw_bars
from benchmarks.workload import VARIANTS, Workload

STREAM = "moving_mnist_clips/optdigits"
FILE_CLIPS = 512
NOTES = (
    "stream: clips made while they are read, of scikit-learn's digits; npy: a file of uint8 clips read in random "
    "order. Each as `mslstm train` reads it, batched and made float32, in turns with the training steps "
    "(A B C A B C ...).",
    "read: storage and decoding alone; the rows without it also batch, make float32, hand over to TensorFlow and read "
    "ahead.",
    "x training: how many times the clips that the training of the network takes.",
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this benchmark."""
    parser = command.make_parser(
        "input",
        "Clips per second of the input pipeline, beside what a training step takes.",
        "--models ms_lstm --patch-size 4 --batches 50 --json input.json --figure input.png",
        repetitions=5,
    )
    command.add_workload(parser, models=["ms_lstm"])
    parser.add_argument("--variant", choices=VARIANTS, default="fast", help="default: %(default)s")
    parser.add_argument(
        "--batches", type=command.positive, default=100, help="batches read each time (default: %(default)s)"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        default=[],
        metavar="DATA",
        help="more to read: .npy files of uint8 clips, or names of prepared data sets",
    )
    parser.add_argument("--data-dir", type=Path, help="folder of prepared data sets")
    return parser


def measure(options: argparse.Namespace) -> Report:
    """Measures what the options ask for."""
    report = Report("input", notes=list(NOTES))
    for workload in command.workloads(options):
        progress(str(workload))
        with tempfile.TemporaryDirectory() as folder:
            _compare(report, workload, options, Path(folder, "clips.npy"))
    return report


def _compare(report: Report, workload: Workload, options: argparse.Namespace, file: Path) -> None:
    """Adds to the report the clips per second of each source, and of the training of a network."""
    from benchmarks.networks import compiled, training_step

    frames = workload.context_frames + workload.forecast_frames
    shape = (max(FILE_CLIPS, workload.batch_size), frames, *workload.frame_shape)
    np.save(file, np.random.default_rng(0).integers(0, 256, shape, "uint8"))
    sources = {"npy": str(file)} | {data: data for data in options.data}
    readers = {}
    if workload.side == 64 and workload.channels == 1 and frames <= 20:
        readers |= _readers("stream", workload, STREAM, options, stream=True)
    for name, data in sources.items():
        readers |= _readers(name, workload, data, options)
    if "stream" not in readers:
        report.notes.append("stream: left out, its clips are 20 frames of 64x64x1.")
    training = training_step(compiled(workload, options.variant), workload)
    found = time_in_turns(readers | {"training": training}, options.repetitions)
    clips = dict.fromkeys(readers, options.batches * workload.batch_size) | {"training": workload.batch_size}
    rates = {
        name: Sample(tuple(clips[name] / spent for spent in sample.values)) for name, sample in found.items()
    }
    rows = []
    for name, rate in rates.items():
        ratio = rate.median / rates["training"].median
        rows.append({"source": name, **cells(rate, "clips/s"), "x training": f"{ratio:.1f}"})
        report.results.append(
            {
                "workload": workload.to_dict(),
                "variant": options.variant,
                "source": name,
                "clips_per_second": rate.to_dict(),
                "times_training": ratio,
            }
        )
    title = f"input: {workload}"
    report.tables[title] = rows
    report.drawings.append(partial(draw_bars, samples=rates, title=title, unit="clips/s"))


def _readers(
    name: str, workload: Workload, data: str, options: argparse.Namespace, stream: bool = False
) -> dict[str, Callable[[], None]]:
    """Returns functions that read as many batches as a training does: all that it does, and reading clips alone."""
    from mslstm_keras.data.splits import split_clips
    from mslstm_keras.data.streams import stream_clips
    from mslstm_keras.training.feeding import batch_indices, training_batches
    from mslstm_keras.training.recipes import Recipe

    recipe = Recipe(
        "benchmark",
        frame_shape=workload.frame_shape,
        context_frames=workload.context_frames,
        forecast_frames=workload.forecast_frames,
        batch_size=workload.batch_size,
        steps=options.batches,
        interval_steps=options.batches,
    )
    clips = stream_clips(data, recipe.seed) if stream else split_clips(data, "train", options.data_dir)
    batches = training_batches(clips, recipe)

    def pipeline():
        for _ in batches:
            pass

    def read():
        for step in range(recipe.steps):
            clips.read(batch_indices(step, recipe.batch_size, clips.count, recipe.seed))

    return {name: pipeline, f"{name}: read": read}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see `benchmarks.command.run`."""
    return command.run(make_parser(), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
