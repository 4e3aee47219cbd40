"""The command `mslstm`: each sub-command calls one public function."""

import argparse
import contextlib
import gc
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

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
        Exit status: 0, or 2 if an argument, a file or the disk was at fault (one line on stderr says which); 130 if it
        was interrupted, 143 if SIGTERM and 129 if SIGHUP ended it, or 141 if nobody reads stdout any more.
    """
    _open_closed_streams()
    if getattr(sys.stdout, "errors", None) == "strict":  # names of files may be no text, as stderr takes them
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    parser = make_parser()
    completion.complete(parser)
    options = parser.parse_args(_words(sys.argv[1:] if arguments is None else arguments))
    # What is imported and traced are millions of objects that stay. To look through the newest for garbage as often as
    # Python does by default takes a tenth of a command's start.
    gc.set_threshold(50_000)
    with _ended_by_signals() as received:
        try:
            with quiet_libraries():
                if options.quiet:
                    hide_progress()
                if getattr(options, "backend", None):
                    choose_backend(options.backend)  # before a file imports Keras
                for file in getattr(options, "imports", ()):
                    import_file(file)
                options.run(options)
                sys.stdout.flush()
        except (KeyboardInterrupt, *_faults()) as error:
            # Libraries may make another error of a signal.
            if received or isinstance(error, KeyboardInterrupt):
                number = received[0] if received else signal.SIGINT
                how = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
                print(f"mslstm: {how}", file=sys.stderr)
                return 128 + number
            if isinstance(error, BrokenPipeError) and _nobody_reads():
                return 128 + signal.SIGPIPE
            print(f"mslstm: {one_line(error)}", file=sys.stderr)
            return 2
    return 0


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[list[signal.Signals]]:
    """Within it the signals that end a command let it clear up first, as Ctrl-C does; yields those that came.

    Signals that are ignored, as SIGHUP is behind `nohup`, stay so.
    """
    received: list[signal.Signals] = []

    def end(number, frame):
        received.append(signal.Signals(number))
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
        for number in numbers:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, end)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _nobody_reads() -> bool:
    """Returns whether the reader of stdout has gone, as `head` does. Nothing is written there any more then."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would write the rest when it ends, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _open_closed_streams() -> None:
    """Opens standard streams that are closed, as those of some services are: a file would get their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)  # as they are for the processes that this one starts
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def _words(words):
    """Returns the words of a command line as the parser needs them.

    A range that begins below 0 looks like an option and is joined to its own. A shell leaves the home folder of
    `--output=~/x` alone, which would become a folder of that name.
    """
    taken: list[str] = []
    for word in map(str, words):
        if taken and taken[-1] == "--range" and re.match(r"-[0-9.]", word):
            taken[-1] += f"={word}"
        elif home := re.match(r"(--[a-z-]+=)(~.*)", word):
            taken.append(home[1] + os.path.expanduser(home[2]))
        else:
            taken.append(word)
    return taken


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
