"""What commands score: models on clips of a data set, or on an archive of radar maps."""

import argparse
import warnings
from collections.abc import Iterable

from mslstm_keras.cli.arguments import RUNS
from mslstm_keras.cli.completion import any_of, completed, data_names, file_names, zoo_names


def add_scored(command: argparse.ArgumentParser, of_maps: str) -> None:
    """Adds the models that are scored, and the clips or the radar maps, of which one must be given."""
    completed(
        command.add_argument("--model", nargs="+", required=True, metavar="MODEL", help=RUNS),
        any_of(zoo_names, file_names),
    )
    scored = command.add_mutually_exclusive_group(required=True)
    completed(
        scored.add_argument(
            "--dataset",
            metavar="DATA",
            help="prepared data set, or a .npy file of clips; `mslstm data list` lists them",
        ),
        any_of(data_names, file_names),
    )
    scored.add_argument("--input", metavar="MAPS", help=of_maps)


def refuse_others(options: argparse.Namespace, of_dataset: Iterable[str], of_input: Iterable[str]) -> None:
    """Raises a `ValueError` if an option of `add_scored`'s other kind of data was given."""
    chosen, others = ("--dataset", of_input) if options.input is None else ("--input", of_dataset)
    for name in others:
        if getattr(options, name) is not None:
            raise ValueError(
                f"`--{name.replace('_', '-')}` must be left out with `{chosen}`. Received: {getattr(options, name)}"
            )


def warn_of_other_scales(options: argparse.Namespace, scale: str | None) -> None:
    """Warns of models whose pixels stood for other numbers, when they were trained, than those of the clips do."""
    from mslstm_keras.frames.scales import parse_scale
    from mslstm_keras.zoo.loading import data_of

    for name in options.model:
        own = data_of(name, options.zoo).scale
        if own and scale and parse_scale(own) != parse_scale(scale):
            warnings.warn(
                f"{name} was trained on pixels of {own}, those of {options.dataset} are {scale}: it is given them as "
                "they are",
                stacklevel=2,
            )
