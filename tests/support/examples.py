"""Blocks of code on pages of the documentation, run as they are printed."""

import re
import shutil
import subprocess

from mslstm_keras.cli import main

RECORD = 'mslstm() { printf "%s\\0" "$@"; printf "\\0"; }\n'


def blocks(language, text):
    """Returns the blocks of a language on a page, in order."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands_of(example):
    """Returns the words of every `mslstm` of a block, as the shell reads them; any other program is an error."""
    done = subprocess.run(
        [shutil.which("bash"), "-euc", RECORD + example],
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return [command.split("\0") for command in done.stdout.split("\0\0")[:-1]]


def run_commands(example):
    """Runs the commands of a block in this process."""
    for words in commands_of(example):
        assert main(words) == 0, words
