"""Commands that train and score: train, evaluate, recipes."""

import argparse
import dataclasses
import json
import os
import re
import shlex
import sys
import threading
import warnings
from pathlib import Path

from mslstm_keras.cli.arguments import (
    DATA_DIR,
    MANUAL_DIR,
    MODEL,
    NAMED_RECIPE,
    Commands,
    add_command,
    add_imports,
    add_zoo,
    frame_size,
    load_models,
    named_models,
    one_line,
    output_file,
    say,
    setting,
    show,
    suggest,
    with_settings,
    words_of,
)
from mslstm_keras.cli.completion import any_of, completed, data_names, file_names, recipe_names, zoo_names
from mslstm_keras.cli.progress import Progress
from mslstm_keras.cli.scored import add_scored, refuse_others, warn_of_other_scales

SAMPLES = 2  # in a report
OF_DATASET = ("clips", "all_frames", "samples", "data_dir")
OF_INPUT = ("every", "product", "size", "match_rates")


def add_commands(commands: Commands) -> None:
    """Adds the parsers of these commands."""
    _add_train_command(commands)
    _add_evaluate_command(commands)
    command = add_command(
        commands, "recipes", _recipes, "list the recipes, or show one", "mslstm recipes optdigits_quick"
    )
    completed(
        command.add_argument("recipe", nargs="?", help=f"{NAMED_RECIPE}: show its fields and what they mean"),
        any_of(recipe_names, file_names),
    )


def _add_train_command(commands):
    command = add_command(
        commands,
        "train",
        _train,
        "train on clips of your own, or by a recipe",
        "mslstm train --data my_clips/ --context 8 --forecast 12",
        json=False,
    )
    completed(
        command.add_argument("recipe", nargs="?", help=f"{NAMED_RECIPE}; with --data none is needed"),
        any_of(recipe_names, file_names),
    )
    completed(
        command.add_argument(
            "--data",
            metavar="DATA",
            help="what to learn from: a folder of clips, which is prepared; a .npy file of uint8 clips; or a prepared "
            "data set. Frames, lengths and patches are found in it",
        ),
        any_of(data_names, file_names),
    )
    command.add_argument("--context", type=int, metavar="M", help="frames given (default: half of a clip)")
    command.add_argument(
        "--forecast", type=int, metavar="N", help="frames to forecast (default: the rest of a clip)"
    )
    command.add_argument(
        "--size",
        type=frame_size,
        metavar="HxW",
        help="with a folder as --data: size to bring frames to (default: as in the files)",
    )
    command.set_defaults(refuse=command.error)
    command.add_argument(
        "--run-dir", type=Path, help="folder of the run (default: runs/ and the name of recipe or data)"
    )
    add_imports(command)
    command.add_argument("--set", type=setting, action="append", metavar="FIELD=VALUE", help="change a field")
    command.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="train N times, with seeds that follow the recipe's, in folders seed-0, seed-1, ... of the run's",
    )
    command.add_argument(
        "--resume", action="store_true", help="go on with the run in the folder, by its own recipe"
    )
    completed(
        command.add_argument(
            "--initial", metavar="MODEL", help=f"start from the weights of this model: {MODEL}"
        ),
        any_of(zoo_names, file_names),
    )
    command.add_argument(
        "--devices",
        type=_devices,
        metavar="N",
        help="how many devices share every batch, or all; where there is no GPU the processor is cut into N devices, "
        "which shows what they do and is not faster",
    )
    command.add_argument(
        "--backend", choices=["tensorflow", "jax"], help="default: KERAS_BACKEND, or TensorFlow"
    )
    command.add_argument(
        "--hosts",
        type=lambda text: text.split(","),
        metavar="HOST:PORT,...",
        help="all hosts that share every batch, the same list on each, with --backend jax and a shared run folder",
    )
    command.add_argument("--rank", type=int, metavar="K", help="with --hosts: which of them this is, from 0")
    command.add_argument(
        "--end-with-input",
        action="store_true",
        help="end when standard input does, as it does when the process that started this one is gone",
    )
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    command.add_argument("--manual-dir", type=Path, help=MANUAL_DIR)


def _devices(text):
    if text != "all" and not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"must be a number or all. Received: {text!r}")
    return text if text == "all" else int(text)


def _add_evaluate_command(commands):
    command = add_command(
        commands,
        "evaluate",
        _evaluate,
        "score models on test clips or an archive of rain maps, beside baselines and the paper's figures",
        "mslstm evaluate --model ms_lstm_moving_mnist --dataset moving_mnist_clips/paper --output scores.json",
    )
    add_scored(
        command, "folder, archive or glob of radar maps: forecast from all of their times, on the whole grid"
    )
    command.add_argument("--clips", type=int, help="how many test clips (default: all)")
    command.add_argument(
        "--all-frames", action="store_true", default=None, help="count the predictions inside the context too"
    )
    command.add_argument(
        "--baselines",
        nargs="*",
        metavar="NAME",
        help="persistence (default), optical_flow (needs pysteps; with --input a default where it is installed)",
    )
    command.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="scores, such as mse mae ssim psnr gdl pixel_mse csi_2 fss_2_5 (default: those of the data set)",
    )
    command.add_argument(
        "--cost",
        action="store_true",
        help="also count parameters, multiply-accumulates and the memory of training, and measure a forecast in every "
        "runtime that is installed: Keras, SavedModel, ONNX Runtime, LiteRT, OpenVINO",
    )
    command.add_argument(
        "--every", type=int, metavar="N", help="with --input: start at every Nth map (default: 1)"
    )
    command.add_argument(
        "--match-rates",
        action="store_true",
        default=None,
        help="with --input: score the models' forecasts with the rates of the last map, by rank",
    )
    command.add_argument(
        "--thresholds",
        nargs="+",
        type=float,
        metavar="MM/H",
        help="of rain: rates of CSI, POD, FAR, HSS and FSS (default with --input: 0.5 1 5; else those of the data set)",
    )
    command.add_argument(
        "--scales",
        nargs="+",
        type=int,
        metavar="PIXELS",
        help="of rain: sides of the windows of the FSS (default with --input: 5 20; else no FSS)",
    )
    command.add_argument(
        "--product", help="with --input: part of a product's name, where there are maps of several"
    )
    command.add_argument(
        "--size",
        type=frame_size,
        metavar="HxW",
        help="with --input: size to bring the maps to, by means over areas (default: as in the files)",
    )
    command.add_argument(
        "--output",
        type=output_file(".json", ".csv"),
        nargs="+",
        default=[],
        help=".json and .csv files to write",
    )
    command.add_argument(
        "--report", type=output_file(".html"), help="report to write, one .html file with tables and pictures"
    )
    command.add_argument("--samples", type=int, help=f"test clips drawn in the report (default: {SAMPLES})")
    command.add_argument("--data-dir", type=Path, help=DATA_DIR)
    add_zoo(command)
    add_imports(command)


def _train(options):
    from mslstm_keras.training.devices import connect_hosts, set_threads, split_processor
    from mslstm_keras.training.fit import RECIPE, read_recipe, seed_folders, train, train_seeds

    if options.end_with_input:
        threading.Thread(target=_end_with_input, daemon=True).start()
    settings = _settings(options)
    named = _named_recipe(options)
    run = Path("runs", named.name) if options.run_dir is None else options.run_dir
    started = run if options.seeds is None else next(iter(seed_folders(run)), run)
    resumed = options.resume and (started / RECIPE).exists()
    if resumed:
        recipe = read_recipe(started)
        if recipe.name not in (named.name, settings.get("name")):
            raise ValueError(
                f"`recipe` must be that of the run, {recipe.name!r}, as {started / RECIPE} is. "
                f"Received: {named.name!r}"
            )
        # Nothing follows `steps`: the past of the run was trained by what it has.
        recipe = recipe.with_settings(settings)
    else:
        recipe = with_settings(options, named, settings)
    if (options.hosts is None) != (options.rank is None):
        raise ValueError(f"`--rank` must be given with `--hosts`. Received: rank={options.rank}")
    if options.hosts:
        connect_hosts(options.hosts, options.rank)
    elif isinstance(options.devices, int):
        split_processor(options.devices)
    elif recipe.fast and options.devices is None:
        set_threads(recipe.batch_size)
    sources = {
        # A bar for people, a line for each interval where a file takes it.
        "verbose": 0 if options.quiet else "auto" if sys.stdout.isatty() else 2,
        "resume": options.resume,
        "data_dir": options.data_dir,
        "manual_dir": options.manual_dir,
    }
    if options.data is not None:
        if Path(options.data).is_dir():
            if options.manual_dir is not None:
                raise ValueError(
                    f"`--manual-dir` must be left out with a folder as `--data`. Received: {options.manual_dir}"
                )
            sources["manual_dir"] = Path(options.data)  # a training looks whether its clips are still those
        elif resumed and recipe.data != options.data:
            raise ValueError(f"`--data` must be that of the run, {recipe.data}. Received: {options.data}")
        if not resumed:
            recipe = _recipe_of_data(options, recipe, settings)
    _warn_of_memory(recipe)
    _tell_of_bfloat16(options, recipe)
    if options.initial and not resumed:
        recipe, sources["initial"] = _initial(options.initial, recipe)
    try:
        if options.seeds is None:
            train(recipe, run, devices=options.devices, **sources)
        else:
            train_seeds(recipe, run, options.seeds, devices=options.devices, **sources)
    except Exception as error:
        if not options.hosts:
            raise
        _leave_hosts(error)
    say(options, f"{run}: {recipe.steps:,} steps, {recipe.steps * recipe.batch_size:,} clips")
    if not (options.quiet or options.rank):
        _suggest_use(options, recipe, run)


def _suggest_use(options, recipe, run):
    from mslstm_keras.data.catalogue import describe
    from mslstm_keras.training.fit import seed_folders

    folders = words_of(options, "data_dir")
    try:
        there = recipe.data.endswith(".npy") or describe(recipe.data, options.data_dir)["clips"]
    except ImportError:  # nothing reads prepared data here
        there = None
    if there is not None:
        if not there:  # it was trained on a stream
            sources = words_of(options, "data_dir", "manual_dir")
            suggest(options, ["mslstm", "data", "prepare", recipe.data, *sources])
        suggest(options, ["mslstm", "evaluate", "--model", run, "--dataset", recipe.data, *folders])
    one = run if options.seeds is None else seed_folders(run)[0]
    suggest(
        options,
        ["mslstm", "forecast", "--model", one, "--input", "yourclip.gif", "--output", "forecast.gif"],
    )


def _settings(options):
    """Returns the fields that are given as words of their own or by `--set`, as text."""
    words = {"context_frames": options.context, "forecast_frames": options.forecast}
    settings = dict(options.set or ())
    for name, value in words.items():
        if value is not None and settings.setdefault(name, str(value)) != str(value):
            raise ValueError(
                f"`{name}` must be given once. Received: {value} and --set {name}={settings[name]}"
            )
    return settings


def _named_recipe(options):
    """Returns the recipe of a name, or that of a first try, under a name that says which data it is for."""
    from mslstm_keras.data.own_clips import label_of
    from mslstm_keras.training.fit import read_recipe, seed_folders
    from mslstm_keras.training.recipes import FIRST_TRY, find_recipe

    if options.data is None:
        if options.recipe is None and options.resume and options.run_dir is not None:
            return read_recipe(next(iter(seed_folders(options.run_dir)), options.run_dir))
        if options.recipe is None:
            options.refuse(
                "give a recipe (`mslstm recipes` lists them), or --data: a folder of clips, a .npy file, a data set"
            )
        if options.size is not None:
            raise ValueError(f"`--size` must come with `--data FOLDER`. Received: size={options.size}")
        return find_recipe(options.recipe)
    label = label_of(options.data)
    if options.recipe is None:
        return dataclasses.replace(FIRST_TRY, name=label)
    recipe = find_recipe(options.recipe)
    return dataclasses.replace(recipe, name=f"{recipe.name}_{label}")


def _recipe_of_data(options, recipe, settings):
    """Returns the recipe with what the data tell, and says what that is."""
    from mslstm_keras.data.own_clips import find_clips
    from mslstm_keras.training.data_recipe import frames_wanted, recipe_of_clips

    given, named = {*settings}, options.recipe is not None
    if clash := {"data", "stream"} & given:
        raise ValueError(f"`--data` must not come with --set of the same. Received: --set {', '.join(clash)}")
    window, longest = frames_wanted(recipe, given, named=named)
    of_folder = {}
    if Path(options.data).is_dir():
        taken = {"scale": "range", "interval_minutes": "interval", "spacing_metres": "spacing"}
        of_folder = {field: settings[name] for name, field in taken.items() if name in given}
        if "frame_shape" in given:
            *size, channels = recipe.frame_shape
            of_folder |= {"size": json.dumps(size), "channels": str(channels)}
        given -= {*taken, "frame_shape"}
        if window is not None:
            of_folder["window"] = str(window)
    if options.size is not None:
        of_folder["size"] = json.dumps(options.size)
    clips = find_clips(
        options.data,
        options.data_dir,
        settings=of_folder,
        longest=longest,
        tell=lambda line: say(options, line),
    )
    recipe = recipe_of_clips(recipe, clips, given, named=named)
    say(options, _told(options.data, clips, recipe))
    return recipe


def _told(data, clips, recipe):
    """Returns a line on what was found in the data, and what a training makes of it."""
    height, width, channels = recipe.frame_shape
    facts = [recipe.quantity, recipe.scale and f"pixels 0 and 1 stand for {recipe.scale}"]
    if recipe.interval_minutes is not None:
        facts.append(f"{recipe.interval_minutes:g} minutes between frames")
    count = clips.train.count
    return "; ".join(
        [
            f"{data}: {_number(count + clips.held_out, 'clip')}, {height} x {width}, {_number(channels, 'channel')}",
            *filter(None, facts),
            f"{recipe.context_frames} frames given, {recipe.forecast_frames} forecast",
            f"{_number(count, 'clip')} to train, {clips.held_out:,} held out",
            f"patches of {recipe.patch_size}, {recipe.steps:,} steps of {recipe.batch_size}",
        ]
    )


def _number(count, noun):
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _leave_hosts(error):
    """Ends this process at once: in the ordinary way it would wait for hosts that are gone."""
    known = isinstance(error, (ValueError, OSError, FloatingPointError))
    rule = "" if known else "all hosts must stay until the end; start them again with --resume. Received: "
    print(f"mslstm: {rule}{one_line(error)}", file=sys.stderr, flush=True)
    os._exit(2)


def _initial(name, recipe):
    """Returns the recipe that names its initial weights, and the model that has them."""
    from mslstm_keras.zoo.loading import clips_seen, load_model

    model = load_model(name)
    return dataclasses.replace(recipe, initial=name, initial_clips=clips_seen(name)), model


def _end_with_input():
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)  # as if it had been killed: what it writes is whole or not there


def _warn_of_memory(recipe):
    import keras

    if keras.backend.backend() != "tensorflow":
        return  # it is TensorFlow's memory that can be foretold
    import psutil

    from mslstm_keras.cost.memory import training_memory
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


def _tell_of_bfloat16(options, recipe):
    """Says which dtype the processor is faster in, where the recipe has the other one."""
    from mslstm_keras.training.devices import native_bfloat16

    native = native_bfloat16()
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0" and not recipe.jit_compile  # it was measured with
    if native and onednn and recipe.dtype == "float32":
        say(
            options,
            "mslstm: this processor computes in bfloat16: --set dtype=mixed_bfloat16 takes about 0.6 of the time (the "
            "full MS-LSTM on such a processor: 4.2 s a step, not 7.1)",
        )
    if native is False and recipe.dtype.endswith("bfloat16"):
        warnings.warn(
            f"this processor does not compute in bfloat16: training in {recipe.dtype} is slower than in float32",
            stacklevel=2,
        )


def _evaluate(options):
    from mslstm_keras.evaluation.comparison import evaluation_csv, evaluation_table
    from mslstm_keras.evaluation.provenance import provenance
    from mslstm_keras.files import check_writable, replacing
    from mslstm_keras.zoo.loading import seeds_of

    refuse_others(options, OF_DATASET, OF_INPUT)
    if options.samples is not None and options.report is None:
        raise ValueError(f"`--samples` must come with `--report`. Received: {options.samples}")
    for path in filter(None, (*options.output, options.report)):
        check_writable(path)
    evaluation, samples = (_evaluate_clips if options.input is None else _hindcast)(options)
    evaluation["made"] = {"command": _command(options), **provenance()}
    evaluation["seeds"] = {
        label: seeds_of(name, options.zoo) for label, name in named_models(options).items()
    }
    texts = {
        # No number that JSON does not know: what is not a number is null.
        ".json": lambda: json.dumps(evaluation, indent=1, allow_nan=False) + "\n",
        ".csv": lambda: evaluation_csv(evaluation),
    }
    for path in options.output:
        with replacing(path) as temporary:
            temporary.write_text(texts[path.suffix](), encoding="utf-8")
    if options.report:
        from mslstm_keras.evaluation.report import write_report

        write_report(evaluation, options.report, samples=samples, command=_command(options))
    show(options, evaluation, lambda: evaluation_table(evaluation))
    if readable := [path for path in options.output if path.suffix == ".json"]:
        suggest(
            options,
            *(
                ["mslstm", "study", study, readable[0], "--output", readable[0].with_name(name)]
                for study, name in (("curves", "curves.png"), ("table", "table.md"))
            ),
        )


def _with_costs(options, evaluation, models):
    """Returns an evaluation with what the first model of each name costs, where that is asked for."""
    if not options.cost:
        return evaluation
    import keras

    from mslstm_keras.cost.account import model_cost
    from mslstm_keras.cost.memory import training_memory
    from mslstm_keras.export.runtimes import seconds_by_runtime

    found = {}
    for label, (model, *_) in models.items():
        with Progress(options, f"measuring {label} in every runtime") as progress:
            seconds = seconds_by_runtime(model, progress=progress)
        # It is told by a graph of TensorFlow.
        memory = training_memory(model, 1) if keras.backend.backend() == "tensorflow" else None
        found[label] = {**dataclasses.asdict(model_cost(model)), "memory": memory, "seconds": seconds}
    return {**evaluation, "cost": found}


def _evaluate_clips(options):
    """Returns an evaluation of test clips, and the samples of its report."""
    from mslstm_keras.data.splits import split_clips
    from mslstm_keras.evaluation.comparison import evaluate_models, sample_forecasts
    from mslstm_keras.evaluation.protocols import find_protocol

    clips = split_clips(options.dataset, "test", options.data_dir)
    models, protocol = load_models(options), find_protocol(options.dataset)
    code = protocol.rain_scale
    warn_of_other_scales(options, clips.scale or (code and f"rain:{code}"))
    with Progress(options, "scoring clips") as progress:
        evaluation = evaluate_models(
            models,
            clips,
            options.dataset,
            baselines=["persistence"] if options.baselines is None else options.baselines,
            metrics=options.metrics,
            thresholds=options.thresholds,
            scales=options.scales,
            count=options.clips,
            all_frames=bool(options.all_frames),
            progress=progress,
        )
    wanted = (SAMPLES if options.samples is None else options.samples) if options.report else 0
    samples = [
        {**sample_forecasts(models, clips, number), "rain_scale": protocol.scale}
        for number in range(min(wanted, evaluation["clips"]))
    ]
    return _with_costs(options, evaluation, models), samples


def _hindcast(options):
    """Returns an evaluation of forecasts from the times of an archive of radar maps, and no samples."""
    from mslstm_keras.forecasting.hindcast import hindcast
    from mslstm_keras.radar.read import read_radar
    from mslstm_keras.radar.resizing import resize_maps
    from mslstm_keras.zoo.loading import data_of

    maps = read_radar(options.input, product=options.product)
    if options.size is not None:
        maps = resize_maps(maps, *options.size)
    models = load_models(options)
    chosen = "every", "metrics", "thresholds", "scales", "baselines", "match_rates"
    given = {name: getattr(options, name) for name in chosen}
    data = {label: data_of(name, options.zoo) for label, name in named_models(options).items()}
    with Progress(options, "scoring forecasts by start time") as progress:
        evaluation = hindcast(
            models,
            maps,
            options.input,
            trained_on=data,
            progress=progress,
            **{name: value for name, value in given.items() if value is not None},
        )
    return _with_costs(options, evaluation, models), []


def _command(options):
    """Returns the command that makes the same evaluation again."""
    words = ["mslstm", "evaluate", "--model", *options.model]
    if options.size is not None:
        words += ["--size", "x".join(map(str, options.size))]
    for name in (
        "dataset",
        "input",
        "clips",
        "baselines",
        "every",
        "metrics",
        "thresholds",
        "scales",
        "product",
    ):
        if (value := getattr(options, name)) is not None:
            words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    words += map(str, words_of(options, "data_dir", "zoo"))
    for path in options.imports:
        words += ["--import", str(path)]
    for name in ("all_frames", "match_rates", "cost"):
        words += [f"--{name.replace('_', '-')}"] * bool(getattr(options, name))
    return shlex.join(words)


def _recipes(options):
    from mslstm_keras.training.recipes import RECIPES, Recipe, field_meanings, find_recipe

    if options.recipe is None:
        fields = {name: recipe.to_dict() for name, recipe in RECIPES.items()}
        show(
            options,
            fields,
            lambda: (f"{name:<32}{recipe.model} on {recipe.data}" for name, recipe in RECIPES.items()),
        )
        return
    recipe = find_recipe(options.recipe)
    values, defaults = recipe.to_dict(), Recipe(recipe.name).to_dict()
    facts = {
        name: {"value": values[name], "default": defaults[name], "meaning": meaning}
        for name, meaning in field_meanings().items()
    }
    show(options, facts, lambda: _field_lines(facts))


def _field_lines(facts):
    yield "* is not the default, which stands behind it; `mslstm train` takes --set FIELD=VALUE"
    for name, fact in facts.items():
        value, default = (
            fact[key] if isinstance(fact[key], str) else json.dumps(fact[key]) for key in ("value", "default")
        )
        mark, behind = (" ", "") if value == default else ("*", f"  (default: {default})")
        yield f"{mark} {name} = {value}{behind}"
        yield f"      {fact['meaning']}"
