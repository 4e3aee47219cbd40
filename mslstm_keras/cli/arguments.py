"""What commands have in common: arguments, their types, and how results are shown."""

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

if TYPE_CHECKING:
    import keras

    from mslstm_keras.training.recipes import Recipe

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What adds commands to a parser; argparse has no public name for it."""

DATA_DIR = "folder of prepared data sets (default: that of TensorFlow Datasets)"
MANUAL_DIR = "folder of source files that are at hand, such as MNIST's four idx files"
ZOO = "folder of a zoo (default: the one that comes with the package)"
MODEL = (
    "name in the zoo, .keras file, zoo folder, run folder, folder of a preset, hf://USER/REPOSITORY[@REVISION] or "
    "kaggle://USER/MODEL/FRAMEWORK/VARIATION[/VERSION]"
)
CLIP = "a clip: .npy, .npz, .gif, .h5, .nc, .zarr, .mp4 and others, or a folder of images, arrays or NetCDF files"
NAMED_RECIPE = "name of a recipe (`mslstm recipes` lists them), or a .json file of one"
RUNS = f"{MODEL}, or a folder of runs with several seeds"
CONTEXT_FRAMES, FORECAST_FRAMES = 10, 10  # of untrained models
_AROUND = 100  # characters around one that cannot be written


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], None],
    purpose: str,
    example: str,
    json: bool = True,
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"example: {example}",
    )
    command.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="print results, warnings and errors, but no progress or remarks",
    )
    if json:
        command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=run)
    return command


def add_zoo(command: argparse.ArgumentParser) -> None:
    command.add_argument("--zoo", type=Path, help=ZOO)


def add_imports(command: argparse.ArgumentParser) -> None:
    """Adds the files that `mslstm_keras.cli.main` imports before the command looks models up."""
    command.add_argument(
        "--import",
        dest="imports",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.py",
        help="a file with cells and models of your own, which is run first; may be given several times (docs/cells.md)",
    )


def add_fitting(command: argparse.ArgumentParser) -> None:
    """Adds what is done to the frames of a clip that is read."""
    command.add_argument(
        "--crop",
        type=frame_part,
        metavar="TOP:BOTTOM,LEFT:RIGHT",
        help="rows and columns to cut out, such as 0:64,32:96 (default: all)",
    )
    command.add_argument(
        "--size", type=frame_size, metavar="HxW", help="size to bring frames to (default: as in the file)"
    )


def place(text: str) -> Path:
    """Returns the path of an argument, which must not be empty, as that of a shell's unset variable is."""
    if not text:
        raise argparse.ArgumentTypeError("must name a file or a folder. Received: ''")
    return Path(text)


def add_range(command: argparse.ArgumentParser, default: str) -> None:
    """Adds what the numbers of a clip stand for."""
    command.add_argument(
        "--range",
        metavar="LOW:HIGH",
        help="numbers of pixels 0 and 1, such as '0:655 bikes/h', log:0:100 or rain:dwd (mm/h); beyond them values are "
        f"clipped, and counted (default: {default})",
    )


def show(
    options: argparse.Namespace, facts: Any, lines: Callable[[], Iterable[str]], *, remark: bool = False
) -> None:
    """Prints facts as JSON where a program asked for it, else as lines for a person.

    The facts are the result of the command, or else a `remark` on what it has done, which `--quiet` leaves out.
    """
    if options.json:
        print(json.dumps(facts))
    elif not remark:
        for line in lines():
            print(line)
    elif not options.quiet:
        say(options, *lines())


def say(options: argparse.Namespace, *remarks: str, file: TextIO | None = None) -> None:
    """Prints remarks or progress at once, but nothing with `--quiet`."""
    if not options.quiet:
        for line in remarks:
            print(line, file=file, flush=True)


def suggest(options: argparse.Namespace, *commands: Sequence[object]) -> None:
    """Names commands that may come next, on stderr, one a line that can be pasted into a shell."""
    say(options, *(f"next: {shlex.join(map(str, command))}" for command in commands), file=sys.stderr)


def words_of(options: argparse.Namespace, *names: str) -> list[object]:
    """Returns those of these options that were given, as words of a command."""
    values = {name: getattr(options, name) for name in names}
    return [
        word
        for name, value in values.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", value)
    ]


def output_file(*suffixes: str) -> Callable[[str], Path]:
    """Returns the type of an argument that names a file to write, which must end in one of the suffixes."""

    def read(text):
        if Path(text).suffix not in suffixes:
            raise argparse.ArgumentTypeError(f"must end in {' or '.join(suffixes)}. Received: {text!r}")
        return Path(text)

    return read


def frame_size(text: str) -> tuple[int, ...]:
    return _sides(text, "HEIGHTxWIDTH")


def frame_part(text: str) -> tuple[int, ...]:
    parts = re.fullmatch(r"(\d+):(\d+),(\d+):(\d+)", text)
    if not parts:
        raise argparse.ArgumentTypeError(f"must be TOP:BOTTOM,LEFT:RIGHT. Received: {text!r}")
    return tuple(map(int, parts.groups()))


def frame_shape(text: str) -> tuple[int, ...]:
    return _sides(text, "HEIGHTxWIDTHxCHANNELS")


def _sides(text, form):
    if not re.fullmatch(r"[1-9]\d*" + r"x[1-9]\d*" * form.count("x"), text):
        raise argparse.ArgumentTypeError(f"must be {form}. Received: {text!r}")
    return tuple(map(int, text.split("x")))


def setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"must be name=value. Received: {text!r}")
    return name, value


def with_settings(options: argparse.Namespace, recipe: "Recipe", settings: Mapping[str, str]) -> "Recipe":
    """Returns a recipe with settings, and says which other fields follow a new number of steps."""
    before, changed = recipe.to_dict(), recipe.with_settings(settings, rescale=True)
    after = changed.to_dict()
    followed = ", ".join(
        f"{name} {before[name]:,} -> {after[name]:,}"
        for name in after
        if name not in settings and after[name] != before[name]
    )
    if followed:
        line = f"steps {before['steps']:,} -> {after['steps']:,}, and with them: {followed}"
        say(options, line, file=sys.stderr if getattr(options, "json", False) else None)
    return changed


def choose_backend(backend: str) -> None:
    """Chooses Keras' backend, which it takes when it is imported and cannot change.

    Raises:
        ValueError: if Keras has been imported with another one.
    """
    os.environ["KERAS_BACKEND"] = backend
    import keras

    if keras.backend.backend() != backend:
        raise ValueError(
            f"`--backend` must be that of this process, whose Keras is in use. Received: backend={backend!r}"
        )


def load_models(options: argparse.Namespace) -> "dict[str, list[keras.Model]]":
    """Returns the models of `named_models`, several where one was trained with several seeds."""
    from mslstm_keras.zoo.loading import load_runs

    return {label: load_runs(name, options.zoo) for label, name in named_models(options).items()}


def named_models(options: argparse.Namespace) -> dict[str, str]:
    """Returns what `--model` names, by the last part of each name where that tells them apart."""
    short = [Path(name).name for name in options.model]
    labels = short if len(set(short)) == len(short) else options.model
    return dict(zip(labels, options.model, strict=True))


def one_line(error: Exception) -> str:
    """Returns the message of an error as one line."""
    if isinstance(error, UnicodeEncodeError):  # which tells places alone, of what may be a whole page
        around = error.object[max(error.start - _AROUND, 0) : error.end + _AROUND]
        return f"Names must be text in {error.encoding} here. Received: {around!r}"
    # Keras wraps the message of a failed layer in several lines and colours; the message itself is the coloured one.
    inner = re.search(r"\x1b\[1m(.*?)\x1b\[0m", str(error), re.DOTALL)
    text = inner.group(1) if inner else str(error)
    text = re.sub(r"\{\{\w+ .*?\}\}|\[Op:\w+\]", "", text)  # TensorFlow's names of its nodes
    return " ".join(text.split()) or type(error).__name__
