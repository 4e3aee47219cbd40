"""How far a command is: when that is said, and where."""

import io
import sys
import threading
from types import SimpleNamespace

import pytest

from mslstm_keras.cli import progress
from mslstm_keras.cli.progress import Progress

LOUD, QUIET = SimpleNamespace(quiet=False), SimpleNamespace(quiet=True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def begun(monkeypatch):
    """Returns a function that waits until what takes longer than a while has been said, which is at once."""
    monkeypatch.setattr(progress, "PATIENCE", 0)
    monkeypatch.setattr(progress, "PAUSE", 0)
    return lambda shown: shown._timer.join(10)


def test_what_is_quick_says_nothing(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE", 3600)
    for stream in (sys.stderr, Terminal()):
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress(LOUD, "scoring clips") as shown:
            for done in range(1, 4):
                shown(done, 3)
        shown._timer.join(10)
        assert not shown._timer.is_alive()
    assert sys.stderr.getvalue() == ""
    assert capsys.readouterr() == ("", "")


def test_words_come_where_there_is_neither_count_nor_terminal(begun, capsys):
    with Progress(LOUD, "writing model.onnx") as shown:
        begun(shown)
    assert capsys.readouterr() == ("", "writing model.onnx ...\n")


def test_numbers_need_no_words(monkeypatch, capsys):
    with Progress(LOUD, "scoring clips") as shown:
        shown(1, 2)
        shown._begin()
    assert capsys.readouterr() == ("", "")


def test_a_log_waits_longer_than_a_terminal(monkeypatch):
    assert Progress(LOUD, "scoring clips")._timer.interval == progress.PAUSE
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert Progress(LOUD, "scoring clips")._timer.interval == progress.PATIENCE


def test_numbers_come_every_ten_seconds(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE", 3600)
    now = iter([0, 5, 10, 19, 20, 31])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    with Progress(LOUD, "scoring clips") as shown:
        for done in range(1000, 6000, 1000):
            shown(done, 5000)
    lines = [f"scoring clips: {done} of 5,000\n" for done in ("2,000", "4,000", "5,000")]
    assert capsys.readouterr().err == "".join(lines)


def test_a_terminal_has_a_bar_which_goes(begun, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(LOUD, "scoring clips") as shown:
        begun(shown)
        assert "scoring clips ..." in sys.stderr.getvalue()
        monkeypatch.setattr(shown._bar, "mininterval", 0)
        shown(1, 4)
        shown(3, 4)
    text = sys.stderr.getvalue()
    assert "scoring clips:  75%" in text and "3/4" in text
    assert "\n" not in text and text.rstrip("\r").rpartition("\r")[2].strip() == ""


def test_a_bar_begins_where_the_work_is(begun, monkeypatch):
    """What was done before it was shown."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(progress, "PATIENCE", 3600)
    with Progress(LOUD, "scoring clips") as shown:
        shown(2, 4)
        shown._begin()
        assert "50%" in sys.stderr.getvalue() and "2/4" in sys.stderr.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_says_nothing(begun, monkeypatch, terminal):
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    monkeypatch.setattr(progress, "PAUSE", 0)
    before = threading.active_count()
    with Progress(QUIET, "scoring clips") as shown:
        assert threading.active_count() == before
        shown(1, 2)
    assert sys.stderr.getvalue() == ""


def test_what_fails_ends_the_bar(begun, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ValueError), Progress(LOUD, "scoring clips") as shown:
        begun(shown)
        shown(1, 2)
        raise ValueError
    assert sys.stderr.getvalue().rstrip("\r").rpartition("\r")[2].strip() == ""
