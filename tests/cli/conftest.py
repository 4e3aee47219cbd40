"""Commands run in the process of the test, and clips for them."""

import re
import shlex
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mslstm_keras.cli import main, make_parser, progress
from mslstm_keras.data.splits import split_clips
from mslstm_keras.frames.write import write_clip
from tests.support.commands import OPTDIGITS, listing


def pasted(line):
    """Returns the words of a command that a command has named, which the command line takes."""
    program, *words = shlex.split(line)
    assert program == "mslstm"
    assert make_parser().parse_args(words).run
    return words


@pytest.fixture
def mslstm(capsys, monkeypatch):
    """Runs a command line in this process; however long it takes, it does not say how far it is."""
    for wait in ("PATIENCE", "PAUSE"):
        monkeypatch.setattr(progress, wait, 3600)
    # With --quiet the bars of data sets would stay away from this process; `test_quiet.py` shows that they do.
    monkeypatch.setattr("mslstm_keras.cli.hide_progress", lambda: None)

    def run(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        out, error = capsys.readouterr()
        lines = error.splitlines(keepends=True)
        suggested = [line for line in lines if line.startswith("next: ")]
        return SimpleNamespace(
            status=status,
            out=out,
            error="".join(line for line in lines if line not in suggested),
            next=[pasted(line.removeprefix("next: ")) for line in suggested],
        )

    return run


@pytest.fixture
def succeed(mslstm):
    def run(*words):
        ended = mslstm(*words)
        assert (ended.status, ended.error) == (0, "")
        return ended.out

    return run


@pytest.fixture(autouse=True)
def plain_processor(monkeypatch):
    """What is said of a processor with bfloat16 must not depend on the one that runs the tests."""
    monkeypatch.setattr("mslstm_keras.training.devices.native_bfloat16", lambda: None)


@pytest.fixture
def fail(mslstm, tmp_path):
    """Runs a command line that must end in one line about its fault and leave the folder of the test as it was."""

    def run(*words):
        before = listing(tmp_path)
        ended = mslstm(*words)
        assert (ended.status, ended.out) == (2, "")
        assert re.fullmatch(r"mslstm: [^\n]+\n", ended.error)
        assert listing(tmp_path) == before
        return ended.error

    return run


@pytest.fixture(scope="session")
def clip(optdigits_dir):
    """Ten frames of a test clip, as numbers in [0, 1]."""
    frames = split_clips(OPTDIGITS, "test", optdigits_dir).read(np.array([0]))[0]
    return frames[:10] / np.float32(255)


@pytest.fixture
def files(tmp_path, clip):
    """A folder with clips, whole and broken."""
    folder = tmp_path / "files"
    folder.mkdir()
    np.save(folder / "clip.npy", clip)
    write_clip(folder / "clip.gif", clip, scale=1)
    (folder / "frames").mkdir()
    for index, frame in enumerate(clip):
        Image.fromarray((frame[..., 0] * 255).astype("uint8")).save(folder / "frames" / f"{index}.png")
    for name in ("clip.npy", "clip.gif"):
        content = (folder / name).read_bytes()
        (folder / f"cut{name[4:]}").write_bytes(content[: len(content) // 2])
    np.save(folder / "short.npy", clip[:2])
    np.save(folder / "nan.npy", np.where(clip > 0.5, np.nan, clip))
    np.save(folder / "large.npy", clip * 255)
    np.save(folder / "narrow.npy", clip[:, :, :32])
    (folder / "clip.txt").write_text("no clip")
    (folder / "model.keras").write_text("no model")
    return folder
