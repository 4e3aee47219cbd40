"""Ten thousand damaged files of all formats that are read: each is read, or refused in one line, in little memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.damage import FORMATS


@pytest.mark.slow
@pytest.mark.parametrize("reader", FORMATS)
def test_five_thousand_damaged_files(reader, tmp_path):
    """Bytes of other values, files that are cut, sizes that are only claimed, names of other formats.

    What is neither read nor refused, a crash included, fails with the file's place.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.damage", reader, "5000", "0", str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=1500,
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},  # others are address space that nobody takes
    )
    left = sorted((tmp_path / "damaged").glob("*"))
    assert done.returncode == 0, f"{left}: {done.stderr[-2000:]}"
    outcomes = json.loads(done.stdout.splitlines()[-1])
    assert outcomes.keys() == FORMATS[reader].keys()
    assert sum(map(sum, outcomes.values())) == 5000
    for name, (read, refused) in outcomes.items():
        assert read and refused > 20, name
    print(
        *(f"{name}: {read} read, {refused} refused" for name, (read, refused) in outcomes.items()), sep="\n"
    )
