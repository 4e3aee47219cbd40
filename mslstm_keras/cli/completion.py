"""Words that a shell completes with Tab: which names an argument may have, and the command that registers it."""

import argparse
import contextlib
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from mslstm_keras.cli.arguments import Commands, add_command
from mslstm_keras.importing import needed

Completer: TypeAlias = Callable[..., Iterable[str]]
"""What argcomplete calls with the arguments prefix, action, parser and parsed_args, by name."""

ASKED = "_ARGCOMPLETE"  # environment variable that the shell's script sets


def add_commands(commands: Commands) -> None:
    """Adds the parser of this command."""
    command = add_command(
        commands,
        "completion",
        _completion,
        'print the script by which a shell completes this command with Tab, for eval "$(...)" in its start file',
        "mslstm completion bash",
        json=False,
    )
    command.add_argument("shell", choices=("bash", "zsh"))


def completed(action: argparse.Action, names: Completer) -> None:
    """Lets Tab complete an argument by names. Without this it is completed by its choices, or by files."""
    action.completer = names  # type: ignore[attr-defined]


def complete(parser: argparse.ArgumentParser) -> None:
    """Answers the shell and ends this process, where it was started to complete a word."""
    if ASKED in os.environ:
        with needed("Completion", "completion"):
            import argcomplete
        argcomplete.autocomplete(parser)


def model_names(**_: Any) -> Iterable[str]:
    """Returns the names of models that can be created."""
    from mslstm_keras.models.names import MODELS

    return MODELS


def recipe_names(**_: Any) -> Iterable[str]:
    from mslstm_keras.training.recipes import RECIPES

    return RECIPES


def data_names(**_: Any) -> Iterable[str]:
    from mslstm_keras.data.catalogue import list_data

    return list_data()


def zoo_names(parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """Returns the names of the models of the zoo, of that of `--zoo` where it was given before."""
    from mslstm_keras.zoo.index import list_pretrained

    with contextlib.suppress(ValueError, OSError):  # no zoo, no names
        return list_pretrained(getattr(parsed_args, "zoo", None))
    return ()


def any_of(*sources: Completer) -> Completer:
    """Returns what completes by several kinds of names."""
    return lambda **given: [name for source in sources for name in source(**given)]


def file_names(prefix: str, **_: Any) -> Iterable[str]:
    from argcomplete.completers import FilesCompleter

    return FilesCompleter()(prefix)


def _completion(options):
    with needed("Completion", "completion"):
        from argcomplete.shell_integration import shellcode
    print(shellcode(["mslstm"], shell=options.shell))
