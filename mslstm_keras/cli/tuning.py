"""The command that searches: tune."""

import argparse
import json
import sys
from pathlib import Path

from mslstm_keras.cli.arguments import (
    DATA_DIR,
    MANUAL_DIR,
    NAMED_RECIPE,
    Commands,
    add_command,
    add_imports,
    say,
    setting,
    show,
    suggest,
    with_settings,
    words_of,
)
from mslstm_keras.cli.completion import any_of, completed, file_names, recipe_names

DISTRIBUTED = """
With KERASTUNER_TUNER_ID (chief, or a name for each worker), KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT set, the
same command is a chief or a worker of one search in one folder; see docs/search.md."""


def add_commands(commands: Commands) -> None:
    """Adds the parser of this command."""
    command = add_command(
        commands,
        "tune",
        _tune,
        "search the fields of a recipe, each trial in a process of its own",
        'mslstm tune optdigits_quick --trials 9 --vary "filters=[4,8]" --vary "options.kernel_sizes=[[3],[3,5]]"',
    )
    command.description = f"{command.description}{DISTRIBUTED}"
    completed(command.add_argument("recipe", help=NAMED_RECIPE), any_of(recipe_names, file_names))
    command.add_argument("--searcher", default="random", help="random (default), hyperband, bayesian or grid")
    command.add_argument(
        "--trials",
        type=int,
        metavar="N",
        help="trials in all (default: 10; all that belong to it with hyperband or grid)",
    )
    command.add_argument(
        "--vary",
        type=_values,
        action="append",
        metavar="FIELD=JSON",
        help='a list of values, or a range {"low":1e-4,"high":1e-2,"log":true}, of a field of the recipe, or of '
        "options.NAME, an option of the cells (default: kernels, channels, layers, learning rate, patches)",
    )
    for name, what in (
        ("parameters", "parameters"),
        ("macs", "multiply-accumulates of a forward pass"),
        ("memory", "bytes of training"),
    ):
        command.add_argument(f"--max-{name}", type=int, metavar="N", help=f"try nothing with more {what}")
    command.add_argument("--run-dir", type=Path, help="folder of the search (default: runs/RECIPE_search)")
    command.add_argument(
        "--set", type=setting, action="append", metavar="FIELD=VALUE", help="change a field of the recipe"
    )
    command.add_argument("--resume", action="store_true", help="go on with the search in the folder")
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    command.add_argument("--manual-dir", type=Path, help=MANUAL_DIR)
    add_imports(command)


def _values(text):
    field, values = setting(text)
    try:
        return field, json.loads(values)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"must be FIELD=JSON ({error}). Received: {text!r}") from None


def _tune(options):
    from mslstm_keras.cost.memory import hide_gpus
    from mslstm_keras.search.results import BEST, results_table
    from mslstm_keras.search.tuning import tune
    from mslstm_keras.training.recipes import find_recipe

    recipe = with_settings(options, find_recipe(options.recipe), dict(options.set or ()))
    run_dir = options.run_dir or Path("runs", f"{recipe.name}_search")
    hide_gpus()  # the trials have them
    results = tune(
        recipe,
        run_dir,
        space=dict(options.vary) if options.vary else None,
        searcher=options.searcher,
        max_trials=options.trials,
        max_parameters=options.max_parameters,
        max_macs=options.max_macs,
        max_memory=options.max_memory,
        resume=options.resume,
        data_dir=options.data_dir,
        manual_dir=options.manual_dir,
        progress=lambda line: say(options, line, file=sys.stderr if options.json else sys.stdout),
    )

    def lines():
        yield from results_table(results)
        if not options.quiet:
            yield f"{run_dir / BEST}: the recipe of trial {results['best']}"

    show(options, results, lines)
    if results["best"] is not None:
        suggest(options, ["mslstm", "train", run_dir / BEST, *words_of(options, "data_dir", "manual_dir")])
