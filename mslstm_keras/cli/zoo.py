"""Commands on trained models: list, show, verify, add."""

import dataclasses
from pathlib import Path

from mslstm_keras.cli.arguments import (
    DATA_DIR,
    Commands,
    add_command,
    add_imports,
    add_zoo,
    setting,
    show,
    suggest,
    words_of,
)
from mslstm_keras.cli.completion import completed, zoo_names
from mslstm_keras.cli.progress import Progress


def add_commands(commands: Commands) -> None:
    """Adds the parsers of these commands."""
    group = commands.add_parser("zoo", help="trained models").add_subparsers(required=True, metavar="COMMAND")
    add_zoo(add_command(group, "list", _list, "list the trained models", "mslstm zoo list --json"))
    command = add_command(
        group, "show", _show, "print the card of a model", "mslstm zoo show ms_lstm_moving_mnist"
    )
    completed(command.add_argument("name"), zoo_names)
    add_zoo(command)
    command = add_command(
        group, "table", _table, "print the models of each data set as a Markdown table", "mslstm zoo table"
    )
    add_zoo(command)
    command = add_command(group, "verify", _verify, "check every file of the models", "mslstm zoo verify")
    completed(command.add_argument("names", nargs="*", help="models (default: all)"), zoo_names)
    add_zoo(command)
    command = add_command(
        group,
        "add",
        _add,
        "score a run and put its model into a zoo",
        "mslstm zoo add runs/ms_lstm_moving_mnist --zoo my_zoo",
    )
    command.add_argument("run_dir", type=Path, help="folder of `mslstm train`")
    command.add_argument("--name", help="name of the entry (default: the recipe's)")
    command.add_argument("--clips", type=int, help="test clips to score (default: all)")
    command.add_argument(
        "--beside",
        type=setting,
        action="append",
        metavar="LABEL=RUN",
        help="another run to compare with on the card",
    )
    command.add_argument(
        "--note", type=Path, metavar="FILE.md", help="what the model is good for and what not, for its card"
    )
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    add_zoo(command)
    add_imports(command)
    command = add_command(
        group,
        "renew",
        _renew,
        "score models of a zoo again and write their files anew",
        "mslstm zoo renew ms_lstm_moving_mnist --zoo my_zoo",
    )
    completed(command.add_argument("names", nargs="+", help="models"), zoo_names)
    command.add_argument("--clips", type=int, help="test clips to score (default: all)")
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    add_zoo(command)
    add_imports(command)


def _list(options):
    from mslstm_keras.zoo.index import list_pretrained

    entries = list_pretrained(options.zoo)
    facts = {name: dataclasses.asdict(entry) for name, entry in entries.items()}
    show(options, facts, lambda: _lines(entries.values()))


def _lines(entries):
    named = [(entry.name, entry.recipe.model, entry.recipe.data) for entry in entries]
    widths = [max(map(len, column)) for column in zip(*named, strict=True)]
    for names, entry in zip(named, entries, strict=True):
        what = "  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True))
        mse = entry.scores["model"]["mse"]["mean"]
        yield f"{what}{entry.clips_seen:>10,} clips seen  MSE {mse:.1f}"


def _show(options):
    from mslstm_keras.zoo.index import find_pretrained, verify_pretrained

    entry = find_pretrained(options.name, options.zoo)
    card = verify_pretrained(options.name, options.zoo) / "README.md"
    show(options, dataclasses.asdict(entry), lambda: [card.read_text(encoding="utf-8").rstrip()])


def _table(options):
    from mslstm_keras.zoo.index import list_pretrained, zoo_folder
    from mslstm_keras.zoo.table import zoo_tables

    lines = list(zoo_tables(list_pretrained(options.zoo), (options.zoo or zoo_folder()).name))
    show(options, lines, lambda: lines)


def _verify(options):
    from mslstm_keras.zoo.index import holds_saved_model, list_pretrained, verify_pretrained

    names = options.names or list(list_pretrained(options.zoo))
    folders = {}
    with Progress(options, "checking models") as progress:
        for name in names:
            folders[name] = verify_pretrained(name, options.zoo)
            progress(len(folders), len(names))

    def lines():
        for name, folder in folders.items():
            without = "" if holds_saved_model(folder) else f" (no SavedModel; mslstm export {name} writes it)"
            yield f"{name}: every file is as listed{without}"

    show(options, {name: str(folder) for name, folder in folders.items()}, lines, remark=True)


def _add(options):
    from mslstm_keras.zoo.adding import add_pretrained

    with Progress(options, "scoring clips") as progress:
        entry = add_pretrained(
            options.run_dir,
            name=options.name,
            zoo=options.zoo,
            count=options.clips,
            data_dir=options.data_dir,
            beside=dict(options.beside or ()),
            note="" if options.note is None else options.note.read_text(encoding="utf-8"),
            progress=progress,
        )
    show(options, dataclasses.asdict(entry), lambda: _lines([entry]), remark=True)
    suggest(options, ["mslstm", "zoo", "verify", entry.name, *words_of(options, "zoo")])
    suggest(options, ["mslstm", "zoo", "table", *words_of(options, "zoo")])


def _renew(options):
    from mslstm_keras.zoo.adding import renew_pretrained

    renewed = {}
    for name in options.names:
        with Progress(options, f"scoring clips for {name}") as progress:
            renewed[name] = renew_pretrained(
                name, zoo=options.zoo, count=options.clips, data_dir=options.data_dir, progress=progress
            )
    facts = {name: dataclasses.asdict(entry) for name, entry in renewed.items()}
    show(options, facts, lambda: _lines(renewed.values()), remark=True)
