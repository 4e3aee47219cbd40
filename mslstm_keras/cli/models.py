"""Commands about models: models, check, export, serving, convert, cost."""

import json
from collections.abc import Iterable
from pathlib import Path

from mslstm_keras.cli.arguments import (
    CONTEXT_FRAMES,
    FORECAST_FRAMES,
    MODEL,
    Commands,
    add_command,
    add_imports,
    add_range,
    add_zoo,
    frame_shape,
    frame_size,
    one_line,
    output_file,
    say,
    setting,
    show,
    suggest,
    words_of,
)
from mslstm_keras.cli.completion import any_of, completed, file_names, model_names, zoo_names
from mslstm_keras.cli.progress import Progress
from mslstm_keras.files import replacing


def add_commands(commands: Commands) -> None:
    """Adds the parsers of these commands."""
    add_command(commands, "models", _models, "list the models", "mslstm models --json")
    command = add_command(
        commands,
        "check",
        _check,
        "run the contracts of the cells and models that a file of yours registers",
        "mslstm check my_cells.py",
    )
    command.add_argument("file", type=Path, metavar="FILE.py", help="a file as for --import (docs/cells.md)")
    _add_export_command(commands)
    command = add_command(
        commands,
        "serving",
        _serving,
        "write a folder of models for TensorFlow Serving, and print the command that starts it",
        "mslstm serving ms_lstm_moving_mnist --output serving",
    )
    completed(
        command.add_argument("models", nargs="+", metavar="model", help=MODEL), any_of(zoo_names, file_names)
    )
    command.add_argument("--output", required=True, type=Path, help="new folder")
    add_zoo(command)
    add_imports(command)
    _add_convert_command(commands)
    _add_cost_command(commands)


def _add_export_command(commands):
    command = add_command(
        commands,
        "export",
        _export,
        "put a model into the form that a server or another runtime loads",
        "mslstm export ms_lstm_moving_mnist --output model.onnx",
    )
    completed(command.add_argument("model", help=MODEL), any_of(zoo_names, file_names))
    command.add_argument(
        "--format",
        choices=("saved_model", "onnx", "litert", "openvino"),
        help="default: by the suffix of --output, else saved_model, which TensorFlow Serving loads",
    )
    command.add_argument(
        "--output",
        required=True,
        type=Path,
        help="new folder of the SavedModel, or file .onnx, .tflite or .xml",
    )
    add_range(command, "that of the model's data, for the signature in units")
    add_zoo(command)
    add_imports(command)


def _export(options):
    from mslstm_keras.export.formats import export_model, format_of
    from mslstm_keras.zoo.loading import load_model, scale_of

    scale, kind = options.range, options.format or format_of(options.output)
    if scale is None and kind == "saved_model":
        scale = scale_of(options.model, options.zoo)
    model = load_model(options.model, options.zoo)
    with Progress(options, f"writing {options.output} and comparing its forecast with Keras'"):
        deviation = export_model(model, options.output, kind, scale=scale)
    facts = {"path": str(options.output), "format": kind, "deviation": deviation}
    show(options, facts, lambda: [f"{options.output}: {deviation:.1e} from Keras at most"], remark=True)
    if kind == "saved_model":
        suggest(
            options, ["mslstm", "serving", options.model, *words_of(options, "zoo"), "--output", "serving"]
        )


def _serving(options):
    from mslstm_keras.export.serving import write_serving_folder
    from mslstm_keras.zoo.loading import load_model, name_of, scale_of

    names = {name_of(model): model for model in options.models}
    if len(names) < len(options.models):
        raise ValueError(f"`models` must be models of different names. Received: models={options.models}")
    models = {name: load_model(model, options.zoo) for name, model in names.items()}
    scales = {name: scale_of(model, options.zoo) for name, model in names.items()}
    with Progress(options, "exporting models") as progress:
        command = write_serving_folder(options.output, models, scales=scales, progress=progress)
    show(options, {"path": str(options.output), "command": command}, lambda: [command])


def _add_convert_command(commands):
    command = add_command(
        commands,
        "convert",
        _convert,
        "turn weights of the public PyTorch code into a model",
        "mslstm convert checkpoint.pth model.keras --model ms_lstm --frame 64x64",
        json=False,
    )
    command.add_argument("checkpoint", type=Path, help="state dict saved by PyTorch; nothing in it is run")
    command.add_argument("output", type=output_file(".keras"), help=".keras file to write")
    completed(
        command.add_argument("--model", required=True, help="name of the model; `mslstm models` lists them"),
        model_names,
    )
    command.add_argument("--frame", type=frame_size, required=True, metavar="HxW", help="size of a frame")
    command.add_argument(
        "--context", type=int, default=CONTEXT_FRAMES, help="frames given (default: %(default)s)"
    )
    command.add_argument(
        "--forecast", type=int, default=FORECAST_FRAMES, help="frames to forecast (default: %(default)s)"
    )
    command.add_argument(
        "--set",
        type=setting,
        action="append",
        metavar="OPTION=VALUE",
        help="option of the model, such as links=5",
    )


def _add_cost_command(commands):
    command = add_command(
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
    frames.add_argument("--frame", type=frame_shape, metavar="HxWxC", help="other frames, such as 128x96x3")
    command.add_argument("--context", type=int, metavar="N", help="frames given, with --frame")
    command.add_argument("--forecast", type=int, metavar="N", help="frames to forecast, with --frame")
    completed(
        command.add_argument(
            "--models", nargs="+", metavar="NAME", help="models (default: those of the paper's tables)"
        ),
        model_names,
    )
    command.add_argument("--filters", type=int, default=32, help="channels of the cells (default: 32)")
    command.add_argument("--batch-size", type=int, default=1, help="clips in a training step (default: 1)")
    command.add_argument(
        "--measure", action="store_true", help="also run each model, in a process of its own, where it fits"
    )
    add_imports(command)


def _models(options):
    from mslstm_keras.models.names import MODELS

    show(options, MODELS, lambda: MODELS)


def _check(options):
    from mslstm_keras.contracts.files import check_file
    from mslstm_keras.contracts.rules import BrokenContract

    facts = []
    for name, contract, error in check_file(options.file):
        reason = None if error is None else one_line(error)
        if error is not None and not isinstance(error, BrokenContract):
            reason = f"{type(error).__name__}: {reason}"
        facts.append({"name": name, "contract": contract, "error": reason})
        if not options.json:
            print(f"{name} {contract}: {'passed' if reason is None else f'FAILED, {reason}'}", flush=True)
    if options.json:
        print(json.dumps(facts))
    failed = sum(fact["error"] is not None for fact in facts)
    if failed:
        raise ValueError(
            f"`file` must keep every contract. Received: {options.file}, which breaks {failed} of {len(facts)}"
        )


def _cost(options):
    from mslstm_keras.cost.account import cost_table, count_cost
    from mslstm_keras.cost.published import DATA_SETS, find_data_set

    lengths = options.context, options.forecast
    if any((each is None) != (options.frame is None) for each in lengths):
        raise ValueError(
            "`--context` and `--forecast` must come with `--frame`. Received: "
            f"context={options.context}, forecast={options.forecast}, frame={options.frame}"
        )
    if options.frame:
        frames = options.frame, *lengths
        named: Iterable[str] = [name for data_set in DATA_SETS.values() for name in data_set.table]
    else:
        data_set = find_data_set(options.dataset)
        frames = data_set.frame_shape, data_set.context_frames, data_set.forecast_frames
        named = data_set.table
    names, costs = list(dict.fromkeys(options.models or named)), []
    with Progress(options, "measuring models" if options.measure else "counting models") as progress:
        for name in names:
            costs.append(
                count_cost(name, *frames, options.filters, options.batch_size, measure=options.measure)
            )
            progress(len(costs), len(names))
    show(options, [each.to_dict() for each in costs], lambda: cost_table(costs))


def _convert(options):
    from mslstm_keras.export.convert import convert, read_checkpoint

    settings = {name: _value(text) for name, text in options.set or ()}
    with Progress(options, f"converting {options.checkpoint}"):
        parameters = read_checkpoint(options.checkpoint)
        model = convert(
            parameters, options.model, options.frame, options.context, options.forecast, **settings
        )
        with replacing(options.output) as temporary:
            model.save(temporary)
    say(options, f"{options.output}: {options.model}, {model.count_params():,} parameters")


def _value(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
