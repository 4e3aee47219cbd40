"""The command `mslstm`: each sub-command calls one public function."""

import argparse
import gc
import re
import sys
from collections.abc import Sequence

from mslstm_keras import __version__
from mslstm_keras.cli import completion, data, forecasting, models, study, training, tuning, zoo
from mslstm_keras.cli.arguments import choose_backend, one_line
from mslstm_keras.cli.quiet import hide_progress, quiet_libraries
from mslstm_keras.importing import import_file


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        arguments: words behind `mslstm`; those of the process by default.

    Returns:
        Exit status: 0, or 2 if an argument, a file or the disk was at fault (one line on stderr says which), or
        130 if it was interrupted.
    """
    parser = make_parser()
    completion.complete(parser)
    options = parser.parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    # What is imported and traced are millions of objects that stay. To look through the newest for garbage as often as
    # Python does by default takes a tenth of a command's start.
    gc.set_threshold(50_000)
    try:
        with quiet_libraries():
            if options.quiet:
                hide_progress()
            if getattr(options, "backend", None):
                choose_backend(options.backend)  # before a file imports Keras
            for file in getattr(options, "imports", ()):
                import_file(file)
            options.run(options)
    except _faults() as error:
        print(f"mslstm: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mslstm: interrupted", file=sys.stderr)
        return 130
    return 0


def _joined(words):
    """Returns the words of a command line, a range that begins below 0 joined to its option: it looks like one, too."""
    joined: list[str] = []
    for word in map(str, words):
        if joined and joined[-1] == "--range" and re.match(r"-[0-9.]", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _faults():
    # TensorFlow has errors of its own for a full disk and for too little memory. It may not have been imported.
    tensorflow = sys.modules.get("tensorflow")
    return (
        ValueError,
        ImportError,
        OSError,
        FloatingPointError,
        MemoryError,
        *((tensorflow.errors.OpError,) if tensorflow else ()),
    )


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="mslstm", description="Video prediction: train, score, forecast, share."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (forecasting, models, training, tuning, data, zoo, study, completion):
        group.add_commands(commands)
    return parser
