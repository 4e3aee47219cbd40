"""Commands that forecast: demo, forecast."""

import json
from pathlib import Path

from mslstm_keras.cli.arguments import (
    CLIP,
    MODEL,
    Commands,
    add_command,
    add_fitting,
    add_range,
    add_zoo,
    show,
)


def add_commands(commands: Commands) -> None:
    """Adds the parsers of these commands."""
    command = add_command(
        commands, "demo", _demo, "forecast embedded digits with the zoo's model", "mslstm demo"
    )
    command.add_argument("--output", type=Path, default=Path("."), help="folder for demo.png and demo.gif")
    add_zoo(command)

    _add_forecast_command(commands)


def _add_forecast_command(commands):
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
        help=".npy, .nc or .zarr (numbers; of radar maps .tif, too), .gif or .png (film strip; of radar maps a sheet, "
        "and .mp4, too), "
        "- for facts alone, as JSON",
    )
    add_zoo(command)


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
    from mslstm_keras.forecasting.forecaster import forecast
    from mslstm_keras.forecasting.maps import warn_of_other_data
    from mslstm_keras.forecasting.output import check_output
    from mslstm_keras.models.rollout import Rollout, find_layer
    from mslstm_keras.radar.read import read_radar
    from mslstm_keras.radar.resizing import resize_maps
    from mslstm_keras.zoo.loading import data_of, name_of

    if str(options.output) != "-":
        check_output(options.output)  # before the forecast
    maps = read_radar(options.input, fill_gaps=options.fill_gaps, product=options.product)
    if options.crop is not None:
        top, bottom, left, right = options.crop
        height, width = maps.rain_rate.shape[1:]
        if bottom > height or right > width:
            raise ValueError(
                f"`crop` must lie within the maps, (height, width) {(height, width)}. Received: crop={options.crop}"
            )
        maps = maps.isel(y=slice(top, bottom), x=slice(left, right))
    if options.size is not None:
        maps = resize_maps(maps, *options.size)
    data = data_of(options.model, options.zoo)
    warn_of_other_data(maps, data, name_of(options.model))
    scale = options.range or data.scale
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
    from mslstm_keras.forecasting.output import write_forecast
    from mslstm_keras.zoo.loading import name_of

    title = f"{future.attrs['service']} {future.attrs['product']}, forecast by {name_of(options.model)}"
    write_forecast(options.output, maps, future, title)


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
