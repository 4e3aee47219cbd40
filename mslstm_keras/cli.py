"""The command `mslstm`: each sub-command calls one public function."""

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mslstm_keras import __version__
from mslstm_keras.deploy.card import UNITS
from mslstm_keras.files import replacing

DATA_DIR = "folder of prepared data sets (default: that of TensorFlow Datasets)"
MANUAL_DIR = "folder of source files that are at hand, such as MNIST's four idx files"
MODELS = "name of `mslstm models` (untrained), name in the zoo, .keras file, zoo folder or run folder"
ZOO = "folder of a zoo (default: the one that comes with the package)"
CONTEXT_FRAMES, FORECAST_FRAMES = 10, 10  # of untrained models


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        arguments: words behind `mslstm`; those of the process by default.

    Returns:
        Exit status: 0, or 2 if an argument, a file or the disk was at fault (one line on stderr says which), or
        130 if it was interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except _faults() as error:
        print(f"mslstm: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mslstm: interrupted", file=sys.stderr)
        return 130
    return 0


def _faults():
    # TensorFlow has errors of its own for a full disk and for too little memory. It may not have been imported.
    tensorflow = sys.modules.get("tensorflow")
    return (
        ValueError,
        ImportError,
        OSError,
        FloatingPointError,
        *((tensorflow.errors.OpError,) if tensorflow else ()),
    )


def _one_line(error):
    # Keras wraps the message of a failed layer in several lines and colours; the message itself is the coloured one.
    inner = re.search(r"\x1b\[1m(.*?)\x1b\[0m", str(error), re.DOTALL)
    text = inner.group(1) if inner else str(error)
    text = re.sub(r"\{\{\w+ .*?\}\}|\[Op:\w+\]", "", text)  # TensorFlow's names of its nodes
    return " ".join(text.split()) or type(error).__name__


def _train(options):
    from mslstm_keras.training.fit import RECIPE, read_recipe, set_threads, train
    from mslstm_keras.training.recipes import find_recipe

    recipe = find_recipe(options.recipe)
    run = Path("runs", recipe.name) if options.run_dir is None else options.run_dir
    if options.resume and (run / RECIPE).exists():
        recipe = read_recipe(run)
        if recipe.name != options.recipe:
            raise ValueError(
                f"`recipe` must be that of the run, {recipe.name!r}. Received: {options.recipe!r}"
            )
    recipe = recipe.with_settings(dict(options.set or ()))
    if recipe.fast:
        set_threads(recipe.batch_size)
    _warn_of_memory(recipe)
    train(recipe, run, resume=options.resume, data_dir=options.data_dir, manual_dir=options.manual_dir)
    print(f"{run}: {recipe.steps:,} steps, {recipe.steps * recipe.batch_size:,} clips")


def _warn_of_memory(recipe):
    import keras
    import psutil

    from mslstm_keras.study.memory import training_memory
    from mslstm_keras.training.fit import compiled_model

    needed = training_memory(compiled_model(recipe), recipe.batch_size, recipe.checkpoint)
    keras.utils.clear_session()  # the layers of the model that is trained are named as if it were the first
    free = psutil.virtual_memory().available
    if needed > free:
        print(
            f"mslstm: warning: training will take about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; "
            "--set checkpoint=step or a smaller batch_size takes less",
            file=sys.stderr,
        )


def _evaluate(options):
    scores = _scores(options.model, options)
    if options.output:
        with replacing(options.output) as temporary:
            temporary.write_text(json.dumps(scores, indent=1) + "\n")
    _show(options, scores, lambda: _score_table(options.model, scores))


def _scores(model, options):
    from mslstm_keras.deploy.zoo import load_model
    from mslstm_keras.training.data import split_clips
    from mslstm_keras.training.scores import evaluate

    clips = split_clips(options.data, "test", options.data_dir)
    return evaluate(
        load_model(model, getattr(options, "zoo", None)),
        clips,
        count=options.clips,
        all_frames=getattr(options, "all_frames", False),
    )


def _score_table(label, scores):
    yield f"{scores['clips']:,} clips, {scores['frames']} frames"
    rows = {str(label): scores["model"], "persistence": scores["persistence"]}
    width = max(map(len, rows))
    yield " " * width + "".join(f"{unit:>24}" for unit in UNITS.values())
    for name, row in rows.items():
        yield f"{name:<{width}}" + "".join(f"{row[metric]['mean']:>24.3f}" for metric in UNITS)
    yield "MSE by lead time"
    for name, row in rows.items():
        yield f"{name:<{width}}" + "".join(f"{value:>8.1f}" for value in row["mse"]["per_frame"])


def _forecast(options):
    from mslstm_keras.deploy.clips import read_clip, write_clip
    from mslstm_keras.deploy.forecast import forecast
    from mslstm_keras.deploy.zoo import load_model

    model = load_model(options.model, options.zoo)
    frames = read_clip(options.input, channels=model.input_shape[-1])
    future = forecast(model, frames, options.horizon)
    write_clip(options.output, future)
    facts = {"output": str(options.output), "frames": len(future), "shape": list(future.shape)}
    _show(options, facts, lambda: [f"{options.output}: {len(future)} frames of {future.shape[1:]}"])


def _demo(options):
    from mslstm_keras.deploy.demo import MODEL, demo

    scores = demo(options.output, options.zoo)
    _show(
        options,
        scores,
        lambda: [*_score_table(MODEL, scores), f"Wrote {options.output / 'demo.png'} and demo.gif"],
    )


def _models(options):
    from mslstm_keras.models.registry import list_models

    _show(options, list_models(), list_models)


def _recipes(options):
    from mslstm_keras.training.recipes import RECIPES

    fields = {name: recipe.to_dict() for name, recipe in RECIPES.items()}
    _show(
        options,
        fields,
        lambda: (f"{name:<24}{recipe.model} on {recipe.data}" for name, recipe in RECIPES.items()),
    )


def _cost(options):
    from mslstm_keras.study.cost import cost, cost_table
    from mslstm_keras.study.published import DATA_SETS, find_data_set

    if options.frame and None in (options.context, options.forecast):
        raise ValueError(
            "`--context` and `--forecast` must come with `--frame`. Received: "
            f"context={options.context}, forecast={options.forecast}"
        )
    if options.frame:
        frames = options.frame, options.context, options.forecast
        names = [name for data_set in DATA_SETS.values() for name in data_set.table]
    else:
        data_set = find_data_set(options.dataset)
        frames = data_set.frame_shape, data_set.context_frames, data_set.forecast_frames
        names = data_set.table
    costs = [
        cost(name, *frames, options.filters, options.batch_size, measure=options.measure)
        for name in dict.fromkeys(options.models or names)
    ]
    _show(options, [each.to_dict() for each in costs], lambda: cost_table(costs))


def _convert(options):
    from mslstm_keras.deploy.convert import convert, read_checkpoint

    settings = {name: _value(text) for name, text in options.set or ()}
    parameters = read_checkpoint(options.checkpoint)
    model = convert(parameters, options.model, options.frame, options.context, options.forecast, **settings)
    with replacing(options.output) as temporary:
        model.save(temporary)
    print(f"{options.output}: {options.model}, {model.count_params():,} parameters")


def _value(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _data_list(options):
    from mslstm_keras.training.data import list_data

    names = list_data()
    _show(options, names, lambda: names)


def _data_prepare(options):
    from mslstm_keras.training.data import prepare

    builder = prepare(options.data, options.data_dir, options.manual_dir)
    splits = {name: split.num_examples for name, split in builder.info.splits.items()}
    facts = {"data": options.data, "folder": str(builder.data_dir), "clips": splits}
    counts = ", ".join(f"{count:,} {name} clips" for name, count in splits.items())
    _show(options, facts, lambda: [f"{builder.data_dir}: {counts}"])


def _zoo_list(options):
    from mslstm_keras.deploy.zoo import list_pretrained

    entries = list_pretrained(options.zoo)
    facts = {name: dataclasses.asdict(entry) for name, entry in entries.items()}
    _show(options, facts, lambda: map(_zoo_line, entries.values()))


def _zoo_line(entry):
    mse = entry.scores["model"]["mse"]["mean"]
    what = f"{entry.name:<28}{entry.recipe.model:<12}{entry.recipe.data:<28}"
    return f"{what}{entry.clips_seen:>10,} clips seen  MSE {mse:.1f}"


def _zoo_show(options):
    from mslstm_keras.deploy.zoo import find_pretrained, verify_pretrained

    entry = find_pretrained(options.name, options.zoo)
    card = verify_pretrained(options.name, options.zoo) / "README.md"
    _show(options, dataclasses.asdict(entry), lambda: [card.read_text().rstrip()])


def _zoo_verify(options):
    from mslstm_keras.deploy.zoo import list_pretrained, verify_pretrained

    names = options.names or list(list_pretrained(options.zoo))
    folders = {name: str(verify_pretrained(name, options.zoo)) for name in names}
    _show(options, folders, lambda: (f"{name}: every file is as listed" for name in folders))


def _zoo_add(options):
    from mslstm_keras.deploy.zoo import add_pretrained

    entry = add_pretrained(
        options.run_dir,
        name=options.name,
        zoo=options.zoo,
        count=options.clips,
        data_dir=options.data_dir,
        beside=dict(options.beside or ()),
    )
    _show(options, dataclasses.asdict(entry), lambda: [_zoo_line(entry)])


def _study_receptive_field(options):
    from mslstm_keras.deploy.clips import read_clip
    from mslstm_keras.models.rollout import Rollout, find_layer
    from mslstm_keras.study.plots import receptive_field_figure
    from mslstm_keras.study.receptive_field import (
        effective_receptive_field,
        effective_side,
        theoretical_receptive_field,
    )

    if options.output and not options.input:
        raise ValueError("`--input` must name a clip to draw by gradients. Received: --output alone")
    facts, drawn = {}, {}
    for name in options.models:
        model = _named_model(name, options)
        field = theoretical_receptive_field(model)
        facts[name] = {**dataclasses.asdict(field), "paper": field.paper, "side": field.side}
        if options.input:
            context = find_layer(model, Rollout).context_frames
            clips = [read_clip(path, channels=model.input_shape[-1])[-context:] for path in options.input]
            dependence = effective_receptive_field(model, clips)
            facts[name]["effective"] = effective_side(dependence[-1])
            drawn[name] = dependence, field.cells[-1].box(*dependence.shape[1:])
    if options.output:
        receptive_field_figure(drawn, options.output, title="What the centre of the encoder depends on")
    _show(options, facts, lambda: _receptive_field_table(facts))


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


def _study_layers(options):
    from mslstm_keras.deploy.clips import read_clip
    from mslstm_keras.models.rollout import Rollout, find_layer
    from mslstm_keras.study.plots import layers_figure
    from mslstm_keras.study.receptive_field import layer_outputs

    model = _named_model(options.model, options)
    outputs = layer_outputs(model, read_clip(options.input, channels=model.input_shape[-1]), options.horizon)
    context = find_layer(model, Rollout).context_frames
    layers_figure(
        outputs, options.output, context_frames=context, step=options.step, title=str(options.model)
    )
    print(f"{options.output}: {len(outputs) - 2} cells, {len(outputs['input'])} steps")


def _study_architecture(options):
    from mslstm_keras.study.architecture import draw_architecture

    draw_architecture(_named_model(options.model, options), options.output)
    print(options.output)


def _named_model(name, options):
    from mslstm_keras.deploy.zoo import load_model
    from mslstm_keras.models.registry import create_model, list_models

    if name in list_models():
        return create_model(name, options.frame, CONTEXT_FRAMES, FORECAST_FRAMES)
    return load_model(name, options.zoo)


def _show(options, facts, lines: Callable):
    """Prints facts as JSON where a program asked for it, else as lines for a person."""
    if options.json:
        print(json.dumps(facts))
    else:
        for line in lines():
            print(line)


def _keras_file(text):
    if not text.endswith(".keras"):
        raise argparse.ArgumentTypeError(f"must end in .keras. Received: {text!r}")
    return Path(text)


def _frame_size(text):
    return _sides(text, "HEIGHTxWIDTH")


def _frame_shape(text):
    return _sides(text, "HEIGHTxWIDTHxCHANNELS")


def _sides(text, form):
    if not re.fullmatch(r"[1-9]\d*" + r"x[1-9]\d*" * form.count("x"), text):
        raise argparse.ArgumentTypeError(f"must be {form}. Received: {text!r}")
    return tuple(map(int, text.split("x")))


def _setting(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"must be name=value. Received: {text!r}")
    return name, value


def _parser():
    parser = argparse.ArgumentParser(
        prog="mslstm", description="Video prediction: train, score, forecast, share."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _command(
        commands, "demo", _demo, "forecast embedded digits with the zoo's model", "mslstm demo"
    )
    command.add_argument("--output", type=Path, default=Path("."), help="folder for demo.png and demo.gif")
    _add_zoo(command)

    command = _command(
        commands,
        "forecast",
        _forecast,
        "forecast the frames that follow a clip of yours",
        "mslstm forecast --model ms_lstm_moving_mnist --input clip.gif --horizon 20 --output out.gif",
    )
    command.add_argument(
        "--model", required=True, help="name in the zoo, .keras file, zoo folder or run folder"
    )
    command.add_argument("--input", required=True, type=Path, help=".npy, .gif or a folder of images")
    command.add_argument("--horizon", type=int, help="frames to forecast (default: the model's own)")
    command.add_argument(
        "--output", required=True, type=Path, help=".npy (numbers), .gif or .png (film strip)"
    )
    _add_zoo(command)

    command = _command(
        commands,
        "train",
        _train,
        "train by a recipe",
        "mslstm train optdigits_quick --set filters=16",
        json=False,
    )
    command.add_argument("recipe", help="name of a recipe; `mslstm recipes` lists them")
    command.add_argument("--run-dir", type=Path, help="folder of the run (default: runs/RECIPE)")
    command.add_argument(
        "--set", type=_setting, action="append", metavar="FIELD=VALUE", help="change a field"
    )
    command.add_argument(
        "--resume", action="store_true", help="go on with the run in the folder, by its own recipe"
    )
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    command.add_argument("--manual-dir", type=Path, help=MANUAL_DIR)

    command = _command(
        commands,
        "evaluate",
        _evaluate,
        "score a model on test clips, beside persistence",
        "mslstm evaluate ms_lstm_moving_mnist --clips 1000 --output scores.json",
    )
    command.add_argument("model", help="name in the zoo, .keras file, zoo folder or run folder")
    command.add_argument("--data", default="moving_mnist_clips/paper", help="data set (default: %(default)s)")
    command.add_argument("--clips", type=int, help="how many test clips (default: all)")
    command.add_argument(
        "--all-frames", action="store_true", help="count the predictions inside the context too"
    )
    command.add_argument("--output", type=Path, help="JSON file to write")
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    _add_zoo(command)

    _command(commands, "models", _models, "list the models", "mslstm models --json")
    _command(commands, "recipes", _recipes, "list the recipes", "mslstm recipes")
    _add_convert_command(commands)
    _add_cost_command(commands)
    _add_data_commands(commands)
    _add_zoo_commands(commands)
    _add_study_commands(commands)
    return parser


def _add_convert_command(commands):
    command = _command(
        commands,
        "convert",
        _convert,
        "turn weights of the public PyTorch code into a model",
        "mslstm convert checkpoint.pth model.keras --model ms_lstm --frame 64x64",
        json=False,
    )
    command.add_argument("checkpoint", type=Path, help="state dict saved by PyTorch; nothing in it is run")
    command.add_argument("output", type=_keras_file, help=".keras file to write")
    command.add_argument("--model", required=True, help="name of the model; `mslstm models` lists them")
    command.add_argument("--frame", type=_frame_size, required=True, metavar="HxW", help="size of a frame")
    command.add_argument(
        "--context", type=int, default=CONTEXT_FRAMES, help="frames given (default: %(default)s)"
    )
    command.add_argument(
        "--forecast", type=int, default=FORECAST_FRAMES, help="frames to forecast (default: %(default)s)"
    )
    command.add_argument(
        "--set",
        type=_setting,
        action="append",
        metavar="OPTION=VALUE",
        help="option of the model, such as links=5",
    )


def _add_cost_command(commands):
    command = _command(
        commands,
        "cost",
        _cost,
        "count what models cost, beside the paper's figures",
        "mslstm cost --dataset taxibj --models ms_lstm cms_lstm",
    )
    frames = command.add_mutually_exclusive_group()
    frames.add_argument(
        "--dataset", default="moving_mnist", help="moving_mnist (default), taxibj, kth or germany"
    )
    frames.add_argument("--frame", type=_frame_shape, metavar="HxWxC", help="other frames, such as 128x96x3")
    command.add_argument("--context", type=int, metavar="N", help="frames given, with --frame")
    command.add_argument("--forecast", type=int, metavar="N", help="frames to forecast, with --frame")
    command.add_argument(
        "--models", nargs="+", metavar="NAME", help="models (default: those of the paper's tables)"
    )
    command.add_argument("--filters", type=int, default=32, help="channels of the cells (default: 32)")
    command.add_argument("--batch-size", type=int, default=1, help="clips in a training step (default: 1)")
    command.add_argument(
        "--measure", action="store_true", help="also run each model, in a process of its own, where it fits"
    )


def _add_data_commands(commands):
    group = commands.add_parser("data", help="prepare data sets").add_subparsers(
        required=True, metavar="COMMAND"
    )
    _command(group, "list", _data_list, "list the data sets", "mslstm data list")
    command = _command(
        group,
        "prepare",
        _data_prepare,
        "make a data set ready to be read",
        "mslstm data prepare moving_mnist_clips/paper --manual-dir mnist/",
    )
    command.add_argument("data", help="data set and config; `mslstm data list` lists them")
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    command.add_argument("--manual-dir", type=Path, help=MANUAL_DIR)


def _add_zoo_commands(commands):
    group = commands.add_parser("zoo", help="trained models").add_subparsers(required=True, metavar="COMMAND")
    _add_zoo(_command(group, "list", _zoo_list, "list the trained models", "mslstm zoo list --json"))
    command = _command(
        group, "show", _zoo_show, "print the card of a model", "mslstm zoo show ms_lstm_moving_mnist"
    )
    command.add_argument("name")
    _add_zoo(command)
    command = _command(group, "verify", _zoo_verify, "check every file of the models", "mslstm zoo verify")
    command.add_argument("names", nargs="*", help="models (default: all)")
    _add_zoo(command)
    command = _command(
        group,
        "add",
        _zoo_add,
        "score a run and put its model into a zoo",
        "mslstm zoo add runs/ms_lstm_moving_mnist --zoo my_zoo",
    )
    command.add_argument("run_dir", type=Path, help="folder of `mslstm train`")
    command.add_argument("--name", help="name of the entry (default: the recipe's)")
    command.add_argument("--clips", type=int, help="test clips to score (default: all)")
    command.add_argument(
        "--beside",
        type=_setting,
        action="append",
        metavar="LABEL=RUN",
        help="another run to compare with on the card",
    )
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    _add_zoo(command)


def _add_study_commands(commands):
    group = commands.add_parser("study", help="look into models").add_subparsers(
        required=True, metavar="COMMAND"
    )
    command = _command(
        group,
        "receptive-field",
        _study_receptive_field,
        "tell what the encoder of a model sees of a frame, by its kernels and by gradients",
        "mslstm study receptive-field conv_lstm sms_lstm ms_lstm --input clip.npy --output fields.png",
    )
    command.add_argument("models", nargs="+", metavar="MODEL", help=MODELS)
    command.add_argument(
        "--input", type=Path, nargs="+", help="clips to average gradients over (default: none)"
    )
    command.add_argument("--output", type=Path, help="PNG file to draw the gradients into")
    _add_model_source(command)

    command = _command(
        group,
        "layers",
        _study_layers,
        "draw what every cell puts out while a clip is forecast",
        "mslstm study layers ms_lstm_moving_mnist --input clip.npy --output layers.png",
        json=False,
    )
    command.add_argument("model", help=MODELS)
    command.add_argument("--input", required=True, type=Path, help=".npy, .gif or a folder of images")
    command.add_argument("--horizon", type=int, help="frames to forecast (default: the model's own)")
    command.add_argument(
        "--step", type=int, help="draw the channels at one step, 1 for the first (default: all steps)"
    )
    command.add_argument("--output", required=True, type=Path, help="PNG file to write")
    _add_model_source(command)

    command = _command(
        group,
        "architecture",
        _study_architecture,
        "draw one time step of a model (needs pydot and Graphviz)",
        "mslstm study architecture ms_lstm --output ms_lstm.png",
        json=False,
    )
    command.add_argument("model", help=MODELS)
    command.add_argument("--output", required=True, type=Path, help=".png, .svg or .pdf file to write")
    _add_model_source(command)


def _add_model_source(command):
    command.add_argument(
        "--frame",
        type=_frame_shape,
        default=(64, 64, 1),
        metavar="HxWxC",
        help="frame of a model that `mslstm models` lists (default: 64x64x1)",
    )
    _add_zoo(command)


def _command(commands, name, run, purpose, example, json=True):
    command = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"example: {example}",
    )
    if json:
        command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=run)
    return command


def _add_zoo(command):
    command.add_argument("--zoo", type=Path, help=ZOO)
