"""How far a command is, on stderr: a bar on a terminal, elsewhere a line now and then."""

import argparse
import sys
import threading
import time
from types import TracebackType
from typing import Any

from mslstm_keras.cli.arguments import say

PATIENCE = 2  # seconds before there is a bar
PAUSE = 10  # seconds before, and between, lines where there is no terminal


class Progress:
    """Says what a command does, and how far that is, once it has taken a while.

    It is entered where the work begins, and called with the numbers (done, count) while it goes on, from the same
    thread; what is never called has no count. On a terminal it is a bar after two seconds, which goes when the work
    ends. Elsewhere, as in a file of a log, it is a line every ten seconds, or one of words where there is no count.
    `--quiet` leaves all of it out.

    Args:
        options: those of the command.
        doing: what is done, in words, such as "scoring clips".
    """

    def __init__(self, options: argparse.Namespace, doing: str):
        self._options, self._doing = options, doing
        self._done, self._count = 0, 0
        self._bar: Any = None  # of tqdm
        self._last = 0.0
        self._lock = threading.Lock()
        self._timer = threading.Timer(PATIENCE if sys.stderr.isatty() else max(PATIENCE, PAUSE), self._begin)
        self._timer.daemon = True

    def __enter__(self) -> "Progress":
        self._last = time.monotonic()
        if not self._options.quiet:
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            if self._bar is not None:
                self._bar.close()

    def __call__(self, done: int, count: int) -> None:
        with self._lock:
            self._done, self._count = done, count
            if self._bar is not None:
                self._draw()
            elif (now := time.monotonic()) - self._last >= PAUSE:
                self._last = now
                say(self._options, f"{self._doing}: {done:,} of {count:,}", file=sys.stderr)

    def _begin(self):
        """Shows the first of it, from the thread of the timer."""
        with self._lock:
            if self._timer.finished.is_set():
                return  # it ended meanwhile
            if not sys.stderr.isatty():
                if not self._count:  # else the numbers say it
                    say(self._options, f"{self._doing} ...", file=sys.stderr)
                return
            from tqdm import tqdm

            self._bar = tqdm(
                desc=self._doing,
                initial=self._done,
                total=self._count or None,
                bar_format=None if self._count else "{desc} ...",
                miniters=1,
                leave=False,
                dynamic_ncols=True,
                file=sys.stderr,
            )

    def _draw(self):
        self._bar.total, self._bar.bar_format = self._count, None
        self._bar.update(self._done - self._bar.n)
