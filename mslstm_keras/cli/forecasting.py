"""Commands that forecast: demo, forecast."""

import functools
import json
import os
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
    named_models,
    one_line,
    place,
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
    completed(
        command.add_argument(
            "--model",
            required=True,
            nargs="+",
            help=f"{MODEL}; several, or a folder of several seeds, are an ensemble",
        ),
        any_of(zoo_names, file_names),
    )
    given = command.add_mutually_exclusive_group(required=True)
    given.add_argument("--input", type=place, help=CLIP)
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
        help="for pictures in the colours of a scale: .csv of rows #rrggbb,value with values in [0, 1], or in the "
        "units of --range",
    )
    command.add_argument(
        "--fill-gaps",
        type=int,
        default=0,
        metavar="N",
        help="radar maps in a row that may be interpolated, 0 to 2",
    )
    command.add_argument("--product", help="part of the name of the radar product, where there are several")
    command.add_argument(
        "--match-rates",
        action="store_true",
        default=None,
        help="of radar maps: give the forecast the rates of the last map, by rank, so that heavy rain does not fade",
    )
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
    ensemble = command.add_argument_group(
        "ensembles and probabilities",
        "written as .npy, .nc, .zarr, .png or -, such as: "
        "mslstm forecast --model ms_lstm_radar --input maps/ --members 8 --threshold 1 5 10 --output future.nc",
    )
    ensemble.add_argument(
        "--members",
        type=int,
        metavar="N",
        help="members of one model, perturbed with noise like its own errors",
    )
    ensemble.add_argument("--seed", type=int, help="of the noise of --members (default: 0)")
    ensemble.add_argument(
        "--threshold",
        type=float,
        nargs="+",
        metavar="VALUE",
        help="what the forecast may reach, for its probability: of radar maps in mm/h, else in the units of --range or "
        "in [0, 1]",
    )
    ensemble.add_argument(
        "--neighbourhood",
        type=int,
        metavar="SIDE",
        help="probabilities of one forecast: shares of the pixels in a window of so many a side",
    )
    ensemble.add_argument(
        "--calibration",
        type=Path,
        metavar="SCORES.json",
        help="what `mslstm study probabilities --output` wrote of events of the kind: in place of a probability stands "
        "how often such a one came true there",
    )
    add_zoo(command)
    add_imports(command)


def _forecast(options):
    from mslstm_keras.zoo.loading import load_model, load_runs

    _check_forecast(options)
    if options.watch is not None:
        _watch(options, load_model(options.model[0], options.zoo))
        return
    models = [model for name in options.model for model in load_runs(name, options.zoo)]
    if len(models) > 1 or options.members is not None or options.neighbourhood is not None:
        _forecast_probabilities(options, models)
    elif options.threshold is not None:
        raise ValueError(
            "`--threshold` must come with `--members`, `--neighbourhood` or several models. "
            f"Received: one forecast, --threshold {_words(options.threshold)}"
        )
    elif _is_radar(options):
        _forecast_radar(options, *models)
    else:
        _forecast_clip(options, *models)


def _check_forecast(options):
    """Makes sure that options which mean nothing without others, or beside others, are not given."""
    from mslstm_keras.files import check_writable
    from mslstm_keras.formats.arrays import split_data_set

    for name in ("kind", "every_seconds", "carry_states"):
        if options.watch is None and getattr(options, name) is not None:
            word = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"`{word}` must be left out without `--watch`. Received: {getattr(options, name)}"
            )
    for name in ("members", "threshold", "neighbourhood", "seed", "calibration"):
        value = getattr(options, name)
        if options.watch is not None and value is not None:
            raise ValueError(
                f"`--{name}` must be left out with `--watch`, which gives one forecast. Received: {_words(value)}"
            )
    if options.watch is None and str(options.output) != "-":
        read = split_data_set(options.input)[0]
        if read.exists() and _inside(options.output, read):
            raise ValueError(
                "`--output` must be another file than `--input`, and outside of it, where the next forecast would read "
                f"it. Received: {options.output}"
            )
        check_writable(options.output)
    if options.watch is not None and len(options.model) > 1:
        raise ValueError(f"`--watch` must have one `--model`. Received: {' '.join(options.model)}")
    if options.seed is not None and options.members is None:
        raise ValueError(f"`--seed` must be left out without `--members`. Received: {options.seed}")
    for name in ("neighbourhood", "calibration"):
        value = getattr(options, name)
        if value is not None and options.threshold is None:
            raise ValueError(f"`--{name}` must come with `--threshold`. Received: --{name} {value}")


def _inside(path, folder):
    """Returns whether a path is a folder, or in it, whatever links lead there."""
    # `Path.resolve` ends in a RuntimeError where links go in a circle.
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _words(value):
    values = value if isinstance(value, list) else [value]
    return " ".join(f"{each:g}" if isinstance(each, (int, float)) else str(each) for each in values)


def _forecast_clip(options, model):
    from mslstm_keras.forecasting.forecaster import forecast
    from mslstm_keras.forecasting.output import CLIP_SUFFIXES, check_output, write_clip_forecast

    if str(options.output) != "-":
        check_output(options.output, CLIP_SUFFIXES)  # before the forecast
    clip = _read_clip(options, model)
    with Progress(options, "forecasting") as progress:
        future = forecast(model, clip.frames, options.horizon, progress=progress)
    name = _called(options)
    told = {"Model": name, "Input": options.input.name}

    def write():
        write_clip_forecast(
            options.output,
            _seen(model, clip.frames),
            future,
            f"Forecast by {name}",
            facts=told,
            value_scale=clip.scale,
            labels=clip.labels,
        )

    _write(options, _clip_facts(options, future, clip.scale), write)


def _clip_facts(options, future, scale):
    return {
        "output": str(options.output),
        "frames": len(future),
        "shape": list(future.shape),
        "range": scale,
    }


def _read_clip(options, model):
    """Returns the frames of a clip, how they stand for numbers in units, and their labels."""
    from mslstm_keras.forecasting.maps import warn_of_other_labels
    from mslstm_keras.frames.read import read_labelled
    from mslstm_keras.zoo.loading import data_of, name_of, scale_of

    for word, value in (
        ("--fill-gaps", options.fill_gaps or None),
        ("--product", options.product),
        ("--match-rates", options.match_rates),
    ):
        if value is not None:
            raise ValueError(
                f"`{word}` must be left out of what is no folder, archive or file of radar maps. Received: {value}"
            )
    fitting = {"size": options.size, "crop": options.crop, "colour_scale": options.colour_scale}
    scales = {"scale": options.range, "data_scale": scale_of(options.model[0], options.zoo)}
    with Progress(options, f"reading {options.input}"):
        clip = read_labelled(options.input, model.input_shape[-1], **scales, **fitting)
    if clip.labels is not None:
        data = data_of(options.model[0], options.zoo)
        warn_of_other_labels(clip.labels, clip.frames.shape[1:3], data, name_of(options.model[0]))
    return clip


def _seen(model, frames):
    """Returns the frames of a clip that a model sees."""
    from mslstm_keras.models.rollout import Rollout, find_layer

    return frames[-find_layer(model, Rollout).context_frames :]


def _called(options):
    """Returns what pictures and files call the model, or the models."""
    from mslstm_keras.zoo.loading import name_of

    return ", ".join(name_of(each) for each in options.model)


def _forecast_probabilities(options, models):
    """Forecasts an ensemble, or the neighbourhood probabilities of one forecast."""
    from mslstm_keras.ensembles.calibration import units_of
    from mslstm_keras.ensembles.output import (
        check_ensemble_output,
        members_as_maps,
        probability_maps,
        write_probabilities,
    )

    if options.neighbourhood is not None and (len(models) > 1 or options.members is not None):
        raise ValueError(
            f"`--neighbourhood` must be left out of an ensemble. Received: {options.neighbourhood}"
        )
    if options.match_rates:
        raise ValueError(
            "`--match-rates` must be left out of ensembles and probabilities. Received: --match-rates"
        )
    if options.threshold is not None and sorted(set(options.threshold)) != options.threshold:
        raise ValueError(f"`--threshold` must be values that rise. Received: {_words(options.threshold)}")
    check_ensemble_output(options.output)
    title, source = _ensemble_words(options, models)
    described = {"source": source, "neighbourhood": options.neighbourhood}
    thresholds = options.threshold or []
    recalibration = _recalibration(options, models)
    if _is_radar(options):
        seen, scale = _read_maps(options, models[0])
        units, minutes = seen.rain_rate.attrs["units"], seen.attrs.get("interval_minutes")
        described["recalibrate"] = recalibration(units, minutes)
        maps = probability_maps(_run(options, models, seen, scale), thresholds, **described)
        scale = labels = None
        facts = {"output": str(options.output), **_radar_facts(maps)}
        title = f"{maps.attrs['service']} {maps.attrs['product']}, {title}"
    else:
        clip = _read_clip(options, models[0])
        scale, labels = clip.scale, clip.labels
        described["recalibrate"] = recalibration(units_of(scale), None)
        future = _run(options, models, clip.frames)
        seen = _seen(models[0], clip.frames)
        facts = _clip_facts(options, future if options.neighbourhood else future[0], scale)
        maps = probability_maps(members_as_maps(future, scale, labels), thresholds, **described)
    facts |= _probability_facts(maps)
    _write(
        options,
        facts,
        lambda: write_probabilities(options.output, seen, maps, title, scale=scale, labels=labels),
    )


def _recalibration(options, models):
    """Returns a function of units and minutes that checks `--calibration`, and returns what applies it, or None."""
    from mslstm_keras.ensembles.calibration import Calibration
    from mslstm_keras.ensembles.labels import of_members, of_neighbourhood, of_seeds
    from mslstm_keras.models.rollout import Rollout, find_layer

    if options.calibration is None:
        return lambda units, minutes: None
    calibration, (name, *others) = Calibration.read(options.calibration), named_models(options)
    if others:
        raise ValueError(
            "`--calibration` must come with one `--model`, which may be a folder of several seeds. "
            f"Received: {' '.join(options.model)}"
        )
    if options.neighbourhood is not None:
        label = of_neighbourhood(name, options.neighbourhood)
    elif options.members is not None:
        label = of_members(name, options.members)
    else:
        label = of_seeds(name, len(models))
    leads = options.horizon or find_layer(models[0], Rollout).forecast_frames

    def checked(units, minutes):
        calibration.check(label, options.threshold, leads, units=units, interval=minutes)
        return functools.partial(calibration.apply, label)

    return checked


def _run(options, models, frames, scale=None):
    """Returns the members of an ensemble, or the one forecast whose neighbourhoods are asked for."""
    from mslstm_keras.ensembles.members import ensemble_forecast
    from mslstm_keras.forecasting.forecaster import forecast

    with Progress(options, "forecasting") as progress:
        if options.neighbourhood is not None:
            return forecast(models[0], frames, options.horizon, scale=scale, progress=progress)
        drawn = {"members": options.members, "seed": options.seed or 0}
        return ensemble_forecast(models, frames, options.horizon, scale=scale, progress=progress, **drawn)


def _ensemble_words(options, models):
    """Returns the heading of an ensemble, and how its members were made."""
    name = _called(options)
    if options.neighbourhood is not None:
        side = f"{options.neighbourhood} x {options.neighbourhood}"
        return (
            f"forecast by {name}, {side} pixels",
            f"one forecast by {name}, neighbourhoods of {side} pixels",
        )
    if options.members is not None:
        noise = f"perturbed with noise like its errors within the context, seed {options.seed or 0}"
        return f"{options.members} members of {name}", f"{options.members} members of {name}, {noise}"
    return f"{len(models)} models, {name}", f"one member of each of {len(models)} models, {name}"


def _probability_facts(maps):
    """Returns the number of members, the thresholds, and the greatest probability of each."""
    found = [each for name, each in maps.data_vars.items() if str(name).startswith("probability_of_")]
    values = found[0].threshold.values.tolist() if found else []
    greatest = found[0].max([dim for dim in found[0].dims if dim != "threshold"]).values if found else []
    return {
        "members": maps.sizes.get("realization", 1),
        "thresholds": values,
        "greatest_probability": [None if each != each else round(float(each), 6) for each in greatest],
    }


def _write(options, facts, write):
    """Writes a forecast, or prints its facts alone."""
    if str(options.output) == "-":
        print(json.dumps(facts))
        return
    with Progress(options, f"writing {options.output}"):
        write()
    frames, *size = facts["shape"]
    members = f", {facts['members']} members" if facts.get("members", 1) > 1 else ""
    show(
        options, facts, lambda: [f"{options.output}: {frames} frames of {tuple(size)}{members}"], remark=True
    )


def _is_radar(options):
    from mslstm_keras.radar.detection import holds_radar_maps

    return options.colour_scale is None and holds_radar_maps(options.input)


def _forecast_radar(options, model):
    from mslstm_keras.forecasting.forecaster import forecast
    from mslstm_keras.forecasting.output import check_output

    if str(options.output) != "-":
        check_output(options.output)  # before the forecast
    seen, scale = _read_maps(options, model)
    with Progress(options, "forecasting") as progress:
        future = forecast(model, seen, options.horizon, scale=scale, progress=progress)
    future = _matched(options, future, seen)
    facts = {"output": str(options.output), **_radar_facts(future)}
    _write(options, facts, lambda: _write_radar(options, options.output, seen, future))


def _matched(options, future, maps):
    """Returns a forecast with the rates of the last map that it goes on from, where they are asked for."""
    from mslstm_keras.forecasting.matching import match_rates

    return match_rates(future, maps) if options.match_rates else future


def _read_maps(options, model):
    """Returns the radar maps that a model sees, on the grid of the forecast, and how its pixels stand for mm/h."""
    from mslstm_keras.forecasting.maps import warn_of_other_data
    from mslstm_keras.models.rollout import Rollout, find_layer
    from mslstm_keras.radar.read import read_radar
    from mslstm_keras.zoo.loading import data_of, name_of

    data = data_of(options.model[0], options.zoo)
    scale = _rain_scale(options, data)
    with Progress(options, f"reading {options.input}"):
        maps = read_radar(options.input, fill_gaps=options.fill_gaps, product=options.product)
        maps = _fitted(options, maps)
    warn_of_other_data(maps, data, name_of(options.model[0]))
    context = find_layer(model, Rollout).context_frames
    return maps.isel(time=slice(-context, None)), scale


def _rain_scale(options, data):
    """Returns how pixels stand for rain rates: by `--range`, else as in the model's data."""
    from mslstm_keras.frames.scales import parse_scale, scale_of_units

    if options.range is None:
        return data.scale
    units = parse_scale(options.range).units
    if units and scale_of_units(units) is None:
        raise ValueError(
            f"`--range` must be in mm/h for radar maps, which are read as rain rates. Received: {options.range}"
        )
    return options.range


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
    data, name = data_of(options.model[0], options.zoo), name_of(options.model[0])

    def place(when):
        moment = when.astype("datetime64[s]").item()
        return folder / f"{moment:{'%Y%m%dT%H%M%S' if moment.second else '%Y%m%dT%H%M'}}Z.{kind}"

    def fit(maps):
        maps = _fitted(options, maps)
        warn_of_other_data(maps, data, name)  # which is said once, as all that is said of every map
        return maps

    check_output(folder / f"forecast.{kind}")
    if str(folder) == "-" or _inside(folder, options.watch):
        raise ValueError(f"`--output` must be a folder outside of the watched one. Received: {folder}")
    if options.colour_scale is not None:
        raise ValueError(
            f"`--colour-scale` must be left out for radar maps. Received: {options.colour_scale}"
        )
    found = watch(
        model,
        options.watch,
        horizon=options.horizon,
        scale=_rain_scale(options, data),
        fill_gaps=options.fill_gaps,
        product=options.product,
        carry_states=bool(options.carry_states),
        every_seconds=5.0 if options.every_seconds is None else options.every_seconds,
        fit=fit,
        is_made=lambda when: place(when).exists(),
    )
    with claimed(folder, "--output"):
        remove_partial(folder)  # with the lock held, nobody is writing it any more
        for new in found:
            start, last = time.monotonic(), new.maps.time.values[-1]
            output = place(last)
            try:
                folder.mkdir(parents=True, exist_ok=True)  # it may have gone
                _write_radar(options, output, new.maps, _matched(options, new.forecast, new.maps))
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

    name = _called(options)
    title = f"{future.attrs['service']} {future.attrs['product']}, forecast by {name}"
    title += ", with the rates of the last map" if options.match_rates else ""
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
