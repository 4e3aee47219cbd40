"""Where the time of a step goes, by TensorFlow's profiler."""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import progress, seconds
from benchmarks.report import Report, number
from benchmarks.workload import Workload

# Operations as TensorFlow calls them, oneDNN's variants of them included, in the order in which they are tried; each
# is given as scope/name:type. A gradient that is written as a forward convolution is known by its scope.
GROUPS = {
    "gradient of kernel": r"kernel_gradient.*Conv2D|Conv2DBackpropFilter",
    "gradient of input": r"input_gradient.*Conv2D|Conv2DBackpropInput",
    "convolution forward": r"Conv2D",
    "elementwise": r":(_\w+?)?(Abs|Add|AddN|AddV2|BiasAdd|BiasAddGrad|Cast|Div|DivNoNan|Exp|Greater|Less|Maximum|"
    r"Minimum|Mul|Neg|RealDiv|Relu|Rsqrt|Select|SelectV2|Sigmoid|SigmoidGrad|Sign|Sqrt|Square|SquaredDifference|"
    r"Sub|Sum|Swish|Tanh|TanhGrad|FusedBinaryOps)$",
    "copies": r":(_\w+?)?(Concat|ConcatV2|Copy|DeepCopy|Empty|Fill|Gather|GatherV2|Identity|IdentityN|MirrorPad|"
    r"Pack|Pad|PadV2|Reshape|Reverse|ReverseV2|Slice|Snapshot|Split|SplitV|StridedSlice|StridedSliceGrad|"
    r"TensorArray\w+|TensorList\w+|Tile|Transpose|Unpack|ZerosLike|EmptyTensorList)$",
    "other": r"",
}
LARGEST = 12
NOTES = (
    "Seconds of the operations of one call, as the profiler saw them, and their part of the sum. Operations that run "
    "side by side count each, so the sum is not the profiled wall time; wall: that without the profiler.",
    "elementwise: also sums and biases. copies: also transposes, slices, joins, padding and the lists of a loop. "
    "other: pooling, resizing, optimiser, random numbers.",
)


def check_profiler(jit_compile: bool) -> None:
    """Makes sure that operations can be told apart.

    Raises:
        ValueError: if the backend is not TensorFlow, or XLA melts the operations into one.
    """
    import keras

    if keras.config.backend() != "tensorflow":
        raise ValueError(
            "`--account` reads TensorFlow's profiler and needs that backend. "
            f"Received: {keras.config.backend()!r}"
        )
    if jit_compile:
        raise ValueError("`--account` needs single operations, which `--jit-compile` melts into one")


def account_for(report: Report, workload: Workload, name: str, contestants: Mapping[str, Callable]) -> None:
    """Adds to the report what each contestant spends its time on in a pass."""
    title, rows, parts = f"{name}: {workload}", [], {}
    for contestant, function in contestants.items():
        progress(f"profile of {name}, {contestant}")
        wall, profiled, operations = profile(function)
        groups = dict.fromkeys(GROUPS, 0.0)
        types = Counter()
        for operation, spent in operations.items():
            groups[group(operation)] += spent
            types[operation.rsplit(":", 1)[-1]] += spent
        total = sum(groups.values())
        row = {
            name: contestant,
            "wall s": number(wall),
            "profiled s": number(profiled),
            "sum s": number(total),
        }
        rows.append(row | {one: f"{number(spent)} {spent / total:4.0%}" for one, spent in groups.items()})
        parts[contestant] = groups
        report.results.append(
            {
                "workload": workload.to_dict(),
                "pass": name,
                "contestant": contestant,
                "wall_seconds": wall,
                "profiled_wall_seconds": profiled,
                "seconds": groups,
                "fractions": {one: spent / total for one, spent in groups.items()},
                "largest_operations": dict(types.most_common(LARGEST)),
            }
        )
    report.tables[title] = rows
    report.notes = list(NOTES)
    report.drawings.append(partial(_draw_parts, parts=parts, title=title))


def profile(function: Callable[[], Any]) -> tuple[float, float, Counter]:
    """Returns the wall times of a call without and with the profiler, and the seconds of its operations."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    function()  # traces and compiles
    wall = seconds(function)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            profiled = seconds(function)
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    on_gpu = [plane for plane in space.planes if plane.name.startswith("/device:GPU")]
    operations = Counter()
    for plane in on_gpu or [plane for plane in space.planes if plane.name == "/host:CPU"]:
        for line in plane.lines:
            operations.update(own_times(_events(plane, line)))
    if not operations:
        raise ValueError("the profiler of TensorFlow must report operations. Received: none")
    return wall, profiled, operations


def group(operation: str) -> str:
    """Returns which of `GROUPS` an operation, scope/name:type, belongs to."""
    return next(name for name, pattern in GROUPS.items() if re.search(pattern, operation))


def own_times(events: Iterable[tuple[int, int, str]]) -> Counter:
    """Returns name -> seconds of (start, duration, name) in picoseconds, without what runs inside of each."""
    times, running = Counter(), []
    for start, duration, name in sorted(events, key=lambda event: (event[0], -event[1])):
        while running and running[-1][0] <= start:
            running.pop()
        if running:
            times[running[-1][1]] -= duration / 1e12
        times[name] += duration / 1e12
        running.append((start + duration, name))
    return times


def _events(plane, line):
    """Yields the events that are operations; a GPU's kernels name theirs in a statistic."""
    for event in line.events:
        label = plane.event_metadata[event.metadata_id].name
        for stat in event.stats:
            if plane.stat_metadata[stat.metadata_id].name == "tf_op":
                label = stat.str_value or plane.stat_metadata[stat.ref_value].name
        if re.fullmatch(r"[^:$]+:\w+", label):
            yield event.offset_ps, event.duration_ps, label


def _draw_parts(axes, parts, title):
    """Draws one bar for each contestant, of pieces as long as what the groups take."""
    from mslstm_keras.figures.drawing import LINES

    left = dict.fromkeys(parts, 0.0)
    for one, colour in zip(GROUPS, LINES, strict=False):
        widths = [groups[one] for groups in parts.values()]
        axes.barh(list(parts), widths, left=list(left.values()), color=colour, label=one, height=0.6)
        left = {name: start + width for (name, start), width in zip(left.items(), widths, strict=True)}
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("s")
    axes.legend(fontsize=8, frameon=False, ncols=len(GROUPS), loc="upper center", bbox_to_anchor=(0.5, -0.15))
    axes.spines[["top", "right"]].set_visible(False)
