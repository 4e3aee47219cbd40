"""A command prints its own words: what libraries tell on stderr is kept from it."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from mslstm_keras.cli.arguments import one_line
from mslstm_keras.importing import after_import, around_import

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within it, TensorFlow's log is left out, unless `TF_CPP_MIN_LOG_LEVEL` is set, and a warning is one line.

    What matters TensorFlow raises. Its log is of processors and of GPUs that are not there; its log in Python is of
    functions that are traced again, as they are where six models are scored, and errors in it are heard.
    """
    log = logging.getLogger("tensorflow")
    if os.environ.get(LOG_LEVEL) not in ("0", "1"):  # levels that show warnings
        log.addFilter(_is_error)  # TensorFlow sets the level of its log anew when it is imported
    if LOG_LEVEL not in os.environ and "tensorflow" not in sys.modules:
        os.environ[LOG_LEVEL] = "3"
        around_import("tensorflow", _silent_stderr)  # while it is imported it does not heed the level
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    finally:
        log.removeFilter(_is_error)


def hide_progress() -> None:
    """Keeps the progress bars of TensorFlow Datasets away, of this process and for good."""
    if "tensorflow_datasets" in sys.modules:
        _hide_bars()
    else:
        after_import("tensorflow_datasets", _hide_bars, user="mslstm_keras")


def _hide_bars() -> None:
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _show_warning(message, category, filename, lineno, file=None, line=None):
    print(f"mslstm: warning: {one_line(message)}", file=sys.stderr)


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keeps what is written to the file descriptor of stderr, and writes it after all where something is raised."""
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(tempfile.TemporaryFile())
        original = os.dup(2)
        stack.callback(os.close, original)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(original, kept.read())
            raise
        finally:
            os.dup2(original, 2)
