"""What half precision changes: forecasts near and far, and gradients, beside those of single precision.

A network is run with the same weights and frames under each policy, once as it is, with memories in single precision,
and once with all its states in half precision.
"""

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from unittest import mock

import numpy as np

from benchmarks import command
from benchmarks.measure import Sample, progress
from benchmarks.report import Report, draw_curves
from benchmarks.workload import Workload

SINGLE = "float32"
POLICIES = ("mixed_float16", "mixed_bfloat16")
MEMORIES = ("single", "half")
LARGEST_SCALE = 2.0**15  # Keras' first loss scale
NOTES = (
    "Deviations of the forecast h frames behind the context: the largest of a pixel, by the largest value of the "
    "forecast in single precision. Gradients: the root mean square of a tensor's deviations by its own, of the worst "
    "and of the median tensor, at the largest loss scale of at most 2^15 that leaves them finite.",
    "Medians over as many weights and clips as there are repetitions; of a trained model over clips.",
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this benchmark."""
    parser = command.make_parser(
        "precision",
        "Deviations of forecasts and gradients in half precision from those in single precision.",
        "--models conv_lstm --side 16 --filters 4 --layers 3 --horizon 10 50 --json precision.json",
        repetitions=2,
    )
    sizes = {"batch_size": 2, "side": 16, "filters": 8, "layers": 3}
    command.add_workload(parser, models=["ms_lstm"], dtype=SINGLE, **sizes)
    command.add_names(parser, "policies", POLICIES, POLICIES, "Keras dtype policies")
    command.add_names(parser, "memories", MEMORIES, MEMORIES, "precision of what adds up over the steps")
    parser.add_argument(
        "--horizon",
        type=command.positive,
        nargs="+",
        default=[10, 100],
        metavar="H",
        help="frames behind the context at which forecasts are compared (default: 10 100)",
    )
    parser.add_argument(
        "--zoo",
        nargs="+",
        default=[],
        metavar="NAME",
        help="trained models of the zoo, in place of --models and sizes; clips are those of their data's generator",
    )
    parser.add_argument(
        "--data",
        default="moving_mnist_clips/optdigits",
        help="generator of the clips that trained models are given (default: %(default)s)",
    )
    return parser


def measure(options: argparse.Namespace) -> Report:
    """Measures what the options ask for."""
    report = Report("precision", notes=list(NOTES), columns=2)
    horizons = sorted(set(options.horizon))
    workloads = (
        _trained(options) if options.zoo else {each.model: each for each in command.workloads(options)}
    )
    rows = report.tables[f"deviations from {SINGLE}"] = []
    for name, workload in workloads.items():
        progress(str(workload))
        cases = [(policy, memories) for policy in options.policies for memories in options.memories]
        found = {case: [] for case in cases}
        for seed in range(options.repetitions):
            clips = _clips(workload, seed, options.data if options.zoo else None)
            weights = name if options.zoo else seed
            reference = _outputs(workload, weights, clips, horizons)
            for policy, memories in cases:
                with _memories(memories):
                    halved = dataclasses.replace(workload, dtype=policy)
                    outputs = _outputs(halved, weights, clips, horizons)
                found[policy, memories].append(_deviations(outputs, reference))
        for (policy, memories), seeds in found.items():
            keys = list(seeds[0])
            entry = {key: Sample(tuple(seed[key] for seed in seeds)) for key in keys}
            report.results.append(
                {
                    "workload": dataclasses.replace(workload, dtype=policy).to_dict(),
                    "name": name,
                    "memories": memories,
                    **{key: sample.to_dict() for key, sample in entry.items()},
                }
            )
            shown = {key: f"{sample.median:.2g}" for key, sample in entry.items()}
            rows.append({"model": name, "policy": policy, "memories": memories, **shown})
        report.drawings.append(_drawing(name, found, horizons))
    return report


def _trained(options):
    """Returns name -> workload of the trained models."""
    from mslstm_keras.zoo.index import find_pretrained

    found = {}
    for name in options.zoo:
        recipe = find_pretrained(name).recipe
        fields = {
            field.name: getattr(recipe, field.name)
            for field in dataclasses.fields(Workload)
            if field.name not in ("side", "channels", "batch_size", "jit_compile", "threads", "dtype")
        }
        height, _, channels = recipe.frame_shape
        found[name] = Workload(batch_size=options.batch_size, side=height, channels=channels, **fields)
    return found


def _clips(workload, seed, data):
    frames = workload.context_frames + workload.forecast_frames
    if data is None:
        return np.random.default_rng(seed).random(workload.clips_shape(frames), "float32")
    from mslstm_keras.data.streams import stream_clips

    return stream_clips(data, seed).frames(np.arange(workload.batch_size))[:, :frames]


@contextlib.contextmanager
def _memories(precision: str) -> Iterator[None]:
    """Within it, networks are built whose memories have this precision."""
    from mslstm_keras import SpatiotemporalCell

    if precision == "single":
        yield
        return
    halves = property(lambda cell: [cell.compute_dtype] * len(cell.state_names))
    with mock.patch.object(SpatiotemporalCell, "state_dtypes", halves):
        yield


def _outputs(workload, weights, clips, horizons):
    """Returns forecasts of the frames at the horizons, gradients by weight and the loss scale."""
    import keras
    import tensorflow as tf

    import mslstm_keras as ms
    from benchmarks.networks import create
    from mslstm_keras.models.rollout import find_layer

    model = create(workload, "plain")
    if isinstance(weights, str):
        model.set_weights(ms.load_pretrained(weights).get_weights())
    else:
        random = np.random.default_rng(weights)
        for variable in model.trainable_variables:
            fan_in = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 1
            variable.assign(random.normal(scale=1 / np.sqrt(fan_in), size=variable.shape))
    cell = find_layer(model, ms.Rollout).cell
    step = tf.function(lambda frame, states: cell.step([frame, *states]))

    def run(count, truth):
        prediction, *states = cell.get_initial_state(len(clips))
        for time in range(count):
            frame = clips[:, time] if time < truth else prediction
            prediction, *states = step(tf.cast(frame, cell.compute_dtype), states)
            yield prediction, states

    context = workload.context_frames
    predictions = [prediction for prediction, _ in run(context + max(horizons) - 1, context)]
    forecasts = {horizon: _single(predictions[context + horizon - 2]) for horizon in horizons}
    scale = LARGEST_SCALE if cell.compute_dtype == "float16" else 1.0
    while True:
        with tf.GradientTape() as tape:
            steps = list(run(workload.steps, context))
            predictions = tf.stack([prediction for prediction, _ in steps], axis=1)
            loss = ms.FrameL1L2()(clips[:, 1:], predictions)
            if cell.step.inputs[-1].name == "penalty":
                loss += tf.reduce_mean(steps[-1][1][-1]) / workload.steps
            loss *= scale
        gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        if scale <= 1 or all(np.all(np.isfinite(gradient)) for gradient in gradients):
            break
        scale /= 2
    gradients = [keras.ops.convert_to_numpy(gradient) / scale for gradient in gradients]
    return forecasts, gradients, scale


def _single(tensor):
    import keras

    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, SINGLE))


def _deviations(outputs, reference):
    forecasts, gradients, scale = outputs
    found = {
        f"frame {horizon}": float(
            np.abs(forecast - reference[0][horizon]).max() / np.abs(reference[0][horizon]).max()
        )
        for horizon, forecast in forecasts.items()
    }
    errors = [
        float(np.linalg.norm(one - two) / np.linalg.norm(two))
        for one, two in zip(gradients, reference[1], strict=True)
    ]
    return {
        **found,
        "worst gradient": max(errors),
        "median gradient": float(np.median(errors)),
        "loss scale": scale,
    }


def _drawing(name, found, horizons):
    def draw(axes):
        curves = {
            f"{policy}, memories {memories}": (
                horizons,
                [float(np.median([seed[f"frame {horizon}"] for seed in seeds])) for horizon in horizons],
            )
            for (policy, memories), seeds in found.items()
        }
        draw_curves(axes, curves, title=name, x="frames behind the context", y="deviation")

    return draw


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see `benchmarks.command.run`."""
    return command.run(make_parser(), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
