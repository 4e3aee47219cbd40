"""Commands that use models: demo, forecast, models, export, serving, convert, cost."""

import json
from collections.abc import Iterable
from pathlib import Path

from mslstm_keras.cli.arguments import (
    CLIP,
    CONTEXT_FRAMES,
    FORECAST_FRAMES,
    MODEL,
    Commands,
    add_command,
    add_fitting,
    add_range,
    add_zoo,
    frame_shape,
    frame_size,
    output_file,
    setting,
    show,
)
from mslstm_keras.files import replacing


def add_commands(commands: Commands) -> None:
    """Adds the parsers of these commands."""
    command = add_command(
        commands, "demo", _demo, "forecast embedded digits with the zoo's model", "mslstm demo"
    )
    command.add_argument("--output", type=Path, default=Path("."), help="folder for demo.png and demo.gif")
    add_zoo(command)

    command = add_command(
        commands,
        "forecast",
        _forecast,
        "forecast the frames that follow a clip of yours",
        "mslstm forecast --model ms_lstm_moving_mnist --input clip.gif --horizon 20 --output out.gif",
    )
    command.add_argument("--model", required=True, help=MODEL)
    command.add_argument("--input", required=True, type=Path, help=CLIP)
    command.add_argument(
        "--colour-scale",
        type=Path,
        metavar="TABLE",
        help="for pictures in the colours of a scale: .csv of rows #rrggbb,value with values in [0, 1]",
    )
    command.add_argument(
        "--fill-gaps",
        type=int,
        default=0,
        metavar="N",
        help="radar maps in a row that may be interpolated, 0 to 2",
    )
    command.add_argument("--product", help="part of the name of the radar product, where there are several")
    add_fitting(command)
    add_range(command, "that of the model's data, but for levels of pictures and films")
    command.add_argument("--horizon", type=int, help="frames to forecast (default: the model's own)")
    command.add_argument(
        "--output",
        required=True,
        type=Path,
        help=".npy, .nc or .zarr (numbers), .gif or .png (film strip; of radar maps a sheet, and .mp4, too), "
        "- for facts alone, as JSON",
    )
    add_zoo(command)

    add_command(commands, "models", _models, "list the models", "mslstm models --json")
    _add_export_command(commands)
    command = add_command(
        commands,
        "serving",
        _serving,
        "write a folder of models for TensorFlow Serving, and print the command that starts it",
        "mslstm serving ms_lstm_moving_mnist --output serving",
    )
    command.add_argument("models", nargs="+", metavar="model", help=MODEL)
    command.add_argument("--output", required=True, type=Path, help="new folder")
    add_zoo(command)
    _add_convert_command(commands)
    _add_cost_command(commands)


def _add_export_command(commands):
    command = add_command(
        commands,
        "export",
        _export,
        "put a model into the form that a server or another runtime loads",
        "mslstm export ms_lstm_moving_mnist --format onnx --output model.onnx",
    )
    command.add_argument("model", help=MODEL)
    command.add_argument(
        "--format",
        default="saved_model",
        choices=("saved_model", "onnx", "litert", "openvino"),
        help="default: saved_model, which TensorFlow Serving loads",
    )
    command.add_argument(
        "--output",
        required=True,
        type=Path,
        help="new folder of the SavedModel, or file .onnx, .tflite or .xml",
    )
    add_range(command, "that of the model's data, for the signature in units")
    add_zoo(command)


def _export(options):
    from mslstm_keras.export.formats import export_model
    from mslstm_keras.zoo.loading import load_model, scale_of

    scale = options.range
    if scale is None and options.format == "saved_model":
        scale = scale_of(options.model, options.zoo)
    model = load_model(options.model, options.zoo)
    deviation = export_model(model, options.output, options.format, scale=scale)
    facts = {"path": str(options.output), "format": options.format, "deviation": deviation}
    show(options, facts, lambda: [f"{options.output}: {deviation:.1e} from Keras at most"])


def _serving(options):
    from mslstm_keras.export.serving import write_serving_folder
    from mslstm_keras.zoo.loading import load_model, name_of, scale_of

    names = {name_of(model): model for model in options.models}
    if len(names) < len(options.models):
        raise ValueError(f"`models` must be models of different names. Received: models={options.models}")
    models = {name: load_model(model, options.zoo) for name, model in names.items()}
    scales = {name: scale_of(model, options.zoo) for name, model in names.items()}
    command = write_serving_folder(options.output, models, scales=scales)
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
    command.add_argument("--model", required=True, help="name of the model; `mslstm models` lists them")
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
    command.add_argument(
        "--models", nargs="+", metavar="NAME", help="models (default: those of the paper's tables)"
    )
    command.add_argument("--filters", type=int, default=32, help="channels of the cells (default: 32)")
    command.add_argument("--batch-size", type=int, default=1, help="clips in a training step (default: 1)")
    command.add_argument(
        "--measure", action="store_true", help="also run each model, in a process of its own, where it fits"
    )


def _forecast(options):
    from mslstm_keras.forecasting.forecaster import forecast
    from mslstm_keras.frames.read import read_clip, read_in_units
    from mslstm_keras.frames.write import check_suffix, write_clip
    from mslstm_keras.zoo.loading import load_model, scale_of

    model = load_model(options.model, options.zoo)
    if _is_radar(options):
        maps, future = _forecast_radar(options, model)
        facts = {"output": str(options.output), **_radar_facts(future)}
        _write(options, facts, lambda: _write_radar(options, maps, future))
        return
    if str(options.output) != "-":
        check_suffix(options.output)  # before the forecast
    channels, scale = model.input_shape[-1], options.range
    fitting = {"size": options.size, "crop": options.crop, "colour_scale": options.colour_scale}
    if scale is not None:
        frames = read_clip(options.input, channels, scale=scale, **fitting)
    else:
        frames, scale = read_in_units(
            options.input, channels, scale_of(options.model, options.zoo), **fitting
        )
    future = forecast(model, frames, options.horizon)
    facts = {
        "output": str(options.output),
        "frames": len(future),
        "shape": list(future.shape),
        "range": scale,
    }
    _write(options, facts, lambda: write_clip(options.output, future, value_scale=scale))


def _write(options, facts, write):
    """Writes a forecast, or prints its facts alone."""
    if str(options.output) == "-":
        print(json.dumps(facts))
        return
    if not options.output.parent.exists():
        options.output.parent.mkdir(parents=True)
    write()
    frames, *size = facts["shape"]
    show(options, facts, lambda: [f"{options.output}: {frames} frames of {tuple(size)}"])


def _is_radar(options):
    from mslstm_keras.radar.detection import holds_radar_maps

    return options.colour_scale is None and holds_radar_maps(options.input)


def _forecast_radar(options, model):
    """Returns the radar maps that the model sees, and their forecast, in mm/h, on their grid."""
    from mslstm_keras.figures.rain import FORECAST_SUFFIXES
    from mslstm_keras.forecasting.forecaster import forecast
    from mslstm_keras.frames.maps import SUFFIXES
    from mslstm_keras.models.rollout import Rollout, find_layer
    from mslstm_keras.radar.read import read_radar
    from mslstm_keras.zoo.loading import scale_of

    if options.size is not None:
        raise ValueError(
            f"`--size` must be left out for radar maps, which keep their grid. Received: {options.size}"
        )
    suffixes = (".npy", *SUFFIXES, *FORECAST_SUFFIXES)
    if str(options.output) != "-" and options.output.suffix.lower() not in suffixes:
        raise ValueError(  # before the forecast, which may take minutes
            f"`--output` must end in {', '.join(suffixes[:-1])} or {suffixes[-1]} for radar maps. "
            f"Received: {options.output}"
        )
    maps = read_radar(options.input, fill_gaps=options.fill_gaps, product=options.product)
    if options.crop is not None:
        top, bottom, left, right = options.crop
        height, width = maps.rain_rate.shape[1:]
        if bottom > height or right > width:
            raise ValueError(
                f"`crop` must lie within the maps, (height, width) {(height, width)}. Received: crop={options.crop}"
            )
        maps = maps.isel(y=slice(top, bottom), x=slice(left, right))
    scale = options.range or scale_of(options.model, options.zoo)
    seen = maps.isel(time=slice(-find_layer(model, Rollout).context_frames, None))
    return seen, forecast(model, maps, options.horizon, scale=scale)


def _radar_facts(future):
    times = future.time.values.astype("datetime64[s]")
    return {
        "frames": len(times),
        "shape": list(future.rain_rate.shape),
        "units": future.rain_rate.attrs["units"],
        "service": future.attrs["service"],
        "product": future.attrs["product"],
        "first": str(times[0]),
        "last": str(times[-1]),
    }


def _write_radar(options, maps, future):
    """Writes rates as numbers, with or without times and places, or as pictures behind the maps that were seen."""
    import numpy as np

    from mslstm_keras.figures.rain import rain_forecast_figure
    from mslstm_keras.frames.maps import SUFFIXES, write_maps
    from mslstm_keras.frames.write import write_clip
    from mslstm_keras.zoo.loading import name_of

    path = options.output
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        write_maps(path, future)
    elif suffix == ".npy":
        write_clip(path, future.rain_rate.values[..., np.newaxis])
    else:
        title = f"{future.attrs['service']} {future.attrs['product']}, forecast by {name_of(options.model)}"
        rain_forecast_figure(maps.rain_rate, future.rain_rate, path, title=title)


def _demo(options):
    from mslstm_keras.forecasting.demo import MODEL as NAME
    from mslstm_keras.forecasting.demo import demo
    from mslstm_keras.zoo.card import score_table
    from mslstm_keras.zoo.loading import load_pretrained

    def lines():
        yield f"{scores['clips']} clips, forecast frames"
        yield from score_table({NAME: scores["model"], "persistence": scores["persistence"]})
        yield f"Wrote {options.output / 'demo.png'} and demo.gif"

    scores = demo(load_pretrained(NAME, options.zoo), options.output)
    show(options, scores, lines)


def _models(options):
    from mslstm_keras.models.names import MODELS

    show(options, MODELS, lambda: MODELS)


def _cost(options):
    from mslstm_keras.cost.account import cost_table, count_cost
    from mslstm_keras.cost.published import DATA_SETS, find_data_set

    if options.frame and None in (options.context, options.forecast):
        raise ValueError(
            "`--context` and `--forecast` must come with `--frame`. Received: "
            f"context={options.context}, forecast={options.forecast}"
        )
    if options.frame:
        frames = options.frame, options.context, options.forecast
        names: Iterable[str] = [name for data_set in DATA_SETS.values() for name in data_set.table]
    else:
        data_set = find_data_set(options.dataset)
        frames = data_set.frame_shape, data_set.context_frames, data_set.forecast_frames
        names = data_set.table
    costs = [
        count_cost(name, *frames, options.filters, options.batch_size, measure=options.measure)
        for name in dict.fromkeys(options.models or names)
    ]
    show(options, [each.to_dict() for each in costs], lambda: cost_table(costs))


def _convert(options):
    from mslstm_keras.export.convert import convert, read_checkpoint

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
