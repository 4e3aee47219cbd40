"""Commands on data sets: list, prepare, info, show."""

import argparse
import re
from pathlib import Path

from mslstm_keras.cli.arguments import (
    DATA_DIR,
    MANUAL_DIR,
    Commands,
    add_command,
    output_file,
    say,
    setting,
    show,
    suggest,
    words_of,
)
from mslstm_keras.cli.completion import any_of, completed, data_names, file_names
from mslstm_keras.cli.progress import Progress

NAME = "data set and config; `mslstm data list` lists them"


def add_commands(commands: Commands) -> None:
    """Adds the parsers of these commands."""
    group = commands.add_parser("data", help="prepare data sets and look at them").add_subparsers(
        required=True, metavar="COMMAND"
    )
    add_command(group, "list", _list, "list the data sets", "mslstm data list")
    command = add_command(
        group,
        "prepare",
        _prepare,
        "make a data set ready to be read",
        "mslstm data prepare frames_from_folder --manual-dir my_clips/ --variant mine --set window=8",
    )
    completed(command.add_argument("data", help=NAME), data_names)
    command.add_argument("--variant", metavar="NAME", help="prepare a variant of the config under this name")
    command.add_argument(
        "--set", type=setting, action="append", metavar="FIELD=VALUE", help="change a field, for a variant"
    )
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    command.add_argument("--manual-dir", type=Path, help=MANUAL_DIR)
    how = command.add_mutually_exclusive_group()
    how.add_argument(
        "--part",
        type=_part,
        metavar="K/N",
        help="make the K-th of N parts; other processes, or hosts that share the folder, make the others, "
        "and whoever finds all of them there joins them",
    )
    how.add_argument(
        "--processes", type=int, default=1, help="make so many parts at once and join them (default: 1)"
    )
    command = add_command(
        group, "info", _info, "tell what a data set holds", "mslstm data info taxibj_clips/synthetic --json"
    )
    completed(command.add_argument("data", help=NAME), data_names)
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    command = add_command(
        group,
        "show",
        _show,
        "draw clips of a prepared data set as a contact sheet",
        "mslstm data show dwd_radar_clips/synthetic --clips 4 --output clips.png",
        json=False,
    )
    completed(
        command.add_argument("data", help=f"{NAME}, or a .npy file of clips"), any_of(data_names, file_names)
    )
    command.add_argument("--split", default="train", choices=["train", "test"], help="default: %(default)s")
    command.add_argument("--clips", type=int, default=6, help="how many (default: %(default)s)")
    command.add_argument("--first", type=int, default=0, help="number of the first (default: 0)")
    command.add_argument("--output", type=output_file(".png"), required=True, help=".png file to write")
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)


def _list(options):
    from mslstm_keras.data.catalogue import list_data

    names = list_data()
    show(options, names, lambda: names)


def _prepare(options):
    from mslstm_keras.data.catalogue import describe, find_builder, prepared_variants
    from mslstm_keras.data.own_clips import FOLDERS, plan_folder
    from mslstm_keras.data.preparation import prepare

    data, variant, settings, plan = options.data, options.variant, dict(options.set or ()), None
    if data == FOLDERS and options.manual_dir is not None:  # without a config the clips say what they are
        plan = plan_folder(options.manual_dir, options.data_dir, variant=variant, settings=settings)
        data, variant, settings = plan.data, plan.variant, dict(plan.settings)
        if not options.json:
            say(options, plan.remark)
            if plan.variant and not options.variant:
                say(options, f"it is named {plan.name} after the folder; the same words find it again")
    if variant:
        place = Path(find_builder(data, options.data_dir).data_dir).parents[1]
        before = variant in prepared_variants(place, ())
    else:
        before = bool(describe(data, options.data_dir)["clips"])
    builder = prepare(
        data,
        options.data_dir,
        options.manual_dir,
        variant=variant,
        settings=settings,
        part=options.part,
        processes=options.processes,
    )
    splits = {name: split.num_examples for name, split in builder.info.splits.items()}
    facts = {
        "data": _name(builder),
        "folder": str(builder.data_dir),
        "clips": splits,
        "prepared_before": before,
        **({"assumed": plan.assumed} if plan else {}),
    }
    if splits:
        made = ", ".join(f"{count:,} {name} clips" for name, count in splits.items())
        if before:
            sources = describe(_name(builder), options.data_dir)["sources"] or {}
            made += ", prepared before" + (f" from {sources['folder']}" if sources.get("folder") else "")
    else:
        from tfds_builders.parts import missing_parts

        number, count = options.part
        facts["missing_parts"] = [part.number for part in missing_parts(builder, count)]
        numbers = ", ".join(map(str, facts["missing_parts"]))
        made = f"part {number} of {count} is made; missing: {numbers or 'none, another process joins them'}"
    show(options, facts, lambda: [f"{builder.data_dir}: {made}"], remark=True)
    if splits:
        data_dir = words_of(options, "data_dir")
        split = [] if "train" in splits else ["--split", next(iter(splits))]
        suggest(
            options,
            ["mslstm", "data", "show", facts["data"], *data_dir, *split, "--output", "clips.png"],
            ["mslstm", "train", "--data", facts["data"], *data_dir],
        )


def _part(text):
    numbers = re.fullmatch(r"(\d+)/(\d+)", text)
    if not numbers:
        raise argparse.ArgumentTypeError(f"must be K/N, such as 2/4. Received: {text!r}")
    return int(numbers[1]), int(numbers[2])


def _name(builder):
    return builder.info.full_name.rpartition("/")[0]


def _info(options):
    from mslstm_keras.data.catalogue import describe
    from mslstm_keras.evaluation.protocols import find_protocol

    facts = describe(options.data, options.data_dir)
    facts["scores"] = list(find_protocol(options.data).in_units(facts["range"]).metrics)
    show(options, facts, lambda: _info_lines(facts))


def _info_lines(facts):
    yield facts["data"]
    yield facts["description"]
    for name, value in facts["config"].items():
        yield f"  {name} = {value}"
    if facts["clips"]:
        counts = ", ".join(f"{count:,} {split}" for split, count in facts["clips"].items())
        yield f"clips: {counts}, {facts['bytes']:,} bytes in {facts['folder']}"
        yield _sources_line(facts["sources"])
    else:
        yield f"not prepared: mslstm data prepare {facts['data']}"
    if facts["quantity"] is not None:
        yield f"frames are of the {facts['quantity']}"
    if facts["interval"] is not None:
        yield f"{facts['interval']:g} minutes between frames"
    if facts["spacing"] is not None:
        yield f"{facts['spacing'] / 1000:g} km between pixels"
    if facts["range"] is not None:
        yield f"pixels 0 and 1 stand for {facts['range']}"
    for name, feature in facts["features"].items():
        yield f"  {name}: {feature}"
    yield f"scored by {', '.join(facts['scores'])}"


def _sources_line(sources):
    if sources is None:
        return "source files: unknown, as it was prepared before they were recorded"
    if not sources["files"]:
        return "source files: none"
    return (
        f"source files: {sources['files']:,}, {sources['bytes']:,} bytes in {sources['folder'] or 'downloads'}, "
        f"SHA-256 of names and contents {sources['fingerprint']}"
    )


def _show(options):
    import numpy as np

    from mslstm_keras.data.splits import split_clips
    from mslstm_keras.evaluation.comparison import is_synthetic
    from mslstm_keras.evaluation.protocols import find_protocol
    from mslstm_keras.figures.comparison import contact_sheet

    clips = split_clips(options.data, options.split, options.data_dir)
    count = clips.count or 0  # a split is not endless
    last = min(options.first + options.clips, count)
    if not 0 <= options.first < last:
        raise ValueError(
            f"`--first` must lie in 0 .. {count - 1} and `--clips` be at least 1. "
            f"Received: first={options.first}, clips={options.clips}"
        )
    numbers = range(options.first, last)
    with Progress(options, f"drawing {options.output}"):
        contact_sheet(
            dict(zip(map(str, numbers), clips.frames(np.array(numbers)), strict=True)),
            options.output,
            rain_scale=find_protocol(options.data).scale,
            title=f"{options.data}, {options.split}",
            synthetic=is_synthetic(options.data),
        )
    say(options, f"{options.output}: {len(numbers)} of {count:,} {options.split} clips")
