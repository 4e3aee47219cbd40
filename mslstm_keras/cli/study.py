"""Commands that look into models: receptive-field, layers, architecture, compare, curves, probabilities."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from mslstm_keras.cli import probabilities
from mslstm_keras.cli.arguments import (
    CLIP,
    CONTEXT_FRAMES,
    DATA_DIR,
    FORECAST_FRAMES,
    MODEL,
    RUNS,
    Commands,
    add_command,
    add_fitting,
    add_imports,
    add_zoo,
    frame_shape,
    load_models,
    output_file,
    say,
    show,
)
from mslstm_keras.cli.completion import any_of, completed, data_names, file_names, model_names, zoo_names
from mslstm_keras.cli.progress import Progress

SCORES = ".json file of `mslstm evaluate`"
MODELS = f"name of `mslstm models` (untrained), {MODEL}"


def add_commands(commands: Commands) -> None:
    """Adds the parsers of these commands."""
    group = commands.add_parser("study", help="look into models").add_subparsers(
        required=True, metavar="COMMAND"
    )
    command = add_command(
        group,
        "receptive-field",
        _receptive_field,
        "tell what the encoder of a model sees of a frame, by its kernels and by gradients",
        "mslstm study receptive-field conv_lstm sms_lstm ms_lstm --input clip.npy --output fields.png",
    )
    completed(
        command.add_argument("models", nargs="+", metavar="MODEL", help=MODELS),
        any_of(model_names, zoo_names, file_names),
    )
    command.add_argument(
        "--input", type=Path, nargs="+", help="clips to average gradients over (default: none)"
    )
    add_fitting(command)
    command.add_argument("--output", type=Path, help="PNG file to draw the gradients into")
    _add_model_source(command)

    command = add_command(
        group,
        "layers",
        _layers,
        "draw what every cell puts out while a clip is forecast",
        "mslstm study layers ms_lstm_moving_mnist --input clip.npy --output layers.png",
        json=False,
    )
    completed(command.add_argument("model", help=MODELS), any_of(model_names, zoo_names, file_names))
    command.add_argument("--input", required=True, type=Path, help=CLIP)
    add_fitting(command)
    command.add_argument("--horizon", type=int, help="frames to forecast (default: the model's own)")
    command.add_argument(
        "--step", type=int, help="draw the channels at one step, 1 for the first (default: all steps)"
    )
    command.add_argument("--output", required=True, type=Path, help="PNG file to write")
    _add_model_source(command)

    command = add_command(
        group,
        "architecture",
        _architecture,
        "draw one time step of a model (needs pydot and Graphviz)",
        "mslstm study architecture ms_lstm --output ms_lstm.png",
        json=False,
    )
    completed(command.add_argument("model", help=MODELS), any_of(model_names, zoo_names, file_names))
    command.add_argument("--output", required=True, type=Path, help=".png, .svg or .pdf file to write")
    _add_model_source(command)

    command = add_command(
        group,
        "compare",
        _compare,
        "draw the forecasts of several models for one test clip",
        "mslstm study compare --model ms_lstm_moving_mnist conv_lstm_moving_mnist "
        "--dataset moving_mnist_clips/paper --output compare.png",
        json=False,
    )
    completed(
        command.add_argument("--model", nargs="+", required=True, metavar="MODEL", help=RUNS),
        any_of(zoo_names, file_names),
    )
    completed(
        command.add_argument(
            "--dataset", required=True, metavar="DATA", help="prepared data set, or a .npy file"
        ),
        any_of(data_names, file_names),
    )
    command.add_argument("--clip", type=int, default=0, help="number of the test clip (default: 0)")
    command.add_argument(
        "--output",
        type=output_file(".png", ".gif", ".mp4"),
        required=True,
        help="picture or animation to write",
    )
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    add_zoo(command)
    add_imports(command)

    command = add_command(
        group,
        "curves",
        _curves,
        "draw scores by lead time, from what `mslstm evaluate --output scores.json` wrote",
        "mslstm study curves scores.json --output curves.png",
        json=False,
    )
    command.add_argument("scores", type=Path, help=SCORES)
    command.add_argument(
        "--metrics", nargs="+", metavar="NAME", help="such as mse csi_2 (default: those of the data set)"
    )
    command.add_argument("--cumulative", action="store_true", help="draw means over the lead times so far")
    command.add_argument("--output", type=output_file(".png"), required=True, help=".png file to write")
    probabilities.add_commands(group)

    command = add_command(
        group,
        "table",
        _table,
        "write the scores of models, and what they cost, as one table",
        "mslstm study table scores.json --output table.tex",
        json=False,
    )
    command.add_argument("scores", type=Path, help=SCORES)
    command.add_argument(
        "--output",
        type=output_file(".md", ".tex", ".csv"),
        required=True,
        help=".md, .tex (tabulars for the package booktabs) or .csv file to write",
    )

    command = add_command(
        group,
        "pareto",
        _pareto,
        "draw scores beside costs, from what `mslstm evaluate --cost --output scores.json` wrote",
        "mslstm study pareto scores.json --cost seconds --output pareto.png",
        json=False,
    )
    command.add_argument("scores", type=Path, help=SCORES)
    command.add_argument("--metric", metavar="NAME", help="score (default: the first one)")
    command.add_argument(
        "--cost",
        metavar="NAME",
        help="what the table calls a cost, or its beginning: parameters, MACs, memory, seconds (default: MACs)",
    )
    command.add_argument("--output", type=output_file(".png"), required=True, help=".png file to write")


def _add_model_source(command):
    command.add_argument(
        "--frame",
        type=frame_shape,
        default=(64, 64, 1),
        metavar="HxWxC",
        help="frame of a model that `mslstm models` lists (default: 64x64x1)",
    )
    add_zoo(command)
    add_imports(command)


def _read(path, model, options):
    from mslstm_keras.frames.read import read_clip

    return read_clip(path, model.input_shape[-1], size=options.size, crop=options.crop)


def _receptive_field(options):
    from mslstm_keras.figures.plots import receptive_field_figure
    from mslstm_keras.insight.receptive_field import (
        effective_receptive_field,
        effective_side,
        theoretical_receptive_field,
    )
    from mslstm_keras.models.rollout import Rollout, find_layer

    if options.output and not options.input:
        raise ValueError("`--input` must name a clip to draw by gradients. Received: --output alone")
    facts, drawn = {}, {}
    with Progress(options, "looking into models") as progress:
        for number, name in enumerate(options.models, 1):
            model = _named_model(name, options)
            field = theoretical_receptive_field(model)
            facts[name] = {**dataclasses.asdict(field), "paper": field.paper, "side": field.side}
            if options.input:
                context = find_layer(model, Rollout).context_frames
                clips = [_read(path, model, options)[-context:] for path in options.input]
                dependence = effective_receptive_field(model, clips)
                facts[name]["effective"] = effective_side(dependence[-1])
                drawn[name] = dependence, field.cells[-1].box(*dependence.shape[1:])
            progress(number, len(options.models))
    if options.output:
        receptive_field_figure(drawn, options.output, title="What the centre of the encoder depends on")
    show(options, facts, lambda: _receptive_field_table(facts))


def _receptive_field_table(facts):
    width = max(map(len, (*facts, "model")))
    effective = any("effective" in fact for fact in facts.values())
    yield f"{'model':<{width}}{'cells':>7}{'paper':>10}{'all paths':>12}" + effective * f"{'effective':>12}"
    for name, fact in facts.items():
        row = f"{name:<{width}}{len(fact['cells']):>7}{_square(fact['paper']):>10}{_square(fact['side']):>12}"
        row += f"{fact['effective']:>12.1f}" if effective else ""
        yield row + (f"  {fact['note']}" if fact["note"] else "")


def _square(side):
    return f"{side}x{side}" if side else "-"


def _layers(options):
    from mslstm_keras.figures.plots import layers_figure
    from mslstm_keras.insight.outputs import layer_outputs
    from mslstm_keras.models.rollout import Rollout, find_layer

    model = _named_model(options.model, options)
    frames = _read(options.input, model, options)
    context = find_layer(model, Rollout).context_frames
    with Progress(options, "forecasting and drawing every cell"):
        outputs = layer_outputs(model, frames, options.horizon)
        layers_figure(
            outputs, options.output, context_frames=context, step=options.step, title=str(options.model)
        )
    say(options, f"{options.output}: {len(outputs) - 2} cells, {len(outputs['input'])} steps")


def _architecture(options):
    from mslstm_keras.insight.architecture import draw_architecture

    with Progress(options, f"drawing {options.output}"):
        draw_architecture(_named_model(options.model, options), options.output)
    say(options, str(options.output))


def _named_model(name, options):
    from mslstm_keras.models.registry import create_model, list_models
    from mslstm_keras.zoo.loading import load_model

    if name in list_models():
        return create_model(name, options.frame, CONTEXT_FRAMES, FORECAST_FRAMES)
    return load_model(name, options.zoo)


def _compare(options):
    from mslstm_keras.data.splits import split_clips
    from mslstm_keras.evaluation.comparison import is_synthetic, sample_forecasts
    from mslstm_keras.evaluation.protocols import find_protocol
    from mslstm_keras.figures.animation import check_animation
    from mslstm_keras.figures.comparison import comparison_animation, comparison_figure

    if options.output.suffix != ".png":
        check_animation(options.output)
    protocol = find_protocol(options.dataset)
    clips = split_clips(options.dataset, "test", options.data_dir)
    models = load_models(options)
    with Progress(options, "forecasting by every model"):
        sample = sample_forecasts(models, clips, options.clip)
    look: dict[str, Any] = {
        "rain_scale": protocol.scale,
        "title": f"{options.dataset}, test clip {options.clip}",
        "synthetic": is_synthetic(options.dataset),
        "interval": clips.interval,
    }
    with Progress(options, f"drawing {options.output}"):
        if options.output.suffix == ".png":
            comparison_figure(sample["context"], sample["truth"], sample["forecasts"], options.output, **look)
        else:
            comparison_animation(
                sample["truth"], sample["forecasts"], options.output, context=sample["context"], **look
            )
    say(options, str(options.output))


def _curves(options):
    from mslstm_keras.evaluation.curves import lead_time_figure

    evaluation = _read_scores(options)
    with Progress(options, f"drawing {options.output}"):
        lead_time_figure(evaluation, options.output, metrics=options.metrics, cumulative=options.cumulative)
    say(options, str(options.output))


def _table(options):
    from mslstm_keras.evaluation.tables import publication_table
    from mslstm_keras.files import replacing

    text = publication_table(_read_scores(options), options.output.suffix[1:])
    with replacing(options.output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(options, str(options.output))


def _pareto(options):
    from mslstm_keras.evaluation.pareto import pareto_figure

    front = pareto_figure(_read_scores(options), options.output, metric=options.metric, cost=options.cost)
    say(options, f"{options.output}: no other model beats {', '.join(front)}")


def _read_scores(options):
    try:
        evaluation = json.loads(options.scores.read_text())
    except ValueError as error:
        raise ValueError(
            f"`scores` must be JSON of `mslstm evaluate`. Received: {options.scores} ({error})"
        ) from error
    if not isinstance(evaluation, dict) or not {"models", "data", "frames"} <= evaluation.keys():
        raise ValueError(
            f"`scores` must be JSON of `mslstm evaluate`. Received: {options.scores}, of another kind"
        )
    return evaluation
