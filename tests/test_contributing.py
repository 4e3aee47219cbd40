"""What CONTRIBUTING says about a new cell, done to the letter in a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def steps():
    """Yields the file, which comes first in backticks, the language and the code of every step for a new cell."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (section,) = re.findall(r"^## A new cell.*?\n(.*?)(?=^## )", text, re.DOTALL | re.MULTILINE)
    for step in re.findall(r"^\d\. .*?^   ```\n", section, re.DOTALL | re.MULTILINE):
        language, code = re.search(r"^   ```(\w+)\n(.*?)^   ```\n", step, re.DOTALL | re.MULTILINE).groups()
        yield re.search("`(.*?)`", step)[1], language, textwrap.dedent(code)


def copy_tree(folder):
    """Copies what git knows, or would with the next commit, without the trained weights."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", ".", ":!zoo"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def edit(path, diff):
    """Adds the lines of a diff that begin with a plus to the lines around them."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] or line for line in lines if line[0] != "+")
    after = "".join(line[1:] or line for line in lines)
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


def run(commands, folder):
    """Runs commands as a shell in `folder` and in this Python's environment would, and returns what they print."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["PYTEST_ADDOPTS"] = "-rA"
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_new_cell(tmp_path):
    copy_tree(tmp_path)
    (cell, _, cell_code), (package, _, diff), (test, _, test_code), (table, *_, printing), (*_, checking) = (
        steps()
    )
    for name, code in ((cell, cell_code), (test, test_code)):
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(code)
    edit(tmp_path / package, diff)

    rows = run(printing, tmp_path)
    assert re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE) == ["foo", "ms_foo"]
    text = (tmp_path / table).read_text()
    *_, last = re.finditer(r"^\| `ms_\w+` \| .*, pyramid \|.*\n", text, re.MULTILINE)
    (tmp_path / table).write_text(text[: last.end()] + rows + text[last.end() :])

    passed = re.findall(r"^PASSED (\S+?)::(\S+)$", run(checking, tmp_path), re.MULTILINE)
    assert (test, "test_equations") in passed
    assert ("tests/cells/test_base.py", "test_states_start_at_zero[FooCell]") in passed
    for name in ("foo", "ms_foo"):
        files = {file for file, case in passed if case.endswith(f"[{name}]")}
        contracts = {"tests/models/test_contracts.py", "tests/models/test_frozen.py", "tests/test_docs.py"}
        assert contracts <= files and "tests/export/test_convert.py" not in files
    assert {file for file, _ in passed} >= {"tests/test_architecture.py", "tests/export/test_convert.py"}
    # The linter has found nothing to change in the text's code.
    assert [(tmp_path / name).read_text() for name in (cell, test)] == [cell_code, test_code]
