"""The command that measures how good probabilities are."""

import dataclasses
import json
from pathlib import Path

from mslstm_keras.cli.arguments import (
    DATA_DIR,
    Commands,
    add_command,
    add_imports,
    add_zoo,
    frame_size,
    load_models,
    named_models,
    output_file,
    show,
)
from mslstm_keras.cli.progress import Progress
from mslstm_keras.cli.scored import add_scored, refuse_others, warn_of_other_scales

MEMBERS, SIDE = 8, 11
OF_DATASET = ("clips", "data_dir")
OF_INPUT = ("every", "product", "size")


def add_commands(commands: Commands) -> None:
    """Adds the parser of this command."""
    command = add_command(
        commands,
        "probabilities",
        _probabilities,
        "score the probabilities of ensembles, beside single forecasts and, of rain, STEPS",
        "mslstm study probabilities --model ms_lstm_radar --input maps/ --every 6 --threshold 1 5 --output scores.json",
    )
    add_scored(command, "folder, archive or glob of radar maps")
    command.add_argument(
        "--threshold",
        type=float,
        nargs="+",
        required=True,
        metavar="VALUE",
        help="what may be reached: mm/h of rain, numbers in the units of other data, or pixel values in [0, 1]",
    )
    command.add_argument(
        "--members",
        type=int,
        default=MEMBERS,
        metavar="N",
        help=f"members of the model that is perturbed, and of STEPS (default: {MEMBERS}); 0: neither",
    )
    command.add_argument(
        "--neighbourhood",
        type=int,
        default=SIDE,
        metavar="PIXELS",
        help=f"side of the window that gives probabilities of single forecasts (default: {SIDE})",
    )
    command.add_argument(
        "--calibration",
        type=Path,
        metavar="SCORES.json",
        help="what --output wrote of other events of the kind: what it recalibrates is scored besides",
    )
    command.add_argument("--clips", type=int, help="with --dataset: how many test clips (default: all)")
    command.add_argument(
        "--every", type=int, metavar="N", help="with --input: start at every Nth map (default: 1)"
    )
    command.add_argument(
        "--product", help="with --input: part of a product's name, where there are maps of several"
    )
    command.add_argument(
        "--size", type=frame_size, metavar="HxW", help="with --input: size to bring the maps to"
    )
    command.add_argument("--seed", type=int, default=0, help="of all that is drawn at random (default: 0)")
    command.add_argument("--output", type=output_file(".json"), help=".json file to write")
    command.add_argument("--figure", type=output_file(".png"), help=".png file to draw into")
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    add_zoo(command)
    add_imports(command)


def _probabilities(options):
    from mslstm_keras.ensembles.calibration import Calibration
    from mslstm_keras.ensembles.scoring import score_ensembles
    from mslstm_keras.evaluation.comparison import is_synthetic
    from mslstm_keras.figures.reliability import probability_figure
    from mslstm_keras.files import check_writable, replacing
    from mslstm_keras.importing import check_installed

    check_installed("Scores of ensembles", "probabilities", ["scores"])  # before what takes long
    refuse_others(options, OF_DATASET, OF_INPUT)
    for path in filter(None, (options.output, options.figure)):
        check_writable(path)
    calibration = None if options.calibration is None else Calibration.read(options.calibration)
    families = load_models(options)
    clips, rollout, forecasters, report = (
        _of_dataset(options, families) if options.input is None else _of_maps(options, families)
    )
    with Progress(options, "scoring ensembles") as progress:
        scores = score_ensembles(
            forecasters,
            clips,
            context_frames=rollout.context_frames,
            forecast_frames=rollout.forecast_frames,
            thresholds=options.threshold,
            count=options.clips,
            side=options.neighbourhood,
            seed=options.seed,
            calibration=calibration,
            progress=progress,
        )
    report()
    data = options.dataset or options.input
    scores = {"data": data, "synthetic": is_synthetic(data), "seed": options.seed, **scores}
    if options.output:
        with replacing(options.output) as temporary:
            temporary.write_text(json.dumps(scores, indent=1, allow_nan=False) + "\n")
    if options.figure:
        probability_figure(scores, options.figure, title=data, synthetic=scores["synthetic"])
    show(options, scores, lambda: _table(scores))


def _of_dataset(options, families):
    """Returns test clips, the roll-out of the models, all forecasters, and what is said at the end: nothing."""
    from mslstm_keras.data.splits import split_clips
    from mslstm_keras.ensembles.forecasters import baseline_forecasters, model_forecasters
    from mslstm_keras.evaluation.comparison import common_rollout
    from mslstm_keras.evaluation.protocols import find_protocol

    clips, rollout = split_clips(options.dataset, "test", options.data_dir), common_rollout(families)
    code = find_protocol(options.dataset).rain_scale
    if code and not clips.scale:
        clips = dataclasses.replace(clips, scale=f"rain:{code}")
    warn_of_other_scales(options, clips.scale)
    context, horizon = rollout.context_frames, rollout.forecast_frames
    forecasters = model_forecasters(families, horizon, members=options.members)
    forecasters |= baseline_forecasters(clips, context, horizon, members=options.members)
    return clips, rollout, forecasters, lambda: None


def _of_maps(options, families):
    """Returns the clips of an archive, the roll-out of the models, all forecasters, and what says what was clipped."""
    from mslstm_keras.ensembles.forecasters import baseline_forecasters, model_forecasters
    from mslstm_keras.evaluation.comparison import common_rollout
    from mslstm_keras.forecasting.hindcast import CODE, archive_of, checked_rates, codes_of
    from mslstm_keras.forecasting.maps import warn_of_other_data
    from mslstm_keras.frames.rain import RAIN_SCALES
    from mslstm_keras.radar.read import read_radar
    from mslstm_keras.radar.resizing import resize_maps
    from mslstm_keras.zoo.loading import data_of

    rollout = common_rollout(families, any_size=True)
    context, horizon = rollout.context_frames, rollout.forecast_frames
    maps = read_radar(options.input, product=options.product)
    if options.size is not None:
        maps = resize_maps(maps, *options.size)
    archive = archive_of(checked_rates(maps), context, horizon, 1 if options.every is None else options.every)
    facts = {label: data_of(name, options.zoo) for label, name in named_models(options).items()}
    for label, data in facts.items():
        warn_of_other_data(maps, data, label)
    scales = codes_of(families, {label: data.scale for label, data in facts.items()})
    forecasters = model_forecasters(
        families, horizon, members=options.members, code=RAIN_SCALES[CODE], scales=scales
    )
    forecasters |= baseline_forecasters(archive.clips, context, horizon, members=options.members)
    return archive.clips, rollout, forecasters, archive.reader.report


def _table(scores):
    """Yields the lines of a table for a person: means with intervals, then the CRPS by lead time."""
    thresholds = [f"{threshold:g}" for threshold in scores["thresholds"]]
    yield f"{scores['data']}: {scores['clips']:,} forecasts, CRPS in {scores['units']}, 95 % intervals over forecasts"
    if scores["missing"]:
        yield f"{100 * scores['missing']:.3g} % of the pixels were not observed and count in no score"
    rows = [["", "CRPS", *(f"Brier at {each}" for each in thresholds), "spread/RMSE", "s"]]
    for name, told in scores["forecasts"].items():
        rows.append(
            [
                name,
                _text(told.get("crps")),
                *(_text(told["brier"][each]) for each in thresholds),
                f"{told['ratio']['mean']:.2f}"
                if told.get("ratio") and told["ratio"]["mean"] is not None
                else "-",
                f"{told['seconds']:.1f}" if "seconds" in told else "-",
            ]
        )
    yield from _aligned(rows)
    yield ""
    step, unit = (scores["interval"], "minutes") if scores["interval"] else (1, "frames")
    yield f"CRPS by lead time ({unit})"
    scored = {name: told["crps"]["per_frame"] for name, told in scores["forecasts"].items() if "crps" in told}
    leads = [f"{step * lead:+g}" for lead in range(1, 1 + len(next(iter(scored.values()))))]
    yield from _aligned([["", *leads], *([name, *map(_number, values)] for name, values in scored.items())])


def _text(score):
    if score is None or score["mean"] is None:
        return "-"
    ends = score["interval"]
    return _number(score["mean"]) + (f" [{_number(ends[0])}, {_number(ends[1])}]" if ends else "")


def _number(value):
    return "-" if value is None else f"{value:.4f}"


def _aligned(rows):
    """Yields lines of rows, the first column on the left, the others on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        line = "".join(cell.rjust(width + 2) for cell, width in zip(cells, widths[1:], strict=True))
        yield f"{name:<{widths[0]}}{line}"
