"""Commands that forecast: demo, forecast."""

import contextlib
import json
import signal
import time
import warnings
from pathlib import Path

from mslstm_keras.cli.arguments import (
    CLIP,
    MODEL,
    Commands,
    add_command,
    add_fitting,
    add_imports,
    add_range,
    add_zoo,
    one_line,
    say,
    show,
    suggest,
    words_of,
)
from mslstm_keras.cli.completion import any_of, completed, file_names, zoo_names
from mslstm_keras.cli.progress import Progress


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
    completed(command.add_argument("--model", required=True, help=MODEL), any_of(zoo_names, file_names))
    given = command.add_mutually_exclusive_group(required=True)
    given.add_argument("--input", type=Path, help=CLIP)
    given.add_argument(
        "--watch",
        type=Path,
        metavar="FOLDER",
        help="folder that radar maps come into: a forecast from each newest one, until Ctrl-C",
    )
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
        help=".npy, .nc or .zarr (numbers; of radar maps .tif, too), .gif, .mp4 or .png (film strip; of radar maps a "
        "sheet), .html (a page with a slider), - for facts alone, as JSON; of --watch a folder, for forecasts named by "
        "the time of the last map, such as 20100826T0215Z.nc",
    )
    watching = command.add_argument_group(
        "with --watch",
        "such as: mslstm forecast --model runs/radar --watch maps/ --output forecasts/ --kind png",
    )
    # Without it they are refused, so none has a default here.
    watching.add_argument("--kind", help="kind of the forecasts: a suffix of --output (default: nc)")
    watching.add_argument(
        "--every-seconds",
        type=float,
        metavar="SECONDS",
        help="time from one look into the folder to the next (default: 5)",
    )
    watching.add_argument(
        "--carry-states",
        action="store_true",
        default=None,
        help="carry the model's states on from map to map: faster, and another forecast than of the context alone",
    )
    add_zoo(command)
    add_imports(command)


def _forecast(options):
    from mslstm_keras.forecasting.forecaster import forecast
    from mslstm_keras.forecasting.output import CLIP_SUFFIXES, check_output, write_clip_forecast
    from mslstm_keras.frames.read import read_clip, read_in_units
    from mslstm_keras.models.rollout import Rollout, find_layer
    from mslstm_keras.zoo.loading import load_model, name_of, scale_of

    if options.watch is None:
        for name in ("kind", "every_seconds", "carry_states"):
            if getattr(options, name) is not None:
                word = f"--{name.replace('_', '-')}"
                raise ValueError(
                    f"`{word}` must be left out without `--watch`. Received: {getattr(options, name)}"
                )
    model = load_model(options.model, options.zoo)
    if options.watch is not None:
        _watch(options, model)
        return
    if _is_radar(options):
        maps, future = _forecast_radar(options, model)
        facts = {"output": str(options.output), **_radar_facts(future)}
        _write(options, facts, lambda: _write_radar(options, options.output, maps, future))
        return
    if str(options.output) != "-":
        check_output(options.output, CLIP_SUFFIXES)  # before the forecast
    channels, scale = model.input_shape[-1], options.range
    fitting = {"size": options.size, "crop": options.crop, "colour_scale": options.colour_scale}
    with Progress(options, f"reading {options.input}"):
        if scale is not None:
            frames = read_clip(options.input, channels, scale=scale, **fitting)
        else:
            frames, scale = read_in_units(
                options.input, channels, scale_of(options.model, options.zoo), **fitting
            )
    with Progress(options, "forecasting") as progress:
        future = forecast(model, frames, options.horizon, progress=progress)
    facts = {
        "output": str(options.output),
        "frames": len(future),
        "shape": list(future.shape),
        "range": scale,
    }
    seen = frames[-find_layer(model, Rollout).context_frames :]
    name = name_of(options.model)
    told = {"Model": name, "Input": options.input.name}

    def write():
        write_clip_forecast(
            options.output, seen, future, f"Forecast by {name}", facts=told, value_scale=scale
        )

    _write(options, facts, write)


def _write(options, facts, write):
    """Writes a forecast, or prints its facts alone."""
    if str(options.output) == "-":
        print(json.dumps(facts))
        return
    with Progress(options, f"writing {options.output}"):
        write()
    frames, *size = facts["shape"]
    show(options, facts, lambda: [f"{options.output}: {frames} frames of {tuple(size)}"], remark=True)


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
    from mslstm_keras.zoo.loading import data_of, name_of

    if str(options.output) != "-":
        check_output(options.output)  # before the forecast
    with Progress(options, f"reading {options.input}"):
        maps = read_radar(options.input, fill_gaps=options.fill_gaps, product=options.product)
        maps = _fitted(options, maps)
    data = data_of(options.model, options.zoo)
    warn_of_other_data(maps, data, name_of(options.model))
    scale = options.range or data.scale
    seen = maps.isel(time=slice(-find_layer(model, Rollout).context_frames, None))
    with Progress(options, "forecasting") as progress:
        return seen, forecast(model, maps, options.horizon, scale=scale, progress=progress)


def _fitted(options, maps):
    """Returns the part of radar maps that is forecast."""
    from mslstm_keras.radar.resizing import resize_maps

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
    return maps


def _watch(options, model):
    """Writes a forecast from each newest map of a folder, and a line about it."""
    from mslstm_keras.files import remove_partial
    from mslstm_keras.forecasting.maps import warn_of_other_data
    from mslstm_keras.forecasting.output import check_output
    from mslstm_keras.forecasting.watch import watch
    from mslstm_keras.locks import claimed
    from mslstm_keras.zoo.loading import data_of, name_of

    folder, kind = options.output, options.kind or "nc"
    data, name = data_of(options.model, options.zoo), name_of(options.model)

    def place(when):
        moment = when.astype("datetime64[s]").item()
        return folder / f"{moment:{'%Y%m%dT%H%M%S' if moment.second else '%Y%m%dT%H%M'}}Z.{kind}"

    def fit(maps):
        maps = _fitted(options, maps)
        warn_of_other_data(maps, data, name)  # which is said once, as all that is said of every map
        return maps

    check_output(folder / f"forecast.{kind}")
    if str(folder) == "-" or folder.resolve().is_relative_to(options.watch.resolve()):
        raise ValueError(f"`--output` must be a folder outside of the watched one. Received: {folder}")
    if options.colour_scale is not None:
        raise ValueError(
            f"`--colour-scale` must be left out for radar maps. Received: {options.colour_scale}"
        )
    found = watch(
        model,
        options.watch,
        horizon=options.horizon,
        scale=options.range or data.scale,
        fill_gaps=options.fill_gaps,
        product=options.product,
        carry_states=bool(options.carry_states),
        every_seconds=5.0 if options.every_seconds is None else options.every_seconds,
        fit=fit,
        is_made=lambda when: place(when).exists(),
    )
    with _ended_by_sigterm(), claimed(folder, "--output"):
        remove_partial(folder)  # with the lock held, nobody is writing it any more
        for new in found:
            start, last = time.monotonic(), new.maps.time.values[-1]
            output = place(last)
            try:
                folder.mkdir(parents=True, exist_ok=True)  # it may have gone
                _write_radar(options, output, new.maps, new.forecast)
            except OSError as error:
                warnings.warn(f"the forecast is lost: {one_line(error)}", stacklevel=1)
                continue
            _show_new(options, output, last, new, new.seconds + time.monotonic() - start)


def _show_new(options, output, last, new, seconds):
    """Prints a line about a forecast, at once."""
    age = time.time() - last.astype("datetime64[ms]").astype(int) / 1000
    facts = {
        "time": f"{last.astype('datetime64[s]')}Z",
        "output": str(output),
        "seconds": round(seconds, 3),
        "age_seconds": round(age, 1),
        **_radar_facts(new.forecast),
    }
    unit, length = next(
        (unit for unit in (("days", 86400), ("h", 3600), ("min", 60)) if abs(age) >= 2 * unit[1]), ("s", 1)
    )
    line = f"{facts['time']}: {output}, {seconds:.2f} s, the map is {age / length:.0f} {unit} old"
    if options.json:
        print(json.dumps(facts), flush=True)
    else:
        say(options, line)


@contextlib.contextmanager
def _ended_by_sigterm():
    """Within it SIGTERM, by which services are stopped, ends the command as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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


def _write_radar(options, output, maps, future):
    from mslstm_keras.forecasting.output import write_forecast
    from mslstm_keras.zoo.loading import name_of

    name = name_of(options.model)
    title = f"{future.attrs['service']} {future.attrs['product']}, forecast by {name}"
    write_forecast(output, maps, future, title, facts={"Model": name})


def _demo(options):
    from mslstm_keras.forecasting.demo import MODEL as NAME
    from mslstm_keras.forecasting.demo import demo
    from mslstm_keras.zoo.card import score_table
    from mslstm_keras.zoo.loading import load_pretrained

    def lines():
        yield f"{scores['clips']} clips, forecast frames"
        yield from score_table({NAME: scores["model"], "persistence": scores["persistence"]})
        if not options.quiet:
            yield f"Wrote {options.output / 'demo.png'} and demo.gif"

    model = load_pretrained(NAME, options.zoo)
    with Progress(options, "forecasting and scoring digits"):
        scores = demo(model, options.output)
    show(options, scores, lines)
    forecast = ["mslstm", "forecast", "--model", NAME, *words_of(options, "zoo")]
    suggest(options, [*forecast, "--input", "yourclip.gif", "--output", "forecast.gif"])
