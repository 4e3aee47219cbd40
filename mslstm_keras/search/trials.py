"""A trial of a search: a training in a process of its own."""

import csv
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

from mslstm_keras.files import replacing
from mslstm_keras.importing import IMPORTED
from mslstm_keras.search.results import write_json
from mslstm_keras.training.fit import LOG, RECIPE
from mslstm_keras.training.recipes import Recipe

OBJECTIVE = "val_frame_mse"
OUTPUT, RUN = "train.log", "run"


def run_trial(
    recipe: Recipe,
    folder: Path,
    *,
    continues: Path | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> float:
    """Trains a recipe in a process of its own and returns its score. A training that has begun in the folder goes on.

    The process imports the files that `import_file` has imported in this one.

    Args:
        recipe: the recipe.
        folder: folder of the trial. It gets `recipe.json`, `train.log` with what the process prints, and `run`.
        continues: folder `run` of an earlier trial. This trial starts with a copy of it.
        data_dir: folder of prepared TFDS data sets.
        manual_dir: folder of source files.

    Returns:
        float. `val_frame_mse` of the last interval.

    Raises:
        ChildProcessError: if the training failed.
        OSError: if a file cannot be written.
    """
    run = folder / RUN
    write_json(folder / RECIPE, recipe.to_dict())
    if continues is not None and not run.exists():
        with replacing(run) as temporary:
            shutil.copytree(continues, temporary)
            write_json(temporary / RECIPE, recipe.to_dict())
    words: list[str | os.PathLike[str]] = [
        "train",
        folder / RECIPE,
        "--run-dir",
        run,
        "--resume",
        "--end-with-input",
    ]
    for name, path in (("--data-dir", data_dir), ("--manual-dir", manual_dir)):
        words += [] if path is None else [name, path]
    for imported in IMPORTED:
        words += ["--import", imported]
    command = [sys.executable, "-m", "mslstm_keras", *(os.fspath(word) for word in words)]
    with (
        (folder / OUTPUT).open("w") as output,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            process.wait()
        finally:
            if process.stdin is not None:
                process.stdin.close()  # the training ends with its input, also if this process is interrupted
    if process.returncode:
        raise ChildProcessError(f"{last_words(folder)} (status {process.returncode})")
    with (run / LOG).open(newline="") as file:
        score = float(list(csv.DictReader(file))[-1][OBJECTIVE])
    if not math.isfinite(score):
        raise ChildProcessError(f"{OBJECTIVE} is {score}")
    return score


def last_words(folder: Path) -> str:
    """Returns the last line that the training of a trial printed."""
    try:
        lines = (folder / OUTPUT).read_text(errors="replace").split("\n")
    except OSError:
        return "no output"
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
