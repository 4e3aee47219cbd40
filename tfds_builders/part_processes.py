"""Parts of a data set made at once, each in a process of its own. A process that is killed costs its own part alone."""

import contextlib
import multiprocessing
import multiprocessing.connection
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

    from tfds_builders.parts import PartBuilder

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 10  # for a process to clear up before it is killed


def make_parts(builder: "PartBuilder", count: int, config: "tfds.download.DownloadConfig") -> None:
    """Makes all parts of a data set, each in a process of its own; the first that fails ends the others.

    Not `concurrent.futures`: its pool cannot end the processes that are at work when one of them has failed.

    Args:
        builder: of the data set.
        count: int. How many parts; those that are made already are left as they are.
        config: as `make_part` takes it.

    Raises:
        ChildProcessError: if a process was killed. Parts that are finished are kept.
        ValueError, ImportError or OSError: as `make_part` raises them, with the number of the part.
    """
    from mslstm_keras.compat import tqdm
    from tfds_builders.parts import missing_parts

    context = multiprocessing.get_context("forkserver")
    # Imported once, not in each process.
    context.set_forkserver_preload(["keras", "tensorflow_datasets", "tensorflow"])
    clips: list[Any] = []
    running: dict[Any, tuple[Any, Any, Any]] = {}  # sentinel -> part, process, receiver
    shown = 0
    with tqdm(desc=f"Preparing in {count} processes...", unit=" clips", leave=False) as bar:
        try:
            for part in missing_parts(builder, count):
                receiver, sender = context.Pipe(duplex=False)
                clips.append(context.RawValue("q", 0))  # a lock would be lost with a process that is killed
                process = context.Process(
                    target=_make_part, args=(builder, part, config, clips[-1], sender), name=f"part {part}"
                )
                process.start()
                sender.close()
                running[process.sentinel] = part, process, receiver
            while running:
                for sentinel in multiprocessing.connection.wait(running, timeout=_POLL_SECONDS):
                    part, process, receiver = running.pop(sentinel)
                    process.join()
                    if process.exitcode:
                        raise _failure(part, process.exitcode, receiver)
                made = sum(each.value for each in clips)
                bar.update(made - shown)  # a bar that is turned off has no count of its own
                shown = made
        finally:
            for _, process, _ in running.values():
                process.terminate()
            for _, process, _ in running.values():
                process.join(_GRACE_SECONDS)
                process.kill()  # if it has not ended; what it leaves is ignored
                process.join()


def _make_part(builder, part, config, clips, errors):
    """Makes a part, in a process of its own, and sends the errors that a user can mend."""
    import tensorflow_datasets as tfds

    from tfds_builders.parts import make_part

    ending = []

    def end(*_):
        ending.append(True)
        sys.exit(1)  # so that what is half made is removed

    def count():
        clips.value += 1
        if ending:  # the signal may have come in a destructor, where Python ignores an exit
            sys.exit(1)

    signal.signal(signal.SIGTERM, end)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches every process; the first one ends the others
    tfds.disable_progress_bar()
    try:
        with errors_of_the_disk():
            make_part(builder, part, config, count)
    except (ValueError, ImportError, OSError) as error:
        kind = next(kind for kind in (ValueError, ImportError, OSError) if isinstance(error, kind))
        errors.send((kind, str(error)))
        sys.exit(1)


def _failure(part, exit_code, receiver):
    """Returns the error of a process that made a part."""
    try:
        kind, message = receiver.recv()
        return kind(f"Part {part}: {message}")
    except EOFError:
        how = f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"ended with {exit_code}"
        return ChildProcessError(f"Part {part}: its process was {how}; parts that are finished are kept")


@contextlib.contextmanager
def errors_of_the_disk() -> Iterator[None]:
    """Raises OSError where TFDS wraps what the disk refuses, and its own error where a name is no text."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__cause__, UnicodeEncodeError):
            raise error.__cause__ from None
        if _is_of_the_disk(error.__cause__):
            raise OSError(str(error.__cause__)) from error
        raise


def _is_of_the_disk(error):
    import tensorflow as tf

    return isinstance(error, (OSError, tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError))
